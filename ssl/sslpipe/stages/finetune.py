"""finetune(run, dataset): an encoder and a packed set → scores of the whole network, trained."""

import numpy as np
import torch

from sslpipe.errors import UserError
from sslpipe.evaluation.finetune import finetune
from sslpipe.io.arrays import packed_json, write_arrays
from sslpipe.io.files import write_json
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params, resolve
from sslpipe.provenance.answers import CHECKSUM, checksum
from sslpipe.provenance.record import Artefact
from sslpipe.provenance.whose import KEY, Whose
from sslpipe.running.devices import lease
from sslpipe.stages.encoders import open_encoder, require_size
from sslpipe.stages.sets import open_set
from sslpipe.training.precision import arithmetic, device_name, device_of, has_bf16


def run(params: Params, layout: Layout, name: str, dataset: str) -> None:
    """Write `layout.finetune_predictions` and `layout.finetune_metrics`, in the test images' order
    of `layout.predictions`. Training is in bf16 where the device has instructions for it and the run
    is not in fp32 on purpose."""
    resolved = resolve(params, name)
    if resolved.backbone == "pixels":
        raise UserError(f"{name}: raw pixels have no encoder that could be fine-tuned")
    if name not in params.finetune.runs:
        raise UserError(
            f"{name}: finetune.runs in params.yaml does not name this run; it names: "
            + (", ".join(params.finetune.runs) or "none")
        )
    if dataset not in params.leaderboard:
        raise UserError(
            f"{dataset}: not scored; leaderboard in params.yaml names: "
            + ", ".join(params.leaderboard)
        )
    whose = Whose(params, layout)
    made_of = whose.new(Artefact("finetuned", name, dataset))
    settings = resolved.pretrain
    if settings.threads:
        torch.set_num_threads(settings.threads)
    images, index = open_set(whose, dataset)
    encoder = open_encoder(whose, name)
    require_size(name, encoder, dataset, images, params.image_size)
    with (
        lease(threads=torch.get_num_threads()) as devices,
        arithmetic(deterministic=settings.deterministic),
    ):
        device = device_of(devices)
        autocast = torch.bfloat16 if settings.precision != "fp32" and has_bf16(device) else None
        what = f"{name}: finetune {dataset}"
        train = index.all_labels[index.examples()]
        say(f"{what}: {len(train)} images, {device_name(device)}")
        done = finetune(
            encoder,
            images,
            index,
            params.finetune,
            seed=settings.seed,
            device=device,
            autocast=autocast,
            what=what,
        )
    write_arrays(
        layout.finetune_predictions(name, dataset),
        done.predictions | {CHECKSUM: np.array(checksum(done.scores)), KEY: packed_json(made_of)},
        compressed=True,
    )
    write_json(layout.finetune_metrics(name, dataset), done.scores)
    public, private = (done.scores[f"finetune_{half}_top1"] for half in ("public", "private"))
    say(f"{what}: {public:.1%} public, {private:.1%} private")
