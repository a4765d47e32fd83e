"""Draw what became of previews."""

from __future__ import annotations

from rich.console import Console

from visionsim.cli._console import say
from visionsim.cli._progress import counted, duration
from visionsim.cli._summary import show_list, stdout_console
from visionsim.preview.run import PreviewReport

__all__ = ["show_previews"]


def show_previews(report: PreviewReport, console: Console | None = None) -> None:
    """What is wrong, then where everything is."""
    console = console or stdout_console()
    damaged = [f"{frame.sequence} frame {frame.frame}: {frame.message}" for frame in report.damaged]
    failed = [f"{row.name}: {reason}" for row in report.sequences for reason in row.failures] + report.failures
    for title, style, lines in (
        ("Damaged", "red", damaged),
        ("Not previewed", "red", failed),
        ("Not finished, and so left out", "yellow", report.unfinished),
    ):
        if lines:
            show_list(console, title, style, lines)
            console.print()
    if report.videos:
        kept = f", {report.kept} of them from before" if report.kept else ""
        say(console, f"{counted(len(report.videos), 'video')}{kept}: {report.folder}")
    if report.page is not None:
        say(console, f"Report: {report.page}")
    previewed = sum(row.index is not None for row in report.sequences)
    console.print(f"{counted(previewed, 'sequence')} in {duration(report.elapsed)}", highlight=False)
    if damaged:
        say(
            console,
            "`visionsim purge-corrupted` removes what is corrupted, and the command that made the dataset renders it "
            "again.",
        )
