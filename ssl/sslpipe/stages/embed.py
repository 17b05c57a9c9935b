"""embed(run, dataset): an encoder and packed images → frozen features of every image.

And of two random views of some images that were not trained on, for their alignment.
"""

import numpy as np
import torch

from sslpipe.data.splits import SPLITS
from sslpipe.evaluation.chosen import MOST_PAIRED, UNUSED, evenly
from sslpipe.evaluation.features import extract, two_views
from sslpipe.io.arrays import packed_json, write_arrays
from sslpipe.io.files import read_sealed
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params, find, resolve
from sslpipe.provenance.record import Artefact
from sslpipe.provenance.whose import KEY, Whose
from sslpipe.running.devices import lease
from sslpipe.stages.encoders import open_encoder, require_size
from sslpipe.stages.sets import open_set
from sslpipe.training.precision import device_of


def run(params: Params, layout: Layout, name: str, dataset: str) -> None:
    """Write features float32 (N, D), label int64 (N,), split (N,) in the order of the index, views
    float32 (2, n, D) and classes (C,), the names.

    Features are computed in fp32 whatever the training's precision, so that every run is judged
    by the same arithmetic.
    """
    resolved, resize = resolve(params, name), find(params.datasets, dataset, "data set").resize
    whose = Whose(params, layout)
    made_of = whose.new(Artefact("features", name, dataset))
    if resolved.pretrain.threads:
        torch.set_num_threads(resolved.pretrain.threads)
    images, index = open_set(whose, dataset)
    encoder = open_encoder(whose, name)
    require_size(name, encoder, dataset, images, params.image_size)
    trained_on = trained_resizes(layout, name)
    if trained_on and resize not in trained_on:  # perhaps on purpose
        say(f"{name}: trained with resize: {' and '.join(trained_on)}, {dataset} has {resize}")
    with lease(threads=torch.get_num_threads()) as devices:
        device = device_of(devices)
        encoder = encoder.to(device).to(memory_format=torch.channels_last)
        features = extract(
            encoder, images[index.scored], device=device, what=f"{name}: embed {dataset}"
        )
        held_out = range(index.split_slice(SPLITS[1]).start, index.scored.stop)
        chosen = [held_out[i] for i in evenly(len(held_out), MOST_PAIRED)]
        views = [extract(encoder, view, device=device) for view in two_views(images[chosen])]
    splits = index.all_splits[index.scored].astype("<U7")
    splits[list(index.left_out)] = UNUSED
    arrays = {
        "features": features.numpy(),
        "label": index.all_labels[index.scored],
        "split": splits,
        "views": torch.stack(views).numpy(),
        "classes": np.array(index.classes, dtype=np.str_),
        KEY: packed_json(made_of),
    }
    write_arrays(layout.embedding(name, dataset), arrays)


def trained_resizes(layout: Layout, name: str) -> list[str]:
    """Each `resize` of the sets that a run was trained on, as its report has it; none where there is
    no report, none in it, or no training."""
    path = layout.pretrain_report(name)
    if not path.exists():
        return []
    made = read_sealed(path, f"sslpipe pretrain {name}")
    return sorted(set(made["inputs"].get("resize", {}).values())) if made["trained"] else []
