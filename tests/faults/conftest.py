"""A world of fake scenes, the command that renders them, and what must hold after each of its runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY, running, wait_until

FAKE_BLENDER = Path(__file__).parent / "fake_blender.py"
KINDS = ("depths", "normals", "flows", "segmentations")
NUM_FRAMES = 60


def tree(root: Path) -> dict[str, bytes]:
    """Every file under a folder, and what is in it."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@dataclass
class World:
    """A folder of scenes, one of data, and the command that makes the one from the other."""

    folder: Path
    blender: Path
    data: Path
    temporary: Path
    parents: list[int] = field(default_factory=list)

    def scene(self, name: str, **scene) -> None:
        (self.folder / "scenes").mkdir(exist_ok=True)
        text = json.dumps({"frames": [1, NUM_FRAMES], **scene})
        (self.folder / "scenes" / f"{name}.blend").write_text(text)

    def begin(self, *options: str, jobs: int = 2, data: Path | None = None) -> subprocess.Popen:
        command = [
            sys.executable, "-P", "-m", "visionsim", "create-datasets", "--json",
            f"--scenes-dir={self.folder / 'scenes'}", f"--datasets-dir={data or self.data}",
            "--render-config.width=16", "--render-config.height=12", f"--render-config.jobs={jobs}",
            f"--render-config.executable={self.blender}", f"--render-config.log-dir={self.folder / 'logs'}",
            *(f"--render-config.{kind}" for kind in KINDS), *options,
        ]  # fmt: skip
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        environment = {
            **os.environ, "PYTHONPATH": str(REPOSITORY), "VISIONSIM_FAKE_STATE": str(state),
            "TMPDIR": str(self.temporary),
        }  # fmt: skip
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.parents.append(process.pid)
        return process

    def run(self, *options: str, expect: int = 0, **more) -> dict:
        """Run to the end; returns the report."""
        out, err = self.begin(*options, **more).communicate(timeout=120)
        report = json.loads(out) if out.strip() else {"exit_code": None, "error": err}
        assert report.get("exit_code", expect) == expect, (report, err)
        assert "Traceback" not in err, err
        self.check_nothing_is_left()
        return report

    def pids(self) -> list[int]:
        return [int(path.stem) for path in (self.folder / "state").glob("*.pid")]

    def check_nothing_is_left(self) -> None:
        wait_until(lambda: not any(map(running, self.pids())), "the workers' end")
        wait_until(lambda: not self.scratch(), "the end of scratch files")

    def scratch(self) -> list[Path]:
        """What runs of this world have in temporary folders."""
        folders = [Path(self.temporary), Path("/dev/shm")]
        return [path for pid in self.parents for folder in folders for path in folder.glob(f"visionsim-{pid}-*")]


@pytest.fixture
def world(tmp_path: Path) -> World:
    # Without site-packages Python starts in a fraction of the time.
    blender = tmp_path / "blender"
    blender.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E -P "{FAKE_BLENDER}" "$@"\n')
    blender.chmod(0o755)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    return World(tmp_path, blender, tmp_path / "data", temporary)


@pytest.fixture
def undisturbed(world: World) -> Callable[[], dict[str, bytes]]:
    """() -> the tree that the world's scenes give if nothing happens."""

    def make() -> dict[str, bytes]:
        calm = World(world.folder, world.blender, world.folder / "calm", world.temporary)
        calm.run()
        return tree(calm.data)

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
