"""The presets of the study hold every step of it; docs/study.md reckons with what they say."""

import fnmatch
import re
from collections import defaultdict
from decimal import Decimal
from math import prod
from pathlib import Path

import pytest
import yaml

from sslpipe.params import load, resolve
from sslpipe.running.cost import cost_of
from sslpipe.training.loop import build_method

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/study.md").read_text()
SCORED = ["cub", "mini_imagenet", "sun"]
SWEPT = {
    "lr": "settings.lr",
    "proj": "settings.projector.output",
    "wd": "settings.weight_decay",
    "batch": "pretrain.batch_size",
}


@pytest.fixture(scope="module")
def study():
    return load(ROOT / "presets/study.yaml")


@pytest.fixture(scope="module")
def small():
    return load(ROOT / "presets/study_small.yaml")


def runs_of(params):
    return {name: resolve(params, name) for name in params.runs}


def flat(values, path=""):
    """Nested dictionaries → {"a.b": value}."""
    if not isinstance(values, dict):
        return {path: values}
    found = {}
    for key, value in values.items():
        found |= flat(value, f"{path}.{key}" if path else key)
    return found


def changed(run, base):
    """What two resolved runs differ in, beside their names: {path: the first one's value}."""
    one, other = flat(run.model_dump()), flat(base.model_dump())
    paths = (one.keys() | other.keys()) - {"name"}
    return {path: one.get(path) for path in paths if one.get(path) != other.get(path)}


def value_at(params, path):
    for key in path.split("."):
        params = params[key]
    return params


def stages_of(params_file):
    """How many stages dvc.yaml has with these parameters."""
    params = yaml.safe_load(params_file.read_text())
    count = 0
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values():
        axes = [stage["foreach"]] if "foreach" in stage else stage.get("matrix", {}).values()
        count += prod(len(value_at(params, axis.strip("${}"))) for axis in axes)
    return count


# --- both -----------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["study", "study_small"])
def test_three_scored_sets_in_three_nested_corpora(preset, request):
    params = request.getfixturevalue(preset.removeprefix("study_"))
    assert params.leaderboard == params.pretrain.online.datasets == SCORED
    one, two, three = (corpus.datasets for corpus in params.corpora.values())
    assert one == SCORED
    assert two[:3] == one and three[:4] == two and len(three) == len(params.datasets) == 5
    assert all(params.datasets[name].labelled == (name in SCORED) for name in params.datasets)


@pytest.mark.parametrize(
    ("preset", "small_net", "large_net", "plus"),
    [
        ("study", "resnet50", "resnet101", ["inat", "cc12m"]),
        ("study_small", "resnet18", "resnet34", ["nat", "web"]),
    ],
)
def test_every_step_of_the_order_of_experiments(preset, small_net, large_net, plus, request):
    params = request.getfixturevalue(preset.removeprefix("study_"))
    runs = runs_of(params)
    more, most = f"base_{plus[0]}", f"base_{plus[0]}_{plus[1]}"
    short = f"_{plus[0]}"
    for method in ("simclr", "moco", "byol"):
        assert runs[f"{method}_{small_net}"].corpus == "base"
        assert runs[f"{method}_{small_net}{short}"].corpus == more
        local = f"_{small_net}_local" if method == "moco" else f"_{small_net}{short}_local"
        assert runs[f"{method}{local}"].pretrain.views.local == 4
    backbones = {run.backbone for run in runs.values() if run.trained}
    baselines = {run.backbone for run in runs.values() if not run.trained}
    assert baselines == backbones | {"pixels"}
    for backbone in backbones:
        assert runs[f"moco_{backbone}"].corpus == "base"
    assert runs[f"moco_{small_net}_all"].corpus == most
    final = runs[f"moco_{large_net}_all"]
    assert (final.corpus, final.pretrain.epochs) == (most, 100)


@pytest.mark.parametrize("preset", ["study", "study_small"])
def test_runs_differ_from_their_neighbours_in_one_thing(preset, request):
    """`A_local` is A with local crops, `A_nat` A on another corpus, and so on."""
    runs = runs_of(request.getfixturevalue(preset.removeprefix("study_")))
    allowed = {
        "inat": {"corpus"},
        "nat": {"corpus"},
        "all": {"corpus", "pretrain.epochs"},
        "local": {"pretrain.views.local", "pretrain.views.local_size"},
        "48px": {"pretrain.views.local_size"},
        "long": {"pretrain.epochs"},
        "seed1": {"pretrain.seed"},
        "seed2": {"pretrain.seed"},
    }
    compared = 0
    for name, run in runs.items():
        base, _, what = name.rpartition("_")
        if what in allowed:
            assert changed(run, runs[base]).keys() <= allowed[what], name
            compared += 1
    assert compared >= 8


# --- the full study -------------------------------------------------------------------------


def test_the_full_study_is_the_study(study):
    kinds = [dataset.source.kind for dataset in study.datasets.values()]
    assert kinds == ["cub200_2011", "mini_imagenet", "sun397", "inaturalist", "cc12m"]
    assert study.datasets["inat"].source.images == 200_000
    assert study.datasets["cc12m"].source.images == 600_000
    assert study.image_size == 96
    assert (study.evaluate.knn.k, study.evaluate.probe.epochs) == (20, 30)
    default = study.evaluate.probe.default
    assert (default.lr, default.epochs) == (1e-3, 10)
    online = study.pretrain.online
    assert (online.knn_every, online.probe_every) == (5, 10)
    assert (online.probe_lr, online.probe_epochs) == (1e-3, 10)
    assert 1e-2 in study.evaluate.probe.lr and 0.0 in study.evaluate.probe.weight_decay
    methods = study.methods
    assert [m.optimizer for m in (methods.simclr, methods.moco, methods.byol)] == [
        "adam", "adam", "sgd",
    ]  # fmt: skip
    assert methods.simclr.projector == methods.moco.projector == methods.byol.projector
    backbones = {run.backbone for run in runs_of(study).values()} - {"pixels"}
    assert backbones == {"resnet50", "wide_resnet50_2", "resnet101"}
    # As the study does, local crops of the global ones' size.
    assert runs_of(study)["moco_resnet50_local"].pretrain.views.local_size is None


def test_four_sweeps_of_one_key_each(study):
    runs = runs_of(study)
    sweeps = defaultdict(set)
    for name, run in runs.items():
        match = re.fullmatch(r"(\w+)_(lr|proj|wd|batch)_(\d+)", name)
        if match is None:
            continue
        base, what, digits = match.groups()
        path = SWEPT[what]
        assert changed(run, runs[base]).keys() == {path}, name
        value = changed(run, runs[base])[path]
        assert digits == f"{Decimal(f'{value:g}'):f}".replace(".", ""), name  # 0.003: 0003
        sweeps[base, what].add(value)
    assert {what for _, what in sweeps} == set(SWEPT)
    assert {base for base, what in sweeps if what == "lr"} == {
        "moco_resnet50", "simclr_resnet50", "byol_resnet50",
    }  # fmt: skip
    for (base, what), values in sweeps.items():
        assert 3 <= len(values) <= 5
        own = flat(runs[base].model_dump())[SWEPT[what]]
        assert min(values) < own < max(values), (base, what)


def test_queues_stay_well_below_the_corpus(study):
    """The check of params.yaml knows upper bounds only."""
    smallest = 0.9 * 5_994 + 50_000 + 0.9 * 19_850
    assert study.methods.moco.queue < smallest / 4


# --- the small one --------------------------------------------------------------------------


def test_the_small_study_reads_five_zips_of_the_inbox(small):
    assert [dataset.source.path for dataset in small.datasets.values()] == [
        f"data/inbox/{name}.zip"
        for name in (
            "cub200_2010", "mini_imagenet", "sun_scenes", "naturalist15", "web_photos_unlabelled",
        )
    ]  # fmt: skip
    assert small.pretrain.batch_size == 256
    moco = small.methods.moco
    assert (moco.queue, moco.ema, moco.temperature) == (4096, 0.99, 0.1)


# --- docs/study.md --------------------------------------------------------------------------


def test_the_page_counts_stages_and_runs(study, small):
    full, little = (stages_of(ROOT / f"presets/{name}.yaml") for name in ("study", "study_small"))
    assert full > 300 and little > 100
    assert "| stages | more than 300 | more than 100 |" in PAGE
    counts = []
    for params in (study, small):
        trained = sum(run.trained for run in runs_of(params).values())
        counts.append(f"{trained} trainings, {len(params.runs) - trained} baselines")
    assert f"| runs | {counts[0]} | {counts[1]} |" in PAGE


def work_rows():
    """Of the table of work: (patterns of runs, trainings, GFLOP, million images, PFLOP, hours)."""
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 8 and cells[0].startswith("`") and cells[1].isdigit():
            numbers = [float(cell) for cell in cells[2:]]
            yield re.findall(r"`([^`]+)`", cells[0]), int(cells[1]), *numbers[:3], numbers[3:]


def test_the_table_of_work_adds_up(study):
    """Each training stands in one row; images, operations and hours follow from the preset."""
    images = {
        name: int(
            re.search(rf"^\| `{name}` \| ([\d,]+) \|", PAGE, re.MULTILINE)[1].replace(",", "")
        )
        for name in study.corpora
    }
    assert images["base"] == round(0.9 * 5_994) + 50_000 + round(0.9 * 19_850)
    runs = {name: run for name, run in runs_of(study).items() if run.trained}
    totals = [0.0] * 4
    found = []
    for patterns, trainings, gflop, millions, pflop, hours in work_rows():
        names = [n for n in runs if any(fnmatch.fnmatchcase(n, pattern) for pattern in patterns)]
        assert len(names) == trainings, patterns
        found += names
        for name in names:
            seen = images[runs[name].corpus] * runs[name].pretrain.epochs
            assert seen / 1e6 == pytest.approx(millions, abs=0.01), name
        assert pflop == pytest.approx(gflop * millions, rel=0.02)
        for hour, rate in zip(hours, (12, 62, 134), strict=True):
            assert hour == pytest.approx(pflop / rate / 3.6, abs=0.06)
        totals = [t + trainings * x for t, x in zip(totals, (pflop, *hours), strict=True)]
    assert sorted(found) == sorted(runs)
    (together,) = [line for line in PAGE.splitlines() if line.startswith("| together | 44")]
    stated = [float(number) for number in re.findall(r"(\d+) in all", together)]
    assert stated == pytest.approx(totals, rel=0.02)


@pytest.mark.parametrize("name", ["moco_resnet50", "simclr_resnet50_inat_local"])
def test_the_operations_are_what_the_package_counts(study, name):
    run = resolve(study, name)
    sides = [run.image_size] * 2, [run.image_size] * run.pretrain.views.local
    cost = cost_of(build_method(run, None), run.settings.optimizer, 16, *sides)
    (stated,) = [gflop for patterns, _, gflop, *_ in work_rows() if name in patterns]
    assert cost.flops / 16 / 1e9 == pytest.approx(stated, rel=0.01)
