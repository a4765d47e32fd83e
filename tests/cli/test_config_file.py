"""`--config FILE`: the same options from YAML and TOML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Answer, FakeRun
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.report import RunReport
from visionsim.simulation.run import AnimationRequest, DatasetRequest

YAML = """
scenes-dir: scenes
datasets_dir: out
num-frames: 20
sampling: random
dry-run: true
render-config:
  width: 640
  keyframe_multiplier: 2
  timeout: null
  addons: [one, two]
  use-motion-blur: false
render-config.depths: true
"""
TOML = """
scenes-dir = "scenes"
datasets_dir = "out"
num-frames = 20
sampling = "random"
dry-run = true
render-config.depths = true
[render-config]
width = 640
keyframe_multiplier = 2.0
addons = ["one", "two"]
use-motion-blur = false
""".replace("render-config.depths = true\n[render-config]", "[render-config]\ndepths = true")
CONFIG = RenderConfig(width=640, keyframe_multiplier=2.0, addons=("one", "two"), use_motion_blur=False, depths=True)


@pytest.fixture(params=[("run.yaml", YAML), ("run.toml", TOML)], ids=["yaml", "toml"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name, text = request.param
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_file_gives_every_option_even_required_ones(file: Path, call: Callable[..., Answer], fake_run: FakeRun) -> None:
    assert call("create-datasets", "--config", file).err == ""
    assert fake_run.request == DatasetRequest(Path("scenes"), Path("out"), num_frames=20, sampling="random")
    assert fake_run.config == CONFIG
    assert isinstance(fake_run.config.keyframe_multiplier, float)
    assert fake_run.dry_run is True


def test_command_line_wins(file: Path, call: Callable[..., Answer], fake_run: FakeRun) -> None:
    args = (
        f"--num-frames=None --sampling=uniform --no-dry-run --config={file} --render-config.width=8 "
        "--render-config.addons=three --no-render-config.depths --render-config.use-motion-blur None"
    )
    assert call("create-datasets", *args.split()).code == 0
    assert fake_run.request == DatasetRequest(Path("scenes"), Path("out"))
    assert fake_run.config == RenderConfig(width=8, keyframe_multiplier=2.0, addons=("three",))
    assert fake_run.dry_run is False


def test_file_gives_arguments_and_json(tmp_path: Path, call: Callable[..., Answer], fake_run: FakeRun) -> None:
    (tmp_path / "run.yml").write_text("blend: a.blend\nroot: out\njson: true\n")
    fake_run.result = RunReport(Path("out"))
    assert call("render-animation", "--config=run.yml").out.startswith("{")
    assert fake_run.request == AnimationRequest(Path("a.blend"), Path("out"))
    assert call("render-animation", "--config=run.yml", "b.blend", "--no-json").out.startswith("Done")
    assert fake_run.request == AnimationRequest(Path("b.blend"), Path("out"))


def test_empty_file_changes_nothing(tmp_path: Path, call: Callable[..., Answer], fake_run: FakeRun) -> None:
    (tmp_path / "run.yaml").write_text("# nothing\nrender-config:\n")
    assert call("render-animation", "a", "b", "--config=run.yaml").code == 0
    assert fake_run.config == RenderConfig()


WRONG = [
    ("a.yaml", "render-config:\n  widht: 3"),
    ("a.toml", "scene-dir = 'scenes'"),
    ("a.yaml", "config: b.yaml"),
    ("a.yaml", "num-frames: ten"),
    ("a.yaml", "num-frames: 2.5"),
    ("a.yaml", "seed: null"),
    ("a.yaml", "render-config: 3"),
    ("a.yaml", "render-config: {width: '640'}"),
    ("a.yaml", "render-config: {depths: 1}"),
    ("a.yaml", "render-config: {addons: [1, 2]}"),
    ("a.yaml", "render-config: {device-type: gpu}"),
    ("a.yaml", "render-config: {width: {value: 3}}"),
    ("a.yaml", "num-frames: 1\nnum_frames: 2"),
    ("a.yaml", "- one\n- two"),
    ("a.yaml", "seed: 1\nscenes-dir: [x\nseed: 2"),
    ("a.yaml", "when: 2024-13-41"),
    ("a.toml", "seed = 1\nscenes-dir = \n"),
    ("a.toml", "seed = 1\nseed = 2\n"),
    ("a.json", "{}"),
]


def test_wrong_files_read_as_reviewed(
    tmp_path: Path, call: Callable[..., Answer], fake_run: FakeRun, golden: Callable[[str, str], None]
) -> None:
    text = ""
    for name, content in WRONG:
        (tmp_path / name).write_text(content)
        answer = call("create-datasets", f"--config={name}")
        assert (answer.code, answer.out) == (2, ""), content
        text += f"{content.rstrip()}\n--> {answer.err}\n"
    golden("config-errors.txt", text)
    assert fake_run.request is None


def test_unreadable_files(tmp_path: Path, call: Callable[..., Answer]) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "bytes.yaml").write_bytes(b"seed: 1\nscenes-dir: \xff\xfe\n")
    assert "does not exist" in call("create-datasets", "--config=none.yaml").err
    assert "Is a directory" in call("create-datasets", "--config=folder.yaml").err
    assert "not UTF-8 text, line 2" in call("create-datasets", "--config=bytes.yaml").err
