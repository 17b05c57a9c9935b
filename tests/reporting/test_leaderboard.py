import csv
import io
import json
import subprocess
import sys

import pytest

from sslpipe.reporting import leaderboard
from sslpipe.reporting.leaderboard import as_csv, as_json, as_markdown, as_text, missing, rows


def cell(score, *, edge=False, chance=0.1, **changed):
    values = {
        "classes": 10, "feature_dim": 512, "train_images": 5000, "val_images": 500,
        "public_images": 1600, "private_images": 1500, "chance_top1": chance,
        "chance_public_top1": chance + 0.01, "chance_private_top1": chance - 0.01,
        "knn_top1": score - 0.05, "knn_top5": 0.9, "knn_mean_per_class": score - 0.06,
        "knn_val_top1": score, "knn_public_top1": score, "knn_private_top1": score,
        "knn_weighted_top1": score - 0.04, "probe_top1": score, "probe_top5": 0.95,
        "probe_mean_per_class": score - 0.01, "probe_val_top1": score + 0.01,
        "public_top1": score, "private_top1": score - 0.02, "probe_best_lr": 0.01,
        "probe_best_weight_decay": 0.0, "probe_best_on_edge": edge, "probe_optimizer": "adam",
        "probe_epochs": 30, "probe_default_val_top1": score, "probe_default_top1": score - 0.1,
        "probe_gain": 0.1,
    }  # fmt: skip
    return values | changed


def made(method, backbone="resnet18", speed=None, seconds=None):
    return {
        "method": method, "backbone": backbone, "corpus": "base", "images_per_s": speed,
        "train_seconds": seconds, "epochs": 10, "precision": "bf16", "device": "cpu",
    }  # fmt: skip


PRETRAIN = {
    "raw_pixels": made("random", "pixels"),
    "untrained": made("random"),
    "slow_moco": made("moco", speed=800.4, seconds=5000.0),
    "fast_simclr": made("simclr", speed=1234.6, seconds=59.5),
}
METRICS = {
    ("zoo", "raw_pixels"): cell(0.30),
    ("zoo", "untrained"): cell(0.45),
    ("zoo", "fast_simclr"): cell(0.50, edge=True),
    ("zoo", "slow_moco"): cell(0.60),
    ("alphabet", "fast_simclr"): cell(0.40, chance=0.05),
    ("alphabet", "untrained"): cell(0.70, chance=0.05),
}


def section(markdown, dataset):
    return markdown.split(f"## {dataset}\n")[1].split("\n## ")[0]


def test_columns_are_as_agreed():
    expected = (
        "dataset run method backbone corpus knn_top1 probe_top1 public_top1 private_top1 "
        "images_per_s train_seconds knn_weighted_top1 knn_top5 probe_top5 knn_mean_per_class "
        "probe_mean_per_class probe_val_top1 probe_default_top1 probe_best_lr "
        "probe_best_weight_decay"
    )
    assert " ".join(leaderboard.COLUMNS) == expected
    assert all(" ".join(row) == expected for row in rows(METRICS, PRETRAIN))


def test_order_of_rows():
    assert [(row["dataset"], row["run"]) for row in rows(METRICS, PRETRAIN)] == [
        ("zoo", "slow_moco"),
        ("zoo", "fast_simclr"),
        ("zoo", "untrained"),
        ("zoo", "raw_pixels"),
        ("zoo", "chance"),
        ("alphabet", "fast_simclr"),
        ("alphabet", "untrained"),
        ("alphabet", "chance"),
    ]


def test_runs_are_ranked_by_the_public_score():
    metrics = {
        ("zoo", "fast_simclr"): cell(0.5, public_top1=0.4, private_top1=0.9, probe_top1=0.9),
        ("zoo", "slow_moco"): cell(0.45),
    }
    assert [row["run"] for row in rows(metrics, PRETRAIN)] == ["slow_moco", "fast_simclr", "chance"]


def test_values_of_rows():
    moco, simclr, untrained, pixels, chance = rows(METRICS, PRETRAIN)[:5]
    assert moco["public_top1"] == 0.60 and moco["private_top1"] == 0.60 - 0.02
    assert moco["knn_top1"] == 0.60 - 0.05 and moco["images_per_s"] == 800.4
    assert simclr["corpus"] == "base" and simclr["method"] == "simclr"
    assert (untrained["method"], untrained["backbone"]) == ("random", "resnet18")
    assert (pixels["method"], pixels["backbone"]) == (None, "pixels")
    for row in (untrained, pixels):
        assert row["corpus"] is row["images_per_s"] is row["train_seconds"] is None
    assert chance["knn_top1"] == chance["probe_top1"] == 0.1
    assert chance["public_top1"] == 0.1 + 0.01 and chance["private_top1"] == 0.1 - 0.01
    assert chance["method"] is None and chance["probe_top5"] is None


def test_missing_cells_are_named():
    assert missing(METRICS, PRETRAIN) == [("alphabet", "raw_pixels"), ("alphabet", "slow_moco")]
    text = as_markdown(METRICS, PRETRAIN)
    assert "Not evaluated" not in section(text, "zoo")
    assert "Not evaluated, so not in the tables: `raw_pixels`, `slow_moco`." in section(
        text, "alphabet"
    )


def test_csv_keeps_full_precision():
    table = rows(METRICS, PRETRAIN)
    back = list(csv.DictReader(io.StringIO(as_csv(table))))
    assert list(back[0]) == list(leaderboard.COLUMNS)
    assert float(back[0]["private_top1"]) == 0.60 - 0.02
    assert back[2]["corpus"] == "" and len(back) == len(table)
    assert "\r" not in as_csv(table)


def test_json_holds_what_made_the_rows():
    whole = json.loads(as_json(METRICS, PRETRAIN, {"seed": 7}))
    assert whole["rows"] == rows(METRICS, PRETRAIN)
    assert whole["made_by"] == {"seed": 7}
    assert whole["pretrain"]["slow_moco"]["precision"] == "bf16"
    assert whole["metrics"]["zoo"]["untrained"]["train_images"] == 5000
    assert {"dataset": "alphabet", "run": "slow_moco"} in whole["missing"]
    with pytest.raises(ValueError):
        as_json({("zoo", "slow_moco"): cell(0.5, knn_top1=float("nan"))}, PRETRAIN, {})


def test_markdown_shows_percentages_and_the_best_trained_value():
    lines = section(as_markdown(METRICS, PRETRAIN), "zoo").splitlines()
    main = {line.split("|")[1].strip(): line for line in lines if line.startswith("|")}
    further = {
        line.split("|")[1].strip(): line for line in reversed(lines) if line.startswith("|")
    }  # the first table wins
    first = {name: [part.strip() for part in further[name].split("|")] for name in further}
    assert first["`slow_moco`"][5:11] == [
        "**55.0**", "**60.0**", "**60.0**", "**58.0**", "800", "1 h 23 min",
    ]  # fmt: skip
    assert first["`fast_simclr`"][5:11] == [
        "45.0", "50.0", "50.0", "48.0", "**1,235**", "**59.5 s**",
    ]  # fmt: skip
    assert first["`untrained`"][2:5] == ["random", "resnet18", "–"]
    assert first["`raw_pixels`"][2:5] == ["–", "pixels", "–"]
    assert first["chance"][5:] == ["10.0", "10.0", "11.0", "9.0", "–", "–", ""]
    assert "0.01" in main["`slow_moco`"]


def test_a_baseline_is_never_bold_even_when_it_is_best():
    text = section(as_markdown(METRICS, PRETRAIN), "alphabet")
    assert "**40.0**" in text and "**70.0**" not in text and "70.0" in text


def test_markdown_says_whether_training_helped():
    text = as_markdown(METRICS, PRETRAIN)
    zoo, alphabet = section(text, "zoo"), section(text, "alphabet")
    assert "`slow_moco` with 60.0 % (58.0 % private)" in zoo
    assert "it beats the random encoder (`untrained`, 45.0 %): +15.0 points" in zoo
    assert "it beats raw pixels (`raw_pixels`, 30.0 %): +30.0 points" in zoo
    assert "standard error of its public score is 1.2 points (1,600 images)" in zoo
    assert "does not beat the random encoder (`untrained`, 70.0 %): -30.0 points" in alphabet
    assert "there is no score of raw pixels" in alphabet
    baseline_only = {("zoo", "untrained"): cell(0.4)}
    assert "nothing to compare" in as_markdown(baseline_only, PRETRAIN)
    level = {("zoo", "untrained"): cell(0.4), ("zoo", "slow_moco"): cell(0.4)}
    text = as_markdown(level, PRETRAIN)
    assert "it equals the random encoder" in text
    assert all("**" not in line for line in text.splitlines() if line.startswith("| `untrained`"))


def test_the_strongest_of_several_random_encoders_is_the_rival():
    pretrain = PRETRAIN | {"untrained_50": made("random", "resnet50")}
    metrics = METRICS | {("zoo", "untrained_50"): cell(0.55)}
    assert "`untrained_50`, 55.0 %): +5.0 points" in as_markdown(metrics, pretrain)


def test_a_best_cell_on_the_edge_of_the_grid_is_warned_of():
    text = as_markdown(METRICS, PRETRAIN)
    assert "edge of the grid for `fast_simclr` (lr 0.01, wd 0);" in section(text, "zoo")
    assert "Warning" not in section(text, "alphabet")


def test_legend_explains_every_column():
    text = as_markdown(METRICS, PRETRAIN).split("## How to read this")[1]
    for column in leaderboard.COLUMNS[5:]:
        assert f"`{column}`" in text
    for word in (
        "chosen on validation",
        "`chance`",
        "`random`",
        "`pixels`",
        "16×16",
        "adam for 30 epochs",
    ):
        assert word in text
    assert "| `slow_moco`   | 10       | bf16        | cpu      |" in text


def test_text_for_a_terminal():
    text = as_text(rows(METRICS, PRETRAIN))
    lines = text.splitlines()
    assert len({line.rstrip().endswith(" ") for line in lines}) == 1
    assert lines[0].split()[:3] == ["dataset", "run", "method"]
    assert "60.0" in lines[2] and "**" not in text and "`" not in text
    assert max(map(len, lines)) == len(lines[0])


def test_nothing_evaluated_is_said():
    assert rows({}, PRETRAIN) == []
    assert "No run has been evaluated." in as_text([])
    assert "No run has been evaluated." in as_markdown({}, PRETRAIN)
    assert as_csv([]).strip() == ",".join(leaderboard.COLUMNS)
    assert json.loads(as_json({}, {}, {}))["rows"] == []


def test_refusals():
    with pytest.raises(ValueError, match="nothing is known of run untrained"):
        rows(METRICS, {"raw_pixels": made("random", "pixels")})
    with pytest.raises(ValueError, match="zoo/slow_moco lack knn_top5"):
        lacking = cell(0.5)
        del lacking["knn_top5"]
        rows({("zoo", "slow_moco"): lacking}, PRETRAIN)
    with pytest.raises(ValueError, match=r"zoo: public_images is 7 for untrained but 1600"):
        other = METRICS | {("zoo", "untrained"): cell(0.4, public_images=7)}
        rows(other, PRETRAIN)
    with pytest.raises(ValueError, match="no run can be called chance"):
        rows(METRICS, PRETRAIN | {"chance": made("moco")})


def test_a_leaderboard_needs_no_torch():
    code = "import sys, sslpipe.reporting.leaderboard; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
