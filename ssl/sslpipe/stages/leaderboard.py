"""leaderboard: every scored cell → reports/leaderboard.{md,csv,json}, and the terminal."""

import sslpipe
from sslpipe.io.files import write_sealed, write_text
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.provenance.whose import KEY
from sslpipe.reporting import leaderboard_text
from sslpipe.reporting.leaderboard import leaderboard
from sslpipe.reporting.results import Results
from sslpipe.schema.evaluation import Evaluate
from sslpipe.schema.report import Report
from sslpipe.terminal.leaderboard import print_leaderboard


def run(params: Params, layout: Layout) -> None:
    """Of what there is: a run that is not finished is named as missing."""
    scored: Evaluate = params.evaluate
    report: Report = params.report
    settings = {
        "evaluate": scored.model_dump(mode="json"),
        "report": report.model_dump(mode="json"),
    }
    results = Results(params, layout)
    whole = leaderboard(results, {"sslpipe": sslpipe.__version__, **settings})
    whole[KEY] = results.stamp("leaderboard")
    write_text(layout.leaderboard("csv"), leaderboard_text.as_csv(whole))
    write_sealed(layout.leaderboard("json"), whole)
    write_text(layout.leaderboard("md"), leaderboard_text.as_markdown(whole))
    print_leaderboard(whole)
    say(f"leaderboard: {layout.leaderboard('md')}")
