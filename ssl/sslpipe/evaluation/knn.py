"""Exact cosine k-nearest neighbours and their votes.

The protocol is that of Wu et al. 2018 (Instance Discrimination): features of a frozen encoder,
cosine similarity, a plain majority vote, and a vote weighted by exp(similarity / temperature).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.functional import normalize

# A float32 product of two unit vectors of up to 4096 dimensions is wrong by less than this.
PRODUCT_ERROR = 1e-5
# Candidates kept beyond k by the float32 pass, so that the exact pass almost always has enough.
SPARE_CANDIDATES = 16
# What each temporary tensor of one chunk may take, in bytes.
CHUNK_BYTES = 128 * 2**20


@contextmanager
def full_float32() -> Iterator[None]:
    """Float32 products in float32: no TF32, no bf16 passes, whatever training had switched on."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@torch.no_grad()
def nearest(
    bank: Tensor,
    queries: Tensor,
    k: int,
    *,
    exclude_self: bool = False,
    bank_labels: Tensor | None = None,
    chunk: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The k nearest rows of `bank` for each query, by cosine similarity.

    bank (M, D), queries (Q, D): any float type, on one device, not normalised.
    bank_labels (M,) int: breaks ties between equally near rows; without it the lower row wins.
    exclude_self: bank and queries are the same images in the same order; no image finds itself.
    chunk: queries at a time; by default as many as keep each temporary tensor below 128 MiB.

    Returns similarity (Q, k) float32 and index (Q, k) int64 into bank, nearest first; ties by lower
    label, then by lower index. A fast float32 product proposes candidates; their similarities are
    then summed in float64 and rounded once, so equal rows tie exactly and the result depends
    neither on the chunk size nor on the order in which a matrix product adds.
    """
    _check(bank, queries, k, exclude_self, bank_labels)
    if bank_labels is None:
        order = torch.arange(len(bank), device=bank.device)
    else:
        order = torch.argsort(bank_labels, stable=True)
    # In this order "lower label, then lower index" is simply "lower position".
    bank = normalize(bank.index_select(0, order).float(), dim=1)
    position = torch.argsort(order) if exclude_self else None
    width = min(k + SPARE_CANDIDATES, len(bank))
    if chunk is None:
        chunk = _at_a_time(4 * len(bank))

    found = [
        _nearest_of_chunk(
            bank,
            normalize(queries[start : start + chunk].float(), dim=1),
            k,
            width,
            None if position is None else position[start : start + chunk],
        )
        for start in range(0, len(queries), chunk)
    ]
    similarity = torch.cat([similarity for similarity, _ in found])
    index = torch.cat([index for _, index in found])
    return similarity, order[index]


@torch.no_grad()
def vote(
    similarity: Tensor,
    neighbour_labels: Tensor,
    classes: int,
    temperature: float | None = None,
) -> Tensor:
    """Class scores (Q, classes) float64 from k neighbours; of equal scores the lower label wins.

    similarity (Q, k) float32 cosine; neighbour_labels (Q, k) int64.

    Without a temperature, a score is the number of votes, plus a part below 1 that grows with the
    similarity of the class's nearest neighbour: sorting by score is by majority, then by the nearer
    neighbour, then by the lower label. With one, it is the sum of exp((s - s_max) / temperature),
    s_max being the query's nearest; that common factor changes no ranking and prevents overflow.
    """
    near = similarity.double()
    scores = near.new_zeros(len(near), classes)
    if temperature is None:
        weight = torch.ones_like(near)
    else:
        weight = ((near - near.max(dim=1, keepdim=True).values) / temperature).exp()
    # One neighbour at a time: no two additions of a call meet in one cell, so that CUDA's order of
    # atomic additions cannot matter.
    for column in range(near.shape[1]):
        one = slice(column, column + 1)
        scores.scatter_add_(1, neighbour_labels[:, one], weight[:, one])
    if temperature is None:
        # A cosine in [-1, 1] becomes [0, 1/2]; rounding above 1 leaves it below a whole vote.
        closeness = torch.zeros_like(scores)
        closeness.scatter_reduce_(1, neighbour_labels, (1 + near) / 4, "amax")
        scores += closeness
    return scores


def _at_a_time(row_bytes: int) -> int:
    return max(1, CHUNK_BYTES // row_bytes)


def _check(
    bank: Tensor, queries: Tensor, k: int, exclude_self: bool, bank_labels: Tensor | None
) -> None:
    available = len(bank) - exclude_self
    if not 1 <= k <= available:
        raise ValueError(f"k-NN needs 1 <= k <= {available} (rows in the bank), got k = {k}")
    if len(queries) == 0:
        raise ValueError("k-NN needs at least one query")
    if exclude_self and len(queries) != len(bank):
        raise ValueError("leave-one-out needs the bank itself as queries")
    if bank_labels is not None and len(bank_labels) != len(bank):
        raise ValueError(f"{len(bank_labels)} labels for {len(bank)} rows of the bank")
    for name, features in (("bank", bank), ("queries", queries)):
        if not torch.isfinite(features).all():
            raise ValueError(f"k-NN got NaN or infinite features ({name})")


def _nearest_of_chunk(
    bank: Tensor, queries: Tensor, k: int, width: int, own: Tensor | None
) -> tuple[Tensor, Tensor]:
    """similarity (B, k), index (B, k) for normalised float32 queries (B, D); `own` is left out."""
    with full_float32(), torch.autocast(bank.device.type, enabled=False):
        rough = queries @ bank.T
    if own is not None:
        rough.scatter_(1, own[:, None], -torch.inf)
    rough, candidate = rough.topk(width, dim=1)
    exact = _in_float64(bank, queries, candidate).masked_fill(rough == -torch.inf, -torch.inf)
    similarity, index = _first(exact, candidate, k)

    # Where even the last candidate could be as near as the k-th neighbour, so could rows not
    # proposed.
    unsure = rough[:, -1] >= similarity[:, -1] - 2 * PRODUCT_ERROR
    if width < len(bank) and bool(unsure.any()):
        for row in unsure.nonzero().squeeze(1).split(_at_a_time(8 * len(bank))):
            similarity[row], index[row] = _nearest_in_float64(
                bank, queries[row], k, None if own is None else own[row]
            )
    return similarity, index


def _in_float64(bank: Tensor, queries: Tensor, candidate: Tensor) -> Tensor:
    """Similarity (B, w) float32 of queries (B, D) to their candidates (B, w), rounded once."""
    rows = _at_a_time(8 * candidate.shape[1] * bank.shape[1])
    pieces = zip(queries.double().split(rows), candidate.split(rows), strict=True)
    return torch.cat(
        [torch.bmm(bank[index].double(), query[:, :, None]).squeeze(2) for query, index in pieces]
    ).float()


def _nearest_in_float64(
    bank: Tensor, queries: Tensor, k: int, own: Tensor | None
) -> tuple[Tensor, Tensor]:
    """As `_nearest_of_chunk`, with every row compared exactly: for very many near-ties."""
    exact = queries.new_empty(len(queries), len(bank))
    queries = queries.double()
    rows = _at_a_time(8 * (bank.shape[1] + len(queries)))
    for start in range(0, len(bank), rows):
        exact[:, start : start + rows] = queries @ bank[start : start + rows].double().T
    if own is not None:
        exact.scatter_(1, own[:, None], -torch.inf)
    return _first(exact, torch.arange(len(bank), device=bank.device).expand_as(exact), k)


def _first(similarity: Tensor, position: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest similarities (B, k) and their positions, equal ones by lower position.

    topk promises no order among equal values. Similarity and position are packed into one integer,
    the float's bits (made monotone) above and the negated position below, and no two of those are
    equal.
    """
    bits = (similarity + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0
    bits = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    place = ((bits << 32) - position).topk(k, dim=1).indices
    return similarity.gather(1, place), position.gather(1, place)
