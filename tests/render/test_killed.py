"""Real Blenders, and the command itself, killed, stopped and leaking: tests/faults does more of it with a fake one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY, running, wait_until
from tests.render.closed_form import FRAME_START, closed_form
from tests.render.conftest import EXECUTABLE
from tests.render.leaking import BUILDER, render_and_watch
from tests.render.same import assert_same_data

KINDS = ("depths", "normals", "flows", "segmentations")
NUM_FRAMES = 30


GATED = """
import sys, time
from pathlib import Path
from visionsim.cli import main
from visionsim.simulation.client import RunClient

gate = Path(sys.argv[1])

def write(self, task, reply, write=RunClient.write):
    while gate.exists() and len(list(self.asked.root.glob("frames/frame_*.png"))) >= int(gate.read_text() or "0"):
        time.sleep(0.01)
    return write(self, task, reply)

RunClient.write = write
sys.exit(main(sys.argv[2:], prog="visionsim"))
"""
"""The program, which writes no more frames than a file says, for as long as there is one: workers wait for it."""


class Command:
    """`render-animation` of one scene, in a process that can be killed.

    With `frames`, so many frames are written at most until `allow` says otherwise, or a few more that are in hand.
    """

    def __init__(self, blend: Path, root: Path, *options: str, jobs: int = 2, frames: int | None = None) -> None:
        self.gate = root.parent / "gate"
        self.allow(frames)
        command = [
            sys.executable, "-P", "-c", GATED, str(self.gate), "render-animation", str(blend), str(root), "--json",
            *(f"--render-config.{name}" for name in (*KINDS, "no-use-denoising")),
            *(f"--render-config.{name}={value}" for name, value in (
                ("width", 64), ("height", 48), ("max-samples", 1), ("jobs", jobs), ("log-dir", root.parent / "logs"),
            )),
            *([f"--render-config.executable={EXECUTABLE}"] if EXECUTABLE else []), *options,
        ]  # fmt: skip
        self.temporary = root.parent
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(self.temporary)}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def allow(self, frames: int | None) -> None:
        """Let so many frames be written altogether; None: all."""
        if frames is None:
            self.gate.unlink(missing_ok=True)
            return
        partial = self.gate.with_name("gate.partial")
        partial.write_text(str(frames))
        partial.rename(self.gate)

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.communicate()

    def workers(self) -> list[int]:
        """Blenders that run; the parent's number is in the name of the scratch folder that they are given."""
        mine = f"/visionsim-{self.process.pid}-".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # Gone.
            if arguments[0] != b"/bin/sh" and any(mine in part for part in arguments) and running(int(entry.name)):
                found.append(int(entry.name))
        return found

    def finish(self, expect: int = 0) -> dict:
        """Wait for its end; returns the report."""
        out, err = self.process.communicate(timeout=280)
        assert self.process.returncode == expect and "Traceback" not in err, (out, err)
        self.check_nothing_is_left()
        return json.loads(out)

    def check_nothing_is_left(self) -> None:
        wait_until(lambda: not self.workers(), "the workers' end")
        folders = [Path("/dev/shm"), self.temporary]
        name = f"visionsim-{self.process.pid}-*"
        wait_until(lambda: not any([*folder.glob(name)] for folder in folders), "the end of scratch files")


@pytest.fixture(scope="module")
def blend(tmp_path_factory, scripts) -> Path:
    scene = closed_form(width=64, height=48)
    scene.description["frame_end"] = FRAME_START + NUM_FRAMES - 1
    path = tmp_path_factory.mktemp("killed") / "scene.blend"
    scene.build(scripts, path)
    return path


@pytest.fixture(scope="module")
def undisturbed(blend, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("undisturbed") / "data"
    assert Command(blend, root, jobs=1).finish()["frames_rendered"] == NUM_FRAMES
    return root


def test_workers_killed_at_random_moments(blend, undisturbed, tmp_path) -> None:
    rng = random.Random(3)
    killed: set[int] = set()
    root = tmp_path / "data"
    with Command(blend, root, frames=4) as command:
        wait_until(lambda: [*root.glob("frames/frame_*.png")], "a frame: workers can be started")
        while len(killed) < 3 and command.process.poll() is None:
            time.sleep(rng.uniform(0.0, 0.8))
            alive = set(command.workers()) - killed
            if alive:
                victim = rng.choice(sorted(alive))
                killed.add(victim)
                os.kill(victim, signal.SIGKILL)
                command.allow(4 + 4 * len(killed))
        command.allow(None)
        report = command.finish()
    assert len(killed) == 3, "the run was too short"
    assert report["frames_rendered"] == NUM_FRAMES
    assert any("SIGKILL" in note for note in report["notes"])
    assert_same_data(root, undisturbed)


def test_killed_runs_leave_no_process_and_go_on(blend, undisturbed, tmp_path) -> None:
    root = tmp_path / "data"

    def written() -> dict[str, int]:
        """Name of each picture, and when it was written."""
        return {path.name: path.stat().st_mtime_ns for path in root.glob("frames/frame_*.png")}

    before: dict[str, int] = {}
    for moment in (0.3, 0.6, 0.9):
        wanted = int(moment * NUM_FRAMES)
        with Command(blend, root, frames=wanted) as command:
            wait_until(lambda: len(written()) >= wanted, "some frames")  # noqa: B023
            command.process.kill()
        command.check_nothing_is_left()
        kept = set(before.items()) & set(written().items())
        assert len(kept) >= len(before) - 2  # Two writers may have had no time for the journal.
        before = written()
    report = Command(blend, root).finish()
    assert wanted - 2 <= report["frames_kept"] < NUM_FRAMES
    assert_same_data(root, undisturbed)


def test_stopped_worker_is_replaced(blend, undisturbed, tmp_path) -> None:
    root = tmp_path / "data"
    with Command(blend, root, "--render-config.timeout=8", jobs=1, frames=1) as command:
        wait_until(lambda: [*root.glob("frames/frame_*.png")], "a frame")
        (worker,) = command.workers()
        os.kill(worker, signal.SIGSTOP)
        command.allow(None)
        report = command.finish()
    assert report["frames_rendered"] == NUM_FRAMES and report["retries"] >= 1
    assert any("took longer than 8 s" in note for note in report["notes"])
    assert_same_data(root, undisturbed)


def test_leaking_scene_does_not_fill_memory(tmp_path, config, scripts) -> None:
    """Its script keeps 1 MiB more whenever the frame is set; `make bench` shows it over 500 frames."""
    blend = tmp_path / "leaking.blend"
    scripts.run(BUILDER, blend, 75)
    report, held = render_and_watch(blend, tmp_path / "data", config)
    assert report.exit_code == 0 and len(held) == 75
    assert any("grew from" in note for note in report.notes)
    assert min(held[:50]) > 50 << 20 and max(held) <= 1.1 * max(held[:50])
