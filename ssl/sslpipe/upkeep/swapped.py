"""Files that are whole, but not what the records of the experiment say of them: of another one's."""

from collections.abc import Iterator

from sslpipe.data.index import read_index
from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed, sha256
from sslpipe.provenance.checks import require_same
from sslpipe.provenance.packed import content_of_packed, without_copies
from sslpipe.provenance.record import Artefact, all_of
from sslpipe.provenance.whose import KEY, Whose, encoder_content
from sslpipe.reporting.neighbours import are_of
from sslpipe.reporting.results import Results


def swapped(results: Results) -> Iterator[str]:
    """What is wrong with each such file of data/, and with tables and strips of images of other scores."""
    whose = results.whose
    for artefact in all_of(results.params):
        try:
            if whose.trouble(artefact) is None:
                _require_its_own(whose, artefact)
        except UserError as error:
            yield str(error)
    yield from _of_other_scores(results)


def _require_its_own(whose: Whose, artefact: Artefact) -> None:
    """Raises UserError for the file of an artefact that is there and holds something else."""
    kind, name, _ = artefact
    layout = whose.layout
    if kind == "encoder" and (path := layout.encoder(name)).exists():
        require_same(path, encoder_content(path) or "damaged", whose, artefact)
    if kind == "packed" and (path := layout.packed_index(name)).exists():
        left_out = without_copies(layout, name, read_index(path)).left_out
        require_same(path, content_of_packed(layout, name, left_out), whose, artefact)
    if kind == "corpus" and (path := layout.corpus(name)).exists():
        require_same(path, sha256(path), whose, artefact)


def _of_other_scores(results: Results) -> Iterator[str]:
    layout = results.layout
    stamps = {
        layout.leaderboard("json"): ("leaderboard", results.stamp("leaderboard")),
        layout.claims("json"): ("claims", results.stamp("claims")),
    }
    for path, (stage, stamp) in stamps.items():
        if path.exists() and read_sealed(path, f"sslpipe {stage}").get(KEY) != stamp:
            yield f"{path}: of other scores or settings; run: sslpipe report"
    for dataset in results.params.neighbour_strips:
        path = layout.figure(f"neighbours_{dataset}", "png")
        if path.exists() and not are_of(results, dataset):
            yield f"{path}: of other scores or settings; run: sslpipe neighbours {dataset}"
