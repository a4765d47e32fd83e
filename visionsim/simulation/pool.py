"""Drives the job queue with real workers and writer threads: the events come from them, the actions go to them."""

from __future__ import annotations

import logging
import os
import queue
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from visionsim.errors import VisionsimError
from visionsim.simulation.jobs import (
    Action,
    Answered,
    Fail,
    Finish,
    FrameTask,
    Interrupted,
    Job,
    JobQueue,
    Refused,
    Send,
    StartWorker,
    Task,
    WorkerDied,
    WorkerReady,
    WriteFailed,
    Written,
)
from visionsim.simulation.process import WorkerProcess
from visionsim.simulation.protocol import PROTOCOL, Done, Failed, Hello, Message, Request

__all__ = ["Pool", "PoolClient"]

logger = logging.getLogger(__name__)

Reply = dict[str, Any]


class PoolClient(Protocol):
    """Who the pool works for. All but `write` are called from the thread that called `Pool.run`."""

    def request(self, task: Task) -> tuple[str, Mapping[str, Any]]:
        """The worker's method and arguments that carry out a task (`name` of a frame's files is added)."""

    def write(self, task: FrameTask, reply: Reply) -> Any:
        """Make a frame's files from what the worker left; called in a writer thread, its result goes to `done`."""

    def done(self, task: Task, result: Any) -> None:
        """A task is done for good; `result` is what `write` returned, or the worker's reply to an OpenTask."""

    def failed(self, fail: Fail) -> None:
        """A task is given up."""

    def note(self, message: str) -> None:
        """Something happened that the user should know, and that was dealt with."""


@dataclass
class Conversation:
    """A worker process and the requests that it has not answered."""

    process: WorkerProcess
    asked: dict[int, Task]
    since: float
    """When the oldest of them was begun, as far as we know."""
    verdict: str | None = None
    """Why we ended it, in words, if we did."""


class Pool:
    """Worker processes and writer threads, for as long as the `with` block lasts."""

    def __init__(
        self,
        command: list[str],
        client: PoolClient,
        *,
        jobs: int,
        timeout: float | None = None,
        writers: int = 2,
    ) -> None:
        self._command = command
        self._client = client
        self._timeout = timeout
        self._queue = JobQueue(max_workers=jobs)
        self._inbox: queue.SimpleQueue[tuple[int, Message | None] | Written | WriteFailed | Interrupted] = (
            queue.SimpleQueue()
        )
        self._workers: dict[int, Conversation] = {}
        self._results: dict[FrameTask, Any] = {}
        self._interrupted = False
        self._asked = 0
        self._log_dir: Path | None = None
        self._scratch = Path(tempfile.mkdtemp(prefix=f"visionsim-{os.getpid()}-", dir=scratch_folder()))
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="writer")

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exc: object) -> None:
        for talk in self._workers.values():
            if talk.asked:
                talk.process.kill()  # We leave in the middle of something.
        for talk in self._workers.values():
            talk.process.close()
        self._writers.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def log_to(self, log_dir: Path) -> None:
        """From here on, and for what was said before, keep one log file per worker in `log_dir`."""
        log_dir.mkdir(parents=True, exist_ok=True)
        self._log_dir = log_dir
        for number, talk in self._workers.items():
            talk.process.log_to(self._log_path(number))

    def start(self, count: int) -> None:
        """Start workers ahead of the work, so that Blender loads while the caller still prepares."""
        self._act(self._queue.start(count))

    def run(self, jobs: Iterable[Job]) -> bool:
        """Carry out jobs; returns when each task is done or failed. False if the user interrupted it.

        The first Ctrl-C lets workers finish the frames they hold; the second raises KeyboardInterrupt.
        """
        with self._interrupts():
            self._act(self._queue.add(jobs))
            while not self._queue.finished:
                self._wait_for_event()
        return not self._queue.stopping

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """Make the first Ctrl-C an event like any other: an exception in the middle of handling one would lose it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def interrupted(signum: int, frame: object) -> None:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True
            self._inbox.put(Interrupted())

        before = signal.signal(signal.SIGINT, interrupted)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _wait_for_event(self) -> None:
        try:
            heard = self._inbox.get(timeout=self._until_deadline())
        except queue.Empty:
            self._kill_late_workers()
            return
        if isinstance(heard, Interrupted):
            self._client.note("Interrupted: finishing the frames in hand; once more to stop now")
        if isinstance(heard, (Written, WriteFailed, Interrupted)):
            self._act(self._queue.handle(heard))
            return
        number, message = heard
        talk = self._workers[number]
        talk.since = time.monotonic()
        if message is None:
            self._worker_ended(number)
        elif isinstance(message, Hello):
            if message.protocol != PROTOCOL:
                talk.verdict = f"speaks protocol {message.protocol}, not {PROTOCOL}: is it another visionsim?"
                talk.process.kill()
                return
            logger.info("worker %d: Blender %s, pid %d", number, message.blender, message.pid)
            self._act(self._queue.handle(WorkerReady(number)))
        elif isinstance(message, Done):
            task = talk.asked.pop(message.id)
            if isinstance(task, FrameTask):
                future = self._writers.submit(self._client.write, task, message.value)
                future.add_done_callback(lambda done, task=task: self._written(task, done))  # type: ignore[misc]
            else:
                self._client.done(task, message.value)
            self._act(self._queue.handle(Answered(number, task)))
        elif isinstance(message, Failed):
            task = talk.asked.pop(message.id)
            self._act(self._queue.handle(Refused(number, task, message.kind, message.message)))

    def _written(self, task: FrameTask, future: Future[Any]) -> None:
        """In a writer thread: tell the main one how it went."""
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._results[task] = future.result()
            self._inbox.put(Written(task))
            return
        if not isinstance(error, (OSError, VisionsimError)):
            logger.error("writing %s frame %d", task.sequence, task.frame, exc_info=error)
        text = str(error) if isinstance(error, VisionsimError) else f"{type(error).__name__}: {error}"
        self._inbox.put(WriteFailed(task, text))

    def _worker_ended(self, number: int) -> None:
        talk = self._workers.pop(number)
        reason = talk.verdict or talk.process.exit_text()
        talk.process.close()
        last_words = [line for line in talk.process.log_tail if line][-2:]
        log = f" Log: {self._log_path(number)}" if self._log_dir else ""
        text = "".join([reason, *(f"\n    {line}" for line in last_words)])
        self._client.note(f"Worker {number} {text}{log}")
        self._act(self._queue.handle(WorkerDied(number, text + log)))

    def _act(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case StartWorker(number):
                    self._start_worker(number)
                case Send(number, task):
                    self._send(number, task)
                case Finish(task):
                    if isinstance(task, FrameTask):
                        self._client.done(task, self._results.pop(task))
                case Fail():
                    self._client.failed(action)

    def _start_worker(self, number: int) -> None:
        inbox = self._inbox
        process = WorkerProcess(self._command, self._scratch / f"worker-{number}", lambda m: inbox.put((number, m)))
        self._workers[number] = Conversation(process, {}, time.monotonic())
        try:
            process.__enter__()
        except OSError as exc:
            self._workers[number].verdict = f"cannot be started: {exc.strerror}: {self._command[0]}"
            inbox.put((number, None))
            return
        if self._log_dir is not None:
            process.log_to(self._log_path(number))

    def _send(self, number: int, task: Task) -> None:
        talk = self._workers[number]
        if not talk.asked:
            talk.since = time.monotonic()
        self._asked += 1
        do, arguments = self._client.request(task)
        if isinstance(task, FrameTask):
            arguments = {**arguments, "name": str(self._asked)}
        talk.asked[self._asked] = task
        talk.process.send(Request(self._asked, do, dict(arguments)))

    def _late(self) -> list[tuple[float, Conversation]]:
        """Workers that render, each with the time at which it becomes late."""
        if self._timeout is None:
            return []
        return [
            (talk.since + self._timeout, talk)
            for talk in self._workers.values()
            if talk.asked and isinstance(next(iter(talk.asked.values())), FrameTask) and talk.verdict is None
        ]

    def _until_deadline(self) -> float | None:
        late = self._late()
        # Waking up for nothing once an hour does no harm; a wait of 1e12 s is more than the system can express.
        return min(3600.0, max(0.0, min(deadline for deadline, _ in late) - time.monotonic())) if late else None

    def _kill_late_workers(self) -> None:
        for deadline, talk in self._late():
            if deadline <= time.monotonic():
                talk.verdict = f"took longer than {self._timeout:g} s over a frame"
                talk.process.kill()

    def _log_path(self, number: int) -> Path:
        assert self._log_dir is not None
        return self._log_dir / f"worker-{number:02d}.log"


def scratch_folder() -> str | None:
    """A memory file system with room, where there is one; else the default folder for temporary files."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30:
        return str(memory)
    return None
