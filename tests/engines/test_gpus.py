"""Trainings side by side on two devices, under both engines: each has one of its own."""

import json
import re
import time
from collections import defaultdict
from datetime import datetime
from itertools import combinations, pairwise

import pytest
from small_project import SMALL, make_project

NUMBER = 8
DEVICES = ("fakeA", "fakeB")
PATIENCE = 300
RUN = {"simclr": {"method": "simclr", "backbone": "resnet18", "corpus": "base"}}


@pytest.fixture
def project(tmp_path):
    """Only what trainings need: every stage takes DVC its time, eight times."""
    return make_project(
        tmp_path,
        pretrain={
            "epochs": 1, "batch_size": 32, "seed": 0, "threads": 1, "online": {"datasets": []},
        },
        runs=RUN,
        datasets={"patches": SMALL["datasets"]["patches"]},
        studies={},
        neighbour_strips=[],
        finetune={"runs": []},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("devices", "resources", "threads", "gpu"),
    [
        ("fakeA,fakeB", "--resources gpu=2", "4", "1"),  # side by side
        ("fakeA,fakeB", "", "4", "1"),
        ("fakeA,fakeB", "--resources gpu=1", "8", "1"),
        ("fakeA,fakeB", "--resources gpu=0", "8", "0"),  # on the CPU, one at a time
        ("", "", "8", "1"),
    ],
)
def test_trainings_share_the_cores_beside_gpus_and_take_all_without(
    devices, resources, threads, gpu, project
):
    """`threads: 0`, the default: as many as there are."""
    project.edit("pretrain.threads", 0)
    target = "data/runs/simclr/encoder.safetensors"
    said = project.run(
        f"snakemake --dry-run --cores 8 {resources} -- {target}", SSLPIPE_DEVICES=devices
    ).stdout
    job = said[said.index("rule pretrain:") :].partition("\n\n")[0]
    assert f"threads: {threads}\n" in job
    assert re.search(rf"\bgpu={gpu}\b", job)


def test_eight_runs_of_snakemake_never_share_a_device(project):
    runs = {f"seed{seed}": {**RUN["simclr"], "seed": seed} for seed in range(NUMBER)}
    project.edit("runs", runs)
    encoders = " ".join(f"data/runs/{run}/encoder.safetensors" for run in runs)
    project.run(
        f"snakemake --cores 4 --resources gpu=2 -- {encoders}", SSLPIPE_DEVICES=",".join(DEVICES)
    )
    paths = (project.folder / "reports/pretrain").glob("*.json")
    assert_apart([json.loads(path.read_text()) for path in paths])


def test_eight_trainings_of_dvcs_queue_never_share_a_device(project):
    project.run("dvc repro --quiet corpus@base")
    project.run("git add --all")
    project.run("git -c user.name=test -c user.email=test commit --quiet --message data")
    project.run(
        f"dvc exp run --queue --set-param pretrain.seed=range({NUMBER}) pretrain@simclr",
        GIT_COMMITTER_NAME="test", GIT_COMMITTER_EMAIL="test",
        GIT_AUTHOR_NAME="test", GIT_AUTHOR_EMAIL="test",
    )  # fmt: skip
    project.run("dvc queue start --jobs 2", SSLPIPE_DEVICES=",".join(DEVICES))
    try:
        reports = finished(project)
    finally:
        project.run("dvc queue stop --kill", check=False)

    assert_apart(reports)


def assert_apart(reports):
    assert {report["parameters"]["pretrain"]["seed"] for report in reports} == set(range(NUMBER))
    times = defaultdict(list)
    for report in reports:
        (device,) = report["devices"]
        times[device].append(
            tuple(map(datetime.fromisoformat, (report["started"], report["finished"])))
        )
    assert set(times) == set(DEVICES)
    for intervals in times.values():
        assert all(end <= start for (_, end), (start, _) in pairwise(sorted(intervals)))
    # They did run side by side, or the above would say nothing.
    both = [interval for intervals in times.values() for interval in intervals]
    assert any(a[0] < b[1] and b[0] < a[1] for a, b in combinations(both, 2))


def finished(project):
    """The trainings' reports out of the experiments' commits, when all are there."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        refs = project.run("git for-each-ref --format %(refname) refs/exps").stdout.split()
        done = [ref for ref in refs if not ref.startswith("refs/exps/exec/")]
        if len(done) == NUMBER:
            shown = [project.run(f"git show {ref}:reports/pretrain/simclr.json") for ref in done]
            return [json.loads(each.stdout) for each in shown]
        time.sleep(1)
    raise AssertionError(project.run("dvc queue status").stdout)
