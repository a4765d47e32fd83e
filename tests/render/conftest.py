"""A Blender to render with, or a reason why not."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.render.scripts import Blender
from visionsim.simulation.config import RenderConfig

EXECUTABLE = os.environ.get("VISIONSIM_TEST_EXECUTABLE")
"""An external Blender to test with, in place of this Python's bpy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.blender)


@pytest.fixture(scope="session")
def executable() -> str | None:
    """The Blender to test with, as in `RenderConfig`: None is this Python's bpy."""
    if EXECUTABLE is not None or importlib.util.find_spec("bpy") is not None:
        return EXECUTABLE
    blender = shutil.which("blender")
    if blender is None:
        if os.environ.get("VISIONSIM_REQUIRE_BLENDER"):
            pytest.fail("there is no Blender, and VISIONSIM_REQUIRE_BLENDER forbids to skip the render tests")
        pytest.skip("needs Blender: this Python has no bpy and there is no `blender` on PATH")
    return blender


@pytest.fixture(scope="session")
def scripts(executable: str | None) -> Iterator[Blender]:
    """Runs the tests' own scripts inside a Blender, all of them in one process."""
    with Blender(executable) as blender:
        yield blender


@pytest.fixture
def config(tmp_path: Path) -> RenderConfig:
    """Small, quick, all kinds of ground truth."""
    return small_config(tmp_path / "logs")


def small_config(log_dir: Path) -> RenderConfig:
    """The same, for what several tests share."""
    return RenderConfig(
        executable=EXECUTABLE,
        width=96,
        height=64,
        max_samples=2,
        use_denoising=False,
        depths=True,
        normals=True,
        flows=True,
        segmentations=True,
        log_dir=log_dir,
    )


@pytest.fixture(scope="session")
def blender_knows(scripts, tmp_path_factory):
    """(expression) -> whether it is true in the Blender under test."""

    def ask(expression: str) -> bool:
        script = tmp_path_factory.mktemp("asked") / "ask.py"
        script.write_text(f"import bpy\nprint('answer:', bool({expression}))\n")
        output = scripts.run(script)
        (line,) = (line for line in output.splitlines() if line.startswith("answer:"))
        return line == "answer: True"

    return ask
