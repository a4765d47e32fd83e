"""Where a writer's frames go, and what each must be; picklable, so that other processes write frames as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from visionsim.dataset.arrays import ArrayFile, high_of, partial_path, write_rows
from visionsim.dataset.index import PICTURE_TYPES, PICTURES, StoredArray, frame_shape
from visionsim.dataset.journal import StoredFile
from visionsim.dataset.kinds import KINDS, frame_path
from visionsim.dataset.truth_files import write_truth
from visionsim.errors import DataError, ShapeError
from visionsim.files import flush_folder, make_folder, whole_file
from visionsim.io.images import write_png

__all__ = ["FORMATS", "Arrays", "Files", "Form", "Sink", "check_form", "form_of", "suffix_of"]

Form = dict[str, tuple[tuple[int, ...], str]]
"""Kind of data -> shape and type of its pixels, the same for all frames."""

Batch = Sequence[tuple[int, int, Mapping[str, Any]]]
"""Frames to write: place in the sequence, number, and kind -> pixels."""

FORMATS = {"uint8": ("PNG", 8), "uint16": ("PNG", 16), "float16": ("OPEN_EXR", 16), "float32": ("OPEN_EXR", 32)}
"""Type of a picture's values -> format and bits of the file that holds them without loss."""

EXR_PICTURES = {1: "Y", 3: "RGB", 4: "RGBA"}
"""Channels of a picture of floats -> their names."""


class Sink(Protocol):
    """Where frames go; another process may have it."""

    alone: ClassVar[bool]
    """Whether two threads must not write at the same time."""

    @property
    def folder(self) -> Path:
        """Of the sequence."""

    @property
    def form(self) -> Form:
        """What each frame must be."""

    def check(self, frame: int, data: Mapping[str, Any]) -> None:
        """Raise DataError if pixels of that form cannot be held all the same."""

    def write(self, batch: Batch) -> list[dict[str, StoredFile]]:
        """Write frames of that form, and return when they are on the disk; of each, kind -> its file."""


@dataclass(frozen=True)
class Files:
    """A file for each kind of each frame."""

    alone: ClassVar[bool] = False
    folder: Path
    form: Form
    codec: str
    """Of EXR files."""

    def check(self, frame: int, data: Mapping[str, Any]) -> None:
        """Files hold everything."""

    def write(self, batch: Batch) -> list[dict[str, StoredFile]]:
        written = []
        for _, frame, data in batch:
            files = {kind: self.folder / frame_path(kind, frame, suffix_of(kind, self.form)) for kind in self.form}
            for kind, path in files.items():
                make_folder(path.parent)
                with whole_file(path, flush=False) as partial:
                    self.write_one(partial, kind, data[kind])
            written.append({kind: StoredFile.of(self.folder, path) for kind, path in files.items()})
        for kind in self.form:
            flush_folder(self.folder / kind)
        return written

    def write_one(self, path: Path, kind: str, pixels: Any) -> None:
        if kind == PICTURES and path.suffix == ".png":
            write_png(path, pixels)
            return
        names = KINDS[kind].channels if kind in KINDS else EXR_PICTURES[pixels.shape[2]]
        channels = [pixels] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
        write_truth(path, dict(zip(names, channels, strict=True)), self.codec)


@dataclass(frozen=True)
class Arrays:
    """One file for each kind."""

    alone: ClassVar[bool] = True
    folder: Path
    form: Form
    files: dict[str, ArrayFile]

    def check(self, frame: int, data: Mapping[str, Any]) -> None:
        for kind, file in self.files.items():
            check_binary(frame, data[kind], file.stored)

    def write(self, batch: Batch) -> list[dict[str, StoredFile]]:
        written = write_rows(self.folder, self.files, {row: data for row, _, data in batch})
        return [written[row] for row, _, _ in batch]

    def path(self, kind: str) -> Path:
        """The file as it is called now."""
        whole = self.folder / self.files[kind].stored.file
        partial = partial_path(whole)
        return partial if partial.exists() else whole


def check_binary(frame: int, pixels: Any, stored: StoredArray) -> None:
    if stored.packed_axis is None:
        return
    try:
        high = high_of(pixels)
    except DataError as exc:
        raise DataError(f"Frame {frame} cannot be packed, since its picture {exc}") from exc
    if high not in (None, stored.high):
        raise DataError(f"Frame {frame} cannot be packed: its picture has 0 and {high}, not 0 and {stored.high}")


def suffix_of(kind: str, form: Form) -> str:
    """Suffix of a file that holds a kind of data without loss."""
    if kind != PICTURES:
        return KINDS[kind].suffix
    return ".png" if FORMATS[form[kind][1]][0] == "PNG" else ".exr"


def form_of(frame: int, data: Mapping[str, Any], width: int, height: int) -> Form:
    """Shapes and types of a frame's pixels.

    Raises:
        ShapeError: the pixels of a kind have another shape than the camera's picture.
        DataError: there is no picture, a kind that nobody knows, or pixels of another type than their kind has.
    """
    if PICTURES not in data:
        raise DataError(f"Frame {frame} has no picture, `frames`, but only {', '.join(data) or 'nothing'}")
    form: Form = {}
    for kind in (PICTURES, *KINDS):
        if kind not in data:
            continue
        pixels = data[kind]
        types = PICTURE_TYPES if kind == PICTURES else (KINDS[kind].dtype,)
        if str(pixels.dtype) not in types:
            raise DataError(f"{kind} of frame {frame} are {pixels.dtype}, not {' or '.join(types)}")
        channels = pixels.shape[2] if pixels.ndim == 3 else 0
        shape = frame_shape(kind, (height, width, channels))
        if pixels.shape != shape or (kind == PICTURES and not 1 <= channels <= 4):
            expected = f"({height}, {width}, 1 to 4)" if kind == PICTURES else shape
            raise ShapeError(f"{kind} of frame {frame} have shape {pixels.shape}, not {expected}")
        if kind == PICTURES and pixels.dtype.kind == "f" and channels not in EXR_PICTURES:
            raise ShapeError(f"{kind} of frame {frame} have {channels} channels; of {pixels.dtype} they have 1, 3 or 4")
        form[kind] = shape, str(pixels.dtype)
    if unknown := sorted(set(data) - set(form)):
        raise DataError(f"Frame {frame} has {', '.join(unknown)}; kinds of data are {PICTURES}, {', '.join(KINDS)}")
    return form


def check_form(frame: int, data: Mapping[str, Any], wanted: Form) -> None:
    """Raise unless a frame is like the others of its sequence.

    Raises:
        ShapeError, DataError: it is not.
    """
    (height, width, _), _ = wanted[PICTURES]
    form = form_of(frame, data, width, height)
    for kind in {**wanted, **form}:
        if form.get(kind) != wanted.get(kind):
            here, there = (f"{f[kind][0]} {f[kind][1]}" if kind in f else "none" for f in (form, wanted))
            raise DataError(f"{kind} of frame {frame}: {here}, where the other frames have {there}")
