"""All training histories as one long table, which `dvc plots` draws.

A history's columns are called after the watched sets, and there is one file for each run: a
definition in dvc.yaml, which cannot loop, could name neither. Here both are values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("epoch", "run", "measure", "value")


def curves(histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row for each epoch, run and measure (loss, knn_SET, probe_SET) that has a value."""
    import pandas as pd  # half a second that most stages need not spend

    tables = [
        history.melt("epoch", measures(history), "measure", "value").dropna().assign(run=run)
        for run, history in histories.items()
    ]
    empty = pd.DataFrame(columns=COLUMNS)
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)] if tables else empty


def measures(history: pd.DataFrame) -> list[str]:
    names = map(str, history)
    return [name for name in names if name == "loss" or name.startswith(("knn_", "probe_"))]
