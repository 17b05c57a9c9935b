"""The leaderboard, of reports/ with made-up numbers, against what those say by hand."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats
from synthetic import RUNS, content, read, rewrite, write_reports

from sslpipe.errors import UserError
from sslpipe.io.arrays import read_arrays, write_arrays
from sslpipe.reporting.leaderboard import compared, leaderboard, rows_of
from sslpipe.reporting.leaderboard_text import as_csv, as_markdown
from sslpipe.reporting.results import Results
from sslpipe.reporting.statistics import holm, paired_p_values
from sslpipe.stages import leaderboard as stage

FEW = {"runs": ["moco"], "epochs": 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_reports(tmp_path_factory.mktemp("made"), content(RUNS, finetune=FEW))


@pytest.fixture(scope="module")
def whole(made):
    return of(*made)


def of(params, layout):
    settings = {key: getattr(params, key).model_dump(mode="json") for key in ("evaluate", "report")}
    return leaderboard(Results(params, layout), settings)


def reports(tmp_path, runs, **changed):
    return write_reports(tmp_path, content(runs, **changed.pop("params", {})), **changed)


def row(whole, dataset, run):
    return next(row for row in rows_of(whole, dataset) if row["run"] == run)


def section(markdown, dataset):
    return markdown.split(f"\n## {dataset}\n")[1].split("\n## ")[0]


def tables(text):
    """Each table as rows of cells without bold and code marks."""
    found, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip(" *`") for cell in line.strip("|").split("|")])
        elif rows:
            found.append(rows)
            rows = []
    return found


# --- rows -------------------------------------------------------------------------------------


def test_runs_that_differ_in_their_seed_alone_share_a_row(whole, made):
    moco = row(whole, "zoo", "moco")
    assert moco["runs"] == ["moco", "moco_seed1", "moco_seed2"] and moco["seeds"] == [0, 1, 2]
    values = [read(made[1].metrics(run, "zoo"))["probe_top1"] for run in moco["runs"]]
    score = moco["scores"]["probe_top1"]
    assert score["values"] == values
    assert score["mean"] == pytest.approx(np.mean(values))
    assert score["std"] == pytest.approx(np.std(values, ddof=1))
    assert row(whole, "zoo", "simclr")["scores"]["probe_top1"]["std"] is None


def test_a_run_that_differs_in_more_has_a_row_of_its_own(tmp_path):
    runs = {**RUNS, "moco_seed1": {"method": "moco", "seed": 1, "lr": 0.01}}
    whole = of(*reports(tmp_path, runs))
    assert row(whole, "zoo", "moco")["runs"] == ["moco", "moco_seed2"]
    assert row(whole, "zoo", "moco_seed1")["runs"] == ["moco_seed1"]


def test_what_does_not_change_the_training_makes_no_setting(tmp_path):
    runs = {"a": {"method": "moco"}, "b": {"method": "moco", "seed": 1, "threads": 3}}
    assert row(of(*reports(tmp_path, runs)), "zoo", "a")["runs"] == ["a", "b"]


def test_order_of_rows(whole):
    """Trained ones by the public score, then baselines, then chance; data sets as in params.yaml."""
    assert list(whole["datasets"]) == ["zoo", "sun"]
    for dataset in ("zoo", "sun"):
        rows = rows_of(whole, dataset)
        kinds = [row["kind"] for row in rows]
        assert kinds == ["trained"] * 3 + ["baseline"] * 2 + ["chance"]
        public = [row["scores"]["public_top1"]["mean"] for row in rows[:3]]
        assert public == sorted(public, reverse=True)


def test_baselines_have_neither_corpus_nor_cost(whole):
    for run in ("untrained", "raw_pixels"):
        found = row(whole, "zoo", run)
        assert found["corpus"] is found["device_hours"] is found["images_seen"] is None
    assert row(whole, "zoo", "raw_pixels")["method"] is None
    assert row(whole, "zoo", "chance")["scores"]["private_top1"]["mean"] == pytest.approx(1 / 6)


def test_cost_of_a_setting(whole, made):
    report = read(made[1].pretrain_report("simclr"))
    found = row(whole, "zoo", "simclr")
    assert found["device_hours"] == pytest.approx(report["train_seconds"] / 3600)
    assert found["images_seen"] == report["images"] * report["epochs"]


def test_fine_tuning_is_of_the_runs_that_were_tuned(whole, made):
    tuned = row(whole, "zoo", "moco")["scores"]["finetune_top1"]
    assert tuned["values"] == [read(made[1].finetune_metrics("moco", "zoo"))["finetune_top1"]]
    assert tuned["low"] < tuned["mean"] < tuned["high"]
    assert "finetune_top1" not in row(whole, "zoo", "simclr")["scores"]


# --- how sure ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "name", "half"),
    [("probe_top1", "probe", None), ("public_top1", "probe", False),
     ("private_top1", "probe", True), ("knn_top1", "knn", None),
     ("finetune_public_top1", "finetune", False), ("finetune_private_top1", "finetune", True),
     ("fewlabels_10_top1", "fewlabels_10", None)],
)  # fmt: skip
def test_intervals_agree_with_scipys_bootstrap(whole, made, key, name, half):
    run, path = ("simclr", made[1].predictions("simclr", "zoo"))
    if name == "finetune":
        run, path = "moco", made[1].finetune_predictions("moco", "zoo")
    arrays = np.load(path)
    hits = arrays[name] if arrays[name].dtype == bool else arrays[name] == arrays["label"]
    hits = hits if half is None else hits[arrays["private"] == half]
    theirs = stats.bootstrap(
        (hits.astype(float),), np.mean, n_resamples=9999, method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    score = row(whole, "zoo", run)["scores"][key]
    assert score["mean"] == pytest.approx(hits.mean())
    assert (score["low"], score["high"]) == pytest.approx((theirs.low, theirs.high), abs=0.012)


def test_every_score_with_answers_has_an_interval(whole):
    without = {"probe_val_top1", "probe_gain", "probe_best_lr", "probe_best_weight_decay",
               "effective_rank", "alignment", "uniformity"}  # fmt: skip
    for key, score in row(whole, "zoo", "moco")["scores"].items():
        also_k = key.startswith("knn_") and key.split("_")[1].isdigit()
        assert (score["low"] is None) == (key in without or also_k), key
        if score["low"] is not None:
            assert score["low"] <= score["mean"] <= score["high"]


def test_comparisons_are_paired_and_adjusted_over_all_pairs(whole, made):
    hits = {}
    for run in ("simclr", "byol", "untrained", "raw_pixels"):
        arrays = np.load(made[1].predictions(run, "zoo"))
        hits[run] = arrays["probe"] == arrays["label"]
    found = compared(whole, "zoo", "simclr", "byol")
    assert found.difference == pytest.approx(hits["simclr"].mean() - hits["byol"].mean(), abs=1e-6)
    assert found.low < found.difference < found.high
    mirrored = compared(whole, "zoo", "byol", "simclr")
    assert (mirrored.low, mirrored.p) == (-found.high, found.p)
    only = int((hits["simclr"] & ~hits["byol"]).sum())
    other = int((~hits["simclr"] & hits["byol"]).sum())
    raw = stats.binomtest(only, only + other).pvalue
    assert found.p >= round(raw, 6)  # ten pairs: adjusted upwards
    table = whole["comparisons"]["zoo"]
    assert len(table["runs"]) == 5 and np.allclose(np.array(table["p"]), np.array(table["p"]).T)


def test_p_values_are_holms_of_all_pairs(whole, made):
    table = whole["comparisons"]["zoo"]
    seeds = {row["run"]: row["runs"] for row in rows_of(whole, "zoo")}
    columns = []
    for name in table["runs"]:
        its = [np.load(made[1].predictions(run, "zoo")) for run in seeds[name]]
        columns.append(np.mean([a["probe"] == a["label"] for a in its], axis=0))
    upper = np.triu_indices(len(columns), 1)
    raw = paired_p_values(np.stack(columns, axis=1))[upper]
    assert np.array(table["p"])[upper] == pytest.approx(holm(raw), abs=1e-6)


def test_less_confidence_gives_narrower_intervals(tmp_path, whole):
    less = {"confidence": 0.5, "resamples": 2000, "seed": 0}
    loose = of(*reports(tmp_path, RUNS, params={"report": less}))
    score, wide = (row(w, "zoo", "simclr")["scores"]["probe_top1"] for w in (loose, whole))
    assert score["high"] - score["low"] < 0.6 * (wide["high"] - wide["low"])
    narrow, wide = (compared(w, "zoo", "simclr", "byol") for w in (loose, whole))
    assert narrow.high - narrow.low < 0.6 * (wide.high - wide.low)


def test_an_encoder_that_lost_what_it_had_is_said_to_be_worse(tmp_path):
    skill = {"simclr": 0.3, "untrained": 0.5, "strong": 0.7}
    runs = {
        "simclr": {"method": "simclr"},
        "untrained": {"method": "random"},
        "strong": {"method": "random", "backbone": "resnet34"},
    }
    text = as_markdown(of(*reports(tmp_path, runs, skill=skill)))
    assert "is worse than the untrained encoder, `strong`" in text  # the stronger of the two


def test_shake_up(whole):
    found = whole["shake_up"]["zoo"]
    rows = [row for row in rows_of(whole, "zoo") if row["kind"] == "trained"]
    public, private = (
        [row["scores"][key]["mean"] for row in rows] for key in ("public_top1", "private_top1")
    )
    expected = stats.spearmanr(public, private).statistic
    assert found["rank_correlation"] == pytest.approx(expected, abs=1e-6)
    assert [move["public_rank"] for move in found["moves"]] == [1, 2, 3]
    by_private = sorted(private, reverse=True)
    assert [move["private_rank"] for move in found["moves"]] == [
        by_private.index(value) + 1 for value in private
    ]


def test_the_same_seed_twice_is_no_repetition(tmp_path):
    runs = {
        "a": {"method": "moco"},
        "b": {"method": "moco", "threads": 3},
        "c": {"method": "moco", "seed": 1},
    }
    whole = of(*reports(tmp_path, runs))
    assert row(whole, "zoo", "a")["runs"] == ["a", "c"] and row(whole, "zoo", "b")["runs"] == ["b"]


def test_another_corpus_of_the_same_name_is_no_repetition(tmp_path):
    params, layout = reports(tmp_path, RUNS)
    report = read(layout.pretrain_report("moco_seed1"))
    report["inputs"]["corpus_sha256"] = "f" * 64
    rewrite(layout.pretrain_report("moco_seed1"), report)
    assert row(of(params, layout), "zoo", "moco")["runs"] == ["moco", "moco_seed2"]


def test_a_file_of_another_version_is_one_line(tmp_path):
    params, layout = reports(tmp_path, RUNS)
    cell = read(layout.metrics("byol", "zoo"))
    del cell["probe_best_optimizer"]
    rewrite(layout.metrics("byol", "zoo"), cell)
    with pytest.raises(UserError, match=r"byol.json: made by another version of sslpipe"):
        of(params, layout)


# --- text -------------------------------------------------------------------------------------


def test_csv_reads_back(whole):
    back = list(csv.DictReader(io.StringIO(as_csv(whole))))
    assert len(back) == len(whole["rows"]) and "\r" not in as_csv(whole)
    moco = next(line for line in back if line["run"] == "moco" and line["dataset"] == "zoo")
    score = row(whole, "zoo", "moco")["scores"]["public_top1"]
    assert float(moco["public_top1"]) == score["mean"]
    assert float(moco["public_top1_std"]) == score["std"]
    assert float(moco["public_top1_low"]) == score["low"]
    assert moco["runs"] == "moco moco_seed1 moco_seed2"
    chance = next(line for line in back if line["run"] == "chance")
    assert chance["corpus"] == chance["public_top1_low"] == ""


def test_markdown_shows_mean_and_deviation_and_the_best_in_bold(whole):
    main = tables(section(as_markdown(whole), "zoo"))[0]
    assert main[0] == ["run", "method", "backbone", "corpus", "k-NN", "probe", "public", "private",
                       "images/s", "training"]  # fmt: skip
    shown = {line[0]: line for line in main[2:]}
    score = row(whole, "zoo", "moco")["scores"]["probe_top1"]
    assert shown["moco"][5] == f"{100 * score['mean']:.1f} ± {100 * score['std']:.1f}"
    assert shown["raw_pixels"][1] == "–" and shown["chance"][4] == "16.7"
    for line in section(as_markdown(whole), "zoo").splitlines():
        if line.startswith(("| `untrained`", "| chance", "| `raw_pixels`")):
            assert "**" not in line
    best = max(rows_of(whole, "zoo")[:3], key=lambda row: row["scores"]["private_top1"]["mean"])[
        "run"
    ]
    (line,) = [
        line for line in section(as_markdown(whole), "zoo").splitlines()
        if line.startswith(f"| `{best}`") and "resnet18" in line
    ]  # fmt: skip
    assert line.split("|")[8].strip().startswith("**")


def test_markdown_says_how_sure(whole):
    text = section(as_markdown(whole), "zoo")
    sure = tables(text)[1]
    assert sure[0][-2:] == ["to the best", "p"]
    score = row(whole, "zoo", "simclr")["scores"]["knn_top1"]
    shown = {line[0]: line for line in sure[2:]}
    assert shown["simclr"][1] == f"{100 * score['low']:.1f}–{100 * score['high']:.1f}"
    best = rows_of(whole, "zoo")[0]["run"]
    assert shown[best][-1] == "–" and shown["untrained"][-1] == "< 0.001"
    assert f"The best by public top-1 is `{best}`" in text
    assert "is better than the untrained encoder, `untrained`" in text
    assert "is better than raw pixels" in text


def test_a_difference_by_luck_is_no_victory(tmp_path):
    runs = {"moco": {"method": "moco"}, "byol": {"method": "byol"}}
    text = as_markdown(of(*reports(tmp_path, runs, skill={"moco": 0.5, "byol": 0.5})))
    assert "cannot be told apart from the next" in text
    assert "There is no score of the untrained encoder" in text


def test_a_best_cell_on_the_edge_is_warned_of(tmp_path):
    params, layout = reports(tmp_path, RUNS)
    cell = read(layout.metrics("byol", "zoo"))
    rewrite(layout.metrics("byol", "zoo"), cell | {"probe_best_on_edge": True})
    text = as_markdown(of(params, layout))
    assert "edge of the grid for `byol` (lr 0.01, wd 0)" in section(text, "zoo")
    assert "edge of the grid" not in section(text, "sun")


# --- what is missing ----------------------------------------------------------------------------


def test_runs_that_did_not_finish_are_named(tmp_path):
    params, layout = reports(tmp_path, RUNS, without=("byol", "moco_seed1"))
    layout.metrics("moco", "sun").unlink()
    whole = of(params, layout)
    assert whole["missing"] == {
        "unfinished": ["moco_seed1", "byol"],
        "unscored": [{"dataset": "sun", "run": "moco"}],
    }
    text = as_markdown(whole)
    assert "have not been trained: `moco_seed1`, `byol`" in text
    assert "not evaluated here, so not in the tables: `moco`" in section(text, "sun")
    assert row(whole, "sun", "moco_seed2")["runs"] == ["moco_seed2"]
    assert row(whole, "zoo", "moco")["runs"] == ["moco", "moco_seed2"]


def test_with_nothing_finished(tmp_path):
    params, layout = reports(tmp_path, RUNS, without=tuple(RUNS))
    stage.run(params, layout)
    text = layout.leaderboard("md").read_text()
    assert "No run has been evaluated." in text and "`raw_pixels`" in text
    assert read(layout.leaderboard("json"))["rows"] == []


@pytest.mark.parametrize("run", ["moco", "untrained"])
def test_with_one_run_and_one_data_set(tmp_path, run):
    params, layout = reports(tmp_path, {run: RUNS[run]}, params={"datasets": ["zoo"]})
    stage.run(params, layout)
    text = layout.leaderboard("md").read_text()
    assert f"`{run}`" in text and text.count("\n## ") == 2
    if run == "untrained":
        assert "No trained run has been evaluated here" in text


def test_runs_scored_on_different_images_are_refused(tmp_path):
    params, layout = reports(tmp_path, RUNS)
    path = layout.predictions("byol", "zoo")
    arrays = read_arrays(path)
    arrays["label"] = arrays["label"][::-1].copy()
    write_arrays(path, arrays)
    with pytest.raises(UserError, match="zoo: byol and simclr were scored on different images"):
        of(params, layout)
    cell = read(layout.metrics("byol", "zoo"))
    rewrite(layout.metrics("byol", "zoo"), cell | {"public_images": 1})
    with pytest.raises(UserError, match="zoo: public_images is 1 for byol but 150 for simclr"):
        of(params, layout)


def test_scores_without_their_answers_are_missing_and_damaged_ones_one_line(tmp_path):
    params, layout = reports(tmp_path, RUNS)
    layout.predictions("byol", "zoo").unlink()
    assert {"dataset": "zoo", "run": "byol"} in of(params, layout)["missing"]["unscored"]
    layout.predictions("byol", "zoo").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"byol.npz: damaged"):
        of(params, layout)


# --- files --------------------------------------------------------------------------------------


def test_the_same_bytes_twice_and_no_torch(made):
    params, layout = made
    stage.run(params, layout)
    names = [layout.leaderboard(kind) for kind in ("md", "csv", "json")]
    before = [path.read_bytes() for path in names]
    program = (
        "import sys; from sslpipe.cli import main; assert main(['leaderboard']) == 0; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=layout.root, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "False", done.stderr
    assert [path.read_bytes() for path in names] == before
    assert json.loads(before[2])["rows"]
