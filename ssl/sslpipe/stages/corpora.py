"""Corpora and watched sets, as a training reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sslpipe.data.corpus import corpus_rows
from sslpipe.data.corpus_images import CorpusImages
from sslpipe.data.index import open_packed, read_index
from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed, sha256
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.methods.method import Labels
from sslpipe.provenance.checks import require
from sslpipe.training.online import K, Watched


def corpus_images(layout: Layout, corpus: Path, image_size: int, *, check: bool) -> CorpusImages:
    """The corpus, uint8 (N, S, S, 3), mapped from its packed sets.

    Raises UserError when these are not the sets that the corpus was made of, or of another side."""
    content = read_sealed(corpus, f"sslpipe corpus {corpus.stem}")
    for member in content["members"]:
        check_index(layout, corpus, member)
    parts = []
    for name, rows in corpus_rows(content):
        images, _ = open_packed(layout, name, check=check)
        check_side(images, image_size, name, corpus.stem)
        parts.append((images, rows))
    return CorpusImages(parts)


def labels_of(layout: Layout, corpus: Path) -> dict[str, Any]:
    """`labels` of the corpus's images and `classes`, as `train` takes them."""
    of_class, of_set, classes = [], [], []
    for number, (name, rows) in enumerate(corpus_rows(read_sealed(corpus))):
        index = read_index(layout.packed_index(name))
        of_class.append(torch.from_numpy(index.all_labels[rows].astype(np.int64)))
        of_set.append(torch.full((len(rows),), number))
        classes.append(len(index.classes))
    return {"labels": Labels(torch.cat(of_class), torch.cat(of_set)), "classes": classes}


def check_side(images: np.ndarray, image_size: int, dataset: str, corpus: str) -> None:
    """Raises UserError for a set's packed images, (N, S, S, 3), of another side than params.yaml has."""
    if (side := images.shape[1]) != image_size:
        raise UserError(
            f"{dataset}: packed with {side} px, but image_size is {image_size}; run snakemake or dvc "
            f"repro, or: sslpipe subset {dataset} and sslpipe corpus {corpus}"
        )


def check_index(layout: Layout, corpus: Path, part: Mapping[str, Any]) -> None:
    """Raises UserError when a member or watched set is no longer the one that the corpus was made of."""
    index = layout.packed_index(part["dataset"])
    if sha256(require(index, f"sslpipe subset {index.stem}")) != part["index_sha256"]:
        raise UserError(f"{corpus}: made of another {index}; run: sslpipe corpus {corpus.stem}")


def watch(layout: Layout, dataset: str, bank: int, left_out: Sequence[int] = ()) -> Watched:
    """A data set's train and val splits; of the former at most `bank` images, evenly taken, and none
    of the rows `left_out`."""
    images, index = open_packed(layout, dataset)
    index = replace(index, left_out=tuple(left_out))
    examples, val = np.arange(len(index))[index.examples()], index.split_slice("val")
    size = len(examples)
    taken = examples[np.unique(np.linspace(0, size - 1, min(size, bank)).round().astype(int))]
    if len(taken) < K:
        say(
            f"{dataset}: all {len(taken)} examples vote in online k-NN, as there are fewer than {K}"
        )
    labels = index.all_labels
    return Watched(
        dataset, images[taken], labels[taken], images[val], labels[val], len(index.classes)
    )
