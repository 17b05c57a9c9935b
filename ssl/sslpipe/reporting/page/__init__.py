"""reports/index.html: all results in one file that needs neither a network nor another file.

Everything that it says stands in tables and figures, which work without JavaScript and in print; the
script adds sorting, filters, where a number is from, and the two charts in which a reader hovers and
chooses (Vega-Lite, from the package vl-convert-python).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from sslpipe.reporting import board, words
from sslpipe.reporting.neighbours import are_of as neighbours_are_of
from sslpipe.reporting.page import data, sections, summary
from sslpipe.reporting.page.figures import figure_of, figures
from sslpipe.reporting.paired import Json
from sslpipe.reporting.results import Results
from sslpipe.reporting.studies import studies
from sslpipe.reporting.studies_text import notes, scores
from sslpipe.reporting.winner import winner
from sslpipe.schema.flat import leaves

TITLE = "Self-supervised image encoders compared"
SECTIONS = {
    "summary": "Summary",
    "board": "Leaderboard",
    "sure": "How sure",
    "curves": "Curves",
    "budget": "Budget",
    "probes": "Probes",
    "features": "Features",
    "claims": "Claims",
    "studies": "Studies",
    "data-sets": "Data sets",
    "provenance": "Provenance",
}
SCRIPTS = ("tools.js", "tables.js", "provenance.js", "charts.js", "sections.js")


def page(results: Results, whole: Json, claims: Mapping[str, Any] | None) -> str:
    """The whole page. whole: reports/leaderboard.json; claims: reports/claims.json or None."""
    content = page_content(results, whole, claims)
    environment = Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.globals |= {"breakable": _breakable, "words": words}
    environment.filters["minus"] = lambda text: text.replace("-", "−")
    return environment.get_template("template.html").render(
        **content,
        style=Markup(_asset("style.css")),
        script=Markup("".join(_asset(name) for name in SCRIPTS)),
        library=Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")),
    )


def page_content(results: Results, whole: Json, claims: Mapping[str, Any] | None) -> dict[str, Any]:
    """Everything in the template but its style and scripts."""
    client, report = data.client_data(results, whole), results.params.report
    client["studies"] = studies(results)
    drawn = figures(results)
    of_studies = {name: figure_of(results, study) for name, study in client["studies"].items()}
    cards = sections.claim_cards(claims)
    table = board.board(whole)
    filters = {"dataset": "data set", **{key: key for key in board.FILTERS}}
    trained = [row for row in whole["rows"] if row["kind"] == "trained"]
    sampled = {key for row in whole["rows"] for key, score in row["scores"].items()
               if score["low"] is not None}  # fmt: skip
    return {
        "title": TITLE,
        "sections": SECTIONS.items(),
        "compared": summary.compared_in_words(whole),
        "winners": {name: winner(whole, name) for name in whole["datasets"]},
        "headings": {key: its["heading"] for key, its in whole["legend"].items()},
        "missing": list(
            summary.missing(results, whole, claims, [*drawn.values(), *of_studies.values()])
        ),
        "board": table,
        "filters": filters,
        "filter_values": {key: sorted({row[key] for row in trained}) for key in board.FILTERS}
        | {"dataset": list(whole["datasets"])},
        "choices": board.choices(whole),
        "datasets": [(name, name) for name in whole["datasets"]],
        "sampled": [
            (key, whole["legend"][key]["heading"])
            for key in sorted(sampled, key=lambda key: (key != "probe_top1", _place(whole, key)))
        ],
        "differences": [board.differences(whole, name) for name in whole["datasets"]],
        "figures": drawn,
        "shake_up": sections.shake_up_table(whole),
        "curves": sections.curve_table(results, whole),
        "confusion": sections.confusion_tables(results, whole),
        "strips": [
            (name, f"figures/neighbours_{name}.png")
            for name in results.params.neighbour_strips
            if neighbours_are_of(results, name)
        ],
        "claims": cards,
        "claims_count": _claims_count(cards),
        "studies": [
            {
                **study,
                "figure": of_studies[name],
                "notes": list(notes(study)),
                "table": scores(study, report.confidence),
            }
            for name, study in client["studies"].items()
        ],
        "data_sets": sections.dataset_table(results, whole),
        "runs": sections.run_table(whole),
        "versions": sections.version_table(whole),
        "made_by": [(key, _value(value)) for key, value in leaves(whole["made_by"])],
        "version": whole["made_by"]["sslpipe"],
        "files": client["files"],
        "prose": _prose,
        "data": Markup(_as_json(client)),
    }


def _claims_count(cards: list[dict[str, Any]]) -> str:
    """ "Of 11 claims 3 hold, 2 do not hold; of 6 there is not enough data."."""
    of = {status: sum(card["status"] == status for card in cards) for status in
          ("holds", "does not hold", "not enough data")}  # fmt: skip
    return (
        f"Of {words.counted(len(cards), 'claim')}, {of['holds']} hold and {of['does not hold']} do "
        f"not; for {of['not enough data']} there is not enough data."
    )


def _breakable(text: str) -> Markup:
    """A name that may be broken after its underscores."""
    return Markup(str(escape(text)).replace("_", "_<wbr>"))


def _prose(text: str) -> Markup:
    """What stands between backticks as code, between two stars as strong."""
    html = re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"\*\*(.*?)\*\*", r"<strong>\1</strong>", html))


def _place(whole: Json, key: str) -> int:
    return list(whole["legend"]).index(key)


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _as_json(content: Json) -> str:
    """Without <, so that no text in it ends the script element."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c")


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
