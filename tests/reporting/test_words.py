"""Numbers and verdicts in words, and a comparison the other way round."""

import pytest

from sslpipe.reporting import words
from sslpipe.reporting.paired import Comparison


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.0123, "+1.2"), (-0.0123, "-1.2"), (0.0, "+0.0"), (-0.0004, "+0.0"), (-0.0006, "-0.1")],
)
def test_points_have_a_sign_and_nothing_is_less_than_nothing(difference, text):
    assert words.points(difference) == text


def test_percentages_intervals_and_p_values():
    assert words.percent(0.6534) == "65.3" and words.percent(0.6534, 0.0042) == "65.3 ± 0.4"
    assert words.span(0.612, 0.691) == "61.2–69.1" and words.span(None, None) == ""
    assert [words.p_value(p) for p in (0.0004, 0.001, 0.0434, 1.0)] == [
        "< 0.001", "0.001", "0.043", "1.000"
    ]  # fmt: skip
    found = Comparison(0.009, -0.003, 0.021, 0.0434)
    assert words.how_sure(found) == "-0.3 to +2.1, p = 0.043"
    assert words.how_sure(found._replace(p=0.0)) == "-0.3 to +2.1, p < 0.001"


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [("train_seconds", 41.26, "41.3 s"), ("train_seconds", 5400, "1 h 30 min"),
     ("device_hours", 0.01147, "0.011"), ("device_hours", 1234.56, "1,234.6"),
     ("images_seen", 19975.0, "19,975"), ("images_per_s", None, words.DASH)],
)  # fmt: skip
def test_what_a_training_took(key, value, text):
    assert words.spent(key, value) == text


def test_a_verdict_follows_the_test_and_turns_with_the_comparison():
    better = Comparison(0.02, 0.01, 0.03, 0.02)
    assert [better.verdict(confidence) for confidence in (0.95, 0.99)] == ["better", "tied"]
    assert -better == Comparison(-0.02, -0.03, -0.01, 0.02)
    assert (-better).verdict(0.95) == "worse"
    assert set(words.VERDICTS) == {"better", "worse", "tied"}


def test_long_lists_are_cut():
    runs = [f"run{i}" for i in range(10)]
    assert words.names(runs) == f"{', '.join(runs[:8])} and 2 more"
    assert words.names(runs[:8]) == ", ".join(runs[:8])
