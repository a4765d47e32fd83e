"""From Blender's render passes to our ground truth: one row per kind, each with a pure converter.

The conventions of the results are those of docs/conventions: depth of the camera's kind, normals in the camera's
frame, flow with x right and y down, ids as whole numbers, and a background that says so. Shared with the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.cameras import CameraModel, c2w_from_blender, camera_from_blender
from visionsim.errors import DataError
from visionsim.simulation.copies import PASS_NAME, Copies, decode, tell_apart
from visionsim.simulation.movers import Movers
from visionsim.simulation.visibility import Surface, visible_targets

if TYPE_CHECKING:
    from visionsim.types import FloatImage, IdImage, Matrix

    Passes = Mapping[str, FloatImage]
    """Name of Blender's pass -> (H, W, C) float32, top row first."""

__all__ = [
    "FLOW_FROM_GEOMETRY",
    "FLOW_KINDS",
    "PASSES",
    "Neighbour",
    "RenderPass",
    "View",
    "with_copies",
    "with_vectors",
]

BACKGROUND_DEPTH = 1e10
"""What Cycles writes into the depth pass where nothing was hit, in every version from 3.4 to 5.2."""

SAME_DEPTH = np.float32(1e-4)
"""Relative difference of a surface's depth between two renders: geometry with motion is hit with other rounding, which
counts most where it is seen edge-on (1e-5 was measured)."""

BLOCK = 1 << 15
"""Pixels that are converted at a time: so few that what is computed of them stays in a core's cache."""

ID_PASSES = ("Object Index", "IndexOB")
"""What Blender calls the pass of object ids; the second before 5.0."""


@dataclass(frozen=True)
class Camera:
    """A camera at an instant."""

    model: CameraModel
    c2w: Matrix

    @classmethod
    def from_blender(cls, described: Mapping[str, Any]) -> Camera:
        """Of what `worker.camera.describe` says; raises SceneError if no model of ours is like that."""
        return cls(camera_from_blender(described), c2w_from_blender(described["matrix_world"]))


@dataclass(frozen=True)
class Motion:
    """What is needed to find flow from geometry."""

    previous: Camera
    next: Camera
    objects: Movers
    """What moves, with matrices at the previous, this and the next frame."""


@dataclass(frozen=True)
class View:
    """Where a frame was seen from."""

    camera: Camera
    motion: Motion | None = None
    """None: flow comes from Blender's vector pass."""
    copies: Copies | None = None
    """None: an object's id is all there is to tell."""
    unknown_forward: frozenset[int] = frozenset()
    """Ids of surfaces whose motion to the next frame is not known."""
    unknown_backward: frozenset[int] = frozenset()
    """Ids of surfaces whose motion from the previous frame is not known."""
    previous: Neighbour | None = None
    """The frame before; None unless occlusions are wanted."""
    next: Neighbour | None = None
    """The frame after; None unless occlusions are wanted."""

    @classmethod
    def from_reply(cls, reply: Mapping[str, Any]) -> View:
        """The view of a worker's answer to `render`, without its neighbours."""
        camera, given = Camera.from_blender(reply["camera"]), reply.get("motion")
        unknown = reply.get("unknown", {})
        forward, backward = (frozenset(unknown.get(name, ())) for name in ("forward", "backward"))
        copies = None
        if "copies" in reply:
            with np.load(reply["copies"]) as arrays:
                copies = Copies.from_arrays(arrays)
        if given is None:
            return cls(camera, None, copies, forward, backward)
        previous, _, following = map(Camera.from_blender, given["cameras"])
        motion = Motion(previous, following, Movers.unpack(given["objects"]))
        return cls(camera, motion, copies, forward, backward)


@dataclass(frozen=True)
class Neighbour:
    """The ground truth of the frame before or after."""

    passes: Passes
    """Blender's passes, ids of copies included."""
    view: View


@dataclass(frozen=True)
class RenderPass:
    """How a kind of ground truth comes out of Blender."""

    enable: tuple[str, ...]
    """Properties of Blender's view layer that switch on the passes it is made from."""
    convert: Callable[[Passes, View], dict[str, Any]]
    """EXR channel name -> (H, W) array, as `dataset.kinds` describes them."""


def get_pass(passes: Passes, *names: str) -> FloatImage:
    """The pass under the first of `names` that is there; versions of Blender differ."""
    for name in names:
        if name in passes:
            return passes[name]
    raise DataError(f"Blender delivered no {names[0]} pass, only {sorted(passes)}")


def row_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """The rows of a picture (H, W), some `BLOCK` pixels at a time."""
    step = max(1, BLOCK // shape[1])
    for first in range(0, shape[0], step):
        yield slice(first, first + step)


def background(passes: Passes) -> Any:
    """(H, W) bool: where no surface was hit."""
    return get_pass(passes, "Depth")[..., 0] >= BACKGROUND_DEPTH


def to_depth(passes: Passes, view: View) -> dict[str, Any]:
    """Blender's depth is of the kind that the camera's model names; only the background needs translating."""
    depth = get_pass(passes, "Depth")[..., 0]
    return {"Y": np.where(background(passes), np.float32(np.inf), depth)}


def to_camera_normals(passes: Passes, view: View) -> dict[str, Any]:
    """Blender's normals are world space; a camera sees R^T n. Where Blender has none (NaN) they are 0.

    At the rim of a fisheye's circle bump maps give NaN: they need the ray of the next pixel, and there is none.
    """
    world, nothing = get_pass(passes, "Normal"), background(passes)
    rotation = view.camera.c2w[:3, :3].astype(np.float32)
    normals = np.empty((3, *nothing.shape), np.float32)
    for rows in row_blocks(nothing.shape):
        seen = normals[:, rows]
        seen[:] = np.moveaxis(world[rows] @ rotation, -1, 0)
        lengths = np.sqrt(seen[0] * seen[0] + seen[1] * seen[1] + seen[2] * seen[2])
        valid = (lengths > 0) & ~nothing[rows]  # False for NaN.
        seen /= np.where(valid, lengths, np.float32(1))
        np.copyto(seen, np.float32(0), where=~valid)
        seen += 0  # Turns -0.0 into 0.0.
    return dict(zip("RGB", normals, strict=True))


def to_flow_pair(passes: Passes, view: View) -> dict[str, Any]:
    """Forward and backward flow, from geometry where the view has motion, else from Blender's vectors.

    Both are 0 where the motion is not known.
    """
    if view.motion is not None:
        flow = flow_from_geometry(passes, view.camera, view.motion)
    else:
        flow = flow_from_vectors(passes, view.camera)
    for names, unknown in (("RG", view.unknown_forward), ("BA", view.unknown_backward)):
        if unknown:
            lost = np.isin(instance_ids(passes), np.array(sorted(unknown), np.uint32))
            for name in names:
                flow[name][lost] = 0
    return flow


def with_vectors(passes: Passes, others: Passes) -> Passes:
    """The passes with the vectors of another render, which may lack some surfaces: NaN, not known, where it does."""
    depth, other = get_pass(passes, "Depth"), get_pass(others, "Depth")
    same = np.abs(depth - other) <= SAME_DEPTH * depth
    return {**passes, "Vector": np.where(same, get_pass(others, "Vector"), np.float32(np.nan))}


def without_vectors(passes: Passes) -> Any:
    """(H, W) bool: where Blender's vectors say nothing of the surface."""
    return np.isnan(get_pass(passes, "Vector")[..., 0])


def flow_from_vectors(passes: Passes, camera: Camera) -> dict[str, Any]:
    """Blender's vectors are (previous - current, current - next), y up; ours point to t + 1 and t - 1, y down.

    The background is overwritten: 5.2 leaves vectors there that are up to a pixel off.
    """
    nothing = background(passes) | without_vectors(passes)
    vector = np.where(nothing[..., None], np.float32(0), get_pass(passes, "Vector"))
    # Of what is not there a frame before or after it may be any bits, signalling NaNs among them.
    vector[np.isnan(vector)] = np.nan
    # Adding zero turns -0.0 into 0.0.
    return {
        "R": camera.model.shorter_way(0.0 - vector[..., 2]),
        "G": vector[..., 3] + 0.0,
        "B": camera.model.shorter_way(vector[..., 0] + 0.0),
        "A": 0.0 - vector[..., 1],
    }


def flow_from_geometry(passes: Passes, camera: Camera, motion: Motion) -> dict[str, Any]:
    """Where each surface point is in the neighbouring frames, if nothing changes its shape."""
    targets = [Target(motion.next, motion.objects, 1, 2), Target(motion.previous, motion.objects, 1, 0)]
    flow = np.concatenate([steps[:2] for steps in steps_to(passes, camera, targets)])
    return dict(zip("RGBA", flow, strict=True))


@dataclass(frozen=True)
class Target:
    """Where surface points move to."""

    camera: Camera
    """The camera of that time."""
    objects: Movers
    """What moves, with matrices at several times."""
    now: int
    """Index of the time that the points are from."""
    then: int
    """Index of the time that they move to."""


def steps_to(passes: Passes, camera: Camera, targets: Sequence[Target], *, depths: bool = False) -> list[FloatImage]:
    """(2, H, W) for each target: how far (pixels) each surface point moves to the right and down, 0 where there is
    none; with `depths` (3, H, W): also its depth there, of the kind of the target's camera.

    The point of a pixel is on the ray through its centre, at its depth; what carries its object's matrix from now to
    then carries the point. In double precision: the result is as good as the depth.
    """
    nothing = background(passes)
    depth = np.where(nothing, np.float32(1), get_pass(passes, "Depth")[..., 0])
    x, y = np.arange(depth.shape[1]) + 0.5, np.arange(depth.shape[0]) + 0.5
    results = [np.empty((3 if depths else 2, *depth.shape), np.float32) for _ in targets]
    to_camera = [np.linalg.inv(target.camera.c2w) for target in targets]
    for block in row_blocks(depth.shape):
        points = camera.model.unproject(x[None, :], y[block, None], depth[block].astype(np.float64))
        for target, w2c, result in zip(targets, to_camera, results, strict=True):
            found = steps(x[None, :], y[block, None], points, target.camera.model, w2c @ camera.c2w)
            for part, values in zip(result, found, strict=False):
                part[block] = values
    rows, columns, moving = moving_pixels(passes, targets[0].objects)
    if len(moving):
        points = camera.model.unproject(x[columns], y[rows], depth[rows, columns].astype(np.float64))
        shown, which = np.unique(moving, return_inverse=True)
        for target, w2c, result in zip(targets, to_camera, results, strict=True):
            carry = w2c @ target.objects.carry(shown, target.now, target.then) @ camera.c2w
            each = np.moveaxis(carry, 0, -1)[..., which]
            found = steps(x[columns], y[rows], points, target.camera.model, each)
            for part, values in zip(result, found, strict=False):
                part[rows, columns] = values
    for result in results:
        np.copyto(result, np.float32(0), where=nothing)
        result += 0  # Turns -0.0 into 0.0.
    return results


def moving_pixels(passes: Passes, objects: Movers) -> tuple[Any, Any, Any]:
    """Rows and columns of the pixels whose object moves, and the index of the matrices that it follows."""
    if not len(objects.ids):
        return (np.empty(0, np.intp),) * 3
    which = objects.of_pixels(instance_ids(passes))
    rows, columns = np.nonzero(which >= 0)
    return rows, columns, which[rows, columns]


def steps(x: Any, y: Any, points: Matrix, model: CameraModel, m: Any) -> Iterator[Matrix]:
    """How far (pixels) from x and y points (..., 3) are seen by a camera: to the right, and down; then their depth.

    `m` takes them to that camera's frame: (4, 4), or (4, 4, N) if each of N points has its own.
    """
    coordinates = np.moveaxis(points, -1, 0)
    moved, part = np.empty(coordinates.shape), np.empty(coordinates.shape[1:])
    for row, result in zip(m, moved, strict=False):  # In place: four times less memory to fill.
        np.multiply(coordinates[0], row[0], out=result)
        result += np.multiply(coordinates[1], row[1], out=part)
        result += np.multiply(coordinates[2], row[2], out=part)
        result += row[3]
    moved = np.moveaxis(moved, 0, -1)
    u, v = model.project(moved)
    yield model.shorter_way(u - x)
    yield v - y
    yield model.depth(moved)


def instance_ids(passes: Passes) -> IdImage:
    """Blender's ids are floats that hold whole numbers."""
    ids = get_pass(passes, *ID_PASSES)[..., 0]
    if not np.all((ids == np.rint(ids)) & (ids >= 0) & (ids < 1 << 32)):
        raise DataError("Blender's object ids are not whole numbers")
    return ids.astype(np.uint32)


def with_copies(passes: Passes, view: View) -> dict[str, Any]:
    """The passes, with ids in which each copy has its own."""
    assert view.copies is not None
    camera, depth = view.camera, get_pass(passes, "Depth")[..., 0].astype(np.float64)
    x, y = np.arange(depth.shape[1]) + 0.5, np.arange(depth.shape[0]) + 0.5
    seen = camera.model.unproject(x[None, :], y[:, None], depth)
    points = seen @ camera.c2w[:3, :3].T + camera.c2w[:3, 3]
    ids = tell_apart(instance_ids(passes), decode(get_pass(passes, PASS_NAME)), points, view.copies)
    name = next(name for name in ID_PASSES if name in passes)
    # Whole numbers up to 2 ** 24 are exact in float32; there are far fewer copies than that.
    return {**passes, name: ids[..., None].astype(np.float32)}


def to_instance_ids(passes: Passes, view: View) -> dict[str, Any]:
    """One id for each object."""
    return {"Y": instance_ids(passes)}


def to_occlusions(passes: Passes, view: View) -> dict[str, Any]:
    """Which motion is known, and which targets are visible; see `dataset.kinds`."""
    ids, surface = instance_ids(passes), ~background(passes)
    if view.motion is None:
        surface &= ~without_vectors(passes)
    result = np.zeros(ids.shape, np.uint8)
    flow = np.stack(list(to_flow_pair(passes, view).values()))
    sides = (
        (view.next, flow[:2], view.unknown_forward, 2, FORWARD_KNOWN, FORWARD_VISIBLE),
        (view.previous, flow[2:], view.unknown_backward, 0, BACKWARD_KNOWN, BACKWARD_VISIBLE),
    )
    for neighbour, steps_there, unknown, time, known_bit, visible_bit in sides:
        if neighbour is None:
            raise DataError("the worker delivered no neighbouring frames, which occlusions are made from")
        known = surface & ~np.isin(ids, np.array(sorted(unknown), np.uint32)) if unknown else surface
        visible = visible_in(neighbour, passes, view, steps_there, ids, known, time)
        result |= known * known_bit | visible * visible_bit
    return {"Y": result}


def visible_in(neighbour: Neighbour, passes: Passes, view: View, flow: Any, ids: IdImage, known: Any, time: int) -> Any:
    """(H, W) bool: where the points of a view are visible in a neighbouring frame; `time` is 0 before, 2 after."""
    camera, motion = view.camera, view.motion
    seen = np.where(background(neighbour.passes), np.float32(np.inf), get_pass(neighbour.passes, "Depth")[..., 0])
    there_ids = np.where(np.isinf(seen), np.uint32(0), instance_ids(neighbour.passes))
    if motion is None:
        pair = flow_from_vectors(neighbour.passes, neighbour.view.camera)
        back = np.stack([pair[name] for name in ("RG" if time == 0 else "BA")])
        back = np.nan_to_num(back, copy=False, nan=NOWHERE, posinf=NOWHERE, neginf=NOWHERE)
        back[:, without_vectors(neighbour.passes)] = np.nan
        return visible_targets(flow, ids, known, Surface(there_ids, seen, back), neighbour.view.camera.model)
    there = motion.previous if time == 0 else motion.next
    (back,) = steps_to(neighbour.passes, there, [Target(camera, motion.objects, time, 1)])
    ((*_, depth),) = steps_to(passes, camera, [Target(there, motion.objects, 1, time)], depths=True)
    return visible_targets(flow, ids, known, Surface(there_ids, seen, back), there.model, depth)


NOWHERE = 1e6
"""Pixels: flow in place of what is not finite in Blender's vectors of things that are not there a frame later."""

FORWARD_KNOWN, FORWARD_VISIBLE, BACKWARD_KNOWN, BACKWARD_VISIBLE = map(np.uint8, (1, 2, 4, 8))
"""The bits of occlusions."""

PASSES = {
    "depths": RenderPass(("use_pass_z",), to_depth),
    "normals": RenderPass(("use_pass_normal", "use_pass_z"), to_camera_normals),
    "segmentations": RenderPass(("use_pass_object_index", "use_pass_z"), to_instance_ids),
    "flows": RenderPass(("use_pass_vector", "use_pass_z"), to_flow_pair),
    "occlusions": RenderPass(("use_pass_vector", "use_pass_object_index", "use_pass_z"), to_occlusions),
}
"""Kind of ground truth (a field of RenderConfig) -> how it is made."""

FLOW_KINDS = frozenset({"flows", "occlusions"})
"""Kinds of ground truth that are made from flow."""

FLOW_FROM_GEOMETRY = ("use_pass_z", "use_pass_object_index")
"""What flow is made from where nothing deforms, in place of the vector pass."""
