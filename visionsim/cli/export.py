"""export: datasets in the formats of others, one command for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from visionsim.cli._shared import AsJson, ConfigFile, Split, Threads

__all__ = ["flow"]

Root = Annotated[
    Path,
    typer.Argument(help="A datasets folder or a sequence, or its transforms.json.", metavar="ROOT"),
]
Target = Annotated[Path, typer.Argument(help="Folder to write to.", metavar="TARGET")]


def flow(
    root: Root,
    target: Target,
    *,
    form: Annotated[
        Literal["kitti", "flo"], typer.Option(help="KITTI's 16-bit PNG, or Middlebury's .flo files.")
    ] = "kitti",
    split: Split = None,
    threads: Threads = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Optical flow, forward and backward, as KITTI's or Middlebury's readers take it.

    Writes SEQUENCE/forward/000001.png and SEQUENCE/backward/000001.png, or .flo.
    """
    from visionsim.cli._work import carry_out
    from visionsim.dataset.reader import Dataset
    from visionsim.exports.flow import export_flow

    dataset = Dataset.from_path(root, split)
    return carry_out(
        "Exporting",
        lambda progress: export_flow(dataset, target, form, threads=threads, progress=progress),
        as_json=as_json,
    )
