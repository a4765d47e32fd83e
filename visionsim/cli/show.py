"""show: a contact sheet of a dataset, in the terminal if it can."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from visionsim.cli._shared import AsJson, ConfigFile, Direction

__all__ = ["show"]


def show(
    root: Annotated[
        Path, typer.Argument(help="A datasets folder or a sequence, or its transforms.json.", metavar="ROOT")
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="Picture to write; by default previews/contact-sheet.png in ROOT.", metavar="FILE"),
    ] = None,
    frame: Annotated[
        int | None, typer.Option(help="Frame to show; by default the middle one, of a single sequence several.")
    ] = None,
    sequences: Annotated[
        list[str] | None,
        typer.Option(
            help="Sequences to show, by name, scene or pattern such as 'street/*'; several with the option again.",
            metavar="NAME",
        ),
    ] = None,
    flow_direction: Direction = "forward",
    tile: Annotated[int, typer.Option(help="Width of each picture in pixels.", min=32, max=2048)] = 240,
    draw: Annotated[
        Literal["auto", "kitty", "iterm2", "sixel", "blocks", "no"],
        typer.Option(help="How to draw it in the terminal: auto takes the best that it is known to understand."),
    ] = "auto",
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Draw a contact sheet: a row for each sequence, or for frames of one; a column for each kind of data.

    The picture is written to a file, and drawn in terminals that can. Exit code 1 if a frame could not be read.
    """
    from visionsim.cli._console import say
    from visionsim.cli._errors import write_json
    from visionsim.cli._summary import show_list, stdout_console
    from visionsim.dataset.folders import folder_of
    from visionsim.preview.sheet import contact_sheet, save_sheet
    from visionsim.preview.terminal import drawn, method_of

    sheet = contact_sheet(root, frame=frame, sequences=sequences or (), flow_direction=flow_direction, tile=tile)
    folder = folder_of(root)
    out = out or folder / "previews" / "contact-sheet.png"
    save_sheet(sheet, out)
    console = stdout_console()
    if as_json:
        rows = [{"sequence": sequence, "frame": number} for sequence, number in sheet.rows]
        damaged = [vars(item) for item in sheet.damaged]
        code = int(bool(damaged))
        write_json({"exit_code": code, "file": str(out), "kinds": sheet.kinds, "rows": rows, "damaged": damaged})
        return code
    method = method_of(sys.stdout.isatty(), console.color_system is not None) if draw == "auto" else draw
    if method != "no":
        # An encoding without half blocks gets question marks, not an error.
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        sys.stdout.write(drawn(sheet.picture, method, console.width) + "\n")
    damaged_lines = [f"{item.sequence} frame {item.frame}: {item.message}" for item in sheet.damaged]
    for title, style, lines in (("Damaged", "red", damaged_lines), ("Notes", "yellow", sheet.notes)):
        if lines:
            show_list(console, title, style, lines)
    say(console, str(out))
    return int(bool(sheet.damaged))
