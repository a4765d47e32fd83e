"""The picture is what Blender itself renders; jobs and reruns change no byte. test_killed.py has the kills."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.render.closed_form import FRAME_START, NUM_FRAMES, closed_form
from tests.render.conftest import EXECUTABLE
from tests.render.same import assert_same_data, tree
from visionsim.errors import ConfigError
from visionsim.io.exr import read_exr
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.report import FrameDone
from visionsim.simulation.run import AnimationRequest, DatasetRequest, run

HERE = Path(__file__).parent
FRAMES = range(FRAME_START, FRAME_START + NUM_FRAMES)

VARIANTS = {
    "sharp": {},
    "depth of field, motion blur": {
        "dof": {"use_dof": True, "focus_distance": 5.0, "aperture_fstop": 0.3},
        "use_motion_blur": True,
    },
}


@pytest.fixture(scope="module", params=VARIANTS, ids=["sharp", "blurred"])
def looks(request, tmp_path_factory, run_script) -> Path:
    return build(VARIANTS[request.param], tmp_path_factory.mktemp("pictures"), run_script)


@pytest.fixture(scope="module")
def blend(tmp_path_factory, run_script) -> Path:
    return build(VARIANTS["depth of field, motion blur"], tmp_path_factory.mktemp("pictures"), run_script)


def build(variant, folder: Path, run_script) -> Path:
    scene = closed_form(width=96, height=64)
    scene.description["dof"] = variant.get("dof", {})
    scene.description["render"]["use_motion_blur"] = variant.get("use_motion_blur", False)
    path = folder / "scene.blend"
    scene.build(run_script(HERE / "build_closed_form.py"), path)
    return path


def render(blend: Path, root: Path, config: RenderConfig, observe=lambda event: None):
    return run(AnimationRequest(blend, root), config, observe=observe)


@pytest.mark.parametrize(("denoise", "bit_depth"), [(False, 8), (True, 8), (False, 16)])
def test_pixels_equal_plain_render(looks, tmp_path, config, run_script, denoise, bit_depth) -> None:
    config = dataclasses.replace(config, use_denoising=denoise, bit_depth=bit_depth, max_samples=4)
    try:
        assert render(looks, tmp_path / "ours", config).exit_code == 0
    except ConfigError as exc:
        # Debian's Blender 3.4 is built without a denoiser; then the request is refused before anything is written.
        assert EXECUTABLE and denoise and "no denoiser" in str(exc) and not (tmp_path / "ours").exists()
        return
    names = "width height max_samples adaptive_threshold use_denoising seed file_format bit_depth".split()
    wanted = {name: getattr(config, name) for name in names}
    wanted.update(blend=str(looks), frames=list(FRAMES), output=str(tmp_path / "plain_%d.png"))
    (tmp_path / "plain.json").write_text(json.dumps(wanted))
    subprocess.run([*run_script(HERE / "plain_render.py"), str(tmp_path / "plain.json")], check=True, timeout=200)
    for frame in FRAMES:
        ours = np.asarray(Image.open(tmp_path / "ours" / "frames" / f"frame_{frame:06d}.png"))
        plain = np.asarray(Image.open(tmp_path / f"plain_{frame}.png"))
        assert ours.dtype == plain.dtype and ours.std() > 5
        assert np.array_equal(ours, plain)


def test_two_jobs_give_the_bytes_of_one(blend, tmp_path, config) -> None:
    for jobs in (1, 2):
        report = render(blend, tmp_path / str(jobs), dataclasses.replace(config, jobs=jobs))
        assert report.exit_code == 0
    assert_same_data(tmp_path / "1", tmp_path / "2")
    assert len(tree(tmp_path / "1")) == NUM_FRAMES * 5 + 3  # Five kinds, two documents, one journal.


def worker_pids() -> list[int]:
    """Our children that are workers, from the kernel's own list."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_rerun_renders_what_is_missing_or_damaged_only(blend, tmp_path, config) -> None:
    root = tmp_path / "out"
    assert render(blend, root, config).exit_code == 0
    shutil.copytree(root, tmp_path / "before")
    assert render(blend, root, config).to_json()["frames_rendered"] == 0

    (root / "depths" / f"depth_{FRAMES[0]:06d}.exr").unlink()
    flow = root / "flows" / f"flow_{FRAMES[1]:06d}.exr"
    flow.write_bytes(flow.read_bytes()[:-1] + b"\x55")
    report = render(blend, root, config).to_json()
    assert (report["frames_rendered"], report["frames_kept"]) == (2, NUM_FRAMES - 2)
    assert_same_data(root, tmp_path / "before")


def test_no_process_listens(blend, tmp_path, config) -> None:
    listening = []

    def observe(event) -> None:
        if isinstance(event, FrameDone):
            inodes = set()
            for pid in [os.getpid(), *worker_pids()]:
                for link in Path(f"/proc/{pid}/fd").iterdir():
                    try:
                        inodes.add(os.readlink(link))
                    except FileNotFoundError:
                        continue  # Closed since we listed it.
            for table in ("tcp", "tcp6"):
                for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
                    columns = line.split()
                    if columns[3] == "0A" and f"socket:[{columns[9]}]" in inodes:
                        listening.append(line)

    assert render(blend, tmp_path / "out", config, observe).exit_code == 0
    assert listening == []


def test_sequences_of_a_scene_are_disjoint_on_disk(blend, tmp_path, config) -> None:
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "one.blend").write_bytes(blend.read_bytes())
    request = DatasetRequest(tmp_path / "scenes", tmp_path / "data", sequences_per_scene=3, num_frames=1)
    report = run(request, dataclasses.replace(config, jobs=2, depths=False), observe=lambda event: None)
    assert report.exit_code == 0
    folders = sorted((tmp_path / "data" / "renders" / "one").iterdir())
    assert [folder.name for folder in folders] == [f"001-{frame:05d}-{frame + 1:05d}" for frame in FRAMES]
    names = [path.name for folder in folders for path in (folder / "frames").iterdir()]
    assert sorted(names) == [f"frame_{frame:06d}.png" for frame in FRAMES]
    assert not any((folder / "depths").exists() for folder in folders)


def test_slow_motion_shows_the_same_at_stretched_frames(blend, tmp_path, config) -> None:
    assert render(blend, tmp_path / "1", dataclasses.replace(config, use_motion_blur=False)).exit_code == 0
    slow = dataclasses.replace(config, keyframe_multiplier=2.0, use_motion_blur=False)
    assert render(blend, tmp_path / "2", slow).exit_code == 0
    documents = [json.loads((tmp_path / name / "transforms.json").read_text()) for name in "12"]
    assert documents[1]["fps"] == 2 * documents[0]["fps"] == 50
    frames = [frame["frame"] for frame in documents[1]["frames"]]
    assert frames == list(range(2 * FRAMES[0], 2 * FRAMES[-1] + 1))
    for index in range(NUM_FRAMES):
        authored, stretched = documents[0]["frames"][index], documents[1]["frames"][2 * index]
        assert authored["time"] == pytest.approx(stretched["time"])
        assert np.allclose(authored["transform_matrix"], stretched["transform_matrix"], atol=1e-6)
        for kind in ("depth", "segmentation", "normal"):
            a, b = (
                np.stack(list(read_exr(tmp_path / name / frame[f"{kind}_file_path"]).values()))
                for name, frame in (("1", authored), ("2", stretched))
            )
            assert np.allclose(a, b, rtol=1e-5, atol=1e-5)
