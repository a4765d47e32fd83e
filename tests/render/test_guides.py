"""Every script of docs/guides runs from the shell, and what it leaves is what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import REPOSITORY
from tests.reference.raycast import transform
from tests.render.closed_form import FRAME_START, NUM_FRAMES, build_all, closed_form
from visionsim.dataset.kinds import KINDS
from visionsim.dataset.schema import read_document

GUIDES = REPOSITORY / "docs" / "guides"
FRAMES = list(range(FRAME_START, FRAME_START + NUM_FRAMES))
FPS = 25.0


@pytest.fixture(scope="module")
def scene():
    return closed_form(width=96, height=64)


@pytest.fixture(scope="module")
def blends(scene, tmp_path_factory, scripts) -> list[Path]:
    """Two scenes; their folder has a space in its name."""
    folder = tmp_path_factory.mktemp("guides") / "my scenes"
    folder.mkdir()
    blends = [folder / "hall.blend", folder / "yard.blend"]
    build_all(scripts, dict.fromkeys(blends, scene))
    return blends


@pytest.fixture(scope="module")
def guide(executable, tmp_path_factory):
    """(name of a script, scenes, options) -> the folder that it wrote, and the last line that it printed."""

    def run(name: str, *scenes: Path, **options: object) -> tuple[Path, str]:
        folder = tmp_path_factory.mktemp(name)
        options = {"width": 48, "height": 32, "samples": 1, "executable": executable, **options}
        given = [f"--{key.replace('_', '-')}={value}" for key, value in options.items() if value is not None]
        ran = subprocess.run(
            [sys.executable, "-W", "error", GUIDES / f"{name}.py", *scenes, folder / "out", *given],
            cwd=folder, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert [path.name for path in folder.iterdir()] == ["out"]
        (line,) = ran.stdout.splitlines()
        assert str(folder / "out") in line
        return folder / "out", line

    return run


def document(root: Path) -> dict:
    """transforms.json, whose files are all there."""
    found = read_document("transforms", root / "transforms.json")
    for frame in found["frames"]:
        assert all((root / value).is_file() for key, value in frame.items() if key.endswith("file_path"))
    return found


def numbers(found: dict) -> list[int]:
    return [frame["frame"] for frame in found["frames"]]


def poses(found: dict) -> np.ndarray:
    """(N, 4, 4), c2w."""
    return np.array([frame["transform_matrix"] for frame in found["frames"]])


def pictures(root: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((root / "frames").iterdir())]


@pytest.fixture(scope="module")
def one_scene(guide, blends) -> tuple[Path, str]:
    return guide("one_scene", blends[0])


def test_one_scene(one_scene, scene) -> None:
    root, line = one_scene
    found = document(root)
    assert line.startswith(f"{NUM_FRAMES} frames ") and numbers(found) == FRAMES
    assert (found["w"], found["h"], found["fps"]) == (48, 32, FPS)
    asked = {kind.key for name, kind in KINDS.items() if name != "occlusions"}
    assert asked < found["frames"][0].keys()
    assert np.allclose(poses(found), scene.camera.c2w[1:-1], atol=1e-6)


def test_parallel_gives_the_same_as_one_process(guide, blends, one_scene) -> None:
    root, line = guide("parallel", blends[0], jobs=2)
    assert line.startswith("3 frames, rendered by 2 processes, ") and numbers(document(root)) == FRAMES
    assert pictures(root) == pictures(one_scene[0])


def test_many_scenes(guide, blends) -> None:
    root, line = guide("many_scenes", *blends, frames=2)
    assert line.startswith("4 frames of 2 scenes ")
    assert sorted(path.name for path in root.iterdir()) == ["hall", "logs", "yard"]
    assert [numbers(document(root / blend.stem)) for blend in blends] == [FRAMES[:2]] * 2
    logs = sorted(path.relative_to(root / "logs").as_posix() for path in (root / "logs").rglob("*.log"))
    assert logs == ["client-00/worker-00.log", "client-01/worker-00.log"]


def test_camera_path(guide, blends, scene) -> None:
    root, _ = guide("camera_path", blends[0], frames=4, distance=1.5, elevation=0.5)
    found = document(root)
    assert numbers(found) == list(range(FRAME_START, FRAME_START + 4))
    c2w = poses(found)
    # Floor and wall are flat, so their boxes are their corners; no ball reaches beyond them.
    corners = np.concatenate([transform(body.matrices[1], body.vertices) for body in scene.bodies[:2]])
    low, high = corners.min(axis=0), corners.max(axis=0)
    centre, distance = (low + high) / 2, 1.5 * np.linalg.norm(high - low) / 2
    back = np.array([[np.cos(0.5) * x, np.cos(0.5) * y, np.sin(0.5)] for x, y in ((1, 0), (0, 1), (-1, 0), (0, -1))])
    assert np.allclose(c2w[:, :3, 3], centre + distance * back, atol=1e-5)
    assert np.allclose(c2w[:, :3, 2], back, atol=1e-6)  # Looks at the centre.
    assert np.allclose(c2w[:, 2, 0], 0, atol=1e-6) and (c2w[:, 2, 1] > 0.8).all()  # Upright.


def test_stereo_baseline(guide, blends, scene) -> None:
    baseline = 0.12
    root, _ = guide("stereo", blends[0], baseline=baseline)
    left, right = (document(root / side) for side in ("left", "right"))
    assert numbers(left) == numbers(right) == FRAMES
    assert left["intrinsics"] == right["intrinsics"]
    assert np.allclose(poses(left), scene.camera.c2w[1:-1], atol=1e-6)
    assert np.array_equal(poses(left)[:, :3, :3], poses(right)[:, :3, :3])
    right_in_left = np.linalg.inv(poses(left)) @ poses(right)
    assert np.abs(right_in_left[:, :3, 3] - [baseline, 0, 0]).max() <= 1e-6
    assert pictures(root / "left") != pictures(root / "right")


def test_own_code_depends_on_the_seed_alone(guide, blends) -> None:
    first, _ = guide("own_code", blends[0], variants=2, frames=1)
    again, _ = guide("own_code", blends[0], variants=1, first_seed=1, frames=1)
    seeds = [first / "seed-0000", first / "seed-0001", again / "seed-0001"]
    found = [document(root) for root in seeds]
    assert [numbers(each) for each in found] == [FRAMES[:1]] * 3
    assert np.array_equal(poses(found[0]), poses(found[1]))
    assert pictures(seeds[1]) == pictures(seeds[2]) and pictures(seeds[0]) != pictures(seeds[1])
    colours = [json.loads((root / "materials.json").read_text()) for root in seeds]
    assert colours[1] == colours[2] and colours[0].keys() == colours[1].keys()
    assert sorted(colours[0]) == ["Ball.Moving", "Ball.Still", "Ball.Turning", "Floor", "Wall"]
    assert all(colours[0][name] != colours[1][name] for name in colours[0])
    ids = [
        (root / frame["frames"][0]["segmentation_file_path"]).read_bytes()
        for root, frame in zip(seeds, found, strict=True)
    ]
    assert ids[0] == ids[1] == ids[2]


def test_slow_motion(guide, blends, scene) -> None:
    root, line = guide("slow_motion", blends[0], scale=2)
    found = document(root)
    stretched = list(range(2 * FRAMES[0], 2 * FRAMES[-1] + 1))
    assert line.startswith(f"{len(stretched)} frames at 50 fps, of 3 authored ones at 25 fps")
    assert numbers(found) == stretched and (found["fps"], found["keyframe_multiplier"]) == (2 * FPS, 2.0)
    assert [frame["time"] for frame in found["frames"]] == pytest.approx([frame / (2 * FPS) for frame in stretched])
    # Every second frame shows an authored one.
    assert np.allclose(poses(found)[::2], scene.camera.c2w[1:-1], atol=1e-6)
    moved = np.linalg.norm(np.diff(poses(found)[:, :3, 3], axis=0), axis=1)
    assert (moved > 0.01).all()


def test_every_guide_is_run_and_in_the_index() -> None:
    scripts = {path.stem for path in GUIDES.glob("*.py")}
    index = (GUIDES / "README.md").read_text(encoding="utf-8")
    assert all(f"({name}.py)" in index for name in scripts)
    elsewhere = {"randomise", "load_and_look"}  # Called by another one; tests/docs/test_loading.py.
    assert {name for name in scripts if f'guide("{name}"' in Path(__file__).read_text()} == scripts - elsewhere
