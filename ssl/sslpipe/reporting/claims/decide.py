"""All claims in one plain dictionary, reports/claims.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sslpipe.reporting.claims.comparisons import c6, c7, c8, c9
from sslpipe.reporting.claims.curves import c1, c2
from sslpipe.reporting.claims.evidence import Evidence
from sslpipe.reporting.claims.loss_alone import c11
from sslpipe.reporting.claims.plateau import c3
from sslpipe.reporting.claims.probes import c10
from sslpipe.reporting.claims.stability import c4, c5
from sslpipe.reporting.results import Results

CLAIMS = (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11)


def decide(results: Results, made_by: Mapping[str, Any]) -> dict[str, Any]:
    """What the trained runs say of each claim, whatever is missing.

    Raises UserError when runs of a data set were scored on different images.
    """
    evidence = Evidence(results)
    return {
        "made_by": dict(made_by),
        "claims": [claim(evidence).as_json() for claim in CLAIMS],
    }
