"""Output that nobody wants is announced, in one sentence each, and rendered all the same."""

from __future__ import annotations

import re
from pathlib import Path

from tests.render.conftest import EXECUTABLE
from visionsim.simulation.blender import BlenderClient
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.run import DatasetRequest, run

HERE = Path(__file__).parent


def test_useless_output_is_announced(scripts, tmp_path, blender_knows) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    scripts.run(HERE / "build_useless.py", folder)
    config = RenderConfig(
        executable=EXECUTABLE, width=16, height=16, max_samples=1, use_denoising=False, depths=True, log_dir=tmp_path
    )
    report = run(DatasetRequest(folder, tmp_path / "data", num_frames=2), config, observe=lambda event: None)
    assert report.exit_code == 0 and sum(row.rendered for row in report.sequences) == 4
    strokes = [r"grease pencil 'Strokes' is not drawn: .*"] * blender_knows(
        "hasattr(bpy.data, 'grease_pencils_v3') or bpy.app.version >= (5, 0)"
    )
    expected = {
        "blind": [
            r"frame 1: the camera sees nothing: no surface is in the picture",
            r"frame 1: the picture is black",
        ],
        "still": [
            r"texture 'bumps' is missing \(renders pink, and bends normals, also those of ground truth\): "
            + re.escape(f"{folder}/bumps.png"),
            r"the scene was saved for LUXURY; .*",
            r"material 'Velvet' has nodes that this Blender does not know \(.*\), which do nothing: 'Velvet'",
            r"material 'Velvet' has nothing on its surface output for Cycles: it is black",
            *strokes,
            r"'Egg', 'Hen' depend on each other in a circle, which Blender cuts at any place: .*",
            r"nothing moves, neither objects nor the camera: all 2 frames will be identical",
            r"frame 1: the picture is black",
        ],
    }
    for scene, patterns in expected.items():
        found = report.findings[scene]
        assert len(found) == len(patterns), "\n".join(found)
        for sentence, pattern in zip(found, patterns, strict=True):
            assert re.fullmatch(pattern, sentence), (sentence, pattern)
    log = (tmp_path / "worker-00.log").read_text()
    assert "Engine 'LUXURY' not available" in log and not list(tmp_path.rglob("chatter.log"))


def test_nothing_moves_is_never_said_of_what_moves(scripts, tmp_path) -> None:
    """One scene for each way in which something can depend on time."""
    scripts.run(HERE / "build_box.py", tmp_path / "box.blend")
    with BlenderClient.spawn(executable=EXECUTABLE) as client:
        client.cycles_settings(use_denoising=False)
        client.initialize(tmp_path / "box.blend", tmp_path / "data")
        said = client.query(HERE / "in_blender.py", "nothing_moves")
    assert said.pop("a still scene") is True
    assert len(said) == 14 and not any(said.values()), said
