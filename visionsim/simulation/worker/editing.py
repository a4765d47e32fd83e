"""What a script does to the open scene. `Service.perform` calls these in order; a worker that takes over repeats them.

Each takes the scene and the worker's scratch folder, then what the script gave.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from mathutils import Color, Euler, Matrix, Quaternion, Vector

from visionsim.simulation.protocol import ARRAY
from visionsim.simulation.worker import animation, compat, unlit
from visionsim.simulation.worker.fault import WorkerFault


def range_of_frames(scene: Any, scratch: Path, start: int, end: int) -> None:
    """Let the authored animation go from `start` to `end`, inclusive."""
    try:
        scene.frame_start, scene.frame_end = start, end
    except (OverflowError, ValueError, TypeError) as exc:
        raise WorkerFault("request", f"frames {start} to {end}: {exc}") from exc
    if (scene.frame_start, scene.frame_end) != (start, end):  # Blender moves what it cannot hold into its limits.
        limits = scene.bl_rna.properties["frame_end"]
        raise WorkerFault(
            "request",
            f"frames {start} to {end}: Blender's timeline goes from {limits.hard_min} to {limits.hard_max}",
        )


def free_camera(scene: Any, scratch: Path, frame: int) -> None:
    """Nothing moves the camera any more; it stays where it is at a (stretched) frame."""
    scene.frame_set(frame)
    animation.free_camera(scene)


def pose_camera(scene: Any, scratch: Path, c2w: list[list[float]]) -> None:
    """Put the camera, which then stands still, where a (4, 4) matrix says."""
    animation.free_camera(scene)
    # Euler angles would depend on the pose before, which a worker that repeats the edits has never had.
    scene.camera.rotation_mode = "QUATERNION"
    scene.camera.matrix_world = Matrix(c2w)


def keyframe_camera(scene: Any, scratch: Path, frames: list[int], c2w: list[list[list[float]]]) -> None:
    """Give the camera, which is free already, poses at authored frames; between them it moves and turns evenly."""
    camera = scene.camera
    camera.rotation_mode = "QUATERNION"
    for name in ("delta_location", "delta_rotation_euler"):
        setattr(camera, name, (0.0, 0.0, 0.0))
    camera.delta_rotation_quaternion, camera.delta_scale, camera.scale = (1, 0, 0, 0), (1, 1, 1), (1, 1, 1)
    for frame, matrix in zip(frames, c2w, strict=True):
        location, rotation, _ = Matrix(matrix).decompose()
        if rotation.dot(camera.rotation_quaternion) < 0:
            rotation.negate()  # The same rotation, the short way from the one before.
        camera.location, camera.rotation_quaternion = location, rotation
        camera.keyframe_insert("location", frame=frame)
        camera.keyframe_insert("rotation_quaternion", frame=frame)
    for curve in compat.fcurves(camera.animation_data):
        for point in curve.keyframe_points:
            point.interpolation = "LINEAR"


def call(scene: Any, scratch: Path, path: str, function: str, arguments: dict[str, Any], digest: str) -> Any:
    """Call a function of a user's file; returns what it returned.

    `digest` is the file's SHA-256 when the script called it. Another file is refused: frames that were rendered after
    the first are recorded under its digest.
    """
    try:
        source = Path(path).read_bytes()
    except OSError as exc:
        raise WorkerFault("script", f"{path} cannot be read: {exc.strerror}") from exc
    if hashlib.sha256(source).hexdigest() != digest:
        raise WorkerFault(
            "script",
            f"{path} was changed after {function}() was called, and Blender has to call it again; "
            "start your script again",
        )
    # A function sees materials as they are, and what it does to them may change which of them can be unlit.
    with unlit.taken_out(), importable(path) as folder:
        try:
            module = ModuleType(f"visionsim_call_{Path(path).stem}")
            module.__file__ = path
            exec(compile(source, path, "exec"), module.__dict__)  # What was read, whatever is there by now.
            return getattr(module, function)(**arguments)
        except Exception as exc:
            frames = [frame for frame in traceback.extract_tb(exc.__traceback__) if frame.filename.startswith(folder)]
            at = f", line {frames[-1].lineno}" if frames else ""
            traceback.print_exc()
            raise WorkerFault("script", f"{function}() of {path}{at}: {type(exc).__name__}: {exc}") from exc


@contextmanager
def importable(path: str) -> Iterator[str]:
    """Let a file import its neighbours, if nothing else is called like them."""
    folder = str(Path(path).parent)
    sys.path.append(folder)
    try:
        yield folder
    finally:
        sys.path.remove(folder)


def answer(value: Any, scratch: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """What the parent hears of what a function returned; `arguments` are those of `call`, if it was that."""
    try:
        return {"value": packed(value, scratch)}
    except TypeError as exc:
        who = f"{arguments.get('function')}() of {arguments.get('path')}"
        raise WorkerFault("script", f"{who} returned {exc}") from exc


def packed(value: Any, scratch: Path) -> Any:
    """Plain JSON values; an array becomes {ARRAY: path of a .npy file in scratch}.

    Raises:
        TypeError: it holds something else; the message says what.
    """
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("an array of Python objects, which cannot leave Blender")
        file = scratch / f"{uuid.uuid4().hex}.npy"
        np.save(file, value, allow_pickle=False)
        return {ARRAY: str(file)}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a dict whose keys are not all text, which JSON has not")
        return {key: packed(item, scratch) for key, item in value.items()}
    if isinstance(value, (list, tuple, Color, Euler, Matrix, Quaternion, Vector)):
        return [packed(item, scratch) for item in value]
    raise TypeError(f"{type(value).__name__}, which is neither an array nor what JSON knows")
