"""What an artefact is made of: hashes of its settings, of its code and of its inputs' contents.

Contents, not the inputs' own records: a set or corpus that comes out equal though its code or settings
have changed leaves all that was made of it as it is, in both engines and here.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sslpipe.data.contents import settings, source_settings
from sslpipe.errors import UserError
from sslpipe.io.files import digest
from sslpipe.layout import Layout
from sslpipe.params import Params, resolve
from sslpipe.provenance.code import code_of
from sslpipe.schema.training import ResolvedRun

Record = dict[str, Any]
"""identity: a hash of the rest; settings, code, inputs: name → hash, name → hash, name → content."""

# kind → the stages whose code decides it, the last of which writes it
STAGES = {
    "originals": ("download",),
    "packed": ("subset",),
    "corpus": ("corpus",),
    "encoder": ("pretrain",),
    "features": ("embed",),
    "scores": ("embed", "evaluate"),
    "finetuned": ("finetune",),
}
MADE_OF = "made_of.json"
"""The record beside a training's checkpoints."""
# Settings of a training that change at most the last bits of a number.
WITHOUT_INFLUENCE = ("checkpoint_minutes", "gpus", "compile")


class Artefact(NamedTuple):
    """name: of a set, a corpus or a run; dataset: that a run's features or scores are of."""

    kind: str
    name: str
    dataset: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.kind, self.name, self.dataset)))

    @property
    def made_by(self) -> str:
        return " ".join(filter(None, ("sslpipe", STAGES[self.kind][-1], self.name, self.dataset)))

    def file(self, layout: Layout) -> str:
        """By which messages name it."""
        names = (self.name, self.dataset) if self.dataset else (self.name,)
        places: dict[str, Callable[..., Path]] = {
            "originals": layout.raw,
            "packed": layout.packed_index,
            "corpus": layout.corpus,
            "encoder": layout.encoder,
            "features": layout.embedding,
            "scores": layout.metrics,
            "finetuned": layout.finetune_metrics,
        }
        return str(places[self.kind](*names))


def made_at(stage: str, names: tuple[str, ...]) -> Artefact | None:
    """What a stage makes; None for one whose files nothing but people and the page read."""
    for kind, stages in STAGES.items():
        if stages[-1] == stage:
            return Artefact(kind, *names)
    return None


def all_of(params: Params) -> list[Artefact]:
    """Of the experiment, inputs before what is made of them."""
    cells = [(run, dataset) for dataset in params.leaderboard for run in params.runs]
    tuned = [(run, dataset) for dataset in params.leaderboard for run in params.finetune.runs]
    return [
        *(Artefact(kind, name) for kind in ("originals", "packed") for name in params.datasets),
        *(Artefact("corpus", name) for name in params.corpora),
        *(Artefact("encoder", name) for name in params.runs),
        *(Artefact(kind, *cell) for kind in ("features", "scores") for cell in cells),
        *(Artefact("finetuned", *cell) for cell in tuned),
    ]


def inputs_of(artefact: Artefact, params: Params) -> list[Artefact]:
    """Raises UserError for a name that params.yaml does not have, or not any more."""
    kind, name, dataset = artefact
    of_kind: dict[str, Mapping[str, Any]] = {
        "originals": params.datasets,
        "packed": params.datasets,
        "corpus": params.corpora,
    }
    if name not in of_kind.get(kind, params.runs) or (dataset and dataset not in params.datasets):
        raise UserError(f"{artefact}: params.yaml has no such name")
    if kind == "originals":
        return []
    if kind == "packed":
        return [Artefact("originals", name)]
    if kind == "corpus":
        read = (
            *params.corpora[name].datasets,
            *params.leaderboard,
            *params.pretrain.online.datasets,
        )
        return [Artefact("packed", some) for some in dict.fromkeys(read)]
    if kind == "encoder":
        return [Artefact("corpus", params.runs[name].corpus)]
    return [Artefact("encoder", name), Artefact("packed", dataset)]


def record(artefact: Artefact, params: Params, contents: Mapping[str, str | None]) -> Record:
    """contents: of each input by its name; of originals, of the images on this machine, None if none
    are read there."""
    parts = {
        "settings": {
            name: digest(value)[:16] for name, value in _settings(artefact, params).items()
        },
        "code": {stage: code_of(stage, params, artefact.name) for stage in STAGES[artefact.kind]},
        "inputs": dict(contents),
    }
    return {"identity": digest(parts), **parts}


def fingerprint(made_of: Record) -> str:
    """The name of the folder of a training's state."""
    return made_of["identity"][:16]


def differences(before: Mapping[str, Any], now: Record) -> list[str]:
    """Which of settings, code and inputs differ, each with what differs in it. before: a record, or what
    an earlier version kept in its place."""
    found = {}
    for part in ("settings", "code", "inputs"):
        said = before.get(part)
        said = said if isinstance(said, dict) else {}
        found[part] = [name for name, value in now[part].items() if said.get(name) != value]
    return [f"{part} ({', '.join(names)})" for part, names in found.items() if names]


def _settings(artefact: Artefact, params: Params) -> dict[str, Any]:
    """Name, as messages have it → values, as plain JSON."""
    kind, name, _ = artefact
    size = {"image_size": params.image_size}
    if kind == "originals":
        return {f"datasets.{name}.source": source_settings(params.datasets[name])}
    if kind == "packed":
        return size | {f"datasets.{name}": settings(params.datasets[name])}
    if kind == "corpus":
        compared = [sorted(params.leaderboard), params.pretrain.online.datasets]
        said = params.corpora[name].model_dump(mode="json")
        return size | {f"corpora.{name}": said, "leaderboard and pretrain.online": compared}
    if kind == "encoder":
        return {f"runs.{name}": settings_of_run(resolve(params, name))}
    if kind == "features":
        return {}
    if kind == "scores":
        return {"evaluate": params.evaluate.model_dump(mode="json")}
    return {"finetune": params.finetune.model_dump(mode="json", exclude={"runs"})}


def settings_of_run(run: ResolvedRun) -> dict[str, Any]:
    """Those that decide its weights."""
    found = run.model_dump(mode="json")
    for key in WITHOUT_INFLUENCE:
        found["pretrain"].pop(key)
    found["pretrain"]["views"].pop("workers")
    return found
