"""What of a dataset's pixels can be compared with rays, for cameras of every model; no Blender."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.synthetic import CAMERAS, FIRST, write_dataset
from visionsim.cameras import Equirectangular, FisheyeEquidistant, Intrinsics, Orthographic
from visionsim.simulation.pixels import Pixel, Stored, Tally, compare, pixel_size

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


def stored_of(folder, camera) -> Stored:
    write_dataset(folder, num_frames=1, camera=camera)
    document = json.loads((folder / "transforms.json").read_text())
    values = {**document, **document["frames"][0]}
    assert values["frame"] == FIRST
    stored = Stored.read(folder, values)
    assert stored is not None
    return stored


@pytest.mark.parametrize("camera", CAMERAS)
def test_pixels_to_compare_have_one_of_each_id(tmp_path, camera):
    stored = stored_of(tmp_path, camera)
    places = stored.places(1, np.random.default_rng(1))
    pixels = [stored.pixel(x, y) for x, y in places]
    assert len(pixels) == 1 + len(np.unique(stored.ids))
    assert {pixel.name for pixel in pixels} >= {"Floor", "Wall", "Ball", "Rolling"}
    for pixel in pixels:
        assert pixel.depth is not None and np.isinf(pixel.depth) == (pixel.name == "") == (pixel.angle == 0.0)


def test_a_pixel_without_a_ray_agrees_with_a_ray_that_is_not_cast(tmp_path):
    stored = stored_of(tmp_path, "fisheye equidistant")
    corner = stored.pixel(0, 0)
    tally = Tally()
    assert list(compare(corner, [[]] * 5, {}, tally)) == [] and tally.compared == 1


FLOOR, BALL = ["Floor", 5.0, 1.0, 5.0], ["Ball", 4.0, 0.5, 5.0]
FAR_AWAY = ["Floor", 5.0, 1.0, 5e5]


@pytest.mark.parametrize(
    ("depth", "name", "rays", "uncertain", "becomes"),
    [
        (5.0, "Floor", [[FLOOR]] * 5, {}, ""),
        (5.01, "Floor", [[FLOOR]] * 5, {}, "depth is not"),
        (5.0, "Ball", [[FLOOR]] * 5, {}, "the object is not"),
        (np.inf, "", [[FLOOR]] * 5, {}, "rays hit 'Floor'"),
        (5.0, "Floor", [[]] * 5, {}, "rays hit nothing"),
        # Whatever one of the rays hits is right.
        (4.0, "Ball", [[FLOOR]] * 4 + [[BALL]], {}, ""),
        (np.inf, "", [[FLOOR]] * 4 + [[]], {}, ""),
        (9.0, "Wall", [[FLOOR]] * 4 + [[BALL]], {}, "on an edge"),
        # Surfaces that touch are seen in either order.
        (5.0, "Rug", [[FLOOR, ["Rug", 5.0001, 1.0, 5.0]]] * 5, {}, ""),
        (9.0, "Wall", [[FLOOR]] * 5, {"Floor": "hair"}, "with hair"),
        (9.0, "Fur", [[FLOOR]] * 5, {"Fur": "hair"}, "with hair"),
        # Without ids, what is seen may be anything that rays do not hit.
        (4.0, None, [[FLOOR]] * 5, {"Fur": "hair"}, "without ids"),
        (4.0, None, [[FLOOR]] * 5, {}, "depth is not"),
        (5.01, "Floor", [[FAR_AWAY]] * 5, {}, ""),
        (5.01, "Wall", [[FAR_AWAY]] * 5, {}, "single precision"),
    ],
)
def test_pixel_is_wrong_only_where_rays_are_sure(depth, name, rays, uncertain, becomes):
    tally = Tally()
    problems = list(compare(Pixel(1, 2, depth, name), rays, uncertain, tally))
    said = problems[0][0] if problems else next(iter(tally.skipped), "")
    assert becomes in said and bool(said) == bool(becomes)
    assert tally.compared == int(not tally.skipped)
