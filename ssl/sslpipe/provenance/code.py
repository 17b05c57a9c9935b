"""The modules that a stage's numbers come from, and a hash of them."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import sslpipe
from sslpipe.io.files import digest, sha256

# Files and whole folders of the package. dvc.yaml has to spell them out once more.
CODE: Mapping[str, tuple[str, ...]] = {
    "download": (
        "stages/download.py",
        "schema/sources.py",
        "data/sources",
        "data/archives.py",
        "data/contents.py",
        "data/images.py",
        "data/ranges.py",
        "data/raw.py",
        "data/splits.py",
        "data/suffixes.py",
        "data/tree.py",
    ),
    "subset": (
        "stages/subset.py",
        "schema/data.py",
        "data/choose.py",
        "data/decode.py",
        "data/duplicates.py",
        "data/fast_jpeg.py",
        "data/images.py",
        "data/index.py",
        "data/pack.py",
        "data/ranges.py",
        "data/raw.py",
        "data/splits.py",
        "data/wide_images.py",
    ),
    "corpus": (
        "stages/corpus.py",
        "schema/data.py",
        "data/index.py",
        "data/corpus.py",
        "data/duplicates.py",
        "reporting/corpora.py",
        "reporting/markdown.py",
    ),
    "pretrain": (
        "stages/pretrain.py",
        "schema/training.py",
        "data/index.py",
        "data/corpus.py",
        "evaluation/features.py",
        "evaluation/knn.py",
        "evaluation/probe.py",
        "evaluation/scores.py",
        "networks",
        "views",
        "methods",
        "training",
        "seeds.py",
    ),
    "embed": (
        "stages/embed.py",
        "data/index.py",
        "networks",
        "evaluation/features.py",
        "views",
    ),
    "evaluate": (
        "stages/evaluate.py",
        "schema/evaluation.py",
        "evaluation/features.py",
        "evaluation/few_labels.py",
        "evaluation/knn.py",
        "evaluation/probe.py",
        "evaluation/protocol.py",
        "evaluation/scores.py",
        "evaluation/structure.py",
    ),
    "finetune": (
        "stages/finetune.py",
        "schema/evaluation.py",
        "data/index.py",
        "seeds.py",
        "training/precision.py",
        "networks",
        "views",
        "evaluation/features.py",
        "evaluation/finetune.py",
        "evaluation/scores.py",
    ),
}


@cache
def code_hash(stage: str) -> str:
    """Of the package that runs, as its files are when it is first asked for."""
    package = Path(sslpipe.__file__).parent
    return digest(digests(package, stage))[:16]


def digests(package: Path, stage: str) -> dict[str, str]:
    """Path below the package → sha256."""
    files = code_files(package, *CODE[stage])
    return {path.relative_to(package).as_posix(): sha256(path) for path in files}


def code_files(package: Path, *paths: str) -> list[Path]:
    """The files at `paths` in `package`, and in the folders among them, as they lie there."""
    found = []
    for path in map(package.joinpath, paths):
        inside = (p for p in path.rglob("*") if p.is_file() and _is_code(p.relative_to(package)))
        found += sorted(inside) if path.is_dir() else [path]
    return found


def _is_code(path: Path) -> bool:
    """Not what Python, editors and systems leave beside it. path: below the package."""
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    return not hidden and path.suffix != ".part"
