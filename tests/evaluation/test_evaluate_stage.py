"""evaluate: what cannot be scored is one line, not a traceback."""

from pathlib import Path

import numpy as np
import pytest

from made_of import stamp
from sslpipe.errors import UserError
from sslpipe.io.arrays import read_arrays, unpacked_json, write_arrays
from sslpipe.io.files import read_sealed, write_sealed
from sslpipe.layout import Layout
from sslpipe.params import load
from sslpipe.provenance.record import Artefact
from sslpipe.provenance.whose import KEY, Whose
from sslpipe.stages import evaluate

RUN, DATASET = CELL = "simclr_resnet18", "digits"


@pytest.fixture
def project(tmp_path):
    """(params, layout) of the default preset, with a trained run."""
    params = load(Path(__file__).parents[2] / "presets/default.yaml")
    layout = Layout(tmp_path)
    write_sealed(layout.pretrain_report(RUN), {"trained": True})
    return params, layout


def write_embedding(project, splits, label):
    arrays = {
        "features": np.random.default_rng(0).normal(size=(len(splits), 4)).astype(np.float32),
        "label": label, "split": np.array(splits),
        "views": np.ones((2, 3, 4), np.float32), "classes": np.array(["a", "b"]),
    }  # fmt: skip
    path = project[1].embedding(*CELL)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(path, arrays)
    stamp(*project)


def refused(project):
    """The line that `evaluate` says instead of a score."""
    params, layout = project
    with pytest.raises(UserError) as caught:
        evaluate.run(params, layout, *CELL)
    assert not layout.metrics(*CELL).exists()
    (line,) = str(caught.value).splitlines()
    return line.replace(f"{layout.root}/", "")


def test_what_the_protocol_refuses_is_one_line(project):
    where = f"reports/metrics/{DATASET}/{RUN}.json: evaluate {RUN} {DATASET}: "
    for splits, said in (
        (["train", "val", "public", "elsewhere"] * 3, "unknown split 'elsewhere'"),
        (["train", "val", "public"] * 3, "no images in split private"),
    ):
        write_embedding(project, splits, np.arange(len(splits)) % 2)
        assert refused(project).startswith(f"{where}{said}")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"no archive"])
def test_a_damaged_embedding_is_one_line(project, content):
    stamp(*project)
    path = project[1].embedding(*CELL)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    line = refused(project)
    assert line.startswith(f"data/embeddings/{RUN}/{DATASET}.npz: damaged (")
    assert line.endswith(f"delete it and run: sslpipe embed {RUN} {DATASET}")


def test_fewer_examples_than_neighbours_are_said(project, capsys):
    write_embedding(project, ["train", "val", "public", "private"] * 6, np.arange(24) // 4 % 2)
    evaluate.run(*project, *CELL)
    said = capsys.readouterr().err
    assert "simclr_resnet18 on digits: all 6 examples vote, as evaluate.knn.k is 20" in said


def test_scores_say_what_they_were_made_of(project):
    params, layout = project
    write_embedding(project, ["train", "val", "public", "private"] * 6, np.arange(24) // 4 % 2)
    evaluate.run(params, layout, *CELL)
    scores = Artefact("scores", *CELL)
    made_of = Whose(params, layout).new(scores)
    answers = read_arrays(layout.predictions(*CELL))
    assert unpacked_json(answers[KEY]) == read_sealed(layout.features(*CELL))[KEY] == made_of
    assert Whose(params, layout).trouble(scores) is None


def test_features_of_nobody_knows_what_are_refused(project):
    layout = project[1]
    again = f"sslpipe embed {RUN} {DATASET}"
    file = f"data/embeddings/{RUN}/{DATASET}.npz"
    write_embedding(project, ["train", "val", "public", "private"] * 6, np.arange(24) // 4 % 2)
    path = layout.embedding(*CELL)
    arrays = read_arrays(path)
    write_arrays(path, {key: values for key, values in arrays.items() if key != KEY})
    assert refused(project) == (
        f"{file}: does not say what it was made of (an earlier version?); run: {again}"
    )
    path.unlink()
    assert refused(project) == f"{file}: missing; it is made by: {again}"
