"""page: all of reports/ → reports/index.html."""

from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed, write_text
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.provenance.checks import require
from sslpipe.provenance.whose import KEY
from sslpipe.reporting.page import page
from sslpipe.reporting.results import Results


def run(params: Params, layout: Layout) -> None:
    """Of what there is: what is missing is named on the page."""
    path = require(layout.leaderboard("json"), "sslpipe leaderboard")
    whole = read_sealed(path)
    if "comparisons" not in whole:
        raise UserError(f"{path}: made by an older sslpipe; run: sslpipe leaderboard")
    results = Results(params, layout)
    if whole.get(KEY) != results.stamp("leaderboard"):
        raise UserError(f"{path}: of other results than there are now; run: sslpipe leaderboard")
    claims = read_sealed(layout.claims("json")) if layout.claims("json").exists() else None
    if claims and claims.get(KEY) != results.stamp("claims"):
        claims = None
    text = page(results, whole, claims)
    write_text(layout.page(), text)
    say(f"page: {layout.page()}")
