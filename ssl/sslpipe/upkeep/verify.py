"""Reading every file that stages have made, to tell those that are not as they were written."""

from collections.abc import Callable, Iterator
from functools import partial

from sslpipe.data import raw
from sslpipe.data.index import open_packed
from sslpipe.errors import UserError
from sslpipe.io.arrays import read_arrays
from sslpipe.io.files import read_sealed
from sslpipe.io.progress import progress
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.reporting.results import Results
from sslpipe.upkeep import recorded


def damaged(params: Params, layout: Layout, *, data: bool) -> Iterator[str]:
    """What is wrong with each damaged file. data: also tars, packed sets, encoders and embeddings,
    all of whose bytes are read."""
    results = Results(params, layout)
    yield from results.whose.wrong()
    checks: list[Callable[[], object]] = [
        partial(getattr, results, part)
        for part in (
            "pretrain", "history", "metrics", "predictions", "features", "finetuned",
            "finetune_predictions", "dataset_facts",
        )
    ]  # fmt: skip
    sealed = {layout.corpus(name): f"sslpipe corpus {name}" for name in params.corpora}
    sealed |= dict.fromkeys(layout.code("*").parent.rglob("*.json"), "sslpipe code")
    sealed |= {
        layout.leaderboard("json"): "sslpipe leaderboard",
        layout.claims("json"): "sslpipe claims",
    }
    checks += [partial(read_sealed, path, again) for path, again in sealed.items() if path.exists()]
    if data:
        checks += _checks_of_data(params, layout)
    if data:
        yield from recorded.damaged_copies(layout.root)
        yield from recorded.changed_reports(layout.root)
    for check in progress(checks, what="doctor", unit="files") if data else checks:
        try:
            check()
        except UserError as error:
            yield str(error)


def _checks_of_data(params: Params, layout: Layout) -> Iterator[Callable[[], object]]:
    from sslpipe.networks.encoder_file import load_encoder  # which imports torch

    for name in params.datasets:
        if (path := layout.raw(name)).exists():
            yield partial(raw.read, path)
        if layout.packed_images(name).exists():
            yield partial(open_packed, layout, name)
    for run in params.runs:
        if (path := layout.encoder(run)).exists():
            yield partial(load_encoder, path)
        for dataset in params.leaderboard:
            if (path := layout.embedding(run, dataset)).exists():
                yield partial(read_arrays, path, f"sslpipe embed {run} {dataset}")
