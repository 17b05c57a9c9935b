"""page: all of reports/ → reports/index.html."""

from sslpipe.errors import UserError
from sslpipe.files import read_sealed, write_text
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.progress import say
from sslpipe.reporting.page import page
from sslpipe.reporting.results import Results
from sslpipe.stages.inputs import require


def run(params: Params, layout: Layout) -> None:
    """Of what there is: what is missing is named on the page."""
    path = require(layout.leaderboard("json"), "sslpipe leaderboard")
    whole = read_sealed(path)
    if "comparisons" not in whole:
        raise UserError(f"{path}: made by an older sslpipe; run: sslpipe leaderboard")
    results = Results(params, layout)
    scored = {(dataset, run) for dataset, cells in whole["metrics"].items() for run in cells}
    if whole["pretrain"].keys() != results.pretrain.keys() or scored != results.metrics.keys():
        raise UserError(f"{path}: other runs are there now; run: sslpipe leaderboard")
    claims = layout.claims("json")
    text = page(results, whole, read_sealed(claims) if claims.exists() else None)
    write_text(layout.page(), text)
    say(f"page: {layout.page()}")
