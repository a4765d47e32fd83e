"""The command line without Blender: a run that is only recorded, and golden text.

`pytest tests/cli --update-golden` rewrites the files in tests/cli/golden; review the diff.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from visionsim.cli import main
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.plan import Plan, SceneFile, SceneInfo, ScenePlan, SequencePlan
from visionsim.simulation.report import Event, RunReport

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files of the command line")


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """80 columns, no colours, an empty current folder."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with a golden file, or with --update-golden write it."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        # Not known if pytest was started above this folder.
        if request.config.getoption("--update-golden", default=False):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), "rewrite with: pytest tests/cli --update-golden"

    return check


@dataclass
class FakeRun:
    """Stands in for visionsim.simulation.run.run."""

    result: RunReport | Plan | BaseException = field(default_factory=lambda: RunReport(Path("out")))
    events: list[Event] = field(default_factory=list)
    request: Any = None
    config: RenderConfig | None = None
    dry_run: bool | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(
        self, request: Any, config: RenderConfig, *, dry_run: bool = False, observe: Any, **options: Any
    ) -> RunReport | Plan:
        self.request, self.config, self.dry_run, self.options = request, config, dry_run, options
        for event in self.events:
            observe(event)
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@pytest.fixture
def fake_run(monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    fake = FakeRun()
    monkeypatch.setattr("visionsim.simulation.run.run", fake)
    return fake


@dataclass
class Answer:
    """What a command line came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run `visionsim` with these arguments in this process."""

    def run(*args: str | os.PathLike[str]) -> Answer:
        capsys.readouterr()
        code = main([os.fspath(arg) for arg in args], prog="visionsim")
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return run


def made_plan(scenes: int = 2, sequences: int = 2, frames: int = 10, *, root: Path = Path("out")) -> Plan:
    """A plan of `scenes` scenes, each with `sequences` sequences of `frames` frames."""
    plans = []
    for number in range(1, scenes + 1):
        scene = SceneFile(f"room{number}", Path(f"scenes/room{number}.blend"))
        missing = ("texture 'wood.png' is missing (renders pink): wood.png",) if number == 2 else ()
        info = SceneInfo(
            blender="5.2.3",
            digest="ab12",
            frame_start=1,
            frame_end=250,
            fps=24.0,
            camera="Camera [main]",
            device="cpu",
            labels={},
            flow="from depth and matrices: nothing deforms",
            missing=missing,
            warnings=("stereo is switched off",) if number == 2 else (),
        )
        chosen = []
        for index in range(sequences):
            covered = range(1 + index * frames, 1 + (index + 1) * frames)
            name = f"001-{covered.start:05d}-{covered.stop:05d}"
            folder = root / "renders" / scene.name / name
            chosen.append(SequencePlan(f"{scene.name}/{name}", scene, info, folder, covered))
        plans.append(ScenePlan(scene, info, None, tuple(chosen)))
    return Plan(tuple(plans), disk_bytes=3_200_000_000, settings={"width": 512})
