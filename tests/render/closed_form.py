"""Scenes of which everything is known: geometry, poses and cameras made here, in double precision."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.reference.raycast import Body, Camera

BUILDER = Path(__file__).parent / "build_closed_form.py"
FRAME_START, NUM_FRAMES = 5, 3


def rotation(axis: Sequence[float], angle: float) -> np.ndarray:
    """(3, 3) rotation about `axis` by `angle` radians (Rodrigues)."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def pose(position: Sequence[float], turn: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """(4, 4), rounded to float32 as Blender stores it."""
    matrix = np.eye(4)
    matrix[:3, :3] = turn * scale
    matrix[:3, 3] = position
    return matrix.astype(np.float32).astype(np.float64)


def look_at(position: Sequence[float], target: Sequence[float], roll: float = 0.0) -> np.ndarray:
    """(3, 3) camera axes in the world: looks along -Z, +Y up, then rolled by `roll` radians."""
    backward = np.asarray(position, float) - np.asarray(target, float)
    backward /= np.linalg.norm(backward)
    right = np.cross([0.0, 0.0, 1.0], backward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(backward, right), backward], axis=1) @ rotation([0, 0, 1], roll)


def plane(size: float) -> tuple[np.ndarray, list[list[int]]]:
    """A square and its one face."""
    h = size / 2
    return np.array([[-h, -h, 0], [h, -h, 0], [h, h, 0], [-h, h, 0]]), [[0, 1, 2, 3]]


def sphere(segments: int, rings: int) -> tuple[np.ndarray, list[list[int]]]:
    """Unit sphere; its vertices are its normals.

    Its faces are quads, which are flat, and triangles at the poles: the normals that Blender finds for the vertices
    lean to neither side, as they would if each quad were cut in two.
    """
    theta = np.linspace(0, np.pi, rings + 1)[1:-1]
    phi = np.arange(segments) * 2 * np.pi / segments
    ring = np.stack([np.cos(phi), np.sin(phi)], -1)
    middle = [np.column_stack([ring * np.sin(t), np.full(segments, np.cos(t))]) for t in theta]
    vertices = np.concatenate([[[0, 0, 1.0]], *middle, [[0, 0, -1.0]]])
    faces = []
    at = lambda r, s: 1 + r * segments + s % segments  # noqa: E731
    last = len(vertices) - 1
    for s in range(segments):
        faces.append([0, at(0, s), at(0, s + 1)])
        faces.append([last, at(rings - 2, s + 1), at(rings - 2, s)])
        faces += [[at(r, s), at(r + 1, s), at(r + 1, s + 1), at(r, s + 1)] for r in range(rings - 2)]
    return vertices.astype(np.float32).astype(np.float64), faces


def triangles(faces: list[list[int]]) -> np.ndarray:
    """(T, 3): flat faces cut into triangles; it does not matter where."""
    return np.array([[face[0], face[i], face[i + 1]] for face in faces for i in range(1, len(face) - 1)])


@dataclass
class ClosedForm:
    """A scene's truth, and the description its .blend is made from. Index 1 of every list is FRAME_START."""

    bodies: list[Body]
    camera: Camera
    description: dict[str, Any]
    smooth: list[bool] = field(default_factory=list)

    @property
    def deforming(self) -> bool:
        return any(body.offsets is not None for body in self.bodies)

    def build(self, command: list[str], blend: Path) -> None:
        """Have a Blender store it; `command` runs a script with arguments."""
        build_all(command, {blend: self.description})


def build_all(command: list[str], descriptions: dict[Path, dict[str, Any]]) -> None:
    """The same for many scenes, with one Blender: path of the .blend -> description."""
    arguments = []
    for blend, description in descriptions.items():
        blend.with_suffix(".json").write_text(json.dumps(description))
        arguments += [str(blend.with_suffix(".json")), str(blend)]
    finished = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=200, check=False)
    assert all(blend.exists() for blend in descriptions), finished.stdout + finished.stderr


def closed_form(
    *,
    width: int,
    height: int,
    lens: float = 35.0,
    sensor_fit: str = "AUTO",
    sensor_width: float = 36.0,
    sensor_height: float = 24.0,
    shift_x: float = 0.0,
    shift_y: float = 0.0,
    pixel_aspect: tuple[float, float] = (1.0, 1.0),
    camera_scale: float = 1.0,
    roll: float = 0.1,
    deforming: bool = False,
    ball: tuple[int, int] = (64, 32),
    smooth: bool = True,
) -> ClosedForm:
    """A plane and three spheres (one turns, one moves), seen by a camera that moves, turns and rolls.

    With `deforming` the turning sphere also grows in height, by a shape key. `ball` is how many segments and rings the
    spheres have, `smooth` whether they are shaded as if they were round.
    """
    times = range(-1, NUM_FRAMES + 1)
    plane_vertices, plane_faces = plane(12.0)
    ball_vertices, ball_faces = sphere(*ball)
    specs = [
        ("Floor", "floor", plane_vertices, plane_faces, False, [pose((0, 0, 0), np.eye(3)) for _ in times]),
        ("Wall", "wall", plane_vertices, plane_faces, False,
         [pose((0, 5, 2), rotation([1, 0, 0], np.pi / 2 - 0.2)) for _ in times]),
        ("Ball.Still", "ball", ball_vertices, ball_faces, smooth, [pose((-1.5, 0.5, 1), np.eye(3)) for _ in times]),
        ("Ball.Turning", "ball", ball_vertices, ball_faces, smooth,
         [pose((0.6, 1.5, 1.2), rotation([0.3, 0.2, 1], 0.05 * t), 1.2) for t in times]),
        ("Ball.Moving", "ball", ball_vertices, ball_faces, smooth,
         [pose((1.2 + 0.06 * t, -0.8, 0.6 + 0.04 * t), np.eye(3), 0.6) for t in times]),
    ]  # fmt: skip
    bodies = [
        Body(name, vertices, triangles(faces), matrices, vertices if smooth else None)
        for name, _, vertices, faces, smooth, matrices in specs
    ]
    values = [0.3 + 0.1 * t for t in times]
    stretch = ball_vertices * [0.0, 0.0, 0.5]
    if deforming:
        bodies[3].offsets = [value * stretch for value in values]
    positions = [np.array([0.3 + 0.05 * t, -6.5 + 0.03 * t, 2.5 + 0.02 * t]) for t in times]
    turns = [look_at(p, (0.1 * t, 0.5, 1.0), roll + 0.01 * t) for t, p in zip(times, positions, strict=True)]
    c2w = [pose(p, turn) for p, turn in zip(positions, turns, strict=True)]

    # The pinhole model written out once more, from the manual's description of sensor fit.
    aspect = pixel_aspect[1] / pixel_aspect[0]
    wide = width >= height * aspect
    horizontal = sensor_fit == "HORIZONTAL" or (sensor_fit == "AUTO" and wide)
    sensor = sensor_height if sensor_fit == "VERTICAL" else sensor_width
    pixel_mm = sensor / width if horizontal else sensor / (height * aspect)
    fx, fy = lens / pixel_mm, lens / pixel_mm / aspect
    # A shift of 1 moves the view by the fitted side of the sensor.
    side_x = sensor / pixel_mm
    count = len(c2w)
    camera = Camera(
        [fx] * count,
        [fy] * count,
        [width / 2 - shift_x * side_x] * count,
        [height / 2 + shift_y * side_x / aspect] * count,
        width,
        height,
        c2w,
    )
    description = {
        "fps": 25,
        "frame_start": FRAME_START,
        "frame_end": FRAME_START + NUM_FRAMES - 1,
        "render": {"pixel_aspect_x": pixel_aspect[0], "pixel_aspect_y": pixel_aspect[1]},
        "meshes": [
            {
                "name": name, "class": kind, "vertices": vertices.tolist(), "faces": faces, "smooth": smooth,
                "color": [0.2 + 0.15 * i, 0.5, 0.8 - 0.1 * i], "matrices": [m.tolist() for m in matrices],
            }
            for i, (name, kind, vertices, faces, smooth, matrices) in enumerate(specs)
        ],
        "camera": {
            "data": {
                "lens": lens, "sensor_fit": sensor_fit, "sensor_width": sensor_width, "sensor_height": sensor_height,
                "shift_x": shift_x, "shift_y": shift_y,
            },
            "matrices": [(m @ np.diag([camera_scale] * 3 + [1])).tolist() for m in c2w],
        },
    }  # fmt: skip
    if deforming:
        key = (ball_vertices + stretch).tolist()
        description["meshes"][3].update(shape_key=key, shape_key_values=values)
    return ClosedForm(bodies, camera, description, [smooth for *_, smooth, _ in specs])
