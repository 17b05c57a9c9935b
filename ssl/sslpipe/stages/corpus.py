"""corpus(name): which rows of which packed sets a pretraining uses, as a small JSON file."""

from sslpipe.data.corpus import compose, datasets_read
from sslpipe.data.index import read_index
from sslpipe.files import sha256, write_json
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.progress import say
from sslpipe.stages import find
from sslpipe.stages.inputs import require


def run(params: Params, layout: Layout, name: str) -> None:
    """Write `layout.corpus(name)`; reads only the indexes, whose hashes stand for the images.

    Raises UserError when an index is missing or malformed, or no image is left.
    """
    corpus = find(params.corpora, name, "corpus")
    watched = params.pretrain.online.datasets
    indexes, hashes = {}, {}
    for dataset in datasets_read(corpus.datasets, params.leaderboard, watched):
        path = require(layout.packed_index(dataset), f"sslpipe subset {dataset}")
        indexes[dataset], hashes[dataset] = read_index(path), sha256(path)
    content = compose(name, params.image_size, corpus.datasets, watched, indexes, hashes)
    for member in content["members"]:
        if member["excluded"]:
            say(
                f"corpus {name}: left out {len(member['excluded'])} training images of "
                f"{member['dataset']}: they equal a val, public or private image"
            )
    say(f"corpus {name}: {content['images']} images of {', '.join(corpus.datasets)}")
    write_json(layout.corpus(name), content)
