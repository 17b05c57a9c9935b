"""GPU lease: jobs of separate processes never hold the same device."""

import itertools
import os
import subprocess
import sys

import pytest

from sslpipe.errors import UserError
from sslpipe.training.devices import lease, visible_devices

JOB = """
import os, sys, time
from sslpipe.training.devices import lease
with lease(int(sys.argv[1])) as devices:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(devices)
    start = time.monotonic()
    time.sleep(0.15)
    print(start, time.monotonic(), *devices)
"""


@pytest.fixture
def two_devices(monkeypatch, tmp_path):
    monkeypatch.setenv("SSLPIPE_DEVICES", "fake-a,fake-b")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)


def start(count):
    command = [sys.executable, "-c", JOB, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_jobs_of_one_and_two_devices_never_overlap(two_devices):
    jobs = [start(count) for count in (1, 2, 1, 1, 2, 1)]
    held = []
    for job in jobs:
        out, _ = job.communicate(timeout=60)
        assert job.returncode == 0
        begin, end, *devices = out.split()
        held += [(device, float(begin), float(end)) for device in devices]
    assert len(held) == 8
    for device in ("fake-a", "fake-b"):
        times = sorted((begin, end) for d, begin, end in held if d == device)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(times))


def test_a_killed_holder_frees_its_device(two_devices):
    code = JOB.replace("0.15", "60").replace("start =", "print('held', flush=True); start =")
    holder = subprocess.Popen([sys.executable, "-c", code, "2"], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    with lease(2) as devices:
        assert devices == ["fake-a", "fake-b"]


def test_environment_is_put_back(two_devices, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with lease():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "fake-a"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"


def test_more_than_there_are(two_devices):
    with pytest.raises(UserError, match="3 GPUs asked for, 2 visible"), lease(3):
        pass


def test_no_device_means_the_cpu(monkeypatch):
    monkeypatch.setenv("SSLPIPE_DEVICES", "")
    assert visible_devices() == []
    with lease() as devices:
        assert devices == []


def test_under_slurm_the_schedulers_devices_are_used(two_devices, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    with lease() as one, lease() as two:
        assert one == two == ["fake-a", "fake-b"]
