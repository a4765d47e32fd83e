"""What visionsim renders verifies, whatever is in the scene; damaged copies do not; rays agree with the pixels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.damage import DAMAGES, JOURNALS, document, file_of
from tests.render.closed_form import build_all, closed_form
from tests.render.conftest import EXECUTABLE
from visionsim.cli import main
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


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, scripts) -> Path:
    """A folder with `scenes`, those of CAMERAS and an awkward one, and the `datasets` rendered from them.

    The awkward one has hair, volume, cut-outs and more; its flow comes from Blender's vector pass.
    """
    folder = tmp_path_factory.mktemp("rendered")
    scenes = folder / "scenes"
    scenes.mkdir()
    made = {scenes / f"{name}.blend": closed_form(width=96, height=72, **camera) for name, camera in CAMERAS.items()}
    build_all(scripts, made)
    output = scripts.run(HERE / "build_awkward.py", scenes / "awkward.blend")
    assert (scenes / "awkward.blend").exists(), output
    config = RenderConfig(
        executable=EXECUTABLE, width=96, height=72, max_samples=1, use_denoising=False, log_dir=folder / "logs",
        depths=True, normals=True, flows=True, segmentations=True,
    )  # fmt: skip
    report = run(DatasetRequest(scenes, folder / "datasets"), config, observe=lambda event: None)
    assert report.exit_code == 0, report.failures
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
    verify_deep(report, rendered / "scenes", executable=EXECUTABLE, samples=200)
    return {row.folder: row for row in report.sequences}


def frames_of(root: Path) -> list[int]:
    return [frame["frame"] for frame in json.loads((root / "transforms.json").read_text())["frames"]]


def test_what_was_rendered_verifies_and_rays_hit_what_the_pixels_say(rendered, rows):
    found = [row for folder, row in rows.items() if rendered / "datasets" in folder.parents]
    assert len(found) == len(CAMERAS) + 1
    for row in found:
        assert row.found.problems == [], row.name
        missing = {check for check in CHECKS if row.status(check) != "ok"}
        assert not missing - {"order"}, row.name  # Some pictures are too much alike.
        (note,) = row.found.notes
        compared = int(note.split()[1])
        # What rays cannot tell is skipped, but it is little.
        assert 500 <= compared <= 600, row.name


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
