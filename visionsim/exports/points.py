"""What the cameras saw as one thing: a point cloud, or a mesh fused from depth, as `.ply` files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from visionsim.cameras import Intrinsics
from visionsim.dataset.reader import Dataset, Label, Sample
from visionsim.dataset.report import WorkReport
from visionsim.exports.geometry import (
    Work,
    eight_bit,
    opencv_c2w,
    pixel_centres,
    require_kinds,
    require_models,
    require_positive,
    resting,
    scaled,
)
from visionsim.files import make_folder, whole_file, write_json
from visionsim.optional import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visionsim.types import Matrix, ProgressFn

__all__ = ["VERTEX", "export_mesh", "export_points", "write_ply"]

VERTEX = np.dtype(
    [
        *((name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")),
        *((name, "u1") for name in ("red", "green", "blue")),
        ("instance", "<i4"),
        ("class", "<i4"),
    ]
)
"""A point: position in the world, unit normal in the world, sRGB colour, object id, and number of its class.

The types are those that Open3D reads of properties it does not know.
"""

PLY_TYPES = {"f4": "float", "u1": "uchar", "i4": "int"}

VOXELS_PER_DEPTH = 250
"""The side of a voxel, unless it is given, is the median depth of the first frame divided by this."""

MESH_VOXELS_PER_DEPTH = 100
"""The same of a mesh, whose voxels fill the space around a surface."""

DEEPEST = 5.0
"""A mesh leaves out what is farther than so many median depths of the first frame, unless it is told how far to go."""

TRUNCATION = 5.0
"""Voxels on both sides of a surface, of a mesh."""

TOGETHER = 4_000_000
"""Points that are kept until voxels are made of them."""


def export_points(
    dataset: Dataset,
    target: Path,
    *,
    voxel: float | None = None,
    max_depth: float | None = None,
    moving: bool = False,
    scale: float = 1.0,
    threads: int | None = None,
    progress: ProgressFn = lambda done, total: None,
) -> WorkReport:
    """Write `SEQUENCE/points.ply`, and `labels.json` that tells what its numbers mean.

    A point has position and normal in the world, colour, object id and class; see `VERTEX`. What the dataset does not
    have is 0. Within a voxel, the points of one object become one: their mean.

    Args:
        dataset: with depths; normals, segmentations and pictures are taken if they are there. Any camera.
        target: folder; files that are there are written again.
        voxel: its side, in units of the result; 0 keeps every pixel's point; None goes by the depth of the first frame.
        max_depth: leave out what is farther, in units of the result.
        moving: keep points on objects that move; then these are wherever they were at some time.
        scale: positions are multiplied by it.
        threads: that read ahead; by default as many as there are cores.
        progress: called as frames are done.
    Raises:
        ConfigError: there are no depths.
    Source:
        The PLY Polygon File Format, G. Turk, Stanford University, 1994.
    """
    require_kinds(dataset, ["depths"], "A point cloud")
    require_positive(scale=scale, max_depth=max_depth, voxel=voxel or None)
    work = Work("exported as point clouds", dataset, target, threads, progress)
    for name, sequence in work.sequences.items():
        labels = sequence.labels
        numbers = class_numbers(labels)
        classes = {number: numbers[label.class_name] for number, label in labels.items()}
        still = at_rest(work, sequence, moving)
        side = voxel
        with cloud_file(target / name / "points.ply") as save:
            voxels: Voxels | None = None
            for sample in work.frames(sequence, ("depths", "frames", "normals", "segmentations")):
                if side is None:
                    side = scale * median_depth(sample) / VOXELS_PER_DEPTH
                    work.note(f"{name}: points of one object within {side:.3g} units are one (--voxel).")
                points = points_of(sample, still, classes, scale, max_depth)
                if not side:
                    save(points)
                    continue
                voxels = voxels or Voxels(side)
                voxels.add(points)
            if voxels is not None:
                save(voxels.points())
        write_json(target / name / "labels.json", legend(labels, numbers))
    return work.done()


def at_rest(work: Work, sequence: Dataset, moving: bool) -> set[int]:
    """Ids of objects to leave out, since they may move."""
    if moving:
        return set()
    if "segmentations" not in sequence.kinds:
        work.note("What moves is wherever it was: without segmentations nobody knows which objects these are.")
        return set()
    left_out = {number for number, label in sequence.labels.items() if label.motion != "static"}
    if left_out:
        work.note("Objects that may move are left out; --moving keeps them.")
    return left_out


def median_depth(sample: Sample) -> float:
    """Of what was hit, scene units; 1 if nothing was."""
    hit = sample.depth[np.isfinite(sample.depth)]
    return float(np.median(hit)) if hit.size else 1.0


def class_numbers(labels: Mapping[int, Label]) -> dict[str, int]:
    """Name of a class -> its number, from 1."""
    return {name: number for number, name in enumerate(sorted({label.class_name for label in labels.values()}), 1)}


def legend(labels: Mapping[int, Label], numbers: Mapping[str, int]) -> dict[str, Any]:
    return {
        "classes": {str(number): name for name, number in numbers.items()},
        "instances": {
            str(label.id): {
                "name": label.name,
                "path": label.path,
                "class": label.class_name,
                "motion": label.motion,
            }
            for label in labels.values()
        },
    }


def points_of(
    sample: Sample, moving: set[int], classes: Mapping[int, int], scale: float, max_depth: float | None
) -> NDArray[Any]:
    """(N,) of VERTEX: what one frame sees; `classes` are the numbers of objects' classes, by id."""
    wanted = resting(sample, moving)
    if max_depth is not None:
        wanted &= sample.depth * scale <= max_depth
    x, y = (values[wanted] for values in pixel_centres(*sample.depth.shape))
    seen = sample.camera.unproject(x, y, sample.depth[wanted].astype(np.float64))
    rotation = sample.c2w[:3, :3]
    points = np.zeros(len(seen), VERTEX)
    set_columns(points, "xyz", (seen @ rotation.T + sample.c2w[:3, 3]) * scale)
    if "normals" in sample.kinds:
        set_columns(points, ("nx", "ny", "nz"), sample.normals[wanted] @ rotation.T)
    if "frames" in sample.kinds:
        set_columns(points, ("red", "green", "blue"), eight_bit(sample.picture[wanted][None], alpha=False)[0])
    if "segmentations" in sample.kinds:
        ids = sample.instance_ids[wanted]
        points["instance"] = ids
        there, which = np.unique(ids, return_inverse=True)
        points["class"] = np.array([classes.get(number, 0) for number in there.tolist()], np.int32)[which.reshape(-1)]
    return points


def set_columns(points: NDArray[Any], names: Sequence[str], values: Any) -> None:
    for index, name in enumerate(names):
        points[name] = values[:, index]


def columns(points: NDArray[Any], names: Sequence[str]) -> Matrix:
    """(N, C) of a structured array."""
    return np.stack([points[name].astype(np.float64) for name in names], axis=-1)


class Voxels:
    """Points that become one for each object in each voxel, whose position, normal and colour are the mean."""

    MEANS = ("x", "y", "z", "nx", "ny", "nz", "red", "green", "blue")

    def __init__(self, side: float) -> None:
        self._side = side
        self._waiting: list[NDArray[Any]] = []
        self._keys = np.empty((0, 4), np.int64)
        """Voxel and object."""
        self._sums = np.empty((0, len(self.MEANS) + 1))
        """Of all points there: the values of MEANS, and the number of points."""
        self._classes = np.empty(0, np.int32)

    def add(self, points: NDArray[Any]) -> None:
        """(N,) of VERTEX."""
        self._waiting.append(points)
        if sum(map(len, self._waiting)) >= TOGETHER:
            self._merge()

    def points(self) -> NDArray[Any]:
        """(N,) of VERTEX, ordered by voxel and object."""
        self._merge()
        result = np.zeros(len(self._keys), VERTEX)
        means = self._sums[:, :-1] / self._sums[:, -1:]
        length = np.linalg.norm(means[:, 3:6], axis=-1, keepdims=True)
        means[:, 3:6] /= np.where(length > 0, length, 1.0)
        means[:, 6:] = np.rint(means[:, 6:])
        set_columns(result, self.MEANS, means)
        result["instance"], result["class"] = self._keys[:, 3], self._classes
        return result

    def _merge(self) -> None:
        points = np.concatenate([np.empty(0, VERTEX), *self._waiting])
        self._waiting = []
        values = columns(points, self.MEANS)
        cell = np.floor(values[:, :3] / self._side).astype(np.int64)
        keys = np.concatenate([self._keys, np.column_stack([cell, points["instance"].astype(np.int64)])])
        sums = np.concatenate([self._sums, np.column_stack([values, np.ones(len(points))])])
        classes = np.concatenate([self._classes, points["class"]])
        first, which = groups(keys)
        self._keys, self._classes = keys[first], classes[first]
        self._sums = np.stack([np.bincount(which, column, len(first)) for column in sums.T], axis=-1)


def groups(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows (N, C) that are alike: the first of each, in order of the rows' values, and the group of each row, (N,)."""
    if not len(keys):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    low = keys.min(axis=0)
    extent = [int(most) + 1 for most in keys.max(axis=0) - low]
    if np.prod(np.array(extent, dtype=object)) < 2**62:
        # As one number each they are sorted much faster.
        single = np.ravel_multi_index(tuple((keys - low).T), tuple(extent))
        _, first, which = np.unique(single, return_index=True, return_inverse=True)
    else:
        _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return first, which.reshape(-1)


class Save(Protocol):
    """Adds points, (N,) of VERTEX, to a file."""

    def __call__(self, points: NDArray[Any]) -> None: ...


@contextmanager
def cloud_file(path: Path) -> Iterator[Save]:
    """A binary PLY file, whole or not at all, whose points need not be in memory together."""
    make_folder(path.parent)
    with whole_file(path) as partial, open(partial, "wb") as file:
        file.write(header(0))
        count = 0

        def save(points: NDArray[Any]) -> None:
            nonlocal count
            count += len(points)
            file.write(points.astype(VERTEX).tobytes())

        yield save
        file.seek(0)
        file.write(header(count))


def write_ply(path: Path, points: NDArray[Any]) -> None:
    """Write points, (N,) of VERTEX."""
    with cloud_file(path) as save:
        save(points)


def header(count: int) -> bytes:
    """Of the same length for any number of points."""
    properties = [f"property {PLY_TYPES[VERTEX[name].str[1:]]} {name}" for name in VERTEX.names or ()]
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {count:<20d}", *properties, "end_header"]
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def export_mesh(
    dataset: Dataset,
    target: Path,
    *,
    voxel: float | None = None,
    max_depth: float | None = None,
    moving: bool = False,
    scale: float = 1.0,
    threads: int | None = None,
    progress: ProgressFn = lambda done, total: None,
) -> WorkReport:
    """Write `SEQUENCE/mesh.ply`: the depth of all frames fused into a truncated signed distance, as coloured triangles.

    Args:
        dataset: with depths, of perspective cameras; pictures give the colours.
        target: folder; files that are there are written again.
        voxel: its side, in units of the result; None goes by the depth of the first frame.
        max_depth: leave out what is farther, in units of the result; None goes by the depth of the first frame.
        moving: keep objects that move; then they are smeared.
        scale: positions are multiplied by it.
        threads: that read ahead; by default as many as there are cores.
        progress: called as frames are done.
    Raises:
        ConfigError: Open3D is not installed, there are no depths, or a camera is not perspective.
    Source:
        B. Curless and M. Levoy, A Volumetric Method for Building Complex Models from Range Images, SIGGRAPH 1996;
        Open3D's VoxelBlockGrid.
    """
    require_kinds(dataset, ["depths"], "A mesh")
    require_models(dataset, ["OPENCV"], "The fusion to a mesh")
    require_positive(scale=scale, max_depth=max_depth, voxel=voxel)
    open3d = require("open3d", "mesh")
    work = Work("fused to meshes", dataset, target, threads, progress)
    for name, sequence in work.sequences.items():
        still = at_rest(work, sequence, moving)
        fusion: Fusion | None = None
        for sample in work.frames(sequence, ("depths", "frames", "segmentations")):
            if fusion is None:
                median = scale * median_depth(sample)
                side, reach = voxel or median / MESH_VOXELS_PER_DEPTH, max_depth or DEEPEST * median
                work.note(f"{name}: voxels of {side:.3g} units (--voxel), up to {reach:.3g} away (--max-depth).")
                fusion = Fusion(open3d, side, reach)
            fusion.add(sample, np.where(resting(sample, still), sample.depth, 0.0) * scale, scale)
        if fusion is not None and not fusion.save(target / name / "mesh.ply"):
            work.note(f"{name} has no surface within reach: there is no mesh of it.")
    return work.done()


class Fusion:
    """A truncated signed distance in voxels, by Open3D's VoxelBlockGrid.

    Its ScalableTSDFVolume would do as well, but that of Open3D 0.20 holds nothing whatever one integrates.
    """

    def __init__(self, open3d: Any, side: float, reach: float) -> None:
        """Voxels of this `side`; what is farther than `reach` is left out."""
        self._open3d, self._reach, self._filled = open3d, float(reach), False
        self._device = open3d.core.Device("CPU:0")
        float32, uint16 = open3d.core.float32, open3d.core.uint16
        self._grid = open3d.t.geometry.VoxelBlockGrid(
            ("tsdf", "weight", "color"), (float32, uint16, uint16), ((1), (1), (3)), side, device=self._device
        )

    def add(self, sample: Sample, depth: Matrix, scale: float) -> None:
        """A frame; `depth` (H, W) is 0 where nothing is to be added."""
        camera = sample.camera
        assert isinstance(camera, Intrinsics)
        tensor, image = self._open3d.core.Tensor, self._open3d.t.geometry.Image
        if "frames" in sample.kinds:
            colour = eight_bit(sample.picture, alpha=False).astype(np.float32)
        else:
            colour = np.full((*depth.shape, 3), 128.0, np.float32)
        # It takes pixel i for what lies in [i, i + 1), as we do (VoxelBlockGridImpl.h: truncation to whole numbers).
        where = (tensor(camera.K), tensor(np.linalg.inv(opencv_c2w(scaled(sample.c2w, scale)))))
        how = (1.0, self._reach, TRUNCATION)
        pixels = image(tensor(np.ascontiguousarray(depth, np.float32)))
        try:
            blocks = self._grid.compute_unique_block_coordinates(pixels, *where, *how)
        except RuntimeError as exc:
            if "No block is touched" not in str(exc):
                raise
            return  # There is nothing within reach.
        self._filled = True
        self._grid.integrate(blocks, pixels, image(tensor(colour)), *where, *how)

    def save(self, path: Path) -> bool:
        """Write triangles where the distance is 0; False if there are none."""
        mesh = self._grid.extract_triangle_mesh(weight_threshold=0.0).to_legacy() if self._filled else None
        if mesh is None or not len(mesh.vertices):
            return False
        mesh.vertex_colors = self._open3d.utility.Vector3dVector(np.asarray(mesh.vertex_colors) / 255.0)
        make_folder(path.parent)
        with whole_file(path) as partial:
            self._open3d.io.write_triangle_mesh(str(partial), mesh)
        return True
