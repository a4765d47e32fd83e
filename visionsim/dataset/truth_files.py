"""Files of ground truth, each in the format of its kind: OpenEXR, or PNG for one channel of 8 bits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from visionsim.dataset.kinds import KINDS
from visionsim.errors import DataError
from visionsim.io.exr import read_exr, read_exr_image, write_exr
from visionsim.io.images import read_pixels, write_png

__all__ = ["read_channels", "read_truth", "write_truth"]


def write_truth(path: Path, channels: Mapping[str, Any], codec: str) -> None:
    """Write a file of ground truth in place, see `files.whole_file`.

    Args:
        path: the file; its suffix is that of its kind.
        channels: name -> (H, W) array, named as the kind's channels.
        codec: compression of EXR files.
    """
    if path.suffix == ".png":
        (pixels,) = channels.values()
        write_png(path, np.ascontiguousarray(pixels))
    else:
        write_exr(path, channels, codec)


def read_channels(path: Path) -> dict[str, Any]:
    """Channel name -> (H, W) array of a file of ground truth; the one channel of a PNG is called Y.

    Raises:
        DataError: it is damaged, or a PNG with several channels or more than 8 bits.
    """
    return {"Y": read_grey(path)} if path.suffix == ".png" else read_exr(path)


def read_truth(path: Path, kind: str) -> Any:
    """(H, W) or (H, W, C): the values of a file of ground truth.

    Raises:
        DataError: it is damaged, or its channels are not those of the kind.
    """
    return read_grey(path) if path.suffix == ".png" else read_exr_image(path, KINDS[kind].channels)


def read_grey(path: Path) -> Any:
    """(H, W) uint8: the pixels of a grey PNG.

    Raises:
        DataError: it is damaged, or it has several channels or more than 8 bits.
    """
    pixels = read_pixels(path)
    if pixels.shape[2] != 1 or pixels.dtype != np.uint8:
        raise DataError(f"The file has {pixels.shape[2]} channels of {pixels.dtype}, not one of uint8: {path}")
    return pixels[..., 0]
