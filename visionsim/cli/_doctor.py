"""Draw a diagnosis: a line for each thing that was looked at, and below it what to do."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from visionsim.cli._console import say
from visionsim.cli._progress import counted
from visionsim.cli._summary import stdout_console
from visionsim.simulation.doctor import Diagnosis

__all__ = ["show_diagnosis"]

STYLES = {"ok": "green", "warning": "bold yellow", "problem": "bold red"}


def show_diagnosis(found: Diagnosis, console: Console | None = None) -> None:
    """All checks, and what they come to."""
    console = console or stdout_console()
    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in found.checks:
        table.add_row(Text(check.status, STYLES[check.status]), Text(check.name, "bold"), Text(check.text))
        if check.advice:
            table.add_row("", "", Text(f"-> {check.advice}", "cyan"))
    console.print(table)
    console.print()
    problems, warnings = (sum(check.status == status for check in found.checks) for status in ("problem", "warning"))
    if problems:
        say(console, f": {counted(problems, 'problem')}", label="Nothing can be rendered here", style="bold red")
    elif warnings:
        say(console, f", with {counted(warnings, 'warning')}", label="visionsim works here", style="bold yellow")
    else:
        say(console, "", label="visionsim works here", style="bold green")
