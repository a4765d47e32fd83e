"""Draw a verification: a bar while it goes on, then a table of sequences and what is wrong with them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from visionsim.cli._console import say
from visionsim.cli._progress import bar_lines, counted, duration
from visionsim.cli._summary import MAX_LINES, enumerated, in_common, new_table, show_list, stdout_console
from visionsim.verify.report import CHECKS, Found, Problem, ProgressOf, SequenceResult, Verified, VerifyReport

__all__ = ["drawing", "show_verified"]

MAX_ROWS = 40
"""Sequences in the table; those with problems come first if there are more."""

WIDE = 120
"""Columns that a table with all checks takes."""

LINE_EVERY_S = 10.0
"""Plain progress: least time between two lines."""


@contextmanager
def drawing() -> Iterator[ProgressOf]:
    """Yield the observer to hand to a verification; its drawing is gone when the block ends."""
    console = Console(stderr=True, highlight=False)
    counts: dict[str, Verified] = {}
    last = time.monotonic()

    def sums() -> tuple[int, int]:
        return sum(event.done for event in counts.values()), sum(event.total for event in counts.values())

    if sys.stderr.isatty() and not console.is_dumb_terminal:

        def bar() -> Table:
            done, total = sums()
            return bar_lines(console.width, [("Verifying", done, total, f"{done}/{total} frames")])

        def observe(event: Verified) -> None:
            counts[event.sequence] = event
            live.update(bar())

        with Live(console=console, transient=True, refresh_per_second=4) as live:
            yield observe
        return

    def write(event: Verified) -> None:
        nonlocal last
        counts[event.sequence] = event
        if time.monotonic() - last >= LINE_EVERY_S:
            last = time.monotonic()
            console.print("Verified {}/{} frames".format(*sums()), soft_wrap=True)

    yield write


def show_verified(report: VerifyReport, console: Console | None = None) -> None:
    """The closing table, and where something is wrong."""
    console = console or stdout_console()
    console.print(table_of(report.sequences, wide=console.width >= WIDE))
    console.print()
    bad = [row for row in report.sequences if row.found.problems]
    unfinished = [row for row in report.sequences if row.found.unfinished]
    if bad:
        lines = [line for row in bad for line in problem_lines(row, alone=len(report.sequences) == 1)]
        show_list(console, "Wrong", "red", lines)
        console.print()
    skipped = Found()
    for row in report.sequences:
        skipped += Found(skipped=row.found.skipped)
    if skipped.skipped:
        lines = [f"{check}: {n} {why}" for check, reasons in skipped.skipped.items() for why, n in reasons.items()]
        show_list(console, "Not judged", "yellow", lines)
        console.print()
    notes = [f"{row.name}: {note}" for row in report.sequences for note in row.found.notes]
    if notes:
        show_list(console, "Notes", "yellow", notes)
        console.print()
    count = f"{counted(report.frames, 'frame')} of {counted(len(report.sequences), 'sequence')}"
    pace = f"{count} in {duration(report.elapsed)}, {report.frames_per_minute:.0f} frames/minute"
    if unfinished:
        names = enumerated([row.name for row in unfinished])
        say(console, f" {names}; run the command that makes them again", label="Unfinished:", style="bold yellow")
    if bad or unfinished:
        problems = sum(len(row.found.problems) for row in bad)
        verb = "has" if len(bad) == 1 else "have"
        texts = [f"{counted(len(bad), 'sequence')} {verb} {counted(problems, 'problem')}"] if bad else []
        texts += [f"{counted(len(unfinished), 'sequence')} unfinished"] if unfinished else []
        say(console, f": {', '.join(texts)}; {pace}", label="Not verified", style="bold red" if bad else "bold yellow")
    else:
        say(console, f": {pace}", label="Verified", style="bold green")


def table_of(rows: Sequence[SequenceResult], *, wide: bool) -> Table:
    """A row for each sequence; if it is `wide`, a column for each check that any of them underwent."""
    checks = [check for check in CHECKS if any(row.status(check) != "skipped" for row in rows)]
    shown = sorted(rows, key=lambda row: row.ok)[:MAX_ROWS] if len(rows) > MAX_ROWS else list(rows)
    title, names = in_common([row.folder for row in shown])
    table = new_table(title, "Frames", *(checks if wide else ["Checks", "Failed"]))
    for name, row in zip(names, shown, strict=True):
        cells = [cell(row, check) for check in checks] if wide else sums_of(row)
        table.add_row(Text(name), Text(str(row.frames)), *cells)
    if len(rows) > len(shown):
        table.add_row(f"and {len(rows) - len(shown)} more; --json lists them all")
    return table


def cell(row: SequenceResult, check: str) -> Text:
    wrong = sum(problem.check == check for problem in row.found.problems)
    if wrong:
        return Text(f"{wrong} wrong", "bold red")
    return Text("ok", "green") if row.status(check) == "ok" else Text("-", "dim")


def sums_of(row: SequenceResult) -> list[Text]:
    """How many checks there were, and how many failed."""
    states = [row.status(check) for check in CHECKS]
    failed = states.count("failed")
    return [Text(str(failed + states.count("ok"))), Text(str(failed), "bold red" if failed else "green")]


def problem_lines(row: SequenceResult, *, alone: bool) -> list[str]:
    """`SEQUENCE, check: place: what is wrong: expected ..., found ...`."""
    lines = [line_of(problem) for problem in row.found.problems]
    if not alone:
        lines = [f"{row.name}, {line}" for line in lines]
        if len(lines) > MAX_LINES // 4:
            more = len(lines) - MAX_LINES // 4
            lines = [*lines[: MAX_LINES // 4], f"{row.name}: and {more} more; --json lists them all"]
    return lines


def line_of(problem: Problem) -> str:
    text = f"{problem.check}: {problem.place}: " if problem.place else f"{problem.check}: "
    text += problem.message
    if problem.expected is not None or problem.found is not None:
        text += f"; expected {problem.expected}, found {problem.found}"
    return text
