"""Each published source, from a server that offers a small archive in the source's true layout."""

import gzip
import hashlib
import importlib
import io
import json
import struct
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from file_server import Fault
from PIL import Image
from test_archives import tar_of, zip_of

from sslpipe.data import fetch as fetching
from sslpipe.data import raw
from sslpipe.data.sources import arrays, mini_imagenet, published, reader
from sslpipe.data.sources.published import evenly
from sslpipe.errors import UserError
from sslpipe.layout import Layout
from sslpipe.params import load
from sslpipe.schema.data import Dataset
from sslpipe.schema.sources import SOURCE_KINDS
from sslpipe.stages import download

PRESET = Path(__file__).parents[2] / "presets/default.yaml"
RNG = np.random.default_rng(0)


class Example(NamedTuple):
    """files: what the origin offers; members: what must come of it, name → bytes or pixels."""

    settings: dict[str, Any]
    files: dict[str, bytes]
    members: dict[str, Any]


def jpeg(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 10), (number % 256, number // 256, 9)).save(file, "JPEG")
    return file.getvalue()


def cub() -> Example:
    names = [
        "001.Black_footed_Albatross/Black_Footed_Albatross_0001_796111.jpg",
        "001.Black_footed_Albatross/Black_Footed_Albatross_0002_55.jpg",
        "200.Common_Yellowthroat/Common_Yellowthroat_0003_190521.jpg",
    ]
    top = "CUB_200_2011"
    files = {
        "attributes.txt": b"1 has_bill_shape::curved_(up_or_down)\n",
        f"{top}/README": b"The Caltech-UCSD Birds-200-2011 Dataset\n",
        **{f"{top}/images/{name}": jpeg(i) for i, name in enumerate(names)},
        f"{top}/images.txt": "".join(f"{i} {n}\n" for i, n in enumerate(names, 1)).encode(),
        f"{top}/train_test_split.txt": b"1 1\n2 0\n3 1\n",
        f"{top}/image_class_labels.txt": b"1 1\n2 1\n3 200\n",
    }
    members = {
        f"{split}/{name}": jpeg(i)
        for i, (split, name) in enumerate(zip(("train", "test", "train"), names, strict=True))
    }
    return Example({}, {"CUB_200_2011.tgz": gzip.compress(tar_of(files))}, members)


def sun() -> Example:
    names = [
        "/a/abbey/sun_aaalbzqrimafwbiv.jpg",
        "/a/apartment_building/outdoor/sun_aagnjbnvnkhpdjsn.jpg",
        "/a/abbey/sun_aaaulhwrhqgejnyt.jpg",
        "/z/zen_garden/sun_abc.jpg",  # in no partition
    ]
    images = {f"SUN397{name}": jpeg(i) for i, name in enumerate(names)}
    archive = tar_of({**images, "SUN397/ClassName.txt": b"/a/abbey\n", "SUN397/README.txt": b"SUN"})
    partitions = zip_of(
        {
            "ClassName.txt": b"/a/abbey\n",
            "Training_01.txt": b"/z/zen_garden/sun_abc.jpg\n",
            "Testing_01.txt": b"/a/abbey/sun_aaalbzqrimafwbiv.jpg\n",
            "Training_03.txt": f"{names[0]}\r\n{names[1]}\r\n".encode(),
            "Testing_03.txt": f"{names[2]}\n".encode(),
        }
    )
    members = {
        "train/abbey/sun_aaalbzqrimafwbiv.jpg": jpeg(0),
        "train/apartment_building_outdoor/sun_aagnjbnvnkhpdjsn.jpg": jpeg(1),
        "test/abbey/sun_aaaulhwrhqgejnyt.jpg": jpeg(2),
    }
    files = {"Partitions.zip": partitions, "SUN397.tar.gz": gzip.compress(archive)}
    return Example({"partition": 3}, files, members)


def inat() -> Example:
    classes = [f"{i:05}_Animalia_Chordata_Aves_X_Y_Z_s{i}" for i in range(4)]
    names = [f"{c}/{i}-{j}.jpg" for i, c in enumerate(classes) for j in range(5)]
    archive = tar_of({f"train_mini/{name}": jpeg(i) for i, name in enumerate(names)})
    # two of each class, by the smallest numbers that name and seed draw
    expected = {}
    for c in classes:
        of_class = [name for name in names if name.startswith(c)]
        of_class.sort(key=lambda n: hashlib.sha256(f"images:7:{n}".encode()).digest()[:6])
        expected |= {f"train/{name}": jpeg(names.index(name)) for name in of_class[:2]}
    settings = {"images": 8, "seed": 7}
    return Example(settings, {"train_mini.tar.gz": gzip.compress(archive)}, expected)


def imagenette() -> Example:
    files = {
        "imagenette2-160/.DS_Store": b"x",
        "imagenette2-160/noisy_imagenette.csv": b"path,noisy_labels_0\n",
        "imagenette2-160/train/n01440764/n01440764_10026.JPEG": jpeg(0),
        "imagenette2-160/train/n03888257/ILSVRC2012_val_00000293.JPEG": jpeg(1),
        "imagenette2-160/train/n03888257/._ILSVRC2012_val_00000293.JPEG": b"resource fork",
        "imagenette2-160/val/n01440764/n01440764_1775.JPEG": jpeg(2),
    }
    members = {
        "train/tench/n01440764_10026.JPEG": jpeg(0),
        "train/parachute/ILSVRC2012_val_00000293.JPEG": jpeg(1),
        "test/tench/n01440764_1775.JPEG": jpeg(2),
    }
    return Example({}, {"imagenette2-160.tgz": gzip.compress(tar_of(files))}, members)


def cifar() -> Example:
    files = {"cifar-10-batches-bin/batches.meta.txt": b"airplane\n"}
    members = {}
    for batch, split, labels in (("data_batch_1", "train", (6, 9)), ("test_batch", "test", (3,))):
        records = b""
        for number, label in enumerate(labels):
            image = RNG.integers(0, 256, (32, 32, 3), np.uint8)
            records += bytes([label]) + image.transpose(2, 0, 1).tobytes()
            name = {6: "frog", 9: "truck", 3: "cat"}[label]
            members[f"{split}/{name}/{batch}_{number:05}.png"] = image
        files[f"cifar-10-batches-bin/{batch}.bin"] = records
    files["cifar-10-batches-bin/readme.html"] = b"<html>"
    return Example({}, {"cifar-10-binary.tar.gz": gzip.compress(tar_of(files))}, members)


def stl(part: str = "labelled") -> Example:
    images = {
        p: RNG.integers(0, 256, (2, 96, 96, 3), np.uint8) for p in ("train", "test", "unlabeled")
    }
    # a channel's columns one after another
    files = {
        f"stl10_binary/{p}_X.bin": values.transpose(0, 3, 2, 1).tobytes()
        for p, values in images.items()
    }
    files["stl10_binary/train_y.bin"], files["stl10_binary/test_y.bin"] = b"\x01\x0a", b"\x08\x04"
    files["stl10_binary/class_names.txt"] = b"airplane\n"
    members = {
        "train/airplane/000000.png": images["train"][0],
        "train/truck/000001.png": images["train"][1],
        "test/monkey/000000.png": images["test"][0],
        "test/cat/000001.png": images["test"][1],
    }
    if part == "unlabelled":
        members = {f"all/_/{i:06}.png": images["unlabeled"][i] for i in range(2)}
    archive = gzip.compress(tar_of(files), compresslevel=1)
    return Example({"part": part}, {"stl10_binary.tar.gz": archive}, members)


def fashion() -> Example:
    files, members = {}, {}
    for prefix, split, labels in (("train", "train", (9, 0, 9)), ("t10k", "test", (5,))):
        images = RNG.integers(0, 256, (len(labels), 28, 28), np.uint8)
        header = struct.pack(">IIII", 0x803, len(labels), 28, 28)
        files[f"{prefix}-images-idx3-ubyte.gz"] = gzip.compress(header + images.tobytes())
        header = struct.pack(">II", 0x801, len(labels))
        files[f"{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(header + bytes(labels))
        for number, label in enumerate(labels):
            name = {9: "ankle_boot", 0: "t_shirt", 5: "sandal"}[label]
            members[f"{split}/{name}/{number:05}.png"] = images[number]
    return Example({}, files, members)


EXAMPLES = {
    "cub200_2011": cub,
    "sun397": sun,
    "inaturalist": inat,
    "imagenette": imagenette,
    "cifar10": cifar,
    "stl10": stl,
    "fashion_mnist": fashion,
}


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(fetching, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(fetching, "TIMEOUT", (1.0, 0.5))


@pytest.fixture
def network(server, monkeypatch):
    """The server, and nothing else: true origins would be asked in earnest."""
    one_answer = fetching._one_answer

    def guarded(url, *arguments):
        if not url.startswith(server.url):
            raise fetching._NextUrl("not reachable from a test")
        one_answer(url, *arguments)

    monkeypatch.setattr(fetching, "_one_answer", guarded)
    return server


def offer(server, example, folder="good"):
    server.files |= {f"/{folder}/{name}": content for name, content in example.files.items()}


def sums(example):
    return {n: f"sha256:{hashlib.sha256(c).hexdigest()}" for n, c in example.files.items()}


def read(settings, root):
    return reader(settings)(settings, root)


def source(kind, example, server, *folders, **settings):
    settings = {
        "mirrors": [f"{server.url}/{folder}" for folder in folders or ("good",)],
        "checksums": sums(example),
        **example.settings,
        **settings,
    }
    return SOURCE_KINDS[kind].model_validate(settings)


def check(members, example):
    found = dict(members)
    assert sorted(found) == sorted(example.members)
    for name, expected in example.members.items():
        if isinstance(expected, bytes):
            assert found[name] == expected, name
        else:
            pixels = np.asarray(Image.open(io.BytesIO(found[name])))
            np.testing.assert_array_equal(pixels, expected, name)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_true_layout(kind, network, tmp_path):
    example = EXAMPLES[kind]()
    offer(network, example)
    check(read(source(kind, example, network), tmp_path), example)
    assert {path for path, _ in network.requests} == set(network.files)


def test_stl10_unlabelled(network, tmp_path):
    example = stl("unlabelled")
    offer(network, example)
    check(
        read(source("stl10", example, network), tmp_path),
        example,
    )


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_bad_network_changes_nothing(kind, network, tmp_path):
    """A mirror without the files; then one that cuts off, fails and dawdles."""
    example = EXAMPLES[kind]()
    offer(network, example)
    for name, content in example.files.items():
        network.faults[f"/good/{name}"] = [
            Fault(cut_after=len(content) // 2),
            Fault(status=500),
            Fault(pause=0.8),
        ]
    check(
        read(source(kind, example, network, "gone", "good"), tmp_path),
        example,
    )
    for name, content in example.files.items():
        asked = [sent for path, sent in network.requests if path == f"/good/{name}"]
        assert asked == ["", *[f"bytes={len(content) // 2}-"] * 3], name


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_sources_own_checksum_refuses_other_files(kind, network, tmp_path):
    example = EXAMPLES[kind]()
    offer(network, example)
    settings = source(kind, example, network, checksums={})
    with pytest.raises(
        UserError, match=r"not the expected file: its checksum is not (md5|sha256):"
    ):
        list(read(settings, tmp_path))


@pytest.mark.parametrize("kind", EXAMPLES)
def test_files_that_lie_in_a_directory_need_no_network(kind, network, tmp_path):
    example = EXAMPLES[kind]()
    for name, content in example.files.items():
        (tmp_path / name).write_bytes(content)
    settings = source(kind, example, network, directory=str(tmp_path))
    check(read(settings, tmp_path), example)
    assert network.requests == []


@pytest.mark.parametrize("kind", EXAMPLES)
def test_hostile_contents_leave_nothing_behind(kind, network, tmp_path):
    """Through the whole stage: no tar, nothing outside, one line that names the data set."""
    example = EXAMPLES[kind]()
    if kind == "fashion_mnist":  # no archives
        hostile = {name: gzip.compress(bytes(80 * 2**20)) for name in example.files}
    else:
        hostile = {
            name: zip_of({"../x.jpg": b"x"}) if name.endswith("zip") else tar_of({"/x.jpg": b"x"})
            for name in example.files
        }
    example = example._replace(files=hostile)
    offer(network, example)
    params = load(PRESET)
    dataset = Dataset(source=source(kind, example, network))
    params = params.model_copy(update={"datasets": {"mine": dataset}})
    with pytest.raises(UserError, match=r"^datasets\.mine: .*(unsafe|bomb|IDX)"):
        download.run(params, Layout(tmp_path), "mine")
    kept = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert {name for name in kept if not name.endswith(".lock")} <= set(example.files)


def test_archives_that_lack_images_are_told(network, tmp_path):
    example = cub()
    lists = {
        "CUB_200_2011/images.txt": b"1 a/1.jpg\n",
        "CUB_200_2011/train_test_split.txt": b"1 1\n",
    }
    example = example._replace(files={"CUB_200_2011.tgz": tar_of(lists)})
    offer(network, example)
    with pytest.raises(UserError, match=r"CUB_200_2011\.tgz: 1 of 1 images are missing"):
        list(published.cub200_2011(source("cub200_2011", example, network), tmp_path))


def stl_with(name, content):
    files = {
        "stl10_binary/train_X.bin": bytes(2 * 3 * 96 * 96),
        "stl10_binary/train_y.bin": b"\x01\x02",
        "stl10_binary/test_X.bin": bytes(3 * 96 * 96),
        "stl10_binary/test_y.bin": b"\x01",
        name: content,
    }
    return {"stl10_binary.tar.gz": tar_of(files)}


def cub_with(name, content):
    files = {
        "CUB_200_2011/images.txt": b"1 a/1.jpg\n",
        "CUB_200_2011/train_test_split.txt": b"1 1\n",
        "CUB_200_2011/images/a/1.jpg": b"x",
        name: content,
    }
    return {"CUB_200_2011.tgz": tar_of(files)}


def fashion_with(name, content):
    return fashion().files | {name: content}


LISTS = ("Training_03.txt", "Testing_03.txt")
DAMAGED = {
    "a list with gaps": ("cub200_2011", cub_with("CUB_200_2011/images.txt", b"1\n")),
    "an image in no split": ("cub200_2011", cub_with("CUB_200_2011/images.txt", b"2 a/1.jpg\n")),
    "a list in latin-1": ("cub200_2011", cub_with("CUB_200_2011/images.txt", b"1 \xe9/1.jpg\n")),
    "a list of another form": (
        "sun397",
        sun().files | {"Partitions.zip": zip_of(dict.fromkeys(LISTS, b"abbey/1.jpg\n"))},
    ),
    "half a compressed tar": (
        "cifar10",
        {n: c[: len(c) // 2] for n, c in cifar().files.items()},
    ),
    "too few labels": ("stl10", stl_with("stl10_binary/train_y.bin", b"\x01")),
    "half an image": ("stl10", stl_with("stl10_binary/train_X.bin", bytes(1000))),
    "half a gzip": (
        "fashion_mnist",
        fashion_with(
            "t10k-images-idx3-ubyte.gz", fashion().files["t10k-images-idx3-ubyte.gz"][:99]
        ),
    ),
    "a page": ("fashion_mnist", fashion_with("t10k-labels-idx1-ubyte.gz", b"<html>")),
    "nothing": ("fashion_mnist", fashion_with("t10k-labels-idx1-ubyte.gz", b"")),
    "fewer labels than images": (
        "fashion_mnist",
        fashion_with("train-labels-idx1-ubyte.gz", struct.pack(">II", 0x801, 1) + b"\x01"),
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_contents_that_are_not_as_expected_are_one_line(network, tmp_path, case):
    kind, files = DAMAGED[case]
    example = EXAMPLES[kind]()._replace(files=files)
    offer(network, example)
    with pytest.raises(UserError, match=r"(not as expected|broken|IDX|ends within)") as caught:
        list(read(source(kind, example, network), tmp_path))
    assert len(str(caught.value).splitlines()) == 1
    assert any(name in str(caught.value) for name in files)


def test_the_schema_knows_the_files(network, tmp_path):
    for kind, make in EXAMPLES.items():
        assert set(make().files) <= set(SOURCE_KINDS[kind].FILES), kind
    assert {file.name for file in published.IMAGENETTE.values()} == set(
        SOURCE_KINDS["imagenette"].FILES
    )


def test_labels_out_of_range_are_told(network, tmp_path):
    example = fashion()
    files = dict(example.files)
    files["t10k-labels-idx1-ubyte.gz"] = gzip.compress(struct.pack(">II", 0x801, 1) + b"\x0a")
    example = example._replace(files=files)
    offer(network, example)
    with pytest.raises(UserError, match="label 10 of 10 classes"):
        list(arrays.fashion_mnist(source("fashion_mnist", example, network), tmp_path))


def test_an_even_choice():
    names = [f"{c}/{i}" for c in range(10) for i in range(50)]
    chosen = evenly(names, 205, 0)
    counts = [sum(name.startswith(f"{c}/") for name in chosen) for c in range(10)]
    assert sorted(counts) == [20] * 5 + [21] * 5
    assert chosen == evenly(names[::-1], 205, 0)
    assert set(evenly(names, 200, 0)) < set(chosen) < set(evenly(names, 300, 0))
    assert len(set(chosen) & set(evenly(names, 205, 1))) < 130  # 84 expected of 205 by chance
    with_few = [name for name in names if not name.startswith("3/")] + ["3/0"]
    assert len(evenly(with_few, 205, 0)) == 205


def test_the_same_source_makes_the_same_tar(network, tmp_path):
    example = inat()
    offer(network, example)
    paths = [tmp_path / "1.tar", tmp_path / "2.tar"]
    for path in paths:
        raw.write(path, published.inaturalist(source("inaturalist", example, network), tmp_path))
    assert paths[0].read_bytes() == paths[1].read_bytes()


# --- Mini-ImageNet --------------------------------------------------------------------------

pyarrow = pytest.importorskip("pyarrow", reason="needs sslpipe[hub]")


def parquet(rows: list[tuple[bytes, int]]) -> bytes:
    """As the hub's library writes it: {bytes, path} and the number of a class, names in the schema."""
    import pyarrow.parquet

    features = {"label": {"names": ["house finch, linnet", "robin"], "_type": "ClassLabel"}}
    table = pyarrow.table(
        {
            "image": [{"bytes": content, "path": None} for content, _ in rows],
            "label": [label for _, label in rows],
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


HUB_FILES = {
    "train-00000-of-00002.parquet": parquet([(jpeg(0), 1), (jpeg(1), 0)]),
    "train-00001-of-00002.parquet": parquet([(jpeg(2), 1)]),
    "validation-00000-of-00001.parquet": parquet([(jpeg(3), 0)]),
    "test-00000-of-00001.parquet": parquet([(jpeg(4), 1)]),
}
HUB_MEMBERS = {
    "train/robin/train-00000-of-00002_00000.jpg": jpeg(0),
    "train/house_finch_linnet/train-00000-of-00002_00001.jpg": jpeg(1),
    "train/robin/train-00001-of-00002_00000.jpg": jpeg(2),
    "val/house_finch_linnet/validation-00000-of-00001_00000.jpg": jpeg(3),
    "test/robin/test-00000-of-00001_00000.jpg": jpeg(4),
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(network, monkeypatch):
    """A server that answers as the hub does."""
    hub = pytest.importorskip("huggingface_hub", reason="needs sslpipe[hub]")
    siblings = [{"rfilename": "README.md", "size": 9, "blobId": "0" * 40}]
    for name, content in HUB_FILES.items():
        lfs = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "pointerSize": 1,
        }
        siblings.append(
            {"rfilename": f"data/{name}", "size": len(content), "blobId": "0" * 40, "lfs": lfs}
        )
        path = f"/datasets/timm/mini-imagenet/resolve/{COMMIT}/data/{name}"
        network.files[path] = content
    answer = {"id": "timm/mini-imagenet", "sha": COMMIT, "siblings": siblings}
    network.files["/api/datasets/timm/mini-imagenet/revision/main?blobs=True"] = json.dumps(
        answer
    ).encode()
    network.files["/api/datasets/timm/mini-imagenet/revision/main?blobs=true"] = json.dumps(
        answer
    ).encode()
    constants = importlib.import_module("huggingface_hub.constants")
    template = network.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    api = hub.HfApi
    monkeypatch.setattr(hub, "HfApi", lambda: api(endpoint=network.url))
    return network


def from_hub(tmp_path, **settings):
    settings = SOURCE_KINDS["mini_imagenet"].model_validate(settings)
    return dict(mini_imagenet.mini_imagenet(settings, tmp_path))


def test_mini_imagenet_of_the_hub(hub, tmp_path):
    assert from_hub(tmp_path) == HUB_MEMBERS


def test_mini_imagenet_over_a_bad_network(hub, tmp_path):
    for path in list(hub.files):
        if path.endswith(".parquet"):
            hub.faults[path] = [Fault(cut_after=100), Fault(500), Fault(pause=0.8)]
    assert from_hub(tmp_path, mirrors=[f"{hub.url}/gone"]) == HUB_MEMBERS


def test_mini_imagenet_checks_the_hubs_sums(hub, tmp_path):
    path = f"/datasets/timm/mini-imagenet/resolve/{COMMIT}/data/test-00000-of-00001.parquet"
    hub.files[path] = hub.files[path][:-1] + b"x"
    with pytest.raises(UserError, match="not the expected file"):
        from_hub(tmp_path)


def test_mini_imagenet_from_a_directory(network, tmp_path):
    for name, content in HUB_FILES.items():
        (tmp_path / name).write_bytes(content)
    assert from_hub(tmp_path, directory=str(tmp_path)) == HUB_MEMBERS
    (tmp_path / "test-00000-of-00001.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="not a readable copy"):
        from_hub(tmp_path, directory=str(tmp_path))


def test_a_hub_that_does_not_answer_is_one_line(network, tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub", reason="needs sslpipe[hub]")
    api = hub.HfApi
    monkeypatch.setattr(hub, "HfApi", lambda: api(endpoint="http://127.0.0.1:9"))
    with pytest.raises(UserError, match="the hub cannot be asked") as caught:
        from_hub(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("package", ["pyarrow.parquet", "huggingface_hub"])
def test_missing_packages_are_named(network, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r"pip install 'sslpipe\[hub\]'"):
        from_hub(tmp_path)


@pytest.fixture
def imagenet(network, tmp_path, monkeypatch):
    """Two classes of five images whose numbers have gaps, and the lists of Ravi and Larochelle."""
    for wnid in ("n01532829", "n01558993", "n99999999"):
        for number in (18, 3, 200, 45, 1001):
            path = tmp_path / f"train/{wnid}/{wnid}_{number}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{wnid} {number}".encode())
    lists = {
        "train.csv": "filename,label\nn0153282900000001.jpg,n01532829\nn0153282900000004.jpg,n01532829\n",
        "val.csv": "filename,label\n",
        "test.csv": "filename,label\nn0155899300000005.jpg,n01558993\nn0155899300000002.jpg,n01558993\n",
    }
    network.files = {f"/lists/{name}": text.encode() for name, text in lists.items()}
    monkeypatch.setattr(mini_imagenet, "CLASSES", 2)
    monkeypatch.setattr(mini_imagenet, "IMAGES_EACH", 2)
    return {"imagenet": str(tmp_path / "train"), "mirrors": [f"{network.url}/lists"]}


def test_mini_imagenet_from_imagenet_and_the_published_lists(imagenet, tmp_path):
    assert from_hub(tmp_path, **imagenet) == {
        "all/n01532829/n01532829_3.JPEG": b"n01532829 3",
        "all/n01532829/n01532829_200.JPEG": b"n01532829 200",
        "all/n01558993/n01558993_18.JPEG": b"n01558993 18",
        "all/n01558993/n01558993_1001.JPEG": b"n01558993 1001",
    }


def test_lists_that_are_a_page_are_not_believed(imagenet, network, tmp_path):
    network.files = dict.fromkeys(network.files, b"<html>Sign in</html>")
    with pytest.raises(UserError, match="are not those of 2 classes of 2 images: delete them"):
        from_hub(tmp_path, **imagenet)


def test_an_imagenet_that_lacks_images_is_told(imagenet, network, tmp_path):
    (tmp_path / "train/n01558993/n01558993_3.JPEG").unlink()
    with pytest.raises(UserError, match=r"n01558993: 4 images, but the lists name its number 5"):
        from_hub(tmp_path, **imagenet)
    with pytest.raises(UserError, match=r"source\.imagenet: .*n01532829: no such folder"):
        from_hub(tmp_path, **{**imagenet, "imagenet": str(tmp_path / "elsewhere")})
