"""The family of closed-form scenes: what a ground truth must get right, one difficulty to a scene."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from tests.reference.raycast import Body, transform
from tests.render.closed_form import (
    NUM_FRAMES,
    TIMES,
    ClosedForm,
    closed_form,
    look_at,
    plane,
    pose,
    rotation,
    sphere,
    triangles,
)

LANDSCAPE, PORTRAIT, SQUARE = ({"width": w, "height": h} for w, h in ((128, 96), (88, 128), (96, 96)))

DOF = {"use_dof": True, "focus_distance": 5.0, "aperture_fstop": 0.3}
BLUR = {"use_motion_blur": True}


def variant(scene: ClosedForm, dof: dict[str, Any] | None = None, render: dict[str, Any] | None = None) -> ClosedForm:
    """The same truth with another look: depth of field or motion blur in the picture."""
    result = copy.copy(scene)
    changed = {"dof": dof or {}, "render": {**scene.description["render"], **(render or {})}}
    result.description = {**scene.description, **changed}
    return result


def box(x: float, y: float, z: float) -> tuple[np.ndarray, list[list[int]]]:
    """A cuboid of these half sides."""
    corners = [[i, j, k] for i in (-x, x) for j in (-y, y) for k in (-z, z)]
    return np.array(corners), [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]


def upright(x: float, y: float, z: float, turn: float = 0.0, tilt: float = 0.0) -> np.ndarray:
    """Pose of something flat that faces the camera of these scenes: its x to the right, its y up."""
    return pose((x, y, z), rotation([1, 0, 0], np.pi / 2 - tilt) @ rotation([0, 0, 1], turn))


def still(matrix: np.ndarray) -> list[np.ndarray]:
    return [matrix for _ in TIMES]


HOLES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "disc": lambda p: p[:, 0] ** 2 + p[:, 1] ** 2 < 0.25,
    "half": lambda p: p[:, 0] > 0.25,
    "checker": lambda p: np.abs(np.floor(p[:, 0] * 4) + np.floor(p[:, 1] * 4)) % 2 == 1,
}
"""Where a material has alpha 0, in object space; `build_closed_form.add_holes` says the same with nodes."""


def cut_outs() -> ClosedForm:
    """Cards that rays go through in places, also one behind the other; and cards that are hardly there, but solid."""
    scene = closed_form(**LANDSCAPE)
    for name, holes, size, matrices in (
        ("Card.Checker", "checker", 2.2, still(upright(-0.9, -2.5, 1.6, tilt=0.1))),
        ("Card.Disc", "disc", 1.7, [upright(0.4 + 0.05 * t, -3.2, 1.7, turn=0.03 * t) for t in TIMES]),
        ("Card.Half", "half", 1.6, still(upright(1.0, -2.0, 1.2, turn=0.4))),
    ):
        body = scene.add(name, "card", *plane(size), matrices, holes=holes)
        body.holes = HOLES[holes]
    for name, alpha, matrices in (
        ("Card.Partly", 0.3, still(upright(-1.5, -3.4, 2.3, turn=0.2))),
        ("Card.Faint", 0.002, [upright(1.35, -3.4 + 0.04 * t, 2.5, tilt=0.3) for t in TIMES]),
    ):
        scene.add(name, "card", *plane(0.8), matrices, alpha=alpha)
    return scene


def copied(scene: ClosedForm, source: Body, instancer: str | None, matrices: list[np.ndarray]) -> None:
    """`source` with other poses: a copy that `instancer` makes, or itself if there is none."""
    scene.bodies.append(dataclasses.replace(source, matrices=matrices, instancer=instancer))


def collection_copies(scene: ClosedForm) -> None:
    """A tree whose trunk moves in its collection; copies of it that stand, move, grow, and are nested."""
    offset = (0.125, 0.0, 0.25)
    trunk = scene.add(
        "Trunk", "wood", *box(0.09, 0.09, 0.4),
        [pose((0.02 * t, 0.0, 0.4), rotation([0, 0, 1], 0.05 * t)) for t in TIMES], shown=False, collection="Tree",
    )  # fmt: skip
    leaf = scene.add(
        "Leaf", "plant", *sphere(24, 12), still(pose((0.0, 0.05, 1.0), np.eye(3), 0.25)), smooth=True, shown=False,
        collection="Tree",
    )  # fmt: skip
    small = pose((0.0, -0.3, 0.5), rotation([1, 0, 0], np.pi / 2 - 0.2), 0.3)
    sign = scene.add("Sign", "card", *plane(1.2), still(small), shown=False, collection="Tree", holes="disc")
    sign.holes = HOLES["disc"]
    scene.description["collections"] = {"Tree": offset, "Grove": (0.0, 0.0, 0.0)}
    inner = [pose((-0.3, 0.0, 0.0), np.eye(3)), pose((0.45, 0.2, 0.0), rotation([0, 0, 1], 0.7), 0.8)]
    poses = {
        "Tree.Still": still(pose((-1.7, -1.6, 0.3), np.eye(3))),
        "Tree.Moving": [
            pose((1.3 + 0.05 * t, -2.2, 0.3), rotation([0, 0.2, 1], 0.06 * t), 1.2 + 0.02 * t) for t in TIMES
        ],
        "Tree.Mirrored": still(pose((2.2, -1.2, 0.3), np.diag([-1.0, 1.0, 1.0]) @ rotation([0, 0, 1], 0.3))),
        "Grove": [pose((-0.4 + 0.03 * t, -2.6, 0.3), rotation([0, 0, 1], 0.04 * t)) for t in TIMES],
    }
    scene.description["instancers"] = [
        {"name": name, "of": "Grove" if name == "Grove" else "Tree", "matrices": [m.tolist() for m in matrices]}
        for name, matrices in poses.items()
    ] + [
        {"name": f"Inner.{i}", "of": "Tree", "in": "Grove", "matrices": [m.tolist() for m in still(matrix)]}
        for i, matrix in enumerate(inner)
    ]
    moved = pose(-np.array(offset), np.eye(3))
    for name, matrices in poses.items():
        for nested in inner if name == "Grove" else [np.eye(4)]:
            for source in (trunk, leaf, sign):
                copied(
                    scene, source, name,
                    [m @ nested @ moved @ of for m, of in zip(matrices, source.matrices, strict=True)],
                )  # fmt: skip


POINTS = np.array([[-0.6, 0.0, 0.0], [-0.2, 0.1, 0.1], [0.2, -0.1, 0.0], [0.6, 0.0, 0.1]])


def nodes_copies(scene: ClosedForm, drift: float = 0.0) -> None:
    """Geometry nodes that put copies of an object, and of a cube that they make, on points of a mesh.

    The points move by `drift` upwards each frame, within an object that moves too.
    """
    real = scene.add("Real", "thing", *box(0.2, 0.1, 0.15), still(upright(1.9, -1.0, 0.4)))
    matrices = [pose((-0.3 + 0.02 * t, -4.0, 1.7), rotation([0.1, 0, 1], 0.05 * t)) for t in TIMES]
    nodes = {"object": "Real", "scale": 0.75, "turn": 0.5, "cube": 0.125, "above": 0.375, "drift": drift}
    scatter = scene.add("Scatter", "made", POINTS, [], matrices, shown=False, nodes=nodes)
    cube_vertices, cube_faces = box(*[nodes["cube"] / 2] * 3)
    made = Body("Scatter", cube_vertices, triangles(cube_faces), scatter.matrices)
    turned = pose((0, 0, 0), rotation([0, 0, 1], nodes["turn"]), nodes["scale"])
    for point in scatter.vertices:
        up = [(0.0, 0.0, drift * (t + 1)) for t in TIMES]
        at = [m @ pose(point + u, np.eye(3)) for m, u in zip(matrices, up, strict=True)]
        copied(scene, real, "Scatter", [m @ turned for m in at])
        copied(scene, made, "Scatter", [m @ pose((0, 0, nodes["above"]), np.eye(3)) for m in at])


def vertex_copies(scene: ClosedForm) -> None:
    """A child on each vertex of a parent that turns."""
    corners = np.array([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.5, 0.25]])
    matrices = [pose((0.3, -3.4 + 0.03 * t, 2.4), rotation([0, 1, 0.2], 0.08 * t)) for t in TIMES]
    scene.add("Square", "parent", corners, [], matrices, shown=False, instance_type="VERTS")
    child = scene.add(
        "Child", "child", *box(0.1, 0.15, 0.08), still(pose((0.05, 0.0, 0.1), rotation([1, 1, 0], 0.5))), shown=False,
        parent="Square",
    )  # fmt: skip
    for corner in corners:
        copied(scene, child, "Square", [m @ pose(corner, np.eye(3)) @ child.matrices[0] for m in matrices])


def instances() -> ClosedForm:
    """Copies that collections, geometry nodes and vertices make; some stand, some are moved, some move in them."""
    scene = closed_form(**LANDSCAPE)
    collection_copies(scene)
    nodes_copies(scene)
    vertex_copies(scene)
    return scene


def instances_by_vector_pass() -> ClosedForm:
    """Copies that move by themselves: particles on an emitter that moves, points that geometry nodes move."""
    scene = closed_form(**LANDSCAPE)
    nodes_copies(scene, drift=0.03)
    corners, faces = plane(1.5)
    matrices = [upright(-1.0 + 0.04 * t, -2.5, 2.0, turn=0.02 * t) for t in TIMES]
    scene.add("Emitter", "made", corners, faces, matrices, shown=False, particles={"object": "Seed", "size": 0.5})
    seed = scene.add("Seed", "seed", *box(0.4, 0.2, 0.3), still(pose((-2.2, 0.0, 0.4), np.eye(3))))
    for corner in corners:
        places = [transform(m, corner) for m in matrices]
        copied(scene, seed, "Emitter", [pose(place, np.eye(3), 0.5) for place in places])
    vertices, faces = sphere(24, 12)
    stretch, values = vertices * [0.5, 0.0, 0.0], [0.2 + 0.1 * t for t in TIMES]
    soft = scene.add(
        "Soft", "soft", vertices, faces, still(pose((0.0, 0.0, 0.0), np.eye(3), 0.3)), smooth=True, shown=False,
        collection="Softs", shape_key=(vertices + stretch).tolist(), shape_key_values=values,
    )  # fmt: skip
    soft.offsets = [value * stretch for value in values]
    poses = {
        "Softs.Still": still(pose((0.9, -3.2, 0.9), np.eye(3))),
        "Softs.Moving": [pose((1.5, -3.0, 2.2 + 0.03 * t), rotation([0, 1, 0], 0.05 * t)) for t in TIMES],
    }
    scene.description["instancers"] = [
        {"name": name, "of": "Softs", "matrices": [m.tolist() for m in matrices]} for name, matrices in poses.items()
    ]
    for name, matrices in poses.items():
        copied(scene, soft, name, [m @ soft.matrices[0] for m in matrices])
    return scene


def out_of_shape() -> ClosedForm:
    """Objects that are stretched, mirrored, and sheared by their parent, all of which move."""
    scene = closed_form(**LANDSCAPE)
    ball = sphere(64, 32)
    scene.add(
        "Egg", "ball", *ball,
        [pose((-1.2, -2.5 + 0.04 * t, 1.6), rotation([1, 0.3, 0], 0.06 * t) @ np.diag([0.6, 0.4, 0.8])) for t in TIMES],
        smooth=True,
    )  # fmt: skip
    scene.add(
        "Mirrored", "ball", *ball,
        [pose((0.2 + 0.05 * t, -2.6, 1.9), rotation([0, 0, 1], 0.1 * t) @ np.diag([-0.3, 0.5, 0.4])) for t in TIMES],
        smooth=True,
    )  # fmt: skip
    parents = [
        pose((1.4, -2.4, 1.2 + 0.03 * t), rotation([0, 0.2, 1], 0.05 * t) @ np.diag([1.6, 1.0, 0.5])) for t in TIMES
    ]
    scene.add("Parent", "thing", *box(0.3, 0.3, 0.3), parents)
    child = [pose((0.0, -0.2, 0.9), rotation([0, 1, 0.5], 0.7 + 0.04 * t), 0.4) for t in TIMES]
    for name, shape, smooth in (("Sheared", ball, True), ("Slab", box(0.8, 0.5, 1.1), False)):
        local = child if smooth else [m @ pose((-1.8, 0.0, -0.3), np.eye(3), 0.5) for m in child]
        part = scene.add(name, "thing", *shape, local, smooth=smooth, shown=False, parent="Parent")
        copied(scene, part, None, [a @ b for a, b in zip(parents, local, strict=True)])
    return scene


def grid(size: float, steps: int) -> tuple[np.ndarray, list[list[int]]]:
    """A square of triangles."""
    side = np.linspace(-size / 2, size / 2, steps + 1)
    vertices = np.array([[x, y, 0.0] for y in side for x in side])
    corner = [j * (steps + 1) + i for j in range(steps) for i in range(steps)]
    return vertices, [f for k in corner for f in ([k, k + 1, k + steps + 2], [k, k + steps + 2, k + steps + 1])]


def deforming_meshes(**camera: Any) -> ClosedForm:
    """A shape key, a skeleton, and geometry nodes that read the time, each of them on an object that moves too."""
    scene = closed_form(**{**LANDSCAPE, **camera}, deforming=True)
    # A bar along y; the second half of it follows a bone that bends at y = 0.
    vertices, faces = grid(1.5, 8)
    vertices = vertices * [0.4, 1.0, 1.0]
    matrices = [upright(-0.9 + 0.03 * t, -2.5, 1.5, turn=0.02 * t) for t in TIMES]
    weights = np.clip(vertices[:, 1] + 0.5, 0.0, 1.0).astype(np.float32).astype(np.float64)
    bends = [rotation([1, 0.5, 0], 0.4 + 0.1 * t) for t in TIMES]
    bones = [pose((0, 0, 0), bend) for bend in bends]
    bar = scene.add(
        "Bar",
        "soft",
        vertices,
        faces,
        matrices,
        bone={"weights": weights.tolist(), "poses": [m.tolist() for m in bones]},
    )
    bar.offsets = [weights[:, None] * (transform(m, bar.vertices) - bar.vertices) for m in bones]
    vertices, faces = grid(1.6, 10)
    matrices = [upright(1.0, -2.0 - 0.03 * t, 1.8, tilt=0.2) for t in TIMES]
    wave = {"height": 0.125, "length": 0.25, "speed": 0.25}
    sheet = scene.add("Sheet", "soft", vertices, faces, matrices, wave=wave)
    frames = [scene.description["frame_start"] + t for t in TIMES]
    sheet.offsets = [
        np.stack([0 * x, 0 * x, wave["height"] * np.sin(x / wave["length"] + wave["speed"] * frame)], axis=-1)
        for frame in frames
        for x in [sheet.vertices[:, 0]]
    ]
    return scene


def camera_cut(base: ClosedForm) -> ClosedForm:
    """A marker has another camera see the last frame: flow across the cut is from the one to the other."""
    other = [m @ pose((0.5, 0.2, 0.3), rotation([0.2, 1, 0], 0.03)) for m in base.camera.c2w]
    return cut_to(base, [pose(m[:3, 3], m[:3, :3]) for m in other])  # Rounded, as Blender stores it.


def cut_to(base: ClosedForm, other: list[np.ndarray]) -> ClosedForm:
    """A marker has a camera with these poses see the last frame."""
    last = TIMES.index(NUM_FRAMES - 1)
    base.description["cut"] = {
        "frame": base.description["frame_start"] + TIMES[last], "matrices": [m.tolist() for m in other]
    }  # fmt: skip
    base.camera.c2w = [*base.camera.c2w[:last], *other[last:]]
    return base


def come_and_go(base: ClosedForm) -> ClosedForm:
    """Every second object is there at the first frame only, or from the last one on; flow is that of what moves on."""
    for place, body in enumerate(base.bodies[2:]):
        if place % 2:
            body.hidden = frozenset(range(2, len(TIMES)) if place % 4 == 1 else range(NUM_FRAMES))
            base.description["meshes"][2 + place]["hidden"] = sorted(body.hidden)
    return base


def fast_motion(**camera: Any) -> ClosedForm:
    """Things that hide others and themselves, leave the picture, turn their backs, and pass the camera."""
    scene = closed_form(**{**LANDSCAPE, **camera})
    scene.add("Passing", "thing", *box(0.3, 0.1, 0.5), [pose((-1.6 + 0.9 * t, -2.5, 1.4), np.eye(3)) for t in TIMES])
    scene.add("Leaving", "thing", *box(0.25, 0.25, 0.25), [pose((1.2 + 0.5 * t, -3.0, 1.5), np.eye(3)) for t in TIMES])
    scene.add(
        "Turning", "thing", *box(0.6, 0.3, 0.4),
        [pose((-0.4, -2.0, 2.2 + 0.1 * t), rotation([0.2, 0.1, 1], 1.2 * t)) for t in TIMES],
    )  # fmt: skip
    scene.add("Near", "thing", *box(0.2, 0.2, 0.2), [pose((-0.2, -4.4 - 2.2 * t, 2.6), np.eye(3)) for t in TIMES])
    # Two layers of one object: the nearer one hides other parts of the farther one in each frame.
    corners, faces = grid(1.4, 4)
    layers = np.concatenate([corners, corners * [0.4, 0.7, 1.0] + [0.0, 0.0, 0.6]])
    faces = [*faces, *([corner + len(corners) for corner in face] for face in faces)]
    turns = [upright(0.9, -1.0, 1.4, tilt=0.1) @ pose((0, 0, 0), rotation([0, 1, 0], 0.25 * t)) for t in TIMES]
    scene.add("Layers", "thing", layers, faces, [pose(m[:3, 3], m[:3, :3]) for m in turns])
    return scene


def other_side() -> ClosedForm:
    """A marker has another camera see the last frame, from behind: what was seen is hidden by its own other side."""
    base = closed_form(**LANDSCAPE, roll=0.0)
    base.add("Slab", "thing", *box(0.8, 0.15, 0.6), still(pose((-0.2, -2.5, 2.0), np.eye(3))))
    other = [pose((0.1, 1.5, 3.0), look_at((0.1, 1.5, 3.0), (-0.2, -2.5, 2.0))) for _ in TIMES]
    return cut_to(base, other)


def many_cut_outs() -> ClosedForm:
    """Twelve cards one behind the other that are not there at all."""
    scene = closed_form(**LANDSCAPE)
    for i in range(12):
        card = still(upright(0.2, -4.0 + 0.05 * i, 2.0))
        scene.add(f"Nothing.{i}", "card", *plane(1.5), card, shown=False, alpha=0.0)
    return scene


def fog() -> ClosedForm:
    """A world that scatters light; it has no surface."""
    scene = closed_form(**LANDSCAPE)
    scene.description["fog"] = 0.1
    return scene


FAMILY: dict[str, Callable[[], ClosedForm]] = {
    "plain": lambda: closed_form(**LANDSCAPE),
    "depth of field": lambda: variant(scene("plain"), dof=DOF),
    "motion blur": lambda: variant(scene("plain"), render=BLUR),
    "cut-outs": cut_outs,
    "cut-outs, twelve in a row": many_cut_outs,
    "instances": instances,
    "instances that move by themselves": instances_by_vector_pass,
    "objects out of shape": out_of_shape,
    "deforming meshes": deforming_meshes,
    "deforming meshes, depth of field and motion blur": lambda: variant(scene("deforming meshes"), DOF, BLUR),
    "lens shift": lambda: closed_form(**LANDSCAPE, shift_x=0.13, shift_y=-0.07),
    "lens shift, portrait": lambda: closed_form(**PORTRAIT, shift_x=-0.05, shift_y=0.1),
    "portrait, fit horizontal": lambda: closed_form(**PORTRAIT, sensor_fit="HORIZONTAL", lens=28.0),
    "landscape, fit vertical": lambda: closed_form(**LANDSCAPE, sensor_fit="VERTICAL", shift_y=0.11),
    "oblong pixels, scaled camera": lambda: closed_form(
        **LANDSCAPE, pixel_aspect=(1.0, 1.5), shift_x=0.04, shift_y=0.06, camera_scale=2.5
    ),
    "animated lens": lambda: closed_form(**LANDSCAPE, zoom=0.05),
    "animated shift": lambda: closed_form(**LANDSCAPE, shift_y=0.05, drift=0.02),
    "animated lens, deforming meshes": lambda: deforming_meshes(zoom=0.05),
    "animated shift, deforming meshes": lambda: deforming_meshes(drift=0.02),
    "camera cut": lambda: camera_cut(closed_form(**LANDSCAPE)),
    "objects that come and go": lambda: come_and_go(closed_form(**LANDSCAPE)),
    "fast motion": fast_motion,
    "fast motion, deforming meshes": lambda: fast_motion(deforming=True),
    "camera cut to the other side": other_side,
    "orthographic, shifted": lambda: closed_form(**LANDSCAPE, kind="ORTHO", shift_x=0.13, shift_y=-0.07),
    "orthographic, portrait, animated scale": lambda: closed_form(
        **PORTRAIT, kind="ORTHO", zoom=0.05, pixel_aspect=(1.0, 1.25)
    ),
    "orthographic, deforming meshes": lambda: deforming_meshes(kind="ORTHO"),
    "equirectangular": lambda: closed_form(**LANDSCAPE, kind="EQUIRECTANGULAR"),
    "equirectangular, part of the globe, shifted": lambda: closed_form(
        **LANDSCAPE, kind="EQUIRECTANGULAR", sides=(-100.0, 140.0, -60.0, 45.0), shift_x=0.2, shift_y=0.1,
        pixel_aspect=(1.0, 1.5),
    ),
    "equirectangular, deforming meshes": lambda: deforming_meshes(kind="EQUIRECTANGULAR"),
    "fisheye equidistant": lambda: closed_form(**SQUARE, kind="FISHEYE_EQUIDISTANT"),
    "fisheye equidistant, oblong, shifted": lambda: closed_form(
        **LANDSCAPE, kind="FISHEYE_EQUIDISTANT", fov=200.0, shift_x=0.1, shift_y=-0.2, pixel_aspect=(1.0, 1.5)
    ),
    "fisheye equidistant, animated field of view": lambda: closed_form(
        **SQUARE, kind="FISHEYE_EQUIDISTANT", fov=150.0, zoom=0.03
    ),
    "fisheye equisolid, portrait, shifted": lambda: closed_form(
        **PORTRAIT, kind="FISHEYE_EQUISOLID", fisheye_lens=12.0, shift_x=0.1, pixel_aspect=(1.0, 1.25)
    ),
    "fisheye equisolid, deforming meshes": lambda: deforming_meshes(**SQUARE, kind="FISHEYE_EQUISOLID"),
    "fog": fog,
    "camera cut, deforming meshes": lambda: camera_cut(deforming_meshes()),
    "objects that come and go, deforming meshes": lambda: come_and_go(deforming_meshes()),
}  # fmt: skip
"""Name -> how it is made; see `scene`."""


@cache
def scene(name: str) -> ClosedForm:
    """A scene by name; its truth is computed once."""
    return FAMILY[name]()
