"""download(dataset): a source's original encoded images → one tar, same bytes each time."""

from collections.abc import Iterator

from sslpipe.data import raw
from sslpipe.data.sources import SOURCES
from sslpipe.errors import UserError
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.progress import progress, say
from sslpipe.stages import find


def run(params: Params, layout: Layout, name: str) -> None:
    """Write `layout.raw(name)`.

    The tar depends on the data set's `source` alone; `labelled` only decides whether images
    outside class folders are a mistake. Raises UserError, and writes nothing, for a source that
    is missing, broken or holds nothing to use.
    """
    dataset = find(params.datasets, name, "data set")
    source = dataset.source
    try:
        members = SOURCES[source.kind](source, layout.root)
        members = progress(members, what=f"{name}: download", unit="images")
        if dataset.labelled:
            members = _in_classes(members)
        images = raw.write(layout.raw(name), members)
    except UserError as error:
        raise UserError(f"datasets.{name}: {error}") from None
    say(f"{name}: {images} images in {layout.raw(name)}")


def _in_classes(members: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """The same members; fails at the end if none of them lay in a class folder."""
    in_classes = False
    for member, content in members:
        in_classes = in_classes or raw.class_of(member) != raw.LOOSE
        yield member, content
    if not in_classes:
        raise UserError(
            "no class folders: expected <class>/<file> or train/<class>/<file>; "
            "for images without labels set labelled: false"
        )
