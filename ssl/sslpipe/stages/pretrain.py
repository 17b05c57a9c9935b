"""pretrain(run): a corpus → encoder.safetensors, a history and a report of the training."""

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torchvision

import sslpipe
from sslpipe.data.corpus import corpus_rows
from sslpipe.data.index import open_packed
from sslpipe.files import read_json, sha256, write_json, write_text
from sslpipe.layout import Layout
from sslpipe.networks.encoder_file import save_encoder
from sslpipe.params import Params, resolve
from sslpipe.progress import say
from sslpipe.schema import ResolvedRun
from sslpipe.stages.inputs import require
from sslpipe.training.checkpoint import RunState, code_version, fingerprint
from sslpipe.training.devices import lease
from sslpipe.training.loop import Trained, build_encoder, train
from sslpipe.training.online import Watched, online_scores
from sslpipe.training.precision import autocast_dtype, device_name, device_of


def run(params: Params, layout: Layout, name: str) -> None:
    """Train (or, for method `random`, only initialise) the encoder of run `name`."""
    resolved = resolve(params, name)
    corpus = require(layout.corpus(resolved.corpus), f"sslpipe corpus {resolved.corpus}")
    if resolved.pretrain.threads:
        torch.set_num_threads(resolved.pretrain.threads)
    watched = [
        watch(layout, name, resolved.pretrain.online.bank)
        for name in resolved.pretrain.online.datasets
    ]
    if not resolved.trained:
        encoder = build_encoder(resolved).eval()
        history = untrained_history(resolved, encoder, watched)
        write_outputs(layout, resolved, encoder, history, about(resolved, corpus))
        return
    with (
        lease() as devices,
        RunState(layout.state(name), fingerprint(resolved, corpus.read_bytes())) as state,
    ):
        device = device_of(devices)
        autocast = autocast_dtype(resolved.pretrain.precision, device)
        # Worker processes cannot use a GPU's memory: there they read from the CPU's.
        workers = resolved.pretrain.views.workers
        images = corpus_images(layout, corpus).to("cpu" if workers else device)
        precision = "bf16" if autocast else "fp32"
        say(f"{name}: {len(images)} images, {device_name(device)}, {precision}")
        trained = train(resolved, images, watched, state, device=device, autocast=autocast)
        report = about(resolved, corpus) | measured(trained, device, precision, len(images))
        write_outputs(layout, resolved, trained.encoder, trained.state.table(), report)
        state.clear()


def corpus_images(layout: Layout, corpus: Path) -> torch.Tensor:
    """The corpus as one uint8 tensor (N, S, S, 3) on the CPU.

    A corpus that is one whole train split stays a view of the file; others are copied together.
    """
    parts = []
    for dataset, rows in corpus_rows(read_json(corpus)):
        images, _ = open_packed(layout, dataset)
        whole = len(rows) == 0 or rows[-1] - rows[0] + 1 == len(rows)
        parts.append(images[rows[0] : rows[-1] + 1] if whole else images[rows])
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return torch.from_numpy(joined)


def watch(layout: Layout, dataset: str, bank: int) -> Watched:
    """A data set's train and val splits; of the former at most `bank` images, evenly taken."""
    images, index = open_packed(layout, dataset)
    train, val = index.split_slice("train"), index.split_slice("val")
    size = train.stop - train.start
    taken = train.start + np.unique(np.linspace(0, size - 1, min(size, bank)).round().astype(int))
    labels = index.all_labels
    return Watched(
        dataset, images[taken], labels[taken], images[val], labels[val], len(index.classes)
    )


def untrained_history(
    run: ResolvedRun, encoder: torch.nn.Module, watched: list[Watched]
) -> pd.DataFrame:
    """One row, epoch 0: what the encoder is worth before any training."""
    scores = online_scores(
        encoder, watched, run.pretrain.online, 0, 0, device=torch.device("cpu"), autocast=None
    )
    empty = dict.fromkeys(["loss", "lr", "images_per_s", "data_wait", "z_std", "z_rank"])
    return pd.DataFrame([{"epoch": 0, "step": 0, **empty, "resumed": 0, **scores}])


def about(run: ResolvedRun, corpus: Path) -> dict[str, Any]:
    """What made this encoder: parameters, inputs, code and versions."""
    return {
        "run": run.name,
        "method": run.method,
        "backbone": run.backbone,
        "corpus": run.corpus if run.trained else None,
        "trained": run.trained,
        "epochs": run.pretrain.epochs if run.trained else 0,
        "images_per_s": None,
        "train_seconds": None,
        "parameters": run.model_dump(mode="json"),
        "inputs": {"corpus_sha256": sha256(corpus)},
        "versions": {
            "sslpipe": sslpipe.__version__,
            "code": code_version(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def measured(trained: Trained, device: torch.device, precision: str, images: int) -> dict[str, Any]:
    state = trained.state
    return {
        "images": images,
        "steps": state.step,
        "device": device_name(device),
        "precision": precision,
        "images_per_s": state.clock.images_per_s,
        "train_seconds": state.clock.train,
        "data_wait": state.clock.data_wait,
        "resumed": state.resumed,
        "final_loss": state.history[-1]["loss"],
    }


def write_outputs(
    layout: Layout,
    run: ResolvedRun,
    encoder: torch.nn.Module,
    history: pd.DataFrame,
    report: dict[str, Any],
) -> None:
    write_text(layout.history(run.name), history.to_csv(index=False))
    write_json(layout.pretrain_report(run.name), report)
    save_encoder(layout.encoder(run.name), encoder, run)
