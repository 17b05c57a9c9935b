"""embed(run, dataset): an encoder and packed images → frozen features of every image."""

import numpy as np
import torch

from sslpipe.data.index import open_packed
from sslpipe.evaluation.features import extract
from sslpipe.files import write_with
from sslpipe.layout import Layout
from sslpipe.networks.encoder_file import load_encoder
from sslpipe.params import Params, resolve
from sslpipe.stages.inputs import require
from sslpipe.training.devices import lease
from sslpipe.training.precision import device_of


def run(params: Params, layout: Layout, name: str, dataset: str) -> None:
    """Write features float32 (N, D), label int64 (N,), split (N,) in the order of the index.

    Features are computed in fp32 whatever the training's precision, so that every run is judged
    by the same arithmetic.
    """
    resolved = resolve(params, name)
    path = require(layout.encoder(name), f"sslpipe pretrain {name}")
    if resolved.pretrain.threads:
        torch.set_num_threads(resolved.pretrain.threads)
    images, index = open_packed(layout, dataset)
    with lease() as devices:
        device = device_of(devices)
        encoder = load_encoder(path).to(device, memory_format=torch.channels_last)
        features = extract(encoder, images, device=device, what=f"{name}: embed {dataset}")
    arrays = {"features": features.numpy(), "label": index.all_labels, "split": index.all_splits}
    write_with(layout.embedding(name, dataset), lambda file: np.savez(file, **arrays))
