"""Whether every number that is shown was made by the settings beside it, whatever happened before.

python tests/engines/sequences.py --sequences 200 --seed 0

Each sequence is of some random operations on a tiny project: edits, runs of either engine, interruptions,
checkouts, copies, files overwritten or deleted. After each of them all that the project shows is compared
with a project of the same settings and images in which nothing but the stages ever ran, once each and in
order. A number may be absent, never another's; and where an engine says that all is up to date, none may
be missing. Times decide where an interruption strikes, so a replayed sequence may take another turn.

So many stages run that starting Python for each would take nearly all of the time: the `sslpipe` on PATH
hands its arguments to a server, which has imported the package and forks for each.
"""

import argparse
import csv
import importlib
import io
import json
import os
import pkgutil
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache, cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import yaml
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "faults")]

from small_project import make_project  # noqa: E402
from workspace import VOLATILE, content, wait_until  # noqa: E402

# --- settings and images ------------------------------------------------------------------------


class Variant(NamedTuple):
    """What may change. neighbours: that vote in k-NN; moved: some images lie in another class's folder;
    tuned: simclr is fine-tuned too; pixels: there is a run of raw pixels."""

    lr: float = 0.001
    neighbours: int = 3
    moved: bool = False
    tuned: bool = True
    pixels: bool = True

    def __str__(self) -> str:
        others = ("moved", "tuned", "pixels")
        words = [word if getattr(self, word) else f"not-{word}" for word in others]
        return "_".join([f"lr{self.lr:g}", f"k{self.neighbours}", *words])

    @property
    def runs(self) -> tuple[str, ...]:
        return ("simclr", "untrained", *(["pixels"] if self.pixels else []))


RATES, NEIGHBOURS = (0.001, 0.05), (3, 7)


def settings(variant: Variant) -> dict[str, Any]:
    """params.yaml of a variant. The images are no setting: they lie in `imgs`."""
    small = {"hidden": 16, "output": 8}
    runs = {
        "simclr": {"method": "simclr", "backbone": "resnet18", "corpus": "base"},
        "untrained": {"method": "random", "backbone": "resnet18", "corpus": "base"},
        "pixels": {"method": "random", "backbone": "pixels", "corpus": "base"},
    }
    return {
        "image_size": 20,
        "datasets": {"mine": {"source": {"kind": "folder", "path": "imgs"}}},
        "leaderboard": ["mine"],
        "contact_sheets": [],
        "corpora": {"base": {"datasets": ["mine"]}},
        "methods": {"simclr": {"lr": variant.lr, "projector": small}, "random": {}},
        "pretrain": {
            "epochs": 1,
            "batch_size": 16,
            "threads": 1,
            "precision": "fp32",
            "checkpoint_minutes": 0,
            "online": {"datasets": ["mine"]},
        },
        "runs": {run: runs[run] for run in variant.runs},
        "evaluate": {
            "knn": {"k": variant.neighbours, "also_k": [1]},
            "probe": {
                "epochs": 2,
                "lr": [0.01],
                "weight_decay": [0.0],
                "default": {"epochs": 1},
            },
            "few_labels": {"fractions": [0.5], "epochs": 2},
        },
        "finetune": {
            "runs": ["simclr"] if variant.tuned else [],
            "epochs": 1,
            "batch_size": 16,
            "lr": [0.001],
        },
        "neighbour_strips": ["mine"],
        "studies": {"method": {"runs": ["simclr", "untrained"], "x": "method"}},
        "claims": {},
        "report": {"resamples": 100},
    }


def write_settings(folder: Path, variant: Variant) -> None:
    text = yaml.safe_dump(settings(variant), sort_keys=False)
    (folder / "params.yaml").write_text(text, encoding="utf-8")


def spell_otherwise(folder: Path, variant: Variant) -> None:
    """The same settings: another order of keys, a comment, another spelling of a number."""
    some = settings(variant)
    for key in ("methods", "pretrain", "evaluate", "finetune"):
        some[key] = dict(reversed(some[key].items()))
    text = yaml.safe_dump(some, sort_keys=False).replace("lr: 0.001\n", "lr: 1.0e-3  # the same\n")
    path = folder / "params.yaml"
    path.write_text(f"# in other words\n{text}", encoding="utf-8")


def there_is(folder: Path) -> Variant:
    """What params.yaml and the images of a project are now."""
    some = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    return Variant(
        lr=float(some["methods"]["simclr"]["lr"]),
        neighbours=some["evaluate"]["knn"]["k"],
        moved=are_moved(folder),
        tuned=bool(some["finetune"]["runs"]),
        pixels="pixels" in some["runs"],
    )


CLASSES, PER_CLASS = "abc", 24
MOVED = range(0, PER_CLASS, 3)


def draw_images(folder: Path) -> None:
    """Of three colours below noise, so that classes are told apart, but not always."""
    chance = np.random.default_rng(0)
    for channel, name in enumerate(CLASSES):
        (folder / "imgs" / name).mkdir(parents=True)
        for number in range(PER_CLASS):
            pixels = chance.integers(0, 256, (6, 6, 3))
            pixels[..., channel] = pixels[..., channel] // 2 + 100
            image = Image.fromarray(pixels.astype(np.uint8)).resize((24, 24))
            image.save(folder / "imgs" / name / f"{name}{number:02}.png")


def are_moved(folder: Path) -> bool:
    return (folder / "imgs/b/a00.png").exists()


def move_images(folder: Path, moved: bool) -> None:
    """From class a to class b, or back."""
    source, target = ("a", "b") if moved else ("b", "a")
    for number in MOVED if are_moved(folder) != moved else ():
        name = f"a{number:02}.png"
        (folder / "imgs" / source / name).rename(folder / "imgs" / target / name)


# --- a server of stages -------------------------------------------------------------------------

CLIENT = """#!{python} -IS
import json, os, signal, socket, struct, sys

server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
last = signal.SIGKILL

def forward(number, _):
    global last
    last = number
    server.send(bytes([number]))

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, forward)
said = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [struct.pack("!I", len(said))], [0, 1, 2])
server.sendall(said)
code = server.recv(1)
if code:
    os._exit(code[0])
signal.signal(last, signal.SIG_DFL)
os.kill(os.getpid(), last)
"""
"""A stand-in for `sslpipe`: it passes signals on, and ends as the forked process has ended."""


def serve(address: str) -> None:
    """Until the standard input ends, with whoever has started it."""
    import sslpipe

    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    for module in pkgutil.walk_packages(sslpipe.__path__, "sslpipe."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{address}.new")
    listening.listen(64)
    Path(f"{address}.new").rename(address)
    while True:
        client, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _answer(client)
        client.close()


def _answer(client: socket.socket) -> None:
    """Run one command in this process, in its caller's folder and environment; ends the process."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, files, *_ = socket.recv_fds(client, 4, 3)
    size, said = int.from_bytes(head), b""
    while len(said) < size:
        if not (part := client.recv(size - len(said))):
            os._exit(1)
        said += part
    arguments, folder, environment = json.loads(said)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    # new ones, as the server's remember what kind of file they were opened on
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_obey, args=[client], daemon=True).start()
    code = _run(arguments)
    with suppress(OSError):
        client.send(bytes([code]))
    os._exit(code)


def _obey(client: socket.socket) -> None:
    """Pass on the signals that the caller gets; a caller that is killed takes this process along."""
    while number := client.recv(1):
        os.kill(os.getpid(), number[0])
    os.killpg(0, signal.SIGKILL)


def _run(arguments: list[str]) -> int:
    from sslpipe.cli import main

    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


# --- projects -----------------------------------------------------------------------------------


class Done(NamedTuple):
    """What came of a command."""

    code: int
    said: str


HANGS = 300
"""Seconds after which a command is taken to wait for ever."""
HUNG = 124
PATIENCE = 30
"""Seconds that a command has to end after SIGTERM, as schedulers give it. Snakemake needs them, and now and
then more: while it plans, the signal can make it wait for ever."""


def ended(process: subprocess.Popen, seconds: float) -> int:
    """Its exit code. Of one that goes on for longer than that, HUNG: it is killed."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return HUNG


class Workshop:
    """A folder with a clean project, finished ones of each variant that comes up, and the server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.finished = cache(self._finished)
        self.shown_when_right = cache(self._shown_when_right)

    def __enter__(self) -> "Workshop":
        self.clean = self.folder / "clean"
        make_project(self.clean)
        for name in ("docs", "benchmarks", "tests", "presets", "README.md"):
            path = self.clean / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        (self.clean / ".git/info").mkdir(exist_ok=True)
        (self.clean / ".git/info/exclude").write_text("/imgs/\n", encoding="utf-8")
        draw_images(self.clean)
        self._start_server()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.kill()
        self.server.wait()
        Path(self.address).unlink(missing_ok=True)

    def _start_server(self) -> None:
        binaries = self.folder / "bin"
        binaries.mkdir()
        # a short path, as addresses of sockets have to be
        self.address = tempfile.mktemp(prefix="sslpipe-", suffix=".socket")
        client = CLIENT.format(python=sys.executable, address=self.address)
        (binaries / "sslpipe").write_text(client, encoding="utf-8")
        (binaries / "sslpipe").chmod(0o755)
        path = [str(binaries), str(Path(sys.executable).parent), os.environ["PATH"]]
        kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "PYTHONPATH")}
        self.environment = kept | {
            "PATH": os.pathsep.join(path),
            "SSLPIPE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            # Leases of its own: whatever else trains on this machine is not waited for.
            "SLURM_JOB_ID": f"test-{os.getpid()}",
        }
        self.server = subprocess.Popen(
            [sys.executable, __file__, "--serve", self.address],
            env=self.environment | {"PYTHONPATH": str(self.clean / "ssl")},
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        there = lambda: Path(self.address).exists() or self.server.poll() is not None  # noqa: E731
        if not wait_until(there, 120) or self.server.poll() is not None:
            raise RuntimeError("the server of stages has not started")

    def start(self, command: str, folder: Path, output: Path) -> subprocess.Popen:
        """In a session of its own, its output in a file."""
        with output.open("wb") as file:
            return subprocess.Popen(
                command.split(),
                cwd=folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(
        self, command: str, folder: Path, meanwhile: Callable[[subprocess.Popen], None] = id
    ) -> Done:
        """meanwhile: what is done to it once it has started."""
        output = self.folder / "output.txt"
        process = self.start(command, folder, output)
        meanwhile(process)
        code = ended(process, HANGS)
        return Done(code, output.read_text(encoding="utf-8", errors="replace"))

    def must(self, command: str, folder: Path) -> str:
        done = self.run(command, folder)
        if done.code:
            raise RuntimeError(f"{folder}: {command}: {done.said}")
        return done.said

    def commit(self, folder: Path) -> None:
        self.must("git add --all .", folder)
        who = "-c user.name=x -c user.email=x@x"
        self.must(f"git {who} commit --quiet --allow-empty --message x", folder)

    def _finished(self, variant: Variant) -> Path:
        """A project in which every stage ran once, in order: what is right."""
        folder = copy_project(self.clean, self.folder / "finished" / str(variant))
        move_images(folder, variant.moved)
        write_settings(folder, variant)
        for stage in stages(variant):
            self.must(f"sslpipe {stage}", folder)
        return folder

    @cached_property
    def made(self) -> Path:
        """A finished project that both engines know."""
        folder = copy_project(self.finished(Variant()), self.folder / "made")
        self._tell_dvc(folder)
        self.must("git branch -M main", folder)
        self.must("sslpipe sync", folder)
        self.commit(folder)
        return folder

    @cached_property
    def branched(self) -> Path:
        """The same with a branch of other settings, finished too."""
        variant = Variant(lr=RATES[1], neighbours=NEIGHBOURS[1], tuned=False)
        folder = copy_project(self.made, self.folder / "branched")
        self.must("git checkout --quiet -b other", folder)
        write_settings(folder, variant)
        for name in ("data", "reports"):
            replace(self.finished(variant) / name, folder / name)
        self._tell_dvc(folder)
        self.must("git checkout --quiet main", folder)
        self.must("dvc checkout --quiet --force", folder)
        self.must("sslpipe sync", folder)
        self.commit(folder)
        return folder

    def _tell_dvc(self, folder: Path) -> None:
        self.must("sslpipe sources", folder)
        self.must("dvc commit --force --quiet", folder)
        self.commit(folder)

    def _shown_when_right(self, variant: Variant, command: str) -> dict[str, Any]:
        return words_of(command, self.must(f"sslpipe {command}", self.finished(variant)))


def stages(variant: Variant) -> list[str]:
    """In an order in which each finds what it reads."""
    return [
        "download mine",
        "subset mine",
        "describe mine",
        "corpus base",
        "code",
        *(f"pretrain {run}" for run in variant.runs),
        *(f"embed {run} mine" for run in variant.runs),
        *(f"evaluate {run} mine" for run in variant.runs),
        *(["finetune simclr mine"] if variant.tuned else []),
        "neighbours mine",
        "report",
    ]


def copy_project(source: Path, target: Path) -> Path:
    """As `cp -r`: links stay links."""
    shutil.copytree(source, target, symlinks=True)
    return target


def replace(source: Path, target: Path, *, keep_time: bool = False) -> None:
    """target, a file or a folder, becomes a copy of source."""
    remove(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    copy = shutil.copy2 if keep_time else shutil.copy
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, copy_function=copy)
    else:
        copy(source, target)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def working_in(folder: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()) == folder and process.status() != psutil.STATUS_ZOMBIE:
                yield process


# --- what is shown ------------------------------------------------------------------------------

Shown = dict[str, Any]
"""Where a number stands → the number, nested as need be. Times are left out, and what depends on which
other runs there are."""
OF_OTHERS = {"p", "missing", "shake_up", "made_of", "resumed", "to the first", "distance"}
TIMES = {"images/s", "training", "device-hours", "time", "memory", "utilisation", "finished"}


def differences(shown: Any, right: Any, where: str) -> Iterator[str]:
    """Numbers that are not right. What is not shown is no mistake."""
    if isinstance(shown, Mapping) and isinstance(right, Mapping):
        for key, value in shown.items():
            # `show RUN` tells in words of a training that was stopped and went on
            if key in VOLATILE | OF_OTHERS | TIMES or str(key).startswith("resumed "):
                continue
            if key not in right:
                what = key if value is True else f"{key}: {short(value)}"
                yield f"{where}: {what}: is shown, and is of something else"
            else:
                yield from differences(value, right[key], f"{where}: {key}")
    elif shown != right:
        yield f"{where}: {short(shown)} is shown, {short(right)} is right"


MOST_NUMBERS = 4
"""Of one document, that are told."""


def wrong(shown: Shown, right: Shown, where: str) -> Iterator["Violation"]:
    found = list(differences(shown, right, where))
    for text in found[:MOST_NUMBERS]:
        yield Violation("wrong", text)
    if more := found[MOST_NUMBERS:]:
        yield Violation("wrong", f"{where}: {len(more)} more numbers")


def short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 90 else f"{text[:90]}…"


def words_of(command: str, said: str) -> Shown:
    """What `sslpipe show`, `show RUN` and `compare RUN RUN` print."""
    return words_of_all(said) if command == "show" else words_of_runs(said)


def words_of_runs(said: str) -> Shown:
    """Lines with a number, but for times, what files are called, and messages."""
    lines = [re.split(r"\s{2,}", line.strip()) for line in said.splitlines()]
    return {
        " ".join(line): True
        for line in lines
        if re.search(r"\d", " ".join(line[1:]) or line[0])
        and line[0] not in TIMES
        and not re.match(r"sslpipe: |(data|reports)/", line[0])
    }


def words_of_all(said: str) -> Shown:
    """The table, and the line above it."""
    found: Shown = {}
    headings: list[str] = []
    for line in said.splitlines():
        cells = re.split(r"\s{2,}", line.strip())
        if "classes; images:" in line:
            found["images"] = line
        elif "k-NN" in cells:
            headings = cells
        elif len(cells) == len(headings):
            found[cells[0]] = of_table(headings, cells)
    return found


def of_table(headings: list[str], cells: list[str]) -> Shown:
    found = {key: cell.strip("*` ") for key, cell in zip(headings, cells, strict=True)}
    return {key: cell for key, cell in found.items() if cell not in ("", "–")}


def of_markdown(text: str) -> Shown:
    """The tables of a page that have a row for each run or data set."""
    found: Shown = {}
    section, headings = "", []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if line.startswith("#"):
            section = line.strip("# ")
        if not line.startswith("|"):
            headings = []
        elif not headings:
            headings = cells
        elif {"run", "data set"} & set(headings) and not set(line) <= set("|:- "):
            row = of_table(headings, cells)
            name = row.get("run") or row.get("data set")
            row.pop("difference", None)
            found.setdefault(f"{section} {name}", {}).update(row)
    return found


def of_leaderboard(path: Path) -> Shown:
    whole = json.loads(path.read_text(encoding="utf-8"))
    whole["rows"] = {f"{row['run']} {row['dataset']}": row for row in whole["rows"]}
    whole["comparisons"] = {name: of_pairs(table) for name, table in whole["comparisons"].items()}
    return whole


def of_pairs(table: Shown) -> Shown:
    runs = list(enumerate(table["runs"]))
    keys = ("difference", "low", "high")
    return {f"{a} {b}": [table[key][i][j] for key in keys] for i, a in runs for j, b in runs}


def of_csv(path: Path) -> Shown:
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    return {
        f"{row['run']} {row['dataset']}": {key: value for key, value in row.items() if value}
        for row in rows
    }


def of_curves(path: Path) -> Shown:
    return dict.fromkeys(path.read_text(encoding="utf-8").splitlines(), True)


def of_page(path: Path) -> Shown:
    """The data that the page's script shows."""
    text = path.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    whole = json.loads(data)
    whole["rows"] = {f"{row['run']} {row['dataset']}": row for row in whole["rows"]}
    whole["comparisons"] = {
        name: {
            frozenset(pair): sorted(map(abs, table))
            for pair, *table in zip(
                combinations(table["runs"], 2),
                *(table[key] for key in ("difference", "low", "high")),
                strict=True,
            )
        }
        for name, table in whole["comparisons"].items()
    }
    shared = whole.pop("shared")
    for run in whole["runs"].values():
        run["parameters"] = shared | run["parameters"]
    del whole["studies"]  # which are compared as Markdown
    return whole


DOCUMENTS: dict[str, Callable[[Path], Shown]] = {
    "leaderboard.json": of_leaderboard,
    "leaderboard.csv": of_csv,
    "leaderboard.md": lambda path: of_markdown(path.read_text(encoding="utf-8")),
    "studies/method.md": lambda path: of_markdown(path.read_text(encoding="utf-8")),
    "curves.csv": of_curves,
    "index.html": of_page,
}
CLAIMS = ("claims.json", "claims.md")
STRIP = "figures/neighbours_mine.png"


class Violation(NamedTuple):
    """kind: wrong (a number), traceback, hangs, stuck (an engine says that all is well, or fails for
    good), spelling (of which nothing follows)."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def wrong_in_reports(reports: Path, right: Path, *, whole: bool) -> Iterator[Violation]:
    """reports, right: folders. whole: nothing may be missing."""
    for name, read in DOCUMENTS.items():
        if (path := reports / name).exists():
            yield from wrong(read(path), read(right / name), name)
    if whole:
        yield from wrong_when_whole(reports, right)


def wrong_when_whole(reports: Path, right: Path) -> Iterator[Violation]:
    """All files of a whole report, but for those that are compared otherwise and those with times."""
    for theirs in sorted(right.rglob("*")):
        name = theirs.relative_to(right).as_posix()
        if theirs.is_dir() or name in DOCUMENTS or theirs.suffix in (".svg", ".png"):
            continue
        if not (reports / name).exists():
            yield Violation("stuck", f"reports/{name}: missing, and nobody says so")
        elif content(reports / name) != content(theirs):
            yield Violation("wrong", f"reports/{name}: not as it is made of these settings")
    page = reports / "index.html"
    strip_shown = page.exists() and STRIP in page.read_text(encoding="utf-8")
    if strip_shown and (reports / STRIP).read_bytes() != (right / STRIP).read_bytes():
        yield Violation("wrong", f"{STRIP}: of something else, and on the page")


def manners(command: str, done: Done) -> Iterator[Violation]:
    """A command works, or refuses in words."""
    if done.code == HUNG:
        yield Violation("hangs", f"{command}: {last_lines(done.said)}")
    elif "Traceback (most recent call last)" in done.said:
        of_it = done.said.rpartition("Traceback (most recent call last)")[2]
        error = re.search(r"^\S.*(\n\s+\S.*)*\n(\w[\w.]*(?:: .*)?)$", of_it, re.MULTILINE)
        last = re.findall(r'File "[^"]*?/(\w+/\w+\.py)", line (\d+)', of_it)[-1:]
        yield Violation(
            "traceback", f"{command}: {last} {error[2] if error else last_lines(of_it)}"
        )
    elif command.startswith("sslpipe ") and done.code not in (0, 1):
        yield Violation("traceback", f"{command} ends with {done.code}: {last_lines(done.said)}")


def last_lines(said: str, most: int = 6) -> str:
    return " / ".join(line.strip() for line in said.splitlines()[-most:])


def shown_at_once(workshop: Workshop, folder: Path, variant: Variant) -> Iterator[Violation]:
    """By the commands that make nothing."""
    pairs = combinations(variant.runs, 2)
    for command in (
        "show",
        *(f"show {run}" for run in variant.runs),
        *(f"compare {one} {other}" for one, other in pairs),
    ):
        done = workshop.run(f"sslpipe {command}", folder)
        bad = list(manners(f"sslpipe {command}", done))
        yield from bad
        if bad:
            continue
        right = workshop.shown_when_right(variant, command)
        yield from wrong(words_of(command, done.said), right, f"sslpipe {command}")


class Looked(NamedTuple):
    """whole: the report says that nothing is missing; said: all that it says."""

    violations: list[Violation]
    whole: bool
    said: str


def look(workshop: Workshop, folder: Path) -> Looked:
    """At all that a project shows of what there is, without changing anything in it."""
    variant = there_is(folder)
    found = list(shown_at_once(workshop, folder, variant))
    beside = linked(folder, workshop.folder / "beside")
    done = workshop.run("sslpipe report", beside)
    whole = "Nothing is missing." in done.said
    found += manners("sslpipe report", done)
    right = workshop.finished(variant) / "reports"
    found += wrong_in_reports(beside / "reports", right, whole=whole)
    return Looked(found, whole, done.said)


def linked(folder: Path, beside: Path) -> Path:
    """A project's files as links, for a report of its own. The pipeline replaces files, and never writes
    into one."""
    remove(beside)
    beside.mkdir()
    for name in ("data", "reports", ".state/sources"):
        if (folder / name).is_dir():
            shutil.copytree(folder / name, beside / name, symlinks=True, copy_function=os.link)
    for name in (*DOCUMENTS, *CLAIMS):
        remove(beside / "reports" / name)
    shutil.copy(folder / "params.yaml", beside)
    (beside / "imgs").symlink_to(folder / "imgs")
    return beside


# --- ways out -----------------------------------------------------------------------------------


def named(said: str) -> list[str]:
    """Commands that messages tell to run, in their order."""
    from sslpipe.cli import STAGES

    a_name = r" \w+"
    stage = "|".join(f"{name}{a_name * len(takes)}" for name, (takes, _) in STAGES.items())
    stage += "|report"
    found = []
    for line in said.splitlines():
        if "--unlock" in line:
            found.append("snakemake --unlock --cores 1")
        if match := re.search(r"((?:data|reports)/[^\s:]+): .*delete it", line):
            found.append(f"rm -rf {match[1]}")
        found += re.findall(r"\b(?:rm -?[rf]*|git checkout) ?[./\w-]+", line)
        found += [f"sslpipe {command}" for command in re.findall(rf"sslpipe ({stage})\b", line)]
    return list(dict.fromkeys(found))


MOST_REPAIRS = 40


def follow(workshop: Workshop, folder: Path, commands: list[str]) -> list[str]:
    """Run commands that messages name, and before each that fails those that it names. Returns those that
    ran."""
    ran: list[str] = []
    left = list(commands)
    while left and len(ran) < MOST_REPAIRS:
        command = left.pop(0)
        done = workshop.run(command, folder)
        ran.append(command)
        if done.code:
            first = [other for other in named(done.said) if other != command]
            left[:0] = [*first, command] if first and ran.count(command) < 4 else []
    return ran


def way_out(workshop: Workshop, folder: Path, said: str) -> str:
    """What comes of doing what the report names, until it names nothing more."""
    ran: list[str] = []
    while "Nothing is missing." not in said:
        if not (commands := named(said)) or len(ran) > MOST_REPAIRS:
            return f"no way out, even by {'; '.join(ran) or 'anything named'}; then: {last_lines(said)}"
        ran += follow(workshop, folder, commands[:1])
        said = workshop.run("sslpipe report", folder).said
    return f"the way out: {'; '.join(ran)}"


# --- operations ---------------------------------------------------------------------------------

UP_TO_DATE = {
    "snakemake --cores 2": ("snakemake -n --cores 1", "Nothing to be done"),
    "dvc repro": ("dvc status", "up to date"),
}
"""Engine → how to ask it whether there is anything to do, and what it says if not."""
ENGINES = tuple(UP_TO_DATE)
OTHER_STAGES = (
    "sources", "leaderboard", "figures", "study method", "claims", "page", "report", "status", "doctor",
    "clean --all",
)  # fmt: skip


STARTS = {"clean": 1, "made": 3, "branched": 3}
"""How a sequence begins: as which project of the workshop → how often."""


class Play:
    """One sequence under way. folder: of the project, which a copy may take the place of."""

    def __init__(self, workshop: Workshop, seed: int, start: str | None = None) -> None:
        """start: of STARTS; by default one of them at random."""
        self.workshop, self.chance = workshop, random.Random(seed)
        self.place = workshop.folder / f"sequence-{seed}"
        self.place.mkdir()
        self.copies = 0
        self.violations: list[Violation] = []
        drawn = self.chance.choices(list(STARTS), STARTS.values())[0]
        self.said = [start or drawn]
        self.folder = copy_project(
            getattr(workshop, start or drawn), self.place / f"project-{self.copies}"
        )
        if self.said == ["clean"]:
            write_settings(self.folder, Variant())
            workshop.commit(self.folder)
        self.looked = look(workshop, self.folder)
        self.violations += self.looked.violations

    def do(self, operation: str) -> None:
        """And look at what is then shown."""
        before = self.looked.whole
        self.said.append(OPERATIONS[operation][1](self))
        self.looked = look(self.workshop, self.folder)
        if operation == "spelling" and before and not self.looked.whole:
            self.found("spelling", self.looked.said)
        self.violations += [
            some._replace(text=f"after {self.said[-1]}: {some.text}")
            for some in self.looked.violations
        ]

    def found(self, kind: str, text: str) -> None:
        self.violations.append(Violation(kind, text))

    def run(self, command: str, meanwhile: Callable[[subprocess.Popen], None] = id) -> Done:
        done = self.workshop.run(command, self.folder, meanwhile)
        if meanwhile is id:  # who is killed may say anything
            self.violations += manners(command, done)
        return done

    def wait_for_orphans(self) -> None:
        """What an engine that was killed has left at work."""
        if not wait_until(lambda: not list(working_in(self.folder)), PATIENCE):
            for process in working_in(self.folder):
                process.kill()

    def other_settings(self) -> Variant:
        """One or two of them."""
        variant = there_is(self.folder)
        change = {
            "lr": RATES[variant.lr == RATES[0]],
            "neighbours": NEIGHBOURS[variant.neighbours == NEIGHBOURS[0]],
            "tuned": not variant.tuned,
            "pixels": not variant.pixels,
        }
        keys = self.chance.choices(list(change), [3, 2, 1, 1], k=self.chance.choice([1, 1, 2]))
        return variant._replace(**{key: change[key] for key in keys})

    def other_variant(self) -> Variant:
        """Another one than there is, perhaps of other images."""
        variant = self.other_settings()
        return variant._replace(moved=variant.moved ^ (self.chance.random() < 0.3))


def edit(play: Play) -> str:
    variant = play.other_settings()
    write_settings(play.folder, variant)
    return f"edit to {variant}"


def spelling(play: Play) -> str:
    spell_otherwise(play.folder, there_is(play.folder))
    return "the same settings in other words"


def images(play: Play) -> str:
    moved = not are_moved(play.folder)
    move_images(play.folder, moved)
    return f"images of a {'moved to b' if moved else 'moved back'}"


def snakemake(play: Play) -> str:
    return run_engine(play, ENGINES[0])


def dvc(play: Play) -> str:
    return run_engine(play, ENGINES[1])


def run_engine(play: Play, engine: str) -> str:
    """Until it has done all, by way of what its messages name, or the doctor. Then it has to be right when
    it says that there is nothing to do."""
    ran: list[str] = []
    for attempt in range(6):
        done = play.run(engine)
        if done.code == 0 and up_to_date(play, engine):
            play.violations += vouched_for(play, engine)
            break
        commands = (named(done.said) or named_by_doctor(play)) if done.code else []
        if attempt == 5 or (done.code and not commands):
            text = (
                f"{engine} {'fails' if done.code else 'is never done'}: {last_lines(done.said, 12)}"
            )
            play.found("stuck", f"{text} (ran before: {'; '.join(ran) or 'nothing'})")
            break
        ran += follow(play.workshop, play.folder, commands)
    return f"{engine} (after {'; '.join(ran)})" if ran else engine


def named_by_doctor(play: Play) -> list[str]:
    return named(play.run("sslpipe doctor").said)


def up_to_date(play: Play, engine: str) -> bool:
    ask, answer = UP_TO_DATE[engine]
    return answer in play.run(ask).said


def vouched_for(play: Play, engine: str) -> Iterator[Violation]:
    """Where an engine says that all is up to date, all is there, and right."""
    looked = look(play.workshop, play.folder)
    right = play.workshop.finished(there_is(play.folder)) / "reports"
    if looked.whole:
        for some in wrong_in_reports(play.folder / "reports", right, whole=True):
            yield some._replace(text=f"{engine} says that all is up to date: {some.text}")
        return
    said = looked.said.replace("\n", " / ")
    out = way_out(play.workshop, play.folder, looked.said)
    yield Violation(
        "stuck", f"{engine} says that all is up to date; the report says: {said}; {out}"
    )


def stage(play: Play) -> str:
    """One by hand, or some in order."""
    order = stages(there_is(play.folder))
    first, many = play.chance.randrange(len(order)), play.chance.choice([1, 1, 2, 4])
    chosen = order[first : first + many]
    if play.chance.random() < 0.3:
        chosen = [play.chance.choice(OTHER_STAGES)]
    for name in chosen:
        play.run(f"sslpipe {name}")
    return "; ".join(f"sslpipe {name}" for name in chosen)


def sync(play: Play) -> str:
    done = play.run("sslpipe sync")
    if done.code == 0:
        for engine in ENGINES:
            if up_to_date(play, engine):
                play.violations += vouched_for(play, engine)
            else:
                play.found("stuck", f"sslpipe sync is content, {engine} has something to do")
    return f"sslpipe sync{' (refused)' if done.code else ''}"


def something_to_do(play: Play) -> str:
    """An edit most times. Returns what is then to be run, and how that came."""
    if play.chance.random() < 0.7:
        return f"{play.chance.choice([edit, edit, images])(play)}, "
    return ""


def interrupt(play: Play) -> str:
    """An engine, or a stage, at a random moment: it alone, or all that it has started."""
    before = something_to_do(play)
    hand = f"sslpipe {play.chance.choice(stages(there_is(play.folder)))}"
    command = play.chance.choice([*ENGINES, *ENGINES, hand])
    number = play.chance.choice([signal.SIGTERM, signal.SIGKILL])
    alone = play.chance.random() < 0.4
    seconds = play.chance.uniform(0, 2 if command == hand else 15)

    def strike(process: subprocess.Popen) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        with suppress(ProcessLookupError):
            (os.kill if alone else os.killpg)(process.pid, number)
        ended(process, PATIENCE)

    play.run(command, strike)
    play.wait_for_orphans()
    whom = "alone" if alone else "and all its processes"
    return f"{before}{command}: {number.name} to it {whom} after {seconds:.1f} s"


def edit_while_running(play: Play) -> str:
    """Settings or images."""
    before = something_to_do(play)
    engine, seconds = play.chance.choice(ENGINES), play.chance.uniform(0, 15)
    change, said = play.chance.choice([edit, edit, edit, images]), []

    def disturb(process: subprocess.Popen) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        said.append(change(play))

    done = play.run(engine, disturb)
    play.violations += manners(engine, done)
    if up_to_date(play, engine):
        play.violations += vouched_for(play, engine)
    return f"{before}{engine}, after {seconds:.1f} s {said[0]}"


def branch(play: Play) -> str:
    """Commit all, go to another branch, and perhaps fetch from DVC's cache what belongs to it."""
    workshop, folder = play.workshop, play.folder
    workshop.commit(folder)
    there_are = workshop.must("git branch --format %(refname:short)", folder).split()
    here = workshop.must("git branch --show-current", folder).strip()
    new = f"branch-{len(there_are)}"
    name = play.chance.choice([*(some for some in there_are if some != here), new])
    workshop.must(f"git checkout --quiet {'-b ' if name == new else ''}{name}", folder)
    said = f"commit, checkout of {'a new branch' if name == new else name}"
    if play.chance.random() < 0.6:
        play.run("dvc checkout")
        said += ", dvc checkout"
    return said


def copy(play: Play) -> str:
    play.copies += 1
    old = play.folder
    play.folder = copy_project(old, play.place / f"project-{play.copies}")
    if stays := play.chance.random() < 0.6:
        return f"copy of the project (the old one {'stays' if stays else 'goes'})"
    remove(old)
    return "the project is moved"


def parts(finished: Path) -> list[str]:
    """Folders and files of data/ and reports/."""
    found = [path for name in ("data", "reports") for path in (finished / name).rglob("*")]
    names = sorted(path.relative_to(finished).as_posix() for path in found)
    return [name for name in names if not name.startswith(("data/local", "data/README"))]


UNREAD = (".csv", ".html", ".md", ".png", ".svg")
"""Of reports/: what nothing reads again, so that it can only say itself what it is of."""


def is_read(name: str) -> bool:
    if name.startswith("data/") or "history" in name or name.endswith(STRIP):
        return True
    return not name.endswith(UNREAD)


def overwrite(play: Play) -> str:
    """A file or folder by that of a project of other settings or images."""
    variant = play.other_variant()
    other = play.workshop.finished(variant)
    name = play.chance.choice([name for name in parts(other) if is_read(name)])
    name = play.chance.choices([name, "data", "reports"], [8, 1, 1])[0]
    replace(other / name, play.folder / name, keep_time=play.chance.random() < 0.4)
    return f"{name} overwritten by that of {variant}"


def delete(play: Play) -> str:
    name = play.chance.choice(parts(play.workshop.finished(there_is(play.folder))))
    name = play.chance.choices([name, "data", "reports"], [8, 1, 1])[0]
    remove(play.folder / name)
    return f"{name} deleted"


def export(play: Play) -> str:
    """A run's weights with a card that has its scores."""
    variant, run = there_is(play.folder), play.chance.choice(["simclr", "untrained"])
    command = f"sslpipe export {run}"
    done = play.run(command)
    if done.code == 0:
        play.workshop.must(command, play.workshop.finished(variant))
        cards = [
            of_card(folder / "exports" / run / "README.md")
            for folder in (play.folder, play.workshop.finished(variant))
        ]
        play.violations += wrong(*cards, command)
    return f"{command}{' (refused)' if done.code else ''}"


def of_card(path: Path) -> Shown:
    """Its scores, and the checksums of what it is a card of."""
    text = path.read_text(encoding="utf-8")
    return of_markdown(text) | dict.fromkeys(re.findall(r"[0-9a-f]{64}", text), True)


OPERATIONS: dict[str, tuple[float, Callable[[Play], str]]] = {
    "edit": (5, edit),
    "spelling": (1, spelling),
    "images": (3, images),
    "snakemake": (4, snakemake),
    "dvc": (4, dvc),
    "stage": (4, stage),
    "sync": (2, sync),
    "interrupt": (4, interrupt),
    "edit while running": (4, edit_while_running),
    "branch": (4, branch),
    "copy": (2, copy),
    "overwrite": (5, overwrite),
    "delete": (4, delete),
    "export": (1, export),
}
"""Name → how often it is drawn, and what it does."""


def play(
    workshop: Workshop, seed: int, start: str | None = None, operations: list[str] | None = None
) -> Play:
    """A sequence, of the given operations or of some drawn at random; its folder goes."""
    under_way = Play(workshop, seed, start)
    if operations is None:
        weights = [weight for weight, _ in OPERATIONS.values()]
        many = under_way.chance.randint(2, 5)
        operations = under_way.chance.choices(list(OPERATIONS), weights, k=many)
        operations += under_way.chance.choice([["snakemake"], ["dvc"], []])
    for operation in operations:
        under_way.do(operation)
    remove(under_way.place)
    return under_way


# --- the command --------------------------------------------------------------------------------


def main() -> int:
    options = arguments()
    if options.serve:
        serve(options.serve)
    violations = 0
    with tempfile.TemporaryDirectory() as temporary, Workshop(Path(temporary)) as workshop:
        for seed in range(options.seed, options.seed + options.sequences):
            began = time.monotonic()
            played = play(workshop, seed)
            found = list(dict.fromkeys(played.violations))
            violations += len(found)
            count = f"{len(found)} violations" if found else "ok"
            seconds = time.monotonic() - began
            print(f"{seed}: {' | '.join(played.said)}: {count}, {seconds:.0f} s", flush=True)
            for violation in found:
                print(f"    {violation}", flush=True)
    print(f"{options.sequences} sequences, {violations} violations")
    return 1 if violations else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the first; the next have the next")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
