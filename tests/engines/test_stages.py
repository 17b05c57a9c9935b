"""The stages as a user runs them: what they print, refuse and survive."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from safetensors.torch import load_file
from torchvision.models import resnet18

PRETRAIN = [str(Path(sys.executable).parent / "sslpipe"), "pretrain", "simclr"]


@pytest.fixture(scope="module")
def project(snakemake_project, tmp_path_factory):
    """A finished experiment to be mishandled: a copy, as the engines' own tests need theirs whole."""
    return snakemake_project.copy(tmp_path_factory.mktemp("stages") / "project")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_leaderboard_of_a_whole_run(project):
    table = pd.read_csv(project.folder / "reports/leaderboard.csv")
    assert list(table)[:6] == ["dataset", "run", "runs", "method", "backbone", "corpus"]
    assert set(table["run"]) == {"simclr", "moco", "raw_pixels", "chance"}
    scores = table[["knn_top1", "probe_top1", "public_top1", "private_top1"]]
    assert scores.ge(0).all(axis=None) and scores.le(1).all(axis=None)
    encoders = table[table["run"] != "chance"]
    assert encoders["probe_top1_low"].le(encoders["probe_top1"]).all()
    assert encoders["probe_top1_high"].ge(encoders["probe_top1"]).all()
    tuned = table.set_index("run")["finetune_top1"]
    assert 0 <= tuned["simclr"] <= 1 and tuned.drop("simclr").isna().all()
    assert table.set_index("run")["public_top1"]["chance"] == pytest.approx(1 / 20)
    assert "simclr" in project.run("sslpipe show").stdout
    reports = project.folder / "reports"
    for figure in ("accuracy", "loss", "budget", "confusion", "study_method"):
        for kind, magic in (("png", b"\x89PNG"), ("svg", b"<?xml")):
            assert (reports / f"figures/{figure}.{kind}").read_bytes().startswith(magic)
    assert (reports / "figures/neighbours_patches.png").exists()
    assert (reports / "claims.md").read_text().startswith("# Claims")
    assert "</html>" in (reports / "index.html").read_text()


def test_snakemakes_own_report_shows_the_figures_with_captions(project):
    project.run("snakemake --report report.html")
    text = (project.folder / "report.html").read_text()
    for name in ("accuracy.png", "study_method.png", "neighbours_patches.png", "index.html"):
        assert name in text


def test_encoder_loads_into_torchvision(project):
    weights = load_file(project.folder / "data/runs/moco/encoder.safetensors")
    missing, unexpected = resnet18(weights=None).load_state_dict(weights, strict=False)
    assert sorted(missing) == ["fc.bias", "fc.weight"]
    assert not unexpected


def test_killed_three_times_ends_with_the_same_bytes(project):
    encoder = project.folder / "data/runs/simclr/encoder.safetensors"
    checkpoints = project.folder / ".state/simclr"
    expected = digest(encoder)
    project.edit("pretrain.checkpoint_minutes", 0)
    moment = random.Random(0)
    environment = {"OMP_NUM_THREADS": "1", "SSLPIPE_DEVICES": "", "PATH": "/usr/bin:/bin"}
    for _ in range(3):
        encoder.unlink(missing_ok=True)
        job = subprocess.Popen(
            PRETRAIN, cwd=project.folder, env=environment, stderr=subprocess.DEVNULL
        )
        before = {p: p.stat().st_mtime_ns for p in checkpoints.rglob("step-*.pt")}
        while job.poll() is None:  # until it has saved at least once more
            now = {p: p.stat().st_mtime_ns for p in checkpoints.rglob("step-*.pt")}
            if now and now != before:
                break
            time.sleep(0.02)
        time.sleep(moment.uniform(0, 0.5))
        job.kill()
        job.wait()
        assert not encoder.exists()
    done = project.run("sslpipe pretrain simclr")
    assert "resumed at step" in done.stderr
    assert digest(encoder) == expected
    assert not checkpoints.exists()
    history = pd.read_csv(project.folder / "reports/history/simclr.csv")
    assert history["resumed"].sum() >= 1
    project.edit("pretrain.checkpoint_minutes", 0)


def test_two_processes_a_killed_one_and_going_on_with_one(project):
    """The machine is told it has two devices; they are shared out, and the work runs on the CPU."""
    expected = load_file(project.folder / "data/runs/moco/encoder.safetensors")
    losses = pd.read_csv(project.folder / "reports/history/moco.csv")["loss"]
    project.edit("pretrain.gpus", 2)
    project.edit("pretrain.checkpoint_minutes", 0)
    environment = {"OMP_NUM_THREADS": "1", "SSLPIPE_DEVICES": "a,b"}

    def start():
        job = subprocess.Popen(
            [*PRETRAIN[:2], "moco"],
            cwd=project.folder,
            env=os.environ | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not any((project.folder / ".state/moco").rglob("step-*.pt")):
            assert job.poll() is None, job.stderr.read()
            time.sleep(0.02)
        return job

    job = start()
    job.terminate()
    _, said = job.communicate(timeout=120)
    assert job.returncode == 128 + signal.SIGTERM
    assert "moco: state saved at step" in said and "Traceback" not in said, said
    shutil.rmtree(project.folder / ".state/moco")

    # The launcher killed, and its lease with it: the processes notice, save and end.
    job = start()
    ranks = psutil.Process(job.pid).children()
    job.kill()
    assert len(ranks) == 2 and psutil.wait_procs(ranks, timeout=120)[1] == []
    assert any((project.folder / ".state/moco").rglob("step-*.pt"))
    shutil.rmtree(project.folder / ".state/moco")

    job = start()
    (second,) = (p for p in psutil.Process(job.pid).children() if p.environ().get("RANK") == "1")
    second.kill()
    _, said = job.communicate(timeout=120)
    assert job.returncode == 1
    lines = [line for line in said.splitlines() if line.startswith("sslpipe: ")]
    assert lines == [
        "sslpipe: moco: process 1 of 2 ended with SIGKILL; the others were stopped. Run again to go on "
        "from the last checkpoint"
    ]
    assert all(
        line.startswith(("sslpipe: ", "moco: ", "warning: PyTorch can use none of the GPUs a, b"))
        for line in said.splitlines()
    ), said

    done = project.run("sslpipe pretrain moco", SSLPIPE_DEVICES="a,b")
    assert "moco: resumed at step" in done.stderr
    assert done.stderr.count("epoch 2/2") == 1  # one process speaks
    report = json.loads((project.folder / "reports/pretrain/moco.json").read_text())
    assert (report["processes"], report["resumed"]) == (2, 1)
    project.edit("pretrain.gpus", 1)
    again = pd.read_csv(project.folder / "reports/history/moco.csv")["loss"]
    assert again.tolist() == pytest.approx(losses.tolist(), rel=1e-2)
    weights = load_file(project.folder / "data/runs/moco/encoder.safetensors")
    assert weights.keys() == expected.keys()
    project.edit("pretrain.checkpoint_minutes", 0)


def test_more_gpus_than_there_are(project):
    project.edit("pretrain.gpus", 2)
    try:
        done = project.run("sslpipe pretrain simclr", check=False, SSLPIPE_DEVICES="a")
        assert done.returncode == 1
        assert done.stderr == "sslpipe: 2 GPUs asked for, 1 visible\n"
    finally:
        project.edit("pretrain.gpus", 1)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sslpipe pretrain nope", "no run named 'nope' in params.yaml; there are: simclr, moco"),
        ("sslpipe download nope", "nope"),
        ("sslpipe evaluate simclr nope", "nope"),
        ("sslpipe corpus nope", "nope"),
    ],
)
def test_unknown_names_are_one_line(project, command, message):
    done = project.run(command, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("sslpipe: ") and message in line


def test_a_wrong_params_file_stops_both_engines_before_any_work(project):
    content = (project.folder / "params.yaml").read_text()
    project.edit("pretrain.epocs", 3)
    try:
        for command in ("snakemake -n", "sslpipe subset patches", "sslpipe check"):
            done = project.run(command, check=False)
            assert done.returncode == 1
            assert "pretrain.epocs: unknown key; allowed: epochs" in done.stdout + done.stderr
    finally:
        (project.folder / "params.yaml").write_text(content)


def test_config_on_snakemakes_command_line_is_refused(project):
    """The stages read params.yaml, so another value on the command line would be ignored."""
    done = project.run("snakemake -n --config image_size=64", check=False)
    assert done.returncode == 1
    assert "edit params.yaml" in done.stdout + done.stderr


def test_snakemake_reads_utf8_in_every_locale(project):
    path = project.folder / "params.yaml"
    content = path.read_text(encoding="utf-8")
    path.write_text(f"{content}# Bäume\n", encoding="utf-8")
    try:
        tables = []
        for environment in ({}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
            said = project.run("snakemake --summary", **environment).stdout.splitlines()
            tables.append([line for line in said if "\t" in line])
        assert tables[0] == tables[1] != []
    finally:
        path.write_text(content, encoding="utf-8")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("reports/metrics/patches/nosuch.json", "no run named 'nosuch' in params.yaml; there are: simclr"),
        ("reports/metrics/nosuch/simclr.json", "no data set named 'nosuch' in params.yaml; there are: p"),
        ("data/corpora/nosuch.json", "no corpus named 'nosuch' in params.yaml; there are: base"),
        ("reports/studies/nosuch.md", "no study named 'nosuch' in params.yaml; there are: method"),
    ],
)  # fmt: skip
def test_snakemake_names_what_a_mistyped_target_is_of(project, target, message):
    done = project.run(f"snakemake -n {target}", check=False)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert f"{target}: {message}" in said
    assert "KeyError" not in said


def test_a_damaged_embedding_and_encoder_are_named(project):
    for path, command in (
        ("data/embeddings/simclr/patches.npz", "sslpipe evaluate simclr patches"),
        ("data/runs/simclr/encoder.safetensors", "sslpipe embed simclr patches"),
    ):
        file = project.folder / path
        kept = file.read_bytes()
        file.unlink()
        file.write_bytes(kept[: len(kept) // 2])
        try:
            done = project.run(command, check=False)
            assert done.returncode == 1
            (line,) = done.stderr.splitlines()
            assert path in line
        finally:
            file.write_bytes(kept)


def test_a_damaged_corpus_is_refused_by_a_run_without_training_too(project):
    """Whose report would name it by its hash."""
    path = project.folder / "data/corpora/base.json"
    encoder = project.folder / "data/runs/raw_pixels/encoder.safetensors"
    whole, before = path.read_text(), encoder.read_bytes()
    path.write_text(whole.replace('"images"', '"imagez"', 1))
    try:
        for run in ("raw_pixels", "simclr"):
            done = project.run(f"sslpipe pretrain {run}", check=False)
            assert done.returncode == 1
            assert "corpora/base.json: not as its stage wrote it" in done.stderr
            assert "delete it and run: sslpipe corpus base" in done.stderr
        assert encoder.read_bytes() == before
    finally:
        path.write_text(whole)
