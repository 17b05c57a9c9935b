"""Mistakes of `studies` in params.yaml: unknown runs, and settings that these runs do not have."""

from collections.abc import Iterator

from sslpipe.schema.flat import flat
from sslpipe.schema.params import Params
from sslpipe.schema.training import ResolvedRun


def studies_disagreements(params: Params, resolved: dict[str, ResolvedRun]) -> Iterator[str]:
    """Each mistake as `key.path: what is wrong`. resolved: the runs without mistakes of their own."""
    for name, study in params.studies.items():
        where = f"studies.{name}"
        if len(set(study.runs)) < len(study.runs):
            yield f"{where}.runs: the same run is named twice"
        for i, run in enumerate(study.runs):
            if run not in params.runs:
                yield f"{where}.runs.{i}: no run {run!r}; there are: {', '.join(params.runs)}"
        keys = [study.x] if isinstance(study.x, str) else study.x
        if len(set(keys)) < len(keys):
            yield f"{where}.x: the same setting is named twice"
        known = {
            run: flat({"parameters": resolved[run].model_dump(mode="json")})
            for run in study.runs
            if run in resolved
        }
        for key in keys:
            without = [run for run in known if key not in known[run]]
            if without:
                there = known[without[0]]
                allowed = [other for other in there if other.startswith(f"{key}.")] or there
                yield (
                    f"{where}.x: run {without[0]!r} has no setting {key!r}; "
                    f"there are: {', '.join(allowed)}"
                )
