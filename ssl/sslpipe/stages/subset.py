"""subset(dataset): the tar of encoded images → packed pixels (.npy) and their index (.csv)."""

from collections.abc import Iterator

from sslpipe.data import raw
from sslpipe.data.choose import choose
from sslpipe.data.duplicates import Copies, copies
from sslpipe.data.index import read_index
from sslpipe.data.pack import pack
from sslpipe.errors import UserError
from sslpipe.files import write_sealed
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.progress import say
from sslpipe.schema import Dataset
from sslpipe.stages import find
from sslpipe.stages.inputs import require


def run(params: Params, layout: Layout, name: str) -> None:
    """Write `layout.packed_images(name)`, `layout.packed_index(name)` and `layout.notes(name, "subset")`.

    Images: uint8 (N, S, S, 3), S = params.image_size, sorted by split and source name, so that
    each split is one slice. Raises UserError, and changes no file, when too many images are
    unreadable or no score of a labelled set would be possible.
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
    left_out, notes = [], []
    if dataset.labelled:
        index = read_index(layout.packed_index(name))
        train = len(index.split_entries("train"))
        if train < (k := params.evaluate.knn.k):
            say(
                f"warning: {name}: {train} training images, of which all vote: evaluate.knn.k is {k}"
            )
        found = copies(index)
        notes = list(in_words(found, name, dataset))
        for note in notes:
            say(f"warning: {name}: {note}")
        left_out = found.rows if dataset.copies == "leave_out" else []
    write_sealed(layout.notes(name, "subset"), {"notes": notes, "left_out": left_out})
    say(f"{name}: {packed.images} images in {layout.packed_images(name)}")


def in_words(found: Copies, name: str, dataset: Dataset) -> Iterator[str]:
    """What is to be known of a set whose held-out images are among its training images."""
    held_out = found.equal.total() + found.near.total()
    if not held_out:
        return
    counts = [f"{found.equal.total()} equal one", f"{found.near.total()} look like one"]
    done = f"{len(found.rows)} training images are no examples for k-NN, probe and fine-tuning"
    if dataset.copies == "keep":
        done = f"datasets.{name}.copies: leave_out takes {len(found.rows)} training images from the examples"
    yield (
        f"{held_out} held-out images are among the training images ({', '.join(counts)}; "
        f"{found.other_class.total()} of another class): scores flatter; {done}"
    )
