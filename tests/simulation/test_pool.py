"""The pool with real processes that are not Blender: every outcome is collected, and nothing is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY, exists, running, wait_until
from tests.simulation.fakes import Client, Clock
from visionsim.errors import DataError, SceneError
from visionsim.simulation.jobs import FrameTask, Job, OpenTask
from visionsim.simulation.pool import Pool
from visionsim.simulation.process import WorkerProcess


def frames(scene: str, *numbers: int, sequence: str = "s") -> Job:
    return Job(scene, sequence, numbers)


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def pool(fakes, client, tmp_path, monkeypatch):
    """Context manager (jobs=, timeout=, **script) -> Pool; checks that it leaves nothing behind."""
    scratch, memory = tmp_path / "scratch", tmp_path / "memory"
    for folder in (scratch, memory):
        folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setattr("visionsim.simulation.guard.memory_folder", lambda room: memory)

    @contextmanager
    def go(
        *,
        jobs: int = 2,
        timeout: float | None = None,
        patience: float = 60.0,
        command: list[str] | None = None,
        frame_bytes: int = 0,
        **script,
    ):
        before = set(threading.enumerate())
        try:
            command = command or fakes.command(**script)
            limits = {"timeout": timeout, "patience": patience, "frame_bytes": frame_bytes}
            with Pool(command, client, jobs=jobs, **limits) as started:
                yield started
        finally:
            assert not [pid for pid in fakes.pids() if exists(pid)], "processes are left, or zombies of them"
            assert [*scratch.iterdir(), *memory.iterdir()] == [], "scratch files are left"
            assert set(threading.enumerate()) <= before, "threads are left"

    return go


# The ordinary course.


def test_every_frame_is_rendered_and_written(pool, client):
    with pool(jobs=2) as started:
        assert started.run([frames("a", *range(10)), frames("b", *range(5))])
    expected = {FrameTask("a", "s", n): f"a {n}" for n in range(10)} | {
        FrameTask("b", "s", n): f"b {n}" for n in range(5)
    }
    assert {task: text for task, text in client.results.items() if isinstance(task, FrameTask)} == expected
    assert not client.failures and not client.notes


def test_run_without_jobs_starts_nothing(pool, fakes):
    with pool() as started:
        assert started.run([])
    assert fakes.pids() == []


def test_run_again_keeps_the_workers_and_their_scenes(pool, client, fakes):
    with pool(jobs=2) as started:
        started.run([Job("a"), Job("b")])
        assert client.results[OpenTask("a")] == {"scene": "a"}
        started.run([frames("a", 1, 2)])
    assert client.frames == [1, 2]
    assert len(fakes.pids()) <= 2


def test_never_more_processes_than_jobs(pool, fakes):
    with pool(jobs=3) as started:
        started.run([frames("a", *range(30))])
    assert 1 <= len(fakes.pids()) <= 3


def test_start_ahead_of_the_work(pool, fakes, client):
    with pool(jobs=2) as started:
        started.start(2)
        wait_until(lambda: len(fakes.pids()) == 2, "both workers")
        started.run([frames("a", 1)])
    assert len(fakes.pids()) == 2
    assert client.frames == [1]


def test_writing_happens_outside_the_callers_thread(pool, client):
    with pool() as started:
        started.run([frames("a", *range(6))])
    assert client.writer_threads and client.thread not in client.writer_threads


def test_each_worker_has_a_place_of_its_own_and_a_replacement_takes_it(fakes, client, monkeypatch):
    given: list[int] = []

    def environment(place: int) -> dict[str, str]:
        given.append(place)
        return {"VISIONSIM_PLACE": str(place)}

    with Pool(fakes.command(tasks={"render 3": ("die", 1)}), client, jobs=3, environment=environment) as started:
        assert started.run([frames("a", *range(60))])
    assert sorted(given[:3]) == [0, 1, 2] and len(given) == 4 and given[3] in (0, 1, 2)
    assert sorted({path.read_text() for path in fakes.state.glob("*.place")}) == ["0", "1", "2"]


# Deaths.


def test_dead_worker_is_replaced_and_its_frame_rendered(pool, client, fakes):
    with pool(jobs=1, tasks={"render 2": ("die", 1)}) as started:
        assert started.run([frames("a", 1, 2, 3, 4)])
    assert client.frames == [1, 2, 3, 4]
    assert len(fakes.pids()) == 2
    assert any("SIGSEGV" in note for note in client.notes)


def test_frame_that_kills_every_worker_fails_and_the_rest_is_done(pool, client):
    with pool(jobs=2, tasks={"render 2": ("die", 99)}) as started:
        assert started.run([frames("a", 1, 2, 3, 4)])
    assert client.frames == [1, 3, 4]
    (failure,) = client.failures.values()
    assert failure.task.frame == 2 and "SIGSEGV" in failure.message


def test_scene_that_kills_every_worker_fails_and_others_are_done(pool, client):
    with pool(jobs=1, tasks={"open a": ("exit", 99)}) as started:
        assert started.run([frames("a", 1, 2), frames("b", 3)])
    assert client.frames == [3]
    assert "code 11" in client.failures[OpenTask("a")].message


def test_worker_killed_from_outside_is_replaced(pool, client, fakes):
    def kill_one(task) -> None:
        if task == FrameTask("a", "s", 2):
            os.kill(fakes.pids()[0], signal.SIGKILL)

    client.on_done = kill_one
    with pool(jobs=1) as started:
        assert started.run([frames("a", *range(8))])
    assert client.frames == list(range(8))


def test_note_about_a_death_shows_the_end_of_the_log(pool, client, tmp_path):
    with pool(jobs=1, tasks={"render 1": ("die", 1)}) as started:
        started.log_to(tmp_path / "logs")
        started.run([frames("a", 1)])
    (note,) = client.notes
    assert "about to die" in note and str(tmp_path / "logs" / "worker-00.log") in note


def test_worker_that_says_nonsense_is_replaced(pool, client):
    with pool(jobs=1, tasks={"render 1": ("garbage", 1)}) as started:
        assert started.run([frames("a", 1, 2)])
    assert client.frames == [1, 2]


# Refusals.


def test_frame_refused_once_is_rendered_the_second_time(pool, client, fakes):
    with pool(jobs=1, tasks={"render 1": ("raise", 1)}) as started:
        assert started.run([frames("a", 1)])
    assert client.frames == [1] and fakes.attempts("render 1") == 2


def test_frame_refused_every_time_fails_with_the_workers_words(pool, client, fakes):
    with pool(jobs=1, tasks={"render 1": ("raise", 99)}) as started:
        assert started.run([frames("a", 1, 2)])
    assert client.frames == [2] and fakes.attempts("render 1") == 3
    assert "out of memory" in client.failures[FrameTask("a", "s", 1)].message


def test_scene_that_is_none_fails_at_once_with_its_frames(pool, client, fakes):
    with pool(jobs=1, tasks={"open a": ("scene", 99)}) as started:
        assert started.run([frames("a", 1, 2), frames("b", 3)])
    assert client.frames == [3] and fakes.attempts("open a") == 1
    assert client.failures[OpenTask("a")].kind == "scene"


def test_wrong_request_is_told_as_such(pool, client):
    with pool(jobs=1, tasks={"open a": ("request", 99)}) as started:
        started.run([Job("a")])
    assert client.failures[OpenTask("a")].kind == "request"


# Time-outs.


@pytest.fixture
def clock(monkeypatch):
    """(condition) -> the pool's clock goes on only while it holds."""

    def make(passes) -> None:
        clock = Clock(passes)
        for module in ("pool", "watch"):
            monkeypatch.setattr(f"visionsim.simulation.{module}.time", clock)

    return make


def test_hung_frame_is_killed_after_the_timeout_and_tried_again(pool, client, fakes, clock):
    clock(lambda: fakes.attempts("render 2") == 1)
    with pool(jobs=1, timeout=0.5, tasks={"render 2": ("hang", 1)}) as started:
        assert started.run([frames("a", 1, 2, 3)])
    assert client.frames == [1, 2, 3]
    assert len(client.notes) == 1 and "0.5 s" in client.notes[0]


def test_frame_that_always_hangs_fails_naming_the_limit(pool, client, fakes, clock):
    clock(lambda: fakes.attempts("render 1") > len(client.notes))
    with pool(jobs=1, timeout=0.4, tasks={"render 1": ("hang", 99)}) as started:
        assert started.run([frames("a", 1, 2)])
    assert client.frames == [2]
    assert "0.4 s" in client.failures[FrameTask("a", "s", 1)].message


def test_timeout_counts_each_frame_for_itself(pool, client, monkeypatch):
    """Each time that one is asked for, two in advance, the clock is 0.6 s later."""
    clock = Clock(lambda: False)
    for module in ("pool", "watch"):
        monkeypatch.setattr(f"visionsim.simulation.{module}.time", clock)
    ask = client.request

    def request(task, worker):
        if isinstance(task, FrameTask) and task.frame >= 2:
            clock.turn(0.6)
        return ask(task, worker)

    client.request = request
    with pool(jobs=1, timeout=0.9) as started:
        assert started.run([frames("a", *range(8))])
    assert client.frames == list(range(8)) and not client.notes


# Workers that do nothing.


def test_hung_worker_is_killed_without_any_timeout(pool, client, fakes, clock):
    clock(lambda: fakes.attempts("render 2") == 1)
    with pool(jobs=2, patience=0.5, tasks={"render 2": ("hang", 1)}) as started:
        assert started.run([frames("a", *range(6))])
    assert client.frames == list(range(6))
    assert any("did nothing for 0.5 s" in note for note in client.notes)


def test_hung_worker_is_killed_while_another_one_is_busy(pool, client, fakes):
    """The other one goes on and on until that has happened: it could do so for half a minute."""
    done: list[int] = []

    def noted(note: str) -> None:
        done.append(len(client.frames))
        fakes.open_gate()

    client.on_note = noted
    slow = {f"render {n}": ("slow until gate", 1) for n in range(1, 100)}
    with pool(jobs=2, patience=0.6, tasks={**slow, "render 0": ("hang", 1)}) as started:
        assert started.run([frames("a", *range(100))])
    assert done[0] < 98
    assert client.frames == list(range(100))


def test_stopped_worker_is_killed(pool, client, fakes):
    def stop_one(task) -> None:
        if task == FrameTask("a", "s", 2):
            os.kill(fakes.pids()[0], signal.SIGSTOP)

    client.on_done = stop_one
    with pool(jobs=1, patience=0.5) as started:
        assert started.run([frames("a", *range(30))])
    assert client.frames == list(range(30))


def test_stopped_worker_is_killed_though_its_pipe_is_full(pool, client, fakes):
    """What it is asked for is more than a pipe holds: to write it would take for ever."""
    ask = client.request

    def request(task, worker):
        do, arguments = ask(task, worker)
        if task == FrameTask("a", "s", 3) and len(fakes.pids()) == 1:
            os.kill(fakes.pids()[0], signal.SIGSTOP)
        return do, {**arguments, "more": "x" * 1_000_000}

    client.request = request
    with pool(jobs=1, patience=0.5) as started:
        assert started.run([frames("a", *range(6))])
    assert client.frames == list(range(6))


def test_worker_that_works_for_long_is_left_alone(pool, client):
    with pool(jobs=1, patience=2.0, tasks={"render 1": ("work", 1)}) as started:
        assert started.run([frames("a", 1)])
    assert client.frames == [1] and not client.notes


def test_one_look_at_all_processes_serves_all_workers(pool, client, fakes, monkeypatch):
    looks: list[int] = []

    def look(sessions) -> dict[int, float]:
        looks.append(len(sessions))
        if len(looks) == 5:
            fakes.open_gate()
        return {}

    monkeypatch.setattr("visionsim.simulation.watch.cpu_seconds", look)
    with pool(jobs=3, patience=0.2, tasks={f"render {n}": ("gate", 1) for n in range(9)}) as started:
        assert started.run([frames("a", *range(9))])
    assert max(looks) > 1 and client.frames == list(range(9)) and not client.notes


def test_worker_that_never_says_hello_is_given_up(pool, client):
    with pool(jobs=1, patience=0.3, start="mute") as started:
        assert started.run([frames("a", 1)])
    assert "did not come up" in client.failures[FrameTask("a", "s", 1)].message


def test_program_that_only_talks_is_given_up(pool, client, monkeypatch):
    monkeypatch.setattr("visionsim.simulation.watch.START_LIMIT", 0.3)
    with pool(jobs=1, command=["/usr/bin/yes"]) as started:
        assert started.run([frames("a", 1)])
    assert "say hello" in client.failures[FrameTask("a", "s", 1)].message


def test_deadline_follows_the_slowest_frame(pool, client, fakes, clock, monkeypatch):
    clock(lambda: fakes.attempts("render 2") == 1)
    monkeypatch.setattr("visionsim.simulation.watch.FIRST_DEADLINE", 0.2)
    monkeypatch.setattr("visionsim.simulation.watch.SLOWEST_TIMES", 4.0)
    with pool(jobs=1, tasks={"render 0": ("slow", 1), "render 1": ("slow", 1), "render 2": ("hang", 1)}) as started:
        assert started.run([frames("a", *range(4))])
    assert client.frames == list(range(4))
    (note,) = client.notes
    limit = float(note.partition("longer than ")[2].split()[0])
    assert limit >= 4 * 0.3 and "over a frame" in note


# Workers that grow.


def test_leaking_worker_is_replaced_and_nothing_is_lost(pool, client, fakes):
    with pool(jobs=2, leak=[1000 << 20, 4 << 20]) as started:
        assert started.run([frames("a", *range(400))])
    assert client.frames == list(range(400)) and not client.failures
    peaks = sorted(int(path.read_text()) for path in fakes.state.glob("*.peak"))
    assert len(peaks) >= 4
    assert peaks[-1] <= 1.1 * ((1000 << 20) + 50 * (4 << 20))
    assert all("it is replaced" in note for note in client.notes)


# Nothing can be started.


def test_workers_that_exit_at_start_fail_everything_with_the_reason(pool, client, fakes):
    with pool(jobs=2, start="exit") as started:
        assert started.run([frames("a", 1, 2), Job("b")])
    assert set(client.failures) == {FrameTask("a", "s", 1), FrameTask("a", "s", 2), OpenTask("b")}
    assert all("code 127" in failure.message for failure in client.failures.values())
    assert any("libGL" in note for note in client.notes)
    assert len(fakes.pids()) <= 4


def test_workers_of_another_protocol_fail_everything_and_say_so(pool, client):
    with pool(jobs=1, start="wrong-protocol") as started:
        assert started.run([frames("a", 1)])
    assert set(client.failures) == {FrameTask("a", "s", 1)}
    assert "protocol" in client.failures[FrameTask("a", "s", 1)].message


def test_program_that_is_no_worker_fails_everything(pool, client):
    with pool(jobs=1, command=["/bin/true"]) as started:
        assert started.run([frames("a", 1)])
    assert "code 0" in client.failures[FrameTask("a", "s", 1)].message


# Writers.


def test_frame_that_cannot_be_written_fails_with_the_reason(pool, client):
    def refuse(task) -> None:
        if task.frame == 2:
            raise DataError("the worker delivered too little")

    client.on_write = refuse
    with pool(jobs=1) as started:
        assert started.run([frames("a", 1, 2, 3)])
    assert client.frames == [1, 3]
    assert client.failures[FrameTask("a", "s", 2)].message == "the worker delivered too little"


def test_what_is_left_of_a_frame_goes_however_it_ends(pool, client, tmp_path):
    def refuse(task) -> None:
        if task.frame == 1:
            raise DataError("the worker delivered too little")

    def left() -> list[str]:
        places = (tmp_path / "scratch", tmp_path / "memory")
        return [path.name for place in places for path in place.rglob("*") if path.is_file()]

    client.on_write = refuse
    leave = {f"render {n}": (how, 1) for n, how in enumerate(("leave, raise", "leave, die"), 2)}
    with pool(jobs=1, tasks=leave) as started:
        assert started.run([frames("a", 1, 2, 3, 4)])
        assert left() == []
    assert client.frames == [2, 3, 4] and len(client.retries) == 2


def test_frames_go_to_the_disk_when_memory_is_full(pool, client, tmp_path, monkeypatch):
    places: list[str] = []
    write = client.write

    def note_place(task, reply):
        places.append(Path(reply["path"]).relative_to(tmp_path).parts[0])
        return write(task, reply)

    def usage(folder, look=shutil.disk_usage):
        return look(folder)._replace(free=0 if "memory" in str(folder) and len(places) >= 3 else 1 << 30)

    client.write = note_place
    monkeypatch.setattr("shutil.disk_usage", usage)
    with pool(jobs=1, frame_bytes=1) as started:
        assert started.run([frames("a", *range(12))])
    assert places[:3] == ["memory"] * 3 and places[-3:] == ["scratch"] * 3
    assert client.frames == list(range(12))


def test_scene_whose_frames_are_all_wrong_takes_no_other_with_it(pool, client):
    def refuse(task) -> None:
        if task.scene == "bad":
            raise SceneError("the camera is mirrored")

    client.on_write = refuse
    with pool(jobs=2) as started:
        assert started.run([frames("bad", *range(8)), *(frames(name, *range(3)) for name in "abcde")])
    assert {task.scene for task in client.failures} == {"bad"} and len(client.failures) == 8
    assert {(fail.kind, fail.message) for fail in client.failures.values()} == {("scene", "the camera is mirrored")}
    assert len(client.frames) == 15


def test_full_disk_stops_rendering_soon(pool, client, fakes):
    def full(task) -> None:
        raise OSError(28, "No space left on device")

    client.on_write = full
    with pool(jobs=1) as started:
        assert started.run([frames("a", *range(100))])
    assert len(client.failures) == 100
    assert all("No space left" in failure.message for failure in client.failures.values())
    assert sum(fakes.attempts(f"render {n}") for n in range(100)) < 20


def test_slip_in_our_own_writer_is_a_failure_and_logged(pool, client, caplog):
    client.on_write = lambda task: {}[task]
    with pool(jobs=1) as started:
        assert started.run([frames("a", 1)])
    assert "KeyError" in client.failures[FrameTask("a", "s", 1)].message
    assert "Traceback" in caplog.text


def test_workers_wait_while_the_writers_stall(pool, client, fakes):
    stall = threading.Event()
    client.on_write = lambda task: stall.wait(60)
    counts = []

    def rendered() -> int:
        return sum(fakes.attempts(f"render {n}") for n in range(40))

    def watch() -> None:
        wait_until(lambda: rendered() >= 3, "the first frames")
        time.sleep(0.5)  # For more of them, if there were any.
        counts.append(rendered())
        stall.set()

    watcher = threading.Thread(target=watch)
    with pool(jobs=1) as started:
        watcher.start()
        assert started.run([frames("a", *range(40))])
    watcher.join()
    assert counts[0] <= 5  # UNWRITTEN_PER_WORKER, and what was sent ahead.
    assert client.frames == list(range(40))


# Interruption.


def ctrl_c() -> None:
    """What the terminal does; pytest leaves Python's own handler in place."""
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def ctrl_c_soon(seconds: float = 0.15) -> None:
    """While the pool waits for its workers."""
    threading.Timer(seconds, ctrl_c).start()


def interrupt_after(client: Client, task, interrupt) -> None:
    """Interrupt when `task` is done; once."""

    def done(other) -> None:
        if other == task:
            client.on_done = lambda task: None
            interrupt()

    client.on_done = done


GATED = {f"render {n}": ("gate", 1) for n in range(2, 100)}
"""Frames that wait, so that the pool has time to be interrupted; a test opens the gate when it was."""


def test_interrupt_finishes_the_frames_in_hand(pool, client, fakes):
    client.on_note = lambda message: fakes.open_gate()
    interrupt_after(client, FrameTask("a", "s", 1), ctrl_c_soon)
    with pool(jobs=1, tasks=GATED) as started:
        assert not started.run([frames("a", *range(100))])
    assert client.frames == [0, 1, 2, 3]  # The last two were in hand and sent ahead when the signal came.
    assert not client.failures
    assert any("Interrupted" in note for note in client.notes)


def test_interrupt_during_a_callback_finishes_the_frames_in_hand(pool, client, fakes):
    client.on_note = lambda message: fakes.open_gate()
    interrupt_after(client, FrameTask("a", "s", 1), ctrl_c)
    with pool(jobs=2, tasks=GATED) as started:
        assert not started.run([frames("a", *range(100))])
    assert 2 <= len(client.frames) <= 6
    assert not client.failures


@pytest.fixture
def asking_takes_for_ever(monkeypatch):
    """Workers that are asked to leave, not killed, have an hour for it."""
    monkeypatch.setattr(WorkerProcess.close, "__defaults__", (3600.0,))


def test_second_interrupt_leaves_at_once(pool, client, fakes, asking_takes_for_ever):
    client.note = lambda message: ctrl_c_soon()
    interrupt_after(client, OpenTask("a"), ctrl_c_soon)
    with pytest.raises(KeyboardInterrupt), pool(jobs=1, stubborn=True, tasks={"render 1": ("hang", 99)}) as started:
        started.run([frames("a", 1, 2)])


def test_run_after_an_interrupt_does_nothing(pool, client, fakes):
    client.on_note = lambda message: fakes.open_gate()
    interrupt_after(client, FrameTask("a", "s", 0), ctrl_c_soon)
    with pool(jobs=1, tasks=GATED) as started:
        assert not started.run([frames("a", *range(50))])
        done = len(client.frames)
        assert not started.run([frames("a", 99)])
    assert len(client.frames) == done


# Leaving in the middle.


def test_error_in_the_block_ends_hung_workers_at_once(pool, fakes):
    with (
        pytest.raises(ZeroDivisionError),
        pool(jobs=2, tasks={"open a": ("hang", 9), "open b": ("hang", 9)}) as started,
    ):
        started.start(2)
        wait_until(lambda: len(fakes.pids()) == 2, "both workers")
        raise ZeroDivisionError


def test_worker_that_ignores_everything_is_killed_at_once_in_the_middle_of_something(
    pool, client, fakes, asking_takes_for_ever
):
    def fail(task) -> None:
        if task == FrameTask("a", "s", 0):
            wait_until(lambda: fakes.attempts("render 1"), "the second frame to be begun")
            raise ZeroDivisionError

    client.on_done = fail
    with pytest.raises(ZeroDivisionError), pool(jobs=1, stubborn=True, tasks={"render 1": ("hang", 9)}) as started:
        started.run([frames("a", 0, 1)])


def test_error_in_a_callback_comes_out_of_run_and_ends_everything(pool, client):
    def fail(task) -> None:
        raise ZeroDivisionError

    client.on_done = fail
    with pytest.raises(ZeroDivisionError), pool(jobs=2) as started:
        started.run([frames("a", *range(20))])


PARENT = """
import sys, tempfile
from pathlib import Path
from tests.simulation.fakes import Client, Fakes
from visionsim.simulation import guard, pool
from visionsim.simulation.jobs import Job

tempfile.tempdir = sys.argv[1]
guard.memory_folder = lambda room: None
with pool.Pool(Fakes(Path(sys.argv[1])).command(tasks={"render 1": ("hang", 99)}), Client(), jobs=1) as started:
    started.run([Job("a", "s", (1,))])
"""


def test_workers_of_a_killed_parent_end_by_themselves(fakes):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-c", PARENT, str(fakes.state)], env=environment) as parent:
        wait_until(lambda: fakes.attempts("render 1"), "the worker to be in the middle of a frame")
        (worker,) = fakes.pids()
        parent.kill()
    wait_until(lambda: not running(worker), "the orphan to leave")


# Logs.


def test_logs_are_kept_per_worker_and_hold_the_chatter(pool, tmp_path):
    floods = {f"render {n}": ("flood", 1) for n in range(2)}
    with pool(jobs=2, tasks=floods) as started:
        started.run([Job("a"), Job("b")])
        started.log_to(tmp_path / "logs")
        started.run([frames("a", 0), frames("b", 1)])
    logs = sorted((tmp_path / "logs").iterdir())
    assert [log.name for log in logs] == ["worker-00.log", "worker-01.log"]
    text = "".join(log.read_text() for log in logs)
    assert text.count("out: Blender starts") == text.count("err: Blender starts") == 2
    assert text.count("out: chatter 1999 ") == text.count("err: chatter 1999 ") == 2


def test_no_log_file_before_it_is_asked_for(pool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pool(jobs=1) as started:
        started.run([Job("a")])
    assert not list(Path().rglob("*.log"))


def test_interrupt_while_a_callback_runs_loses_nothing(pool, client):
    interrupt_after(client, OpenTask("a"), ctrl_c)
    with pool(jobs=1) as started:
        assert not started.run([frames("a", 1, 2)])
    assert not client.failures


def test_program_that_cannot_be_executed_fails_everything_with_the_reason(pool, client, tmp_path):
    (tmp_path / "blender").write_text("no program")
    (tmp_path / "blender").chmod(0o755)
    with pool(jobs=1, command=[str(tmp_path / "blender")]) as started:
        assert started.run([frames("a", 1)])
    assert "format" in client.failures[FrameTask("a", "s", 1)].message.lower()


def test_log_folder_that_vanishes_does_not_stop_the_run(pool, client, tmp_path):
    def vanish(task) -> None:
        shutil.rmtree(tmp_path / "logs", ignore_errors=True)

    client.on_done = vanish
    floods = {f"render {n}": ("flood", 1) for n in range(3)}
    with pool(jobs=1, tasks=floods) as started:
        started.log_to(tmp_path / "logs")
        assert started.run([frames("a", *range(3))])
    assert client.frames == [0, 1, 2]


def test_child_that_outlives_a_dead_worker_does_not_hold_up_the_run(pool, client):
    # It keeps the worker's stdout open, so that the end of the stream does not tell of the death.
    with pool(jobs=1, tasks={"render 1": ("die, child stays", 1)}) as started:
        assert started.run([frames("a", 1, 2)])
    assert client.frames == [1, 2]


@pytest.mark.parametrize("timeout", [float("inf"), 1e12])
def test_endless_timeout_is_a_timeout(pool, client, timeout):
    with pool(jobs=1, timeout=timeout) as started:
        assert started.run([frames("a", 1)])
    assert client.frames == [1]
