"""nerfstudio: a `transforms.json` for its data parser, with pictures, depth and the lists of its parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from visionsim.cameras import CameraModel, Equirectangular
from visionsim.dataset.reader import Dataset
from visionsim.dataset.report import WorkReport
from visionsim.errors import ConfigError
from visionsim.exports.geometry import (
    PARTS,
    DepthFiles,
    Parts,
    Pictures,
    Work,
    pixel_centres,
    require_kinds,
    require_models,
    save_png,
    scaled,
)
from visionsim.files import write_json

if TYPE_CHECKING:
    from visionsim.types import ProgressFn

    DepthForm = Literal["png", "npy", "none"]

__all__ = ["export_nerfstudio"]

MODELS = ("OPENCV", "OPENCV_FISHEYE", "EQUIRECTANGULAR")

FACTOR = 1000.0
"""Steps of depth for one unit of the poses: its parser's `depth_unit_scale_factor` is 0.001, of `.npy` files too."""


def export_nerfstudio(
    dataset: Dataset,
    target: Path,
    *,
    depth: DepthForm = "png",
    depth_factor: float = FACTOR,
    scale: float = 1.0,
    parts: Parts | None = None,
    link: bool = False,
    threads: int | None = None,
    progress: ProgressFn = lambda done, total: None,
) -> WorkReport:
    """Write `SEQUENCE/transforms.json`, `images/`, `depths/` and, for fisheyes, `masks/`: a dataset of each sequence.

    World, camera axes and pixel centres are those of nerfstudio: nothing is turned. Planar depth is what it takes for
    perspective cameras, radial depth for the others. Background has depth 0.

    Args:
        dataset: with depths, unless `depth` is none.
        target: folder; files that are there are written again.
        depth: png (16 bits) or npy (float32), in steps of 1 / depth_factor.
        depth_factor: other than 1000 needs `--depth-unit-scale-factor` when training.
        scale: positions and depth are multiplied by it.
        parts: which frames are listed as train, val and test.
        link: hard-link the pictures where that can be done.
        threads: that read ahead; by default as many as there are cores.
        progress: called as frames are done.
    Raises:
        ConfigError: a camera is of a model that nerfstudio has not, or there are no depths.
    Source:
        nerfstudio 1.1.5: data/dataparsers/nerfstudio_dataparser.py, data/utils/data_utils.py, cameras/cameras.py.
    """
    parts = parts or Parts()
    require_kinds(dataset, ["frames", *(["depths"] if depth != "none" else [])], "A nerfstudio dataset with depth")
    require_models(dataset, MODELS, "nerfstudio")
    for name, sequence in dataset.sequences().items():
        if len({sample.camera.model for sample in sequence}) > 1:
            raise ConfigError(f"nerfstudio has one camera model for all frames, the sequence {name} has several")
    work = Work("exported for nerfstudio", dataset, target, threads, progress)
    pictures = Pictures(work, suffixes=(".png", ".jpg"), link=link)
    depths = DepthFiles(
        work, factor=depth_factor, scale=scale, advice="use --depth npy, a smaller --depth-factor or a smaller --scale"
    )
    for name, sequence in work.sequences.items():
        folder = target / name
        frames: list[dict[str, Any]] = []
        lists: dict[str, list[str]] = {part: [] for part in PARTS}
        part_of = parts.of(name, len(sequence))
        cameras = {}
        for sample in work.frames(sequence, ("frames", "depths") if depth != "none" else ("frames",)):
            stem = f"frame_{sample.frame:06d}"
            picture = pictures.save(sample, folder / "images" / stem)
            frame: dict[str, Any] = {"file_path": picture.relative_to(folder).as_posix()}
            if depth != "none":
                path = folder / "depths" / f"{stem}.{depth}"
                (depths.save_png if depth == "png" else depths.save_npy)(sample.depth, path)
                frame["depth_file_path"] = path.relative_to(folder).as_posix()
            if sample.camera not in cameras:
                cameras[sample.camera] = rays_of(sample.camera)
            rays = cameras[sample.camera]
            if not rays.all():
                save_png(folder / "masks" / f"{stem}.png", rays.astype(np.uint8) * 255)
                frame["mask_path"] = f"masks/{stem}.png"
            frame["transform_matrix"] = scaled(sample.c2w, scale).tolist()
            frames.append({**frame, **camera_fields(sample.camera)})
            lists[part_of[sample.index]].append(frame["file_path"])
        if frames:
            write_json(folder / "transforms.json", document(frames, lists))
    depths.tell()
    if depth != "none" and depth_factor != FACTOR:
        work.note(f"The data parser must be told the unit of depth: --depth-unit-scale-factor {1 / depth_factor:g}")
    return work.done()


def rays_of(camera: CameraModel) -> Any:
    """(H, W) bool: which pixels see anything; those outside a fisheye's circle do not."""
    values = camera.fields()
    x, y = pixel_centres(values["h"], values["w"])
    return np.isfinite(camera.unproject(x, y, 1.0)).all(axis=-1)


def camera_fields(camera: CameraModel) -> dict[str, Any]:
    """In nerfstudio's words."""
    values = camera.fields()
    size = {"w": values["w"], "h": values["h"]}
    if isinstance(camera, Equirectangular):
        # Its longitude is pi (x - cx) / fl_x, its latitude -pi (y - cy) / fl_y.
        east, north = camera.longitude_max - camera.longitude_min, camera.latitude_max - camera.latitude_min
        return {
            "camera_model": camera.model,
            "fl_x": np.pi * camera.width / east,
            "fl_y": np.pi * camera.height / north,
            "cx": -camera.longitude_min * camera.width / east,
            "cy": camera.latitude_max * camera.height / north,
            **size,
        }
    distortion = ("k1", "k2", "p1", "p2") if camera.model == "OPENCV" else ("k1", "k2", "k3", "k4")
    return {
        "camera_model": camera.model,
        **{name: values[name] for name in ("fl_x", "fl_y", "cx", "cy")},
        **size,
        **dict.fromkeys(distortion, 0.0),
    }


def document(frames: list[dict[str, Any]], lists: dict[str, list[str]]) -> dict[str, Any]:
    """transforms.json: what all frames share stands at the top."""
    own = {"file_path", "depth_file_path", "mask_path", "transform_matrix"}
    shared = {
        key: value
        for key, value in frames[0].items()
        if key not in own and all(frame[key] == value for frame in frames)
    }
    return {
        **shared,
        **{f"{part}_filenames": names for part, names in lists.items()},
        "frames": [{key: value for key, value in frame.items() if key not in shared} for frame in frames],
    }
