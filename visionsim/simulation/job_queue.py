"""Who renders what next: events in, actions out. Plain data; no process, file or clock.

A job is a run of frames of one sequence. A worker that runs out of work takes a waiting job, of the scene it has
open if there is one; when none waits, it takes over half of what the busiest worker has left. So no worker idles
while frames remain, and scenes are opened as rarely as possible.

A worker is sent two frames ahead, and only while the writers keep up. The frame that a dying worker had in hand is
blamed: it is tried again when all else is under way, and set aside after `max_attempts`. Everything else it had is
simply requeued. Workers that die one after the other are replaced after growing pauses.

A worker whose memory grows is told to leave when it has done what it holds, and replaced; so is one that has rendered
a thousand frames.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from itertools import groupby

from visionsim.simulation.jobs import (
    Action,
    Answered,
    Event,
    Fail,
    Finish,
    FrameTask,
    Interrupted,
    Job,
    OpenTask,
    Refused,
    Retry,
    Send,
    StartWorker,
    StopWorker,
    Task,
    WorkerDied,
    WorkerLeft,
    WorkerReady,
    WriteFailed,
    Written,
)
from visionsim.simulation.protocol import ErrorKind

__all__ = ["JobQueue"]


class Status(Enum):
    """Life of a worker, as the queue sees it."""

    NEW = "started, has not said hello"
    READY = "has nothing to do"
    BUSY = "has tasks"
    LEAVING = "gets no more tasks, and is stopped when it has none"


@dataclass
class Worker:
    """What the queue knows of a worker."""

    status: Status = Status.NEW
    scene: str | None = None
    """The scene it has open."""
    sent: deque[Task] = field(default_factory=deque)
    """What it was asked for and has not answered, oldest first."""
    left: deque[FrameTask] = field(default_factory=deque)
    """The rest of its job."""
    rendered: int = 0
    """Frames, since it was started."""
    settled: list[int] = field(default_factory=list)
    """Bytes that it held after each of its first frames of the scene."""
    why_leaving: str = ""


SENT_AHEAD = 2
"""Tasks a worker holds at most: the one in hand, and the next so that it need not wait for us."""

UNWRITTEN_PER_WORKER = 3
"""Rendered frames that may wait for the writers before workers are held back."""

START_FAILURES, RESTART_FAILURES = 3, 10
"""Workers that may die one after the other before saying hello, until we stop trying; the second once any has."""

WRITE_FAILURES = 3
"""Frames that the file system may refuse one after the other, until nothing more is begun."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds before the second replacement in a row for workers that died with nothing done between; each further one
waits twice as long."""

GROWTH, SLACK = 1.08, 24 << 20
"""A worker may grow beyond its first frames by this factor, or by these bytes if that is more."""


@dataclass
class JobQueue:
    """All work, and who has it. Feed it events with `handle`, and do what it returns."""

    max_workers: int
    max_attempts: int = 3
    settled_frames: int = 50
    """Frames of a scene after which a worker has all in memory that it needs."""
    lifetime: int = 1000
    """Frames after which a worker is replaced in any case: it costs a thousandth, and no leak lives longer."""
    waiting: deque[Job] = field(default_factory=deque)
    workers: dict[int, Worker] = field(default_factory=dict)
    unwritten: int = 0
    attempts: Counter[Task] = field(default_factory=Counter)
    failed_scenes: set[str] = field(default_factory=set)
    ever_ready: bool = False
    """Whether any worker has said hello."""
    start_failures: int = 0
    start_failure: str = ""
    """What became of the last of them."""
    write_failures: int = 0
    deaths: int = 0
    """Workers that died since something was last done."""
    started: int = 0
    """Workers started so far; also the number of the next."""
    stopping: bool = False

    @property
    def finished(self) -> bool:
        """Nothing waits, nothing is in hand, nothing is unwritten."""
        return not (self.waiting or self.unwritten or any(w.sent or w.left for w in self.workers.values()))

    def start(self, count: int) -> list[Action]:
        """Start up to `count` workers before there is work for them."""
        return self._start(min(count, self.max_workers) - len(self.workers))

    def forget_scenes(self) -> None:
        """Have every worker open its scene again before it does anything else, also those that failed."""
        self.failed_scenes.clear()
        for worker in self.workers.values():
            worker.scene = None

    def add(self, jobs: Iterable[Job]) -> list[Action]:
        """Take on more work; nothing once the user wants to stop."""
        if not self.stopping:
            self.waiting.extend(jobs)
        return self._proceed()

    def handle(self, event: Event) -> list[Action]:
        """What follows from an event."""
        match event:
            case WorkerReady(number):
                self.start_failures = 0
                self.ever_ready = True
                self.workers[number].status = Status.READY
                return self._proceed()
            case WorkerDied(number, reason):
                return self._worker_died(self.workers.pop(number), reason)
            case WorkerLeft(number):
                del self.workers[number]
                return self._proceed()
            case Answered(number, task, memory):
                return self._answered(self.workers[number], task, memory)
            case Refused(number, task, kind, message):
                return self._refused(self.workers[number], task, kind, message)
            case Written(task):
                self.unwritten -= 1
                self.write_failures = 0
                return [Finish(task), *self._proceed()]
            case WriteFailed(task, message, blame):
                self.unwritten -= 1
                self.write_failures += blame == "disk"
                actions: list[Action] = [Fail(task, "scene" if blame == "scene" else "frame", message)]
                # What is wrong with one frame says nothing about the next; what is wrong with the disk does.
                if blame == "full disk" or self.write_failures >= WRITE_FAILURES:
                    actions += self._give_up(f"not begun, because nothing can be written any more: {message}")
                return actions + self._proceed()
            case Interrupted():
                self.stopping = True
                self.waiting.clear()
                for worker in self.workers.values():
                    worker.left.clear()
                return []

    def _answered(self, worker: Worker, task: Task, memory: int) -> list[Action]:
        assert worker.sent.popleft() == task
        self.deaths = 0
        if isinstance(task, OpenTask):
            worker.scene = task.scene
            worker.settled.clear()
            self.attempts.pop(task, None)  # It can be opened; in a long run many a worker may die over it.
            return [Finish(task), *self._proceed()]
        self.unwritten += 1
        worker.rendered += 1
        worker.why_leaving = worker.why_leaving or self._why_replace(worker, memory)
        if len(worker.settled) < self.settled_frames:
            worker.settled.append(memory)
        if worker.why_leaving:
            worker.status = Status.LEAVING
            self._requeue([*worker.left])
            worker.left.clear()
        return self._proceed()

    def _refused(self, worker: Worker, task: Task, kind: ErrorKind, message: str) -> list[Action]:
        assert worker.sent.popleft() == task
        if isinstance(task, OpenTask):
            worker.scene = None  # What is open now, if anything, is not what we asked for.
            # The file is to blame; anything else may be the machine's mood (memory, a file system that stalls).
            again = kind == "frame" and self._may_retry(task)
            if not again:
                return [*self._fail_scene(task, kind, message), *self._proceed()]
            self._requeue([*worker.left])
            worker.left.clear()
            return [*self._try_again(task, message), *self._proceed()]
        if kind == "frame" and self._may_retry(task):
            return [*self._try_again(task, message), *self._proceed()]
        return [Fail(task, kind, message), *self._proceed()]

    def _worker_died(self, worker: Worker, reason: str) -> list[Action]:
        if worker.status is Status.NEW:
            self.start_failures += 1
            self.start_failure = reason
        self.deaths += 1
        blamed = worker.sent.popleft() if worker.sent else None
        self._requeue([task for task in (*worker.sent, *worker.left) if isinstance(task, FrameTask)])
        actions: list[Action] = []
        if blamed is not None and self._may_retry(blamed):
            actions = self._try_again(blamed, reason)
        elif isinstance(blamed, OpenTask):
            message = f"the file is damaged, or was saved by a newer Blender: opening it, {self._in_attempts(reason)}"
            actions = self._fail_scene(blamed, "scene", message, set_aside=True)
        elif blamed is not None:
            actions = [Fail(blamed, "frame", self._in_attempts(reason), set_aside=True)]
        return actions + self._proceed()

    def _in_attempts(self, reason: str) -> str:
        return f"in {self.max_attempts} attempts Blender {reason}"

    def _why_replace(self, worker: Worker, memory: int) -> str:
        """Why a worker that holds so many bytes after a frame is to be replaced, in words; empty if it is not."""
        if worker.rendered >= self.lifetime:
            return f"has rendered {worker.rendered} frames"
        before = max(worker.settled, default=0)
        if len(worker.settled) < self.settled_frames or memory <= max(GROWTH * before, before + SLACK) or not before:
            return ""
        return f"grew from {before >> 20} MiB to {memory >> 20} MiB"

    @property
    def _cannot_start(self) -> bool:
        return self.start_failures >= (RESTART_FAILURES if self.ever_ready else START_FAILURES)

    def _may_retry(self, task: Task) -> bool:
        self.attempts[task] += 1
        return self.attempts[task] < self.max_attempts

    def _try_again(self, task: Task, reason: str) -> list[Action]:
        """See to it that a task is done after all, unless we are stopping or its scene has failed.

        A frame goes behind all others. A scene is opened first of all, or by whoever is going to anyway.
        """
        if self.stopping or task.scene in self.failed_scenes:
            return []
        if isinstance(task, FrameTask):
            self.waiting.append(Job(task.scene, task.sequence, (task.frame,)))
        elif all(job.scene != task.scene for job in self.waiting):
            self.waiting.appendleft(Job(task.scene))
        return [Retry(task, reason)]

    def _requeue(self, tasks: list[FrameTask]) -> None:
        """Put frames back where they are taken next, unless we are stopping or their scene has failed."""
        kept = [] if self.stopping else [task for task in tasks if task.scene not in self.failed_scenes]
        runs = [(key, list(run)) for key, run in groupby(kept, key=lambda task: (task.scene, task.sequence))]
        self.waiting.extendleft(
            Job(scene, sequence, tuple(task.frame for task in run)) for (scene, sequence), run in reversed(runs)
        )

    def _fail_scene(self, task: OpenTask, kind: ErrorKind, message: str, *, set_aside: bool = False) -> list[Action]:
        if task.scene in self.failed_scenes:
            return []  # Another worker could not open it either.
        self.failed_scenes.add(task.scene)
        self.waiting = deque(job for job in self.waiting if job.scene != task.scene)
        for worker in self.workers.values():
            worker.left = deque(other for other in worker.left if other.scene != task.scene)
        return [Fail(task, kind, message, set_aside)]

    def _give_up(self, reason: str) -> list[Action]:
        """Fail all that has not begun."""
        scenes = {job.scene for job in self.waiting if not job.frames}
        frames = [FrameTask(job.scene, job.sequence, frame) for job in self.waiting for frame in job.frames]
        frames += [task for worker in self.workers.values() for task in worker.left]
        self.waiting.clear()
        for worker in self.workers.values():
            worker.left.clear()
        return [
            *(Fail(OpenTask(scene), "frame", reason) for scene in sorted(scenes)),
            *(Fail(task, "frame", reason) for task in frames),
        ]

    def _proceed(self) -> list[Action]:
        """Hand out work, stop workers that are to leave, and start some for what is left over."""
        actions: list[Action] = []
        for depth in range(1, SENT_AHEAD + 1):
            for number, worker in self.workers.items():
                # Nothing is sent ahead that another worker could begin at once.
                if worker.status in (Status.READY, Status.BUSY) and (depth == 1 or self._unsent() >= len(self.workers)):
                    actions += self._feed(number, worker, depth)
        for number, worker in self.workers.items():
            if worker.status in (Status.READY, Status.BUSY):
                worker.status = Status.BUSY if worker.sent else Status.READY
            elif worker.status is Status.LEAVING and worker.why_leaving and not worker.sent:
                actions.append(StopWorker(number, worker.why_leaving))
                worker.why_leaving = ""  # Told once.
        if not self._cannot_start:
            idle = sum(worker.status in (Status.NEW, Status.READY) for worker in self.workers.values())
            actions += self._start(min(self.max_workers - len(self.workers), self._shares() - idle))
        elif not self.workers:
            actions += self._give_up(f"no Blender process can be started: the last one {self.start_failure}")
        return actions

    def _start(self, count: int) -> list[Action]:
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (min(self.deaths, 64) - 2)) if self.deaths >= 2 else 0.0
        actions: list[Action] = []
        for _ in range(count):
            self.workers[self.started] = Worker()
            actions.append(StartWorker(self.started, pause))
            self.started += 1
        return actions

    def _unsent(self) -> int:
        """Frames that no worker was asked for yet."""
        return sum(len(job.frames) for job in self.waiting) + sum(len(w.left) for w in self.workers.values())

    def _shares(self) -> int:
        """How many more workers could have something to do."""
        split = sum(len(worker.left) // 2 for worker in self.workers.values())
        return split + sum(max(1, len(job.frames)) for job in self.waiting)

    def _feed(self, number: int, worker: Worker, depth: int) -> list[Action]:
        """Send tasks until the worker holds `depth` of them."""
        actions: list[Action] = []
        while len(worker.sent) < depth:
            if worker.sent and isinstance(worker.sent[0], OpenTask):
                break  # Whether frames can follow depends on its answer.
            if self.unwritten >= UNWRITTEN_PER_WORKER * self.max_workers:
                break
            if not worker.left and not self._take_job(worker):
                break
            task: Task = OpenTask(worker.left[0].scene) if worker.left else OpenTask(self.waiting.popleft().scene)
            if worker.left and worker.left[0].scene == worker.scene:
                task = worker.left.popleft()
            elif worker.sent:
                break  # It still has frames of the scene it would have to close.
            worker.sent.append(task)
            actions.append(Send(number, task))
        return actions

    def _take_job(self, worker: Worker) -> bool:
        """Give a worker a job, or half of another's; True if there is something to do now.

        A job without frames stays at the head of `waiting` for the caller to take.
        """
        if self.waiting:
            # Where frames wait for their scene, that scene is what the worker is about to open.
            elsewhere = {
                other.left[0].scene if other.left else other.scene
                for other in self.workers.values()
                if other is not worker
            }
            ranked = sorted(
                range(len(self.waiting)),
                key=lambda i: (self.waiting[i].scene != worker.scene, self.waiting[i].scene in elsewhere),
            )
            job = self.waiting[ranked[0]]
            if not job.frames:
                if worker.sent:
                    return False
                self.waiting.remove(job)
                self.waiting.appendleft(job)
                return True
            self.waiting.remove(job)
            worker.left.extend(FrameTask(job.scene, job.sequence, frame) for frame in job.frames)
            return True
        if worker.sent:
            return False
        richest = max(
            self.workers.values(),
            key=lambda other: (len(other.left), bool(other.left) and other.left[0].scene == worker.scene),
        )
        # One frame is worth taking only from a scene that is open here.
        fewest = 1 if richest.left and richest.left[0].scene == worker.scene else 2
        if len(richest.left) < fewest:
            return False
        kept = len(richest.left) // 2
        worker.left.extend(list(richest.left)[kept:])
        richest.left = deque(list(richest.left)[:kept])
        return True
