"""export(run): an encoder → a folder that torchvision and timm load, with a model card."""

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save

import sslpipe
from sslpipe.errors import UserError
from sslpipe.io.files import need_space, sha256, write_bytes
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params, resolve
from sslpipe.reporting.model_card import WEIGHTS, Input, model_card
from sslpipe.reporting.results import Results
from sslpipe.stages.encoders import open_encoder
from sslpipe.views.normalize import IMAGENET_MEAN, IMAGENET_STD

FILES = (WEIGHTS, "config.json", "README.md")


def run(params: Params, layout: Layout, name: str, to: Path | None = None) -> None:
    """Write `to`, by default `layout.export(name)`, whole or not at all.

    Raises UserError for raw pixels, an untrained run, and a folder that holds other files.
    """
    if resolve(params, name).backbone == "pixels":
        raise UserError(f"{name}: raw pixels have no weights to export")
    results = Results(params, layout)
    encoder = open_encoder(results.whose, name)
    made = results.pretrain[name]
    # timm and torchvision read it without this; transformers asks for it.
    weights = save(
        {key: tensor.contiguous() for key, tensor in encoder.state_dict().items()},
        metadata={"format": "pt"},
    )
    expects = Input(
        made["parameters"]["image_size"],
        _resize(params, made),
        IMAGENET_MEAN,
        IMAGENET_STD,
    )
    exported = {
        "exported by": f"sslpipe {sslpipe.__version__}",
        f"{WEIGHTS} sha256": hashlib.sha256(weights).hexdigest(),
        "encoder sha256": sha256(layout.encoder(name)),
    }
    config = timm_config(made["backbone"], encoder.width, expects)
    card = model_card(results, name, width=encoder.width, expects=expects, exported=exported)
    folder = (to or layout.export(name)).absolute()
    contents = (weights, json.dumps(config, indent=2).encode() + b"\n", card.encode())
    write_folder(folder, dict(zip(FILES, contents, strict=True)))
    say(f"{name}: {', '.join(FILES)} in {to or layout.export(name)}")


def timm_config(backbone: str, width: int, expects: Input) -> dict[str, Any]:
    """What `timm.create_model("local-dir:…")` reads, as `timm.models.push_to_hf_hub` writes it."""
    return {
        "architecture": backbone,
        "num_classes": 0,
        "num_features": width,
        "global_pool": "avg",
        "pretrained_cfg": {
            "num_classes": 0,
            "input_size": [3, expects.size, expects.size],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": {"squash": "squash", "crop": "center"}[expects.resize],
            "mean": list(expects.mean),
            "std": list(expects.std),
            "first_conv": "conv1",
            "classifier": "fc",
        },
    }


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a new folder and move it to `folder`, which takes the place of an earlier one.

    Raises UserError when `folder` holds anything but files of these names, so that nothing of the
    user's is lost.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: a file is in the way")
    if folder.exists() and (others := {path.name for path in folder.iterdir()} - set(contents)):
        raise UserError(f"{folder}: holds {min(others)}, so it is no earlier export; name another")
    folder.parent.mkdir(parents=True, exist_ok=True)
    need_space(folder.parent, sum(map(len, contents.values())), folder.name)
    with _beside(folder) as temporary:
        new = temporary / "new"
        for name, content in contents.items():
            write_bytes(new / name, content)
        if folder.exists():
            folder.rename(temporary / "old")
        new.rename(folder)


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A temporary folder on the same file system, locked while it is used; those of killed processes
    are removed."""
    for old in folder.parent.glob(f".{glob.escape(folder.name)}.*.part"):
        with contextlib.suppress(OSError), _locked(old):
            shutil.rmtree(old)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    try:
        with _locked(temporary):
            yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Raises OSError when another process holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _resize(params: Params, made: Mapping[str, Any]) -> str:
    """How the images that it was trained on were made square: as its report has it, else as params.yaml
    has it now of the corpus' sets or the scored ones. Where they were not all made alike, squashed."""
    if recorded := set(made["inputs"].get("resize", {}).values()):
        return recorded.pop() if len(recorded) == 1 else "squash"
    corpus = made["corpus"]
    members = params.corpora[corpus].datasets if corpus in params.corpora else params.leaderboard
    resizes = {params.datasets[name].resize for name in members}
    return resizes.pop() if len(resizes) == 1 else "squash"
