"""Draw a purge: what is corrupted, the question whether it may go, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from visionsim.cli._console import say
from visionsim.cli._progress import counted, duration
from visionsim.cli._summary import in_common, new_table, show_list, stdout_console
from visionsim.verify.purge import PurgeReport, SequencePurge

__all__ = ["agreed", "show_found", "show_removed"]

MAX_ROWS = 40
"""Sequences in the table."""


def show_found(report: PurgeReport, console: Console | None = None) -> None:
    """Which files are corrupted, and why."""
    console = console or stdout_console()
    bad = [row for row in report.sequences if row.corrupted or row.unchecked]
    if bad:
        console.print(table_of(bad))
        console.print()
    corrupted = [f"{place(row, item.file)}: {item.reason}" for row in bad for item in row.corrupted]
    unchecked = [f"{place(row, file)}: {reason}" for row in bad for file, reason in row.unchecked.items()]
    notes = [f"{row.name}: {note}" for row in report.sequences for note in row.notes]
    for title, style, lines in (
        ("Corrupted", "red", corrupted),
        ("Nothing can be said of these, which are left alone", "yellow", unchecked),
        ("Notes", "yellow", notes),
    ):
        if lines:
            show_list(console, title, style, lines)
            console.print()


def place(row: SequencePurge, file: str) -> str:
    return f"{row.name}/{file}"


def table_of(rows: Sequence[SequencePurge]) -> Table:
    shown = rows[:MAX_ROWS]
    title, names = in_common([row.folder for row in shown])
    table = new_table(title, "Files", "Corrupted", "Unknown")
    for name, row in zip(names, shown, strict=True):
        cells = [(len(row.corrupted), "bold red"), (len(row.unchecked), "bold yellow")]
        texts = [Text(str(number), style if number else "") for number, style in cells]
        table.add_row(Text(name), Text(str(row.files)), *texts)
    if len(rows) > len(shown):
        table.add_row(f"and {len(rows) - len(shown)} more; --json lists them all")
    return table


def agreed(report: PurgeReport) -> bool:
    """Ask whether it may be removed; on stderr, where stdout may be for JSON."""
    return typer.confirm(f"Remove {what_goes(report)}?", err=True)


def what_goes(report: PurgeReport) -> str:
    """`3 files, and transforms.json and info.json of 2 sequences, which say that they are complete`."""
    text = counted(len(report.corrupted), "corrupted file")
    also = [row for row in report.sequences if row.in_the_way]
    if also:
        names = " and ".join(sorted({name for row in also for name in row.in_the_way}, reverse=True))
        says = "which says that it is complete" if len(also) == 1 else "which say that they are complete"
        text += f", and {names} of {counted(len(also), 'sequence')}, {says}"
    return text


def show_removed(report: PurgeReport, *, asked: bool, console: Console | None = None) -> None:
    """What became of it, in the end."""
    console = console or stdout_console()
    corrupted = report.corrupted
    left = [
        f"{place(row, item.file)}: {item.problem}" for row in report.sequences for item in row.corrupted if item.problem
    ]
    if left:
        show_list(console, "Not removed", "red", left)
        console.print()
    looked = f"{counted(report.files, 'file')} of {counted(len(report.sequences), 'sequence')}"
    pace = f"{looked} in {duration(report.elapsed)}"
    gone = [item for item in corrupted if item.removed]
    if not corrupted:
        label, style, text = "Nothing is corrupted", "bold green", f": {pace}"
        if report.unchecked:
            label, style = "Nothing else is corrupted", "bold yellow"
    elif gone:
        label, style = "Removed", "bold green" if len(gone) == len(corrupted) else "bold yellow"
        documents = sum(row.documents_removed and bool(row.in_the_way) for row in report.sequences)
        text = f" {len(gone)} of {counted(len(corrupted), 'corrupted file')}"
        text += (
            f", and the documents of {counted(documents, 'sequence')} that said they were complete" if documents else ""
        )
        text += f"; {pace}. Run the command that made them again to render what is missing"
    else:
        label, style = "Corrupted", "bold red"
        text = f": {what_goes(report)}; {pace}. Nothing was removed"
        text += "" if asked else "; without --dry-run they are"
    say(console, text, label=label, style=style)
