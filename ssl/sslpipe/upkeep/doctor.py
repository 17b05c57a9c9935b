"""What may be wrong with this machine or this project, and what to do about each."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil
import yaml
from packaging.requirements import Requirement

from sslpipe.errors import UserError, few
from sslpipe.io.files import SPARE, in_words
from sslpipe.layout import PARAMS, Layout
from sslpipe.params import Params, load
from sslpipe.running.devices import FOLDER, held_devices, visible_devices
from sslpipe.running.jobs import running_jobs
from sslpipe.upkeep import leftovers, sync

AHEAD = 60.0
"""Seconds that a file's time may lie in the future."""


@dataclass(frozen=True)
class Finding:
    """fix: what to do about it, a command where there is one; None where all is well."""

    what: str
    fix: str | None = None


def examine(layout: Layout, *, data: bool) -> Iterator[tuple[str, list[Finding]]]:
    """(subject, findings), one after another. data: read all of the data's files too."""
    yield "environment", list(environment())
    yield "devices", list(devices())
    yield "disk", list(disk(layout))
    try:
        params = load(PARAMS)
    except UserError as error:
        mistakes = str(error).splitlines()
        yield (
            "params.yaml",
            [Finding(mistakes[0], f"mend it: sslpipe check ({len(mistakes)} in all)")],
        )
        return
    yield "params.yaml", [Finding(f"{len(params.runs)} runs, {len(params.datasets)} data sets")]
    yield "jobs", list(jobs(layout))
    yield "Snakemake", list(snakemake(layout))
    yield "DVC", list(dvc(layout))
    yield "leftovers", list(left(params, layout))
    yield "files", list(files(params, layout, data=data))


def environment() -> Iterator[Finding]:
    yield Finding(f"Python {sys.version.split()[0]}, sslpipe {metadata.version('sslpipe')}")
    for text in metadata.requires("sslpipe") or []:
        need = Requirement(text)
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            have = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            yield Finding(
                f"{need.name} is missing", "make, or: pip install -c constraints.txt -e ."
            )
            continue
        if not need.specifier.contains(have, prereleases=True):
            yield Finding(
                f"{need.name} {have} is installed, {need.specifier} is needed",
                "make, or: pip install -c constraints.txt -e .",
            )
    try:
        import torch
        import torchvision
    except Exception as error:  # whatever a build for another machine raises
        first = (str(error) or type(error).__name__).splitlines()[0]
        yield Finding(
            f"torch and torchvision cannot be imported: {first}",
            "install a pair that belongs together: https://pytorch.org/get-started/locally",
        )
        return
    yield Finding(f"torch {torch.__version__}, torchvision {torchvision.__version__}")


def devices() -> Iterator[Finding]:
    found = visible_devices()
    if not found:
        hidden = "SSLPIPE_DEVICES" in os.environ or "CUDA_VISIBLE_DEVICES" in os.environ
        why = ", which SSLPIPE_DEVICES or CUDA_VISIBLE_DEVICES hides" if hidden else ""
        yield Finding(f"no GPU{why}: the CPU does the work")
    else:
        import torch

        usable = torch.cuda.is_available()
        yield Finding(
            f"GPUs: {', '.join(found)}" + ("" if usable else "; PyTorch cannot use them"),
            None
            if usable
            else "install torch for the driver's CUDA version (nvidia-smi tells it), or update it",
        )
    held = held_devices()
    yield Finding(f"in use by trainings: {', '.join(held) or 'none'}")
    if FOLDER.exists() and FOLDER.stat().st_mode & 0o1777 != 0o1777:
        yield Finding(f"{FOLDER}: not open to all users", f"chmod 1777 {FOLDER}")


def disk(layout: Layout) -> Iterator[Finding]:
    places = [layout.root / name for name in ("data", "reports", ".dvc", ".snakemake")]
    places += [layout.downloads(), layout.state("")]
    disks: dict[int, Path] = {}
    for place in places:
        while not place.exists():
            place = place.parent
        if not os.access(place, os.W_OK | os.X_OK):
            yield Finding(f"{place}: not writable", f"chown or chmod it for user {os.getuid()}")
        disks.setdefault(place.stat().st_dev, place)
    for place in disks.values():
        free = shutil.disk_usage(place).free
        yield Finding(
            f"{place.resolve()}: {in_words(free)} free",
            "make room there: sslpipe clean --dry-run, dvc gc --all-commits --all-experiments"
            if free < 4 * SPARE
            else None,
        )


def jobs(layout: Layout) -> Iterator[Finding]:
    found = running_jobs(layout.running_folders())
    yield Finding(f"{len(found)} running" + (": sslpipe status" if found else ""))
    for job in found:
        if job.orphaned:
            engine, _ = job.engine or ("its engine", 0)
            yield Finding(
                f"{job.name}: {engine}, which started it, is gone; it goes on by itself",
                f"wait, or stop it (its state is saved): kill {job.pid}",
            )


def snakemake(layout: Layout) -> Iterator[Finding]:
    locks = list((layout.root / ".snakemake/locks").glob("*"))
    if engines := _engines("snakemake", layout.root):
        yield Finding(f"running: process {', '.join(map(str, engines))}")
        return
    if locks:
        yield Finding(
            "the folder is locked, but no snakemake of yours runs here on this machine",
            "if none runs elsewhere either: snakemake --unlock",
        )
        return
    yield from _state(
        "snakemake -n",
        lambda: sync.snakemake_state(),
        lambda state: (
            [f"{len(state.pending)} files would be made: snakemake -n"] * bool(state.pending)
            + [f"{len(state.unrecorded)} files were not made by it: sslpipe sync"]
            * bool(state.unrecorded and not state.pending)
            + [f"{len(state.missing)} files are gone that it needs no more; for DVC: sslpipe sync"]
            * bool(state.missing)
        ),
    )


def dvc(layout: Layout) -> Iterator[Finding]:
    if not (layout.root / ".dvc").is_dir():
        yield Finding("no .dvc here", "git checkout .dvc, or: dvc init")
        return
    if trouble := _trouble_with_git(layout.root):
        yield trouble
        return
    lock = layout.root / "dvc.lock"
    if lock.exists():
        try:
            yaml.safe_load(lock.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            yield Finding("dvc.lock: not YAML (a merge conflict?)", "git checkout dvc.lock")
            return
    if engines := _engines("dvc", layout.root):
        yield Finding(f"running: process {', '.join(map(str, engines))}")
        return
    lock = layout.root / ".dvc/tmp/rwlock"
    try:
        json.loads(lock.read_text(encoding="utf-8") if lock.exists() else "{}")
    except ValueError:
        yield Finding(f"{lock}: damaged by a dvc that was killed; it stops every dvc", f"rm {lock}")
        return
    if not (notes := layout.source_notes()).is_dir():
        yield Finding(f"{notes}: gone, without which dvc repro stops", f"git checkout {notes}")
        return
    links = layout.source_images("*")
    if gone := [link for link in links.parent.glob(links.name) if not link.exists()]:
        yield Finding(
            f"{gone[0]}: {gone[0].readlink()} is not there any more, without which dvc stops with an error",
            "put the images back, or set their path in params.yaml; then: sslpipe sources",
        )
        return
    yield from _state(
        "dvc status",
        lambda: sync.dvc_is_clean(),
        lambda clean: [] if clean else ["something has changed, or is not there: dvc status"],
    )


def left(params: Params, layout: Layout) -> Iterator[Finding]:
    for path in leftovers.abandoned(layout):
        yield Finding(f"{path}: of a process that was killed", "sslpipe clean")
    useless = leftovers.outdated(params, layout)
    for words in dict.fromkeys(useless.values()):
        folders = [folder for folder in useless if useless[folder] == words]
        size = in_words(sum(map(leftovers.size, folders)))
        runs = few({folder.parent.name for folder in folders})
        yield Finding(f"interrupted training of {runs}, {size}: {words}", "sslpipe clean")
    results, names = leftovers.of_other_params(params, layout)
    if results:
        whose = ", ".join(f"{kind} {few(some)}" for kind, some in names.items())
        yield Finding(
            f"{len(results)} files of reports/ are of what params.yaml does not have: {whose}"
        )
    for state in leftovers.resumable(layout):
        if state.folder not in useless:
            words = leftovers.outlook(params, layout, state.folder).words
            yield Finding(f"{state.run}: interrupted after step {state.step}: {words}")


def files(params: Params, layout: Layout, *, data: bool) -> Iterator[Finding]:
    ahead = [
        path
        for folder in ("data", "reports")
        for path in (layout.root / folder).rglob("*")
        if path.is_file() and path.lstat().st_mtime > time.time() + AHEAD
    ]
    if ahead:
        yield Finding(
            f"{ahead[0]}{f' and {len(ahead) - 1} more' if len(ahead) > 1 else ''}: written in the "
            "future, which Snakemake takes for newer than all that is made of it",
            "set the clock right; if all is up to date but for that: sslpipe sync, or snakemake --touch",
        )
    from sslpipe.upkeep.verify import damaged

    # One file may be read with several others.
    troubles = dict.fromkeys(damaged(params, layout, data=data))
    for trouble in troubles:
        yield Finding(trouble, "as it says; or, where they know it: git checkout, dvc checkout")
    if not troubles:
        yield Finding(
            "data/ and reports/ are as they were written"
            if data
            else "reports/ is as it was written; to read data/ too: sslpipe doctor --data"
        )


def _trouble_with_git(root: Path) -> Finding | None:
    """Without a repository DVC does nothing; where git refuses one, `dvc exp` and `diff` do too."""
    if shutil.which("git") is None:
        without, fix = "git is not installed", "install it, or: dvc config core.no_scm true"
    else:
        said = subprocess.run(
            ["git", "-C", root, "rev-parse", "--git-dir"],
            capture_output=True, encoding="utf-8", errors="replace", env=os.environ | {"LC_ALL": "C"},
        ).stderr.strip()  # fmt: skip
        if not said:
            return None
        without = f"git: {said.splitlines()[0].removeprefix('fatal: ')}"
        own = next((line for line in said.splitlines() if "safe.directory" in line), None)
        fix = own.strip() if own else sync.NO_GIT
    with suppress(UserError):
        if sync.run("dvc", "config", "core.no_scm").strip() == "true":
            return None
    return Finding(without, fix)


def _state(command: str, ask: Callable, problems: Callable) -> Iterator[Finding]:
    try:
        found = problems(ask())
    except UserError as error:
        yield Finding(str(error), f"see: {command}")
        return
    yield Finding("; ".join(found) if found else "up to date")


def _engines(name: str, root: Path) -> list[int]:
    """Processes of an engine that work in this folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = {Path(word).name for word in (process.info["cmdline"] or [])[:3]}
        at = process.info["cwd"]
        if name in words and at and Path(at) == root.resolve() and process.pid != os.getpid():
            found.append(process.pid)
    return found
