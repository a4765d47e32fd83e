"""Ground truth as pictures for people: pure functions from arrays to 8-bit RGB.

Depth is drawn with Turbo (near is warm), flow with hue for direction and saturation for length, normals with the usual
(n + 1) / 2, ids with colours that are far apart and the same everywhere, occlusions in blue (visible) and orange
(hidden). The background is black, that of flow white.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visionsim.types import FloatImage, IdImage

    Rgb = NDArray[np.uint8]
    """(H, W, 3)."""

__all__ = [
    "OCCLUSION_COLOURS",
    "colorize",
    "colorize_depth",
    "colorize_flow",
    "colorize_ids",
    "colorize_normals",
    "colorize_occlusions",
    "turbo",
]

TURBO = np.array(
    [
        [0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943],
        [0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604],
        [0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973],
    ]
)
"""Polynomial approximation of Turbo. Source: A. Mikhailov, "Turbo, an improved rainbow colormap", Google, 2019."""

STEPS = 4096
"""Entries of the table that is made of it, so that a colour is off by less than rounding."""

GOLDEN_RATIO = 0.6180339887498949

FEW_IDS = 1 << 16
"""Ids below this have their colours in a table."""


def to_bytes(rgb: Any) -> Rgb:
    """[0, 1] -> 0 ... 255."""
    result: Rgb = np.rint(np.clip(np.nan_to_num(rgb), 0.0, 1.0) * 255.0).astype(np.uint8)
    return result


def hsv_to_rgb(hue: Any, saturation: Any, value: Any) -> Any:
    """(...) in [0, 1], hue periodic -> (..., 3) in [0, 1]."""
    hue = np.asarray(hue)
    k = (hue[..., None] * 6.0 + np.array([5.0, 3.0, 1.0], hue.dtype)) % 6.0
    chroma = np.asarray(value * saturation)[..., None]
    return np.asarray(value)[..., None] - chroma * np.clip(np.minimum(k, 4.0 - k), 0.0, 1.0)


def colorize_depth(planar_depth: FloatImage, near: float | None = None, far: float | None = None) -> Rgb:
    """Turbo over inverse depth, which spreads what is near.

    Args:
        planar_depth: (H, W), +inf where no surface was hit.
        near: depth drawn in the warmest colour; by default the image's own 2nd percentile.
        far: depth drawn in the coldest colour; by default the image's own 98th percentile.
    """
    hit = np.isfinite(planar_depth)
    if not hit.any():
        return np.zeros((*planar_depth.shape, 3), np.uint8)
    near = float(np.percentile(planar_depth[hit], 2)) if near is None else near
    far = float(np.percentile(planar_depth[hit], 98)) if far is None else far
    near, far = max(near, 1e-6), max(far, 1e-6)
    inverse = 1.0 / np.maximum(planar_depth, 1e-6)
    span = max(1.0 / near - 1.0 / far, 1e-12)
    rgb = turbo(np.clip((inverse - 1.0 / far) / span, 0.0, 1.0))
    rgb[~hit] = 0
    return rgb


def turbo(warmth: Any) -> Rgb:
    """(...) in [0, 1], 0 is cold -> (..., 3)."""
    rgb: Rgb = turbo_table()[np.rint(np.nan_to_num(warmth) * (STEPS - 1)).astype(np.intp)]
    return rgb


@functools.cache
def turbo_table() -> Rgb:
    return to_bytes(np.polynomial.polynomial.polyval(np.linspace(0.0, 1.0, STEPS), TURBO.T, tensor=True).T)


def colorize_flow(flow: FloatImage, longest: float | None = None) -> Rgb:
    """Hue is the direction (right is red, down is yellow-green), saturation the length.

    Args:
        flow: (H, W, 2), pixels, right and down.
        longest: length drawn fully saturated; by default the image's own 99th percentile.
    """
    length = np.hypot(flow[..., 0], flow[..., 1])
    if longest is None:
        longest = float(np.percentile(length, 99))
    hue = np.arctan2(flow[..., 1], flow[..., 0]) / (2.0 * np.pi)
    return to_bytes(hsv_to_rgb(hue, np.minimum(length / max(longest, 1e-6), 1.0), np.ones_like(length)))


def colorize_normals(normals: FloatImage) -> Rgb:
    """(H, W, 3) unit vectors -> (n + 1) / 2; black where there is no surface."""
    hit = np.any(normals != 0, axis=-1, keepdims=True)
    return to_bytes(np.where(hit, normals * 0.5 + 0.5, 0.0))


def colorize_ids(ids: IdImage) -> Rgb:
    """(...) object ids -> (..., 3): a colour for each id, the same in every image; background black."""
    largest = int(np.max(ids)) if ids.size else 0
    if ids.ndim > 1 and largest < FEW_IDS:
        return colorize_ids(np.arange(largest + 1, dtype=np.uint32))[ids]
    hue = (ids.astype(np.float64) * GOLDEN_RATIO) % 1.0
    saturation = 0.55 + 0.4 * ((ids.astype(np.float64) * GOLDEN_RATIO**2) % 1.0)
    value = np.where(ids > 0, 0.65 + 0.35 * ((ids.astype(np.float64) * GOLDEN_RATIO**3) % 1.0), 0.0)
    return to_bytes(hsv_to_rgb(hue, saturation, value))


def colorize_occlusions(occlusions: NDArray[np.uint8], direction: str = "forward") -> Rgb:
    """(H, W) bits -> (H, W, 3): blue where the target of the motion is visible, orange where it is hidden or outside,
    grey where motion is known in the other direction only; black where none is known, and of the background.
    """
    known, visible = (1, 2) if direction == "forward" else (4, 8)
    which = np.where(occlusions & visible, 3, np.where(occlusions & known, 2, np.where(occlusions, 1, 0)))
    rgb: Rgb = OCCLUSION_COLOURS[which]
    return rgb


OCCLUSION_COLOURS = np.array([[0, 0, 0], [110, 110, 110], [240, 140, 40], [60, 130, 210]], np.uint8)
"""Unknown or background, unknown in this direction, hidden, visible."""


def colorize(kind: str, channels: dict[str, Any], *, flow_direction: str = "forward") -> Rgb:
    """A kind of ground truth, by the names of its channels -> picture."""
    if kind == "depths":
        return colorize_depth(channels["Y"])
    if kind == "normals":
        return colorize_normals(np.stack([channels[name] for name in "RGB"], axis=-1))
    if kind == "flows":
        names = "RG" if flow_direction == "forward" else "BA"
        return colorize_flow(np.stack([channels[name] for name in names], axis=-1))
    if kind == "occlusions":
        return colorize_occlusions(channels["Y"], flow_direction)
    return colorize_ids(channels["Y"])
