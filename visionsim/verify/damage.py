"""Whether a file can be decoded: one file at a time, in processes that a file may kill."""

from __future__ import annotations

import errno
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from visionsim.dataset.journal import StoredFile
from visionsim.dataset.truth_files import read_channels
from visionsim.errors import DataError
from visionsim.files import size_and_checksum
from visionsim.io.images import read_picture
from visionsim.types import ProgressFn

__all__ = ["FileTask", "Look", "Stamp", "look", "look_at_all", "stamp"]

BAD_DISK = (errno.EIO, errno.EILSEQ, errno.EUCLEAN, errno.EBADMSG)
"""What a disk answers that has lost a file's bytes; all other refusals say nothing about them."""

CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
"""What a decoder dies of; SIGKILL may have been for want of memory."""

Stamp = tuple[int, int, int]
"""Inode, size and time of change of a file: while they stay the same so does the file."""


@dataclass(frozen=True)
class FileTask:
    """A file to look at."""

    path: str
    kind: str
    """`frames` or a kind of ground truth."""
    preview: bool = False
    """Whether it is a picture of ground truth, for people."""
    stored: StoredFile | None = None
    """As the journal knows it."""


@dataclass(frozen=True)
class Look:
    """What a file is."""

    stamp: Stamp | None = None
    damage: str = ""
    """Why it is corrupted; empty if it is not, as far as it can be said by itself."""
    unchecked: str = ""
    """Why nothing can be said of it."""
    size: str = ""
    """Width and height of its picture."""
    form: str = ""
    """Its channels and their type, in words; empty for previews."""


def stamp(path: str | Path) -> Stamp:
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def look(task: FileTask) -> Look:
    """Decode all of a file."""
    before: Stamp | None = None
    try:
        before = stamp(task.path)
        # All of its bytes, and by ourselves: decoders do not say why they cannot read a file.
        size, crc32 = size_and_checksum(task.path)
        if task.stored is not None and size != task.stored.size:
            return Look(before, f"it has {size} bytes instead of the {task.stored.size} that were written")
        if task.stored is not None and crc32 != task.stored.crc32:
            return Look(before, "its bytes are not those that were written")
        return decoded(task, before)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        return Look(before, reason) if exc.errno in BAD_DISK else Look(before, unchecked=reason)
    except MemoryError:
        return Look(before, unchecked="memory ran out; use fewer --jobs")


def decoded(task: FileTask, before: Stamp) -> Look:
    path = Path(task.path)
    try:
        if task.kind == "frames" or task.preview:
            picture = read_picture(path)
            form = "" if task.preview else picture_form(picture.channels, picture.bit_depth)
            return Look(before, size=size_of(picture.pixels), form=form)
        channels = read_channels(path)
    except DataError as exc:
        return Look(before, str(exc).replace(f": {path}", ""))
    if any(is_impossible(task.kind, pixels) for pixels in channels.values()):
        return Look(before, "it has values that are NaN or infinite")
    sizes = " and ".join(sorted({size_of(pixels) for pixels in channels.values()}))
    return Look(before, size=sizes, form=truth_form(channels, {str(pixels.dtype) for pixels in channels.values()}))


def size_of(pixels: Any) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"


def picture_form(channels: int, bits: int) -> str:
    return f"{channels} channel{'s' * (channels != 1)} of {bits} bits"


def truth_form(channels: Collection[str], types: Collection[str]) -> str:
    """`channels A B G R of float32`."""
    return f"channel{'s' * (len(channels) != 1)} {' '.join(sorted(channels))} of {' and '.join(sorted(types))}"


def is_impossible(kind: str, pixels: Any) -> bool:
    """Whether there is a value that no render gives: NaN; infinity but for the depth of the background."""
    if not np.issubdtype(pixels.dtype, np.floating):
        return False
    wrong = ~(pixels > -np.inf) if kind == "depths" else ~np.isfinite(pixels)
    return bool(wrong.any())


# Many files, in processes.


def look_at_all(tasks: Sequence[FileTask], jobs: int, progress: ProgressFn) -> list[Look]:
    """Look at files in so many processes. A file that kills its process costs that process only."""
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(tasks)):
        todo.put(index)
    done: queue.SimpleQueue[tuple[int, Look] | BaseException] = queue.SimpleQueue()
    stop = threading.Event()
    threads = [
        threading.Thread(target=feed, args=(tasks, todo, done, stop), name="purge")
        for _ in range(min(jobs, len(tasks)))
    ]
    for thread in threads:
        thread.start()
    looks = [Look()] * len(tasks)
    try:
        for number in range(1, len(tasks) + 1):
            answer = done.get()
            if isinstance(answer, BaseException):
                raise answer
            looks[answer[0]] = answer[1]
            progress(number, len(tasks))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return looks


def feed(
    tasks: Sequence[FileTask],
    todo: queue.SimpleQueue[int],
    done: queue.SimpleQueue[tuple[int, Look] | BaseException],
    stop: threading.Event,
) -> None:
    """In a thread: give files to a process, and to another one if that dies."""
    process: Any = None
    ours: Connection
    try:
        while not stop.is_set():
            try:
                index = todo.get_nowait()
            except queue.Empty:
                break
            if process is None:
                process, ours = start()
            try:
                ours.send(tasks[index])
                answer = ours.recv()
            except (EOFError, OSError):
                process.join()
                ours.close()
                answer, process = killed_by(process.exitcode), None
            done.put((index, answer))
    except BaseException as exc:
        done.put(exc)
    finally:
        if process is not None:
            ours.close()
            process.join()


def start() -> tuple[Any, Connection]:
    # Not forked: the caller may have threads, such as that of a progress bar.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def killed_by(code: int) -> Look:
    if -code in CRASHES:
        return Look(damage="decoding it crashes the decoder")
    return Look(unchecked=f"the process that decoded it ended with code {code}; if memory ran out, use fewer --jobs")


def serve(tasks: Connection) -> None:
    """In the process: answer until there is nobody to ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle.
    # Decoders complain there, of what we are going to say better.
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    while True:
        try:
            task = tasks.recv()
        except EOFError:
            return
        tasks.send(look(task))
