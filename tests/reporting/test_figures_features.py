"""Figures of features and answers: the map, and what is taken for what."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_hex
from sklearn.metrics import confusion_matrix
from synthetic import RUNS, content, read, rewrite, write_reports

from sslpipe.io.arrays import read_arrays, write_arrays
from sslpipe.reporting.figures.confusion import confusion_figure, confusion_shares, most_confused
from sslpipe.reporting.figures.feature_map import feature_map_figure, marks
from sslpipe.reporting.results import Results
from sslpipe.reporting.scored import Scored

MOCO = ("moco", "moco_seed1", "moco_seed2")


def scored(made):
    return Scored(Results(*made))


def prefer(layout, runs, datasets=("zoo", "sun")):
    """Make them the best by validation."""
    for run, dataset in itertools.product(runs, datasets):
        path = layout.metrics(run, dataset)
        rewrite(path, read(path) | {"probe_val_top1": 0.99})


# --- the map ----------------------------------------------------------------------------------


def dots(panel):
    """(x, y, colour) of all that is drawn."""
    return {
        (x, y, to_hex(colour))
        for some in panel.collections
        for (x, y), colour in zip(some.get_offsets().tolist(), some.get_facecolors(), strict=True)
    }


def test_the_map_is_that_of_the_files_before_and_after_training(tmp_path):
    made = write_reports(tmp_path, content(RUNS), images=120)
    prefer(made[1], ["byol"])
    figure = feature_map_figure(scored(made))
    assert [panel.get_title() for panel in figure.axes] == [
        "zoo: byol", "sun: byol", "zoo: untrained", "sun: untrained",
    ]  # fmt: skip
    assert [figure.axes[i].get_ylabel() for i in (0, 2)] == ["trained", "untrained"]
    colours = [to_hex(mark["color"]) for mark in marks(6)]
    for panel, run in ((figure.axes[0], "byol"), (figure.axes[2], "untrained")):
        places = read(made[1].features(run, "zoo"))["map"]
        expected = {
            (x, y, colours[label])
            for x, y, label in zip(places["x"], places["y"], places["label"], strict=True)
        }
        assert dots(panel) == expected
    legend = figure.axes[2].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [f"class_{i}" for i in range(6)]
    assert figure.axes[0].get_legend() is None


def test_without_an_untrained_encoder_there_is_one_row(tmp_path):
    made = write_reports(tmp_path, content({"moco": {"method": "moco"}}), images=60)
    assert len(feature_map_figure(scored(made)).axes) == 2


@pytest.mark.parametrize(("classes", "named"), [(20, True), (21, False)])
def test_so_many_classes_are_named(tmp_path, classes, named):
    made = write_reports(tmp_path, content({"moco": {"method": "moco"}}), classes=classes)
    panel = feature_map_figure(scored(made)).axes[0]
    assert (panel.get_legend() is not None) == named
    assert panel.get_title() == ("zoo: moco" if named else "zoo: moco\n21 classes, not named")


def test_classes_can_be_told_apart():
    for classes in (2, 10, 11, 20, 21, 300):
        found = {(to_hex(mark["color"]), mark["marker"]) for mark in marks(classes)}
        assert len(found) == classes


def test_a_map_without_differences_says_so(tmp_path):
    made = write_reports(tmp_path, content({"moco": {"method": "moco"}}), images=60)
    path = made[1].features("moco", "zoo")
    features = read(path)
    features["map"] |= {"x": [0.0] * 60, "y": [0.0] * 60}
    rewrite(path, features)
    panel = feature_map_figure(scored(made)).axes[0]
    assert [text.get_text() for text in panel.texts] == ["all features are the same"]


# --- confusion --------------------------------------------------------------------------------


def test_shares_are_scikit_learns():
    random = np.random.default_rng(0)
    labels, answers = random.integers(0, 7, 500), random.integers(0, 7, 500)
    expected = confusion_matrix(labels, answers, normalize="true")
    assert confusion_shares(labels, answers, 7) == pytest.approx(expected)


def test_shares_where_there_is_no_answer_or_no_image():
    shares = confusion_shares(np.array([0, 0, 0, 2]), np.array([0, -1, 1, 2]), 4)
    assert shares[0].tolist() == pytest.approx([1 / 3, 1 / 3, 0, 0])
    assert shares[1].tolist() == shares[3].tolist() == [0, 0, 0, 0] and shares[2, 2] == 1


def test_the_most_confused_classes_are_those_of_the_worst_pairs():
    random = np.random.default_rng(1)
    for _ in range(20):
        shares = random.random((9, 9)).round(2)
        pairs = sorted(
            itertools.combinations(range(9), 2), key=lambda p: -(shares[p] + shares[p[::-1]])
        )
        expected = []
        for pair in pairs:
            expected += [c for c in pair if c not in expected]
            if len(expected) >= 4:
                break
        assert most_confused(shares, 4).tolist() == sorted(expected[:4])


def test_confusion_of_all_seeds_together(tmp_path):
    made = write_reports(tmp_path, content(RUNS), images=240)
    prefer(made[1], MOCO)
    figure = confusion_figure(scored(made))
    panel = figure.axes[0]
    assert panel.get_title() == "zoo: moco (3 seeds)"
    answers = [read_arrays(made[1].predictions(run, "zoo")) for run in MOCO]
    expected = confusion_matrix(
        np.concatenate([some["label"] for some in answers]),
        np.concatenate([some["probe"] for some in answers]),
        normalize="true",
    )
    drawn = np.asarray(panel.collections[0].get_array()).reshape(6, 6)
    assert drawn == pytest.approx(100 * expected)
    for axis in (panel.xaxis, panel.yaxis):
        names = [label.get_text() for label in axis.get_ticklabels()]
        assert names == [f"class_{i}" for i in range(6)]
    assert [text.get_text() for text in panel.texts] == [f"{v:.0f}" for v in drawn.ravel()]


def test_of_many_classes_the_most_confused_are_shown(tmp_path):
    made = write_reports(
        tmp_path, content({"moco": {"method": "moco"}}, ["zoo"]), images=900, classes=30
    )
    path = made[1].predictions("moco", "zoo")
    arrays = read_arrays(path)
    arrays["probe"] = arrays["label"].copy()
    for a, b in zip(range(0, 20, 2), range(1, 20, 2), strict=True):  # ten pairs, above 9
        arrays["probe"][arrays["label"] == a + 10] = b + 10
    write_arrays(path, arrays)
    panel = confusion_figure(scored(made)).axes[0]
    assert panel.get_title() == "zoo: moco\nthe 20 of 30 classes in the most confused pairs"
    names = [label.get_text() for label in panel.get_yticklabels()]
    assert names == [f"class_{i}" for i in range(10, 30)]
    drawn = np.asarray(panel.collections[0].get_array()).reshape(20, 20)
    assert drawn[0, 1] == drawn[1, 1] == 100 and drawn[0, 0] == 0


def test_long_class_names_are_cut(tmp_path):
    made = write_reports(tmp_path, content({"moco": {"method": "moco"}}, ["zoo"]), images=60)
    path = made[1].features("moco", "zoo")
    rewrite(path, read(path) | {"classes": ["Black_footed_Albatross_of_the_sea"] * 6})
    label = confusion_figure(scored(made)).axes[0].get_yticklabels()[0].get_text()
    assert label == "Black_footed_Albatr…"
