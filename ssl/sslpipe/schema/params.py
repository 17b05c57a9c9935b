"""The schema of the whole of params.yaml."""

from typing import Annotated

from pydantic import Field

from sslpipe.schema.data import Corpus, Dataset
from sslpipe.schema.evaluation import Evaluate, Finetune
from sslpipe.schema.report import Claims, Report, Study
from sslpipe.schema.runs import Methods, Run
from sslpipe.schema.training import Pretrain
from sslpipe.schema.types import Name, Strict


class Params(Strict):
    image_size: Annotated[int, Field(ge=8, le=1024)]
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    leaderboard: Annotated[list[Name], Field(min_length=1)]
    contact_sheets: list[Name]
    """Sets of which a page of example images is drawn in reports/data. Empty by default: most
    licences do not allow to pass images on."""
    corpora: Annotated[dict[Name, Corpus], Field(min_length=1)]
    methods: Methods
    pretrain: Pretrain
    runs: Annotated[dict[Name, Run], Field(min_length=1)]
    evaluate: Evaluate
    finetune: Finetune
    neighbour_strips: list[Name]
    """Scored sets of which a figure shows some images and their nearest neighbours. Empty by default,
    as for contact_sheets."""
    studies: dict[Name, Study]
    claims: Claims
    report: Report
