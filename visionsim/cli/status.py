"""status: how far runs are, from what is on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from visionsim.cli._shared import AsJson, ConfigFile

__all__ = ["status"]


def status(
    root: Annotated[
        Path, typer.Argument(help="Folder of datasets, or that render-animation writes to.", metavar="ROOT")
    ],
    *,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Tell what is done, what failed and who is at work, while a run goes on or after it ended or died.

    Reads what is on disk, changes nothing and needs no Blender. Exit code 1 if anything is not complete.
    """
    from visionsim.cli._errors import write_json
    from visionsim.cli._status import show_status
    from visionsim.simulation.status import status as look

    found = look(root)
    if as_json:
        write_json(found.to_json())
    else:
        show_status(found)
    return found.exit_code
