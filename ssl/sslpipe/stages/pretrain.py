"""pretrain(run): a corpus → encoder.safetensors, a history and a report of the training."""

import os
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torchvision

import sslpipe
from sslpipe.io.files import read_sealed, sha256, write_sealed, write_text
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.methods import method_class
from sslpipe.networks.encoder import Encoder
from sslpipe.networks.encoder_file import save_encoder
from sslpipe.networks.ranks import ranks
from sslpipe.params import Params, resolve
from sslpipe.provenance.checks import require, require_same, require_unchanged
from sslpipe.provenance.record import Artefact, Record, fingerprint
from sslpipe.provenance.whose import CONTENT, KEY, Whose
from sslpipe.running.checkpoint import RunState
from sslpipe.running.cost import peak_flops
from sslpipe.running.devices import lease, visible_devices
from sslpipe.running.launch import group, launch, launched
from sslpipe.schema.training import ResolvedRun
from sslpipe.stages.corpora import check_index, check_side, corpus_images, labels_of, watch
from sslpipe.training.loop import Trained, build_encoder, train
from sslpipe.training.online import Watched, online_scores
from sslpipe.training.precision import NAMES, autocast_dtype, device_name, device_of, slow
from sslpipe.upkeep.leftovers import changed, resumable


def run(params: Params, layout: Layout, name: str) -> None:
    """Train (or, for method `random`, only initialise) the encoder of run `name`."""
    resolved = resolve(params, name)
    artefact, of_corpus = Artefact("encoder", name), Artefact("corpus", resolved.corpus)
    whose = Whose(params, layout)
    made_of = whose.new(artefact)
    corpus = require(layout.corpus(resolved.corpus), of_corpus.made_by)
    content = read_sealed(
        corpus, of_corpus.made_by
    )  # without training too: the report has its hash
    require_same(corpus, sha256(corpus), whose, of_corpus)
    members = [member["dataset"] for member in content["members"]]
    resizes = {name: params.datasets[name].resize for name in members if name in params.datasets}
    left_out = {}
    for part in content["watched"]:
        check_index(layout, corpus, part)
        left_out[part["dataset"]] = part.get("left_out", ())
    if resolved.pretrain.threads:
        torch.set_num_threads(resolved.pretrain.threads)
    watched = [
        watch(layout, name, resolved.pretrain.online.bank, left_out.get(name, ()))
        for name in resolved.pretrain.online.datasets
    ]
    for data in watched:
        check_side(data.val_images, resolved.image_size, data.name, resolved.corpus)
    rank = int(os.environ["RANK"]) if launched() else 0
    if not resolved.trained:
        if rank > 0:  # there is nothing to share
            return
        encoder = build_encoder(resolved).eval()
        history = untrained_history(resolved, encoder, watched)
        report = about(resolved, corpus, resizes, made_of)
        write_outputs(layout, resolved, encoder, history, report)
        return
    gpus = resolved.pretrain.gpus
    if launched():
        device = device_of(visible_devices(), int(os.environ.get("LOCAL_RANK", 0)))
        with group(device):
            leased, lead = visible_devices(), rank == 0
            pretrain(layout, resolved, corpus, resizes, made_of, watched, device, leased, lead=lead)
        return
    with lease(gpus, threads=torch.get_num_threads()) as devices:
        if gpus > 1 and devices:
            launch(name, gpus)
            return
        if gpus > 1:
            say(f"{name}: no GPU here; one process does the work of {gpus}")
        device = device_of(devices)
        pretrain(layout, resolved, corpus, resizes, made_of, watched, device, devices, lead=True)


def pretrain(
    layout: Layout,
    run: ResolvedRun,
    corpus: Path,
    resizes: Mapping[str, str],
    made_of: Record,
    watched: list[Watched],
    device: torch.device,
    leased: list[str],
    *,
    lead: bool,
) -> None:
    """Train on this process's device; the first of several ranks writes what comes out.

    leased: the ids of all ranks' devices."""
    started = now()
    images = corpus_images(layout, corpus, run.image_size, check=lead)  # may refuse: no state yet
    with RunState(
        layout.state(run.name), fingerprint(made_of), made_of=made_of, lead=lead
    ) as state:
        autocast = autocast_dtype(run.pretrain.precision, device)
        if lead:
            for line in (*abandoned(layout, run.name, made_of), *slow(device, autocast)):
                say(f"{run.name}: {line}")
        many = f"{ranks()} × " if ranks() > 1 else ""
        precision = NAMES[autocast]
        say(f"{run.name}: {len(images)} images, {many}{device_name(device)}, {precision}")
        # Of a format that the processor has no instructions for, fp32's product is the faster.
        peak = max(peak_flops(device, dtype) for dtype in {autocast, None})
        asked = labels_of(layout, corpus) if method_class(run.method).LABELLED else {}
        trained = train(run, images, watched, state, device=device, autocast=autocast, **asked)
        if lead:
            report = about(run, corpus, resizes, made_of) | {"started": started, "devices": leased}
            report |= measured(trained, run, device, autocast, len(images), peak)
            require_unchanged(Artefact("encoder", run.name), made_of, layout, "its state is kept")
            write_outputs(layout, run, trained.encoder, trained.state.table(), report)
            say(f"{run.name}: {in_short(report)}")
            state.clear()


def abandoned(layout: Layout, run: str, made_of: Record) -> Iterator[str]:
    """What is not gone on with."""
    for state in resumable(layout):
        if state.run == run and state.fingerprint != fingerprint(made_of):
            yield (
                f"an interrupted training, after step {state.step}, is given up: "
                f"{changed(state.folder, made_of)}; it stays until: sslpipe clean"
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


def about(
    run: ResolvedRun, corpus: Path, resizes: Mapping[str, str], made_of: Record
) -> dict[str, Any]:
    """What made this encoder: parameters, inputs, code and versions. resizes: of each of its sets."""
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
        "inputs": {"corpus_sha256": sha256(corpus), "resize": dict(resizes)},
        "versions": {
            "sslpipe": sslpipe.__version__,
            "code": made_of["code"]["pretrain"],
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
        KEY: made_of,
        "finished": now(),
    }


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def measured(
    trained: Trained,
    run: ResolvedRun,
    device: torch.device,
    autocast: torch.dtype | None,
    images: int,
    peak: float,
) -> dict[str, Any]:
    """What the training took. mfu: its floating-point operations a second, of convolutions and
    matrix products, as a share of `peak`, what a large matrix product reaches on the same devices."""
    state, clock = trained.state, trained.state.clock
    part = run.pretrain.batch_size // (run.pretrain.accumulate * ranks())
    flops_per_image = trained.cost.flops / part
    speed = clock.images_per_s
    return {
        "images": images,
        "steps": state.step,
        "device": device_name(device),
        "gpus": ranks() if device.type == "cuda" else 0,
        "processes": ranks(),
        "images_on": trained.images_on,
        "precision": NAMES[autocast],
        "images_per_s": speed,
        "train_seconds": clock.train,
        "warm_up_seconds": state.warm_up,
        "data_wait": clock.data_wait,
        "flops_per_image": flops_per_image,
        "peak_flops": peak,
        "mfu": None if speed is None else speed * flops_per_image / (peak * ranks()),
        "peak_memory_bytes": state.peak_memory,
        "counted_memory_bytes": trained.cost.memory,
        "energy_joules": state.energy,
        "resumed": state.resumed,
        "final_loss": state.history[-1]["loss"],
    }


def in_short(report: dict[str, Any]) -> str:
    """One line of `measured`."""
    memory = f"{report['peak_memory_bytes'] / 2**30:.1f} GiB at most"
    if report["images_per_s"] is None:
        return memory
    energy, warm_up = report["energy_joules"], report["warm_up_seconds"]
    return (
        f"{report['images_per_s']:.0f} images/s for {report['train_seconds']:.0f} s, "
        f"MFU {report['mfu']:.0%}, {report['data_wait']:.1%} waiting for views, {memory}"
        + (f", {energy / 3600:.1f} Wh" if energy is not None else "")
        + (f", after {warm_up:.0f} s of compiling" if warm_up >= 1 else "")
    )


def write_outputs(
    layout: Layout,
    run: ResolvedRun,
    encoder: Encoder,
    history: pd.DataFrame,
    report: dict[str, Any],
) -> None:
    """The report last: what it says of the others is then true."""
    content = save_encoder(layout.encoder(run.name), encoder, run, report[KEY])
    write_text(layout.history(run.name), history.to_csv(index=False))
    report |= {"history_sha256": sha256(layout.history(run.name)), CONTENT: content}
    write_sealed(layout.pretrain_report(run.name), report)
