"""code(stage): the modules that a stage's numbers come from → data/code/<stage>.json, their hashes.

Stages with many jobs depend on this one small file: an engine then looks at a dozen modules once, not
for each of some hundred jobs. In return each of these jobs compares the file with the modules.
"""

from collections.abc import Mapping
from pathlib import Path

from sslpipe.errors import UserError
from sslpipe.files import read_sealed, sha256, write_sealed
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.progress import say

# Files and whole folders of the package. dvc.yaml has to spell them out once more.
CODE: Mapping[str, tuple[str, ...]] = {
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


def run(params: Params, layout: Layout, name: str) -> None:
    """Write `layout.code(name)`: `files`, the sha256 of each by its path.

    Raises UserError for a stage that has no such file.
    """
    if name not in CODE:
        raise UserError(f"{name}: no stage whose code has a file; there are: {', '.join(CODE)}")
    digests = _digests(layout, name)
    write_sealed(layout.code(name), {"files": digests})
    say(f"{name}: {len(digests)} files of code")


def check_code(layout: Layout, stage: str) -> None:
    """Raises UserError where a stage's file of its code is of other code than there is now: an engine
    would record that the result was made by the former. Without such a file nothing is checked."""
    path, again = layout.code(stage), f"sslpipe code {stage}"
    if path.exists() and read_sealed(path, again)["files"] != _digests(layout, stage):
        raise UserError(
            f"{path}: the code has changed since; run snakemake, dvc repro, or: {again}"
        )


def _digests(layout: Layout, stage: str) -> dict[str, str]:
    files = code_files(layout.package(), *CODE[stage])
    return {path.relative_to(layout.root).as_posix(): sha256(path) for path in files}


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
