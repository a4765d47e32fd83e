"""Trajectories in the formats of others: transforms.json, TUM, COLMAP, pickled recordings; see docs/trajectories.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from scipy.spatial.transform import Rotation

from visionsim.cameras import Intrinsics
from visionsim.errors import ConfigError, DataError, InputNotFound, RequestError
from visionsim.files import make_folder, natural_key, whole_file
from visionsim.trajectory.file import FORMAT, trajectory_of, write_trajectory
from visionsim.trajectory.path import Trajectory
from visionsim.trajectory.recordings import read_recording

__all__ = ["FORMATS", "Format", "format_of", "read_any", "write_any"]

Format = Literal["trajectory", "transforms", "tum", "colmap", "recording"]
FORMATS: tuple[Format, ...] = get_args(Format)

OPENCV_AXES = np.array([1.0, -1.0, -1.0, 1.0])
"""From a camera whose axes are right, up, back to one whose axes are right, down, forward: signs of c2w's columns."""


def format_of(path: Path) -> Format:
    """The format of a file or folder, by its contents.

    Raises:
        InputNotFound: it is not there.
        DataError: it is none of those that we know.
    """
    if path.is_dir():
        if (path / "transforms.json").exists():
            return "transforms"
        if (path / "images.txt").exists():
            return "colmap"
        raise DataError(f"The folder has neither transforms.json nor COLMAP's images.txt in it: {path}")
    if not path.exists():
        raise InputNotFound(f"There is no such trajectory: {path}")
    with open(path, "rb") as stream:
        head = stream.read(4096)
    if head[:1] == b"\x80":  # A pickle since protocol 2.
        return "recording"
    if head.lstrip()[:1] == b"{":
        return "trajectory" if FORMAT.encode() in head else "transforms"
    if path.name == "images.txt":
        return "colmap"
    for line in head.decode(errors="replace").splitlines():
        if line.strip() and not line.startswith("#"):
            if len(line.split()) == 8:
                return "tum"
            break
    raise DataError(
        f"The file is no trajectory that is known: a visionsim trajectory, transforms.json, TUM, COLMAP's images.txt, "
        f"or a pickled recording: {path}"
    )


def read_any(path: Path, *, fps: float | None = None, form: Format | None = None) -> Trajectory:
    """Read a trajectory of any format that is known.

    Args:
        path: a file; for transforms.json and COLMAP also the folder that it is in.
        fps: poses per second, for formats without times.
        form: its format; by default told from the contents.
    Raises:
        InputNotFound: it is not there.
        ConfigError: it has no times, and `fps` is None.
        DataError: it does not hold what its format promises.
    """
    form = form or format_of(path)
    try:
        if form in ("trajectory", "transforms"):
            file = path / "transforms.json" if path.is_dir() else path
            document = json.loads(file.read_text(encoding="utf-8"))
            return trajectory_of(document) if form == "trajectory" else from_transforms(document, fps)
        if form == "tum":
            return from_tum(path.read_text(encoding="utf-8"))
        if form == "colmap":
            return from_colmap(path if path.is_dir() else path.parent, fps)
        return read_recording(path, fps)
    except ConfigError as exc:
        raise ConfigError(f"{exc}. File: {path}") from exc
    except (ValueError, KeyError, TypeError, IndexError) as exc:  # JSON that is none, numbers that are none.
        words = f"{type(exc).__name__}: {exc}" if not isinstance(exc, DataError) else str(exc)
        raise DataError(f"{words}. File: {path}") from exc


def write_any(path: Trajectory, target: Path, form: Format) -> None:
    """Write a trajectory as `trajectory`, `tum`, or `colmap` (a folder with a text model without points).

    Raises:
        RequestError: the format cannot hold it, or is only read.
    """
    if form == "trajectory":
        write_trajectory(path, target)
    elif form == "tum":
        with whole_file(target) as partial:
            partial.write_text(to_tum(path), encoding="utf-8")
    elif form == "colmap":
        images, cameras = to_colmap(path)
        make_folder(target)
        for name, text in (("cameras.txt", cameras), ("images.txt", images), ("points3D.txt", "")):
            with whole_file(target / name) as partial:
                partial.write_text(text, encoding="utf-8")
    else:
        raise RequestError(f"{form} is a format that is only read; write trajectory, tum or colmap")


def regular_times(count: int, fps: float | None, what: str) -> np.ndarray:
    """Seconds of poses without times of their own."""
    if fps is None:
        raise ConfigError(f"{what} has no times: say how many poses there are in a second with --fps")
    return np.arange(count) / fps


def from_transforms(document: dict[str, Any], fps: float | None) -> Trajectory:
    """The poses of a transforms.json, ours or nerfstudio's; without times they are `fps` (or its own) apart."""
    frames = document["frames"]
    if not frames:
        raise DataError("it has no frames")
    rate = fps or document.get("fps")
    if fps is None and all("time" in frame for frame in frames):
        times = [frame["time"] for frame in frames]
    else:
        times = list(regular_times(len(frames), rate, "transforms.json"))
    keys = ("camera_model", "fl_x", "fl_y", "cx", "cy", "w", "h")
    more = (
        "pixels_per_unit_x",
        "pixels_per_unit_y",
        "longitude_min",
        "longitude_max",
        "latitude_min",
        "latitude_max",
        "fov",
    )
    made = []
    for frame, time in zip(frames, times, strict=True):
        values = {**document, **frame}
        camera = {key: values[key] for key in (*keys, *more) if key in values}
        camera.setdefault("camera_model", "OPENCV")
        known = all(key in camera for key in ("w", "h")) and ("fl_x" in camera or camera["camera_model"] != "OPENCV")
        if known and "fl_x" in camera:
            camera.setdefault("fl_y", camera["fl_x"])
        number = {"frame": frame["frame"]} if isinstance(frame.get("frame"), int) else {}
        made.append(
            {**(camera if known else {}), **number, "time": time, "transform_matrix": frame["transform_matrix"]}
        )
    return trajectory_of({"format": FORMAT, "version": 1, **({"fps": float(rate)} if rate else {}), "frames": made})


def from_tum(text: str) -> Trajectory:
    """Lines of `timestamp tx ty tz qx qy qz qw`: poses of a camera whose axes are right, down, forward.

    Source:
        J. Sturm et al., A Benchmark for the Evaluation of RGB-D SLAM Systems, IROS 2012, "File Formats".
    """
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            words = line.split()
            if len(words) != 8:
                raise DataError(f"line {number} has {len(words)} numbers instead of 8")
            rows.append([float(word) for word in words])
    if not rows:
        raise DataError("it has no poses")
    table = np.array(rows)
    return Trajectory.make(table[:, 0], poses(table[:, 1:4], table[:, 4:]) * OPENCV_AXES)


def to_tum(path: Trajectory) -> str:
    """The way back; times to a nanosecond, numbers to the last digit."""
    c2w = path.c2w * OPENCV_AXES
    quaternions = Rotation.from_matrix(c2w[:, :3, :3]).as_quat(canonical=True)
    lines = ["# timestamp tx ty tz qx qy qz qw"]
    for time, position, quaternion in zip(path.times_s, c2w[:, :3, 3], quaternions, strict=True):
        lines.append(" ".join([f"{time:.9f}", *(repr(float(value)) for value in (*position, *quaternion))]))
    return "\n".join(lines) + "\n"


def poses(positions: np.ndarray, quaternions: np.ndarray) -> np.ndarray:
    """(N, 4, 4) of positions (N, 3) and quaternions x y z w (N, 4)."""
    lengths = np.linalg.norm(quaternions, axis=1)
    if (np.abs(lengths - 1) > 1e-2).any() or not np.isfinite(lengths).all():
        index = int(np.argmax(~(np.abs(lengths - 1) <= 1e-2)))
        raise DataError(f"pose {index}: its quaternion has length {lengths[index]:g}, not 1")
    made = np.tile(np.eye(4), (len(positions), 1, 1))
    made[:, :3, :3] = Rotation.from_quat(quaternions).as_matrix()
    made[:, :3, 3] = positions
    return made


COLMAP_MODELS = {"SIMPLE_PINHOLE": (0, 0, 1, 2), "PINHOLE": (0, 1, 2, 3)}
"""Name of the model -> where fx, fy, cx and cy are among its parameters."""


def from_colmap(folder: Path, fps: float | None) -> Trajectory:
    """COLMAP's text model: images.txt, in the natural order of the pictures' names, and cameras.txt.

    Source:
        COLMAP's documentation, "Output Format": world-to-camera, quaternion w x y z, axes right, down, forward; the
        centre of the first pixel is at 0.5, 0.5.
    """
    cameras: dict[str, Intrinsics] = {}
    for words in rows_of(folder / "cameras.txt"):
        number, model, width, height, *parameters = words
        if model not in COLMAP_MODELS:
            raise DataError(
                f"cameras.txt: {model} has a distortion; undistort the model, or use {', '.join(COLMAP_MODELS)}"
            )
        fx, fy, cx, cy = (float(parameters[index]) for index in COLMAP_MODELS[model])
        cameras[number] = Intrinsics(fx, fy, cx, cy, int(width), int(height))
    # Each image has a second line, of its points, which may be empty.
    lines = [line for line in (folder / "images.txt").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    found = sorted(
        (line.split(maxsplit=9) for line in lines[::2] if line.strip()), key=lambda words: natural_key(words[9])
    )
    if not found:
        raise DataError("images.txt: it has no images")
    table = np.array([[float(word) for word in words[1:8]] for words in found])
    w2c = poses(table[:, 4:], table[:, [1, 2, 3, 0]])
    times = regular_times(len(found), fps, "COLMAP's model")
    seen = [cameras[words[8]] for words in found]
    return Trajectory.make(
        times,
        np.linalg.inv(w2c) * OPENCV_AXES,
        cameras=seen[:1] if all(camera == seen[0] for camera in seen) else seen,
        fps=fps,
        frame_extra=[{"colmap_image": words[9]} for words in found],
    )


def rows_of(file: Path) -> list[list[str]]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]


def to_colmap(path: Trajectory) -> tuple[str, str]:
    """The texts of images.txt and cameras.txt.

    Raises:
        RequestError: the lens is not known, or is no pinhole's.
    """
    cameras: Sequence[Any] = path.cameras
    if not cameras or not all(isinstance(camera, Intrinsics) for camera in cameras):
        raise RequestError("COLMAP's model needs the camera of the path, and only perspective ones are written")
    different = list(dict.fromkeys(cameras))
    rows = ["# CAMERA_ID MODEL WIDTH HEIGHT fx fy cx cy"]
    for number, camera in enumerate(different, 1):
        numbers = " ".join(repr(float(value)) for value in (camera.fx, camera.fy, camera.cx, camera.cy))
        rows.append(f"{number} PINHOLE {camera.width} {camera.height} {numbers}")
    w2c = np.linalg.inv(path.c2w * OPENCV_AXES)
    quaternions = Rotation.from_matrix(w2c[:, :3, :3]).as_quat(canonical=True)[:, [3, 0, 1, 2]]
    images = ["# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of points"]
    for index in range(len(path)):
        numbers = " ".join(repr(float(value)) for value in (*quaternions[index], *w2c[index, :3, 3]))
        name = path.frame_extra[index].get("colmap_image") if path.frame_extra else None
        name = name or f"frame_{path.frames[index] if path.frames else index:06d}.png"
        images.append(f"{index + 1} {numbers} {different.index(path.camera(index)) + 1} {name}\n")
    return "\n".join(images) + "\n", "\n".join(rows) + "\n"
