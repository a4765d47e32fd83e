"""Flow of copies that are carried by their instancer, and of what moves in a set scene, comes from matrices."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from visionsim.io.exr import read_exr
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.run import AnimationRequest, run

HERE = Path(__file__).parent

STEP, TURN = 0.1, 0.02
"""Those of build_many.py."""


def render(scripts, folder: Path, kind: str, config: RenderConfig) -> dict:
    """transforms.json of frame 3, in folder / "out"."""
    output = scripts.run(HERE / "build_many.py", folder / "scene.blend", kind)
    assert (folder / "scene.blend").exists(), output
    config = dataclasses.replace(config, max_samples=1, log_dir=folder / "logs")
    request = AnimationRequest(folder / "scene.blend", folder / "out", frame_start=3, frame_end=3)
    report = run(request, config, observe=lambda event: None)
    assert report.exit_code == 0, report.failures
    logs = "".join(path.read_text() for path in (folder / "logs").rglob("*.log"))
    assert "flow is taken from depth and the matrices" in logs
    return json.loads((folder / "out" / "transforms.json").read_text())


def moved(points: np.ndarray, turn: float, frame: int, offset: int) -> np.ndarray:
    """(..., 2) where points of the plane go that turn around what moves to the right, from frame to frame + offset."""
    relative, angle = points - [STEP * frame, 0], turn * offset
    turned = relative @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return turned + np.array([STEP * (frame + offset), 0])


@pytest.mark.parametrize(("kind", "turn", "seen"), [("carried", TURN, 36), ("set", 0, 1), ("hidden-set", 0, 1)])
def test_flow_follows_instancers_and_set_scenes(scripts, tmp_path, config, kind, turn, seen) -> None:
    document = render(scripts, tmp_path, kind, config)
    root = tmp_path / "out"
    ids = read_exr(root / "segmentations" / "segmentation_000003.exr")["Y"]
    flow = read_exr(root / "flows" / "flow_000003.exr")
    rows, columns = np.nonzero(ids)
    assert len(np.unique(ids[rows, columns])) == seen and len(rows) > 50
    paths = {document["labels"][str(number)]["path"] for number in np.unique(ids[rows, columns])}
    assert len(paths) == seen
    scale = document["fl_x"] / 20
    points = np.stack([columns + 0.5 - document["cx"], document["cy"] - rows - 0.5], axis=-1) / scale
    for names, offset in (("RG", 1), ("BA", -1)):
        expected = (moved(points, turn, 3, offset) - points) * scale * [1, -1]
        found = np.stack([flow[name][rows, columns] for name in names], axis=-1)
        assert np.abs(found - expected).max() < 1e-4
