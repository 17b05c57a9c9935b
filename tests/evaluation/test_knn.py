import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.preprocessing import normalize

from sslpipe.evaluation import knn
from sslpipe.evaluation.knn import nearest, vote


def features(rows, dimension=24, seed=0):
    return torch.randn(rows, dimension, generator=torch.Generator().manual_seed(seed)) + 0.3


def labels(rows, classes, seed=1):
    return torch.randint(classes, (rows,), generator=torch.Generator().manual_seed(seed))


PRODUCTS = [
    [],
    [(torch.float32, 36)],
    [(torch.bfloat16, 64), (torch.float32, 36)],
    [(torch.bfloat16, 20), (torch.float32, 20)],
]


@pytest.fixture(params=PRODUCTS, ids=["float64", "float32", "bfloat16", "no spare candidates"])
def products(request, monkeypatch):
    """Every way to propose, whatever this machine would choose."""
    monkeypatch.setattr(knn, "_products", lambda device, k: request.param)
    return request.param


def by_brute_force(bank, queries, k, exclude_self=False):
    bank, queries = (torch.nn.functional.normalize(x.float(), dim=1) for x in (bank, queries))
    similarity = (queries.double() @ bank.double().T).float()
    if exclude_self:
        similarity.fill_diagonal_(-torch.inf)
    similarity, index = (similarity + 0.0).sort(dim=1, descending=True, stable=True)
    return similarity[:, :k], index[:, :k]


def test_neighbours_are_those_of_scikit_learn():
    bank, queries = features(700), features(90, seed=2)
    similarity, index = nearest(bank, queries, 20)
    reference = NearestNeighbors(n_neighbors=20, metric="cosine", algorithm="brute")
    distance, expected = reference.fit(bank.double().numpy()).kneighbors(queries.double().numpy())
    assert np.array_equal(index.numpy(), expected)
    assert np.allclose(similarity.numpy(), 1 - distance, atol=1e-6)
    assert similarity.dtype == torch.float32 and index.dtype == torch.int64


def near_ties():
    """Rows around one direction that bfloat16, and for the last of them float32, cannot order."""
    row = features(1, 200)
    return torch.cat([row + size * features(300, 200, seed=4) for size in (1e-1, 1e-3, 1e-5, 1e-7)])


def clusters():
    return features(8, 96).repeat(100, 1) + 0.01 * features(800, 96, seed=5)


BANKS = {
    "ordinary": lambda: features(900, 96),
    "positive": lambda: features(900, 96).relu() + 1,
    "near ties": near_ties,
    "duplicates": lambda: features(30, 64).repeat(20, 1),
    "clusters": clusters,
    "opposed": lambda: torch.cat([clusters(), -clusters()]),
    "a far row": lambda: torch.cat([-features(1, 96), features(1, 96) + near_ties()[:, :96] / 1e3]),
    "one dimension": lambda: torch.cat([features(200, 1), -features(200, 1)]),
    "zeros": lambda: torch.cat([torch.zeros(100, 5), 1e-30 * features(100, 5), features(50, 5)]),
    "tiny": lambda: features(21, 7),
}


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("name", BANKS)
def test_every_product_finds_what_brute_force_finds(products, name, exclude_self):
    bank = BANKS[name]()
    queries = (
        bank if exclude_self else torch.cat([bank[::7], -bank[:3], features(5, bank.shape[1])])
    )
    similarity, index = nearest(bank, queries, 20, exclude_self=exclude_self)
    expected_similarity, expected = by_brute_force(bank, queries, 20, exclude_self)
    assert torch.equal(index, expected)
    assert torch.equal(similarity, expected_similarity)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 2, 90])
@pytest.mark.parametrize("name", BANKS)
def test_no_row_reaches_the_ceiling_that_was_not_proposed(name, rows, dtype):
    bank = torch.nn.functional.normalize(BANKS[name](), dim=1)
    queries = torch.cat([bank, -bank])[:: max(1, 2 * len(bank) // rows)][:rows]
    draft, buffer = knn._draft(bank, dtype), torch.empty(rows, len(bank), dtype=dtype)
    for width in (1, 20):
        candidate, ceiling = knn._propose(draft, queries, width, None, buffer[: len(queries)])
        others = (queries.double() @ bank.double().T).float().scatter_(1, candidate, -torch.inf)
        assert (others.max(dim=1).values < ceiling).all()


def test_the_ceiling_is_low_enough_to_be_of_use():
    bank = torch.nn.functional.normalize(features(5000, 256), dim=1)
    buffer = torch.empty(100, 5000, dtype=torch.bfloat16)
    draft = knn._draft(bank, torch.bfloat16)
    _, ceiling = knn._propose(draft, bank[:100], 64, None, buffer)
    assert (ceiling < nearest(bank, bank[:100], 20)[0][:, -1]).float().mean() > 0.9


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_bfloat16_products_add_in_float32(rows):
    # A sum of 4096 equal terms kept in bfloat16 would stop growing at 256 of them.
    ones = torch.ones(rows, 4096, dtype=torch.bfloat16)
    assert (ones @ torch.ones(500, 4096, dtype=torch.bfloat16).T == 4096).all()


@pytest.mark.parametrize("temperature", [None, 0.07])
def test_vote_is_that_of_scikit_learn(temperature):
    # An odd number of neighbours and two classes: a majority has no ties.
    bank, queries, truth = features(700), features(200, seed=2), labels(700, 2)
    similarity, index = nearest(bank, queries, 7, bank_labels=truth)
    answer = vote(similarity, truth[index], 2, temperature).argmax(1)
    weights = "uniform" if temperature is None else lambda d: np.exp((1 - d) / temperature)
    reference = KNeighborsClassifier(7, metric="cosine", algorithm="brute", weights=weights)
    reference.fit(normalize(bank.double().numpy()), truth.numpy())
    assert np.array_equal(answer.numpy(), reference.predict(normalize(queries.double().numpy())))


def test_weighted_vote_by_brute_force():
    similarity, index = nearest(features(60), features(9, seed=2), 11)
    voters = labels(60, 4)[index]
    scores = vote(similarity, voters, 4, temperature=0.07)
    for query in range(9):
        expected = [0.0] * 4
        for s, label in zip(similarity[query].tolist(), voters[query].tolist(), strict=True):
            expected[label] += np.exp((s - similarity[query].max().item()) / 0.07)
        assert np.allclose(scores[query].numpy(), expected, rtol=1e-12)


def test_weighted_vote_survives_a_tiny_temperature():
    scores = vote(torch.tensor([[0.9, 0.5]]), torch.tensor([[1, 0]]), 2, temperature=1e-4)
    assert scores.isfinite().all() and scores.argmax() == 1


def test_majority_beats_nearness_and_nearness_breaks_a_tie():
    voters = torch.tensor([[2, 0, 0], [2, 0, 1]])
    similarity = torch.tensor([[1.0, -0.9, -1.0], [0.9, 0.8, 0.7]])
    scores = vote(similarity, voters, 4)
    assert scores.argsort(dim=1, descending=True, stable=True).tolist() == [
        [0, 2, 1, 3],
        [2, 0, 1, 3],
    ]


def test_similarity_a_hair_above_one_is_no_extra_vote():
    similarity = torch.tensor([[1.0000002, -1.0, -1.0]])
    assert vote(similarity, torch.tensor([[0, 1, 1]]), 2).argmax() == 1


def test_a_vote_tied_in_nearness_too_goes_to_the_lower_label():
    scores = vote(torch.tensor([[0.5, 0.5]]), torch.tensor([[3, 1]]), 4)
    assert scores[0, 3] == scores[0, 1] > scores[0, 0]
    assert scores.argmax() == 1  # the first of equals


def test_equal_rows_tie_by_label_and_then_by_index():
    row = features(1)
    bank = torch.cat([row, -row, row * 3, row, row])
    truth = torch.tensor([2, 0, 1, 2, 0])
    similarity, index = nearest(bank, row, 4, bank_labels=truth)
    assert index.tolist() == [[4, 2, 0, 3]]
    assert similarity.unique().numel() == 1
    assert nearest(bank, row, 3)[1].tolist() == [[0, 2, 3]]


@pytest.mark.parametrize("duplicates", [40, 400])
def test_more_ties_than_candidates(duplicates):
    # A collapsed encoder: far more equally near rows than the fast pass proposes.
    row = features(1, 301)
    bank = torch.cat([features(50, 301, seed=3), row.expand(duplicates, -1)])
    truth = torch.cat([labels(50, 5), torch.arange(duplicates).flip(0)])
    similarity, index = nearest(bank, row.expand(7, -1), 3, bank_labels=truth)
    last = 50 + duplicates - 1
    assert index.tolist() == [[last, last - 1, last - 2]] * 7
    assert torch.allclose(similarity, torch.ones(7, 3))


def test_leave_one_out():
    bank = features(300)
    bank[7] = bank[3]
    _, index = nearest(bank, bank, 5, exclude_self=True)
    assert not (index == torch.arange(300)[:, None]).any()
    assert index[7, 0] == 3 and index[3, 0] == 7
    # The same as the neighbours beyond oneself; a stable order keeps the twin's row in play.
    with_self = nearest(bank, bank, 6)[1]
    for row in range(300):
        expected = [other for other in with_self[row].tolist() if other != row]
        assert index[row].tolist() == expected
    by_label = nearest(bank, bank, 5, exclude_self=True, bank_labels=labels(300, 4))[1]
    assert not (by_label == torch.arange(300)[:, None]).any()
    assert torch.equal(by_label.sort(1).values, index.sort(1).values)


def test_leave_one_out_when_every_row_is_needed():
    bank = torch.ones(30, 3)
    similarity, index = nearest(bank, bank, 29, exclude_self=True)
    assert index[0].tolist() == list(range(1, 30)) and similarity.isfinite().all()
    similarity, index = nearest(bank, bank, 2, exclude_self=True)  # through the float64 pass
    assert index[0].tolist() == [1, 2] and index[1].tolist() == [0, 2]
    assert similarity.isfinite().all()


def test_chunks_change_no_bit():
    bank, queries = features(501, 67), features(83, 67, seed=2)
    bank[100:200] = bank[200:300]  # ties
    whole = nearest(bank, queries, 20, bank_labels=labels(501, 9))
    for chunk in (1, 7, 82, 1000):
        part = nearest(bank, queries, 20, bank_labels=labels(501, 9), chunk=chunk)
        assert torch.equal(whole[0], part[0]) and torch.equal(whole[1], part[1])


def test_small_memory_changes_nothing(monkeypatch):
    bank = features(1, 67).repeat(200, 1)
    whole = nearest(bank, bank[:5], 3)
    monkeypatch.setattr(knn, "CHUNK_BYTES", 1)
    part = nearest(bank, bank[:5], 3)
    assert torch.equal(whole[0], part[0]) and torch.equal(whole[1], part[1])


def test_reduced_precision_of_training_does_not_leak_in():
    # Nearly parallel features: bfloat16 cannot tell the neighbours apart.
    bank, queries = features(800, 256) + 4, features(50, 256, seed=2) + 4
    expected = nearest(bank, queries, 20)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = nearest(bank, queries, 20)
        with knn.full_float32():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


def test_order_of_equal_negative_and_zero_similarities():
    bank = torch.tensor([[-1.0, 0.0], [0.0, -1.0], [0.0, 1.0], [-2.0, -1.0]])
    similarity, index = nearest(bank, torch.tensor([[1.0, 0.0]]), 4)
    assert index.tolist() == [[1, 2, 3, 0]]
    assert similarity[0].tolist() == sorted(similarity[0].tolist(), reverse=True)


def test_zeros_of_either_sign_are_equal():
    similarity, position = torch.tensor([[0.0, -0.0, -1.0]]), torch.tensor([[5, 3, 1]])
    assert knn._first(similarity, position, 3)[1].tolist() == [[3, 5, 1]]


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("1 <= k <= 4", {"k": 5}),
        ("1 <= k <= 3", {"k": 4, "exclude_self": True}),
        ("bank itself", {"k": 1, "exclude_self": True, "queries": torch.ones(2, 2)}),
        ("3 labels for 4 rows", {"k": 1, "bank_labels": torch.zeros(3, dtype=torch.long)}),
        ("at least one query", {"k": 1, "queries": torch.ones(0, 2)}),
        ("NaN", {"k": 1, "queries": torch.full((1, 2), torch.nan)}),
    ],
)
def test_refusals(message, arguments):
    arguments = {"bank": torch.ones(4, 2), "queries": torch.ones(4, 2)} | arguments
    bank, queries, k = (arguments.pop(name) for name in ("bank", "queries", "k"))
    with pytest.raises(ValueError, match=message):
        nearest(bank, queries, k, **arguments)
