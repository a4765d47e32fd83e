"""What the user reads when something is wrong, and the exit code."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.conftest import Answer, FakeRun
from visionsim import errors
from visionsim.cli._console import say

LINES = """
create-dataset
create-datasets
create-datasets --scenes-dir=scenes
create-datasets --render-config.widht 800
create-datasets --no-render-config.depth
create-datasets --width=800
create-datasets --scenes-dri=scenes
create-datasets --scen=scenes
create-datasets --qqqqqq
create-datasets -x
create-datasets --scenes-dir=scenes --datasets-dir=out extra
create-datasets --scenes-dir=scenes --datasets-dir=out --render-config.depths true
create-datasets --scenes-dir --json --datasets-dir=out
create-datasets --scenes-dir= --datasets-dir=out
create-datasets --scenes-dir=scenes --datasets-dir=out --num-frames=ten
create-datasets --scenes-dir=scenes --datasets-dir=out --seed=1.5
create-datasets --scenes-dir=scenes --datasets-dir=out --sampling=even
create-datasets --scenes-dir=scenes --datasets-dir=out --dry-run=maybe
create-datasets --scenes-dir=scenes --datasets-dir=out --render-config.width=abc
create-datasets --scenes-dir=scenes --datasets-dir=out --render-config.width
create-datasets --scenes-dir=scenes --datasets-dir=out --render-config.width --render-config.depths
create-datasets --scenes-dir=scenes --datasets-dir=out --render-config.timeout soon
create-datasets --scenes-dir=scenes --datasets-dir=out --render-config.device-type=gpu
create-datasets --scenes-dir=scenes --datasets-dir=out --render-config.depths=2
create-datasets --scenes-dir=scenes --datasets-dir=out --no-render-config.depths=true
create-datasets --scenes-dir=scenes --datasets-dir=out --render-config
create-datasets --scenes-dir=scenes --datasets-dir=out --config=nowhere.yaml
render-animation
render-animation a.blend
render-animation a.blend out more
render-animation a.blend out --frame-stop=3
--versoin
--version=2
"""


def test_messages_read_as_reviewed(
    call: Callable[..., Answer], fake_run: FakeRun, golden: Callable[[str, str], None]
) -> None:
    text = ""
    for line in LINES.strip().splitlines():
        answer = call(*shlex.split(line))
        assert answer.code == 2, line
        assert bool(answer.out) == ("--json" in line)
        text += f"$ visionsim {line}\n{answer.err}\n"
    golden("errors.txt", text)
    assert fake_run.request is None


@pytest.mark.parametrize("name", sorted(set(errors.__all__)))
def test_exit_code_of_every_error(name: str, call: Callable[..., Answer], fake_run: FakeRun) -> None:
    error = getattr(errors, name)
    fake_run.result = error("It went wrong: /some/where.blend")
    expected = 2 if issubclass(error, errors.RequestError) else 1
    answer = call("render-animation", "a.blend", "out")
    assert answer == Answer(expected, "", "Error: It went wrong: /some/where.blend\n")
    answer = call("render-animation", "a.blend", "out", "--json")
    assert json.loads(answer.out) == {"error": "It went wrong: /some/where.blend", "exit_code": expected}


def test_wrong_command_line_with_json_gives_one_document(call: Callable[..., Answer]) -> None:
    answer = call("create-datasets", "--json", "--render-config.widht=3")
    message = "No such option --render-config.widht. Did you mean --render-config.width?"
    assert json.loads(answer.out) == {"error": message, "exit_code": 2}
    assert message in answer.err


def test_interrupt_exits_130_with_one_line(call: Callable[..., Answer], fake_run: FakeRun) -> None:
    fake_run.result = KeyboardInterrupt()
    answer = call("render-animation", "a.blend", "out", "--json")
    assert (answer.code, answer.err.count("\n")) == (130, 1)
    assert json.loads(answer.out)["exit_code"] == 130


def test_our_own_mistake_shows_its_traceback_and_asks_for_a_report(
    call: Callable[..., Answer], fake_run: FakeRun
) -> None:
    fake_run.result = AttributeError("no such thing")
    answer = call("render-animation", "a.blend", "out")
    assert (answer.code, answer.out) == (1, "")
    assert "Traceback" in answer.err
    assert "Error: AttributeError: no such thing\n" in answer.err
    assert "Please report it" in answer.err


def test_paths_stay_whole_on_a_narrow_terminal() -> None:
    stream = io.StringIO()
    path = "/data/" + "a-very-long-name/" * 6 + "scene [1].blend"
    say(Console(file=stream, force_terminal=True, width=40), f"Cannot open the scene: {path}", label="Error: ")
    assert path.split()[0] in stream.getvalue()
    assert "Cannot open the scene:\n" in stream.getvalue()


def test_missing_folder_is_one_message(call: Callable[..., Answer], tmp_path: Path) -> None:
    answer = call("create-datasets", "--scenes-dir", tmp_path / "none", "--datasets-dir", tmp_path / "out")
    assert answer.code == 2
    assert answer.err.startswith("Error: The scenes folder does not exist")
    assert not (tmp_path / "out").exists()
