"""How far, how fast and how evenly a camera moves."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from visionsim.trajectory.path import Trajectory
from visionsim.trajectory.splines import resting, seven_numbers

__all__ = ["Statistics", "statistics_of"]


@dataclass(frozen=True)
class Statistics:
    """What a path amounts to; lengths in scene units."""

    poses: int
    duration_s: float
    distance: float
    """Sum of the chords from pose to pose."""
    speed_mean: float
    """Scene units per second."""
    speed_max: float
    """From one pose to the next."""
    turned_rad: float
    """Sum of the angles from pose to pose."""
    turn_rate_max_rad_s: float
    interval_min_s: float
    interval_median_s: float
    interval_max_s: float
    rests_s: float
    """Time in which the camera does not move."""
    low: tuple[float, float, float]
    """Smallest x, y and z of the camera's centre."""
    high: tuple[float, float, float]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def statistics_of(path: Trajectory) -> Statistics:
    """The statistics of a trajectory, from its own poses; a path of one pose has no speed: 0."""
    positions = path.c2w[:, :3, 3]
    steps = np.diff(path.times_s)
    chords = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    rotations = Rotation.from_matrix(path.c2w[:, :3, :3])
    angles = (rotations[:-1].inv() * rotations[1:]).magnitude() if len(path) > 1 else np.empty(0)
    rests = resting(seven_numbers(path.c2w))
    duration = float(path.times_s[-1] - path.times_s[0])
    intervals = steps if len(steps) else np.zeros(1)
    return Statistics(
        poses=len(path),
        duration_s=duration,
        distance=float(chords.sum()),
        speed_mean=float(chords.sum() / duration) if duration else 0.0,
        speed_max=float(np.max(chords / steps, initial=0.0)),
        turned_rad=float(angles.sum()),
        turn_rate_max_rad_s=float(np.max(angles / steps, initial=0.0)),
        interval_min_s=float(np.min(intervals)),
        interval_median_s=float(np.median(intervals)),
        interval_max_s=float(np.max(intervals)),
        rests_s=float(math.fsum(steps[rests])),
        low=tuple(map(float, np.min(positions, axis=0))),  # type: ignore[arg-type]
        high=tuple(map(float, np.max(positions, axis=0))),  # type: ignore[arg-type]
    )
