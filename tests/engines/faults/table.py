"""The outcomes of campaigns as Markdown: python tests/engines/faults/table.py faults.csv …"""

import collections
import csv
import sys
from pathlib import Path

from campaign import GOOD, KINDS, MISSED
from tabulate import tabulate

HEADINGS = ("no repair", "repair named", "doctor named it", "not as before")


def table(rows: list[dict[str, str]]) -> str:
    stages = list(dict.fromkeys(sorted((r["stage"] for r in rows), key=ORDER.index)))
    cells = collections.Counter((row["kind"], row["stage"]) for row in rows)
    outcomes = collections.Counter(
        (row["kind"], GOOD.index(row["outcome"]) if row["outcome"] in GOOD else 3) for row in rows
    )
    lines = []
    for kind in [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]:
        counts = [cells[kind, stage] or "" for stage in stages]
        lines.append([kind, *counts, *(outcomes[kind, n] or "" for n in range(4))])
    total = [sum(cells[kind, stage] for kind in KINDS) for stage in stages]
    sums = [sum(outcomes[kind, n] for kind in KINDS) for n in range(4)]
    lines.append(["**all**", *total, *sums])
    names = [stage.replace("_", " ") for stage in stages]
    return tabulate(lines, ["fault", *names, *HEADINGS], tablefmt="pipe", disable_numparse=True)


ORDER = (
    "download", "subset", "describe", "contact_sheet", "corpus", "pretrain", "embed", "evaluate",
    "finetune", "neighbours", "leaderboard", "figures", "study", "claims", "page",
)  # fmt: skip


if __name__ == "__main__":
    found = [
        row
        for name in sys.argv[1:]
        for row in csv.DictReader(Path(name).read_text(encoding="utf-8").splitlines())
    ]
    struck = [row for row in found if row["outcome"] != MISSED]
    missed = len(found) - len(struck)
    print(f"{len(struck)} faults; {missed} more came when the stage had ended\n\n{table(struck)}")
