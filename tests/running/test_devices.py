"""GPU lease: jobs of separate processes never hold the same device."""

import itertools
import os
import subprocess
import sys
import uuid

import pytest

from sslpipe.errors import UserError
from sslpipe.running import devices
from sslpipe.running.devices import FOLDER, held_devices, lease, visible_devices

JOB = """
import os, sys, time
from sslpipe.running.devices import lease
with lease(int(sys.argv[1])) as devices:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(devices)
    start = time.monotonic()
    time.sleep(0.15)
    print(start, time.monotonic(), *devices)
"""


SMI = """#!/bin/sh
[ "$1 $2" = "--query-gpu=index,uuid --format=csv,noheader" ] || exit 2
printf '0, {0}\\n1, {1}\\n'
"""


@pytest.fixture
def two_names(monkeypatch):
    """Of their own for each test: the lock folder is the whole machine's."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("SSLPIPE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    names = [f"GPU-{uuid.uuid4()}" for _ in range(2)]
    yield names
    for name in names:
        (FOLDER / name).unlink(missing_ok=True)


@pytest.fixture
def two_devices(two_names, monkeypatch):
    monkeypatch.setenv("SSLPIPE_DEVICES", ",".join(two_names))
    return two_names


@pytest.fixture
def two_gpus(two_names, monkeypatch, tmp_path):
    """A machine with an nvidia-smi that knows two GPUs."""
    smi = tmp_path / "nvidia-smi"
    smi.write_text(SMI.format(*two_names))
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return two_names


def start(count, **environment):
    command = [sys.executable, "-c", JOB, str(count)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


def finish(jobs):
    """(device, begin, end) of every lease that was held."""
    held = []
    for job in jobs:
        out, _ = job.communicate(timeout=60)
        assert job.returncode == 0
        begin, end, *devices = out.split()
        held += [(device, float(begin), float(end)) for device in devices]
    return held


def overlap(held, device):
    times = sorted((begin, end) for d, begin, end in held if d == device)
    return any(a[1] > b[0] for a, b in itertools.pairwise(times))


def test_jobs_of_one_and_two_devices_never_overlap(two_devices):
    held = finish([start(count) for count in (1, 2, 1, 1)])
    assert len(held) == 5
    assert not any(overlap(held, device) for device in two_devices)


def test_one_lock_however_a_terminal_names_the_gpu(two_gpus, tmp_path):
    """Nor does it matter where a terminal keeps its temporary files."""
    first, second = two_gpus
    held = finish(
        [
            start(1, CUDA_VISIBLE_DEVICES="0"),
            start(1, CUDA_VISIBLE_DEVICES=first[:12], TMPDIR=str(tmp_path)),
            start(2),
        ]
    )
    assert sorted(device for device, *_ in held) == sorted([first] * 3 + [second])
    assert not overlap(held, first)


def test_a_killed_holder_frees_its_device(two_devices):
    code = JOB.replace("0.15", "60").replace("start =", "print('held', flush=True); start =")
    holder = subprocess.Popen([sys.executable, "-c", code, "2"], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    with lease(2) as devices:
        assert devices == two_devices


def test_environment_is_put_back(two_devices, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with lease():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == two_devices[0]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"


def test_more_than_there_are(two_devices):
    with pytest.raises(UserError, match=r"^3 GPUs asked for, 2 visible$"), lease(3):
        pass


def test_no_device_means_the_cpu(own_cores, monkeypatch):
    monkeypatch.setenv("SSLPIPE_DEVICES", "")
    assert visible_devices() == []
    with lease() as devices:
        assert devices == []
        assert held_devices() == ["core-0", "core-1", "core-2"]
    assert held_devices() == []


@pytest.fixture
def own_cores(monkeypatch):
    """Three cores that no other process of this machine leases."""
    monkeypatch.setenv("SLURM_JOB_ID", f"test-{uuid.uuid4()}")
    monkeypatch.setattr(devices, "usable_cores", lambda: [0, 1, 2])
    yield
    for path in FOLDER.glob("test-*"):
        path.unlink()


def test_without_a_gpu_jobs_share_the_cores(own_cores, monkeypatch, capsys):
    """One at a time that takes all, or as many as their threads leave room for."""
    monkeypatch.setenv("SSLPIPE_DEVICES", "")
    monkeypatch.setattr(devices.time, "sleep", lambda _: (_ for _ in ()).throw(TimeoutError))
    with lease(threads=1), lease(threads=2):
        assert len(held_devices()) == 3
        with pytest.raises(TimeoutError), lease(threads=1):
            pass
    assert "waiting for 1 of 3 cores: other jobs hold them" in capsys.readouterr().err
    with lease(threads=1), pytest.raises(TimeoutError), lease():
        pass
    with lease(threads=99):  # more than there are
        assert len(held_devices()) == 3


def test_under_slurm_the_schedulers_devices_are_used(two_devices, monkeypatch):
    """And shared out among those who run in one job; other jobs never wait for them."""
    monkeypatch.setenv("SLURM_JOB_ID", f"test-{uuid.uuid4()}")
    with lease() as one, lease() as two:
        assert one + two == two_devices
        monkeypatch.setenv("SLURM_JOB_ID", f"test-{uuid.uuid4()}")
        with lease(2) as both:
            assert both == two_devices
    for path in FOLDER.glob("test-*"):
        path.unlink()


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [0, 1]),
        ("1", [1]),
        ("1,0", [1, 0]),
        ("{1}, 0", [1, 0]),
        ("0,{0}", [0]),  # the same one twice
        ("1,-1,0", [1]),
        ("", []),
        ("-1", []),
        ("MIG-7/1/0,GPU-", ["MIG-7/1/0", "GPU-"]),  # unknown, and not unique
    ],
)
def test_cuda_visible_devices_in_uuids(two_gpus, monkeypatch, visible, expected):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible.format(*two_gpus))
    expected = [two_gpus[name] if isinstance(name, int) else name for name in expected]
    assert visible_devices() == expected


@pytest.mark.parametrize("smi", ["missing", "fails"])
def test_without_nvidia_smi_the_given_names_are_used(two_names, monkeypatch, tmp_path, smi):
    if smi == "fails":
        (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'No devices, at all'\nexit 6\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_devices() == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,GPU-12")
    assert visible_devices() == ["0", "GPU-12"]


def test_locks_are_open_to_all_users(two_devices, monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "FOLDER", tmp_path / "locks")
    before = os.umask(0o077)
    try:
        with lease(2):
            pass
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert (tmp_path / "locks").stat().st_mode & 0o7777 == 0o1777
    files = list((tmp_path / "locks").iterdir())
    assert len(files) == 3 and all(file.stat().st_mode & 0o777 == 0o644 for file in files)


def test_a_folder_that_is_none_is_named(two_devices, monkeypatch, tmp_path):
    (tmp_path / "locks").write_text("")
    monkeypatch.setattr(devices, "FOLDER", tmp_path / "locks")
    message = r"locks/gate: cannot lock a GPU there \(Not a directory"
    with pytest.raises(UserError, match=message), lease():
        pass
