"""Fine-tuning on tiny data, against arithmetic by hand and what it must and must not look at."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from made_of import stamp
from packed_sets import write_packed
from sslpipe.data.index import Entry, Index
from sslpipe.errors import UserError
from sslpipe.evaluation import finetune as module
from sslpipe.evaluation.finetune import Classifier, batches_of, finetune, fit, learning_rate
from sslpipe.io.files import read_json
from sslpipe.layout import Layout
from sslpipe.networks.backbones import build_backbone
from sslpipe.networks.encoder_file import save_encoder
from sslpipe.optim.schedules import warmup_cosine
from sslpipe.params import check, resolve
from sslpipe.schema.evaluation import Finetune
from sslpipe.stages import embed
from sslpipe.stages import finetune as stage

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
SPLITS = ("train", "val", "public", "private")
SETTINGS = Finetune(runs=[], epochs=3, batch_size=8, lr=[1e-3, 1e-2], weight_decay=0.05)


class Colour(nn.Module):
    """The mean colour: an encoder without weights."""

    width = 3

    def forward(self, images):
        return images.mean(dim=(2, 3))


class Small(nn.Sequential):
    width = 8

    def __init__(self, seed=0):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            super().__init__(
                nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            )  # fmt: skip


def entry(row, split, label):
    sha = f"{row:064x}"
    return Entry(row, split, label, f"class_{label}", f"{row}.png", sha, sha, 16, 16, "", "")


def index_of(counts, classes):
    """An index with so many images of each split, classes in turn."""
    splits = [split for split, count in zip(SPLITS, counts, strict=True) for _ in range(count)]
    return Index(tuple(entry(i, split, i % classes) for i, split in enumerate(splits)), ())


def stripes(index, seed=0):
    """Class 0 has horizontal stripes, class 1 vertical ones: the mean colour tells nothing."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 100, (len(index), 16, 16, 3), dtype=np.uint8)
    images[index.all_labels == 0, ::2] += 120
    images[index.all_labels == 1, :, ::2] += 120
    return images


def plain(colours):
    """Images of one colour, of which every crop is the same."""
    return np.broadcast_to(colours[:, None, None, :], (len(colours), 16, 16, 3)).copy()


def tune(images, index, settings=SETTINGS, encoder=None, seed=0):
    return finetune(
        encoder or Small(), images, index, settings, seed=seed, device=CPU, autocast=None, what="x"
    )


# --- training ---------------------------------------------------------------------------------


def test_learns_what_a_frozen_colour_cannot():
    index = index_of((64, 16, 16, 16), 2)
    settings = SETTINGS.model_copy(update={"epochs": 12, "lr": [1e-2]})
    scores = tune(stripes(index), index, settings).scores
    assert scores["finetune_val_top1"] == scores["finetune_top1"] == 1.0
    blind = tune(stripes(index), index, settings, Colour()).scores
    assert blind["finetune_top1"] < 0.8


def test_a_head_without_encoder_is_adamw_by_hand():
    """Softmax regression on colours, one batch an epoch: AdamW written out in float64."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [7, 3, 2])  # else the first gradient of the bias is but rounding
    colours = random.integers(0, 256, (12, 3)).astype(np.uint8)
    epochs, peak, decay = 20, 0.05, 0.3
    settings = SETTINGS.model_copy(
        update={"epochs": epochs, "batch_size": 12, "weight_decay": decay}
    )
    network = Classifier(Colour(), 3)
    fit(network, plain(colours), labels, peak, settings, seed=0, autocast=None, what="x")

    x = (colours / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    weights = [np.zeros((3, 3)), np.zeros(3)]
    moments = [[np.zeros_like(w), np.zeros_like(w)] for w in weights]
    lrs = warmup_cosine(peak, epochs, 2)
    for step in range(epochs):
        logits = x @ weights[0].T + weights[1]
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        p[np.arange(12), labels] -= 1
        for i, gradient in enumerate((p.T @ x / 12, p.mean(0))):
            if i == 0:
                weights[i] *= 1 - lrs[step] * decay  # decoupled, and not of the bias
            moments[i][0] = 0.9 * moments[i][0] + 0.1 * gradient
            moments[i][1] = 0.999 * moments[i][1] + 0.001 * gradient**2
            m = moments[i][0] / (1 - 0.9 ** (step + 1))
            v = moments[i][1] / (1 - 0.999 ** (step + 1))
            weights[i] -= lrs[step] * m / (np.sqrt(v) + 1e-8)
    np.testing.assert_allclose(network.head.weight.detach(), weights[0], atol=1e-6)
    np.testing.assert_allclose(network.head.bias.detach(), weights[1], atol=1e-6)


def test_a_warm_start_beats_a_cold_one():
    """Tuned for long, then one epoch on other images of the same kind."""
    index = index_of((64, 16, 40, 40), 2)
    long = SETTINGS.model_copy(update={"epochs": 12, "lr": [1e-2]})
    network = Classifier(Small(), 2)
    train = index.split_slice("train")
    fit(network, stripes(index, 1)[train], index.labels("train"), 1e-2, long, seed=0,
        autocast=None, what="x")  # fmt: skip
    short = SETTINGS.model_copy(update={"epochs": 1, "lr": [1e-3]})
    warm = tune(stripes(index), index, short, network.encoder)
    cold = tune(stripes(index), index, short, Small())
    assert warm.scores["finetune_top1"] == 1.0
    assert cold.scores["finetune_top1"] < 0.8


def test_the_whole_network_is_trained_and_the_given_encoder_left_alone():
    index = index_of((16, 4, 4, 4), 2)
    encoder, network = Small(), Classifier(Small(), 2)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    fit(network, stripes(index)[:16], index.labels("train"), 1e-3, SETTINGS, seed=0,
        autocast=None, what="x")  # fmt: skip
    for name, value in network.encoder.state_dict().items():
        assert not torch.equal(value, before[name]), name  # running statistics too
    tune(stripes(index), index, encoder=encoder)
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name])


def test_learning_rate_is_that_of_pretraining():
    for steps in (1, 4, 37, 200):
        expected = warmup_cosine(0.3, steps, round(0.1 * steps))
        found = [learning_rate(0.3, step, steps) for step in range(steps)]
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(
    ("images", "size", "batches"), [(3, 2, 1), (5, 2, 2), (10, 4, 3), (8, 4, 2), (2, 256, 1)]
)
def test_no_batch_is_of_one_image(images, size, batches):
    assert batches_of(images, size) == batches
    parts = list(module._batches(images, batches, 1, 0))
    assert min(len(rows) for _, rows in parts) >= 2
    assert sorted(torch.cat([rows for _, rows in parts]).tolist()) == list(range(images))


def test_views_of_an_image_do_not_depend_on_its_batch(monkeypatch):
    """And are crops that only flip: no colour is changed."""
    index = index_of((16, 2, 2, 2), 2)
    colours = np.random.default_rng(0).integers(0, 256, (16, 3)).astype(np.uint8)
    images = plain(colours)
    images[:, 4] = np.arange(0, 32, 2, dtype=np.uint8)[:, None, None]
    seen = []

    def recorded(size):
        views, real = {}, module.one_view

        def one_view(render, batch, keys, policy):
            made = real(render, batch, keys, policy)
            for key, view in zip(keys.tolist(), made, strict=True):
                views[key] = view
            return made

        monkeypatch.setattr(module, "one_view", one_view)
        settings = SETTINGS.model_copy(update={"batch_size": size})
        fit(Classifier(Small(), 2), images, index.labels("train"), 1e-3, settings, seed=0,
            autocast=None, what="x")  # fmt: skip
        monkeypatch.setattr(module, "one_view", real)
        seen.append(views)

    recorded(4)
    recorded(16)
    assert len(seen[0]) == 3 * 16  # another view in each epoch
    assert seen[0].keys() == seen[1].keys()
    for key, view in seen[0].items():
        assert torch.equal(view, seen[1][key])
    for view in seen[0].values():
        spots = (255 * view[:, -1, 0]).round()
        assert (torch.from_numpy(colours) == spots).all(dim=1).any()


# --- choice and scores ------------------------------------------------------------------------


def test_test_images_are_met_once_by_the_chosen_network_alone(monkeypatch):
    index = index_of((16, 8, 6, 4), 2)
    images = stripes(index)
    order, real_extract, real_fit = [], module.extract, module.fit

    def record_fit(network, *arguments, **options):
        order.append(("fit", arguments[2]))
        network.lr = arguments[2]
        networks[network.encoder] = arguments[2]
        return real_fit(network, *arguments, **options)

    def record_extract(encoder, some, **options):
        order.append((networks[encoder], len(some)))
        return real_extract(encoder, some, **options)

    networks = {}
    monkeypatch.setattr(module, "fit", record_fit)
    monkeypatch.setattr(module, "extract", record_extract)
    best = tune(images, index).scores["finetune_best_lr"]
    assert order == [("fit", 1e-3), (1e-3, 8), ("fit", 1e-2), (1e-2, 8), (best, 10)]


def test_test_images_do_not_matter_to_the_choice():
    index = index_of((16, 8, 8, 8), 2)
    images = stripes(index)
    found = tune(images, index)
    other = images.copy()
    other[index.split_slice("public").start :] = 7
    flipped = [e._replace(label=1 - e.label) if e.split[0] == "p" else e for e in index.entries]
    changed = tune(other, Index(tuple(flipped), ()))
    for key in ("finetune_val_top1", "finetune_best_lr"):
        assert found.scores[key] == changed.scores[key]
    assert found.scores["finetune_top1"] != changed.scores["finetune_top1"]


@pytest.mark.parametrize(("grid", "edge"), [([1e-3], False), ([1e-4, 1e-3], True)])
def test_the_best_learning_rate_on_val_is_chosen(grid, edge, monkeypatch):
    """By scores that say what val is to say; of equals the smallest."""
    index = index_of((16, 8, 8, 8), 2)
    good = 1e-3

    def class_scores(network, images, device):
        labels = torch.arange(len(images)) % 2
        right = torch.nn.functional.one_hot(labels, 2).float()
        return right if networks[network] >= good else 1 - right

    networks = {}
    monkeypatch.setattr(module, "fit", lambda n, i, la, lr, *a, **k: networks.update({n: lr}))
    monkeypatch.setattr(module, "class_scores", class_scores)
    settings = SETTINGS.model_copy(update={"lr": grid})
    scores = tune(stripes(index), index, settings).scores
    assert (scores["finetune_best_lr"], scores["finetune_best_on_edge"]) == (good, edge)
    settings = SETTINGS.model_copy(update={"lr": [1e-1, 1e-2, 1e-4]})
    scores = tune(stripes(index), index, settings).scores
    assert (scores["finetune_best_lr"], scores["finetune_best_on_edge"]) == (1e-2, False)


def test_scores_are_those_of_the_answers():
    index = index_of((16, 8, 9, 5), 3)
    found = tune(stripes(index), index)
    label, answer, private = (found.predictions[k] for k in ("label", "finetune", "private"))
    assert (label.dtype, answer.dtype, private.dtype) == (np.int32, np.int32, bool)
    assert label.tolist() == index.all_labels[24:].tolist()
    assert private.tolist() == [False] * 9 + [True] * 5
    right = label == answer
    assert found.scores["finetune_top1"] == pytest.approx(right.mean())
    assert found.scores["finetune_public_top1"] == pytest.approx(right[~private].mean())
    assert found.scores["finetune_private_top1"] == pytest.approx(right[private].mean())


def test_a_diverged_network_answers_nothing():
    index = index_of((16, 8, 8, 8), 2)
    settings = SETTINGS.model_copy(update={"lr": [1e30, 1e-3]})
    assert tune(stripes(index), index, settings).scores["finetune_best_lr"] == 1e-3
    settings = SETTINGS.model_copy(update={"lr": [1e30]})
    found = tune(stripes(index), index, settings)
    assert found.scores["finetune_top1"] == 0 and set(found.predictions["finetune"]) == {-1}


def test_same_seed_same_answers():
    index = index_of((32, 8, 8, 8), 2)
    once, again = (tune(stripes(index), index, seed=3) for _ in range(2))
    for key, value in once.predictions.items():
        assert value.tobytes() == again.predictions[key].tobytes()
    networks = []
    for seed in (0, 0, 1):
        network = Classifier(Small(), 2)
        fit(network, stripes(index)[:32], index.labels("train"), 1e-3, SETTINGS, seed=seed,
            autocast=None, what="x")  # fmt: skip
        networks.append(network.head.weight)
    assert torch.equal(networks[0], networks[1]) and not torch.equal(networks[0], networks[2])
    orders = [list(module._batches(32, 1, 2, seed)) for seed in (0, 1)]
    (_, one), (_, next_epoch) = orders[0]
    assert not torch.equal(one, next_epoch) and not torch.equal(one, orders[1][0][1])


def test_bf16_trains_the_encoder_and_leaves_the_head_in_fp32():
    index = index_of((32, 8, 8, 8), 2)
    network = Classifier(Small(), 2)
    fit(network, stripes(index)[:32], index.labels("train"), 1e-2, SETTINGS, seed=0,
        autocast=torch.bfloat16, what="x")  # fmt: skip
    exact = Classifier(Small(), 2)
    fit(exact, stripes(index)[:32], index.labels("train"), 1e-2, SETTINGS, seed=0,
        autocast=None, what="x")  # fmt: skip
    assert network.head.weight.dtype == torch.float32
    assert not torch.equal(network.head.weight, exact.head.weight)
    assert torch.allclose(network.head.weight, exact.head.weight, atol=0.05)


def test_a_single_image_and_a_full_memory_are_one_line(monkeypatch):
    index = index_of((1, 2, 2, 2), 2)
    with pytest.raises(UserError, match=r"x, lr 0\.001: a single train image"):
        tune(stripes(index), index)

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    index = index_of((8, 2, 2, 2), 2)
    monkeypatch.setattr(module, "one_view", full)
    with pytest.raises(UserError, match=r"no memory for a batch: make finetune.batch_size \(8\)"):
        tune(stripes(index), index)


# --- the stage --------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An untrained ResNet-18 and a packed set."""
    monkeypatch.setenv("SSLPIPE_DEVICES", "")
    content = yaml.safe_load((ROOT / "presets/default.yaml").read_text())
    content |= {
        "image_size": 16,
        "finetune": {"runs": ["random_resnet18"], "epochs": 2, "batch_size": 8, "lr": [1e-3]},
    }
    content["pretrain"]["stem"] = "small"
    params, layout = check(content), Layout(tmp_path)
    index = index_of((16, 4, 6, 4), 2)
    write_packed(layout, "digits", index.entries, stripes(index))
    torch.manual_seed(0)
    encoder = build_backbone("resnet18", stem="small")
    run = resolve(params, "random_resnet18")
    save_encoder(layout.encoder("random_resnet18"), encoder, run, {})
    stamp(params, layout)
    return SimpleNamespace(params=params, layout=layout, index=index)


def test_the_stage_writes_the_same_bytes_twice(project):
    written = []
    for _ in range(2):
        stage.run(project.params, project.layout, "random_resnet18", "digits")
        path = project.layout.finetune_predictions("random_resnet18", "digits")
        scores = read_json(project.layout.finetune_metrics("random_resnet18", "digits"))
        assert scores.pop("finetune_seconds") > 0
        written.append((path.read_bytes(), scores))
    assert written[0] == written[1]
    assert list(written[0][1]) == [
        "finetune_top1", "finetune_public_top1", "finetune_private_top1", "finetune_val_top1",
        "finetune_best_lr", "finetune_best_on_edge", "finetune_epochs",
    ]  # fmt: skip
    with np.load(path) as arrays:
        expected = {"label", "private", "finetune", "scores_sha256", "made_of", "sha256"}
        assert set(arrays) == expected
        assert arrays["label"].tolist() == project.index.all_labels[20:].tolist()


@pytest.mark.parametrize(
    ("run", "dataset", "said"),
    [
        ("raw_pixels", "digits", "raw_pixels: raw pixels have no encoder that could be fine-tuned"),
        ("moco_resnet18", "digits", "finetune.runs in params.yaml does not name this run; it names: random"),
        ("random_resnet18", "zoo", "zoo: not scored; leaderboard in params.yaml names: photo_patches, dig"),
        ("random_resnet18", "photo_patches", "sslpipe subset photo_patches"),
        ("nothing", "digits", "no run named 'nothing'"),
    ],
)  # fmt: skip
def test_what_the_stage_refuses_is_one_line(run, dataset, said, project):
    with pytest.raises(UserError) as caught:
        stage.run(project.params, project.layout, run, dataset)
    (line,) = str(caught.value).splitlines()
    assert said in line


@pytest.mark.parametrize("some", [stage, embed])
def test_images_of_another_side_are_refused(some, project):
    """Whatever is not as params.yaml has it now counts as missing: the set first, then the encoder."""
    larger = project.params.model_copy(update={"image_size": 24})
    with pytest.raises(
        UserError, match=r"made with other settings \(image_size\); run: sslpipe subset "
    ):
        some.run(larger, project.layout, "random_resnet18", "digits")
    # a set and a corpus that were made again
    write_packed(
        project.layout, "digits", project.index.entries, np.zeros((30, 24, 24, 3), np.uint8)
    )
    report = project.layout.pretrain_report("random_resnet18")
    before = report.read_bytes()
    stamp(larger, project.layout)
    report.write_bytes(before)
    with pytest.raises(
        UserError, match=r"encoder.*made with other .*run: sslpipe pretrain random_resnet18"
    ):
        some.run(larger, project.layout, "random_resnet18", "digits")
    # an encoder of other images that says it is the one
    stamp(larger, project.layout)
    with pytest.raises(
        UserError, match="trained on images of 16 px, but digits is packed with 24 px"
    ):
        some.run(larger, project.layout, "random_resnet18", "digits")
