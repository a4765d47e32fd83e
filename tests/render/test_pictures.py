"""The picture is what Blender itself renders; jobs and reruns change no byte. test_killed.py has the kills."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import worker_pids
from tests.render.closed_form import FRAME_START, NUM_FRAMES, build_all, closed_form
from tests.render.conftest import EXECUTABLE, small_config
from tests.render.same import assert_same_data, tree
from visionsim.errors import ConfigError
from visionsim.io.exr import read_exr
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.report import FrameDone, RunReport
from visionsim.simulation.run import AnimationRequest, DatasetRequest, run

HERE = Path(__file__).parent
FRAMES = range(FRAME_START, FRAME_START + NUM_FRAMES)

DOF = {"use_dof": True, "focus_distance": 5.0, "aperture_fstop": 0.3}

SETTINGS = {"denoised": {"use_denoising": True}, "16 bits": {"bit_depth": 16}}


@pytest.fixture(scope="module")
def blends(tmp_path_factory, scripts) -> Path:
    """A folder with a scene in two looks: sharp, and with depth of field and motion blur."""
    folder, made = tmp_path_factory.mktemp("scenes"), tmp_path_factory.mktemp("made")
    scenes = {}
    for name in ("sharp", "blurred"):
        scene = scenes[made / f"{name}.blend"] = closed_form(width=96, height=64)
        scene.description["dof"] = DOF if name == "blurred" else {}
        scene.description["render"]["use_motion_blur"] = name == "blurred"
    build_all(scripts, scenes)
    for path in scenes:
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def blend(blends) -> Path:
    return blends / "blurred.blend"


def render(blend: Path, root: Path, config: RenderConfig, observe=lambda event: None):
    report = run(AnimationRequest(blend, root), config, observe=observe)
    assert isinstance(report, RunReport) and report.exit_code == 0
    return report


@pytest.mark.parametrize("settings", SETTINGS)
def test_pixels_equal_plain_render(blends, tmp_path, config, scripts, settings) -> None:
    config = dataclasses.replace(config, **SETTINGS[settings], max_samples=4)
    try:
        report = run(DatasetRequest(blends, tmp_path / "ours"), config, observe=lambda event: None)
        assert isinstance(report, RunReport) and report.exit_code == 0
    except ConfigError as exc:
        # Debian's Blender 3.4 is built without a denoiser; then the request is refused before anything is written.
        assert config.use_denoising and str(exc).startswith("Blender 3.4.") and "has no denoiser" in str(exc)
        assert EXECUTABLE and not (tmp_path / "ours").exists()
        return
    names = "width height max_samples adaptive_threshold use_denoising seed file_format bit_depth".split()
    wanted = {name: getattr(config, name) for name in names} | {"frames": list(FRAMES)}
    plain = [
        wanted | {"blend": str(blend), "output": str(tmp_path / f"{blend.stem}_%d.png")}
        for blend in sorted(blends.iterdir())
    ]
    (tmp_path / "plain.json").write_text(json.dumps(plain))
    scripts.run(HERE / "plain_render.py", tmp_path / "plain.json")
    for look in ("blurred", "sharp"):
        (root,) = (tmp_path / "ours" / "renders" / look).iterdir()
        for frame in FRAMES:
            ours = np.asarray(Image.open(root / "frames" / f"frame_{frame:06d}.png"))
            plain_one = np.asarray(Image.open(tmp_path / f"{look}_{frame}.png"))
            assert ours.dtype == plain_one.dtype and ours.std() > 5
            assert np.array_equal(ours, plain_one)


@pytest.fixture(scope="module")
def rendered(blend, tmp_path_factory) -> Path:
    """The dataset, rendered by one process; tests do not change it."""
    folder = tmp_path_factory.mktemp("rendered")
    render(blend, folder / "data", small_config(folder / "logs"))
    return folder / "data"


def test_two_jobs_give_the_bytes_of_one_and_no_process_listens(blend, rendered, tmp_path, config) -> None:
    listening: list[str] = []

    def observe(event) -> None:
        if isinstance(event, FrameDone):
            workers = worker_pids()
            assert workers
            listening.extend(listening_sockets([os.getpid(), *workers]))

    render(blend, tmp_path / "2", dataclasses.replace(config, jobs=2), observe)
    assert_same_data(rendered, tmp_path / "2")
    assert len(tree(rendered)) == NUM_FRAMES * 5 + 3  # Five kinds, two documents, one journal.
    assert listening == []


def listening_sockets(pids: list[int]) -> list[str]:
    """The kernel's lines of those that these processes hold."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(os.readlink(link))
            except FileNotFoundError:
                continue  # Closed since we listed it.
    lines = [line for table in ("tcp", "tcp6") for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]]
    return [line for line in lines if line.split()[3] == "0A" and f"socket:[{line.split()[9]}]" in inodes]


def test_rerun_renders_what_is_missing_or_damaged_only(blend, rendered, tmp_path, config) -> None:
    root = tmp_path / "out"
    shutil.copytree(rendered, root)
    assert render(blend, root, config).to_json()["frames_rendered"] == 0

    (root / "depths" / f"depth_{FRAMES[0]:06d}.exr").unlink()
    flow = root / "flows" / f"flow_{FRAMES[1]:06d}.exr"
    flow.write_bytes(flow.read_bytes()[:-1] + b"\x55")
    report = render(blend, root, config).to_json()
    assert (report["frames_rendered"], report["frames_kept"]) == (2, NUM_FRAMES - 2)
    assert_same_data(root, rendered)


def test_sequences_of_a_scene_are_disjoint_on_disk(blend, tmp_path, config) -> None:
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "one.blend").write_bytes(blend.read_bytes())
    request = DatasetRequest(tmp_path / "scenes", tmp_path / "data", sequences_per_scene=3, num_frames=1)
    report = run(request, dataclasses.replace(config, depths=False), observe=lambda event: None)
    assert report.exit_code == 0
    folders = sorted((tmp_path / "data" / "renders" / "one").iterdir())
    assert [folder.name for folder in folders] == [f"001-{frame:05d}-{frame + 1:05d}" for frame in FRAMES]
    names = [path.name for folder in folders for path in (folder / "frames").iterdir()]
    assert sorted(names) == [f"frame_{frame:06d}.png" for frame in FRAMES]
    assert not any((folder / "depths").exists() for folder in folders)


def test_slow_motion_shows_the_same_at_stretched_frames(blend, rendered, tmp_path, config) -> None:
    root = tmp_path / "slow"
    render(blend, root, dataclasses.replace(config, keyframe_multiplier=2.0, use_motion_blur=False))
    documents = [json.loads((folder / "transforms.json").read_text()) for folder in (rendered, root)]
    assert documents[1]["fps"] == 2 * documents[0]["fps"] == 50
    frames = [frame["frame"] for frame in documents[1]["frames"]]
    assert frames == list(range(2 * FRAMES[0], 2 * FRAMES[-1] + 1))
    for index in range(NUM_FRAMES):
        authored, stretched = documents[0]["frames"][index], documents[1]["frames"][2 * index]
        assert authored["time"] == pytest.approx(stretched["time"])
        assert np.allclose(authored["transform_matrix"], stretched["transform_matrix"], atol=1e-6)
        for kind in ("depth", "segmentation", "normal"):
            a, b = (
                np.stack(list(read_exr(folder / frame[f"{kind}_file_path"]).values()))
                for folder, frame in ((rendered, authored), (root, stretched))
            )
            assert np.allclose(a, b, rtol=1e-5, atol=1e-5)
