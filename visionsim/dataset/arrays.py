"""Frames written one by one into `.npy` files that hold all of them, bit-packed or not.

The format of the files is numpy's own, version 1.0. Source: numpy.lib.format.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from visionsim.dataset.index import AXES, StoredArray
from visionsim.dataset.journal import StoredFile
from visionsim.errors import DataError

__all__ = ["ArrayFile", "high_of", "partial_path", "write_rows"]


def partial_path(path: Path) -> Path:
    """What a file is called until it is whole."""
    return path.with_name(f".{path.stem}.partial{path.suffix}")


@dataclass(frozen=True)
class ArrayFile:
    """The file of a kind of data of all frames: how it is laid out, and how a frame gets into it.

    It is written with pwrite, not through a memory map: a full disk is an error then, not the end of the process.
    """

    stored: StoredArray
    frames: int
    """How many."""
    shape: tuple[int, ...]
    """(H, W) or (H, W, C) of a frame."""
    dtype: str
    """Of its values."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ArrayFile:
        """What `to_json` gave."""
        return cls(StoredArray(**values["stored"]), values["frames"], tuple(values["shape"]), values["dtype"])

    def to_json(self) -> dict[str, Any]:
        return {"stored": self.entry, "frames": self.frames, "shape": list(self.shape), "dtype": self.dtype}

    @property
    def entry(self) -> dict[str, Any]:
        """What transforms.json says of it."""
        return {name: value for name, value in asdict(self.stored).items() if value is not None}

    @property
    def little(self) -> np.dtype[Any]:
        """The type of the file's values."""
        return np.dtype("uint8" if self.stored.packed_axis else self.dtype).newbyteorder("<")

    @cached_property
    def header(self) -> bytes:
        """What the file begins with."""
        stream = io.BytesIO()
        shape = self.stored.shape(self.frames, self.shape)
        np.lib.format.write_array_header_1_0(stream, {"descr": self.little.str, "fortran_order": False, "shape": shape})
        return stream.getvalue()

    @property
    def step(self) -> int:
        """Bytes of a frame; packed along the frames, of eight of them."""
        return int(np.prod(self.stored.shape(self.frames, self.shape)[1:])) * self.little.itemsize

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return len(self.header) + self.stored.shape(self.frames, self.shape)[0] * self.step

    def make(self, path: Path) -> None:
        """Make the file, all zeros."""
        with open(path, "wb") as stream:
            stream.write(self.header)
            stream.truncate(self.size)
            stream.flush()
            os.fsync(stream.fileno())

    def put(self, descriptor: int, row: int, pixels: Any) -> StoredFile:
        """Write a frame, and say what was written; packed along the frames, its seven neighbours are rewritten."""
        packed = self.stored.packed_axis
        if packed is None:
            data = np.ascontiguousarray(pixels, self.little)
            write_at(descriptor, data.tobytes(), len(self.header) + row * self.step)
        elif packed == "frame":
            data, at = pixels != 0, len(self.header) + row // 8 * self.step
            others = np.frombuffer(os.pread(descriptor, self.step, at), np.uint8).reshape(self.shape)
            bit = np.uint8(128 >> row % 8)
            write_at(descriptor, np.where(data, others | bit, others & ~bit).tobytes(), at)
            data = np.packbits(data)
        else:
            data = np.packbits(pixels != 0, axis=AXES.index(packed) - 1)
            write_at(descriptor, data.tobytes(), len(self.header) + row * self.step)
        return self.seal(data.tobytes())

    def check(self, descriptor: int, row: int) -> StoredFile:
        """What is there of a frame, as `put` said it."""
        if self.stored.packed_axis != "frame":
            return self.seal(os.pread(descriptor, self.step, len(self.header) + row * self.step))
        others = os.pread(descriptor, self.step, len(self.header) + row // 8 * self.step)
        bits = np.frombuffer(others, np.uint8) >> (7 - row % 8) & 1
        return self.seal(np.packbits(bits).tobytes())

    def intact(self, folder: Path, row: int, written: StoredFile) -> bool:
        """Whether a frame in a whole file is still what `put` said; reads it."""
        try:
            with open(folder / self.stored.file, "rb") as stream:
                return stream.read(len(self.header)) == self.header and self.check(stream.fileno(), row) == written
        except OSError:
            return False

    def seal(self, data: bytes) -> StoredFile:
        """Size and checksum of what a frame is in the file; packed along the frames, of its own bits."""
        return StoredFile(self.stored.file, len(data), f"{zlib.crc32(data):08x}")


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def write_rows(
    folder: Path, files: Mapping[str, ArrayFile], rows: Mapping[int, Mapping[str, Any]]
) -> dict[int, dict[str, StoredFile]]:
    """Write frames into the arrays of a sequence that is not finished, and see to it that they reach the disk.

    Args:
        folder: of the sequence.
        files: kind -> its file.
        rows: place of a frame in the sequence -> kind -> its pixels.
    Returns:
        Of each, what was written.
    """
    written: dict[int, dict[str, StoredFile]] = {row: {} for row in rows}
    for kind, file in files.items():
        with open(partial_path(folder / file.stored.file), "r+b") as stream:
            for row, pixels in rows.items():
                written[row][kind] = file.put(stream.fileno(), row, pixels[kind])
            os.fdatasync(stream.fileno())
    return written


def high_of(pixels: Any) -> float | None:
    """The value of binary pixels (H, W, C) that is not 0; None if all are 0.

    Raises:
        DataError: there are several, or one that JSON cannot hold; the message names the first such pixel.
    """
    bits = pixels.view(f"u{pixels.itemsize}")  # So that -0.0 is not 0.
    first = bits[bits != 0][:1]
    if not first.size:
        return None
    odd = (bits != 0) & (bits != first)
    high = first.view(pixels.dtype)[0]
    if odd.any() or not np.isfinite(high) or high == 0:
        y, x, channel = (int(at) for at in np.argwhere(odd if odd.any() else bits != 0)[0])
        found = pixels[y, x, channel]
        besides = f" besides 0 and {high}" if odd.any() else ""
        raise DataError(f"is not binary: it has {found}{besides} at pixel ({x}, {y}), channel {channel}")
    return float(high) if pixels.dtype.kind == "f" else int(high)
