"""A Blender to render with, or a reason why not."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.render.closed_form import script_command
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
def run_script(executable: str | None):
    """(script) -> command, to which its arguments are appended, that runs one of the tests' scripts inside Blender."""
    return lambda script: script_command(executable, script)


@pytest.fixture
def config(tmp_path: Path) -> RenderConfig:
    """Small, quick, all kinds of ground truth."""
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
        log_dir=tmp_path / "logs",
    )


@pytest.fixture(scope="session")
def blender_knows(run_script, tmp_path_factory):
    """(expression) -> whether it is true in the Blender under test."""

    def ask(expression: str) -> bool:
        script = tmp_path_factory.mktemp("asked") / "ask.py"
        script.write_text(f"import bpy\nprint('answer:', bool({expression}))\n")
        output = subprocess.run(run_script(script), capture_output=True, text=True, timeout=60, check=True).stdout
        (line,) = (line for line in output.splitlines() if line.startswith("answer:"))
        return line == "answer: True"

    return ask
