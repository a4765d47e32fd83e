from __future__ import annotations

import numpy as np
import pytest

from tests import synthetic
from visionsim.colorize import colorize_depth, colorize_flow, colorize_ids
from visionsim.dataset.reader import Dataset
from visionsim.preview.colours import Ranges, paint, rgb_of_picture
from visionsim.preview.legends import Named, caption, legend, number, placeholder, words
from visionsim.preview.survey import evenly, largest, ranges_of, survey


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return Dataset.from_path(synthetic.write_dataset(tmp_path_factory.mktemp("colours") / "balls"))


def test_picture_of_every_form_has_the_colours_that_people_see() -> None:
    grey = np.array([[[128], [0], [255]]], np.uint8)
    assert rgb_of_picture(grey).tolist() == [[[128] * 3, [0] * 3, [255] * 3]]
    rgb = np.array([[[10, 20, 30], [255, 0, 128]]], np.uint8)
    assert np.array_equal(rgb_of_picture(rgb), rgb)
    assert np.array_equal(rgb_of_picture(rgb.astype(np.uint16) * 257), rgb)
    half = np.array([[[200, 100, 50, 128]]], np.uint8)  # Straight alpha, before black.
    assert rgb_of_picture(half)[0, 0] == pytest.approx([100, 50, 25], abs=1)
    assert rgb_of_picture(np.array([[[200, 128]]], np.uint8))[0, 0] == pytest.approx([100] * 3, abs=1)


def test_linear_picture_is_encoded() -> None:
    linear = np.array([[[0.0, 0.5, 1.0], [0.0031308, 4.0, -1.0], [np.nan, np.inf, 0.18]]], np.float32)
    expected = [[[0, 188, 255], [10, 255, 0], [0, 255, 118]]]
    for dtype in (np.float32, np.float16):
        assert np.abs(rgb_of_picture(linear.astype(dtype)).astype(int) - expected).max() <= 1


def test_ranges_are_percentiles_of_the_whole_sequence(dataset) -> None:
    found = survey(dataset, dataset.kinds)
    depths = np.concatenate([s.depth[np.isfinite(s.depth)] for s in dataset])
    assert (found.ranges.near, found.ranges.far) == pytest.approx(np.percentile(depths, [2, 98]), rel=0.01)
    lengths = np.concatenate([np.hypot(*np.moveaxis(s.forward_flow, -1, 0)).ravel() for s in dataset])
    assert found.ranges.longest == pytest.approx(np.percentile(lengths[lengths > 0], 99), rel=0.01)
    assert survey(dataset, dataset.kinds, threads=3) == found
    backward = survey(dataset, dataset.kinds, "backward").ranges.longest
    assert backward != found.ranges.longest and backward == pytest.approx(found.ranges.longest, rel=0.2)


def test_equal_values_have_equal_colours_in_all_frames(dataset) -> None:
    ranges = Ranges(2.0, 8.0, 3.0)
    near, far = np.full((4, 4), 3.0, np.float32), np.full((4, 4), 3.0, np.float32)
    far[0] = 100.0  # Another frame, with other extremes.
    assert np.array_equal(paint("depths", near, ranges)[2], paint("depths", far, ranges)[2])
    assert not np.array_equal(colorize_depth(near)[2], colorize_depth(far)[2])
    flow = np.zeros((2, 2, 4), np.float32)
    flow[..., 0], flow[..., 3] = 3.0, -6.0
    assert paint("flows", flow, ranges)[0, 0].tolist() == [255, 0, 0]  # To the right, as long as can be.
    assert np.array_equal(paint("flows", flow, ranges, "backward"), colorize_flow(flow[..., 2:], 3.0))


def test_ranges_of_nothing_are_harmless() -> None:
    assert ranges_of([], "forward") == Ranges()
    sky = {"depths": np.full((3, 3), np.inf, np.float32), "flows": np.zeros((3, 3, 4), np.float32)}
    ranges = ranges_of([sky], "forward")
    assert ranges == Ranges() and not paint("depths", sky["depths"], ranges).any()
    flat = ranges_of([{"depths": np.full((3, 3), 2.0, np.float32)}], "forward")
    assert flat.near == flat.far == 2.0 and paint("depths", np.full((3, 3), 2.0, np.float32), flat).any()
    assert ranges_of([{"depths": np.zeros((3, 3), np.float32)}], "forward").near > 0


def test_histograms_and_shares_are_those_of_the_pixels(dataset) -> None:
    found = survey(dataset, dataset.kinds)
    hit = sum(int(np.isfinite(s.depth).sum()) for s in dataset)
    assert found.depth is not None and sum(found.depth.counts) == hit
    assert found.flow is not None and found.flow.edges[0] == 0
    assert sum(found.pixels.values()) == pytest.approx(1.0) and next(iter(found.pixels)) == 1
    share = np.mean([np.mean(s.instance_ids == 4) for s in dataset])
    assert found.pixels[4] == pytest.approx(share)
    assert [named.text for named in largest(found.pixels, dataset.labels, 2)] == ["Floor", "Wall"]


def test_colours_of_ids_are_those_of_single_ids() -> None:
    ids = np.array([[0, 1, 2], [70_000, 5, 2]], np.uint32)
    each = [[colorize_ids(np.array([one], np.uint32))[0].tolist() for one in row] for row in ids]
    assert colorize_ids(ids).tolist() == each and len({tuple(c) for row in each for c in row}) == 5
    assert colorize_ids(ids[:1]).tolist() == each[:1]


def test_evenly_spread_frames_have_both_ends() -> None:
    assert evenly(3, 5) == [0, 1, 2] and evenly(100, 5) == [0, 25, 50, 74, 99] and evenly(0, 5) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12.345, "12.3"), (0.98765, "0.988"), (1234.5, "1234"), (2.0, "2"), (1e9, "1e+09"), (1e-5, "1e-05")],
)
def test_numbers_are_short(value, text) -> None:
    assert number(value) == text


def test_words_are_one_short_line() -> None:
    assert words("a\n b\tc\x1b[31m") == "a b c [31m"
    assert words("x" * 100) == "x" * 22 + ".."


def test_legends_say_where_they_are_and_fit_small_pictures() -> None:
    names = [Named(1, "Floor"), Named(2, "<b>\nWall" * 20)]
    for kind in ("depths", "normals", "segmentations", "flows"):
        overlay = legend(kind, Ranges(0.5, 12.0, 3.0), names, 12)
        assert overlay is not None
        picture = np.full((200, 300, 3), 90, np.uint8)
        changed = np.any(overlay.over(picture.copy()) != picture, axis=-1)
        assert changed.any() and not changed[:90].any()  # In a lower corner.
        assert overlay.over(np.zeros((8, 10, 3), np.uint8)).shape == (8, 10, 3)
    assert legend("frames", Ranges(), names, 12) is None and legend("segmentations", Ranges(), [], 12) is None
    assert caption("", 12).over(np.zeros((4, 4, 3), np.uint8)).shape == (4, 4, 3)


def test_legend_of_flow_has_its_colours() -> None:
    """Right is red: the rim of the wheel on the right side."""
    overlay = legend("flows", Ranges(), [], 20)
    assert overlay is not None
    wheel = overlay.rgba[20 * 2 // 3 : 20 * 2 // 3 + 80]  # Its middle row is 40 below its top.
    row = wheel[40, :, :3].astype(int)
    reds = np.flatnonzero((row[:, 0] > 230) & (row[:, 1] < 60) & (row[:, 2] < 60))
    assert len(reds) and reds.min() > overlay.rgba.shape[1] / 2


def test_placeholder_cannot_be_taken_for_data() -> None:
    picture = placeholder(160, 100, "frame 7: depth cannot be read")
    assert picture.shape == (100, 160, 3) and len(np.unique(picture.reshape(-1, 3), axis=0)) > 2
    assert placeholder(3, 2, "frame 7").shape == (2, 3, 3)
