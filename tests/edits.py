"""Edits of params.yaml after which results that lie there are of something else."""

from collections.abc import Callable
from typing import Any

# Name → what it does to the content of a params.yaml that `reporting/synthetic.py` wrote.
EDITS: dict[str, Callable[[dict[str, Any]], None]] = {
    "another lr of a run": lambda content: content["runs"]["moco"].update(lr=0.5),
    "another k of k-NN": lambda content: content["evaluate"]["knn"].update(k=7),
    "finetune.runs emptied": lambda content: content["finetune"].update(runs=[]),
    "another image_size": lambda content: content.update(image_size=40),
    "a scored set cropped": lambda content: content["datasets"]["sun"].update(resize="crop"),
}
# Those that leave no training as it was → the line on `moco` that says so.
UNTRAINED = {
    "another lr of a run": (
        "data/runs/moco/encoder.safetensors: made with other settings (lr 0.001, now 0.5); "
        "run: sslpipe pretrain moco"
    ),
    "another image_size": (
        "data/packed/zoo.csv: made with other settings (image_size); run: sslpipe subset zoo"
    ),
    # The corpus has no image of it, but was compared with all of them.
    "a scored set cropped": (
        "data/packed/sun.csv: made with other settings (datasets.sun); run: sslpipe subset sun"
    ),
}
