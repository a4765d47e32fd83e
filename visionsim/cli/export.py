"""export: datasets in the formats of others, one command for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from visionsim.cli._shared import AsJson, ConfigFile, Split, Threads

__all__ = ["coco", "flow", "hdf5", "webdataset"]

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


def coco(
    root: Root,
    target: Target,
    *,
    classes: Annotated[
        str | None,
        typer.Option(help="Only objects of these classes, such as tree,rock; by default all.", metavar="NAMES"),
    ] = None,
    min_area: Annotated[
        int, typer.Option(help="Leave out objects of which fewer pixels are seen in a picture.", min=1)
    ] = 1,
    pictures: Annotated[
        Literal["copy", "link"], typer.Option(help="Copy pictures, or make symbolic links to them.")
    ] = "copy",
    split: Split = None,
    threads: Threads = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Instance masks, boxes and classes, as COCO's tools read them.

    Writes annotations.json and images/SEQUENCE/frame_000001.png; of a dataset that is split, in a folder for each part.
    """
    from visionsim.cli._work import carry_out
    from visionsim.exports.coco import classes_of, export_coco
    from visionsim.exports.frames import by_split

    whole, parts = by_split(root, split)
    return carry_out(
        "Exporting",
        lambda progress: export_coco(
            parts,
            target,
            classes=None if classes is None else [name.strip() for name in classes.split(",")],
            categories=classes_of([whole]),
            min_area=min_area,
            pictures=pictures,
            threads=threads,
            progress=progress,
        ),
        as_json=as_json,
    )


def hdf5(
    root: Root,
    target: Target,
    *,
    level: Annotated[
        int, typer.Option(help="How much to compress, without loss: 0 (not at all) to 9.", min=0, max=9)
    ] = 1,
    split: Split = None,
    threads: Threads = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Everything in HDF5 files, one for each sequence.

    Writes SEQUENCE.h5. Run the same command again to write those that are missing.
    """
    from visionsim.cli._work import carry_out
    from visionsim.dataset.reader import Dataset
    from visionsim.exports.hdf5 import export_hdf5

    dataset = Dataset.from_path(root, split)
    return carry_out(
        "Exporting",
        lambda progress: export_hdf5(dataset, target, level=level, threads=threads, progress=progress),
        as_json=as_json,
    )


def webdataset(
    root: Root,
    target: Target,
    *,
    shard_size: Annotated[
        str,
        typer.Option(help="Size of shards, roughly; only sequences that are larger are divided.", metavar="SIZE"),
    ] = "1GB",
    split: Split = None,
    threads: Threads = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Everything in tar files, as WebDataset reads them.

    Writes all-000000.tar ... and all.json; of a dataset that is split, train-000000.tar and so on for each part.
    """
    from visionsim.cli._work import carry_out
    from visionsim.exports.frames import by_split
    from visionsim.exports.webdataset import export_webdataset
    from visionsim.simulation.config import parse_bytes

    size = parse_bytes(shard_size)
    _, parts = by_split(root, split)
    return carry_out(
        "Exporting",
        lambda progress: export_webdataset(parts, target, shard_size=size, threads=threads, progress=progress),
        as_json=as_json,
    )
