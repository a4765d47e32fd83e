"""EXR files keep every bit, are the same bytes each time, and tell when they are damaged."""

from __future__ import annotations

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import OpenEXR
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from visionsim.errors import DataError, ShapeError
from visionsim.io.exr import CODECS, read_exr, read_passes, write_exr
from visionsim.simulation.config import ExrCodec

BITS = {np.float32: np.uint32, np.float16: np.uint16, np.uint32: np.uint32}

SPECIAL = {
    np.float32: [0.0, -0.0, np.inf, -np.inf, 1e-45, -1e-45, 1.1754942e-38, 3.4028235e38, 1 / 3, 1e10],
    np.float16: [0.0, -0.0, np.inf, -np.inf, 6e-8, -6e-8, 6.1e-5, 65504.0, 1 / 3, 1e3],
    np.uint32: [0, 1, 255, 256, 65535, 65536, 2**24 + 1, 2**31, 2**32 - 2, 2**32 - 1],
}


def same_bits(first: np.ndarray, second: np.ndarray) -> bool:
    """Tells -0.0 from 0.0, and compares NaN by its bits."""
    bits = BITS[first.dtype.type]
    return first.dtype == second.dtype and np.array_equal(first.view(bits), second.view(bits))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.exr"


def test_codecs_are_those_of_the_option():
    assert set(CODECS) == set(ExrCodec.__args__)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", BITS)
def test_special_values_survive_every_codec(path, codec, dtype):
    pixels = np.array(SPECIAL[dtype], dtype).reshape(2, 5)
    write_exr(path, {"Y": pixels}, codec)
    assert same_bits(read_exr(path)["Y"], pixels)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_nan_survives_every_codec(path, codec, dtype):
    write_exr(path, {"Y": np.full((3, 4), np.nan, dtype)}, codec)
    assert np.isnan(read_exr(path)["Y"]).all()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), codec=st.sampled_from(list(CODECS)), dtype=st.sampled_from(list(BITS)))
def test_any_bits_survive_the_round_trip(tmp_path_factory, data, codec, dtype):
    path = tmp_path_factory.getbasetemp() / "any.exr"
    shape = data.draw(nps.array_shapes(min_dims=2, max_dims=2, max_side=40))
    bits = data.draw(nps.arrays(BITS[dtype], shape))
    pixels = bits.view(dtype)
    write_exr(path, {"Y": pixels}, codec)
    assert same_bits(read_exr(path)["Y"], pixels)


@pytest.mark.parametrize("codec", CODECS)
def test_noise_in_several_channels_survives(path, codec):
    rng = np.random.default_rng(7)
    channels = {name: rng.standard_normal((67, 131), np.float32) for name in "RGBA"}
    write_exr(path, channels, codec)
    found = read_exr(path)
    assert set(found) == set(channels)
    assert all(same_bits(found[name], channels[name]) for name in channels)


def test_channels_of_different_types_live_in_one_file(path):
    channels = {"Z": np.ones((2, 3), np.float32), "id": np.full((2, 3), 7, np.uint32)}
    write_exr(path, channels)
    found = read_exr(path)
    assert all(same_bits(found[name], channels[name]) for name in channels)


def test_arrays_that_are_not_contiguous_are_written_as_they_look(path):
    pixels = np.arange(24, dtype=np.float32).reshape(4, 6)
    flipped = pixels[::-1, ::2]
    write_exr(path, {"Y": flipped})
    assert np.array_equal(read_exr(path)["Y"], flipped)


def test_first_row_is_the_top_of_the_picture(path):
    # As another reader sees it: OpenEXR's scan lines are stored top first.
    pixels = np.array([[1, 1], [2, 2], [3, 3]], np.float32)
    write_exr(path, {"Y": pixels})
    with OpenEXR.File(str(path)) as file:
        assert file.channels()["Y"].pixels[:, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_pixels_give_the_same_bytes(tmp_path, codec):
    pixels = np.random.default_rng(3).standard_normal((40, 50), np.float32)
    written = []
    for name in ("a.exr", "b.exr"):
        write_exr(tmp_path / name, {"R": pixels, "G": pixels + 1}, codec)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]


def test_bytes_do_not_depend_on_the_order_of_channels(tmp_path):
    pixels = np.zeros((4, 4), np.float32)
    write_exr(tmp_path / "a.exr", {"R": pixels, "G": pixels})
    write_exr(tmp_path / "b.exr", {"G": pixels, "R": pixels})
    assert (tmp_path / "a.exr").read_bytes() == (tmp_path / "b.exr").read_bytes()


def test_header_tells_nothing_but_the_pixels(path):
    write_exr(path, {"Y": np.zeros((4, 4), np.float32)})
    with OpenEXR.File(str(path)) as file:
        names = set(file.header())
    assert not names & {"capDate", "owner", "comments", "File", "Date", "Time", "RenderTime", "Software"}


def test_channels_of_different_sizes_are_refused(path):
    with pytest.raises(ShapeError, match="one size"):
        write_exr(path, {"R": np.zeros((2, 2), np.float32), "G": np.zeros((2, 3), np.float32)})
    assert not path.exists()


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(1000)])
def test_file_that_is_no_exr_is_an_error(path, data):
    path.write_bytes(data)
    with pytest.raises(DataError, match="EXR"):
        read_exr(path)


# Blender's multilayer files.

LAYER = {
    "Layer.Depth.V": 1.0,
    "Layer.Normal.X": 2.0, "Layer.Normal.Y": 3.0, "Layer.Normal.Z": 4.0,
    "Layer.Vector.X": 5.0, "Layer.Vector.Y": 6.0, "Layer.Vector.Z": 7.0, "Layer.Vector.W": 8.0,
    "Other.Depth.V": 9.0,
}  # fmt: skip


def flat(value: float) -> np.ndarray:
    return np.full((2, 3), value, np.float32)


def test_read_passes_of_one_part(path):
    write_exr(path, {name: flat(value) for name, value in LAYER.items()})
    passes = read_passes(path, "Layer")
    assert {name: pixels[0, 0].tolist() for name, pixels in passes.items()} == {
        "Depth": [1], "Normal": [2, 3, 4], "Vector": [5, 6, 7, 8],
    }  # fmt: skip
    assert all(pixels.dtype == np.float32 and pixels.shape[:2] == (2, 3) for pixels in passes.values())


def test_read_passes_of_several_parts(path):
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, value in LAYER.items():
        part, channel = name.rsplit(".", 1)
        parts.setdefault(part, {})[channel] = flat(value)
    written = [
        OpenEXR.Part({"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, channels, name)
        for name, channels in parts.items()
    ]
    OpenEXR.File(written).write(str(path))
    passes = read_passes(path, "Layer")
    assert {name: pixels[0, 0].tolist() for name, pixels in passes.items()} == {
        "Depth": [1], "Normal": [2, 3, 4], "Vector": [5, 6, 7, 8],
    }  # fmt: skip


def test_read_passes_with_dots_in_the_layers_name(path):
    write_exr(path, {"View.Layer.001.Depth.V": flat(1.0)})
    assert read_passes(path, "View.Layer.001")["Depth"][0, 0].tolist() == [1]


@pytest.mark.parametrize("codec", CODECS)
def test_truncated_file_is_an_error_at_every_length(path, codec):
    rng = np.random.default_rng(5)
    write_exr(path, {"Y": rng.standard_normal((33, 20), np.float32)}, codec)
    data = path.read_bytes()
    for length in [0, 1, 4, 100, len(data) // 2, len(data) - 100, len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(DataError) as caught:
            read_exr(path)
        assert str(path) in str(caught.value)


def test_damaged_pixels_of_a_compressed_file_are_an_error(path):
    write_exr(path, {"Y": np.tile(np.arange(64, dtype=np.float32), (64, 1))}, "ZIP")
    data = bytearray(path.read_bytes())
    data[-30] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError):
        read_exr(path)


def test_reading_a_damaged_file_leaves_stdout_alone(path, capsys):
    # Commands with --json have one document there and nothing else; the library prints its complaints.
    write_exr(path, {"Y": np.zeros((40, 40), np.float32)})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError):
        read_exr(path)
    assert capsys.readouterr().out == ""


def test_reading_in_threads_leaves_stdout_and_warning_filters_as_they_were(tmp_path):
    write_exr(tmp_path / "a.exr", {"Y": np.random.default_rng(1).standard_normal((300, 300), np.float32)})
    before = sys.stdout, list(warnings.filters)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(read_exr, [tmp_path / "a.exr"] * 100))
    assert (sys.stdout, list(warnings.filters)) == before


def test_file_that_lost_one_of_its_parts_is_an_error(path):
    parts = [
        OpenEXR.Part({"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, {"V": flat(1.0)}, name)
        for name in ("Layer.Depth", "Layer.IndexOB")
    ]
    OpenEXR.File(parts).write(str(path))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError):
        read_passes(path, "Layer")
