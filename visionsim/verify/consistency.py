"""What frames say about each other.

All functions take frames as arrays and have no files. Tolerances are multiples of what float32 allows
(`geometry.Seen.sensitivity`), or are given with what was measured on the demo scenes in Blender 4.2 to 5.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from visionsim.verify.frames import FrameData
from visionsim.verify.geometry import (
    ENOUGH,
    EPS,
    SAMPLE,
    Camera,
    Seen,
    bilinear,
    depth_between,
    pixel_centres,
    thin,
    turn,
)
from visionsim.verify.report import Found, Problem, rounded
from visionsim.verify.surfaces import pair_smooth

__all__ = ["Mismatch", "check_flow", "check_pair", "land", "nearest", "pick", "resting"]

FLOW_TOLERANCE = 2e-3
"""Pixels that the flow of a static surface may be off, apart from rounding. Blender's vector pass is off by up to
1.3e-3 px in single pixels (measured at 128 x 128), flow from geometry by 1e-7 px."""

NEARLY = 5e-3
"""Scale of depth, relative, that does not make a resting thing a moving one."""

FLOW_NOISE = 64.0
"""Roundings that a single pixel's flow may be off in addition; 40 were measured."""

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

DEPTH_TOLERANCE = 3e-5
"""Relative: median over the smooth pixels of a pair of frames. 1e-5 is promised for each; 1e-6 was measured."""

DEPTH_ROUNDINGS = 16.0
"""Roundings of positions in the world that depth may be off in addition."""

NORMAL_TOLERANCE = 5e-5
"""Difference of a flat surface's normal in the world between two frames, median; up to 8e-6 was measured."""

VISIBLE = 0.02
"""Relative difference of depth below which a landing point is taken for the same surface, not one that hides it."""

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


def resting(frame: FrameData, other: Camera) -> dict[int, tuple[int, int]]:
    """Id -> its pixels, and how many of them flow forward nearly as if they stood still.

    Nearly: what all depths are off by is for `check_flow` to find.
    """
    if frame.depth is None or frame.flow is None:
        return {}
    error, _, _, seen = flow_error(frame, other, slice(0, 2))
    pixels = np.flatnonzero(frame.hit)
    dx, dy, noise = seen.sensitivity(pixels)
    agrees = error.reshape(-1)[pixels] <= FLOW_TOLERANCE + FLOW_NOISE * noise + NEARLY * np.sqrt(dx**2 + dy**2)
    numbers, where = np.unique(frame.groups.reshape(-1)[pixels], return_inverse=True)
    counts, fine = np.bincount(where), np.bincount(where, weights=agrees)
    return {int(n): (int(c), int(f)) for n, c, f in zip(numbers, counts, fine, strict=True)}


def flow_error(frame: FrameData, other: Camera, names: slice) -> tuple[Any, Any, Any, Any]:
    """How far the flow is from that of a static surface: length, along x, along y (pixels); and what was seen."""
    seen = frame.seen_by(other)
    x, y = pixel_centres(frame.camera)
    with np.errstate(invalid="ignore", over="ignore"):
        along_x = seen.model.shorter_way(frame.flow[names][0] - (seen.x - x))
        along_y = frame.flow[names][1] - (seen.y - y)
        return np.sqrt(along_x * along_x + along_y * along_y), along_x, along_y, seen


def check_flow(frame: FrameData, other: Camera, forward: bool, found: Found, *, guessed: bool) -> None:
    """Flow of static surfaces to the neighbouring camera `other` against depth and poses.

    Three questions: is any pixel off by more than it may; is the median off by more than rounding; and are all off
    in the way they would be if depth had another scale. With `guessed`, single pixels may be off.
    """
    if frame.depth is None or frame.flow is None:
        return
    error, along_x, along_y, seen = flow_error(frame, other, slice(0, 2) if forward else slice(2, 4))
    mask = frame.static & seen.has_image(frame.depth)
    number = int(mask.sum())
    if not number:
        return
    found.count("flow")
    word = "forward" if forward else "backward"
    # Hardly any pixel is off by more than the least that they may all be: the rest need not be computed for all.
    suspects = np.flatnonzero(mask & ~(error <= FLOW_TOLERANCE))
    dx, dy, noise = seen.sensitivity(suspects)
    allowed = FLOW_TOLERANCE + FLOW_NOISE * noise + SILHOUETTE * np.sqrt(dx**2 + dy**2)
    bad = suspects[~(error.reshape(-1)[suspects] <= allowed)]
    too_many = len(bad) > 0.5 * number if guessed else len(bad) > 0
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
    if not too_many and not (number >= ENOUGH and usual > may_be):
        return
    y, x = (int(i) for i in divmod(int(bad[0] if len(bad) else sample[np.argmax(off)]), mask.shape[1]))
    given = frame.flow[slice(0, 2) if forward else slice(2, 4), y, x]
    expected = given - [along_x[y, x], along_y[y, x]]
    amount = f"{len(bad)} of {number} pixels" if too_many else f"{usual:.2g} px in the median"
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


def check_pair(a: FrameData, b: FrameData, adjacent: bool, found: Found, *, guessed: bool) -> list[Mismatch]:
    """Two frames of a sequence, the first earlier: depths, normals, ids, and the round trip of flow if `adjacent`."""
    wrong: list[Mismatch] = []
    if a.depth is None or b.depth is None:
        return wrong
    seen = a.seen_by(b.camera)
    wrong += pair_depth(a, b, seen, found)
    wrong += pair_normals(a, b, seen, found)
    pair_smooth(a, b, found)
    wrong += pair_ids(a, b, seen, adjacent, found, guessed=guessed)
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
        return []
    row, column = nearest(landing)
    fits = b.smooth[row, column] & (b.groups[row, column] == a.groups[landing.rows, landing.columns])
    landing = pick(landing, fits)
    expected = seen.depth[landing.rows, landing.columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.log(expected / depth_between(b.points, landing.x, landing.y, b.camera.model))
    visible = np.abs(error) < VISIBLE
    # Where hardly anything is seen again that should be, the surfaces are somewhere else altogether.
    lost = len(error) >= ENOUGH and visible.mean() < 0.5
    if visible.sum() < ENOUGH and not lost:
        return []
    found.count("depth")
    chosen = np.ones_like(visible) if lost else visible
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


def pair_ids(a: FrameData, b: FrameData, seen: Seen, adjacent: bool, found: Found, *, guessed: bool) -> list[Mismatch]:
    """A point keeps its id.

    Only from the inside of an object to the inside of one, where the depth says that the point is not hidden. A
    static point must keep it but for a few (touching surfaces); of what moves, at least half of an object must.
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
    same_depth = np.abs(b.near[row, column] * depth[landing.rows, landing.columns] - 1.0) < VISIBLE
    fits = b.inner[row, column] & same_depth
    if not fits.any():
        return []
    found.count("ids")
    landing, here, there = pick(landing, fits), here[fits], there[fits]
    differs = here != there
    fixed = static[landing.rows, landing.columns]
    allowed = 0.5 if guessed else 0.002
    bad = differs & fixed if (differs & fixed).sum() > 4 + allowed * fixed.sum() else np.zeros_like(differs)
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
