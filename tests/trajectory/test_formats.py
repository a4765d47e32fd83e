"""Formats of others: the same camera comes out, and nothing in a pickle is run."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle

import numpy as np
import pytest

from tests.trajectory.test_splines import random_path
from visionsim.cameras import Intrinsics
from visionsim.errors import ConfigError, DataError, InputNotFound, RequestError
from visionsim.exports.tum import trajectory_line
from visionsim.trajectory.formats import format_of, read_any, write_any
from visionsim.trajectory.recordings import BLENDER_FROM_YUP

CAMERA = Intrinsics(50.5, 51.0, 32.0, 24.25, 64, 48)


@pytest.fixture
def path():
    return dataclasses.replace(random_path(5), cameras=(CAMERA,))


def test_tum_round_trip(path, tmp_path) -> None:
    write_any(path, tmp_path / "path.txt", "tum")
    found = read_any(tmp_path / "path.txt")
    assert np.abs(found.times_s - path.times_s).max() < 1e-9
    assert np.abs(found.c2w - path.c2w).max() < 1e-12


def test_tum_is_what_the_export_writes(path, tmp_path) -> None:
    lines = [trajectory_line(f"{time:.6f}", c2w) for time, c2w in zip(path.times_s, path.c2w, strict=True)]
    (tmp_path / "groundtruth.txt").write_text("# timestamp tx ty tz qx qy qz qw\n" + "\n".join(lines))
    assert np.abs(read_any(tmp_path / "groundtruth.txt").c2w - path.c2w).max() < 1e-7


def test_colmap_round_trip(path, tmp_path) -> None:
    write_any(path, tmp_path / "model", "colmap")
    found = read_any(tmp_path / "model", fps=10)
    assert np.abs(found.c2w - path.c2w).max() < 1e-12
    assert found.cameras == (CAMERA,) and found.times_s == pytest.approx(np.arange(8) / 10)
    assert found.frame_extra[2] == {"colmap_image": "frame_000002.png"}


def test_colmap_sorts_pictures_as_people_do(tmp_path) -> None:
    (tmp_path / "cameras.txt").write_text("1 SIMPLE_PINHOLE 64 48 50 32 24\n")
    images = [f"{i} 1 0 0 0 {-i} 0 0 1 picture {i}.png\n0 0 -1" for i in (10, 9, 100)]
    (tmp_path / "images.txt").write_text("# a comment\n" + "\n".join(images) + "\n")
    found = read_any(tmp_path, fps=1)
    assert found.c2w[:, 0, 3] == pytest.approx([9, 10, 100])
    assert found.frame_extra[0]["colmap_image"] == "picture 9.png"


def test_colmap_needs_a_lens(path, tmp_path) -> None:
    with pytest.raises(RequestError, match="needs the camera"):
        write_any(dataclasses.replace(path, cameras=()), tmp_path / "model", "colmap")
    assert not (tmp_path / "model").exists()


def transforms(path, **more):
    frames = [{"file_path": f"{i}.png", "transform_matrix": c2w.tolist()} for i, c2w in enumerate(path.c2w)]
    return {"fl_x": 50.5, "fl_y": 51.0, "cx": 32.0, "cy": 24.25, "w": 64, "h": 48, **more, "frames": frames}


def test_transforms_of_others_take_their_rate_from_the_user(path, tmp_path) -> None:
    (tmp_path / "transforms.json").write_text(json.dumps(transforms(path)))
    with pytest.raises(ConfigError, match=r"transforms\.json has no times.*--fps"):
        read_any(tmp_path)
    found = read_any(tmp_path, fps=4)
    assert found.times_s == pytest.approx(np.arange(8) / 4) and found.cameras == (CAMERA,)
    assert np.abs(found.c2w - path.c2w).max() < 1e-12


def test_transforms_of_ours_keep_their_times(path, tmp_path) -> None:
    document = transforms(path, fps=24.0, camera_model="OPENCV")
    for index, frame in enumerate(document["frames"]):
        frame.update(frame=10 + index, time=(10 + index) / 24)
    (tmp_path / "transforms.json").write_text(json.dumps(document))
    found = read_any(tmp_path / "transforms.json")
    assert found.times_s == pytest.approx((10 + np.arange(8)) / 24) and found.frames == tuple(range(10, 18))


def three(c2w):
    """What three.js would say: Y up, column-major."""
    return [(np.linalg.inv(BLENDER_FROM_YUP) @ one).T.reshape(16).tolist() for one in c2w]


def test_recording_in_rows(path, tmp_path) -> None:
    times = np.arange(8) / 60
    rows = [{"matrix": m, "ts": 1.7e12 + 1000 * float(t)} for m, t in zip(three(path.c2w), times, strict=True)]
    (tmp_path / "metrics.pkl").write_bytes(b"".join(pickle.dumps(row) for row in rows))
    found = read_any(tmp_path / "metrics.pkl")
    assert np.abs(found.c2w - path.c2w).max() < 1e-12 and np.abs(found.times_s - times).max() < 1e-3


def test_recording_in_columns_without_times(path, tmp_path) -> None:
    (tmp_path / "moves.pkl").write_bytes(pickle.dumps({"matrix": three(path.c2w)}))
    with pytest.raises(ConfigError, match="--fps"):
        read_any(tmp_path / "moves.pkl")
    assert np.abs(read_any(tmp_path / "moves.pkl", fps=30).c2w - path.c2w).max() < 1e-12


def test_recording_rests_where_no_events_were_sent(path, tmp_path) -> None:
    times = [0.0, 0.016, 0.032, 0.7, 0.716, 0.732, 0.748, 0.764]
    rows = [{"matrix": m, "time": t} for m, t in zip(three(path.c2w), times, strict=True)]
    (tmp_path / "moves.pkl").write_bytes(pickle.dumps(rows))
    found = read_any(tmp_path / "moves.pkl")
    assert len(found) == 9 and found.times_s[3] == pytest.approx(0.684)
    assert np.array_equal(found.c2w[2], found.c2w[3])


class Wicked:
    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_in_a_pickle_is_run(tmp_path) -> None:
    (tmp_path / "wicked.pkl").write_bytes(pickle.dumps([Wicked(str(tmp_path / "made"))]))
    with pytest.raises(DataError, match=r"posix\.mkdir.*nothing is run.*wicked.pkl"):
        read_any(tmp_path / "wicked.pkl")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("gone.json", None, InputNotFound, "no such trajectory"),
        ("picture.png", b"\x89PNG\r\n", DataError, "no trajectory that is known"),
        ("cut.json", b'{"format": "visionsim-traj', DataError, "cut.json"),
        ("tum.txt", b"0 1 2 3 0 0 0 1\n1 2 3\n", DataError, "line 2 has 3 numbers"),
        ("tum.txt", b"0 1 2 3 0 0 0 5\n", DataError, "quaternion has length 5"),
        ("tum.txt", b"1 1 2 3 0 0 0 1\n0 1 2 3 0 0 0 1\n", DataError, "pose 1: its time"),
        ("cut.pkl", pickle.dumps([{"matrix": [1.0] * 16}])[:-9], DataError, "cannot be read"),
        ("empty.pkl", pickle.dumps([]), DataError, "no rows"),
        ("scaled.pkl", pickle.dumps([{"matrix": [0.0] * 16, "t": 0.0}]), DataError, "pose 0: its matrix"),
    ],
)
def test_what_cannot_be_read_is_named(name, content, error, words, tmp_path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=words):
        read_any(tmp_path / name)


def test_the_format_is_told_from_the_contents(path, tmp_path) -> None:
    for form in ("trajectory", "tum", "colmap"):
        write_any(path, tmp_path / form, form)
        assert format_of(tmp_path / form) == form
