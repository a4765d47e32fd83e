"""`visionsim trajectory`: what a user types, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Answer
from visionsim.trajectory.file import write_trajectory
from visionsim.trajectory.formats import read_any
from visionsim.trajectory.path import Trajectory


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    c2w = np.tile(np.eye(4), (5, 1, 1))
    c2w[:, 0, 3] = (0, 1, 2, 3, 4)
    write_trajectory(Trajectory.make([0, 0.5, 1, 1.5, 2.0], c2w), tmp_path / "path.json")
    return tmp_path / "path.json"


def test_info(recorded: Path, call: Callable[..., Answer]) -> None:
    answer = call("trajectory", "info", str(recorded), f"--out={recorded.parent / 'path.png'}")
    assert (answer.code, answer.err) == (0, "")
    assert "4 scene units" in answer.out and "2 units/s" in answer.out and "path.png" in answer.out
    assert (recorded.parent / "path.png").stat().st_size > 1000
    document = json.loads(call("trajectory", "info", str(recorded), "--json").out)
    assert document["poses"] == 5 and document["speed_max"] == 2.0 and document["picture"] is None


def test_resample(recorded: Path, call: Callable[..., Answer], tmp_path: Path) -> None:
    answer = call("trajectory", "resample", str(recorded), str(tmp_path / "even.json"), "--rate=10", "--start=0.5")
    assert (answer.code, answer.err) == (0, "") and "16 poses, 1.5 s" in answer.out
    found = read_any(tmp_path / "even.json")
    assert found.fps == 10 and found.frames == tuple(range(16))
    assert np.abs(found.c2w[:, 0, 3] - np.arange(1, 4.01, 0.2)).max() < 1e-12


def test_smooth_and_convert(recorded: Path, call: Callable[..., Answer], tmp_path: Path) -> None:
    assert call("trajectory", "smooth", str(recorded), str(tmp_path / "smooth.json"), "--window=0.5").code == 0
    assert call("trajectory", "convert", str(tmp_path / "smooth.json"), str(tmp_path / "s.txt"), "--to=tum").code == 0
    assert np.abs(read_any(tmp_path / "s.txt").c2w - read_any(recorded).c2w).max() < 1e-9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resample", "path.json", "out.json", "--rate=10", "--stop=3"), "no pose at 3 s: it is from 0 to 2 s"),
        (("resample", "path.json", "out.json", "--rate=10", "--start=1", "--stop=0"), "--stop=0 is before --start=1"),
        (("convert", "path.json", "out", "--to=colmap"), "needs the camera of the path"),
        (("info", "gone.json"), "no such trajectory"),
        (("info", "path.json", "--out=path.gif"), "name a .png"),
    ],
)
def test_a_wrong_request_is_refused_in_one_message(
    arguments: tuple[str, ...],
    message: str,
    recorded: Path,
    call: Callable[..., Answer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(recorded.parent)
    answer = call("trajectory", *arguments)
    assert answer.code == 2 and message in " ".join(answer.err.split()) and "Traceback" not in answer.err
    assert [path.name for path in recorded.parent.iterdir()] == ["path.json"]
