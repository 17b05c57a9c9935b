"""Figures of scores: budget, neighbours' number, the grid of probes. What is drawn are the files' numbers."""

import itertools
import math

import numpy as np
import pytest
from matplotlib.text import Text
from synthetic import RUNS, content, read, rewrite, write_reports

from sslpipe.reporting.figures.budget import budget_figure, front
from sslpipe.reporting.figures.knn_k import knn_k_figure
from sslpipe.reporting.figures.labels import Labels
from sslpipe.reporting.figures.layout import panels
from sslpipe.reporting.figures.probe_grid import plane, probe_grid_figure
from sslpipe.reporting.figures.ticks import decimal_ticks, short
from sslpipe.reporting.results import Results
from sslpipe.reporting.scored import Scored

MOCO = ("moco", "moco_seed1", "moco_seed2")


@pytest.fixture
def made(tmp_path):
    return write_reports(tmp_path, content(RUNS), images=120)


def scored(made):
    return Scored(Results(*made))


def change(path, **values):
    rewrite(path, read(path) | values)


def lines(panel, gid):
    return [line for line in panel.lines if line.get_gid() == gid]


def mean(layout, runs, key, dataset="zoo"):
    return np.mean([read(layout.metrics(run, dataset))[key] for run in runs])


# --- budget -----------------------------------------------------------------------------------


def dominated(i, costs, scores):
    """By the definition: another one is at least as good in both, and better in one."""
    return any(
        costs[j] <= costs[i] and scores[j] >= scores[i]
        and (costs[j] < costs[i] or scores[j] > scores[i])
        for j in range(len(costs))
    )  # fmt: skip


def test_the_front_is_what_nothing_dominates():
    random = np.random.default_rng(0)
    for number in (1, 2, 7, 40):
        for _ in range(20):
            costs = random.integers(1, 12, number).tolist()  # with equal ones
            scores = random.integers(0, 12, number).tolist()
            found = front(costs, scores)
            best = {(costs[i], scores[i]) for i in range(number) if not dominated(i, costs, scores)}
            assert {(costs[i], scores[i]) for i in found} == best and len(found) == len(best)
            assert [costs[i] for i in found] == sorted(costs[i] for i in found)
    assert front([], []) == [] and front([1, 1], [5, 5]) == [0]


def test_budget_draws_mean_probe_scores_over_costs(made):
    _, layout = made
    change(layout.pretrain_report("moco"), train_seconds=7200.0, gpus=4)
    change(layout.pretrain_report("moco_seed1"), train_seconds=3600.0, gpus=0)  # on a CPU
    change(layout.pretrain_report("moco_seed2"), train_seconds=3600.0, gpus=1)
    hours, _, seen, _ = budget_figure(scored(made)).axes
    (moco,) = lines(hours, "moco")
    assert moco.get_xdata() == pytest.approx([(8 + 1 + 1) / 3])
    assert moco.get_ydata() == pytest.approx([mean(layout, MOCO, "probe_top1")])
    report = read(layout.pretrain_report("moco"))
    assert lines(seen, "moco")[0].get_xdata().tolist() == [report["images"] * report["epochs"]]
    assert hours.get_xscale() == seen.get_xscale() == "log"
    levels = {line.get_ydata()[0] for line in lines(hours, "baseline")}
    assert levels == {mean(layout, [run], "probe_top1") for run in ("untrained", "raw_pixels")}
    markers = {lines(hours, method)[0].get_marker() for method in ("simclr", "moco", "byol")}
    assert len(markers) == 3


def test_the_drawn_front_steps_through_the_best_points(made):
    _, layout = made
    seconds = {"simclr": 100.0, "moco": 400.0, "byol": 900.0}
    for run in (*MOCO, "simclr", "byol"):
        change(layout.pretrain_report(run), train_seconds=seconds[run.partition("_")[0]])
    panel = budget_figure(scored(made)).axes[0]
    (line,) = lines(panel, "front")
    first, second = (
        mean(layout, runs, "probe_top1") for runs in (["simclr"], MOCO)
    )  # byol is worse than both
    assert line.get_drawstyle() == "steps-post"
    assert line.get_ydata().tolist() == pytest.approx([first, second, second])
    assert line.get_xdata()[:2] == pytest.approx([100 / 3600, 400 / 3600])
    assert line.get_xdata()[2] == panel.get_xlim()[1]


def test_budget_names_points_without_covering_anything(made):
    figure = budget_figure(scored(made))
    figure.draw_without_rendering()
    for panel in figure.axes:
        assert sorted(text.get_text() for text in panel.texts) == ["byol", "moco", "simclr"]
        boxes = [
            Text.get_window_extent(text) for text in panel.texts
        ]  # without the line to its point
        for one, other in itertools.combinations(boxes, 2):
            assert not one.overlaps(other)
        dots = [line for m in ("simclr", "moco", "byol") for line in lines(panel, m)]
        for dot in dots:
            x, y = panel.transData.transform((dot.get_xdata()[0], dot.get_ydata()[0]))
            assert not any(box.contains(x, y) for box in boxes)


def test_labels_find_room_or_are_left_out():
    figure, ((panel,),) = panels(1, 1)
    panel.set(xlim=(0, 1), ylim=(0, 1))
    points = [(0.5, 0.5 + i / 1000) for i in range(120)]
    labels = Labels(panel, points)
    placed = sum(labels.put(f"a_long_name_{i}", point) for i, point in enumerate(points))
    assert 3 < placed < 120 and len(panel.texts) == placed
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in panel.texts]  # without the line to its point
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    inside = panel.get_window_extent()
    assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in boxes)


def test_ticks_that_can_be_read():
    assert decimal_ticks(0.9, 30) == [1, 2, 5, 10, 20]
    assert decimal_ticks(1e-4, 1) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1])
    for low, high in ((0.003, 0.013), (7, 31), (1e5, 5e5), (1e-6, 1e6)):
        ticks = decimal_ticks(low, high)
        assert 1 <= len(ticks) <= 6 and all(low <= tick <= high for tick in ticks)
    words = [short(value) for value in (0.002, 50, 5000, 20_000, 1.5e6, 2e9, 0)]
    assert words == ["0.002", "50", "5000", "20 k", "1.5 M", "2 G", "0"]


# --- number of neighbours ---------------------------------------------------------------------


def test_knn_over_k_is_the_mean_of_the_files_scores(made):
    params, layout = made
    ks = sorted({*params.evaluate.knn.also_k, params.evaluate.knn.k})
    change(layout.metrics("moco", "zoo"), knn_200_top1=None)  # more than there were images
    for run in ("simclr", "byol"):
        change(layout.metrics(run, "zoo"), knn_200_top1=None)
    figure = knn_k_figure(scored(made))
    simclr, moco, _ = [line for line in figure.axes[0].lines if line.get_gid() is None]
    assert simclr.get_xdata().tolist() == [k for k in ks if k != 200]
    assert moco.get_xdata().tolist() == ks
    for k, value in zip(ks, moco.get_ydata(), strict=True):
        runs = MOCO if k != 200 else MOCO[1:]
        key = "knn_top1" if k == params.evaluate.knn.k else f"knn_{k}_top1"
        assert value == pytest.approx(mean(layout, runs, key))
    (studied,) = lines(figure.axes[0], "studied")
    assert studied.get_xdata() == [20, 20]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "simclr", "moco (3 seeds)", "byol", "untrained", "raw_pixels", "k = 20, used elsewhere",
    ]  # fmt: skip


def test_where_fewer_training_images_than_k_vote_their_number_is_shown(made):
    params, layout = made
    few = {"knn_k": 12} | {f"knn_{k}_top1": None for k in params.evaluate.knn.also_k if k > 12}
    for run in params.runs:
        if layout.metrics(run, "sun").exists():
            change(layout.metrics(run, "sun"), **few)
    figure = knn_k_figure(scored(made))
    zoo, sun = (lines(panel, "studied")[0].get_xdata()[0] for panel in figure.axes)
    assert (zoo, sun) == (20, 12)
    simclr = next(line for line in figure.axes[1].lines if line.get_gid() is None)
    assert simclr.get_xdata()[-1] == 12
    assert simclr.get_ydata()[-1] == pytest.approx(mean(layout, ["simclr"], "knn_top1", "sun"))
    assert "k = 20, or all, used elsewhere" in [
        text.get_text() for text in figure.legends[0].get_texts()
    ]


# --- the grid of probes -----------------------------------------------------------------------


def cells(panel):
    return np.asarray(panel.collections[0].get_array())


def test_the_grid_of_the_best_setting_of_each_method(made):
    _, layout = made
    for run in MOCO:
        change(layout.metrics(run, "zoo"), probe_val_top1=0.5)
    features = read(layout.features("moco", "zoo"))
    grid = features["grid"]
    choice = grid[6]  # in neither the first row nor the first column
    choice["val_top1"] = 1.0
    rewrite(layout.features("moco", "zoo"), features)
    change(
        layout.metrics("moco", "zoo"), probe_best_lr=choice["lr"],
        probe_best_weight_decay=choice["weight_decay"], probe_best_on_edge=True,
    )  # fmt: skip
    figure = probe_grid_figure(scored(made))
    assert len(figure.axes) == 3 * 2
    panel = figure.axes[2]  # second method, first data set
    assert panel.get_title() == "zoo: moco\nbest on the edge of the grid"
    rates = [label.get_text() for label in panel.get_xticklabels()]
    decays = [label.get_text() for label in panel.get_yticklabels()]
    drawn = cells(panel)
    for cell in grid:
        place = decays.index(f"{cell['weight_decay']:g}"), rates.index(f"{cell['lr']:g}")
        assert drawn[place] == pytest.approx(100 * cell["val_top1"])
    (frame,) = [patch for patch in panel.patches if patch.get_gid() == "chosen"]
    row, column = math.floor(frame.get_y()), math.floor(frame.get_x())
    assert drawn[row, column] == drawn.max() == pytest.approx(100 * choice["val_top1"])


def test_best_is_by_validation_and_by_the_mean_over_seeds(tmp_path):
    runs = {**RUNS, "moco_fast": {"method": "moco", "lr": 0.03}}
    made = write_reports(tmp_path, content(runs), images=60)
    _, layout = made
    for run, validation in zip((*MOCO, "moco_fast"), (0.9, 0.1, 0.2, 0.5), strict=True):
        change(layout.metrics(run, "zoo"), probe_val_top1=validation, probe_top1=1 - validation)
    assert probe_grid_figure(scored(made)).axes[2].get_title() == "zoo: moco_fast"


def test_several_optimisers_show_the_chosen_one(tmp_path):
    params = content({"moco": {"method": "moco"}})
    params["evaluate"]["probe"]["optimizer"] = ["adam", "sgd"]
    made = write_reports(tmp_path, params, images=60)
    change(made[1].metrics("moco", "zoo"), probe_best_optimizer="sgd")
    panel = probe_grid_figure(scored(made)).axes[0]
    assert panel.get_title() == "zoo: moco, sgd"
    grid = read(made[1].features("moco", "zoo"))["grid"]
    expected = plane(grid, "sgd")
    assert cells(panel).reshape(expected.shape) == pytest.approx(100 * expected.to_numpy())
    (cell,) = [
        c for c in grid if (c["optimizer"], c["lr"], c["weight_decay"]) == ("sgd", 0.1, 0.01)
    ]
    assert expected.loc[0.01, 0.1] == cell["val_top1"]


def test_an_untrained_encoder_of_the_same_backbone_is_preferred(tmp_path):
    runs = {
        "moco": {"method": "moco", "backbone": "resnet34"},
        "small": {"method": "random"},
        "same": {"method": "random", "backbone": "resnet34"},
        "pixels": {"method": "random", "backbone": "pixels"},
    }
    params, layout = write_reports(tmp_path, content(runs), images=60)
    known = scored((params, layout))
    assert known.untrained("zoo", known.best("zoo", known.trained)).name == "same"
    layout.metrics("same", "zoo").unlink()
    known = scored((params, layout))
    assert known.untrained("zoo", known.best("zoo", known.trained)).name == "small"
    layout.metrics("small", "zoo").unlink()
    known = scored((params, layout))
    assert known.untrained("zoo", known.best("zoo", known.trained)) is None  # not raw pixels
