"""instant-ngp and the loaders of the NeRF-synthetic dataset: `transforms_train.json`, `_val`, `_test`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.cameras import Intrinsics
from visionsim.dataset.reader import Dataset, Sample, pinhole
from visionsim.dataset.report import WorkReport
from visionsim.exports.geometry import (
    PARTS,
    DepthFiles,
    Parts,
    Pictures,
    Work,
    pixel_centres,
    require_kinds,
    require_models,
    scaled,
)
from visionsim.files import write_json

if TYPE_CHECKING:
    from visionsim.types import ProgressFn

__all__ = ["export_ngp"]

UNIT_CUBE = 3.0
"""Side, in units of the poses, of the cube that instant-ngp looks at with `aabb_scale` 1: 1 / NERF_SCALE."""

LARGEST_AABB = 128
"""Source: NERF_MAX_AABB, instant-ngp nerf.h: eight cascades."""

STRIDE = 4
"""Every so many pixels are looked at to find how large the scene is."""


def export_ngp(
    dataset: Dataset,
    target: Path,
    *,
    depth_factor: float = 1000.0,
    scale: float = 1.0,
    parts: Parts | None = None,
    link: bool = False,
    threads: int | None = None,
    progress: ProgressFn = lambda done, total: None,
) -> WorkReport:
    """Write `SEQUENCE/transforms_train.json` (_val, _test), `train/` (val, test) and, with depths, `depth/`.

    World, camera axes and pixel centres are those of instant-ngp's files: nothing is turned. Paths have no suffix, as
    in NeRF-synthetic. Depth is planar, as instant-ngp takes it; 0 is the background.

    Args:
        dataset: with pictures; depths are not required.
        target: folder; files that are there are written again.
        depth_factor: steps of the 16-bit depth for one unit; it stands in the documents as `integer_depth_scale`.
        scale: positions and depth are multiplied by it.
        parts: which frames go into which document.
        link: hard-link the pictures where that can be done.
        threads: that read ahead; by default as many as there are cores.
        progress: called as frames are done.
    Raises:
        ConfigError: a camera is not perspective. instant-ngp takes a fisheye without distortion for one, too.
    Source:
        instant-ngp src/nerf_loader.cu (read_lens, read_focal_length, load_nerf); src/testbed_nerf.cu, where the
        depth that it trains with is what is read, times the length of a ray whose part along the axis is 1.
    """
    parts = parts or Parts()
    require_kinds(dataset, ["frames"], "A NeRF dataset")
    require_models(dataset, ["OPENCV"], "instant-ngp")
    work = Work("exported for instant-ngp", dataset, target, threads, progress)
    pictures = Pictures(work, link=link)
    depths = DepthFiles(work, factor=depth_factor, scale=scale, advice="use a smaller --depth-factor or --scale")
    for name, sequence in work.sequences.items():
        folder = target / name
        has_depth = "depths" in sequence.kinds
        frames: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS}
        part_of = parts.of(name, len(sequence))
        reach = 0.0
        for sample in work.frames(sequence, ("frames", "depths")):
            stem, part = f"frame_{sample.frame:06d}", part_of[sample.index]
            pictures.save(sample, folder / part / stem)
            frame: dict[str, Any] = {"file_path": f"./{part}/{stem}"}
            if has_depth:
                depths.save_png(sample.depth, folder / "depth" / f"{stem}.png")
                frame["depth_path"] = f"./depth/{stem}.png"
            frame["transform_matrix"] = scaled(sample.c2w, scale).tolist()
            frames[part].append({**frame, **camera_fields(pinhole(sample.camera, name))})
            reach = max(reach, scale * reach_of(sample, has_depth))
        largest = aabb_scale(reach)
        if largest > LARGEST_AABB:
            work.note(
                f"{name} reaches {reach:.4g} units from the origin, further than instant-ngp looks "
                f"({UNIT_CUBE * LARGEST_AABB / 2:g}): use --scale."
            )
        extra: dict[str, Any] = {"aabb_scale": min(largest, LARGEST_AABB)}
        if has_depth:
            extra |= {"enable_depth_loading": True, "integer_depth_scale": 1 / depth_factor}
        if any(frames.values()):
            known_by_angle(work, name, sequence)
            for part, those in frames.items():
                write_json(folder / f"transforms_{part}.json", document(those, extra))
    depths.tell()
    return work.done()


def camera_fields(camera: Intrinsics) -> dict[str, Any]:
    """In instant-ngp's words; angles of view are those of a lens that is not shifted."""
    return {
        "camera_angle_x": 2 * math.atan(camera.width / (2 * camera.fx)),
        "camera_angle_y": 2 * math.atan(camera.height / (2 * camera.fy)),
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "w": camera.width,
        "h": camera.height,
    }


def document(frames: list[dict[str, Any]], extra: dict[str, Any]) -> dict[str, Any]:
    """The camera stands at the top if all frames share it, else in each of them, whole: cx is read together with w."""
    own = {"file_path", "depth_path", "transform_matrix"}
    cameras = [{key: value for key, value in frame.items() if key not in own} for frame in frames]
    if not all(camera == cameras[0] for camera in cameras):
        return {**extra, "frames": frames}
    shared = cameras[0] if cameras else {}
    return {**shared, **extra, "frames": [{k: v for k, v in frame.items() if k in own} for frame in frames]}


def known_by_angle(work: Work, name: str, sequence: Dataset) -> None:
    """Note who will not see the camera as it is: those that know nothing but `camera_angle_x`."""
    cameras = {pinhole(sample.camera, name) for sample in sequence}
    first = next(iter(cameras))
    if len(cameras) > 1:
        what = "changes from frame to frame"
    elif abs(first.cx - first.width / 2) > 1e-3 or abs(first.cy - first.height / 2) > 1e-3:
        what = "is shifted (its axis is not seen at the centre of the picture)"
    elif abs(first.fx / first.fy - 1) > 1e-6:
        what = "has pixels that are not square"
    else:
        return
    work.note(
        f"The camera of {name} {what}: instant-ngp reads that (fl_x, cx, ...), loaders of NeRF-synthetic, which know "
        "one camera_angle_x, do not."
    )


def reach_of(sample: Sample, has_depth: bool) -> float:
    """How far from the world's origin, along an axis, the camera is and all but the last percent of what it sees."""
    positions = sample.c2w[:3, 3]
    reach = float(np.abs(positions).max())
    if not has_depth:
        return reach
    depth = sample.depth[::STRIDE, ::STRIDE]
    x, y = (values[::STRIDE, ::STRIDE] for values in pixel_centres(*sample.depth.shape))
    hit = np.isfinite(depth)
    if not hit.any():
        return reach
    points = sample.camera.unproject(x[hit], y[hit], depth[hit]) @ sample.c2w[:3, :3].T + positions
    return max(reach, float(np.percentile(np.abs(points).max(axis=-1), 99)))


def aabb_scale(reach: float) -> int:
    """The smallest power of two whose cube holds points so far from the origin."""
    return 1 << max(0, math.ceil(math.log2(max(2 * reach / UNIT_CUBE, 1e-9))))
