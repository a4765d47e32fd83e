"""Where static surface points are seen in another frame, and how exactly that can be known.

All of it is done in double precision; what is left are the float32 numbers that files and Blender are made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.cameras import CameraModel, Orthographic, camera_from_document

if TYPE_CHECKING:
    from visionsim.types import Matrix

__all__ = [
    "ENOUGH",
    "EPS",
    "FLOW_NOISE",
    "SAMPLE",
    "Camera",
    "Seen",
    "bend",
    "bilinear",
    "cross",
    "depth_between",
    "dot",
    "pixel_centres",
    "reproject",
    "spread3",
    "thin",
    "turn",
    "unproject",
]

EPS = float(np.finfo(np.float32).eps) / 2
"""Largest relative error of a number rounded to float32."""

ENOUGH = 64
"""Pixels that a statistic needs."""

SAMPLE = 8192
"""Pixels that are enough for one: the median of so many is known to a hundredth of their spread."""


FLOW_NOISE = 64.0
"""Roundings that a single pixel's flow may be off in addition; 40 were measured."""


@dataclass(frozen=True)
class Camera:
    """A frame's camera, as transforms.json describes it."""

    model: CameraModel
    c2w: Matrix
    clip_start: float = 0.0
    clip_end: float = np.inf
    """Depths between which it sees anything, of the model's kind."""

    def shows(self, depth: Any) -> Any:
        """Whether it can see surfaces of these depths, but for rounding."""
        return (depth > self.clip_start * (1 + 1e-4)) & (depth < self.clip_end * (1 - 1e-4))

    @classmethod
    def from_document(cls, values: Mapping[str, Any]) -> Camera:
        """Of `{**transforms, **frame}`."""
        clip = values.get("clip_start", 0.0), values.get("clip_end", np.inf)
        return cls(camera_from_document(values), np.array(values["transform_matrix"], np.float64), *clip)


# Points are (3, ...) here, coordinates first; those of the models are views of the same memory.


def unproject(x: Any, y: Any, depth: Any, model: CameraModel) -> Any:
    """(3, ...): points in the camera's frame, of pixel positions at stored depths; NaN where there is no ray."""
    return np.moveaxis(model.unproject(x, y, depth), -1, 0)


def project(points: Any, model: CameraModel) -> tuple[Any, Any]:
    """Pixel positions of points (3, ...) in the camera's frame."""
    return model.project(np.moveaxis(points, 0, -1))


def outward(points: Any, model: CameraModel) -> Any:
    """(3, ...): what points of a camera's pixels move by if the logarithm of their depth grows by 1."""
    if not isinstance(model, Orthographic):
        return points
    return np.stack([np.zeros_like(points[2]), np.zeros_like(points[2]), points[2]])


def pixel_centres(camera: Camera) -> tuple[Any, Any]:
    """x (1, W) and y (H, 1)."""
    return np.arange(camera.model.width)[None, :] + 0.5, np.arange(camera.model.height)[:, None] + 0.5


STEP = 1e-5
"""Relative step of numerical derivatives: their error is 1e-5 of them, and 1e-9 px."""


def turn(rotation: Matrix, vectors: Any) -> Any:
    """Vectors (3, ...) turned. Not by BLAS: its threads would be in the way of the other processes."""
    return np.stack([row[0] * vectors[0] + row[1] * vectors[1] + row[2] * vectors[2] for row in rotation])


@dataclass(frozen=True)
class Seen:
    """The points of a frame's pixels, static in the world, as another frame sees them."""

    x: Any
    y: Any
    depth: Any
    """(H, W); not positive behind the other camera."""
    points: Any
    """(3, H, W), in the other camera's frame."""
    along: Any
    """(3, H, W): what they move by if the logarithm of the stored depth grows by 1."""
    reach: Any
    """(H, W): about the largest coordinate in the world that goes into them."""
    model: CameraModel

    def has_image(self, depth: Any) -> Any:
        """(H, W) bool: where the other camera has an image of the points, in its picture or not.

        What comes nearer to the plane of a perspective camera than a thousandth of the `depth` (H, W) that it has in
        its own frame, has none that float32 could say; to the centre of a panorama likewise. Behind the plane of an
        orthographic camera is nothing special.
        """
        return np.ones(depth.shape, bool) if isinstance(self.model, Orthographic) else self.depth > 1e-3 * depth

    def sensitivity(self, pixels: Any) -> tuple[Any, Any, Any]:
        """How x and y of some pixels (flat indices) depend on what goes in: dx, dy and noise, (N,) each.

        dx and dy: what x and y change by if the logarithm of the stored depth grows by 1, that is, what they know about
        it. Noise: pixels by which x and y may be off for a float32 renderer, one rounding of what goes in. Blender has
        positions and matrices in float32, so a point is known to EPS times its coordinates in the world, and a raster
        coordinate to EPS times the size of the picture.
        """
        x, y, then, reach = (image.reshape(-1)[pixels] for image in (self.x, self.y, self.depth, self.reach))
        points, along = (image.reshape(3, -1)[:, pixels] for image in (self.points, self.along))
        moved_x, moved_y = project(points + STEP * along, self.model)
        moved_x, moved_y = self.model.shorter_way(moved_x - x), moved_y - y
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            aside = STEP * (reach if isinstance(self.model, Orthographic) else np.abs(then))
            shifts = np.zeros_like(x)
            for axis in range(3):
                probe = points.copy()
                probe[axis] += aside
                probe_x, probe_y = project(probe, self.model)
                shifts += np.maximum(np.abs(self.model.shorter_way(probe_x - x)), np.abs(probe_y - y))
            noise = EPS * (max(self.model.width, self.model.height) + reach * shifts / aside)
            return moved_x / STEP, moved_y / STEP, noise


def reproject(points: Any, depth: Any, camera: Camera, other: Camera) -> Seen:
    """Where the surface points of `camera`'s pixels are seen by `other`, if they stand still.

    Args:
        points: (3, H, W), in the frame of `camera`.
        depth: (H, W), theirs.
        camera: the frame's.
        other: who sees them.
    """
    m = np.linalg.inv(other.c2w) @ camera.c2w
    turned = turn(m[:3, :3], points)
    along = turned if outward(points, camera.model) is points else turn(m[:3, :3], outward(points, camera.model))
    there = turned + m[:3, 3, None, None]
    reach = np.abs(camera.c2w[:3, 3]).max() + np.abs(other.c2w[:3, 3]).max() + depth
    model = other.model
    return Seen(*project(there, model), model.depth(np.moveaxis(there, 0, -1)), there, along, reach, model)


def spread3(image: Any) -> tuple[Any, Any]:
    """Least and largest value of the 3x3 neighbourhood of each pixel, borders repeated; (H, W)."""
    padded = np.pad(image, 1, mode="edge")
    low = np.minimum(np.minimum(padded[:-2], padded[1:-1]), padded[2:])
    high = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    low = np.minimum(np.minimum(low[:, :-2], low[:, 1:-1]), low[:, 2:])
    high = np.maximum(np.maximum(high[:, :-2], high[:, 1:-1]), high[:, 2:])
    return low, high


def bend(points: Any, model: CameraModel) -> tuple[Any, Any]:
    """How far the neighbours of each pixel are from lying on a plane with it: left and right, and above and below.

    Args:
        points: (3, H, W), of a camera's pixels, in its frame; NaN where there is none.
        model: the camera's.
    Returns:
        (H, W) each, in parts of depth: 0 on any plane, however slanted. Not finite where a neighbour is missing.
    """
    centre, along = points[:, 1:-1, 1:-1], outward(points, model)[:, 1:-1, 1:-1]
    left, right, above, below = points[:, 1:-1, :-2], points[:, 1:-1, 2:], points[:, :-2, 1:-1], points[:, 2:, 1:-1]
    normal = cross(right - left, below - above)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = 1.0 / dot(normal, along)
        results = []
        for one, other in ((left, right), (above, below)):
            result = np.full(points.shape[1:], np.inf)
            result[1:-1, 1:-1] = np.abs(dot(normal, one + other - 2.0 * centre) * scale)
            results.append(result)
    return results[0], results[1]


def depth_between(points: Any, x: Any, y: Any, model: CameraModel) -> Any:
    """(N,): depth at positions (N,) between the centres of four pixels with points (3, H, W); exact on planes."""
    left, top = np.floor(x - 0.5), np.floor(y - 0.5)
    a, b = x - 0.5 - left, y - 0.5 - top
    width = points.shape[-1]
    corner = top.astype(np.intp) * width + left.astype(np.intp)
    flat = points.reshape(3, -1)
    at = [flat.take(corner + offset, axis=-1) for offset in (0, 1, width, width + 1)]
    upper, lower = at[0] + a * (at[1] - at[0]), at[2] + a * (at[3] - at[2])
    normal = cross(at[3] - at[0], at[2] - at[1])
    start = unproject(x, y, 0.0, model)
    ray = unproject(x, y, 1.0, model) - start
    with np.errstate(invalid="ignore", divide="ignore"):
        return dot(normal, upper + b * (lower - upper) - start) / dot(normal, ray)


def cross(a: Any, b: Any) -> Any:
    """(3, ...): of vectors (3, ...)."""
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def dot(a: Any, b: Any) -> Any:
    """(...): of vectors (3, ...)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def bilinear(image: Any, x: Any, y: Any) -> Any:
    """Values of an image (H, W) or (C, H, W) at pixel positions (N,), which lie between pixel centres: (N,), (C, N)."""
    left, top = np.floor(x - 0.5), np.floor(y - 0.5)
    a, b = x - 0.5 - left, y - 0.5 - top
    width = image.shape[-1]
    corner = top.astype(np.intp) * width + left.astype(np.intp)
    flat = image.reshape(*image.shape[:-2], -1)
    at = [flat.take(corner + offset, axis=-1) for offset in (0, 1, width, width + 1)]
    upper, lower = at[0] + a * (at[1] - at[0]), at[2] + a * (at[3] - at[2])
    return upper + b * (lower - upper)


def thin(chosen: Any, most: int = SAMPLE) -> Any:
    """Every n-th of an array, so that about `most` are left; n is odd, so that they are not all in a few columns."""
    return chosen[:: (len(chosen) // most) | 1] if len(chosen) > most else chosen
