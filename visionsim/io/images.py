"""Pictures as Blender encoded them, without what Blender wrote about itself; and their pixels.

Blender stamps the date, render times and the .blend's path into each file. A dataset holds none of that: the same
frame gives the same bytes. The pixels are copied as they are; only OpenEXR's are decoded and encoded, without loss.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from visionsim.errors import DataError
from visionsim.io.exr import read_exr, read_exr_image, write_exr

__all__ = [
    "SUFFIXES",
    "Picture",
    "clean_picture",
    "encode_png",
    "picture_of",
    "read_picture",
    "read_pixels",
    "write_png",
]

SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "OPEN_EXR": ".exr"}
"""File format (Blender's name) -> suffix."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY_ALPHA_16 = bytes([16, 4])
"""Bits and colour type in a PNG's header."""
PNG_TEXT = frozenset([b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf"])
"""Chunks that say when, where and how long; all others describe pixels and colours."""


def clean_picture(source: Path, target: Path, file_format: str, exr_codec: str = "ZIP") -> int:
    """Copy a picture without its notes; returns its number of channels.

    Raises:
        DataError: `source` is not a complete file of that format.
    """
    if file_format == "OPEN_EXR":
        return _clean_exr(source, target, exr_codec)
    data = source.read_bytes()
    cleaned, channels = _clean_png(data, source) if file_format == "PNG" else _clean_jpeg(data, source)
    target.write_bytes(cleaned)
    return channels


def _clean_png(data: bytes, source: Path) -> tuple[bytes, int]:
    parts = [
        PNG_SIGNATURE,
        *(data[start:end] for kind, start, end in _png_chunks(data, source) if kind not in PNG_TEXT),
    ]
    colour_type = data[25]
    return b"".join(parts), {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}[colour_type]


def _png_chunks(data: bytes, source: Path) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk; its checksum is right."""
    if not data.startswith(PNG_SIGNATURE):
        raise DataError(f"Not a PNG file: {source}")
    view, position, kind = memoryview(data), len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise DataError(f"Truncated PNG file: {source}")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise DataError(f"Truncated PNG file: {source}")
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise DataError(f"Damaged PNG file: {source}")
        yield kind, position, end
        position = end


def _clean_jpeg(data: bytes, source: Path) -> tuple[bytes, int]:
    """Drop comments and application segments other than JFIF's (APP0) and the colour profile's (APP2)."""
    if not data.startswith(b"\xff\xd8"):
        raise DataError(f"Not a JPEG file: {source}")
    if not data.endswith(b"\xff\xd9"):
        raise DataError(f"Truncated JPEG file: {source}")
    parts, position, channels = [data[:2]], 2, 3
    while position + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == 0xFFDA:  # The pixels; nothing but them follows.
            return b"".join([*parts, data[position:]]), channels
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            channels = data[position + 9]
        if marker != 0xFFFE and (not 0xFFE1 <= marker <= 0xFFEF or marker == 0xFFE2):
            parts.append(data[position : position + 2 + length])
        position += 2 + length
    raise DataError(f"Truncated JPEG file: {source}")


def _clean_exr(source: Path, target: Path, codec: str) -> int:
    channels = read_exr(source)
    write_exr(target, channels, codec)
    return len(channels)


@dataclass(frozen=True)
class Picture:
    """A decoded picture."""

    pixels: Any
    """(H, W, C): uint8 of PNG and JPEG (the upper half of 16 bits), float of OPEN_EXR."""
    channels: int
    bit_depth: int
    """Bits per channel in the file."""


def read_picture(path: Path) -> Picture:
    """Decode a picture of any of our formats, known by its suffix.

    Raises:
        DataError: it is damaged, truncated or of another format.
    """
    return picture_of(read_pixels(path))


def picture_of(pixels: Any) -> Picture:
    """The picture that pixels (H, W, C) of any of our formats are."""
    bit_depth = 8 * pixels.dtype.itemsize
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return Picture(pixels, pixels.shape[2], bit_depth)


def read_pixels(path: Path) -> Any:
    """(H, W, C): the pixels as the file has them: uint8 or uint16 of PNG, uint8 of JPEG, float of OPEN_EXR.

    Raises:
        DataError: it is damaged, truncated or of another format.
    """
    if path.suffix == ".exr":
        pixels = read_exr_image(path)
        return pixels.reshape(*pixels.shape[:2], -1)
    data = path.read_bytes()
    # Pillow checks neither every chunk of a PNG nor whether a JPEG ends as it should.
    is_png = path.suffix == ".png"
    if is_png:
        deque(_png_chunks(data, path), maxlen=0)
    else:
        _clean_jpeg(data, path)
    two = is_png and data[24:26] == GREY_ALPHA_16
    if two:
        data = relabelled(data)
    # Not Image.open: that takes pictures of more than 90 megapixels for attacks; we may well have rendered them.
    open_image = PngImageFile if is_png else JpegImageFile
    try:
        with open_image(io.BytesIO(data)) as image:
            pixels = np.array(image)
        if is_png and data[24] == 16 and pixels.dtype == np.uint8:
            # Of 16 bits it keeps the upper eight. Told that bytes come in the other order, it keeps the lower ones.
            with open_image(io.BytesIO(data)) as image:
                image.tile = [tile._replace(args=f"{image.mode};16L") for tile in image.tile]
                pixels = pixels.astype(np.uint16) << 8 | np.asarray(image)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as exc:
        raise DataError(f"Damaged picture ({exc}): {path}") from exc
    if two:
        pixels = pixels.view(">u2").astype(np.uint16)
    return pixels.reshape(*pixels.shape[:2], -1)


def relabelled(data: bytes) -> bytes:
    """A PNG of grey and alpha in 16 bits, which Pillow cannot read whole, as one of RGBA in 8: the same four bytes."""
    header = b"IHDR" + data[16:24] + bytes([8, 6]) + data[26:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def write_png(path: Path, pixels: Any) -> None:
    """Write (H, W) or (H, W, C) of uint8 or uint16 as PNG, without loss; written in place, see `files.whole_file`.

    One channel is grey, two grey and alpha, three RGB, four RGBA.
    """
    path.write_bytes(encode_png(pixels))


def encode_png(pixels: Any) -> bytes:
    """A PNG file, see `write_png`."""
    if pixels.dtype == np.uint8:
        stream = io.BytesIO()
        image = Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
        image.save(stream, "PNG")
        return stream.getvalue()
    # Pillow writes 16 bits of grey only.
    rows = pixels.astype(">u2").reshape(pixels.shape[0], -1).view(np.uint8)
    # Each row less the one above: filter 2 of PNG.
    rows = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    data = np.concatenate([np.full((len(rows), 1), 2, np.uint8), rows], axis=1)
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[1 if pixels.ndim == 2 else pixels.shape[2]]
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour_type, 0, 0, 0)
    parts = [PNG_SIGNATURE]
    for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(data.tobytes())), (b"IEND", b"")):
        parts += [struct.pack(">I", len(content)), kind, content, struct.pack(">I", zlib.crc32(kind + content))]
    return b"".join(parts)
