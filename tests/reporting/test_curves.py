"""The long table of all histories that `dvc plots` draws."""

import pandas as pd

from sslpipe.reporting.curves import COLUMNS, curves


def test_a_row_for_each_measured_value():
    trained = pd.DataFrame(
        {"epoch": [1, 2], "lr": [0.1, 0.2], "loss": [3.0, 2.0], "probe_zoo": [None, 0.5]}
    )
    untrained = pd.DataFrame({"epoch": [0], "loss": [None], "knn_zoo": [0.25]})
    rows = curves({"moco": trained, "random": untrained}).itertuples(index=False, name=None)
    assert list(rows) == [
        (1, "moco", "loss", 3.0),
        (2, "moco", "loss", 2.0),
        (2, "moco", "probe_zoo", 0.5),
        (0, "random", "knn_zoo", 0.25),
    ]


def test_without_a_history_only_the_header():
    table = curves({})
    assert table.empty and tuple(table) == COLUMNS
