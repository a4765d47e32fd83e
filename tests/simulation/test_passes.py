"""From Blender's passes to ground truth, by hand: signs, frames, background. No Blender."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import camera_values
from tests.reference.viewplane import pixel_of
from visionsim.errors import DataError, SceneError
from visionsim.simulation import passes as module
from visionsim.simulation.config import GROUND_TRUTHS
from visionsim.simulation.movers import Movers
from visionsim.simulation.passes import BACKGROUND_DEPTH, PASSES, Neighbour, View

IDENTITY = np.eye(4)
HIT, MISS = 2.0, 1e10


def image(*pixels) -> np.ndarray:
    """(1, W, C) float32."""
    return np.array([pixels], np.float32).reshape(1, len(pixels), -1)


def view(c2w=IDENTITY) -> View:
    return View.from_reply({"camera": camera_values(matrix_world=np.asarray(c2w).tolist())})


def convert(kind: str, c2w=IDENTITY, **passes) -> dict[str, np.ndarray]:
    return PASSES[kind].convert({name.replace("_", " "): pixels for name, pixels in passes.items()}, view(c2w))


def between_neighbours(passes: dict[str, np.ndarray]) -> View:
    """A view whose neighbouring frames show the same."""
    neighbour = Neighbour(passes, view())
    return dataclasses.replace(view(), previous=neighbour, next=neighbour)


def row(channels: dict[str, np.ndarray], names: str) -> list:
    """The channels of the only row, pixel by pixel."""
    return [tuple(float(channels[name][0, x]) for name in names) for x in range(channels[names[0]].shape[1])]


def has_negative_zero(channels: dict[str, np.ndarray]) -> bool:
    return any(np.any((pixels == 0) & np.signbit(pixels)) for pixels in channels.values() if pixels.dtype.kind == "f")


def test_every_kind_of_ground_truth_has_a_row():
    assert set(PASSES) == set(GROUND_TRUTHS)


@pytest.mark.parametrize("kind", PASSES)
def test_missing_pass_is_an_error_that_names_it_and_what_there_is(kind):
    with pytest.raises(DataError, match=r"delivered no .* pass, only .*Combined"):
        convert(kind, Combined=image((0, 0, 0, 1)))


# Depth.


def test_depth_keeps_values_and_makes_the_background_infinite():
    channels = convert("depths", Depth=image(0.5, HIT, 9.9e9, MISS, 2e10))
    assert list(channels) == ["Y"]
    assert channels["Y"].dtype == np.float32
    assert channels["Y"].tolist() == [[0.5, 2.0, np.float32(9.9e9), math.inf, math.inf]]


def test_depth_of_cycles_background_is_background():
    # Cycles writes 1e10 as float32, which is exactly that.
    assert float(np.float32(BACKGROUND_DEPTH)) == BACKGROUND_DEPTH


# Normals.


def test_normals_of_a_camera_as_the_world_are_the_worlds():
    normals = [(0, 0, 1), (1, 0, 0), (0, -1, 0)]
    channels = convert("normals", Normal=image(*normals), Depth=image(*[HIT] * 3))
    assert set(channels) == set("RGB")
    assert all(pixels.dtype == np.float32 for pixels in channels.values())
    assert row(channels, "RGB") == normals


def test_normals_are_rotated_into_the_cameras_frame():
    # A camera at +X that looks at the origin, world +Z up: its right is world +Y, its back is world +X.
    c2w = np.eye(4)
    c2w[:3, :3] = np.stack([(0, 1, 0), (0, 0, 1), (1, 0, 0)], axis=1)
    c2w[:3, 3] = (5, 6, 7)
    channels = convert("normals", c2w, Normal=image((1, 0, 0), (0, 1, 0), (0, 0, 1)), Depth=image(*[HIT] * 3))
    assert row(channels, "RGB") == [(0, 0, 1), (1, 0, 0), (0, 1, 0)]


def test_normals_are_of_unit_length():
    channels = convert("normals", Normal=image((0, 0, 0.5), (3, 0, 4)), Depth=image(HIT, HIT))
    assert row(channels, "RGB") == [(0, 0, 1), pytest.approx((0.6, 0, 0.8))]


def test_normals_of_the_background_are_zero():
    channels = convert("normals", Normal=image((0, 0, 1), (0, 0, 0)), Depth=image(MISS, HIT))
    assert row(channels, "RGB") == [(0, 0, 0), (0, 0, 0)]


def test_normals_that_blender_does_not_know_are_zero():
    channels = convert("normals", Normal=image((math.nan, math.nan, 1), (0, 0, 2)), Depth=image(HIT, HIT))
    assert row(channels, "RGB") == [(0, 0, 0), (0, 0, 1)]


# Occlusions.


def test_occlusions_need_neighbouring_frames():
    with pytest.raises(DataError, match="no neighbouring frames"):
        convert("occlusions", Vector=image((0, 0, 0, 0)), Depth=image(HIT), IndexOB=image(1))


@pytest.mark.parametrize("kind", ["flows", "occlusions"])
def test_vectors_of_what_is_not_there_may_be_any_bits(kind):
    """Blender leaves memory as it was there; a signalling NaN would be a warning."""
    passes = {
        "Depth": np.full((4, 4, 1), HIT, np.float32),
        "Vector": np.zeros((4, 4, 4), np.float32),
        "IndexOB": np.ones((4, 1, 1), np.float32) * np.float32([[[1], [2], [1], [2]]]),
    }
    passes["Vector"][:, 1] = np.array(0x7F800001, np.uint32).view(np.float32)
    passes["Vector"][:, 3] = np.inf
    reply = {
        "camera": camera_values(width=4, height=4, matrix_world=IDENTITY.tolist()),
        "unknown": {"forward": [2], "backward": [2]},
    }
    seen_from = View.from_reply(reply)
    neighbour = Neighbour(passes, View.from_reply({"camera": reply["camera"]}))
    channels = PASSES[kind].convert(passes, dataclasses.replace(seen_from, previous=neighbour, next=neighbour))
    wanted = np.array([[15, 0, 15, 0]] * 4) if kind == "occlusions" else 0
    assert all(np.array_equal(pixels, np.broadcast_to(wanted, (4, 4))) for pixels in channels.values())


@pytest.mark.parametrize("motion", [False, True])
def test_occlusions_of_what_rests_or_is_unknown(motion):
    size = (4, 4)
    passes = {
        "Depth": np.where(np.eye(4)[..., None] == 1, np.float32(MISS), np.float32(HIT)),
        "Vector": np.zeros((*size, 4), np.float32),
        "IndexOB": np.repeat(np.float32([1, 2, 3, 4]), 4).reshape(*size, 1),
    }
    camera = camera_values(width=4, height=4, matrix_world=IDENTITY.tolist())
    reply = {"camera": camera, "unknown": {"forward": [2, 3], "backward": [3]}}
    if motion:
        reply["motion"] = {"cameras": [camera] * 3, "objects": Movers.of({}).pack()}
    seen_from = View.from_reply(reply)
    neighbour = Neighbour(passes, View.from_reply({"camera": camera}))
    seen_from = dataclasses.replace(seen_from, previous=neighbour, next=neighbour)
    (channel,) = PASSES["occlusions"].convert(passes, seen_from).values()
    assert channel.dtype == np.uint8
    expected = np.repeat([[15], [12], [0], [15]], 4, axis=1)
    np.fill_diagonal(expected, 0)  # The background.
    assert channel.tolist() == expected.tolist()


# Flow.


def test_flow_signs_by_hand():
    # Blender: (previous - current, current - next), y up. The surface was at (-1, -2) from here (up positive), and
    # goes on to (+3, +4): so previous - current = (-1, -2), current - next = (-3, -4).
    channels = convert("flows", Vector=image((-1, -2, -3, -4)), Depth=image(HIT))
    assert set(channels) == set("RGBA")
    # Forward: 3 right, 4 up, that is -4 down. Backward: 1 left, 2 below, that is +2 down.
    assert row(channels, "RGBA") == [(3, -4, -1, 2)]


def test_flow_of_steady_motion_is_opposite_forward_and_backward():
    ((forward_x, forward_y, backward_x, backward_y),) = row(
        convert("flows", Vector=image((-5, 7, -5, 7)), Depth=image(HIT)), "RGBA"
    )
    assert (forward_x, forward_y) == (-backward_x, -backward_y) == (5, 7)


def test_flow_of_the_background_is_zero():
    channels = convert("flows", Vector=image((0.3, -0.2, 0.1, 1.0), (1, 1, 1, 1)), Depth=image(MISS, HIT))
    assert row(channels, "RGBA")[0] == (0, 0, 0, 0)
    assert row(channels, "RGBA")[1] != (0, 0, 0, 0)


def test_flow_has_no_negative_zero():
    channels = convert("flows", Vector=image((0.0,) * 4, (-0.0,) * 4, (-1.0,) * 4), Depth=image(HIT, HIT, MISS))
    assert not has_negative_zero(channels)


@given(st.lists(st.tuples(*[st.floats(-100, 100, width=32)] * 4), min_size=1, max_size=5))
def test_flow_stays_float32_and_exact(vectors):
    channels = convert("flows", Vector=image(*vectors), Depth=image(*[HIT] * len(vectors)))
    assert all(pixels.dtype == np.float32 for pixels in channels.values())
    assert row(channels, "RGBA") == [(-z, w, x, -y) for x, y, z, w in vectors]


# Flow from geometry: the surface is carried by its object's matrix and seen by the neighbouring frame's camera.


def moved(x: float = 0.0, y: float = 0.0, z: float = 0.0, turn: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """A matrix that scales, turns about +Z, and moves."""
    matrix = np.diag([scale, scale, scale, 1.0])
    cos, sin = math.cos(turn), math.sin(turn)
    matrix[:2, :2] = scale * np.array([[cos, -sin], [sin, cos]])
    matrix[:3, 3] = x, y, z
    return matrix


def seen(camera: dict, world: np.ndarray) -> np.ndarray:
    """Pixel of a world point, by the reference."""
    right, up, back = (np.linalg.inv(np.array(camera["matrix_world"])) @ (*world, 1.0))[:3]
    return np.array(pixel_of(camera, right, up, -back))


def geometric_flow(cameras: list[dict], depth: np.ndarray, ids: np.ndarray, objects: dict) -> np.ndarray:
    """(H, W, 4): forward and backward."""
    reply = {"camera": cameras[1], "motion": {"cameras": cameras, "objects": Movers.of(objects).pack()}}
    passes = {"Depth": depth.astype(np.float32)[..., None], "IndexOB": ids.astype(np.float32)[..., None]}
    channels = PASSES["flows"].convert(passes, View.from_reply(reply))
    assert all(channels[name].dtype == np.float32 for name in "RGBA")
    assert not has_negative_zero(channels)
    return np.stack([channels[name] for name in "RGBA"], axis=-1)


def test_flow_of_unknown_motion_is_zero_in_its_direction():
    cameras = [camera_values(matrix_world=moved(x=x).tolist()) for x in (-0.5, 0.0, 0.5)]
    ids = np.array([[0, 1, 2, 3, 70000, 5]] * 4, np.float32)[..., None]
    passes = {"Depth": np.full((*ids.shape[:2], 1), HIT, np.float32), "IndexOB": ids}
    vectors = np.ones((*ids.shape[:2], 4), np.float32)
    unknown = {"forward": [2, 70000], "backward": [3, 70000]}
    for reply in (
        {"camera": cameras[1]},
        {"camera": cameras[1], "motion": {"cameras": cameras, "objects": Movers.of({}).pack()}},
    ):
        known = PASSES["flows"].convert({**passes, "Vector": vectors}, View.from_reply(reply))
        channels = PASSES["flows"].convert(
            {**passes, "Vector": vectors}, View.from_reply({**reply, "unknown": unknown})
        )
        for name, lost in {"R": [2, 4], "G": [2, 4], "B": [3, 4], "A": [3, 4]}.items():
            others = [x for x in range(6) if x not in lost]
            assert np.array_equal(channels[name][:, others], known[name][:, others])
            assert not channels[name][:, lost].any()


SHAPE = (4, 6)  # That of `camera_values`.


def still_camera(**changes) -> list[dict]:
    return [camera_values(matrix_world=IDENTITY.tolist(), **changes)] * 3


def test_geometric_flow_of_what_stands_still_is_zero():
    flow = geometric_flow(still_camera(), np.full(SHAPE, 3.0), np.ones(SHAPE), {1: [moved(1.0)] * 3})
    assert np.abs(flow).max() < 1e-5


def test_geometric_flow_of_an_object_by_hand():
    # 2 units away, fx = 8.333: one unit is 4.1667 pixels. It came from the left, and goes up.
    matrices = [moved(x=-1.0), moved(), moved(y=0.5)]
    flow = geometric_flow(still_camera(), np.full(SHAPE, 2.0), np.ones(SHAPE), {1: matrices})
    unit = 50 / 36 * 6 / 2
    assert flow[2, 3] == pytest.approx((0, -0.5 * unit, -unit, 0), abs=1e-5)


def test_geometric_flow_moves_each_object_by_its_own_matrix():
    ids = np.zeros(SHAPE)
    ids[:, 2:4], ids[:, 4:] = 1, 2
    objects = {1: [moved(), moved(), moved(x=1.0)], 2: [moved(), moved(), moved(x=-1.0)]}
    flow = geometric_flow(still_camera(), np.full(SHAPE, 2.0), ids, objects)
    unit = 50 / 36 * 6 / 2
    assert flow[1, :, 0] == pytest.approx([0, 0, unit, unit, -unit, -unit], abs=1e-5)


def test_geometric_flow_of_a_moving_camera_is_opposite_to_it():
    cameras = [camera_values(matrix_world=moved(x=x).tolist()) for x in (-1.0, 0.0, 1.0)]
    flow = geometric_flow(cameras, np.full(SHAPE, 2.0), np.zeros(SHAPE), {})
    unit = 50 / 36 * 6 / 2
    assert flow[1, 1] == pytest.approx((-unit, 0, unit, 0), abs=1e-5)


def test_geometric_flow_of_a_growing_lens_moves_away_from_the_centre():
    cameras = [camera_values(matrix_world=IDENTITY.tolist(), lens=lens) for lens in (25.0, 50.0, 100.0)]
    flow = geometric_flow(cameras, np.full(SHAPE, 2.0), np.zeros(SHAPE), {})
    # Pixel (0, 0) is 2.5 left of and 1.5 above the centre: twice as far at t + 1, half at t - 1.
    assert flow[0, 0] == pytest.approx((-2.5, -1.5, 1.25, 0.75), abs=1e-5)


def test_geometric_flow_of_the_background_is_zero():
    depth = np.full(SHAPE, 2.0)
    depth[0] = MISS
    cameras = [camera_values(matrix_world=moved(x=x).tolist()) for x in (-1.0, 0.0, 1.0)]
    flow = geometric_flow(cameras, depth, np.zeros(SHAPE), {})
    assert not flow[0].any() and flow[1:, :, 0].all()


def test_geometric_flow_of_an_object_without_size_is_refused():
    with pytest.raises(DataError, match="7"):
        geometric_flow(
            still_camera(), np.full(SHAPE, 2.0), np.full(SHAPE, 7), {7: [moved(), moved(scale=0.0), moved()]}
        )


MATRICES = st.builds(moved, *[st.floats(-1, 1)] * 4, scale=st.floats(0.5, 2))
POSES = st.builds(moved, *[st.floats(-1, 1)] * 4)


@given(st.lists(MATRICES, min_size=3, max_size=3), st.lists(POSES, min_size=3, max_size=3), st.data())
def test_geometric_flow_agrees_with_carrying_the_point_by_hand(matrices, poses, data):
    lenses = [data.draw(st.floats(20, 80)) for _ in range(3)]
    shift = data.draw(st.floats(-0.5, 0.5))
    cameras = [
        camera_values(matrix_world=pose.tolist(), lens=lens, shift_y=shift)
        for pose, lens in zip(poses, lenses, strict=True)
    ]
    row, column = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 5))
    depth = float(np.float32(data.draw(st.floats(8, 20))))
    # The point on the ray through the pixel's centre, found by solving for it: the reference maps points to pixels.
    origin, step = np.array(pixel_of(cameras[1], 0, 0, depth)), np.array(pixel_of(cameras[1], 1, 1, depth))
    right, up = (np.array([column + 0.5, row + 0.5]) - origin) / (step - origin)
    world = (poses[1] @ (right, up, -depth, 1.0))[:3]
    assert seen(cameras[1], world) == pytest.approx((column + 0.5, row + 0.5), abs=1e-6)
    expected = []
    for time in (2, 0):
        carried = matrices[time] @ np.linalg.inv(matrices[1]) @ (*world, 1.0)
        expected.extend(seen(cameras[time], carried[:3]) - (column + 0.5, row + 0.5))
    flow = geometric_flow(cameras, np.full(SHAPE, depth), np.ones(SHAPE), {1: matrices})
    assert flow[row, column] == pytest.approx(expected, rel=1e-4, abs=1e-4)


# Flow of other cameras.


def globe(**changes) -> dict:
    """An equirectangular camera at the origin, looking along -Z: a pixel is 60 degrees wide and 45 high."""
    turn = math.pi
    ranges = {"longitude_min": -turn, "longitude_max": turn, "latitude_min": -turn / 2, "latitude_max": turn / 2}
    return camera_values(
        **{"type": "PANO", "panorama_type": "EQUIRECTANGULAR", "matrix_world": IDENTITY.tolist(), **ranges, **changes}
    )


def turned(angle: float) -> np.ndarray:
    """Turned to the left, about +Y."""
    matrix = np.eye(4)
    matrix[[0, 2], [0, 2]] = math.cos(angle)
    matrix[0, 2], matrix[2, 0] = math.sin(angle), -math.sin(angle)
    return matrix


def test_geometric_flow_of_a_turning_panorama_is_the_same_everywhere_also_across_the_seam():
    cameras = [globe(matrix_world=turned(time * math.pi / 6).tolist()) for time in (-1, 0, 1)]
    flow = geometric_flow(cameras, np.full(SHAPE, 2.0), np.zeros(SHAPE), {})
    assert flow == pytest.approx(np.broadcast_to([0.5, 0, -0.5, 0], (*SHAPE, 4)), abs=1e-5)


def test_flow_from_vectors_goes_the_shorter_way_round_a_panorama():
    reply = {"camera": globe()}
    # Blender's vectors do not know that the picture goes round: 6 pixels more or less.
    vectors = image((5.5, 1, -5.5, 0), (-5.5, 0, 5.5, 0), (2.5, 0, -2.5, 0))
    channels = PASSES["flows"].convert({"Vector": vectors, "Depth": image(*[HIT] * 3)}, View.from_reply(reply))
    assert row(channels, "RGBA") == [(-0.5, 0, -0.5, -1), (0.5, 0, 0.5, 0), (2.5, 0, 2.5, 0)]
    assert all(pixels.dtype == np.float32 for pixels in channels.values()) and not has_negative_zero(channels)


def test_geometric_flow_of_an_orthographic_camera_does_not_depend_on_depth():
    depth = np.linspace(1.0, 50.0, SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    flow = geometric_flow(
        still_camera(type="ORTHO", ortho_scale=3.0), depth, np.ones(SHAPE), {1: [moved(y=-1), moved(), moved(x=0.5)]}
    )
    # Two pixels for each unit.
    assert flow == pytest.approx(np.broadcast_to([1, 0, 0, 2], (*SHAPE, 4)), abs=1e-5)


def test_geometric_flow_of_a_fisheye_is_zero_where_it_has_no_rays():
    camera = camera_values(
        type="PANO", panorama_type="FISHEYE_EQUIDISTANT", fisheye_fov=math.pi, matrix_world=IDENTITY.tolist()
    )
    depth = np.full(SHAPE, 2.0)
    depth[[0, 0, -1, -1], [0, -1, 0, -1]] = MISS  # The corners.
    flow = geometric_flow([camera] * 3, depth, np.ones(SHAPE), {1: [moved(), moved(), moved(x=0.1)]})
    assert np.isfinite(flow).all() and (flow[0, 0] == 0).all() and (flow[1, 1, :2] != 0).any()


# Where it was seen from.


def test_view_of_a_camera_that_we_cannot_describe_is_refused():
    with pytest.raises(SceneError, match="MIRRORBALL"):
        View.from_reply({"camera": camera_values(type="PANO", panorama_type="MIRRORBALL")})


# Ids.


@pytest.mark.parametrize("name", ["Object_Index", "IndexOB"])
def test_ids_are_whole_numbers(name):
    channels = convert("segmentations", **{name: image(0, 1, 255, 65535, 16777216)})
    assert list(channels) == ["Y"]
    assert channels["Y"].dtype == np.uint32
    assert channels["Y"].tolist() == [[0, 1, 255, 65535, 16777216]]


@pytest.mark.parametrize("value", [0.5, 1.0001, 1e-30, -0.5])
def test_ids_that_are_mixed_are_refused(value):
    with pytest.raises(DataError, match="whole"):
        convert("segmentations", IndexOB=image(1, value))


# All kinds.


@pytest.mark.parametrize("size", [1, 3 * SHAPE[1], 10**6])
@pytest.mark.parametrize("kind", ["normals", "flows"])
def test_pictures_are_converted_alike_in_blocks_of_any_size(kind, size, monkeypatch):
    numbers = np.random.default_rng(1)
    depth = numbers.uniform(1, 9, SHAPE)
    depth[1, 2] = BACKGROUND_DEPTH
    passes = {"Depth": depth, "IndexOB": numbers.integers(0, 3, SHAPE), "Normal": numbers.normal(size=(*SHAPE, 3))}
    passes = {name: pixels.reshape(*SHAPE, -1).astype(np.float32) for name, pixels in passes.items()}
    cameras = [camera_values(matrix_world=moved(x=x, turn=x).tolist()) for x in (-1.0, 0.5, 1.0)]
    objects = Movers.of({1: [moved(turn=turn) for turn in (-1.0, 0.0, 2.0)]}).pack()
    seen_from = View.from_reply({"camera": cameras[1], "motion": {"cameras": cameras, "objects": objects}})
    whole = PASSES[kind].convert(passes, seen_from)
    monkeypatch.setattr(module, "BLOCK", size)
    parts = PASSES[kind].convert(passes, seen_from)
    assert all(np.array_equal(whole[name], parts[name]) and whole[name].all(axis=0).any() for name in whole)
    assert not any(pixels[1, 2] for pixels in parts.values())


@pytest.mark.parametrize("kind", PASSES)
def test_converters_leave_blenders_arrays_alone(kind):
    passes = {
        "Depth": image(HIT, MISS),
        "Normal": image((0, 0.6, 0.8), (1, 0, 0)),
        "Vector": image((1, 2, 3, 4), (5, 6, 7, 8)),
        "IndexOB": image(1, 2),
    }
    passes = {name: np.repeat(pixels, 2, axis=0) for name, pixels in passes.items()}
    before = {name: pixels.copy() for name, pixels in passes.items()}
    for pixels in passes.values():
        pixels.flags.writeable = False  # As the memory map that they are.
    PASSES[kind].convert(passes, between_neighbours(passes))
    assert all(np.array_equal(passes[name], before[name]) for name in passes)


@pytest.mark.parametrize("kind", PASSES)
def test_converters_keep_the_size(kind):
    shape = (3, 5)
    passes = {
        "Depth": np.ones((*shape, 1), np.float32),
        "Normal": np.ones((*shape, 3), np.float32),
        "Vector": np.ones((*shape, 4), np.float32),
        "IndexOB": np.ones((*shape, 1), np.float32),
    }
    assert {pixels.shape for pixels in PASSES[kind].convert(passes, between_neighbours(passes)).values()} == {shape}


def test_normals_have_no_negative_zero():
    channels = convert("normals", Normal=image((-1, -1, -1), (0, 0, 1), (-0.0, 1, -0.0)), Depth=image(MISS, HIT, HIT))
    assert not has_negative_zero(channels)


def test_normals_rotated_have_no_negative_zero():
    c2w = np.diag([-1.0, -1.0, 1.0, 1.0])
    assert not has_negative_zero(convert("normals", c2w, Normal=image((0, 0, 1)), Depth=image(HIT)))


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan, 2.0**32])
def test_ids_that_do_not_fit_are_refused(value):
    with pytest.raises(DataError):
        convert("segmentations", IndexOB=image(1, value))


def test_vectors_of_another_render_count_for_the_same_surface_but_for_rounding():
    depth = np.float32(HIT)
    passes = {"Depth": image(depth, depth, MISS)}
    others = {"Depth": image(depth * np.float32(1 + 1e-6), 2 * depth, MISS), "Vector": image(*[(1, 2, 3, 4)] * 3)}
    vector = module.with_vectors(passes, others)["Vector"]
    assert vector[0, 0].tolist() == [1, 2, 3, 4] and np.isnan(vector[0, 1]).all()
    assert vector[0, 2].tolist() == [1, 2, 3, 4]  # The background, whose vectors are overwritten.
