"""What moves is judged by what labels call it: rigid things keep their shape, and are where their flow leads."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests import synthetic
from tests.damage import JOURNALS, document, edit, file_of
from tests.synthetic import FIRST, WIDTH, write_dataset
from visionsim.cameras import Intrinsics
from visionsim.io.exr import read_exr
from visionsim.verify.frames import FrameData
from visionsim.verify.geometry import Camera, pixel_centres
from visionsim.verify.moving import check_moving
from visionsim.verify.report import Found, SequenceResult
from visionsim.verify.run import verify

FRAMES = list(range(FIRST, FIRST + 5))
ROLLING = 4


def verify_one(folder: Path) -> SequenceResult:
    JOURNALS["no journal"](folder)
    (row,) = verify([folder], jobs=1).sequences
    return row


def all_are_called(folder: Path, motion: str) -> None:
    def change(content):
        for row in content["labels"].values():
            row["motion"] = motion

    document(folder, change)


def without_flow(folder: Path, frames: list[int], number: int) -> None:
    """The flow of one object is that of a thing which stays where it is in the picture."""
    for frame in frames:
        ids = read_exr(folder / file_of("segmentations", frame))["Y"]
        edit(folder, "flows", frame, lambda c, ids=ids: {name: np.where(ids == number, 0, c[name]) for name in c})


def roll(monkeypatch, place) -> None:
    """Let the ball that rolls be where it would be `place` frames after the first, a function of that number."""
    centre = synthetic.ball_at

    def ball_at(number: int, frame: int) -> np.ndarray:
        return centre(number, FIRST + place(frame - FIRST) if number == ROLLING else frame)

    monkeypatch.setattr(synthetic, "ball_at", ball_at)
    for name in ("seen", "content_of"):  # What they remember is of another ball.
        monkeypatch.setattr(synthetic, name, cache(getattr(synthetic, name).__wrapped__))


@pytest.mark.parametrize("motion", ["rigid", "deforming"])
def test_what_rests_in_most_frames_but_is_not_called_static_may_move(tmp_path, monkeypatch, motion):
    roll(monkeypatch, lambda t: 2 * (t > 3))
    write_dataset(tmp_path / "copy", num_frames=len(FRAMES))
    all_are_called(tmp_path / "copy", motion)
    row = verify_one(tmp_path / "copy")
    assert row.found.problems == []
    assert row.status("moving") == "ok" and row.status("flow") == "skipped"
    (reason,) = row.found.skipped["flow"]
    assert "stands still" in reason


@pytest.mark.parametrize("motion", ["rigid", "deforming"])
def test_flow_that_does_not_follow_a_moving_silhouette_is_found(tmp_path, monkeypatch, motion):
    roll(monkeypatch, lambda t: -4 * t)
    folder = write_dataset(tmp_path / "copy", num_frames=len(FRAMES))
    all_are_called(folder, motion)
    without_flow(folder, FRAMES, ROLLING)
    problems = verify_one(folder).found.problems
    # Those at the ends have one neighbour only, and it is wrong too.
    assert {problem.file for problem in problems} == {file_of("flows", frame) for frame in FRAMES[1:-1]}
    assert all(problem.check == "moving" and f"(id {ROLLING})" in problem.message for problem in problems)
    assert all(0 <= problem.x < WIDTH for problem in problems)


def box(turn: float) -> tuple[np.ndarray, np.ndarray]:
    """Depth of a box that has turned about its upright axis, in front of a camera at the origin; its rotation."""
    x, y = np.meshgrid(np.arange(96) + 0.5, np.arange(72) + 0.5)
    rays = np.stack([(x - 48) / 90, (36 - y) / 90, -np.ones_like(x)])
    c, s = np.cos(turn), np.sin(turn)
    rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    start, along = rotation.T @ [0, -0.8, 6.0], np.einsum("ji,jhw->ihw", rotation, rays)
    with np.errstate(divide="ignore"):
        one, other = ((side - start[:, None, None]) / along for side in (-1.0, 1.0))
    enters, leaves = np.minimum(one, other).max(axis=0), np.maximum(one, other).min(axis=0)
    return np.where(enters < leaves, enters, np.inf), rotation


def frame_of(turn: float, step: float) -> FrameData:
    """As a renderer would write it: exact flow of a box that turns by `step` per frame."""
    camera = Camera(Intrinsics(90.0, 90.0, 48.0, 36.0, 96, 72), np.eye(4))
    depth, rotation = box(turn)
    frame = FrameData(round(turn / step), camera, {"flows": f"flow_{turn}"}, rigid_ids=frozenset([1]), depth=depth)
    frame.ids = np.isfinite(depth).astype(np.uint32)
    at = np.array([0, 0.8, -6.0])[:, None, None]
    frame.flow = np.zeros((4, 72, 96))
    x, y = pixel_centres(camera)
    for channels, other in ((slice(0, 2), turn + step), (slice(2, 4), turn - step)):
        moved = np.einsum("ij,jhw->ihw", box(other)[1] @ rotation.T, np.nan_to_num(frame.points) - at) + at
        seen = camera.model.project(np.moveaxis(moved, 0, -1))
        frame.flow[channels] = np.where(frame.hit, [seen[0] - x, seen[1] - y], 0.0)
    return frame


@pytest.mark.parametrize("step", [0.003, 0.05, 0.2])
def test_flow_of_what_turns_keeps_its_shape_and_any_other_takes_it_apart(step):
    a, b, found = frame_of(0.5, step), frame_of(0.5 + step, step), Found()
    assert check_moving(a, b, found) == [] and found.compared["moving"] == 1
    for wrong in (0.0, -1.0):
        other = frame_of(0.5, step)
        other.flow = other.flow * wrong
        problems = check_moving(other, b, Found())
        # A turn of a sixth of a degree moves by less than may be told.
        assert bool(problems) == (step > 0.01), wrong


def test_what_changes_its_shape_is_not_judged_as_rigid():
    a, b = frame_of(0.5, 0.05), frame_of(0.55, 0.05)
    a.flow = a.flow * 1.5
    a.rigid_ids = frozenset()
    assert check_moving(a, b, Found()) == []


def test_normals_that_all_normal_maps_bend_are_not_called_wrong_but_wrong_axes_are(tmp_path):
    folder = write_dataset(tmp_path / "copy", num_frames=2)
    shutil.copytree(folder, tmp_path / "turned")
    tilt = np.radians(45)
    for frame in FRAMES[:2]:
        # Blender shows magenta in place of a missing texture: normals lean along each surface's own tangents.
        ids = read_exr(folder / file_of("segmentations", frame))["Y"]

        def bend(c, ids=ids):
            n = np.stack([c[name] for name in "RGB"])
            for number, aside in ((1, [1.0, 0, 0]), (2, [0, 1.0, 0]), (3, [1.0, 1.0, 0]), (4, [0, 1.0, 1.0])):
                tangent = np.cross(n, np.array(aside), axis=0)
                tangent /= np.maximum(np.sqrt((tangent**2).sum(axis=0)), 1e-9)
                n = np.where(ids == number, np.cos(tilt) * n + np.sin(tilt) * tangent, n)
            return {name: n[i].astype(np.float32) for i, name in enumerate("RGB")}

        edit(folder, "normals", frame, bend)
        edit(tmp_path / "turned", "normals", frame, lambda c: {"R": c["R"], "G": -c["B"], "B": c["G"]})
    bent = verify_one(folder).found
    assert [p for p in bent.problems if "depth's surface" in p.message] == []
    assert "normal maps" in next(iter(bent.skipped["normals"]))
    assert any("depth's surface" in p.message for p in verify_one(tmp_path / "turned").found.problems)
