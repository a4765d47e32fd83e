"""Commands that go through the frames of a dataset: their progress, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from visionsim.cli._errors import write_json
from visionsim.cli._progress import counted, counting, duration
from visionsim.cli._summary import show_list, stdout_console
from visionsim.dataset.report import WorkReport
from visionsim.files import refusing
from visionsim.types import ProgressFn

__all__ = ["carry_out", "show_work"]


def carry_out(
    verb: str, work: Callable[[ProgressFn], WorkReport], target: Path, *, as_json: bool, noun: str = "frames"
) -> int:
    """Do it, draw it (`Exporting 3/5 frames`) and tell what became of it; returns the exit code."""
    with refusing(target), counting(verb, noun) as progress:
        report = work(progress)
    if as_json:
        write_json(report.to_json())
    else:
        show_work(report)
    return report.exit_code


def show_work(report: WorkReport, console: Console | None = None) -> None:
    """What is done, and which frames could not be read."""
    console = console or stdout_console()
    damaged = [f"{frame.sequence} frame {frame.frame}: {frame.message}" for frame in report.damaged]
    for title, style, lines in (("Damaged", "red", damaged), ("Notes", "yellow", report.notes)):
        if lines:
            show_list(console, title, style, lines)
            console.print()
    kept = f", {report.kept} of them before" if report.kept else ""
    console.print(
        f"{counted(report.frames, 'frame')} {report.what}{kept} in {duration(report.elapsed)}: {report.target}",
        soft_wrap=True,
        highlight=False,
    )
    if report.damaged:
        console.print(
            f"{counted(len(report.damaged), 'frame')} could not be read. `visionsim purge-corrupted` removes what is "
            "corrupted, and the command that made the dataset renders it again.",
            highlight=False,
        )
