"""What stages would have said of files that a test wrote by hand."""

import json
from itertools import groupby
from pathlib import Path

from safetensors import safe_open

from sslpipe.data import raw
from sslpipe.data.index import read_index
from sslpipe.io.arrays import packed_json, read_arrays, write_arrays
from sslpipe.io.files import read_sealed, sha256, write_sealed
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.provenance.record import Artefact, all_of
from sslpipe.provenance.whose import CONTENT, KEY, Whose
from sslpipe.stages.sets import content_of_packed, without_copies


def stamp(params: Params, layout: Layout) -> None:
    """Every artefact of the experiment that is there says that it was made of params and of what lies
    there; of sets and corpora that are not, only a report of it."""
    for kind, artefacts in groupby(all_of(params), key=lambda artefact: artefact.kind):
        whose = Whose(params, layout)
        for artefact in artefacts:
            _STAMPS[kind](whose, artefact)


def _originals(whose: Whose, artefact: Artefact) -> None:
    path, tar = whose.layout.notes(artefact.name, "download"), whose.layout.raw(artefact.name)
    content = raw.seal(tar) if tar.exists() else "made up"
    _put(path, whose, artefact, content, {"notes": []})


def _packed(whose: Whose, artefact: Artefact) -> None:
    layout, name = whose.layout, artefact.name
    content = "made up"
    if layout.packed_index(name).exists():
        if not layout.notes(name, "subset").exists():
            notes = {"notes": [], "remarks": [], "left_out": []}
            write_sealed(layout.notes(name, "subset"), notes)
        index = without_copies(layout, name, read_index(layout.packed_index(name)))
        content = content_of_packed(layout, name, index.left_out)
    _put(layout.packed_record(name), whose, artefact, content)
    if (path := layout.dataset_facts(name)).exists():
        write_sealed(path, read_sealed(path) | {"packed": {CONTENT: content}})


def _corpus(whose: Whose, artefact: Artefact) -> None:
    path = whose.layout.corpus(artefact.name)
    content = sha256(path) if path.exists() else "made up"
    _put(whose.layout.corpus_record(artefact.name), whose, artefact, content)


def _encoder(whose: Whose, artefact: Artefact) -> None:
    path, content = whose.layout.encoder(artefact.name), "made up"
    if path.exists():
        with safe_open(path, framework="pt") as file:
            content = json.loads(file.metadata()["sslpipe"])["sha256"]
    report = whose.layout.pretrain_report(artefact.name)
    if report.exists() or path.exists():
        about = {} if report.exists() else {"trained": False, "inputs": {}}
        _put(report, whose, artefact, content, about)


def _arrays(place: str):
    def stamped(whose: Whose, artefact: Artefact) -> None:
        path = getattr(whose.layout, place)(artefact.name, artefact.dataset)
        if not path.exists():
            return
        made_of = whose.new(artefact)
        write_arrays(path, read_arrays(path) | {KEY: packed_json(made_of)}, compressed=True)
        features = whose.layout.features(artefact.name, artefact.dataset)
        if artefact.kind == "scores" and features.exists():
            write_sealed(features, read_sealed(features) | {KEY: made_of}, compact=True)

    return stamped


_STAMPS = {
    "originals": _originals,
    "packed": _packed,
    "corpus": _corpus,
    "encoder": _encoder,
    "features": _arrays("embedding"),
    "scores": _arrays("predictions"),
    "finetuned": _arrays("finetune_predictions"),
}


def _put(path: Path, whose: Whose, artefact: Artefact, content: str, about: dict | None = None):
    about = read_sealed(path) if path.exists() else about or {}
    write_sealed(path, about | {KEY: whose.new(artefact), CONTENT: content})
