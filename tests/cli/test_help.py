"""`--help`: what it says, that it says everything, and that it says it quickly."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields

import pytest

from tests.cli.conftest import Answer
from visionsim import __version__
from visionsim.cli._fields import RENDER_PANELS, field_docstrings, render_options
from visionsim.simulation.config import RenderConfig

COMMANDS = ("create-datasets", "render-animation")
"""Those that render."""


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    "command",
    [
        "",
        *COMMANDS,
        *("dataset", "dataset convert", "dataset merge", "dataset split", "doctor"),
        *("export", "export coco", "export colmap", "export hdf5", "export mesh", "export nerfstudio", "export ngp"),
        *("export points", "export tum", "export webdataset"),
        *("preview-datasets", "purge-corrupted", "show", "status", "verify"),
        *("trajectory", "trajectory convert", "trajectory info", "trajectory resample", "trajectory smooth"),
    ],
)
def test_help_reads_as_reviewed(
    command: str,
    width: int,
    call: Callable[..., Answer],
    golden: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    answer = call(*command.split(), "--help")
    assert (answer.code, answer.err) == (0, "")
    assert "\x1b" not in answer.out
    assert max(map(len, answer.out.splitlines())) <= width
    golden(f"help-{command.replace(' ', '-') or 'visionsim'}-{width}.txt", answer.out)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_answers_in_spite_of_missing_options_and_in_its_short_form(
    command: str, call: Callable[..., Answer]
) -> None:
    assert call(command, "--render-config.depths", "-h") == call(command, "--help")


def test_no_command_shows_help_and_exits_2(call: Callable[..., Answer]) -> None:
    answer = call()
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == call("--help").out


def test_version(call: Callable[..., Answer]) -> None:
    assert call("--version") == Answer(0, f"visionsim {__version__}\n", "")


def test_every_render_option_has_help_and_a_group() -> None:
    assert all(option.help for option in render_options())
    grouped = [name for names in RENDER_PANELS.values() for name in names.split()]
    assert sorted(grouped) == sorted(field.name for field in fields(RenderConfig))


def test_help_texts_and_names_are_those_of_tyro(capsys: pytest.CaptureFixture[str]) -> None:
    tyro = pytest.importorskip("tyro")
    with pytest.raises(SystemExit):
        tyro.cli(RenderConfig, args=["--help"])
    words = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name, text in field_docstrings(RenderConfig).items():
        assert "--" + name.replace("_", "-") in words
        assert " ".join(text.split()[:3]) in words


def test_help_imports_nothing_slow() -> None:
    slow = "numpy bpy torch OpenEXR tyro yaml pydantic fastjsonschema rich.live tqdm visionsim.simulation.run".split()
    script = (
        "import sys; from visionsim.cli import main;"
        "codes = [main([*command.split(), '--help']) for command in sys.argv[1:]];"
        f"sys.exit(any(codes) or ','.join(sorted(set({slow!r}) & set(sys.modules))) or None)"
    )
    command = [sys.executable, "-c", script, "", *COMMANDS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
