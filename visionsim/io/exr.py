"""Named EXR channels <-> arrays, lossless, with nothing in the header that differs from run to run."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR

from visionsim.errors import DataError, ShapeError

__all__ = ["read_exr", "read_passes", "write_exr"]

CODECS = {
    "NONE": OpenEXR.NO_COMPRESSION,
    "RLE": OpenEXR.RLE_COMPRESSION,
    "ZIPS": OpenEXR.ZIPS_COMPRESSION,
    "ZIP": OpenEXR.ZIP_COMPRESSION,
    "PIZ": OpenEXR.PIZ_COMPRESSION,
}
"""Lossless codecs; DWAA, DWAB, B44 and PXR24 change values."""


def write_exr(path: Path, channels: Mapping[str, Any], codec: str = "ZIP") -> None:
    """Write named channels.

    Args:
        path: where to; written in place, see `files.whole_file`.
        channels: name -> (H, W), float32, float16 or uint32, all of one size.
        codec: a key of CODECS.
    Raises:
        ShapeError: the channels differ in size.
    """
    if len({array.shape for array in channels.values()}) != 1:
        sizes = {name: array.shape for name, array in channels.items()}
        raise ShapeError(f"channels of one EXR file must have one size, not {sizes}")
    header = {"compression": CODECS[codec], "type": OpenEXR.scanlineimage}
    data = {name: np.ascontiguousarray(array) for name, array in channels.items()}
    with OpenEXR.File(header, data) as file:
        file.write(str(path))


def read_exr(path: Path) -> dict[str, Any]:
    """Channel name -> (H, W) array of a single-part file.

    Raises:
        DataError: not an EXR file, or damaged; the library only warns of a truncated one.
    """
    return {name: pixels for (_, name), pixels in _read(path).items()}


def read_passes(path: Path, layer: str | None = None) -> dict[str, Any]:
    """Blender's multilayer file: pass name -> (H, W, C) float32, top row first.

    Single-part files (`Layer.Pass.X`) and multi-part ones (part `Layer.Pass`, channels `X`) alike.
    """
    found: dict[str, dict[str, Any]] = {}
    for (part, name), pixels in _read(path).items():
        full = name if name.count(".") >= 2 else f"{part}.{name}"
        owner, kind, channel = full.rsplit(".", 2)
        if layer is None or owner == layer:
            found.setdefault(kind, {})[channel] = pixels
    order = "XYZWRGBUVA"  # Whatever else a pass has comes first, by name.
    return {
        kind: np.stack(
            [channels[c] for c in sorted(channels, key=lambda name: (order.find(name), name))], axis=-1
        ).astype(np.float32)
        for kind, channels in found.items()
    }


_LOCK = threading.Lock()


def _read(path: Path) -> dict[tuple[str, str], Any]:
    try:
        # Parts that it cannot read the library leaves out, and prints why: on our stdout, where a JSON document may
        # have to be all there is. redirect_stdout is for one thread at a time.
        complaints = io.StringIO()
        with _LOCK, contextlib.redirect_stdout(complaints), OpenEXR.File(str(path), separate_channels=True) as file:
            found = {
                (part.name(), name): channel.pixels for part in file.parts for name, channel in part.channels.items()
            }
        if complaints.getvalue() or not found:
            raise ValueError(complaints.getvalue())
        return found
    except (RuntimeError, ValueError) as exc:
        raise DataError(f"Not a readable EXR file ({str(exc).strip() or 'unknown reason'}): {path}") from exc
