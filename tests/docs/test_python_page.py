"""The examples of docs/python.md run, in order, with a real Blender."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import REPOSITORY
from tests.render.closed_form import FRAME_START, build_all, closed_form
from tests.render.conftest import executable, scripts  # noqa: F401  Fixtures.
from visionsim.dataset.schema import read_document
from visionsim.simulation.blender import BlenderClient
from visionsim.simulation.process import blender_command

PAGE = REPOSITORY / "docs" / "python.md"


@pytest.fixture
def examples(executable, scripts, tmp_path, monkeypatch) -> list[str]:  # noqa: F811
    """The page's ```python blocks; their scenes are in the current folder."""
    scene = closed_form(width=96, height=64)
    build_all(scripts, {tmp_path / "room.blend": scene, tmp_path / "garden.blend": scene})
    monkeypatch.chdir(tmp_path)
    if executable is not None:  # The examples name none: then it is this Python's bpy, else the one on PATH.
        monkeypatch.setattr("visionsim.simulation.blender.blender_command", lambda given: blender_command(executable))
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.blender
def test_examples_run(examples, capsys) -> None:
    """The first one opens a client of its own, the others are given one."""
    overview, camera, code, pool = examples
    found: dict = {}
    exec(overview, found)
    assert found["report"].exit_code == 0
    rendered = read_document("transforms", Path("renders/room/transforms.json"))["frames"]
    assert [frame["frame"] for frame in rendered] == [FRAME_START, FRAME_START + 1]
    exec(pool, {})
    assert capsys.readouterr().out == "[25.0, 25.0]\n"
    assert [len(list(Path("thumbnails", name, "frames").iterdir())) for name in ("room", "garden")] == [1, 1]
    with BlenderClient.spawn() as client:
        client.cycles_settings(use_denoising=False)
        client.initialize("room.blend", "moved")
        before = client.camera_extrinsics()
        exec(camera, {"client": client})
        assert client.animation_range() == range(1, 4)
        client.set_current_frame(3)
        moved = np.linalg.inv(before) @ client.camera_extrinsics()
        assert np.allclose(moved[:3], [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -0.2]], atol=1e-6)
        low, _ = client.scene_bounds()
        exec(code, {"client": client})
        assert 0 < abs(client.scene_bounds()[0] - low)[0] < 0.1
