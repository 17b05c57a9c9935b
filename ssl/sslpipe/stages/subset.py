"""subset(dataset): the tar of encoded images → packed pixels (.npy) and their index (.csv)."""

from collections.abc import Iterator

from sslpipe.data import raw
from sslpipe.data.choose import choose
from sslpipe.data.decode import LEAST_CONTRAST, How
from sslpipe.data.duplicates import Copies, copies
from sslpipe.data.index import Index, read_index
from sslpipe.data.pack import pack
from sslpipe.data.wide_images import ranges_of
from sslpipe.errors import UserError
from sslpipe.files import write_sealed
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.progress import say
from sslpipe.schema import Dataset
from sslpipe.stages import find
from sslpipe.stages.inputs import require

FLAT = 0.25
"""Share of a set's images."""


def run(params: Params, layout: Layout, name: str) -> None:
    """Write `layout.packed_images(name)`, `layout.packed_index(name)` and `layout.notes(name, "subset")`.

    Images: uint8 (N, S, S, 3), S = params.image_size, sorted by split and source name, so that
    each split is one slice. Raises UserError, and changes no file, when too many images are
    unreadable or no score of a labelled set would be possible.
    """
    dataset = find(params.datasets, name, "data set")
    tar = require(layout.raw(name), f"sslpipe download {name}")
    try:
        choices = choose(raw.read(tar), dataset)
        ranges, notes = ranges_of(tar, choices, dataset.range, f"{name}: subset")
        for note in notes:
            say(f"{name}: {note}; another range: datasets.{name}.range: [low, high]")
        packed = pack(
            tar,
            choices,
            layout.packed_images(name),
            layout.packed_index(name),
            how=How(params.image_size, dataset.resize, ranges, dataset.max_megapixels),
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
    index = read_index(layout.packed_index(name))
    for note in flat(index):
        say(f"warning: {name}: {note}")
        notes.append(note)
    left_out, remarks = [], []
    if dataset.labelled:
        train = len(index.split_entries("train"))
        if train < (k := params.evaluate.knn.k):
            say(
                f"warning: {name}: {train} training images, of which all vote: evaluate.knn.k is {k}"
            )
        found = copies(index)
        remarks = list(in_words(found, name, dataset))
        for remark in remarks:
            say(f"warning: {name}: {remark}")
        left_out = found.rows if dataset.copies == "leave_out" else []
    write_sealed(
        layout.notes(name, "subset"), {"notes": notes, "remarks": remarks, "left_out": left_out}
    )
    say(f"{name}: {packed.images} images in {layout.packed_images(name)}")


def flat(index: Index) -> Iterator[str]:
    """Of a set that is nearly black or without contrast, by the hashes that such images lack."""
    without = sum(not entry.phash for entry in index.entries)
    if without > FLAT * len(index):
        yield (
            f"{without} of {len(index)} images have almost no contrast (a deviation of brightness of less "
            f"than {LEAST_CONTRAST:g} of 255): are their values read in the right range? Copies that merely "
            "look the same cannot be found among them"
        )


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
