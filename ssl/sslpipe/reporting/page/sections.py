"""The page's other tables, each of which says in its caption what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sslpipe.data.splits import SPLITS
from sslpipe.reporting.claims.claim import Effect
from sslpipe.reporting.leaderboard import rows_of
from sslpipe.reporting.page.confusion import confused
from sslpipe.reporting.paired import Json
from sslpipe.reporting.results import Results
from sslpipe.reporting.scored import Scored
from sslpipe.reporting.settings import is_baseline
from sslpipe.reporting.table import Cell, Column, Group, Row, Table
from sslpipe.reporting.words import DASH, counted, percent, spent
from sslpipe.reporting.words import names as some


def shake_up_table(whole: Json) -> Table:
    """Trained settings, with their places on the two halves of the test images."""
    columns = [
        Column("run", "run", numeric=False, source="run"),
        Column("public_top1", whole["legend"]["public_top1"]["heading"], source="score"),
        Column("private_top1", whole["legend"]["private_top1"]["heading"], source="score"),
        Column("public_rank", "by public", source="place"),
        Column("private_rank", "by private", source="place"),
        Column("move", "moves", "places won (+) or lost (−) on private images", source="place"),
    ]
    groups = []
    for dataset, found in whole["shake_up"].items():
        scores = {row["run"]: row["scores"] for row in rows_of(whole, dataset)}
        rows = []
        for move in found["moves"]:
            halves = [scores[move["run"]][f"{half}_top1"]["mean"] for half in ("public", "private")]
            ranks = [move["public_rank"], move["private_rank"]]
            up = ranks[0] - ranks[1]
            cells = [
                Cell(move["run"]),
                *(Cell(percent(half), half) for half in halves),
                *(Cell(str(rank), rank) for rank in ranks),
                Cell(f"{up:+d}" if up else "0", up),
            ]
            rows.append(Row(cells, run=move["run"]))
        rho = found["rank_correlation"]
        note = (
            f"too few trained settings ({len(rows)}) for a rank correlation"
            if rho is None
            else f"rank correlation {rho:.2f}"
        )
        groups.append(Group(rows, dataset, note, dataset))
    caption = "Places of the trained settings by public and by private top-1, in percent."
    return Table("shake-up-table", caption, columns, groups, order="public_rank")


def curve_table(results: Results, whole: Json) -> Table:
    """Trained runs with the last value of each of their curves."""
    kinds = {"knn": "k-NN", "probe": "probe"}
    measured = [
        (f"{kind}_{dataset}", f"{heading} {dataset}")
        for dataset in results.datasets
        for kind, heading in kinds.items()
        if any(f"{kind}_{dataset}" in history for history in results.history.values())
    ]
    columns = [
        Column("run", "run", numeric=False, source="run"),
        *(Column(key, key, numeric=False) for key in ("method", "backbone", "corpus")),
        Column("seed", "seed", source="run"),
        Column("epoch", "epochs", source="run"),
        Column("loss", "loss", "mean training loss of the last epoch", source="history"),
        *(
            Column(key, heading, "top-1 on validation images, percent", source="history")
            for key, heading in measured
        ),
        Column(
            "resumed", "resumed", "times that the training went on from a checkpoint", source="run"
        ),
    ]
    rows = []
    for run, made in whole["pretrain"].items():
        history = results.history.get(run)
        if history is None or not made["trained"]:
            continue
        last = {key: _last(history, key) for key in ("epoch", "loss", *(k for k, _ in measured))}
        resumed = int(history["resumed"].fillna(0).gt(0).sum()) if "resumed" in history else 0
        cells = [
            Cell(run),
            *(Cell(str(made[key] or DASH)) for key in ("method", "backbone", "corpus")),
            _whole(made["parameters"]["pretrain"]["seed"]),
            _whole(last["epoch"]),
            Cell(DASH if last["loss"] is None else f"{last['loss']:.3f}", last["loss"]),
            *(_percent(last[key]) for key, _ in measured),
            _whole(resumed),
        ]
        rows.append(Row(cells, run=run, kind="baseline" if is_baseline(made) else "trained"))
    caption = "Runs in the curves below: their last values while training, on validation images."
    return Table("curve-table", caption, columns, [Group(rows)])


def confusion_tables(results: Results, whole: Json) -> list[Table]:
    """The most confused pairs of the best trained setting of each data set."""
    columns = [
        Column("true", "class", numeric=False),
        Column("answered", "taken for", numeric=False),
        Column("images", "images", "test images of the class with this answer", source="answers"),
        Column("share", "share", "of the class's test images, percent", source="answers"),
    ]
    tables, scored = [], Scored(results)
    for dataset in whole["datasets"]:
        best = scored.best(dataset, scored.trained)
        if best is None:
            continue
        answers = [
            results.predictions[dataset, run]
            for run in best.runs
            if (dataset, run) in results.predictions
        ]
        if not answers:
            continue
        labels, probe = (
            np.concatenate([some[key] for some in answers]) for key in ("label", "probe")
        )
        classes = class_names(results, dataset, best.name)
        rows = [
            Row(
                [
                    Cell(_named(classes, pair.true)),
                    Cell(_named(classes, pair.answered)),
                    Cell(f"{pair.images:,}", pair.images),
                    Cell(percent(pair.share), pair.share),
                ],
                run=best.name,
            )
            for pair in confused(labels, probe)
        ]
        seeds = f" ({len(best.runs)} seeds together)" if len(best.runs) > 1 else ""
        caption = (
            f"{dataset}: classes taken for one another most often by the linear probe of {best.name}"
            f"{seeds}, the best by validation{'' if rows else '; every answer is right'}."
        )
        groups = [Group(rows, dataset=dataset)]
        tables.append(Table(f"confusion-{dataset}", caption, columns, groups))
    return tables


def dataset_table(results: Results, whole: Json) -> Table:
    columns = [
        Column("name", "data set", numeric=False),
        Column("title", "what it is", numeric=False, wide=True),
        Column("licence", "licence", numeric=False, wide=True),
        Column("classes", "classes", source="facts"),
        *(Column(split, split, f"{split} images", source="facts") for split in SPLITS),
        Column("image_size", "pixels", "side of the packed images", source="facts"),
        Column("unreadable", "unreadable", "images that could not be decoded", source="facts"),
        Column("index_sha256", "index", "start of the index's SHA-256", False, source="facts"),
    ]
    rows = []
    for name, facts in results.dataset_facts.items():
        cells = [
            Cell(name, badge="scored" if name in whole["datasets"] else ""),
            Cell(facts["title"], note=facts["description"], href=facts["homepage"]),
            Cell(facts["licence"]),
            _whole(len(facts["classes"])) if facts["labelled"] else Cell("no labels"),
            *(_whole(facts["images"][split]) for split in SPLITS),
            _whole(facts["image_size"]),
            _whole(facts["unreadable"]),
            Cell(facts["index_sha256"][:8]),
        ]
        rows.append(Row(cells, attributes={"dataset": name}))
    return Table("dataset-table", "Data sets: origin, licence, images.", columns, [Group(rows)])


def run_table(whole: Json) -> Table:
    """How each run was made."""
    columns = [
        Column("run", "run", numeric=False, source="run"),
        *(Column(key, key, numeric=False) for key in ("method", "backbone", "corpus")),
        Column("seed", "seed", source="run"),
        Column("epochs", "epochs", source="training"),
        Column("train_seconds", "training", "training time", source="training"),
        Column("images_per_s", "images/s", "images, not views, a second", source="training"),
        Column("mfu", "MFU", "share of the device's peak, percent", source="training"),
        Column("peak_memory_bytes", "peak memory", "of the device, in GB", source="training"),
        Column("energy_joules", "energy", "kJ of the device", source="training"),
        Column("resumed", "resumed", "times from a checkpoint", source="training"),
        Column("precision", "precision", numeric=False),
        Column("device", "device", numeric=False),
        Column("finished", "finished", "UTC", numeric=False),
    ]
    rows = []
    for run, made in whole["pretrain"].items():
        cells = [
            Cell(run),
            *(Cell(str(made[key] or DASH)) for key in ("method", "backbone", "corpus")),
            _whole(made["parameters"]["pretrain"]["seed"]),
            _whole(made["epochs"] or None),
            *(Cell(spent(key, made[key]), made[key]) for key in ("train_seconds", "images_per_s")),
            _scaled(made.get("mfu"), 100, 1),
            _scaled(made.get("peak_memory_bytes"), 1e-9, 2),
            _scaled(made.get("energy_joules"), 1e-3, 1),
            _whole(made.get("resumed")),
            Cell(made.get("precision") or DASH),
            Cell(made.get("device") or DASH),
            Cell(made["finished"].replace("T", " ").removesuffix("+00:00")),
        ]
        rows.append(Row(cells, run=run))
    return Table("run-table", "How each run was made.", columns, [Group(rows)])


def version_table(whole: Json) -> Table:
    """Versions of code and libraries, with the runs that were made with them."""
    runs: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for run, made in whole["pretrain"].items():
        runs.setdefault(tuple(made["versions"].items()), []).append(run)
    libraries = list(dict.fromkeys(key for versions in runs for key, _ in versions))
    columns = [
        Column("runs", "runs", numeric=False),
        *(Column(key, key, numeric=False) for key in libraries),
        Column("which", "which", numeric=False, wide=True),
    ]
    rows = [
        Row(
            [
                Cell(counted(len(names), "run")),
                *(Cell(dict(versions).get(key, DASH)) for key in libraries),
                Cell(some(names)),
            ]
        )
        for versions, names in runs.items()
    ]
    return Table("version-table", "Versions behind the runs.", columns, [Group(rows)])


def class_names(results: Results, dataset: str, run: str) -> list[str]:
    """By label; empty where no file tells them."""
    if features := results.features.get((dataset, run)):
        return features["classes"]
    return list(results.dataset_facts.get(dataset, {"classes": {}})["classes"])


def _named(classes: list[str], label: int) -> str:
    return classes[label] if label < len(classes) else f"class {label}"


def _last(history: pd.DataFrame, column: str) -> float | None:
    if column not in history:
        return None
    values = history[column].dropna()
    return float(values.iloc[-1]) if len(values) else None


def _whole(value: float | None) -> Cell:
    return Cell(DASH if value is None else f"{value:,.0f}", value)


def _percent(value: float | None) -> Cell:
    return _scaled(value, 100, 1)


def _scaled(value: float | None, factor: float, digits: int) -> Cell:
    return Cell(DASH if value is None else f"{factor * value:,.{digits}f}", value)


def claim_cards(claims: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Each claim with all its fields, empty where the file has none, and its effect in words."""
    empty: dict[str, Any] = {
        "id": "", "claim": "", "rule": "", "status": "not enough data", "reason": "",
        "effect": None, "runs": [], "figure": None, "details": [], "table": None,
    }  # fmt: skip
    cards = []
    for claim in (claims or {}).get("claims") or []:
        card = empty | {key: value for key, value in claim.items() if value is not None}
        cards.append(card | {"effect": _effect(card["effect"])})
    return cards


def _effect(effect: Mapping[str, Any] | None) -> dict[str, str] | None:
    if not effect:
        return None
    value, _, interval = Effect(**effect).bare.partition(" ")
    return {"value": value, "unit": effect["unit"], "interval": interval}
