"""What visionsim renders verifies, whatever is in the scene; damaged copies do not; rays agree with the pixels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.damage import DAMAGES, JOURNALS, document, edit, file_of
from tests.render.closed_form import build_all, closed_form
from tests.render.conftest import EXECUTABLE
from visionsim.cli import main
from visionsim.io.exr import read_exr, write_exr
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.deep import verify_deep
from visionsim.simulation.run import AnimationRequest, DatasetRequest, run
from visionsim.verify.report import CHECKS, SequenceResult
from visionsim.verify.run import verify

HERE = Path(__file__).parent

CAMERAS: dict[str, dict[str, Any]] = {
    "plain": {"shift_x": 0.05},
    "orthographic": {"kind": "ORTHO", "shift_y": 0.05},
    "equirectangular": {"kind": "EQUIRECTANGULAR"},
    "fisheye": {"kind": "FISHEYE_EQUIDISTANT", "fov": 200.0, "shift_x": 0.05},
}
"""Name of a scene in which everything moves rigidly, so that flow comes from geometry -> its camera."""

JUDGED = ("far", "missing_normal_map", "particles", "seen_otherwise")
"""Names of the scenes of `build_judged.py`."""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, scripts) -> Path:
    """A folder with `scenes`, those of CAMERAS and JUDGED and an awkward one, and the `datasets` rendered from them.

    The awkward one has hair, volume, cut-outs and more; its flow comes from Blender's vector pass.
    """
    folder = tmp_path_factory.mktemp("rendered")
    scenes = folder / "scenes"
    scenes.mkdir()
    made = {scenes / f"{name}.blend": closed_form(width=96, height=72, **camera) for name, camera in CAMERAS.items()}
    build_all(scripts, made)
    output = scripts.run(HERE / "build_awkward.py", scenes / "awkward.blend")
    assert (scenes / "awkward.blend").exists(), output
    output = scripts.run(HERE / "build_judged.py", scenes)
    assert all((scenes / f"{name}.blend").exists() for name in JUDGED), output
    config = RenderConfig(
        executable=EXECUTABLE, width=96, height=72, max_samples=1, use_denoising=False, log_dir=folder / "logs",
        depths=True, normals=True, flows=True, segmentations=True, occlusions=True,
    )  # fmt: skip
    report = run(DatasetRequest(scenes, folder / "datasets"), config, observe=lambda event: None)
    assert report.exit_code == 0, report.failures
    coarse = [note for note in report.notes if "single precision" in note]
    assert len(coarse) == 1 and "far" in coarse[0]  # That the referee cannot see all of it was said before.
    return folder


@pytest.fixture(scope="module")
def plain(rendered) -> Path:
    (sequence,) = (rendered / "datasets" / "renders" / "plain").iterdir()
    return sequence


@pytest.fixture
def copy(plain, tmp_path) -> Path:
    shutil.copytree(plain, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def stretched(rendered, tmp_path_factory) -> Path:
    """The awkward scene in slow motion, every other frame of it."""
    folder = tmp_path_factory.mktemp("stretched")
    config = RenderConfig(
        executable=EXECUTABLE, width=64, height=48, max_samples=1, use_denoising=False, log_dir=folder / "logs",
        depths=True, normals=True, flows=True, segmentations=True, keyframe_multiplier=1.5,
    )  # fmt: skip
    request = AnimationRequest(rendered / "scenes" / "awkward.blend", folder / "data", frame_step=2)
    assert run(request, config, observe=lambda event: None).exit_code == 0
    return folder / "data"


@pytest.fixture(scope="module")
def changed(plain, tmp_path_factory) -> Path:
    """A copy in which two objects have each other's names, and the camera of the first frame was moved."""
    root = tmp_path_factory.mktemp("changed") / "data"
    shutil.copytree(plain, root)

    def change(content):
        labels = content["labels"]
        names = [key for key in labels if labels[key]["name"] in ("Floor", "Wall")][:2]
        labels[names[0]], labels[names[1]] = labels[names[1]], labels[names[0]]
        content["frames"][0]["transform_matrix"][0][3] += 0.01

    document(root, change)
    return root


@pytest.fixture(scope="module")
def rows(rendered, stretched, changed) -> dict[Path, SequenceResult]:
    """What is found of each sequence, by its folder; one Blender casts the rays."""
    report = verify([rendered / "datasets", stretched, changed], jobs=1)
    verify_deep(report, rendered / "scenes", executable=EXECUTABLE, frames=3, samples=200)
    return {row.folder: row for row in report.sequences}


def frames_of(root: Path) -> list[int]:
    return [frame["frame"] for frame in json.loads((root / "transforms.json").read_text())["frames"]]


def test_what_was_rendered_verifies_and_rays_hit_what_the_pixels_say(rendered, rows):
    found = {folder.parent.name: row for folder, row in rows.items() if rendered / "datasets" in folder.parents}
    assert found.keys() == {*CAMERAS, *JUDGED, "awkward"}
    for name, row in found.items():
        assert row.found.problems == [], name
        compared = int(row.found.notes[-1].split()[1])
        skipped = sum(row.found.skipped.get("deep", {}).values())
        # A pixel of each id, and of what rays find, comes in addition.
        assert compared + skipped > 200 * min(3, row.frames), name
        if name in CAMERAS or name == "awkward":
            missing = {check for check in CHECKS if row.status(check) != "ok"}
            assert not missing - {"order", "moving"}, name  # Some pictures are too much alike.
            # What rays cannot tell is skipped, but it is little.
            assert skipped < 0.2 * compared, name


def test_what_cannot_be_judged_is_said_with_the_reason(rendered, rows):
    found = {folder.parent.name: row.found for folder, row in rows.items() if rendered / "datasets" in folder.parents}
    assert "pixels with holdout" in found["seen_otherwise"].skipped["deep"]
    bent = found["missing_normal_map"]
    assert any("normal maps" in reason for reason in bent.skipped["normals"])
    assert any("'Map' is missing" in note for note in bent.notes)


def hidden(root: Path, name: str) -> None:
    """Nothing is where an object was."""
    number = id_of(root, name)
    empty = {"depths": np.float32(np.inf), "normals": np.float32(0), "flows": np.float32(0), "segmentations": 0}
    for frame in frames_of(root):
        here = read_exr(root / file_of("segmentations", frame))["Y"] == number
        assert here.any()
        for kind, value in empty.items():
            name = root / file_of(kind, frame)
            channels = read_exr(name)
            write_exr(name, {key: np.where(here, value, c).astype(c.dtype) for key, c in channels.items()})


def exchanged(root: Path, name: str, other: str) -> None:
    """Two objects have each other's ids in all frames."""
    one, two = id_of(root, name), id_of(root, other)
    for frame in frames_of(root):
        edit(root, "segmentations", frame, lambda c: {"Y": np.choose((c["Y"] == one) + 2 * (c["Y"] == two),
            [c["Y"], np.uint32(two), np.uint32(one)]).astype(np.uint32)})  # fmt: skip


def moved_away(root: Path, name: str) -> None:
    """An object is farther by a hundredth than it should be, in all frames."""
    number = id_of(root, name)
    for frame in frames_of(root):
        here = read_exr(root / file_of("segmentations", frame))["Y"] == number
        edit(root, "depths", frame, lambda c, here=here: {"Y": np.where(here, c["Y"] * np.float32(1.01), c["Y"])})


def id_of(root: Path, name: str) -> int:
    labels = json.loads((root / "transforms.json").read_text())["labels"]
    return next(int(key) for key, row in labels.items() if row["name"] == name)


WRONG = {
    "an object is missing": (lambda root: hidden(root, "Creeps"), "rays hit 'Creeps'"),
    "two have each other's ids": (lambda root: exchanged(root, "Creeps", "Walker"), "the object is not"),
    "an object is elsewhere": (lambda root: moved_away(root, "Creeps"), "depth is not"),
}


def test_rays_find_objects_that_are_missing_exchanged_or_elsewhere(rendered, tmp_path):
    (good,) = (rendered / "datasets" / "renders" / "seen_otherwise").iterdir()
    for name, (damage, _) in WRONG.items():
        shutil.copytree(good, tmp_path / name)
        damage(tmp_path / name)
        JOURNALS["no journal"](tmp_path / name)
    report = verify([tmp_path], jobs=1)
    # One pixel by chance: where to look is found out.
    verify_deep(report, rendered / "scenes", executable=EXECUTABLE, frames=2, samples=1)
    for row in report.sequences:
        _, words = WRONG[row.folder.name]
        wrong = [problem for problem in row.found.problems if problem.check == "deep"]
        assert {problem.frame for problem in wrong} == {frames_of(good)[0], frames_of(good)[-1]}, row.name
        assert any(words in problem.message for problem in wrong), row.name


def test_stretched_time_and_skipped_frames_verify(stretched, rows):
    assert rows[stretched].found.problems == []


def test_rays_find_exchanged_names_and_a_moved_camera(changed, rows):
    problems = [problem for problem in rows[changed].found.problems if problem.check == "deep"]
    assert {"transforms.json", file_of("segmentations", frames_of(changed)[0])} <= {p.file for p in problems}
    assert any(problem.x is not None and problem.expected for problem in problems)


@pytest.mark.parametrize("journal", ["no journal", "journal rewritten"])
@pytest.mark.parametrize(
    "damage", ["flow sign", "depth scaled everywhere", "depth truncated", "shifted centre", "renumbered label"]
)
def test_damage_is_found(copy, damage, journal):
    frames = frames_of(copy)
    damaged = DAMAGES[damage](copy, frames)
    JOURNALS[journal](copy)
    problems = verify([copy], jobs=1).sequences[0].found.problems
    assert damaged <= {problem.file for problem in problems}


def test_changed_blend_is_said_to_be_one(plain, tmp_path):
    (tmp_path / "other.blend").write_bytes(b"changed")
    report = verify([plain], jobs=1)
    verify_deep(report, tmp_path, executable=EXECUTABLE)
    (problem,) = report.sequences[0].found.problems
    assert problem.check == "deep" and "changed since" in problem.message


def test_exit_codes_of_the_command(plain, copy, tmp_path, capsys):
    assert main(["verify", str(plain), "--jobs=1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["exit_code"] == 0
    DAMAGES["depth scaled"](copy, [0, 0, frames_of(copy)[0]])
    assert main(["verify", str(copy), str(plain), "--jobs=1"]) == 1
    assert file_of("depths", frames_of(copy)[0]) in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "nothing")]) == 2
    assert main(["verify", str(copy), "--deep"]) == 2
