"""A camera's path: poses, times and lenses. Plain values, checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.cameras import CameraModel
from visionsim.errors import DataError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visionsim.types import Matrix

__all__ = ["Trajectory"]

RIGID = 1e-4
"""How far the entries of a rotation may be from those of the nearest one: poses come from files in single precision."""


@dataclass(frozen=True)
class Trajectory:
    """Where a camera is at which time."""

    times_s: NDArray[np.float64]
    """(N,) seconds, strictly increasing."""
    c2w: Matrix
    """(N, 4, 4) camera-to-world, Blender axes; the rotation part is orthonormal."""
    cameras: tuple[CameraModel, ...] = ()
    """The camera of each pose, or one for all; empty if the lens is not known."""
    frames: tuple[int, ...] = ()
    """Number of each pose on a timeline; empty if there is none."""
    fps: float | None = None
    """Poses per second, if their times are regular."""
    scene: Mapping[str, str] = field(default_factory=dict)
    """`name` and `sha256` of the .blend that the path was made in, as far as known."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the file: kept as they are."""
    frame_extra: tuple[Mapping[str, Any], ...] = ()
    """Further keys of each pose: kept as they are. Empty if there are none."""

    def __len__(self) -> int:
        return len(self.times_s)

    @classmethod
    def make(cls, times_s: Any, c2w: Any, **more: Any) -> Trajectory:
        """A trajectory of arrays or lists.

        Args:
            times_s: (N,) seconds, strictly increasing.
            c2w: (N, 4, 4), camera-to-world.
            more: the other fields.
        Raises:
            ShapeError: the arrays do not fit together.
            DataError: a value is not finite, a pose is not rigid, or times do not increase; the message has its index.
        """
        times, poses = np.array(times_s, np.float64), np.array(c2w, np.float64)
        if times.ndim != 1 or poses.shape != (len(times), 4, 4) or not len(times):
            raise ShapeError(f"expected (N,) times and (N, 4, 4) poses with N > 0, found {times.shape}, {poses.shape}")
        for name, count in (("cameras", 1), ("frames", 0), ("frame_extra", 0)):
            values = more[name] = tuple(more.get(name, ()))
            if len(values) not in {0, count, len(times)}:
                raise ShapeError(f"{name} has {len(values)} values for {len(times)} poses")
        bad = ~np.isfinite(times) | ~np.isfinite(poses).all(axis=(1, 2))
        if bad.any():
            raise DataError(f"pose {int(np.argmax(bad))}: a value is not finite")
        late = np.diff(times) <= 0
        if late.any():
            index = int(np.argmax(late)) + 1
            raise DataError(f"pose {index}: its time {times[index]:g} s is not after the {times[index - 1]:g} s before")
        return cls(times, rigid(poses), **more)

    def camera(self, index: int) -> CameraModel | None:
        """The camera of a pose; None if the lens is not known."""
        if not self.cameras:
            return None
        return self.cameras[0] if len(self.cameras) == 1 else self.cameras[index]


def rigid(c2w: Matrix) -> Matrix:
    """(N, 4, 4): poses with the nearest rotation in place of one that is only nearly orthonormal.

    Raises:
        DataError: a pose is scaled, sheared or mirrored, or its last row is not 0 0 0 1.
    """
    u, _, vt = np.linalg.svd(c2w[:, :3, :3])
    result = c2w.copy()
    result[:, :3, :3] = u @ vt
    result[:, 3] = (0.0, 0.0, 0.0, 1.0)
    wrong = (np.abs(result - c2w).max(axis=(1, 2), initial=0.0) > RIGID) | (np.linalg.det(result[:, :3, :3]) < 0)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise DataError(f"pose {index}: its matrix is no rigid camera-to-world pose: {c2w[index].round(4).tolist()}")
    return result


def constant(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries that all mappings share."""
    return {key: value for key, value in values[0].items() if all(one.get(key) == value for one in values)}
