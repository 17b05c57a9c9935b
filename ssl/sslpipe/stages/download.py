"""download(dataset): a source's original encoded images → one tar, same bytes each time."""

import re
from collections.abc import Iterator

from sslpipe.data import raw
from sslpipe.data.contents import stamps
from sslpipe.data.sources import reader
from sslpipe.errors import UserError
from sslpipe.io.files import write_sealed
from sslpipe.io.progress import progress, say
from sslpipe.layout import Layout
from sslpipe.params import Params, find
from sslpipe.provenance.record import Artefact
from sslpipe.provenance.whose import CONTENT, KEY, Whose
from sslpipe.schema.data import Dataset


def run(params: Params, layout: Layout, name: str) -> None:
    """Write `layout.raw(name)`, and `layout.notes(name, "download")`, what was decided on the way.

    The tar depends on the data set's `source`, its images and, of a folder, `labelled` alone.
    Raises UserError, and writes nothing, for a source that is missing, broken, changes while it is
    read, or whose layout is not certain.
    """
    dataset = find(params.datasets, name, "data set")
    source = dataset.source
    notes: list[str] = []
    artefact = Artefact("originals", name)
    made_of = Whose(params, layout).new(artefact)
    own = {"labelled": dataset.labelled, "notes": notes} if source.READS_FOLDERS else {}
    try:
        members = reader(source)(source, layout.root, **own)
        members = _unchanged(members, dataset, layout)
        members = progress(members, what=f"{name}: download", unit="images")
        images = raw.write(layout.raw(name), members)
    except UserError as error:
        # with each setting's whole path
        text = re.sub(r"(?<![\w.])(source\.|labelled: )", rf"datasets.{name}.\1", str(error))
        raise UserError(
            text if text.startswith("datasets.") else f"datasets.{name}: {text}"
        ) from None
    write_sealed(
        layout.notes(name, "download"),
        {"notes": notes, KEY: made_of, CONTENT: raw.seal(layout.raw(name))},
    )
    say(f"{name}: {images} images in {layout.raw(name)}")


def _unchanged(
    members: Iterator[tuple[str, bytes]], dataset: Dataset, layout: Layout
) -> Iterator[tuple[str, bytes]]:
    """The same members. Raises UserError at the end if what they are read from has changed meanwhile: the
    engines would take the new images for those in the tar."""
    before = stamps(dataset, layout)
    yield from members
    if stamps(dataset, layout) != before:
        raise UserError("source: its files changed while they were read: run it again")
