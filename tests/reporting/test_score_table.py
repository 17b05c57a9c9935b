"""The table of scores knows all that the protocol gives, and a toy score goes all the way."""

import numpy as np
import pytest
from synthetic import RUNS, content, read, write_reports

from sslpipe.io.arrays import read_arrays, write_arrays
from sslpipe.io.files import write_json
from sslpipe.provenance.answers import CHECKSUM, checksum
from sslpipe.reporting import scores as table
from sslpipe.reporting.board import board, choices
from sslpipe.reporting.scores import GROUPS, Score, scores
from sslpipe.stages import leaderboard
from sslpipe.terminal.leaderboard import read_leaderboard

# What the protocol says of a data set, or of how a score came about.
NO_SCORES = {
    "classes", "feature_dim", "chance_top1", "chance_public_top1", "chance_private_top1", "knn_k",
    "knn_val_top1", "knn_public_top1", "knn_private_top1", "probe_best_optimizer", "probe_best_on_edge",
    "probe_epochs", "probe_default_val_top1", "train_images", "val_images", "public_images",
    "private_images",
}  # fmt: skip


@pytest.fixture
def made(tmp_path):
    return write_reports(tmp_path, content(RUNS, ("zoo",)))


def test_every_key_of_the_protocol_is_a_row_or_known_to_be_none(made):
    params, layout = made
    known = {row.key for row in scores(params.evaluate)}
    cell = read(layout.metrics("moco", "zoo"))
    assert cell.keys() - known == NO_SCORES & cell.keys()
    answers = read_arrays(layout.predictions("moco", "zoo"))
    for row in scores(params.evaluate):
        assert row.group in GROUPS
        if row.answers and row.answers[0] != "finetune":
            assert row.answers[0] in answers, row.key


def test_a_toy_score_takes_one_row(made, monkeypatch, capsys):
    params, layout = made
    toy = Score("toy_top1", "toy", "half of all", answers=("toy", "overall"), chance="chance_top1")
    monkeypatch.setattr(table, "OTHERS", (*table.OTHERS, toy))
    for run in RUNS:
        path = layout.predictions(run, "zoo")
        answers = read_arrays(path)
        cell = read(layout.metrics(run, "zoo")) | {"toy_top1": 0.5}
        toys = np.arange(len(answers["label"])) % 2 == 0
        write_json(layout.metrics(run, "zoo"), cell)
        write_arrays(path, answers | {"toy": toys, CHECKSUM: np.array(checksum(cell))})
    leaderboard.run(params, layout)
    whole = read_leaderboard(params, layout)
    row = next(row for row in whole["rows"] if row["run"] == "moco")
    assert row["scores"]["toy_top1"]["mean"] == 0.5
    assert row["scores"]["toy_top1"]["low"] < 0.5 < row["scores"]["toy_top1"]["high"]
    chance = next(row for row in whole["rows"] if row["kind"] == "chance")
    assert "toy_top1" in chance["scores"]
    (column,) = [column for column in board(whole).columns if column.key == "toy_top1"]
    assert column.heading == "toy" and column.meaning == "half of all"
    assert "toy_top1" in [column.key for _, columns in choices(whole) for column in columns]
    assert "toy_top1" in layout.leaderboard("csv").read_text()
