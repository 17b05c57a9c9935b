"""One engine runs, the other believes it; and neither is made to believe what was not done."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from small_project import make_project

from sslpipe.errors import UserError
from sslpipe.layout import Layout
from sslpipe.upkeep import recorded, sync
from sslpipe.upkeep.doctor import dvc

MOCO_ONLY = {
    "data/runs/moco/encoder.safetensors",
    "data/embeddings/moco/patches.npz",
    "reports/metrics/patches/moco.json",
}
OTHER_RUNS = {"data/runs/simclr/encoder.safetensors", "data/runs/raw_pixels/encoder.safetensors"}


def changed_in_dvc(project) -> set[str]:
    status = json.loads(project.run("dvc status --json").stdout)
    return set(status)


def assert_a_change_of_moco_concerns_moco_only(project):
    project.edit("methods.moco.lr", 0.005)
    pending = project.jobs()
    assert pending >= MOCO_ONLY
    assert not pending & OTHER_RUNS
    stages = changed_in_dvc(project)
    assert "pretrain@moco" in stages
    assert not stages & {"pretrain@simclr", "pretrain@raw_pixels"}

    refused = project.run("sslpipe sync", check=False)
    assert refused.returncode == 1
    assert "neither engine has the whole experiment up to date" in refused.stderr
    project.edit("methods.moco.lr", 0.001)


# First, as the other tests change the experiment that `synced_project` copies.
def test_dvc_tells_what_has_changed_and_what_not(synced_project, tmp_path, monkeypatch):
    project = synced_project.copy(tmp_path / "project")
    monkeypatch.chdir(project.folder)
    assert sync.dvc_changes() == {}
    assert sync.dvc_stages() == set(yaml.safe_load(Path("dvc.lock").read_text())["stages"])
    assert list(recorded.changed_reports(Path())) == []
    page = Path("reports/data/patches.md")
    page.write_text(page.read_text() + "x")
    assert sync.dvc_changes()["describe@patches"] == [{"changed outs": {str(page): "modified"}}]
    (trouble,) = recorded.changed_reports(Path())
    assert trouble.startswith(f"{page}: changed") and trouble.endswith(": sslpipe describe patches")


def test_what_snakemake_needs_no_more_is_made_again_for_dvc(synced_project, tmp_path):
    """As after a look for room on the disk."""
    project = synced_project.copy(tmp_path / "project")
    gone = (
        "raw/patches.tar",
        "packed/patches.npy",
        "corpora/base.json",
        "embeddings/moco/patches.npz",
    )
    before = {}
    for name in gone:
        path = project.folder / "data" / name
        before[path] = path.read_bytes()
        path.unlink()
    assert "Nothing to be done" in project.run("snakemake -n").stdout
    doctor = project.run("sslpipe doctor").stdout
    assert "4 files are gone that it needs no more; for DVC: sslpipe sync" in doctor
    said = project.run("sslpipe sync")
    assert "making again: data/" in said.stderr and "DVC now knows" in said.stdout
    assert {path: path.read_bytes() for path in before} == before
    assert changed_in_dvc(project) == set() == project.jobs()


def test_another_order_of_keys_and_another_spelling_of_a_number_are_no_changes(
    synced_project, tmp_path
):
    project = synced_project.copy(tmp_path / "project")
    path = project.folder / "params.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for part in ("runs", "methods", "studies"):
        content[part] = {name: dict(reversed(some.items())) for name, some in content[part].items()}
    content["pretrain"] = dict(reversed(content["pretrain"].items()))
    content["evaluate"]["probe"]["weight_decay"] = [0]  # which was 0.0
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    assert changed_in_dvc(project) == set() == project.jobs()
    project.edit("evaluate.probe.weight_decay", [1])
    assert "reports/metrics/patches/moco.json" in project.jobs()


DVC_FAILS = {
    "no git": (lambda root: shutil.rmtree(root / ".git"), "is not a git repository: git init"),
    "a config that is none": (lambda root: add(root / ".dvc/config", "[core"), "Invalid line"),
    "a dvc.yaml that is none": (
        lambda root: add(root / "dvc.yaml", "x: ["),
        "'./dvc.yaml' is invalid",
    ),
}


def add(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


@pytest.mark.parametrize("cause", DVC_FAILS)
def test_dvc_that_cannot_work_is_not_taken_for_one_that_has_changes(cause, tmp_path, monkeypatch):
    break_it, reason = DVC_FAILS[cause]
    project = make_project(tmp_path / "project")
    break_it(project.folder)
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setattr(sync, "snakemake_state", lambda: sync.SnakemakeState([], []))
    with pytest.raises(UserError, match=re.escape(reason)):
        sync.sync()
    (finding,) = dvc(Layout())
    assert finding.fix and ("git" in finding.what if cause == "no git" else reason in finding.what)


def test_an_engine_that_is_not_installed_says_so():
    with pytest.raises(UserError, match=r"failed: .*No module named none_such"):
        sync.run("none_such", "--version")


def test_snakemake_then_dvc(snakemake_project):
    project = snakemake_project
    assert "nothing to do" not in project.first.stdout
    assert changed_in_dvc(project)
    assert "DVC now knows" in project.run("sslpipe sync").stdout
    assert changed_in_dvc(project) == set()
    assert project.jobs() == set()
    assert "nothing to do" in project.run("sslpipe sync").stdout
    project.edit("methods.moco.lr", 0.001)
    project.run("snakemake --cores all")
    project.run("sslpipe sync")
    assert_a_change_of_moco_concerns_moco_only(project)


def test_dvc_then_snakemake(dvc_project):
    project = dvc_project
    assert changed_in_dvc(project) == set()

    # Snakemake has no record of how these files came about, and would not notice this edit.
    project.edit("methods.moco.lr", 0.005)
    refused = project.run("sslpipe sync", check=False)
    assert refused.returncode == 1
    assert "neither engine" in refused.stderr
    project.edit("methods.moco.lr", 0.001)
    project.run("dvc repro")

    assert "Snakemake now knows" in project.run("sslpipe sync").stdout
    assert project.jobs() == set()
    assert "Nothing to be done" in project.run("snakemake -n").stdout
    assert changed_in_dvc(project) == set()
    assert_a_change_of_moco_concerns_moco_only(project)


def test_a_change_of_moco_trains_moco_only(dvc_project, snakemake_project):
    """Really run, in both engines."""
    for project, command in (
        (snakemake_project, "snakemake --cores all"),
        (dvc_project, "dvc repro"),
    ):
        encoder = project.folder / "data/runs/moco/encoder.safetensors"
        before = encoder.read_bytes()
        project.edit("methods.moco.lr", 0.02)
        said = project.run(command)
        said = said.stdout + said.stderr
        assert "moco: epoch 2/2" in said
        assert "simclr: epoch" not in said
        assert encoder.read_bytes() != before


def test_both_engines_make_the_same_scores(dvc_project, snakemake_project):
    files = sorted(
        p.relative_to(dvc_project.folder)
        for p in (dvc_project.folder / "reports/metrics").rglob("*.json")
    )
    assert len(files) == 4
    for file in files:
        ours, theirs = (
            json.loads((p.folder / file).read_text()) for p in (dvc_project, snakemake_project)
        )
        for scores in (ours, theirs):
            scores.pop("finetune_seconds", None)
        assert ours == theirs, file


@pytest.mark.parametrize("target", ["reports/claims.json", "data/runs/simclr/encoder.safetensors"])
def test_half_an_experiment_is_not_vouched_for(snakemake_project, target):
    project = snakemake_project
    path = project.folder / target
    kept = path.read_bytes()
    path.unlink()
    try:
        refused = project.run("sslpipe sync", check=False)
        assert refused.returncode == 1
        assert "neither engine" in refused.stderr
    finally:
        path.write_bytes(kept)


def test_what_neither_engine_made_is_named_with_the_way_out(monkeypatch):
    """A stage run by hand: Snakemake has nothing to do, but cannot say how the file was made."""
    by_hand = sync.SnakemakeState(pending=[], unrecorded=["data/corpora/base.json"])
    monkeypatch.setattr(sync, "snakemake_state", lambda: by_hand)
    monkeypatch.setattr(sync, "dvc_is_clean", lambda: False)
    with pytest.raises(UserError) as refused:
        sync.sync()
    assert "neither engine has made data/corpora/base.json" in str(refused.value)
    assert "delete it and run snakemake" in str(refused.value)


# --- params.yaml is edited while an engine works ----------------------------------------------


def edited_in_mid_training(project, command):
    """Run a command and, once a training is at work, halve its learning rate in params.yaml. Returns the
    exit status and what was printed."""
    project.edit("pretrain.epochs", 10)
    log = project.folder / "log"
    with log.open("w") as file:
        process = project.start(command, stdout=file, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 120
        while "epoch 2/10" not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        project.edit("methods.simclr.lr", 0.0005)
        return process.wait(timeout=300), log.read_text()


def test_dvc_records_no_settings_that_were_edited_meanwhile(dvc_project, tmp_path):
    project = dvc_project.copy(tmp_path / "project")
    before = project.read("reports/pretrain/simclr.json")["parameters"]["settings"]["lr"]
    status, said = edited_in_mid_training(project, "dvc repro pretrain@simclr")
    assert status != 0
    assert "encoder simclr: changed while it was made: settings (runs.simclr)" in said
    assert "its state is kept" in said
    lock = yaml.safe_load((project.folder / "dvc.lock").read_text())
    recorded = lock["stages"]["pretrain@simclr"]["params"]["params.yaml"]
    assert recorded["pretrain"]["epochs"] == 2  # as before
    project.edit("methods.simclr.lr", before)
    assert "resumed at step" in project.run("sslpipe pretrain simclr").stderr
    assert project.read("reports/pretrain/simclr.json")["epochs"] == 10


def test_all_jobs_of_snakemake_see_the_settings_that_it_planned_with(snakemake_project, tmp_path):
    project = snakemake_project.copy(tmp_path / "project")
    before = project.read("reports/pretrain/simclr.json")["parameters"]["settings"]["lr"]
    target = "reports/metrics/patches/simclr.json"
    status, said = edited_in_mid_training(project, f"snakemake --cores 1 {target}")
    assert status == 0, said
    parameters = project.read("reports/pretrain/simclr.json")["parameters"]
    assert (parameters["settings"]["lr"], parameters["pretrain"]["epochs"]) == (before, 10)
    planned = project.run(f"snakemake -n --cores 1 {target}").stdout
    assert "rule pretrain" in planned and "Params have changed" in planned
    assert "lr 0.001, now 0.0005" in " ".join(project.run("sslpipe show simclr").stdout.split())
    assert project.run("sslpipe sync", check=False).returncode == 1
