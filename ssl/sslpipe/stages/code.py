"""code(stage): the modules that a stage's numbers come from → data/code/<stage>.json, their hashes.

Stages with many jobs depend on this one small file: an engine then looks at a dozen modules once, not
for each of some hundred jobs.
"""

from collections.abc import Mapping
from pathlib import Path

from sslpipe.errors import UserError
from sslpipe.files import sha256, write_sealed
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
    files = code_files(layout.package(), *CODE[name])
    digests = {path.relative_to(layout.root).as_posix(): sha256(path) for path in files}
    write_sealed(layout.code(name), {"files": digests})
    say(f"{name}: {len(files)} files of code")


def code_files(package: Path, *paths: str) -> list[Path]:
    """The files at `paths` in `package`, and in the folders among them, as they lie there."""
    found = []
    for path in map(package.joinpath, paths):
        inside = sorted(p for p in path.rglob("*.*") if "__pycache__" not in p.parts)
        found += inside if path.is_dir() else [path]
    return found
