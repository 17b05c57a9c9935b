"""Exact cosine k-nearest neighbours and their votes.

The protocol is that of Wu et al. 2018 (Instance Discrimination): features of a frozen encoder,
cosine similarity, a plain majority vote, and a vote weighted by exp(similarity / temperature).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

# What each temporary tensor of one chunk may take, in bytes.
CHUNK_BYTES = 128 * 2**20
# The same for what a CPU writes and at once reads again, which should then still be in its cache.
CACHE_BYTES = 8 * 2**20


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
    label, then by lower index. A fast product proposes candidates and bounds the similarity of all
    other rows; the candidates' similarities are then summed in float64 and rounded once, so equal
    rows tie exactly and the result depends neither on the chunk size nor on the order in which a
    matrix product adds. Queries for which the bound leaves a doubt go on to a more exact product.
    """
    _check(bank, queries, k, exclude_self, bank_labels)
    if bank_labels is None:
        order = torch.arange(len(bank), device=bank.device)
    else:
        order = torch.argsort(bank_labels, stable=True)
    # In this order "lower label, then lower index" is simply "lower position".
    bank = normalize(bank.index_select(0, order).float(), dim=1)
    position = torch.argsort(order) if exclude_self else None

    similarity = bank.new_empty(len(queries), k)
    index = order.new_empty(len(queries), k)
    doubtful = torch.arange(len(queries), device=bank.device)
    for dtype, width in _products(bank.device, k):
        if len(doubtful) == 0:
            break
        draft = _draft(bank, dtype)
        rows = chunk or _at_a_time(max(dtype.itemsize * len(bank), 8 * bank.shape[1]))
        # One buffer for all chunks: on a CPU, fresh memory costs as much as the product itself.
        buffer = draft.rows.new_empty(min(rows, len(doubtful)), len(bank))
        doubts = []
        for some in doubtful.split(rows):
            unit = normalize(queries[some].float(), dim=1)
            own = None if position is None else position[some]
            candidate, ceiling = _propose(draft, unit, min(width, len(bank)), own, buffer)
            exact = _in_float64(bank, unit, candidate)
            if own is not None:
                exact = exact.masked_fill(candidate == own[:, None], -torch.inf)
            similarity[some], index[some] = _first(exact, candidate, k)
            doubts.append(ceiling >= similarity[some, -1])
        doubtful = doubtful[torch.cat(doubts)]
        del draft, buffer
    for some in doubtful.split(chunk or _at_a_time(8 * len(bank))) if len(doubtful) else ():
        unit = normalize(queries[some].float(), dim=1)
        own = None if position is None else position[some]
        similarity[some], index[some] = _nearest_in_float64(bank, unit, k, own)
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


def _at_a_time(row_bytes: int, limit: int | None = None) -> int:
    return max(1, (limit or CHUNK_BYTES) // row_bytes)


def _cached_bytes(bank: Tensor) -> int:
    return CHUNK_BYTES if bank.is_cuda else min(CACHE_BYTES, CHUNK_BYTES)


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
        # The extremes carry every NaN and infinity; isfinite of all features takes 10 times as long.
        if not torch.isfinite(torch.stack(features.aminmax())).all():
            raise ValueError(f"k-NN got NaN or infinite features ({name})")


def _products(device: torch.device, k: int) -> list[tuple[torch.dtype, int]]:
    """The products that propose, the fastest first, and how many candidates each keeps: enough
    that on ordinary features next to no query is left in doubt."""
    products = [(torch.float32, k + 16)]
    # Not on CUDA: finding the largest takes longer there than either product.
    if device.type == "cpu" and (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    ):
        products.insert(0, (torch.bfloat16, 2 * k + 24))
    return products


class _Draft(NamedTuple):
    """The bank less its mean, rounded to the format of a product.

    For a query, subtracting the mean shifts all similarities alike, and it makes the rounding
    errors as small as the differences between the rows.
    """

    rows: Tensor  # (M, D)
    mean: Tensor  # (D,) float32
    length: Tensor  # of the longest row, before rounding
    rounding: Tensor  # length of the longest rounding error of a row


def _draft(bank: Tensor, dtype: torch.dtype) -> _Draft:
    mean = bank.mean(0)
    rows = torch.empty_like(bank, dtype=dtype)
    length, rounding = bank.new_zeros(()), bank.new_zeros(())
    step = _at_a_time(4 * bank.shape[1], _cached_bytes(bank))
    for piece, rounded in zip(bank.split(step), rows.split(step), strict=True):
        centred = piece - mean
        rounded.copy_(centred)
        length = torch.maximum(length, centred.norm(dim=1).max())
        rounding = torch.maximum(rounding, (centred - rounded).norm(dim=1).max())
    return _Draft(rows, mean, length, rounding)


def _propose(
    draft: _Draft, queries: Tensor, width: int, own: Tensor | None, buffer: Tensor
) -> tuple[Tensor, Tensor]:
    """The likely nearest rows (B, width) of unit float32 queries (B, D), and a ceiling (B,) float64
    that the float32 similarity of every other row stays strictly below. `own` is no "other" row.

    With b = m + c for the mean m, and q', c' for the rounded q, c:
        q·b = q·m + q'·c' + (q - q')·c + q'·(c - c')
    The last two terms are at most |q - q'| |c| + |q'| |c - c'| (Cauchy-Schwarz), whose lengths are
    measured. What the product returned for q'·c' is, for every row not proposed, at most the last
    one proposed; it differs from q'·c' by at most D 2^-24 |q'| |c'| for float32 additions in any
    order, taken twice below, and by the rounding of the result to the format, half its eps. The
    constants beyond cover the second-order terms, subtracting m, and the similarity's own rounding.
    """
    rounded = queries.to(draft.rows.dtype)
    with full_float32(), torch.autocast(buffer.device.type, enabled=False):
        rough = torch.mm(rounded, draft.rows.T, out=buffer[: len(queries)])
    if own is not None:
        rough.scatter_(1, own[:, None], -torch.inf)
    rough, candidate = rough.topk(width, dim=1)
    if width == len(draft.rows):
        return candidate, rough.new_full((len(rough),), -torch.inf, dtype=torch.float64)

    last, exact = rough[:, -1].double(), queries.double()
    error = (
        torch.finfo(rough.dtype).eps / 2 * last.abs()
        + 1.01 * (exact - rounded).norm(dim=1) * draft.length
        + 1.01 * rounded.double().norm(dim=1) * draft.rounding
        + (queries.shape[1] + 8) * 2.0**-23 * draft.length
        + 2.0**-23
    )
    return candidate, exact @ draft.mean.double() + last + error


def _in_float64(bank: Tensor, queries: Tensor, candidate: Tensor) -> Tensor:
    """Similarity (B, w) float32 of queries (B, D) to their candidates (B, w), rounded once."""
    row_bytes = 8 * candidate.shape[1] * bank.shape[1]
    rows = _at_a_time(row_bytes, _cached_bytes(bank))
    found = [
        # index_select and not bank[index], which is slower.
        torch.bmm(
            bank.index_select(0, index.flatten()).double().view(*index.shape, -1),
            query.double()[:, :, None],
        ).squeeze(2)
        for query, index in zip(queries.split(rows), candidate.split(rows), strict=True)
    ]
    return torch.cat(found).float()


def _nearest_in_float64(
    bank: Tensor, queries: Tensor, k: int, own: Tensor | None
) -> tuple[Tensor, Tensor]:
    """similarity (B, k), index (B, k) with every row compared exactly: for very many near-ties."""
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
