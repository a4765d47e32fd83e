"""One worker process: heard, logged, killed, asked to leave, and gone afterwards. No Blender."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading

import pytest

from tests.helpers import REPOSITORY, exists, running, wait_until
from visionsim.errors import BlenderNotFound
from visionsim.simulation.process import State, WorkerProcess, blender_command, cpu_seconds
from visionsim.simulation.protocol import Done, Failed, Hello, Request

PATIENCE = 0.2


class Ears:
    """Hears a process; `None` ends it."""

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue = queue.SimpleQueue()

    def __call__(self, message) -> None:
        self.inbox.put(message)

    def next(self):
        return self.inbox.get(timeout=60)

    def rest(self) -> list:
        """Everything until the process's end is heard."""
        return list(iter(self.next, None))


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def start(fakes, tmp_path, ears):
    """Start a fake worker; it is gone after the test."""
    started = []

    def go(**script) -> WorkerProcess:
        process = WorkerProcess(fakes.command(**script), tmp_path / "scratch", ears)
        started.append(process)
        process.__enter__()
        return process

    yield go
    for process in started:
        process.kill()
        process.close(PATIENCE)
        assert not exists(process.pid)


def test_worker_says_hello_with_its_pid(start, ears):
    process = start()
    hello = ears.next()
    assert isinstance(hello, Hello)
    assert hello.pid == process.pid


def test_answers_come_in_the_order_of_requests(start, ears):
    process = start(tasks={"open b": ("scene", 1)})
    ears.next()
    for number, scene in enumerate("abc"):
        process.send(Request(number, "open", {"scene": scene}))
    answers = [ears.next() for _ in range(3)]
    assert [(type(answer), answer.id) for answer in answers] == [(Done, 0), (Failed, 1), (Done, 2)]


def test_scratch_folder_is_made_and_given_to_the_worker(start, ears, tmp_path):
    process = start()
    ears.next()
    process.send(Request(1, "open", {"scene": "a"}))
    process.send(Request(2, "render", {"scene": "a", "frame": 1, "name": "n"}))
    ears.next()
    assert ears.next().value["path"] == str(tmp_path / "scratch" / "n")


def test_close_asks_by_the_end_of_stdin(start, ears):
    process = start()
    ears.next()
    process.close(60.0)
    assert process.exit_text() == "exited with code 0"
    assert process.state is State.CLOSED
    assert not exists(process.pid)


def test_close_ends_a_worker_in_the_middle_of_something(start, ears):
    process = start(tasks={"open a": ("hang", 1)})
    ears.next()
    process.send(Request(1, "open", {"scene": "a"}))
    process.close(60.0)
    assert process.exit_text() == "exited with code 0"


def test_close_terminates_who_does_not_hear(start, ears):
    process = start(start="mute")
    wait_until(lambda: "err: Blender starts" in process.log_tail, "the worker to start")
    process.close(3.0)  # It does not hear that it should leave; at SIGTERM it goes in no time.
    assert "SIGTERM" in process.exit_text()


def test_close_kills_who_ignores_everything(start, ears):
    process = start(stubborn=True)
    ears.next()
    process.send(Request(1, "open", {"scene": "a"}))
    ears.next()  # It answers, so SIGTERM is ignored by now.
    process.close(PATIENCE)
    assert "SIGKILL" in process.exit_text()
    assert not exists(process.pid)


def test_close_twice_does_nothing(start, ears):
    process = start()
    ears.next()
    process.close()
    process.close()


def test_close_before_the_start_does_nothing(fakes, tmp_path, ears):
    process = WorkerProcess(fakes.command(), tmp_path / "scratch", ears)
    process.close()
    process.kill()
    assert process.state is State.NEW
    assert not fakes.pids()


def test_leaving_the_block_ends_the_process(fakes, tmp_path, ears):
    with pytest.raises(ZeroDivisionError), WorkerProcess(fakes.command(), tmp_path / "scratch", ears) as process:
        ears.next()
        raise ZeroDivisionError
    assert not exists(process.pid)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("worker-")]


def test_death_is_heard_last_with_its_reason(start, ears):
    process = start(tasks={"open a": ("die", 1)})
    ears.next()
    process.send(Request(1, "open", {"scene": "a"}))
    assert ears.rest() == []
    assert "SIGSEGV" in process.exit_text()


def test_exit_code_is_told(start, ears):
    process = start(start="exit")
    assert ears.rest() == []
    assert process.exit_text() == "exited with code 127"


def test_last_words_before_death_are_in_the_log_tail(start, ears):
    process = start(start="exit")
    ears.rest()
    assert "libGL.so.1: cannot open shared object file" in process.log_tail


def test_send_to_a_dead_worker_is_no_error(start, ears):
    process = start(start="exit")
    ears.rest()
    for number in range(3):
        process.send(Request(number, "open", {"scene": "a" * 100_000}))


def test_send_to_a_stopped_worker_returns_and_it_can_be_closed(start, ears):
    process = start()
    ears.next()
    os.kill(process.pid, signal.SIGSTOP)
    for number in range(3):
        process.send(Request(number, "open", {"scene": "a" * 1_000_000}))  # A pipe holds a fifteenth of it.
    process.close(PATIENCE)
    assert "SIGKILL" in process.exit_text()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("worker-")]


def test_processor_time_of_several_sessions(start, ears):
    process = start(tasks={"open a": ("work", 1)})
    ears.next()
    process.send(Request(1, "open", {"scene": "a"}))
    ears.next()
    used = cpu_seconds({process.pid, os.getsid(0), 1 << 30})
    assert set(used) == {process.pid, os.getsid(0)} and used[process.pid] >= 2.9


def test_kill_reaches_the_workers_children_too(tmp_path, ears):
    # As a `blender` that is a shell script around the real one.
    shell = "sleep 60 & echo $! > child; wait"
    with WorkerProcess(["/bin/sh", "-c", f"cd '{tmp_path}'; {shell}"], tmp_path / "scratch", ears) as process:
        child = int(wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text(), "the child"))
        process.kill()
        assert ears.rest() == []
        wait_until(lambda: not running(child), "the child to be gone")


def test_kill_of_a_dead_worker_does_nothing(start, ears):
    process = start(start="exit")
    ears.rest()
    process.kill()
    assert process.exit_text() == "exited with code 127"


def test_worker_that_says_nonsense_is_killed(start, ears):
    process = start(start="garbage")
    assert ears.rest() == []
    assert "SIGKILL" in process.exit_text()
    assert any("broken" in line for line in process.log_tail)


def test_messages_come_through_a_flood_of_chatter(start, ears, tmp_path):
    process = start(tasks={"open a": ("flood", 1)})
    process.log_to(tmp_path / "worker.log")
    ears.next()
    process.send(Request(1, "open", {"scene": "a"}))
    assert ears.next() == Done(1, {"scene": "a"})
    process.close()
    lines = (tmp_path / "worker.log").read_text().splitlines()
    for stream in ("out", "err"):
        heard = [line for line in lines if line.startswith(f"{stream}: chatter")]
        assert [int(line.split()[2]) for line in heard] == list(range(2000))


def test_log_holds_what_was_said_before_there_was_a_file(start, ears, tmp_path):
    process = start()
    ears.next()
    wait_until(lambda: len(process.log_tail) == 2, "both streams")
    process.log_to(tmp_path / "worker.log")
    assert sorted((tmp_path / "worker.log").read_text().splitlines()) == ["err: Blender starts", "out: Blender starts"]


def test_log_is_appended_to(start, ears, tmp_path):
    (tmp_path / "worker.log").write_text("from an earlier run\n")
    process = start()
    ears.next()
    process.log_to(tmp_path / "worker.log")
    assert (tmp_path / "worker.log").read_text().startswith("from an earlier run\n")


def test_ctrl_c_in_the_terminal_does_not_reach_the_worker(start, ears):
    process = start()
    ears.next()
    assert os.getsid(process.pid) != os.getsid(0)


# The command line.


def test_blender_command_of_a_missing_program_says_which(tmp_path):
    with pytest.raises(BlenderNotFound, match="no-such-blender"):
        blender_command("no-such-blender --flag")


def test_blender_command_of_nothing_at_all_is_refused():
    with pytest.raises(BlenderNotFound):
        blender_command("")


def test_blender_command_of_a_blender_runs_the_worker_in_the_background(tmp_path):
    blender = tmp_path / "my blender" / "blender"
    blender.parent.mkdir()
    blender.write_text("#!/bin/sh\n")
    blender.chmod(0o755)
    command = blender_command(str(blender))
    assert command[0] == str(blender)  # The space does not split it.
    assert "--background" in command and "--factory-startup" in command
    assert command[-3] == "--python" and command[-2].endswith("__main__.py") and command[-1] == "--"


def test_blender_command_with_arguments_is_split_as_a_shell_would():
    command = blender_command(f"'{sys.executable}' -X 'dev'")
    assert command[:3] == [sys.executable, "-X", "dev"]
    assert command[-1].endswith("worker/__main__.py")


def test_blender_command_by_default_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(BlenderNotFound, match="executable"):
        blender_command(None)


# The worker's own side of the pipe: its first module needs no bpy.

REAL_ENDS = """
import queue, time
from threading import Thread
from visionsim.simulation.worker.__main__ import read_requests, take_streams

requests, replies = take_streams()
print("chatter", flush=True)
inbox = queue.SimpleQueue()
Thread(target=read_requests, args=(requests, inbox), daemon=True).start()
replies.write(inbox.get())
while True:  # A render that never ends.
    time.sleep(0.01)
"""


@pytest.fixture
def real_ends():
    command = [sys.executable, "-P", "-c", REAL_ENDS]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env={"PYTHONPATH": str(REPOSITORY)}, **pipes) as process:
        yield process
        process.kill()


def test_worker_keeps_stdout_for_messages(real_ends):
    real_ends.stdin.write(b"a request\n")
    real_ends.stdin.flush()
    assert real_ends.stdout.readline() == b"a request\n"
    out, err = real_ends.communicate(timeout=60)
    assert (out, err) == (b"", b"chatter\n")


def test_worker_leaves_at_once_when_stdin_ends(real_ends):
    real_ends.stdin.write(b"a request\n")
    real_ends.stdin.flush()
    assert real_ends.stdout.readline() == b"a request\n"
    real_ends.stdin.close()
    assert real_ends.wait(60) == 0  # Its render never ends.


def test_signal_names_are_those_of_this_machine(start, ears):
    process = start()
    ears.next()
    os.kill(process.pid, signal.SIGABRT)
    ears.rest()
    assert "SIGABRT" in process.exit_text()
