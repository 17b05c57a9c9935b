"""Whether files are of what params.yaml asks for now.

A file says in a record what it was made of (see record.py). Where it is not at hand, as in a clone
without data, a report of it that is in git says it too: of a set its facts, of an encoder the report of
its training. A file of other settings, code or inputs counts as missing.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from sslpipe.data.contents import contents, watched
from sslpipe.errors import UserError
from sslpipe.io.arrays import read_array, unpacked_json
from sslpipe.io.files import read_sealed
from sslpipe.layout import Layout
from sslpipe.params import Params, resolve
from sslpipe.provenance.record import (
    Artefact,
    Record,
    all_of,
    differences,
    inputs_of,
    record,
    settings_of_run,
)

KEY = "made_of"
"""Of a record, in whatever file it stands."""
CONTENT = "content"
"""Beside it, in a report: a hash of what the file of the report holds."""
MOST_NAMED = 3


class Whose:
    """Looks at each file once; make a new one when files may have changed."""

    def __init__(self, params: Params, layout: Layout) -> None:
        self.params, self.layout = params, layout
        self.trouble = cache(self._trouble)
        self.recorded = cache(self._recorded)
        self._images = cache(self._images_of)

    def require(self, artefact: Artefact) -> None:
        """Raises UserError, with what is wrong with it and the command that makes the right one."""
        if trouble := self.trouble(artefact):
            raise UserError(trouble)

    def content(self, artefact: Artefact) -> str:
        """What a file has to hold to be the one that its report is of."""
        return (self.recorded(artefact) or {}).get(CONTENT, "unknown")

    def known(self, artefact: Artefact) -> dict[str, Any]:
        """What is recorded of one that has been found to be right."""
        said = self.recorded(artefact)
        assert said is not None
        return said

    def new(self, artefact: Artefact) -> Record:
        """The record of what is to be made now.

        Raises UserError when one of its inputs is missing or of something else."""
        found: dict[str, str | None] = {}
        for part in inputs_of(artefact, self.params):
            self.require(part)
            found[str(part)] = self.content(part)
        if artefact.kind == "originals":
            found["images"] = self._images(artefact.name)
        return record(artefact, self.params, found)

    def wrong(self) -> list[str]:
        """What is wrong with each artefact of the experiment that is there."""
        troubles = dict.fromkeys(map(self._trouble_if_there, all_of(self.params)))
        return [trouble for trouble in troubles if trouble]

    def _trouble_if_there(self, artefact: Artefact) -> str | None:
        try:
            if self.recorded(artefact) is None:
                return None
            return self.trouble(artefact) or self._trouble_beside(artefact)
        except UserError as error:  # damaged
            return str(error)

    def _trouble_beside(self, artefact: Artefact) -> str | None:
        """What is wrong with the other files that a stage makes along with scores."""
        if artefact.kind != "scores":
            return None
        path = self.layout.features(artefact.name, artefact.dataset)
        made_of = (self.recorded(artefact) or {})[KEY]
        if path.exists() and read_sealed(path, artefact.made_by).get(KEY) != made_of:
            return f"{path}: not of the scores beside it; run: {artefact.made_by}"
        return None

    def _trouble(self, artefact: Artefact) -> str | None:
        """What is wrong, in one line; None for the right one."""
        file, made_by = artefact.file(self.layout), artefact.made_by
        said = self.recorded(artefact)
        if said is None and not Path(file).exists():
            return f"{file}: missing; it is made by: {made_by}"
        found = said.get(KEY) if said else None
        if said is None or found is None:
            return f"{file}: does not say what it was made of (an earlier version?); run: {made_by}"
        inputs = inputs_of(artefact, self.params)
        for part in inputs:
            if trouble := self.trouble(part):
                return trouble
        wanted = {str(part): self.content(part) for part in inputs}
        if artefact.kind == "originals":
            images = self._images(artefact.name)
            wanted["images"] = found["inputs"]["images"] if images is None else images
        now = record(artefact, self.params, wanted)
        if found["identity"] != now["identity"]:
            other = " and ".join(differences(found, now)) or "inputs"
            if artefact.kind == "encoder" and "parameters" in said:
                other = other.replace(f"(runs.{artefact.name})", self._told(artefact, said))
            return f"{file}: made with other {other}; run: {made_by}"
        return None

    def _told(self, artefact: Artefact, said: dict[str, Any]) -> str:
        """What a training's report says of its settings that are others now."""
        before = _flat(said["parameters"])
        now = _flat(settings_of_run(resolve(self.params, artefact.name)))
        changed = [
            f"{key.removeprefix('settings.').removeprefix('pretrain.')} {before.get(key)}, now {value}"
            for key, value in now.items()
            if before.get(key) != value
        ]
        more = ", …" if len(changed) > MOST_NAMED else ""
        return f"({'; '.join(changed[:MOST_NAMED]) or 'of its method'}{more})"

    def _images_of(self, dataset: str) -> str | None:
        """None where none are read on this machine, or they are not there now."""
        some = self.params.datasets[dataset]
        found = watched(some, self.layout)
        return contents(some, self.layout, dataset) if found and found.is_there else None

    def _recorded(self, artefact: Artefact) -> dict[str, Any] | None:
        """What holds an artefact's record: the nearest that is there. Raises UserError if it is damaged."""
        kind, name, dataset = artefact
        layout = self.layout
        if kind in ("originals", "packed"):
            beside = (
                layout.notes(name, "download")
                if kind == "originals"
                else layout.packed_record(name)
            )
            if beside.exists():
                return read_sealed(beside, artefact.made_by)
            packed, facts = layout.packed_record(name), layout.dataset_facts(name)
            if kind == "originals" and packed.exists():
                return read_sealed(packed, f"sslpipe subset {name}").get(kind)
            return (
                read_sealed(facts, f"sslpipe describe {name}").get(kind) if facts.exists() else None
            )
        if kind == "corpus":
            return _sealed(layout.corpus_record(name), artefact)
        if kind == "encoder":
            return _sealed(layout.pretrain_report(name), artefact)
        place = {
            "features": layout.embedding,
            "scores": layout.predictions,
            "finetuned": layout.finetune_predictions,
        }[kind](name, dataset)
        return read_made_of(place, artefact) if place.exists() else None


def _sealed(path: Path, artefact: Artefact) -> dict[str, Any] | None:
    return read_sealed(path, artefact.made_by) if path.exists() else None


def read_made_of(path: Path, artefact: Artefact) -> dict[str, Any]:
    """Of a file of arrays."""
    found = read_array(path, KEY, artefact.made_by)
    return {} if found is None else {KEY: unpacked_json(found)}


def encoder_content(path: Path) -> str | None:
    """What an encoder's header says of what it holds, unchecked; None for another kind of file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return json.loads(file.metadata()["sslpipe"])["sha256"]
    except (SafetensorError, KeyError, TypeError, ValueError):
        return None


def _flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= (
            _flat(value, f"{before}{key}.")
            if isinstance(value, dict)
            else {f"{before}{key}": value}
        )
    return found
