"""Real processes of download and subset, killed in mid-work."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]
FILES = ("data/raw/mine.tar", *(f"data/packed/mine.{suffix}" for suffix in ("npy", "csv", "json")))


@pytest.fixture(scope="module")
def images():
    """So much that `subset` starts processes: 30 MB."""
    rng = np.random.default_rng(0)
    files = []
    for _ in range(10):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (300, 400, 3), np.uint8)).save(
            file, "JPEG", quality=90
        )
        files.append(file.getvalue())
    return [files[i % 10] + bytes([i % 256, i // 256]) for i in range(400)]


def project(folder, images):
    settings = yaml.safe_load((ROOT / "presets/default.yaml").read_text())
    settings["datasets"]["mine"] = {"source": {"kind": "folder", "path": "mine"}}
    for number, content in enumerate(images):
        path = folder / "mine" / "ab"[number % 2] / f"{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))
    return folder


def start(folder, stage):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "ssl")}
    command = [sys.executable, "-m", "sslpipe", stage, "mine"]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, images):
    folder = project(tmp_path_factory.mktemp("undisturbed"), images)
    for stage in ("download", "subset"):
        assert start(folder, stage).wait(timeout=120) == 0
    return [(folder / file).read_bytes() for file in FILES]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_download_that_is_killed_leaves_nothing_that_stays(tmp_path, images, undisturbed, number):
    folder = project(tmp_path, images)
    process = start(folder, "download")
    wait_for(lambda: list(folder.glob("data/raw/.*.part")))
    process.send_signal(number)
    assert process.wait(timeout=60) == (-9 if number == signal.SIGKILL else 128 + number)
    assert not (folder / FILES[0]).exists()
    if number == signal.SIGTERM:
        assert list(folder.glob("data/raw/.*")) == []
    assert start(folder, "download").wait(timeout=120) == 0
    assert sorted(path.name for path in (folder / "data/raw").iterdir()) == [
        "mine.json",
        "mine.tar",
    ]
    assert (folder / FILES[0]).read_bytes() == undisturbed[0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_subset_that_is_killed_takes_its_processes_along(tmp_path, images, undisturbed, number):
    folder = project(tmp_path, images)
    assert start(folder, "download").wait(timeout=120) == 0
    process = start(folder, "subset")
    try:
        parent = psutil.Process(process.pid)
        wait_for(lambda: len(parent.children(recursive=True)) >= 3)  # a server and what it forks
        helpers = parent.children(recursive=True)
        process.send_signal(number)
        process.wait(timeout=60)
        _, alive = psutil.wait_procs(helpers, timeout=30)
        # one that nobody has taken notice of has ended too
        assert [some for some in alive if some.status() != psutil.STATUS_ZOMBIE] == []
    finally:
        for helper in helpers:
            if helper.is_running():
                helper.kill()
    assert start(folder, "subset").wait(timeout=120) == 0
    assert [(folder / file).read_bytes() for file in FILES] == undisturbed
    names = {path.name for path in (folder / "data/packed").iterdir()}
    assert names == {"mine.npy", "mine.csv", "mine.json"}
