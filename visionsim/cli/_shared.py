"""Options that several commands have: one text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "OUTPUT",
    "AsJson",
    "ConfigFile",
    "Direction",
    "DryRun",
    "Force",
    "Labels",
    "Probe",
    "Processes",
    "Split",
    "Strict",
    "Threads",
]

OUTPUT = "Output"
"""Panel of the help page."""

AsJson = Annotated[
    bool,
    typer.Option(
        "--json/--no-json", help="Write one JSON document to stdout and nothing else.", rich_help_panel=OUTPUT
    ),
]

ConfigFile = Annotated[
    Path | None,
    typer.Option(help="YAML or TOML file with any of these options; the command line wins.", metavar="FILE"),
]

Processes = Annotated[int | None, typer.Option(help="Number of processes; by default as many as there are cores.")]

Threads = Annotated[
    int | None, typer.Option(help="Number of threads that read; by default as many as there are cores.", min=1)
]

Split = Annotated[
    str | None,
    typer.Option(
        help="Only the sequences of this part of splits.json, such as train; see `visionsim dataset split`.",
        metavar="NAME",
    ),
]

Direction = Annotated[
    Literal["forward", "backward"], typer.Option(help="Which of the two flows to show: to the next frame, or the last.")
]

Labels = Annotated[
    Path | None,
    typer.Option(
        help="YAML or TOML file that gives objects their classes, by patterns.", metavar="FILE", rich_help_panel=OUTPUT
    ),
]

DryRun = Annotated[
    bool,
    typer.Option(
        help="Show what would be rendered, and what was found in each scene; write nothing.", rich_help_panel=OUTPUT
    ),
]

Probe = Annotated[
    bool,
    typer.Option(
        help="With --dry-run: render one frame of each scene, keep nothing, and tell how long all will take.",
        rich_help_panel=OUTPUT,
    ),
]

Force = Annotated[
    bool,
    typer.Option(
        help="Start a sequence over if what is there was made with other settings, and so cannot be kept.",
        rich_help_panel=OUTPUT,
    ),
]

Strict = Annotated[
    bool,
    typer.Option(help="Refuse scenes with missing files, or with scripts that did not run.", rich_help_panel=OUTPUT),
]
