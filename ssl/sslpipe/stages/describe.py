"""describe(dataset): the index of a packed set → a page on it, reports/data/<dataset>.{md,json}."""

from sslpipe.data.index import read_index
from sslpipe.files import sha256, write_sealed, write_text
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.progress import say
from sslpipe.reporting import datasets
from sslpipe.stages import find


def run(params: Params, layout: Layout, name: str) -> None:
    """Write `layout.dataset_page(name)` and, in short, `layout.dataset_facts(name)`; reads the index
    alone, no image.

    The page shows the contact sheet if there is to be one, whether or not it is drawn yet.
    Raises UserError when the index is missing or malformed.
    """
    dataset = find(params.datasets, name, "data set")
    path = layout.packed_index(name)
    index = read_index(path)
    sheet = layout.contact_sheet(name).name if name in params.contact_sheets else None
    facts = datasets.facts(name, dataset, index, params.image_size, sha256(path))
    write_sealed(layout.dataset_facts(name), facts)
    path = layout.dataset_page(name)
    write_text(path, datasets.page(name, dataset, index, params.image_size, sheet))
    say(f"{name}: described in {path}")
