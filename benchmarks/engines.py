"""What an engine takes to tell what is to be done, in the study of presets/study.yaml.

Once with nothing made and nothing recorded, and once with every file there and recorded, so that there
is nothing to do; the files are made up, as neither engine looks into what it takes to be unchanged.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import torch

from .table import Row

PACKAGES = ("snakemake", "dvc", "ruamel.yaml", "ruamel.yaml.clib")
ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3
LIST_OUTS = """
import json
from dvc.repo import Repo

print("RESULT" + json.dumps([[out.fs_path for out in stage.outs] for stage in Repo(".").index.stages]))
"""


def run(device: torch.device, threads: int) -> Iterator[list[Row]]:
    sys.path.insert(0, str(ROOT / "tests/engines"))
    from small_project import make_project

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_project(folder)
        shutil.copy(folder / "presets/study.yaml", folder / "params.yaml")
        answer = tell(folder, sys.executable, "-c", LIST_OUTS)
        (line,) = [li for li in answer.splitlines() if li.startswith("RESULT")]
        outs = json.loads(line.removeprefix("RESULT"))
        yield measured(folder, f"study.yaml, {len(outs)} stages, nothing made", finished=False)
        for stage in ("sources", "code"):
            tell(folder, "sslpipe", stage)
        told = (Path("data/sources"), Path("data/code"))
        for path in (path for path in map(Path, chain.from_iterable(outs)) if path not in told):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(path), encoding="utf-8")
        tell(folder, "dvc", "commit", "--force", "--quiet")
        tell(folder, "snakemake", "--touch", "--forceall", "--cores", "1", "--quiet")
        yield measured(folder, f"study.yaml, {len(outs)} stages, all made", finished=True)


def measured(folder: Path, case: str, *, finished: bool) -> list[Row]:
    """In turns, the quickest of each. finished: nothing may be left to do."""
    commands = (("snakemake", "--dry-run", "--quiet"), ("dvc", "status", "--quiet"))
    seconds: dict[tuple[str, ...], float] = {}
    for _ in range(ROUNDS):
        for command in commands:
            # dvc status --quiet ends with 1 where something is to be done
            codes = (0,) if finished or command[0] == "snakemake" else (1,)
            started = time.perf_counter()
            said = tell(folder, *command, codes=codes)
            taken = time.perf_counter() - started
            if finished and command[0] == "snakemake" and "Nothing to be done" not in said:
                raise RuntimeError(f"{case}: jobs are left")
            seconds[command] = min(taken, seconds.get(command, taken))
    return [Row(case, " ".join(command[:2]), value, "s") for command, value in seconds.items()]


def tell(folder: Path, *command: str, codes: tuple[int, ...] = (0,)) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode not in codes:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}")
    return done.stdout
