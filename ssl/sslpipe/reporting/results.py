"""All that finished stages wrote under reports/, as far as it is there, for whoever reports on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sslpipe.arrays import read_arrays
from sslpipe.errors import UserError
from sslpipe.files import changed, digest, read_json, read_sealed, sha256
from sslpipe.layout import Layout
from sslpipe.params import Params

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Cell = tuple[str, str]  # (data set, run)
CHECKSUM = "scores_sha256"  # in a file of answers: of the scores beside it


@dataclass(frozen=True)
class Results:
    """What is known of the runs of params.yaml. A run or cell that has not finished is left out.

    Each part is read when it is first asked for. Raises UserError for a damaged file.
    """

    params: Params
    layout: Layout

    @property
    def datasets(self) -> list[str]:
        """The scored data sets."""
        return list(self.params.leaderboard)

    @cached_property
    def pretrain(self) -> dict[str, dict[str, Any]]:
        """run → its training report (`stages.pretrain.about` and `measured`), in params.yaml's order."""
        return self._of_runs(
            self.layout.pretrain_report, lambda path: _current(read_sealed(path), "trained", path)
        )

    @cached_property
    def history(self) -> dict[str, pd.DataFrame]:
        """run → a row for each epoch; see `reporting.figures`."""
        return {
            run: read_history(path, self.pretrain.get(run, {}).get("history_sha256"))
            for run in self.params.runs
            if (path := self.layout.history(run)).exists()
        }

    @cached_property
    def metrics(self) -> dict[Cell, dict[str, Any]]:
        """(data set, run) → the flat scores of `evaluation.protocol.evaluate`."""
        found = self._of_cells(
            self.layout.metrics,
            lambda path: _current(read_json(path), "probe_best_optimizer", path),
        )
        return self._as_answered(found, self._answers, self.layout.metrics)

    @cached_property
    def predictions(self) -> dict[Cell, dict[str, np.ndarray]]:
        """(data set, run) → what the run answered for each test image (M,), all in the same order.

        label (int32) and private (bool: of the private half) are the same for all runs of a set;
        knn, probe (int32): the class answered, -1 for none; knn_top5, probe_top5, knn_weighted,
        default_probe and fewlabels_<percent> (bool): whether it was right.
        """
        return _without_checksum(self._answers)

    @cached_property
    def features(self) -> dict[Cell, dict[str, Any]]:
        """(data set, run) → classes, grid, map and neighbours; see `evaluation.structure`."""
        return self._of_cells(
            self.layout.features, lambda path: _current(read_sealed(path), "grid", path)
        )

    @cached_property
    def finetuned(self) -> dict[Cell, dict[str, Any]]:
        """(data set, run) → the scores of fine-tuning, for `finetune.runs`."""
        found = self._of_cells(
            self.layout.finetune_metrics,
            lambda path: _current(read_json(path), "finetune_top1", path),
        )
        return self._as_answered(found, self._finetune_answers, self.layout.finetune_metrics)

    @cached_property
    def finetune_predictions(self) -> dict[Cell, dict[str, np.ndarray]]:
        """(data set, run) → label, private and finetune (int32: the class answered), as above."""
        return _without_checksum(self._finetune_answers)

    @cached_property
    def dataset_facts(self) -> dict[str, dict[str, Any]]:
        """data set → what `reporting.datasets.facts` says of it, for all sets of params.yaml."""
        found = {name: self.facts_of(name) for name in self.params.datasets}
        return {name: facts for name, facts in found.items() if facts}

    def facts_of(self, dataset: str) -> dict[str, Any]:
        """Of one set; empty where it has not been described."""
        path = self.layout.dataset_facts(dataset)
        return _current(read_sealed(path), "title", path) if path.exists() else {}

    @cached_property
    def unfinished(self) -> list[str]:
        """Runs of params.yaml that have not been trained."""
        return [run for run in self.params.runs if run not in self.pretrain]

    @cached_property
    def unscored(self) -> list[Cell]:
        """Trained runs that one of the data sets has no scores of."""
        return [
            (dataset, run)
            for dataset in self.datasets
            for run in self.pretrain
            if (dataset, run) not in self.metrics
        ]

    @cached_property
    def _answers(self) -> dict[Cell, dict[str, np.ndarray]]:
        return self._of_cells(
            self.layout.predictions, lambda path: _current(read_arrays(path), "default_probe", path)
        )

    @cached_property
    def _finetune_answers(self) -> dict[Cell, dict[str, np.ndarray]]:
        return self._of_cells(self.layout.finetune_predictions, read_arrays)

    def _as_answered(
        self,
        scores: dict[Cell, dict[str, Any]],
        answers: dict[Cell, dict[str, np.ndarray]],
        place: Callable[[str, str], Path],
    ) -> dict[Cell, dict[str, Any]]:
        """`scores`, which DVC wants to be flat and without a seal, checked by the checksum that lies
        with the answers."""
        for (dataset, run), values in scores.items():
            expected = answers.get((dataset, run), {}).get(CHECKSUM)
            if expected is not None and str(expected) != checksum(values):
                raise changed(place(run, dataset))
        return scores

    def _of_runs(self, place: Callable[[str], Path], read: Callable[[Path], T]) -> dict[str, T]:
        return {run: read(path) for run in self.params.runs if (path := place(run)).exists()}

    def _of_cells(
        self, place: Callable[[str, str], Path], read: Callable[[Path], T]
    ) -> dict[Cell, T]:
        """Of trained runs only: scores without their training say nothing."""
        return {
            (dataset, run): read(path)
            for dataset in self.datasets
            for run in self.pretrain
            if (path := place(run, dataset)).exists()
        }


def _current(content: dict[str, T], key: str, path: Path) -> dict[str, T]:
    """key: one that files of earlier versions lack."""
    if not isinstance(content, dict) or key not in content:
        raise UserError(f"{path}: made by another version of sslpipe; run its stage again")
    return content


def checksum(scores: dict[str, Any]) -> str:
    """Of a cell's flat scores; not of times, so that the same answers are always the same bytes."""
    return digest({key: value for key, value in scores.items() if not key.endswith("_seconds")})


def _without_checksum(
    cells: dict[Cell, dict[str, np.ndarray]],
) -> dict[Cell, dict[str, np.ndarray]]:
    return {
        cell: {key: values for key, values in arrays.items() if key != CHECKSUM}
        for cell, arrays in cells.items()
    }


def read_history(path: Path, expected: str | None = None) -> pd.DataFrame:
    """expected: the file's sha256, where it is known."""
    import pandas as pd  # half a second that most stages need not spend

    if expected is not None and sha256(path) != expected:
        raise changed(path)
    try:
        table = pd.read_csv(path)
        if "epoch" not in table:
            raise ValueError("no column epoch")
    except ValueError as error:
        raise UserError(
            f"{path}: damaged ({error}); delete it and run: sslpipe pretrain {path.stem}"
        ) from None
    return table
