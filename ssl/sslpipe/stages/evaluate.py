"""evaluate(run, dataset): frozen features → k-NN and probe scores, one flat JSON."""

import zipfile
import zlib

import numpy as np
import torch

from sslpipe.errors import UserError
from sslpipe.evaluation.protocol import evaluate
from sslpipe.files import write_json
from sslpipe.layout import Layout
from sslpipe.params import Params, resolve
from sslpipe.stages.inputs import require


def run(params: Params, layout: Layout, name: str, dataset: str) -> None:
    resolved = resolve(params, name)
    path = require(layout.embedding(name, dataset), f"sslpipe embed {name} {dataset}")
    if resolved.pretrain.threads:
        torch.set_num_threads(resolved.pretrain.threads)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            features, labels, splits = (arrays[key] for key in ("features", "label", "split"))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path}: damaged ({error}); delete it and run: sslpipe embed {name} {dataset}"
        ) from None
    made = layout.metrics(name, dataset)
    try:
        scores = evaluate(features, labels, splits, params.evaluate, params.evaluate.seed)
    except ValueError as error:  # a split without images, more neighbours than training images
        raise UserError(f"{made}: evaluate {name} {dataset}: {error}") from None
    write_json(made, scores)
