"""evaluate(run, dataset): frozen features → flat scores, answers image by image, what they look like."""

import zipfile
import zlib

import numpy as np
import torch

from sslpipe.errors import UserError
from sslpipe.evaluation.protocol import evaluate
from sslpipe.files import write_json, write_sealed, write_with
from sslpipe.layout import Layout
from sslpipe.params import Params, resolve
from sslpipe.reporting.results import CHECKSUM, checksum
from sslpipe.stages.inputs import require


def run(params: Params, layout: Layout, name: str, dataset: str) -> None:
    resolved = resolve(params, name)
    path = require(layout.embedding(name, dataset), f"sslpipe embed {name} {dataset}")
    if resolved.pretrain.threads:
        torch.set_num_threads(resolved.pretrain.threads)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            parts = [arrays[key] for key in ("features", "label", "split", "views", "classes")]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path}: damaged ({error}); delete it and run: sslpipe embed {name} {dataset}"
        ) from None
    made = layout.metrics(name, dataset)
    try:
        done = evaluate(*parts, params.evaluate)
    except ValueError as error:  # a split without images, more neighbours than training images
        raise UserError(f"{made}: evaluate {name} {dataset}: {error}") from None
    write_sealed(layout.features(name, dataset), done.features, compact=True)
    write_with(
        layout.predictions(name, dataset),
        lambda file: np.savez_compressed(
            file, **{CHECKSUM: checksum(done.scores)}, **done.predictions
        ),
    )
    write_json(made, done.scores)
