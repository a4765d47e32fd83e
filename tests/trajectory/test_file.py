"""The trajectory file: what is written is what is read, extra keys are kept, and what is wrong is named."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from tests.trajectory.test_splines import random_path
from visionsim.cameras import FisheyeEquidistant, Intrinsics, Orthographic
from visionsim.errors import DataError, SchemaError
from visionsim.trajectory.file import document_of, trajectory_of, write_trajectory
from visionsim.trajectory.formats import read_any
from visionsim.trajectory.path import Trajectory

CAMERAS = {
    "unknown": (),
    "one": (Intrinsics(50.5, 51.0, 32.0, 24.25, 64, 48),),
    "zoom": tuple(Intrinsics(50.0 + i, 50.0 + i, 32.0, 24.0, 64, 48) for i in range(8)),
    "orthographic": (Orthographic(10.0, 10.0, 32.0, 24.0, 64, 48),),
    "fisheye": (FisheyeEquidistant(20.0, 20.0, 32.0, 24.0, 3.2, 64, 48),),
}


@pytest.mark.parametrize("cameras", CAMERAS.values(), ids=list(CAMERAS))
def test_what_is_written_is_read(cameras, tmp_path) -> None:
    path = dataclasses.replace(
        random_path(5),
        cameras=cameras,
        frames=tuple(range(3, 11)),
        fps=24.0,
        scene={"name": "room", "sha256": "0" * 64},
        extra={"recorded_by": "somebody", "more": [1, {"a": None}]},
        frame_extra=tuple({"mark": index} for index in range(8)),
    )
    write_trajectory(path, tmp_path / "path.json")
    found = read_any(tmp_path / "path.json")
    for item in dataclasses.fields(Trajectory):
        before, after = getattr(path, item.name), getattr(found, item.name)
        if item.name == "c2w":
            assert np.abs(before - after).max() < 1e-15  # Read, poses are made orthonormal again.
        elif item.name == "times_s":
            assert np.array_equal(before, after)
        elif item.name == "extra":
            assert before.items() <= after.items()
        else:
            assert before == after, item.name


def test_a_pose_is_a_line(tmp_path) -> None:
    write_trajectory(random_path(5), tmp_path / "path.json")
    lines = (tmp_path / "path.json").read_text().splitlines()
    assert sum('"transform_matrix": [' in line for line in lines) == 8


def change(document, where, value):
    *parts, last = where
    for part in parts:
        document = document[part]
    document[last] = value


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (("version",), 2, "version"),
        (("frames",), [], "frames"),
        (("frames", 3, "time"), "soon", r"frames\[3\].time"),
        (("frames", 3, "time"), -100.0, "pose 3"),
        (("frames", 2, "transform_matrix"), [[1, 0, 0, 0]] * 3, r"frames\[2\].transform_matrix"),
        (("frames", 2, "transform_matrix"), [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "pose 2.*rigid"),
        (("frames", 0, "time"), float("nan"), "NaN"),
        (("fl_x",), -1.0, "fl_x"),
        (("w",), 1.5, "w"),
        (("scene",), {"sha256": "no digest"}, "sha256"),
    ],
)
def test_what_is_wrong_is_named(where, value, words) -> None:
    document = document_of(dataclasses.replace(random_path(5), cameras=CAMERAS["one"]))
    document = json.loads(json.dumps(document))
    change(document, where, value)
    with pytest.raises((SchemaError, DataError), match=words):
        trajectory_of(document)
