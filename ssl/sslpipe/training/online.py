"""What is measured while training: k-NN and a linear probe on the val split of watched sets."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sslpipe.errors import UserError
from sslpipe.evaluation.features import extract
from sslpipe.evaluation.knn import nearest, vote
from sslpipe.evaluation.probe import fit_probes, standardise
from sslpipe.evaluation.scores import top_k
from sslpipe.schema.training import Online

K = 20  # of the study


@dataclass(frozen=True)
class Watched:
    """A labelled data set. Images uint8 (N, S, S, 3), labels int64 (N,); train is the bank."""

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    val_images: np.ndarray
    val_labels: np.ndarray
    classes: int


def online_scores(
    encoder: nn.Module,
    watched: list[Watched],
    online: Online,
    epoch: int,
    epochs: int,
    *,
    device: torch.device,
    autocast: torch.dtype | None,
) -> dict[str, float | None]:
    """`knn_<set>` and `probe_<set>` top-1 on val, None when not due. The last epoch is always due.

    Raises UserError when the encoder's features or a probe are not finite.
    """
    due_knn = epoch % online.knn_every == 0 or epoch == epochs
    due_probe = epoch % online.probe_every == 0 or epoch == epochs
    scores: dict[str, float | None] = {}
    for data in watched:
        knn = probe = None
        if due_knn or due_probe:
            bank, queries = (
                extract(encoder, images, device=device, autocast=autocast)
                for images in (data.train_images, data.val_images)
            )
            bank_labels, labels = map(torch.from_numpy, (data.train_labels, data.val_labels))
        try:
            if due_knn:
                knn = knn_top1(bank, bank_labels, queries, labels, data.classes)
            if due_probe:
                probe = probe_top1(bank, bank_labels, queries, labels, data.classes, online)
        except ValueError as error:  # features or logits that are not finite
            raise UserError(f"epoch {epoch}, online evaluation on {data.name}: {error}") from None
        scores |= {f"knn_{data.name}": knn, f"probe_{data.name}": probe}
    return scores


def knn_top1(
    bank: Tensor, bank_labels: Tensor, queries: Tensor, labels: Tensor, classes: int
) -> float:
    similarity, index = nearest(bank, queries, min(K, len(bank)), bank_labels=bank_labels)
    return top_k(vote(similarity, bank_labels[index], classes), labels, 1)


def probe_top1(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    labels: Tensor,
    classes: int,
    online: Online,
) -> float:
    mean, std = standardise(bank)
    probes = fit_probes(
        (bank - mean) / std,
        bank_labels,
        classes,
        [(online.probe_lr, 0.0)],
        epochs=online.probe_epochs,
        batch_size=256,
        optimizer="adam",
        seed=0,
    )
    return top_k(probes.logits((queries - mean) / std)[0], labels, 1)
