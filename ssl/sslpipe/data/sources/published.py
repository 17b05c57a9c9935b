"""Published sets of encoded images in one archive: CUB-200-2011, SUN397, iNaturalist, Imagenette.

Addresses and checksums are those of torchvision.datasets, CUB's of CaltechDATA.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from sslpipe.data import archives
from sslpipe.data.fetch import RemoteFile, fetch
from sslpipe.data.splits import share
from sslpipe.errors import UserError
from sslpipe.io.files import need_space
from sslpipe.layout import Layout
from sslpipe.schema.sources.published import Cub200, Imagenette, INaturalist, Sun397

Members = Iterator[tuple[str, bytes]]

CUB = RemoteFile(
    "CUB_200_2011.tgz",
    ("https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",),
    "md5:97eceeb196236b17998738112f37df78",
)
SUN_IMAGES = RemoteFile(
    "SUN397.tar.gz",
    ("http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",),
    "md5:8ca2778205c41d23104230ba66911c7a",
)
SUN_PARTITIONS = RemoteFile(
    "Partitions.zip",
    ("https://vision.princeton.edu/projects/2010/SUN/download/Partitions.zip",),
    "sha256:e3311ea5f812d4cc6faef194688343d1111f6cd6f70f2c62f393c2b8d6ba1ec9",
)
INATURALIST = RemoteFile(
    "train_mini.tar.gz",
    ("https://ml-inat-competition-datasets.s3.amazonaws.com/2021/train_mini.tar.gz",),
    "md5:db6ed8330e634445efc8fec83ae81442",
)
IMAGENETTE = {
    "full": RemoteFile(
        "imagenette2.tgz",
        ("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2.tgz",),
        "md5:fe2fc210e6bb7c5664d602c3cd71e612",
    ),
    "320px": RemoteFile(
        "imagenette2-320.tgz",
        ("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz",),
        "md5:3df6f0d01a2c9592104656642f5e78a3",
    ),
    "160px": RemoteFile(
        "imagenette2-160.tgz",
        ("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",),
        "md5:e793b78cc4c9e9a4ccc0c1155377a412",
    ),
}
IMAGENETTE_CLASSES = {
    "n01440764": "tench",
    "n02102040": "english_springer",
    "n02979186": "cassette_player",
    "n03000684": "chain_saw",
    "n03028079": "church",
    "n03394916": "french_horn",
    "n03417042": "garbage_truck",
    "n03425413": "gas_pump",
    "n03445777": "golf_ball",
    "n03888257": "parachute",
}


def cub200_2011(source: Cub200, root: Path) -> Members:
    """5,994 train and 5,794 test images, by the archive's own train_test_split.txt."""
    archive = fetch(CUB, source, Layout(root).downloads())
    images, split = "CUB_200_2011/images.txt", "CUB_200_2011/train_test_split.txt"
    lists = archives.read(archive, [images, split])
    members = {}
    with archives.expected(archive):
        in_train = dict(line.split() for line in _lines(lists[split]))
        for line in _lines(lists[images]):
            number, name = line.split()
            split_name = "train" if in_train[number] == "1" else "test"
            members[f"CUB_200_2011/images/{name}"] = f"{split_name}/{name}"
    yield from _images(archive, members, root)


def sun397(source: Sun397, root: Path) -> Members:
    """50 train and 50 test images of each class, by one of the ten official partitions."""
    downloads = Layout(root).downloads()
    # The small file first: a mistake shows before the large one is downloaded.
    partitions = fetch(SUN_PARTITIONS, source, downloads)
    lists = {
        "train": f"Training_{source.partition:02}.txt",
        "test": f"Testing_{source.partition:02}.txt",
    }
    texts = archives.read(partitions, list(lists.values()))
    members = {}
    with archives.expected(partitions):
        for split, file in lists.items():
            for line in _lines(texts[file]):  # /a/abbey/sun_x.jpg, /a/apartment_building/outdoor/…
                _, _, first, *rest, image = line.split("/")
                members[f"SUN397{line}"] = f"{split}/{'_'.join([first, *rest])}/{image}"
    yield from _images(fetch(SUN_IMAGES, source, downloads), members, root)


def inaturalist(source: INaturalist, root: Path) -> Members:
    """`images` of train_mini's 500,000, spread evenly over its 10,000 species."""
    archive = fetch(INATURALIST, source, Layout(root).downloads())
    pattern = re.compile(r"train_mini/([^/]+/[^/]+\.jpe?g)", re.IGNORECASE)
    names = [match[1] for name in archives.names(archive) if (match := pattern.fullmatch(name))]
    if len(names) < source.images:
        raise UserError(f"source.images: {source.images}, but there are {len(names)} in {archive}")
    chosen = evenly(names, source.images, source.seed)
    yield from _images(archive, {f"train_mini/{name}": f"train/{name}" for name in chosen}, root)


def evenly(names: list[str], count: int, seed: int) -> list[str]:
    """`count` of the <class>/<file> names, from each class as many as from another, give or take 1.

    Each image has a number that depends on the seed and its name alone, and classes give their
    images in the order of these: the lists of two counts differ only by what the longer one adds.
    """
    by_class: dict[str, list[str]] = {}
    for name in names:
        by_class.setdefault(name.split("/", 1)[0], []).append(name)
    turns: list[tuple[int, float, str]] = []
    for members in by_class.values():
        numbered = sorted((share(name, f"images:{seed}:"), name) for name in members)
        turns.extend((turn, number, name) for turn, (number, name) in enumerate(numbered))
    return sorted(name for _, _, name in sorted(turns)[:count])


def imagenette(source: Imagenette, root: Path) -> Members:
    """9,469 train images; the 3,925 of its val folder are the test set."""
    archive = fetch(IMAGENETTE[source.size], source, Layout(root).downloads())
    pattern = re.compile(r"[^/]+/(train|val)/(n\d+)/([^/._][^/]*\.JPEG)")
    members = {}
    for name in archives.names(archive):
        if (match := pattern.fullmatch(name)) and match[2] in IMAGENETTE_CLASSES:
            split = "train" if match[1] == "train" else "test"
            members[name] = f"{split}/{IMAGENETTE_CLASSES[match[2]]}/{match[3]}"
    yield from _images(archive, members, root)


def _images(archive: Path, members: dict[str, str], root: Path) -> Members:
    """The named images of an archive. Raises UserError when one of them is missing."""
    raw = Layout(root).raw("").parent
    raw.mkdir(parents=True, exist_ok=True)
    need_space(raw, archive.stat().st_size, f"a copy of the images of {archive.name}")
    found = 0
    for member, content in archives.contents(archive, members.get):
        found += 1
        yield member, content
    if found < len(members):
        raise UserError(f"{archive}: {len(members) - found} of {len(members)} images are missing")


def _lines(text: bytes) -> list[str]:
    return [line.strip() for line in text.decode().splitlines() if line.strip()]
