"""neighbours(dataset): features and packed images → reports/figures/neighbours_<dataset>.png."""

from sslpipe.errors import UserError
from sslpipe.io.files import write_bytes
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params, find
from sslpipe.reporting import neighbours
from sslpipe.reporting.few_runs import of_set
from sslpipe.reporting.letters import drawable
from sslpipe.reporting.pictures import as_png
from sslpipe.reporting.results import Results
from sslpipe.reporting.scored import Scored
from sslpipe.stages.sets import open_set


def run(params: Params, layout: Layout, name: str) -> None:
    """Draw the strips of the best trained setting by validation and of an untrained encoder.

    Raises UserError when `neighbour_strips` does not name the set (its licence may forbid to pass
    images on, which `sslpipe check` knows).
    """
    find(params.datasets, name, "data set")
    if name not in params.neighbour_strips:
        raise UserError(f"{name}: neighbour_strips in params.yaml does not name this data set")
    results = of_set(Results(params, layout), name)
    images, index = open_set(results.whose, name)
    picture = neighbours.draw(images, drawable(index.classes, name), shown(Scored(results), name))
    path = layout.figure(f"neighbours_{name}", "png")
    write_bytes(path, as_png(picture, of=neighbours.stamp(results)))
    say(f"{name}: nearest neighbours in {path}")


def shown(scored: Scored, dataset: str) -> list[neighbours.Strips]:
    """The first run of each of the two settings, as far as they are scored."""
    trained = scored.best(dataset, scored.trained)
    chosen = [(trained, "trained"), (scored.untrained(dataset, trained), "untrained")]
    features = scored.results.features
    return [
        neighbours.Strips(
            setting.name if setting.name == kind else f"{kind}: {setting.name}",
            features[dataset, setting.name]["neighbours"],
        )
        for setting, kind in chosen
        if setting and (dataset, setting.name) in features
    ]
