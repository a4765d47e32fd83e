"""Which pixels of a dataset `verify --deep` looks at, and whether they are what rays into the .blend hit. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from visionsim.cameras import CameraModel, Fisheye, camera_from_document
from visionsim.errors import DataError
from visionsim.io.exr import read_exr
from visionsim.verify.geometry import EPS

__all__ = ["MOST_OBJECTS", "Pixel", "Stored", "Tally", "compare", "pixel_size"]

DEPTH_TOLERANCE = 2e-4
"""Relative. Blender has positions in single precision, in each object's own space; 2e-5 was measured."""

OFF_CENTRE = 0.006
"""Pixels by which ground truth may miss a pixel's centre: its filter is 0.01 wide. On a slanted surface depth changes
with that, the more the smaller the cosine between ray and normal."""

ROUNDINGS = 16.0
"""Roundings of the largest coordinate that a surface may be off: matrices are multiplied in single precision."""

MOST_OBJECTS = 256
"""Objects of a frame of which a pixel is looked at, and as many ids."""


@dataclass(frozen=True)
class Pixel:
    """What a dataset says of a pixel."""

    x: int
    y: int
    depth: float | None
    """None if there is no depth; infinite for the background."""
    name: str | None
    """Object's; empty for the background, None if there are no ids."""
    inexact: bool = False
    """Whether Cycles' own ray of this pixel is not known exactly."""
    angle: float = 0.0
    """What it sees of a surface that faces it, in parts of depth; for most cameras its angle in radians."""


@dataclass
class Tally:
    """What became of the pixels of a sequence."""

    compared: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """Why -> how many."""

    def skip(self, why: str) -> None:
        self.skipped[why] = self.skipped.get(why, 0) + 1


@dataclass
class Stored:
    """Depth and ids of a frame, as far as it has them."""

    model: CameraModel
    labels: Mapping[str, Any]
    shape: tuple[int, int]
    depth: Any = None
    """(H, W)"""
    ids: Any = None
    """(H, W)"""

    @classmethod
    def read(cls, folder: Path, values: Mapping[str, Any]) -> Stored | None:
        """Read a frame's files; `values` are `{**transforms, **frame}`. None if they cannot be read."""
        stored = cls(camera_from_document(values), values.get("labels", {}), (values["h"], values["w"]))
        try:
            if "depth_file_path" in values:
                stored.depth = read_exr(folder / values["depth_file_path"])["Y"]
            if "segmentation_file_path" in values:
                stored.ids = read_exr(folder / values["segmentation_file_path"])["Y"]
        except (DataError, OSError, KeyError):
            return None
        if any(image is not None and image.shape != stored.shape for image in (stored.depth, stored.ids)):
            return None
        return stored

    def places(self, samples: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        """x and y of random pixels, and of one of each id."""
        height, width = self.shape
        chosen = [int(index) for index in rng.integers(0, height * width, samples)]
        if self.ids is not None:
            shuffled = rng.permutation(height * width)
            _, first = np.unique(self.ids.reshape(-1)[shuffled], return_index=True)
            chosen += [int(shuffled[index]) for index in rng.permutation(first)[:MOST_OBJECTS]]
        return [(index % width, index // width) for index in chosen]

    def pixel(self, x: int, y: int) -> Pixel:
        name: str | None = None
        if self.ids is not None:
            number = int(self.ids[y, x])
            name = self.labels.get(str(number), {"name": ""})["name"] if number else ""
        # Cycles finds the rays of this row inexactly (see docs/conventions.md).
        inexact = isinstance(self.model, Fisheye) and abs(y + 0.5 - self.model.cy) <= 0.5
        here = None if self.depth is None else float(self.depth[y, x])
        size = 0.0 if here is None or np.isinf(here) else pixel_size(x, y, here, self.model) / here
        return Pixel(x, y, here, name, inexact, size)


def pixel_size(x: int, y: int, depth: float, model: CameraModel) -> float:
    """The longer side of what a pixel sees at a depth, scene units; 0 if it sees nothing."""
    sides = [
        [model.unproject(x + 0.5 + end * dx, y + 0.5 + end * dy, depth) for end in (-0.01, 0.01)]
        for dx, dy in ((1, 0), (0, 1))
    ]
    lengths = [float(np.linalg.norm(after - before)) / 0.02 for before, after in sides]
    return max((length for length in lengths if length > 0), default=0.0)  # NaN where there is no ray.


Hit = Sequence[Any]
"""A surface that `worker.raycast.cast` found: name, depth, cosine, largest coordinate."""


def compare(
    pixel: Pixel, rays: Sequence[Sequence[Hit]], uncertain: Mapping[str, str], tally: Tally
) -> Iterator[tuple[str, str, str, str]]:
    """What is wrong with a pixel: text, expected, found, kind. Skips what rays cannot tell, and counts it.

    `rays` are what five rays hit, one through the pixel's centre and four around it. A pixel is right if it has what
    one of them hits. It is wrong only if they all hit the same.
    """
    hits = [hit for ray in rays for hit in ray]
    problem = wrong_depth(pixel, rays, hits) or wrong_name(pixel, rays, hits)
    if problem is None:
        tally.compared += 1
        return
    doubts = [uncertain[name] for name in [*(hit[0] for hit in hits), pixel.name] if name in uncertain]
    if doubts:
        tally.skip(f"with {doubts[0]}")
    elif pixel.name is None and uncertain:
        tally.skip(f"without ids, in a scene with {next(iter(uncertain.values()))}")
    elif pixel.inexact:
        tally.skip("whose rays Cycles finds inexactly")
    elif len({ray[0][0] if ray else "" for ray in rays}) > 1 or problem[0] == BETWEEN:
        tally.skip("on an edge")
    elif any(rounding(hit) > DEPTH_TOLERANCE for hit in hits):
        tally.skip("where single precision is too coarse")
    else:
        tally.compared += 1
        yield problem


BETWEEN = "depth jumps between the rays"


def rounding(hit: Hit) -> float:
    """What rounding to single precision may do to a surface's depth, in parts of it."""
    _, depth, cosine, largest = hit
    return float(ROUNDINGS * EPS * largest / max(abs(depth) * max(cosine, 1e-3), 1e-30))


def wrong_depth(pixel: Pixel, rays: Sequence[Sequence[Hit]], hits: Sequence[Hit]) -> tuple[str, str, str, str] | None:
    if pixel.depth is None:
        return None
    if not np.isfinite(pixel.depth):
        if any(not ray for ray in rays):
            return None
        return f"rays hit {rays[0][0][0]!r}", f"{rays[0][0][1]:.6g}", str(pixel.depth), "depths"
    if not hits:
        return "rays hit nothing", "inf", str(pixel.depth), "depths"
    low, high = np.inf, -np.inf
    for hit in hits:
        _, depth, cosine, _ = hit
        allowed = DEPTH_TOLERANCE + OFF_CENTRE * pixel.angle / max(cosine, 1e-6) + rounding(hit)
        low, high = min(low, depth - allowed * abs(depth)), max(high, depth + allowed * abs(depth))
    if low <= pixel.depth <= high:
        return None
    firsts = [ray[0][1] for ray in rays if ray]
    jumps = max(firsts) - min(firsts) > 0.05 * abs(firsts[0])
    text = BETWEEN if jumps else "depth is not what rays find"
    return text, f"{firsts[0]:.6g}", str(pixel.depth), "depths"


def wrong_name(pixel: Pixel, rays: Sequence[Sequence[Hit]], hits: Sequence[Hit]) -> tuple[str, str, str, str] | None:
    if pixel.name is None or pixel.name in {hit[0] for hit in hits}:
        return None
    if pixel.name == "" and any(not ray for ray in rays):
        return None
    text = "the object is not the one that rays hit"
    return text, hits[0][0] if hits else "nothing", pixel.name or "background", "segmentations"
