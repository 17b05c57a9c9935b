"""All that finished stages wrote under reports/, as far as it is there, for whoever reports on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sslpipe.errors import UserError
from sslpipe.io.arrays import read_arrays
from sslpipe.io.files import changed, digest, read_json, read_sealed, sha256
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.provenance.answers import CHECKSUM, checksum
from sslpipe.provenance.code import code_hash
from sslpipe.provenance.record import Artefact
from sslpipe.provenance.whose import CONTENT, KEY, Whose

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Cell = tuple[str, str]  # (data set, run)
READ = {
    "leaderboard": ("leaderboard", "runs", "evaluate", "report"),
    "claims": ("leaderboard", "runs", "evaluate", "report", "claims", "corpora", "studies"),
    "figures": ("leaderboard", "runs", "evaluate"),
    "study": ("leaderboard", "runs", "report", "studies"),  # of `few_runs.of_study`
    "neighbours": ("runs",),
}
"""Stage of the report → what of params.yaml its files are made of, beside the results."""


@dataclass(frozen=True)
class Results:
    """What is known of the runs of params.yaml. A run or cell that has not finished is left out, and so
    is what was made with other settings, code or inputs than params.yaml asks for.

    Each part is read when it is first asked for. Raises UserError for a damaged file.
    whole: of which these are a part, with fewer runs or data sets.
    """

    params: Params
    layout: Layout
    whole: Results | None = None

    @property
    def datasets(self) -> list[str]:
        """The scored data sets."""
        return list(self.params.leaderboard)

    @cached_property
    def whose(self) -> Whose:
        return self.whole.whose if self.whole else Whose(self.params, self.layout)

    @cached_property
    def pretrain(self) -> dict[str, dict[str, Any]]:
        """run → its training report (`stages.pretrain.about` and `measured`), in params.yaml's order."""
        return {
            run: _current(read_sealed(path), "trained", path)
            for run in self.params.runs
            if (path := self.layout.pretrain_report(run)).exists()
            and not self.whose.trouble(Artefact("encoder", run))
        }

    @cached_property
    def history(self) -> dict[str, pd.DataFrame]:
        """run → a row for each epoch; see `reporting.figures`."""
        return {
            run: read_history(path, made.get("history_sha256"))
            for run, made in self.pretrain.items()
            if (path := self.layout.history(run)).exists()
        }

    @cached_property
    def metrics(self) -> dict[Cell, dict[str, Any]]:
        """(data set, run) → the flat scores of `evaluation.protocol.evaluate`."""
        found = self._of_cells(
            "scores",
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
        found = self._of_cells(
            "scores", self.layout.features, lambda path: _current(read_sealed(path), "grid", path)
        )
        return {
            (dataset, run): content
            for (dataset, run), content in found.items()
            if content.get(KEY) == self.whose.known(Artefact("scores", run, dataset))[KEY]
        }

    @cached_property
    def finetuned(self) -> dict[Cell, dict[str, Any]]:
        """(data set, run) → the scores of fine-tuning, for `finetune.runs`."""
        found = self._of_cells(
            "finetuned",
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
        path, packed = self.layout.dataset_facts(dataset), Artefact("packed", dataset)
        if not path.exists() or self.whose.trouble(packed):
            return {}
        facts = _current(read_sealed(path), "title", path)
        return facts if facts.get("packed", {}).get(CONTENT) == self.whose.content(packed) else {}

    def stamp(self, stage: str) -> str:
        """A hash of whose all scores are, of keys of params.yaml and of the stage's code: what a report of
        them is made of."""
        cells = [("scores", run, dataset) for dataset, run in self.metrics]
        if stage == "leaderboard":
            cells += [("finetuned", run, dataset) for dataset, run in self.finetuned]
        parts = [*(("encoder", run) for run in self.pretrain), *cells]
        whose = {" ".join(part): self.whose.known(Artefact(*part))[KEY] for part in parts}
        settings = self.params.model_dump(mode="json", include=set(READ[stage]))
        return digest([whose, settings, code_hash(stage)])

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
            "scores",
            self.layout.predictions,
            lambda path: _current(read_arrays(path), "default_probe", path),
        )

    @cached_property
    def _finetune_answers(self) -> dict[Cell, dict[str, np.ndarray]]:
        return self._of_cells("finetuned", self.layout.finetune_predictions, read_arrays)

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

    def _of_cells(
        self, kind: str, place: Callable[[str, str], Path], read: Callable[[Path], T]
    ) -> dict[Cell, T]:
        """Of trained runs only: scores without their training say nothing; kind: `Artefact`'s."""
        runs = self.params.finetune.runs if kind == "finetuned" else self.pretrain
        return {
            (dataset, run): read(path)
            for dataset in self.datasets
            for run in runs
            if run in self.pretrain
            and (path := place(run, dataset)).exists()
            and not self.whose.trouble(Artefact(kind, run, dataset))
        }


def _current(content: dict[str, T], key: str, path: Path) -> dict[str, T]:
    """key: one that files of earlier versions lack."""
    if not isinstance(content, dict) or key not in content:
        raise UserError(f"{path}: made by another version of sslpipe; run its stage again")
    return content


def _without_checksum(
    cells: dict[Cell, dict[str, np.ndarray]],
) -> dict[Cell, dict[str, np.ndarray]]:
    return {
        cell: {key: values for key, values in arrays.items() if key not in (CHECKSUM, KEY)}
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
