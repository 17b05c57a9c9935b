"""Intervals and tests against SciPy, closed forms and simulation."""

import numpy as np
import pytest
from scipy import stats

from sslpipe.reporting import statistics
from sslpipe.reporting.statistics import (
    bootstrap,
    clopper_pearson,
    holm,
    interval,
    mean_hits,
    paired_p_values,
    rank_correlation,
    score_interval,
)

RANDOM = np.random.default_rng(0)


def drawn(hits, labels=None, private=None, *, resamples=4000, seed=0, per_class=0):
    hits = np.asarray(hits)
    hits = hits[:, None] if hits.ndim == 1 else hits
    labels = np.zeros(len(hits), int) if labels is None else labels
    private = np.zeros(len(hits), bool) if private is None else private
    return bootstrap(hits, labels, private, resamples=resamples, seed=seed, per_class=per_class)


def test_the_interval_of_a_mean_is_that_of_a_binomial():
    """Resampled 0s and 1s add up to a binomial number, whose quantiles are known."""
    hits = np.arange(400) < 260
    draws = drawn(hits, resamples=20_000).overall[:, 0]
    expected = stats.binom.ppf([0.025, 0.975], 400, 0.65) / 400
    assert interval(draws) == pytest.approx(expected, abs=0.003)
    assert draws.mean() == pytest.approx(0.65, abs=0.001)
    assert draws.std() == pytest.approx(np.sqrt(0.65 * 0.35 / 400), rel=0.02)


def test_the_interval_agrees_with_scipys_bootstrap():
    hits = RANDOM.random(300) < 0.3
    theirs = stats.bootstrap(
        (hits.astype(float),), np.mean, n_resamples=20_000, method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert interval(drawn(hits, resamples=20_000).overall[:, 0]) == pytest.approx(theirs, abs=0.004)


def test_an_interval_of_another_confidence():
    draws = np.arange(101) / 100
    assert interval(draws, 0.9) == pytest.approx((0.05, 0.95))
    assert interval(draws, 0.5) == pytest.approx((0.25, 0.75))


@pytest.mark.parametrize("accuracy", [0.3, 0.6, 0.85])
def test_the_interval_covers_the_truth_as_often_as_it_says(accuracy):
    """Many test sets of 250 images: about 95 % of the intervals hold the true accuracy."""
    random = np.random.default_rng(7)
    sets = 600
    hits = random.random((250, sets)) < accuracy  # each column a test set of its own
    draws = drawn(hits, resamples=1000).overall
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    covered = ((low <= accuracy) & (accuracy <= high)).mean()
    assert 0.925 <= covered <= 0.975


def test_the_interval_of_a_difference_covers_it_too_and_is_narrower_for_being_paired():
    random = np.random.default_rng(3)
    sets, images = 300, 300
    hard = random.random((images, sets))
    one, other = (hard < 0.7), np.where(random.random((images, sets)) < 0.9, hard < 0.6, hard < 0.7)
    truth = 0.7 - (0.9 * 0.6 + 0.1 * 0.7)
    draws = drawn(np.concatenate([one, other], axis=1), resamples=1000).overall
    difference = draws[:, :sets] - draws[:, sets:]
    low, high = np.quantile(difference, [0.025, 0.975], axis=0)
    assert 0.92 <= ((low <= truth) & (truth <= high)).mean() <= 0.98
    unpaired = np.sqrt(draws[:, 0].var() + draws[:, sets].var())
    assert difference[:, 0].std() < 0.6 * unpaired


def test_halves_and_classes_by_brute_force():
    """Every sample's scores, recomputed from its weights image by image."""
    images, resamples = 40, 300
    labels = RANDOM.integers(0, 5, images)
    private = RANDOM.random(images) < 0.4
    hits = (RANDOM.random((images, 3)) < 0.5).astype(float)
    found = drawn(hits, labels, private, resamples=resamples, seed=5, per_class=2)
    order = np.lexsort((labels, private))
    weights = np.concatenate(list(statistics._weights(images, resamples, 5, np.dtype("f8"))))
    assert weights.shape == (resamples, images) and (weights.sum(axis=1) == images).all()
    for sample in (0, 17, resamples - 1):
        rows = np.repeat(order, weights[sample].astype(int))
        assert found.overall[sample] == pytest.approx(hits[rows].mean(axis=0))
        for half, draws in ((False, found.public), (True, found.private)):
            of_half = rows[private[rows] == half]
            assert draws[sample] == pytest.approx(hits[of_half].mean(axis=0))
        by_class = [hits[rows[labels[rows] == c], :2].mean(axis=0) for c in set(labels[rows])]
        assert found.per_class[sample] == pytest.approx(np.mean(by_class, axis=0))


def test_a_half_without_images_has_no_draws():
    found = drawn(np.array([1, 0, 1]))
    assert found.private is None and found.per_class is None and found.public is not None


def test_means_over_seeds_are_resampled_exactly():
    """Three runs' mean: the mean of their draws, and no other column differs for being beside it."""
    runs = RANDOM.random((500, 3)) < 0.5
    whole = drawn(runs, resamples=200).overall
    mean = drawn(np.stack([runs.mean(axis=1), runs[:, 0]], axis=1), resamples=200).overall
    assert mean[:, 0] == pytest.approx(whole.mean(axis=1), abs=1e-12)
    assert mean[:, 1] == pytest.approx(whole[:, 0], abs=1e-12)


def test_the_same_seed_draws_the_same_images_for_all():
    hits = RANDOM.random((100, 2)) < 0.5
    assert (drawn(hits).overall[:, 1] == drawn(hits[:, 1]).overall[:, 0]).all()
    assert (drawn(hits, seed=1).overall != drawn(hits).overall).any()


def test_where_all_images_are_right_the_interval_is_not_a_point():
    draws = np.ones(1000)
    low, high = score_interval(draws, 1.0, 30)
    # The closed form: (α / 2) ** (1 / n).
    assert (low, high) == (pytest.approx(0.025 ** (1 / 30)), 1.0)
    assert score_interval(0 * draws, 0.0, 30) == (0.0, pytest.approx(1 - 0.025 ** (1 / 30)))


@pytest.mark.parametrize(("hits", "images"), [(0, 12), (3, 12), (12, 12), (150, 300)])
def test_clopper_pearson_is_scipys(hits, images):
    theirs = stats.binomtest(hits, images).proportion_ci(0.95, method="exact")
    assert clopper_pearson(hits, images) == pytest.approx((theirs.low, theirs.high))


def test_the_paired_test_is_mcnemars_exact_one():
    hits = RANDOM.random((200, 4)) < [0.5, 0.55, 0.7, 0.5]
    found = paired_p_values(hits)
    for i in range(4):
        for j in range(4):
            if i == j:
                assert found[i, j] == 1
                continue
            only = int((hits[:, i] & ~hits[:, j]).sum())
            other = int((~hits[:, i] & hits[:, j]).sum())
            assert found[i, j] == pytest.approx(stats.binomtest(only, only + other).pvalue)
    assert (found == found.T).all()


def test_where_seeds_are_averaged_the_paired_test_is_scipys_t_test():
    single = RANDOM.random(300) < 0.5
    mean = (RANDOM.random((300, 3)) < 0.55).mean(axis=1)
    other = (RANDOM.random((300, 2)) < 0.7).mean(axis=1)
    found = paired_p_values(np.stack([single, mean, other], axis=1))
    columns = [single.astype(float), mean, other]
    for i in range(3):
        for j in range(3):
            if i != j:
                expected = stats.ttest_rel(columns[i], columns[j]).pvalue
                assert found[i, j] == pytest.approx(expected, rel=1e-6)


def test_runs_that_answer_alike_are_not_told_apart():
    same = np.repeat(RANDOM.random((50, 1)) < 0.5, 2, axis=1)
    assert (paired_p_values(same) == 1).all()
    means = np.repeat((RANDOM.random((50, 3)) < 0.5).mean(axis=1)[:, None], 2, axis=1)
    assert (paired_p_values(means) == 1).all()


def test_the_paired_test_raises_false_alarms_as_often_as_it_says():
    """Two encoders of the same worth on many test sets: p < 0.05 in at most 5 % of them."""
    random = np.random.default_rng(2)
    alarms = 0
    for _ in range(400):
        hard = random.random(200)
        pair = hard[:, None] + 0.3 * random.random((200, 2)) < 0.7
        alarms += paired_p_values(pair)[0, 1] < 0.05
    assert alarms / 400 <= 0.07


def test_holm():
    # The example of Holm's rule by hand: sorted p times n, n-1, …, never falling, at most 1.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert len(holm([])) == 0


def test_rank_correlation():
    assert rank_correlation([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    tied = [3.0, 1.0, 1.0, 2.0, 5.0], [1.0, 1.0, 2.0, 2.0, 2.0]
    assert rank_correlation(*tied) == pytest.approx(stats.spearmanr(*tied).statistic)
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None


def test_mean_hits_of_answers_and_of_hits():
    label = np.array([0, 1, 2])
    answers = {
        "a": {"label": label, "probe": np.array([0, 1, 1]), "knn_top5": np.array([True] * 3)},
        "b": {"label": label, "probe": np.array([0, 0, -1]), "knn_top5": np.array([False] * 3)},
    }
    assert mean_hits(answers, ["a", "b"], "probe").tolist() == [1.0, 0.5, 0.0]
    assert mean_hits(answers, ["a"], "knn_top5").tolist() == [1.0] * 3
