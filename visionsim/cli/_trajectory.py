"""Draw what is known of a camera path."""

from __future__ import annotations

import math
from pathlib import Path

from rich.console import Console
from rich.text import Text

from visionsim.cli._progress import counted
from visionsim.cli._summary import stdout_console
from visionsim.trajectory.path import Trajectory
from visionsim.trajectory.statistics import Statistics

__all__ = ["show_statistics", "show_written"]


def show_statistics(
    file: Path, path: Trajectory, found: Statistics, picture: Path | None, console: Console | None = None
) -> None:
    """Name and value, a line each."""
    console = console or stdout_console()
    camera = path.camera(0)
    lens = "not known" if camera is None else f"{camera.model}, {camera.width}x{camera.height}"
    if len(set(path.cameras)) > 1:
        lens += ", changes"
    low, high = (", ".join(f"{value:.4g}" for value in corner) for corner in (found.low, found.high))
    degrees, fastest = math.degrees(found.turned_rad), math.degrees(found.turn_rate_max_rad_s)
    even = found.interval_max_s - found.interval_min_s <= 1e-6
    spread = "" if even else f" ({found.interval_min_s:.4g} to {found.interval_max_s:.4g})"
    rows = {
        "Poses": f"{found.poses}, {found.interval_median_s:.4g} s apart{spread}",
        "Duration": f"{found.duration_s:.4g} s, at rest for {found.rests_s:.4g} s",
        "Distance": f"{found.distance:.4g} scene units",
        "Speed": f"{found.speed_mean:.4g} units/s, at most {found.speed_max:.4g}",
        "Turning": f"{degrees:.4g} degrees, at most {fastest:.4g} per second",
        "Bounds": f"({low}) to ({high})",
        "Camera": lens,
    }
    console.print(Text(str(file), style="bold"), soft_wrap=True)
    for name, value in rows.items():
        console.print(Text(f"  {name:<9} ", style="cyan") + Text(value), soft_wrap=True, highlight=False)
    if picture is not None:
        console.print(f"Drawn into {picture}", soft_wrap=True, highlight=False)


def show_written(path: Trajectory, out: Path, console: Console | None = None) -> None:
    """What was written where."""
    console = console or stdout_console()
    seconds = float(path.times_s[-1] - path.times_s[0])
    console.print(f"{counted(len(path), 'pose')}, {seconds:.4g} s: {out}", soft_wrap=True, highlight=False)
