"""What is left when a run is killed: nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY, exists, running, wait_until
from visionsim.simulation.guard import Guard, memory_folder

PARENT = """
import json, sys, tempfile
from pathlib import Path
from visionsim.simulation import guard, pool
from tests.simulation.fakes import Client
from visionsim.simulation.jobs import Job

command, scratch, memory = json.loads(sys.argv[1])
tempfile.tempdir = scratch
guard.memory_folder = lambda room: Path(memory)
with pool.Pool(command, Client(), jobs=3) as started:
    started.run([Job("a", "s", tuple(range(100)))])
"""


KILLED_AT_ONCE = """
import os, pathlib, signal, sys, tempfile
from visionsim.simulation import guard

def make(path, mode):
    os.mkdir(path, mode)
    os.kill(os.getpid(), signal.SIGKILL)

tempfile.tempdir = sys.argv[1]
pathlib.Path.mkdir = make
guard.Guard()
"""


def sleeper() -> subprocess.Popen:
    return subprocess.Popen(["/bin/sh", "-c", "sleep 60 & wait"], start_new_session=True)


@pytest.fixture
def scratch(tmp_path, monkeypatch) -> Path:
    """Where scratch folders are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def memory(tmp_path) -> Path:
    """Where scratch folders in memory are made."""
    folder = tmp_path / "memory"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("script", [{}, {"stubborn": True}], ids=["workers-leave", "workers-are-stubborn"])
def test_killed_parent_leaves_nothing(fakes, scratch, memory, script):
    command = fakes.command(tasks={f"render {n}": ("hang", 9) for n in range(100)}, **script)
    arguments = [sys.executable, "-P", "-c", PARENT, json.dumps([command, str(scratch), str(memory)])]
    with subprocess.Popen(arguments, env={"PYTHONPATH": str(REPOSITORY)}) as parent:
        wait_until(lambda: len(list(fakes.state.glob("render *"))) == 3, "three frames in hand")
        assert len([*scratch.iterdir(), *memory.iterdir()]) == 2
        os.kill(fakes.pids()[0], signal.SIGSTOP)
        parent.kill()
    wait_until(lambda: not any(map(running, fakes.pids())), "the workers' end")
    wait_until(lambda: not [*scratch.iterdir(), *memory.iterdir()], "the end of the scratch folders")


def test_parent_killed_as_soon_as_it_has_a_scratch_folder_leaves_nothing(scratch):
    arguments = [sys.executable, "-P", "-c", KILLED_AT_ONCE, str(scratch)]
    done = subprocess.run(arguments, env={"PYTHONPATH": str(REPOSITORY)}, check=False)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: not list(scratch.iterdir()), "the end of the scratch folder")


def test_guard_leaves_what_has_ended_alone(scratch):
    ours, ended = sleeper(), sleeper()
    with ours, ended:
        guard = Guard()
        for process in (ours, ended):
            guard.began(process.pid)
        guard.ended(ended.pid)
        guard._process.stdin.close()  # As when we are killed.
        assert guard._process.wait(60) == 0
        assert ours.wait(60) == -signal.SIGKILL and not guard.scratch.exists()
        assert exists(ended.pid)
        os.killpg(ended.pid, signal.SIGKILL)


def test_guard_goes_quietly_when_all_is_well(scratch):
    ours = sleeper()
    with ours:
        with Guard() as guard:
            guard.began(ours.pid)
        assert guard._process.returncode == 0
        assert exists(ours.pid) and not guard.scratch.exists()
        os.killpg(ours.pid, signal.SIGKILL)


def test_guard_survives_what_ends_us_politely(scratch):
    politely = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def ignores_them(pid: int) -> bool:
        (mask,) = (
            line.split()[1]
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("SigIgn")
        )
        return all(int(mask, 16) >> (number - 1) & 1 for number in politely)

    with Guard() as guard:
        wait_until(lambda: ignores_them(guard._process.pid), "the shell's first line")
        for number in politely:
            os.kill(guard._process.pid, number)
        guard.began(1 << 30)
        assert guard._process.poll() is None


def test_guard_that_was_killed_is_no_harm(scratch):
    with Guard() as guard:
        guard._process.kill()
        guard._process.wait()
        for _ in range(3):
            guard.began(1 << 30)


def test_scratch_is_in_memory_only_if_all_frames_in_hand_have_room_there(scratch, monkeypatch):
    memory = Path("/dev/shm")
    free = shutil.disk_usage(memory).free
    monkeypatch.setattr("shutil.disk_usage", lambda folder: shutil._ntuple_diskusage(free, 0, 1000))
    assert memory_folder(999) == memory and memory_folder(1000) is None
    for room, in_memory in ((10, True), (2000, False), (None, False)):
        with Guard(room) as guard:
            assert guard.scratch.parent == scratch and (guard.memory is not None) == in_memory
            if guard.memory is not None:
                assert guard.memory.parent == memory and guard.memory.is_dir()
        assert guard.memory is None or not guard.memory.exists()
    monkeypatch.setattr("tempfile.tempdir", str(memory))
    with Guard(10) as guard:
        assert guard.memory is None and guard.scratch.parent == memory
