"""transforms.json as columns: a hundred thousand frames are read within a second or two, and take little memory."""

from __future__ import annotations

import functools
import itertools
import mmap
import operator
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from visionsim.cameras import CameraModel, Intrinsics, camera_from_document
from visionsim.dataset.kinds import KINDS, frame_path
from visionsim.dataset.label_runs import unpacked
from visionsim.dataset.schema import check_schema
from visionsim.errors import DataError, InputNotFound, SchemaError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visionsim.types import Matrix

__all__ = [
    "AXES",
    "KEYS",
    "OF_THE_SEQUENCE",
    "PICTURES",
    "PICTURE_TYPES",
    "SequenceIndex",
    "StoredArray",
    "frame_shape",
    "open_array",
    "read_index",
]

PART = 4096
"""Frames decoded at a time; their Python objects are gone before the next ones."""

PICTURES = "frames"
"""The kind of data that is the picture; see `KINDS` for the others."""

KEYS = {PICTURES: "file_path", **{name: kind.key for name, kind in KINDS.items()}}
"""Kind of data -> its path's name in a frame."""

OF_THE_SEQUENCE = frozenset(["fps", "keyframe_multiplier", "conventions", "generator", "labels", "arrays", "frames"])
"""What stands at the top of transforms.json for the whole sequence; all else there is of the camera."""

AXES = ("frame", "height", "width", "channel")
"""Of arrays of all frames; kinds of one channel have no last one."""

OPEN_ARRAYS = 64
"""Array files that are mapped at a time: each holds a file descriptor, of which a process may have a thousand or so."""

PICTURE_TYPES = ("uint8", "uint16", "float16", "float32")
"""Of the values of pictures, numpy's names."""

INSIDE = re.compile(r"^(?!/|~|[A-Za-z]:)(?!(.*/)?\.\.(/|$))[^\\]+$")
"""Paths that stay in the sequence's folder."""


Row = tuple[float, float, float, float]


class Frame(msgspec.Struct, gc=False):
    """What every frame has; which of the paths, its sequence says."""

    frame: int
    time: float
    transform_matrix: tuple[Row, Row, Row, Row]
    file_path: str | None = None
    depth_file_path: str | None = None
    normal_file_path: str | None = None
    segmentation_file_path: str | None = None
    flow_file_path: str | None = None
    occlusion_file_path: str | None = None


@dataclass(frozen=True)
class StoredArray:
    """A kind of data of all frames in one `.npy` file; the first axis is the frames in their order."""

    file: str
    """Relative to the sequence's folder."""
    suffix: str
    """Of the files that its frames had, or would have."""
    packed_axis: str | None = None
    """frame, height, width or channel: eight values of this axis are the bits of a byte, the first is the highest."""
    length: int | None = None
    """Of the packed axis: the last byte may hold fewer than eight."""
    high: float | None = None
    """The value that a bit of 1 stands for; that of 0 is 0."""
    dtype: str | None = None
    """Of the values that bits stand for."""

    def shape(self, frames: int, frame: Sequence[int]) -> tuple[int, ...]:
        """Of the array in the file, for so many frames of this shape (H, W) or (H, W, C)."""
        whole = [frames, *frame]
        if self.packed_axis is not None:
            axis = AXES.index(self.packed_axis)
            whole[axis] = (whole[axis] + 7) // 8
        return tuple(whole)


@dataclass
class SequenceIndex:
    """A sequence's frames, without their pixels."""

    folder: Path
    head: dict[str, Any]
    """transforms.json but for its frames."""
    frames: NDArray[np.int64]
    """(N,) numbers on the (stretched) timeline."""
    times: Matrix
    """(N,), seconds."""
    c2w: Matrix
    """(N, 4, 4)."""
    kinds: tuple[str, ...]
    """Kinds of data: `frames` (the picture), `depths`, ..."""
    suffixes: dict[str, str]
    """Of kinds whose files have the names that visionsim gives."""
    paths: dict[str, list[str]]
    """Of the others: relative paths."""
    arrays: dict[str, StoredArray]
    """Of kinds that are in one file."""
    varying: list[dict[str, Any]] = field(default_factory=list)
    """Camera values of each frame that are not those of all, but for K; empty if all cameras are alike."""

    def __len__(self) -> int:
        return len(self.frames)

    def path(self, kind: str, row: int) -> Path:
        """File of a frame."""
        if kind in self.paths:
            return self.folder / self.paths[kind][row]
        return self.folder / frame_path(kind, int(self.frames[row]), self.suffixes[kind])

    def array(self, kind: str) -> Any:
        """All frames' pixels of a kind that is in one file, in memory only where one looks at them.

        Raises:
            DataError: the file is missing, damaged or cut off, or its array is not what transforms.json says.
        """
        shared = self.camera_values(0)
        return open_array(self.folder, kind, self.arrays[kind], len(self), (shared["h"], shared["w"], shared["c"]))

    @functools.cached_property
    def shared(self) -> dict[str, Any]:
        """What the cameras of all frames share, in the fields of transforms.json."""
        return {name: value for name, value in self.head.items() if name not in OF_THE_SEQUENCE}

    def camera_values(self, row: int) -> dict[str, Any]:
        """The camera of a frame, in the fields of transforms.json."""
        return {**self.shared, **self.own_values(row)}

    def own_values(self, row: int) -> dict[str, Any]:
        """What the camera of a frame does not share with those of all."""
        if not self.varying:
            return {}
        camera = self.camera(row)
        if isinstance(camera, Intrinsics) and "intrinsics" not in self.shared:
            return {**self.varying[row], "intrinsics": camera.K.tolist()}
        return self.varying[row]

    def camera(self, row: int) -> CameraModel:
        """Which point is seen by which pixel of a frame.

        Raises:
            DataError: transforms.json does not say.
        """
        if not self.varying:
            return self._camera
        try:
            return camera_from_document({**self.shared, **self.varying[row]})
        except DataError as exc:
            raise DataError(f"frames[{row}]: {exc}. File: {self.folder / 'transforms.json'}") from exc

    @functools.cached_property
    def _camera(self) -> CameraModel:
        """That of all frames."""
        return camera_from_document(self.shared)


FileState = tuple[int, int, int, int]
"""Device, inode, size and time of change: what differs when another file is in a file's place."""


def file_state(path: Path) -> FileState:
    """The state of a file, as part of the key of what is kept of it."""
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@functools.lru_cache(OPEN_ARRAYS)
def mapped(path: Path, state: FileState) -> Any:
    """An array file, mapped into memory; another one in its place has another `state`."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def open_array(folder: Path, kind: str, stored: StoredArray, frames: int, picture: tuple[int, int, int]) -> Any:
    """The array of a kind of data of all frames, mapped into memory.

    Args:
        folder: of the sequence.
        kind: what it holds.
        stored: in which file, and how.
        frames: how many there are.
        picture: its height, width and channels.
    Raises:
        DataError: the file is missing, damaged or cut off, or has an array of another shape or type.
    """
    path = folder / stored.file
    try:
        array = mapped(path, file_state(path))
    except (OSError, ValueError, EOFError) as exc:
        reason = "it is missing" if isinstance(exc, FileNotFoundError) else str(exc)
        raise DataError(f"Not a readable array ({reason}): {path}") from exc
    shape = stored.shape(frames, frame_shape(kind, picture))
    types = ("uint8",) if stored.packed_axis else PICTURE_TYPES if kind == PICTURES else (KINDS[kind].dtype,)
    if array.shape != shape or str(array.dtype) not in types:
        raise DataError(f"The array is {array.shape} {array.dtype}, not {shape} {' or '.join(types)}: {path}")
    return array


def frame_shape(kind: str, picture: tuple[int, int, int]) -> tuple[int, ...]:
    """(H, W) or (H, W, C) of a frame's data of a kind, from height, width and channels of its picture."""
    if kind == PICTURES:
        return picture
    channels = len(KINDS[kind].channels)
    return picture[:2] if channels == 1 else (*picture[:2], channels)


def read_index(folder: Path) -> SequenceIndex:
    """Read `folder/transforms.json`.

    The whole document but for its frames, and the first of these, must match the schema; of the others what every
    frame must have is checked.

    Raises:
        InputNotFound: there is none: the sequence is unfinished, or it is not a sequence.
        SchemaError: it is not JSON, or not what visionsim writes.
        DataError: it cannot be read.
    """
    path = folder / "transforms.json"
    try:
        stream = open(path, "rb")
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise InputNotFound(f"There is no transforms.json, or not yet: the sequence is not finished: {folder}") from exc
    except OSError as exc:
        raise DataError(f"The file cannot be read ({exc.strerror or exc}): {path}") from exc
    with stream:
        try:
            # Not closed here: parts of it are still looked at by an exception.
            return parse(folder, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ))
        except (msgspec.MsgspecError, SchemaError, DataError, ValueError) as exc:
            raise SchemaError(f"{exc}. File: {path}") from exc


def parse(folder: Path, text: mmap.mmap) -> SequenceIndex:
    """The columns; nothing of `text` is kept."""
    top = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    raw = msgspec.json.decode(top.pop("frames", msgspec.Raw(b"[]")), type=list[msgspec.Raw])
    head: dict[str, Any] = {name: msgspec.json.decode(value) for name, value in top.items()}
    first: list[dict[str, Any]] = [msgspec.json.decode(value) for value in raw[:1]]
    check_schema("transforms", {**head, "frames": first})
    head = unpacked(head)
    kinds = tuple(kind for kind, key in KEYS.items() if key in first[0] or kind in head.get("arrays", {}))
    count = len(raw)
    index = SequenceIndex(
        folder=folder,
        head=head,
        frames=np.empty(count, np.int64),
        times=np.empty(count),
        c2w=np.empty((count, 4, 4)),
        kinds=kinds,
        suffixes={kind: Path(first[0][KEYS[kind]]).suffix for kind in kinds if KEYS[kind] in first[0]},
        paths={},
        arrays={kind: StoredArray(**values) for kind, values in head.get("arrays", {}).items()},
    )
    named: dict[str, list[str]] = {kind: [] for kind in index.suffixes}
    varies = bool(camera_of(first[0]))
    for start in range(0, count, PART):
        rows = slice(start, start + PART)
        part = decode(raw[rows], start)
        rows = slice(start, start + len(part))
        index.frames[rows] = [frame.frame for frame in part]
        index.times[rows] = [frame.time for frame in part]
        numbers = itertools.chain.from_iterable(row for frame in part for row in frame.transform_matrix)
        index.c2w[rows] = np.fromiter(numbers, float, 16 * len(part)).reshape(-1, 4, 4)
        keep_paths(part, index.suffixes, named, index.frames[:start])
        if varies:
            index.varying += map(camera_of, msgspec.json.decode(b"[" + b",".join(raw[rows]) + b"]"))
    index.paths = {kind: paths for kind, paths in named.items() if paths}
    return index


def decode(raw: Sequence[msgspec.Raw], start: int) -> list[Frame]:
    """Some frames, of which the first is `frames[start]`.

    Raises:
        SchemaError: one is not what it must be.
    """
    try:
        return msgspec.json.decode(b"[" + b",".join(raw) + b"]", type=list[Frame])
    except msgspec.ValidationError as exc:
        place = re.search(r"\$\[(\d+)\]", str(exc))
        where = f"frames[{start + int(place[1])}]" if place else "frames"
        raise SchemaError(f"{where}: {exc}") from exc


def camera_of(frame: Mapping[str, Any]) -> dict[str, Any]:
    """What a frame says of its camera alone, but for K, which takes much memory and is said twice."""
    return {name: value for name, value in frame.items() if name not in (*Frame.__struct_fields__, "intrinsics")}


def keep_paths(
    part: Sequence[Frame], suffixes: Mapping[str, str], named: dict[str, list[str]], before: NDArray[np.int64]
) -> None:
    """Add the paths of some frames to those `before`, which are only kept once one is not as visionsim names it.

    Raises:
        DataError: a frame has none, or one outside its sequence's folder.
    """
    numbers = [f"{frame.frame:06d}" for frame in part]
    for kind, suffix in suffixes.items():
        key, paths = KEYS[kind], named[kind]
        here = list(map(operator.attrgetter(key), part))
        stem = frame_path(kind, 0, "").as_posix()[: -len("000000")]
        if not paths:
            if here == [f"{stem}{number}{suffix}" for number in numbers]:
                continue
            paths += [f"{stem}{frame:06d}{suffix}" for frame in before]
        for path, frame in zip(here, part, strict=True):
            if path is None:
                raise DataError(f"frame {frame.frame} has no {key}, unlike the first one")
            if not INSIDE.match(path):
                raise DataError(f"frame {frame.frame}: {key} {path!r} leads out of the sequence's folder")
        paths += here
