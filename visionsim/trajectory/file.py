"""The trajectory file: JSON with the keys of transforms.json and no files; see docs/trajectories.md."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import fastjsonschema

from visionsim.cameras import CameraModel, camera_from_document
from visionsim.errors import DataError, SchemaError, ShapeError
from visionsim.files import whole_file
from visionsim.trajectory.path import Trajectory, constant

__all__ = ["FORMAT", "VERSION", "document_of", "load_schema", "trajectory_of", "write_trajectory"]

FORMAT = "visionsim-trajectory"
VERSION = 1

CONVENTIONS = {
    "world": "as in Blender: right-handed, +Z up; scene units",
    "camera": "+X right, +Y up, looks along -Z",
    "transform_matrix": "camera to world, 4x4, row-major, acts on column vectors; rotation orthonormal",
    "pixels": "pixel i covers [i, i+1), its centre is i + 0.5; x right, y down, origin at the top left corner",
    "time": "seconds",
}

OURS = {"format", "version", "fps", "scene", "conventions", "frames"}
"""Keys of the document that are fields of Trajectory."""

OURS_OF_FRAME = {"transform_matrix", "time", "frame"}


def load_schema() -> dict[str, Any]:
    """The JSON schema of the file, as shipped."""
    path = resources.files("visionsim.trajectory").joinpath("schemas/trajectory.schema.json")
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


@functools.cache
def _validator() -> Callable[[Any], Any]:
    validator: Callable[[Any], Any] = fastjsonschema.compile(load_schema())
    return validator


def validate(document: Any) -> None:
    """Raise SchemaError, naming the first value that is wrong, unless the document matches the schema."""
    try:
        json.dumps(document, allow_nan=False)
        _validator()(document)
    except fastjsonschema.JsonSchemaValueException as exc:
        raise SchemaError(f"Not a trajectory file: {exc.message}") from exc
    except ValueError as exc:
        raise SchemaError("Not a trajectory file: it has NaN or an infinity in it, which JSON does not") from exc


def document_of(path: Trajectory) -> dict[str, Any]:
    """The JSON document of a trajectory; values of the camera that never change stand at the top."""
    cameras = [values_of(camera) for camera in path.cameras]
    common = constant(cameras) if cameras else {}
    frames = []
    for index in range(len(path)):
        frame = dict(path.frame_extra[index]) if path.frame_extra else {}
        if len(cameras) > 1:
            frame.update({key: value for key, value in cameras[index].items() if key not in common})
        if path.frames:
            frame["frame"] = path.frames[index]
        frame["time"] = float(path.times_s[index])
        frame["transform_matrix"] = path.c2w[index].tolist()
        frames.append(frame)
    return {
        "format": FORMAT,
        "version": VERSION,
        "conventions": CONVENTIONS,
        **path.extra,
        **common,
        **({"scene": dict(path.scene)} if path.scene else {}),
        **({"fps": path.fps} if path.fps is not None else {}),
        "frames": frames,
    }


def values_of(camera: CameraModel) -> dict[str, Any]:
    return {"camera_model": camera.model, **camera.fields()}


def write_trajectory(path: Trajectory, file: Path | str) -> None:
    """Write a trajectory as JSON, one line for each pose, whole or not at all.

    Raises:
        SchemaError: an extra key has a value that the schema or JSON refuses.
    """
    document = document_of(path)
    validate(document)
    frames = document.pop("frames")
    head = json.dumps(document, indent=1, ensure_ascii=False)[:-2]
    body = ",\n  ".join(json.dumps(frame, ensure_ascii=False) for frame in frames)
    with whole_file(Path(file)) as partial:
        partial.write_text(f'{head},\n "frames": [\n  {body}\n ]\n}}\n', encoding="utf-8")


def trajectory_of(document: dict[str, Any]) -> Trajectory:
    """The trajectory that a document describes.

    Raises:
        SchemaError: it does not match the schema.
        DataError: its values are none of a trajectory: a pose that is not rigid, times that do not increase.
    """
    validate(document)
    frames = document["frames"]
    cameras: list[CameraModel] = []
    head = {key: value for key, value in document.items() if key != "frames"}
    camera_keys: set[str] = set()
    if "camera_model" in head or all("camera_model" in frame for frame in frames):
        cameras = [camera_from_document({**head, **frame}) for frame in frames]
        camera_keys = {"camera_model"}.union(*(camera.fields() for camera in cameras))
        if all(camera == cameras[0] for camera in cameras):
            cameras = cameras[:1]
    numbers = [frame["frame"] for frame in frames if "frame" in frame]
    extras = [
        {key: value for key, value in frame.items() if key not in OURS_OF_FRAME | camera_keys} for frame in frames
    ]
    try:
        return Trajectory.make(
            [frame["time"] for frame in frames],
            [frame["transform_matrix"] for frame in frames],
            cameras=cameras,
            frames=numbers if len(numbers) == len(frames) else (),
            fps=document.get("fps"),
            scene=document.get("scene", {}),
            extra={key: value for key, value in head.items() if key not in OURS | camera_keys},
            frame_extra=extras if any(extras) else (),
        )
    except ShapeError as exc:
        raise DataError(str(exc)) from exc
