"""The model card of an exported encoder: Hugging Face's metadata, then what a reader must know.

Everything in it is computed from the run's files. Its Python blocks run one after another in the
folder that holds the card (a test does so).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from sslpipe.reporting.board import number
from sslpipe.reporting.few_runs import of_runs
from sslpipe.reporting.leaderboard import Row, compared, rows_of
from sslpipe.reporting.markdown import code, table
from sslpipe.reporting.paired import Json, score_of
from sslpipe.reporting.results import Results
from sslpipe.reporting.settings import is_baseline, settings
from sslpipe.reporting.table import BOTH
from sslpipe.reporting.trained import as_set, changed, cost, origin
from sslpipe.reporting.words import level, percent

WEIGHTS = "model.safetensors"
METHODS = {
    "simclr": "SimCLR (Chen et al. 2020)",
    "moco": "MoCo (He et al. 2020)",
    "byol": "BYOL (Grill et al. 2020)",
}
SCORES = {
    "knn_top1": "k-NN",
    "probe_top1": "linear probe",
    "public_top1": "linear probe, public",
    "private_top1": "linear probe, private",
    "finetune_top1": "fine-tuned",
}
SMALL_STEM = """\
model.conv1 = torch.nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
model.maxpool = torch.nn.Identity()
"""


@dataclass(frozen=True)
class Input:
    """What the encoder takes: RGB in [0, 1], less the mean, over the deviation, of each channel.

    resize: `squash` both sides to `size`, or `crop` the central square and resize that.
    """

    size: int
    resize: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def model_card(
    results: Results, run: str, *, width: int, expects: Input, exported: Mapping[str, str]
) -> str:
    """The README.md of a trained or untrained encoder with `width` features.

    exported: label → hash or version, of the files that the card belongs to.
    """
    made = results.pretrain[run]
    baselines = _baselines(results, run)
    whole = of_runs(results, [run, *baselines])
    rows = {dataset: _row(whole, dataset, run) for dataset in whole["datasets"]}
    rows = {dataset: row for dataset, row in rows.items() if row is not None}
    parts = [
        _header(made, run, rows),
        f"# {run}",
        _summary(made, width),
        "## Use",
        *_use(made, width, expects),
        "## Input",
        _input(expects),
        "## Training",
        *_training(made),
        "## Data",
        *_data(results, made),
        "## Scores",
        *_scores(whole, rows, made),
        "## Limitations",
        "\n".join(f"- {line}" for line in _limitations(results, run, whole, rows, baselines)),
        "## Made from",
        table(["", ""], [[key, code(value)] for key, value in (origin(made) | exported).items()], "ll"),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


# --- sections ---------------------------------------------------------------------------------


def _header(made: Json, run: str, rows: Mapping[str, Row]) -> str:
    """https://huggingface.co/docs/hub/model-cards: metadata as YAML between two lines of dashes."""
    known: dict[str, Any] = {"license": "unknown", "pipeline_tag": "image-feature-extraction"}
    if not _small(made):
        known["library_name"] = "timm"
    known["tags"] = ["image-feature-extraction", "self-supervised-learning", "sslpipe"]
    known["tags"] += [made["backbone"], *([made["method"]] if made["trained"] else [])]
    results = [
        {
            "task": {"type": "image-classification"},
            "dataset": {"type": dataset, "name": dataset, "split": "test"},
            "metrics": [
                {"type": "accuracy", "name": f"{SCORES[key]}, top-1", "value": _mean(row, key)}
                for key in SCORES
                if key in row["scores"]
            ],
        }
        for dataset, row in rows.items()
    ]
    if results:
        known["model-index"] = [{"name": run, "results": results}]
    return f"---\n{yaml.safe_dump(known, sort_keys=False, allow_unicode=True)}---"


def _summary(made: Json, width: int) -> str:
    size = made["parameters"]["image_size"]
    network = f"{code(made['backbone'])} without its classifier: {width:,} features of an image"
    if not made["trained"]:
        return (
            f"An image encoder that has not been trained: {network} of {size}×{size} pixels, with "
            "the weights that it was initialised with. A baseline for those that were trained."
        )
    method = METHODS.get(made["method"], made["method"])
    return (
        f"An image encoder trained without labels by {method} on {made['images']:,} images: {network} "
        f"of {size}×{size} pixels, for nearest neighbours, linear classifiers, or as a start for "
        "fine-tuning."
    )


def _use(made: Json, width: int, expects: Input) -> Iterator[str]:
    """torchvision, then the features of an image, then timm."""
    small = _small(made)
    stem = SMALL_STEM if small else ""
    if small:
        yield (
            "The network's stem is that for small images (a 3×3 convolution of stride 1, no "
            "max-pool), which neither torchvision nor timm builds by itself: two lines put it in place."
        )
    yield "With torchvision:"
    yield _python(
        "import torch\nimport torchvision\nfrom safetensors.torch import load_file\n\n"
        f"model = torchvision.models.{made['backbone']}()\n"
        f"model.fc = torch.nn.Identity()\n{stem}"
        f'model.load_state_dict(load_file("{WEIGHTS}"))\nmodel.eval()'
    )
    yield "The features of an image:"
    crop = (
        "    v2.Lambda(lambda image: v2.functional.center_crop(image, min(image.size))),\n"
        if expects.resize == "crop"
        else ""
    )
    yield _python(
        "from PIL import Image, ImageOps\nfrom torchvision.transforms import v2\n\n"
        f"preprocess = v2.Compose([\n{crop}"
        f"    v2.Resize(({expects.size}, {expects.size}), v2.InterpolationMode.BILINEAR),\n"
        "    v2.ToImage(),\n    v2.ToDtype(torch.float32, scale=True),\n"
        f"    v2.Normalize({list(expects.mean)}, {list(expects.std)}),\n])\n"
        'image = ImageOps.exif_transpose(Image.open("photograph.jpg"))\n'
        "if image.has_transparency_data:\n"
        '    white = Image.new("RGBA", image.size, "white")\n'
        '    image = Image.alpha_composite(white, image.convert("RGBA"))\n'
        'image = image.convert("RGB")\n'
        "with torch.inference_mode():\n"
        f"    features = model(preprocess(image)[None])  # (1, {width})"
    )
    yield "With timm (`local-dir:` and the path of this folder):"
    if small:
        yield _python(
            "import timm\n\n"
            f'model = timm.create_model("local-dir:.", num_classes=0)\n{stem}'
            f'model.load_state_dict(load_file("{WEIGHTS}"))\nmodel.eval()'
        )
    else:
        yield _python(
            "import timm\n\n"
            "# or with a new classifier, num_classes=10\n"
            'model = timm.create_model("local-dir:.", pretrained=True, num_classes=0)\n'
            "model.eval()"
        )


def _input(expects: Input) -> str:
    how = {
        "squash": "both sides resized, whatever the shape",
        "crop": "the central square, resized",
    }[expects.resize]
    return (
        f"RGB of {expects.size}×{expects.size} pixels ({how}; bilinear, antialiased), scaled to "
        f"[0, 1], less the mean {list(expects.mean)}, over the standard deviation "
        f"{list(expects.std)} of each channel. Upright by EXIF, transparency on white. Grey images of "
        "more than 8 bits (16-bit or float TIFF and PNG) must first be brought to 8 bits by the range of "
        "their set, which its page tells."
    )


def _training(made: Json) -> Iterator[str]:
    if not made["trained"]:
        yield f"None: seed {made['parameters']['pretrain']['seed']} of the initialisation."
        return
    body = [[key, words] for key, words in cost(made).items()]
    body.append(["seed", str(made["parameters"]["pretrain"]["seed"])])
    yield table(["", ""], body, "ll")
    if differing := changed(made):
        yield f"Settings that differ from sslpipe's defaults: {code(as_set(differing))}."
    else:
        yield "All settings are sslpipe's defaults."


def _data(results: Results, made: Json) -> Iterator[str]:
    if not made["trained"]:
        yield "None."
        return
    corpus = results.params.corpora.get(made["corpus"])
    if corpus is None:
        yield f"Corpus {code(made['corpus'])}, which params.yaml no longer describes."
        return
    body = [_of_dataset(results, name) for name in corpus.datasets]
    left_out = "equal" if corpus.near_duplicates is None else "equal or resemble"
    yield (
        f"{made['images']:,} train images of corpus {code(made['corpus'])}, without their labels; "
        f"those that {left_out} a scored image were left out."
    )
    yield table(["data set", "origin", "licence"], body, "lll")
    if own := [name for name in results.datasets if name in corpus.datasets]:
        names = ", ".join(map(code, own))
        yield (
            f"Scored on other images of these sets, whose train images it has seen: {names}. Scores "
            "there are no transfer."
        )
    yield (
        "The weights have no licence of their own yet: whoever publishes them must choose one that "
        "the licences of the data allow, and put it into the header of this file."
    )


def _of_dataset(results: Results, name: str) -> list[str]:
    facts = results.dataset_facts.get(name)
    if facts is None:
        kind = results.params.datasets[name].source.kind
        return [code(name), f"source {code(kind)}", f"see `sslpipe describe {name}`"]
    title, homepage = facts["title"], facts["homepage"]
    return [code(name), f"[{title}]({homepage})" if homepage else title, facts["licence"]]


def _scores(whole: Json, rows: Mapping[str, Row], made: Json) -> Iterator[str]:
    if not rows:
        yield "None: it has not been evaluated."
        return
    report = whole["made_by"]["report"]
    shown = [key for key in SCORES if any(key in row["scores"] for row in rows.values())]
    body = [
        [
            code(dataset),
            *(number(whole, row, key).shown(BOTH) for key in shown),
            percent(_mean(_row(whole, dataset, "chance"), "probe_top1")),
        ]
        for dataset, row in rows.items()
    ]
    yield (
        f"Top-1 in percent of test images, with {level(report['confidence'])} bootstrap intervals "
        "over them. k-NN and probe: frozen features. The probe's setting was chosen on validation "
        "images; test images were scored once."
    )
    headings = ["data set", *(SCORES[key] for key in shown), "chance"]
    yield table(headings, body, "l" + "r" * (len(shown) + 1))


def _limitations(
    results: Results, run: str, whole: Json, rows: Mapping[str, Row], baselines: Sequence[str]
) -> Iterator[str]:
    made = results.pretrain[run]
    size = made["parameters"]["image_size"]
    yield f"Meant for {size}×{size} pixels: nothing is known of other sizes."
    where = "Scored on the sets above only" if rows else "Not scored on any set"
    yield (
        f"{where}: nothing is known of other kinds of images, of disturbed ones, or of how its features "
        "treat different groups of people."
    )
    if made["trained"]:
        yield from _invariances(made["parameters"]["pretrain"]["views"])
        yield from _seeds(results, run, list(rows))
    for dataset, row in rows.items():
        for remark in whole["datasets"][dataset].get("remarks", []):
            yield f"On {code(dataset)}: {remark}."
        for baseline in baselines:
            yield from _against(whole, dataset, row, baseline, made)
        *_, on_edge = row["probe_best"][0]
        if on_edge:
            yield (
                f"On {code(dataset)} the best probe lies on the edge of the grid: a wider one may "
                "score higher."
            )


def _invariances(views: Mapping[str, Any]) -> Iterator[str]:
    """What the random views change is what the features were taught to ignore."""
    ignored = ["the place and size of a thing"]
    if views["flip"]:
        ignored.append("left and right")
    if views["jitter"] or views["grayscale"]:
        ignored.append("colour")
    if views["blur"]:
        ignored.append("sharpness")
    yield f"Trained to give random views of an image equal features, so to ignore {', '.join(ignored)}."


def _seeds(results: Results, run: str, datasets: Sequence[str]) -> Iterator[str]:
    """How much the probe differs between runs that differ in nothing but their seed."""
    (runs,) = (some.runs for some in settings(results.pretrain) if run in some.runs)
    yield "One training: another seed gives other weights and somewhat other scores."
    for dataset in datasets:
        cells = [results.metrics.get((dataset, other)) for other in runs]
        values = [cell["probe_top1"] for cell in cells if cell is not None]
        if len(values) > 1:
            yield (
                f"On {code(dataset)} the probe of {len(values)} seeds has a standard deviation of "
                f"{percent(score_of(values)['std'])} points."
            )


def _against(whole: Json, dataset: str, row: Row, baseline: str, made: Json) -> Iterator[str]:
    """Where training does not pay."""
    other = _row(whole, dataset, baseline)
    if other is None or not made["trained"]:
        return
    confidence = whole["made_by"]["report"]["confidence"]
    if compared(whole, dataset, row["run"], baseline).verdict(confidence) != "better":
        mine, its = (percent(_mean(some, "probe_top1")) for some in (row, other))
        yield (
            f"On {code(dataset)} its probe ({mine} %) is not surely better than that of "
            f"{code(baseline)} ({its} %), which was not trained."
        )


# --- parts ------------------------------------------------------------------------------------


def _baselines(results: Results, run: str) -> list[str]:
    """The untrained encoder of the same backbone, and raw pixels, as far as they are there."""
    backbone = results.pretrain[run]["backbone"]
    return [
        other
        for other, made in results.pretrain.items()
        if other != run and is_baseline(made) and made["backbone"] in (backbone, "pixels")
    ]


def _row(whole: Json, dataset: str, run: str) -> Row | None:
    return next((row for row in rows_of(whole, dataset) if row["run"] == run), None)


def _mean(row: Row, key: str) -> float:
    return row["scores"][key]["mean"]


def _small(made: Json) -> bool:
    return made["parameters"]["pretrain"]["stem"] == "small"


def _python(lines: str) -> str:
    return f"```python\n{lines}\n```"
