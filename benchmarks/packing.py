"""JPEG files to packed images of 96 pixels, on one core."""

import io
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import functional as F

from sslpipe.data.decode import How, decode, read

from .pictures import jpeg, pictures
from .table import Row, compared
from .timing import median_rates, one_thread

PACKAGES = ("torch", "torchvision", "pillow")
COUNT, SIDE = 100, 96
SOURCES = (256, 500)  # pixels: a small photograph, and a usual one of a data set


def run(device: torch.device, threads: int) -> Iterator[list[Row]]:
    for source in SOURCES:
        yield packing([jpeg(image) for image in pictures(COUNT, source)], source)


def packing(files: list[bytes], source: int) -> list[Row]:
    subjects = {
        "sslpipe": lambda: [by_sslpipe(file) for file in files],
        # What the index needs besides: sha256 of file and pixels, perceptual hash.
        "sslpipe, with hashes": lambda: [decode(file, How(SIDE, "squash")) for file in files],
        "PIL": lambda: [by_pil(file) for file in files],
        "torchvision": lambda: [by_torchvision(file) for file in files],
    }
    with one_thread():
        rates = median_rates(subjects, COUNT, torch.device("cpu"), rounds=15)
    return compared(f"JPEG {source} px to {SIDE} px, 1 thread", rates, "images/s", "PIL")


def by_sslpipe(file: bytes) -> np.ndarray:
    image, resize = read(file, How(SIDE, "squash"))
    return resize(image, SIDE)


def by_pil(file: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(file)).convert("RGB")
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def by_torchvision(file: bytes) -> torch.Tensor:
    encoded = torch.frombuffer(bytearray(file), dtype=torch.uint8)
    image = decode_jpeg(encoded, mode=ImageReadMode.RGB)
    return F.resize(image, [SIDE, SIDE], antialias=True).permute(1, 2, 0).contiguous()
