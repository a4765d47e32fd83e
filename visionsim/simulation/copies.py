"""Which copy of an object a pixel shows, when all copies share the object's own id. Pure; shared with the worker.

The materials of a scene with copies write a pass, `PASS_NAME`, from which the Random value of the surface's copy is
read (`decode`). The worker's list of copies says which value and which id each copy has (`Copies`). Copies whose
material cannot write it, and the few whose values are too near to each other, are told apart by their surfaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visionsim.types import FloatImage, IdImage

__all__ = ["CHANNELS", "PASS_NAME", "SAME_RANDOM", "STEP_BITS", "Copies", "decode", "tell_apart"]

PASS_NAME = "VisionsimCopy"

CHANNELS = 3
STEP_BITS = 40
"""How the pass is written. Cycles adds up what all surfaces write that a ray goes through, cut-outs included, and only
the last one counts. So the n-th surface (from 0) adds (1 + Random) * 2 ** (STEP_BITS * (n // CHANNELS)) to channel
n % CHANNELS, and what the ones before it added is below the precision. Nine surfaces fit into float32; a ray goes
through eight unless the artist allows more."""

SAME_RANDOM = 2.0**-21
"""Random values that differ by less are not told apart: float32 resolves 2 ** -23 from 1 to 2."""


@dataclass(frozen=True)
class Copies:
    """The copies in a frame."""

    sources: NDArray[np.uint32]
    """(N,) id of the object that it is a copy of, which is what the id pass shows."""
    ids: NDArray[np.uint32]
    """(N,)"""
    randoms: NDArray[np.float64]
    """(N,) Random of Blender's Object Info node, 0 to 1."""
    matrices: NDArray[np.float64]
    """(N, 4, 4) world from object."""
    meshes: NDArray[np.int32]
    """(N,) index of its shape, -1 unless it needs one."""
    shapes: tuple[tuple[NDArray[np.float64], NDArray[np.int64]], ...] = ()
    """Vertices (V, 3), object space, and triangles (T, 3) of each shape."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Copies:
        """Of what `worker.instances.Instances.listed` gave."""
        count = sum(name.startswith("vertices_") for name in arrays)
        shapes = tuple(
            (arrays[f"vertices_{i}"].astype(float), arrays[f"triangles_{i}"].astype(int)) for i in range(count)
        )
        names = ("sources", "ids", "randoms", "matrices", "meshes")
        return cls(**{name: arrays[name] for name in names}, shapes=shapes)


def decode(pixels: FloatImage) -> NDArray[np.float64]:
    """(H, W) Random value of each pixel's surface, NaN where none wrote one; `pixels` is the pass, (H, W, 3 or 4)."""
    values = pixels[..., :CHANNELS].astype(np.float64)
    written = values >= 0.5
    exponents = np.log2(np.where(written, values, 1.0))
    steps = np.floor(exponents / STEP_BITS + 1e-6)
    order = np.where(written, steps * CHANNELS + np.arange(CHANNELS), -1.0)
    last = order.argmax(axis=-1)[..., None]
    value, step = np.take_along_axis(values, last, -1)[..., 0], np.take_along_axis(steps, last, -1)[..., 0]
    return np.where(written.any(axis=-1), value * 2.0 ** (-STEP_BITS * step) - 1.0, np.nan)


def tell_apart(ids: IdImage, randoms: NDArray[np.float64], points: NDArray[np.float64], copies: Copies) -> IdImage:
    """Ids with each copy's own in place of its source's.

    Args:
        ids: (H, W), as the id pass has them.
        randoms: (H, W), see `decode`.
        points: (H, W, 3), the surface in the world; anything where there is none.
        copies: of this frame.
    """
    result = ids.copy()
    shown = np.isin(ids, copies.sources)
    # One number that sorts by source, then by random value; both are exact in double precision.
    keys = copies.sources * 4.0 + copies.randoms
    order = np.argsort(keys, kind="stable")
    keys = keys[order]

    marked, unmarked = shown & ~np.isnan(randoms), shown & np.isnan(randoms)
    wanted = ids[marked] * 4.0 + randoms[marked]
    first = np.searchsorted(keys, wanted - SAME_RANDOM)
    stop = np.searchsorted(keys, wanted + SAME_RANDOM)
    single = stop - first == 1
    found = ids[marked]
    found[single] = copies.ids[order[first[single]]]
    result[marked] = found

    # All others may be several copies, which lie next to each other in `order`.
    several = stop - first > 1
    rows, columns = (np.concatenate(parts) for parts in zip(_at(marked, several), _at(unmarked), strict=True))
    begin = np.concatenate([first[several], np.searchsorted(keys, ids[unmarked] * 4.0)])
    end = np.concatenate([stop[several], np.searchsorted(keys, ids[unmarked] * 4.0 + 2)])
    nearest = nearest_copies(points[rows, columns], copies, order, begin, end)
    hit = nearest >= 0
    result[rows[hit], columns[hit]] = copies.ids[nearest[hit]]
    return result


def _at(mask: NDArray[np.bool_], chosen: NDArray[np.bool_] | slice = slice(None)) -> tuple[Any, Any]:
    """Rows and columns of the pixels of a mask, or of some of them."""
    rows, columns = np.nonzero(mask)
    return rows[chosen], columns[chosen]


def nearest_copies(
    points: NDArray[np.float64], copies: Copies, order: NDArray[np.intp], begin: Any, end: Any
) -> NDArray[np.intp]:
    """(P,) the copy that each point lies on, as an index into `copies`; -1 if it lies on none.

    Args:
        points: (P, 3), in the world.
        copies: of the frame.
        order: the copies in an order in which the candidates of each point are neighbours.
        begin, end: (P,) the candidates of a point are `order[begin:end]`. Those without a shape are left out.
    """
    nearest = np.full(len(points), -1, np.intp)
    if not len(points):
        return nearest
    ranks = np.empty(len(order), np.intp)
    ranks[order] = np.arange(len(order))
    candidate = np.zeros(len(order) + 1, np.int64)  # Only those that are a candidate of some point.
    np.add.at(candidate, begin, 1)
    np.add.at(candidate, end, -1)
    used = np.flatnonzero((np.cumsum(candidate)[ranks] > 0) & (copies.meshes >= 0))
    # A point is as good as the depth it comes from: a few 1e-6 of the distances in the scene.
    margin = 1e-4 * max(1.0, float(np.abs(points).max()))
    shapes = {shape: Shape(*copies.shapes[shape]) for shape in np.unique(copies.meshes[used]).tolist()}
    low, high = np.full((2, len(used), 3), np.nan)
    for number, shape in shapes.items():
        those = copies.meshes[used] == number
        if shape.corners is not None:
            matrices = copies.matrices[used[those]]
            corners = np.einsum("nij,cj->nci", matrices[:, :3, :3], shape.corners) + matrices[:, None, :3, 3]
            low[those], high[those] = corners.min(1), corners.max(1)
    boxes = Boxes(low, high, margin)
    for start in range(0, len(points), POINTS_AT_ONCE):
        block = slice(start, start + POINTS_AT_ONCE)
        which, box = boxes.around(points[block])
        copy = used[box]
        rank = ranks[copy]
        allowed = (begin[block][which] <= rank) & (rank < end[block][which])
        which, copy = which[allowed], copy[allowed]
        distances = np.full(len(which), np.inf)
        for number, shape in shapes.items():
            those = np.flatnonzero(copies.meshes[copy] == number)
            if len(those):
                where = points[block][which[those]]
                distances[those] = shape.distances(where, copies.matrices, copy[those], margin)
        best = np.lexsort((ranks[copy], distances, which))
        best = best[distances[best] < margin]
        which, index = np.unique(which[best], return_index=True)
        nearest[start + which] = copy[best[index]]
    return nearest


POINTS_AT_ONCE = 1 << 14
"""Points that are looked at in one go, which bounds the memory for their neighbourhoods."""

FEW = 16
"""Triangles that are all tried on a point; of more, those around it are looked for first."""

SLACK = 1e-3
"""How far a point may be beside a triangle and count as above it, in parts of the triangle's size."""


class Boxes:
    """Finds the boxes around points: each size of boxes has a grid of cells as large as them."""

    def __init__(self, low: Any, high: Any, margin: float) -> None:
        """Boxes (N, 3), made larger by a margin and by what `SLACK` allows; those that are not finite hold nothing."""
        slack = margin + 2 * SLACK * np.max(high - low, axis=1)[:, None]
        self.low, self.high = low - slack, high + slack
        fine = np.flatnonzero(np.isfinite(self.low + self.high).all(axis=1))
        levels = np.ceil(np.log2(np.max((self.high - self.low)[fine], axis=1))).astype(int)
        self.grids: list[tuple[float, NDArray[np.int64], NDArray[np.intp]]] = []
        """Size of the cells; sorted keys of cells, and a box that overlaps each."""
        for level in np.unique(levels).tolist():
            size, here = 2.0**level, fine[levels == level]
            first, last = np.floor(self.low[here] / size), np.floor(self.high[here] / size)
            keys, boxes = [], []
            for corner in np.ndindex(2, 2, 2):  # A box is in at most two cells along each axis.
                new = np.all((first != last) | (np.array(corner) == 0), axis=1)
                keys.append(cell_keys(np.where(corner, last, first)[new]))
                boxes.append(here[new])
            key, box = np.concatenate(keys), np.concatenate(boxes)
            order = np.argsort(key, kind="stable")
            self.grids.append((size, key[order], box[order]))

    def around(self, points: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs of a point (P, 3) and a box that it is in, as indices of both; a pair may come twice."""
        which, boxes = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
        for size, keys, box in self.grids:
            wanted = cell_keys(np.floor(points / size))
            first, stop = np.searchsorted(keys, wanted), np.searchsorted(keys, wanted, side="right")
            point, entry = ranges(first, stop)
            found = box[entry]
            inside = np.all((points[point] >= self.low[found]) & (points[point] <= self.high[found]), axis=1)
            which.append(point[inside])
            boxes.append(found[inside])
        return np.concatenate(which), np.concatenate(boxes)


def ranges(first: NDArray[np.intp], stop: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The numbers from `first` up to `stop` of each of some ranges, one after the other, and whose range each is of."""
    counts = stop - first
    which = np.repeat(np.arange(len(first)), counts)
    begins = np.cumsum(counts) - counts
    return which, np.arange(len(which)) - begins[which] + first[which]


def cell_keys(cells: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) a number for each cell (N, 3). Few cells share one, which costs time and does no harm."""
    x, y, z = cells.astype(np.int64).T
    result: NDArray[np.int64] = x * 73856093 ^ y * 19349663 ^ z * 83492791
    return result


class Shape:
    """A mesh of which there are copies."""

    def __init__(self, vertices: NDArray[np.float64], triangles: NDArray[np.int64]) -> None:
        self.corners: NDArray[np.float64] | None = None
        """(8, 3) of its bounding box; None if it has no vertices."""
        if len(vertices):
            ends = np.stack([vertices.min(0), vertices.max(0)])
            self.corners = np.stack([ends[list(corner), range(3)] for corner in np.ndindex(2, 2, 2)])
        self.triangles = vertices[triangles]
        """(T, 3, 3)"""

    def distances(
        self, points: NDArray[np.float64], matrices: NDArray[np.float64], copies: NDArray[np.intp], margin: float
    ) -> NDArray[np.float64]:
        """(P,) distance of points (P, 3) from the nearest triangle above or below, each on its copy of the shape."""
        result = np.full(len(points), np.inf)
        if not len(self.triangles):
            return result
        numbers, index = np.unique(copies, return_inverse=True)
        linear, offset = matrices[numbers, :3, :3], matrices[numbers, :3, 3]
        with np.errstate(over="ignore"):
            sizes = np.linalg.norm(linear, axis=(1, 2)) ** 3
        if len(self.triangles) <= FEW or np.any(np.abs(np.linalg.det(linear)) <= 1e-12 * sizes):  # Some are flat.
            which, triangle = ranges(np.zeros(len(points), np.intp), np.full(len(points), len(self.triangles)))
        else:
            inverses = np.linalg.inv(linear)
            local = np.einsum("pij,pj->pi", inverses[index], points - offset[index])
            wider = margin * float(np.max(np.linalg.norm(inverses, axis=(1, 2))))
            which, triangle = Boxes(self.triangles.min(1), self.triangles.max(1), wider).around(local)
        step = 1 << 18
        for start in range(0, len(which), step):
            point, corner = which[start : start + step], self.triangles[triangle[start : start + step]]
            own = index[point]
            corner = np.einsum("pij,pcj->pci", linear[own], corner) + offset[own, None]
            np.minimum.at(result, point, distances_to_triangles(points[point], corner))
        return result


def distances_to_triangles(points: NDArray[np.float64], triangles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P,) distance of points (P, 3) to the planes of triangles (P, 3, 3); infinite where a point is beside its."""
    a, ab, ac = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    normal = np.cross(ab, ac)
    square = np.einsum("pi,pi->p", normal, normal)
    away, safe = points - a, np.where(square > 0, square, 1.0)
    u = np.einsum("pi,pi->p", np.cross(away, ac), normal) / safe
    v = np.einsum("pi,pi->p", np.cross(ab, away), normal) / safe
    distance = np.abs(np.einsum("pi,pi->p", away, normal)) / np.sqrt(safe)
    inside = (square > 0) & (u >= -SLACK) & (v >= -SLACK) & (u + v <= 1 + SLACK)
    return np.where(inside, distance, np.inf)
