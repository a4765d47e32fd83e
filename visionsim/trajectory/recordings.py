"""Recordings of camera moves that browsers sent, kept in a pickle: a list of rows, each with a `matrix` of 16 numbers.

A pickle can run any program. This reader makes of it lists, tuples, dicts, text and numbers only, and refuses the rest.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from visionsim.errors import ConfigError, DataError
from visionsim.trajectory.path import Trajectory
from visionsim.trajectory.splines import hold_gaps

__all__ = ["read_recording"]

BLENDER_FROM_YUP = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
"""The world of three.js has +Y up; both cameras look along their -Z."""

TIMES = ("time", "timestamp", "t", "ts")
"""Names that the time of a row may have; milliseconds if it is larger than any recording in seconds would be."""

GAP = 5.0
"""A row that comes later than this many usual intervals after the one before ends a rest: no events are sent then."""

UNIX_MS = 1e11
"""Times beyond this are milliseconds: as seconds they would be after the year 5000."""


class PlainUnpickler(pickle.Unpickler):
    """Reads a pickle that names no class and no function."""

    def find_class(self, module: str, name: str) -> Any:
        raise DataError(
            f"the pickle holds {module}.{name}: only lists, dicts, text and numbers are read, nothing is run"
        )


def load_plain(stream: io.BufferedIOBase) -> Any:
    """The plain values of a pickle; a logger appends rows as pickles of their own, so there may be several.

    Raises:
        DataError: it is damaged, or holds something else.
    """
    found = []
    while True:
        try:
            found.append(PlainUnpickler(stream).load())
        except EOFError:
            break
        except DataError:
            raise
        except Exception as exc:  # Whatever a damaged pickle makes of the reader.
            raise DataError(f"the pickle cannot be read ({exc})") from exc
    return found[0] if len(found) == 1 else found


def read_recording(path: Path, fps: float | None = None) -> Trajectory:
    """The poses of a recording, in Blender's world, at rest where no events were sent.

    Args:
        path: the pickle.
        fps: poses per second; by default the recording's own times.
    Raises:
        DataError: it is damaged, holds more than plain values, or has no matrices.
        ConfigError: it has no times, and `fps` is None.
    """
    with open(path, "rb") as stream:
        rows = flat(load_plain(stream))
    if not rows:
        raise DataError("the pickle has no rows with a `matrix`")
    matrices = np.array([row["matrix"] for row in rows], np.float64)
    if matrices.shape[1:] not in ((16,), (4, 4)):
        raise DataError(f"a `matrix` has shape {matrices.shape[1:]}, not 16 numbers")
    # Column-major, as three.js keeps them.
    c2w = BLENDER_FROM_YUP @ matrices.reshape(-1, 4, 4).transpose(0, 2, 1)
    name = next((name for name in TIMES if all(name in row for row in rows)), None)
    if fps is not None:
        return Trajectory.make(np.arange(len(rows)) / fps, unscaled(c2w), fps=fps)
    if name is None:
        raise ConfigError("the recording has no times: say how many poses there are in a second with --fps")
    times = np.array([row[name] for row in rows], np.float64)
    times = times / 1000 if times[0] > UNIX_MS else times
    kept = np.concatenate([[True], np.diff(np.maximum.accumulate(times)) > 0])  # Events may come in one moment.
    made = Trajectory.make(times[kept] - times[0], unscaled(c2w[kept]))
    steps = np.diff(made.times_s)
    return hold_gaps(made, GAP * float(np.median(steps))) if len(steps) else made


def unscaled(c2w: np.ndarray) -> np.ndarray:
    """Poses without the scale of their axes, which says nothing about where a camera looks."""
    made = c2w.copy()
    lengths = np.linalg.norm(made[:, :3, :3], axis=1, keepdims=True)
    made[:, :3, :3] /= np.where(lengths > 0, lengths, 1)
    made[:, 3] = (0, 0, 0, 1)
    return made


def flat(value: Any) -> list[dict[str, Any]]:
    """The rows with a matrix in lists of lists; a table may also be a dict of columns."""
    if isinstance(value, dict):
        columns = value.get("matrix")
        if isinstance(columns, list) and columns and isinstance(columns[0], (list, tuple)):
            keys = [key for key, column in value.items() if isinstance(column, list) and len(column) == len(columns)]
            return [{key: value[key][index] for key in keys} for index in range(len(columns))]
        if isinstance(value.get("value"), dict) and "matrix" in value["value"]:  # An event as it was sent.
            return [{**value["value"], **{key: value[key] for key in TIMES if key in value}}]
        return [value] if "matrix" in value else []
    if isinstance(value, (list, tuple)):
        return [row for item in value for row in flat(item)]
    return []
