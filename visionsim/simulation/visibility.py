"""Whether surface points are visible in a neighbouring frame. Pure functions of arrays; shared with the worker.

A point that is visible now moves along its flow to its target in the neighbouring frame. It is visible there if the
surface at the target is the same point, which the flow of the neighbouring frame tells: the surface there came from
where the point is now. Both points lie on the same ray in both frames and both are seen in one of them, so unless they
swapped places, they are one. Where depth tells that they swapped places (a camera that jumps to the other side of an
object), the point is hidden.

The neighbouring frame is known at its pixels' centres only, so that four of them around the target decide. On one
surface the answer is exact; where an edge passes between the four, it is that of the larger part of the four.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visionsim.cameras import CameraModel
    from visionsim.types import FloatImage, IdImage

__all__ = ["Surface", "visible_targets"]

BLOCK = 1 << 16
"""Pixels that are decided at a time."""

RETURN_PIXELS = 0.5
"""How far from its pixel (pixels) a point may be after it went to its target and back. Surfaces that hide what was
visible before come from further away, unless their edge is this near."""

BEND = 0.25
"""How much of the variation of flow within a pixel may be added to that: flow between pixels is interpolated."""

DEPTH_PIXELS = 2.0
"""How much deeper (widths of a pixel) a point may be than what is seen there, besides the slope of the surface."""


@dataclass(frozen=True)
class Surface:
    """What a neighbouring frame shows."""

    ids: IdImage
    """(H, W) of each pixel's surface; 0 where there is none."""
    depth: FloatImage
    """(H, W), of any kind; infinite where there is no surface."""
    back: FloatImage
    """(2, H, W): flow to the frame that the points come from, pixels (right, down). NaN where it is not known: there
    an id tells all there is to tell."""


def visible_targets(
    flow: FloatImage,
    ids: IdImage,
    known: NDArray[np.bool_],
    there: Surface,
    camera: CameraModel,
    depth: FloatImage | None = None,
) -> NDArray[np.bool_]:
    """Where the points of a frame are visible in a neighbouring one.

    Args:
        flow: (2, H, W), pixels (right, down), to the neighbouring frame.
        ids: (H, W) of each pixel's surface.
        known: (H, W), where flow is known; elsewhere the answer is False.
        there: the neighbouring frame.
        camera: that of the neighbouring frame.
        depth: (H, W), depth of each point in the neighbouring frame, of the camera's kind. None if only flow is known.
    """
    result = np.zeros(ids.shape, bool)
    rows, columns = np.nonzero(known)
    variation = flow_variation(flow, ids)
    for start in range(0, len(rows), BLOCK):
        row, column = rows[start : start + BLOCK], columns[start : start + BLOCK]
        u, v = (part[row, column].astype(np.float64) for part in flow)
        x, y = column + 0.5 + u, row + 0.5 + v
        if math.isfinite(camera.period):
            x %= camera.period
        inside = camera.shows(x, y)
        deep = None if depth is None else depth[row, column]
        if deep is not None:
            inside &= deep > 0
        place = np.nonzero(inside)[0]
        row, column = row[place], column[place]
        result[row, column] = same_point(
            x[place], y[place], u[place], v[place], ids[row, column], variation[row, column],
            there, camera, None if deep is None else deep[place], camera.narrowing(row + 0.5),
        )  # fmt: skip
    return result


def flow_variation(flow: FloatImage, ids: IdImage) -> FloatImage:
    """(H, W): by how much flow changes from a pixel to the next on the same surface, pixels.

    Of both neighbours along an axis, the one with less change counts: the other may lie behind an edge.
    """
    result = np.zeros(ids.shape, np.float32)
    everything, first, second = slice(None), slice(None, -1), slice(1, None)
    for here, there in (((first, everything), (second, everything)), ((everything, first), (everything, second))):
        change = np.hypot(flow[0][there] - flow[0][here], flow[1][there] - flow[1][here])
        change[ids[here] != ids[there]] = np.inf
        least = np.full(ids.shape, np.inf, np.float32)
        least[here] = change
        least[there] = np.minimum(least[there], change)
        np.copyto(least, np.float32(0), where=np.isinf(least))
        np.maximum(result, least, out=result)
    return result


def same_point(
    x: Any,
    y: Any,
    u: Any,
    v: Any,
    ids: IdImage,
    variation: Any,
    there: Surface,
    camera: CameraModel,
    depth: Any | None,
    narrowing: Any,
) -> NDArray[np.bool_]:
    """(N,): whether the surface at targets x and y (N,), inside the picture, is the point with flow u and v."""
    height, width = there.ids.shape
    left, top = np.floor(x - 0.5).astype(np.intp), np.floor(y - 0.5).astype(np.intp)
    if camera.period != width:  # Else the pixel next to the last column is the first.
        left = np.clip(left, 0, width - 2)
    top = np.clip(top, 0, height - 2)
    across, down = x - 0.5 - left, y - 0.5 - top
    corner_rows = np.stack([top, top, top + 1, top + 1])
    corner_columns = np.stack([left, left + 1, left, left + 1]) % width
    weights = np.stack([(1 - across) * (1 - down), across * (1 - down), (1 - across) * down, across * down])

    same = there.ids[corner_rows, corner_columns] == ids
    seen_depth = there.depth[corner_rows, corner_columns].astype(np.float64)
    off_x = camera.shorter_way(there.back[0][corner_rows, corner_columns] + u) * narrowing
    off_y = there.back[1][corner_rows, corner_columns] + v

    # A whole neighbourhood of the same object is interpolated; otherwise each pixel is judged by itself.
    extent = np.hypot(np.ptp(off_x, axis=0), np.ptp(off_y, axis=0))
    error = np.hypot((weights * off_x).sum(0), (weights * off_y).sum(0))
    whole = same.all(0) & (error <= RETURN_PIXELS + BEND * extent)
    untold = np.isnan(off_x)
    shows = same & (whole | untold | (np.hypot(off_x, off_y) <= RETURN_PIXELS + 1.5 * variation))
    if depth is not None:
        slope = np.where(same, seen_depth, -np.inf).max(0) - np.where(same, seen_depth, np.inf).min(0)
        shows &= depth <= seen_depth + np.where(same.any(0), 1.5 * slope, 0.0) + DEPTH_PIXELS * camera.pixel_width(
            depth
        )
    else:
        total = np.where(shows, weights, 0.0).clip(1e-9).sum(0)
        depth = np.where(shows, weights.clip(1e-9) * np.where(shows, seen_depth, 0.0), 0.0).sum(0) / total
    hides = ~shows & (seen_depth < depth)
    result: NDArray[np.bool_] = shows.any(0) & (np.where(hides, weights.clip(0, 1), 0.0).sum(0) < 0.5)
    return result
