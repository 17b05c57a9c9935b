"""evaluate: what cannot be scored is one line, not a traceback."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sslpipe.arrays import write_arrays
from sslpipe.errors import UserError
from sslpipe.layout import Layout
from sslpipe.params import load
from sslpipe.schema import Evaluate
from sslpipe.stages import evaluate


@pytest.fixture
def run(tmp_path, monkeypatch):
    resolved = SimpleNamespace(pretrain=SimpleNamespace(threads=None))
    monkeypatch.setattr(evaluate, "resolve", lambda params, name: resolved)
    params, layout = SimpleNamespace(evaluate=Evaluate()), Layout(tmp_path)
    path = layout.embedding("moco", "zoo")
    path.parent.mkdir(parents=True)

    def run(content):
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            splits = np.array(content)
            features = np.random.default_rng(0).normal(size=(len(splits), 4)).astype(np.float32)
            arrays = {
                "features": features, "label": np.arange(len(splits)) % 2, "split": splits,
                "views": np.ones((2, 3, 4), np.float32), "classes": np.array(["a", "b"]),
            }  # fmt: skip
            write_arrays(path, arrays)
        with pytest.raises(UserError) as caught:
            evaluate.run(params, layout, "moco", "zoo")
        assert not layout.metrics("moco", "zoo").exists()
        (line,) = str(caught.value).splitlines()
        return line.replace(f"{tmp_path}/", "")

    return run


def test_what_the_protocol_refuses_is_one_line(run):
    where = "reports/metrics/zoo/moco.json: evaluate moco zoo: "
    assert run(["train", "val", "public", "elsewhere"] * 3).startswith(
        f"{where}unknown split 'elsewhere'"
    )
    assert run(["train", "val", "public"] * 3).startswith(f"{where}no images in split private")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"no archive"])
def test_a_damaged_embedding_is_one_line(run, content):
    line = run(content)
    assert line.startswith("data/embeddings/moco/zoo.npz: damaged (")
    assert line.endswith("delete it and run: sslpipe embed moco zoo")


def test_fewer_examples_than_neighbours_are_said(tmp_path, capsys):
    splits = np.array(["train", "val", "public", "private"] * 6)
    params = load(Path(__file__).parents[2] / "presets/default.yaml")
    layout = Layout(tmp_path)
    layout.embedding("simclr_resnet18", "digits").parent.mkdir(parents=True)
    features = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
    write_arrays(
        layout.embedding("simclr_resnet18", "digits"),
        {
            "features": features, "label": np.arange(24) // 4 % 2, "split": splits,
            "views": np.ones((2, 3, 4), np.float32), "classes": np.array(["a", "b"]),
        },
    )  # fmt: skip
    evaluate.run(params, layout, "simclr_resnet18", "digits")
    said = capsys.readouterr().err
    assert "simclr_resnet18 on digits: all 6 examples vote, as evaluate.knn.k is 20" in said
