"""Draw how a datasets folder was divided."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from visionsim.cli._progress import counted
from visionsim.cli._summary import new_table, show_list, stdout_console
from visionsim.dataset.split import SplitReport

__all__ = ["show_split"]


def show_split(report: SplitReport, console: Console | None = None) -> None:
    """A table of the parts."""
    console = console or stdout_console()
    table = new_table("Part", "Sequences", "Frames", "Share", "Wanted")
    for part in report.parts:
        share = part.frames / report.frames
        cells = part.name, len(part.sequences), part.frames, f"{100 * share:.1f} %", f"{100 * part.wanted:.1f} %"
        table.add_row(*(Text(str(cell)) for cell in cells))
    console.print(table)
    console.print()
    if report.notes:
        show_list(console, "Notes", "yellow", report.notes)
        console.print()
    sequences = sum(len(part.sequences) for part in report.parts)
    together = f" in {counted(report.groups, 'group')} that stay together" if report.groups < sequences else ""
    console.print(f"{counted(sequences, 'sequence')}{together}: {report.path}", soft_wrap=True, highlight=False)
