"""study(name): metrics and predictions → reports/studies/NAME.md and reports/figures/study_NAME."""

from pathlib import Path

from sslpipe.io.files import write_bytes, write_text
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params, find
from sslpipe.reporting.figures.study import study_figure
from sslpipe.reporting.figures.style import save
from sslpipe.reporting.results import Results
from sslpipe.reporting.studies import study_rows
from sslpipe.reporting.studies_text import as_markdown
from sslpipe.schema.report import Study


def run(params: Params, layout: Layout, name: str) -> None:
    """Of what there is: a run that has not finished is left out, and named.

    Raises UserError for a study that params.yaml does not have.
    """
    chosen: Study = find(params.studies, name, "study")
    # The files of its runs alone: reading those of all would take longer than everything else.
    few = params.model_copy(update={"runs": {run: params.runs[run] for run in chosen.runs}})
    study = study_rows(Results(few, layout), name)
    stem = layout.figure(f"study_{name}", "png").with_suffix("")
    save(study_figure(study), str(stem), lambda path, content: write_bytes(Path(path), content))
    write_text(layout.study(name), as_markdown(study, params.report))
    say(f"{name}: {layout.study(name)}")
