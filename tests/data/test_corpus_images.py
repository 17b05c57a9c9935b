"""A mapped corpus gives what the concatenated tensor would give."""

import numpy as np
import pytest
import torch

from sslpipe.data import corpus_images
from sslpipe.data.corpus_images import CorpusImages


@pytest.fixture(params=[1, 3])
def both(request, tmp_path):
    """A mapped corpus of one or three files with gaps, and the same in memory."""
    rng = np.random.default_rng(0)
    parts, expected = [], []
    for number in range(request.param):
        images = rng.integers(0, 256, (20 + number, 4, 4, 3), np.uint8)
        np.save(tmp_path / f"{number}.npy", images)
        rows = np.sort(rng.permutation(len(images))[:11])
        parts.append((np.load(tmp_path / f"{number}.npy", mmap_mode="c"), rows))
        expected.append(images[rows])
    return CorpusImages(parts), torch.from_numpy(np.concatenate(expected))


def test_any_choice_in_any_order(both):
    mapped, tensor = both
    assert (len(mapped), mapped.shape, mapped.nbytes) == (len(tensor), tensor.shape, tensor.nbytes)
    assert mapped.device == tensor.device
    index = torch.randint(len(tensor), (50,), generator=torch.Generator().manual_seed(0))
    for chosen in (index, index[:1], index[:0], torch.arange(len(tensor))):
        torch.testing.assert_close(
            mapped.index_select(0, chosen), tensor.index_select(0, chosen), rtol=0, atol=0
        )


@pytest.mark.parametrize("piece", [3, 4096])
def test_moved_as_one_tensor(both, monkeypatch, piece):
    monkeypatch.setattr(corpus_images, "PIECE", piece)
    mapped, tensor = both
    moved = mapped.to(torch.device("cpu"))
    assert isinstance(moved, torch.Tensor)
    torch.testing.assert_close(moved, tensor, rtol=0, atol=0)


def test_files_are_mapped_and_stay_so(both):
    mapped, _ = both
    before = mapped.index_select(0, torch.arange(3)).clone()
    mapped.index_select(0, torch.arange(3)).zero_()  # what is given is the caller's own
    torch.testing.assert_close(mapped.index_select(0, torch.arange(3)), before, rtol=0, atol=0)
