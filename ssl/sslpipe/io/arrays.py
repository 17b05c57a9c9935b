"""Files of several arrays (.npz) that know when they were changed.

numpy's own checksums (CRC-32) leave out the directory of such a file, in which a flipped bit can hide
whole arrays.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sslpipe.errors import UserError
from sslpipe.io.files import write_with

SEAL = "sha256"


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], *, compressed: bool = False) -> None:
    save = np.savez_compressed if compressed else np.savez
    values: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    seal: dict[str, Any] = {SEAL: np.array(_digest(values))}
    write_with(path, lambda file: save(file, **values, **seal))


def read_arrays(path: Path, made_by: str | None = None) -> dict[str, np.ndarray]:
    """What `write_arrays` wrote. Raises UserError for anything else, naming the command that makes
    it (`its stage` where that is not known)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        if str(arrays.pop(SEAL)) != _digest(arrays):
            raise ValueError("its checksum does not fit")
    # Whatever zipfile, zlib and numpy raise for damaged input: there is no end to it.
    except Exception as error:
        again = made_by or "its stage"
        raise UserError(f"{path}: damaged ({error}); delete it and run: {again}") from None
    return arrays


def read_array(path: Path, name: str, made_by: str) -> np.ndarray | None:
    """One array of such a file, unchecked, in less time; None if it has none of this name."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return file.get(name)
    except Exception as error:  # as above
        raise UserError(f"{path}: damaged ({error}); delete it and run: {made_by}") from None


def packed_json(content: Any) -> np.ndarray:
    """JSON values as an array, to lie among others."""
    return np.array(json.dumps(content, separators=(",", ":")))


def unpacked_json(array: np.ndarray) -> Any:
    return json.loads(str(array))


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Of names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
