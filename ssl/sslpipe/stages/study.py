"""study(name): metrics and predictions → reports/studies/NAME.md and reports/figures/study_NAME."""

from sslpipe.io.files import write_bytes, write_text
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params, find
from sslpipe.reporting.few_runs import of_study
from sslpipe.reporting.figures.study import study_figure
from sslpipe.reporting.figures.style import as_files
from sslpipe.reporting.results import Results
from sslpipe.reporting.studies import study_rows
from sslpipe.reporting.studies_text import as_markdown
from sslpipe.schema.report import Report


def run(params: Params, layout: Layout, name: str) -> None:
    """Of what there is: a run that has not finished is left out, and named.

    Raises UserError for a study that params.yaml does not have.
    """
    find(params.studies, name, "study")
    # The files of its runs alone: reading those of all would take longer than everything else.
    report: Report = params.report
    results = of_study(Results(params, layout), name)
    study = study_rows(results, name)
    for suffix, content in as_files(study_figure(study), of=results.stamp("study")).items():
        write_bytes(layout.figure(f"study_{name}", suffix), content)
    write_text(layout.study(name), as_markdown(study, report))
    say(f"{name}: {layout.study(name)}")
