"""doctor: what works here, and what to do about what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from visionsim.cli._shared import AsJson, ConfigFile

__all__ = ["doctor"]


def doctor(
    *,
    root: Annotated[
        Path, typer.Option(help="Folder that datasets are to be written under; by default this one.", metavar="DIR")
    ] = Path("."),
    executable: Annotated[
        str | None,
        typer.Option(help="Blender to try; by default the bpy module of this Python, else `blender` on PATH."),
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
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
