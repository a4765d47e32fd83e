"""What of a dataset's pixels can be compared with rays, for cameras of every model; no Blender."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.synthetic import CAMERAS, FIRST, write_dataset
from visionsim.cameras import Equirectangular, FisheyeEquidistant, Intrinsics, Orthographic
from visionsim.simulation.deep import Tally, choose_pixels, compare, pixel_size

GLOBE = Equirectangular(-np.pi, np.pi, -np.pi / 2, np.pi / 2, 360, 180)


@pytest.mark.parametrize(
    ("camera", "x", "y", "depth", "size"),
    [
        (Intrinsics(100.0, 50.0, 60.0, 40.0, 120, 80), 59, 39, 3.0, 3.0 / 50),
        (Orthographic(20.0, 25.0, 60.0, 40.0, 120, 80), 7, 70, 3.0, 1 / 20),
        (GLOBE, 10, 90, 3.0, 3.0 * np.pi / 180),
        # At a pole pixels are narrow, but as high as anywhere.
        (GLOBE, 10, 0, 3.0, 3.0 * np.pi / 180),
        (FisheyeEquidistant(30.0, 20.0, 60.0, 40.0, 3.5, 120, 80), 60, 40, 2.0, 2.0 / 20),
        (FisheyeEquidistant(30.0, 20.0, 60.0, 40.0, 3.5, 120, 80), 0, 0, 2.0, 0.0),
    ],
)
def test_size_of_a_pixel(camera, x, y, depth, size):
    assert pixel_size(x, y, depth, camera) == pytest.approx(size, rel=1e-3)


@pytest.mark.parametrize("camera", CAMERAS)
def test_pixels_to_compare(tmp_path, camera):
    write_dataset(tmp_path, num_frames=1, camera=camera)
    document = json.loads((tmp_path / "transforms.json").read_text())
    values = {**document, **document["frames"][0]}
    pixels = choose_pixels(tmp_path, values, 600, np.random.default_rng(1))
    assert pixels is not None and len(pixels) == 600 and values["frame"] == FIRST
    # Most are no edge: balls have many pixels on which they bend, floor and wall have none.
    assert sum(pixel.edge for pixel in pixels) < 250
    inside = [pixel for pixel in pixels if pixel.name in ("Floor", "Wall") and not pixel.edge]
    assert len(inside) > 100
    for pixel in pixels:
        assert pixel.depth is not None and np.isinf(pixel.depth) == (pixel.name == "") == (pixel.angle == 0.0)


def test_a_pixel_without_a_ray_agrees_with_a_ray_that_is_not_cast(tmp_path):
    write_dataset(tmp_path, num_frames=1, camera="fisheye equidistant")
    document = json.loads((tmp_path / "transforms.json").read_text())
    values = {**document, **document["frames"][0]}
    corners = [
        pixel
        for pixel in choose_pixels(tmp_path, values, 600, np.random.default_rng(1)) or []
        if (pixel.x - 60) ** 2 / 60**2 + (pixel.y - 40) ** 2 / 40**2 > 1.5
    ]
    assert corners
    tally = Tally()
    assert [list(compare(pixel, [], {}, tally)) for pixel in corners] == [[]] * len(corners)
    assert tally.compared == len(corners)
