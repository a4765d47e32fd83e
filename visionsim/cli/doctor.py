"""doctor: what works here, and what to do about what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["doctor"]

OUTPUT = "Output"


def doctor(
    *,
    root: Annotated[
        Path, typer.Option(help="Folder that datasets are to be written under; by default this one.", metavar="DIR")
    ] = Path("."),
    executable: Annotated[
        str | None,
        typer.Option(help="Blender to try; by default the bpy module of this Python, else `blender` on PATH."),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json/--no-json", help="Write one JSON document to stdout and nothing else.", rich_help_panel=OUTPUT
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML or TOML file with any of these options; the command line wins.", metavar="FILE"),
    ] = None,
) -> int:
    """Tell what works here, and what to do about what does not.

    Starts Blender and looks at its devices, at disk, memory, cores, locks and ffmpeg. Changes nothing. Exit code 1 if
    nothing can be rendered.
    """
    from visionsim.cli._doctor import show_diagnosis
    from visionsim.cli._errors import write_json
    from visionsim.simulation.doctor import diagnose

    found = diagnose(root, executable)
    if as_json:
        write_json(found.to_json())
    else:
        show_diagnosis(found)
    return found.exit_code
