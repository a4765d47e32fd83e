"""dataset: look at datasets, and make others of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from visionsim.cli._shared import AsJson, ConfigFile, Processes

__all__ = ["convert", "info"]

Root = Annotated[Path, typer.Argument(help="A datasets folder or a sequence, or its transforms.json.", metavar="ROOT")]
Target = Annotated[Path, typer.Argument(help="Folder to write to.", metavar="TARGET")]


def info(
    root: Root,
    *,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Tell what is in a dataset: sequences, frames, kinds of data, cameras, sizes; pixels are not read."""
    from visionsim.cli._errors import write_json
    from visionsim.cli._info import show_info
    from visionsim.dataset.info import info_of
    from visionsim.dataset.reader import Dataset

    found = info_of(Dataset.from_path(root))
    if as_json:
        write_json(found.to_json())
    else:
        show_info(found)
    return 0


def convert(
    root: Root,
    target: Target,
    *,
    to: Annotated[
        Literal["arrays", "files"],
        typer.Option(help="One .npy file for each kind of data, or a file for each kind of each frame."),
    ],
    pack: Annotated[
        Literal["frame", "height", "width", "channel"] | None,
        typer.Option(help="Axis of binary pictures along which eight values become one byte of their array."),
    ] = None,
    jobs: Processes = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Write sequences in another form, without loss; run again, it goes on where it was stopped.

    Every sequence of ROOT gets to the same place in TARGET. A frame that cannot be read is named and left out; its
    sequence stays unfinished until the same command finds it mended.
    """
    from visionsim.cli._work import carry_out
    from visionsim.dataset.convert import convert as run
    from visionsim.errors import ConfigError

    if jobs is not None and jobs < 1:
        raise ConfigError(f"--jobs={jobs}: must be at least 1")
    return carry_out(
        "Converting",
        lambda progress: run(root, target, to, pack=pack, jobs=jobs, progress=progress),
        as_json=as_json,
    )
