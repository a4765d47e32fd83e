"""TUM's RGB-D format, which most SLAM systems read: pictures, depth, association files, and the trajectory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from visionsim.cameras import Intrinsics
from visionsim.dataset.reader import Dataset, pinhole
from visionsim.dataset.report import WorkReport
from visionsim.exports.geometry import (
    DepthFiles,
    Pictures,
    Work,
    opencv_c2w,
    quaternion,
    require_kinds,
    require_models,
    scaled,
)
from visionsim.files import make_folder, whole_file

if TYPE_CHECKING:
    from visionsim.types import Matrix, ProgressFn

__all__ = ["export_tum", "trajectory_line"]

FACTOR = 5000.0
"""Steps of depth for a metre. Source: the benchmark's page "File Formats"."""


def export_tum(
    dataset: Dataset,
    target: Path,
    *,
    depth_factor: float = FACTOR,
    scale: float = 1.0,
    link: bool = False,
    threads: int | None = None,
    progress: ProgressFn = lambda done, total: None,
) -> WorkReport:
    """Write `SEQUENCE/rgb/`, `depth/`, and what is in them, the trajectory and the camera as text files.

    The format is in metres: `scale` says how many of them a scene unit is. The world is ours; the camera's axes are
    right, down, forward. Depth is planar, 0 is the background.

    Args:
        dataset: with depths.
        target: folder; files that are there are written again.
        depth_factor: steps of the 16-bit depth for a metre; the format's own is 5000, which reaches 13.1 m.
        scale: positions and depth are multiplied by it.
        link: hard-link the pictures where that can be done.
        threads: that read ahead; by default as many as there are cores.
        progress: called as frames are done.
    Raises:
        ConfigError: there are no depths, or a camera is not perspective, or changes.
    Source:
        J. Sturm et al., A Benchmark for the Evaluation of RGB-D SLAM Systems, IROS 2012, and its pages "File Formats"
        and "Intrinsic Camera Calibration of the Kinect"; generate_pointcloud.py of its tools.
    """
    require_kinds(dataset, ["frames", "depths"], "TUM's format")
    require_models(dataset, ["OPENCV"], "TUM's format", constant=True)
    work = Work("exported in TUM's format", dataset, target, threads, progress)
    pictures = Pictures(work, channels=(3,), link=link)
    depths = DepthFiles(work, factor=depth_factor, scale=scale, advice="use a smaller --depth-factor or --scale")
    for name, sequence in work.sequences.items():
        folder = target / name
        lists: dict[str, list[str]] = {"rgb": [], "depth": [], "associations": [], "groundtruth": []}
        for sample in work.frames(sequence, ("frames", "depths")):
            when = f"{sample.time:.6f}"
            pictures.save(sample, folder / "rgb" / when)
            depths.save_png(sample.depth, folder / "depth" / f"{when}.png")
            lists["rgb"].append(f"{when} rgb/{when}.png")
            lists["depth"].append(f"{when} depth/{when}.png")
            lists["associations"].append(f"{when} rgb/{when}.png {when} depth/{when}.png")
            lists["groundtruth"].append(trajectory_line(when, scaled(sample.c2w, scale)))
        if not lists["rgb"]:
            continue
        save_lines(folder / "rgb.txt", "color images: timestamp filename", lists["rgb"])
        save_lines(folder / "depth.txt", "depth maps: timestamp filename", lists["depth"])
        # Readers of this one do not skip comments.
        save_lines(folder / "associations.txt", None, lists["associations"])
        save_lines(folder / "groundtruth.txt", "timestamp tx ty tz qx qy qz qw", lists["groundtruth"])
        save_calibration(folder / "calibration.txt", pinhole(sequence[0].camera, name), depth_factor)
    depths.tell()
    if depth_factor != FACTOR:
        work.note(
            f"The depth factor is {depth_factor:g}, not the format's own {FACTOR:g}: tell it to whoever reads it."
        )
    return work.done()


def trajectory_line(when: str, c2w: Matrix) -> str:
    """`timestamp tx ty tz qx qy qz qw` of a pose (4, 4) of ours."""
    w, x, y, z = quaternion(opencv_c2w(c2w)[:3, :3])
    return " ".join([when, *(f"{value:.9f}" for value in (*c2w[:3, 3], x, y, z, w))])


def save_calibration(path: Path, camera: Intrinsics, depth_factor: float) -> None:
    """One line `fx fy cx cy`: the format has no file for it; this is what programs that read it take."""
    comment = (
        f"fx fy cx cy in pixels; the centre of the first pixel is at 0, 0; {camera.width} x {camera.height} pixels; "
        f"depth factor {depth_factor:g}"
    )
    values = (camera.fx, camera.fy, camera.cx - 0.5, camera.cy - 0.5)
    save_lines(path, comment, [" ".join(f"{value:.9g}" for value in values)])


def save_lines(path: Path, comment: str | None, lines: list[str]) -> None:
    make_folder(path.parent)
    with whole_file(path) as partial:
        partial.write_text("\n".join([*([f"# {comment}"] if comment else []), *lines]) + "\n", encoding="utf-8")
