"""Removing what interrupted work has left behind."""

from __future__ import annotations

from rich.console import Console

from sslpipe.io.files import in_words
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.terminal.console import Column, print_table, stdout
from sslpipe.upkeep import leftovers


def clean(
    params: Params, layout: Layout, *, everything: bool, dry: bool, console: Console | None = None
) -> None:
    """Remove files that nothing will ever use again; `everything`: also what an interrupted training,
    packing or download would go on with. What a process is at is left alone. dry: only tell."""
    console = console or stdout()
    found = dict.fromkeys(leftovers.abandoned(layout), "written by a process that was killed")
    found |= {
        folder: f"an interrupted training's, which {words}"
        for folder, words in leftovers.outdated(params, layout).items()
    }
    if everything:
        found |= dict.fromkeys(leftovers.unfinished(layout), "unfinished; made again if need be")
        for folder in leftovers.states(layout):
            found.setdefault(folder, "an interrupted training's, which then starts anew")
    if not found:
        console.print("Nothing to remove.")
        return
    sizes = {path: leftovers.size(path) for path in found}
    print_table(
        console,
        [
            Column("path", [str(path) for path in found]),
            Column("size", [in_words(sizes[path]) for path in found], right=True),
            Column("what it is", list(found.values()), dropped=1),
        ],
    )
    if not dry:
        for path in found:
            leftovers.remove(path)
    done = "would be removed" if dry else "removed"
    console.print(f"{len(found)} {done}, {in_words(sum(sizes.values()))}.")
