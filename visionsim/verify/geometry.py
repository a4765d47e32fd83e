"""Where static surface points are seen in another frame, and how exactly that can be known.

All of it is done in double precision; what is left are the float32 numbers that files and Blender are made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.cameras import Intrinsics

if TYPE_CHECKING:
    from visionsim.types import Matrix

__all__ = [
    "EPS",
    "Camera",
    "Seen",
    "bilinear",
    "depth_of",
    "pixel_centres",
    "project",
    "reproject",
    "spread3",
    "turn",
    "unproject",
]

EPS = float(np.finfo(np.float32).eps) / 2
"""Largest relative error of a number rounded to float32."""


@dataclass(frozen=True)
class Camera:
    """A frame's camera, as transforms.json describes it."""

    intrinsics: Intrinsics
    c2w: Matrix

    @classmethod
    def from_document(cls, values: Mapping[str, Any]) -> Camera:
        """Of `{**transforms, **frame}`."""
        intrinsics = Intrinsics(*(values[name] for name in ("fl_x", "fl_y", "cx", "cy", "w", "h")))
        return cls(intrinsics, np.array(values["transform_matrix"], np.float64))


# All that is known here of the camera's model; the rest holds for any.


def unproject(x: Any, y: Any, depth: Any, model: Intrinsics) -> Any:
    """(3, ...): points in the camera's frame, of pixel positions at stored depths."""
    points = np.empty((3, *np.broadcast_shapes(np.shape(x), np.shape(y), np.shape(depth))))
    points[0], points[1], points[2] = (x - model.cx) / model.fx * depth, (model.cy - y) / model.fy * depth, -depth
    return points


def project(points: Any, model: Intrinsics) -> tuple[Any, Any]:
    """Pixel positions of points (3, ...) in the camera's frame; behind it, where the line of sight meets the image."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return model.cx - model.fx * (points[0] / points[2]), model.cy + model.fy * (points[1] / points[2])


def depth_of(points: Any, model: Intrinsics) -> Any:
    """Depth of points (3, ...), of the kind that the model's files hold; not positive behind the camera."""
    return -points[2]


def pixel_centres(camera: Camera) -> tuple[Any, Any]:
    """x (1, W) and y (H, 1)."""
    return np.arange(camera.intrinsics.width)[None, :] + 0.5, np.arange(camera.intrinsics.height)[:, None] + 0.5


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
    model: Intrinsics

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
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            aside = STEP * np.abs(then)
            shifts = np.zeros_like(x)
            for axis in range(3):
                probe = points.copy()
                probe[axis] += aside
                probe_x, probe_y = project(probe, self.model)
                shifts += np.maximum(np.abs(probe_x - x), np.abs(probe_y - y))
            noise = EPS * (max(self.model.width, self.model.height) + reach * shifts / aside)
            return (moved_x - x) / STEP, (moved_y - y) / STEP, noise


def reproject(points: Any, depth: Any, camera: Camera, other: Camera) -> Seen:
    """Where the surface points of `camera`'s pixels are seen by `other`, if they stand still.

    Args:
        points: (3, H, W), in the frame of `camera`.
        depth: (H, W), theirs.
        camera: the frame's.
        other: who sees them.
    """
    m = np.linalg.inv(other.c2w) @ camera.c2w
    along = turn(m[:3, :3], points)
    there = along + m[:3, 3, None, None]
    reach = np.abs(camera.c2w[:3, 3]).max() + np.abs(other.c2w[:3, 3]).max() + depth
    model = other.intrinsics
    return Seen(*project(there, model), depth_of(there, model), there, along, reach, model)


def spread3(image: Any) -> tuple[Any, Any]:
    """Least and largest value of the 3x3 neighbourhood of each pixel, borders repeated; (H, W)."""
    padded = np.pad(image, 1, mode="edge")
    low = np.minimum(np.minimum(padded[:-2], padded[1:-1]), padded[2:])
    high = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    low = np.minimum(np.minimum(low[:, :-2], low[:, 1:-1]), low[:, 2:])
    high = np.maximum(np.maximum(high[:, :-2], high[:, 1:-1]), high[:, 2:])
    return low, high


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
