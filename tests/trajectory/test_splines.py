"""Splines through poses: exact at the keys, smooth, the same in every frame, and at rest where the camera rests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from visionsim.cameras import Intrinsics
from visionsim.errors import DataError, RequestError
from visionsim.trajectory.path import Trajectory
from visionsim.trajectory.splines import PathSpline, hold_gaps, interpolate, look_at, resample, smooth

seeds = st.integers(0, 2**32 - 1)


def random_path(seed: int, count: int = 8, *, rests: bool = False, turn: float = 0.8) -> Trajectory:
    """Poses that wander, at irregular times; with `rests`, some poses are held."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.05, 0.4, count))
    turned = Rotation.random(random_state=int(rng.integers(1 << 31)))
    c2w = np.tile(np.eye(4), (count, 1, 1))
    position = rng.normal(0, 5, 3)
    for index in range(count):
        if index and not (rests and rng.random() < 0.4):
            turned = turned * Rotation.from_rotvec(rng.normal(0, turn / 2, 3))
            position = position + rng.normal(0, 1, 3)
        c2w[index, :3, :3], c2w[index, :3, 3] = turned.as_matrix(), position
    return Trajectory.make(times, c2w)


def times_within(path: Trajectory, count: int = 200) -> np.ndarray:
    return np.linspace(path.times_s[0], path.times_s[-1], count)


def rigid_motion(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    motion = np.eye(4)
    motion[:3, :3] = Rotation.random(random_state=int(rng.integers(1 << 31))).as_matrix()
    motion[:3, 3] = rng.normal(0, 10, 3)
    return motion


@settings(max_examples=40)
@given(seeds, st.integers(1, 9), st.booleans())
def test_path_goes_through_its_keys(seed: int, count: int, rests: bool) -> None:
    path = random_path(seed, count, rests=rests)
    assert np.abs(interpolate(path, path.times_s) - path.c2w).max() < 1e-9


@settings(max_examples=40)
@given(seeds, st.booleans())
def test_poses_are_rigid_everywhere(seed: int, rests: bool) -> None:
    path = random_path(seed, rests=rests)
    rotation = interpolate(path, times_within(path))[:, :3, :3]
    assert np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max() < 1e-12
    assert np.linalg.det(rotation).min() > 0


@settings(max_examples=40)
@given(seeds, st.booleans())
def test_velocity_and_acceleration_are_continuous(seed: int, rests: bool) -> None:
    path = random_path(seed, rests=rests)
    spline, just = PathSpline(path), 1e-7
    inner = path.times_s[1:-1]
    for derivative in (0, 1, 2):
        third = np.abs(spline(times_within(path), 3)).max() + np.abs(spline(times_within(path), derivative)).max()
        jump = np.abs(spline(inner + just, derivative) - spline(inner - just, derivative)).max()
        assert jump <= 1e-4 * (1 + third), derivative


@settings(max_examples=40)
@given(seeds, seeds, st.booleans())
def test_another_frame_turns_the_whole_path(seed: int, other: int, rests: bool) -> None:
    path, moved = random_path(seed, rests=rests), rigid_motion(other)
    at = times_within(path)
    elsewhere = Trajectory.make(path.times_s, moved @ path.c2w)
    assert np.abs(interpolate(elsewhere, at) - moved @ interpolate(path, at)).max() < 1e-8
    turned = np.eye(4)
    turned[:3, :3] = moved[:3, :3]
    assert (
        np.abs(interpolate(Trajectory.make(path.times_s, path.c2w @ turned), at) - interpolate(path, at) @ turned).max()
        < 1e-8
    )


@settings(max_examples=40)
@given(seeds)
def test_a_rest_is_a_rest(seed: int) -> None:
    path = random_path(seed, 12, rests=True)
    for index in range(len(path) - 1):
        if np.array_equal(path.c2w[index], path.c2w[index + 1]):
            during = interpolate(path, np.linspace(path.times_s[index], path.times_s[index + 1], 20))
            assert np.abs(during - path.c2w[index]).max() < 1e-9


def test_one_spline_through_all_keys_would_drift_over_a_rest() -> None:
    times = np.array([0, 1, 2, 3, 4.0])
    c2w = np.tile(np.eye(4), (5, 1, 1))
    c2w[:, 0, 3] = (0, 1, 2, 2, 2)
    found = interpolate(Trajectory.make(times, c2w), np.linspace(2, 4, 50))
    assert np.array_equal(found[:, 0, 3], np.full(50, 2.0))


def test_a_straight_path_at_constant_speed_stays_one() -> None:
    times = np.array([0, 0.5, 0.7, 2.0, 5.0])
    c2w = np.tile(np.eye(4), (5, 1, 1))
    c2w[:, :3, 3] = times[:, None] * (1, -2, 3)
    at = np.linspace(0, 5, 100)
    assert np.abs(interpolate(Trajectory.make(times, c2w), at)[:, :3, 3] - at[:, None] * (1, -2, 3)).max() < 1e-12


def test_a_circle_in_steps_of_ten_degrees_is_nearly_one() -> None:
    angles = np.radians(np.arange(0, 361, 10))
    c2w = look_at(np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1), (0, 0, 0))
    path = Trajectory.make(angles, c2w)
    at = np.radians(np.linspace(60, 300, 500))  # The ends of a spline know less.
    found = interpolate(path, at)
    wanted = look_at(np.stack([np.cos(at), np.sin(at), 0 * at], axis=1), (0, 0, 0))
    assert np.abs(found - wanted).max() < 5e-6


def test_times_outside_of_the_path_are_refused() -> None:
    path = random_path(1)
    with pytest.raises(RequestError, match=r"no pose at -1 s: it is from"):
        interpolate(path, [-1.0])


def test_resampled_lens_is_in_between() -> None:
    cameras = [Intrinsics(fx, fx, 32, 24, 64, 48) for fx in (50.0, 100.0)]
    path = Trajectory.make([0, 1], np.tile(np.eye(4), (2, 1, 1)), cameras=cameras)
    found = resample(path, [0, 0.25, 1.0], frames=(1, 2, 3), fps=4.0)
    assert [camera.fx for camera in found.cameras] == [50.0, 62.5, 100.0] and found.frames == (1, 2, 3)


def test_a_gap_without_events_is_a_rest() -> None:
    times = np.array([0, 0.1, 0.2, 0.9, 1.0])
    c2w = np.tile(np.eye(4), (5, 1, 1))
    c2w[:, 0, 3] = (0, 1, 2, 3, 4)
    held = hold_gaps(Trajectory.make(times, c2w), longest_s=0.3)
    assert held.times_s == pytest.approx([0, 0.1, 0.2, 0.8, 0.9, 1.0])
    assert np.abs(interpolate(held, np.linspace(0.2, 0.8, 20))[:, 0, 3] - 2.0).max() < 1e-9


@settings(max_examples=40)
@given(seeds, seeds)
def test_smoothing_keeps_accelerated_motion_and_turns_with_the_frame(seed: int, other: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.02, 0.06, 30))
    c2w = np.tile(np.eye(4), (30, 1, 1))
    c2w[:, :3, 3] = times[:, None] * rng.normal(0, 1, 3) + times[:, None] ** 2 * rng.normal(0, 1, 3)
    assert np.abs(smooth(Trajectory.make(times, c2w), 0.1).c2w - c2w).max() < 1e-8
    path, moved = random_path(seed, 20), rigid_motion(other)
    elsewhere = Trajectory.make(path.times_s, moved @ path.c2w)
    assert np.abs(smooth(elsewhere, 0.3).c2w - moved @ smooth(path, 0.3).c2w).max() < 1e-8


def test_smoothing_takes_a_tremble_away() -> None:
    rng = np.random.default_rng(3)
    times = np.arange(0, 4, 1 / 60)
    c2w = np.tile(np.eye(4), (len(times), 1, 1))
    c2w[:, 0, 3] = np.sin(times)
    trembling = c2w.copy()
    trembling[:, :3, 3] += rng.normal(0, 0.02, (len(times), 3))
    found = smooth(Trajectory.make(times, trembling), 0.25).c2w
    before, after = (np.sqrt(np.mean((one - c2w)[:, :3, 3] ** 2)) for one in (trembling, found))
    assert after < 0.4 * before


def test_smoothing_without_a_window_is_refused() -> None:
    with pytest.raises(RequestError, match="must be positive"):
        smooth(random_path(1), 0.0)


def test_looking_at_a_point() -> None:
    c2w = look_at([(3, 0, 0), (0, 0, 5), (0, -2, 0)], (0, 0, 0))
    assert np.allclose(-c2w[:, :3, 2] * [[3], [5], [2]], [(-3, 0, 0), (0, 0, -5), (0, 2, 0)])
    assert np.allclose(c2w[0, :3, 1], (0, 0, 1)) and np.allclose(np.linalg.det(c2w[:, :3, :3]), 1)
    with pytest.raises(RequestError, match="position 0 is the target"):
        look_at([(1, 1, 1)], (1, 1, 1))


@pytest.mark.parametrize(
    ("times", "change", "words"),
    [
        ([0, 1, 1], {}, "pose 2: its time 1 s is not after the 1 s before"),
        ([0, 1, np.nan], {}, "pose 2: a value is not finite"),
        ([0, 1, 2], {(1, 0, 0): 2.0}, "pose 1: its matrix is no rigid"),
        ([0, 1, 2], {(2, 0, 0): -1.0}, "pose 2: its matrix is no rigid"),
        ([0, 1, 2], {(0, 3, 3): 2.0}, "pose 0: its matrix is no rigid"),
    ],
)
def test_what_is_no_trajectory_is_refused(times, change, words) -> None:
    c2w = np.tile(np.eye(4), (3, 1, 1))
    for index, value in change.items():
        c2w[index] = value
    with pytest.raises(DataError, match=words):
        Trajectory.make(times, c2w)
