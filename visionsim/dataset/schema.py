"""transforms.json and info.json: made from a sequence's journal, checked against the schemas beside this file."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import fastjsonschema
import numpy as np

from visionsim import __version__
from visionsim.cameras import c2w_from_blender, camera_from_blender, unshifted_sides
from visionsim.dataset.journal import FrameRecord, StoredFile, settings_digest
from visionsim.dataset.kinds import KINDS, meaning
from visionsim.dataset.label_runs import packed, unpacked
from visionsim.errors import SchemaError
from visionsim.files import write_json

if TYPE_CHECKING:
    from visionsim.types import Matrix

__all__ = [
    "check_schema",
    "info_document",
    "info_values",
    "load_schema",
    "read_document",
    "record_of",
    "transforms_document",
    "validate",
    "write_document",
]

DocumentKind = Literal["transforms", "info"]

CAMERA_FIELDS = (
    "type panorama_type lens lens_unit ortho_scale fisheye_fov fisheye_lens sensor_width sensor_height sensor_fit "
    "shift_x shift_y clip_start clip_end angle angle_x angle_y pixel_aspect_x pixel_aspect_y"
).split()
"""What transforms.json says about the Blender camera, in Blender's words: mm, radians, scene units.

Those that its type has; `PERSPECTIVE_FIELDS` say nothing about the picture of any other.
"""

PERSPECTIVE_FIELDS = {"lens", "lens_unit", "angle", "angle_x", "angle_y"}

CONVENTIONS = {
    "world": "as in Blender: right-handed, +Z up; scene units",
    "camera": "+X right, +Y up, looks along -Z",
    "transform_matrix": "camera to world, 4x4, row-major, acts on column vectors; rotation orthonormal",
    "pixels": "pixel i covers [i, i+1), its centre is i + 0.5; x right, y down, origin at the top left corner",
    "time": "seconds; frame / (authored frames per second * keyframe_multiplier)",
}


def load_schema(kind: DocumentKind) -> dict[str, Any]:
    """The JSON schema of a document, as shipped."""
    text = resources.files("visionsim.dataset").joinpath(f"schemas/{kind}.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@functools.cache
def _validator(kind: DocumentKind) -> Callable[[Any], Any]:
    validator: Callable[[Any], Any] = fastjsonschema.compile(load_schema(kind))
    return validator


def validate(kind: DocumentKind, document: Any) -> None:
    """Raise SchemaError, naming the first value that is wrong, unless the document matches its schema."""
    try:
        json.dumps(document, allow_nan=False)
    except ValueError as exc:
        raise SchemaError(f"Not a valid {kind}.json: NaN or an infinity is in it, which JSON has not") from exc
    check_schema(kind, document)


def check_schema(kind: DocumentKind, document: Any) -> None:
    """As `validate`, for what a strict parser has read, which has no NaN in it."""
    try:
        _validator(kind)(document)
    except fastjsonschema.JsonSchemaValueException as exc:
        raise SchemaError(f"Not a valid {kind}.json: {exc.message}") from exc


def read_document(kind: DocumentKind, path: Path) -> dict[str, Any]:
    """Read and check a document.

    Raises:
        SchemaError: it is not JSON, or does not match its schema.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        validate(kind, document)
    except ValueError as exc:
        raise SchemaError(f"{exc}. File: {path}") from exc
    return unpacked(document)


def write_document(kind: DocumentKind, path: Path, document: dict[str, Any]) -> None:
    """Check and write a document, whole or not at all; very many labels are written as runs."""
    written = packed(document)
    validate(kind, written)
    write_json(path, written)


def camera_values(described: dict[str, Any], channels: int) -> dict[str, Any]:
    """The camera of one frame in the fields of transforms.json, but for its pose; `channels` are the picture's."""
    camera = camera_from_blender(described)
    mute = set() if described["type"] == "PERSP" else PERSPECTIVE_FIELDS
    return {
        "camera_model": camera.model,
        "depth_kind": camera.depth_kind,
        **camera.fields(),
        "c": channels,
        **{name: described[name] for name in CAMERA_FIELDS if name in described and name not in mute},
    }


def transforms_document(
    records: Sequence[FrameRecord],
    *,
    settings: dict[str, Any],
    fps: float,
    frame_step: int,
    labels: Mapping[str, Mapping[str, Any]],
    arrays: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """transforms.json of a sequence.

    Camera values that are the same in all frames stand at the top, those that change stand in each frame.

    Args:
        records: finished frames, in order; at least one.
        settings: the sequence's settings, as in its journal.
        fps: frames per second of the stretched timeline.
        frame_step: timeline frames from one record to the next.
        labels: object id (as text) -> name and class.
        arrays: kind -> the file that holds it of all frames; the others have a file for each frame.
    """
    arrays = arrays or {}
    cameras = [camera_values(record.camera, record.channels) for record in records]
    constant = {name for name, value in cameras[0].items() if all(camera.get(name) == value for camera in cameras)}
    kinds = [kind for kind in KINDS if all(kind in record.files for record in records)]
    frames = []
    for record, camera in zip(records, cameras, strict=True):
        frames.append(
            {
                **({} if "frames" in arrays else {"file_path": record.files["frames"].path}),
                **{KINDS[kind].key: record.files[kind].path for kind in kinds if kind not in arrays},
                "frame": record.frame,
                "time": record.frame / fps,
                "transform_matrix": c2w_from_blender(record.camera["matrix_world"]).tolist(),
                **{name: value for name, value in camera.items() if name not in constant},
            }
        )
    depth_kinds = {camera["depth_kind"] for camera in cameras}
    document = {
        **{name: value for name, value in cameras[0].items() if name in constant},
        **general_values(kinds, depth_kinds, settings=settings, fps=fps / frame_step),
        **({"arrays": dict(arrays)} if arrays else {}),
        "frames": frames,
    }
    if "segmentations" in kinds:
        document["labels"] = labels
    return document


def transforms_head(
    described: dict[str, Any], kinds: Sequence[str], *, settings: dict[str, Any], fps: float
) -> dict[str, Any]:
    """transforms.json before anything is rendered: no frames, and the values of one camera.

    Args:
        described: the camera, as `worker.camera.describe` gives it.
        kinds: of ground truth.
        settings: as a journal has them.
        fps: frames per second of the stretched timeline.
    """
    camera = camera_values(described, 3)
    general = general_values(kinds, {camera["depth_kind"]}, settings=settings, fps=fps)
    return {**camera, **general, "frames": []}


def general_values(
    kinds: Sequence[str], depth_kinds: set[str], *, settings: dict[str, Any], fps: float
) -> dict[str, Any]:
    """What transforms.json says of all frames, but for their camera."""
    conventions: dict[str, Any] = dict(CONVENTIONS)
    for kind in kinds:
        conventions[KINDS[kind].stem] = f"{meaning(kind, depth_kinds)}; {KINDS[kind].unit}"
    return {
        "fps": fps,
        "keyframe_multiplier": settings["keyframe_multiplier"],
        "conventions": conventions,
        "generator": {
            "visionsim": __version__,
            "blender": settings["blender"],
            "device": settings["device"],
            "seed": settings["seed"],
            "settings_digest": settings_digest(settings),
            "settings": settings,
        },
    }


def record_of(values: Mapping[str, Any], files: Mapping[str, StoredFile]) -> FrameRecord:
    """What the journal would say of a frame of transforms.json, `{**document, **frame}`, with these files."""
    camera = {name: values[name] for name in CAMERA_FIELDS if name in values}
    camera.update(name="", matrix_world=values["transform_matrix"], width=values["w"], height=values["h"])
    if values.get("panorama_type") == "EQUIRECTANGULAR":
        camera.update(unshifted_sides(values))
    return FrameRecord(values["frame"], values["c"], camera, dict(files))


def info_document(records: Sequence[FrameRecord], *, fps: float, frame_step: int) -> dict[str, Any]:
    """info.json of a sequence, from its finished frames in order."""
    c2w = np.array([c2w_from_blender(record.camera["matrix_world"]) for record in records])
    return info_values([record.frame for record in records], c2w, fps / frame_step)


def info_values(frames: Sequence[int], c2w: Matrix, rate: float) -> dict[str, Any]:
    """info.json: how far and how fast the camera moved, in scene units and seconds.

    Args:
        frames: their numbers, in order.
        c2w: (N, 4, 4), camera to world.
        rate: frames per second, of these.
    """
    distance = float(np.linalg.norm(np.diff(c2w[:, :3, 3], axis=0), axis=1).sum())
    elapsed = (len(frames) - 1) / rate
    return {
        "frame_rate": rate,
        "distance_traveled": distance,
        "average_velocity": distance / elapsed if elapsed else 0.0,
        "elapsed_time": elapsed,
        "num_frames": len(frames),
        "start_frame": int(frames[0]),
        "stop_frame": int(frames[-1]) + 1,
    }
