"""`sslpipe compare`, against the leaderboard, SciPy and brute force."""

import numpy as np
import pytest
from scipy import stats
from synthetic import content, read, rewrite, write_reports

from edits import EDITS, UNTRAINED
from sslpipe import cli
from sslpipe.errors import UserError
from sslpipe.io.arrays import read_arrays, write_arrays
from sslpipe.reporting.leaderboard import compared
from sslpipe.reporting.results import Results
from sslpipe.reporting.settings import Setting
from sslpipe.terminal.compare import differences, print_comparison, sides
from sslpipe.terminal.leaderboard import read_leaderboard


@pytest.fixture
def results(made):
    return Results(*made)


def single(name):
    return Setting(name, (name,))


def words(lines):
    return lines[lines.index("In words") + 1 :]


def said(made, printed, *names, **options):
    return printed(lambda console: print_comparison(*made, *names, console=console, **options))


# --- numbers ----------------------------------------------------------------------------------


def test_one_pair_is_what_the_leaderboard_says_of_it(made, results):
    """Its interval; its p is adjusted for all pairs there, so at least ours."""
    whole = read_leaderboard(*made)
    moco = Setting("moco", ("moco", "moco_seed1"))
    for a, b in ((moco, single("simclr")), (single("byol"), single("simclr"))):
        for dataset in ("zoo", "sun"):
            probe = next(s for s in differences(results, dataset, a, b) if s.key == "probe_top1")
            found = compared(whole, dataset, a.name, b.name)
            assert probe.found[:3] == pytest.approx(found[:3], abs=1e-6)
            assert probe.found.p <= found.p + 1e-6


def test_p_is_mcnemars_exact_test_and_the_interval_a_paired_bootstrap(made, results):
    random = np.random.default_rng(1)
    answers = {run: results.predictions["zoo", run] for run in ("simclr", "byol")}
    label, private = answers["byol"]["label"], answers["byol"]["private"]
    found = {s.key: s for s in differences(results, "zoo", single("simclr"), single("byol"))}
    for key, name, part in (
        ("knn_top1", "knn", np.ones_like(private)),
        ("probe_top1", "probe", np.ones_like(private)),
        ("public_top1", "probe", ~private),
        ("private_top1", "probe", private),
    ):
        one, other = (answers[run][name][part] == label[part] for run in ("simclr", "byol"))
        only, just = int((one & ~other).sum()), int((~one & other).sum())
        score = found[key]
        p = stats.binomtest(only, only + just).pvalue
        assert score.found.p == pytest.approx(p, abs=1e-6)
        assert (score.one, score.other) == pytest.approx((one.mean(), other.mean()))
        assert score.images == part.sum()
        drawn = random.integers(0, len(one), (4000, len(one)))
        brute = np.quantile((one[drawn].mean(1) - other[drawn].mean(1)), [0.025, 0.975])
        assert (score.found.low, score.found.high) == pytest.approx(brute, abs=0.012)


def test_fine_tuned_scores_are_compared_where_both_have_them(made, results):
    keys = [s.key for s in differences(results, "zoo", single("moco"), single("simclr"))]
    assert keys[-1] == "finetune_top1" and len(keys) == 5
    keys = [s.key for s in differences(results, "zoo", single("moco"), single("byol"))]
    assert len(keys) == 4


def test_the_other_way_round_all_signs_change(results):
    a, b = single("simclr"), single("byol")
    for one, other in zip(
        differences(results, "sun", a, b), differences(results, "sun", b, a), strict=True
    ):
        one, other = one.found, other.found
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=2e-6)
        turned = {"better": "worse", "worse": "better", "tied": "tied"}
        assert one.p == other.p and one.verdict(0.95) == turned[other.verdict(0.95)]


# --- what a name stands for -------------------------------------------------------------------


def test_a_run_stands_for_its_seeds_unless_asked_otherwise(results):
    moco = Setting("moco", ("moco", "moco_seed1"))
    assert sides(results, "moco", "simclr", alone=False) == (moco, single("simclr"))
    assert sides(results, "simclr", "moco_seed1", alone=False) == (single("simclr"), moco)
    assert sides(results, "moco", "simclr", alone=True) == (single("moco"), single("simclr"))
    seeds = single("moco"), single("moco_seed1")
    assert sides(results, "moco", "moco_seed1", alone=False) == seeds


def test_what_cannot_be_compared_is_one_line(made, monkeypatch, capsys):
    monkeypatch.chdir(made[1].root)
    for one, other, expected in (
        ("moco", "moco", "compare: two different runs are needed, not moco twice"),
        ("moco", "moco_seed2", "missing; it is made by: sslpipe pretrain moco_seed2"),
        ("moco", "mocco", "no run named 'mocco' in params.yaml; there are: simclr, moco"),
    ):  # fmt: skip
        assert cli.main(["compare", one, other]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert expected in line


def test_unscored_sets_are_one_line_each(tmp_path, printed):
    runs = {name: {"method": name} for name in ("moco", "byol")}
    made = write_reports(tmp_path, content(runs), images=60)
    answers = made[1].predictions("byol", "sun")
    kept = answers.read_bytes()
    for path in (answers, made[1].metrics("byol", "sun")):
        answers.write_bytes(kept)
        path.unlink()
        lines = said(made, printed, "moco", "byol")
        assert lines[-1] == "sun: not compared; first: sslpipe evaluate byol sun"
        assert any(line.startswith("zoo  60 test images") for line in lines)
        assert not any(line.startswith("sun  60 test images") for line in lines)
    made[1].metrics("moco", "zoo").unlink()
    lines = words(said(made, printed, "moco", "byol"))
    assert lines[0] == "No data set has scores of both, so nothing can be concluded."
    assert lines[-2] == "zoo: not compared; first: sslpipe evaluate moco zoo"


def test_different_images_are_refused(tmp_path, capsys):
    runs = {name: {"method": name} for name in ("moco", "byol")}
    params, layout = write_reports(tmp_path, content(runs), images=60)
    arrays = read_arrays(layout.predictions("byol", "zoo"))
    other = arrays | {"label": arrays["label"][::-1]}
    write_arrays(layout.predictions("byol", "zoo"), other)
    with pytest.raises(UserError, match="scored on different images"):
        print_comparison(params, layout, "moco", "byol")
    assert capsys.readouterr().out == ""  # the line alone


# --- after an edit of params.yaml ---------------------------------------------------------------


@pytest.mark.parametrize("edit", EDITS)
def test_numbers_of_before_are_not_compared(edit, project):
    compare = "compare", "moco", "simclr"
    before, beside = project.run(*compare), project.run("compare", "byol", "simclr")
    code, lines, errors = before
    assert (code, errors) == (0, []) and "fine-tuned" in "\n".join(lines)
    project.edit(edit)
    code, after, errors = project.run(*compare)
    if edit in UNTRAINED:
        assert (code, after, errors) == (1, [], [f"sslpipe: {UNTRAINED[edit]}"])
        assert (project.run("compare", "byol", "simclr") == beside) is ("lr" in edit)
    elif "k-NN" in edit:
        assert not any("test images" in line for line in after)
        assert words(after)[0] == "No data set has scores of both, so nothing can be concluded."
        for dataset in ("zoo", "sun"):
            (line,) = [line for line in after if line.startswith(f"{dataset}: not compared")]
            assert f"sslpipe evaluate moco {dataset}" in line
    else:  # all but the line of it, the longest, which made each first column wider
        kept = [line.split() for line in lines if not line.startswith("fine-tuned")]
        assert [line.split() for line in after if "─" not in line] == [
            line for line in kept if "─" not in "".join(line)
        ]
    project.take_back()
    assert project.run(*compare) == before


# --- words ------------------------------------------------------------------------------------


def contest(folder, **skill):
    runs = {
        "a": {"method": "simclr"}, "b": {"method": "simclr", "lr": 0.1}, "untrained": {"method": "random"}
    }  # fmt: skip
    return write_reports(folder, content(runs, ("zoo",)), skill=skill)


def test_a_clear_difference_is_called_one(tmp_path, printed):
    lines = words(said(contest(tmp_path, a=0.8, b=0.3), printed, "a", "b"))
    assert lines[0].startswith("zoo: a is better than b by the linear probe (+")
    assert "p < 0.001" in lines[0]
    assert "each side is a single training" in lines[1]
    lines = words(said(contest(tmp_path, a=0.3, b=0.8), printed, "a", "b"))
    assert lines[0].startswith("zoo: b is better than a by the linear probe (+")


def test_no_difference_says_how_large_one_would_have_to_be(tmp_path, printed):
    made = contest(tmp_path, a=0.5, b=0.5)
    (probe,) = (
        s
        for s in differences(Results(*made), "zoo", single("a"), single("b"))
        if s.key == "probe_top1"
    )
    line = words(said(made, printed, "a", "b"))[0]
    assert line.startswith("zoo: a cannot be told apart from b by the linear probe")
    width = 100 * (probe.found.high - probe.found.low) / 2
    assert f"with 300 test images, a difference of less than about {width:.1f} points" in line


def test_another_verdict_of_k_nn_is_told(tmp_path, printed):
    made = contest(tmp_path, a=0.6, b=0.3)
    path = made[1].predictions("a", "zoo")
    arrays = read_arrays(path)
    worse = arrays | {"knn": np.full_like(arrays["knn"], -1)}
    write_arrays(path, worse)
    line = words(said(made, printed, "a", "b"))[0]
    assert "a is better than b" in line and "By k-NN: b is better than a" in line


def test_what_differs_and_what_it_cost(tmp_path, printed):
    made = contest(tmp_path)
    path = made[1].pretrain_report("b")
    rewrite(path, read(path) | {"train_seconds": 25.0})
    lines = said(made, printed, "a", "b")
    start, end = lines.index("What differs"), lines.index("Cost")
    assert [line.split() for line in lines[start + 3 : end - 1]] == [["lr", "0.001", "0.1"]]
    cost = [line.split() for line in lines[end : lines.index("In words")]]
    assert ["images", "seen", "10,000", "10,000"] in cost
    assert ["training", "10.0", "s", "25.0", "s"] in cost
    assert "b took 2.5 times as long to train as a." in lines
    rewrite(path, read(path) | {"device": "NVIDIA L4"})
    lines = said(made, printed, "a", "b")
    assert "They were trained on different devices, so their times do not compare." in lines


def test_a_changed_corpus_is_told(tmp_path, printed):
    made = contest(tmp_path)
    path = made[1].pretrain_report("b")
    rewrite(path, read(path) | {"inputs": {"corpus_sha256": "f" * 64}})
    lines = said(made, printed, "a", "b")
    assert "They saw different images: corpus base has changed between them." in lines
    assert any(line.split() == ["corpus", "sha256", "0123456789abcdef", "f" * 16] for line in lines)


def test_against_an_encoder_without_training(tmp_path, printed):
    lines = said(contest(tmp_path), printed, "a", "untrained")
    start, end = lines.index("What differs"), lines.index("Cost")
    assert [line.split() for line in lines[start + 3 : end - 1]] == [["method", "simclr", "random"]]
    assert any(line.split() == ["training", "10.0", "s", "–"] for line in lines)


def test_seeds_are_named_and_their_means_compared(made, printed):
    lines = said(made, printed, "simclr", "moco")
    assert lines[1].endswith("2 seeds: moco, moco_seed1")
    assert any(line.split() == ["seed", "0", "0,", "1"] for line in lines)
    assert any(line.startswith("Scores are means over seeds") for line in words(lines))
    alone = said(made, printed, "simclr", "moco", alone=True)
    assert not any("moco_seed1" in line for line in alone)


@pytest.mark.parametrize("width", [44, 60, 80])
def test_narrow_terminals_keep_each_score_in_a_line(made, printed, width):
    lines = printed(
        lambda console: print_comparison(*made, "simclr", "byol", console=console), width
    )
    assert max(map(len, lines)) <= width
    start = next(i for i, line in enumerate(lines) if line.startswith("zoo  300"))
    for heading in ("k-NN", "probe", "public", "private"):
        (line,) = [line for line in lines[start : start + 8] if line.startswith(heading + " ")]
        assert "+" in line or "-" in line
