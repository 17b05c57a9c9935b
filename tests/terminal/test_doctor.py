"""`sslpipe doctor`, `status` and `clean`: each trouble is found and named with its fix."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from synthetic import RUNS, content, write_reports

from made_of import stamp
from sslpipe.io.arrays import write_arrays
from sslpipe.io.files import write_json
from sslpipe.layout import Layout
from sslpipe.provenance.record import MADE_OF, Artefact, fingerprint
from sslpipe.provenance.whose import Whose
from sslpipe.running import jobs
from sslpipe.stages.pretrain import abandoned
from sslpipe.terminal.clean import clean
from sslpipe.terminal.doctor import print_examination
from sslpipe.terminal.status import print_status
from sslpipe.upkeep import doctor, leftovers, sync, verify


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A report without data, in a folder of its own, whose engines find nothing to do."""
    settings = content(RUNS)
    params, _ = write_reports(tmp_path, settings)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "data/local").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSLPIPE_STATE", raising=False)
    monkeypatch.setenv("SSLPIPE_DEVICES", "")
    monkeypatch.setattr(sync, "snakemake_state", lambda: sync.SnakemakeState([], []))
    monkeypatch.setattr(sync, "dvc_is_clean", lambda: True)
    return params, Layout()


@pytest.fixture
def lines(printed):
    return lambda show: printed(lambda console: show(console), width=300)


def examined(printed_lines):
    return printed_lines(lambda console: print_examination(Layout(), data=True, console=console))


def test_a_sound_project_has_no_problem(project, lines):
    said = examined(lines)
    assert said[-1] == "Nothing is wrong."
    text = "\n".join(said)
    for words in ("torch ", "no GPU", "free", "0 running", "up to date", "as they were written"):
        assert words in text


TROUBLES = {
    "a requirement": (
        lambda patch: patch.setattr(doctor.metadata, "requires", lambda _: ["nothing-of-the-kind"]),
        "nothing-of-the-kind is missing", "pip install",
    ),
    "an old library": (
        lambda patch: patch.setattr(doctor.metadata, "requires", lambda _: ["numpy>=99"]),
        "is installed, >=99 is needed", "pip install",
    ),
    "a full disk": (
        lambda patch: patch.setattr(
            doctor.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0)
        ),
        "0.0 MB free", "dvc gc",
    ),
    "a stale lock of Snakemake": (
        lambda patch: put(".snakemake/locks/0.input.lock"),
        "locked, but no snakemake of yours", "snakemake --unlock",
    ),
    "sources without git": (
        lambda patch: shutil.rmtree(".git"),
        "git: not a git repository", "git init, or, to do without: dvc config core.no_scm true",
    ),
    "no git at all": (
        lambda patch: patch.setenv("PATH", "/nonexistent"),
        "git is not installed", "dvc config core.no_scm true",
    ),
    "a repository of another user": (
        lambda patch: (
            patch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1"),
            patch.setenv("GIT_CONFIG_GLOBAL", os.devnull),
        ),
        "git: detected dubious ownership", "git config --global --add safe.directory ",
    ),
    "a conflict in dvc.lock": (
        lambda patch: put("dvc.lock", "<<<<<<< HEAD\n\tx: [\n"),
        "dvc.lock: not YAML", "git checkout dvc.lock",
    ),
    "a file of tomorrow": (
        lambda patch: os.utime("reports/history/moco.csv", (time.time() + 86400,) * 2),
        "reports/history/moco.csv: written in the future", "touch",
    ),
    "a changed report": (
        lambda patch: flip("reports/pretrain/moco.json"),
        "reports/pretrain/moco.json: not as its stage wrote it", "as it says",
    ),
    "a changed history": (
        lambda patch: put("reports/history/moco.csv", "epoch,loss\n1,2\n"),
        "reports/history/moco.csv", "as it says",
    ),
    "a temporary file": (
        lambda patch: put("data/raw/.x.tar.abcdefgh.part"),
        "data/raw/.x.tar.abcdefgh.part: of a process that was killed", "sslpipe clean",
    ),
    "a mistake in params.yaml": (
        lambda patch: put("params.yaml", "runs: 1"),
        "params.yaml", "sslpipe check",
    ),
}  # fmt: skip


def put(name, text=""):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


def flip(name):
    text = Path(name).read_text()
    Path(name).write_text(text.replace('"epochs": ', '"epochs": 1', 1))


@pytest.mark.parametrize("trouble", TROUBLES)
def test_each_trouble_is_named_with_its_fix(trouble, project, lines, monkeypatch):
    cause, what, fix = TROUBLES[trouble]
    if trouble == "a changed history":  # the made-up report says nothing of it
        from synthetic import read, rewrite

        from sslpipe.io.files import sha256

        report = Path("reports/pretrain/moco.json")
        rewrite(report, read(report) | {"history_sha256": sha256(Path("reports/history/moco.csv"))})
    cause(monkeypatch)
    said = examined(lines)
    (number,) = [n for n, line in enumerate(said) if line.startswith("!")]
    assert what in said[number]
    assert fix in said[number + 1]
    assert said[-1] == "1 problem."


def test_results_of_other_params_are_listed_without_a_fix(project, lines):
    """Runs, sets and studies that were there once, whose tables and figures nothing makes any more."""
    params, layout = project
    run, dataset = next(iter(params.runs)), params.leaderboard[0]
    for path in (
        layout.metrics("old", dataset), layout.metrics(run, "zebras"), layout.history("old"),
        layout.finetune_metrics("older", "zebras"), layout.study("width"),
        layout.figure("study_width", "svg"), layout.figure("neighbours_zebras", "png"),
        layout.dataset_page("zebras"), layout.dataset_page(next(iter(params.corpora))),
    ):  # fmt: skip
        put(path)
    said = examined(lines)
    (line,) = [line for line in said if "params.yaml does not have" in line]
    assert line.split()[:4] == ["leftovers", "8", "files", "of"]
    assert line.endswith("does not have: run old, older, data set zebras, study width")
    assert not line.startswith("!")


def test_damaged_data_is_found_when_it_is_asked_for(project, lines):
    params, layout = project
    dataset = params.leaderboard[0]
    path = layout.embedding("moco", dataset)
    path.parent.mkdir(parents=True)
    write_arrays(path, {"features": np.arange(1000.0)})
    stamp(params, layout)
    assert list(verify.damaged(params, layout, data=True)) == []
    raw = bytearray(path.read_bytes())
    raw[2000] ^= 1
    path.write_bytes(raw)
    (trouble,) = verify.damaged(params, layout, data=True)
    assert f"{path}: damaged" in trouble
    assert list(verify.damaged(params, layout, data=False)) == []


def test_a_damaged_copy_in_dvcs_cache_is_found(project):
    params, layout = project
    content = b"as it should be"
    md5 = hashlib.md5(content).hexdigest()
    entry = Path(".dvc/cache/files/md5") / md5[:2] / md5[2:]
    entry.parent.mkdir(parents=True)
    entry.write_bytes(content)
    outs = [{"path": "data/raw/x.tar", "hash": "md5", "md5": md5}]
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"download@x": {"outs": outs}}}))
    assert list(verify.damaged(params, layout, data=True)) == []
    entry.write_bytes(b"as it is")
    (trouble,) = verify.damaged(params, layout, data=True)
    assert trouble.startswith(f"{entry}: DVC's copy of data/raw/x.tar is damaged")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ([], True),
        ([{"changed outs": {"reports/studies/method.md": "modified"}}], True),
        ([{"changed deps": {"reports/metrics": "modified"}}], False),  # it will be made again
        (["changed command"], False),
    ],
)
def test_a_page_that_changed_for_no_reason_is_found(changes, found, project, monkeypatch):
    params, layout = project
    page = Path("reports/studies/method.md")
    page.parent.mkdir(exist_ok=True)
    page.write_text("as it is")
    outs = [{"path": str(page), "md5": hashlib.md5(b"as it should be").hexdigest()}]
    # whose own checksums fit
    sealed = [str(Layout().pretrain_report("moco")), str(Layout().history("moco"))]
    outs += [{"path": path, "md5": "another training's"} for path in sealed]
    stage = {"cmd": "sslpipe study method", "outs": outs}
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"study@method": stage}}))
    monkeypatch.setattr(sync, "dvc_changes", lambda: {"study@method": changes} if changes else {})
    monkeypatch.setattr(sync, "dvc_stages", lambda: {"study@method"})
    troubles = list(verify.damaged(params, layout, data=True))
    assert [f"{page}: changed" in text and text.endswith(stage["cmd"]) for text in troubles] == (
        [True] if found else []
    )
    monkeypatch.setattr(sync, "dvc_stages", lambda: {"page"})  # there is no such study any more
    assert list(verify.damaged(params, layout, data=True)) == []
    page.write_text("as it should be")
    monkeypatch.setattr(sync, "dvc_stages", lambda: {"study@method"})
    assert list(verify.damaged(params, layout, data=True)) == []


@pytest.mark.parametrize(
    "lock", [b"\xff", b"", b"schema: '2.0'\n", b"stages:\n", b"stages: {a: {outs: }}\n", b"- 1\n"]
)
def test_a_lock_that_records_nothing_is_no_trouble(lock, project):
    params, layout = project
    Path("dvc.lock").write_bytes(lock)
    assert list(verify.damaged(params, layout, data=True)) == []


def test_status_shows_who_is_at_it_how_far_and_for_how_long(project, printed):
    job = jobs.Job(
        "pretrain", ("moco",), 1, "elsewhere", ("snakemake", 7), time.time() - 600, time.time(),
        what="moco", done=3000, total=12000, unit="images", rate=30.0, said="moco: epoch 3/12",
    )  # fmt: skip
    Layout().running("pretrain", ("moco",)).parent.mkdir(parents=True)
    with jobs.running(Layout(), "pretrain", ("moco",)):
        jobs._write(Layout().running("pretrain", ("moco",)), job)
        head, _, row = printed(lambda console: print_status(Layout(), console), width=200)[:3]
    assert head.split() == ["job", "done", "speed", "left", "for", "process", "last", "said"]
    for words in (
        "pretrain moco", "3,000 of 12,000 images (25%)", "30 images/s", "5 min", "10 min",
        "1 on elsewhere, snakemake 7", "moco: epoch 3/12",
    ):  # fmt: skip
        assert words in row
    (line,) = printed(lambda console: print_status(Layout(), console))
    assert line == "Nothing runs in this project."


def state_of(layout, run, name):
    folder = layout.state(run) / name
    folder.mkdir(parents=True)
    (folder / "step-000000010-aaaaaaaaaaaaaaaa.pt").write_bytes(bytes(1000))
    return folder


def made_of_now(project, run):
    """The record of a training that would begin now."""
    return Whose(*project).new(Artefact("encoder", run))


# Of a state's record, as messages call it → as it stands there.
PARTS = {"settings": "settings", "corpus": "inputs", "code": "code"}


def other(made_of, part):
    """A record of another value of one part."""
    return made_of | {part: dict.fromkeys(made_of[part], "before"), "identity": "before"}


def test_doctor_names_what_stops_every_dvc(project):
    layout = project[1]
    lock = Path(".dvc/tmp/rwlock")
    lock.parent.mkdir()
    lock.touch()
    assert [finding.fix for finding in doctor.dvc(layout)] == [f"rm {lock}"]
    lock.unlink()
    link = layout.source_images("mine")
    link.parent.mkdir()
    link.symlink_to("nowhere")
    (finding,) = doctor.dvc(layout)
    assert "nowhere is not there any more" in finding.what and "sslpipe sources" in finding.fix
    layout.source_notes().rmdir()
    assert [finding.fix for finding in doctor.dvc(layout)] == ["git checkout data/local"]


@pytest.mark.parametrize("everything", [False, True])
def test_clean_keeps_what_a_training_would_go_on_with(everything, project, printed):
    params, layout = project
    current = fingerprint(made_of_now(project, "moco"))
    kept, old, foreign = (
        state_of(layout, "moco", current), state_of(layout, "moco", "0" * 16),
        state_of(layout, "renamed", "1" * 16),
    )  # fmt: skip
    unfinished = Path("data/packed/.zoo.npy.part")
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    unfinished.touch()

    def run(**options):
        return printed(
            lambda console: clean(params, layout, everything=everything, console=console, **options)
        )

    number = 4 if everything else 1
    assert run(dry=True)[-1].startswith(f"{number} would be removed")
    assert kept.exists() and old.exists() and unfinished.exists()
    status = "\n".join(printed(lambda console: print_status(layout, console, params), width=200))
    assert status.count("goes on from here") == 1
    assert "starts anew: its settings, corpus or code changed since" in status
    assert "stays: params.yaml has no run of this name" in status
    assert run(dry=False)[-1].startswith(f"{number} removed")
    assert not old.exists()
    assert kept.exists() == unfinished.exists() == foreign.exists() == (not everything)


def test_one_judgement_names_what_changed(project, printed):
    params, layout = project

    def said_by_all(words):
        """status, doctor and, of what it would remove, clean."""
        yield printed(lambda console: print_status(layout, console, params), width=200)
        yield [finding.what for finding in doctor.left(params, layout)]
        if "starts anew" in words:
            yield printed(
                lambda console: clean(params, layout, everything=False, dry=True, console=console),
                width=200,
            )

    now = made_of_now(project, "moco")
    folder = state_of(layout, "moco", "0" * 16)
    for word, part in PARTS.items():
        write_json(folder / MADE_OF, other(now, part))
        words = f"starts anew: its {word} changed since"
        assert leftovers.outlook(params, layout, folder) == (words, True)
        for lines in said_by_all(words):
            assert sum(words in line for line in lines) == 1
        words = words.removeprefix("starts anew: ")
        (line,) = abandoned(layout, "moco", now)
        assert line.startswith(f"an interrupted training, after step 10, is given up: {words}")
    layout.corpus_record("base").unlink()
    words = f"cannot be told: {layout.corpus('base')}: missing; it is made by: sslpipe corpus base"
    assert leftovers.outdated(params, layout) == {}
    for lines in said_by_all(words):
        assert sum(words in line for line in lines) == 1
    (line,) = (
        line
        for line in printed(lambda console: print_status(layout, console), width=200)
        if "moco" in line
    )
    assert "cannot be told: params.yaml has mistakes" in line


def test_doctor_names_each_reason(project):
    params, layout = project
    changed = {"moco": "settings", "byol": "code"}
    for run, part in changed.items():
        made_of = other(made_of_now(project, run), part)
        write_json(state_of(layout, run, "0" * 16) / MADE_OF, made_of)
    found = list(doctor.left(params, layout))
    for run, part in changed.items():
        (finding,) = (some for some in found if f"its {part} changed since" in some.what)
        assert finding.what.startswith(f"interrupted training of {run}, 0.0 MB: starts anew")
        assert finding.fix == "sslpipe clean"


def test_the_commands_exit_codes(project):
    command = [sys.executable, "-m", "sslpipe"]
    for arguments, code in ((["status"], 0), (["clean"], 0)):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (code, "")
