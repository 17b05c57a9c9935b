"""contact_sheet(dataset): packed train images → a picture of some, reports/data/<dataset>.png."""

from sslpipe.errors import UserError
from sslpipe.io.files import write_bytes
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params, find
from sslpipe.provenance.whose import Whose
from sslpipe.reporting import contact_sheet
from sslpipe.reporting.letters import drawable
from sslpipe.reporting.pictures import as_png
from sslpipe.stages.sets import open_set


def run(params: Params, layout: Layout, name: str) -> None:
    """Write `layout.contact_sheet(name)`.

    Raises UserError when `contact_sheets` does not name the set (its licence may forbid to pass
    images on, which `sslpipe check` knows), or when it has no train images.
    """
    find(params.datasets, name, "data set")
    if name not in params.contact_sheets:
        raise UserError(f"{name}: contact_sheets in params.yaml does not name this data set")
    images, index = open_set(Whose(params, layout), name)
    if not index.split_entries("train"):
        raise UserError(f"{name}: there are no train images to show")
    path = layout.contact_sheet(name)
    classes = drawable(index.classes, name)
    write_bytes(path, as_png(contact_sheet.draw(images, index, classes)))
    say(f"{name}: example images in {path}")
