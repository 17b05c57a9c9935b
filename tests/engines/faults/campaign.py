"""Injects faults into every stage under both engines and judges what came of each.

`make faults` runs it: python tests/engines/faults/campaign.py --faults 240 --table docs/faults.csv
After each fault the engine runs again, and again after every repair that a message names. In the end
every file must be as in an experiment that was never disturbed.
"""

import argparse
import collections
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import faults  # noqa: E402
from faults import Engine  # noqa: E402
from small_project import make_project  # noqa: E402
from workspace import Stage, Workspace, named_repairs  # noqa: E402

REPAIRS = 4
"""So many a message may name, one after another."""
GOOD = (
    "as before",
    "as before after the repair that was named",
    "as before after the repair that the doctor named",
)


MISSED = "missed: it had ended before"


def undisturbed(folder: Path) -> Path:
    """A finished experiment that both engines know, for workspaces to be copied from."""
    project = make_project(folder, contact_sheets=["patches"], pretrain=PRETRAIN)
    project.run("git add .")
    project.run("git -c user.name=x -c user.email=x@x commit --quiet --message start")
    project.run("snakemake --cores 2")
    project.run("sslpipe sync")
    return folder


PRETRAIN = {
    "epochs": 3, "batch_size": 32, "threads": 1, "precision": "fp32", "checkpoint_minutes": 0,
    "online": {"datasets": ["patches"]},
}  # fmt: skip


def inject(work: Workspace, engine: Engine, stage: Stage, kind: str, chance: random.Random) -> dict:
    """One fault, and what it takes until all is as before."""
    fault = KINDS[kind]
    began = time.monotonic()
    work.disturbed, work.damaged, work.struck = [stage], set(), True
    said = [fault(work, engine, stage, chance)]
    repairs: list[str] = []
    outcome = "not as before"
    for _ in range(REPAIRS + 1):
        code, words = work.run(engine.command(work.disturbed))
        said.append(words)
        if code == 0:
            break
        new = [command for command in named_repairs(words) if command not in repairs[-2:]]
        if not new:
            break
        for command in new:
            repairs.append(command)
            subprocess.run(command, shell=True, cwd=work.folder, env=work.environment)
            if command.startswith("kill "):
                time.sleep(3)
    different = work.differences()
    wrong = [text for text in different if text.split()[0] not in work.damaged]
    if code == 0 and wrong:
        outcome = "wrong result accepted"
    elif code == 0 and different:  # damage that nothing has read yet
        _, words = work.run("sslpipe doctor --data")
        said.append(words)
        for command in named_repairs(words):
            repairs.append(f"(doctor) {command}")
            subprocess.run(command, shell=True, cwd=work.folder, env=work.environment)
        code, words = work.run(engine.command(work.disturbed))
        said.append(words)
        different = work.differences()
    if outcome != "not as before":
        pass
    elif code == 0 and not different:
        found_by_doctor = any(command.startswith("(doctor)") for command in repairs)
        outcome = GOOD[2] if found_by_doctor else GOOD[1] if repairs else GOOD[0]
    trouble = "; ".join(different) if different else ("" if code == 0 else f"exit code {code}")
    if not work.struck and outcome in GOOD:
        outcome = MISSED
    if any("TRACEBACK" in words for words in said):
        outcome, trouble = "traceback", trouble or "a traceback"
    row = {
        "engine": engine.name, "stage": stage.kind, "job": stage.name, "kind": kind,
        "outcome": outcome, "repairs": "; ".join(repairs), "trouble": trouble,
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    return row | {"said": said}


KINDS = (
    faults.PROCESS
    | faults.MACHINE
    | faults.CLOCK
    | faults.CONTENT
    | faults.CHECKPOINT
    | faults.CACHE
)


def plan(stages: list[Stage], count: int, chance: random.Random) -> list[tuple[str, Stage, str]]:
    """(engine, stage, kind): every kind at every stage that it concerns, then again at random."""
    by_kind = collections.defaultdict(list)
    for stage in stages:
        by_kind[stage.kind].append(stage)
    every = []
    for kind in KINDS:
        if kind in faults.MACHINE and not faults.can_mount():
            continue
        for name, same in by_kind.items():
            if kind in faults.CHECKPOINT and name != "pretrain":
                continue
            if kind in faults.CONTENT:  # the doctor compares what nothing reads again
                same = [s for s in same if any(o.reads(out) for o in stages for out in s.outs)]
            if not same or (kind in faults.CACHE and not same[0].outs[0].startswith("data/")):
                continue
            engines = ("dvc",) if kind in faults.CACHE else ("snakemake", "dvc")
            trained = [s for s in same if "raw_pixels" not in s.command] or same
            every += [(e, chance.choice(trained), kind) for e in engines]
    chance.shuffle(every)
    chosen = every[:count]
    while len(chosen) < count:
        chosen.append(chance.choice(every))
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="1/1", help="this process's share of them, such as 1/2")
    parser.add_argument("--only", default="", help="kinds or stages that contain this")
    parser.add_argument("--gold", type=Path, help="a finished experiment to copy, made if missing")
    parser.add_argument(
        "--table", type=Path, required=True, help="a CSV with a line for each fault"
    )
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="faults-"))
    gold = options.gold or root / "gold"
    if not gold.exists():
        gold.mkdir(parents=True)
        undisturbed(gold)
    environment = dict(os.environ) | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SSLPIPE_DEVICES": "", "OMP_NUM_THREADS": "1",
        # Leases of its own: whatever else trains on this machine is not waited for.
        "SLURM_JOB_ID": f"faults-{os.getpid()}",
    }  # fmt: skip
    work = Workspace(gold, root / "work", environment)
    chance = random.Random(options.seed)
    number, parts = map(int, options.part.split("/"))
    todo = [
        item
        for item in plan(work.stages, options.faults, chance)
        if options.only in item[2] or options.only in item[1].name or options.only == item[0]
    ][number - 1 :: parts]
    bad = 0
    with options.table.open("a", newline="") as file:
        writer = csv.writer(file)
        for done, (engine, stage, kind) in enumerate(todo, start=1):
            row = inject(work, Engine(engine), stage, kind, random.Random(f"{options.seed} {done}"))
            said = row.pop("said")
            if done == 1 and file.tell() == 0:
                writer.writerow(row)
            writer.writerow(row.values())
            file.flush()
            print(
                f"{done}/{len(todo)}",
                *(str(value) for value in row.values()),
                sep=" | ",
                flush=True,
            )
            if row["outcome"] not in (*GOOD, MISSED):
                bad += 1
                for words in said:
                    print("    " + "\n    ".join(words.splitlines()[-25:]), flush=True)
            work.restore()
    print(f"{len(todo)} faults, {bad} not as before", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
