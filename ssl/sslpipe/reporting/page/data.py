"""What the page's two charts are drawn from and what stands behind each number, as plain JSON values."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from sslpipe.layout import Layout
from sslpipe.reporting.leaderboard import Json, Row, speeds
from sslpipe.reporting.results import Results
from sslpipe.schema.flat import flat, leaves

WHAT = ("dataset", "run", "runs", "seeds", "kind", "method", "backbone", "corpus", "epochs")


def client_data(results: Results, whole: Json) -> Json:
    """All of it. Scores are fractions at full precision; curves have five digits."""
    return {
        "confidence": whole["made_by"]["report"]["confidence"],
        "evaluate": dict(leaves(whole["made_by"]["evaluate"])),
        "report": whole["made_by"]["report"],
        "legend": whole["legend"],
        "files": files(results.layout),
        "datasets": _datasets(results, whole),
        "rows": [_row(row) for row in whole["rows"]],
        "comparisons": {name: _pairs(table) for name, table in whole["comparisons"].items()},
        "shake_up": whole["shake_up"],
        **_runs(whole),
        "curves": {run: _curve(table, results) for run, table in results.history.items()},
    }


def files(layout: Layout) -> dict[str, str]:
    """Where a number lies, as a path from the page; {run} and {dataset} to be filled in."""
    run, dataset = "{run}", "{dataset}"
    places = {
        "pretrain": layout.pretrain_report(run),
        "history": layout.history(run),
        "metrics": layout.metrics(run, dataset),
        "predictions": layout.predictions(run, dataset),
        "features": layout.features(run, dataset),
        "finetune": layout.finetune_metrics(run, dataset),
        "finetune_predictions": layout.finetune_predictions(run, dataset),
        "facts": layout.dataset_facts(dataset),
        "leaderboard": layout.leaderboard("json"),
        "claims": layout.claims("json"),
    }
    here = layout.page().parent
    return {name: place.relative_to(here).as_posix() for name, place in places.items()}


def _datasets(results: Results, whole: Json) -> Json:
    found = {}
    for name in dict.fromkeys([*results.dataset_facts, *whole["datasets"]]):
        facts = dict(results.dataset_facts.get(name, {}))
        if facts:
            facts["classes"] = len(facts["classes"])
            facts |= {f"{split}_images": count for split, count in facts.pop("images").items()}
        facts.pop("remarks", None)  # in a scored set's own
        found[name] = {**facts, **whole["datasets"].get(name, {})}
    return found


def _row(row: Row) -> Json:
    """Of a score only what cannot be computed from the values of its runs."""
    return {
        **{key: row[key] for key in WHAT},
        "scores": {
            key: [score["low"], score["high"], *score["values"]]
            for key, score in row["scores"].items()
        },
    }


def _pairs(table: Json) -> Json:
    """Of each pair of settings once, the earlier minus the later, in rows of the upper triangle."""
    count = len(table["runs"])
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    parts = {key: table[key] for key in ("difference", "low", "high", "p")}
    return {
        "runs": table["runs"],
        **{key: [values[i][j] for i, j in pairs] for key, values in parts.items()},
    }


def _runs(whole: Json) -> Json:
    """The training report of each run; parameters that all runs share stand once, in `shared`."""
    parameters = {run: flat(made) for run, made in whole["pretrain"].items()}
    for keys in parameters.values():
        del keys["name"]
    first = next(iter(parameters.values()), {})
    shared = {
        key: value
        for key, value in first.items()
        if all(keys.get(key, ...) == value for keys in parameters.values())
    }
    runs = {}
    for run, made in whole["pretrain"].items():
        report = {key: value for key, value in made.items() if key not in ("run", "parameters")}
        own = {key: value for key, value in parameters[run].items() if key not in shared}
        cost = {key: value for key, value in speeds([made]).items() if key not in made}
        runs[run] = {"report": {**dict(leaves(report)), **cost}, "parameters": own}
    return {"shared": shared, "runs": runs}


def _curve(history: pd.DataFrame, results: Results) -> Json:
    """column → its values, None where it was not measured; resumed → the epochs of restarts."""
    kinds = [f"{kind}_{name}" for kind in ("knn", "probe") for name in results.datasets]
    columns = [key for key in ("loss", *kinds) if key in history and history[key].notna().any()]
    curve: Json = {"epoch": [int(epoch) for epoch in history["epoch"]]}
    curve |= {key: rounded(history[key].astype(float)) for key in columns}
    if "resumed" in history:
        restarts = history.loc[history["resumed"].fillna(0).gt(0), "epoch"]
        curve["resumed"] = [int(epoch) for epoch in restarts]
    return curve


def rounded(values: Iterable[float | None], digits: int = 5) -> list[float | None]:
    """To so many significant digits; what is not a number becomes None."""
    return [None if v is None or v != v else float(f"{v:.{digits}g}") for v in values]
