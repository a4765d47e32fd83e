"""Drives the job queue with real workers and writer threads: the events come from them, the actions go to them."""

from __future__ import annotations

import logging
import queue
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from visionsim.errors import DiskFull, SceneError, VisionsimError
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.guard import Guard
from visionsim.simulation.host import this_machine, worker_environment_of
from visionsim.simulation.job_queue import SENT_AHEAD, UNWRITTEN_PER_WORKER, JobQueue
from visionsim.simulation.jobs import (
    Action,
    Answered,
    Fail,
    Finish,
    FrameTask,
    Interrupted,
    Job,
    Refused,
    Retry,
    Send,
    StartWorker,
    StopWorker,
    Task,
    WorkerDied,
    WorkerLeft,
    WorkerReady,
    WriteBlame,
    WriteFailed,
    Written,
)
from visionsim.simulation.process import WorkerProcess, blender_command
from visionsim.simulation.protocol import PROTOCOL, Done, Failed, Hello, Message, Request
from visionsim.simulation.watch import PATIENCE, Asked, Conversation, Watch

__all__ = ["Pool", "PoolClient", "spawn_pool"]

logger = logging.getLogger(__name__)

Reply = dict[str, Any]


class PoolClient(Protocol):
    """Who the pool works for. All but `write` are called from the thread that called `Pool.run`."""

    def request(self, task: Task, worker: int) -> tuple[str, Mapping[str, Any]]:
        """The worker's method and arguments that carry out a task (`name` of a frame's files is added)."""

    def write(self, task: FrameTask, reply: Reply) -> Any:
        """Make a frame's files from what the worker left; called in a writer thread, its result goes to `done`."""

    def done(self, task: Task, result: Any) -> None:
        """A task is done for good; `result` is what `write` returned, or the worker's reply to an OpenTask."""

    def failed(self, fail: Fail) -> None:
        """A task is given up."""

    def retried(self, retry: Retry) -> None:
        """A task went wrong, and will be tried again."""

    def note(self, message: str) -> None:
        """Something happened that the user should know, and that was dealt with."""


SCRATCH_BYTES_PER_PIXEL = 96
"""Most that a worker leaves of a frame until it is written: 13 to 17 channels of passes and an EXR picture, 32 bits."""


class Pool:
    """Worker processes and writer threads, for as long as the `with` block lasts."""

    def __init__(
        self,
        command: list[str],
        client: PoolClient | None = None,
        *,
        jobs: int,
        timeout: float | None = None,
        patience: float = PATIENCE,
        environment: Callable[[int], Mapping[str, str]] = lambda place: {},
        writers: int = 2,
        frame_bytes: int = 0,
    ) -> None:
        """
        Args:
            command: of a worker; see `blender_command`.
            client: who the work is for; may be set later, and replaced between two runs.
            jobs: processes at most.
            timeout: seconds that a frame may take; by default a multiple of what the slowest one so far took.
            patience: seconds that a worker may do nothing at all while it has something to do.
            environment: variables for the worker at a place, from 0 to `jobs` - 1; who replaces it gets the same.
            writers: threads that write frames.
            frame_bytes: what a worker leaves of a frame at most, as far as it is known before one is rendered.
        """
        self.command = command
        self._client = client
        self._watch = Watch(timeout, patience)
        self._environment = environment
        self._paused: list[tuple[float, int]] = []
        """Workers to be started, and when."""
        self._queue = JobQueue(max_workers=jobs)
        self._inbox: queue.SimpleQueue[tuple[int, Message | None] | Written | WriteFailed | Interrupted | None] = (
            queue.SimpleQueue()
        )
        """What happens; None: `abandon`."""
        self._workers: dict[int, Conversation] = {}
        self._results: dict[FrameTask, Any] = {}
        self._interrupted = False
        self.usable = True
        """Whether it may be run again: nobody has interrupted it."""
        self._asked = 0
        self._log_dir: Path | None = None
        self._frame_bytes = frame_bytes
        """The most that was left of a frame until now, or is expected."""
        self._guard = Guard(jobs * (UNWRITTEN_PER_WORKER + SENT_AHEAD) * frame_bytes)
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="writer")

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exc: object) -> None:
        for talk in self._workers.values():
            if talk.asked:
                talk.process.kill()  # We leave in the middle of something.
        for talk in self._workers.values():
            talk.close()
        self._writers.shutdown(wait=True, cancel_futures=True)
        self._guard.__exit__(*exc)

    def log_to(self, log_dir: Path) -> None:
        """From here on, and for what was said before, keep one log file per worker in `log_dir`."""
        log_dir.mkdir(parents=True, exist_ok=True)
        self._log_dir = log_dir
        for number, talk in self._workers.items():
            talk.process.log_to(self._log_path(number))

    def start(self, count: int) -> None:
        """Start workers ahead of the work, so that Blender loads while the caller still prepares."""
        self._act(self._queue.start(count))

    def run(self, jobs: Iterable[Job], client: PoolClient | None = None) -> bool:
        """Carry out jobs; returns when each task is done or failed. False if the user interrupted it.

        The first Ctrl-C lets workers finish the frames they hold; the second raises KeyboardInterrupt.

        Args:
            jobs: what is to be done.
            client: who for, from now on; by default whoever it was before.
        """
        self._client = client or self._client
        with self._interrupts():
            self._act(self._queue.add(jobs))
            while not self._queue.finished:
                self._wait_for_event()
        return not self._queue.stopping

    def reopen(self) -> None:
        """Let every worker open its scene again before it does anything else: it is not the same any more."""
        self._queue.forget_scenes()

    def abandon(self) -> None:
        """From any thread: let `run` raise KeyboardInterrupt at once, as a second Ctrl-C does."""
        self.usable = False
        self._inbox.put(None)

    @property
    def _who(self) -> PoolClient:
        assert self._client is not None, "nobody to work for"
        return self._client

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

        # What cluster schedulers and closed terminals send means the same; nohup's wish is respected.
        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.getsignal(number) for number in wanted}
        before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
        for number in before:
            signal.signal(number, interrupted)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _wait_for_event(self) -> None:
        self._start_paused()
        try:
            heard = self._inbox.get(timeout=self._until_next_look())
        except queue.Empty:
            self._kill_late_workers()
            return
        if heard is None:
            raise KeyboardInterrupt
        if isinstance(heard, Interrupted):
            self.usable = False
            self._who.note("Interrupted: finishing the frames in hand; once more to stop now")
        if isinstance(heard, (Written, WriteFailed, Interrupted)):
            self._act(self._queue.handle(heard))
            return
        number, message = heard
        talk = self._workers[number]
        talk.since = talk.stirred = time.monotonic()
        if message is None:
            self._worker_ended(number)
        elif isinstance(message, Hello):
            if message.protocol != PROTOCOL:
                talk.verdict = f"speaks protocol {message.protocol}, not {PROTOCOL}: is it another visionsim?"
                talk.process.kill()
                return
            talk.ready = True
            logger.info("worker %d: Blender %s, pid %d", number, message.blender, message.pid)
            self._act(self._queue.handle(WorkerReady(number)))
        elif isinstance(message, Done):
            asked = talk.asked.pop(message.id)
            task, memory = asked.task, message.value.pop("memory", 0)
            if isinstance(task, FrameTask):
                self._watch.rendered(task, message.value.get("seconds", 0.0))
                future = self._writers.submit(self._write, self._who, asked, message.value)
                future.add_done_callback(lambda done, task=task: self._written(task, done))  # type: ignore[misc]
            else:
                self._who.done(task, message.value)
            self._act(self._queue.handle(Answered(number, task, memory)))
        elif isinstance(message, Failed):
            asked = talk.asked.pop(message.id)
            asked.remove_files()
            self._act(self._queue.handle(Refused(number, asked.task, message.kind, message.message)))

    def _write(self, client: PoolClient, asked: Asked, reply: Reply) -> Any:
        """In a writer thread: let the client write a frame; however that ends, what the worker left of it goes."""
        assert isinstance(asked.task, FrameTask)
        try:
            return client.write(asked.task, reply)
        finally:
            self._frame_bytes = max(self._frame_bytes, asked.remove_files())

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
        self._inbox.put(WriteFailed(task, text, blame_for(error)))

    def _worker_ended(self, number: int) -> None:
        talk = self._workers.pop(number)
        reason = talk.verdict or talk.process.exit_text()
        talk.close()
        for asked in talk.asked.values():
            asked.remove_files()
        shutil.rmtree(talk.process.scratch, ignore_errors=True)  # Rendered frames that are to be written lie elsewhere.
        for folder in self._folders_for_frames(number):
            for path in folder.glob("[!0-9]*"):  # What it kept for itself; files of frames begin with a number.
                if path.is_file():
                    path.unlink()
        if talk.process.started:
            self._guard.ended(talk.process.pid)
        if talk.leaving is not None:
            self._act(self._queue.handle(WorkerLeft(number)))
            return
        last_words = [line for line in talk.process.log_tail if line][-2:]
        log = f" Log: {self._log_path(number)}" if self._log_dir else ""
        text = "".join([reason, *(f"\n    {line}" for line in last_words)])
        self._who.note(f"Worker {number} {text}{log}")
        self._act(self._queue.handle(WorkerDied(number, text + log)))

    def _act(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case StartWorker(number, pause):
                    if pause:
                        self._paused.append((time.monotonic() + pause, number))
                    else:
                        self._start_worker(number)
                case StopWorker(number, reason):
                    self._stop_worker(number, reason)
                case Send(number, task):
                    self._send(number, task)
                case Finish(task):
                    if isinstance(task, FrameTask):
                        self._who.done(task, self._results.pop(task))
                case Fail():
                    self._who.failed(action)
                case Retry():
                    self._who.retried(action)

    def _start_worker(self, number: int) -> None:
        inbox = self._inbox
        place = min(set(range(len(self._workers) + 1)) - {talk.place for talk in self._workers.values()})
        process = WorkerProcess(
            self.command,
            self._guard.scratch / f"worker-{number}",
            lambda m: inbox.put((number, m)),
            self._environment(place),
        )
        self._workers[number] = Conversation(process, {}, time.monotonic(), place)
        try:
            process.__enter__()
        except OSError as exc:
            self._workers[number].verdict = f"cannot be started: {exc.strerror}: {self.command[0]}"
            inbox.put((number, None))
            return
        self._guard.began(process.pid)
        if self._log_dir is not None:
            process.log_to(self._log_path(number))

    def _start_paused(self) -> None:
        due = [number for moment, number in self._paused if moment <= time.monotonic()]
        self._paused = [(moment, number) for moment, number in self._paused if number not in due]
        for number in due:
            self._start_worker(number)

    def _stop_worker(self, number: int, reason: str) -> None:
        self._who.note(f"Worker {number} {reason}: it is replaced")
        self._workers[number].leave()

    def _send(self, number: int, task: Task) -> None:
        talk = self._workers[number]
        if not talk.asked:
            talk.since = talk.stirred = time.monotonic()
        self._asked += 1
        do, arguments = self._who.request(task, number)
        files = None
        if isinstance(task, FrameTask):
            files = self._folder_for_frame(number) / str(self._asked)
            arguments = {**arguments, "name": str(files)}
        talk.asked[self._asked] = Asked(task, files)
        talk.process.send(Request(self._asked, do, dict(arguments)))

    def _folder_for_frame(self, number: int) -> Path:
        """Where a worker leaves its next frame: in memory, while all frames that were asked for have room there."""
        folder, memory = self._guard.scratch, self._guard.memory
        in_hand = self._queue.max_workers * SENT_AHEAD * self._frame_bytes
        if memory is not None and shutil.disk_usage(memory).free >= in_hand:
            folder = memory
        folder = folder / f"frames-{number}"
        folder.mkdir(exist_ok=True)
        return folder

    def _folders_for_frames(self, number: int) -> list[Path]:
        """The folders in which a worker has left frames."""
        places = (self._guard.scratch, self._guard.memory)
        return [place / f"frames-{number}" for place in places if place is not None]

    def _until_next_look(self) -> float | None:
        """Seconds until something may have to be done though nobody says anything."""
        moments = [*self._watch.moments(self._workers.values()), *(moment for moment, _ in self._paused)]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _kill_late_workers(self) -> None:
        for talk, why in self._watch.overdue(self._workers.values()):
            self._end(talk, why)

    def _end(self, talk: Conversation, why: str) -> None:
        talk.verdict = why
        talk.process.kill()

    def _log_path(self, number: int) -> Path:
        assert self._log_dir is not None
        return self._log_dir / f"worker-{number:02d}.log"


def blame_for(error: BaseException) -> WriteBlame:
    """What an exception of a writer is to be blamed on."""
    if isinstance(error, DiskFull):
        return "full disk"
    if isinstance(error, OSError):
        return "disk"
    return "scene" if isinstance(error, SceneError) else "frame"


@contextmanager
def spawn_pool(
    config: RenderConfig,
    jobs: int,
    log_dir: str | Path | None = None,
    *,
    place: int = 0,
    workers: int | None = None,
) -> Iterator[Pool]:
    """Blender processes, and what watches over them, for as long as the `with` block lasts.

    Args:
        config: `executable`, `timeout`, `device_type` and the size of pictures count.
        jobs: processes at most.
        log_dir: folder for what Blender says; see also `Pool.log_to`.
        place: of its first process among all that share the machine, from 0.
        workers: how many these are; by default those of this pool.
    Raises:
        BlenderNotFound: there is no Blender; the message says what was tried.
    """
    machine = this_machine(config.device_type)
    with Pool(
        blender_command(config.executable),
        jobs=jobs,
        timeout=config.timeout,
        environment=lambda number: worker_environment_of(place + number, workers or jobs, machine),
        frame_bytes=config.width * config.height * SCRATCH_BYTES_PER_PIXEL * (3 if config.occlusions else 1),
    ) as pool:
        if log_dir is not None:
            pool.log_to(Path(log_dir))
        yield pool
