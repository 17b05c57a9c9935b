"""Whose files are: what counts as made with other settings, code or inputs, and what does not."""

import io
import json
import random
import shutil
import sys
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "reporting"))
from synthetic import content, write_reports

from made_of import stamp
from sslpipe.errors import UserError
from sslpipe.io.arrays import packed_json, read_array, read_arrays, unpacked_json, write_arrays
from sslpipe.io.files import read_sealed, write_sealed
from sslpipe.layout import Layout
from sslpipe.params import check, load
from sslpipe.provenance import record as provenance
from sslpipe.provenance.record import STAGES, Artefact, all_of, inputs_of, made_at
from sslpipe.provenance.whose import CONTENT, KEY, Whose
from sslpipe.reporting.pictures import as_png, made_of
from sslpipe.stages import describe, download, subset

RUNS = {
    "simclr": {"method": "simclr"},
    "moco": {"method": "moco"},
    "wide": {"method": "moco", "corpus": "more"},
    "untrained": {"method": "random"},
}
SETS = {
    "zoo": {"source": {"kind": "photo_patches", "train_per_class": 150}},
    "sun": {"source": "digits"},
    "spare": {"source": "digits"},  # neither scored nor watched nor trained on
    "mine": {"source": {"kind": "folder", "path": "mine"}},  # nor is this
}
CELLS = ("features", "scores", "finetuned")


def experiment():
    base = content(RUNS, finetune={"runs": ["moco", "wide"], "epochs": 3, "lr": [0.001]})
    return base | {"datasets": deepcopy(SETS)}


def written(folder, base=None):
    """All of an experiment, with embeddings, which `write_reports` has not."""
    params, layout = write_reports(folder, base or experiment(), images=20)
    for run in params.runs:
        for dataset in params.leaderboard:
            write_arrays(layout.embedding(run, dataset), {"features": np.eye(2)})
    stamp(params, layout)
    return SimpleNamespace(params=params, layout=layout)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Only to be looked at."""
    return written(tmp_path_factory.mktemp("made"))


@pytest.fixture
def mine(tmp_path, made):
    """A copy of it, to be changed."""
    shutil.copytree(made.layout.root, tmp_path / "mine")
    return SimpleNamespace(params=made.params, layout=Layout(tmp_path / "mine"))


def wrong(params, layout):
    """Each artefact that is not right, and why, below the project's root."""
    whose = Whose(params, layout)
    found = {str(artefact): whose.trouble(artefact) for artefact in all_of(params)}
    return {name: why.replace(f"{layout.root}/", "") for name, why in found.items() if why}


def changed(*changes):
    """The experiment with other values at paths such as runs.moco.lr; `...` removes one."""
    base = experiment()
    for path, value in changes:
        *parents, last = path.split(".")
        place = base
        for key in parents:
            place = place.setdefault(key, {})
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return check(base)


def names(*artefacts):
    """Names of sets of artefacts: a kind, with or without a name, as `scores moco`."""
    every = [str(artefact) for artefact in all_of(check(experiment()))]
    return {name for name in every if f"{name} ".startswith(tuple(f"{a} " for a in artefacts))}


def of_runs(*runs):
    """Their encoders, and what is made of them."""
    return names(*(f"{kind} {run}" for kind in ("encoder", *CELLS) for run in runs))


ALL_RUNS = of_runs(*RUNS)
ALL_TRAINING = names("corpus") | ALL_RUNS


def test_all_is_right_as_it_was_made(made):
    assert wrong(made.params, made.layout) == {}
    assert Whose(made.params, made.layout).wrong() == []


def test_each_is_looked_at_after_its_inputs(made):
    every = all_of(made.params)
    assert {artefact.kind for artefact in every} == set(STAGES)
    for place, artefact in enumerate(every):
        assert set(inputs_of(artefact, made.params)) <= set(every[:place])


@pytest.mark.parametrize(
    ("key", "name"), [("runs", "moco"), ("datasets", "zoo"), ("corpora", "base")]
)
def test_what_params_has_no_more_is_one_line(made, key, name):
    """As when a run is taken out of params.yaml while it trains."""
    left = {some: value for some, value in getattr(made.params, key).items() if some != name}
    whose = Whose(made.params.model_copy(update={key: left}), made.layout)
    kinds = {
        "runs": ["encoder", "scores"],
        "datasets": ["originals", "packed"],
        "corpora": ["corpus"],
    }
    for kind in kinds[key]:
        artefact = Artefact(kind, name, "sun" if kind == "scores" else "")
        for look in (whose.new, whose.trouble):
            with pytest.raises(UserError, match=rf"^{artefact}: params\.yaml has no such name$"):
                look(artefact)


def test_a_stage_is_known_by_what_it_makes():
    assert made_at("download", ("zoo",)) == Artefact("originals", "zoo")
    assert made_at("embed", ("moco", "zoo")) == Artefact("features", "moco", "zoo")
    assert made_at("evaluate", ("moco", "zoo")) == Artefact("scores", "moco", "zoo")
    assert made_at("describe", ("zoo",)) is None
    for kind in STAGES:
        artefact = Artefact(kind, *(("moco", "zoo") if kind in CELLS else ("zoo",)))
        _, stage, *arguments = artefact.made_by.split()
        assert made_at(stage, tuple(arguments)) == artefact


# --- settings ---------------------------------------------------------------------------------

# settings → the artefacts that are of other ones then, the first of them, and what is said of it
OTHERS = [
    # of all sets
    ("image_size", 48, names("packed") | ALL_TRAINING,
     "packed zoo", "data/packed/zoo.csv: made with other settings (image_size); run: sslpipe subset zoo"),
    # of what a set comes from
    ("datasets.zoo.source.train_per_class", 160,
     names("originals zoo", "packed zoo") | ALL_TRAINING, "originals zoo",
     "data/raw/zoo.tar: made with other settings (datasets.zoo.source); run: sslpipe download zoo"),
    ("datasets.spare.source", "elpv", names("originals spare", "packed spare"), "originals spare",
     "data/raw/spare.tar: made with other settings (datasets.spare.source); run: sslpipe download spare"),
    ("datasets.mine.source.exclude", ["*.gif"], names("originals mine", "packed mine"), "originals mine",
     "data/raw/mine.tar: made with other settings (datasets.mine.source); run: sslpipe download mine"),
    # which decides how a folder is read
    ("datasets.mine.labelled", False, names("originals mine", "packed mine"), "originals mine",
     "data/raw/mine.tar: made with other settings (datasets.mine.source); run: sslpipe download mine"),
    # of how a set is packed
    ("datasets.sun.resize", "crop", names("packed sun") | ALL_TRAINING, "packed sun",
     "data/packed/sun.csv: made with other settings (datasets.sun); run: sslpipe subset sun"),
    *(
        (f"datasets.spare.{key}", value, names("packed spare"), "packed spare",
         "data/packed/spare.csv: made with other settings (datasets.spare); run: sslpipe subset spare")
        for key, value in {
            "labelled": False, "resize": "crop", "splits": {"val": 0.2}, "max_classes": 5,
            "max_images_per_class": 9, "max_unreadable": 0.5, "range": [0, 9], "max_megapixels": 9,
            "copies": "leave_out",
        }.items()
    ),
    # of a corpus
    ("corpora.more.near_duplicates", 3, names("corpus more") | of_runs("wide"), "corpus more",
     "data/corpora/more.json: made with other settings (corpora.more); run: sslpipe corpus more"),
    ("corpora.more.datasets", ["sun"], names("corpus more") | of_runs("wide"), "corpus more",
     "data/corpora/more.json: made with other settings (corpora.more); run: sslpipe corpus more"),
    # of which sets are scored or watched
    ("leaderboard", ["zoo"], {n for n in ALL_TRAINING if not n.endswith(" sun")}, "corpus base",
     "data/corpora/base.json: made with other settings (leaderboard and pretrain.online); "
     "run: sslpipe corpus base"),
    ("pretrain.online.datasets", ["zoo"], ALL_TRAINING, "corpus base",
     "data/corpora/base.json: made with other settings (leaderboard and pretrain.online); "
     "run: sslpipe corpus base"),
    # of one run
    ("runs.moco.lr", 0.01, of_runs("moco"), "encoder moco",
     "data/runs/moco/encoder.safetensors: made with other settings (lr 0.001, now 0.01); "
     "run: sslpipe pretrain moco"),
    ("runs.moco.seed", 3, of_runs("moco"), "encoder moco",
     "data/runs/moco/encoder.safetensors: made with other settings (seed 0, now 3); "
     "run: sslpipe pretrain moco"),
    ("runs.moco.backbone", "resnet34", of_runs("moco"), "encoder moco",
     "data/runs/moco/encoder.safetensors: made with other settings (backbone resnet18, now resnet34); "
     "run: sslpipe pretrain moco"),
    ("runs.moco.views", {"local": 2}, of_runs("moco"), "encoder moco",
     "data/runs/moco/encoder.safetensors: made with other settings (views.local 0, now 2); "
     "run: sslpipe pretrain moco"),
    # of one method
    ("methods.simclr.temperature", 0.3, of_runs("simclr"), "encoder simclr",
     "data/runs/simclr/encoder.safetensors: made with other settings (temperature 0.2, now 0.3); "
     "run: sslpipe pretrain simclr"),
    # of all runs
    ("pretrain.epochs", 9, ALL_RUNS, "encoder simclr",
     "data/runs/simclr/encoder.safetensors: made with other settings (epochs 5, now 9); "
     "run: sslpipe pretrain simclr"),
    ("pretrain.online.probe_every", 3, ALL_RUNS, "encoder simclr",
     "data/runs/simclr/encoder.safetensors: made with other settings (online.probe_every 2, now 3); "
     "run: sslpipe pretrain simclr"),
    # of how encoders are judged
    *(
        (f"evaluate.{key}", value, names("scores"), "scores moco zoo",
         "reports/metrics/zoo/moco.json: made with other settings (evaluate); "
         "run: sslpipe evaluate moco zoo")
        for key, value in {"knn.k": 5, "probe.epochs": 9, "few_labels.epochs": 9, "seed": 1}.items()
    ),
    *(
        (f"finetune.{key}", value, names("finetuned"), "finetuned moco sun",
         "reports/metrics/sun/finetune/moco.json: made with other settings (finetune); "
         "run: sslpipe finetune moco sun")
        for key, value in {"epochs": 9, "lr": [0.01], "batch_size": 8, "weight_decay": 0.1}.items()
    ),
]  # fmt: skip


@pytest.mark.parametrize("path, value, others, first, why", OTHERS, ids=[o[0] for o in OTHERS])
def test_other_settings_are_named_with_the_command(made, path, value, others, first, why):
    """And nothing else is of other settings, but for what is made of the first, which names it too."""
    found = wrong(changed((path, value)), made.layout)
    assert found.keys() == others
    assert found[first] == why


@pytest.mark.parametrize("first, later", [
    ("datasets.zoo.source.train_per_class", "packed zoo"),
    ("datasets.sun.resize", "encoder wide"),
    ("corpora.more.near_duplicates", "encoder wide"),
    ("runs.moco.lr", "features moco sun"),
    ("runs.moco.lr", "scores moco zoo"),
    ("runs.moco.lr", "finetuned moco zoo"),
])  # fmt: skip
def test_what_follows_names_what_is_to_be_made_first(made, first, later):
    (case,) = (other for other in OTHERS if other[0] == first)
    path, value, _, _, why = case
    assert wrong(changed((path, value)), made.layout)[later] == why


@pytest.mark.parametrize("path, value", [
    ("pretrain.checkpoint_minutes", 1), ("pretrain.gpus", 2), ("pretrain.compile", "never"),
    ("pretrain.views.workers", 2), ("runs.moco.checkpoint_minutes", 1),
    ("datasets.mine.source.path", "elsewhere"), ("datasets.sun", {"source": {"kind": "digits"}}),
    ("contact_sheets", ["spare"]), ("neighbour_strips", ["sun"]), ("report.resamples", 500),
    ("claims", {"C1": {"min_epochs": 3}}), ("finetune.runs", ["moco"]), ("runs.wide", ...),
    ("studies", {"lr": {"runs": ["moco", "simclr"], "x": "method"}}), ("methods.byol.lr", 0.5),
])  # fmt: skip
def test_settings_that_something_does_not_depend_on_leave_it_right(made, path, value):
    also = [("finetune.runs", ["moco"])] if path == "runs.wide" else []
    assert wrong(changed((path, value), *also), made.layout) == {}


def test_what_is_new_is_missing_and_all_else_right(made):
    params = changed(("runs.more", {"method": "moco", "backbone": "resnet18", "corpus": "base"}))
    assert wrong(params, made.layout) == {
        f"{kind} more{cell}": f"{file}: missing; it is made by: sslpipe {stage} more{cell}"
        for kind, stage, cell, file in (
            ("encoder", "pretrain", "", "data/runs/more/encoder.safetensors"),
            ("features", "embed", " zoo", "data/embeddings/more/zoo.npz"),
            ("features", "embed", " sun", "data/embeddings/more/sun.npz"),
            ("scores", "evaluate", " zoo", "reports/metrics/zoo/more.json"),
            ("scores", "evaluate", " sun", "reports/metrics/sun/more.json"),
        )
    }
    assert Whose(params, made.layout).wrong() == []  # nothing that is there is wrong
    params = changed(("finetune.runs", ["moco", "wide", "untrained"]))
    assert wrong(params, made.layout)["finetuned untrained zoo"] == (
        "reports/metrics/zoo/finetune/untrained.json: missing; "
        "it is made by: sslpipe finetune untrained zoo"
    )


def test_several_differences_are_named_up_to_three(made):
    settings = {"lr": 0.01, "temperature": 0.5, "epochs": 6, "seed": 7}
    few = changed(*((f"runs.moco.{key}", settings[key]) for key in ("lr", "seed")))
    why = wrong(few, made.layout)["encoder moco"]
    assert "made with other settings (lr 0.001, now 0.01; seed 0, now 7); run:" in why
    many = changed(*((f"runs.moco.{key}", value) for key, value in settings.items()))
    why = wrong(many, made.layout)["encoder moco"]
    assert why.count(", now ") == 3 and ", …); run: sslpipe pretrain moco" in why
    both = changed(("image_size", 48), ("datasets.spare.resize", "crop"))
    assert wrong(both, made.layout)["packed spare"] == (
        "data/packed/spare.csv: made with other settings (image_size, datasets.spare); "
        "run: sslpipe subset spare"
    )


def test_what_is_wrong_is_listed_once_each(made):
    params = changed(("runs.moco.lr", 0.01), ("datasets.spare.resize", "crop"))
    found = Whose(params, made.layout).wrong()
    assert [line.rpartition("; run: ")[2] for line in found] == [
        "sslpipe subset spare",
        "sslpipe pretrain moco",
    ]


@pytest.mark.parametrize("kind", STAGES)
def test_a_required_one_is_right_or_named(made, kind):
    artefact = next(artefact for artefact in all_of(made.params) if artefact.kind == kind)
    whose = Whose(made.params, made.layout)
    whose.require(artefact)
    assert whose.new(artefact) == whose.recorded(artefact)[KEY]
    empty = Whose(made.params, Layout(made.layout.root / "nothing"))
    with pytest.raises(UserError, match=r": missing; it is made by: sslpipe \w+"):
        empty.require(artefact)


# --- code -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stage", dict.fromkeys(stage for some in STAGES.values() for stage in some)
)
def test_other_code_is_named_with_the_command(made, monkeypatch, stage):
    before = provenance.code_of
    monkeypatch.setattr(
        provenance,
        "code_of",
        lambda some, *job: "other" if some == stage else before(some, *job),
    )
    whose = Whose(made.params, made.layout)
    kinds = [kind for kind, stages in STAGES.items() if stage in stages]
    for artefact in all_of(made.params):
        if artefact.kind in kinds:
            assert whose.trouble(artefact) == (
                f"{artefact.file(made.layout)}: made with other code ({stage}); "
                f"run: {artefact.made_by}"
            )
        elif not {part.kind for part in closure(artefact, made.params)} & set(kinds):
            assert whose.trouble(artefact) is None
        else:
            assert f"made with other code ({stage})" in whose.trouble(artefact)


def closure(artefact, params):
    """All that it is made of, in the end."""
    for part in inputs_of(artefact, params):
        yield part
        yield from closure(part, params)


# --- the looks of params.yaml -----------------------------------------------------------------


def backwards(value):
    """The same settings, with the keys in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """With two runs of equal settings, for an anchor to be of use."""
    base = experiment()
    base["runs"]["twin"] = deepcopy(base["runs"]["wide"])
    return base, written(tmp_path_factory.mktemp("twins"), base).layout


def as_it_is(base):
    return yaml.safe_dump(base, sort_keys=False)


def in_another_order(base):
    return yaml.safe_dump(backwards(base), sort_keys=False)


def with_other_numbers(base):
    text = as_it_is(base).replace(": 0.001\n", ": 1e-3\n").replace("- 0.001\n", "- 1.0e-3\n")
    text = text.replace("val: 0.5\n", "val: 5.0e-1\n").replace(": 0.0001\n", ": 1e-4\n")
    assert "1e-3" in text and "1.0e-3" in text and "1e-4" in text
    return text


def with_an_anchor(base):
    base = deepcopy(base)
    base["runs"]["twin"] = base["runs"]["wide"]  # PyYAML writes one object once
    text = as_it_is(base)
    assert "&id001" in text and "*id001" in text
    return text


def with_a_merged_anchor(base):
    base = deepcopy(base)
    del base["runs"]["twin"], base["runs"]["wide"]
    text = as_it_is(base)
    runs = "\nruns:\n  wide: &wide {backbone: resnet18, corpus: more, method: moco}\n  twin: {<<: *wide}\n"
    assert text.count("\nruns:\n") == 1
    return text.replace("\nruns:\n", runs)


def with_comments_in_one_line_each(base):
    lines = (f"{key}: {json.dumps(value)}  # so be it" for key, value in base.items())
    return "# An experiment.\n\n" + "\n\n".join(lines) + "\n"


@pytest.mark.parametrize("look", [
    as_it_is, in_another_order, with_other_numbers, with_an_anchor, with_a_merged_anchor,
    with_comments_in_one_line_each,
])  # fmt: skip
def test_the_looks_of_the_settings_change_nothing(tmp_path, twins, look):
    base, layout = twins
    (tmp_path / "params.yaml").write_text(look(base))
    assert wrong(load(tmp_path / "params.yaml"), layout) == {}


# --- inputs -----------------------------------------------------------------------------------


def again(made, artefact, params=None, **said):
    """What its stage writes beside it when it makes it again."""
    layout = made.layout
    whose = Whose(params or made.params, layout)
    path = {
        "originals": lambda name: layout.notes(name, "download"),
        "packed": layout.packed_record,
        "corpus": layout.corpus_record,
        "encoder": layout.pretrain_report,
    }[artefact.kind](artefact.name)
    write_sealed(path, read_sealed(path) | {KEY: whose.new(artefact)} | said)


INPUTS = [
    (Artefact("originals", "spare"), ["packed spare"]),
    (Artefact("packed", "spare"), []),
    (Artefact("packed", "sun"), ["corpus base", "corpus more"]),
    (Artefact("corpus", "more"), ["encoder wide"]),
    (
        Artefact("encoder", "moco"),
        sorted(n for n in of_runs("moco") if not n.startswith("encoder")),
    ),
]


@pytest.mark.parametrize("part, next_ones", INPUTS, ids=[str(part) for part, _ in INPUTS])
def test_an_input_that_came_out_otherwise_is_named(mine, part, next_ones):
    again(mine, part, **{CONTENT: "other"})
    found = wrong(mine.params, mine.layout)
    follows = {
        str(artefact) for artefact in all_of(mine.params) if part in closure(artefact, mine.params)
    }
    assert found.keys() == follows >= set(next_ones)
    made_by = {str(artefact): artefact.made_by for artefact in all_of(mine.params)}
    for name in next_ones:
        assert found[name].endswith(f": made with other inputs ({part}); run: {made_by[name]}")


REMADE = [
    (Artefact("originals", "spare"), ("datasets.spare.source", "elpv"), ["packed spare"]),
    (Artefact("packed", "sun"), ("datasets.sun.max_classes", 50), []),
    (Artefact("corpus", "more"), ("corpora.more.near_duplicates", 5), []),
    (Artefact("encoder", "moco"), ("runs.moco.seed", 9), []),
]


@pytest.mark.parametrize("part, setting, others", REMADE, ids=[str(part) for part, *_ in REMADE])
def test_an_input_that_came_out_equal_leaves_all_right(mine, part, setting, others):
    """Made again with other settings, of which it alone is; others: for which it is a setting too."""
    params = changed(setting)
    assert str(part) in wrong(params, mine.layout)
    again(mine, part, params)
    assert wrong(params, mine.layout).keys() == set(others)
    again(mine, part)
    assert wrong(mine.params, mine.layout) == {}


def test_images_on_this_machine_are_an_input(tmp_path):
    folder = tmp_path / "mine" / "a"
    folder.mkdir(parents=True)
    for number in range(3):
        Image.new("L", (9, 9), number).save(folder / f"{number}.png")
    base = experiment()
    made = written(tmp_path, base)
    assert wrong(made.params, made.layout) == {}
    (folder / "0.png").touch()
    assert wrong(made.params, made.layout) == {}
    Image.new("L", (9, 9), 200).save(folder / "0.png")
    why = "data/raw/mine.tar: made with other inputs (images); run: sslpipe download mine"
    assert wrong(made.params, made.layout) == {"originals mine": why, "packed mine": why}
    shutil.move(tmp_path / "mine", tmp_path / "moved")
    assert wrong(made.params, made.layout) == {}  # as on a machine that never had them
    base["datasets"]["mine"]["source"]["path"] = "moved"
    assert wrong(check(base), made.layout) == {"originals mine": why, "packed mine": why}
    Image.new("L", (9, 9), 0).save(tmp_path / "moved/a/0.png")
    assert wrong(check(base), made.layout) == {}


@pytest.mark.parametrize("kind", STAGES)
def test_an_earlier_version_said_nothing(mine, kind):
    artefact = next(artefact for artefact in all_of(mine.params) if artefact.kind == kind)
    layout, name, dataset = mine.layout, artefact.name, artefact.dataset
    if kind in CELLS:
        place = {
            "features": layout.embedding,
            "scores": layout.predictions,
            "finetuned": layout.finetune_predictions,
        }[kind](name, dataset)
        arrays = read_arrays(place)
        del arrays[KEY]
        write_arrays(place, arrays)
    else:
        place = {
            "originals": layout.notes(name, "download"),
            "packed": layout.packed_record(name),
            "corpus": layout.corpus_record(name),
            "encoder": layout.pretrain_report(name),
        }[kind]
        said = read_sealed(place)
        del said[KEY], said[CONTENT]
        write_sealed(place, said)
    whose = Whose(mine.params, layout)
    why = (
        f"{artefact.file(layout)}: does not say what it was made of (an earlier version?); "
        f"run: {artefact.made_by}"
    )
    assert whose.trouble(artefact) == why
    assert whose.wrong() == [why]


def test_where_only_what_git_has_is_there_reports_tell_it(tmp_path):
    base = experiment()
    params, layout = check(base), Layout(tmp_path)
    for stage in (download, subset, describe):
        stage.run(params, layout, "sun")
    whose = Whose(params, layout)
    before = {
        kind: whose.recorded(Artefact(kind, "sun"))[CONTENT] for kind in ("originals", "packed")
    }
    for gone in ("data/raw", "data"):
        shutil.rmtree(tmp_path / gone)
        whose = Whose(params, layout)
        for kind, expected in before.items():
            assert whose.trouble(Artefact(kind, "sun")) is None
            assert whose.content(Artefact(kind, "sun")) == expected
    base["datasets"]["sun"]["resize"] = "crop"
    whose = Whose(check(base), layout)
    assert whose.trouble(Artefact("originals", "sun")) is None
    assert "made with other settings (datasets.sun); run: sslpipe subset sun" in whose.trouble(
        Artefact("packed", "sun")
    )


# --- damage -----------------------------------------------------------------------------------

DAMAGED = [
    ("data/raw/sun.json", "sslpipe download sun"),
    ("data/packed/sun.json", "sslpipe subset sun"),
    ("reports/data/more.json", "sslpipe corpus more"),
    ("reports/pretrain/moco.json", "sslpipe pretrain moco"),
    ("data/embeddings/moco/sun.npz", "sslpipe embed moco sun"),
    ("reports/predictions/sun/moco.npz", "sslpipe evaluate moco sun"),
    ("reports/predictions/sun/finetune/moco.npz", "sslpipe finetune moco sun"),
]


@pytest.mark.parametrize("file, command", DAMAGED, ids=[file for file, _ in DAMAGED])
@pytest.mark.parametrize("how", ["cut", "empty", "changed"])
def test_a_damaged_report_is_one_line(mine, file, command, how):
    path = mine.layout.root / file
    text = path.read_bytes()
    if how == "changed":
        text = text.replace(b'"content"', b'"contents"') if path.suffix == ".json" else text[30:]
    path.write_bytes({"cut": text[: len(text) // 2], "empty": b"", "changed": text}[how])
    (line,) = Whose(mine.params, mine.layout).wrong()
    assert line.startswith(f"{path}: ") and "\n" not in line
    assert line.endswith(f"; delete it and run: {command}")
    _, stage, *names = command.split()
    with pytest.raises(UserError) as caught:
        Whose(mine.params, mine.layout).trouble(made_at(stage, tuple(names)))
    assert str(caught.value) == line


def test_a_flipped_bit_of_arrays_is_an_answer_in_one_line(mine):
    """Nothing else is raised, whatever is read."""
    path = mine.layout.embedding("moco", "sun")
    text, rng, artefact = path.read_bytes(), random.Random(0), Artefact("features", "moco", "sun")
    answers = []
    for place in range(0, len(text), 3):
        flipped = bytearray(text)
        flipped[place] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        try:
            answers.append(Whose(mine.params, mine.layout).trouble(artefact))
        except UserError as error:
            answers.append(str(error))
    assert any(answers) and not any("\n" in answer for answer in answers if answer)


# --- where records are kept -------------------------------------------------------------------


def test_one_array_of_a_file_is_read(tmp_path):
    path = tmp_path / "x.npz"
    said = {"identity": "0", "names": ["é", "b"], "none": None}
    arrays = {"features": np.arange(6.0).reshape(2, 3), "made_of": packed_json(said)}
    for compressed in (False, True):
        write_arrays(path, arrays, compressed=compressed)
        assert np.array_equal(read_array(path, "features", "sslpipe x"), arrays["features"])
        assert unpacked_json(read_array(path, "made_of", "sslpipe x")) == said
        assert unpacked_json(read_arrays(path)["made_of"]) == said
        assert read_array(path, "others", "sslpipe x") is None
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"x\.npz: damaged \(.*; delete it and run: sslpipe x$"):
        read_array(path, "features", "sslpipe x")
    with pytest.raises(UserError, match=r"y\.npz: damaged"):
        read_array(tmp_path / "y.npz", "features", "sslpipe x")


def test_one_array_is_read_though_another_is_damaged(tmp_path):
    """It is unchecked: who reads them all notices."""
    path = tmp_path / "x.npz"
    values = np.arange(1000, dtype=np.float64)
    write_arrays(path, {"features": values, "made_of": packed_json("so")})
    text = path.read_bytes()
    assert text.count(values.tobytes()) == 1
    path.write_bytes(text.replace(values.tobytes(), (values + 1).tobytes()))
    assert unpacked_json(read_array(path, "made_of", "sslpipe x")) == "so"
    with pytest.raises(UserError, match="damaged"):
        read_arrays(path)


def test_a_picture_says_what_it_was_made_of(tmp_path):
    path = tmp_path / "x.png"
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8))
    path.write_bytes(as_png(picture, of="0123abc"))
    assert made_of(path) == "0123abc"
    assert as_png(picture, of="0123abc") == path.read_bytes()
    assert as_png(picture, of="0123abd") != path.read_bytes()
    with Image.open(path) as read:
        assert read.info == {"made_of": "0123abc"}
        assert np.array_equal(np.asarray(read), np.asarray(picture))
    path.write_bytes(as_png(picture))
    assert made_of(path) is None
    assert Image.open(io.BytesIO(path.read_bytes())).info == {}


@pytest.mark.parametrize("text", [None, b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_says_nothing(tmp_path, text):
    path = tmp_path / "x.png"
    if text is not None:
        path.write_bytes(text)
    assert made_of(path) is None
