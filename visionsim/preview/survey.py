"""A sequence on the whole, from some of its frames: ranges of colours, histograms, pixels of objects, strips."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from visionsim.dataset.index import PICTURES
from visionsim.dataset.reader import Dataset, Label, Sample
from visionsim.errors import DataError
from visionsim.preview.colours import Ranges, Unreadable, flow_of, paint
from visionsim.preview.legends import Named, placeholder, resized

if TYPE_CHECKING:
    from visionsim.preview.colours import FlowDirection

__all__ = ["Histogram", "Survey", "evenly", "largest", "ranges_of", "survey"]

FRAMES = 24
"""Frames that are looked at, evenly spread over the sequence."""

PIXELS = 20_000
"""Pixels of each of them, on a grid."""

STRIP = 5
"""Frames of a strip."""

THUMB = 160
"""Width of one of them, pixels."""

BINS = 40

ROBUST = (2.0, 98.0)
"""Percentiles of depth that have the outermost colours."""

LONG = 99.0
"""Percentile of the length of flow that is fully saturated."""


@dataclass(frozen=True)
class Histogram:
    """How often values occur; what is outside the edges counts in the outermost bins."""

    edges: list[float]
    """(n + 1,)."""
    counts: list[int]
    logarithmic: bool = False
    """Whether bins grow by a factor."""


@dataclass
class Survey:
    """What was found."""

    ranges: Ranges = field(default_factory=Ranges)
    frames: list[int] = field(default_factory=list)
    """Those that were looked at."""
    depth: Histogram | None = None
    flow: Histogram | None = None
    """Of the length, pixels."""
    pixels: dict[int, float] = field(default_factory=dict)
    """Object id -> its share of the pixels; 0 is the background."""
    strip_frames: list[int] = field(default_factory=list)
    strips: dict[str, bytes] = field(default_factory=dict)
    """Kind -> JPEG of those frames side by side."""
    unreadable: list[Unreadable] = field(default_factory=list)


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of range(count), the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]


def survey(
    sequence: Dataset,
    kinds: Sequence[str],
    direction: FlowDirection = "forward",
    *,
    strips: bool = True,
    threads: int = 1,
) -> Survey:
    """Look at some frames of a sequence; the same ones always.

    Args:
        sequence: one only.
        kinds: of data to look at.
        direction: of flow.
        strips: whether strips of pictures are wanted.
        threads: that read.
    """
    chosen = evenly(len(sequence), FRAMES)
    shown = {chosen[index] for index in evenly(len(chosen), STRIP)} if strips else set()
    measured = [kind for kind in kinds if kind in ("depths", "flows", "segmentations")]
    found = Survey(frames=[int(sequence.frames[row]) for row in chosen])
    found.strip_frames = [int(sequence.frames[row]) for row in sorted(shown)]
    tasks = [(sequence[row], kinds if row in shown else measured) for row in chosen]
    with ThreadPoolExecutor(threads, thread_name_prefix="look") as pool:
        looks = list(pool.map(lambda task: look(task[0], task[1], task[0].index in shown), tasks))
    samples = [one.grids for one in looks]
    found.unreadable = [item for one in looks for item in one.unreadable]
    found.ranges = ranges_of(samples, direction)
    found.depth, found.flow = depth_histogram(samples), flow_histogram(samples, direction)
    found.pixels = shares(samples)
    for kind in kinds if strips else ():
        found.strips[kind] = strip([one for one in looks if one.shown], kind, found.ranges, direction)
    return found


@dataclass
class Look:
    """A frame, thinned out."""

    sample: Sample
    shown: bool
    grids: dict[str, Any] = field(default_factory=dict)
    """Kind -> (h, w) or (h, w, C): every n-th pixel, about `PIXELS` of them."""
    thumbs: dict[str, Any] = field(default_factory=dict)
    """Kind -> the same, about twice as wide as `THUMB`."""
    unreadable: list[Unreadable] = field(default_factory=list)


def look(sample: Sample, kinds: Sequence[str], thumbs: bool) -> Look:
    """Read a frame; what cannot be read is named."""
    found = Look(sample, thumbs)
    for kind in kinds:
        try:
            pixels = sample.read(kind)
        except DataError as exc:
            found.unreadable.append(Unreadable(sample.frame, kind, str(exc)))
            continue
        height, width = pixels.shape[:2]
        if kind != PICTURES:
            every = max(1, math.ceil(math.sqrt(height * width / PIXELS)))
            found.grids[kind] = np.ascontiguousarray(pixels[every // 2 :: every, every // 2 :: every])
        if thumbs:
            every = max(1, width // (2 * THUMB))
            found.thumbs[kind] = np.ascontiguousarray(pixels[every // 2 :: every, every // 2 :: every])
    found.sample = Sample(sample.sequence, sample.index, sample.row, sample.source)  # Without its pixels.
    return found


def ranges_of(samples: Sequence[dict[str, Any]], direction: FlowDirection) -> Ranges:
    """Ranges of colours for frames, each given as its kinds' arrays."""
    near, far, longest = Ranges.near, Ranges.far, Ranges.longest
    depths = hit_depths(samples)
    if depths.size:
        near, far = (max(float(value), 1e-6) for value in np.percentile(depths, ROBUST))
    lengths = moving_lengths(samples, direction)
    if lengths.size:
        longest = max(float(np.percentile(lengths, LONG)), 1e-3)
    return Ranges(near, far, longest)


def hit_depths(samples: Sequence[dict[str, Any]]) -> Any:
    """(n,) where a surface was hit."""
    parts = [sample["depths"].ravel() for sample in samples if "depths" in sample]
    every = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return every[np.isfinite(every)]


def moving_lengths(samples: Sequence[dict[str, Any]], direction: FlowDirection) -> Any:
    """(n,) pixels, of flow that is not zero."""
    flows = [flow_of(sample["flows"], direction) for sample in samples if "flows" in sample]
    every = np.concatenate([np.hypot(f[..., 0], f[..., 1]).ravel() for f in flows]) if flows else np.zeros(0)
    return every[np.isfinite(every) & (every > 0)]


def depth_histogram(samples: Sequence[dict[str, Any]]) -> Histogram | None:
    depths = hit_depths(samples)
    if not depths.size:
        return None
    low, high = (float(value) for value in np.percentile(depths, [0.5, 99.5]))
    logarithmic = low > 0 and high > 10 * low
    return histogram(depths, low, high, logarithmic=logarithmic)


def flow_histogram(samples: Sequence[dict[str, Any]], direction: FlowDirection) -> Histogram | None:
    lengths = moving_lengths(samples, direction)
    return histogram(lengths, 0.0, float(np.percentile(lengths, 99.5))) if lengths.size else None


def histogram(values: Any, low: float, high: float, *, logarithmic: bool = False) -> Histogram:
    if high - low <= 1e-6 * max(abs(high), 1e-6):  # All alike: one bin in the middle has them.
        low, high, logarithmic = low - max(abs(low), 1.0) * 0.01, high + max(abs(high), 1.0) * 0.01, False
    edges = np.geomspace(low, high, BINS + 1) if logarithmic else np.linspace(low, high, BINS + 1)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return Histogram(edges.tolist(), counts.tolist(), logarithmic)


def shares(samples: Sequence[dict[str, Any]]) -> dict[int, float]:
    """Object id -> its share of all pixels, largest first."""
    count: Counter[int] = Counter()
    for sample in samples:
        if "segmentations" in sample:
            ids, numbers = np.unique(sample["segmentations"], return_counts=True)
            count.update(dict(zip(ids.tolist(), numbers.tolist(), strict=True)))
    total = sum(count.values())
    return {number: pixels / total for number, pixels in count.most_common()}


def largest(pixels: dict[int, float], labels: dict[int, Label], most: int) -> list[Named]:
    """Objects of the most pixels, for a legend; copies of one thing are one entry, with the largest one's colour."""
    total: dict[str, float] = {}
    first: dict[str, int] = {}
    number: Counter[str] = Counter()
    for object_id, share in pixels.items():
        if object_id:
            name = labels[object_id].name if object_id in labels else f"id {object_id}"
            total[name] = total.get(name, 0.0) + share
            first.setdefault(name, object_id)
            number[name] += 1
    order = sorted(total, key=lambda name: -total[name])[:most]
    return [Named(first[name], f"{name} ({number[name]})" if number[name] > 1 else name) for name in order]


def strip(looks: Sequence[Look], kind: str, ranges: Ranges, direction: FlowDirection) -> bytes:
    """JPEG of frames side by side."""
    values = looks[0].sample.source.camera_values(looks[0].sample.row)
    height = max(1, round(THUMB * values["h"] / values["w"]))
    tiles = [
        resized(paint(kind, one.thumbs[kind], ranges, direction), THUMB, height)
        if kind in one.thumbs
        else placeholder(THUMB, height, f"frame {one.sample.frame}")
        for one in looks
    ]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(tiles, axis=1)).save(buffer, "JPEG", quality=74)
    return buffer.getvalue()
