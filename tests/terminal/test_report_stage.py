"""`sslpipe report`: all of the report of whatever there is."""

import re
import sys
import types

import pytest
from synthetic import RUNS, content, read, write_reports

from edits import EDITS, UNTRAINED
from sslpipe.errors import UserError
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.reporting.missing import missing
from sslpipe.reporting.results import Results
from sslpipe.stages import report

STUDY = {"runs": ["simclr", "moco"], "x": "method"}
PARAMS = content(
    RUNS, finetune={"runs": ["moco"], "epochs": 3}, studies={"method": STUDY, "again": STUDY}
)


def test_the_page_is_made_last_and_every_study_before_it(tmp_path):
    params, _ = write_reports(tmp_path, PARAMS, images=60)
    assert report.stages(params) == [
        ("leaderboard",), ("figures",), ("study", "method"), ("study", "again"), ("claims",), ("page",)
    ]  # fmt: skip


@pytest.fixture
def fake(monkeypatch):
    """Stages that only say so, and print what is not wanted."""
    done = []

    def stage(name):
        module = types.ModuleType(name)

        def run(params, layout, *arguments):
            print("a table")
            if name in fails:
                raise UserError(f"{name}.csv: damaged")
            done.append((name, *arguments))
            say(f"{name}: written")

        module.run = run
        return module

    fails = set()
    for name in ("leaderboard", "figures", "study", "claims", "page"):
        monkeypatch.setitem(sys.modules, f"sslpipe.stages.{name}", stage(name))
    return types.SimpleNamespace(done=done, fails=fails)


def test_a_line_for_each_stage_then_what_is_missing(tmp_path, fake, capsys):
    params, layout = write_reports(tmp_path, PARAMS, images=60, without=("simclr", "moco_seed2"))
    layout.metrics("byol", "sun").unlink()
    layout.finetune_metrics("moco", "zoo").unlink()
    layout.dataset_facts("sun").unlink()
    report.run(params, layout)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "leaderboard: written", "figures: written", "study: written", "study: written",
        "claims: written", "page: written",
        "Not trained: simclr, moco_seed2; the first by: sslpipe pretrain simclr",
        "Not scored: byol on sun; the first by: sslpipe evaluate byol sun",
        "Not fine-tuned: moco on zoo; the first by: sslpipe finetune moco zoo",
        "Not described: sun; the first by: sslpipe describe sun",
    ]  # fmt: skip
    assert fake.done[2:4] == [("study", "method"), ("study", "again")]


def test_lost_histories_and_features_are_named(tmp_path, fake, capsys):
    params, layout = write_reports(tmp_path, PARAMS, images=60)
    layout.history("byol").unlink()
    layout.features("moco", "sun").unlink()
    report.run(params, layout)
    said = capsys.readouterr().err
    assert "No history of: byol; the first by: sslpipe pretrain byol\n" in said
    assert (
        "No map and probe grid of: moco on sun; the first by: sslpipe evaluate moco sun\n" in said
    )
    assert "Nothing is missing" not in said


def test_nothing_is_missing(tmp_path, fake, capsys):
    report.run(*write_reports(tmp_path, PARAMS, images=60))
    assert capsys.readouterr().err.splitlines()[-1] == "Nothing is missing."


def test_a_stage_that_cannot_work_does_not_stop_the_others(tmp_path, fake, capsys):
    fake.fails |= {"figures", "study"}
    with pytest.raises(UserError, match="not made: figures, study method, study again"):
        report.run(*write_reports(tmp_path, PARAMS, images=60))
    assert [name for name, *_ in fake.done] == ["leaderboard", "claims", "page"]
    assert "figures: figures.csv: damaged" in capsys.readouterr().err


def written():
    """What `report` wrote, beside figures: path → text."""
    layout, text = Layout(), {".md", ".csv", ".json", ".html"}
    measured = {"data", "features", "history", "metrics", "predictions", "pretrain"}
    files = (path for path in (layout.root / "reports").rglob("*") if path.suffix in text)
    return {path: path.read_text() for path in files if path.parts[1] not in measured}


def test_no_number_of_before_an_edit_is_reported(project):
    """And all of them again when the last edit is taken back."""
    layout = Layout()
    assert project.run("report")[0] == 0
    before = written()
    assert {layout.leaderboard("md"), layout.curves(), layout.claims("md"), layout.page()} <= set(
        before
    )
    over_seeds = r"\d+\.\d ± \d+\.\d"  # of moco and moco_seed1 alone
    for edit in (some for some in EDITS if "cropped" not in some):  # as image_size
        project.edit(edit)
        code, _, said = project.run("report")
        assert code == 0
        after, rows = written(), read(layout.leaderboard("json"))["rows"]
        runs = {run for row in rows for run in row["runs"]}
        lost = []
        for page in (layout.leaderboard("md"), layout.page()):
            numbers = set(re.findall(over_seeds, before[page]))
            assert numbers
            lost += [not any(number in after[page] for number in numbers)]
        if edit in UNTRAINED:
            assert said.count(UNTRAINED[edit]) == 1
            (line,) = [line for line in said if line.startswith("Not trained: ")]
            assert "moco," in line and all(lost)
            assert runs == ({*RUNS} - {"moco", "moco_seed2"} if "lr" in edit else set())
            assert "\nmoco," not in after[layout.curves()]
        elif "k-NN" in edit:
            assert runs == set() and all(lost)
            assert after[layout.curves()] == before[layout.curves()]
            (line,) = [line for line in said if "metrics/zoo/moco.json" in line]
            assert line == (
                "reports/metrics/zoo/moco.json: made with other settings (evaluate); "
                "run: sslpipe evaluate moco zoo"
            )
        else:  # nobody asks for it any more
            heading = re.compile(r"^\|.* fine-tuned \|", flags=re.MULTILINE)
            tables = (some[layout.leaderboard("md")] for some in (before, after))
            assert [bool(heading.search(text)) for text in tables] == [True, False]
            assert not any("finetune" in key for row in rows for key in row["scores"])
            assert said[-1] == "Not trained: moco_seed2; the first by: sslpipe pretrain moco_seed2"
        code, shown, errors = project.run("show")  # what the report wrote
        assert (code, errors) == (0, [])
        assert ("No run has been evaluated." in shown) == (not rows)
    project.take_back()
    assert project.run("report")[0] == 0
    assert written() == before


def test_long_lists_are_cut(tmp_path):
    runs = {f"run{i}": {"method": "moco", "seed": i} for i in range(12)}
    params, layout = write_reports(tmp_path, content(runs), images=60, without=tuple(runs))
    shown = ", ".join(f"run{i}" for i in range(8))
    expected = (f"Not trained: {shown} and 4 more", "sslpipe pretrain run0")
    assert list(missing(Results(params, layout))) == [expected]
