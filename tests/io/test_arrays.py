"""Several arrays in a file that knows when it was changed."""

import random

import numpy as np
import pytest

from sslpipe.errors import UserError
from sslpipe.io.arrays import read_arrays, write_arrays

ARRAYS = {
    "features": np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32),
    "classes": np.array(["ant", "bee"]),
    "empty": np.zeros((0, 3)),
}


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_written_is_read(tmp_path, compressed):
    write_arrays(tmp_path / "x.npz", ARRAYS, compressed=compressed)
    read = read_arrays(tmp_path / "x.npz")
    assert read.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype and np.array_equal(read[name], array)
    with np.load(tmp_path / "x.npz") as file:  # anybody can
        assert np.array_equal(file["features"], ARRAYS["features"])


@pytest.mark.parametrize("compressed", [False, True])
def test_any_flipped_bit_is_noticed_or_has_no_effect(tmp_path, compressed):
    path = tmp_path / "x.npz"
    write_arrays(path, ARRAYS, compressed=compressed)
    content = path.read_bytes()
    noticed = 0
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << random.Random(place).randrange(8)
        path.write_bytes(changed)
        try:
            read = read_arrays(path, "sslpipe embed x y")
        except UserError as error:
            noticed += 1
            assert str(error).startswith(f"{path}: damaged (")
            assert str(error).endswith("; delete it and run: sslpipe embed x y")
        else:
            assert read.keys() == ARRAYS.keys()
            assert all(np.array_equal(read[name], ARRAYS[name]) for name in ARRAYS)
    assert noticed > len(content) / 2


def test_cut_off_anywhere(tmp_path):
    path = tmp_path / "x.npz"
    write_arrays(path, ARRAYS)
    content = path.read_bytes()
    for end in range(0, len(content), 13):
        path.write_bytes(content[:end])
        with pytest.raises(UserError, match="damaged"):
            read_arrays(path)
