"""Between the poses of a trajectory: a spline through all of them, other times, smoothing.

Position and rotation are seven numbers, the rotation as a unit quaternion whose sign never jumps. A cubic spline goes
through each of them, and the quaternion is made unit length again. So the path passes through its keys exactly, its
velocity and acceleration are continuous, and a rigid change of the world's frame, or a turn of the camera in its own,
turns the whole path: the quaternions of another frame are a rotation in four dimensions of these.

Where the camera rests, which is two neighbouring keys with the same pose, the path is constant: the splines before and
after it end with no velocity and no acceleration. One spline through all keys would drift over a rest.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.interpolate import BSpline, make_interp_spline
from scipy.spatial.transform import Rotation

from visionsim.cameras import CameraModel
from visionsim.errors import DataError, RequestError
from visionsim.trajectory.path import Trajectory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visionsim.types import Matrix

__all__ = ["PathSpline", "hold_gaps", "interpolate", "look_at", "resample", "smooth"]

RESTS = 1e-9
"""Poses that differ by less are the same: of the path's extent, and of a quaternion's length."""


def seven_numbers(c2w: Matrix) -> Matrix:
    """(N, 7): positions, and quaternions x y z w on the same side as the one before."""
    quaternions = Rotation.from_matrix(c2w[:, :3, :3]).as_quat()
    flips = np.einsum("ni,ni->n", quaternions[1:], quaternions[:-1]) < 0
    quaternions[1:] *= np.where(np.cumsum(flips) % 2, -1.0, 1.0)[:, None]
    return np.hstack([c2w[:, :3, 3], quaternions])


def poses_of(numbers: Matrix) -> Matrix:
    """(N, 4, 4): the way back; quaternions need not be unit length."""
    c2w = np.tile(np.eye(4), (len(numbers), 1, 1))
    c2w[:, :3, :3] = Rotation.from_quat(numbers[:, 3:]).as_matrix()
    c2w[:, :3, 3] = numbers[:, :3]
    return c2w


def resting(numbers: Matrix) -> NDArray[np.bool_]:
    """(N - 1,): whether the pose stays what it is until the next key."""
    extent = float(np.max(np.ptp(numbers[:, :3], axis=0))) or 1.0
    steps = np.abs(np.diff(numbers, axis=0)) / np.array([extent] * 3 + [1.0] * 4)
    return np.asarray(steps.max(axis=1, initial=0.0) <= RESTS)


class PathSpline:
    """The spline through a trajectory's poses, at any time between its first and its last."""

    def __init__(self, path: Trajectory) -> None:
        self.times_s = path.times_s
        numbers = seven_numbers(path.c2w)
        rests = resting(numbers)
        self._pieces: list[tuple[float, BSpline | Matrix]] = []
        """From when, and what from there on: a spline, or the numbers of a rest."""
        first = 0
        for last in range(1, len(numbers)):
            if rests[last - 1]:
                self._pieces.append((self.times_s[last - 1], numbers[last - 1]))
                first = last
            elif last == len(numbers) - 1 or rests[last]:
                begins = first > 0 and bool(rests[first - 1])
                ends = last < len(numbers) - 1
                times, values = self.times_s[first : last + 1], numbers[first : last + 1]
                self._pieces.append((self.times_s[first], moving_spline(times, values, begins, ends)))
                first = last
        if not self._pieces:
            self._pieces.append((self.times_s[0], numbers[0]))

    def __call__(self, times_s: Any, derivative: int = 0) -> Matrix:
        """(M, 7): position and quaternion (not unit length), or a derivative of them, at times (M,)."""
        times = np.asarray(times_s, np.float64)
        which = np.searchsorted([begin for begin, _ in self._pieces], times, side="right") - 1
        result = np.empty((len(times), 7))
        for index in np.unique(which):
            here, piece = which == index, self._pieces[max(index, 0)][1]
            if isinstance(piece, BSpline):
                result[here] = piece(times[here], derivative)
            else:
                result[here] = piece if derivative == 0 else 0.0
        return result

    def at(self, times_s: Any) -> Matrix:
        """(M, 4, 4): the poses at times (M,).

        Raises:
            RequestError: a time is before the first pose or after the last.
        """
        times = np.asarray(times_s, np.float64)
        first, last = float(self.times_s[0]), float(self.times_s[-1])
        slack = 1e-9 * max(1.0, abs(first), abs(last))  # A frame's number divided by a rate is not exact.
        if len(times) and (times.min() < first - slack or times.max() > last + slack):
            wrong = float(times.min() if times.min() < first - slack else times.max())
            raise RequestError(f"the trajectory has no pose at {wrong:g} s: it is from {first:g} to {last:g} s")
        return poses_of(self(np.clip(times, first, last)))


def moving_spline(times: NDArray[np.float64], values: Matrix, from_rest: bool, to_rest: bool) -> BSpline:
    """The cubic spline through values at times, natural at its ends; at a rest, with no velocity and no acceleration.

    The second condition of a rest takes one more degree of freedom: a knot in the middle of the interval beside it.
    """
    knots = list(times[1:-1])
    if from_rest:
        knots.append(times[0] + (times[1] - times[0]) / (3 if len(times) == 2 else 2))
    if to_rest:
        knots.append(times[-1] - (times[-1] - times[-2]) / (3 if len(times) == 2 else 2))
    knots = [times[0]] * 4 + sorted(knots) + [times[-1]] * 4
    nothing = np.zeros(values.shape[1])
    ends = [[(1, nothing), (2, nothing)] if rest else [(2, nothing)] for rest in (from_rest, to_rest)]
    return make_interp_spline(times, values, k=3, t=knots, bc_type=tuple(ends))


def interpolate(path: Trajectory, times_s: Any) -> Matrix:
    """(M, 4, 4): camera-to-world poses at times (M,) seconds; see the module's docstring for the curve.

    Raises:
        RequestError: a time is before the first pose or after the last.
    """
    return PathSpline(path).at(times_s)


def resample(path: Trajectory, times_s: Any, *, frames: tuple[int, ...] = (), fps: float | None = None) -> Trajectory:
    """The same path with poses at other times (M,), seconds; extra keys of single poses are dropped.

    Args:
        path: what to resample.
        times_s: (M,), strictly increasing, within the path's times.
        frames, fps: of the result.
    Raises:
        RequestError: a time is outside of the path.
        DataError: the kind of camera changes on the way.
    """
    times = np.asarray(times_s, np.float64)
    cameras = cameras_at(path, times)
    c2w = interpolate(path, times)
    made = Trajectory.make(times, c2w, cameras=cameras, frames=frames, fps=fps)
    return replace(made, scene=path.scene, extra=path.extra)


def cameras_at(path: Trajectory, times: NDArray[np.float64]) -> tuple[CameraModel, ...]:
    """The cameras at times; numbers that change, such as a zoom's focal length, are interpolated linearly."""
    if len(path.cameras) < 2:
        return path.cameras
    first = path.cameras[0]
    names = [item.name for item in fields(first)]  # type: ignore[arg-type]
    if any(type(camera) is not type(first) for camera in path.cameras):
        raise DataError("the kind of camera changes on the way: it cannot be interpolated")
    values = {name: [getattr(camera, name) for camera in path.cameras] for name in names}
    if any(len(set(values[name])) > 1 for name in ("width", "height")):
        raise DataError("the size of the picture changes on the way: it cannot be interpolated")
    between = {name: np.interp(times, path.times_s, values[name]) for name in names if name not in ("width", "height")}
    return tuple(
        replace(first, **{name: float(column[index]) for name, column in between.items()})  # type: ignore[type-var]
        for index in range(len(times))
    )


def hold_gaps(path: Trajectory, longest_s: float) -> Trajectory:
    """The path with the camera at rest in gaps: a recorder sends no events while the user holds still.

    Before each key that comes more than `longest_s` after the one before, the last pose is repeated, one usual interval
    ahead of it. Without that, interpolation would drift slowly from one pose to the next.
    """
    steps = np.diff(path.times_s)
    usual = float(np.median(steps[steps <= longest_s])) if (steps <= longest_s).any() else longest_s / 2
    gaps = np.flatnonzero(steps > longest_s)
    order = np.insert(np.arange(len(path)), gaps + 1, gaps)
    times = np.insert(path.times_s, gaps + 1, path.times_s[gaps + 1] - usual)
    return replace(
        path,
        times_s=times,
        c2w=path.c2w[order],
        cameras=tuple(path.cameras[i] for i in order) if len(path.cameras) > 1 else path.cameras,
        frames=(),
        frame_extra=(),
        fps=None if len(gaps) else path.fps,
    )


def smooth(path: Trajectory, window_s: float) -> Trajectory:
    """The path without the tremble of a hand: each pose is that of a parabola fitted to the poses around it.

    Neighbours count by a Gaussian of standard deviation `window_s` seconds. A motion with constant velocity or constant
    acceleration stays what it is. The times stay.

    Raises:
        RequestError: the window is not positive.
    Source:
        W. Cleveland, Robust Locally Weighted Regression and Smoothing Scatterplots, 1979: without the robust weights.
    """
    if not (window_s > 0 and math.isfinite(window_s)):
        raise RequestError(f"a window of {window_s:g} s smooths nothing: it must be positive")
    times, numbers = path.times_s, seven_numbers(path.c2w)
    result = np.empty_like(numbers)
    for index, time in enumerate(times):
        begin, end = np.searchsorted(times, [time - 4 * window_s, time + 4 * window_s], side="left")
        away = (times[begin:end] - time) / window_s
        weights = np.exp(-away * away / 4)  # Its square root: least squares squares it.
        design = np.stack([np.ones_like(away), away, away * away], axis=1)[:, : min(3, len(away))]
        found, *_ = np.linalg.lstsq(design * weights[:, None], numbers[begin:end] * weights[:, None], rcond=None)
        result[index] = found[0]
    return replace(path, c2w=poses_of(result))


def look_at(positions: Any, target: Any, up: Any = (0.0, 0.0, 1.0)) -> Matrix:
    """(N, 4, 4): camera-to-world poses at positions (N, 3) that look at a target (3,), with `up` upwards.

    Looking along `up` itself, the top of the picture is the world's +Y (+X if that is `up`, too).

    Raises:
        RequestError: a position is the target itself.
    """
    eyes = np.asarray(positions, np.float64).reshape(-1, 3)
    back = eyes - np.asarray(target, np.float64)
    lengths = np.linalg.norm(back, axis=1, keepdims=True)
    if (lengths == 0).any():
        raise RequestError(f"position {int(np.argmin(lengths[:, 0]))} is the target itself: it looks nowhere")
    back = back / lengths
    upwards = np.broadcast_to(np.asarray(up, np.float64), back.shape)
    right = np.cross(upwards, back)
    for other in ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0)):
        along = np.linalg.norm(right, axis=1) < 1e-9
        right[along] = np.cross(np.array(other), back[along])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    c2w = np.tile(np.eye(4), (len(eyes), 1, 1))
    c2w[:, :3, 0], c2w[:, :3, 1], c2w[:, :3, 2], c2w[:, :3, 3] = right, np.cross(back, right), back, eyes
    return c2w
