"""What stages at work tell of themselves, the locks that they hold, and what they leave behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sslpipe.errors import UserError
from sslpipe.io import progress
from sslpipe.io.files import atomic
from sslpipe.layout import Layout
from sslpipe.running import jobs
from sslpipe.upkeep import leftovers

HOLD = """
import sys, time
from pathlib import Path
from sslpipe.running import jobs
from sslpipe.io import progress
from sslpipe.layout import Layout

with jobs.running(Layout(Path(sys.argv[1])), sys.argv[2], tuple(sys.argv[3:])):
    for _ in progress.progress(range(7), what="moving", unit="stones", total=10):
        pass
    progress.say("ready")
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


@pytest.fixture
def holder(layout):
    """(start a process that holds a stage) → the process, when it holds it."""
    started = []

    def start(*job):
        command = [sys.executable, "-c", HOLD, str(layout.root), *job]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_stage_at_work_is_listed_with_its_progress(layout, holder):
    process = holder("embed", "moco", "zoo")
    (job,) = jobs.running_jobs(layout.running_folders())
    assert (job.name, job.pid, job.here, job.orphaned) == (
        "embed moco zoo", process.pid, True, False,
    )  # fmt: skip
    assert (job.what, job.total, job.unit, job.said) == ("moving", 10, "stones", "ready")
    assert 1 <= job.done <= 7 and job.rate > 0
    process.kill()
    process.wait()
    assert jobs.running_jobs(layout.running_folders()) == []


def test_nothing_is_listed_after_the_end(layout):
    with jobs.running(layout, "claims", ()):
        assert [job.name for job in jobs.running_jobs(layout.running_folders())] == ["claims"]
    assert jobs.running_jobs(layout.running_folders()) == []
    assert progress.listeners == []


def test_a_training_of_a_run_that_is_trained_is_refused(layout, holder):
    process = holder("pretrain", "moco")
    message = (
        rf"pretrain moco: process {process.pid} on .* is training this run; .*: kill {process.pid}"
    )
    with pytest.raises(UserError, match=message), jobs.running(layout, "pretrain", ("moco",)):
        pass
    with jobs.running(layout, "pretrain", ("simclr",)):
        pass


def test_other_stages_wait_for_their_like(layout, holder, capsys):
    process = holder("embed", "moco", "zoo")
    os.kill(process.pid, signal.SIGSTOP)  # it holds its lock all the same
    ended = subprocess.Popen(["sh", "-c", f"sleep 2; kill -9 {process.pid}"])
    with jobs.running(layout, "embed", ("moco", "zoo")):
        assert process.wait(timeout=10) == -signal.SIGKILL
    ended.wait()
    said = capsys.readouterr().err
    assert f"embed moco zoo: waiting for process {process.pid} on" in said


def test_a_training_waits_for_one_that_its_engine_has_left(layout, holder, monkeypatch):
    """It saves its state and stops within a step; only if it does not, the new one is refused."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    process = holder("pretrain", "moco")
    beacon = layout.running("pretrain", ("moco",))
    left = json.loads(beacon.read_text()) | {"engine": ["dvc", gone.pid]}
    beacon.write_text(json.dumps(left))
    (job,) = jobs.running_jobs(layout.running_folders())
    assert job.orphaned

    monkeypatch.setattr(jobs, "PATIENCE", 0.3)
    with (
        pytest.raises(UserError, match="is training this run"),
        jobs.running(layout, "pretrain", ("moco",)),
    ):
        pass
    monkeypatch.setattr(jobs, "PATIENCE", 30)
    ended = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {process.pid}"])
    with jobs.running(layout, "pretrain", ("moco",)):
        pass
    ended.wait()


ASK = """
import os, sys, time
from sslpipe.running import jobs
from sslpipe.layout import Layout

with jobs.running(Layout(), "pretrain", ("moco",)):
    assert not jobs.left_alone()
    print(os.getpid(), flush=True)
    deadline = time.monotonic() + 20
    while not jobs.left_alone() and time.monotonic() < deadline:
        time.sleep(0.05)
    open(sys.argv[1], "w").write(str(jobs.left_alone()))
"""


@pytest.mark.parametrize("how", ["engine killed", "folder removed"])
def test_a_stage_notices_when_nobody_waits_for_it(how, tmp_path):
    (tmp_path / "work").mkdir()
    # An engine by its name, that starts the stage in a shell as engines do.
    engine = tmp_path / "dvc"
    engine.write_text(
        f"#!{sys.executable}\nimport subprocess, sys\n"
        "subprocess.run(['sh', '-c', '\"$@\"; true', 'sh', *sys.argv[1:]])\n"
    )
    engine.chmod(0o755)
    answer = tmp_path / "answer"
    process = subprocess.Popen(
        [engine, sys.executable, "-c", ASK, str(answer)],
        cwd=tmp_path / "work", stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.readline()
    if how == "engine killed":
        process.kill()
    else:
        subprocess.run(["rm", "-r", str(tmp_path / "work")], check=True)
    deadline = time.monotonic() + 25
    while not answer.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert answer.read_text() == "True"


def test_left_over_files_are_told_from_those_in_use(layout, holder):
    data = layout.root / "data/packed"
    data.mkdir(parents=True)
    dead, resumed = data / ".x.csv.ab12_z9q.part", data / ".x.npy.part"
    dead.write_text("")
    resumed.write_text("")
    process = holder("embed", "moco", "zoo")
    with atomic(data / "y.npy"):
        assert leftovers.abandoned(layout) == [dead]
    assert leftovers.unfinished(layout) == [resumed]
    process.kill()
    process.wait()
    beacon = layout.running("embed", ("moco", "zoo"))
    assert leftovers.abandoned(layout) == sorted([dead, beacon])
    for path in leftovers.abandoned(layout):
        leftovers.remove(path)
    assert leftovers.abandoned(layout) == [] and resumed.exists()


def test_interrupted_trainings_are_listed_until_they_go_on(layout, monkeypatch):
    folder = layout.state("moco") / "0123456789abcdef"
    folder.mkdir(parents=True)
    for step in (400, 1200):
        (folder / f"step-{step:09}-aaaaaaaaaaaaaaaa.pt").write_bytes(b"x" * 10)
    (state,) = leftovers.resumable(layout)
    assert (state.run, state.step, state.fingerprint) == ("moco", 1200, "0123456789abcdef")
    assert 0 <= state.age < 60
    assert leftovers.size(folder) == 20

    from filelock import FileLock

    with FileLock(folder.with_suffix(".lock")):
        assert leftovers.resumable(layout) == [] == leftovers.states(layout)
    leftovers.remove(folder)
    assert not layout.state("moco").exists()


def test_names_cannot_lead_out_of_the_folder(layout):
    path = layout.running("embed", ("../../x", "a b"))
    assert path.parent == layout.root / ".state/running"
    assert Path(path).name == "embed..._.._x.a_b.json"
