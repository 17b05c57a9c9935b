import copy
import json
import tempfile
from pathlib import Path

import jsonschema
import pytest
import yaml
from dvc.utils.serialize import load_yaml
from hypothesis import given
from hypothesis import strategies as st

from sslpipe.errors import UserError
from sslpipe.params import check, json_schema, load, resolve
from sslpipe.schema.file import read
from sslpipe.schema.mistakes import most_train_images

ROOT = Path(__file__).resolve().parent.parent
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))


@pytest.fixture
def content():
    return yaml.safe_load((ROOT / "presets/default.yaml").read_text())


def put(content, path, value):
    *parents, last = path.split(".")
    for parent in parents:
        content = content[parent]
    content[last] = value


@pytest.mark.parametrize("path", [*PRESETS, ROOT / "params.yaml"], ids=lambda p: p.stem)
def test_presets_are_valid_for_both_checks(path):
    params = load(path)
    for run in params.runs:
        resolve(params, run)
    jsonschema.validate(yaml.safe_load(path.read_text()), json_schema())


def test_committed_schema_is_current():
    committed = json.loads((ROOT / "workflow/params.schema.json").read_text())
    assert committed == json_schema(), "run: sslpipe schema > workflow/params.schema.json"


MISTAKES = [
    ("pretrain.epocs", 3, "pretrain.epocs: unknown key; allowed: epochs, batch_size,"),
    ("extra", 3, "extra: unknown key; allowed: image_size, datasets,"),
    ("methods.moco.lr", "fast", "methods.moco.lr: input should be a valid number"),
    ("methods.moco.lr", -1, "methods.moco.lr: input should be greater than 0 (got -1)"),
    ("runs.moco_resnet18.queu", 3, "runs.moco_resnet18.queu: unknown key; allowed: method,"),
    ("runs.moco_resnet18.queue", "x", "runs.moco_resnet18.queue: input should be a valid integer"),
    ("runs.moco_resnet18.views", {"locl": 2}, "runs.moco_resnet18.views.locl: unknown key"),
    ("runs.simclr_resnet18.queue", 64, "runs.simclr_resnet18.queue: unknown key"),
    ("runs.moco_resnet18.corpus", "all", "runs.moco_resnet18.corpus: no corpus 'all'; there are: "),
    ("runs.moco_resnet18.method", "dino", "runs.moco_resnet18.method: input should be 'simclr'"),
    ("runs.moco_resnet18.queue", 10**6, "runs.moco_resnet18: queue 1000000 is larger than corpus"),
    ("runs.moco_resnet18.batch_size", 102, "runs.moco_resnet18: batch_size 102 must be a multiple"),
    ("runs.moco_resnet18.batch_size", 8192, "batch_size 8192 is larger than corpus 'base'"),
    ("runs.moco_resnet18.queue", 64, "queue 64 is smaller than the 128 keys of one step"),
    ("runs.chance", {"method": "random", "backbone": "pixels", "corpus": "base"}, "runs.chance: "),
    ("runs.a-b", {"method": "random", "backbone": "pixels", "corpus": "base"}, "runs.a-b: name"),
    ("runs.raw_pixels.method", "byol", "runs.raw_pixels.backbone: pixels cannot be trained"),
    ("leaderboard", ["cub"], "leaderboard.0: no data set 'cub'; there are: photo_patches, digits"),
    ("leaderboard", [], "leaderboard: list should have at least 1 item"),
    ("corpora.base.datasets", ["cub"], "corpora.base.datasets.0: no data set 'cub'"),
    ("datasets.digits.source", "cifar", "datasets.digits.source: "),
    ("datasets.digits.source", {"kind": "folder"}, "datasets.digits.source.path: field required"),
    ("datasets.digits.splits", {"val": 0.4, "public": 0.4, "private": 0.4}, "must leave a share"),
    ("datasets.digits.labelled", False, "leaderboard.1: 'digits' has no labels"),
    ("pretrain.views.scale", [1.0, 0.2], "pretrain.views.scale: lowest first: [0.2, 1.0]"),
    ("pretrain.views.blur_kernel", 4, "pretrain.views.blur_kernel: must be odd"),
    ("pretrain.online.datasets", ["cub"], "pretrain.online.datasets.0: no labelled data set 'cub'"),
    ("image_size", 16, "image_size: 16 is too small for stem 'imagenet': at least 17 pixels"),
    (
        "runs.moco_resnet18_local.views",
        {"local": 2, "local_size": 16},
        "runs.moco_resnet18_local: views.local_size: 16 is too small for stem 'imagenet'",
    ),
    ("pretrain.epochs", "6", "pretrain.epochs: input should be a valid integer (got '6')"),
    ("pretrain.epochs", True, "pretrain.epochs: input should be a valid integer (got True)"),
    ("pretrain.seed", 2**70, "pretrain.seed: input should be less than 4294967296"),
    ("pretrain.views.blur_kernel", 65, "views.blur_kernel 65 is too wide for image_size 32"),
    ("datasets.photo_patches.splits", {"val": 0.2}, "photo_patches has splits of its own"),
    ("datasets.digits.source", None, "datasets.digits.source: expected one of photo_patches, "),
    ("datasets.digits.source", {"images": 1}, "datasets.digits.source: expected one of photo_pat"),
    ("datasets.digits.source", "cub", "datasets.digits.source: expected one of photo_patches, "),
    ("datasets.digits.source", "cc12m", "datasets.digits.labelled: this source has no labels"),
    (
        "datasets.digits.source",
        {"kind": "cub200_2011", "checksums": {"cub.tgz": "md5:" + 32 * "0"}},
        "datasets.digits.source.checksums.cub.tgz: no such file of this source; there are: CUB_200",
    ),
    (
        "datasets.digits.source",
        {"kind": "cub200_2011", "checksums": {"CUB_200_2011.tgz": "sha1:00"}},
        "datasets.digits.source.checksums.CUB_200_2011.tgz: expected md5: or sha256:",
    ),
    *(
        (
            "datasets.digits.source",
            {"kind": "cub200_2011", "mirrors": [address]},
            "datasets.digits.source.mirrors.0: expected the address of a folder",
        )
        for address in (
            "example.org",
            "ftp://a/b",
            "http://",
            "http://ho st/",
            "http://a/b?c=1",
            "http://[::1",
            "http://host:99999",
        )
    ),
    ("contact_sheets", ["digits", "digits"], "contact_sheets: the same data set is named twice"),
    ("contact_sheets", ["cub"], "contact_sheets.0: no data set 'cub'; there are: photo_patches"),
    ("corpora.digits", {"datasets": ["digits"]}, "corpora.digits: a data set has this name too"),
    (
        "neighbour_strips",
        ["cub"],
        "neighbour_strips.0: 'cub' is not scored; allowed: photo_patches",
    ),
    ("neighbour_strips", ["digits"] * 2, "neighbour_strips: the same data set is named twice"),
    ("datasets.digits.source", "cifar10", "neighbour_strips.1: the licence of cifar10 does not"),
    ("finetune.runs", ["moco"], "finetune.runs.0: no run 'moco'; there are: simclr_resnet18, "),
    ("finetune.runs", ["raw_pixels"], "finetune.runs.0: 'raw_pixels' has no encoder"),
    ("finetune.runs", ["simclr_resnet18"] * 2, "finetune.runs: the same run is named twice"),
    (
        "studies.seed.runs",
        ["nope"],
        "studies.seed.runs.0: no run 'nope'; there are: simclr_resnet18",
    ),
    (
        "studies.seed.x",
        "lrr",
        "studies.seed.x: run 'moco_resnet18' has no setting 'lrr'; there are",
    ),
    (
        "studies.seed.x",
        "projector",
        "studies.seed.x: run 'moco_resnet18' has no setting 'projector'",
    ),
    ("report.confidence", 95, "report.confidence: input should be less than 1"),
    ("claims.C1", {"early": 2.0}, "claims.C1.early: input should be less than 1"),
    ("evaluate.probe.optimizer", "adam", "evaluate.probe.optimizer: input should be a valid list"),
    ("runs", None, "runs: input should be a valid dictionary"),
    ("evaluate.knn.k", 0, "evaluate.knn.k: input should be greater than or equal to 1 (got 0)"),
    ("pretrain.accumulate", 3, "batch_size 128 must be a multiple of accumulate 3 × gpus 1"),
    ("pretrain.gpus", 3, "batch_size 128 must be a multiple of accumulate 1 × gpus 3"),
    ("pretrain.gpus", 8, "runs.moco_resnet18: bn_groups 4 must be 1 or a multiple of gpus 8"),
    ("pretrain.accumulate", 32, "batch_size 128 must be a multiple of accumulate 32 × bn_groups 4"),
    (
        "runs.random_resnet18",
        {
            "method": "simclr",
            "backbone": "resnet18",
            "corpus": "base",
            "accumulate": 2,
            "compile": "graphs",
        },
        "runs.random_resnet18: compile: graphs does not go with accumulate 2",
    ),
]


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_a_mistake_is_one_line_with_its_path(content, path, value, message):
    put(content, path, value)
    with pytest.raises(UserError) as caught:
        check(content)
    lines = str(caught.value).splitlines()
    assert any(message in line for line in lines), lines
    assert all(line.startswith("params.yaml: ") for line in lines)


def test_every_mistake_is_told_at_once(content):
    put(content, "pretrain.epocs", 3)
    put(content, "evaluate.knn.k", 0)
    with pytest.raises(UserError) as caught:
        check(content)
    assert len(str(caught.value).splitlines()) == 2


def test_a_method_that_is_used_must_be_listed(content):
    del content["methods"]["random"]
    with pytest.raises(UserError, match=r"methods\.random: missing"):
        check(content)


def test_a_key_that_stands_twice(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "presets/default.yaml").read_text() + "\nimage_size: 64\n")
    with pytest.raises(UserError, match="'image_size' stands twice"):
        load(path)


def test_no_file_and_no_yaml(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "params.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1\n")
    with pytest.raises(UserError, match="not valid YAML"):
        load(tmp_path / "bad.yaml")


@pytest.mark.parametrize("text", ["? [a]\n: 1\n", "a: 2024-13-45\n", "- 1\n", "", "a: \xff\n"])
def test_odd_yaml_is_one_line(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError) as caught:
        load(path)
    assert len(str(caught.value).splitlines()) == 1


def test_anchors_and_merge_keys_are_ordinary_yaml(tmp_path):
    path = tmp_path / "params.yaml"
    text = (ROOT / "presets/default.yaml").read_text()
    path.write_text(
        text.replace(
            "runs:\n",
            "runs:\n  first: &b {method: moco, backbone: resnet18, "
            "corpus: base}\n  again: {<<: *b, lr: 0.5}\n",
        )
    )
    assert resolve(load(path), "again").settings.lr == 0.5


def test_a_mistake_that_many_runs_share_is_told_once(content):
    put(content, "pretrain.online.datasets", ["cub"])
    with pytest.raises(UserError) as caught:
        check(content)
    assert len(str(caught.value).splitlines()) == 1


def test_numbers_in_scientific_notation_are_numbers(tmp_path):
    path = tmp_path / "params.yaml"
    text = (ROOT / "presets/default.yaml").read_text()
    path.write_text(text.replace("lr: 1.0e-3", "lr: 1e-3", 1))
    assert load(path).methods.simclr.lr == 1e-3


@pytest.mark.parametrize("name", ["on", "No", "1e3", "007", "null", "~", "2024-01-01", "1:04"])
@pytest.mark.parametrize("kind", ["runs", "datasets", "corpora", "studies", "claims"])
def test_a_name_that_yaml_takes_for_something_else(tmp_path, kind, name):
    path = tmp_path / "params.yaml"
    text = (
        (ROOT / "presets/default.yaml").read_text(encoding="utf-8").replace("claims: {}", "claims:")
    )
    path.write_text(text.replace(f"{kind}:\n", f"{kind}:\n  {name}: {{}}\n", 1), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load(path)
    (line,) = str(caught.value).splitlines()
    assert f"params.yaml: {kind}.{name}: YAML reads {name} as " in line
    assert line.endswith(": quote it or choose another name")


def test_a_quoted_name_is_one(content, tmp_path):
    content["runs"]["007"] = content["runs"]["moco_resnet18"]
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert "007" in load(path).runs


def test_a_name_in_a_list_is_quoted_too(content):
    put(content, "leaderboard", [True])
    with pytest.raises(
        UserError, match=r"leaderboard\.0: .*\(got True\); quote it if it is a name"
    ):
        check(content)


@pytest.mark.parametrize(
    ("text", "readings"),
    [("010", "8 here .* and 10 for DVC"), ("1:04", "64 here .* and '1:04' for")],
)
def test_a_number_that_dvc_reads_as_another(tmp_path, text, readings):
    path = tmp_path / "params.yaml"
    default = (ROOT / "presets/default.yaml").read_text(encoding="utf-8")
    path.write_text(default.replace("  epochs: 5\n", f"  epochs: {text}\n"), encoding="utf-8")
    with pytest.raises(UserError, match=rf"^\S+: pretrain\.epochs: {text} is {readings}"):
        load(path)


@given(st.from_regex(r"[-+]?(?!\.\.\.)[0-9.][0-9._:xobeE+-]{0,7}", fullmatch=True))
def test_what_begins_as_a_number_is_what_dvc_reads_or_refused(scalar):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_text(f"a: {scalar}\n", encoding="utf-8")
        try:
            ours = read(path)
        except UserError:
            return
        assert repr(ours) == repr(load_yaml(path))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "expected a path on this machine"),
        ("x\0y", "expected a path on this machine"),
        ("x" * 300, "a name of more than 255 bytes"),
        (".", "the project itself lies there"),
        ("..", "the project itself lies there"),
    ],
)
def test_paths_that_no_images_can_have(content, path, message):
    put(content, "datasets.mine", {"source": {"kind": "folder", "path": path}})
    with pytest.raises(UserError, match=rf"datasets\.mine\.source\.path: .*{message}"):
        check(content)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"splits": {"train": "a", "test": ["b", "a"]}}, "one folder in two splits"),
        ({"labels": "x.csv", "depth": 2}, "labels come from a table"),
        ({"encoding": "rot13"}, "no encoding that Python knows"),
        ({"encoding": "unicode_escape"}, "no encoding that Python knows"),
        ({"encoding": "nonsense"}, "no encoding that Python knows"),
        ({"depth": 0}, "greater than or equal to 1"),
        ({"splits": {"validation": "a"}}, "validation"),
    ],
)
def test_settings_of_a_folder_that_cannot_be(content, settings, message):
    put(content, "datasets.mine", {"source": {"kind": "folder", "path": "x", **settings}})
    with pytest.raises(UserError, match=message):
        check(content)


def test_most_keys_missing_names_the_file_to_start_from(content):
    with pytest.raises(UserError) as caught:
        check({key: content[key] for key in ("datasets", "runs")})
    assert (
        str(caught.value)
        .splitlines()[-1]
        .startswith("params.yaml: start from presets/default.yaml")
    )


def test_overrides_reach_method_and_pretrain_and_nested_keys(content):
    content["runs"]["x"] = {
        "method": "moco",
        "backbone": "resnet18",
        "corpus": "base",
        "lr": 0.5,
        "epochs": 3,
        "projector": {"output": 64},
        "views": {"local": 4},
    }
    params = check(content)
    run, base = resolve(params, "x"), resolve(params, "moco_resnet18")
    assert (run.settings.lr, run.pretrain.epochs) == (0.5, 3)
    assert run.settings.projector.output == 64
    assert run.settings.projector.hidden == base.settings.projector.hidden
    assert run.pretrain.views == base.pretrain.views.model_copy(update={"local": 4})
    assert params.methods.moco.lr != 0.5


def test_size_of_a_corpus_is_bounded_before_any_download(content):
    content["datasets"]["mine"] = {"source": {"kind": "folder", "path": "x"}}
    content["corpora"]["more"] = {"datasets": ["photo_patches", "digits"]}
    content["corpora"]["unknown"] = {"datasets": ["digits", "mine"]}
    params = check(copy.deepcopy(content))
    assert most_train_images(params, "base") == 4000
    assert most_train_images(params, "more") == 4000 + 1797
    assert most_train_images(params, "unknown") is None
