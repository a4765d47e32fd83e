"""Drives the job queue with real workers and writer threads: the events come from them, the actions go to them."""

from __future__ import annotations

import logging
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from visionsim.errors import DiskFull, VisionsimError
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.guard import Guard
from visionsim.simulation.host import this_machine, worker_environment_of
from visionsim.simulation.job_queue import JobQueue
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


@dataclass
class Conversation:
    """A worker process and the requests that it has not answered."""

    process: WorkerProcess
    asked: dict[int, Task]
    since: float
    """When the oldest of them was begun, as far as we know."""
    place: int
    """Its share of the machine."""
    verdict: str | None = None
    """Why we ended it, in words, if we did."""
    ready: bool = False
    leaving: threading.Thread | None = None
    """Who waits for its end, if we asked for it."""
    cpu: float | None = None
    """Processor seconds that it had used when it was last seen to use some."""
    stirred: float = 0.0
    """When that was, or when we last heard of it."""

    def leave(self) -> None:
        """Ask the worker to leave, and do not wait for it."""
        self.leaving = threading.Thread(target=self.process.close, name="worker-close")
        self.leaving.start()

    def close(self) -> None:
        """Return when the worker is gone."""
        if self.leaving is not None:
            self.leaving.join()
        self.process.close()


FIRST_DEADLINE = 600.0
"""Seconds that any frame may take if there is no `timeout`, once a frame of its scene has been rendered."""

SLOWEST_TIMES = 20.0
"""... or so many times what the slowest frame of the scene took, if that is more."""

PATIENCE = 300.0
"""Seconds after which a worker that should work, and uses no processor time, is taken for hung."""

STIRS = 0.05
"""Processor seconds that count as work."""

LOOK = 5.0
"""Seconds from one look at the workers' processor time to the next, at most."""

START_LIMIT = 300.0
"""Seconds in which a worker must have said hello."""


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
        """
        self.command = command
        self._client = client
        self._timeout = timeout
        self._patience = patience
        self._environment = environment
        self._slowest: dict[str, float] = {}
        self._paused: list[tuple[float, int]] = []
        """Workers to be started, and when."""
        self._looked = 0.0
        """When we last looked whether workers are late or idle."""
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
        self._guard = Guard()
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
            task = talk.asked.pop(message.id)
            memory = message.value.pop("memory", 0)
            if isinstance(task, FrameTask):
                took = message.value.get("seconds", 0.0)
                self._slowest[task.scene] = max(self._slowest.get(task.scene, 0.0), took)
                future = self._writers.submit(self._who.write, task, message.value)
                future.add_done_callback(lambda done, task=task: self._written(task, done))  # type: ignore[misc]
            else:
                self._who.done(task, message.value)
            self._act(self._queue.handle(Answered(number, task, memory)))
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
        blame: WriteBlame = "disk" if isinstance(error, OSError) else "frame"
        self._inbox.put(WriteFailed(task, text, "full disk" if isinstance(error, DiskFull) else blame))

    def _worker_ended(self, number: int) -> None:
        talk = self._workers.pop(number)
        reason = talk.verdict or talk.process.exit_text()
        talk.close()
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
        if isinstance(task, FrameTask):
            arguments = {**arguments, "name": str(self._asked)}
        talk.asked[self._asked] = task
        talk.process.send(Request(self._asked, do, dict(arguments)))

    def _frame_limit(self, scene: str) -> float | None:
        """Seconds that a frame of a scene may take, if that can be said."""
        if self._timeout is not None:
            return self._timeout
        slowest = self._slowest.get(scene)
        return None if slowest is None else max(FIRST_DEADLINE, SLOWEST_TIMES * slowest)

    def _late(self) -> list[tuple[float, Conversation, str]]:
        """Workers that render, each with the time at which it becomes late, and what is to be said then."""
        late = []
        for talk in self._workers.values():
            if talk.verdict is None and not talk.ready:
                late.append((talk.since + START_LIMIT, talk, f"did not say hello within {START_LIMIT:g} s"))
            elif talk.verdict is None and talk.asked:
                task = next(iter(talk.asked.values()))
                limit = self._frame_limit(task.scene) if isinstance(task, FrameTask) else None
                if limit is not None:
                    late.append((talk.since + limit, talk, f"took longer than {limit:g} s over a frame"))
        return late

    def _until_next_look(self) -> float | None:
        """Seconds until something may have to be done though nobody says anything."""
        now = time.monotonic()
        moments = [moment for moment, *_ in self._late()] + [moment for moment, _ in self._paused]
        if any(talk.asked or not talk.ready for talk in self._workers.values()):
            moments.append(self._looked + min(LOOK, self._patience / 4))
        return max(0.0, min(moments) - now) if moments else None

    def _kill_late_workers(self) -> None:
        now = self._looked = time.monotonic()
        for deadline, talk, words in self._late():
            if deadline <= now:
                self._end(talk, words)
        for talk in self._workers.values():
            if talk.verdict is None and talk.process.started and (talk.asked or not talk.ready) and self._idles(talk):
                words = f"did nothing for {self._patience:g} s" if talk.ready else "did not come up"
                self._end(talk, f"{words}: it hangs")

    def _idles(self, talk: Conversation) -> bool:
        """Whether a worker has used no processor time for longer than we have patience. Not, if it cannot be known."""
        now, used = time.monotonic(), talk.process.cpu_seconds()
        if used is None or talk.cpu is None or used - talk.cpu > STIRS:
            talk.cpu, talk.stirred = used, now
        return now - talk.stirred > self._patience

    def _end(self, talk: Conversation, why: str) -> None:
        talk.verdict = why
        talk.process.kill()

    def _log_path(self, number: int) -> Path:
        assert self._log_dir is not None
        return self._log_dir / f"worker-{number:02d}.log"


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
        config: `executable`, `timeout` and `device_type` count.
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
    ) as pool:
        if log_dir is not None:
            pool.log_to(Path(log_dir))
        yield pool
