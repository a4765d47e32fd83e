"""Scenes that cannot be rendered fail alone, with a reason.

Requests that cannot be met are in tests/cli/test_bad_inputs.py and test_hostile.py.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from tests.render.closed_form import FRAME_START, NUM_FRAMES, build_all, closed_form
from visionsim.simulation.plan import Plan
from visionsim.simulation.report import RunReport
from visionsim.simulation.run import AnimationRequest, DatasetRequest, run


@pytest.fixture(scope="module")
def scenes(tmp_path_factory, scripts) -> Path:
    """A folder with a good scene, one without camera, one with a mirror ball for one, and one that is no scene."""
    folder = tmp_path_factory.mktemp("scenes")
    made = tmp_path_factory.mktemp("made")
    described = {name: closed_form(width=48, height=32) for name in ("good", "blind", "ball")}
    for scene in described.values():
        scene.description["meshes"] = scene.description["meshes"][:2]
    described["blind"].description["camera"] = None
    described["ball"].description["camera"]["data"].update(type="PANO", panorama_type="MIRRORBALL")
    build_all(scripts, {made / f"{name}.blend": scene for name, scene in described.items()})
    for blend in made.glob("*.blend"):
        shutil.copy(blend, folder)
    (folder / "noise.blend").write_bytes(bytes(range(256)) * 40)
    return folder


@pytest.fixture
def small(config):
    return dataclasses.replace(config, width=48, height=32, max_samples=1)


def test_bad_scenes_fail_and_the_good_one_is_done(scenes, tmp_path, small) -> None:
    report = run(DatasetRequest(scenes, tmp_path / "data"), small, observe=lambda event: None)
    assert isinstance(report, RunReport)
    assert report.exit_code == 1
    messages = {failure.scene: failure.message for failure in report.failures}
    assert sorted(messages) == ["ball", "blind", "noise"]
    assert "no active camera" in messages["blind"]
    assert "'Camera' is of type MIRRORBALL; supported are perspective" in messages["ball"]
    assert "cannot open" in messages["noise"]
    assert all("Traceback" not in message for message in messages.values())
    assert [(row.name.split("/")[0], row.complete) for row in report.sequences] == [("good", True)]
    assert [path.name for path in (tmp_path / "data" / "renders").iterdir()] == ["good"]


def test_dry_run_writes_nothing_and_tells_everything(scenes, tmp_path, small) -> None:
    plan = run(DatasetRequest(scenes, tmp_path / "data"), small, dry_run=True, observe=lambda event: None)
    assert isinstance(plan, Plan)
    assert {p.scene.name for p in plan.scenes if p.error} == {"ball", "blind", "noise"}
    (good,) = (p for p in plan.scenes if not p.error)
    assert good.info is not None and good.info.camera == "Camera" and good.info.fps == 25
    assert [len(sequence.frames) for sequence in good.sequences] == [NUM_FRAMES]
    assert list(tmp_path.iterdir()) == []


def test_more_kinds_later_complete_the_sequence(scenes, tmp_path, small) -> None:
    request = AnimationRequest(scenes / "good.blend", tmp_path / "out", frame_end=FRAME_START)
    assert run(request, dataclasses.replace(small, depths=False), observe=lambda event: None).exit_code == 0
    picture = (tmp_path / "out" / "frames" / f"frame_{FRAME_START:06d}.png").read_bytes()
    assert not (tmp_path / "out" / "depths").exists()
    assert run(request, small, observe=lambda event: None).exit_code == 0
    assert (tmp_path / "out" / "depths" / f"depth_{FRAME_START:06d}.exr").exists()
    assert (tmp_path / "out" / "frames" / f"frame_{FRAME_START:06d}.png").read_bytes() == picture


WRONG_VECTORS = {
    "shift": ({"drift": 0.02}, "animated shift_x"),
    "orthographic": ({"kind": "ORTHO", "zoom": 0.05}, "orthographic|animated ortho_scale"),
    "fisheye": ({"kind": "FISHEYE_EQUIDISTANT", "zoom": 0.05}, "fisheye cameras|animated fisheye_fov"),
}
"""Scene -> its camera, and what the message says of it."""


def test_flow_that_blenders_vectors_get_wrong_is_refused(tmp_path, small, scripts) -> None:
    """Something deforms, so that the vector pass is needed; of a camera whose lens changes it knows nothing."""
    (tmp_path / "scenes").mkdir()
    made = {}
    for name, (camera, _) in WRONG_VECTORS.items():
        scene = made[tmp_path / "scenes" / f"{name}.blend"] = closed_form(width=48, height=32, deforming=True, **camera)
        scene.description["meshes"] = scene.description["meshes"][3:4]
    build_all(scripts, made)
    request = DatasetRequest(tmp_path / "scenes", tmp_path / "out", num_frames=1)
    report = run(request, small, observe=lambda event: None)
    messages = {failure.scene: failure.message for failure in report.failures}
    assert len(report.failures) == len(messages) == len(WRONG_VECTORS)
    for name, (_, reason) in WRONG_VECTORS.items():
        assert re.search(rf"vector pass \('Ball.Turning' has .*shape keys\), which .*({reason})", messages[name])
        assert "leave out --render-config.flows" in messages[name] and "Traceback" not in messages[name]
    assert not list(tmp_path.glob("out/renders/*/*/*s/*"))
    report = run(request, dataclasses.replace(small, flows=False), observe=lambda event: None)
    assert report.exit_code == 0 and len(report.sequences) == len(WRONG_VECTORS)
    assert len(list(tmp_path.glob("out/renders/*/*/*s/*"))) == len(WRONG_VECTORS) * 4
