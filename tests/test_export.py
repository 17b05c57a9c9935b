"""export: what torchvision and timm load are our encoders, and the model card says what is true."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
import yaml
from huggingface_hub import ModelCard
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parent / "reporting"))
from synthetic import RUNS, content, read, rewrite, write_reports

from edits import EDITS, UNTRAINED
from made_of import stamp
from sslpipe import cli
from sslpipe.data.decode import How, central_square, decode, resize
from sslpipe.errors import UserError
from sslpipe.io.files import sha256
from sslpipe.layout import Layout
from sslpipe.networks.backbones import build_backbone
from sslpipe.networks.encoder_file import load_encoder, save_encoder
from sslpipe.params import resolve
from sslpipe.stages import export
from sslpipe.views.normalize import as_input

SMALL = {"method": "moco", "stem": "small"}
WIDE = {"method": "moco", "backbone": "wide_resnet50_2"}
MADE = {**RUNS, "small": SMALL, "wide": WIDE}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A report with encoders whose batch norms have seen something, so that no two layers are alike."""
    folder = tmp_path_factory.mktemp("project")
    params, layout = write_reports(folder, content(MADE), images=60)
    for name in ("moco", "small", "wide", "untrained"):
        run = resolve(params, name)
        torch.manual_seed(3)
        encoder = build_backbone(run.backbone, stem=run.pretrain.stem, bn_groups=2)
        encoder.train()(torch.randn(4, 3, 32, 32))
        save_encoder(layout.encoder(name), encoder, run, {})
    stamp(params, layout)
    return params, layout


@pytest.fixture
def cwd(monkeypatch):
    return monkeypatch.chdir


def exported(project, name, to=None):
    params, layout = project
    export.run(params, layout, name, to)
    return to or layout.export(name)


def blocks(card):
    return re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)


def photograph(path, height=40, width=71):
    """As a PNG whatever its name, so that decoding loses nothing."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")
    return pixels


# --- weights ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["moco", "wide"])
def test_torchvision_and_timm_load_our_features(name, project, tmp_path):
    folder = exported(project, name, tmp_path / "out")
    encoder = load_encoder(project[1].encoder(name))
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        expected = encoder(images)
        network = torchvision.models.get_model(resolve(project[0], name).backbone, weights=None)
        missing = network.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
        assert missing == (["fc.weight", "fc.bias"], [])
        network.fc = torch.nn.Identity()
        torch.testing.assert_close(network.eval()(images), expected, rtol=1e-5, atol=1e-5)
        network = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0)
        torch.testing.assert_close(network.eval()(images), expected, rtol=1e-5, atol=1e-5)
        network = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=7).eval()
        assert network(images).shape == (3, 7)
        features = network.forward_head(network.forward_features(images), pre_logits=True)
        torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5)


def test_timm_prepares_images_as_we_do(project, tmp_path):
    folder = exported(project, "moco", tmp_path / "out")
    network = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0)
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=network))
    pixels = photograph(tmp_path / "x.png")
    ours = as_input(torch.from_numpy(resize(pixels, 32).copy())[None])[0]
    found = transform(Image.fromarray(pixels))
    torch.testing.assert_close(found, ours, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["moco", "small"])
def test_code_of_the_card_gives_our_features(name, project, tmp_path, cwd):
    """Each block in turn, in the card's folder; a photograph instead of a tensor."""
    folder = exported(project, name, tmp_path / "out")
    cwd(folder)
    pixels = photograph(Path("photograph.jpg"))
    with torch.no_grad():
        whole = as_input(torch.from_numpy(resize(pixels, 32).copy())[None])
        expected = load_encoder(project[1].encoder(name))(whole)
    torchvisions, features, timms = blocks(Path("README.md").read_text())
    known = {}
    exec(torchvisions, known)
    exec(features, known)
    torch.testing.assert_close(known["features"], expected, rtol=1e-5, atol=1e-5)
    exec(timms, known)
    with torch.no_grad():
        torch.testing.assert_close(known["model"](whole), expected, rtol=1e-5, atol=1e-5)


def test_code_of_the_card_sees_the_pixels_that_were_scored(project, tmp_path, cwd):
    """Upright by EXIF, transparency on white, as `subset` packs them."""
    folder = exported(project, "moco", tmp_path / "out")
    cwd(folder)
    torchvisions, features, _ = blocks(Path("README.md").read_text())
    known = {}
    exec(torchvisions, known)
    random = np.random.default_rng(0)
    turned, clear = (random.integers(0, 256, (40, 24, n), dtype=np.uint8) for n in (3, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    for pixels, settings in ((turned, {"exif": exif}), (clear, {}), (turned[..., 0], {})):
        Image.fromarray(pixels).save("photograph.jpg", "PNG", **settings)
        packed = decode(Path("photograph.jpg").read_bytes(), How(32, "squash")).pixels
        image = np.frombuffer(packed, np.uint8).reshape(1, 32, 32, 3).copy()
        with torch.no_grad():
            expected = load_encoder(project[1].encoder("moco"))(as_input(torch.from_numpy(image)))
        exec(features, known)
        torch.testing.assert_close(known["features"], expected, rtol=1e-5, atol=1e-5)


def test_only_the_small_stem_needs_its_two_lines(project, tmp_path):
    stem = "model.maxpool = torch.nn.Identity()"
    for name, times in (("moco", 0), ("small", 2)):
        card = (exported(project, name, tmp_path / name) / "README.md").read_text()
        assert card.count(stem) == times
    with pytest.raises(RuntimeError):  # else a wrong network would be loaded without a word
        timm.create_model(f"local-dir:{tmp_path / 'small'}", pretrained=True, num_classes=0)


@pytest.mark.parametrize(("recorded", "today"), [(None, "crop"), ("crop", "squash")])
def test_sets_that_were_cropped_are_cropped(recorded, today, tmp_path, cwd):
    """As the training's report has it, whatever params.yaml says by now."""
    params = content({"moco": {"method": "moco"}})
    for dataset in params["datasets"].values():
        dataset["resize"] = today
    checked, layout = write_reports(tmp_path, params, images=60)
    if recorded:
        report = read(layout.pretrain_report("moco"))
        report["inputs"]["resize"] = {"zoo": recorded}
        rewrite(layout.pretrain_report("moco"), report)
    encoder = build_backbone("resnet18")
    save_encoder(layout.encoder("moco"), encoder, resolve(checked, "moco"), {})
    stamp(checked, layout)
    export.run(checked, layout, "moco")
    cwd(layout.export("moco"))
    assert read(Path("config.json"))["pretrained_cfg"]["crop_mode"] == "center"
    pixels = photograph(Path("photograph.jpg"), 40, 72)
    known = {}
    torchvisions, features, _ = blocks(Path("README.md").read_text())
    exec(torchvisions, known)
    exec(features, known)
    square = as_input(torch.from_numpy(resize(central_square(pixels), 32).copy())[None])
    with torch.no_grad():
        torch.testing.assert_close(known["features"], encoder.eval()(square), rtol=1e-5, atol=1e-5)


# --- the card ---------------------------------------------------------------------------------


def test_hugging_face_reads_the_header(project, tmp_path):
    folder = exported(project, "moco", tmp_path / "out")
    data = ModelCard.load(folder / "README.md").data
    assert data.license == "unknown" and data.library_name == "timm"
    metrics = read(project[1].metrics("moco", "zoo"))
    found = {
        result.metric_name: result.metric_value
        for result in data.eval_results
        if result.dataset_name == "zoo"
    }
    assert found == {
        "k-NN, top-1": pytest.approx(metrics["knn_top1"]),
        "linear probe, top-1": pytest.approx(metrics["probe_top1"]),
        "linear probe, public, top-1": pytest.approx(metrics["public_top1"]),
        "linear probe, private, top-1": pytest.approx(metrics["private_top1"]),
    }


def test_the_card_says_what_the_files_say(project, tmp_path):
    layout = project[1]
    folder = exported(project, "moco", tmp_path / "out")
    card = (folder / "README.md").read_text()
    made = read(layout.pretrain_report("moco"))
    for said in (
        "MoCo (He et al. 2020) on 2,000 images",
        "512 features of an image of 32×32 pixels",
        "[0.485, 0.456, 0.406]",
        "[0.229, 0.224, 0.225]",
        "Made up",  # the title of the corpus's data set
        "Scored on other images of these sets, whose train images it has seen: `zoo`. ",
        made["inputs"]["corpus_sha256"],
        sha256(folder / "model.safetensors"),
        sha256(layout.encoder("moco")),
        f"{made['final_loss']:.3f}",
        "temperature 0.1",  # differs from the schema's default
        "the probe of 3 seeds has a standard deviation of",
    ):
        assert said in card, said
    assert "weight_decay" not in card  # is the default
    probe = read(layout.metrics("moco", "zoo"))["probe_top1"]
    (row,) = [line for line in card.splitlines() if line.startswith("| `zoo`") and "–" in line]
    low, value, high = (
        float(number) for number in (re.search(rf"({100 * probe:.1f}) \((.*?)–(.*?)\)", row)).group(2, 1, 3)
    )  # fmt: skip
    deviation = 100 * np.sqrt(probe * (1 - probe) / 60)  # of a binomial share
    assert low < value < high
    assert high - low == pytest.approx(2 * 1.96 * deviation, rel=0.15)


def test_the_card_does_not_hide_that_training_did_not_pay(tmp_path):
    runs = {name: RUNS[name] for name in ("moco", "byol", "simclr", "untrained")}
    skill = {"moco": 0.3, "byol": 0.9, "simclr": 0.05, "untrained": 0.3}
    params, layout = write_reports(tmp_path, content(runs), skill=skill)
    for name in ("moco", "byol", "simclr"):
        save_encoder(layout.encoder(name), build_backbone("resnet18"), resolve(params, name), {})
        stamp(params, layout)
        export.run(params, layout, name)
    said = "is not surely better than that of `untrained`"
    for name in ("moco", "simclr"):
        card = (layout.export(name) / "README.md").read_text()
        assert card.count(said) == 2  # data sets
    assert said not in (layout.export("byol") / "README.md").read_text()


def test_an_encoder_without_scores_or_training_has_a_card_too(project, tmp_path):
    card = (exported(project, "untrained", tmp_path / "a") / "README.md").read_text()
    assert "has not been trained" in card and "## Data\n\nNone." in card
    params, layout = write_reports(tmp_path / "b", content({"moco": {"method": "moco"}}), images=60)
    for dataset in params.leaderboard:
        layout.metrics("moco", dataset).unlink()
        layout.dataset_facts(dataset).unlink()
    save_encoder(layout.encoder("moco"), build_backbone("resnet18"), resolve(params, "moco"), {})
    stamp(params, layout)
    export.run(params, layout, "moco")
    card = (layout.export("moco") / "README.md").read_text()
    assert "None: it has not been evaluated." in card and "`sslpipe describe zoo`" in card
    assert "model-index" not in card


def test_edge_of_the_grid_is_told(tmp_path):
    params, layout = write_reports(tmp_path, content({"moco": {"method": "moco"}}), images=60)
    metrics = read(layout.metrics("moco", "sun")) | {"probe_best_on_edge": True}
    rewrite(layout.metrics("moco", "sun"), metrics)
    save_encoder(layout.encoder("moco"), build_backbone("resnet18"), resolve(params, "moco"), {})
    stamp(params, layout)
    export.run(params, layout, "moco")
    card = (layout.export("moco") / "README.md").read_text()
    assert re.findall(r"On `(\w+)` the best probe lies on the edge", card) == ["sun"]


# --- files ------------------------------------------------------------------------------------


def test_same_run_same_bytes_and_an_earlier_export_is_replaced(project, tmp_path):
    folder = tmp_path / "out"
    first = {path.name: path.read_bytes() for path in exported(project, "moco", folder).iterdir()}
    assert sorted(first) == ["README.md", "config.json", "model.safetensors"]
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
    (folder / "README.md").write_text("edited")
    (folder / "config.json").unlink()
    again = {path.name: path.read_bytes() for path in exported(project, "moco", folder).iterdir()}
    assert again == first
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208


def test_other_files_are_never_removed(project, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"mine: holds thesis\.tex"):
        exported(project, "moco", folder)
    assert (folder / "thesis.tex").read_text() == "years of work"
    with pytest.raises(UserError, match="a file is in the way"):
        exported(project, "moco", folder / "thesis.tex")


def test_a_failure_leaves_no_half_of_it(project, tmp_path, monkeypatch):
    def fail(path, content):
        if path.name == "README.md":
            raise OSError("disk full")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    folder = exported(project, "moco", tmp_path / "out")
    before = (folder / "config.json").read_bytes()
    monkeypatch.setattr(export, "write_bytes", fail)
    for name in ("out", "new"):
        with pytest.raises(OSError, match="disk full"):
            exported(project, "small", tmp_path / name)
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208
    assert (folder / "config.json").read_bytes() == before


def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path):
    program = """
import sys, time
from pathlib import Path
from sslpipe.stages import export
real = export.write_bytes
def slow(path, content):
    real(path, content)
    if path.name == "b":
        print("half", flush=True)
        time.sleep(60)
export.write_bytes = slow
export.write_folder(Path(sys.argv[1]), {"a": b"1", "b": b"2", "c": b"3"})
"""
    folder = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "half\n"
    export.write_folder(folder, {"a": b"other"})  # beside one that is at work
    assert len(list(tmp_path.glob(".out.*.part"))) == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert [path.name for path in folder.iterdir()] == ["a"]
    export.write_folder(folder, {"a": b"last"})
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208


# --- the command ------------------------------------------------------------------------------


def test_the_command_and_what_it_refuses(project, tmp_path, cwd, capsys):
    cwd(project[1].root)
    assert cli.main(["export", "moco"]) == 0
    assert (Layout().export("moco") / "config.json").exists()
    assert cli.main(["export", "moco", "--to", str(tmp_path / "there")]) == 0
    assert json.loads((tmp_path / "there/config.json").read_text())["architecture"] == "resnet18"
    capsys.readouterr()
    for name, said in (
        ("raw_pixels", "raw pixels have no weights to export"),
        ("simclr", "missing; it is made by: sslpipe pretrain simclr"),
        ("nobody", "no run named 'nobody' in params.yaml; there are: simclr, moco"),
    ):
        assert cli.main(["export", name]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line


# --- after an edit of params.yaml ---------------------------------------------------------------


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """The content of a params.yaml, and a project of it, with an encoder that has all kinds of scores."""
    runs = {name: RUNS[name] for name in ("moco", "moco_seed1")}
    base = content(runs, finetune={"runs": ["moco"], "epochs": 3})
    params, layout = write_reports(tmp_path_factory.mktemp("tuned"), base, images=60)
    save_encoder(layout.encoder("moco"), build_backbone("resnet18"), resolve(params, "moco"), {})
    stamp(params, layout)
    return yaml.safe_dump(base, sort_keys=False), layout


@pytest.mark.parametrize("edit", EDITS)
def test_no_card_has_a_number_of_before_an_edit(edit, tuned, tmp_path, cwd, capsys):
    text, layout = tuned
    cwd(layout.root)

    def run(name, text):
        """The exit code, what was said, and what was written."""
        Path("params.yaml").write_text(text)
        capsys.readouterr()
        folder = tmp_path / name
        code = cli.main(["export", "moco", "--to", str(folder)])
        files = folder.iterdir() if folder.exists() else ()
        return code, capsys.readouterr().err, {path.name: path.read_bytes() for path in files}

    code, _, before = run("before", text)
    assert code == 0
    card = before["README.md"].decode()
    assert "| `zoo`" in card and "fine-tuned, top-1" in card and "the probe of 2 seeds" in card
    edited = yaml.safe_load(text)
    EDITS[edit](edited)
    code, said, files = run("edited", yaml.safe_dump(edited, sort_keys=False))
    if edit in UNTRAINED:
        assert (code, said, files) == (1, f"sslpipe: {UNTRAINED[edit]}\n", {})
    else:
        assert code == 0
        card = files.pop("README.md").decode()
        assert files == {name: before[name] for name in before if name != "README.md"}
        if "k-NN" in edit:
            assert "model-index" not in card and "None: it has not been evaluated." in card
            assert not re.search(r"\d\.\d \(\d|standard deviation of \d", card)
        else:
            assert "fine-tuned, top-1" not in card and "fine-tuned |" not in card
            scores = read(layout.metrics("moco", "zoo"))
            assert f"value: {scores['probe_top1']}" in card and "the probe of 2 seeds" in card
    code, _, files = run("before", text)
    assert (code, files) == (0, before)
