"""sslpipe figures: of what there is, and nothing else."""

import subprocess
import sys

import pytest
from synthetic import RUNS, content, read, rewrite, write_reports

from sslpipe.errors import UserError
from sslpipe.stages import figures as stage

NAMES = ("accuracy", "loss", "budget", "knn_k", "probe_grid", "feature_map", "confusion")


@pytest.fixture
def made(tmp_path):
    return write_reports(tmp_path, content(RUNS), images=60)


def files(layout):
    return {path.name: path.read_bytes() for path in layout.figure("loss", "png").parent.iterdir()}


def drawn(monkeypatch, params, layout):
    """name → the figure that the stage would write."""
    found = {}
    monkeypatch.setattr(stage, "as_files", lambda figure, of: {"svg": figure})
    monkeypatch.setattr(
        stage, "write_bytes", lambda path, figure: found.update({path.stem: figure})
    )
    stage.run(params, layout)
    return found


def words(figure):
    return [text.get_text() for panel in figure.axes for text in panel.texts]


def test_every_figure_as_png_and_svg_and_the_same_bytes_again(made):
    stage.run(*made)
    first = files(made[1])
    assert sorted(first) == sorted(f"{name}.{kind}" for name in NAMES for kind in ("png", "svg"))
    for name, content_ in first.items():
        assert content_.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml"), name
    stage.run(*made)
    assert files(made[1]) == first


def test_baselines_come_from_the_untrained_runs_history(made, monkeypatch):
    params, layout = made
    layout.history("untrained").write_text("epoch,knn_zoo,probe_zoo\n0,0.11,0.22\n")
    layout.history("raw_pixels").unlink()
    figure = drawn(monkeypatch, params, layout)["accuracy"]
    heights = [
        [line.get_ydata()[0] for line in panel.lines if line.get_gid() == "baseline"]
        for panel in figure.axes
    ]
    assert heights == [[0.11], [], [0.22], []]  # k-NN on zoo and sun, then the probe


def test_runs_that_did_not_finish_are_left_out(tmp_path, monkeypatch):
    params, layout = write_reports(
        tmp_path, content(RUNS), images=60, without=("byol", "untrained")
    )
    layout.metrics("simclr", "sun").unlink()
    found = drawn(monkeypatch, params, layout)
    assert set(found) == set(NAMES)
    (legend,) = found["accuracy"].legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["simclr", "moco (3 seeds)", "raw_pixels"]
    assert [panel.get_title() for panel in found["loss"].axes] == ["simclr", "moco"]
    assert "no finished run of simclr" in words(found["probe_grid"])


def test_without_any_result_every_figure_says_so(tmp_path, monkeypatch):
    params, layout = write_reports(tmp_path, content(RUNS), without=tuple(RUNS))
    for name, figure in drawn(monkeypatch, params, layout).items():
        said = words(figure)
        assert len(said) == len(figure.axes) and all(text.startswith("no ") for text in said), name
        assert not figure.legends, name
    monkeypatch.undo()
    stage.run(params, layout)
    assert len(files(layout)) == 2 * len(NAMES)


def test_trained_but_not_evaluated(made, monkeypatch):
    params, layout = made
    for folder in ("metrics", "predictions", "features"):
        for path in (layout.root / "reports" / folder).rglob("*.*"):
            path.unlink()
    found = drawn(monkeypatch, params, layout)
    assert not words(found["accuracy"])  # which needs histories alone
    for name in ("budget", "knn_k", "probe_grid", "feature_map", "confusion"):
        assert len(words(found[name])) >= 2, name


def test_features_of_an_older_evaluation_are_missing(made, monkeypatch):
    params, layout = made
    for path in (layout.root / "reports/features").rglob("*.json"):
        path.unlink()
    found = drawn(monkeypatch, params, layout)
    for name in ("probe_grid", "feature_map", "confusion"):
        assert all(text.startswith("no ") for text in words(found[name])) and words(found[name])
    assert not any(text.startswith("no ") for text in words(found["budget"]))


@pytest.mark.parametrize("content_", [b"", b"loss\n1\n", b'epoch\n"1', b"\xff\xfe\x00"])
def test_a_damaged_history_is_named(made, content_):
    made[1].history("moco").write_bytes(content_)
    with pytest.raises(UserError, match=r"history/moco.csv: damaged .* run: sslpipe pretrain moco"):
        stage.run(*made)


def test_damaged_predictions_are_named(made):
    for path in (made[1].root / "reports/predictions").rglob("*.npz"):
        path.write_bytes(b"PK")
    with pytest.raises(UserError, match=r"predictions/.*npz: damaged"):
        stage.run(*made)


def test_a_missing_training_report_is_a_missing_run(made, monkeypatch):
    params, layout = made
    report = read(layout.pretrain_report("byol"))
    layout.pretrain_report("byol").unlink()
    (legend,) = drawn(monkeypatch, params, layout)["accuracy"].legends
    assert "byol" not in [text.get_text() for text in legend.get_texts()]
    rewrite(layout.pretrain_report("byol"), report)
    (legend,) = drawn(monkeypatch, params, layout)["accuracy"].legends
    assert "byol" in [text.get_text() for text in legend.get_texts()]


def test_a_study_needs_no_seaborn():
    """Which would take longer to import than everything else that a study does."""
    code = "import sys, sslpipe.stages.study, sslpipe.stages.neighbours; print('seaborn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
