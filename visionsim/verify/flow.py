"""Whether the flow of static surfaces is what depth and the poses of neighbouring frames say.

Tolerances are multiples of what float32 allows (`geometry.Seen.sensitivity`), or are given with what was measured on
the demo scenes in Blender 4.2 to 5.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from visionsim.verify.frames import FrameData
from visionsim.verify.geometry import ENOUGH, FLOW_NOISE, Camera, pixel_centres, thin
from visionsim.verify.report import NO_IDS, NOT_STATIC, Found, rounded

__all__ = ["check_flow"]

FLOW_TOLERANCE = 2e-3
"""Pixels that the flow of a static surface may be off, apart from rounding. Blender's vector pass is off by up to
1.3e-3 px in single pixels (measured at 128 x 128), flow from geometry by 1e-7 px."""

SILHOUETTE = 1e-4
"""Relative error of depth in single pixels where a surface is seen edge-on (1.3e-5 was measured)."""

MEDIAN_NOISE = 4.0
"""Roundings that the median over a frame may be off; vector passes have up to 0.5, geometry 1e-4."""

MEDIAN_FLOOR = 2e-5
"""Pixels; Blender finds the vector pass with single-precision matrices."""

SCALE_TOLERANCE = 2e-4
"""Logarithm of the scale by which all depths of a frame may disagree with the flow; 1e-5 is promised and measured."""

SCALE_MOST = 0.05
"""What disagrees by more is no scale: a flow of the wrong sign looks like one."""

SCALE_EXPLAINS = 0.5
"""Share of the disagreement that a scale must explain to be its cause; below 0.01 in good data."""


def flow_error(frame: FrameData, other: Camera, names: slice) -> tuple[Any, Any, Any, Any]:
    """How far the flow is from that of a static surface: length, along x, along y (pixels); and what was seen."""
    seen = frame.seen_by(other)
    x, y = pixel_centres(frame.camera)
    with np.errstate(invalid="ignore", over="ignore"):
        along_x = seen.model.shorter_way(frame.flow[names][0] - (seen.x - x))
        along_y = frame.flow[names][1] - (seen.y - y)
        return np.sqrt(along_x * along_x + along_y * along_y), along_x, along_y, seen


def check_flow(frame: FrameData, other: Camera, forward: bool, found: Found) -> None:
    """Flow of static surfaces to the neighbouring camera `other` against depth and poses.

    Three questions: is any pixel off by more than it may; is the median off by more than rounding; and are all off
    in the way they would be if depth had another scale.
    """
    if frame.depth is None or frame.flow is None:
        return
    error, along_x, along_y, seen = flow_error(frame, other, slice(0, 2) if forward else slice(2, 4))
    mask = frame.static & seen.has_image(frame.depth)
    number = int(mask.sum())
    if not number:
        found.skip("flow", NO_IDS if frame.ids is None else NOT_STATIC)
        return
    found.count("flow")
    word = "forward" if forward else "backward"
    # Hardly any pixel is off by more than the least that they may all be: the rest need not be computed for all.
    suspects = np.flatnonzero(mask & ~(error <= FLOW_TOLERANCE))
    dx, dy, noise = seen.sensitivity(suspects)
    allowed = FLOW_TOLERANCE + FLOW_NOISE * noise + SILHOUETTE * np.sqrt(dx**2 + dy**2)
    bad = suspects[~(error.reshape(-1)[suspects] <= allowed)]
    sample = thin(np.flatnonzero(mask))
    off = error.reshape(-1)[sample]
    usual = float(np.median(off))
    sensitivity = seen.sensitivity(sample)
    may_be = MEDIAN_FLOOR + MEDIAN_NOISE * float(np.median(sensitivity[2]))
    # Single pixels must not hide what most of them have in common.
    like_most = off <= 5.0 * usual
    errors = (along_x.reshape(-1)[sample][like_most], along_y.reshape(-1)[sample][like_most])
    of_depth = tuple(image[like_most] for image in sensitivity)
    if number >= ENOUGH and scale_is_off(frame, sample[like_most], errors, of_depth, word, found):
        return
    if not len(bad) and not (number >= ENOUGH and usual > may_be):
        return
    y, x = (int(i) for i in divmod(int(bad[0] if len(bad) else sample[np.argmax(off)]), mask.shape[1]))
    given = frame.flow[slice(0, 2) if forward else slice(2, 4), y, x]
    expected = given - [along_x[y, x], along_y[y, x]]
    amount = f"{len(bad)} of {number} pixels" if len(bad) else f"{usual:.2g} px in the median"
    found.add(
        "flow",
        f"{word} flow of static surfaces is not what depth and poses say ({amount})",
        file=frame.files["flows"],
        frame=frame.number,
        x=x,
        y=y,
        expected=rounded(expected),
        found=rounded(given),
    )


def scale_is_off(
    frame: FrameData, sample: Any, errors: tuple[Any, Any], sensitivity: tuple[Any, ...], word: str, found: Found
) -> bool:
    """Whether the error of the flow is that of depths which all have a wrong scale; least squares over all pixels."""
    (rx, ry), (gx, gy, noise) = errors, sensitivity
    power = float((gx * gx + gy * gy).sum())
    total = float((rx * rx + ry * ry).sum())
    if power == 0.0 or total == 0.0:
        return False
    scale = float((rx * gx + ry * gy).sum()) / power
    explained = scale * scale * power / total
    # Rounding that happens to look like a scale is not one: it must be larger than rounding is.
    rounding = float(np.sqrt((noise**2).sum() / power))
    if not SCALE_TOLERANCE + rounding < abs(scale) < SCALE_MOST or explained < SCALE_EXPLAINS:
        return False
    # With the right scale hardly more than rounding may be left, or it is the flow that is wrong.
    left = float(np.median(np.sqrt((rx - scale * gx) ** 2 + (ry - scale * gy) ** 2)))
    second_order = scale * scale * float(np.median(np.sqrt(gx * gx + gy * gy)))
    if left > MEDIAN_FLOOR + MEDIAN_NOISE * float(np.median(noise)) + second_order:
        return False
    y, x = (int(i) for i in divmod(int(sample[0]), frame.depth.shape[1]))
    found.add(
        "depth",
        f"depth is {np.exp(-scale):.6f} times what {word} flow and poses say",
        file=frame.files["depths"],
        frame=frame.number,
        x=x,
        y=y,
        expected=round(float(frame.depth[y, x] * np.exp(scale)), 6),
        found=round(float(frame.depth[y, x]), 6),
    )
    return True
