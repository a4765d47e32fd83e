"""Whether occlusions agree with flow, and with what neighbouring frames show. Pure functions of arrays.

Edges are not judged: there a neighbouring frame's pixels do not tell what is between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.verify.consistency import Mismatch, land, mismatch, nearest, pick, places
from visionsim.verify.geometry import bilinear, pixel_centres, spread3
from visionsim.verify.report import Found

if TYPE_CHECKING:
    from visionsim.verify.frames import FrameData

__all__ = ["check_known", "check_visible"]

FORWARD, BACKWARD = (1, slice(0, 2)), (4, slice(2, 4))
"""The bit that says that motion is known, and its channels of flow; the next higher bit says that its target is
visible."""

AT_BORDER = 0.01
"""Pixels from the picture's border within which a target may be on either side."""

RETURNS = 0.1
"""Pixels within which flow there and back leads for a surface that is certainly the same."""

STRAYS = 2.0
"""Pixels by which flow there and back misses for a surface that is certainly another one."""

SAME_DEPTH = 2e-3
"""Relative difference of depth of a static surface that is certainly the same."""

SINGLE = 4
"""Pixels that may be wrong: geometry thinner than a pixel may hide others."""


def check_known(frame: FrameData, found: Found) -> None:
    """Flow of unknown motion is 0, and visible targets are inside the picture."""
    if frame.occlusions is None or frame.flow is None:
        return
    found.count("occlusions")
    x, y = pixel_centres(frame.camera)
    model = frame.camera.model
    for bit, channels in (FORWARD, BACKWARD):
        u, v = frame.flow[channels]
        known, visible = (frame.occlusions & b != 0 for b in (bit, 2 * bit))
        word = "forward" if bit == 1 else "backward"
        to_x = (x + u) % model.period if np.isfinite(model.period) else x + u
        width, height = model.width + AT_BORDER, model.height + AT_BORDER
        outside = (to_x < -AT_BORDER) | (to_x > width) | (y + v < -AT_BORDER) | (y + v > height)
        for wrong, text, expected in (
            (~known & ((u != 0) | (v != 0)), f"{word} motion is unknown, but flow is not 0", "flow of 0"),
            (visible & outside, f"{word} target is visible, but outside of the picture", f"bit {2 * bit} not set"),
        ):
            if wrong.any():
                row, column = (int(i) for i in np.argwhere(wrong)[0])
                found.add(
                    "occlusions", f"{text} ({int(wrong.sum())} pixels)", file=frame.files["occlusions"],
                    frame=frame.number, x=column, y=row, expected=expected, found=int(frame.occlusions[row, column]),
                )  # fmt: skip


def check_visible(a: FrameData, b: FrameData, found: Found) -> list[Mismatch]:
    """A visible target shows the surface that flow comes from, and a hidden one does not; `a` is the frame before."""
    wrong: list[Mismatch] = []
    for this, that, (bit, channels), (_, back) in ((a, b, FORWARD, BACKWARD), (b, a, BACKWARD, FORWARD)):
        if this.occlusions is None or any(frame.flow is None or frame.depth is None for frame in (this, that)):
            continue
        result = misjudged(this, that, bit, channels, back)
        if result is None:
            continue
        text, at_this, at_that = result
        at_a, at_b = (at_this, at_that) if this is a else (at_that, at_this)
        wrong.append(mismatch("occlusions", a, b, "occlusions", text, at_a, at_b))
    return wrong


def misjudged(this: FrameData, that: FrameData, bit: int, channels: slice, back: slice) -> Any:
    """What is wrong with the visible bits of a frame, and the places to name; None if nothing is."""
    x, y = pixel_centres(this.camera)
    known = this.occlusions & bit != 0
    landing = land(this.inner & known, x + this.flow[channels][0], y + this.flow[channels][1])
    row, column = nearest(landing)
    landing = pick(landing, that.inner[row, column])
    if not len(landing.x):
        return None
    row, column = nearest(landing)
    here = landing.rows, landing.columns
    same = that.groups[row, column] == this.groups[here]
    off = bilinear(that.flow[back], landing.x, landing.y) + this.flow[channels][:, here[0], here[1]]
    error = np.hypot(that.camera.model.shorter_way(off[0]), off[1])
    varies = sum(spread(component)[row, column] for component in that.flow[back])
    known_there = np.ones(len(row), bool)
    if that.occlusions is not None:
        known_there = that.occlusions[row, column] & (5 - bit) != 0
    visible = this.occlusions[here] & (2 * bit) != 0
    # Nothing but depth tells a surface from its own other side, and only that of what rests is known.
    depth = this.seen_by(that.camera).depth[here]
    rests = this.static[here] & (np.abs(that.near[row, column] * depth - 1.0) < SAME_DEPTH)
    smooth = varies < RETURNS
    bad_visible = visible & known_there & (~same | (smooth & (error > STRAYS)))
    bad_hidden = ~visible & same & rests & smooth & known_there & (error < RETURNS)
    for bad, words in ((bad_visible, "is marked as visible, but another surface shows"),
                       (bad_hidden, "is marked as hidden, but the same surface shows")):  # fmt: skip
        if bad.sum() > SINGLE:
            at_this, at_that = places(landing, int(bad.argmax()))
            bits = [int(frame.occlusions[at[1], at[0]]) if frame.occlusions is not None else None
                    for frame, at in ((this, at_this), (that, at_that))]  # fmt: skip
            word = "forward" if bit == 1 else "backward"
            text = f"the target of {word} motion {words} ({int(bad.sum())} pixels)"
            return text, (*at_this, None, bits[0]), (*at_that, None, bits[1])
    return None


def spread(image: Any) -> Any:
    """(H, W): largest difference in each 3x3 neighbourhood."""
    low, high = spread3(image)
    return high - low
