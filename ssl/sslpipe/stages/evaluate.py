"""evaluate(run, dataset): frozen features → flat scores, answers image by image, what they look like."""

import numpy as np
import torch

from sslpipe.errors import UserError
from sslpipe.evaluation.protocol import evaluate
from sslpipe.io.arrays import packed_json, read_arrays, write_arrays
from sslpipe.io.files import write_json, write_sealed
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params, resolve
from sslpipe.provenance.answers import CHECKSUM, checksum
from sslpipe.provenance.record import Artefact
from sslpipe.provenance.whose import KEY, Whose


def run(params: Params, layout: Layout, name: str, dataset: str) -> None:
    resolved = resolve(params, name)
    whose, embedded = Whose(params, layout), Artefact("features", name, dataset)
    whose.require(embedded)
    made_of = whose.new(Artefact("scores", name, dataset))
    if resolved.pretrain.threads:
        torch.set_num_threads(resolved.pretrain.threads)
    arrays = read_arrays(layout.embedding(name, dataset), embedded.made_by)
    features, label, split, views, classes = (
        arrays[key] for key in ("features", "label", "split", "views", "classes")
    )
    made = layout.metrics(name, dataset)
    try:
        done = evaluate(features, label, split, views, classes.tolist(), params.evaluate)
    except ValueError as error:  # a split without images, more neighbours than training images
        raise UserError(f"{made}: evaluate {name} {dataset}: {error}") from None
    if (k := done.scores.get("knn_k")) is not None:
        say(
            f"{name} on {dataset}: all {k} examples vote, as evaluate.knn.k is {params.evaluate.knn.k}"
        )
    write_sealed(layout.features(name, dataset), done.features | {KEY: made_of}, compact=True)
    write_arrays(
        layout.predictions(name, dataset),
        done.predictions | {CHECKSUM: np.array(checksum(done.scores)), KEY: packed_json(made_of)},
        compressed=True,
    )
    write_json(made, done.scores)
