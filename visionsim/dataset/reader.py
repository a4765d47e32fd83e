"""Read datasets: `Dataset.from_path(...)`, whose samples give poses, cameras, pictures and ground truth."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from visionsim.cameras import CameraModel, Intrinsics
from visionsim.dataset.folders import find_sequences, folder_of, names_of
from visionsim.dataset.index import SequenceIndex, read_index
from visionsim.dataset.kinds import KINDS
from visionsim.dataset.splits import read_split
from visionsim.dataset.stores import read_frame
from visionsim.errors import DataError, InputNotFound
from visionsim.parallel import ahead

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visionsim.types import FloatImage, IdImage, Matrix

__all__ = ["Dataset", "Label", "Sample"]

logger = logging.getLogger(__name__)


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
        self._pixels: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Sample {self.index}: {self.sequence}, frame {self.frame}, {', '.join(self.kinds)}>"

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of data: `frames` (the picture), `depths`, `normals`, `segmentations`, `flows`, `occlusions`."""
        return self.source.kinds

    @property
    def frame(self) -> int:
        """Number on the (stretched) timeline of Blender."""
        return int(self.source.frames[self.row])

    @property
    def time(self) -> float:
        """Seconds on the timeline, whose frame 0 is at 0."""
        return float(self.source.times[self.row])

    @property
    def c2w(self) -> Matrix:
        """c2w, (4, 4): camera to world; +X right, +Y up, the camera looks along -Z; scene units."""
        c2w: Matrix = self.source.c2w[self.row].copy()
        return c2w

    @property
    def camera(self) -> CameraModel:
        """Which point is seen by which pixel, of whatever model the camera is."""
        return self.source.camera(self.row)

    @property
    def K(self) -> Matrix:
        """K, (3, 3): intrinsics of a pinhole camera, in pixels; the centre of the first pixel is at 0.5.

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
        return None if kind in self.source.arrays else self.source.path(known(kind, self.source), self.row)

    def read(self, kind: str) -> Any:
        """The array of a kind of data: of `frames` (H, W, C), of the others see the properties; `flows` is (H, W, 4).

        Raises:
            DataError: the dataset does not have that kind, or the file is damaged or of another size.
        """
        pixels = self._pixels.get(kind)
        if pixels is None:
            # Two threads may read the same; then one of both is kept.
            pixels = self._pixels.setdefault(kind, read_frame(self.source, known(kind, self.source), self.row))
        return pixels

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

    @property
    def occlusions(self) -> NDArray[np.uint8]:
        """(H, W) uint8, the sum of bits: 1 = forward motion is known, 2 = its target is visible in the next frame,
        4 = backward motion is known, 8 = its target is visible in the previous frame; background 0.
        """
        bits: NDArray[np.uint8] = self.read("occlusions")
        return bits


class Dataset:
    """The frames of a sequence, or of several one after the other.

    It is indexed like a list: `dataset[3]` is a sample; a slice, a list of indices or a mask (N,) gives a dataset.
    Threads, forks and spawned processes may share it: nothing in it changes.
    """

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
        root = folder_of(path)
        folders = find_sequences([root], to="read")
        if root != path and folders != [root]:
            raise InputNotFound(f"The file to read does not exist: {path}")
        found = dict(zip(names_of(folders), folders, strict=True))
        if split is not None:
            wanted = {(root / name).resolve() for name in read_split(root, split)}
            found = {name: folder for name, folder in found.items() if folder.resolve() in wanted}
            missing = wanted - {folder.resolve() for folder in found.values()}
            if missing:
                logger.warning("%d sequences of the split %s are not there, as %s", len(missing), split, min(missing))
        sources = {}
        for name, folder in found.items():
            try:
                sources[name] = read_index(folder)
            except InputNotFound:
                logger.warning("left out, since it is not finished (no transforms.json): %s", folder)
        if not sources:
            part = "" if split is None else f" of the split {split!r}"
            raise InputNotFound(f"No sequence{part} is finished, none has a transforms.json, in {path}")
        return cls(list(sources), list(sources.values()), None)

    def __repr__(self) -> str:
        return f"<Dataset of {len(self)} frames in {len(self._present)} sequences: {', '.join(self.kinds)}>"

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> Dataset: ...
    def __getitem__(self, index: Any) -> Any:
        """A sample; or a dataset of those of a slice, of some indices, or where a mask (N,) is true.

        Raises:
            IndexError: there are not so many frames.
            TypeError: the index is something else.
        """
        if isinstance(index, slice):
            return Dataset(self._names, self._sources, self._rows[index])
        wanted = np.asarray(index)
        if wanted.shape == (0,):  # Of an empty list numpy makes floats.
            wanted = wanted.astype(np.int64)
        if wanted.ndim > 1 or wanted.dtype.kind not in ("iub" if wanted.ndim else "iu"):
            raise TypeError(f"A dataset is indexed by a number, a slice, a list of numbers or a mask, not {index!r}")
        if wanted.ndim:
            return Dataset(self._names, self._sources, self._rows[wanted])
        at = int(wanted)
        if not -len(self) <= at < len(self):
            raise IndexError(f"index {at} of a dataset of {len(self)} frames")
        which, row = self._rows[at].tolist()
        return Sample(self._names[which], at % len(self), row, self._sources[which])

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
        Raises:
            DataError: a sequence does not have such a kind of data; this is found before anything is read.
        """
        wanted = None if kinds is None else tuple(kinds)
        for number in self._present:
            for kind in wanted or ():
                known(kind, self._sources[number])
        return self._read_ahead(wanted, threads, on_error)

    def _read_ahead(
        self, kinds: tuple[str, ...] | None, threads: int | None, on_error: Callable[[Sample, DataError], None] | None
    ) -> Iterator[Sample]:
        for sample, call in ahead(lambda sample: sample.load(kinds), self, threads):
            try:
                call.result()
            except DataError as exc:
                if on_error is None:
                    raise
                on_error(sample, exc)
            else:
                yield sample

    def sequences(self) -> dict[str, Dataset]:
        """Name -> dataset of that sequence's frames alone, in the order that they have here."""
        found = {}
        for number, places in self._places():
            rows = self._rows[places]
            rows[:, 0] = 0
            found[self._names[number]] = Dataset([self._names[number]], [self._sources[number]], rows)
        return found

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of data that every sequence has."""
        sources = [self._sources[number] for number in self._present] or self._sources
        return tuple(k for k in ("frames", *KINDS) if all(k in source.kinds for source in sources))

    @property
    def frames(self) -> NDArray[np.int64]:
        """(N,) numbers on the (stretched) timelines of Blender."""
        numbers: NDArray[np.int64] = self._column("frames")
        return numbers

    @property
    def times(self) -> Matrix:
        """(N,), seconds, as `Sample.time`."""
        times: Matrix = self._column("times")
        return times

    @property
    def poses(self) -> Matrix:
        """c2w of all, (N, 4, 4): camera to world, scene units, as `Sample.c2w`."""
        poses: Matrix = self._column("c2w")
        return poses

    @property
    def intrinsics(self) -> Matrix:
        """K of all, (N, 3, 3), in pixels, as `Sample.K`.

        Raises:
            DataError: a camera is no pinhole.
        """
        result = np.empty((len(self), 3, 3))
        for number, places in self._places():
            source, name = self._sources[number], self._names[number]
            rows = self._rows[places, 1] if source.varying else self._rows[places[:1], 1]
            result[places] = [pinhole(source.camera(row), name).K for row in rows.tolist()]
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
        every = [labels_of(self._sources[number]) for number in self._present]
        if any(labels != every[0] for labels in every):
            raise DataError(
                "The sequences have different labels, since they are of different scenes: "
                "ask each sample, or each of sequences(), for its own"
            )
        return every[0] if every else {}

    @functools.cached_property
    def _present(self) -> list[int]:
        """Numbers of the sequences that have samples here."""
        return [number for number, _ in self._places()]

    def _places(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Number of each sequence that has samples here, and where these are in the dataset."""
        order = np.argsort(self._rows[:, 0], kind="stable")
        numbers, starts = np.unique(self._rows[order, 0], return_index=True)
        yield from zip(numbers.tolist(), np.split(order, starts[1:]), strict=False)  # Of nothing, split makes one part.

    def _column(self, name: str) -> Any:
        like = getattr(self._sources[0], name)
        result = np.empty((len(self), *like.shape[1:]), like.dtype)
        for number, places in self._places():
            result[places] = getattr(self._sources[number], name)[self._rows[places, 1]]
        return result


def pinhole(camera: CameraModel, where: str) -> Intrinsics:
    """The camera, if it is one.

    Raises:
        DataError: it is not.
    """
    if not isinstance(camera, Intrinsics):
        raise DataError(f"A camera of model {camera.model} has no K; use `camera` of the samples: {where}")
    return camera


def known(kind: str, source: SequenceIndex) -> str:
    """The kind of data, if a sequence has it.

    Raises:
        DataError: it does not.
    """
    if kind not in source.kinds:
        what = f"no {kind}" if kind in ("frames", *KINDS) else f"no kind of data called {kind!r}"
        raise DataError(f"The dataset has {what}; it has {', '.join(source.kinds)}: {source.folder}")
    return kind


def labels_of(source: SequenceIndex) -> dict[int, Label]:
    return {
        int(number): Label(int(number), values["name"], values["path"], values["class"], values["motion"])
        for number, values in source.head.get("labels", {}).items()
    }
