"""describe(dataset): the index of a packed set → a page on it, reports/data/<dataset>.{md,json}."""

from typing import Any

from sslpipe.data.index import read_index
from sslpipe.io.files import read_sealed, sha256, write_sealed, write_text
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params, find
from sslpipe.provenance.checks import require, require_same
from sslpipe.provenance.packed import content_of_packed, without_copies
from sslpipe.provenance.record import Artefact
from sslpipe.provenance.whose import CONTENT, KEY, Whose
from sslpipe.reporting import datasets


def run(params: Params, layout: Layout, name: str) -> None:
    """Write `layout.dataset_page(name)` and, in short, `layout.dataset_facts(name)`; reads the
    index and the notes alone, no image.

    The page shows the contact sheet if there is to be one, whether or not it is drawn yet.
    Raises UserError when the index is missing or malformed.
    """
    dataset = find(params.datasets, name, "data set")
    whose = Whose(params, layout)
    for kind in ("originals", "packed"):
        whose.require(Artefact(kind, name))
    path = layout.packed_index(name)
    index = read_index(path)
    left_out = without_copies(layout, name, index).left_out
    require_same(path, content_of_packed(layout, name, left_out), whose, Artefact("packed", name))
    sheet = layout.contact_sheet(name).name if name in params.contact_sheets else None
    facts = datasets.facts(name, dataset, index, params.image_size, sha256(path))
    notes = [_decided(layout, name, stage) for stage in ("download", "subset")]
    remarks = notes[1]["remarks"]
    facts |= {"remarks": remarks} if remarks else {}
    for kind in ("originals", "packed"):
        said = whose.known(Artefact(kind, name))
        facts[kind] = {key: said[key] for key in (KEY, CONTENT)}
    lines = [*notes[0]["notes"], *notes[1]["notes"], *remarks]
    write_sealed(layout.dataset_facts(name), facts)
    path = layout.dataset_page(name)
    write_text(path, datasets.page(name, dataset, index, params.image_size, sheet, lines))
    say(f"{name}: described in {path}")


def _decided(layout: Layout, name: str, stage: str) -> dict[str, Any]:
    made_by = f"sslpipe {stage} {name}"
    return read_sealed(require(layout.notes(name, stage), made_by), made_by)
