"""Intrinsics, poses, projection and depth against derivations that share nothing with them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import camera_values
from tests.reference.viewplane import pixel_of
from visionsim.cameras import (
    Intrinsics,
    c2w_from_blender,
    intrinsics_from_blender,
    project,
    ray_depth_from_planar,
)
from visionsim.errors import SceneError, ShapeError

CAMERAS = st.builds(
    camera_values,
    lens=st.floats(1, 200),
    sensor_width=st.floats(5, 70),
    sensor_height=st.floats(5, 70),
    sensor_fit=st.sampled_from(["AUTO", "HORIZONTAL", "VERTICAL"]),
    shift_x=st.floats(-1, 1),
    shift_y=st.floats(-1, 1),
    width=st.integers(4, 4000),
    height=st.integers(4, 4000),
    pixel_aspect_x=st.floats(1, 3),
    pixel_aspect_y=st.floats(1, 3),
)
POINTS = st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.1, 10))
ANGLES = st.floats(-math.pi, math.pi)


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """About x, then y, then z."""
    turns = []
    for axis, angle in enumerate((x, y, z)):
        turn = np.eye(3)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        turns.append(turn)
    return turns[2] @ turns[1] @ turns[0]


def pose(turn: np.ndarray, position=(0.0, 0.0, 0.0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, position
    return matrix


# Intrinsics.


@given(CAMERAS, POINTS)
def test_intrinsics_show_points_where_blenders_view_plane_does(camera, point):
    right, up, forward = point
    expected = pixel_of(camera, right, up, forward)
    pixels, depth = project(np.array([right, up, -forward]), intrinsics_from_blender(camera), np.eye(4))
    assert depth == forward
    assert pixels == pytest.approx(expected, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # lens / sensor * fitted side: 50 / 36 * 6.
        ({}, (8.3333333, 8.3333333, 3.0, 2.0)),
        # Portrait: AUTO fits the height, to the sensor's width.
        ({"width": 4, "height": 6}, (8.3333333, 8.3333333, 2.0, 3.0)),
        ({"width": 4, "height": 6, "sensor_fit": "HORIZONTAL"}, (5.5555556, 5.5555556, 2.0, 3.0)),
        # 50 / 24 * 4.
        ({"sensor_fit": "VERTICAL"}, (8.3333333, 8.3333333, 3.0, 2.0)),
        ({"sensor_fit": "VERTICAL", "sensor_height": 12.0}, (16.6666667, 16.6666667, 3.0, 2.0)),
        # Shift is in units of the fitted side; up moves the picture's content down.
        ({"shift_x": 0.1, "shift_y": 0.25}, (8.3333333, 8.3333333, 2.4, 3.5)),
        ({"width": 4, "height": 6, "shift_x": 0.1, "shift_y": 0.25}, (8.3333333, 8.3333333, 1.4, 4.5)),
        # Pixels twice as high as wide: half as many cover the same angle.
        ({"pixel_aspect_y": 2.0, "sensor_fit": "HORIZONTAL"}, (8.3333333, 4.1666667, 3.0, 2.0)),
        # AUTO goes by the picture as displayed, here 6 x 8: 50 / 36 * 8.
        ({"pixel_aspect_y": 2.0}, (11.1111111, 5.5555556, 3.0, 2.0)),
    ],
)  # fmt: skip
def test_intrinsics_by_hand(changes, expected):
    intrinsics = intrinsics_from_blender(camera_values(**changes))
    assert (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy) == pytest.approx(expected, rel=1e-6)


@given(CAMERAS)
def test_intrinsics_keep_the_size_of_the_picture(camera):
    intrinsics = intrinsics_from_blender(camera)
    assert (intrinsics.width, intrinsics.height) == (camera["width"], camera["height"])


@pytest.mark.parametrize("kind", ["ORTHO", "PANO", "CUSTOM"])
def test_intrinsics_of_a_camera_that_is_not_perspective_are_refused(kind):
    with pytest.raises(SceneError, match=kind):
        intrinsics_from_blender(camera_values(type=kind))


def test_intrinsics_matrix_acts_on_right_down_forward():
    camera = Intrinsics(fx=10.0, fy=20.0, cx=3.0, cy=4.0, width=6, height=8)
    right, down, forward = 0.5, -0.25, 2.0
    homogeneous = camera.K @ (right, down, forward)
    pixels, _ = project(np.array([right, -down, -forward]), camera, np.eye(4))
    assert homogeneous[:2] / homogeneous[2] == pytest.approx(pixels)


# Poses.


@given(ANGLES, ANGLES, ANGLES, st.tuples(*[st.floats(0.01, 100)] * 3), st.tuples(*[st.floats(-50, 50)] * 3))
def test_c2w_drops_the_scale_and_keeps_the_pose(x, y, z, scale, position):
    turn = rotation(x, y, z)
    c2w = c2w_from_blender(pose(turn @ np.diag(scale), position).tolist())
    assert c2w == pytest.approx(pose(turn, position), abs=1e-9)


@given(ANGLES, ANGLES, ANGLES)
def test_c2w_of_a_float32_matrix_is_orthonormal_to_double_precision(x, y, z):
    matrix = pose(rotation(x, y, z)).astype(np.float32)
    turn = c2w_from_blender(matrix)[:3, :3]
    assert turn.dtype == np.float64
    assert np.abs(turn.T @ turn - np.eye(3)).max() < 1e-14
    assert np.linalg.det(turn) > 0


def test_c2w_leaves_its_argument_alone():
    matrix = pose(np.diag([2.0, 2.0, 2.0]))
    before = matrix.copy()
    c2w_from_blender(matrix)
    assert np.array_equal(matrix, before)


@pytest.mark.parametrize("scale", [(-1, 1, 1), (1, -1, 1), (1, 1, -1), (-1, -1, -1), (-2, 3, 4)])
def test_c2w_of_a_mirrored_camera_is_refused(scale):
    with pytest.raises(SceneError, match="mirror"):
        c2w_from_blender(pose(rotation(0.3, 0.2, 0.1) @ np.diag(scale)))


@pytest.mark.parametrize("amount", [0.5, 0.01, -0.001])
def test_c2w_of_a_sheared_camera_is_refused(amount):
    shear = np.eye(3)
    shear[0, 1] = amount
    with pytest.raises(SceneError, match="shear"):
        c2w_from_blender(pose(rotation(0.3, 0.2, 0.1) @ shear))


@pytest.mark.parametrize(
    "matrix",
    [pose(np.diag([1.0, 0.0, 1.0])), pose(np.full((3, 3), np.nan)), pose(np.eye(3), (np.inf, 0, 0)), np.zeros((4, 4))],
    ids=["flat", "nan", "infinite", "zero"],
)
def test_c2w_of_a_camera_without_a_pose_is_refused(matrix):
    with pytest.raises(SceneError):
        c2w_from_blender(matrix)


def test_c2w_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match="matrix_world"):
        c2w_from_blender(np.eye(3))


# Projection.


def test_project_by_hand():
    camera = Intrinsics(fx=10.0, fy=10.0, cx=3.0, cy=2.0, width=6, height=4)
    # The camera sits at z = 4 and looks down: a point one to the right and one up, at the origin's height.
    pixels, depth = project(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 6.0]]), camera, pose(np.eye(3), (0, 0, 4)))
    assert pixels[0] == pytest.approx((5.5, -0.5))
    assert depth.tolist() == [4.0, -2.0]


@given(CAMERAS, ANGLES, ANGLES, ANGLES, st.tuples(*[st.floats(-5, 5)] * 3), st.data())
def test_project_finds_the_pixel_a_ray_was_cast_through(camera, x, y, z, position, data):
    intrinsics = intrinsics_from_blender(camera)
    column = data.draw(st.integers(0, intrinsics.width - 1)) + 0.5
    row = data.draw(st.integers(0, intrinsics.height - 1)) + 0.5
    depth = data.draw(st.floats(0.1, 100))
    c2w = pose(rotation(x, y, z), position)
    down_the_ray = np.linalg.inv(intrinsics.K) @ (column, row, 1.0) * depth
    world = c2w @ (*(down_the_ray * (1, -1, -1)), 1.0)
    pixels, planar = project(world[:3], intrinsics, c2w)
    assert pixels == pytest.approx((column, row), abs=1e-5)
    assert planar == pytest.approx(depth, rel=1e-9)


# Depth.


@given(CAMERAS.filter(lambda camera: camera["width"] * camera["height"] < 10**6), st.floats(0.1, 100), st.data())
def test_ray_depth_is_the_distance_to_the_surface(camera, depth, data):
    intrinsics = intrinsics_from_blender(camera)
    planar = np.full((intrinsics.height, intrinsics.width), depth, np.float64)
    row = data.draw(st.integers(0, intrinsics.height - 1))
    column = data.draw(st.integers(0, intrinsics.width - 1))
    surface = np.linalg.inv(intrinsics.K) @ (column + 0.5, row + 0.5, 1.0) * depth
    assert ray_depth_from_planar(planar, intrinsics)[row, column] == pytest.approx(np.linalg.norm(surface), rel=1e-9)


def test_ray_depth_of_the_background_is_infinite_and_float32():
    camera = Intrinsics(fx=5.0, fy=5.0, cx=1.0, cy=1.5, width=2, height=3)
    ray = ray_depth_from_planar(np.full((3, 2), np.inf, np.float32), camera)
    assert ray.dtype == np.float32
    assert np.isposinf(ray).all()


def test_ray_depth_of_another_size_is_refused():
    camera = Intrinsics(fx=5.0, fy=5.0, cx=1.0, cy=1.5, width=2, height=3)
    with pytest.raises(ShapeError, match="planar_depth"):
        ray_depth_from_planar(np.ones((2, 3), np.float32), camera)
