"""dataset: look at datasets, and make others of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from visionsim.cli._shared import AsJson, ConfigFile, Processes

__all__ = ["convert", "info", "merge", "split"]

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
        target,
        as_json=as_json,
    )


def merge(
    roots: Annotated[list[Path], typer.Argument(help="Datasets folders or sequences.", metavar="ROOT...")],
    target: Target,
    *,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Put the sequences of several datasets folders into one; nothing is rendered, and nothing is changed in ROOT.

    Files become hard links where that is possible, else copies. Refused if two different sequences would get the same
    place, or if two of the same scene have frames in common; sequences that are the same are taken once.
    """
    from visionsim.cli._work import carry_out
    from visionsim.dataset.merge import merge as run

    return carry_out("Merging", lambda progress: run(roots, target, progress=progress), target, as_json=as_json)


def split(
    root: Annotated[Path, typer.Argument(help="A datasets folder.", metavar="ROOT")],
    *,
    by: Annotated[
        Literal["sequence", "scene"],
        typer.Option(help="Whether different sequences of a scene may be in different parts, or no two of a scene."),
    ] = "sequence",
    val: Annotated[float, typer.Option(help="Share of the frames for validation; 0 is no such part.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of the frames for testing; 0 is no such part.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Another one divides otherwise.")] = 0,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Divide sequences for training, validation and testing: ROOT/splits.json, which --split of other commands reads.

    Sequences of a scene that show the same moments, slowed down or not, always stay together, so that no frame leaks.
    """
    from visionsim.cli._errors import write_json
    from visionsim.cli._split import show_split
    from visionsim.dataset.split import split as run

    report = run(root, by=by, val=val, test=test, seed=seed)
    if as_json:
        write_json(report.to_json())
    else:
        show_split(report)
    return 0
