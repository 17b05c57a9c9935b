"""code: for DVC, a file for each stage → data/code, the hashes of the modules that its numbers come from.

Snakemake computes them as it reads its rules. A training's has only the module of its method, a download's
only that of its source. DVC looks at the package once, and at one small file for each job. In return a
stage that DVC started compares the file with the modules.
"""

import os
import shutil

from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed, write_sealed
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.provenance.code import digests, part_of, part_of_method
from sslpipe.schema.runs import METHOD_SETTINGS

STAGES = (
    "subset", "contact_sheet", "corpus", "embed", "evaluate", "finetune", "neighbours", "leaderboard",
    "figures", "study", "claims", "page",
)  # fmt: skip
BY_DATASET = ("download", "describe")


def run(params: Params, layout: Layout) -> None:
    """Write `layout.code(name)` for all: `files`, the hash of each by its path."""
    found = {name: digests(name) for name in STAGES}
    for stage in BY_DATASET:
        for name in params.datasets:
            found[f"{stage}/{name}"] = digests(stage, part_of(stage, params, name))
    for method in METHOD_SETTINGS:
        found[f"pretrain/{method}"] = digests("pretrain", part_of_method(method))
    shutil.rmtree(layout.code("all").parent, ignore_errors=True)  # of sets that are gone
    for name, files in found.items():
        write_sealed(layout.code(name), {"files": files})
    say(f"code: {len(found)} files in {layout.code('all').parent}")


def check_code(params: Params, layout: Layout, stage: str, names: tuple[str, ...]) -> None:
    """Raises UserError where DVC has started a stage though the file of its code is of other code than
    there is now: it would record that the result was made by the former."""
    if "DVC_STAGE" not in os.environ:
        return
    name = stage
    if stage in BY_DATASET:
        name = f"{stage}/{names[0]}"
    elif stage == "pretrain" and names[0] in params.runs:
        name = f"{stage}/{params.runs[names[0]].method}"
    path = layout.code(name)
    if not path.exists():
        return
    now = digests(stage, part_of(stage, params, names[0]) if name != stage else None)
    if read_sealed(path, "sslpipe code")["files"] != now:
        raise UserError(f"{path}: the code has changed since; run dvc repro again")
