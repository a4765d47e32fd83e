"""One run at a time on a sequence: `.visionsim/lock` in its folder is locked (flock) while a run works on it.

The lock ends with its process, however that ended. The file only tells who holds it: one that a killed run left is
taken over, and removed in the end.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import socket
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from visionsim.errors import FolderInUse, RequestError
from visionsim.files import make_folder, remove_empty

__all__ = ["FileLock", "Holder", "allow_open_files", "holder_of", "is_held", "lock_file", "lock_path", "take"]

PATIENCE = 0.3
"""Seconds for which we ask again for a lock that is held: somebody may only be looking whether it is."""

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""What file systems without locks answer."""

SPARE_FILES = 512
"""Files that a run has open besides its locks, at most: pipes of workers, frames that are read or written."""


@dataclass(frozen=True)
class Holder:
    """Who works, in words that help to find that process."""

    host: str
    pid: int
    started: str
    """Local time, ISO 8601."""

    @classmethod
    def me(cls) -> Holder:
        """This process; it has started now."""
        return cls(socket.gethostname(), os.getpid(), datetime.now().astimezone().isoformat(timespec="seconds"))

    @classmethod
    def from_line(cls, line: str) -> Holder | None:
        """What `to_line` gave, or None if it is something else."""
        try:
            document = json.loads(line)
            return cls(str(document["host"]), int(document["pid"]), str(document["started"]))
        except (ValueError, KeyError, TypeError):
            return None

    def to_line(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, started {self.started}"

    @property
    def may_live(self) -> bool:
        """Whether such a process exists; of another machine's we cannot know."""
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True  # Somebody else's.
        return True


class FileLock:
    """A file that is ours until `release`."""

    def __init__(self, path: Path, descriptor: int, made: Iterable[Path], *, sure: bool) -> None:
        self.path = path
        self.sure = sure
        """False if the file system knows no locks, and we could only look whether the file's process lives."""
        self._descriptor = descriptor
        self._made = tuple(made)

    def write(self, text: str) -> None:
        """Add to the file, at once."""
        data = text.encode()
        while data:
            data = data[os.write(self._descriptor, data) :]

    def release(self, *, remove: bool = True) -> None:
        """Let others have it, and leave nothing behind unless told to. Does nothing the second time."""
        if self._descriptor < 0:
            return
        if remove:
            self.path.unlink(missing_ok=True)  # While it is locked: afterwards it may be somebody else's.
            remove_empty((self.path.parent, *self._made))
        os.close(self._descriptor)
        self._descriptor = -1


def lock_path(folder: Path) -> Path:
    """The lock of a sequence."""
    return folder / ".visionsim" / "lock"


def take(folder: Path, holder: Holder) -> FileLock:
    """Lock a sequence, whose folder is made if need be.

    Raises:
        FolderInUse: another run works on it; the message says which.
    """
    path = lock_path(folder)
    lock = lock_file(path, PATIENCE)
    if lock is None:
        other = holder_of(path)
        who = str(other) if other else "a process that did not say who it is"
        raise FolderInUse(
            f"Another run works on this folder: {who}. Wait for its end or stop it, or use another folder: {folder}. "
            f"If there is no such process any more, remove {path}"
        )
    lock.write(holder.to_line())
    return lock


def lock_file(path: Path, patience: float = 0.0) -> FileLock | None:
    """Lock the file at `path`, which is made if need be, and emptied; None if it is held for longer than `patience`."""
    deadline = time.monotonic() + patience
    made: list[Path] = []
    while True:
        made += make_folder(path.parent)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except FileNotFoundError:
            continue  # The folder has just been removed by who was the last to use it.
        try:
            held, sure = try_lock(descriptor, path)
            # Who had it may have removed the file after we opened it, and before it was ours.
            current = not held and is_at(descriptor, path)
            if current:
                os.ftruncate(descriptor, 0)
        except BaseException:
            os.close(descriptor)
            raise
        if current:
            return FileLock(path, descriptor, made, sure=sure)
        os.close(descriptor)
        if held and time.monotonic() >= deadline:
            return None
        time.sleep(0.01)


def try_lock(descriptor: int, path: Path) -> tuple[bool, bool]:
    """Whether somebody else has it, and whether that is sure."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True, True
    except OSError as exc:
        if exc.errno not in NO_LOCKS:
            raise
        holder = holder_of(path)
        return holder is not None and holder.may_live, False
    return False, True


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def holder_of(path: Path) -> Holder | None:
    """Who wrote the first line of a locked file; None if nobody did, or there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return Holder.from_line(stream.readline())
    except OSError:
        return None


def is_held(path: Path) -> bool:
    """Whether somebody has the file at `path` locked; changes nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        holder = holder_of(path)
        return holder is not None and holder.may_live
    finally:
        os.close(descriptor)
    return False


def allow_open_files(num_locks: int) -> None:
    """See to it that this process may hold so many locks.

    Raises:
        RequestError: the system does not allow it.
    """
    needed = num_locks + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise RequestError(
            f"{num_locks} sequences at once need {needed} open files, and this system allows {hard}: "
            "raise `ulimit -Hn`, or use fewer scenes at a time"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
