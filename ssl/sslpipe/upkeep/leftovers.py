"""What interrupted work left behind: to be gone on with, or of no use any more."""

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sslpipe.errors import UserError
from sslpipe.io.files import read_json
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.provenance.record import MADE_OF, Artefact, Record, differences, fingerprint
from sslpipe.provenance.whose import Whose
from sslpipe.running.jobs import is_held

CHECKPOINT = re.compile(r"step-(\d+)-\w+\.pt")
# Of `files.atomic`, whose random letters tell it from what `subset` and `download` go on with.
TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.part")


@dataclass(frozen=True)
class Resumable:
    """The state of an interrupted training. step: of its last checkpoint; age: seconds since."""

    run: str
    folder: Path
    step: int
    age: float

    @property
    def fingerprint(self) -> str:
        return self.folder.name


class Outlook(NamedTuple):
    """What becomes of a state when its run is trained, in the words that all commands say.

    useless: the run starts anew whatever lies there."""

    words: str
    useless: bool = False


def resumable(layout: Layout) -> list[Resumable]:
    """All states with a checkpoint that no process holds."""
    found = []
    for folder in layout.states():
        steps = {
            int(match[1]): path
            for path in folder.iterdir()
            if (match := CHECKPOINT.fullmatch(path.name))
        }
        if steps and not is_held(folder.with_suffix(".lock")):
            last = max(steps)
            age = max(0.0, time.time() - steps[last].stat().st_mtime)
            found.append(Resumable(folder.parent.name, folder, last, age))
    return found


def abandoned(layout: Layout) -> list[Path]:
    """Files of writers that were killed, and what killed stages said of themselves."""
    parts = [
        path for path in layout.part_files() if TEMPORARY.fullmatch(path.name) and not is_held(path)
    ]
    beacons = [
        path
        for folder in layout.running_folders()
        for path in folder.iterdir()
        if path.suffix in (".json", ".part") and not _of_a_live_job(path)
    ]
    return sorted(parts + beacons)


def unfinished(layout: Layout) -> list[Path]:
    """What `subset` and `download` go on with when they run again."""
    return sorted(
        path
        for path in layout.part_files()
        if not TEMPORARY.fullmatch(path.name) and not _is_being_written(path)
    )


def states(layout: Layout) -> list[Path]:
    """Folders of trainings' states that no process holds, with or without a checkpoint."""
    return [path for path in layout.states() if not is_held(path.with_suffix(".lock"))]


def outdated(params: Params, layout: Layout) -> dict[Path, str]:
    """States that are of no use any more, and the words of their outlook."""
    outlooks = {folder: outlook(params, layout, folder) for folder in states(layout)}
    return {folder: words for folder, (words, useless) in outlooks.items() if useless}


def outlook(params: Params | None, layout: Layout, folder: Path) -> Outlook:
    """params: None where the file has mistakes. A run that it does not have may be another experiment's
    for now, and the folder another project's too."""
    run = folder.parent.name
    if params is None:
        return Outlook("cannot be told: params.yaml has mistakes")
    if run not in params.runs:
        return Outlook("stays: params.yaml has no run of this name")
    try:
        now = Whose(params, layout).new(Artefact("encoder", run))
    except UserError as error:  # its corpus is missing, or of something else
        return Outlook(f"cannot be told: {error}")
    if fingerprint(now) == folder.name:
        return Outlook("goes on from here")
    return Outlook(f"starts anew: {changed(folder, now)}", useless=True)


def changed(folder: Path, now: Record) -> str:
    """What has changed since a state was saved, in words."""
    record = folder / MADE_OF
    before = read_json(record) if record.exists() else {}
    parts = [some.partition(" ")[0] for some in differences(before, now)] if before else []
    parts = ["corpus" if part == "inputs" else part for part in parts]
    return f"its {' and '.join(parts) or 'settings, corpus or code'} changed since"


def of_other_params(params: Params, layout: Layout) -> tuple[list[Path], dict[str, set[str]]]:
    """Files of reports/ of runs, sets and studies that params.yaml does not have, and these by kind."""
    known = {
        "run": params.runs,
        "data set": params.datasets.keys() | params.corpora.keys(),
        "study": params.studies,
    }
    # whose a file is, in the order of the names in its path
    of_set_and_run = {
        place("*", "*"): ("data set", "run")
        for place in (
            layout.metrics, layout.predictions, layout.features,
            layout.finetune_metrics, layout.finetune_predictions,
        )
    }  # fmt: skip
    places = of_set_and_run | {
        layout.history("*"): ("run",),
        layout.pretrain_report("*"): ("run",),
        layout.dataset_page("*"): ("data set",),
        layout.dataset_facts("*"): ("data set",),
        layout.contact_sheet("*"): ("data set",),
        layout.figure("neighbours_*", "png"): ("data set",),
        layout.study("*"): ("study",),
        layout.figure("study_*", "png"): ("study",),
        layout.figure("study_*", "svg"): ("study",),
    }
    files: list[Path] = []
    unknown: dict[str, set[str]] = {kind: set() for kind in known}
    for place, kinds in places.items():
        pattern = place.relative_to(layout.root).as_posix()
        names_in = re.compile(re.escape(pattern).replace(r"\*", r"(\w+)"))
        for path in layout.root.glob(pattern):
            match = names_in.fullmatch(path.relative_to(layout.root).as_posix())
            if match is None:
                continue
            whose = zip(kinds, match.groups(), strict=True)
            new = [(kind, name) for kind, name in whose if name not in known[kind]]
            for kind, name in new:
                unknown[kind].add(name)
            files += [path] if new else []
    return files, {kind: names for kind, names in unknown.items() if names}


def size(path: Path) -> int:
    """Bytes."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def remove(path: Path) -> None:
    """And the folder that it leaves empty, below `.state`."""
    if path.is_dir():
        shutil.rmtree(path)
        path.with_suffix(".lock").unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    else:
        path.unlink(missing_ok=True)


def _of_a_live_job(path: Path) -> bool:
    """`STAGE.NAMES.json`, or `STAGE.NAMES.PID.part` while it is being written."""
    stem = path.stem if path.suffix == ".json" else path.stem.rpartition(".")[0]
    return is_held(path.with_name(f"{stem}.lock"))


def _is_being_written(path: Path) -> bool:
    """`subset` holds `.NAME.npy.lock.part` beside what it writes."""
    return any(is_held(lock) for lock in _locks(path))


def _locks(path: Path) -> Iterator[Path]:
    yield path
    yield path.with_suffix(".lock")  # of a download
    stem = path.name.split(".")[1]
    yield path.with_name(f".{stem}.npy.lock.part")
