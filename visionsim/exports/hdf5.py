"""Sequences as HDF5 files: one file each, with all pixels, poses, cameras and labels.

One for each sequence, not one for all: size, cameras and labels are those of a sequence, and an export that was
interrupted goes on with the next one.

Source of the filters: HDF5 user guide, https://support.hdfgroup.org/documentation, "HDF5 Filters" (shuffle, deflate).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.cameras import Intrinsics
from visionsim.dataset.reader import Dataset, Sample
from visionsim.dataset.report import DamagedFrame, WorkReport
from visionsim.errors import ConfigError, DataError
from visionsim.exports.frames import (
    ARRAYS,
    arrays_of,
    conventions_of,
    depth_kinds_of,
    made_of,
    meaning_of,
)
from visionsim.files import make_folder, whole_file
from visionsim.optional import require

if TYPE_CHECKING:
    from visionsim.types import ProgressFn

__all__ = ["export_hdf5"]

VERSION = 1
"""Of what is written; files of another one are written again."""

LEVEL = 1
"""Of compression, unless one says."""


@dataclass(frozen=True)
class Chunk:
    """One frame's pixels as they stand in the file."""

    data: bytes
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def export_hdf5(
    dataset: Dataset,
    target: Path,
    *,
    level: int = LEVEL,
    threads: int | None = None,
    progress: ProgressFn = lambda done, total: None,
) -> WorkReport:
    """Write `SEQUENCE.h5` for each sequence.

    A file that has all frames already, of the same sequence and settings, is kept.

    Args:
        dataset: with any kinds of data.
        target: folder.
        level: of compression, which is without loss: 1 to 9, or 0 for none.
        threads: that read and compress; by default as many as there are cores.
        progress: called as frames are done.
    Raises:
        ConfigError: h5py is missing, or there is no such level.
    """
    started = time.monotonic()
    if not 0 <= level <= 9:
        raise ConfigError(f"The level of compression is 0 (none) to 9, not {level}")
    h5py = require("h5py", "hdf5")
    report = WorkReport("exported as HDF5", target)
    done = 0

    def make(sample: Sample) -> dict[str, Chunk]:
        arrays = {"picture": sample.picture, **arrays_of(sample)}
        return {name: chunk_of(array, level) for name, array in arrays.items()}

    for name, sequence in dataset.sequences().items():
        path = target / f"{name}.h5"
        digest = digest_of(sequence, level)
        if is_whole(h5py, path, digest):
            report.frames += len(sequence)
            report.kept += len(sequence)
        else:
            frames = made_of(sequence, make, report, threads, progress, done, len(dataset))
            first = next(frames, None)
            if first is not None:  # Else no frame can be read.
                make_folder(path.parent)
                with whole_file(path) as partial, h5py.File(partial, "w") as file:
                    rows = write_pixels(file, itertools.chain([first], frames), sequence, level, report)
                    write_columns(h5py, file, sequence[rows])
                    if len(rows) == len(sequence):
                        file.attrs["digest"] = digest
                report.frames += len(rows)
        done += len(sequence)
        progress(done, len(dataset))
    report.elapsed = time.monotonic() - started
    return report


def digest_of(sequence: Dataset, level: int) -> str:
    """Fingerprint of all that decides what is in the file, taking pixels as decided by the sequence's settings."""
    source = sequence[0].source
    digest = hashlib.sha256(json.dumps([VERSION, level, source.head, source.varying]).encode())
    for column in (sequence.frames, sequence.times, sequence.poses):
        digest.update(column.tobytes())
    return digest.hexdigest()


def is_whole(h5py: Any, path: Path, digest: str) -> bool:
    """Whether a file is there, and has all frames of what has this digest."""
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("digest") == digest)
    except OSError:  # There is none, or it is damaged.
        return False


def chunk_of(pixels: Any, level: int) -> Chunk:
    """What HDF5's filters would make of a frame; they would do so in one thread, while no other one may read or write.

    Shuffle puts the first bytes of all values before all second ones; bytes go without. Deflate is zlib's.
    """
    data = np.ascontiguousarray(pixels)
    if level == 0:
        return Chunk(data.tobytes(), data.shape, data.dtype)
    size = data.dtype.itemsize
    shuffled = data.view(np.uint8).reshape(-1, size).T.tobytes() if size > 1 else data.tobytes()
    return Chunk(zlib.compress(shuffled, level), data.shape, data.dtype)


def write_pixels(
    file: Any, frames: Iterator[tuple[Sample, dict[str, Chunk]]], sequence: Dataset, level: int, report: WorkReport
) -> list[int]:
    """Write what threads have made of frames; returns the indices of those that are in the file.

    A frame whose pixels are of another type or number of channels than those of the first one counts as damaged.
    """
    rows: list[int] = []
    forms: dict[str, tuple[Any, ...]] = {}
    for sample, chunks in frames:
        found = {name: (chunk.shape, chunk.dtype) for name, chunk in chunks.items()}
        if not forms:
            forms = found
            create(file, chunks, sequence, level)
        elif found != forms:
            name = next(name for name in forms if found[name] != forms[name])
            error = DataError(f"{name} is {describe(*found[name])}, that of other frames {describe(*forms[name])}")
            report.damaged.append(DamagedFrame.of(sample, error))
            continue
        for name, chunk in chunks.items():
            file[name].id.write_direct_chunk((len(rows), *(0 for _ in chunk.shape)), chunk.data)
        rows.append(sample.index)
    for name in forms:
        file[name].resize(len(rows), axis=0)
    return rows


def describe(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """`(80, 120, 3) uint8`."""
    return f"{shape} {dtype}"


def create(file: Any, chunks: dict[str, Chunk], sequence: Dataset, level: int) -> None:
    """Make room for all frames."""
    depth_kinds = depth_kinds_of(sequence)
    for name, chunk in chunks.items():
        filters = {"compression": "gzip", "compression_opts": level, "shuffle": chunk.dtype.itemsize > 1}
        pixels = file.create_dataset(
            name,
            shape=(len(sequence), *chunk.shape),
            maxshape=(len(sequence), *chunk.shape),
            chunks=(1, *chunk.shape),
            dtype=chunk.dtype,
            **(filters if level else {}),
        )
        if name in ARRAYS:
            pixels.attrs["unit"] = ARRAYS[name][1]
            pixels.attrs["meaning"] = meaning_of(name, depth_kinds)
        else:
            linear = chunk.dtype.kind == "f"
            pixels.attrs["meaning"] = "scene-linear" if linear else "as Blender's view transform shows it (sRGB)"


def write_columns(h5py: Any, file: Any, sequence: Dataset) -> None:
    """Write all but the pixels."""
    source = sequence[0].source
    head, text = source.head, h5py.string_dtype()
    columns = {
        "frame": (sequence.frames, "number on the (stretched) timeline of Blender"),
        "time": (sequence.times, "seconds"),
        "c2w": (sequence.poses, "camera to world; +X right, +Y up, the camera looks along -Z; scene units"),
    }
    if all(isinstance(source.camera(sample.row), Intrinsics) for sample in sequence):
        columns["K"] = (sequence.intrinsics, "pinhole intrinsics, pixels; the centre of the first pixel is at 0.5")
    for name, (values, meaning) in columns.items():
        file.create_dataset(name, data=values).attrs["meaning"] = meaning
    file.attrs.update(
        {
            "format": "visionsim",
            "version": VERSION,
            "sequence": sequence[0].sequence,
            "fps": head["fps"],
            "keyframe_multiplier": head["keyframe_multiplier"],
            "generator": json.dumps(head["generator"]),
        }
    )
    file.create_group("conventions").attrs.update(conventions_of(source))
    if source.varying:
        cameras = [json.dumps(source.camera_values(sample.row)) for sample in sequence]
        file.create_dataset("camera", data=cameras, dtype=text)
    else:
        file.attrs["camera"] = json.dumps(source.camera_values(0))
    if labels := sequence[0].labels.values():
        group = file.create_group("labels")
        group.create_dataset("id", data=np.array([label.id for label in labels], np.uint32))
        for name, column in {
            "name": [label.name for label in labels],
            "path": [label.path for label in labels],
            "class": [label.class_name for label in labels],
            "motion": [label.motion for label in labels],
        }.items():
            group.create_dataset(name, data=column, dtype=text)
