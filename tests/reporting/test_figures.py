"""Curves over pretraining, as matplotlib draws them; and what all figures have in common."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from sslpipe.reporting.figures import training
from sslpipe.reporting.figures.style import COLOURS, LOOK, as_files, styles_of
from sslpipe.reporting.settings import Setting

UNTRAINED = {
    "untrained": pd.DataFrame({"epoch": [0], "knn_zoo": [0.11], "probe_zoo": [0.22]}),
    "raw_pixels": pd.DataFrame({"epoch": [0], "knn_zoo": [0.07], "probe_zoo": [np.nan]}),
    "unwatched": pd.DataFrame({"epoch": [0]}),
}


def history(epochs=20, resumed=(), datasets=("zoo",), level=0.5):
    epoch = np.arange(1, epochs + 1)
    curve = level * (1 - np.exp(-epoch / 8))
    table = {
        "epoch": epoch,
        "loss": 4 * np.exp(-epoch / 9),
        "resumed": [int(e in resumed) for e in epoch],
    }
    for name in datasets:
        table[f"knn_{name}"] = np.where(epoch % 5 == 0, curve, np.nan)
        table[f"probe_{name}"] = np.where(epoch % 10 == 0, curve + 0.1, np.nan)
    return pd.DataFrame(table)


def histories():
    return {"moco_a": history(resumed=(7,)), "moco_b": history(level=0.4), "byol": history()}


def each(runs):
    """Runs that do not repeat one another."""
    return [Setting(run, (run,)) for run in runs]


def accuracy_figure(histories, datasets, untrained=None, groups=None):
    return training.accuracy_figure(histories, groups or each(histories), datasets, untrained)


def loss_figure(histories, methods, groups=None):
    return training.loss_figure(histories, groups or each(histories), methods)


def run_styles(runs):
    return styles_of(each(runs))


def curves(panel):
    """Lines that are neither resume marks nor horizontal baselines."""
    return [line for line in panel.lines if line.get_gid() is None]


def levels(panel):
    return [line for line in panel.lines if line.get_gid() == "baseline"]


def marks(panel):
    return [line for line in panel.lines if line.get_gid() == "resumed"]


def labels(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def said(panel):
    return [text.get_text() for text in panel.texts]


def images(figure):
    return as_files(figure, of="0123abcd")


def test_accuracy_has_a_row_for_each_kind_and_a_column_for_each_data_set():
    figure = accuracy_figure({"moco": history(datasets=("zoo", "sun"))}, ["zoo", "sun"], UNTRAINED)
    knn_zoo, knn_sun, probe_zoo, probe_sun = figure.axes
    assert [panel.get_title() for panel in figure.axes] == ["zoo", "sun", "", ""]
    assert "k-NN" in knn_zoo.get_ylabel() and "%" in knn_zoo.get_ylabel()
    assert "linear probe" in probe_zoo.get_ylabel()
    assert probe_sun.get_xlabel() == "pretraining epoch"
    assert curves(knn_sun)[0].get_xdata().tolist() == [5, 10, 15, 20]
    assert curves(probe_zoo)[0].get_xdata().tolist() == [10, 20]
    expected = history()["probe_zoo"].dropna().tolist()
    assert curves(probe_zoo)[0].get_ydata().tolist() == expected


def test_percent_axis():
    figure = accuracy_figure(histories(), ["zoo"])
    show = figure.axes[0].yaxis.get_major_formatter()
    assert [show(0.3, 0), show(0.025, 0), show(1.0, 0)] == ["30", "2.5", "100"]


def test_baselines_are_horizontal_lines_in_the_right_panels():
    figure = accuracy_figure(histories(), ["zoo"], UNTRAINED)
    knn, probe = figure.axes
    assert [line.get_ydata()[0] for line in levels(knn)] == [0.11, 0.07]
    assert [line.get_ydata()[0] for line in levels(probe)] == [0.22]
    assert labels(figure)[3:5] == ["untrained", "raw_pixels"]
    assert levels(knn)[0].get_linestyle() == levels(probe)[0].get_linestyle() != "-"
    assert "unwatched" not in labels(figure)
    other = accuracy_figure({"moco": history(datasets=("sun",))}, ["sun"], UNTRAINED)
    assert not any(levels(panel) for panel in other.axes) and labels(other) == ["moco"]


def test_a_restart_is_marked_on_the_line():
    figure = accuracy_figure(histories(), ["zoo"])
    (mark,) = marks(figure.axes[0])
    assert mark.get_xdata().tolist() == [7]
    table = history()
    expected = np.interp(7, [5, 10], table["knn_zoo"].dropna()[:2])
    assert mark.get_ydata()[0] == pytest.approx(expected)
    assert to_hex(mark.get_markeredgecolor()) == to_hex(run_styles(histories())["moco_a"]["color"])
    assert labels(figure)[-1] == "resumed from a checkpoint"
    (mark,) = marks(loss_figure(histories(), dict.fromkeys(histories(), "moco")).axes[0])
    assert mark.get_ydata()[0] == pytest.approx(table["loss"][6])


def test_without_a_restart_there_is_no_mark():
    figure = accuracy_figure({"byol": history()}, ["zoo"])
    assert labels(figure) == ["byol"] and not marks(figure.axes[0])


def test_loss_has_a_panel_for_each_method():
    methods = {"moco_a": "moco", "moco_b": "moco", "byol": "byol"}
    figure = loss_figure(histories(), methods)
    assert [panel.get_title() for panel in figure.axes] == ["moco", "byol"]
    assert [len(curves(panel)) for panel in figure.axes] == [2, 1]
    assert figure.axes[0].get_ylabel() == "training loss"


def test_a_run_has_one_colour_everywhere():
    accuracy = accuracy_figure(histories(), ["zoo"])
    loss = loss_figure(histories(), {"moco_a": "moco", "moco_b": "moco", "byol": "byol"})
    for panel in accuracy.axes:
        assert [to_hex(line.get_color()) for line in curves(panel)] == [
            to_hex(style["color"]) for style in run_styles(histories()).values()
        ]
    assert to_hex(curves(loss.axes[1])[0].get_color()) == to_hex(
        curves(accuracy.axes[0])[2].get_color()
    )


def test_more_runs_than_colours_can_still_be_told_apart():
    styles = run_styles([f"run_{i}" for i in range(35)])
    assert len({(to_hex(style["color"]), style["linestyle"]) for style in styles.values()}) == 35
    figure = accuracy_figure({f"run_{i}": history() for i in range(35)}, ["zoo"])
    assert len(labels(figure)) == 35
    figure.draw_without_rendering()
    box, panel = figure.legends[0].get_window_extent(), figure.axes[-1].get_window_extent()
    assert panel.width > 3 * figure.dpi  # inches
    names = figure.axes[-1].xaxis.label.get_window_extent()
    assert box.y1 <= names.y0 and box.width < 1.2 * figure.bbox.width  # below, in columns
    few = accuracy_figure({f"run_{i}": history() for i in range(22)}, ["zoo"])
    few.draw_without_rendering()
    assert few.legends[0].get_window_extent().x0 >= few.axes[0].get_window_extent().x1  # beside


def test_runs_of_a_setting_share_a_style_and_a_line_of_the_legend():
    groups = [Setting("moco", ("moco", "moco_seed1", "moco_seed2")), Setting("byol", ("byol",))]
    runs = {run: history() for setting in groups for run in setting.runs}
    figure = accuracy_figure(runs, ["zoo"], groups=groups)
    lines = [(to_hex(line.get_color()), line.get_linestyle()) for line in curves(figure.axes[0])]
    assert len(lines) == 4 and len(set(lines[:3])) == 1 and lines[3] != lines[0]
    assert labels(figure) == ["moco (3 seeds)", "byol"]
    del runs["moco_seed1"], runs["moco_seed2"]  # not finished
    figure = accuracy_figure(runs, ["zoo"], groups=groups)
    assert labels(figure) == ["moco", "byol"]


def test_panels_keep_clear_of_one_another():
    """No tick label of a column reaches into the one before it."""
    names = ["zoo", "sun", "more"]
    figure = accuracy_figure({"moco": history(datasets=names)}, names)
    figure.draw_without_rendering()
    for left, right in zip(figure.axes[:2], figure.axes[1:3], strict=True):
        start = min(label.get_window_extent().x0 for label in right.get_yticklabels())
        assert start - left.get_window_extent().x1 > 0.15 * figure.dpi
    for label in figure.axes[0].get_yticklabels():
        assert label.get_window_extent().x0 > figure.axes[0].yaxis.label.get_window_extent().x1


def test_long_names_wrap_and_stay_whole():
    name = "moco_resnet101_with_local_crops_on_the_extended_corpus"
    (label,) = labels(accuracy_figure({name: history()}, ["zoo"]))
    assert label.replace("\n", "") == name and max(map(len, label.split("\n"))) <= 30


def test_what_is_missing_is_said():
    bare = history().drop(columns=["knn_zoo", "probe_zoo"])
    figure = accuracy_figure({"moco": bare}, ["zoo"])
    assert [said(panel) for panel in figure.axes] == [["no online evaluation"]] * 2
    blank = history()
    blank["knn_zoo"] = np.nan
    knn, probe = accuracy_figure({"moco": blank}, ["zoo"]).axes
    assert said(knn) == ["no online evaluation"] and said(probe) == []
    figure = accuracy_figure({}, ["zoo"], UNTRAINED)
    assert said(figure.axes[0]) == ["no finished run"] and len(levels(figure.axes[0])) == 2
    assert said(loss_figure({}, {}).axes[0]) == ["no finished run"]
    assert said(accuracy_figure({"moco": history()}, []).axes[0]) == ["no data set"]
    assert images(accuracy_figure({}, []))


@pytest.mark.parametrize("draw", ["accuracy", "loss"])
def test_the_same_data_give_the_same_bytes(draw):
    def drawn():
        if draw == "accuracy":
            return images(accuracy_figure(histories(), ["zoo"], UNTRAINED))
        return images(loss_figure(histories(), {"moco_a": "m", "moco_b": "m", "byol": "b"}))

    first = drawn()
    with mpl.rc_context({"axes.titleweight": "bold", "font.size": 30, "svg.hashsalt": "other"}):
        again = drawn()  # nor does the caller's style leak in
    assert first == again
    assert list(first) == ["png", "svg"]
    assert first["png"].startswith(b"\x89PNG")
    svg = first["svg"].decode()
    assert "<svg" in svg and "dc:date" not in svg and "<dc:source>0123abcd</dc:source>" in svg
    assert 'id="resumed"' in svg


def test_drawing_changes_no_global_setting():
    before = dict(mpl.rcParams)
    images(accuracy_figure(histories(), ["zoo"]))
    assert dict(mpl.rcParams) == before


def test_the_look_is_seaborns():
    import seaborn as sns

    theirs = {**sns.axes_style("whitegrid"), **sns.plotting_context("notebook", font_scale=0.95)}
    ours = {key: value for key, value in LOOK.items() if key in theirs and "font.f" not in key}
    assert len(ours) > 25
    for key, value in ours.items():
        expected = theirs[key]
        same = pytest.approx(expected) if isinstance(expected, float) else expected
        assert value == same, key
    assert list(COLOURS) == sns.color_palette("colorblind", 10).as_hex()
