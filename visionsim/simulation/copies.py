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

    marked = shown & ~np.isnan(randoms)
    wanted = ids[marked] * 4.0 + randoms[marked]
    first = np.searchsorted(keys, wanted - SAME_RANDOM)
    stop = np.searchsorted(keys, wanted + SAME_RANDOM)
    single = stop - first == 1
    found = ids[marked]
    found[single] = copies.ids[order[first[single]]]
    result[marked] = found

    rows, columns = np.nonzero(marked)
    several = stop - first > 1
    for begin, end in sorted(set(zip(first[several].tolist(), stop[several].tolist(), strict=True))):
        here = several & (first == begin) & (stop == end)
        by_surface(result, (rows[here], columns[here]), points, copies, order[begin:end])

    unmarked = shown & np.isnan(randoms)
    shaped = copies.meshes >= 0
    for source in np.unique(ids[unmarked]):
        candidates = np.flatnonzero((copies.sources == source) & shaped)
        if len(candidates):
            by_surface(result, np.nonzero(unmarked & (ids == source)), points, copies, candidates)
    return result


def by_surface(
    ids: IdImage, pixels: tuple[Any, Any], points: NDArray[np.float64], copies: Copies, candidates: Any
) -> None:
    """Set the ids of `pixels` (rows, columns) to those of the candidates that their points lie on, if on any."""
    where = points[pixels]
    order = np.argsort(where[:, 0])
    where, rows, columns = where[order], pixels[0][order], pixels[1][order]
    # A point is as good as the depth it comes from: a few 1e-6 of the distances in the scene.
    best = np.full(len(where), 1e-4 * max(1.0, float(np.abs(where).max(initial=0.0))))
    for index in candidates:
        if copies.meshes[index] < 0:
            continue
        vertices, triangles = copies.shapes[copies.meshes[index]]
        matrix = copies.matrices[index]
        corners = vertices @ matrix[:3, :3].T + matrix[:3, 3]
        if not len(corners):
            continue
        margin = best.max()
        low, high = corners.min(0) - margin, corners.max(0) + margin
        begin, end = np.searchsorted(where[:, 0], [low[0], high[0]])
        near = begin + np.flatnonzero(np.all((where[begin:end] >= low) & (where[begin:end] <= high), axis=-1))
        distances = distance_to_surface(where[near], corners[triangles])
        closer = distances < best[near]
        best[near[closer]] = distances[closer]
        ids[rows[near[closer]], columns[near[closer]]] = copies.ids[index]


def distance_to_surface(points: NDArray[np.float64], triangles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P,) distance of points (P, 3) to the nearest triangle (T, 3, 3) above or below; infinite if none."""
    result = np.full(len(points), np.inf)
    a, ab, ac = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    normal = np.cross(ab, ac)
    square = np.einsum("ti,ti->t", normal, normal)
    fine = square > 0
    a, ab, ac, normal, square = a[fine], ab[fine], ac[fine], normal[fine], square[fine]
    step = max(1, 2_000_000 // max(1, len(a)))
    for begin in range(0, len(points), step):
        away = points[begin : begin + step, None] - a
        u = np.einsum("pti,ti->pt", np.cross(away, ac), normal) / square
        v = np.einsum("pti,ti->pt", np.cross(ab, away), normal) / square
        distance = np.abs(np.einsum("pti,ti->pt", away, normal)) / np.sqrt(square)
        inside = (u >= -1e-3) & (v >= -1e-3) & (u + v <= 1.001)
        if len(a):
            result[begin : begin + step] = np.where(inside, distance, np.inf).min(axis=1)
    return result
