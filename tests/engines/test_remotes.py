"""A finished experiment goes to a remote; a clone gets everything back without any training."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from remotes import KINDS, Folder
from small_project import Project

REPORT = {"leaderboard", "figures", "study@method", "claims", "page"}


@pytest.fixture(scope="module")
def committed(dvc_project, tmp_path_factory):
    """The finished experiment, in git."""
    project = dvc_project.copy(tmp_path_factory.mktemp("remotes") / "project")
    project.run("git add --all")
    project.run("git -c user.name=test -c user.email=test commit --quiet --message finished")
    return project


@pytest.fixture(params=KINDS)
def remote(request, committed, tmp_path):
    remote = KINDS[request.param](tmp_path / "remote")
    configure(committed, remote)
    yield remote
    if hasattr(remote, "process"):
        remote.stop()


def configure(project, remote):
    """Everything in .dvc/config.local, which git does not know."""
    project.run(f"dvc remote add --local --default --force there {remote.url}")
    for key, value in remote.settings.items():
        project.run(f"dvc remote modify --local there {key} {value}")


def clone(project, folder: Path, remote) -> Project:
    project.run(f"git clone --quiet {project.folder} {folder}")
    cloned = Project(folder)
    configure(cloned, remote)
    return cloned


def stages_run(output: str) -> set[str]:
    return set(re.findall(r"^Running stage '(.+)'", output, flags=re.MULTILINE))


def test_a_clone_gets_everything_back_without_training(remote, committed, tmp_path):
    committed.run("dvc push")
    cloned = clone(committed, tmp_path / "clone", remote)
    cloned.run("dvc pull")
    cloned.run("dvc status --quiet")
    assert not stages_run(cloned.run("dvc repro").stdout)
    for path in committed.folder.glob("data/*/**/*.*"):
        assert (cloned.folder / path.relative_to(committed.folder)).exists(), path


def test_what_is_missing_in_the_report_is_made_again_and_nothing_else(committed, tmp_path):
    remote = Folder(tmp_path)
    configure(committed, remote)
    committed.run("dvc push")
    cloned = clone(committed, tmp_path / "clone", remote)
    cloned.run("dvc pull")
    made = "reports/leaderboard.md reports/figures/loss.png reports/claims.json reports/index.html"
    for again in ("sslpipe report", "dvc repro"):
        cloned.run(f"rm {made}")
        assert stages_run(cloned.run(again).stdout) <= REPORT
        assert not cloned.run("git status --short").stdout


def test_an_interrupted_push_is_taken_up_again(remote, committed, tmp_path):
    # With the least claim to a core, so that it has not ended before this process sees it begin.
    push = subprocess.Popen(
        ["nice", "-n", "19", sys.executable, "-m", "dvc", "push", "--jobs", "1"],
        cwd=committed.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while push.poll() is None and not any(path.is_file() for path in remote.store.rglob("*")):
        time.sleep(0.001)
    push.send_signal(signal.SIGINT)
    _, said = push.communicate()
    assert push.returncode, "the push was too quick to be interrupted"
    assert said.strip().splitlines()[-1] == "ERROR: interrupted by the user"

    committed.run("dvc push")
    cloned = clone(committed, tmp_path / "clone", remote)
    cloned.run("dvc pull")
    cloned.run("dvc status --quiet")


def test_a_remote_that_does_not_answer_is_named(remote, committed, tmp_path):
    committed.run("dvc push")
    remote.stop()
    cloned = clone(committed, tmp_path / "clone", remote)
    failed = cloned.run("dvc pull", check=False)
    assert failed.returncode and "Traceback" not in failed.stderr
    assert "ERROR: failed to pull data from the cloud" in failed.stderr
