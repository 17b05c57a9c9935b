"""A reports/ folder as finished stages leave it, with made-up numbers: for tests and benchmarks."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from made_of import stamp
from sslpipe.io.arrays import write_arrays
from sslpipe.io.files import write_json, write_sealed, write_text
from sslpipe.layout import Layout
from sslpipe.params import Params, check, resolve
from sslpipe.provenance.whose import KEY
from sslpipe.reporting.results import Results
from sslpipe.stages import figures, study

ROOT = Path(__file__).resolve().parents[2]
SKILL = {"simclr": 0.55, "moco": 0.6, "byol": 0.5, "random": 0.3}


def content(
    runs: dict[str, dict[str, Any]], datasets: Sequence[str] = ("zoo", "sun"), **changed: Any
) -> dict[str, Any]:
    """A params.yaml with these runs; a run needs only a method. datasets: scored."""
    base = yaml.safe_load((ROOT / "presets/default.yaml").read_text(encoding="utf-8"))
    base["datasets"] = {name: {"source": "digits"} for name in datasets}
    base["leaderboard"] = list(datasets)
    base["corpora"] = {
        "base": {"datasets": list(datasets[:1])},
        "more": {"datasets": list(datasets)},
    }
    base["pretrain"]["online"] = {"datasets": list(datasets), "knn_every": 1, "probe_every": 2}
    base["pretrain"]["batch_size"] = 64
    base["methods"]["moco"]["queue"] = 512
    base["runs"] = {
        name: {"backbone": "resnet18", "corpus": "base", **run} for name, run in runs.items()
    }
    base |= {"studies": {}, "neighbour_strips": [], "finetune": {"runs": []}}
    return base | changed


RUNS = {
    "simclr": {"method": "simclr"},
    "moco": {"method": "moco"},
    "moco_seed1": {"method": "moco", "seed": 1},
    "moco_seed2": {"method": "moco", "seed": 2},
    "byol": {"method": "byol"},
    "untrained": {"method": "random"},
    "raw_pixels": {"method": "random", "backbone": "pixels"},
}


def write_reports(
    folder: Path,
    params: dict[str, Any],
    *,
    images: int = 300,
    classes: int = 6,
    skill: dict[str, float] | None = None,
    without: tuple[str, ...] = (),
) -> tuple[Params, Layout]:
    """params.yaml and all of reports/ that the report stages read.

    images: of the test halves together, of each data set. skill: run → the chance that it is right
    (by default its method's, with a little luck). without: runs that did not finish.
    """
    text = yaml.safe_dump(params, sort_keys=False)
    write_text(folder / "params.yaml", text)
    checked, layout = check(params), Layout(folder)
    for name in checked.runs:
        if name not in without:
            chance = (skill or {}).get(name, SKILL[checked.runs[name].method])
            _write_run(checked, layout, name, images, classes, chance)
    for dataset in checked.datasets:
        write_sealed(layout.dataset_facts(dataset), _facts(checked, dataset, images, classes))
    stamp(checked, layout)
    return checked, layout


def _write_run(
    params: Params, layout: Layout, name: str, images: int, classes: int, skill: float
) -> None:
    run = resolve(params, name)
    random = np.random.default_rng(abs(hash_of(name)))
    epochs = run.pretrain.epochs if run.trained else 0
    report = {
        "run": name, "method": run.method, "backbone": run.backbone,
        "corpus": run.corpus if run.trained else None, "trained": run.trained, "epochs": epochs,
        "images_per_s": 1000.0 if run.trained else None,
        "train_seconds": 2.0 * epochs if run.trained else None,
        "parameters": run.model_dump(mode="json"),
        "inputs": {"corpus_sha256": "0123456789abcdef" * 4},
        "versions": {
            "sslpipe": "0.1.0", "code": "25c1602720d2428d", "python": "3.11.7",
            "torch": "2.14.1", "torchvision": "0.29.1",
        },
        "finished": "2026-11-25T18:52:58+00:00",
    }  # fmt: skip
    if run.trained:
        report |= {
            "images": 2000, "steps": 31 * epochs, "device": "cpu, 1 threads", "gpus": 0,
            "processes": 1, "images_on": "cpu", "precision": "fp32", "warm_up_seconds": 0.0,
            "data_wait": 0.02, "flops_per_image": 3e8, "peak_flops": 5e10, "mfu": 0.33,
            "peak_memory_bytes": 10**9, "counted_memory_bytes": 3 * 10**8, "energy_joules": None,
            "resumed": 0, "final_loss": 4.0 + random.random(),
        }  # fmt: skip
    write_sealed(layout.pretrain_report(name), report)
    rows = []
    for epoch in range(1, epochs + 1) if run.trained else [0]:
        row = {"epoch": epoch, "step": 31 * epoch, "loss": None, "lr": None, "images_per_s": None,
               "data_wait": None, "z_std": None, "z_rank": None, "resumed": 0}  # fmt: skip
        if run.trained:
            row |= {"loss": report["final_loss"] * (1 + 1 / epoch), "lr": 1e-3, "z_std": 0.05}
        for dataset in params.leaderboard:
            grown = skill * (1 - 0.5 / (epoch + 1)) + 0.01 * random.random()
            row[f"knn_{dataset}"] = grown - 0.02
            row[f"probe_{dataset}"] = grown if epoch % 2 == 0 or epoch == epochs else None
        rows.append(row)
    write_text(layout.history(name), pd.DataFrame(rows).to_csv(index=False))
    for dataset in params.leaderboard:
        predictions = _predictions(dataset, random, images, classes, skill, params)
        write_arrays(layout.predictions(name, dataset), predictions, compressed=True)
        write_json(layout.metrics(name, dataset), _metrics(predictions, classes, params, report))
        write_sealed(layout.features(name, dataset), _features(random, classes, params, images))
        if name in params.finetune.runs:
            arrays = {key: predictions[key] for key in ("label", "private")}
            arrays["finetune"] = predictions["probe"]
            write_arrays(layout.finetune_predictions(name, dataset), arrays, compressed=True)
            right = arrays["finetune"] == arrays["label"]
            write_json(
                layout.finetune_metrics(name, dataset),
                {
                    "finetune_top1": float(right.mean()),
                    "finetune_public_top1": float(right[~arrays["private"]].mean()),
                    "finetune_private_top1": float(right[arrays["private"]].mean()),
                    "finetune_val_top1": 0.6, "finetune_best_lr": 1e-3, "finetune_epochs": 3,
                    "finetune_seconds": 12.5,
                },
            )  # fmt: skip


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode()[-7:], "little")


def _predictions(
    dataset: str,
    random: np.random.Generator,
    images: int,
    classes: int,
    skill: float,
    params: Params,
) -> dict[str, np.ndarray]:
    same = np.random.default_rng(hash_of(dataset))  # for all runs of the data set
    label = same.permutation(np.arange(images) % classes).astype(np.int32)
    hard = same.random(images)
    private = np.arange(images) >= images // 2

    def answers(chance: float) -> np.ndarray:
        right = 0.7 * hard + 0.3 * random.random(images) < chance
        wrong = (label + 1 + random.integers(0, classes - 1, images)) % classes
        return np.where(right, label, wrong).astype(np.int32)

    knn, probe = answers(skill - 0.05), answers(skill)
    return {
        "label": label, "private": private, "knn": knn, "knn_top5": (knn == label) | (hard < 0.8),
        "knn_weighted": answers(skill - 0.04) == label, "probe": probe,
        "probe_top5": (probe == label) | (hard < 0.9),
        "default_probe": answers(skill - 0.1) == label,
        **{
            f"fewlabels_{100 * fraction:g}": answers(skill * (0.5 + fraction)) == label
            for fraction in params.evaluate.few_labels.fractions
        },
    }  # fmt: skip


def _metrics(
    p: dict[str, np.ndarray], classes: int, params: Params, report: dict[str, Any]
) -> dict[str, Any]:
    label, private = p["label"], p["private"]
    knn, probe = p["knn"] == label, p["probe"] == label

    def per_class(hits: np.ndarray) -> float:
        return float(np.mean([hits[label == c].mean() for c in range(classes)]))

    return {
        "classes": classes, "feature_dim": 512, "train_images": 2000, "val_images": 200,
        "public_images": int((~private).sum()), "private_images": int(private.sum()),
        "chance_top1": 1 / classes, "chance_public_top1": 1 / classes,
        "chance_private_top1": 1 / classes,
        "knn_top1": float(knn.mean()), "knn_top5": float(p["knn_top5"].mean()),
        "knn_mean_per_class": per_class(knn), "knn_val_top1": float(knn.mean()),
        "knn_public_top1": float(knn[~private].mean()),
        "knn_private_top1": float(knn[private].mean()),
        "knn_weighted_top1": float(p["knn_weighted"].mean()),
        **{
            f"knn_{k}_top1": float(knn.mean()) - 0.01 * abs(np.log(k / 20))
            for k in params.evaluate.knn.also_k
        },
        "probe_top1": float(probe.mean()), "probe_top5": float(p["probe_top5"].mean()),
        "probe_mean_per_class": per_class(probe), "probe_val_top1": float(probe.mean()),
        "public_top1": float(probe[~private].mean()),
        "private_top1": float(probe[private].mean()),
        "probe_best_optimizer": "adam", "probe_best_lr": 0.01, "probe_best_weight_decay": 0.0,
        "probe_best_on_edge": False, "probe_epochs": 30, "probe_default_val_top1": 0.4,
        "probe_default_top1": float(p["default_probe"].mean()),
        "probe_gain": float(probe.mean() - p["default_probe"].mean()),
        **{
            f"fewlabels_{100 * fraction:g}_top1": float(p[f"fewlabels_{100 * fraction:g}"].mean())
            for fraction in params.evaluate.few_labels.fractions
        },
        "effective_rank": 100.0 + report["epochs"], "alignment": 0.4, "uniformity": -2.5,
    }  # fmt: skip


def _features(
    random: np.random.Generator, classes: int, params: Params, images: int
) -> dict[str, Any]:
    probe = params.evaluate.probe
    shown = min(200, images)
    return {
        "classes": [f"class_{i}" for i in range(classes)],
        "grid": [
            {"optimizer": optimizer, "lr": lr, "weight_decay": decay,
             "val_top1": round(float(random.random()), 4)}
            for optimizer in probe.optimizer for lr in probe.lr for decay in probe.weight_decay
        ],
        "map": {
            "row": list(range(shown)), "label": [i % classes for i in range(shown)],
            "x": random.normal(size=shown).round(3).tolist(),
            "y": random.normal(size=shown).round(3).tolist(),
        },
        "neighbours": [
            {"row": 2000 + query, "label": query % classes,
             "nearest": random.integers(0, 2000, 8).tolist(),
             "nearest_label": random.integers(0, classes, 8).tolist(),
             "similarity": np.sort(random.random(8))[::-1].round(4).tolist()}
            for query in range(6)
        ],
    }  # fmt: skip


def _facts(params: Params, dataset: str, images: int, classes: int) -> dict[str, Any]:
    half = images // 2
    return {
        "name": dataset, "kind": params.datasets[dataset].source.kind, "title": "Made up",
        "homepage": "", "licence": "none", "description": "Nothing but numbers.",
        "image_size": params.image_size, "labelled": True,
        "images": {"train": 2000, "val": 200, "public": half, "private": images - half},
        "classes": {f"class_{i}": images // classes for i in range(classes)},
        "unreadable": 0, "index_sha256": "fedcba9876543210" * 4,
    }  # fmt: skip


def read(path: Path) -> Any:
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("sha256", None)
    return content


def rewrite(path: Path, content: dict) -> None:
    """As the stage that makes such a file would write it."""
    write = write_json if "metrics" in path.parts else write_sealed
    write(path, content)


def draw(params: Params, layout: Layout) -> None:
    """All that the page holds and its stage does not draw."""
    figures.run(params, layout)
    for name in params.studies:
        study.run(params, layout, name)


def rewrite_claims(params: Params, layout: Layout, claims: dict[str, Any]) -> None:
    """As the stage would have written them, of the results that are there."""
    of_results = {KEY: Results(params, layout).stamp("claims")}
    write_sealed(layout.claims("json"), claims | of_results)
