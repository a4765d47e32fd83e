"""export: datasets in the formats of others, one command for each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from visionsim.cli._shared import OUTPUT, AsJson, ConfigFile, Split, Threads

if TYPE_CHECKING:
    from visionsim.dataset.reader import Dataset
    from visionsim.exports.geometry import Parts

__all__ = ["coco", "colmap", "flow", "hdf5", "mesh", "nerfstudio", "ngp", "points", "tum", "webdataset"]

Root = Annotated[
    Path,
    typer.Argument(help="A datasets folder or a sequence, or its transforms.json.", metavar="ROOT"),
]
Target = Annotated[Path, typer.Argument(help="Folder to write to.", metavar="TARGET")]

Scale = Annotated[float, typer.Option(help="Multiply positions and depth, as for scene units that are not metres.")]

Link = Annotated[
    bool,
    typer.Option(
        help="Hard-link pictures rather than copy them, where they are taken as they are.", rich_help_panel=OUTPUT
    ),
]

PARTS = "Training, validation, testing"
"""Panel of the help page."""

Val = Annotated[
    float, typer.Option(help="Part of each sequence's frames that is for validation.", rich_help_panel=PARTS)
]
Test = Annotated[float, typer.Option(help="Part of each sequence's frames that is for testing.", rich_help_panel=PARTS)]
BySplits = Annotated[
    bool,
    typer.Option(
        help="All frames of a sequence are of the part that splits.json says; see `visionsim dataset split`.",
        rich_help_panel=PARTS,
    ),
]

Moving = Annotated[bool, typer.Option(help="Keep objects that move, wherever they were at some time.")]


def opened(root: Path, target: Path, split: str | None) -> Dataset:
    from visionsim.dataset.reader import Dataset

    check_target(root, target)
    return Dataset.from_path(root, split)


def check_target(root: Path, target: Path) -> None:
    """Refuse a target where the dataset would be overwritten, or where nothing can be written."""
    from visionsim.dataset.folders import folder_of, refuse_nested
    from visionsim.files import ensure_writable

    refuse_nested(folder_of(root), target)
    ensure_writable(target)


def parts_of(root: Path, dataset: Dataset, val: float, test: float, by_splits: bool) -> Parts:
    from visionsim.exports.geometry import Parts

    return Parts.of_splits(root, dataset) if by_splits else Parts(val, test)


def nerfstudio(
    root: Root,
    target: Target,
    *,
    depth: Annotated[
        Literal["png", "npy", "none"],
        typer.Option(help="Depth as 16-bit PNG, as float32 .npy without a limit, or not at all."),
    ] = "png",
    depth_factor: Annotated[
        float, typer.Option(help="Steps of depth for one unit; nerfstudio must be told any other than 1000.")
    ] = 1000.0,
    scale: Scale = 1.0,
    val: Val = 0.1,
    test: Test = 0.1,
    by_splits: BySplits = False,
    link: Link = False,
    split: Split = None,
    threads: Threads = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Pictures, poses and depth as nerfstudio's data parser takes them.

    Writes SEQUENCE/transforms.json, images/ and depths/; each SEQUENCE is a dataset for ns-train.
    """
    from visionsim.cli._work import carry_out
    from visionsim.exports.nerfstudio import export_nerfstudio

    dataset = opened(root, target, split)
    parts = parts_of(root, dataset, val, test, by_splits)
    return carry_out(
        "Exporting",
        lambda progress: export_nerfstudio(
            dataset,
            target,
            depth=depth,
            depth_factor=depth_factor,
            scale=scale,
            parts=parts,
            link=link,
            threads=threads,
            progress=progress,
        ),
        target,
        as_json=as_json,
    )


def ngp(
    root: Root,
    target: Target,
    *,
    depth_factor: Annotated[
        float, typer.Option(help="Steps of depth for one unit; it stands in the files, too.")
    ] = 1000.0,
    scale: Scale = 1.0,
    val: Val = 0.1,
    test: Test = 0.1,
    by_splits: BySplits = False,
    link: Link = False,
    split: Split = None,
    threads: Threads = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Pictures, poses and depth for instant-ngp and the loaders of NeRF-synthetic.

    Writes SEQUENCE/transforms_train.json, _val and _test with train/, val/, test/ and depth/.
    """
    from visionsim.cli._work import carry_out
    from visionsim.exports.ngp import export_ngp

    dataset = opened(root, target, split)
    parts = parts_of(root, dataset, val, test, by_splits)
    return carry_out(
        "Exporting",
        lambda progress: export_ngp(
            dataset,
            target,
            depth_factor=depth_factor,
            scale=scale,
            parts=parts,
            link=link,
            threads=threads,
            progress=progress,
        ),
        target,
        as_json=as_json,
    )


def colmap(
    root: Root,
    target: Target,
    *,
    form: Annotated[Literal["binary", "text"], typer.Option(help="Binary files, or text.")] = "binary",
    max_points: Annotated[
        int, typer.Option(help="About so many points for each sequence, from its depth.", min=0)
    ] = 100_000,
    scale: Scale = 1.0,
    link: Link = False,
    split: Split = None,
    threads: Threads = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Cameras, poses and points from depth, with what images saw them, as COLMAP models.

    Writes SEQUENCE/sparse/0/ (cameras, images, points3D) and SEQUENCE/images/.
    """
    from visionsim.cli._work import carry_out
    from visionsim.exports.colmap import export_colmap

    dataset = opened(root, target, split)
    return carry_out(
        "Exporting",
        lambda progress: export_colmap(
            dataset,
            target,
            form,
            max_points=max_points,
            scale=scale,
            link=link,
            threads=threads,
            progress=progress,
        ),
        target,
        as_json=as_json,
    )


def tum(
    root: Root,
    target: Target,
    *,
    depth_factor: Annotated[
        float, typer.Option(help="Steps of depth for a metre; the format's own 5000 reaches 13.1 m.")
    ] = 5000.0,
    scale: Scale = 1.0,
    link: Link = False,
    split: Split = None,
    threads: Threads = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Pictures, depth and trajectory in TUM's RGB-D format, for SLAM systems.

    Writes SEQUENCE/rgb/, depth/, rgb.txt, depth.txt, associations.txt, groundtruth.txt and calibration.txt.
    """
    from visionsim.cli._work import carry_out
    from visionsim.exports.tum import export_tum

    dataset = opened(root, target, split)
    return carry_out(
        "Exporting",
        lambda progress: export_tum(
            dataset, target, depth_factor=depth_factor, scale=scale, link=link, threads=threads, progress=progress
        ),
        target,
        as_json=as_json,
    )


def points(
    root: Root,
    target: Target,
    *,
    voxel: Annotated[
        float | None,
        typer.Option(help="Points of one object that are so near become one; 0 keeps all; by default as depth is."),
    ] = None,
    max_depth: Annotated[float | None, typer.Option(help="Leave out what is farther.")] = None,
    moving: Moving = False,
    scale: Scale = 1.0,
    split: Split = None,
    threads: Threads = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """A point cloud of each sequence from depth, with colours, normals, object ids and classes.

    Writes SEQUENCE/points.ply, and labels.json that tells what its ids are.
    """
    from visionsim.cli._work import carry_out
    from visionsim.exports.points import export_points

    dataset = opened(root, target, split)
    return carry_out(
        "Exporting",
        lambda progress: export_points(
            dataset,
            target,
            voxel=voxel,
            max_depth=max_depth,
            moving=moving,
            scale=scale,
            threads=threads,
            progress=progress,
        ),
        target,
        as_json=as_json,
    )


def mesh(
    root: Root,
    target: Target,
    *,
    voxel: Annotated[
        float | None, typer.Option(help="Side of the cells that depth is fused in; by default as depth is.")
    ] = None,
    max_depth: Annotated[
        float | None, typer.Option(help="Leave out what is farther; by default 5 times the median depth.")
    ] = None,
    moving: Moving = False,
    scale: Scale = 1.0,
    split: Split = None,
    threads: Threads = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """A coloured mesh of each sequence, fused from depth; needs Open3D (pip install 'visionsim[mesh]').

    Writes SEQUENCE/mesh.ply.
    """
    from visionsim.cli._work import carry_out
    from visionsim.exports.points import export_mesh

    dataset = opened(root, target, split)
    return carry_out(
        "Fusing",
        lambda progress: export_mesh(
            dataset,
            target,
            voxel=voxel,
            max_depth=max_depth,
            moving=moving,
            scale=scale,
            threads=threads,
            progress=progress,
        ),
        target,
        as_json=as_json,
    )


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
    from visionsim.exports.flow import export_flow

    dataset = opened(root, target, split)
    return carry_out(
        "Exporting",
        lambda progress: export_flow(dataset, target, form, threads=threads, progress=progress),
        target,
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

    check_target(root, target)
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
        target,
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
    from visionsim.exports.hdf5 import export_hdf5

    dataset = opened(root, target, split)
    return carry_out(
        "Exporting",
        lambda progress: export_hdf5(dataset, target, level=level, threads=threads, progress=progress),
        target,
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
    check_target(root, target)
    _, parts = by_split(root, split)
    return carry_out(
        "Exporting",
        lambda progress: export_webdataset(parts, target, shard_size=size, threads=threads, progress=progress),
        target,
        as_json=as_json,
    )
