"""Scenes of which everything is known: geometry, poses and cameras made here, in double precision."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.reference.raycast import AnyCamera, Body, Camera, Fisheye, Globe, Parallel, cast, is_visible
from tests.render.scripts import Blender

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


TIMES = range(-1, NUM_FRAMES + 1)
"""The frames, counted from FRAME_START, and one before and after them: flow looks there too."""


@dataclass
class ClosedForm:
    """A scene's truth, and the description its .blend is made from. Index 1 of every list is FRAME_START."""

    bodies: list[Body]
    camera: AnyCamera
    description: dict[str, Any]
    _truth: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)
    _visible: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)

    @property
    def cut(self) -> int | None:
        """The first time (index of lists) that another camera sees."""
        cut = self.description.get("cut")
        return None if cut is None else cut["frame"] - FRAME_START + 1

    @property
    def deforming(self) -> bool:
        return any(body.offsets is not None for body in self.bodies)

    def truth(self, index: int) -> dict[str, np.ndarray]:
        """Of frame FRAME_START + `index`; see `cast`."""
        if index not in self._truth:
            self._truth[index] = cast(self.bodies, self.camera, index + 1)
        return self._truth[index]

    def known(self, index: int, side: str) -> np.ndarray:
        """(H, W): where Blender can say how the surface moves to the next frame (`forward`) or from the previous one.

        The vector pass, which scenes that deform need, knows nothing of what is hidden there, nor of other cameras.
        """
        truth, time = self.truth(index), index + (2 if side == "forward" else 0)
        cut = self.cut is not None and (time < self.cut) != (index + 1 < self.cut)
        lost = [self.deforming and (cut or time in body.hidden) for body in self.bodies]
        return ~np.array([True, *lost])[truth["body"]]

    def visible(self, index: int, side: str) -> np.ndarray:
        """(H, W): whether what frame FRAME_START + `index` shows is seen in the next one (`forward`) or the last."""
        if (index, side) not in self._visible:
            truth, time = self.truth(index), index + (2 if side == "forward" else 0)
            result = truth["body"] > 0
            points = truth[f"{side}_point"][result]
            result[result] = is_visible(self.bodies, self.camera, time, points, truth["body"][result])
            self._visible[index, side] = result
        return self._visible[index, side]

    def add(
        self,
        name: str,
        kind: str,
        vertices: np.ndarray,
        faces: list[list[int]],
        matrices: list[np.ndarray],
        smooth: bool = False,
        shown: bool = True,
        **more: Any,
    ) -> Body:
        """Put a mesh into the scene, for whose `more` see `build_closed_form`; smooth ones are part of the unit sphere.

        Of what is not `shown` itself, only copies are seen.
        """
        index = len(self.description["meshes"])
        vertices = vertices.astype(np.float32).astype(np.float64)  # As Blender stores them.
        color = [0.2 + 0.15 * (index % 5), 0.5, 0.8 - 0.1 * (index % 5)]
        self.description["meshes"].append(
            {
                "name": name, "class": kind, "vertices": vertices.tolist(), "faces": faces, "smooth": smooth,
                "color": color, "matrices": [m.tolist() for m in matrices], **more,
            }
        )  # fmt: skip
        body = Body(name, vertices, triangles(faces), matrices, vertices if smooth else None)
        if shown:
            self.bodies.append(body)
        return body

    def build(self, blender: Blender, blend: Path) -> None:
        """Have a Blender store it."""
        build_all(blender, {blend: self})


def build_all(blender: Blender, scenes: Mapping[Path, ClosedForm]) -> None:
    """Have a Blender store all scenes."""
    arguments: list[Path] = []
    for blend, scene in scenes.items():
        description = blend.with_suffix(".json")
        description.write_text(json.dumps(scene.description))
        arguments += [description, blend]
    output = blender.run(BUILDER, *arguments)
    missing = [blend.name for blend in scenes if not blend.exists()]
    assert not missing, f"Blender did not make {missing}:\n{output}"


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
    zoom: float = 0.0,
    drift: float = 0.0,
    kind: str = "PERSP",
    ortho_scale: float = 7.0,
    fov: float = 180.0,
    fisheye_lens: float = 10.0,
    sides: tuple[float, float, float, float] = (-180.0, 180.0, -90.0, 90.0),
    ball: tuple[int, int] = (32, 16),
    smooth: bool = True,
) -> ClosedForm:
    """A plane and three spheres (one turns, one moves), seen by a camera that moves, turns and rolls.

    With `deforming` the turning sphere also grows in height, by a shape key. With `zoom` the lens, the orthographic
    scale or the fisheye's field of view grows by that part of itself each frame; `drift` is what shift_x grows by.
    `kind` is Blender's type of camera or of panorama; panoramas stand among the bodies, with more of them behind.
    Angles in degrees; `sides` are those of an equirectangular picture: west, east, south, north. `ball` is how many
    segments and rings the spheres have, `smooth` whether they are shaded as if they were round.
    """
    times = TIMES
    panorama = kind not in ("PERSP", "ORTHO")
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
    if panorama:
        specs += [
            ("Behind", "wall", plane_vertices, plane_faces, False,
             [pose((0, -5.5, 2), rotation([1, 0, 0], -np.pi / 2 + 0.2)) for _ in times]),
            ("Ball.Behind", "ball", ball_vertices, ball_faces, True,
             [pose((0.1 * t, -4.5, 2.5), np.eye(3), 0.7) for t in times]),
        ]  # fmt: skip
    start = -2.5 if panorama else -6.5
    positions = [np.array([0.3 + 0.05 * t, start + 0.03 * t, 2.5 + 0.02 * t]) for t in times]
    turns = [look_at(p, (0.1 * t, 0.5, 1.0), roll + 0.01 * t) for t, p in zip(times, positions, strict=True)]
    c2w = [pose(p, turn) for p, turn in zip(positions, turns, strict=True)]

    # The pinhole model written out once more, from the manual's description of sensor fit.
    aspect = pixel_aspect[1] / pixel_aspect[0]
    wide = width >= height * aspect
    horizontal = sensor_fit == "HORIZONTAL" or (sensor_fit == "AUTO" and wide)
    sensor = sensor_height if sensor_fit == "VERTICAL" else sensor_width
    pixel_mm = sensor / width if horizontal else sensor / (height * aspect)
    # A shift of 1 moves the view by the fitted side of the sensor.
    side_x = sensor / pixel_mm
    scales = [1 + zoom * t for t in times]
    camera: AnyCamera
    if kind == "PERSP":
        fx, fy = lens / pixel_mm, lens / pixel_mm / aspect
        camera = Camera(
            [fx * scale for scale in scales],
            [fy * scale for scale in scales],
            [width / 2 - (shift_x + drift * t) * side_x for t in times],
            [height / 2 + shift_y * side_x / aspect] * len(c2w),
            width,
            height,
            c2w,
        )
    elif kind == "ORTHO":
        # As many scene units are seen along the fitted side as the scale says.
        unit = ortho_scale / side_x
        camera = Parallel(
            [width * unit * scale for scale in scales],
            [height * aspect * unit * scale for scale in scales],
            shift_x * ortho_scale,
            shift_y * ortho_scale,
            width,
            height,
            c2w,
        )
        assert zoom == 0 or shift_x == shift_y == 0
    elif kind == "EQUIRECTANGULAR":
        camera = Globe(width, height, c2w, (shift_x, shift_y), *sides)
    elif kind == "FISHEYE_EQUIDISTANT":
        # Half the field of view is seen half a picture from its middle, along x and along y.
        angles = [fov * scale for scale in scales]
        reach = [(2 / np.radians(angle),) * 2 for angle in angles]
        camera = Fisheye(width, height, c2w, (shift_x, shift_y), reach, angles, equisolid=False)
    else:
        reach = [(fisheye_lens / pixel_mm / (width / 2), fisheye_lens / pixel_mm / aspect / (height / 2))] * len(c2w)
        camera = Fisheye(width, height, c2w, (shift_x, shift_y), reach, [fov] * len(c2w), equisolid=True)
    description: dict[str, Any] = {
        "fps": 25,
        "frame_start": FRAME_START,
        "frame_end": FRAME_START + NUM_FRAMES - 1,
        "render": {"pixel_aspect_x": pixel_aspect[0], "pixel_aspect_y": pixel_aspect[1]},
        "meshes": [],
        "camera": {
            "data": {
                "lens": lens, "sensor_fit": sensor_fit, "sensor_width": sensor_width, "sensor_height": sensor_height,
                "shift_x": shift_x, "shift_y": shift_y,
            },
            "matrices": [(m @ np.diag([camera_scale] * 3 + [1])).tolist() for m in c2w],
        },
    }  # fmt: skip
    data = description["camera"]["data"]
    data["type"] = "PANO" if panorama else kind
    if kind == "ORTHO":
        data["ortho_scale"] = ortho_scale
    elif panorama:
        west, east, south, north = np.radians(sides).tolist()
        data.update(
            panorama_type=kind, fisheye_fov=np.radians(fov), fisheye_lens=fisheye_lens,
            longitude_min=west, longitude_max=east, latitude_min=south, latitude_max=north,
        )  # fmt: skip
    if zoom:
        name = {"PERSP": "lens", "ORTHO": "ortho_scale", "FISHEYE_EQUIDISTANT": "fisheye_fov"}[kind]
        description["camera"]["animated"] = {name: [data[name] * scale for scale in scales]}
    if drift:
        assert kind == "PERSP"
        description["camera"]["animated"] = {"shift_x": [shift_x + drift * t for t in times]}
    scene = ClosedForm([], camera, description)
    for name, label, vertices, faces, smooth, matrices in specs:
        scene.add(name, label, vertices, faces, matrices, smooth)
    if deforming:
        values = [0.3 + 0.1 * t for t in times]
        stretch = ball_vertices * [0.0, 0.0, 0.5]
        scene.bodies[3].offsets = [value * stretch for value in values]
        description["meshes"][3].update(shape_key=(ball_vertices + stretch).tolist(), shape_key_values=values)
    return scene
