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
    Equirectangular,
    FisheyeEquidistant,
    FisheyeEquisolid,
    Intrinsics,
    Orthographic,
    c2w_from_blender,
    camera_from_blender,
    camera_from_document,
    intrinsics_from_blender,
    project,
    ray_depth_from_planar,
    unshifted_sides,
)
from visionsim.errors import DataError, SceneError, ShapeError

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


# Models. Each by what is seen where, then all by what they have in common.

WHOLE_GLOBE = {
    "longitude_min": -math.pi, "longitude_max": math.pi, "latitude_min": -math.pi / 2, "latitude_max": math.pi / 2,
}  # fmt: skip


def panorama(kind: str, **changes) -> dict:
    """A panoramic camera as `worker.camera.describe` gives it."""
    settings = {**WHOLE_GLOBE, "fisheye_fov": math.pi, "fisheye_lens": 10.5}
    return camera_values(**{"type": "PANO", "panorama_type": kind, **settings, **changes})


OF_EVERY_MODEL = st.one_of(
    CAMERAS,
    st.builds(
        lambda camera, scale: {**camera, "type": "ORTHO", "ortho_scale": scale}, CAMERAS, st.floats(0.01, 1000)
    ),
    st.builds(
        lambda west, around, south, high, shift, **size: panorama(
            "EQUIRECTANGULAR", longitude_min=west, longitude_max=west + around, latitude_min=south,
            latitude_max=south + high, shift_x=shift, **size,
        ),
        st.floats(-7, 7), st.floats(0.1, 2 * math.pi), st.floats(-1.5, 0), st.floats(0.1, 1.5), st.floats(-1, 1),
        width=st.integers(4, 4000), height=st.integers(4, 4000),
    ),
    st.builds(
        lambda kind, camera, fov, lens: panorama(
            kind, **{**camera, "type": "PANO", "fisheye_fov": fov, "fisheye_lens": lens}
        ),
        st.sampled_from(["FISHEYE_EQUIDISTANT", "FISHEYE_EQUISOLID"]), CAMERAS, st.floats(0.2, 6.28), st.floats(1, 100),
    ),
)  # fmt: skip


@given(OF_EVERY_MODEL, st.data())
def test_project_is_the_way_back_of_unproject(described, data):
    camera = camera_from_blender(described)
    x = data.draw(st.floats(0, camera.width))
    y = data.draw(st.floats(0, camera.height))
    depth = data.draw(st.floats(0.1, 100))
    point = camera.unproject(np.float64(x), np.float64(y), np.float64(depth))
    assert point.shape == (3,) and (np.isnan(point).all() or np.isfinite(point).all())
    if np.isfinite(point).all() and not behind(point):
        turns = (camera.project(point)[0] - x) / camera.period if math.isfinite(camera.period) else 0.0
        assert turns == pytest.approx(round(turns), abs=1e-6)  # Both sides of a whole turn are the same place.
        assert camera.project(point)[0] - round(turns) * (camera.period if turns else 0) == pytest.approx(x, abs=1e-4)
        assert camera.project(point)[1] == pytest.approx(y, abs=1e-4)
        assert camera.depth(point) == pytest.approx(depth, rel=1e-9)


def behind(point: np.ndarray) -> bool:
    """Whether a point is so close to the axis, behind or at a pole, that rounding decides its direction."""
    return min(np.hypot(point[0], point[1]), np.hypot(point[0], point[2])) < 1e-4 * np.linalg.norm(point)


@given(OF_EVERY_MODEL)
def test_camera_comes_back_from_its_document(described):
    camera = camera_from_blender(described)
    values = {"camera_model": camera.model, **camera.fields()}
    assert camera_from_document(values) == camera


@given(OF_EVERY_MODEL)
def test_arrays_of_pixels_give_what_each_pixel_gives(described):
    camera = camera_from_blender(described)
    x, y = np.array([[0.5, 2.5, 3.5]]), np.array([[0.5], [1.5]])
    points = camera.unproject(x, y, np.full((2, 3), 2.0))
    assert points.shape == (2, 3, 3)
    one = camera.unproject(x[0, 2], y[1, 0], 2.0)
    assert np.array_equal(points[1, 2], one, equal_nan=True)
    assert np.array_equal(np.stack(camera.project(points))[:, 1, 2], np.stack(camera.project(one)), equal_nan=True)


def seen_at(camera, *point: float) -> tuple[float, float]:
    x, y = camera.project(np.array(point, np.float64))
    return float(x), float(y)


def test_shift_is_taken_out_of_the_sides_of_an_equirectangular_picture():
    sides = {"longitude_min": -1.0, "longitude_max": 2.0, "latitude_min": -0.5, "latitude_max": 0.75}
    described = panorama("EQUIRECTANGULAR", width=8, height=4, **sides, shift_x=0.25, shift_y=-0.125)
    shown = camera_from_blender(described).fields()
    assert shown["longitude_min"] != sides["longitude_min"] and shown["latitude_max"] != sides["latitude_max"]
    assert unshifted_sides({**shown, "shift_x": 0.25, "shift_y": -0.125}) == pytest.approx(sides)


def test_orthographic_by_hand():
    # Landscape, 6 x 4: 3 units are seen along its width, so 2 pixels for each.
    camera = camera_from_blender(camera_values(type="ORTHO", ortho_scale=3.0, shift_x=0.25, shift_y=-0.5))
    assert isinstance(camera, Orthographic)
    assert camera.fields() == {
        "pixels_per_unit_x": 2.0, "pixels_per_unit_y": 2.0, "cx": 1.5, "cy": -1.0, "w": 6, "h": 4,
    }  # fmt: skip
    assert seen_at(camera, 1.0, 0.5, -7.0) == seen_at(camera, 1.0, 0.5, -70.0) == (3.5, -2.0)
    assert camera.unproject(3.5, -2.0, 7.0).tolist() == [1.0, 0.5, -7.0]
    assert camera.depth_kind == "planar"


@pytest.mark.parametrize(
    ("changes", "scales"),
    [
        # Portrait: AUTO fits the height.
        ({"width": 4, "height": 6}, (2.0, 2.0)),
        ({"width": 4, "height": 6, "sensor_fit": "HORIZONTAL"}, (4 / 3, 4 / 3)),
        ({"sensor_fit": "VERTICAL"}, (4 / 3, 4 / 3)),
        # Pixels twice as high as wide: the picture is 6 x 8 as displayed, and 8 wide are 3 units.
        ({"pixel_aspect_y": 2.0}, (8 / 3, 4 / 3)),
    ],
)
def test_orthographic_scale_is_that_of_the_fitted_side(changes, scales):
    camera = camera_from_blender(camera_values(type="ORTHO", ortho_scale=3.0, **changes))
    assert (camera.scale_x, camera.scale_y) == pytest.approx(scales)


def test_equirectangular_by_hand():
    camera = camera_from_blender(panorama("EQUIRECTANGULAR", width=8, height=4))
    assert isinstance(camera, Equirectangular) and camera.depth_kind == "radial" and camera.period == 8
    # Ahead in the middle, right a quarter further, left a quarter less; up at the top, whatever the longitude.
    assert seen_at(camera, 0, 0, -5) == pytest.approx((4, 2))
    assert seen_at(camera, 5, 0, 0) == pytest.approx((6, 2))
    assert seen_at(camera, -5, 0, 0) == pytest.approx((2, 2))
    assert seen_at(camera, 0, 3, -3) == pytest.approx((4, 1))
    assert seen_at(camera, 1, 1e-9, 1) == pytest.approx((7, 2))
    assert seen_at(camera, -1, 1e-9, 1) == pytest.approx((1, 2))
    assert camera.unproject(2.0, 1.0, 2.0) == pytest.approx((-math.sqrt(2), math.sqrt(2), 0))


def test_shorter_way_round_a_panorama():
    whole = camera_from_blender(panorama("EQUIRECTANGULAR", width=8, height=4))
    assert whole.shorter_way(np.array([1.0, 7.0, -7.0, 3.5, np.nan])).tolist()[:4] == [1.0, -1.0, 1.0, 3.5]
    flat = np.array([700.0])
    assert camera_from_blender(camera_values()).shorter_way(flat) is flat


def test_equirectangular_part_of_the_globe_by_hand():
    quarter = math.pi / 2
    described = panorama(
        "EQUIRECTANGULAR", width=8, height=4, longitude_min=0.0, longitude_max=quarter, latitude_min=-quarter,
        latitude_max=0.0, shift_x=0.5, shift_y=0.25,
    )  # fmt: skip
    camera = camera_from_blender(described)
    # Shift: half of the 90 degrees to the right, a quarter of them up.
    assert (camera.longitude_min, camera.longitude_max) == pytest.approx((quarter / 2, 1.5 * quarter))
    assert (camera.latitude_min, camera.latitude_max) == pytest.approx((-0.75 * quarter, 0.25 * quarter))
    assert seen_at(camera, 1, 0, 0) == pytest.approx((4, 1))


def test_equidistant_fisheye_by_hand():
    camera = camera_from_blender(panorama("FISHEYE_EQUIDISTANT", width=8, height=4, shift_x=0.25, shift_y=0.5))
    assert isinstance(camera, FisheyeEquidistant) and camera.depth_kind == "radial"
    # 180 degrees across 8 pixels and across 4; shifted by 2 pixels and by 2.
    assert seen_at(camera, 0, 0, -1) == pytest.approx((2, 4))
    assert seen_at(camera, 1, 0, 0) == pytest.approx((6, 4))
    assert seen_at(camera, 1, 0, -1) == pytest.approx((4, 4))
    assert seen_at(camera, 0, 1, 0) == pytest.approx((2, 2))
    assert camera.unproject(4.0, 4.0, math.sqrt(2)) == pytest.approx((1, 0, -1))
    assert np.isnan(camera.unproject(6.1, 4.0, 1.0)).all() and np.isnan(camera.unproject(5.0, 2.5, 1.0)).all()


@given(st.integers(10, 500), st.integers(10, 500), st.floats(0.5, 3.1), st.tuples(*[st.floats(-1, 1)] * 2))
def test_equidistant_fisheye_is_opencvs(width, height, fov, place):
    """cv2.fisheye: a, b = X / Z, Y / Z; r = |(a, b)|; theta = atan(r); x = fx * theta_d * a / r + cx."""
    fields = camera_from_blender(panorama("FISHEYE_EQUIDISTANT", width=width, height=height, fisheye_fov=fov)).fields()
    a, b = place  # Right and down of a point one unit ahead.
    r = math.hypot(a, b)
    theta = math.atan(r)
    distorted = theta * (1 + sum(fields[f"k{i}"] * theta ** (2 * i) for i in (1, 2, 3, 4)))
    scale = distorted / r if r > 1e-9 else 1.0
    expected = fields["fl_x"] * a * scale + fields["cx"], fields["fl_y"] * b * scale + fields["cy"]
    assert seen_at(camera_from_document({"camera_model": "OPENCV_FISHEYE", **fields}), a, -b, -1) == pytest.approx(
        expected, abs=1e-6
    )


def test_equisolid_fisheye_by_hand():
    # 36 mm across 8 pixels; at 90 degrees the radius is 2 f sin(45 degrees) = 10.5 * sqrt(2) mm.
    camera = camera_from_blender(panorama("FISHEYE_EQUISOLID", width=8, height=4, shift_x=0.25, fisheye_fov=4.0))
    assert isinstance(camera, FisheyeEquisolid)
    assert seen_at(camera, 0, 0, -1) == pytest.approx((2, 2))
    assert seen_at(camera, 1, 0, 0) == pytest.approx((2 + 10.5 * math.sqrt(2) * 8 / 36, 2))
    assert seen_at(camera, 0, 1, 0) == pytest.approx((2, 2 - 10.5 * math.sqrt(2) * 8 / 36))
    edge = 2 + 2 * 10.5 * math.sin(1.0) * 8 / 36
    assert np.isfinite(camera.unproject(edge - 1e-4, 2.0, 1.0)).all()
    assert np.isnan(camera.unproject(edge + 1e-4, 2.0, 1.0)).all()


def test_fisheye_sees_ahead_in_its_centre():
    for kind in ("FISHEYE_EQUIDISTANT", "FISHEYE_EQUISOLID"):
        camera = camera_from_blender(panorama(kind, width=8, height=4))
        assert camera.unproject(4.0, 2.0, 3.0).tolist() == [0, 0, -3]


@pytest.mark.parametrize(
    "kind", ["MIRRORBALL", "FISHEYE_LENS_POLYNOMIAL", "EQUIANGULAR_CUBEMAP_FACE", "CENTRAL_CYLINDRICAL"]
)
def test_panorama_that_we_cannot_describe_is_refused(kind):
    with pytest.raises(SceneError, match=rf"'Camera' is of type {kind}; supported are .*EQUIRECTANGULAR"):
        camera_from_blender(camera_values(type="PANO", panorama_type=kind))


@pytest.mark.parametrize(
    ("described", "message"),
    [
        (camera_values(type="CUSTOM"), "CUSTOM"),
        (camera_values(type="ORTHO", ortho_scale=0.0), "scale of 0"),
        (panorama("FISHEYE_EQUIDISTANT", fisheye_fov=7.0), "360"),
        (panorama("EQUIRECTANGULAR", longitude_max=3.2), "360"),
        (panorama("EQUIRECTANGULAR", longitude_max=-3.2), "longitudes"),
        (panorama("EQUIRECTANGULAR", latitude_max=-1.6), "latitudes"),
        (panorama("EQUIRECTANGULAR", shift_y=0.1), "latitudes from -72 to 108"),
    ],
)
def test_camera_that_has_no_one_pixel_for_a_point_is_refused(described, message):
    with pytest.raises(SceneError, match=message):
        camera_from_blender(described)


def test_document_of_an_unknown_model_is_refused():
    with pytest.raises(DataError, match="'PINHOLE' is not one of OPENCV, "):
        camera_from_document({"camera_model": "PINHOLE"})
    globe = camera_from_blender(panorama("EQUIRECTANGULAR", width=8, height=4))
    for axis in ("longitude", "latitude"):
        values = {"camera_model": globe.model, **globe.fields(), f"{axis}_max": -9.0}
        with pytest.raises(DataError, match=f"{axis}_max is not larger"):
            camera_from_document(values)
    with pytest.raises(DataError, match="needs fl_y, cy"):
        camera_from_document({"camera_model": "OPENCV", "fl_x": 1.0, "cx": 1.0, "w": 2, "h": 2})


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
