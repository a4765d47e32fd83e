"""The pixels of a frame, from a file of its own or from an array of all frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from visionsim.dataset.index import AXES, PICTURES, SequenceIndex, StoredArray
from visionsim.dataset.truth_files import read_truth
from visionsim.errors import DataError
from visionsim.io.images import read_pixels

__all__ = ["frame_of", "read_frame"]


def read_frame(source: SequenceIndex, kind: str, row: int) -> Any:
    """(H, W) or (H, W, C): what a frame has of a kind of data.

    Raises:
        DataError: its file is missing, damaged, or of another size than transforms.json says.
    """
    if kind in source.arrays:
        return read_from_array(source, kind, row)
    path = source.path(kind, row)
    try:
        pixels = read_pixels(path) if kind == PICTURES else read_truth(path, kind)
    except (OSError, DataError) as exc:
        if not path.exists():
            raise DataError(f"The file is missing: {path}") from exc
        if isinstance(exc, DataError):
            raise
        raise DataError(f"The file cannot be read ({exc.strerror or exc}): {path}") from exc
    values = source.camera_values(row)
    if pixels.shape[:2] != (values["h"], values["w"]):
        size = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise DataError(f"The file has {size} pixels, not {values['w']} x {values['h']}: {path}")
    return whole_ids(pixels, path) if kind == "segmentations" else pixels


def whole_ids(pixels: Any, path: Path) -> Any:
    """Ids (H, W) as uint32; others write them as floats.

    Raises:
        DataError: they are not whole numbers.
    """
    if pixels.dtype == np.uint32:
        return pixels
    if not np.all((pixels >= 0) & (pixels < 2**32) & (pixels == np.rint(pixels))):
        raise DataError(f"The object ids are not whole numbers: {path}")
    return pixels.astype(np.uint32)


def read_from_array(source: SequenceIndex, kind: str, row: int) -> Any:
    return frame_of(source.array(kind), source.arrays[kind], row)


def frame_of(array: Any, stored: StoredArray, row: int) -> Any:
    """(H, W) or (H, W, C): one frame of an array of all of them."""
    if stored.packed_axis is None:
        return np.array(array[row])
    if stored.packed_axis == "frame":
        bits = array[row // 8] >> (7 - row % 8) & 1
    else:
        bits = np.unpackbits(array[row], axis=AXES.index(stored.packed_axis) - 1, count=stored.length)
    return np.array([0, stored.high], stored.dtype)[bits]
