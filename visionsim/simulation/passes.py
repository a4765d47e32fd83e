"""From Blender's render passes to our ground truth: one row per kind, each with a pure converter.

The conventions of the results are those of docs/conventions: planar depth, normals in the camera's frame, flow with
x right and y down, ids as whole numbers, and a background that says so. Shared with the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.cameras import Intrinsics, c2w_from_blender, intrinsics_from_blender
from visionsim.errors import DataError

if TYPE_CHECKING:
    from visionsim.types import FloatImage, IdImage, Matrix

    Passes = Mapping[str, FloatImage]
    """Name of Blender's pass -> (H, W, C) float32, top row first."""

__all__ = ["FLOW_FROM_GEOMETRY", "PASSES", "RenderPass", "View"]

BACKGROUND_DEPTH = 1e10
"""What Cycles writes into the depth pass where nothing was hit, in every version from 3.4 to 5.2."""


@dataclass(frozen=True)
class Camera:
    """A camera at an instant."""

    intrinsics: Intrinsics
    c2w: Matrix

    @classmethod
    def from_blender(cls, described: Mapping[str, Any]) -> Camera:
        """Of what `worker.camera.describe` says; raises SceneError if no pinhole camera is like that."""
        return cls(intrinsics_from_blender(described), c2w_from_blender(described["matrix_world"]))


@dataclass(frozen=True)
class Motion:
    """What is needed to find flow from geometry."""

    previous: Camera
    next: Camera
    objects: Mapping[int, Sequence[Matrix]]
    """Object id -> object-to-world (4, 4) at the previous, this and the next frame; absent ones stand still."""


@dataclass(frozen=True)
class View:
    """Where a frame was seen from."""

    camera: Camera
    motion: Motion | None = None
    """None: flow comes from Blender's vector pass."""

    @classmethod
    def from_reply(cls, reply: Mapping[str, Any]) -> View:
        """Of a worker's answer to `render`."""
        camera, given = Camera.from_blender(reply["camera"]), reply.get("motion")
        if given is None:
            return cls(camera)
        previous, _, following = map(Camera.from_blender, given["cameras"])
        objects = {int(key): [np.array(m, np.float64) for m in three] for key, three in given["objects"].items()}
        return cls(camera, Motion(previous, following, objects))


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


def background(passes: Passes) -> Any:
    """(H, W) bool: where no surface was hit."""
    return get_pass(passes, "Depth")[..., 0] >= BACKGROUND_DEPTH


def to_planar_depth(passes: Passes, view: View) -> dict[str, Any]:
    """Blender's depth is planar for perspective cameras; only the background needs translating."""
    depth = get_pass(passes, "Depth")[..., 0]
    return {"Y": np.where(background(passes), np.float32(np.inf), depth)}


def to_camera_normals(passes: Passes, view: View) -> dict[str, Any]:
    """Blender's normals are world space; a camera sees R^T n."""
    normals = get_pass(passes, "Normal") @ view.camera.c2w[:3, :3].astype(np.float32)
    lengths = np.sqrt(np.einsum("hwc,hwc->hw", normals, normals))
    valid = (lengths > 0) & ~background(passes)
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=valid)
    normals = normals * scale[..., None] + np.float32(0)  # Adding zero turns -0.0 into 0.0.
    return {name: normals[..., i] for i, name in enumerate("RGB")}


def to_flow_pair(passes: Passes, view: View) -> dict[str, Any]:
    """Forward and backward flow, from geometry where the view has motion, else from Blender's vectors."""
    return flow_from_vectors(passes) if view.motion is None else flow_from_geometry(passes, view.camera, view.motion)


def flow_from_vectors(passes: Passes) -> dict[str, Any]:
    """Blender's vectors are (previous - current, current - next), y up; ours point to t + 1 and t - 1, y down.

    The background is overwritten: 5.2 leaves vectors there that are up to a pixel off.
    """
    vector = np.where(background(passes)[..., None], np.float32(0), get_pass(passes, "Vector"))
    # Adding zero turns -0.0 into 0.0.
    return {
        "R": 0.0 - vector[..., 2],
        "G": vector[..., 3] + 0.0,
        "B": vector[..., 0] + 0.0,
        "A": 0.0 - vector[..., 1],
    }


def flow_from_geometry(passes: Passes, camera: Camera, motion: Motion) -> dict[str, Any]:
    """Where each surface point is in the neighbouring frames, if nothing changes its shape.

    The point of a pixel is on the ray through its centre, at its depth; what carries its object's matrix from now to
    then carries the point. In double precision: the result is as good as the depth.
    """
    nothing = background(passes)
    depth = np.where(nothing, 1.0, get_pass(passes, "Depth")[..., 0]).astype(np.float64)
    ids = instance_ids(passes)
    x = np.arange(depth.shape[1]) + 0.5
    y = np.arange(depth.shape[0]) + 0.5
    moving = [number for number in motion.objects if np.any(ids == number)]
    channels = {}
    for names, time, other in (("RG", 2, motion.next), ("BA", 0, motion.previous)):
        u, v = reproject(x[None, :], y[:, None], depth, camera, other, np.eye(4))
        for number in moving:
            rows, columns = np.nonzero(ids == number)
            then_from_now = carried(motion.objects[number][1], motion.objects[number][time])
            if then_from_now is None:
                raise DataError(f"the object with id {number} is scaled to nothing: its flow is not defined")
            u[rows, columns], v[rows, columns] = reproject(
                x[columns], y[rows], depth[rows, columns], camera, other, then_from_now
            )
        for name, flow in zip(names, (u - x[None, :], v - y[:, None]), strict=True):
            channels[name] = np.where(nothing, 0.0, flow).astype(np.float32) + np.float32(0)
    return channels


def carried(now: Matrix, then: Matrix) -> Matrix | None:
    """World then from world now, for what goes from pose `now` to pose `then`.

    What is flat (scaled to nothing along an axis) has a way there if it stays flat along that axis, else None.
    """
    inverse = np.eye(4)
    inverse[:3, :3] = np.linalg.pinv(now[:3, :3], rcond=1e-6)
    inverse[:3, 3] = -inverse[:3, :3] @ now[:3, 3]
    lost = np.eye(3) - inverse[:3, :3] @ now[:3, :3]
    if np.abs(then[:3, :3] @ lost).max() > 1e-6 * max(np.abs(then[:3, :3]).max(), 1e-30):
        return None
    matrix: Matrix = then @ inverse
    return matrix


def reproject(x: Any, y: Any, depth: Any, camera: Camera, other: Camera, then_from_now: Matrix) -> tuple[Any, Any]:
    """Pixels (x, y) at planar `depth` in `camera`, moved by `then_from_now` (world), seen by `other`: pixels.

    A point behind the other camera has no image there; it gets where its line of sight crosses the image plane, which
    is what Blender's vectors say too.
    """
    now, then = camera.intrinsics, other.intrinsics
    m = np.linalg.inv(other.c2w) @ then_from_now @ camera.c2w
    ray_x, ray_y = (x - now.cx) / now.fx, (now.cy - y) / now.fy
    right, up, backward = (depth * (row[0] * ray_x + (row[1] * ray_y - row[2])) + row[3] for row in m[:3])
    with np.errstate(divide="ignore", invalid="ignore"):
        return then.cx + then.fx * (right / -backward), then.cy - then.fy * (up / -backward)


def instance_ids(passes: Passes) -> IdImage:
    """Blender's ids are floats that hold whole numbers."""
    ids = get_pass(passes, "Object Index", "IndexOB")[..., 0]
    if not np.all((ids == np.rint(ids)) & (ids >= 0) & (ids < 1 << 32)):
        raise DataError("Blender's object ids are not whole numbers")
    return ids.astype(np.uint32)


def to_instance_ids(passes: Passes, view: View) -> dict[str, Any]:
    """One id for each object."""
    return {"Y": instance_ids(passes)}


PASSES = {
    "depths": RenderPass(("use_pass_z",), to_planar_depth),
    "normals": RenderPass(("use_pass_normal", "use_pass_z"), to_camera_normals),
    "segmentations": RenderPass(("use_pass_object_index",), to_instance_ids),
    "flows": RenderPass(("use_pass_vector", "use_pass_z"), to_flow_pair),
}
"""Kind of ground truth (a field of RenderConfig) -> how it is made."""

FLOW_FROM_GEOMETRY = ("use_pass_z", "use_pass_object_index")
"""What flow is made from where nothing deforms, in place of the vector pass."""
