"""`sslpipe show`: the leaderboard, and all of a run, against the files that they come from."""

import json

import numpy as np
import pytest
from synthetic import RUNS, content, read, rewrite, write_reports

from edits import EDITS, UNTRAINED
from made_of import stamp
from sslpipe import cli
from sslpipe.errors import UserError
from sslpipe.io.arrays import read_arrays, write_arrays
from sslpipe.io.files import sha256, write_text
from sslpipe.layout import Layout
from sslpipe.networks.backbones import build_backbone
from sslpipe.networks.encoder_file import save_encoder
from sslpipe.params import resolve
from sslpipe.provenance.answers import CHECKSUM, checksum
from sslpipe.reporting.leaderboard import compared, rows_of
from sslpipe.reporting.model_card import Input, model_card
from sslpipe.reporting.results import Results
from sslpipe.stages import claims, leaderboard, page
from sslpipe.terminal.compare import print_comparison
from sslpipe.terminal.leaderboard import print_leaderboard, read_leaderboard
from sslpipe.terminal.show import print_run

INPUT = Input(32, "squash", (0.5,) * 3, (0.5,) * 3)


@pytest.fixture
def whole(made):
    return read_leaderboard(*made)


def line_of(lines, start):
    return next(line for line in lines if line.strip().startswith(start))


# --- the leaderboard --------------------------------------------------------------------------


def test_rows_and_numbers_are_those_of_the_file(whole, printed):
    lines = printed(lambda console: print_leaderboard(whole, console))
    first = next(i for i, line in enumerate(lines) if line.startswith("zoo"))
    found = [line.split() for line in lines[first + 3 : first + 3 + 6]]
    rows = rows_of(whole, "zoo")
    assert [row[0] for row in found] == [row["run"] for row in rows]
    for cells, row in zip(found, rows, strict=True):
        if len(row["runs"]) == 1:
            scores = [f"{100 * row['scores'][key]['mean']:.1f}" for key in whole["main"]]
            assert cells[5:9] == scores
    score = next(row for row in rows if row["run"] == "moco")["scores"]["knn_top1"]
    text = f"{100 * score['mean']:.1f} ± {100 * score['std']:.1f}"
    assert text in line_of(lines, "moco")


def test_what_a_reader_of_scores_must_know_is_said_beside_them(tmp_path, printed):
    runs = {name: RUNS[name] for name in ("simclr", "moco", "untrained")}
    params, layout = write_reports(tmp_path, content(runs), images=60)
    facts = layout.dataset_facts("zoo")
    rewrite(facts, read(facts) | {"remarks": ["2 held-out images are copies"]})
    for run in runs:
        cell = layout.metrics(run, "sun")
        scores = read(cell) | {"knn_k": 12}
        rewrite(cell, scores)
        answers = read_arrays(layout.predictions(run, "sun"))
        write_arrays(
            layout.predictions(run, "sun"), answers | {CHECKSUM: np.array(checksum(scores))}
        )
    leaderboard.run(params, layout)
    claims.run(params, layout)
    page.run(params, layout)
    copies = "2 held-out images are copies"
    votes = "k-NN with all 12 training images, as there are fewer than k = 20"
    for show in (
        lambda console: print_leaderboard(read_leaderboard(params, layout), console),
        lambda console: print_run(params, layout, "simclr", console),
        lambda console: print_comparison(params, layout, "simclr", "moco", console=console),
    ):
        text = "\n".join(printed(show))
        assert text.count(copies) == text.count(votes) == 1
    for path in (layout.leaderboard("md"), layout.page()):
        assert copies in path.read_text() and votes in path.read_text()
    card = model_card(Results(params, layout), "simclr", width=8, expects=INPUT, exported={})
    assert f"On `zoo`: {copies}." in card and f"On `sun`: {votes}." in card


def test_distance_and_p_are_those_of_the_file(whole, printed):
    lines = printed(lambda console: print_leaderboard(whole, console))
    first, other = (row["run"] for row in rows_of(whole, "zoo")[:2])
    found = compared(whole, "zoo", other, first)
    p = "< 0.001" if found.p < 0.001 else f"{found.p:.3f}"
    line = " ".join(line_of(lines, other).split())
    assert f"{100 * found.difference:+.1f} {p}" in line


def test_the_best_trained_value_stands_out_and_baselines_do_not(whole, printed):
    whole = json.loads(json.dumps(whole))
    for row in whole["rows"]:
        if row["kind"] == "baseline":
            row["scores"]["probe_top1"]["mean"] = 0.999
    lines = printed(
        lambda console: print_leaderboard(whole, console),
        force_terminal=True,
        color_system="standard",
    )
    green = [line for line in lines if "\x1b[1;32m" in line]
    assert green and not any(
        "99.9" in part.split("\x1b")[0] for line in lines for part in line.split("[1;32m")[1:]
    )
    rows = [row for row in rows_of(whole, "zoo") if row["kind"] == "trained"]
    best = max(rows, key=lambda row: row["scores"]["probe_top1"]["mean"])
    mean, std = best["scores"]["probe_top1"]["mean"], best["scores"]["probe_top1"]["std"]
    assert any(f"\x1b[1;32m{100 * mean:.1f} ± {100 * std:.1f}" in line for line in green)


def test_what_is_missing_is_said(whole, printed):
    whole = json.loads(json.dumps(whole))
    whole["missing"]["unscored"] = [{"dataset": "sun", "run": "late"}]
    whole["rows"][0]["probe_best"][0][-1] = True
    lines = printed(lambda console: print_leaderboard(whole, console))
    assert "Not trained: moco_seed2." in lines
    assert "Trained, but not evaluated here: late." in lines
    assert f"Best probe on the edge of the grid: {whole['rows'][0]['runs'][0]}." in lines


def test_an_empty_leaderboard(tmp_path, printed):
    from sslpipe.stages import leaderboard

    params, layout = write_reports(tmp_path, content(RUNS), without=tuple(RUNS))
    leaderboard.run(params, layout)
    lines = printed(lambda console: print_leaderboard(read_leaderboard(params, layout), console))
    assert lines[0] == "No run has been evaluated."
    assert lines[1].startswith("Not trained: simclr, moco")


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_narrow_terminals_keep_each_row_in_a_line(whole, printed, width):
    lines = printed(lambda console: print_leaderboard(whole, console), width)
    assert max(map(len, lines)) <= width
    for row in rows_of(whole, "zoo"):
        if len(row["runs"]) == 1:
            public = f"{100 * row['scores']['public_top1']['mean']:.1f}"
            assert public in line_of(lines, row["run"])


def test_without_a_leaderboard_one_line_says_what_makes_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_reports(tmp_path, content(RUNS), without=tuple(RUNS))
    for content_, said in (
        (None, "reports/leaderboard.json: missing; it is made by: sslpipe leaderboard"),
        ({"rows": []}, "of another version; make it again: sslpipe leaderboard"),
    ):
        if content_ is not None:
            rewrite(Layout().leaderboard("json"), content_)
        assert cli.main(["show"]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    write_text(Layout().leaderboard("json"), "{")
    assert cli.main(["show"]) == 1
    assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("edit", EDITS)
def test_a_leaderboard_of_before_an_edit_is_not_shown(edit, project):
    before = project.run("show")
    assert before[0] == 0 and any(line.startswith("moco  ") for line in before[1])
    project.edit(edit)
    code, lines, (error,) = project.run("show")
    assert (code, lines) == (1, [])
    for words in ("of other settings or results than those of params.yaml now", "sslpipe report"):
        assert words in error
    project.take_back()
    assert project.run("show") == before


# --- a run ------------------------------------------------------------------------------------


def test_scores_and_intervals_are_those_of_the_leaderboard(made, whole, printed):
    lines = printed(lambda console: print_run(*made, "simclr", console))
    for dataset, place in (("zoo", 0), ("sun", 1)):
        row = next(row for row in rows_of(whole, dataset) if row["run"] == "simclr")
        for key in ("knn_top1", "private_top1", "finetune_top1", "fewlabels_10_top1"):
            score = row["scores"][key]
            text = f"{100 * score['mean']:.1f} ({100 * score['low']:.1f}–{100 * score['high']:.1f})"
            cells = line_of(lines, whole["legend"][key]["heading"] + "  ").split("  ")
            assert [cell.strip() for cell in cells if "(" in cell][place] == text


def test_how_it_was_trained(made, printed):
    params, layout = made
    report = read(layout.pretrain_report("moco"))
    lines = printed(lambda console: print_run(params, layout, "moco", console))
    assert lines[1] == "moco  moco, resnet18 at 32 px, corpus base"
    assert line_of(lines, "seed").split() == ["seed", "0"]
    settings = line_of(lines, "settings")
    assert "temperature 0.1" in settings and "queue 512" in settings  # not the schema's defaults
    assert "weight_decay" not in settings and "online" not in settings
    assert line_of(lines, "images").split() == ["images", "2,000"]
    assert "5 (155 steps)" in line_of(lines, "epochs")
    assert "10.0 s, 1,000 images/s" in line_of(lines, "time")
    assert "cpu, 1 threads, fp32" in line_of(lines, "device")
    assert report["inputs"]["corpus_sha256"] in line_of(lines, "corpus sha256")
    assert report["versions"]["code"] in line_of(lines, "made by")
    assert "torch 2.14.1" in line_of(lines, "versions")
    assert f"{report['final_loss']:.3f}" in line_of(lines, "final loss")


def test_seeds_of_the_same_setting(made, whole, printed):
    for name in ("moco", "moco_seed1"):
        lines = printed(lambda console, name=name: print_run(*made, name, console))
        start = lines.index("Seeds  moco, moco_seed1")
        score = rows_of(whole, "zoo")[0]["scores"]["private_top1"]
        text = f"{100 * score['mean']:.1f} ± {100 * score['std']:.1f}"
        assert text in line_of(lines[start:], "zoo")
    lines = printed(lambda console: print_run(*made, "simclr", console))
    assert not any(line.startswith("Seeds") for line in lines)


def test_the_probes_cell_and_the_numbers_of_features(tmp_path, printed):
    params, layout = write_reports(tmp_path, content({"moco": {"method": "moco"}}), images=60)
    path = layout.metrics("moco", "sun")
    rewrite(path, read(path) | {"probe_best_on_edge": True, "probe_best_lr": 0.1})
    run = resolve(params, "moco")
    save_encoder(layout.encoder("moco"), build_backbone("resnet18"), run, {})
    stamp(params, layout)
    lines = printed(lambda console: print_run(params, layout, "moco", console))
    cells = [cell.strip() for cell in line_of(lines, "best probe").split("  ") if cell.strip()]
    assert cells[1:] == ["adam, lr 0.01, wd 0", "adam, lr 0.1, wd 0, edge of the grid"]
    assert line_of(lines, "effective rank").split()[2:] == ["105.0", "105.0"]
    assert line_of(lines, "alignment").split()[1:] == ["0.40", "0.40"]
    assert line_of(lines, "uniformity").split()[1:] == ["-2.50", "-2.50"]
    assert sha256(layout.encoder("moco")) in line_of(lines, "encoder sha256")
    assert f"  {layout.encoder('moco')}" in lines
    # as of another branch
    save_encoder(layout.encoder("moco"), build_backbone("resnet18"), run, {"of": "another"})
    lines = printed(lambda console: print_run(params, layout, "moco", console))
    assert line_of(lines, "encoder sha256").endswith("none: the file is of something else")


def test_files_are_those_that_exist(made, printed):
    params, layout = made
    lines = printed(lambda console: print_run(params, layout, "simclr", console), 500)
    listed = {line.strip() for line in lines[lines.index("Files") + 1 :]}
    there = {
        str(path) for path in layout.root.rglob("*") if path.is_file() and path.stem == "simclr"
    }
    assert listed == there and len(there) == 12


def test_baselines_and_unfinished_runs(made, printed):
    lines = printed(lambda console: print_run(*made, "untrained", console))
    assert lines[1] == "untrained  resnet18 at 32 px, not trained"
    assert not any(line.strip().startswith("epochs") for line in lines)
    lines = printed(lambda console: print_run(*made, "raw_pixels", console))
    assert lines[1] == "raw_pixels  raw pixels of images of 32 px"
    lines = printed(lambda console: print_run(*made, "moco_seed2", console))
    missing = made[1].encoder("moco_seed2")
    assert lines == [f"{missing}: missing; it is made by: sslpipe pretrain moco_seed2"]


def test_a_data_set_without_scores_is_named(tmp_path, printed):
    params, layout = write_reports(tmp_path, content({"moco": {"method": "moco"}}), images=60)
    layout.metrics("moco", "sun").unlink()
    lines = printed(lambda console: print_run(params, layout, "moco", console))
    assert "Not scored on sun; that is done by: sslpipe evaluate moco sun" in lines
    layout.metrics("moco", "zoo").unlink()
    lines = printed(lambda console: print_run(params, layout, "moco", console))
    assert not any(line.startswith("Scores") for line in lines)


@pytest.mark.parametrize("edit", EDITS)
def test_no_number_of_before_an_edit_is_shown_of_a_run(edit, project):
    before, beside = project.run("show", "moco"), project.run("show", "byol")
    code, lines, errors = before
    assert (code, errors) == (0, []) and "Scores  in percent" in "\n".join(lines)
    project.edit(edit)
    code, after, errors = project.run("show", "moco")
    assert (code, errors) == (0, [])
    if edit in UNTRAINED:
        assert after == [UNTRAINED[edit]]
        assert (project.run("show", "byol") == beside) is ("lr" in edit)
    elif "k-NN" in edit:  # how it was trained is what it was
        assert line_of(after, "final loss") == line_of(lines, "final loss")
        assert not any(line.startswith(("Scores", "Features")) for line in after)
        assert not any("±" in line or "–" in line for line in after)
        for dataset in ("zoo", "sun"):
            assert sum(f"sslpipe evaluate moco {dataset}" in line for line in after) == 1
    else:
        kept = [line.split() for line in lines if not line.startswith("fine-tuned")]
        assert [line.split() for line in after if "─" not in line] == [
            line for line in kept if "─" not in "".join(line)
        ]
    project.take_back()
    assert project.run("show", "moco") == before


def test_an_unknown_run_lists_the_runs(made, monkeypatch, capsys):
    monkeypatch.chdir(made[1].root)
    assert cli.main(["show", "mocco"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("there are: " + ", ".join(RUNS))
    with pytest.raises(UserError):
        print_run(*made, "mocco")


def test_narrow_terminals(made, printed):
    lines = printed(lambda console: print_run(*made, "simclr", console), 60)
    assert max(len(line) for line in lines if "/" not in line) <= 60
