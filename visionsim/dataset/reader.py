"""Read datasets: `Dataset.from_path(...)`, whose samples give poses, cameras, pictures and ground truth."""

from __future__ import annotations

import functools
import itertools
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from visionsim.cameras import CameraModel, Intrinsics
from visionsim.dataset.folders import find_sequences, names_of
from visionsim.dataset.index import SequenceIndex, read_index
from visionsim.dataset.kinds import KINDS
from visionsim.dataset.splits import read_split
from visionsim.dataset.stores import read_frame
from visionsim.errors import DataError, InputNotFound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visionsim.types import FloatImage, IdImage, Matrix

__all__ = ["Dataset", "Label", "Sample"]

logger = logging.getLogger(__name__)

AHEAD = 2
"""Samples that each thread may be ahead of who iterates."""


@dataclass(frozen=True)
class Label:
    """What an object id stands for."""

    id: int
    name: str
    """Of the object; of a copy, of what it is a copy of."""
    path: str
    """Unique in its scene."""
    class_name: str
    motion: str
    """static, rigid or deforming: what it may do during the animation."""


class Sample:
    """A frame of a dataset. Pixels are read when they are asked for, and kept as long as the sample is.

    What a dataset does not have raises a DataError that says what it has.
    """

    def __init__(self, sequence: str, index: int, row: int, source: SequenceIndex) -> None:
        self.sequence = sequence
        """Name of its sequence, such as `street/001-00001-00101`."""
        self.index = index
        """Its place in the dataset."""
        self.row = row
        """Its place in its sequence."""
        self.source = source
        """Its sequence."""

    def __repr__(self) -> str:
        return f"<Sample {self.index}: {self.sequence}, frame {self.frame}, {', '.join(self.kinds)}>"

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of data there are: `frames` (the picture), `depths`, `normals`, `segmentations`, `flows`."""
        return self.source.kinds

    @property
    def frame(self) -> int:
        """Number on the (stretched) timeline of Blender."""
        return int(self.source.frames[self.row])

    @property
    def time(self) -> float:
        """Seconds."""
        return float(self.source.times[self.row])

    @property
    def c2w(self) -> Matrix:
        """(4, 4): camera to world; +X right, +Y up, the camera looks along -Z; scene units."""
        c2w: Matrix = self.source.c2w[self.row].copy()
        return c2w

    @property
    def camera(self) -> CameraModel:
        """Which point is seen by which pixel, of whatever model the camera is."""
        return self.source.camera(self.row)

    @property
    def K(self) -> Matrix:
        """(3, 3) intrinsics of a pinhole camera, in pixels; the centre of the first pixel is at 0.5.

        Raises:
            DataError: the camera is no pinhole; see `camera`.
        """
        return pinhole(self.camera, self.sequence).K

    @property
    def depth_kind(self) -> str:
        """planar or radial: what `depth` is."""
        return self.camera.depth_kind

    @property
    def labels(self) -> dict[int, Label]:
        """What the ids of its sequence stand for."""
        return labels_of(self.source)

    def path(self, kind: str) -> Path | None:
        """File of a kind of data; None if it is not a file of its own."""
        return None if kind in self.source.arrays else self.source.path(self._known(kind), self.row)

    def read(self, kind: str) -> Any:
        """The array of a kind of data: of `frames` (H, W, C), of the others see the properties; `flows` is (H, W, 4).

        Raises:
            DataError: the dataset does not have that kind, or the file is damaged or of another size.
        """
        return self._pixels[self._known(kind)]

    def load(self, kinds: Iterable[str] | None = None) -> Sample:
        """Read these kinds of data now, by default all; returns itself."""
        for kind in self.kinds if kinds is None else kinds:
            self.read(kind)
        return self

    @property
    def picture(self) -> NDArray[Any]:
        """(H, W, C): uint8 or uint16, encoded as the scene's view is (sRGB); float16 or float32, linear, of OpenEXR."""
        pixels: NDArray[Any] = self.read("frames")
        return pixels

    @property
    def depth(self) -> FloatImage:
        """(H, W) float32, scene units, of `depth_kind`; background +inf."""
        pixels: FloatImage = self.read("depths")
        return pixels

    @property
    def normals(self) -> FloatImage:
        """(H, W, 3) float32, unit vectors in the camera's frame (+Z towards the viewer); background 0."""
        pixels: FloatImage = self.read("normals")
        return pixels

    @property
    def instance_ids(self) -> IdImage:
        """(H, W) uint32; keys of `labels`; background 0."""
        pixels: IdImage = self.read("segmentations")
        return pixels

    @property
    def forward_flow(self) -> FloatImage:
        """(H, W, 2) float32, pixels (right, down): where the surface goes at the next frame; background 0."""
        flow: FloatImage = self.read("flows")[..., :2]
        return flow

    @property
    def backward_flow(self) -> FloatImage:
        """(H, W, 2) float32, pixels (right, down): where the surface was at the previous frame; background 0."""
        flow: FloatImage = self.read("flows")[..., 2:]
        return flow

    @functools.cached_property
    def _pixels(self) -> Lazy:
        return Lazy(self.source, self.row)

    def _known(self, kind: str) -> str:
        if kind not in self.source.kinds:
            what = f"no {kind}" if kind in ("frames", *KINDS) else f"no kind of data called {kind!r}"
            there = f"it has {', '.join(self.source.kinds)}"
            raise DataError(f"The dataset has {what}; {there}: {self.source.folder}")
        return kind


class Lazy(dict[str, Any]):
    """The pixels of a frame, by kind, read once. Two threads may read the same: then one of both is kept."""

    def __init__(self, source: SequenceIndex, row: int) -> None:
        super().__init__()
        self.source, self.row = source, row

    def __missing__(self, kind: str) -> Any:
        return self.setdefault(kind, read_frame(self.source, kind, self.row))


class Dataset:
    """The frames of a sequence, or of several one after the other. Nothing is open: threads and forks may share it."""

    def __init__(self, names: Sequence[str], sources: Sequence[SequenceIndex], rows: NDArray[np.int64] | None) -> None:
        """See `from_path`. `rows` (N, 2) are sequence and row of each sample; None is all of them."""
        self._names, self._sources = list(names), list(sources)
        if rows is None:
            parts = [np.stack([np.full(len(s), n), np.arange(len(s))], axis=1) for n, s in enumerate(sources)]
            rows = np.concatenate(parts).astype(np.int64)
        self._rows = rows

    @classmethod
    def from_path(cls, path: str | Path, split: str | None = None) -> Dataset:
        """Open a dataset; pixels are not read.

        Args:
            path: a sequence's folder, its transforms.json, or a folder with sequences somewhere in it. Unfinished ones
                are left out, with a warning in the log.
            split: only sequences of this part of `splits.json` (see `visionsim dataset split`): train, val or test.
        Raises:
            InputNotFound: there is no such path, no finished sequence in it, or no such split.
            SchemaError: a transforms.json is damaged, or not of visionsim.
        """
        path = Path(path)
        root = path.parent if path.name == "transforms.json" else path
        folders = find_sequences([root], to="read")
        names = names_of(folders)
        if split is not None:
            wanted = read_split(root, split)
            folders = [folder for folder in folders if folder.relative_to(root).as_posix() in wanted]
            names = names_of(folders)
        sources = []
        for name, folder in zip(list(names), folders, strict=True):
            if (folder / "transforms.json").exists():
                sources.append(read_index(folder))
            else:
                names.remove(name)
                logger.warning("left out, since it is not finished (no transforms.json): %s", folder)
        if not sources:
            raise InputNotFound(f"No sequence is finished, none has a transforms.json, in {path}")
        return cls(names, sources, None)

    def __repr__(self) -> str:
        return f"<Dataset of {len(self)} frames in {len(self._sources)} sequences: {', '.join(self.kinds)}>"

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> Dataset: ...
    def __getitem__(self, index: Any) -> Any:
        """A sample; or a dataset of those of a slice, of some indices, or where a mask (N,) is true."""
        if isinstance(index, int | np.integer):
            at = int(index)
            if not -len(self) <= at < len(self):
                raise IndexError(f"index {at} of a dataset of {len(self)} frames")
            which, row = (int(n) for n in self._rows[at])
            return Sample(self._names[which], at % len(self), row, self._sources[which])
        return Dataset(self._names, self._sources, self._rows[index if isinstance(index, slice) else np.asarray(index)])

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def iterate(
        self,
        kinds: Iterable[str] | None = None,
        threads: int | None = None,
        on_error: Callable[[Sample, DataError], None] | None = None,
    ) -> Iterator[Sample]:
        """Samples in order, whose pixels threads have read ahead.

        Args:
            kinds: what to read, by default all there is.
            threads: how many; by default as many as there are cores.
            on_error: called for a sample that cannot be read, which is left out; by default the DataError is raised.
        """
        wanted = None if kinds is None else tuple(kinds)
        threads = threads or len(os.sched_getaffinity(0))
        with ThreadPoolExecutor(threads, thread_name_prefix="read") as pool:
            samples = iter(self)
            ahead = deque((s, pool.submit(s.load, wanted)) for s in itertools.islice(samples, threads * AHEAD))
            try:
                while ahead:
                    sample, future = ahead.popleft()
                    ahead.extend((s, pool.submit(s.load, wanted)) for s in itertools.islice(samples, 1))
                    try:
                        future.result()
                    except DataError as exc:
                        if on_error is None:
                            raise
                        on_error(sample, exc)
                    else:
                        yield sample
            finally:
                for _, future in ahead:
                    future.cancel()

    def sequences(self) -> dict[str, Dataset]:
        """Name -> dataset of that sequence's frames alone, in order."""
        found = {}
        for number, name in enumerate(self._names):
            rows = self._rows[self._rows[:, 0] == number]
            if len(rows):
                rows = rows.copy()
                rows[:, 0] = 0
                found[name] = Dataset([name], [self._sources[number]], rows)
        return found

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of data that every sequence has."""
        return tuple(k for k in ("frames", *KINDS) if all(k in source.kinds for source in self._sources))

    @property
    def frames(self) -> NDArray[np.int64]:
        """(N,) numbers on the timelines."""
        numbers: NDArray[np.int64] = self._column("frames")
        return numbers

    @property
    def times(self) -> Matrix:
        """(N,), seconds."""
        times: Matrix = self._column("times")
        return times

    @property
    def poses(self) -> Matrix:
        """(N, 4, 4): camera to world, as `Sample.c2w`."""
        poses: Matrix = self._column("c2w")
        return poses

    @property
    def intrinsics(self) -> Matrix:
        """(N, 3, 3), as `Sample.K`.

        Raises:
            DataError: a camera is no pinhole.
        """
        result = np.empty((len(self), 3, 3))
        for number, (name, source) in enumerate(zip(self._names, self._sources, strict=True)):
            here = self._rows[:, 0] == number
            if source.varying:
                cameras = [source.camera(int(row)) for row in self._rows[here, 1]]
                result[here] = [pinhole(camera, name).K for camera in cameras]
            elif here.any():
                result[here] = pinhole(source.camera(0), name).K
        return result

    @property
    def arclength(self) -> Matrix:
        """(N,), scene units: how far the camera has come since its sequence's first frame here, as sum of chords."""
        steps = np.zeros(len(self))
        steps[1:] = np.linalg.norm(np.diff(self.poses[:, :3, 3], axis=0), axis=1)
        steps[1:][np.diff(self._rows[:, 0]) != 0] = 0.0
        total = np.cumsum(steps)
        starts = np.flatnonzero(np.diff(self._rows[:, 0], prepend=-1))
        since: Matrix = total - np.repeat(total[starts], np.diff(starts, append=len(self)))
        return since

    @property
    def labels(self) -> dict[int, Label]:
        """What ids stand for.

        Raises:
            DataError: the sequences are of scenes with different objects: each sample, and each of `sequences()`, has
                labels of its own.
        """
        every = [labels_of(self._sources[number]) for number in np.unique(self._rows[:, 0])]
        if any(labels != every[0] for labels in every):
            raise DataError(
                "The sequences have different labels, since they are of different scenes: "
                "ask each sample, or each of sequences(), for its own"
            )
        return every[0] if every else {}

    def _column(self, name: str) -> Any:
        columns = [getattr(source, name) for source in self._sources]
        result = np.empty((len(self), *columns[0].shape[1:]), columns[0].dtype)
        for number, column in enumerate(columns):
            here = self._rows[:, 0] == number
            result[here] = column[self._rows[here, 1]]
        return result


def pinhole(camera: CameraModel, where: str) -> Intrinsics:
    """The camera, if it is one.

    Raises:
        DataError: it is not.
    """
    if not isinstance(camera, Intrinsics):
        raise DataError(f"A camera of model {camera.model} has no K; use `camera` of the samples: {where}")
    return camera


def labels_of(source: SequenceIndex) -> dict[int, Label]:
    return {
        int(number): Label(int(number), values["name"], values["path"], values["class"], values["motion"])
        for number, values in source.head.get("labels", {}).items()
    }
