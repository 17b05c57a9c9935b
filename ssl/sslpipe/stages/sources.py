"""sources: what DVC looks at in the place of params.yaml's paths → data/sources, links and settings.

For each set: its settings without paths, and a link to its images on this machine, whose contents DVC
then compares by itself. So moving images runs nothing again, and changing them does.
"""

import os
import shutil
from pathlib import Path

from sslpipe.data.contents import settings, source_settings, watched
from sslpipe.data.tree import Found, walk
from sslpipe.errors import UserError, few
from sslpipe.io.files import write_json, write_text
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.schema.data import Dataset

NOTHING = "Nothing on this machine is read for this set.\n"


def run(params: Params, layout: Layout) -> None:
    """Write the files of all sets anew; those of sets that are no more go.

    Raises UserError for links to folders among a set's images, which DVC does not follow.
    """
    folder = layout.source_images("").parent
    if folder.exists():
        shutil.rmtree(folder)
    notes = layout.source_notes()
    for note in notes.glob("*.path"):
        note.unlink()
    for name, dataset in params.datasets.items():
        write_json(layout.dataset_settings(name), settings(dataset))
        write_json(layout.source_settings(name), source_settings(dataset))
        place = layout.source_images(name)
        found = watched(dataset, layout)
        if found is None:
            write_text(place, NOTHING)
            continue
        if not found.is_there:
            say(
                f"warning: {name}: {_path(dataset)} is not on this machine; once it is: sslpipe sources; "
                "to go on with what was made of it: dvc repro --allow-missing"
            )
            continue
        if found.folder is not None and (links := _links(found.folder)):
            raise UserError(
                f"datasets.{name}: {_path(dataset)}: {few(links)}: links to folders, below which DVC sees no "
                "changes: run it with Snakemake, or put the folders themselves there"
            )
        target = found.folder
        if target is None:
            target = layout.links(name)
            _link_files(target, found.files, layout)
        _link(place, target, layout)
        write_text(notes / f"{name}.path", f"{_path(dataset)}\n")
    say(f"{len(params.datasets)} data sets: what they come from is in {folder}")


def _links(folder: Path) -> list[str]:
    found = Found([], [], [])
    for _ in walk(folder, found):
        pass
    return found.links


def _link_files(folder: Path, files: tuple[Path, ...], layout: Layout) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for file in files:
        _link(folder / file.name, file, layout)


def _link(place: Path, target: Path, layout: Layout) -> None:
    """Within the project by a relative path: in a copy of the project it leads to the copied images."""
    end = target.resolve()
    if end.is_relative_to(layout.root.resolve()):
        end = Path(os.path.relpath(end, place.parent.resolve()))
    place.symlink_to(end, target_is_directory=target.is_dir())


def _path(dataset: Dataset) -> str:
    """As params.yaml has it."""
    said = dataset.source.model_dump(include=set(dataset.source.PLACES), exclude_none=True)
    return " and ".join(said.values())
