"""Draw how far runs are: who runs, a table of sequences, what failed and what was tried again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from visionsim.cli._console import say
from visionsim.cli._progress import counted
from visionsim.cli._summary import failure_lines, frame_ranges, in_common, new_table, show_list, stdout_console
from visionsim.simulation.record import Retried
from visionsim.simulation.report import Failure
from visionsim.simulation.status import SequenceStatus, Status

__all__ = ["show_status"]

MAX_ROWS = 40
"""Sequences in the table; those that are not complete come first if there are more."""

STYLES = {"complete": "green", "running": "bold cyan", "waiting": "cyan", "stopped": "bold yellow", "not begun": "dim"}


def show_status(found: Status, console: Console | None = None) -> None:
    """All of it but notes."""
    console = console or stdout_console()
    if found.sequences:
        console.print(table_of(found.sequences))
        console.print()
    aside = [failure for failure in found.failures if failure.set_aside]
    others = [failure for failure in found.failures if not failure.set_aside]
    show_failures(console, "Failed", others)
    show_failures(console, "Set aside, because Blender died of it each time", aside)
    retries = retry_lines([retried for run in found.runs for retried in run.retries])
    if retries:
        show_list(console, "Tried again", "yellow", retries)
        console.print()
    for run in found.runs:
        label, style = ("Running", "bold cyan") if run.running else ("Last run", "bold yellow")
        say(console, f": {run.holder}{'' if run.running else f': {run.state}'}", label=label, style=style)
    say(console, summary(found))


def show_failures(console: Console, title: str, failures: Sequence[Failure]) -> None:
    if failures:
        show_list(console, title, "red", failure_lines(failures))
        console.print()


def retry_lines(retries: Iterable[Retried]) -> list[str]:
    """One line for all frames of a sequence that went wrong in the same way."""
    frames: dict[tuple[str, str], list[int]] = {}
    for retried in retries:
        frames.setdefault((retried.sequence, retried.message), []).append(retried.frame)
    return [f"{name}, {frame_ranges(numbers)}: {message}" for (name, message), numbers in frames.items()]


def table_of(rows: Sequence[SequenceStatus]) -> Table:
    shown = sorted(rows, key=lambda row: row.state == "complete")[:MAX_ROWS] if len(rows) > MAX_ROWS else list(rows)
    title, names = in_common([row.folder for row in shown])
    table = new_table(title, "Frames", "Done", "Failed", "Retried", "State")
    for name, row in zip(names, shown, strict=True):
        failed = Text(str(row.failed), "bold red" if row.failed else "")
        total = "?" if row.total is None else str(row.total)
        table.add_row(Text(name), total, str(row.done), failed, str(row.retried), Text(row.state, STYLES[row.state]))
    if len(rows) > len(shown):
        table.add_row(f"and {len(rows) - len(shown)} more; --json lists them all")
    return table


def summary(found: Status) -> str:
    """`3 of 4 sequences are complete; 310 of 400 frames are done.`"""
    rows = found.sequences
    complete = sum(row.state == "complete" for row in rows)
    done = sum(row.done for row in rows)
    totals = [row.total for row in rows]
    known = [total for total in totals if total is not None]
    of = counted(sum(known), "frame") if len(known) == len(totals) else "an unknown number of frames"
    text = f"{complete} of {counted(len(rows), 'sequence')} complete; {done} of {of} done"
    if found.exit_code and not any(run.running for run in found.runs):
        text += "; run the same command again to go on"
    return text
