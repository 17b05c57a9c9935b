"""reports/claims.md, from the dictionary that claims.json holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sslpipe.reporting.claims.claim import Effect
from sslpipe.reporting.markdown import listed, table
from sslpipe.reporting.words import DASH, share


def as_markdown(whole: Mapping[str, Any]) -> str:
    """A table of all, then a section for each."""
    return "\n\n".join(_paragraphs(whole)) + "\n"


def _paragraphs(whole: Mapping[str, Any]) -> Iterator[str]:
    claims, report = whole["claims"], whole["made_by"]["report"]
    count = Counter(claim["status"] for claim in claims)
    yield "# Claims"
    yield (
        f"{count['holds']} hold, {count['does not hold']} do not hold, for "
        f"{count['not enough data']} there is not enough data. A number is above, below or between "
        f"others if its whole {share(report['confidence'])} interval is; one whose interval lies on "
        "both sides of its threshold, or that has none, decides nothing. A claim holds if all its "
        "parts are so, and does not if one is shown not to be. [How each rule works](../docs/claims.md)."
    )
    yield table(
        ["id", "claim", "verdict", "effect"],
        [
            [f"[{c['id']}](#{c['id'].lower()})", c["claim"], f"**{c['status']}**", effect_text(c)]
            for c in claims
        ],
        "llll",
    )
    for claim in claims:
        yield from _section(claim)


def _section(claim: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {claim['id']}"
    yield f"{claim['claim']}"
    yield f"**{claim['status'].capitalize()}.** {claim['reason']}"
    yield f"Rule: {claim['rule']}"
    runs = listed(claim["runs"]) or "none"
    figure = f"[{claim['figure']}]({claim['figure']})" if claim["figure"] else DASH
    yield "\n".join(
        [f"- Effect: {effect_text(claim)}", f"- Runs: {runs}", f"- Figure: {figure}"]
        + [f"- {line}" for line in claim["details"]]
    )
    if claim["table"]:
        yield table(claim["table"]["headers"], claim["table"]["rows"], claim["table"]["align"])


def effect_text(claim: Mapping[str, Any]) -> str:
    return str(Effect(**claim["effect"])) if claim["effect"] else DASH
