"""Pictures, depth, poses and parts, as the exporters of geometry have them in common."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests import synthetic
from visionsim.color import srgb_from_linear
from visionsim.dataset.reader import Dataset
from visionsim.errors import ConfigError
from visionsim.exports.geometry import DepthFiles, Parts, Pictures, Work, eight_bit, opencv_c2w, quaternion
from visionsim.exports.nerfstudio import export_nerfstudio
from visionsim.io.exr import write_exr
from visionsim.io.images import read_pixels, write_png


def work_on(folder: Path, **options) -> Work:
    dataset = Dataset.from_path(synthetic.write_dataset(folder, num_frames=1, kinds=(), **options))
    return Work("tested", dataset, folder, 1, lambda done, total: None)


def with_picture(folder: Path, suffix: str, write) -> Dataset:
    """A dataset of one frame whose picture `write` writes."""
    synthetic.write_dataset(folder, num_frames=1, kinds=())
    old = folder / "frames/frame_000005.png"
    old.unlink()
    write(old.with_suffix(suffix))
    path = folder / "transforms.json"
    document = json.loads(path.read_text())
    document["frames"][0]["file_path"] = f"frames/frame_000005{suffix}"
    path.write_text(json.dumps(document))
    return Dataset.from_path(folder)


def exported(dataset: Dataset, target: Path, **options) -> tuple[Path, list[str]]:
    """The picture that is written, and what is said of it."""
    work = Work("tested", dataset, target, 1, lambda done, total: None)
    path = Pictures(work, link=False, **options).save(dataset[0], target / "0.200000")
    return path, work.report.notes


SIZE = (synthetic.HEIGHT, synthetic.WIDTH)
RNG = np.random.default_rng(3)


def test_picture_that_will_do_is_copied_or_linked(tmp_path) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "ds", num_frames=1, kinds=()))
    source = dataset[0].path("frames")
    for link in (False, True, True, False):
        export_nerfstudio(dataset, tmp_path / "out", depth="none", link=link)
        (copied,) = (tmp_path / "out/ds/images").iterdir()
        assert copied.name == "frame_000005.png"
        assert copied.read_bytes() == source.read_bytes()
        assert os.path.samefile(copied, source) == link


def test_link_that_cannot_be_is_a_copy_and_told(tmp_path, monkeypatch) -> None:
    def refuse(source, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "ds", num_frames=1, kinds=()))
    report = export_nerfstudio(dataset, tmp_path / "out", depth="none", link=True)
    assert report.notes == ["Pictures are copied: hard links cannot be made there (Invalid cross-device link)."]
    assert (tmp_path / "out/ds/images/frame_000005.png").exists()


def test_jpeg_is_kept_where_it_is_known_and_else_becomes_png(tmp_path) -> None:
    dataset = with_picture(tmp_path / "ds", ".jpg", lambda path: Image.new("RGB", SIZE[::-1], (9, 90, 200)).save(path))
    kept, _ = exported(dataset, tmp_path / "kept", suffixes=(".png", ".jpg"))
    made, _ = exported(dataset, tmp_path / "made")
    assert (kept.name, made.name) == ("0.200000.jpg", "0.200000.png")
    assert np.array_equal(read_pixels(made), dataset[0].picture)


def test_sixteen_bits_become_eight(tmp_path) -> None:
    pixels = RNG.integers(0, 2**16, (*SIZE, 3), dtype=np.uint16)
    pixels[0, :3, 0] = 0, 65535, 32896
    path, notes = exported(with_picture(tmp_path / "ds", ".png", lambda path: write_png(path, pixels)), tmp_path)
    found = read_pixels(path)
    assert found.dtype == np.uint8 and np.array_equal(found, np.rint(pixels / 257).astype(np.uint8))
    assert list(found[0, :3, 0]) == [0, 255, 128] and "16 bits" in notes[0]


def test_linear_becomes_srgb_with_straight_alpha(tmp_path) -> None:
    linear, cover = np.full(SIZE, 0.5, np.float32), np.full(SIZE, 0.5, np.float32)
    linear[0, 0], linear[0, 1], linear[0, 2] = np.nan, np.inf, 0.1
    channels = {"R": linear, "G": linear / 2, "B": np.zeros_like(linear), "A": cover}
    dataset = with_picture(tmp_path / "ds", ".exr", lambda path: write_exr(path, channels))
    path, notes = exported(dataset, tmp_path / "with")
    assert "without the scene's view transform" in notes[0]
    # 0.5 over alpha 0.5 is 1; the half of it is 0.5, whose sRGB value is 188.
    assert list(read_pixels(path)[5, 5]) == [255, 188, 0, 128]
    assert list(read_pixels(path)[0, :3, 0]) == [0, 255, 124]
    path, _ = exported(dataset, tmp_path / "without", channels=(3,))
    assert list(read_pixels(path)[5, 5]) == [188, 137, 0]


def test_grey_and_alpha_of_eight_bits() -> None:
    grey = np.array([[[100, 51]]], np.uint8)
    assert eight_bit(grey[..., :1]).tolist() == [[[100, 100, 100]]]
    assert eight_bit(grey).tolist() == [[[100, 100, 100, 51]]]
    assert eight_bit(grey, alpha=False).tolist() == [[[20, 20, 20]]]


def test_srgb_at_known_values() -> None:
    assert srgb_from_linear(np.array([-1, 0, 0.0031308, 0.2140411, 1, 2])) == pytest.approx(
        [0, 0, 0.04045, 0.5, 1, 1], abs=1e-5
    )


def test_depth_is_rounded_and_has_an_end(tmp_path) -> None:
    work = work_on(tmp_path / "ds")
    files = DepthFiles(work, factor=1000, scale=2, advice="do something")
    files.save_png(np.array([[0.00074, 1.00026, 32.7675, 32.768, np.inf]], np.float32), tmp_path / "a/depth.png")
    assert read_pixels(tmp_path / "a/depth.png")[..., 0].tolist() == [[1, 2001, 65535, 0, 0]]
    files.tell()
    assert work.report.notes == [
        "1 pixels are farther than the 65.535 units that 16 bits hold (up to 65.536), and are marked as without depth: "
        "do something."
    ]
    for factor, scale in ((0, 1), (1, -1), (float("nan"), 1)):
        with pytest.raises(ConfigError, match="must be positive"):
            DepthFiles(work, factor=factor, scale=scale, advice="")


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 1e-3))
def test_quaternion_is_that_of_the_rotation(values) -> None:
    w, x, y, z = np.array(values) / np.linalg.norm(values)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    found = quaternion(rotation)
    assert found[0] >= 0 and abs(abs(found @ [w, x, y, z]) - 1) < 1e-12


def test_opencv_axes() -> None:
    c2w = np.eye(4)
    c2w[:3, 3] = 1, 2, 3
    assert opencv_c2w(c2w).tolist() == [[1, 0, 0, 1], [0, -1, 0, 2], [0, 0, -1, 3], [0, 0, 0, 1]]


@given(st.integers(1, 300), st.floats(0, 0.45), st.floats(0, 0.45))
def test_parts_are_as_large_as_asked_and_even(count, val, test) -> None:
    parts = Parts(val, test).of("any", count)
    assert len(parts) == count and "train" in parts
    for part, share in (("val", val), ("test", test)):
        assert abs(parts.count(part) - share * count) <= (1 if count >= 3 else 2)
        assert count < 3 or (part in parts) == (share > 0)
    where = np.flatnonzero(np.array(parts) == "test")
    if len(where) > 1:
        assert np.ptp(np.diff(where)) <= 1


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.1), (0.5, 0.5), (0, float("nan"))])
def test_parts_that_cannot_be(val, test) -> None:
    with pytest.raises(ConfigError, match="leave some for training"):
        Parts(val, test)
