"""page: all of reports/ → reports/index.html."""

from sslpipe.errors import UserError
from sslpipe.files import read_json, write_text
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.progress import say
from sslpipe.reporting.page import page
from sslpipe.reporting.results import Results
from sslpipe.stages.inputs import require


def run(params: Params, layout: Layout) -> None:
    """Of what there is: what is missing is named on the page."""
    path = require(layout.leaderboard("json"), "sslpipe leaderboard")
    whole = read_json(path)
    if not isinstance(whole, dict) or "comparisons" not in whole:
        raise UserError(f"{path}: made by an older sslpipe; run: sslpipe leaderboard")
    claims = layout.claims("json")
    text = page(Results(params, layout), whole, read_json(claims) if claims.exists() else None)
    write_text(layout.page(), text)
    say(f"page: {layout.page()}")
