"""`sslpipe doctor`: what is examined, and for each problem what to do about it."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from sslpipe.layout import Layout
from sslpipe.terminal.console import FAINT, WARNING, stdout
from sslpipe.upkeep.doctor import examine


def print_examination(layout: Layout, *, data: bool, console: Console | None = None) -> int:
    """Returns the number of problems."""
    console = console or stdout()
    problems = 0
    for subject, findings in examine(layout, data=data):
        for number, finding in enumerate(findings):
            label = subject if number == 0 else ""
            if finding.fix is None:
                console.print(Text.assemble((f"  {label:12}", FAINT), finding.what))
                continue
            problems += 1
            console.print(Text.assemble((f"! {label:12}", WARNING), finding.what))
            console.print(f"{'':14}-> {finding.fix}")
    found = f"{problems} problem{'' if problems == 1 else 's'}" if problems else "Nothing is wrong"
    console.print(f"{found}.")
    return problems
