"""Exact cosine nearest neighbours against scikit-learn and faiss: time, and how exact."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sslpipe.evaluation.knn import nearest

from .peers import installed
from .table import Row, compared
from .timing import median_rates

PACKAGES = ("torch", "scikit-learn", "faiss-cpu", "numpy")
BANK, QUERIES, DIMENSION, K = 50_000, 10_000, 512, 20
# Rows whose similarities differ by less are ties: unit vectors rounded to float32 tell no more.
TIE = 1e-6


def run(device: torch.device, threads: int) -> Iterator[list[Row]]:
    bank, queries = features(BANK, 1), features(QUERIES, 2)
    found: dict[str, np.ndarray] = {}
    on_device = bank.to(device), queries.to(device)

    def ours() -> None:
        found["sslpipe"] = nearest(*on_device, K)[1].cpu().numpy()

    def by_sklearn() -> None:
        model = NearestNeighbors(n_neighbors=K, metric="cosine", algorithm="brute")
        found["scikit-learn"] = model.fit(bank.numpy()).kneighbors(
            queries.numpy(), return_distance=False
        )

    def by_faiss() -> None:
        index = faiss.IndexFlatIP(DIMENSION)
        index.add(F.normalize(bank).numpy())
        found["faiss"] = index.search(F.normalize(queries).numpy(), K)[1]

    def product_alone() -> None:
        for part in on_device[1].split(1000):
            torch.mm(part, on_device[0].T)

    subjects = {"sslpipe": ours, "matrix product alone, fp32": product_alone}
    if installed("sklearn"):
        from sklearn.neighbors import NearestNeighbors

        subjects["scikit-learn"] = by_sklearn
    if installed("faiss"):
        import faiss

        faiss.omp_set_num_threads(threads)
        subjects["faiss"] = by_faiss
    case = f"{QUERIES} queries, {BANK} rows, D = {DIMENSION}, k = {K}"
    rates = median_rates(subjects, QUERIES, device, rounds=3)
    best = exact(bank, queries)
    yield compared(case, rates, "queries/s", "scikit-learn") + [
        Row(case, name, differing(bank, queries, index, best), "queries differing")
        for name, index in found.items()
    ]


def features(count: int, seed: int) -> Tensor:
    """float32 (count, DIMENSION), not negative and in clusters, like an encoder's."""
    centres = torch.randn(100, DIMENSION, generator=torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(seed)
    cluster = torch.randint(0, 100, (count,), generator=draw)
    return (centres[cluster] + torch.randn(count, DIMENSION, generator=draw)).relu_()


def exact(bank: Tensor, queries: Tensor, rows: int = 500) -> Tensor:
    """The K highest cosine similarities of each query, (Q, K) float64, highest first."""
    bank = F.normalize(bank.double()).T
    parts = F.normalize(queries.double()).split(rows)
    return torch.cat([(part @ bank).topk(K).values for part in parts])


def differing(
    bank: Tensor, queries: Tensor, index: np.ndarray, best: Tensor, rows: int = 500
) -> int:
    """Queries for which a neighbour, ties aside, is not the one that belongs in its place."""
    bank, queries = F.normalize(bank.double()), F.normalize(queries.double())
    parts = zip(
        torch.from_numpy(index).split(rows), queries.split(rows), best.split(rows), strict=True
    )
    return sum(
        int((torch.einsum("qkd,qd->qk", bank[i], q) - b).abs().gt(TIE).any(dim=1).sum())
        for i, q, b in parts
    )
