"""What the kinds of one frame say about its surfaces: normals point where depth does, ids change where surfaces end.

All functions take frames as arrays and have no files. Tolerances are given with what was measured on the demo scenes
in Blender 4.2 to 5.2.
"""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np

from visionsim.verify.frames import SMOOTH, FrameData
from visionsim.verify.geometry import ENOUGH, cross, dot, thin, turn
from visionsim.verify.report import BENT, Found, rounded

__all__ = ["check_normals", "check_smooth", "pair_smooth"]

NORMAL_ANGLE = 40.0
"""Degrees between the normals and the depth's surface, median over a frame's smooth surfaces: smooth shading and bump
maps turn normals by 6 degrees on the demo landscape and by less than 1.5 elsewhere; another axis or sign by 90."""

BENT_MOST = 75.0
"""Degrees by which a normal map may bend most normals of a frame: one without its texture bends them by 45, since
Blender shows magenta in its place. Further is another axis or sign, whatever the materials."""

WRONG_AXES = (15.0, 80.0)
"""Degrees that normals are off at most, at this percentile, once their axes are put right."""

AXES = [np.diag(signs)[list(order)] for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]
"""All ways to exchange axes and signs; the first of them is none."""

LONELY_SHARE = 0.01
"""Share of smooth surfaces' pixels that may have an id unlike all of their neighbours: two coplanar surfaces may take
turns; none were seen in the demo scenes."""

BREAKS = (1.25, 8)
"""How many times, and how many pixels, more often ids may change in smooth surfaces than another frame's ids would."""


def check_normals(frame: FrameData, found: Found) -> None:
    """Normals point where the surface does that the depth describes: across its steps to the right and down."""
    if frame.depth is None or frame.normals is None:
        return
    smooth = frame.inner & (frame.bend[0] < 100 * SMOOTH) & (frame.bend[1] < 100 * SMOOTH)
    smooth[[0, -1]] = False
    smooth[:, [0, -1]] = False
    smooth &= frame.normals.any(axis=0)
    width = smooth.shape[1]
    chosen = thin(np.flatnonzero(smooth))
    if len(chosen) < ENOUGH:
        return
    found.count("normals")
    points = frame.points.reshape(3, -1)
    row, column = np.divmod(chosen, width)
    right, down = points[:, chosen + 1] - points[:, chosen - 1], points[:, chosen + width] - points[:, chosen - width]
    plane = cross(down, right)
    plane /= np.sqrt(dot(plane, plane))
    given = frame.normals.reshape(3, -1)[:, chosen]
    angle = np.degrees(np.arccos(np.clip(dot(plane, given), -1.0, 1.0)))
    usual = float(np.median(angle))
    if usual <= NORMAL_ANGLE:
        return
    if usual <= BENT_MOST and not has_wrong_axes(plane, given, frame.camera.c2w[:3, :3]):
        found.skip("normals", BENT)
        return
    index = int(np.argmax(angle > NORMAL_ANGLE))
    found.add(
        "normals",
        f"normals are {usual:.0f} degrees off the depth's surface, in the median over smooth surfaces",
        file=frame.files["normals"],
        frame=frame.number,
        x=int(column[index]),
        y=int(row[index]),
        expected=rounded(plane[:, index], 4),
        found=rounded(given[:, index], 4),
    )


def has_wrong_axes(plane: Any, given: Any, world: Any) -> bool:
    """Whether normals (3, N) are the surface's, but in another frame: with exchanged axes or signs, or in the world's.

    Normal maps bend each surface its own way, by whatever angle.
    """
    for axes in (*AXES[1:], world):
        angle = np.degrees(np.arccos(np.clip(dot(turn(axes, plane), given), -1.0, 1.0)))
        if np.percentile(angle, WRONG_AXES[1]) <= WRONG_AXES[0]:
            return True
    return False


def check_smooth(frame: FrameData, found: Found) -> None:
    """Ids are constant on smooth surfaces: hardly a single pixel in the middle of one has an id of its own."""
    if frame.depth is None or frame.ids is None:
        return
    found.count("smooth")
    lonely = single_pixels(frame)
    number, of = int(lonely.sum()), int(frame.smooth_surface.sum())
    if number <= 4 + LONELY_SHARE * of:
        return
    y, x = (int(i) for i in np.argwhere(lonely)[0])
    found.add(
        "smooth",
        f"{number} single pixels in the middle of smooth surfaces have an id of their own",
        file=frame.files["segmentations"],
        frame=frame.number,
        x=x,
        y=y,
        expected=int(frame.ids[y - 1, x]),
        found=int(frame.ids[y, x]),
    )


def pair_smooth(a: FrameData, b: FrameData, found: Found) -> None:
    """Ids change where depth or normals do.

    Some change in the middle of a smooth surface all the same: a carpet on the floor. But the ids of a neighbouring
    frame cannot fit a frame's surfaces better than its own.
    """
    if a.ids is None or b.ids is None:
        return
    for this, that in ((a, b), (b, a)):
        own, theirs = breaks(this, this.ids), breaks(this, that.ids)
        if own.sum() <= BREAKS[0] * theirs.sum() + BREAKS[1]:
            continue
        y, x = (int(i) for i in np.argwhere(own & ~theirs)[0])
        found.add(
            "smooth",
            f"ids change within smooth surfaces {int(own.sum())} times, and would {int(theirs.sum())} times with those "
            f"of frame {that.number}: are they of another frame?",
            file=this.files["segmentations"],
            frame=this.number,
            x=x,
            y=y,
            expected=int(that.ids[y, x]),
            found=int(this.ids[y, x]),
        )


def breaks(frame: FrameData, ids: Any) -> Any:
    """(H, W) bool: pixels that continue smoothly to the right or down with another id."""
    across, down = frame.connected
    wrong = np.zeros(ids.shape, bool)
    wrong[:, :-1] |= across & (ids[:, :-1] != ids[:, 1:])
    wrong[:-1] |= down & (ids[:-1] != ids[1:])
    return wrong


def single_pixels(frame: FrameData) -> Any:
    """(H, W) bool: pixels of a smooth surface whose four neighbours share another id."""
    ids = frame.ids
    lonely = np.zeros(ids.shape, bool)
    up, down, left, right = ids[:-2, 1:-1], ids[2:, 1:-1], ids[1:-1, :-2], ids[1:-1, 2:]
    lonely[1:-1, 1:-1] = (up == down) & (up == left) & (up == right) & (up != ids[1:-1, 1:-1])
    return lonely & frame.smooth_surface
