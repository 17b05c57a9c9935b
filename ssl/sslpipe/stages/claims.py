"""claims: histories, metrics and predictions → reports/claims.md and claims.json."""

from collections import Counter

import sslpipe
from sslpipe.io.files import write_sealed, write_text
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.provenance.whose import KEY
from sslpipe.reporting.claims.decide import decide
from sslpipe.reporting.claims.text import as_markdown
from sslpipe.reporting.results import Results
from sslpipe.schema.report import Claims, Report


def run(params: Params, layout: Layout) -> None:
    """Of what there is: a claim without runs to decide it says what it lacks."""
    claims: Claims = params.claims
    report: Report = params.report
    settings = {"claims": claims.model_dump(mode="json"), "report": report.model_dump(mode="json")}
    results = Results(params, layout)
    whole = decide(results, {"sslpipe": sslpipe.__version__, **settings})
    whole[KEY] = results.stamp("claims")
    write_sealed(layout.claims("json"), whole)
    write_text(layout.claims("md"), as_markdown(whole))
    count = Counter(claim["status"] for claim in whole["claims"])
    say(
        f"claims: {count['holds']} hold, {count['does not hold']} do not, {count['not enough data']} "
        f"lack data: {layout.claims('md')}"
    )
