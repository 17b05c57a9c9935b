"""An update of the package: what it may not move is not run again, and an interrupted training goes on."""

import signal
import subprocess
import time

import pytest

REWORDED = {
    "training/loop.py": ('"""The training loop', '"""# the loop of training'),
    "running/memory.py": ("a smaller batch_size", "a small batch_size"),
}
EDITS = {
    "a comment, a docstring and a message": (REWORDED, set()),
    "a loss": (
        {"methods/losses.py": ("logits = torch.cat", "logits = 1 * torch.cat")},
        {"pretrain@simclr", "pretrain@moco"},
    ),
    "a colour of the page": ({"reporting/page/style.css": ("#", "#0")}, {"page"}),
}


def edit(project, changes):
    for name, (before, after) in changes.items():
        file = project.folder / "ssl/sslpipe" / name
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after, 1))


@pytest.mark.parametrize("change", EDITS)
def test_an_update_runs_again_what_it_may_move(synced_project, tmp_path, change):
    project, (changes, first) = synced_project.copy(tmp_path / "project"), EDITS[change]
    edit(project, changes)
    made = {
        "pretrain@simclr": "data/runs/simclr/encoder.safetensors",
        "pretrain@moco": "data/runs/moco/encoder.safetensors",
        "page": "reports/index.html",
    }
    trained = {made[name] for name in first}
    jobs = project.jobs()
    assert trained <= jobs
    assert bool(first) == bool(jobs)
    if first == {"page"}:
        assert jobs == trained
    assert "data/runs/raw_pixels/encoder.safetensors" not in jobs
    if not first or first == {"page"}:
        said = project.run("dvc repro").stdout
        ran = {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")}
        assert ran == first | {"code"}
    else:
        project.run("dvc repro code")
        changed = project.run("dvc status").stdout
        there = {name for name in made if f"{name}:" in changed}
        assert there == first


def test_an_interrupted_training_goes_on_after_an_update_that_moves_no_number(
    snakemake_project, tmp_path
):
    project = snakemake_project.copy(tmp_path / "project")
    project.edit("pretrain.epochs", 10)
    with (tmp_path / "log").open("w") as log:
        process = project.start("sslpipe pretrain simclr", stdout=log, stderr=subprocess.STDOUT)
        while "epoch 2/10" not in (tmp_path / "log").read_text():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    edit(project, REWORDED)
    assert "resumed at step" in project.run("sslpipe pretrain simclr").stderr
