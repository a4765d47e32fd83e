"""trajectory: look at camera paths, and make others of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from visionsim.cli._shared import AsJson, ConfigFile

if TYPE_CHECKING:
    from visionsim.trajectory.path import Trajectory

__all__ = ["convert", "info", "resample", "smooth"]

Source = Annotated[
    Path,
    typer.Argument(
        help="A trajectory, transforms.json, TUM file, COLMAP text model, or pickled recording.", metavar="FILE"
    ),
]
Target = Annotated[Path, typer.Argument(help="File to write; a folder for colmap.", metavar="OUT")]
Rate = Annotated[
    float | None,
    typer.Option(help="Poses per second of FILE, if it has no times of its own.", min=1e-6, rich_help_panel="Reading"),
]
Form = Annotated[
    Literal["trajectory", "transforms", "tum", "colmap", "recording"] | None,
    typer.Option("--from", help="Format of FILE; by default told from its contents.", rich_help_panel="Reading"),
]


def info(
    file: Source,
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="Also draw the path, from above and from the side, into this .png.", metavar="PNG"),
    ] = None,
    fps: Rate = None,
    form: Form = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Tell how long, how far and how fast a camera path is, and perhaps draw it."""
    from visionsim.cli._errors import write_json
    from visionsim.cli._trajectory import show_statistics
    from visionsim.trajectory.formats import read_any
    from visionsim.trajectory.picture import save_picture
    from visionsim.trajectory.statistics import statistics_of

    path = read_any(file, fps=fps, form=form)
    found = statistics_of(path)
    if out is not None:
        save_picture(path, out)
    if as_json:
        write_json({"file": str(file), **found.to_json(), "picture": None if out is None else str(out)})
    else:
        show_statistics(file, path, found, out)
    return 0


def resample(
    file: Source,
    out: Target,
    *,
    rate: Annotated[float, typer.Option(help="Poses per second of OUT.", min=1e-6)],
    start: Annotated[
        float | None, typer.Option(help="Seconds at which OUT begins; by default the path's first.")
    ] = None,
    stop: Annotated[float | None, typer.Option(help="Seconds at which OUT ends, at most; by default the last.")] = None,
    fps: Rate = None,
    form: Form = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Write the same path with poses at a steady rate.

    The curve goes through all poses of FILE with continuous velocity and acceleration, and rests where FILE rests.
    """
    import numpy as np

    from visionsim.errors import RequestError
    from visionsim.trajectory.formats import read_any
    from visionsim.trajectory.splines import resample as run

    path = read_any(file, fps=fps, form=form)
    begin = float(path.times_s[0]) if start is None else start
    end = float(path.times_s[-1]) if stop is None else stop
    if end < begin:
        raise RequestError(f"--stop={end:g} is before --start={begin:g}")
    count = int(np.floor((end - begin) * rate * (1 + 1e-12) + 1e-9)) + 1
    made = run(path, begin + np.arange(count) / rate, frames=tuple(range(count)), fps=rate)
    return save(made, out, as_json=as_json)


def smooth(
    file: Source,
    out: Target,
    *,
    window: Annotated[
        float, typer.Option(help="Seconds; what trembles faster than that is taken away.", min=1e-6)
    ] = 0.2,
    fps: Rate = None,
    form: Form = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Take the tremble of a hand out of a path; its times stay what they are."""
    from visionsim.trajectory.formats import read_any
    from visionsim.trajectory.splines import smooth as run

    return save(run(read_any(file, fps=fps, form=form), window), out, as_json=as_json)


def convert(
    file: Source,
    out: Target,
    *,
    to: Annotated[
        Literal["trajectory", "tum", "colmap"], typer.Option(help="Format to write; colmap needs a known lens.")
    ] = "trajectory",
    fps: Rate = None,
    form: Form = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Write a path in another format; poses and times stay what they are."""
    from visionsim.trajectory.formats import read_any

    return save(read_any(file, fps=fps, form=form), out, to, as_json=as_json)


def save(
    path: Trajectory, out: Path, to: Literal["trajectory", "tum", "colmap"] = "trajectory", *, as_json: bool
) -> int:
    """Write the path, and tell what was written."""
    from visionsim.cli._errors import write_json
    from visionsim.cli._trajectory import show_written
    from visionsim.files import refusing
    from visionsim.trajectory.formats import write_any

    with refusing(out.parent):
        write_any(path, out, to)
    if as_json:
        seconds = float(path.times_s[-1] - path.times_s[0])
        write_json({"target": str(out), "format": to, "poses": len(path), "duration_s": seconds})
    else:
        show_written(path, out)
    return 0
