"""subset(dataset): the tar of encoded images → packed pixels (.npy) and their index (.csv)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sslpipe.data import raw
from sslpipe.data.choose import choose
from sslpipe.data.decode import LEAST_CONTRAST, How
from sslpipe.data.duplicates import HELD_OUT, Copies, copies
from sslpipe.data.index import Index, read_index
from sslpipe.data.pack import pack
from sslpipe.data.wide_images import ranges_of
from sslpipe.errors import UserError, few
from sslpipe.io.files import write_sealed
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params, find
from sslpipe.provenance.checks import require, require_same
from sslpipe.provenance.packed import content_of_packed
from sslpipe.provenance.record import Artefact
from sslpipe.provenance.whose import CONTENT, KEY, Whose

FLAT = 0.5
"""Share of a set's images."""


def run(params: Params, layout: Layout, name: str) -> None:
    """Write `layout.packed_images(name)`, `layout.packed_index(name)`, `layout.notes(name, "subset")` and
    `layout.packed_record(name)`.

    Images: uint8 (N, S, S, 3), S = params.image_size, sorted by split and source name, so that
    each split is one slice. Raises UserError, and changes no file, when too many images are
    unreadable or no score of a labelled set would be possible; and leaves no notes, which every
    score needs, when it would not be without the copies that are left out.
    """
    dataset = find(params.datasets, name, "data set")
    artefact, originals = Artefact("packed", name), Artefact("originals", name)
    tar = require(layout.raw(name), originals.made_by)
    whose = Whose(params, layout)
    made_of = whose.new(artefact)
    try:
        members = raw.read(tar)
        require_same(tar, raw.seal(tar), whose, originals)
        choices = choose(members, dataset)
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
    for of_another in (layout.notes(name, "subset"), layout.packed_record(name)):
        of_another.unlink(missing_ok=True)
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
        found = copies(index)
        left_out = found.rows if dataset.copies == "leave_out" else []
        remarks = list(in_words(found, left_out))
        choice = f"; datasets.{name}.copies: leave_out takes {len(found.rows)} from the examples"
        for remark in remarks:
            say(f"warning: {name}: {remark}{'' if left_out else choice}")
        index = replace(index, left_out=tuple(left_out))
        if left_out:
            check_examples(index, name)
        examples = len(index.all_labels[index.examples()])
        if name in params.leaderboard and examples < (k := params.evaluate.knn.k):
            say(f"warning: {name}: all {examples} training images vote, as evaluate.knn.k is {k}")
    write_sealed(
        layout.notes(name, "subset"), {"notes": notes, "remarks": remarks, "left_out": left_out}
    )
    write_sealed(
        layout.packed_record(name),
        {
            KEY: made_of,
            CONTENT: content_of_packed(layout, name, left_out),
            originals.kind: {key: whose.known(originals)[key] for key in (KEY, CONTENT)},
        },
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


def in_words(found: Copies, left_out: Sequence[int]) -> Iterator[str]:
    """What is to be known of a set whose held-out images are among its training images."""
    held_out = found.equal + found.near
    if not held_out:
        return
    by_split = ", ".join(f"{split} {held_out[split]}" for split in HELD_OUT if held_out[split])
    so = "which flatters scores"
    if left_out:
        so = f"of which {len(left_out)} are no examples for k-NN, probes and fine-tuning"
    equal, near, other = (some.total() for some in (found.equal, found.near, found.other_class))
    yield (
        f"{held_out.total()} held-out images are among the training images ({equal} equal one, "
        f"{near} look like one; {by_split}; {other} of another class), {so}"
    )


def check_examples(index: Index, name: str) -> None:
    """Raises UserError where no score is possible without the images left out; says what lost all."""
    left = set(index.all_labels[index.examples()].tolist())
    if len(left) < 2 or any(left.isdisjoint(index.labels(split).tolist()) for split in HELD_OUT):
        raise UserError(
            f"datasets.{name}.copies: leave_out leaves training images of {len(left)} of "
            f"{len(index.classes)} classes, with which nothing can be scored: keep them, or other "
            "images must be held out"
        )
    if lost := set(index.labels("train").tolist()) - left:
        names = few(index.classes[label] for label in lost)
        say(f"warning: {name}: all training images of {len(lost)} classes are copies: {names}")
