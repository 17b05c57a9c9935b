"""Images that ship inside PyPI packages: no network, no account."""

import hashlib
import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from sslpipe.errors import UserError
from sslpipe.schema.sources.bundled import Digits, Elpv, PhotoPatches

PHOTOGRAPHS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "brick": ("skimage", "data/brick.png"),
    "camera": ("skimage", "data/camera.png"),
    "cell": ("skimage", "data/cell.png"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "clock_motion": ("skimage", "data/clock_motion.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "coins": ("skimage", "data/coins.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "grass": ("skimage", "data/grass.png"),
    "gravel": ("skimage", "data/gravel.png"),
    "hubble_deep_field": ("skimage", "data/hubble_deep_field.jpg"),
    "ihc": ("skimage", "data/ihc.png"),
    "moon": ("skimage", "data/moon.png"),
    "motorcycle_left": ("skimage", "data/motorcycle_left.png"),
    "page": ("skimage", "data/page.png"),
    "retina": ("skimage", "data/retina.jpg"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "text": ("skimage", "data/text.png"),
}
"""Class name → package and file: 18 of scikit-image ≥ 0.26, 2 of scikit-learn."""

BANDS = {"train": (0, 0.5), "val": (0.5, 0.65), "public": (0.65, 0.825), "private": (0.825, 1)}
"""Each split's share of a photograph's width."""

LONGER_SIDE = 512
PATCH_SIDE = 48
PATCH_SCALE = (0.7, 1.4)

Members = Iterator[tuple[str, bytes]]


def photo_patches(source: PhotoPatches, root: Path) -> Members:
    """Square patches of 20 photographs; the class is the photograph (as Brodatz's textures).

    Each split has its own vertical band of each photograph. The band is cut from the original
    pixels and scaled alone, so that no two splits share a pixel, not even through the filter.
    """
    counts = {
        "train": source.train_per_class,
        "val": source.val_per_class,
        "public": source.test_per_class,
        "private": source.test_per_class,
    }
    for split in sorted(BANDS):
        for class_name in sorted(PHOTOGRAPHS):
            band = scaled_band(photograph(class_name), split)
            for number in range(counts[split]):
                box = patch_box(f"{split}/{class_name}/{number}", band.size)
                yield f"{split}/{class_name}/{number:04}.png", _png(band.crop(box))


def photograph(class_name: str) -> Image.Image:
    package, file = PHOTOGRAPHS[class_name]
    with Image.open(io.BytesIO(_packaged(package, file))) as image:
        image.load()
    return image


def scaled_band(photo: Image.Image, split: str) -> Image.Image:
    """The split's band of a photograph that is scaled so that its longer side is 512."""
    start, stop = (round(share * photo.width) for share in BANDS[split])
    scale = LONGER_SIDE / max(photo.size)
    size = round((stop - start) * scale), round(photo.height * scale)
    return photo.crop((start, 0, stop, photo.height)).resize(size, Image.Resampling.BICUBIC)


def patch_box(key: str, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A square (left, top, right, bottom) within an image of `size`, drawn by the key alone."""
    width, height = size
    digest = hashlib.sha256(key.encode()).digest()
    of_side, of_x, of_y = (int.from_bytes(digest[i : i + 6], "big") / 2**48 for i in (0, 6, 12))
    low, high = PATCH_SCALE
    side = min(round(PATCH_SIDE * (low + (high - low) * of_side)), width, height)
    left, top = int(of_x * (width - side + 1)), int(of_y * (height - side + 1))
    return left, top, left + side, top + side


def digits(source: Digits, root: Path) -> Members:
    """scikit-learn's digits, 8×8, grey values 0 … 16 spread over 0 … 255."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.rint(data.images * (255 / 16)).astype(np.uint8)
    for label in range(10):
        for number in np.flatnonzero(data.target == label):
            yield f"all/{label}/{number:04}.png", _png(Image.fromarray(pixels[number]))


def elpv(source: Elpv, root: Path) -> Members:
    """Solar cells as the package stores them, 300×300; defective from a probability of 0.5 on."""
    if importlib.util.find_spec("elpv_dataset") is None:
        raise UserError("source 'elpv' needs one more package: pip install 'sslpipe[elpv]'")
    files = {}
    for line in _packaged("elpv_dataset", "data/labels.csv").decode().splitlines():
        file, probability, _ = line.split()
        class_name = "defective" if float(probability) >= 0.5 else "functional"
        files[f"all/{class_name}/{Path(file).name}"] = file
    for member in sorted(files):
        yield member, _packaged("elpv_dataset", f"data/{files[member]}")


def _packaged(package: str, file: str) -> bytes:
    """A file inside an installed package, which is found without being imported."""
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        path = Path(folder) / file
        if path.is_file():
            return path.read_bytes()
    raise UserError(
        f"{file} is not in the installed package {package!r}: install the versions of "
        "constraints.txt, or at least scikit-image 0.26, scikit-learn 1.5, elpv-dataset 1.0"
    )


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()
