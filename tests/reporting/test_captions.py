"""The captions of `snakemake --report`: each is there, and renders as Snakemake renders it."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from docutils.core import publish_string
from jinja2 import Environment, StrictUndefined

WORKFLOW = Path(__file__).resolve().parents[2] / "workflow"
PARAMS = WORKFLOW.parent / "presets/default.yaml"
CAPTIONS = sorted(path.stem for path in (WORKFLOW / "report").glob("*.rst"))


def asked_for():
    """Names of the captions in the rules."""
    rules = (WORKFLOW / "rules/report.smk").read_text()
    named = re.findall(r"report/(\w+)\.rst", rules)
    pictured = re.findall(r'pictured\("(\w+?)(?:_\{\w+\})?",', rules)
    return {*named, *pictured}


def test_every_caption_is_asked_for_and_there():
    assert set(CAPTIONS) == asked_for() and len(CAPTIONS) > 8


def rendered(name, wildcards):
    config = yaml.safe_load(PARAMS.read_text())
    template = Environment(undefined=StrictUndefined).from_string(
        (WORKFLOW / f"report/{name}.rst").read_text()
    )
    snakemake = SimpleNamespace(config=config, wildcards=SimpleNamespace(**wildcards))
    text = template.render(snakemake=snakemake)
    settings = {"report_level": 1, "halt_level": 1, "warning_stream": None}  # no warning at all
    publish_string(text, writer="html", settings_overrides=settings)
    return " ".join(text.split())


@pytest.mark.parametrize("name", CAPTIONS)
def test_every_caption_renders(name):
    wildcards = {"study": "method", "dataset": "digits"}
    assert len(rendered(name, wildcards)) > 60


def test_captions_hold_what_params_say():
    params = yaml.safe_load(PARAMS.read_text())
    study = next(iter(params["studies"]))
    text = rendered("study", {"study": study})
    assert f"``{params['studies'][study]['x']}``" in text and f"reports/studies/{study}.md" in text
    assert "``digits``" in rendered("neighbours", {"dataset": "digits"})
    assert f"the {len(params['runs'])} runs on" in rendered("leaderboard", {})
