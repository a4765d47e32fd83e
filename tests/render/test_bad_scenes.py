"""Scenes that cannot be rendered fail alone, with a reason.

Requests that cannot be met are in tests/cli/test_bad_inputs.py and test_hostile.py.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.render.closed_form import FRAME_START, NUM_FRAMES, build_all, closed_form
from tests.render.patches import orphan_shape_keys
from visionsim.io.exr import read_exr
from visionsim.io.images import read_pixels
from visionsim.simulation.plan import Plan
from visionsim.simulation.report import RunReport
from visionsim.simulation.run import AnimationRequest, DatasetRequest, run

BUILD_BROKEN = Path(__file__).parent / "build_broken.py"


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


BROKEN = {
    "blind": "no active camera",
    "mirrored": "camera is mirrored",
    "sheared": "camera is sheared",
    "layerless": "every view layer is switched off",
    "cut": "damaged or cut off",
}
"""Scene that cannot be opened -> part of the reason."""

NUM_GOOD = 13


@pytest.fixture(scope="module")
def broken(tmp_path_factory, scripts) -> Path:
    """Twenty scenes, of which five cannot be opened; in a folder beside them one that is wrong in its last frame."""
    folder = tmp_path_factory.mktemp("scenes") / "broken"
    apart = folder.with_name("apart")
    folder.mkdir()
    apart.mkdir()
    scripts.run(BUILD_BROKEN, folder, NUM_GOOD)
    orphan_shape_keys(folder / "keyed.blend")
    data = (folder / "good00.blend").read_bytes()
    (folder / "cut.blend").write_bytes(data[: len(data) // 2])
    (folder / "mirrored_later.blend").rename(apart / "mirrored_later.blend")
    return folder


def test_five_of_twenty_scenes_are_broken_and_the_others_complete(broken, tmp_path, small) -> None:
    """Each failure names its own scene, and is told when the scene is opened if it can be known then."""
    assert len(list(broken.glob("*.blend"))) == 20
    settings = dataclasses.replace(small, width=16, height=12, jobs=2)
    report = run(DatasetRequest(broken, tmp_path / "data", num_frames=1), settings, observe=lambda event: None)
    assert sorted(failure.scene for failure in report.failures) == sorted(BROKEN)
    for failure in report.failures:
        assert BROKEN[failure.scene] in failure.message and not failure.frames and failure.sequence is None
    complete = {row.name.split("/")[0] for row in report.sequences if row.complete}
    assert complete == {"empty", "keyed", *(f"good{index:02d}" for index in range(NUM_GOOD))} and report.exit_code == 1


def test_what_is_wrong_with_some_frames_costs_only_those(broken, tmp_path, small) -> None:
    settings = dataclasses.replace(small, width=16, height=12, flows=False)  # Flow looks at the frame after it, too.
    blend = broken.with_name("apart") / "mirrored_later.blend"
    report = run(AnimationRequest(blend, tmp_path), settings, observe=lambda event: None)
    (failure,) = report.failures
    assert failure.frames == (3,) and "mirrored" in failure.message
    assert report.sequences[0].rendered == 2


def test_scene_without_anything_but_a_world_is_rendered(broken, tmp_path, small) -> None:
    report = run(AnimationRequest(broken / "empty.blend", tmp_path, frame_end=1), small, observe=lambda event: None)
    assert report.exit_code == 0, report.failures
    picture = read_pixels(tmp_path / "frames" / "frame_000001.png")[..., :3]
    assert np.ptp(picture.reshape(-1, 3), axis=0).max() <= 2 and picture.min() > 100  # But for dithering.
    for kind, background in {"depth": np.inf, "normal": 0, "segmentation": 0, "flow": 0}.items():
        for pixels in read_exr(tmp_path / f"{kind}s" / f"{kind}_000001.exr").values():
            assert (pixels == background).all(), kind


def test_file_that_blender_opens_with_an_error_is_rendered_and_its_words_are_passed_on(
    broken, tmp_path, small, blender_knows
) -> None:
    report = run(AnimationRequest(broken / "keyed.blend", tmp_path, frame_end=1), small, observe=lambda event: None)
    assert report.exit_code == 0, report.failures
    told = [note for note in report.notes if "opened the file with an error" in note and "'from' pointer" in note]
    assert len(told) == int(blender_knows("bpy.app.version >= (4, 2)"))  # 3.4 only prints it.
