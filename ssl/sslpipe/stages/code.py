"""code(stage): the modules that a stage's numbers come from → data/code/<stage>.json, their hashes.

Stages with many jobs depend on this one small file: an engine then looks at a dozen modules once, not
for each of some hundred jobs. In return each of these jobs compares the file with the modules.
"""

from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed, write_sealed
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.provenance.code import digests

FILED = ("pretrain", "embed", "evaluate", "finetune")


def run(params: Params, layout: Layout, name: str) -> None:
    """Write `layout.code(name)`: `files`, the sha256 of each by its path.

    Raises UserError for a stage that has no such file.
    """
    if name not in FILED:
        raise UserError(f"{name}: no stage whose code has a file; there are: {', '.join(FILED)}")
    found = _digests(layout, name)
    write_sealed(layout.code(name), {"files": found})
    say(f"{name}: {len(found)} files of code")


def check_code(layout: Layout, stage: str) -> None:
    """Raises UserError where a stage's file of its code is of other code than there is now: an engine
    would record that the result was made by the former. Without such a file nothing is checked."""
    path, again = layout.code(stage), f"sslpipe code {stage}"
    if path.exists() and read_sealed(path, again)["files"] != _digests(layout, stage):
        raise UserError(
            f"{path}: the code has changed since; run snakemake, dvc repro, or: {again}"
        )


def _digests(layout: Layout, stage: str) -> dict[str, str]:
    folder = layout.package().relative_to(layout.root)
    found = digests(layout.package(), stage)
    return {(folder / path).as_posix(): value for path, value in found.items()}
