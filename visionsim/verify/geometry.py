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

__all__ = ["EPS", "Camera", "Seen", "bilinear", "pixel_centres", "reproject", "spread3", "unproject"]

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


def pixel_centres(camera: Camera) -> tuple[Any, Any]:
    """x (1, W) and y (H, 1)."""
    return np.arange(camera.intrinsics.width)[None, :] + 0.5, np.arange(camera.intrinsics.height)[:, None] + 0.5


def unproject(x: Any, y: Any, depth: Any, camera: Camera) -> Any:
    """Points (..., 3) in the camera's frame, of pixel positions at stored depths."""
    k = camera.intrinsics
    rays = np.stack(np.broadcast_arrays((x - k.cx) / k.fx, (k.cy - y) / k.fy, -1.0), axis=-1)
    return rays * np.asarray(depth)[..., None]


@dataclass(frozen=True)
class Seen:
    """The points of a frame's pixels, static in the world, as another frame sees them."""

    x: Any
    y: Any
    depth: Any
    """(H, W); not positive behind the other camera."""
    dx: Any
    dy: Any
    """What x and y change by if the logarithm of the stored depth changes by 1: how much they know about it."""
    noise: Any
    """Pixels by which x and y may be off for a float32 renderer: one rounding of the numbers that go in."""


def reproject(depth: Any, camera: Camera, other: Camera) -> Seen:
    """Where the surface points of `camera`'s pixels are seen by `other`, if they stand still.

    A point (X, Y, Z) of the other camera's frame is R (depth * ray) + t, and so moves by R (depth * ray) per unit of
    log depth; the projection's derivative is the quotient rule. Rounding: Blender has positions and matrices in
    float32, so a point is known to EPS times its coordinates in the world, and appears off by that times the focal
    length over the depth; and a raster coordinate to EPS times the size of the picture.
    """
    x, y = pixel_centres(camera)
    k = other.intrinsics
    m = np.linalg.inv(other.c2w) @ camera.c2w
    now = camera.intrinsics
    ray_x, ray_y = (x - now.cx) / now.fx, (now.cy - y) / now.fy
    along = [depth * (row[0] * ray_x + (row[1] * ray_y - row[2])) for row in m[:3]]
    right, up, backward = (a + row[3] for a, row in zip(along, m[:3], strict=True))
    then = -backward
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        tan_x, tan_y = right / then, up / then
        dx = k.fx * (along[0] + tan_x * along[2]) / then
        dy = -k.fy * (along[1] + tan_y * along[2]) / then
        reach = np.abs(camera.c2w[:3, 3]).max() + np.abs(other.c2w[:3, 3]).max() + depth
        noise = EPS * (max(k.width, k.height) + max(k.fx, k.fy) * reach / np.abs(then) * (1.0 + tan_x**2 + tan_y**2))
        return Seen(k.cx + k.fx * tan_x, k.cy - k.fy * tan_y, then, dx, dy, noise)


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
