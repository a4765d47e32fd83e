"""What two frames of a sequence say about each other.

All functions take frames as arrays and have no files. Tolerances are multiples of what float32 allows
(`geometry.Seen.sensitivity`), or are given with what was measured on the demo scenes in Blender 4.2 to 5.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from visionsim.cameras import Orthographic
from visionsim.verify.frames import FrameData
from visionsim.verify.geometry import (
    ENOUGH,
    EPS,
    FLOW_NOISE,
    SAMPLE,
    Seen,
    bilinear,
    depth_between,
    pixel_centres,
    thin,
    turn,
)
from visionsim.verify.report import NO_IDS, NOT_STATIC, Found, Problem, rounded
from visionsim.verify.surfaces import pair_smooth

__all__ = ["Mismatch", "check_pair", "land", "mismatch", "nearest", "pick", "places"]

DEPTH_TOLERANCE = 3e-5
"""Relative: median over the smooth pixels of a pair of frames. 1e-5 is promised for each; 1e-6 was measured."""

DEPTH_ROUNDINGS = 16.0
"""Roundings of positions in the world that depth may be off in addition."""

NORMAL_TOLERANCE = 5e-5
"""Difference of a flat surface's normal in the world between two frames, median; up to 8e-6 was measured."""

VISIBLE = 0.02
"""Relative difference of depth below which a landing point is taken for the same surface, not one that hides it."""

NEARER = 1e-3
"""Relative difference of depth from which on another object may hide one that moves."""

ROUNDTRIP = (1e-3, 0.5)
"""Pixels, and share of the flow's variation around the landing point, that a round trip may miss by. Interpolation
between four pixels is off by a part of what the flow varies there: a hundredth in the median, see docs/verify.md."""

ROUNDTRIP_SHARE = 0.75
"""Least share of an object's pixels that return; 0.99 was measured, but parts of an object may hide one another."""


@dataclass(frozen=True)
class Mismatch:
    """Two frames that do not fit together; which of them is wrong is seen from their other neighbours."""

    check: str
    first: int
    second: int
    """Frame numbers."""
    problems: tuple[Problem, Problem]
    """What to report if it is the first, or the second."""


@dataclass(frozen=True)
class Landing:
    """Where pixels of a frame land between the pixels of another; all (N,)."""

    rows: Any
    columns: Any
    """The pixels."""
    x: Any
    y: Any
    """Where they land."""


def land(mask: Any, x: Any, y: Any, most: int = SAMPLE) -> Landing:
    """Pixels of `mask` that land well inside the picture, at positions x and y (H, W); about `most`, evenly spread."""
    height, width = mask.shape
    with np.errstate(invalid="ignore"):
        chosen = np.flatnonzero(mask & (x >= 1.5) & (y >= 1.5) & (x < width - 1.5) & (y < height - 1.5))
    chosen = thin(chosen, most)
    rows, columns = np.divmod(chosen, width)
    return Landing(rows, columns, x.reshape(-1)[chosen], y.reshape(-1)[chosen])


def nearest(landing: Landing) -> tuple[Any, Any]:
    """Row and column of the pixel that is landed in."""
    return np.floor(landing.y).astype(np.intp), np.floor(landing.x).astype(np.intp)


def pick(landing: Landing, chosen: Any) -> Landing:
    return Landing(landing.rows[chosen], landing.columns[chosen], landing.x[chosen], landing.y[chosen])


def check_pair(a: FrameData, b: FrameData, adjacent: bool, found: Found) -> list[Mismatch]:
    """Two frames of a sequence, the first earlier: depths, normals, ids, and the round trip of flow if `adjacent`."""
    wrong: list[Mismatch] = []
    if a.depth is None or b.depth is None:
        return wrong
    seen = a.seen_by(b.camera)
    wrong += pair_depth(a, b, seen, found)
    wrong += pair_normals(a, b, seen, found)
    pair_smooth(a, b, found)
    wrong += pair_ids(a, b, seen, adjacent, found)
    if adjacent:
        wrong += pair_roundtrip(a, b, seen, found)
    return wrong


Place = tuple[int, int, Any, Any]
"""x, y, expected and found."""


def mismatch(check: str, a: FrameData, b: FrameData, kind: str, message: str, at_a: Place, at_b: Place) -> Mismatch:
    def problem(this: FrameData, that: FrameData, place: Place) -> Problem:
        x, y, expected, found = place
        text = f"{message} (compared with frame {that.number})"
        return Problem(check, text, this.files[kind], this.number, x, y, expected, found)

    return Mismatch(check, a.number, b.number, (problem(a, b, at_a), problem(b, a, at_b)))


def places(landing: Landing, index: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(x, y) of one pixel, and of where it lands."""
    row, column = nearest(landing)
    return (int(landing.columns[index]), int(landing.rows[index])), (int(column[index]), int(row[index]))


def pair_depth(a: FrameData, b: FrameData, seen: Seen, found: Found) -> list[Mismatch]:
    """A static point has the depth in the other frame that the poses give it."""
    landing = land(a.smooth & a.static & (seen.depth > 0), seen.x, seen.y)
    if len(landing.x) < ENOUGH:
        found.skip("depth", NO_IDS if a.ids is None else NOT_STATIC)
        return []
    row, column = nearest(landing)
    fits = b.smooth[row, column] & (b.groups[row, column] == a.groups[landing.rows, landing.columns])
    landing = pick(landing, fits)
    expected = seen.depth[landing.rows, landing.columns]
    # Where a surface is nearer than the camera shows, another part of the same object may be seen through it.
    landing, expected = pick(landing, b.camera.shows(expected)), expected[b.camera.shows(expected)]
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.log(expected / depth_between(b.points, landing.x, landing.y, b.camera.model))
    visible = np.abs(error) < VISIBLE
    # What is nearer hides the surface. What is farther cannot be seen where the surface is: where there is much of it,
    # the surfaces are somewhere else altogether.
    lost = len(error) >= ENOUGH and (error <= -VISIBLE).mean() > 0.5
    if visible.sum() < ENOUGH and not lost:
        return []
    found.count("depth")
    chosen = error <= -VISIBLE if lost else visible
    usual = float(np.median(error[chosen]))
    reach = np.abs(a.camera.c2w[:3, 3]).max() + np.abs(b.camera.c2w[:3, 3]).max()
    rounding = DEPTH_ROUNDINGS * EPS * float(np.median(1.0 + reach / expected))
    if abs(usual) <= DEPTH_TOLERANCE + rounding and not lost:
        return []
    index = int(np.argmin(np.where(chosen, np.abs(error - usual), np.inf)))  # A pixel like most.
    at_a, at_b = places(landing, index)
    here, there, wanted = float(a.depth[at_a[::-1]]), float(b.depth[at_b[::-1]]), float(np.exp(-error[index]))
    return [
        mismatch(
            "depth",
            a,
            b,
            "depths",
            f"static surfaces differ in depth by a factor of {np.exp(-usual):.6f}",
            (*at_a, round(here * wanted, 6), round(here, 6)),
            (*at_b, round(there / wanted, 6), round(there, 6)),
        )
    ]


def pair_normals(a: FrameData, b: FrameData, seen: Seen, found: Found) -> list[Mismatch]:
    """A flat static surface has the same normal in the world in both frames."""
    if a.normals is None or b.normals is None:
        return []
    landing = land(a.flat & a.static & (seen.depth > 0), seen.x, seen.y)
    row, column = nearest(landing)
    fits = b.flat[row, column] & (b.groups[row, column] == a.groups[landing.rows, landing.columns])
    expected = seen.depth[landing.rows, landing.columns]
    fits &= np.abs(b.near[row, column] * expected - 1.0) < VISIBLE
    if fits.sum() < ENOUGH:
        return []
    landing = pick(landing, fits)
    here = turn(a.camera.c2w[:3, :3], a.normals[:, landing.rows, landing.columns])
    # Normals face the viewer: of a surface that the cameras see from different sides, they are opposite.
    local = turn(b.camera.c2w[:3, :3].T, here)
    away = (local * seen.points[:, landing.rows, landing.columns]).sum(axis=0)
    faces = local[2] > 0 if isinstance(seen.model, Orthographic) else away < 0
    if faces.sum() < ENOUGH:
        return []
    landing, here = pick(landing, faces), here[:, faces]
    there = turn(b.camera.c2w[:3, :3], bilinear(b.normals, landing.x, landing.y))
    error = np.abs(here - there).max(axis=0)
    found.count("normals")
    usual = float(np.median(error))
    if usual <= NORMAL_TOLERANCE:
        return []
    index = int(np.argmin(np.abs(error - usual)))
    at_a, at_b = places(landing, index)
    to_a, to_b = a.camera.c2w[:3, :3], b.camera.c2w[:3, :3]
    return [
        mismatch(
            "normals",
            a,
            b,
            "normals",
            f"normals of flat static surfaces turn by {np.degrees(usual):.2g} degrees in the world",
            (*at_a, rounded(there[:, index] @ to_a), rounded(here[:, index] @ to_a)),
            (*at_b, rounded(here[:, index] @ to_b), rounded(there[:, index] @ to_b)),
        )
    ]


def pair_ids(a: FrameData, b: FrameData, seen: Seen, adjacent: bool, found: Found) -> list[Mismatch]:
    """A point keeps its id.

    Only from the inside of an object to the inside of one, where the depth says that the point is not hidden. A
    static point must keep it but for a few (touching surfaces); of what moves, at least half of an object must. What
    moves is hidden if anything is nearer, since its own new depth is not known.
    """
    if a.ids is None or b.ids is None:
        return []
    x, y = pixel_centres(a.camera)
    static = a.static
    land_x, land_y, depth = seen.x, seen.y, seen.depth
    moving = np.zeros_like(static)
    if adjacent and a.flow is not None:
        moving = a.known(forward=True) & ~static
        land_x = np.where(moving, x + a.flow[0], land_x)
        land_y = np.where(moving, y + a.flow[1], land_y)
        depth = np.where(moving, a.depth, depth)
    landing = land(a.inner & (static | moving) & (depth > 0), land_x, land_y, 4 * SAMPLE)
    row, column = nearest(landing)
    here = a.ids[landing.rows, landing.columns]
    there = b.ids[row, column]
    nearness = b.near[row, column] * depth[landing.rows, landing.columns] - 1.0
    same_depth = np.abs(nearness) < VISIBLE
    may_hide = moving[landing.rows, landing.columns] & (b.ids[row, column] != here) & (nearness > NEARER)
    fits = b.inner[row, column] & same_depth & ~may_hide
    if not fits.any():
        return []
    found.count("ids")
    landing, here, there = pick(landing, fits), here[fits], there[fits]
    differs = here != there
    fixed = static[landing.rows, landing.columns]
    bad = differs & fixed if (differs & fixed).sum() > 4 + 0.002 * fixed.sum() else np.zeros_like(differs)
    for number in np.unique(np.concatenate([here[differs], there[differs]])):
        for ours in (here == number, there == number):
            if ours.sum() >= 9 and (differs & ours).sum() > 0.5 * ours.sum():
                bad = bad | (differs & ours)
    if not bad.any():
        return []
    index = int(np.argmax(bad))
    at_a, at_b = places(landing, index)
    return [
        mismatch(
            "ids",
            a,
            b,
            "segmentations",
            f"surface points change their id ({int(bad.sum())} pixels)",
            (*at_a, int(there[index]), int(here[index])),
            (*at_b, int(here[index]), int(there[index])),
        )
    ]


def pair_roundtrip(a: FrameData, b: FrameData, seen: Seen, found: Found) -> list[Mismatch]:
    """Forward flow, then backward flow from where it lands, leads back."""
    if a.flow is None or b.flow is None:
        return []
    x, y = pixel_centres(a.camera)
    landing = land(a.inner & a.known(forward=True), x + a.flow[0], y + a.flow[1])
    row, column = nearest(landing)
    fits = (b.inner & b.known(forward=False))[row, column] & (
        b.groups[row, column] == a.groups[landing.rows, landing.columns]
    )
    static = a.static[landing.rows, landing.columns]
    expected = np.where(a.static, seen.depth, a.depth)[landing.rows, landing.columns]
    # Another part of the same object may be in front; a moving point's depth changes, but not by much.
    fits &= np.abs(b.near[row, column] * expected - 1.0) < np.where(static, VISIBLE, 0.1)
    landing = pick(landing, fits)
    if len(landing.x) < ENOUGH:
        return []
    found.count("roundtrip")
    there = a.flow[:2, landing.rows, landing.columns]
    row, column = nearest(landing)
    varies = np.zeros(len(landing.x))
    for component in b.flow[2:]:
        around = np.stack([component[row + i, column + j] for i in (-1, 0, 1) for j in (-1, 0, 1)])
        varies = np.maximum(varies, around.max(axis=0) - around.min(axis=0))
    back = bilinear(b.flow[2:], landing.x, landing.y)
    error = np.maximum(np.abs(b.camera.model.shorter_way(there[0] + back[0])), np.abs(there[1] + back[1]))
    noise = np.minimum(seen.sensitivity(landing.rows * a.hit.shape[1] + landing.columns)[2], 1.0)
    bad = ~(error <= ROUNDTRIP[0] + ROUNDTRIP[1] * varies + FLOW_NOISE * noise)
    groups = a.groups[landing.rows, landing.columns]
    for number in np.unique(groups[bad]):
        ours = groups == number
        if ours.sum() >= ENOUGH and (bad & ours).sum() > (1 - ROUNDTRIP_SHARE) * ours.sum():
            index = int(np.argmax(bad & ours))
            at_a, at_b = places(landing, index)
            return [
                mismatch(
                    "roundtrip",
                    a,
                    b,
                    "flows",
                    f"forward and backward flow do not undo each other ({int((bad & ours).sum())} of "
                    f"{int(ours.sum())} pixels of id {int(number)})",
                    (*at_a, rounded(-back[:, index]), rounded(there[:, index])),
                    (*at_b, rounded(-there[:, index]), rounded(back[:, index])),
                )
            ]
    return []
