"""Half a hundred odd files through three commands: no crash, no hang, no false alarm, one message per failure."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.render.conftest import EXECUTABLE
from visionsim.dataset.kinds import KINDS

BUILD = Path(__file__).parent / "build_odd.py"

REFUSED = {
    "camera_flat": "no valid pose",
    "camera_is_an_empty": "active camera 'Nobody' is of type EMPTY",
    "camera_mirror_ball": "type MIRRORBALL",
    "camera_mirrored": "mirrored",
    "camera_missing": "no active camera",
    "camera_sheared": "sheared",
    "dynamic_paint": "bake it, or leave out --render-config.occlusions",
    "file_cut_off": "cut off",
    "file_empty": "it is empty",
    "file_of_text": "no .blend file",
    "file_overwritten": "damaged or cut off",
    "view_layers_off": "every view layer is switched off",
}
"""File -> what the message says of it. All others are rendered."""

BY_CHANCE = {"dependency_cycle"}
"""Blender evaluates a circle in any order: what a frame shows may be refused or not."""

NUM_FRAMES = 2


def visionsim(*arguments: object) -> Any:
    """The JSON document that a command prints."""
    command = [sys.executable, "-m", "visionsim", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def dataset(scripts, tmp_path_factory) -> tuple[Path, Any]:
    """The folder with `scenes` and `data`, and the report of the run."""
    folder = tmp_path_factory.mktemp("odd")
    scripts.run(BUILD, folder / "scenes")
    options = ["--render-config.width=48", "--render-config.height=36", "--render-config.max-samples=1"]
    options += ["--render-config.no-use-denoising", "--render-config.jobs=2", f"--num-frames={NUM_FRAMES}"]
    options += [f"--render-config.{kind}" for kind in KINDS]
    options += [f"--render-config.log-dir={folder / 'logs'}", f"--datasets-dir={folder / 'data'}"]
    if EXECUTABLE is not None:
        options.append(f"--render-config.executable={EXECUTABLE}")
    return folder, visionsim(
        "create-datasets", f"--scenes-dir={folder / 'scenes'}", "--sequences-per-scene=1", *options
    )


def test_each_failure_is_of_its_own_scene(dataset) -> None:
    folder, report = dataset
    failed: dict[str, set[str]] = {}
    for failure in report["failures"]:
        failed.setdefault(failure["scene"], set()).add(failure["message"])
    assert failed.keys() - BY_CHANCE == REFUSED.keys()
    for scene in REFUSED:
        assert len(failed[scene]) == 1 and re.search(REFUSED[scene], *failed[scene]), failed[scene]
    built = {path.stem for path in (folder / "scenes").glob("*.blend") if path.is_file()}
    complete = {path.parts[-3] for path in folder.glob("data/renders/*/*/transforms.json")}
    assert len(built) >= 60 and complete - BY_CHANCE == built - REFUSED.keys() - BY_CHANCE


def test_the_referee_finds_nothing_wrong(dataset) -> None:
    folder, _ = dataset
    found = visionsim(
        "verify", folder / "data", "--deep", f"--scenes-dir={folder / 'scenes'}", "--deep-frames=1", "--deep-samples=16"
    )
    problems = [
        (Path(sequence["folder"]).parent.name, problem["check"], problem["message"])
        for sequence in found["sequences"]
        for problem in sequence["problems"]
    ]
    assert [problem for problem in problems if problem[0] not in BY_CHANCE] == []


def test_all_that_is_complete_is_exported(dataset) -> None:
    folder, report = dataset
    done = visionsim("export", "webdataset", folder / "data", folder / "export")
    complete = [sequence for sequence in report["sequences"] if not sequence["failed"]]
    assert done["frames"] == sum(sequence["total"] for sequence in complete) >= NUM_FRAMES * 45
