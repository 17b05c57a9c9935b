"""corpus(name): which rows of which packed sets a pretraining uses, as a small JSON file."""

from sslpipe.data.corpus import compose, datasets_read, trained_on
from sslpipe.data.duplicates import too_many
from sslpipe.data.index import read_index
from sslpipe.io.files import sha256, write_sealed, write_text
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params, find
from sslpipe.provenance.checks import require, require_same
from sslpipe.provenance.packed import content_of_packed, without_copies
from sslpipe.provenance.record import Artefact
from sslpipe.provenance.whose import CONTENT, KEY, Whose
from sslpipe.reporting.corpora import page
from sslpipe.schema.data import Corpus


def run(params: Params, layout: Layout, name: str) -> None:
    """Write `layout.corpus(name)` and `layout.corpus_page(name)`.

    Reads only the indexes, whose hashes stand for the images, and which rows of the watched sets are
    no examples.

    Raises UserError when an index is missing or malformed, or no image is left.
    """
    corpus: Corpus = find(params.corpora, name, "corpus")
    watched = params.pretrain.online.datasets
    artefact, whose = Artefact("corpus", name), Whose(params, layout)
    made_of = whose.new(artefact)
    indexes, hashes = {}, {}
    for dataset in datasets_read(corpus.datasets, params.leaderboard, watched):
        path = require(layout.packed_index(dataset), f"sslpipe subset {dataset}")
        index = without_copies(layout, dataset, read_index(path))
        packed = content_of_packed(layout, dataset, index.left_out)
        require_same(path, packed, whose, Artefact("packed", dataset))
        indexes[dataset], hashes[dataset] = index, sha256(path)
    content, left_out = compose(
        name,
        params.image_size,
        corpus.datasets,
        watched,
        indexes,
        hashes,
        corpus.near_duplicates,
    )
    for dataset, leaks in left_out.items():
        if leaks:
            near = sum(leak.kind == "near" for leak in leaks)
            say(
                f"corpus {name}: left out {len(leaks)} training images of {dataset}: "
                f"{len(leaks) - near} equal a val, public or private image, {near} look like one; "
                f"see {layout.corpus_page(name)}"
            )
        if too_many(leaks, len(trained_on(indexes[dataset]))):
            say(
                f"warning: corpus {name}: so many images of {dataset} look alike that their hashes may "
                f"not tell them apart: look at {layout.corpus_page(name)}, and set "
                f"corpora.{name}.near_duplicates to null (equal images only) or a smaller number"
            )
    say(f"corpus {name}: {content['images']} images of {', '.join(corpus.datasets)}")
    write_text(layout.corpus_page(name), page(content, left_out, corpus.near_duplicates, indexes))
    write_sealed(layout.corpus(name), content)
    write_sealed(layout.corpus_record(name), {KEY: made_of, CONTENT: sha256(layout.corpus(name))})
