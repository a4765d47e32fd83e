"""Pictures that were exchanged: the check `order`.

A picture shows the same surfaces as the next one, where the flow says. A picture in the place of another does not fit
its neighbours, and the other one would. Lights that change spoil the fit as well, but no exchange mends it; so only
an exchange that does is reported. Where pictures hardly change from frame to frame there is nothing to be seen.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from visionsim.verify.consistency import land, nearest, pick
from visionsim.verify.frames import FrameData
from visionsim.verify.geometry import ENOUGH, bilinear, pixel_centres
from visionsim.verify.report import Found

__all__ = ["Fit", "check_order", "fit", "follow"]

MENDS = 0.85
"""An exchange must bring the misfit of all pairs concerned below this share of what it was. That of two good pictures
makes it 1.1 to 3 times as large (measured: demo scenes at 4 samples per pixel, motion of 0.5 to 5 pixels)."""

MISFIT = 1.25
"""A picture is suspected if it fits both neighbours worse than this many times the best tenth of the sequence."""

MOST_SUSPECTS = 4
"""Of them, so many that fit worst are tried in each other's place."""


@dataclass(frozen=True)
class Fit:
    """How two successive pictures fit, and how they would in each other's place; mean difference of brightness."""

    first: int
    second: int
    """Frame numbers."""
    own: float
    exchanged: float


def follow(a: FrameData, b: FrameData) -> Callable[[Any, Any], float] | None:
    """(picture at a, picture at b) -> mean difference along the flow; None if too little of a is seen in b."""
    if a.depth is None or b.depth is None:
        return None
    seen = a.seen_by(b.camera)
    land_x, land_y, depth = seen.x, seen.y, seen.depth
    if a.flow is not None and abs(b.number - a.number) == 1:
        x, y = pixel_centres(a.camera)
        names = slice(0, 2) if b.number > a.number else slice(2, 4)
        moving = a.hit & ~a.static
        land_x = np.where(moving, x + a.flow[names][0], land_x)
        land_y = np.where(moving, y + a.flow[names][1], land_y)
        depth = np.where(moving, a.depth, depth)
        shown = a.hit
    else:
        shown = a.static
    landing = land(shown & (depth > 0), land_x, land_y)
    row, column = nearest(landing)
    fits = np.abs(b.near[row, column] * depth[landing.rows, landing.columns] - 1.0) < 0.05
    landing = pick(landing, fits)
    if len(landing.x) < ENOUGH:
        return None

    def misfit(here: Any, there: Any) -> float:
        return float(np.abs(here[landing.rows, landing.columns] - bilinear(there, landing.x, landing.y)).mean())

    return misfit


def fit(a: FrameData, b: FrameData, found: Found) -> Fit | None:
    """How the pictures of two successive frames fit."""
    if a.picture is None or b.picture is None:
        return None
    misfit = follow(a, b)
    if misfit is None:
        return None
    found.count("order")
    return Fit(a.number, b.number, misfit(a.soft, b.soft), misfit(b.soft, a.soft))


def check_order(fits: Sequence[Fit], numbers: Sequence[int], load: Callable[[int], FrameData], found: Found) -> None:
    """Report pictures of a sequence that fit much better in each other's place.

    Args:
        fits: of successive frames.
        numbers: of all frames, in order.
        load: reads a frame again.
        found: what is wrong goes here.
    """
    by_pair = {(item.first, item.second): item for item in fits}
    if not by_pair:
        return
    limit = MISFIT * float(np.percentile([item.own for item in fits], 10))
    worst: dict[int, float] = {}
    for number in numbers:
        both = [by_pair[pair].own for pair in pairs_of(number, numbers) if pair in by_pair]
        if both and min(both) > limit:
            worst[number] = min(both)
    asked = {(item.first, item.second) for item in fits if item.exchanged < item.own}
    asked.update(combinations(sorted(sorted(worst, key=worst.__getitem__)[-MOST_SUSPECTS:]), 2))
    known: dict[int, FrameData] = {}
    shown = {number: number for number in numbers}
    while asked:
        # What mends most comes first, and is mended before others are tried: it spoils the fit of its neighbours too.
        shares = {pair: exchange(*pair, numbers, shown, load, known) for pair in sorted(asked)}
        first, second = min(shares, key=shares.__getitem__)
        if shares[first, second] >= MENDS:
            return
        shown[first], shown[second] = shown[second], shown[first]
        for this, that in ((first, second), (second, first)):
            found.add(
                "order",
                f"the picture fits its neighbours worse than that of frame {that} would: were they exchanged?",
                file=known[this].files["frames"],
                frame=this,
            )
        asked = {pair for pair in asked if not {first, second} & set(pair)}


def pairs_of(number: int, numbers: Sequence[int]) -> list[tuple[int, int]]:
    """A frame with the one before, and with the one after."""
    index = bisect_left(numbers, number)
    return list(pairwise(numbers[max(0, index - 1) : index + 2]))


def exchange(
    first: int,
    second: int,
    numbers: Sequence[int],
    shown: Mapping[int, int],
    load: Callable[[int], FrameData],
    known: dict[int, FrameData],
) -> float:
    """Misfit of the pairs around two frames with their pictures exchanged, as a share of what it is.

    `shown` says whose picture is taken for each frame; `known` keeps what was loaded.
    """
    before = after = 0.0
    swapped: Mapping[int, int] = {first: second, second: first}
    for pair in dict.fromkeys([*pairs_of(first, numbers), *pairs_of(second, numbers)]):
        for number in {*pair, *(shown[number] for number in pair), first, second} - known.keys():
            known[number] = load(number)
        a, b = (known[number] for number in pair)
        misfit = follow(a, b)
        now = [known[shown[number]].soft for number in pair]
        then = [known[shown[swapped.get(number, number)]].soft for number in pair]
        if misfit is None or any(picture is None for picture in (*now, *then)):
            continue
        before += misfit(*now)
        after += misfit(*then)
    return after / before if before else 1.0
