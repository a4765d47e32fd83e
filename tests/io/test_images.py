"""Pictures lose what Blender wrote about itself, and nothing else."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from visionsim.errors import DataError
from visionsim.io.exr import read_exr, write_exr
from visionsim.io.images import SUFFIXES, clean_picture, read_pixels, write_png
from visionsim.simulation.config import BIT_DEPTHS

MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def noise(mode: str, height: int = 24, width: int = 32) -> Image.Image:
    rng = np.random.default_rng(11)
    return Image.fromarray(rng.integers(0, 256, (height, width, MODES[mode]), np.uint8).squeeze(), mode=None)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(mode: str = "RGB", note: str = "2024/01/01 12:00:00") -> bytes:
    """With all that Blender writes into a PNG, and then some."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Date", note)
    info.add_text("RenderTime", note, zip=True)
    info.add_itxt("File", f"/somewhere/{note}.blend")
    stream = io.BytesIO()
    noise(mode).save(stream, "PNG", pnginfo=info, dpi=(72, 72))
    data = stream.getvalue()
    # tIME must be somewhere between the header and the end; Pillow does not write it.
    return data[:33] + png_chunk(b"tIME", bytes(7)) + png_chunk(b"gAMA", struct.pack(">I", 45455)) + data[33:]


def png_kinds(data: bytes) -> list[bytes]:
    kinds, position = [], 8
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        kinds.append(kind)
        position += 12 + length
    return kinds


def jpeg(mode: str = "RGB", note: str = "2024/01/01", **options) -> bytes:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = note
    noise(mode).save(stream, "JPEG", quality=90, comment=note.encode(), exif=exif, icc_profile=b"profile", **options)
    return stream.getvalue()


@pytest.fixture
def clean(tmp_path):
    """(data, format) -> (cleaned data, channels)."""

    def run(data: bytes, file_format: str) -> tuple[bytes, int]:
        (tmp_path / "source").write_bytes(data)
        channels = clean_picture(tmp_path / "source", tmp_path / "target", file_format)
        return (tmp_path / "target").read_bytes(), channels

    return run


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_every_file_format_has_a_suffix():
    assert set(SUFFIXES) == set(BIT_DEPTHS)


# PNG.


@pytest.mark.parametrize("mode", MODES)
def test_png_keeps_its_pixels_and_tells_its_channels(clean, mode):
    data = png(mode)
    cleaned, channels = clean(data, "PNG")
    assert np.array_equal(pixels(cleaned), pixels(data))
    assert channels == MODES[mode]


def test_png_of_16_bits_keeps_its_pixels(clean):
    stream = io.BytesIO()
    values = np.random.default_rng(2).integers(0, 65536, (20, 30), np.uint16)
    Image.fromarray(values).save(stream, "PNG")
    cleaned, channels = clean(stream.getvalue(), "PNG")
    assert np.array_equal(pixels(cleaned), values)
    assert channels == 1


def test_png_loses_its_notes_and_keeps_what_describes_colours(clean):
    assert {b"tEXt", b"zTXt", b"iTXt", b"tIME"} <= set(png_kinds(png()))
    cleaned, _ = clean(png(), "PNG")
    kinds = png_kinds(cleaned)
    assert not {b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf"} & set(kinds)
    assert {b"gAMA", b"pHYs"} <= set(kinds)
    assert kinds[0] == b"IHDR" and kinds[-1] == b"IEND"


def test_png_with_other_notes_gives_the_same_bytes(clean):
    assert clean(png(note="yesterday"), "PNG") == clean(png(note="today, at length"), "PNG")


def test_png_that_is_clean_stays_as_it_is(clean):
    cleaned, _ = clean(png(), "PNG")
    assert clean(cleaned, "PNG")[0] == cleaned


def test_png_loses_what_follows_its_end(clean):
    assert clean(png() + b"rubbish", "PNG") == clean(png(), "PNG")


def test_truncated_png_is_an_error_at_every_length(clean, tmp_path):
    data = png()
    for length in [*range(200), *range(200, len(data), 97), *range(len(data) - 30, len(data))]:
        with pytest.raises(DataError, match="PNG"):
            clean(data[:length], "PNG")
        assert not (tmp_path / "target").exists()


# JPEG.


@pytest.mark.parametrize(("mode", "expected"), [("L", 1), ("RGB", 3)])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_keeps_its_pixels_and_tells_its_channels(clean, mode, expected, progressive):
    data = jpeg(mode, progressive=progressive)
    cleaned, channels = clean(data, "JPEG")
    assert np.array_equal(pixels(cleaned), pixels(data))
    assert channels == expected


def test_jpeg_loses_its_notes_and_keeps_its_profile(clean):
    data = jpeg(note="2024/01/01 in my room")
    assert data.count(b"2024/01/01 in my room") == 2
    cleaned, _ = clean(data, "JPEG")
    assert b"2024" not in cleaned and b"Exif" not in cleaned
    with Image.open(io.BytesIO(cleaned)) as image:
        assert image.info["icc_profile"] == b"profile"


def test_jpeg_with_other_notes_gives_the_same_bytes(clean):
    assert clean(jpeg(note="yesterday"), "JPEG") == clean(jpeg(note="today, at length"), "JPEG")


def test_jpeg_that_is_clean_stays_as_it_is(clean):
    cleaned, _ = clean(jpeg(), "JPEG")
    assert clean(cleaned, "JPEG")[0] == cleaned


@pytest.mark.parametrize("length", [0, 1, 2, 3, 10, 20, 100])
def test_jpeg_without_its_pixels_is_an_error(clean, tmp_path, length):
    with pytest.raises(DataError, match="JPEG"):
        clean(jpeg()[:length], "JPEG")
    assert not (tmp_path / "target").exists()


# EXR.


def test_exr_keeps_its_pixels_and_tells_its_channels(clean, tmp_path):
    rng = np.random.default_rng(4)
    channels = {name: rng.standard_normal((8, 9), np.float32).astype(np.float16) for name in "RGBA"}
    write_exr(tmp_path / "a.exr", channels, "PIZ")
    cleaned, count = clean((tmp_path / "a.exr").read_bytes(), "OPEN_EXR")
    (tmp_path / "b.exr").write_bytes(cleaned)
    found = read_exr(tmp_path / "b.exr")
    assert count == 4
    assert all(found[name].dtype == np.float16 and np.array_equal(found[name], channels[name]) for name in channels)


def test_exr_with_other_notes_gives_the_same_bytes(clean, tmp_path):
    import OpenEXR

    results = []
    for note in ("yesterday", "today, at length"):
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, "Date": note, "File": note}
        with OpenEXR.File(header, {"Y": np.ones((4, 4), np.float32)}) as file:
            file.write(str(tmp_path / "a.exr"))
        assert note.encode() in (tmp_path / "a.exr").read_bytes()
        results.append(clean((tmp_path / "a.exr").read_bytes(), "OPEN_EXR"))
    assert results[0] == results[1]


# Whatever the format.


@pytest.mark.parametrize("file_format", SUFFIXES)
def test_file_of_another_kind_is_an_error(clean, file_format):
    others = {"PNG": jpeg(), "JPEG": png(), "OPEN_EXR": png()}
    with pytest.raises(DataError):
        clean(others[file_format], file_format)


def test_truncated_jpeg_is_an_error_at_every_length(clean):
    data = jpeg()
    for length in range(len(data)):
        with pytest.raises(DataError, match="JPEG"):
            clean(data[:length], "JPEG")


def test_damaged_png_is_an_error(clean):
    data = bytearray(png())
    data[len(data) // 2] ^= 0x10
    with pytest.raises(DataError, match="PNG"):
        clean(bytes(data), "PNG")


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_comes_back_bit_by_bit(channels, dtype, tmp_path) -> None:
    pixels = np.random.default_rng(channels).integers(0, np.iinfo(dtype).max, (19, 23, channels), dtype, endpoint=True)
    write_png(tmp_path / "a.png", pixels)
    found = read_pixels(tmp_path / "a.png")
    assert found.dtype == dtype and np.array_equal(found, pixels)


def test_16_bits_of_colour_as_blender_writes_them(tmp_path) -> None:
    """Another encoder's rows are filtered in all five ways."""
    pixels = np.random.default_rng(1).integers(0, 65536, (40, 30, 3)).cumsum(axis=1).astype(np.uint16)
    data = png_with_filters(pixels, [0, 1, 2, 3, 4])
    (tmp_path / "a.png").write_bytes(data)
    assert np.array_equal(read_pixels(tmp_path / "a.png"), pixels)


def png_with_filters(pixels: np.ndarray, filters: list[int]) -> bytes:
    """Row by row as the PNG specification says it (section 9), slowly."""
    rows = pixels.astype(">u2").reshape(len(pixels), -1).view(np.uint8).astype(int)
    size, above, lines = 2 * pixels.shape[2], np.zeros(rows.shape[1], int), []
    for number, row in enumerate(rows):
        left, corner = (np.concatenate([np.zeros(size, int), of[:-size]]) for of in (row, above))
        guess = left + above - corner
        distances = np.abs(np.stack([guess - left, guess - above, guess - corner]))
        paeth = np.stack([left, above, corner])[np.argmin(distances, axis=0), np.arange(len(row))]
        kind = filters[number % len(filters)]
        prediction = [0 * row, left, above, (left + above) // 2, paeth][kind]
        lines.append(bytes([kind]) + ((row - prediction) % 256).astype(np.uint8).tobytes())
        above = row
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, body) for kind, body in chunks)
