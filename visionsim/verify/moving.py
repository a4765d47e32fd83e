"""Whether what moves goes where its flow leads: two frames, one object at a time.

What the labels call rigid goes from frame to frame by one affine map of space (its scale may be animated too), whatever
that is: points by depth and ids here, and by flow and depth there, have to fit one. And a surface of any kind that
flow leads to an empty place, where something far behind it is seen, cannot have gone there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from visionsim.verify.consistency import Mismatch, land, mismatch, nearest, pick, places
from visionsim.verify.frames import FrameData
from visionsim.verify.geometry import ENOUGH, EPS, FLOW_NOISE, SAMPLE, depth_between, pixel_centres, spread3, unproject
from visionsim.verify.report import NO_IDS, Found, rounded

__all__ = ["check_moving"]

RIGID_TOLERANCE = 0.05
"""Pixels that half of an object's points may be off the best affine map, besides rounding. Depth between pixels is
good to 0.01 px on smooth surfaces, and the vector pass to 0.001 px; the rest is for what parts of an object hide."""

SUBSETS = 64
"""Maps tried through four points each, where least squares find none that most points agree with: of a set in which a
third is hidden, one of five has no such point."""

BEHIND = 1.1
"""How many times farther than a surface what is seen in its place has to be, for it to be in an empty place."""

LOST = (16, 0.1)
"""Pixels, and share of an object, that must have got lost: single ones do at the borders of hair and leaves."""

TOO_LITTLE = "moving objects of few pixels, or seen in one of two frames only"
TOO_ROUGH = "rigid objects of which little is smooth"


def check_moving(a: FrameData, b: FrameData, found: Found) -> list[Mismatch]:
    """Forward flow of the earlier frame `a`, and backward flow of `b`, of all that moves."""
    if a.flow is None or b.flow is None or a.depth is None or b.depth is None:
        return []
    if a.ids is None or b.ids is None:
        found.skip("moving", NO_IDS)
        return []
    wrong: list[Mismatch] = []
    counted = False
    for this, that, channels in ((a, b, slice(0, 2)), (b, a, slice(2, 4))):
        for number, text, at_this, at_that in of_frame(this, that, channels, found):
            counted = True
            if text:
                at_a, at_b = (at_this, at_that) if this is a else (at_that, at_this)
                wrong.append(mismatch("moving", a, b, "flows", f"{text} (id {number})", at_a, at_b))
    if counted:
        found.count("moving")
    return wrong


def of_frame(this: FrameData, that: FrameData, channels: slice, found: Found) -> Iterator[tuple[int, str, Any, Any]]:
    """For each moving object that can be judged: its id, what is wrong (or nothing), and the places to name."""
    moving = this.inner & ~this.static & this.known(forward=channels.start == 0)
    numbers, counts = np.unique(this.ids[moving], return_counts=True)
    if not len(numbers):
        return
    x, y = pixel_centres(this.camera)
    target_x, target_y = x + this.flow[channels][0], y + this.flow[channels][1]
    there = np.unique(that.ids)
    nearest_of_nine = spread3(that.near)[1]
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        mine = moving & (this.ids == number) if count >= ENOUGH and number in there else None
        landing = None if mine is None else land(mine, target_x, target_y, SAMPLE)
        if landing is None or len(landing.x) < ENOUGH:
            found.skip("moving", TOO_LITTLE)
            continue
        text, index = lost(this, that, number, landing, nearest_of_nine)
        if not text and number in this.rigid_ids & that.rigid_ids:
            result = torn(this, that, landing)
            if result is None:
                found.skip("moving", TOO_ROUGH)
            else:
                text, index = result
        if text:
            at_this, at_that = places(landing, index)
            given = rounded(this.flow[channels, landing.rows[index], landing.columns[index]])
            yield number, text, (*at_this, None, given), (*at_that, None, rounded(that.flow[:, at_that[1], at_that[0]]))
        else:
            yield number, "", None, None


def lost(this: FrameData, that: FrameData, number: int, landing: Any, nearest_of_nine: Any) -> tuple[str, int]:
    """Whether flow leads an object to where it is not, and where nothing hides it; with one of its pixels."""
    row, column = nearest(landing)
    gone: Any = np.ones(len(row), bool)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            gone &= that.ids[row + down, column + right] != number
    # What the surface's depth is there is not known; nor is it if it stood still.
    here = np.maximum(this.depth, np.where(this.hit, this.seen_by(that.camera).depth, 0.0))
    depth = here[landing.rows, landing.columns]
    gone &= nearest_of_nine[row, column] * depth * BEHIND < 1.0
    gone &= that.camera.shows(depth / BEHIND) & that.camera.shows(depth * BEHIND)
    if gone.sum() < LOST[0] or gone.sum() < LOST[1] * len(gone):
        return "", 0
    return f"flow leads {int(gone.sum())} of {len(gone)} pixels to where only what is behind them is", int(
        gone.argmax()
    )


def torn(this: FrameData, that: FrameData, landing: Any) -> tuple[str, int] | None:
    """Whether no affine map takes most points of a rigid object to where flow and depth say, with the worst pixel.

    None if too little is known.
    """
    row, column = nearest(landing)
    same = that.ids[row, column] == this.ids[landing.rows, landing.columns]
    chosen = np.flatnonzero(that.smooth[row, column] & same)
    if len(chosen) < ENOUGH:
        return None
    landing = pick(landing, chosen)
    model = that.camera.model
    depth = depth_between(that.points, landing.x, landing.y, model)
    there = unproject(landing.x, landing.y, depth, model)
    here = this.points[:, landing.rows, landing.columns]
    aside = unproject(landing.x + 0.5, landing.y, depth, model) - unproject(landing.x - 0.5, landing.y, depth, model)
    size = np.sqrt((aside**2).sum(axis=0))
    fine = np.isfinite(there).all(axis=0) & np.isfinite(here).all(axis=0) & (size > 0)
    if fine.sum() < ENOUGH:
        return None
    here, there, size = here[:, fine], there[:, fine], size[fine]
    error = off_affine(here, there, size)
    reach = np.abs(this.camera.c2w[:3, 3]).max() + np.abs(that.camera.c2w[:3, 3]).max() + depth[fine]
    allowed = RIGID_TOLERANCE + FLOW_NOISE * EPS * reach / size
    bad = error > allowed
    if bad.mean() <= 0.5:
        return "", 0
    text = f"flow takes a rigid object apart: {int(bad.sum())} of {len(bad)} points do not move with the others"
    return text, int(chosen[fine][np.argmax(error)])


def off_affine(here: Any, there: Any, size: Any) -> Any:
    """(N,) pixels that points (3, N) are off the affine map that most of them agree with; `size` (N,) is a pixel's."""
    middle = here.mean(axis=1, keepdims=True)
    scale = max(float(np.abs(here - middle).max()), 1e-30)
    given = np.concatenate([(here - middle) / scale, np.ones((1, here.shape[1]))]).T
    wanted = (there - there.mean(axis=1, keepdims=True)).T

    def errors(chosen: Any) -> Any:
        weight = 1.0 / size[chosen, None]
        solution, *_ = np.linalg.lstsq(given[chosen] * weight, wanted[chosen] * weight, rcond=1e-9)
        return np.sqrt(((given @ solution - wanted) ** 2).sum(axis=1)) / size

    def settled(error: Any) -> Any:
        for _ in range(4):
            error = errors(error <= 2.0 * np.median(error))
        return error

    best = settled(errors(np.arange(len(size))))
    rng = np.random.default_rng(len(size))
    for _ in range(SUBSETS):
        if np.median(best) <= RIGID_TOLERANCE:
            break
        error = errors(rng.choice(len(size), 4, replace=False))
        if np.median(error) < np.median(best):
            error = settled(error)
            best = error if np.median(error) < np.median(best) else best
    return best
