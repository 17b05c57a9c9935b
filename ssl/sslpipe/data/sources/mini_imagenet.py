"""Mini-ImageNet: a copy on the Hugging Face hub, or made from a local ImageNet and split lists."""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sslpipe.data.fetch import RemoteFile, fetch, first_line, given_folder, is_right
from sslpipe.errors import UserError
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.schema.sources.mini_imagenet import MiniImageNet

Members = Iterator[tuple[str, bytes]]

REPOSITORY = "timm/mini-imagenet"
PARQUET = re.compile(r"(?:.*/)?((train|validation|test)-\d+-of-(\d+)(?:-[0-9a-f]+)?\.parquet)")
CLASSES, IMAGES_EACH = 100, 600
SPLITS = {"train": "train", "validation": "val", "test": "test"}

LISTS = tuple(
    RemoteFile(
        name,
        (
            "https://raw.githubusercontent.com/twitter-research/meta-learning-lstm/master/"
            f"data/miniImagenet/{name}",
        ),
    )
    for name in MiniImageNet.LISTS
)
"""Of Ravi and Larochelle, "Optimization as a model for few-shot learning" (2017)."""


def mini_imagenet(source: MiniImageNet, root: Path) -> Members:
    """100 classes. From the hub: its three splits; from a local ImageNet: one, `all`."""
    downloads = Layout(root).downloads() / "mini_imagenet"
    if source.imagenet is None:
        yield from _of_hub(source, downloads)
    else:
        yield from _of_imagenet(source, root / Path(source.imagenet).expanduser(), downloads)


def _of_hub(source: MiniImageNet, downloads: Path) -> Members:
    try:
        import pyarrow.parquet
    except ImportError:
        raise _missing_extra() from None
    for path in _local_parquet(source) or _fetched_parquet(source, downloads):
        split = SPLITS[_parsed(path.name)[2]]
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                names = dict(enumerate(_class_names(file.schema_arrow, path)))
                number = 0
                for batch in file.iter_batches(64, columns=["image", "label"]):
                    for row in batch.to_pylist():
                        member = f"{split}/{names[row['label']]}/{path.stem}_{number:05}.jpg"
                        yield member, row["image"]["bytes"]
                        number += 1
        except (pyarrow.ArrowException, OSError, KeyError, IndexError, TypeError) as error:
            raise UserError(
                f"{path}: not a readable copy of {REPOSITORY} ({first_line(error)})"
            ) from None


def _local_parquet(source: MiniImageNet) -> list[Path]:
    """The copy's files in `directory`, when all that their names announce are there."""
    if source.directory is None:
        return []
    folder = given_folder(source)
    found = sorted(p for p in folder.rglob("*.parquet") if PARQUET.fullmatch(p.name))
    splits = {_parsed(path.name)[2] for path in found}
    announced = sum(int(_parsed(p.name)[3]) for p in found if "-00000-of" in p.name)
    right = all(is_right(path, source.checksums.get(path.name, "")) for path in found)
    if splits != set(SPLITS) or announced != len(found) or not right:
        say(f"{folder}: holds no whole copy of {REPOSITORY}; asking the hub")
        return []
    return found


def _fetched_parquet(source: MiniImageNet, downloads: Path) -> Iterator[Path]:
    try:
        import huggingface_hub as hub
    except ImportError:
        raise _missing_extra() from None
    try:
        info = hub.HfApi().dataset_info(REPOSITORY, revision=source.revision, files_metadata=True)
    except Exception as error:  # the library's and its HTTP client's, of many kinds
        raise UserError(
            f"{REPOSITORY}: the hub cannot be asked ({first_line(error)}); HF_ENDPOINT names "
            "another hub, `directory` a folder that holds the copy's .parquet files"
        ) from None
    say(f"{REPOSITORY}: commit {info.sha}")
    files = [file for file in info.siblings or [] if PARQUET.fullmatch(file.rfilename)]
    if not files:
        raise UserError(f"{REPOSITORY} at {source.revision} holds no .parquet files of its splits")
    for file in sorted(files, key=lambda file: file.rfilename):
        url = hub.hf_hub_url(REPOSITORY, file.rfilename, repo_type="dataset", revision=info.sha)
        checksum = f"sha256:{file.lfs.sha256}" if file.lfs else ""
        name = _parsed(file.rfilename)[1]
        remote = RemoteFile(name, (url,), checksum, hub.get_token() or "")
        yield fetch(remote, source, downloads)


def _parsed(name: str) -> re.Match[str]:
    """Of a file that is one of the copy's."""
    match = PARQUET.fullmatch(name)
    assert match is not None
    return match


def _class_names(schema: Any, path: Path) -> list[str]:
    """The classes' names, which the hub's library keeps in the file's metadata."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        names = features["label"]["names"]
    except (TypeError, KeyError, ValueError):
        raise UserError(f"{path}: does not name its classes: no copy of {REPOSITORY}") from None
    # 'tench, Tinca tinca' would make a folder's name with a comma and blanks
    return [re.sub(r"\W+", "_", name).strip("_") for name in names]


def _of_imagenet(source: MiniImageNet, imagenet: Path, downloads: Path) -> Members:
    """The lists' 60,000 images. They count a class's images by their numbers, from 1."""
    wanted: dict[str, list[int]] = defaultdict(list)
    for file in LISTS:
        path = fetch(file, source, downloads)
        for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))):
            # n0153282900000005.jpg: the fifth image of n01532829
            match = re.fullmatch(r"(n\d{8})(\d{8})\.jpg", row.get("filename") or "")
            if match is None:
                raise UserError(f"{path}: not a list of Mini-ImageNet: {row}")
            wanted[match[1]].append(int(match[2]))
    if [len(numbers) for numbers in wanted.values()] != [IMAGES_EACH] * CLASSES:
        raise UserError(
            f"{downloads}: the lists there (or in `directory`) are not those of {CLASSES} classes of "
            f"{IMAGES_EACH} images: delete them, and run it again"
        )
    for class_name in sorted(wanted):
        folder = imagenet / class_name
        if not folder.is_dir():
            raise UserError(f"source.imagenet: {folder}: no such folder")
        images = sorted(folder.glob("*.JPEG"), key=lambda p: int(p.stem.rsplit("_", 1)[1]))
        for position in sorted(wanted[class_name]):
            if not 1 <= position <= len(images):
                raise UserError(
                    f"source.imagenet: {folder}: {len(images)} images, but the lists name its "
                    f"number {position}: is it ILSVRC2012's train folder, and whole?"
                )
            image = images[position - 1]
            yield f"all/{class_name}/{image.name}", image.read_bytes()


def _missing_extra() -> UserError:
    return UserError("source 'mini_imagenet' needs more packages: pip install 'sslpipe[hub]'")
