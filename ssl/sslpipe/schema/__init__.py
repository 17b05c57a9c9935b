"""The schema of params.yaml: every key, its type, its range and its default.

A file for what each kind of stage reads: a stage is run again when a default of its own changes.
"""

from sslpipe.schema.data import Corpus, Dataset, Splits
from sslpipe.schema.evaluation import DefaultProbe, Evaluate, FewLabels, Finetune, Knn, Probe
from sslpipe.schema.params import Params
from sslpipe.schema.training import (
    BYOL,
    METHOD_SETTINGS,
    Backbone,
    MoCo,
    Online,
    Optimizer,
    Pretrain,
    Projector,
    ResolvedRun,
    SimCLR,
    Views,
)

__all__ = [
    "BYOL",
    "METHOD_SETTINGS",
    "Backbone",
    "Corpus",
    "Dataset",
    "DefaultProbe",
    "Evaluate",
    "FewLabels",
    "Finetune",
    "Knn",
    "MoCo",
    "Online",
    "Optimizer",
    "Params",
    "Pretrain",
    "Probe",
    "Projector",
    "ResolvedRun",
    "SimCLR",
    "Splits",
    "Views",
]
