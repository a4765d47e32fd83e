"""A world of fake scenes, the program that renders them, and what must hold after each of its runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.forked import Forked
from tests.helpers import REPOSITORY, running, wait_until

FAKE_BLENDER = Path(__file__).parent / "fake_blender.py"
KINDS = ("depths", "normals", "flows", "segmentations")
NUM_FRAMES = 24
"""Of a scene that does not say how many it has."""


def tree(root: Path) -> dict[str, bytes]:
    """Every file under a folder, and what is in it."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@dataclass
class World:
    """A folder of scenes, one of data, and the program that makes the one from the other."""

    folder: Path
    data: Path
    temporary: Path
    """For temporary files."""
    kinds: tuple[str, ...] = KINDS
    started: list[Forked | subprocess.Popen] = field(default_factory=list)

    @classmethod
    def at(cls, folder: Path) -> World:
        """A new one, without scenes."""
        for name in ("scenes", "state", "temporary"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        # Without site-packages Python starts in a fraction of the time.
        blender = folder / "blender"
        blender.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E -P "{FAKE_BLENDER}" "$@"\n')
        blender.chmod(0o755)
        return cls(folder, folder / "data", folder / "temporary")

    @property
    def scenes(self) -> Path:
        return self.folder / "scenes"

    @property
    def state(self) -> Path:
        """What the fake Blenders know, and tell."""
        return self.folder / "state"

    def scene(self, name: str, frames: tuple[int, int] = (1, NUM_FRAMES), **manners: Any) -> None:
        """Make a scene, or replace it; how Blender behaves with it is no part of it, see `fake_blender`."""
        (self.scenes / f"{name}.blend").write_text(json.dumps({"frames": frames}))
        (self.state / f"{name}.json").write_text(json.dumps(manners))

    def give_tickets(self, number: int) -> None:
        """Let so many more frames be rendered; until `open_gate` no others are."""
        self.allow(len(list(self.state.glob("ticket.*"))) + number)

    def allow(self, number: int) -> None:
        """Let so many frames be rendered altogether; those that are lost with their worker count."""
        partial = self.state / "tickets.partial"
        partial.write_text(str(number))
        partial.rename(self.state / "tickets")

    def open_gate(self) -> None:
        """Let all frames be rendered."""
        (self.state / "tickets").unlink(missing_ok=True)

    def frames(self) -> int:
        """How many pictures there are."""
        return len(list(self.data.rglob("frame_*.png")))

    def wait_for_note(self, text: str) -> None:
        """Return when a run that goes on has noted something."""
        records = self.data / ".visionsim"
        wait_until(lambda: any(text in path.read_text() for path in records.iterdir()), f"a note: {text}")

    def begin(self, *options: str, jobs: int = 2, data: Path | None = None) -> Forked:
        """Start to render."""
        process = Forked(self.command(*options, jobs=jobs, data=data), self.environment, self._output())
        self.started.append(process)
        return process

    def begin_program(self, *options: str, **more: Any) -> subprocess.Popen:
        """Start to render, in a Python of its own; that takes a second longer."""
        command = [sys.executable, "-P", "-m", "visionsim", *self.command(*options, **more)]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, env=self.environment, **streams)
        self.started.append(process)
        return process

    def command(self, *options: str, jobs: int = 2, data: Path | None = None) -> list[str]:
        return [
            "create-datasets", "--json", f"--scenes-dir={self.scenes}", f"--datasets-dir={data or self.data}",
            "--render-config.width=16", "--render-config.height=12", f"--render-config.jobs={jobs}",
            f"--render-config.executable={self.folder / 'blender'}", f"--render-config.log-dir={self.folder / 'logs'}",
            *(f"--render-config.{kind}" for kind in self.kinds), *options,
        ]  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        ours = {"PYTHONPATH": REPOSITORY, "VISIONSIM_FAKE_STATE": self.state, "TMPDIR": self.temporary}
        return {**os.environ, **{name: str(path) for name, path in ours.items()}}

    def _output(self) -> Path:
        return self.folder / f"output-{len(self.started)}"

    def run(self, *options: str, expect: int = 0, **more: Any) -> dict:
        """Run to the end; returns the report."""
        out, err = self.begin(*options, **more).communicate(timeout=120)
        report = json.loads(out) if out.strip() else {"exit_code": None, "error": err}
        assert report.get("exit_code", expect) == expect, (report, err)
        assert "Traceback" not in err, err
        self.check_nothing_is_left()
        return report

    def refused(self, *options: str) -> str:
        """Run what is refused before anything is done; returns why."""
        out, err = self.begin(*options).communicate(timeout=200)
        answer = json.loads(out)
        assert answer["exit_code"] == 2 and "Traceback" not in err, (answer, err)
        return answer["error"]

    def status(self, expect: int, data: Path | None = None) -> dict:
        """What `visionsim status` says."""
        asked = Forked(["status", "--json", str(data or self.data)], self.environment, self.folder / "status")
        out, err = asked.communicate(timeout=200)
        assert asked.returncode == expect, (out, err)
        return json.loads(out)

    def pids(self) -> list[int]:
        return [int(path.stem) for path in self.state.glob("*.pid")]

    def check_nothing_is_left(self) -> None:
        wait_until(lambda: not any(map(running, self.pids())), "the workers' end")
        wait_until(lambda: not self.scratch(), "the end of scratch files")

    def scratch(self) -> list[Path]:
        """What runs of this world have in temporary folders."""
        folders = [Path(self.temporary), Path("/dev/shm")]
        return [path for one in self.started for folder in folders for path in folder.glob(f"visionsim-{one.pid}-*")]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World.at(tmp_path)
    yield world
    for process in world.started:
        process.kill()


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """(world, options) -> what its scenes give if nothing happens; rendered once for all that have such scenes."""
    known: dict[Any, Path] = {}

    def make(world: World, *options: str) -> Path:
        scenes = {path.name: path.read_text() for path in world.scenes.iterdir()}
        key = (*sorted(scenes.items()), world.kinds, options)
        if key not in known:
            calm = World.at(tmp_path_factory.mktemp("calm"))
            calm.kinds = world.kinds
            for name, text in scenes.items():
                (calm.scenes / name).write_text(text)
            try:
                calm.run(*options)
            finally:
                for process in calm.started:
                    process.kill()
            known[key] = calm.data
        return known[key]

    return make


@pytest.fixture
def undisturbed(world: World, calm: Callable[..., Path]) -> Callable[..., dict[str, bytes]]:
    """(options) -> the tree that the world's scenes give if nothing happens."""
    return lambda *options: tree(calm(world, *options))


@pytest.fixture
def finished(world: World, calm: Callable[..., Path]) -> Callable[..., dict[str, bytes]]:
    """(options) -> the same, and the world's data is that, as if a run had made it there."""

    def make(*options: str) -> dict[str, bytes]:
        shutil.copytree(calm(world, *options), world.data)
        return tree(world.data)

    return make


@pytest.fixture
def small_disk(world) -> Iterator[Callable[[int], Path]]:
    """(megabytes) -> a disk of that size. Needs the right to mount."""
    mounted: list[Path] = []

    def make(megabytes: int, *options: str) -> Path:
        folder = world.folder / f"disk-{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={megabytes}m", *options]), "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            assert not os.environ.get("VISIONSIM_REQUIRE_MOUNT"), done.stderr
            pytest.skip(f"cannot mount a small disk: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)
