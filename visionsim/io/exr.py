"""Named EXR channels <-> arrays, lossless, with nothing in the header that differs from run to run."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR

from visionsim.errors import DataError, ShapeError

__all__ = ["read_exr", "read_exr_image", "read_passes", "write_exr"]

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
        OSError: the file cannot be written.
    """
    if len({array.shape for array in channels.values()}) != 1:
        sizes = {name: array.shape for name, array in channels.items()}
        raise ShapeError(f"channels of one EXR file must have one size, not {sizes}")
    header = {"compression": CODECS[codec], "type": OpenEXR.scanlineimage}
    data = {name: np.ascontiguousarray(array) for name, array in channels.items()}
    try:
        with OpenEXR.File(header, data) as file:
            file.write(str(path))
    except RuntimeError as exc:  # The library keeps the system's words, but not its number.
        code = next((code for code in errno.errorcode if os.strerror(code) in str(exc)), errno.EIO)
        raise OSError(code, os.strerror(code), str(path)) from exc


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


def read_exr_image(path: Path, channels: str | None = None) -> Any:
    """All channels of a single-part file in one array: (H, W) of one channel, (H, W, C) of several in their order.

    Args:
        path: the file.
        channels: those it must have, such as "Y" or "RGBA"; None is any that make one image.
    Raises:
        DataError: not an EXR file, damaged, or with other channels.
    """
    found = {name: pixels for (_, name), pixels in _read(path, separate=False).items()}
    if len(found) != 1 or channels not in (None, *found):
        wanted = "that are one image" if channels is None else channels
        raise DataError(f"The EXR file has channels {', '.join(found)}, not {wanted}: {path}")
    (image,) = found.values()
    return image


def _read(path: Path, *, separate: bool = True) -> dict[tuple[str, str], Any]:
    try:
        # Parts that it cannot read the library leaves out, and prints why.
        with _listening() as complaints, OpenEXR.File(str(path), separate_channels=separate) as file:
            found = {
                (part.name(), name): channel.pixels for part in file.parts for name, channel in part.channels.items()
            }
        if complaints or not found:
            raise ValueError("".join(complaints))
        return found
    except (RuntimeError, ValueError) as exc:
        raise DataError(f"Not a readable EXR file ({str(exc).strip() or 'unknown reason'}): {path}") from exc


class _Ear:
    """Stands in for sys.stdout, where a JSON document may have to be all there is, while EXR files are read.

    What a thread that reads prints is kept for it. contextlib.redirect_stdout is for one thread at a time.
    """

    def __init__(self, stdout: Any) -> None:
        self.stdout = stdout

    def write(self, text: str) -> int:
        complaints: list[str] | None = getattr(_heard, "complaints", None)
        if complaints is None:
            return int(self.stdout.write(text))
        complaints.append(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stdout, name)


_heard = threading.local()
_lock = threading.Lock()
_listeners = 0


@contextlib.contextmanager
def _listening() -> Iterator[list[str]]:
    """What this thread prints meanwhile."""
    global _listeners
    with _lock:
        if not isinstance(sys.stdout, _Ear):
            sys.stdout = _Ear(sys.stdout)
        _listeners += 1
    _heard.complaints = []
    try:
        yield _heard.complaints
    finally:
        _heard.complaints = None
        with _lock:
            _listeners -= 1
            if not _listeners and isinstance(sys.stdout, _Ear):
                sys.stdout = sys.stdout.stdout


def _forget_listeners() -> None:
    """In a forked process, whose only thread is the one that forked: no other will let go of what it held."""
    global _lock, _listeners
    _lock, _listeners = threading.Lock(), 0
    if isinstance(sys.stdout, _Ear):
        sys.stdout = sys.stdout.stdout


os.register_at_fork(after_in_child=_forget_listeners)
