"""Studies, of reports/ with made-up numbers, against what those say by hand."""

import json

import numpy as np
import pytest
from scipy import stats
from synthetic import content, read, rewrite, write_reports

from sslpipe.errors import UserError
from sslpipe.io.arrays import read_arrays, write_arrays
from sslpipe.reporting import statistics
from sslpipe.reporting.figures.study import study_figure
from sslpipe.reporting.leaderboard import leaderboard
from sslpipe.reporting.results import Results
from sslpipe.reporting.studies import studies, study_rows
from sslpipe.stages import study as stage

RUNS = {
    "moco": {"method": "moco"},
    "moco_seed1": {"method": "moco", "seed": 1},
    "moco_lr_01": {"method": "moco", "lr": 0.1},
    "moco_lr_00001": {"method": "moco", "lr": 1.0e-4},
    "simclr": {"method": "simclr"},
    "simclr_lr_01": {"method": "simclr", "lr": 0.1},
    "plain": {"method": "moco", "bn_groups": 1, "shuffle_bn": False},
    "shuffled": {"method": "moco", "bn_groups": 1},
    "untrained": {"method": "random"},
}
LR = {
    "runs": [name for name in RUNS if "lr" in name or name.startswith(("moco", "simclr"))],
    "x": "lr",
}


def reports(tmp_path, studies=None, runs=RUNS, **options):
    return write_reports(tmp_path, content(runs, studies=studies or {"lr": LR}), **options)


def rows(made, name="lr"):
    return study_rows(Results(*made), name)


def row(study, run):
    return next(row for row in study["rows"] if row["run"] == run)


# --- rows -------------------------------------------------------------------------------------


def test_rows_by_line_then_by_x_with_seeds_together(tmp_path):
    study = rows(reports(tmp_path))
    assert [(r["line"], r["x"], r["run"]) for r in study["rows"]] == [
        ("moco", [1e-4], "moco_lr_00001"),
        ("moco", [1e-3], "moco"),
        ("moco", [0.1], "moco_lr_01"),
        ("simclr", [1e-3], "simclr"),
        ("simclr", [0.1], "simclr_lr_01"),
    ]
    assert row(study, "moco")["runs"] == ["moco", "moco_seed1"]
    assert row(study, "moco")["seeds"] == [0, 1]
    assert study["by"] == ["method"] and study["lines"] == ["moco", "simclr"]
    assert (study["scale"], study["x"], study["x_label"]) == ("log", ["lr"], "lr")
    assert [r["place"] for r in study["rows"][:3]] == [1e-4, 1e-3, 0.1]
    assert study["title"] == "lr" and study["differing"] == {}
    json.dumps(study, allow_nan=False)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1e-4, 1e-3], "linear"),  # no more than a factor of ten
        ([1e-4, 2e-3], "log"),
        ([0.0, 1e-3], "linear"),
        ([0.0, 1e-4, 1e-2], "symlog"),
    ],
)
def test_scale_of_numbers(tmp_path, values, scale):
    runs = {f"run_{i}": {"method": "moco", "weight_decay": v} for i, v in enumerate(values)}
    made = reports(tmp_path, {"wd": {"runs": list(runs), "x": "weight_decay"}}, runs, images=40)
    assert rows(made, "wd")["scale"] == scale


def test_several_keys_make_combined_labels_in_the_studys_order(tmp_path):
    study = {"runs": ["moco", "plain", "shuffled"], "x": ["bn_groups", "shuffle_bn"]}
    found = rows(reports(tmp_path, {"bn": study}), "bn")
    assert [r["x_label"] for r in found["rows"]] == ["4, true", "1, false", "1, true"]
    assert [r["place"] for r in found["rows"]] == [0, 1, 2]
    assert found["scale"] == "category" and found["categories"] == [
        "4, true",
        "1, false",
        "1, true",
    ]
    assert found["x_label"] == "bn_groups, shuffle_bn" and found["differing"] == {}


def test_categories_stand_in_the_studys_order_whatever_the_lines(tmp_path):
    runs = {
        "a": {"method": "moco", "corpus": "more"},
        "b": {"method": "simclr", "corpus": "base"},
        "c": {"method": "simclr", "corpus": "more"},
    }
    study = {"runs": ["b", "a", "c"], "x": "corpus"}
    found = rows(reports(tmp_path, {"corpus": study}, runs, images=40), "corpus")
    assert found["categories"] == ["base", "more"]
    assert [(r["run"], r["place"]) for r in found["rows"]] == [("b", 0), ("c", 1), ("a", 1)]


def test_a_study_by_seed_shows_each_run(tmp_path):
    made = reports(tmp_path, {"seed": {"runs": ["moco", "moco_seed1"], "x": "seed"}})
    found = rows(made, "seed")
    assert [(r["run"], r["x"]) for r in found["rows"]] == [("moco", [0]), ("moco_seed1", [1])]


def test_settings_that_change_nothing_can_be_x_too(tmp_path):
    runs = {"one": {"method": "moco"}, "two": {"method": "moco", "gpus": 2}}
    found = rows(reports(tmp_path, {"gpus": {"runs": list(runs), "x": "gpus"}}, runs), "gpus")
    assert [r["x"] for r in found["rows"]] == [[1], [2]]


# --- scores -----------------------------------------------------------------------------------


def hits(made, runs, dataset, score):
    arrays = [read_arrays(made[1].predictions(run, dataset)) for run in runs]
    return np.mean([some[score] == some["label"] for some in arrays], axis=0)


def test_intervals_and_differences_are_those_of_the_statistics(tmp_path):
    made = reports(tmp_path)
    study = rows(made)
    report = made[0].report
    arrays = read_arrays(made[1].predictions("moco", "sun"))
    for score, answers in (("knn_top1", "knn"), ("probe_top1", "probe")):
        two, one = (
            hits(made, runs, "sun", answers) for runs in (["moco", "moco_seed1"], ["moco_lr_01"])
        )
        draws = statistics.bootstrap(
            np.stack([two, one], axis=1), arrays["label"], arrays["private"],
            resamples=report.resamples, seed=report.seed,
        ).overall  # fmt: skip
        base, other = (row(study, run)["scores"]["sun"][score] for run in ("moco", "moco_lr_01"))
        values = [read(made[1].metrics(r, "sun"))[score] for r in ("moco", "moco_seed1")]
        assert base["values"] == values and base["mean"] == pytest.approx(np.mean(values))
        assert base["std"] == pytest.approx(np.std(values, ddof=1)) and other["std"] is None
        for found, column in ((base, 0), (other, 1)):
            expected = np.quantile(draws[:, column], [0.025, 0.975])
            assert [found["low"], found["high"]] == pytest.approx(expected, abs=1e-6)
        assert other["difference"] == pytest.approx(one.mean() - two.mean(), abs=1e-6)
        expected = np.quantile(draws[:, 1] - draws[:, 0], [0.025, 0.975])
        assert [other["difference_low"], other["difference_high"]] == pytest.approx(
            expected, abs=1e-6
        )
        assert base["difference"] is base["p"] is None


def test_the_same_intervals_as_the_leaderboards(tmp_path):
    made = reports(tmp_path)
    whole = leaderboard(Results(*made), {"report": {}, "evaluate": {}})
    for found in rows(made)["rows"]:
        for dataset, scores in found["scores"].items():
            (theirs,) = [
                r for r in whole["rows"] if (r["dataset"], r["run"]) == (dataset, found["run"])
            ]
            for key, score in scores.items():
                for part in ("mean", "std", "low", "high"):
                    assert score[part] == pytest.approx(theirs["scores"][key][part], abs=1e-6)


def test_p_values_by_scipy_and_adjusted_by_hand(tmp_path):
    study = rows(made := reports(tmp_path))
    pairs = [("moco_lr_00001", "moco"), ("moco_lr_01", "moco"), ("simclr_lr_01", "simclr")]
    seeds = {"moco": ["moco", "moco_seed1"]}
    plain = []
    for one, other in pairs:
        assert row(study, one)["compared_with"] == other
        a, b = (hits(made, seeds.get(run, [run]), "zoo", "probe") for run in (one, other))
        if set(np.unique([a, b])) <= {0.0, 1.0}:
            only, others = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
            plain.append(stats.binomtest(only, only + others).pvalue)
        else:
            plain.append(stats.ttest_rel(a, b).pvalue)
    order = np.argsort(plain)
    expected, running = {}, 0.0
    for place, i in enumerate(order):
        running = max(running, min(1.0, (len(plain) - place) * plain[i]))
        expected[pairs[i][0]] = running
    for run, p in expected.items():
        assert row(study, run)["scores"]["zoo"]["probe_top1"]["p"] == pytest.approx(p, abs=1e-5)


def test_the_first_run_of_a_line_is_the_base_wherever_it_stands(tmp_path):
    study = {"runs": ["moco_lr_01", "moco", "moco_lr_00001"], "x": "lr"}
    found = rows(reports(tmp_path, {"lr": study}, images=40))
    assert [(r["run"], r["compared_with"]) for r in found["rows"]] == [
        ("moco_lr_00001", "moco_lr_01"), ("moco", "moco_lr_01"), ("moco_lr_01", None),
    ]  # fmt: skip


def test_several_studies_at_once_are_the_same_as_one_by_one(tmp_path):
    declared = {
        "lr": LR,
        "bn": {"runs": ["moco", "plain"], "x": ["bn_groups", "shuffle_bn"]},
        "seed": {"runs": ["moco", "moco_seed1"], "x": "seed"},
        "none": {"runs": [], "x": "lr"},
    }
    made = reports(tmp_path, declared)
    together = studies(Results(*made))
    assert list(together) == list(declared)
    for name in declared:
        assert together[name] == rows(made, name)


def test_cost_is_the_mean_over_seeds(tmp_path):
    made = reports(tmp_path)
    for run, seconds in (("moco", 3600.0), ("moco_seed1", 7200.0)):
        path = made[1].pretrain_report(run)
        rewrite(path, read(path) | {"train_seconds": seconds, "gpus": 2})
    found = row(rows(made), "moco")
    assert found["train_seconds"] == 5400 and found["device_hours"] == pytest.approx(3)


# --- what else differs, and what is missing ---------------------------------------------------


def test_other_differences_are_named(tmp_path):
    runs = {
        "a": {"method": "moco"},
        "b": {"method": "moco", "lr": 0.1, "epochs": 9, "projector": {"output": 64}},
        "c": {"method": "simclr"},
        "d": {"method": "simclr", "lr": 0.1, "views": {"local": 2, "local_size": 24}},
    }
    study = {"runs": list(runs), "x": "lr"}
    found = rows(reports(tmp_path, {"lr": study}, runs, images=40))
    assert found["differing"] == {"moco": ["epochs", "projector.output"], "simclr": ["views.local"]}


def test_what_belongs_to_x_is_no_other_difference(tmp_path):
    runs = {
        "none": {"method": "moco", "views": {"local_size": 20}},  # without local crops no effect
        "local": {"method": "moco", "views": {"local": 2, "local_size": 24}},
        "wide": {"method": "moco", "backbone": "resnet34", "seed": 3, "threads": 2},
    }
    declared = {
        "local": {"runs": ["none", "local"], "x": "views.local"},
        "net": {"runs": ["none", "wide"], "x": "backbone"},
        "method": {"runs": ["none", "untrained"], "x": "method"},
    }
    made = reports(tmp_path, declared, runs | {"untrained": {"method": "random"}}, images=40)
    for name in declared:
        assert rows(made, name)["differing"] == {}


def test_methods_differ_in_what_they_share(tmp_path):
    """Settings that only one of them has come with the method; the learning rate does not."""
    runs = {"moco": {"method": "moco"}, "byol": {"method": "byol"}}
    found = rows(reports(tmp_path, {"m": {"runs": list(runs), "x": "method"}}, runs), "m")
    assert set(found["differing"][""]) >= {"lr", "optimizer", "lr_scaling"}
    assert not {"queue", "temperature", "predictor_hidden"} & set(found["differing"][""])


def test_missing_runs_and_scores_are_left_out_and_named(tmp_path):
    made = reports(tmp_path, without=("moco_lr_01", "simclr"))
    made[1].metrics("moco_lr_00001", "sun").unlink()
    study = rows(made)
    assert [r["run"] for r in study["rows"]] == ["moco_lr_00001", "moco", "simclr_lr_01"]
    assert study["unfinished"] == ["moco_lr_01", "simclr"]
    assert study["unscored"] == [{"dataset": "sun", "run": "moco_lr_00001"}]
    assert list(row(study, "moco_lr_00001")["scores"]) == ["zoo"]
    alone = row(study, "simclr_lr_01")
    assert alone["compared_with"] is None and alone["scores"]["zoo"]["knn_top1"]["p"] is None


def test_a_base_without_scores_leaves_nothing_to_compare_with(tmp_path):
    made = reports(tmp_path)
    for run in ("moco", "moco_seed1"):
        made[1].metrics(run, "zoo").unlink()
    study = rows(made)
    assert row(study, "moco_lr_01")["scores"]["zoo"]["probe_top1"]["difference"] is None
    assert row(study, "moco_lr_01")["scores"]["sun"]["probe_top1"]["difference"] is not None
    assert "zoo" not in row(study, "moco")["scores"]
    assert row(study, "simclr_lr_01")["scores"]["zoo"]["probe_top1"]["p"] is not None


def test_runs_scored_on_other_images_are_refused(tmp_path):
    made = reports(tmp_path)
    path = made[1].predictions("moco_lr_01", "zoo")
    arrays = read_arrays(path)
    arrays["label"] = arrays["label"][::-1]
    write_arrays(path, arrays)
    with pytest.raises(UserError, match=r"zoo: moco_lr_01 and .* were scored on different images"):
        rows(made)
    path.unlink()  # without them nothing says whose the scores are
    assert "zoo" not in row(rows(made), "moco_lr_01")["scores"]


# --- page and figure --------------------------------------------------------------------------


def written(made, name):
    stage.run(*made, name)
    text = made[1].study(name).read_text()
    for kind in ("png", "svg"):
        assert made[1].figure(f"study_{name}", kind).stat().st_size > 1000
    return text


def table(text, heading):
    lines = text.split(f"\n## {heading}\n")[1].strip().split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_holds_the_numbers(tmp_path):
    made = reports(tmp_path, {"lr": LR | {"title": "How fast to learn"}})
    text, study = written(made, "lr"), rows(made)
    assert text.startswith("# How fast to learn\n")
    assert "![Top-1 over lr](../figures/study_lr.png)" in text
    headings, _, *body = table(text, "zoo")
    assert headings[:4] == ["method", "lr", "run", "k-NN top-1"]
    assert len(body) == len(study["rows"])
    for cells, found in zip(body, study["rows"], strict=True):
        score = found["scores"]["zoo"]["probe_top1"]
        assert cells[:3] == [found["line"], found["x_label"], f"`{found['run']}`"]
        assert cells[6].startswith(f"{100 * score['mean']:.1f}")
        assert cells[6].endswith(f"({100 * score['low']:.1f}–{100 * score['high']:.1f})")
        assert (cells[7] == "–") == (found["compared_with"] is None)
        if score["std"] is not None:
            assert f"± {100 * score['std']:.1f}" in cells[6]
    _, _, *body = table(text, "Training")
    assert [cells[3] for cells in body] == ["0", "0, 1", "0", "0", "0"]
    assert {cells[5] for cells in body} == {"10.0 s"}
    assert "Not the only difference" not in text and "Left out" not in text


def test_the_page_says_what_else_differs_and_what_is_missing(tmp_path):
    runs = RUNS | {"long": {"method": "moco", "lr": 0.3, "epochs": 9}}
    study = {"runs": ["moco", "long", "moco_lr_01", "moco_lr_00001"], "x": "lr"}
    made = reports(tmp_path, {"lr": study}, runs, without=("moco_lr_01",))
    made[1].metrics("moco_lr_00001", "sun").unlink()
    text = written(made, "lr")
    assert "the rows differ in `epochs` too" in text
    assert "Left out, as they have not been trained: `moco_lr_01`." in text
    assert "Trained, but not evaluated: `moco_lr_00001` on sun." in text


@pytest.mark.parametrize("names", [[], ["moco", "simclr"]])
def test_an_empty_study_still_has_a_page_and_a_figure(tmp_path, names):
    declared = {"empty": {"runs": names, "x": "lr"}}
    made = reports(tmp_path, declared, without=tuple(RUNS))
    text = written(made, "empty")
    assert "No run of this study" in text and ("Left out" in text) == bool(names)
    (panel,) = study_figure(rows(made, "empty")).axes
    assert [words.get_text() for words in panel.texts] == ["no finished run of this study"]


def test_trained_but_not_evaluated(tmp_path):
    made = reports(tmp_path)
    for path in (made[1].root / "reports/metrics").rglob("*.json"):
        path.unlink()
    text = written(made, "lr")
    assert "## zoo" not in text and "## Training" in text


def test_an_unknown_study_is_one_line(tmp_path):
    made = reports(tmp_path)
    with pytest.raises(UserError, match=r"no study named .nope. in params\.yaml; there are: lr"):
        stage.run(*made, "nope")


def test_the_same_bytes_again(tmp_path):
    made = reports(tmp_path)
    text = written(made, "lr")
    files = [made[1].figure("study_lr", kind) for kind in ("png", "svg")]
    first = [path.read_bytes() for path in files]
    assert written(made, "lr") == text and [path.read_bytes() for path in files] == first


def drawn(panel, gid):
    return [line for line in panel.lines if line.get_gid() == gid]


def test_the_figure_draws_the_rows(tmp_path):
    study = rows(reports(tmp_path))
    figure = study_figure(study)
    assert [panel.get_title() for panel in figure.axes] == ["zoo", "sun"]
    panel = figure.axes[1]
    assert panel.get_xscale() == "log" and panel.get_xlabel() == "lr"
    for score in ("knn_top1", "probe_top1"):
        moco, simclr = drawn(panel, score)
        for line, name in ((moco, "moco"), (simclr, "simclr")):
            some = [r for r in study["rows"] if r["line"] == name]
            assert line.get_xdata().tolist() == [r["x"][0] for r in some]
            assert line.get_ydata().tolist() == [r["scores"]["sun"][score]["mean"] for r in some]
        bars = [c for c in panel.collections if c.get_gid() == f"interval {score}"]
        segments = [s[:, 1].tolist() for c in bars for s in c.get_segments()]
        assert segments == [
            [r["scores"]["sun"][score][end] for end in ("low", "high")] for r in study["rows"]
        ]
        (seeds,) = drawn(panel, f"seeds {score}")
        assert seeds.get_ydata().tolist() == row(study, "moco")["scores"]["sun"][score]["values"]
        low, high = panel.get_ylim()
        assert low < min(map(min, segments)) and max(map(max, segments)) < high
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "moco", "simclr", "k-NN", "linear probe", "a single seed",
    ]  # fmt: skip


def test_curves_of_a_place_stand_beside_one_another(tmp_path):
    """Shifted on the screen, not in the data, so that intervals do not hide one another."""
    figure = study_figure(rows(reports(tmp_path)))
    figure.draw_without_rendering()
    panel = figure.axes[0]
    curves = [*drawn(panel, "knn_top1"), *drawn(panel, "probe_top1")]
    at = [
        line.get_transform().transform([(1e-3, 0.5)])[0, 0] for line in curves
    ]  # where lr 0.001 is drawn
    gaps = np.diff(np.sort(at)) * 72 / figure.dpi
    assert len(at) == 4 and gaps == pytest.approx(3.0)
    middle = panel.transData.transform([(1e-3, 0.5)])[0, 0]
    assert np.mean(at) == pytest.approx(middle)


def test_categories_of_the_figure(tmp_path):
    study = {"runs": ["plain", "shuffled", "moco"], "x": ["bn_groups", "shuffle_bn"]}
    found = rows(reports(tmp_path, {"bn": study}), "bn")
    panel = study_figure(found).axes[0]
    assert [t.get_text() for t in panel.get_xticklabels()] == ["1, false", "1, true", "4, true"]
    assert drawn(panel, "probe_top1")[0].get_xdata().tolist() == [0, 1, 2]


def test_a_zero_has_its_place_beside_powers_of_ten(tmp_path):
    values = [0.0, 1e-5, 1e-3]
    runs = {f"run_{i}": {"method": "moco", "weight_decay": v} for i, v in enumerate(values)}
    made = reports(tmp_path, {"wd": {"runs": list(runs), "x": "weight_decay"}}, runs, images=40)
    panel = study_figure(rows(made, "wd")).axes[0]
    at = panel.transAxes.inverted().transform(
        panel.transData.transform([(v, 0.5) for v in values])
    )[:, 0]
    assert 0 < at[0] < at[1] - 0.1 < at[2] - 0.3 < 0.9
