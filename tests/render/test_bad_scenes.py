"""Scenes that cannot be rendered fail alone, with a reason; requests that cannot be met leave nothing behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.render.closed_form import FRAME_START, NUM_FRAMES, closed_form
from visionsim.errors import ConfigError, SamplingError, SettingsMismatch
from visionsim.simulation.plan import Plan
from visionsim.simulation.report import RunReport
from visionsim.simulation.run import AnimationRequest, DatasetRequest, run

BUILDER = Path(__file__).parent / "build_closed_form.py"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory, run_script) -> Path:
    """A folder with a good scene, one without camera, an orthographic one and one that is no scene."""
    folder = tmp_path_factory.mktemp("scenes")
    made = tmp_path_factory.mktemp("made")
    for name in ("good", "blind", "flat"):
        scene = closed_form(width=48, height=32)
        scene.description["meshes"] = scene.description["meshes"][:2]
        if name == "blind":
            scene.description["camera"] = None
        if name == "flat":
            scene.description["camera"]["data"]["type"] = "ORTHO"
        scene.build(run_script(BUILDER), made / f"{name}.blend")
        (folder / f"{name}.blend").write_bytes((made / f"{name}.blend").read_bytes())
    (folder / "noise.blend").write_bytes(bytes(range(256)) * 40)
    return folder


@pytest.fixture
def small(config):
    return dataclasses.replace(config, width=48, height=32, max_samples=1, jobs=2)


def test_bad_scenes_fail_and_the_good_one_is_done(scenes, tmp_path, small) -> None:
    report = run(DatasetRequest(scenes, tmp_path / "data"), small, observe=lambda event: None)
    assert isinstance(report, RunReport)
    assert report.exit_code == 1
    messages = {failure.scene: failure.message for failure in report.failures}
    assert sorted(messages) == ["blind", "flat", "noise"]
    assert "no active camera" in messages["blind"]
    assert "ortho" in messages["flat"] and "perspective" in messages["flat"]
    assert "cannot open" in messages["noise"]
    assert all("Traceback" not in message for message in messages.values())
    assert [(row.name.split("/")[0], row.complete) for row in report.sequences] == [("good", True)]
    assert [path.name for path in (tmp_path / "data" / "renders").iterdir()] == ["good"]


def test_dry_run_writes_nothing_and_tells_everything(scenes, tmp_path, small) -> None:
    plan = run(DatasetRequest(scenes, tmp_path / "data"), small, dry_run=True, observe=lambda event: None)
    assert isinstance(plan, Plan)
    assert {p.scene.name for p in plan.scenes if p.error} == {"blind", "flat", "noise"}
    (good,) = (p for p in plan.scenes if not p.error)
    assert good.info is not None and good.info.camera == "Camera" and good.info.fps == 25
    assert [len(sequence.frames) for sequence in good.sequences] == [NUM_FRAMES]
    assert list(tmp_path.iterdir()) == []


def test_too_many_frames_are_refused_with_the_largest_number(scenes, tmp_path, small) -> None:
    request = DatasetRequest(scenes, tmp_path / "data", sequences_per_scene=2, num_frames=2)
    with pytest.raises(SamplingError, match=r"--num-frames=1 is the largest"):
        run(request, small, observe=lambda event: None)
    assert list(tmp_path.iterdir()) == []


def test_frames_outside_the_range_are_refused(scenes, tmp_path, small) -> None:
    request = AnimationRequest(scenes / "good.blend", tmp_path / "out", frame_end=FRAME_START + NUM_FRAMES)
    with pytest.raises(SamplingError, match=rf"{FRAME_START} to {FRAME_START + NUM_FRAMES - 1}"):
        run(request, small, observe=lambda event: None)
    assert list(tmp_path.iterdir()) == []


def test_device_that_is_absent_is_refused(scenes, tmp_path, small) -> None:
    request = AnimationRequest(scenes / "good.blend", tmp_path / "out")
    with pytest.raises(ConfigError, match="device-type=metal"):
        run(request, dataclasses.replace(small, device_type="metal"), observe=lambda event: None)
    assert list(tmp_path.iterdir()) == []


def test_other_settings_in_the_same_folder_are_refused(scenes, tmp_path, small) -> None:
    request = AnimationRequest(scenes / "good.blend", tmp_path / "out", frame_end=FRAME_START)
    assert run(request, small, observe=lambda event: None).exit_code == 0
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SettingsMismatch, match="max_samples"):
        run(request, dataclasses.replace(small, max_samples=3), observe=lambda event: None)
    assert sorted(tmp_path.rglob("*")) == before


def test_more_kinds_later_complete_the_sequence(scenes, tmp_path, small) -> None:
    request = AnimationRequest(scenes / "good.blend", tmp_path / "out", frame_end=FRAME_START)
    assert run(request, dataclasses.replace(small, depths=False), observe=lambda event: None).exit_code == 0
    picture = (tmp_path / "out" / "frames" / f"frame_{FRAME_START:06d}.png").read_bytes()
    assert not (tmp_path / "out" / "depths").exists()
    assert run(request, small, observe=lambda event: None).exit_code == 0
    assert (tmp_path / "out" / "depths" / f"depth_{FRAME_START:06d}.exr").exists()
    assert (tmp_path / "out" / "frames" / f"frame_{FRAME_START:06d}.png").read_bytes() == picture
