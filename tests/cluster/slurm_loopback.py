"""An experiment through `snakemake --profile workflow/profiles/slurm` on a real Slurm on this machine.

    python tests/cluster/slurm_loopback.py          a small experiment, then a requeued training
    python tests/cluster/slurm_loopback.py --full   the experiment of params.yaml

Installs Slurm where it is missing (Debian, as root). Exits with 0 when all holds, with 1 when not,
with 77 and one line when there can be no Slurm here.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "engines"))
from slurm import Slurm, missing
from small_project import ROOT, make_project

PACKAGES = "slurmctld slurmd slurm-client munge"
SKIPPED = 77
# A training and two runs that need none: more jobs that want a GPU than there are GPUs.
SMALL = {
    "datasets": {
        "patches": {
            "source": {
                "kind": "photo_patches",
                "train_per_class": 10,
                "val_per_class": 4,
                "test_per_class": 4,
            }
        }
    },
    "pretrain": {
        "epochs": 3,
        "batch_size": 32,
        "threads": 1,
        "precision": "fp32",
        "online": {"datasets": []},
    },
    "runs": {
        "simclr": {"method": "simclr", "backbone": "resnet18", "corpus": "base"},
        "random": {"method": "random", "backbone": "resnet18", "corpus": "base"},
        "raw_pixels": {"method": "random", "backbone": "pixels", "corpus": "base"},
    },
    "finetune": {"runs": []},
    "neighbour_strips": [],
    "studies": {},
}
# What the profile cannot know of a cluster: this one keeps no accounts, and its jobs are short.
HERE = """
    --slurm-no-account --slurm-status-command squeue
    --slurm-init-seconds-before-status-checks 2 --latency-wait 20
"""
TRAINING = """\
#!/bin/bash
#SBATCH --requeue --gpus=1 --mem=4000 --signal=USR1@120 --open-mode=append
srun sslpipe pretrain {run}
"""


class Experiment:
    """A project folder whose commands speak to the cluster."""

    def __init__(
        self, folder: Path, slurm: Slurm, *, full: bool, epochs: int | None = None
    ) -> None:
        self.folder, self.slurm = folder, slurm
        make_project(folder, **SMALL)
        if full:
            shutil.copy(ROOT / "params.yaml", folder / "params.yaml")
        self.params = yaml.safe_load((folder / "params.yaml").read_text())
        if epochs:
            self.params["pretrain"]["epochs"] = self.params["finetune"]["epochs"] = epochs
            (folder / "params.yaml").write_text(yaml.safe_dump(self.params, sort_keys=False))
        self.run = next(n for n, run in self.params["runs"].items() if run["method"] != "random")
        path = f"{Path(sys.executable).parent}{os.pathsep}{slurm.environment['PATH']}"
        # One thread in all parts of a training, so that it is the same in every place.
        self.environment = os.environ | slurm.environment | {"PATH": path, "OMP_NUM_THREADS": "1"}

    def start(self, command: str, log: str) -> subprocess.Popen:
        with (self.folder / log).open("w") as file:
            return subprocess.Popen(
                command.split(), cwd=self.folder, env=self.environment, stdout=file, stderr=file
            )

    def tell(self, command: str) -> str:
        """All that a command prints; it must succeed."""
        done = subprocess.run(
            command.split(), cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def said(self, log: str) -> str:
        path = self.folder / log
        return path.read_text() if path.exists() else ""

    @property
    def encoder(self) -> Path:
        return self.folder / f"data/runs/{self.run}/encoder.safetensors"

    def wait_for(self, text: str, log: str, lives: Callable[[], bool]) -> None:
        """Until the log says so; whoever is to write it must live."""
        while text not in self.said(log):
            assert lives(), f"{log} does not say {text!r}:\n{self.said(log)}"
            time.sleep(0.1)


def run_experiment(experiment: Experiment) -> str:
    """To its end, with one training told in mid-work that its time is nearly over.

    Returns the number of that training's job.
    """
    slurm = experiment.slurm
    head = experiment.start(
        f"snakemake --profile workflow/profiles/slurm {HERE}", "snakemake.log"
    )  # fmt: skip
    try:
        epoch, log = f"{experiment.run}: epoch 1/", f"logs/pretrain/{experiment.run}.log"
        experiment.wait_for(epoch, log, lambda: head.poll() is None)
        comment = f"rule_pretrain_wildcards_{experiment.run}"
        (job,) = [job["JobId"] for job in slurm.jobs() if job.get("Comment") == comment]
        slurm.run(f"scancel --signal=USR1 {job}")  # what --signal=USR1@300 does before a time limit
        code = head.wait()
    except AssertionError as error:
        raise AssertionError(f"{error}\n{experiment.said('snakemake.log')}") from None
    finally:
        head.kill()
    assert code == 0, experiment.said("snakemake.log")
    return job


def check_jobs(experiment: Experiment) -> str:
    """Every stage but the quick ones was a job of Slurm's, and each was submitted once."""
    local = re.search(
        r"\nlocalrules:\n((?:    \w+,\n)+)", (ROOT / "workflow/Snakefile").read_text()
    )
    rules = re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", experiment.said("snakemake.log"))
    remote = Counter(rule for rule in rules if f" {rule},\n" not in local[1])
    jobs = experiment.slurm.jobs()
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}, jobs
    submitted = Counter(
        re.match(r"rule_(\w+?)(?:_wildcards_|$)", job["Comment"])[1] for job in jobs
    )
    assert submitted == remote, (submitted, remote)
    assert {"subset", "corpus", "pretrain", "embed", "evaluate"} <= set(submitted)
    listed = ", ".join(f"{count} {rule}" for rule, count in submitted.items())
    rest = len(rules) - len(jobs)
    return f"{len(jobs)} jobs went through Slurm ({listed}), {rest} ran where Snakemake runs"


def check_devices(experiment: Experiment) -> str:
    """A job that asks for a GPU has one that no other has at that time, and sees that one alone."""
    slurm = experiment.slurm
    held = slurm.devices()
    for one in held:
        for other in held:
            together = one.start < other.end and other.start < one.end
            if one is not other and one.node == other.node and together:
                assert not one.devices & other.devices, (one, other)
        assert len(one.devices) == 1 and slurm.seen()[one.job] >= {one.devices}, one
    wants_gpu = r"rule_(pretrain|embed|finetune)_"
    jobs = {job["JobId"] for job in slurm.jobs() if re.match(wants_gpu, job["Comment"])}
    assert {one.job for one in held} == jobs
    used = {(one.node, *one.devices) for one in held}
    assert len(used) > 1, "only one GPU was ever used: nothing could have been shared"
    return f"{len(jobs)} jobs had a GPU, in {len(held)} turns on {len(used)} GPUs, none shared"


def check_results(experiment: Experiment) -> str:
    """The leaderboard has all runs, and Snakemake finds nothing left to do."""
    board = json.loads(experiment.said("reports/leaderboard.json"))
    text = json.dumps(board)
    assert all(f'"{run}"' in text for run in experiment.params["runs"])
    assert (experiment.folder / "reports/index.html").exists()
    said = experiment.tell("snakemake --dry-run --cores 1")
    assert "Nothing to be done" in said, said
    return f"a leaderboard of {len(experiment.params['runs'])} runs; nothing left to do"


def check_requeued(experiment: Experiment, job: str) -> str:
    """The signalled training saved its state and went on in the same job."""
    known = experiment.slurm.job(job)
    assert known["Restarts"] == "1" and known["JobState"] == "COMPLETED", known
    said = experiment.said(f"logs/pretrain/{experiment.run}.log")
    resumed = re.search(r"resumed at step \d+ of \d+", said)
    assert resumed, said
    return f"{experiment.run} was signalled and queued again by itself as job {job}: {resumed[0]}"


def check_same_bytes(experiment: Experiment) -> str:
    """A training that nobody disturbs, without Slurm, ends with the bytes of the requeued one."""
    requeued = experiment.encoder.read_bytes()
    experiment.encoder.unlink()
    said = experiment.tell(f"sslpipe pretrain {experiment.run}")
    assert "resumed" not in said
    assert experiment.encoder.read_bytes() == requeued
    return f"an undisturbed {experiment.run} has the same {len(requeued):,} bytes"


def check_other_node(experiment: Experiment) -> str:
    """A plain `sbatch --requeue` job: signalled, queued again by its exit code, ends elsewhere."""
    slurm, run = experiment.slurm, experiment.run
    expected = experiment.encoder.read_bytes()
    experiment.encoder.unlink()
    script, log = experiment.folder / "train.sh", experiment.folder / "train.log"
    script.write_text(TRAINING.format(run=run))
    lives = ("PENDING", "CONFIGURING", "RUNNING")
    with drained(slurm, "b"):
        job = experiment.tell(
            f"sbatch --parsable --chdir={experiment.folder} --output={log} {script}"
        )
        job = job.strip()
        experiment.wait_for(
            f"{run}: epoch 1/", "train.log", lambda: slurm.job(job)["JobState"] in lives
        )
    with drained(slurm, "a"):
        slurm.run(f"scancel --signal=USR1 {job}")
        slurm.wait(job, "COMPLETED", seconds=900)
    known, said = slurm.job(job), log.read_text()
    assert known["Restarts"] == "1" and known["NodeList"] == "b", known
    resumed = re.search(r"resumed at step \d+ of \d+", said)
    assert resumed, said
    assert experiment.encoder.read_bytes() == expected
    return f"sbatch --requeue: {run} started on a, {resumed[0]} on b, the same bytes"


@contextmanager
def drained(slurm: Slurm, node: str) -> Iterator[None]:
    """Nothing new starts on the node."""
    slurm.run(f"scontrol update NodeName={node} State=DRAIN Reason=test")
    try:
        yield
    finally:
        slurm.run(f"scontrol update NodeName={node} State=RESUME")


def install() -> str | None:
    """Install what Debian has of what is missing. Returns why there can be no Slurm, or None."""
    if (reason := missing()) and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {
            "stdout": subprocess.DEVNULL,
            "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        }
        for command in ("update -q", f"install -y -q --no-install-recommends {PACKAGES}"):
            subprocess.run(["apt-get", *command.split()], check=False, **quiet)
        reason = missing()
    return reason


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="the experiment of params.yaml")
    parser.add_argument("--epochs", type=int, help="of its trainings, instead of params.yaml's")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work there, and leave it")
    options = parser.parse_args()
    if options.epochs is not None and options.epochs < 2:
        parser.error("--epochs: at least 2, as a training is signalled after its first one")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the daemons are stopped
    if reason := install():
        print(f"slurm_loopback: {reason}", file=sys.stderr)
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="slurm-") as temporary:
        folder = options.keep or Path(temporary)
        with Slurm(folder / "cluster") as slurm:
            print(slurm.run("scontrol --version"), "with 2 nodes of 2 pretended GPUs", flush=True)
            experiment = Experiment(
                folder / "project", slurm, full=options.full, epochs=options.epochs
            )
            started = time.monotonic()
            with drained(slurm, "b"):
                job = run_experiment(experiment)
            print(f"the experiment took {time.monotonic() - started:.0f} s", flush=True)
            for check in (check_jobs, check_devices, check_results):
                print(check(experiment), flush=True)
            print(check_requeued(experiment, job), flush=True)
            if not options.full:
                print(check_same_bytes(experiment), flush=True)
                print(check_other_node(experiment), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
