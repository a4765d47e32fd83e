"""One at a time: who holds a lock is named, what a dead process left is no obstacle, and nothing is left behind."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY, wait_until
from visionsim.dataset import lock
from visionsim.dataset.lock import FileLock, Holder, allow_open_files, holder_of, is_held, lock_file, lock_path, take
from visionsim.errors import FolderInUse, RequestError

ME = Holder("render-7", 4321, "2026-11-21T09:00:00+01:00")

HOLD = """
import sys, time
from pathlib import Path
from visionsim.dataset.lock import Holder, take

taken = take(Path(sys.argv[1]), Holder.me())
print("taken", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """A process that holds the lock of `tmp_path / "sequence"`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "sequence")]
    process = subprocess.Popen(command, env={"PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"taken\n"
    yield process
    process.kill()
    process.communicate()


def test_lock_tells_who_has_it_and_leaves_nothing(tmp_path):
    folder = tmp_path / "a" / "b"
    taken = take(folder, ME)
    assert taken.sure and holder_of(lock_path(folder)) == ME and is_held(lock_path(folder))
    taken.release()
    taken.release()
    assert list(tmp_path.iterdir()) == []


def test_release_leaves_what_others_put_there(tmp_path):
    taken = take(tmp_path / "a", ME)
    (tmp_path / "a" / "mine").touch()
    taken.release()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["mine"]


def test_second_run_of_this_process_is_refused_too(tmp_path):
    first = take(tmp_path, ME)
    with pytest.raises(FolderInUse) as caught:
        take(tmp_path, Holder.me())
    for word in ("render-7", "4321", "2026-11-21T09:00:00+01:00", str(tmp_path)):
        assert word in str(caught.value)
    assert holder_of(lock_path(tmp_path)) == ME, "the refused one wrote into it"
    first.release()
    take(tmp_path, ME).release()


def test_lock_of_another_process_is_refused_until_it_is_killed(tmp_path, other):
    folder = tmp_path / "sequence"
    with pytest.raises(FolderInUse, match=str(other.pid)) as caught:
        take(folder, ME)
    assert isinstance(caught.value, RequestError)
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert lock_path(folder).exists() and not is_held(lock_path(folder))
    taken = take(folder, ME)
    assert lock_path(folder).read_text() == ME.to_line(), "what the dead one wrote is still there"
    taken.release()
    assert not lock_path(folder).exists()


def test_somebody_who_only_looks_is_no_obstacle(tmp_path):
    path = lock_path(tmp_path)
    path.parent.mkdir()
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    threading.Timer(0.1, lambda: os.close(descriptor)).start()
    take(tmp_path, ME).release()


def test_file_that_was_removed_before_it_was_locked_is_not_taken(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    real, calls = fcntl.flock, []

    def slow(descriptor, how):
        if not calls:
            path.unlink()  # Its holder releases it between our opening it and our locking it.
        calls.append(how)
        real(descriptor, how)

    monkeypatch.setattr(lock.fcntl, "flock", slow)
    taken = lock_file(path)
    assert len(calls) == 2 and taken is not None and path.exists()
    assert is_held(path)
    taken.release()


def test_never_two_at_once(tmp_path):
    inside, most, turns = 0, 0, 0

    def work():
        nonlocal inside, most, turns
        for _ in range(40):
            taken = lock_file(tmp_path / ".visionsim" / "lock", 200.0)
            assert isinstance(taken, FileLock)
            inside += 1
            most = max(most, inside)
            time.sleep(0.0002)
            inside -= 1
            turns += 1
            taken.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, turns) == (1, 160)
    assert list(tmp_path.iterdir()) == []


# File systems without locks.


@pytest.fixture(params=[errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def no_locks(request, monkeypatch):
    def flock(descriptor, how):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(lock.fcntl, "flock", flock)


def test_without_locks_a_living_process_is_respected(tmp_path, no_locks):
    first = take(tmp_path, Holder.me())
    assert not first.sure and is_held(lock_path(tmp_path))
    with pytest.raises(FolderInUse, match=str(os.getpid())):
        take(tmp_path, Holder.me())
    first.release()
    assert not is_held(lock_path(tmp_path))


def test_without_locks_a_dead_process_is_no_obstacle(tmp_path, no_locks):
    dead = subprocess.Popen(["true"])
    dead.wait()
    here = Holder.me()
    lock_path(tmp_path).parent.mkdir()
    lock_path(tmp_path).write_text(Holder(here.host, dead.pid, here.started).to_line())
    taken = take(tmp_path, here)
    assert holder_of(lock_path(tmp_path)) == here
    taken.release()


def test_without_locks_another_machine_is_respected_and_the_way_out_is_said(tmp_path, no_locks):
    lock_path(tmp_path).parent.mkdir()
    lock_path(tmp_path).write_text(ME.to_line())
    with pytest.raises(FolderInUse, match=f"remove {lock_path(tmp_path)}"):
        take(tmp_path, Holder.me())


def test_other_errors_are_not_taken_for_missing_locks(tmp_path, monkeypatch):
    def flock(descriptor, how):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output"):
        take(tmp_path, ME)


# Many locks.


def test_limit_of_open_files_is_raised_as_far_as_needed(monkeypatch):
    changed = []
    monkeypatch.setattr(lock.resource, "getrlimit", lambda which: (1024, 4096))
    monkeypatch.setattr(lock.resource, "setrlimit", lambda which, limits: changed.append(limits))
    allow_open_files(100)
    assert changed == []
    allow_open_files(3000)
    assert changed == [(3000 + lock.SPARE_FILES, 4096)]
    with pytest.raises(RequestError, match="5000 sequences"):
        allow_open_files(5000)


def test_many_locks_can_really_be_held(tmp_path):
    script = (
        "import resource, sys; from pathlib import Path; from visionsim.dataset.lock import *\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
        "allow_open_files(200)\n"
        "held = [take(Path(sys.argv[1]) / str(i), Holder.me()) for i in range(200)]\n"
        "[one.release() for one in held]"
    )
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 200 + lock.SPARE_FILES:
        pytest.skip("this system does not allow so many open files")
    command = [sys.executable, "-c", script, str(tmp_path)]
    subprocess.run(command, env={"PYTHONPATH": str(REPOSITORY)}, check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "\n", "{", "[]", "{}", '{"host": "a", "pid": "x", "started": ""}', "\udcff"])
def test_holder_that_is_not_said_is_none(tmp_path, text):
    path = tmp_path / "lock"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert holder_of(path) is None
    assert holder_of(Path(tmp_path / "none")) is None


def test_refused_run_says_so_even_if_the_holder_does_not(tmp_path):
    taken = lock_file(lock_path(tmp_path))
    assert taken is not None
    with pytest.raises(FolderInUse, match="did not say who"):
        take(tmp_path, ME)
    taken.release()
    wait_until(lambda: not is_held(lock_path(tmp_path)), "the release")
