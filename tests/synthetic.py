"""A whole dataset made without Blender: a floor, a wall, a ball that rests and one that rolls; the camera moves.

It can be of any model, see `CAMERAS`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.helpers import camera_values
from visionsim.cameras import c2w_from_blender, camera_from_blender, project
from visionsim.dataset.journal import FrameRecord, Journal, StoredFile
from visionsim.dataset.kinds import frame_path
from visionsim.dataset.schema import info_document, transforms_document, write_document
from visionsim.io.exr import write_exr

WIDTH, HEIGHT, NUM_FRAMES, FIRST = 120, 80, 7, 5
KINDS = ("depths", "normals", "segmentations", "flows", "occlusions")
LABELS = {
    "1": {"name": "Floor", "path": "Floor", "class": "floor", "motion": "static"},
    "2": {"name": "Wall", "path": "Wall", "class": "wall", "motion": "static"},
    "3": {"name": "Ball", "path": "Ball", "class": "ball", "motion": "static"},
    "4": {"name": "Rolling", "path": "Rolling", "class": "ball", "motion": "rigid"},
}
SETTINGS = {
    "blender": "5.2.3 LTS e13b728c6880", "device": "cpu", "seed": 0, "keyframe_multiplier": 1.0, "bit_depth": 8,
    "width": WIDTH, "height": HEIGHT, "file_format": "PNG", "scene_sha256": "0" * 64,
}  # fmt: skip


Pose = tuple[tuple[float, float, float], float, float]
"""Position, yaw and pitch (radians)."""


def perspective(t: int) -> Pose:
    return (0.08 * t, -6.0 + 0.05 * t, 1.6), 0.02 * t, -0.15


def from_above(t: int) -> Pose:
    return (0.08 * t, -5.0 + 0.05 * t, 4.0), 0.02 * t, -0.5 + 0.004 * t


def inside(t: int) -> Pose:
    return (0.04 * t, -1.6 + 0.03 * t, 1.6), 0.02 * t, -0.15


WHOLE_GLOBE = {"longitude_min": -np.pi, "longitude_max": np.pi, "latitude_min": -np.pi / 2, "latitude_max": np.pi / 2}
PART_OF_IT = {"longitude_min": -2.0, "longitude_max": 1.5, "latitude_min": -1.0, "latitude_max": 0.6}


def panorama(t: int, kind: str, **settings: Any) -> tuple[Pose, dict[str, Any]]:
    return inside(t), {"type": "PANO", "panorama_type": kind, **settings}


CAMERAS: dict[str, Callable[[int], tuple[Pose, dict[str, Any]]]] = {
    "perspective": lambda t: (perspective(t), {"lens": 35.0, "shift_x": 0.03}),
    "orthographic": lambda t: (from_above(t), {"type": "ORTHO", "ortho_scale": 6.0, "shift_x": 0.03}),
    "equirectangular": lambda t: panorama(t, "EQUIRECTANGULAR", **WHOLE_GLOBE),
    "equirectangular, shifted": lambda t: panorama(t, "EQUIRECTANGULAR", **PART_OF_IT, shift_x=0.1, shift_y=-0.05),
    "fisheye equidistant": lambda t: panorama(t, "FISHEYE_EQUIDISTANT", fisheye_fov=3.5, shift_y=-0.1),
    "fisheye equisolid": lambda t: panorama(t, "FISHEYE_EQUISOLID", fisheye_fov=np.pi, fisheye_lens=10.5, shift_x=0.05),
    "animated lens": lambda t: (perspective(t), {"lens": 35.0 + 0.8 * t, "shift_x": 0.03}),
    "animated shift": lambda t: (perspective(t), {"lens": 35.0, "shift_x": 0.03 - 0.01 * t}),
    "animated orthographic scale": lambda t: (from_above(t), {"type": "ORTHO", "ortho_scale": 6.0 + 0.1 * t}),
    "animated field of view": lambda t: panorama(t, "FISHEYE_EQUIDISTANT", fisheye_fov=3.5 - 0.03 * t),
    "camera cut": lambda t: (perspective(t), {"lens": 35.0}) if t < 3 else (perspective(t + 3), {"lens": 30.0}),
    "cut to a panorama": lambda t: CAMERAS["perspective" if t < 3 else "fisheye equidistant"](t),
}  # fmt: skip
"""Name -> (frames since the first) -> pose, and settings as `worker.camera.describe` names them."""


def camera_at(frame: int, camera: str = "perspective") -> dict[str, Any]:
    """As `worker.camera.describe` says it; moves sideways and forward, and turns."""
    (position, yaw, pitch), settings = CAMERAS[camera](frame - FIRST)
    forward = np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(right, forward), -forward], axis=1)
    matrix[:3, 3] = position
    return camera_values(matrix_world=matrix.tolist(), width=WIDTH, height=HEIGHT, **settings)


def ball_at(number: int, frame: int) -> np.ndarray:
    """Centre of a ball of radius 0.7."""
    return np.array([-1.0, 1.0, 0.7]) if number == 3 else np.array([1.2 + 0.1 * (frame - FIRST), 0.2, 0.7])


@dataclasses.dataclass
class View:
    depth: np.ndarray
    ids: np.ndarray
    normals: np.ndarray
    points: np.ndarray
    """(H, W, 3), world."""


def look(frame: int, camera: str = "perspective") -> View:
    """Intersect every pixel's ray with all surfaces; a ray of length 1 has depth 1."""
    described = camera_at(frame, camera)
    model, c2w = camera_from_blender(described), c2w_from_blender(described["matrix_world"])
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    start = model.unproject(x, y, 0.0)
    rays = (model.unproject(x, y, 1.0) - start) @ c2w[:3, :3].T
    return hit(start @ c2w[:3, :3].T + c2w[:3, 3], rays, frame, c2w)


def hit(origin: np.ndarray, rays: np.ndarray, frame: int, c2w: np.ndarray) -> View:
    """What rays (H, W, 3) hit first."""
    x = rays[..., 0]
    best, ids = np.full(x.shape, np.inf), np.zeros(x.shape, np.uint32)
    normals = np.zeros((*x.shape, 3))

    def take(number: int, depth: np.ndarray, normal: np.ndarray) -> None:
        nearer = (depth > 0) & (depth < best)
        best[nearer], ids[nearer] = depth[nearer], number
        normals[nearer] = np.broadcast_to(normal, normals.shape)[nearer]

    with np.errstate(divide="ignore", invalid="ignore"):
        take(1, -origin[..., 2] / rays[..., 2], np.array([0.0, 0.0, 1.0]))
        wall = (4.0 - origin[..., 1]) / rays[..., 1]
        wall[(origin + rays * wall[..., None])[..., 2] > 2.5] = np.inf
        take(2, wall, np.array([0.0, -1.0, 0.0]))
        for number in (3, 4):
            centre = ball_at(number, frame) - origin
            a, b, c = (rays**2).sum(-1), (rays * centre).sum(-1), (centre**2).sum(-1) - 0.49
            depth = (b - np.sqrt(b * b - a * c)) / a
            take(number, np.nan_to_num(depth, nan=np.inf), (rays * depth[..., None] - centre) / 0.7)
    points = origin + rays * np.where(np.isfinite(best), best, 1.0)[..., None]
    return View(best, ids, np.where(ids[..., None] > 0, normals, 0.0) @ c2w[:3, :3], points)


def texture(view: View, frame: int) -> np.ndarray:
    """(H, W, 3) uint8: a pattern that is fixed to the surfaces."""
    on = view.points.copy()
    on[view.ids == 4] -= ball_at(4, frame)
    wave = np.sin(on @ [3.1, 1.3, 2.2]) * np.sin(on @ [-1.7, 2.9, 1.1])
    grey = np.where(view.ids > 0, 120 + 80 * wave + 8 * view.ids, 30.0)
    return np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)


def flow_of(view: View, frame: int, camera: str = "perspective") -> dict[str, np.ndarray]:
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    channels = {}
    for names, other in (("RG", frame + 1), ("BA", frame - 1)):
        there = view.points.copy()
        there[view.ids == 4] += ball_at(4, other) - ball_at(4, frame)
        described = camera_at(other, camera)
        model, c2w = camera_from_blender(described), c2w_from_blender(described["matrix_world"])
        seen, _ = project(there, model, c2w)
        u = seen[..., 0] - x
        if np.isfinite(model.period):
            u = (u + model.period / 2) % model.period - model.period / 2
        for name, flow in zip(names, (u, seen[..., 1] - y), strict=True):
            channels[name] = np.where(view.ids > 0, flow, 0.0).astype(np.float32)
    return channels


def occlusions_of(view: View, frame: int, camera: str = "perspective") -> np.ndarray:
    """(H, W) uint8: all motion is known; targets are visible if nothing is nearer on the ray to them."""
    result = np.zeros(view.ids.shape, np.uint8)
    for bit, other in ((1, frame + 1), (4, frame - 1)):
        there = view.points.copy()
        there[view.ids == 4] += ball_at(4, other) - ball_at(4, frame)
        described = camera_at(other, camera)
        model, c2w = camera_from_blender(described), c2w_from_blender(described["matrix_world"])
        places, depth = project(there, model, c2w)
        x, y = places[..., 0], places[..., 1]
        if np.isfinite(model.period):
            x = x % model.period
        start = model.unproject(x, y, 0.0)
        rays = (model.unproject(x, y, 1.0) - start) @ c2w[:3, :3].T
        nearest = hit(start @ c2w[:3, :3].T + c2w[:3, 3], rays, other, c2w).depth
        visible = model.shows(x, y) & (depth > 0) & (nearest >= depth * (1 - 1e-6))
        result += np.where(view.ids > 0, bit + 2 * bit * visible, 0).astype(np.uint8)
    return result


@cache
def seen(frame: int, camera: str) -> View:
    return look(frame, camera)


@cache
def content_of(kind: str, frame: int, camera: str) -> bytes:
    """A frame's file: made once in a process, as most tests want one that another has had."""
    view = seen(frame, camera)
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / frame_path(kind, frame, ".png" if kind == "frames" else None).name
        if kind == "frames":
            Image.fromarray(texture(view, frame)).save(path)
        elif kind == "depths":
            write_exr(path, {"Y": view.depth.astype(np.float32)})
        elif kind == "normals":
            write_exr(path, {name: view.normals[..., i].astype(np.float32) for i, name in enumerate("RGB")})
        elif kind == "segmentations":
            write_exr(path, {"Y": view.ids})
        elif kind == "occlusions":
            Image.fromarray(occlusions_of(view, frame, camera)).save(path)
        else:
            write_exr(path, flow_of(view, frame, camera))
        return path.read_bytes()


def write_dataset(
    folder: Path,
    *,
    step: int = 1,
    kinds: tuple[str, ...] = KINDS,
    num_frames: int = NUM_FRAMES,
    camera: str = "perspective",
) -> Path:
    """A finished sequence with its journal in `folder`, as a run would leave it; `camera` is a key of CAMERAS."""
    journal = Journal(folder, dict(SETTINGS))
    records = []
    for frame in range(FIRST, FIRST + num_frames * step, step):
        paths = {"frames": folder / frame_path("frames", frame, ".png")}
        paths.update({kind: folder / frame_path(kind, frame) for kind in kinds})
        for kind, path in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content_of(kind, frame, camera))
        stored = {kind: StoredFile.of(folder, path) for kind, path in paths.items()}
        records.append(FrameRecord(frame, 3, camera_at(frame, camera), stored))
    journal.records = {record.frame: record for record in records}
    journal.begin()
    transforms = transforms_document(records, settings=SETTINGS, fps=25.0, frame_step=step, labels=LABELS)
    write_document("info", folder / "info.json", info_document(records, fps=25.0, frame_step=step))
    write_document("transforms", folder / "transforms.json", transforms)
    return folder


def grow(folder: Path, num_frames: int) -> None:
    """Let a finished sequence have many frames: the files of its first ones, again and again, under other numbers."""
    journal = Journal.read(folder)
    assert journal is not None
    first, *_ = known = sorted(journal.records)
    for index in range(len(known), num_frames):
        model, frame = journal.records[known[index % len(known)]], first + index
        files = {}
        for kind, stored in model.files.items():
            path = str(frame_path(kind, frame, Path(stored.path).suffix))
            if not (folder / path).exists():
                (folder / path).write_bytes((folder / stored.path).read_bytes())
            files[kind] = dataclasses.replace(stored, path=path)
        matrix = [row[:] for row in model.camera["matrix_world"]]
        matrix[0][3] += 0.01 * index
        camera = {**model.camera, "matrix_world": matrix}
        journal.records[frame] = FrameRecord(frame, model.channels, camera, files)
    journal.begin()


def watched(process: subprocess.Popen[str]) -> tuple[dict[str, Any], float, int]:
    """Wait for a command with --json: its document, the seconds it took, and the bytes that it itself had at most."""
    began, peak = time.monotonic(), 0
    answer: list[str] = []
    reader = threading.Thread(target=lambda: answer.append(process.communicate()[0]))
    reader.start()
    while reader.is_alive():
        with contextlib.suppress(OSError):  # It has ended.
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peak = max([peak, *(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])
        reader.join(0.02)
    return json.loads(answer[0]), time.monotonic() - began, peak
