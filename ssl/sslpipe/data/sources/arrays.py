"""Published sets whose images are stored as plain pixels: CIFAR-10, STL-10, Fashion-MNIST.

Addresses and MD5 sums are those of torchvision.datasets, and of the CIFAR-10 page for its binary
version, which unlike the Python version needs no pickle. Images go on as PNG, without loss.
"""

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from sslpipe.data import archives
from sslpipe.data.fetch import RemoteFile, fetch
from sslpipe.errors import UserError
from sslpipe.layout import Layout
from sslpipe.schema.sources.arrays import Cifar10, FashionMnist, Stl10

Members = Iterator[tuple[str, bytes]]

CIFAR = RemoteFile(
    "cifar-10-binary.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    "md5:c32a1d4ab5d03f1284b67883e8d87530",
)
STL = RemoteFile(
    "stl10_binary.tar.gz",
    ("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",),
    "md5:91f7769df0f17e558f3565bffb0c7dfb",
)
FASHION = {
    name: RemoteFile(
        name, (f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}",), md5
    )
    for name, md5 in {
        "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
    }.items()
}

CIFAR_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
STL_CLASSES = (
    "airplane",
    "bird",
    "car",
    "cat",
    "deer",
    "dog",
    "horse",
    "monkey",
    "ship",
    "truck",
)
FASHION_CLASSES = (
    "t_shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle_boot",
)


def cifar10(source: Cifar10, root: Path) -> Members:
    """50,000 train and 10,000 test images: records of a label and 3×32×32 values."""
    archive = fetch(CIFAR, source, Layout(root).downloads())
    for name, file in archives.opened(archive):
        _, _, batch = name.rpartition("/")
        if not batch.endswith(".bin"):
            continue
        split = "test" if batch == "test_batch.bin" else "train"
        for number, record in enumerate(_records(file, 1 + 3 * 32 * 32, archive)):
            pixels = np.frombuffer(record, np.uint8, offset=1).reshape(3, 32, 32)
            class_name = _class(CIFAR_CLASSES, record[0], archive)
            yield (
                f"{split}/{class_name}/{batch.removesuffix('.bin')}_{number:05}.png",
                _png(pixels.transpose(1, 2, 0)),
            )


def stl10(source: Stl10, root: Path) -> Members:
    """5,000 train and 8,000 test images, or the 100,000 unlabelled ones; 3×96×96, columns first."""
    archive = fetch(STL, source, Layout(root).downloads())
    unlabelled = source.part == "unlabelled"
    labels = {}
    if not unlabelled:
        labels = archives.read(
            archive, [f"stl10_binary/{part}_y.bin" for part in ("train", "test")]
        )
    for name, file in archives.opened(archive):
        part = name.removeprefix("stl10_binary/").removesuffix("_X.bin")
        if part not in (("unlabeled",) if unlabelled else ("train", "test")):
            continue
        for number, record in enumerate(_records(file, 3 * 96 * 96, archive)):
            folder = "all/_"
            if not unlabelled:
                with archives.expected(archive):
                    label = labels[f"stl10_binary/{part}_y.bin"][number] - 1  # there from 1 to 10
                folder = f"{part}/{_class(STL_CLASSES, label, archive)}"
            pixels = np.frombuffer(record, np.uint8).reshape(3, 96, 96)
            yield f"{folder}/{number:06}.png", _png(pixels.transpose(2, 1, 0))


def fashion_mnist(source: FashionMnist, root: Path) -> Members:
    """60,000 train and 10,000 test images: gzipped files in MNIST's IDX format."""
    downloads = Layout(root).downloads()
    for split, prefix in (("test", "t10k"), ("train", "train")):
        images = fetch(FASHION[f"{prefix}-images-idx3-ubyte.gz"], source, downloads)
        labels = fetch(FASHION[f"{prefix}-labels-idx1-ubyte.gz"], source, downloads)
        with archives.expected(labels):
            pairs = zip(_idx(images, 3), _idx(labels, 1), strict=True)
            for number, (pixels, label) in enumerate(pairs):
                class_name = _class(FASHION_CLASSES, int(label), labels)
                yield f"{split}/{class_name}/{number:05}.png", _png(pixels)


def _idx(path: Path, dimensions: int) -> np.ndarray:
    """uint8 of so many dimensions, as the header of an IDX file has it."""
    with archives.decompressed(path) as file:
        content = file.read()
    with archives.expected(path):
        magic, *shape = struct.unpack_from(f">{1 + dimensions}I", content)
    if magic != 0x800 + dimensions or len(content) != 4 * (1 + dimensions) + np.prod(shape):
        raise UserError(f"{path}: not an IDX file of bytes with {dimensions} dimensions")
    return np.frombuffer(content, np.uint8, offset=4 * (1 + dimensions)).reshape(shape)


def _records(file: archives.Readable, size: int, archive: Path) -> Iterator[bytes]:
    while record := file.read(size):
        if len(record) < size:
            raise UserError(f"{archive}: ends within an image: not the expected archive")
        yield record


def _class(classes: tuple[str, ...], label: int, archive: Path) -> str:
    if not 0 <= label < len(classes):
        raise UserError(f"{archive}: label {label} of {len(classes)} classes")
    return classes[label]


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG")
    return file.getvalue()
