"""Every row of tests/bad_inputs.py comes out as it says, writes nothing, and is what docs/troubleshooting.md says."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import bad_inputs
from tests.bad_inputs import BLENDER, COMMAND_LINE, FILES, SAMPLING, Row
from tests.cli.conftest import Answer
from tests.helpers import REPOSITORY

FAKE_BLENDER = Path(__file__).parent / "fake_blender.py"
PAGE = REPOSITORY / "docs" / "troubleshooting.md"
ROWS = [*COMMAND_LINE, *FILES, *SAMPLING, *BLENDER]


@pytest.mark.parametrize("row", ROWS, ids=[row.wrong for row in ROWS])
def test_message_and_exit_code(
    row: Row, call: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {"scenes/room.blend": "{}", **row.files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text == "None":
            path.unlink(missing_ok=True)
        else:
            path.write_text(text)
    if row.blender == "fake":
        command = [sys.executable, "-S", "-E", str(FAKE_BLENDER)]
        monkeypatch.setattr("visionsim.simulation.pool.blender_command", lambda executable: command)
    elif row.blender == "none":
        found = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *more: None if name == "bpy" else found(name, *more)
        )
        monkeypatch.setattr(shutil, "which", lambda name: None)
    before = sorted(tmp_path.rglob("*"))
    answer = call(*shlex.split(row.command))
    said = answer.err + answer.out
    assert re.search(r"(?m)^(Error: |  .*|)" + row.pattern + ("$" if row.code == 2 else ""), said), said
    assert answer.code == row.code
    assert "Traceback" not in said
    written = set(tmp_path.rglob("*")) - set(before)
    # What failed after it was begun leaves logs, and a record for `visionsim status`.
    assert not written if row.code == 2 else all({"logs", "out"} & set(path.parts) for path in written)


def test_page_has_the_same_table(request: pytest.FixtureRequest) -> None:
    text = PAGE.read_text(encoding="utf-8")
    start, end = "<!-- table of tests/bad_inputs.py -->\n", "<!-- end of the table -->\n"
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    expected = f"{before}{start}\n{bad_inputs.tables()}\n{end}{after}"
    if request.config.getoption("--update-golden", default=False):
        PAGE.write_text(expected, encoding="utf-8")
        text = expected
    assert text == expected, "rewrite with: pytest tests/cli --update-golden"
    assert sum(map(len, bad_inputs.TITLES.values())) >= 25
