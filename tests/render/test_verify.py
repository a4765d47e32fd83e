"""What visionsim renders verifies, whatever is in the scene; damaged copies do not; rays agree with the pixels."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.damage import DAMAGES, JOURNALS, document, file_of
from tests.render.closed_form import closed_form
from tests.render.conftest import EXECUTABLE
from visionsim.cli import main
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.deep import verify_deep
from visionsim.simulation.run import AnimationRequest, run
from visionsim.verify.report import VerifyReport
from visionsim.verify.run import verify

HERE = Path(__file__).parent


def render(folder: Path) -> Path:
    """Render scenes/scene.blend of a folder into out/."""
    config = RenderConfig(
        executable=EXECUTABLE, width=128, height=96, max_samples=2, use_denoising=False, log_dir=folder / "logs",
        depths=True, normals=True, flows=True, segmentations=True,
    )  # fmt: skip
    request = AnimationRequest(folder / "scenes" / "scene.blend", folder / "out")
    report = run(request, config, observe=lambda event: None)
    assert report.exit_code == 0, report.failures
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory, run_script) -> Path:
    """Everything moves rigidly: flow comes from geometry."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "scenes").mkdir()
    scene = closed_form(width=128, height=96, shift_x=0.05)
    scene.build(run_script(HERE / "build_closed_form.py"), folder / "scenes" / "scene.blend")
    return render(folder)


@pytest.fixture(scope="module")
def awkward(tmp_path_factory, run_script) -> Path:
    """Hair, volume, cut-outs and more; flow comes from Blender's vector pass."""
    folder = tmp_path_factory.mktemp("awkward")
    (folder / "scenes").mkdir()
    blend = folder / "scenes" / "scene.blend"
    command = [*run_script(HERE / "build_awkward.py"), str(blend)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert blend.exists(), done.stdout + done.stderr
    return render(folder)


@pytest.fixture(params=["plain", "awkward"])
def rendered(request) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture
def copy(plain, tmp_path) -> Path:
    shutil.copytree(plain / "out", tmp_path / "copy")
    return tmp_path / "copy"


def frames_of(root: Path) -> list[int]:
    return [frame["frame"] for frame in json.loads((root / "transforms.json").read_text())["frames"]]


def deep(root: Path, rendered: Path, samples: int = 400) -> VerifyReport:
    report = verify([root], jobs=1)
    verify_deep(report, rendered / "scenes", executable=EXECUTABLE, samples=samples)
    return report


def test_what_was_rendered_verifies(rendered):
    (row,) = verify([rendered / "out"], jobs=1).sequences
    assert row.found.problems == []
    for check in (
        "documents",
        "journal",
        "files",
        "background",
        "depth",
        "flow",
        "roundtrip",
        "ids",
        "normals",
        "smooth",
    ):
        assert row.status(check) == "ok", check


def test_rays_hit_what_the_pixels_say(rendered):
    (row,) = deep(rendered / "out", rendered).sequences
    assert row.found.problems == []
    (note,) = row.found.notes
    compared = int(note.split()[1])
    # What rays cannot tell is skipped, but it is little.
    assert 1000 <= compared <= 1200


@pytest.mark.parametrize("journal", ["no journal", "journal rewritten"])
@pytest.mark.parametrize(
    "damage", ["flow sign", "depth scaled everywhere", "depth truncated", "shifted cx", "renumbered label"]
)
def test_damage_is_found(copy, damage, journal):
    frames = frames_of(copy)
    damaged = DAMAGES[damage](copy, frames)
    JOURNALS[journal](copy)
    problems = verify([copy], jobs=1).sequences[0].found.problems
    assert damaged <= {problem.file for problem in problems}


def test_rays_find_exchanged_names_and_a_moved_camera(copy, plain):
    frames = frames_of(copy)

    def exchange(content):
        labels = content["labels"]
        names = [key for key in labels if labels[key]["name"] in ("Floor", "Wall")][:2]
        labels[names[0]], labels[names[1]] = labels[names[1]], labels[names[0]]
        content["frames"][0]["transform_matrix"][0][3] += 0.01

    document(copy, exchange)
    report = deep(copy, plain)
    problems = [problem for problem in report.sequences[0].found.problems if problem.check == "deep"]
    assert {"transforms.json", file_of("segmentations", frames[0])} <= {problem.file for problem in problems}
    assert any(problem.x is not None and problem.expected for problem in problems)


def test_changed_blend_is_said_to_be_one(plain, tmp_path):
    (tmp_path / "other.blend").write_bytes(b"changed")
    report = verify([plain / "out"], jobs=1)
    verify_deep(report, tmp_path, executable=EXECUTABLE)
    (problem,) = report.sequences[0].found.problems
    assert problem.check == "deep" and "changed since" in problem.message


def test_stretched_time_and_skipped_frames_verify(awkward, tmp_path):
    config = RenderConfig(
        executable=EXECUTABLE, width=64, height=48, max_samples=1, use_denoising=False, log_dir=tmp_path / "logs",
        depths=True, normals=True, flows=True, segmentations=True, keyframe_multiplier=1.5,
    )  # fmt: skip
    request = AnimationRequest(awkward / "scenes" / "scene.blend", tmp_path / "out", frame_step=2)
    assert run(request, config, observe=lambda event: None).exit_code == 0
    (row,) = deep(tmp_path / "out", awkward, samples=100).sequences
    assert row.found.problems == []


def test_exit_codes_of_the_command(plain, copy, tmp_path, capsys):
    assert main(["verify", str(plain / "out"), "--jobs=1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["exit_code"] == 0
    DAMAGES["depth scaled"](copy, [0, 0, frames_of(copy)[0]])
    assert main(["verify", str(copy), str(plain / "out"), "--jobs=1"]) == 1
    assert file_of("depths", frames_of(copy)[0]) in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "nothing")]) == 2
    assert main(["verify", str(copy), "--deep"]) == 2
