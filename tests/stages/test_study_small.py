"""presets/study_small.yaml on the zips that it expects, from the files to the corpora."""

import os
from pathlib import Path

import pytest

from sslpipe.data.corpus import corpus_rows
from sslpipe.data.index import open_packed
from sslpipe.io.files import read_sealed
from sslpipe.layout import Layout
from sslpipe.params import load
from sslpipe.stages import corpus, describe, download, subset

ROOT = Path(__file__).parents[2]
REAL = os.environ.get("SSLPIPE_TEST_IMAGES")


@pytest.mark.skipif(not REAL, reason="SSLPIPE_TEST_IMAGES does not name a folder of real zips")
def test_the_five_zips_up_to_the_corpora(tmp_path):
    params, layout = load(ROOT / "presets/study_small.yaml"), Layout(tmp_path)
    for dataset in params.datasets.values():
        inbox = tmp_path / dataset.source.path
        original = Path(REAL).resolve() / inbox.name
        if not original.exists():
            pytest.skip(f"{original} is missing")
        inbox.parent.mkdir(parents=True, exist_ok=True)
        inbox.symlink_to(original)
    for name in params.datasets:
        for stage in (download, subset, describe):
            stage.run(params, layout, name)
        assert layout.dataset_page(name).read_text().startswith(f"# {name}\n")
    indexes = {name: open_packed(layout, name)[1] for name in params.datasets}
    assert {name: len(index.classes) for name, index in indexes.items()} == {
        "cub": 200,
        "mini_imagenet": 100,
        "sun": 25,
        "nat": 0,
        "web": 0,
    }
    sizes = []
    for name, chosen in params.corpora.items():
        corpus.run(params, layout, name)
        rows = dict(corpus_rows(read_sealed(layout.corpus(name))))
        assert list(rows) == chosen.datasets
        for dataset, kept in rows.items():
            train = indexes[dataset].split_slice("train")
            assert kept.min() >= train.start and kept.max() < train.stop
            assert len(kept) > 0.99 * (train.stop - train.start)
        sizes.append(sum(map(len, rows.values())))
        assert "look the same" in layout.corpus_page(name).read_text()
    assert sizes == sorted(sizes)
    assert sizes[0] < sum(len(index.split_entries("train")) for index in indexes.values())
