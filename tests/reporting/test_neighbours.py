"""sslpipe neighbours: the images that the files name, framed by class."""

import io

import numpy as np
import pytest
from PIL import Image
from synthetic import content, read, rewrite, write_reports

from made_of import stamp
from packed_sets import write_packed
from sslpipe.data.index import Entry
from sslpipe.errors import UserError
from sslpipe.reporting.neighbours import BETWEEN, FRAME, GAP, LABEL, MARGIN, TILE, Strips, draw
from sslpipe.stages import neighbours as stage

RUNS = {
    "simclr": {"method": "simclr"},
    "moco": {"method": "moco"},
    "moco_seed1": {"method": "moco", "seed": 1},
    "untrained": {"method": "random"},
    "raw_pixels": {"method": "random", "backbone": "pixels"},
}
SIDE = 16
STEP = TILE + 2 * FRAME + GAP
LEFT = MARGIN + LABEL + GAP
GREEN, RED = (2, 158, 115), (213, 94, 0)


def colour(row):
    """Another one for each row."""
    return (row % 256, 60 + row // 256, 255)


def packed(count):
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    images[:] = np.array([colour(row) for row in range(count)])[:, None, None]
    return images


@pytest.fixture
def made(tmp_path):
    params, layout = write_reports(tmp_path, content(RUNS, neighbour_strips=["zoo"]), images=60)
    entries = []
    for row in range(2010):
        digest, label = f"{row:064x}", row % 6
        split = "train" if row < 2000 else "public"
        entries.append(
            Entry(row, split, label, f"class_{label}", f"{row}", digest, digest, 9, 9, "0" * 16, "")
        )
    write_packed(layout, "zoo", entries, packed(2010))
    for run, validation in (("simclr", 0.5), ("moco", 0.7), ("moco_seed1", 0.8)):
        path = layout.metrics(run, "zoo")
        rewrite(path, read(path) | {"probe_val_top1": validation})
    stamp(params, layout)
    return params, layout


def picture(made):
    stage.run(*made, "zoo")
    content_ = made[1].figure("neighbours_zoo", "png").read_bytes()
    return np.asarray(Image.open(io.BytesIO(content_))), content_


def strip(pixels, top):
    """Of one line of the picture: the query's colour, and (colour, frame) of each neighbour."""
    middle = top + FRAME + TILE // 2
    query = tuple(pixels[middle, LEFT + FRAME + TILE // 2].tolist())
    found = []
    x = LEFT + GAP + STEP
    while x + STEP <= pixels.shape[1]:
        inside = tuple(pixels[middle, x + FRAME + TILE // 2].tolist())
        found.append((inside, tuple(pixels[top + 1, x + 1].tolist())))
        x += STEP
    return query, found


def test_the_images_of_the_best_setting_and_of_the_untrained_encoder(made):
    pixels, _ = picture(made)
    top = MARGIN
    trained = read(made[1].features("moco", "zoo"))["neighbours"]
    untrained = read(made[1].features("untrained", "zoo"))["neighbours"]
    for one, other in zip(trained, untrained, strict=True):
        assert one["row"] == other["row"]
        for line, neighbours in enumerate((one, other)):
            query, found = strip(pixels, top)
            assert query == (colour(one["row"]) if line == 0 else (255, 255, 255))
            assert found == [
                (colour(row), GREEN if label == one["label"] else RED)
                for row, label in zip(
                    neighbours["nearest"], neighbours["nearest_label"], strict=True
                )
            ]
            top += STEP
        top += BETWEEN
    assert top - BETWEEN + MARGIN == pixels.shape[0]


def test_the_same_bytes_again(made):
    assert picture(made)[1] == picture(made)[1]


def test_the_mark_does_not_rely_on_colour():
    """Without its colours a right neighbour still looks unlike a wrong one."""
    nearest = {"row": 2, "label": 0, "nearest": [1], "similarity": [0.9]}
    pictures = [
        np.asarray(
            draw(packed(3), ["a", "b"], [Strips("moco", [nearest | {"nearest_label": [n]}])])
        )
        for n in (0, 1)
    ]
    white = [
        (p == 255).all(axis=2)[:, LEFT + GAP + STEP : LEFT + GAP + STEP + 72] for p in pictures
    ]
    assert (white[0] != white[1]).sum() > 10


def test_small_images_are_enlarged_without_blur():
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    nearest = {"row": 2, "label": 0, "nearest": [1], "nearest_label": [1]}
    pixels = np.asarray(draw(images, ["a", "b"], [Strips("moco", [nearest])]))
    tile = pixels[MARGIN + FRAME :, LEFT + FRAME :][:TILE, :TILE]
    assert (tile == np.kron(images[2], np.ones((4, 4, 1), np.uint8))).all()


def test_an_encoder_with_other_queries_shows_those_that_they_share():
    strips = [{"row": row, "label": 0, "nearest": [0], "nearest_label": [0]} for row in (1, 2, 3)]
    both = draw(packed(4), ["a"], [Strips("moco", strips[:2]), Strips("untrained", strips[1:])])
    assert both.height == 2 * MARGIN + 3 * STEP + BETWEEN


def test_without_an_untrained_encoder_or_any(made):
    params, layout = made
    both = picture(made)[0].shape[0]
    layout.pretrain_report("untrained").unlink()
    alone = picture(made)[0].shape[0]
    assert both - alone == 6 * STEP  # raw pixels are no encoder
    for run in RUNS:
        layout.pretrain_report(run).unlink(missing_ok=True)
    assert picture(made)[0].shape[0] < STEP
    assert params.neighbour_strips == ["zoo"]


def test_sets_that_are_not_named_are_refused(made):
    with pytest.raises(UserError, match=r"^sun: neighbour_strips in params.yaml does not name"):
        stage.run(*made, "sun")
    with pytest.raises(UserError, match="no data set named 'nope'"):
        stage.run(*made, "nope")


def test_features_of_another_packing_are_one_line(made):
    path = made[1].features("moco", "zoo")
    features = read(path)
    features["neighbours"][0]["nearest"][0] = 2010
    rewrite(path, features)
    with pytest.raises(UserError, match=r"moco: .* another packing .* 2010 images"):
        stage.run(*made, "zoo")


def test_missing_images_name_the_command(made):
    made[1].packed_images("zoo").unlink()
    with pytest.raises(UserError, match="sslpipe subset zoo"):
        stage.run(*made, "zoo")
