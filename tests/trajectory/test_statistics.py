"""Statistics and the picture of a path."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from visionsim.errors import ConfigError
from visionsim.trajectory.path import Trajectory
from visionsim.trajectory.picture import FIRST, LAST, PANEL, save_picture
from visionsim.trajectory.splines import look_at
from visionsim.trajectory.statistics import statistics_of


def circle() -> Trajectory:
    angles = np.radians(np.arange(0, 361, 10))
    return Trajectory.make(angles, look_at(np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1), (0, 0, 0)))


def test_statistics_of_a_circle() -> None:
    found = statistics_of(circle())
    chord = 2 * math.sin(math.radians(5))
    assert found.poses == 37 and found.duration_s == pytest.approx(2 * math.pi)
    assert found.distance == pytest.approx(36 * chord) and found.turned_rad == pytest.approx(2 * math.pi)
    assert found.speed_max == pytest.approx(found.speed_mean) and found.turn_rate_max_rad_s == pytest.approx(1.0)
    assert found.low == pytest.approx((-1, -1, 0)) and found.rests_s == 0


def test_statistics_of_a_rest_and_of_one_pose() -> None:
    still = Trajectory.make([0, 1, 3], np.tile(np.eye(4), (3, 1, 1)))
    assert (statistics_of(still).rests_s, statistics_of(still).distance) == (3.0, 0.0)
    assert statistics_of(Trajectory.make([2.0], np.eye(4)[None])).speed_mean == 0.0


def test_picture_shows_the_path_from_above_and_from_the_side(tmp_path) -> None:
    save_picture(circle(), tmp_path / "path.png")
    pixels = np.asarray(Image.open(tmp_path / "path.png").convert("RGB")).astype(int)
    assert pixels.shape == (PANEL, 2 * PANEL, 3)
    blue = (pixels[..., 2] > 200) & (pixels[..., 0] < 100)
    above, side = blue[:, :PANEL], blue[:, PANEL:]
    # A circle is as high as wide; seen from the side it is a line.
    for view, high in ((above, True), (side, False)):
        rows, columns = np.nonzero(view)
        assert np.ptp(columns) > 300 and (np.ptp(rows) > 300) == high


def test_picture_of_one_pose_and_of_no_known_kind(tmp_path) -> None:
    one = Trajectory.make([2.0], np.eye(4)[None])
    save_picture(one, tmp_path / "one.png")
    colours = set(map(tuple, np.asarray(Image.open(tmp_path / "one.png").convert("RGB")).reshape(-1, 3).tolist()))
    assert {FIRST, LAST} & {"#{:02x}{:02x}{:02x}".format(*colour) for colour in colours}
    with pytest.raises(ConfigError, match=r"--out=.*\.gif"):
        save_picture(one, tmp_path / "one.gif")
