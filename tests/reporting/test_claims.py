"""Each claim on made-up runs that confirm it, that refute it, and that are too few to tell."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic import content, read, rewrite, write_reports

from made_of import stamp
from sslpipe.errors import UserError
from sslpipe.io.arrays import read_arrays, write_arrays
from sslpipe.io.files import write_text
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.reporting.claims.claim import Effect, Found, Part, above, at_least, below, between
from sslpipe.reporting.claims.intervals import difference_of, mean_of
from sslpipe.reporting.claims.losses import Loss
from sslpipe.reporting.claims.text import as_markdown
from sslpipe.schema.report import Claims, claims_disagreements
from sslpipe.stages import claims as stage

EPOCHS = np.arange(1, 101)
METHODS = ("simclr", "moco", "byol")
Values = Sequence[float] | np.ndarray


class Case(NamedTuple):
    params: Params
    layout: Layout

    def history(self, run: str, loss: Values, knn: Values, probe: Values | None = None) -> None:
        """A row for each epoch; accuracies are fractions, every fifth epoch, equal on all sets."""
        table = pd.DataFrame({"epoch": np.arange(1, len(loss) + 1), "loss": loss})
        due = table["epoch"] % 5 == 0
        for dataset in self.params.leaderboard:
            table[f"knn_{dataset}"] = np.where(due, knn, np.nan)
            table[f"probe_{dataset}"] = np.where(due, knn if probe is None else probe, np.nan)
        write_text(self.layout.history(run), table.to_csv(index=False))

    def change(self, path: Path, **values: Any) -> None:
        rewrite(path, read(path) | values)

    def decide(self) -> dict[str, dict[str, Any]]:
        stage.run(self.params, self.layout)
        return {claim["id"]: claim for claim in read(self.layout.claims("json"))["claims"]}


@pytest.fixture
def case(tmp_path) -> Callable[..., Case]:
    def make(
        runs: dict[str, dict[str, Any]],
        *,
        skill: dict[str, float] | None = None,
        datasets: Sequence[str] = ("zoo", "sun"),
        images: int = 600,
        without: tuple[str, ...] = (),
        **changed: Any,
    ) -> Case:
        report = {"confidence": 0.95, "resamples": 500, "seed": 0}
        whole = content(runs, datasets, **({"report": report, "claims": {}} | changed))
        # One seed each suffices here, but where a test is of just that.
        for claim in ("C6", "C7", "C8", "C9"):
            whole["claims"] = {claim: {}} | whole["claims"]
            whole["claims"][claim] = {"min_seeds": 1} | whole["claims"][claim]
        return Case(*write_reports(tmp_path, whole, images=images, skill=skill, without=without))

    return make


def long(method: str, **more: Any) -> dict[str, Any]:
    return {"method": method, "epochs": 100, **more}


def seeds(*methods: str, count: int = 3) -> dict[str, dict[str, Any]]:
    return {f"{m}_{seed}": long(m, seed=seed) for m in methods for seed in range(count)}


def saturating(top: float = 0.4) -> np.ndarray:
    return np.interp(EPOCHS, [1, 35, 100], [0.1, top - 0.005, top])


def falling(last: float = 1.0) -> np.ndarray:
    return last + 3 * np.exp(-EPOCHS / 10)


def jagged(size: float = 0.5, last: float = 1.0) -> np.ndarray:
    return falling(last) + size * (EPOCHS % 2)


def interval(claim: dict[str, Any]) -> list[float]:
    return [claim["effect"][key] for key in ("value", "low", "high")]


# --- parts and intervals ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.1, 2, {"above": True, "below": False, "between": True, "at_least": True}),
        (0.9, 2, {"above": None, "below": None, "between": None, "at_least": True}),
        (0.1, 0.9, {"above": False, "below": True, "between": False, "at_least": True}),
        (2, 3.5, {"above": True, "below": False, "between": None, "at_least": True}),
        (3.1, 4, {"above": True, "below": False, "between": False, "at_least": True}),
        (-0.9, 0.1, {"above": False, "below": True, "between": False, "at_least": True}),
        (-0.9, -0.1, {"above": False, "below": True, "between": False, "at_least": False}),
        (-1.5, 0.1, {"above": False, "below": True, "between": False, "at_least": None}),
        (1, 1, {"above": None, "below": None, "between": None, "at_least": True}),
        (None, None, {"above": None, "below": None, "between": None, "at_least": None}),
    ],
)
def test_a_part_is_so_only_if_its_whole_interval_is(low, high, expected):
    """Threshold 1; between 1 and 3; at_least with a margin of 1."""
    value = 0.0 if low is None else (low + high) / 2
    effect = Effect(value, low, high, "points")
    found = {
        "above": above(effect, 1, "{}").true,
        "below": below(effect, 1, "{}").true,
        "between": between(effect, 1, 3, "{}").true,
        "at_least": at_least(effect, 1, "{}").true,
    }
    assert found == expected


@pytest.mark.parametrize(
    ("truths", "status", "reason"),
    [
        ([True, True], "holds", "P0; p1."),
        ([True, None], "not enough data", "P1."),
        ([None, False], "does not hold", "P1."),
    ],
)
def test_a_claim_falls_with_any_part_and_holds_with_all(truths, status, reason):
    found = Found([Part(true, f"p{i}") for i, true in enumerate(truths)])
    assert (found.status, found.reason) == (status, reason)


def test_intervals_over_runs_are_those_of_scipy():
    ones, others = [1.0, 2.5, 2.0, 4.0], [0.5, 0.75, 0.6]
    student = stats.ttest_1samp(ones, 0).confidence_interval(0.9)
    found = mean_of(ones, 0.9, "points")
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(ones), *student))
    welch = stats.ttest_ind(ones, others, equal_var=False).confidence_interval(0.9)
    found = difference_of(ones, others, 0.9, "points")
    assert (found.value, found.low, found.high) == pytest.approx((2.375 - 1.85 / 3, *welch))
    assert mean_of([3.0], 0.9, "points") == Effect(3.0, None, None, "points")
    assert difference_of(ones, [1.0], 0.9, "points").low is None
    assert difference_of([2.0, 2.0], [1.0, 1.0], 0.9, "points") == Effect(1, 1, 1, "points")


def test_unrest_is_what_a_loop_adds_up_and_has_no_scale():
    values = np.random.default_rng(0).normal(size=20)
    loss = Loss(np.arange(1.0, 21.0), values)
    climbs = [max(0, values[i] - values[i - 1]) for i in range(10, 20)]  # steps to epochs 11 … 20
    expected = sum(climbs) / 10 / (max(values) - min(values))
    assert loss.unrest(10) == pytest.approx(expected)
    assert Loss(loss.epochs, 7 * values + 3).unrest(10) == pytest.approx(expected)
    assert Loss(loss.epochs, -np.log(loss.epochs)).unrest(10) == 0


# --- C1, C2: accuracy over epochs -------------------------------------------------------------


def test_c1_holds_for_curves_that_rise_early_and_then_stay(case):
    made = case(seeds("moco"))
    for i, change in enumerate((0.0, 0.004, 0.008)):
        curve = np.interp(EPOCHS, [1, 35, 50, 100], [0.1, 0.4, 0.4, 0.4 + change])
        made.history(f"moco_{i}", falling(), curve)
    claim = made.decide()["C1"]
    assert claim["status"] == "holds"
    expected = stats.ttest_1samp([0, 0.4, 0.8], 0).confidence_interval()
    assert interval(claim) == pytest.approx([0.4, *expected], abs=1e-5)
    assert claim["runs"] == ["moco_0", "moco_1", "moco_2"]
    assert claim["figure"] == "figures/accuracy.png"
    assert claim["effect"]["unit"] == "points"


@pytest.mark.parametrize(
    ("curve", "why"),
    [
        (np.interp(EPOCHS, [1, 100], [0.1, 0.4]), "exceeds 80 % of the whole by"),
        (np.interp(EPOCHS, [1, 30, 50, 100], [0.1, 0.4, 0.4, 0.36]), "not between -2 and 2"),
        (np.interp(EPOCHS, [1, 30, 100], [0.4, 0.2, 0.2]), "The whole rise is -17"),
    ],
)
def test_c1_does_not_hold_for_curves_of_another_shape(case, curve, why):
    made = case(seeds("moco"))
    for i in range(3):
        made.history(f"moco_{i}", falling(), curve + 0.001 * i * EPOCHS / 100)
    claim = made.decide()["C1"]
    assert claim["status"] == "does not hold"
    assert why in claim["reason"]


def test_c1_begins_with_the_untrained_encoder_of_the_same_architecture(case):
    runs = seeds("moco") | {
        "other": {"method": "random", "backbone": "resnet34"},
        "untrained": {"method": "random"},
    }
    made = case(runs)
    for i in range(3):  # all of the rise came before the first measurement
        made.history(f"moco_{i}", falling(), np.full(100, 0.4) + 0.001 * (EPOCHS > 60) * (1 + i))
    start = pd.DataFrame([{"epoch": 0, "loss": None, "knn_zoo": 0.1, "probe_zoo": 0.2,
                           "knn_sun": 0.1, "probe_sun": 0.2}])  # fmt: skip
    write_text(made.layout.history("untrained"), start.to_csv(index=False))
    claim = made.decide()["C1"]
    assert claim["status"] == "holds"
    assert claim["table"]["rows"][0] == ["`moco_0`", "+25.10", "+25.00", "+0.10"]
    made.layout.history("untrained").unlink()
    assert made.decide()["C1"]["status"] == "not enough data"


@pytest.mark.parametrize("epochs", [49, 50])
def test_c1_needs_long_runs(case, epochs):
    made = case(seeds("moco"))
    for i in range(3):
        made.history(f"moco_{i}", falling()[:epochs], saturating(0.3 + i / 20)[:epochs])
    claim = made.decide()["C1"]
    if epochs < 50:
        assert claim["status"] == "not enough data" and claim["effect"] is None
        assert "no trained run has 50 epochs" in claim["reason"].lower()
    assert len(claim["runs"]) == (3 if epochs == 50 else 0)


def test_c1_says_nothing_of_a_single_run(case):
    made = case(seeds("moco", count=1))
    made.history("moco_0", falling(), saturating())
    claim = made.decide()["C1"]
    assert claim["status"] == "not enough data"
    assert claim["effect"]["low"] is None and claim["effect"]["value"] is not None
    assert "takes two runs" in claim["reason"]


def test_c2_compares_the_shapes_not_the_heights(case):
    made = case(seeds("moco"))
    knn = [saturating() + 0.02 * np.sin(EPOCHS / (5 + i)) for i in range(3)]
    probe = [0.5 * saturating() + 0.2 for _ in range(3)]
    for i in range(3):
        made.history(f"moco_{i}", falling(), knn[i], probe[i])
    due = EPOCHS % 5 == 0
    expected = [np.corrcoef(knn[i][due], probe[i][due])[0, 1] for i in range(3)]
    claim = made.decide()["C2"]
    assert claim["status"] == "holds"
    low, high = stats.ttest_1samp(expected, 0).confidence_interval()
    assert interval(claim) == pytest.approx([np.mean(expected), low, min(high, 1)], abs=1e-6)


def test_c2_does_not_hold_for_curves_that_part(case):
    made = case(seeds("moco"))
    for i in range(3):
        made.history(f"moco_{i}", falling(), saturating(), 0.5 - saturating(0.3 + i / 100))
    assert made.decide()["C2"]["status"] == "does not hold"


def test_c2_needs_common_epochs_and_curves_that_change(case):
    made = case({"short": {"method": "moco", "epochs": 5}, "flat": long("moco")})
    made.history("flat", falling(), np.full(100, 0.3))  # `short` has three common epochs
    claim = made.decide()["C2"]
    assert claim["status"] == "not enough data" and claim["effect"] is None


# --- C3 to C5: the loss -----------------------------------------------------------------------


def test_c3_holds_for_a_plateau_without_a_gain(case):
    made = case(seeds("simclr"))
    tops = [0.3, 0.32, 0.34]
    for i, top in enumerate(tops):
        curve = np.interp(EPOCHS, [1, 20, 100], [0.1, 0.95 * top, top])
        made.history(f"simclr_{i}", jagged(0.1), curve)
    claim = made.decide()["C3"]
    assert claim["status"] == "holds"
    gains = [
        100 * 0.05 * top * 70 / 80 for top in tops
    ]  # from epoch 30 on, of a line from 20 to 100
    expected = stats.ttest_1samp(gains, 0).confidence_interval()
    assert interval(claim) == pytest.approx([np.mean(gains), *expected], abs=1e-5)


@pytest.mark.parametrize(
    ("loss", "accuracy", "why"),
    [
        (falling(), saturating(), "share that goes up is 0.0 %"),
        (jagged(0.1) - EPOCHS / 20, saturating(), "of the loss's fall, not above 80"),
        (jagged(0.1), np.interp(EPOCHS, [1, 100], [0.1, 0.5]), "later gain in accuracy is +28"),
    ],
)
def test_c3_does_not_hold_for_other_losses(case, loss, accuracy, why):
    made = case(seeds("simclr"))
    for i in range(3):
        made.history(f"simclr_{i}", loss * (1 + 0.01 * i), accuracy * (1 - 0.01 * i))
    claim = made.decide()["C3"]
    assert claim["status"] == "does not hold"
    assert why in claim["reason"]


def test_c3_is_about_simclr(case):
    made = case(seeds("moco"))
    claim = made.decide()["C3"]
    assert claim["status"] == "not enough data"
    assert "no SimCLR run" in claim["reason"] or "No SimCLR run" in claim["reason"]


def unrest_of(loss: np.ndarray) -> float:
    climbs = [max(0.0, loss[i] - loss[i - 1]) for i in range(50, 100)]
    return 100 * sum(climbs) / 50 / (max(loss) - min(loss))


def test_c4_and_c5_hold_when_byol_is_restless_and_moco_calm(case):
    made = case(seeds(*METHODS))
    losses = {}
    for i in range(3):
        losses["simclr", i] = 10 * jagged(0.2 + 0.01 * i)  # ten times the scale changes nothing
        losses["moco", i] = jagged(0.0001 * i)
        losses["byol", i] = 0.1 * jagged(0.5 + 0.02 * i)
    for (method, i), loss in losses.items():
        made.history(f"{method}_{i}", loss, saturating())
    found = made.decide()
    unrest = {m: [unrest_of(losses[m, i]) for i in range(3)] for m in METHODS}
    for claim, one, other in (("C4", "byol", "simclr"), ("C5", "simclr", "moco")):
        assert found[claim]["status"] == "holds", found[claim]["reason"]
        welch = stats.ttest_ind(unrest[one], unrest[other], equal_var=False).confidence_interval()
        expected = [np.mean(unrest[one]) - np.mean(unrest[other]), *welch]
        assert interval(found[claim]) == pytest.approx(expected, rel=1e-3)
        assert len(found[claim]["runs"]) == 9
        assert found[claim]["figure"] == "figures/loss.png"


def test_c4_and_c5_do_not_hold_the_other_way_round(case):
    made = case(seeds(*METHODS))
    sizes = {"simclr": 0.3, "moco": 0.6, "byol": 0.1}
    for method, size in sizes.items():
        for i in range(3):
            made.history(f"{method}_{i}", jagged(size + 0.01 * i), saturating())
    found = made.decide()
    assert found["C4"]["status"] == found["C5"]["status"] == "does not hold"
    assert "minus that of MoCo is -" in found["C4"]["reason"]


def test_c5_asks_for_a_fast_fall_and_then_a_slow_one(case):
    for loss, why in (
        (100.0 - EPOCHS, "of the fall of MoCo's loss, not above 60"),
        (np.minimum.accumulate(falling()[:30]).tolist() + np.linspace(1.2, 1.4, 70).tolist(),
         "falls by another -"),
    ):  # fmt: skip
        made = case(seeds(*METHODS))
        for i in range(3):
            made.history(f"moco_{i}", np.asarray(loss) * (1 + 0.01 * i), saturating())
            for method in ("simclr", "byol"):
                made.history(f"{method}_{i}", jagged(2 + 0.1 * i), saturating())
        claim = made.decide()["C5"]
        assert claim["status"] == "does not hold" and why in claim["reason"]


def test_c4_and_c5_need_two_runs_of_each_method_at_one_budget(case):
    alone = case(seeds("simclr", "moco") | seeds("byol", count=1)).decide()["C4"]
    assert alone["status"] == "not enough data"
    assert "takes two runs" in alone["reason"] and alone["effect"]["low"] is None
    other = {name: run | {"backbone": "resnet34"} for name, run in seeds("byol").items()}
    apart = case(seeds("simclr", "moco") | other).decide()["C4"]
    assert apart["status"] == "not enough data" and apart["effect"] is None
    assert "no budget" in apart["reason"]


def test_a_loss_that_is_not_finite_is_not_looked_at(case):
    made = case(seeds(*METHODS))
    for i in range(3):
        made.history(f"byol_{i}", np.where(EPOCHS > 90, np.nan, falling()), saturating())
    assert made.decide()["C4"]["effect"] is None


# --- C6 to C9: kinds of runs ------------------------------------------------------------------

BY_METHOD = {method: {"method": method} for method in METHODS}


@pytest.mark.parametrize(
    ("skill", "status"),
    [
        ({"simclr": 0.5, "moco": 0.6, "byol": 0.5}, "holds"),
        ({"simclr": 0.5, "moco": 0.6, "byol": 0.7}, "does not hold"),
        ({"simclr": 0.5, "moco": 0.601, "byol": 0.6}, "not enough data"),
    ],
)
def test_c6_asks_whether_moco_is_as_good_as_each(case, skill, status):
    claim = case(BY_METHOD, skill=skill).decide()["C6"]
    assert claim["status"] == status, claim["reason"]
    assert claim["runs"] == list(METHODS)
    deciding = "byol" if status != "holds" else min(skill, key=skill.get)
    assert deciding in [row[2].strip("`") for row in claim["table"]["rows"]]


def test_c6_lets_a_margin_count_as_equal(case):
    skill = {"simclr": 0.4, "moco": 0.6, "byol": 0.6}
    wide = case(BY_METHOD, skill=skill, images=2000, claims={"C6": {"margin": 6.0}})
    assert wide.decide()["C6"]["status"] == "holds"
    strict = case(BY_METHOD, skill=skill, images=2000, claims={"C6": {"margin": 0.0}})
    assert strict.decide()["C6"]["status"] == "not enough data"


def test_c6_chooses_on_validation_images_never_on_test_images(case):
    runs = BY_METHOD | {"moco_fast": {"method": "moco", "lr": 0.01}}
    made = case(runs, skill={"moco": 0.4, "moco_fast": 0.8})
    for dataset in made.params.leaderboard:
        made.change(made.layout.metrics("moco", dataset), probe_val_top1=0.9)
        made.change(made.layout.metrics("moco_fast", dataset), probe_val_top1=0.1)
    claim = made.decide()["C6"]
    assert claim["runs"] == ["simclr", "moco", "byol"]
    assert claim["status"] == "does not hold"
    assert any("MoCo 2" in line for line in claim["details"])


def test_the_interval_is_that_of_a_paired_difference(case):
    """Against the normal approximation, from the answers themselves."""
    made = case(BY_METHOD, skill={"simclr": 0.55, "moco": 0.6, "byol": 0.3}, images=2000)
    differences = []
    for dataset in made.params.leaderboard:
        hits = {}
        for run in ("moco", "simclr"):
            with np.load(made.layout.predictions(run, dataset)) as arrays:
                hits[run] = (arrays["probe"] == arrays["label"]).astype(float)
        differences.append(hits["moco"] - hits["simclr"])
    value = 100 * np.mean([d.mean() for d in differences])
    error = 100 * np.sqrt(sum(d.var() / len(d) for d in differences)) / 2
    found = interval(made.decide()["C6"])
    assert found[0] == pytest.approx(value, abs=1e-6)
    assert found[1:] == pytest.approx([value - 1.96 * error, value + 1.96 * error], abs=error / 3)


def test_data_sets_are_resampled_independently(case):
    """Two sets with the same answers: a mean over both is surer than one alone, by the root of 2."""
    both = case(BY_METHOD)
    for run in BY_METHOD:
        answers = both.layout.predictions(run, "zoo").read_bytes()
        both.layout.predictions(run, "sun").write_bytes(answers)
    stamp(both.params, both.layout)
    _, low, high = interval(both.decide()["C6"])
    alone = Case(both.params.model_copy(update={"leaderboard": ["zoo"]}), both.layout)
    stamp(alone.params, alone.layout)
    _, its_low, its_high = interval(alone.decide()["C6"])
    assert (its_high - its_low) / (high - low) == pytest.approx(np.sqrt(2), rel=0.15)


def test_c6_compares_at_the_same_budget_only(case):
    other = BY_METHOD | {"byol": {"method": "byol", "epochs": 6}}
    claim = case(other).decide()["C6"]
    assert claim["status"] == "not enough data" and claim["effect"] is None
    tuned = BY_METHOD | {"byol": {"method": "byol", "lr": 0.3, "warmup_epochs": 0}}
    assert case(tuned).decide()["C6"]["effect"] is not None


def backbones(**skill: float) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    names = {"small": "resnet50", "wide": "wide_resnet50_2", "deep": "resnet101"}
    return {run: {"method": "moco", "backbone": names[run]} for run in skill}, skill


@pytest.mark.parametrize(
    ("skill", "status", "why"),
    [
        ({"small": 0.4, "wide": 0.5, "deep": 0.6}, "holds", "above 0"),
        ({"small": 0.5, "wide": 0.4, "deep": 0.6}, "does not hold", "`wide_resnet50_2` minus"),
        ({"small": 0.4, "wide": 0.6, "deep": 0.5}, "does not hold", "`resnet101` minus"),
        ({"small": 0.4, "deep": 0.6}, "not enough data", "No two runs of `moco`"),
        ({"small": 0.4, "wide": 0.5, "deep": 0.502}, "not enough data", "does not tell"),
        ({"small": 0.6, "wide": 0.4}, "does not hold", "`wide_resnet50_2` minus"),
    ],
)
def test_c7_asks_for_the_whole_order(case, skill, status, why):
    runs, skill = backbones(**skill)
    claim = case(runs, skill=skill).decide()["C7"]
    assert claim["status"] == status, claim["reason"]
    assert why in claim["reason"]


def test_c7_looks_at_the_data_sets_it_is_told(case):
    runs, skill = backbones(small=0.4, wide=0.5, deep=0.6)
    claim = case(runs, skill=skill, claims={"C7": {"data_sets": ["sun"]}}).decide()["C7"]
    assert {row[0] for row in claim["table"]["rows"]} == {"`sun`"}
    assert "`sun`" in claim["rule"] and "`zoo`" not in claim["rule"]


def test_c7_is_about_one_method(case):
    runs, skill = backbones(small=0.4, wide=0.5, deep=0.6)
    runs = {name: run | {"method": "simclr"} for name, run in runs.items()}
    assert case(runs, skill=skill).decide()["C7"]["status"] == "not enough data"
    named = case(runs, skill=skill, claims={"C7": {"method": "simclr"}})
    assert named.decide()["C7"]["status"] == "holds"


CROPS = {
    "without": {"method": "moco"},
    "two": {"method": "moco", "views": {"local": 2}},
    "small": {"method": "moco", "views": {"local": 2, "local_size": 24}},
}


@pytest.mark.parametrize(
    ("skill", "status"),
    [
        ({"without": 0.4, "two": 0.5, "small": 0.5}, "holds"),
        ({"without": 0.5, "two": 0.4, "small": 0.4}, "does not hold"),
        ({"without": 0.5, "two": 0.51, "small": 0.5}, "not enough data"),
    ],
)
def test_c8_compares_runs_that_differ_in_local_crops_alone(case, skill, status):
    claim = case(CROPS, skill=skill).decide()["C8"]
    assert claim["status"] == status, claim["reason"]
    pairs = {(row[1], row[2]) for row in claim["table"]["rows"]}
    assert pairs == {("`two`", "`without`"), ("`small`", "`without`")}


def test_c8_goes_by_knn(case):
    made = case(CROPS, skill={"without": 0.4, "two": 0.5, "small": 0.5}, datasets=["zoo"])
    hits = []
    for run in CROPS:
        with np.load(made.layout.predictions(run, "zoo")) as arrays:
            hits.append(100 * (arrays["knn"] == arrays["label"]).mean())
    expected = np.mean(hits[1:]) - hits[0]
    assert made.decide()["C8"]["effect"]["value"] == pytest.approx(expected, abs=1e-6)


def test_a_pair_may_have_different_seeds(case):
    runs = {"without": CROPS["without"], "two": CROPS["two"] | {"seed": 7}}
    assert case(runs).decide()["C8"]["runs"] == ["without", "two"]


def test_c8_needs_a_pair(case):
    runs = CROPS | {"without": {"method": "moco", "epochs": 6}}
    claim = case(runs).decide()["C8"]
    assert claim["status"] == "not enough data" and claim["runs"] == []


SETS = ("zoo", "sun", "lakes")
CORPORA = {
    "one": {"datasets": ["zoo"]},
    "two": {"datasets": ["zoo", "sun"]},
    "three": {"datasets": ["sun", "lakes", "zoo"]},
    "apart": {"datasets": ["lakes"]},
}


def by_corpus(*names: str) -> dict[str, dict[str, Any]]:
    return {name: {"method": "moco", "corpus": name} for name in names}


@pytest.mark.parametrize(
    ("skill", "status"),
    [
        ({"one": 0.4, "two": 0.5, "three": 0.6}, "holds"),
        ({"one": 0.6, "two": 0.5, "three": 0.4}, "does not hold"),
        ({"one": 0.5, "two": 0.5, "three": 0.5}, "not enough data"),
    ],
)
def test_c9_compares_each_corpus_with_the_next_smaller(case, skill, status):
    made = case(by_corpus(*skill), skill=skill, datasets=SETS, corpora=CORPORA)
    claim = made.decide()["C9"]
    assert claim["status"] == status, claim["reason"]
    pairs = {(row[1], row[2]) for row in claim["table"]["rows"]}
    assert pairs == {("`two`", "`one`"), ("`three`", "`two`")}  # not three and one


def test_c9_skips_a_corpus_that_was_not_trained_on(case):
    claim = case(by_corpus("one", "three"), datasets=SETS, corpora=CORPORA).decide()["C9"]
    assert {(row[1], row[2]) for row in claim["table"]["rows"]} == {("`three`", "`one`")}
    claim = case(by_corpus("one", "apart"), datasets=SETS, corpora=CORPORA).decide()["C9"]
    assert claim["status"] == "not enough data"  # neither holds the other


@pytest.mark.parametrize(
    ("thresholds", "status", "why"),
    [
        ({"modest": {"sun": 30.0}}, "holds", "below 30"),
        ({"modest": {"sun": 2.0}}, "does not hold", "not below 2"),
        ({"modest": {"lakes": 2.0}}, "not enough data", "the images of `lakes`"),
        ({"mainly": {"sun": ["lakes"]}}, "holds", "more than elsewhere, above 0"),
        ({"mainly": {"sun": ["zoo"]}}, "does not hold", "more than elsewhere, not above 0"),
    ],
)
def test_c9_asks_what_single_data_sets_bring(case, thresholds, status, why):
    """`two` is 10 points of skill better than `one`, and much better on `lakes`."""
    runs = by_corpus("one", "two", "three")
    made = case(
        {name: runs[name] for name in ("one", "two")},
        skill={"one": 0.4, "two": 0.5},
        datasets=SETS,
        corpora=CORPORA,
        claims={"C9": thresholds},
    )
    path = made.layout.predictions("two", "lakes")
    arrays = read_arrays(path)
    changed = dict(arrays)
    half = np.arange(len(changed["label"])) % 2 == 0
    changed["probe"] = np.where(half, changed["label"], changed["probe"]).astype(np.int32)
    write_arrays(path, changed)
    claim = made.decide()["C9"]
    assert claim["status"] == status, claim["reason"]
    assert why in claim["reason"]


def test_seeds_count_once_with_their_mean(case):
    runs = {
        "without": {"method": "moco"},
        "again": {"method": "moco", "seed": 1},
        "crops": {"method": "moco", "views": {"local": 2}},
    }
    skill = {"without": 0.4, "again": 0.5, "crops": 0.6}
    made = case(runs, skill=skill, datasets=["zoo"])
    scores = {run: read(made.layout.metrics(run, "zoo"))["knn_top1"] for run in runs}
    claim = made.decide()["C8"]
    expected = 100 * (scores["crops"] - (scores["without"] + scores["again"]) / 2)
    assert claim["effect"]["value"] == pytest.approx(expected, abs=1e-6)
    assert claim["runs"] == ["without", "again", "crops"]
    spread = 100 * np.std([scores["without"], scores["again"]], ddof=1)
    assert any(f"`without` {spread:.2f} (2)" in line for line in claim["details"])


# --- C10, C11 ---------------------------------------------------------------------------------


def test_c10_takes_the_mean_gain_and_the_most_frequent_cell(case):
    made = case(BY_METHOD)  # the default probe is given 10 points less skill
    cells = [(d, run) for d in made.params.leaderboard for run in BY_METHOD]
    gains = [100 * read(made.layout.metrics(run, d))["probe_gain"] for d, run in cells]
    claim = made.decide()["C10"]
    assert claim["status"] == "holds" if max(gains) < 15 else claim["status"]
    assert claim["effect"]["value"] == pytest.approx(np.mean(gains), abs=1e-6)
    assert claim["figure"] == "figures/probe_grid.png"


@pytest.mark.parametrize(
    ("thresholds", "status", "why"),
    [
        ({"low": 5.0, "high": 30.0}, "holds", "between 5 and 30"),
        ({"low": 20.0, "high": 30.0}, "does not hold", "not between 20 and 30"),
        ({"low": 14.0, "high": 30.0}, "not enough data", "does not tell"),
        ({"high": 30.0, "best_lr": 0.1}, "does not hold", "learning rate 0.1 was chosen in 0 of 6"),
        ({"high": 30.0, "best_lr": 0.5}, "not enough data", "grid has no learning rate 0.5"),
        ({"high": 30.0, "best_weight_decay": 0.1}, "does not hold", "weight decay 0.1"),
    ],
)
def test_c10_has_a_range_and_a_best_cell(case, thresholds, status, why):
    claim = case(BY_METHOD, claims={"C10": thresholds}).decide()["C10"]
    assert claim["status"] == status, claim["reason"]
    assert why in claim["reason"]


def test_c10_leaves_a_tie_open(case):
    made = case(BY_METHOD, claims={"C10": {"high": 30.0}})
    for dataset, run in (("zoo", "simclr"), ("zoo", "moco"), ("sun", "byol")):
        made.change(made.layout.metrics(run, dataset), probe_best_lr=0.1)
    claim = made.decide()["C10"]
    assert claim["status"] == "not enough data"
    assert claim["reason"].endswith("chosen in 3 of 6 cases, and another as often.")


RATES = {f"lr{i}": {"method": "moco", "lr": 1e-3 * (i + 1)} for i in range(4)}


@pytest.mark.parametrize(
    ("skill", "status", "share"),
    [
        ([0.3, 0.4, 0.5, 0.6], "holds", 100),  # the loss rises with the skill: see below
        ([0.6, 0.5, 0.4, 0.3], "does not hold", 0),  # at most 45.9 % of such pairs
        ([0.6, 0.3, 0.4, 0.5], "not enough data", 50),
    ],
)
def test_c11_counts_pairs_in_which_the_lower_loss_scores_lower(case, skill, status, share):
    made = case(
        RATES, skill=dict(zip(RATES, skill, strict=True)), claims={"C11": {"discordant": 0.5}}
    )
    for i, run in enumerate(RATES):
        made.change(made.layout.pretrain_report(run), final_loss=2.0 + i)
    claim = made.decide()["C11"]
    assert claim["status"] == status, claim["reason"]
    assert claim["effect"]["value"] == pytest.approx(share)
    expected = stats.kendalltau([0, 1, 2, 3], skill).statistic
    assert any(f"{expected:+.2f} (-1" in line for line in claim["details"])


def test_c11_needs_pairs_that_can_be_told_apart(case):
    claim = case(RATES, skill=dict.fromkeys(RATES, 0.5), images=100).decide()["C11"]
    assert claim["status"] == "not enough data" and "can be told apart" in claim["reason"]


def test_c11_does_not_compare_losses_that_measure_other_things(case):
    runs = {f"t{i}": {"method": "moco", "temperature": 0.1 * (i + 1)} for i in range(4)}
    runs |= {"simclr": {"method": "simclr"}, "crops": CROPS["two"]}
    claim = case(runs).decide()["C11"]
    assert claim["status"] == "not enough data" and "can be compared" in claim["reason"]


# --- whatever there is ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs", "without"),
    [
        ({"moco": {"method": "moco"}}, ()),
        ({"moco": {"method": "moco"}}, ("moco",)),
        ({"untrained": {"method": "random"}}, ()),
        ({"untrained": {"method": "random"}, "pixels": {"method": "random", "backbone": "pixels"}}, ()),
    ],
)  # fmt: skip
def test_too_little_is_said_and_is_no_failure(case, runs, without):
    made = case(runs, without=without)
    found = made.decide()
    assert list(found) == [f"C{i}" for i in range(1, 12)]
    statuses = {name: claim["status"] for name, claim in found.items() if name != "C10"}
    assert set(statuses.values()) == {"not enough data"}
    trained = [run for run in runs if run == "moco" and run not in without]
    used = {run for claim in found.values() for run in claim["runs"]}
    assert used <= set(trained)  # never an untrained encoder
    assert all(claim["reason"].endswith(".") for claim in found.values())


def test_baselines_never_count(case):
    runs = BY_METHOD | {"untrained": {"method": "random"}}
    with_it = case(runs | {"pixels": {"method": "random", "backbone": "pixels"}}).decide()
    without = case(BY_METHOD).decide()
    assert with_it["C6"]["effect"] == without["C6"]["effect"]
    assert with_it["C10"]["effect"] == without["C10"]["effect"]


def test_a_data_set_without_scores_is_left_out_and_named(case):
    made = case(BY_METHOD)
    for run in BY_METHOD:
        made.layout.metrics(run, "sun").unlink()
    claim = made.decide()["C6"]
    assert {row[0] for row in claim["table"]["rows"]} == {"`zoo`"}
    assert "No trained run is scored on `sun`." in claim["details"]


def test_a_setting_that_lacks_a_data_set_does_not_count(case):
    made = case(BY_METHOD)
    made.layout.metrics("byol", "sun").unlink()
    assert made.decide()["C6"]["status"] == "not enough data"


def test_runs_that_were_scored_on_other_images_are_refused(case):
    made = case(BY_METHOD)
    path = made.layout.predictions("byol", "sun")
    arrays = read_arrays(path)
    changed = {key: values[1:] if values.ndim else values for key, values in arrays.items()}
    write_arrays(path, changed)
    with pytest.raises(UserError, match="sun: byol and simclr were scored on different images"):
        made.decide()


def test_the_figure_is_that_of_a_study_of_these_runs(case):
    runs = BY_METHOD | CROPS
    studies = {
        "others": {"runs": ["simclr"], "x": "views.local"},
        "two_keys": {"runs": ["two"], "x": ["views.local", "lr"]},
        "crops": {"runs": ["without", "two"], "x": "views.local"},
        "which": {"runs": list(METHODS), "x": ["method"]},
    }
    found = case(runs, studies=studies).decide()
    assert found["C8"]["figure"] == "figures/study_crops.png"
    assert found["C6"]["figure"] == "figures/study_which.png"
    assert found["C9"]["figure"] == "figures/accuracy.png"


def test_the_page_says_what_the_json_says(case):
    made = case(BY_METHOD | CROPS, skill={"moco": 0.7})
    found = made.decide()
    text = made.layout.claims("md").read_text()
    assert as_markdown(read(made.layout.claims("json"))) == text
    for name, claim in found.items():
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for words in (claim["claim"], claim["rule"], claim["reason"], *claim["details"]):
            assert words in section
        assert f"**{claim['status'].capitalize()}.**" in section
        assert all(f"`{run}`" in section for run in claim["runs"])
        assert f"({claim['figure']})" in section
        if claim["effect"]:
            effect = str(Effect(**claim["effect"]))
            assert text.count(effect) >= 2 and effect in section
    count = [claim["status"] for claim in found.values()].count("holds")
    assert text.splitlines()[2].startswith(f"{count} hold, ")


def test_what_made_it_stands_in_the_json_and_the_same_input_gives_the_same_bytes(case):
    made = case(BY_METHOD, claims={"C8": {"min_effect": 2.5}})
    made.decide()
    first = [made.layout.claims(suffix).read_bytes() for suffix in ("json", "md")]
    whole = json.loads(first[0])
    assert whole["made_by"]["claims"]["C8"] == {
        "data_sets": [], "min_effect": 2.5, "min_seeds": 1,
    }  # fmt: skip
    assert whole["made_by"]["report"] == {"confidence": 0.95, "resamples": 500, "seed": 0}
    made.decide()
    assert first == [made.layout.claims(suffix).read_bytes() for suffix in ("json", "md")]


def test_every_threshold_is_in_its_rule_and_in_the_documentation():
    page = (Path(__file__).resolve().parents[2] / "docs/claims.md").read_text()
    for name, thresholds in Claims():
        section = page.split("\n## ")
        own = next(
            part for part in section if name in part.splitlines()[0].replace(":", "").split()
        )
        for key, value in thresholds:
            assert f"`{key}`" in own, f"{name}: {key}"
            if isinstance(value, float | int):
                row = next(line for line in own.splitlines() if f"`{key}`" in line and "|" in line)
                assert f"{value:g}" in row, row


def test_thresholds_reach_the_rules(case):
    changed = {
        "C1": {"min_epochs": 77, "min_points": 7, "early": 0.41, "late": 0.51, "rise": 0.81, "flat": 2.1},
        "C2": {"min_points": 7, "correlation": 0.91},
        "C3": {"min_epochs": 77, "min_points": 7, "early": 0.31, "fall": 0.81, "oscillation": 0.37,
               "flat": 2.1},
        "C4": {"min_epochs": 77, "tail": 0.53},
        "C5": {"min_epochs": 77, "tail": 0.53, "early": 0.31, "fall": 0.61},
        "C6": {"margin": 1.7}, "C8": {"min_effect": 1.7}, "C9": {"min_effect": 1.7},
        "C7": {"min_effect": 1.7, "order": ["resnet34", "resnet18"], "method": "byol"},
        "C10": {"low": 5.1, "high": 15.1, "best_lr": 0.011, "best_weight_decay": 0.11},
        "C11": {"min_pairs": 7, "discordant": 0.21},
    }  # fmt: skip
    found = case({"moco": {"method": "moco"}}, claims=changed).decide()
    for name, thresholds in changed.items():
        for value in thresholds.values():
            shown = value if isinstance(value, list) else [value]
            for one in shown:
                texts = [str(one)] if isinstance(one, str) else [f"{one:g}", f"{100 * one:g} %"]
                assert any(text in found[name]["rule"] for text in texts), (name, one)


@pytest.mark.parametrize(
    ("claims", "mistake"),
    [
        ({"C7": {"data_sets": ["cub"]}}, "claims.C7.data_sets.0: no scored data set 'cub'; "),
        ({"C6": {"data_sets": ["zoo", "zoo"]}}, "claims.C6.data_sets: the same data set is named"),
        ({"C7": {"order": ["resnet18", "vgg"]}}, "claims.C7.order.1: no backbone 'vgg'; there are"),
        ({"C7": {"order": ["resnet18"] * 2}}, "claims.C7.order: the same backbone is named twice"),
        ({"C7": {"method": "dino"}}, "claims.C7.method: no method 'dino'; there are: moco"),
        ({"C9": {"modest": {"cub": 1.0}}}, "claims.C9.modest.cub: no data set 'cub'; there are"),
        ({"C9": {"mainly": {"sun": ["nat"]}}}, "claims.C9.mainly.sun.0: no data set of C9 'nat'"),
        ({"C9": {"mainly": {"nat": ["zoo", "sun"]}}}, "claims.C9.mainly.nat: leave a data set"),
        ({"C10": {"low": 9.0, "high": 8.0}}, "claims.C10: low (9) is above high (8)"),
    ],
)
def test_mistakes_in_the_thresholds(claims, mistake):
    known = {
        "scored": ["zoo", "sun"],
        "datasets": ["zoo", "sun", "nat"],
        "backbones": ["resnet18", "resnet34", "resnet50", "resnet101", "wide_resnet50_2"],
        "methods": ["moco"],
    }
    (found,) = claims_disagreements(Claims.model_validate(claims), **known)
    assert found.startswith(mistake)
    assert not list(claims_disagreements(Claims(), **known))


def test_single_runs_decide_no_comparison(case):
    """However clear on the images: another seed may turn it."""
    runs = {m: {"method": m} for m in ("simclr", "moco", "byol")}
    skill = {"moco": 0.8, "simclr": 0.4, "byol": 0.4}
    loose = case(runs, skill=skill).decide()["C6"]
    assert loose["status"] == "holds"
    strict = case(runs, skill=skill, claims={"C6": {"min_seeds": 2}}).decide()["C6"]
    assert strict["status"] == "not enough data" and strict["effect"] == loose["effect"]
    assert "have not the 2 seeds" in strict["reason"] and "2 scored seeds" in strict["rule"]
    repeated = {f"{m}_{seed}": {"method": m, "seed": seed} for m in runs for seed in (0, 1)}
    skill = {name: 0.8 if name.startswith("moco") else 0.4 for name in repeated}
    claim = case(repeated, skill=skill, claims={"C6": {"min_seeds": 2}}).decide()["C6"]
    assert claim["status"] == "holds" and len(claim["runs"]) == 6


def test_losses_of_other_corpora_and_batches_do_not_compare(case):
    runs = {
        "base": {"method": "moco"},
        "more": {"method": "moco", "corpus": "more"},
        "batch": {"method": "moco", "batch_size": 32},
    }
    skill = {"base": 0.8, "more": 0.3, "batch": 0.5}
    claim = case(runs, skill=skill, claims={"C11": {"min_pairs": 1}}).decide()["C11"]
    assert "no two scored settings" in claim["reason"].lower()


def test_few_pairs_of_losses_leave_the_share_open(case):
    """Three pairs that are clear on the images are still three: Clopper and Pearson's interval."""
    runs = {f"moco_{i}": {"method": "moco", "lr": lr} for i, lr in enumerate((1e-4, 1e-3, 1e-2))}
    made = case(runs, skill=dict(zip(runs, (0.3, 0.55, 0.8), strict=True)))
    claim = made.decide()["C11"]
    effect = claim["effect"]
    hits = round(effect["value"] / 100 * 3)
    theirs = stats.binomtest(hits, 3).proportion_ci(0.95, method="exact")
    assert (effect["low"], effect["high"]) == pytest.approx((100 * theirs.low, 100 * theirs.high))
