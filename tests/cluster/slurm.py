"""A Slurm cluster on this machine: the real daemons, talking over loopback, with pretended GPUs.

Two nodes of two GPUs each. Their GPUs are links to /dev/null: Slurm hands them out and sets
CUDA_VISIBLE_DEVICES, and what runs there computes on the CPU.
"""

import getpass
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
PLUGIN = "snakemake_executor_plugin_slurm"
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])  # where Debian has the daemons

# Nothing limits what a job uses (no cgroups): the machine need not have these cores and memory.
SLURM_CONF = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A requeued job waits as long as its credential lives, two minutes unless said otherwise.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
GresTypes=gpu
ReturnToService=2
MinJobAge=86400
KillWait=30
JobRequeue=1
RequeueExit=75
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
Prolog={folder}/prolog
Epilog={folder}/epilog
TaskProlog={folder}/task_prolog
NodeName=a NodeHostname={host} NodeAddr=127.0.0.1 Port={a} CPUs=16 RealMemory=64000 Gres=gpu:2
NodeName=b NodeHostname={host} NodeAddr=127.0.0.1 Port={b} CPUs=16 RealMemory=64000 Gres=gpu:2
PartitionName=main Nodes=a,b Default=YES MaxTime=INFINITE PriorityTier=1
PartitionName=grace Nodes=a,b MaxTime=INFINITE PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes=a,b MaxTime=INFINITE PriorityTier=9 PreemptMode=OFF
"""
GRES_CONF = "NodeName=a,b Name=gpu File={folder}/gpu[0-1]\n"

# Slurm itself writes down which job had which devices from when to when, and a task what it saw.
HOOK = """\
#!/bin/sh
echo "{event} $SLURM_JOB_ID $SLURMD_NODENAME {devices} $(date +%s.%N)" >> {folder}/devices.log
"""


def missing() -> str | None:
    """Why there can be no cluster here, or None."""
    if not all(shutil.which(name, path=PATH) for name in DAEMONS):
        return "Slurm is not installed (Debian: apt install slurmctld slurmd slurm-client munge)"
    if importlib.util.find_spec(PLUGIN) is None:
        return "snakemake-executor-plugin-slurm is not installed (pip install -e '.[slurm]')"
    return None


@dataclass(frozen=True)
class Held:
    """The devices of one job, from start to end (seconds; infinite while it runs)."""

    job: str
    node: str
    devices: frozenset[str]
    start: float
    end: float


class Slurm:
    """The cluster, from `with` to the end of its block. `environment` makes commands speak to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.environment = {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.folder}/bin{os.pathsep}{PATH}",
        }
        self._daemons: list[subprocess.Popen] = []

    def __enter__(self) -> Self:
        try:
            self._configure()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if len(self._daemons) > 1:
            self._try(f"scancel --quiet --user={getpass.getuser()}")
            # A training may take KillWait to save its state.
            self._until(lambda: self._try("squeue --noheader") == "", 40)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
        self._daemons.clear()

    def run(self, command: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(
            command, shell=True, env={**os.environ, **self.environment}, capture_output=True, text=True
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr.strip()}")
        return done.stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """All that Slurm knows of a job."""
        words = self.run(f"scontrol --oneliner show job {number}").split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def jobs(self) -> list[dict[str, str]]:
        """Every job of this cluster, also those that have ended."""
        listed = self.run("squeue --states=all --noheader --format=%i").split()
        return [self.job(number) for number in sorted(listed, key=int)]

    def wait(self, number: str, *states: str, seconds: float = 120) -> dict[str, str]:
        """Until the job is in one of `states`."""
        if not self._until(lambda: self.job(number)["JobState"] in states, seconds):
            raise TimeoutError(f"job {number} did not become {states}: {self.job(number)}")
        return self.job(number)

    def devices(self) -> list[Held]:
        """Which job held which GPUs, and when."""
        held: list[Held] = []
        started: dict[tuple[str, str], tuple[frozenset[str], float]] = {}
        for event, job, node, devices, seconds in self._events():
            if event == "start":
                started[job, node] = frozenset(devices), float(seconds)
            elif event == "end" and (job, node) in started:
                held.append(Held(job, node, *started.pop((job, node)), float(seconds)))
        held += [Held(*key, *value, float("inf")) for key, value in started.items()]
        return [entry for entry in held if entry.devices]

    def seen(self) -> dict[str, set[frozenset[str]]]:
        """CUDA_VISIBLE_DEVICES of each job's tasks."""
        found: dict[str, set[frozenset[str]]] = {}
        for event, job, _, devices, _ in self._events():
            if event == "task":
                found.setdefault(job, set()).add(frozenset(devices))
        return found

    def _events(self) -> list[tuple[str, str, str, list[str], str]]:
        lines = (self.folder / "devices.log").read_text().splitlines()
        fields = [line.split() for line in lines]
        return [
            (e, j, n, d.strip("-").split(",") if d != "-" else [], s) for e, j, n, d, s in fields
        ]

    def _configure(self) -> None:
        ports = [
            socket.socket() for _ in range(3)
        ]  # held until all are chosen: three different ones
        for port in ports:
            port.bind(("127.0.0.1", 0))
        names = dict(
            zip(("controller", "a", "b"), (p.getsockname()[1] for p in ports), strict=True)
        )
        for port in ports:
            port.close()
        values = {"folder": self.folder, "host": socket.gethostname(), "user": getpass.getuser()}
        for name in ("state", "spool-a", "spool-b"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "devices.log").touch()
        for number in range(2):  # Slurm wants devices
            (self.folder / f"gpu{number}").symlink_to("/dev/null")
        for name, event, variable in (
            ("prolog", "start", "SLURM_JOB_GPUS"),
            ("epilog", "end", "SLURM_JOB_GPUS"),
            ("task_prolog", "task", "CUDA_VISIBLE_DEVICES"),
        ):
            hook = HOOK.format(event=event, devices=f"${{{variable}:--}}", **values)
            (self.folder / name).write_text(hook)
            (self.folder / name).chmod(0o755)
        # The executor's job step starts `srun` without any variable of Slurm's, SLURM_CONF neither.
        srun = self.folder / "bin/srun"
        srun.parent.mkdir()
        real = shutil.which("srun", path=PATH)
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {real} "$@"\n')
        srun.chmod(0o755)
        (self.folder / "slurm.conf").write_text(SLURM_CONF.format(**values, **names))
        (self.folder / "gres.conf").write_text(GRES_CONF.format(**values))
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))

    def _start(self) -> None:
        here = self.folder
        # --force: munged wants its files where only root can write.
        self._daemon(
            "munged", "--foreground", "--force", f"--socket={here}/munge.socket",
            f"--key-file={here}/munge.key", f"--pid-file={here}/munged.pid",
            f"--log-file={here}/munged.log", f"--seed-file={here}/munged.seed",
        )  # fmt: skip
        if not self._until((here / "munge.socket").exists, 20):
            raise RuntimeError(f"munged did not start: {here}/munged.out")
        self._daemon("slurmctld", "-D")
        for node in ("a", "b"):
            self._daemon("slurmd", "-D", "-N", node)
        if not self._until(lambda: self._try("sinfo --noheader --format=%T") == "idle", 60):
            raise RuntimeError(f"the nodes did not come up: {here}/slurmctld.log")

    def _daemon(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("ab") as output:
            self._daemons.append(
                subprocess.Popen(
                    command, env={**os.environ, **self.environment}, stdout=output, stderr=output
                )
            )

    def _try(self, command: str) -> str | None:
        try:
            return "\n".join(sorted(set(self.run(command).splitlines())))
        except RuntimeError:
            return None

    @staticmethod
    def _until(condition, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True
