"""subset(dataset): the tar of encoded images → packed pixels (.npy) and their index (.csv)."""

from sslpipe.data import raw
from sslpipe.data.choose import choose
from sslpipe.data.pack import pack
from sslpipe.errors import UserError
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.progress import say
from sslpipe.stages import find
from sslpipe.stages.inputs import require


def run(params: Params, layout: Layout, name: str) -> None:
    """Write `layout.packed_images(name)` and `layout.packed_index(name)`.

    Images: uint8 (N, S, S, 3), S = params.image_size, sorted by split and source name, so that
    each split is one slice. Raises UserError, and changes no file, when too many images are
    unreadable or a split of a labelled set would be empty.
    """
    dataset = find(params.datasets, name, "data set")
    tar = require(layout.raw(name), f"sslpipe download {name}")
    try:
        packed = pack(
            tar,
            choose(raw.read(tar), dataset),
            layout.packed_images(name),
            layout.packed_index(name),
            size=params.image_size,
            resize=dataset.resize,
            max_unreadable=dataset.max_unreadable,
            what=f"{name}: subset",
        )
    except UserError as error:
        raise UserError(f"datasets.{name}: {error}") from None
    if packed.unreadable:
        first = packed.unreadable[0]
        say(
            f"{name}: {len(packed.unreadable)} of {packed.images + len(packed.unreadable)} images "
            f"are unreadable and left out, such as {first.source_name} ({first.error}); "
            f"see {layout.packed_index(name)}"
        )
    say(f"{name}: {packed.images} images in {layout.packed_images(name)}")
