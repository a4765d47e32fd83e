"""Surfaces between pixels, and how exactly points are known, for cameras of every model."""

from __future__ import annotations

import numpy as np
import pytest

from tests.synthetic import CAMERAS, FIRST, camera_at, look
from visionsim.cameras import c2w_from_blender, camera_from_blender
from visionsim.verify.geometry import EPS, Camera, bend, depth_between, pixel_centres, reproject, unproject

FLOOR, BALL = 1, 3


def view_of(name: str, frame: int = FIRST):
    """The camera, and what it sees; nowhere in float32."""
    described = camera_at(frame, name)
    camera = Camera(camera_from_blender(described), c2w_from_blender(described["matrix_world"]))
    view = look(frame, name)
    depth = np.where(view.ids > 0, view.depth, np.nan)
    return camera, view, depth, unproject(*pixel_centres(camera), depth, camera.model)


def inner(ids: np.ndarray, number: int) -> np.ndarray:
    """(H, W) bool: where all of 3x3 pixels have an id."""
    same = np.zeros(ids.shape, bool)
    same[1:-1, 1:-1] = (np.lib.stride_tricks.sliding_window_view(ids, (3, 3)) == number).all(axis=(2, 3))
    return same


@pytest.mark.parametrize("name", CAMERAS)
def test_planes_do_not_bend_and_balls_do(name):
    camera, view, _, points = view_of(name)
    across, down = bend(points, camera.model)
    floor, ball = inner(view.ids, FLOOR), inner(view.ids, BALL)
    assert floor.sum() > 500 and ball.sum() > 20
    assert max(across[floor].max(), down[floor].max()) < 1e-9
    # The ball has a radius of 0.7: its neighbours fall behind by the square of a pixel's size.
    assert min(np.median(across[ball]), np.median(down[ball])) > 1e-5
    edge = ~np.isfinite(bend(np.where(view.ids > 0, points, np.nan), camera.model)[0])
    assert edge[0].all() and edge[:, -1].all() and not edge[floor].any()


@pytest.mark.parametrize("name", CAMERAS)
def test_depth_between_pixels_is_exact_on_planes(name):
    rng = np.random.default_rng(3)
    camera, view, _, points = view_of(name)
    rows, columns = np.nonzero(inner(view.ids, FLOOR))
    chosen = rng.integers(0, len(rows), 50)
    x, y = (at[chosen] + 0.5 + rng.uniform(-0.99, 0.99, 50) for at in (columns, rows))
    start = camera.model.unproject(x, y, 0.0)
    ray = camera.model.unproject(x, y, 1.0) - start
    c2w = camera.c2w
    expected = -(start @ c2w[2, :3] + c2w[2, 3]) / (ray @ c2w[2, :3])  # Where the ray meets z = 0.
    assert depth_between(points, x, y, camera.model) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", CAMERAS)
def test_sensitivity_is_what_positions_change_by(name):
    camera, view, depth, points = view_of(name, FIRST + 2)
    other = view_of(name, FIRST + 3)[0]
    seen = reproject(points, depth, camera, other)
    pixels = np.flatnonzero(inner(view.ids, FLOOR))[::37]
    dx, dy, _ = seen.sensitivity(pixels)
    deeper = unproject(*pixel_centres(camera), depth * np.exp(1e-4), camera.model)
    moved = reproject(deeper, depth, camera, other)
    for by, now, then in ((dx, seen.x, moved.x), (dy, seen.y, moved.y)):
        change = (then - now).reshape(-1)[pixels] / 1e-4
        assert by == pytest.approx(change, rel=2e-3, abs=1e-3)


@pytest.mark.parametrize("name", CAMERAS)
def test_noise_is_what_rounding_to_float32_may_do(name):
    camera, view, depth, points = view_of(name, FIRST + 2)
    other = view_of(name, FIRST + 3)[0]
    seen = reproject(points, depth, camera, other)
    pixels = np.flatnonzero(inner(view.ids, FLOOR))[::7]
    noise = seen.sensitivity(pixels)[2]
    in_world = view.points.reshape(-1, 3)[pixels].astype(np.float32).astype(np.float64)
    x, y = other.model.project((in_world - other.c2w[:3, 3]) @ other.c2w[:3, :3])
    off = np.maximum(
        np.abs(other.model.shorter_way(x - seen.x.reshape(-1)[pixels])), np.abs(y - seen.y.reshape(-1)[pixels])
    )
    assert (off <= 2 * noise).all()
    # Nor is it far more than that, but for points that the other camera hardly has an image of.
    share = off / noise
    assert np.median(share) > 0.01 and (noise >= EPS * max(other.model.width, other.model.height)).all()
