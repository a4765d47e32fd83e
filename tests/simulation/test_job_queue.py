"""The queue: what it does about each event, and what holds whatever the order of events."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visionsim.simulation.job_queue import (
    RESTART_FAILURES,
    SENT_AHEAD,
    START_FAILURES,
    UNWRITTEN_PER_WORKER,
    WRITE_FAILURES,
    JobQueue,
)
from visionsim.simulation.jobs import (
    Answered,
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
    WorkerDied,
    WorkerLeft,
    WorkerReady,
    WriteBlame,
    WriteFailed,
    Written,
)

HUGE = 1 << 40
"""Bytes of memory with which a worker is replaced, if it had less before."""


@dataclass
class ModelWorker:
    """A worker as it really is; the queue only knows what events told it."""

    ready: bool = False
    scene: str | None = None
    sent: deque = field(default_factory=deque)
    memory: int = 0
    leaving: bool = False


class Model:
    """The world around a queue: carries out its actions, offers the events that can come next, checks every step."""

    def __init__(self, max_workers: int = 2, max_attempts: int = 3, **more: int) -> None:
        self.queue = JobQueue(max_workers, max_attempts, **more)
        self.workers: dict[int, ModelWorker] = {}
        self.rendered: list[FrameTask] = []
        """Answered, and not yet written or failed."""
        self.added: dict[FrameTask, None] = {}
        self.ended: dict[FrameTask, str] = {}
        self.failed_scenes: list[str] = []
        self.opened: list[str] = []
        self.failures: list[Fail] = []
        self.blames: Counter = Counter()
        self.numbers: set[int] = set()
        self.interrupted = False
        self.hopeless = False
        self.retries: list[Retry] = []
        self.stops: list[StopWorker] = []

    # What happens to the queue.

    def add(self, *jobs: Job) -> list:
        if not self.interrupted:
            self.added |= {FrameTask(job.scene, job.sequence, frame): None for job in jobs for frame in job.frames}
        return self.act(self.queue.add(jobs))

    def ready(self, number: int) -> list:
        self.workers[number].ready = True
        return self.act(self.queue.handle(WorkerReady(number)))

    def die(self, number: int, reason: str = "was killed by SIGKILL") -> list:
        worker = self.workers.pop(number)
        if worker.sent:
            self.blames[worker.sent[0]] += 1
        return self.act(self.queue.handle(WorkerDied(number, reason)))

    def leave(self, number: int) -> list:
        assert not self.workers.pop(number).sent
        return self.act(self.queue.handle(WorkerLeft(number)))

    def answer(self, number: int, memory: int = 0) -> list:
        worker = self.workers[number]
        task = worker.sent.popleft()
        if isinstance(task, OpenTask):
            worker.scene = task.scene
        else:
            assert worker.scene == task.scene, "the worker renders another scene than it was asked for"
            self.rendered.append(task)
        return self.act(self.queue.handle(Answered(number, task, memory)))

    def refuse(self, number: int, kind: str = "frame", message: str = "out of memory") -> list:
        worker = self.workers[number]
        task = worker.sent.popleft()
        if isinstance(task, OpenTask):
            worker.scene = None
        if kind == "frame":
            self.blames[task] += 1
        return self.act(self.queue.handle(Refused(number, task, kind, message)))

    def written(self, index: int = 0) -> list:
        return self.act(self.queue.handle(Written(self.rendered.pop(index))))

    def write_failed(self, index: int = 0, blame: WriteBlame = "disk") -> list:
        failed = WriteFailed(self.rendered.pop(index), "No space left on device", blame)
        return self.act(self.queue.handle(failed))

    def interrupt(self) -> list:
        self.interrupted = True
        return self.act(self.queue.handle(Interrupted()))

    # What the queue does, checked.

    def act(self, actions: list) -> list:
        for action in actions:
            match action:
                case StartWorker(number):
                    self._start(number)
                case StopWorker(number):
                    worker = self.workers[number]
                    assert worker.ready and not worker.sent and not worker.leaving
                    worker.leaving = True
                    self.stops.append(action)
                case Retry():
                    assert not self.interrupted
                    self.retries.append(action)
                case Send(number, task):
                    self._send(number, task)
                case Finish(task):
                    self._end(task, "done")
                case Fail(task):
                    self.failures.append(action)
                    self._end(task, "failed")
        self.check()
        return actions

    def _start(self, number: int) -> None:
        assert not self.interrupted, "a worker is started after the user wanted to stop"
        assert number not in self.numbers, "a worker's number is used twice"
        self.numbers.add(number)
        self.workers[number] = ModelWorker()
        assert len(self.workers) <= self.queue.max_workers

    def _send(self, number: int, task) -> None:
        assert number in self.workers, f"sent to worker {number}, which is dead"
        worker = self.workers[number]
        assert worker.ready, f"sent to worker {number} before it said hello"
        assert not worker.leaving, f"sent to worker {number}, which was told to leave"
        assert not self.interrupted, f"{task} is begun after the user wanted to stop"
        assert task.scene not in self.failed_scenes, f"{task} is begun after its scene was given up"
        assert len(self.rendered) < UNWRITTEN_PER_WORKER * self.queue.max_workers, "sent while the writers are behind"
        if isinstance(task, OpenTask):
            assert not worker.sent, "a scene is opened under frames that are still to be rendered"
            self.opened.append(task.scene)
        else:
            assert not any(isinstance(sent, OpenTask) for sent in worker.sent)
            assert worker.scene == task.scene, f"{task} sent to a worker that has {worker.scene} open"
            assert self.is_pending(task), f"{task} is sent though it is in hand elsewhere, or has ended"
        worker.sent.append(task)
        assert len(worker.sent) <= SENT_AHEAD

    def _end(self, task, how: str) -> None:
        if isinstance(task, OpenTask):
            if how == "failed":
                assert task.scene not in self.failed_scenes, "a scene is reported as failed twice"
                self.failed_scenes.append(task.scene)
            return
        assert task not in self.ended, f"{task} is {how}, and was {self.ended[task]} before"
        assert task not in self.in_hand, f"{task} is {how} and still in hand"
        self.ended[task] = how

    @property
    def in_hand(self) -> set[FrameTask]:
        sent = {task for worker in self.workers.values() for task in worker.sent if isinstance(task, FrameTask)}
        return sent.union(self.rendered)

    def is_pending(self, task: FrameTask) -> bool:
        """Nobody has begun the frame, and it has not ended."""
        return task not in self.ended and task not in self.in_hand and task in self.added

    @property
    def pending(self) -> list[FrameTask]:
        """All such frames."""
        begun = self.in_hand.union(self.ended)
        return [task for task in self.added if task not in begun]

    def check(self) -> None:
        """What holds after every event."""
        pending = []
        for frame in self.pending:
            if frame.scene in self.failed_scenes:  # Also those that come back from a worker that had it open.
                self.ended[frame] = "failed with its scene"
            else:
                pending.append(frame)
        assert self.queue.unwritten == len(self.rendered)
        idle = [w for w in self.workers.values() if w.ready and not w.sent and not w.leaving]
        busy = [worker for worker in self.workers.values() if worker.sent]
        outstanding = (
            busy or self.rendered or any(not worker.ready or worker.leaving for worker in self.workers.values())
        )
        assert self.queue.finished or outstanding, "nothing can happen any more, and there is work left"
        if not self.interrupted:
            assert not (self.queue.finished and pending), "finished, with frames left"
        keeping_up = len(self.rendered) < UNWRITTEN_PER_WORKER * self.queue.max_workers
        if idle and keeping_up and not self.interrupted:
            # One frame is not worth opening a scene for: each busy worker may keep one, of a scene that is not open
            # at the idle one. Whatever is beyond that, an idle worker must have been given.
            assert len(pending) <= len(busy), "a worker idles while there are frames to take"
            for worker in idle:
                assert not any(task.scene == worker.scene for task in pending), "... of the scene it has open"
        for task, count in self.blames.items():
            allowed = self.queue.max_attempts + (self.queue.max_workers - 1) * isinstance(task, OpenTask)
            assert count <= allowed, f"{task} was tried {count} times"

    # All that can happen next.

    def possible(self, deaths: bool = True) -> list:
        """Calls, in a fixed order. Deaths are rarer than answers, or nothing would ever be rendered."""
        events: list = []
        for number, worker in self.workers.items():
            if not worker.ready:
                events += [(self.ready, number)] * 3
            elif worker.leaving:
                events += [(self.leave, number)] * 3
            elif worker.sent:
                # Scenes are opened far less often than frames are rendered: let it go wrong more often.
                events += [(self.answer, number)] * (3 if isinstance(worker.sent[0], OpenTask) else 6)
                events += [(self.answer, number, HUGE)]
                events += [(self.refuse, number, kind) for kind in ("frame", "frame", "scene", "request")]
            if deaths:
                events += [(self.die, number)] * 2
        for index in range(len(self.rendered)):
            events += [(self.written, index)] * 2
            events += [(self.write_failed, index, blame) for blame in ("frame", "scene", "disk")] * (index == 0)
        return events

    def finish(self) -> None:
        """Let all go well from here on: in each round every worker gets one thing done, and so do the writers."""
        for _ in range(20 * (len(self.added) + len(self.opened) + 10)):
            if self.queue.finished:
                return
            for number in list(self.workers):
                if not self.workers[number].ready:
                    self.ready(number)
                elif self.workers[number].leaving:
                    self.leave(number)
                elif self.workers[number].sent:
                    self.answer(number)
            for _ in range(len(self.rendered)):
                self.written()
        raise AssertionError("the queue never comes to an end")


def frames(scene: str, *numbers: int, sequence: str = "s") -> Job:
    return Job(scene, sequence, numbers)


def one_worker(*jobs: Job, **arguments) -> Model:
    """A model whose only worker is ready; its first task is in hand."""
    model = Model(max_workers=1, **arguments)
    model.add(*jobs)
    model.ready(0)
    return model


# Examples: the ordinary course.


def test_add_starts_no_more_workers_than_allowed():
    model = Model(max_workers=3)
    assert model.add(frames("a", *range(100))) == [StartWorker(0), StartWorker(1), StartWorker(2)]


def test_add_starts_no_more_workers_than_there_are_frames():
    model = Model(max_workers=8)
    assert model.add(frames("a", 1, 2)) == [StartWorker(0), StartWorker(1)]


def test_add_without_jobs_is_finished_and_starts_nothing():
    model = Model()
    assert model.add() == []
    assert model.queue.finished


def test_start_ahead_counts_against_the_limit():
    model = Model(max_workers=2)
    assert model.act(model.queue.start(5)) == [StartWorker(0), StartWorker(1)]
    assert model.add(frames("a", 1, 2, 3, 4, 5)) == []


def test_ready_worker_opens_the_scene_before_any_frame():
    model = Model(max_workers=1)
    model.add(frames("a", 1, 2))
    assert model.ready(0) == [Send(0, OpenTask("a"))]


def test_opened_scene_is_reported_and_two_frames_are_sent():
    model = one_worker(frames("a", 1, 2, 3))
    actions = model.answer(0)
    assert actions == [Finish(OpenTask("a")), Send(0, FrameTask("a", "s", 1)), Send(0, FrameTask("a", "s", 2))]


def test_frames_are_rendered_in_order():
    model = one_worker(frames("a", 5, 6, 7, 8), frames("a", 1, 2, sequence="t"))
    model.finish()
    assert [task.frame for task in model.ended] == [5, 6, 7, 8, 1, 2]


def test_rendered_frame_is_done_only_when_it_is_written():
    model = one_worker(frames("a", 1))
    model.answer(0)
    assert model.answer(0) == []
    assert not model.queue.finished
    assert model.written() == [Finish(FrameTask("a", "s", 1))]
    assert model.queue.finished


def test_job_without_frames_only_opens_the_scene():
    model = one_worker(Job("a"), Job("b"))
    assert model.answer(0) == [Finish(OpenTask("a")), Send(0, OpenTask("b"))]
    assert model.answer(0) == [Finish(OpenTask("b"))]
    assert model.queue.finished


def test_scene_that_is_open_is_not_opened_again():
    model = one_worker(Job("a"))
    model.answer(0)
    assert model.add(frames("a", 1)) == [Send(0, FrameTask("a", "s", 1))]


def test_two_scenes_with_two_workers_are_opened_once_each():
    model = Model(max_workers=2)
    model.add(frames("a", *range(10)), frames("b", *range(10)))
    model.finish()
    assert sorted(model.opened) == ["a", "b"]


def test_scenes_opened_for_the_plan_stay_with_their_workers():
    model = Model(max_workers=2)
    model.add(Job("a"), Job("b"))
    model.finish()
    # In the other order: each worker must look for its scene, not take the first job.
    model.add(*(frames(scene, *range(6), sequence=sequence) for sequence in "st" for scene in "ba"))
    model.finish()
    assert sorted(model.opened) == ["a", "b"]


def test_idle_worker_takes_half_of_what_the_busiest_has_left():
    model = Model(max_workers=2)
    model.add(frames("a", *range(10)))
    model.ready(0)
    model.answer(0)
    model.ready(1)
    model.answer(1)
    model.finish()
    assert set(model.ended.values()) == {"done"} and len(model.ended) == 10
    assert model.opened == ["a", "a"]


def test_last_frames_are_not_hoarded_by_a_worker_that_is_busy():
    model = Model(max_workers=2)
    model.add(Job("a"), Job("a"))
    for step in (model.ready, model.answer):
        for number in (0, 1):
            step(number)
    model.add(frames("a", 1, 2, 3))
    assert [len(worker.sent) for worker in model.workers.values()] == [1, 1]  # Whoever is first takes the third.


def test_sends_stop_while_writers_stall_and_go_on_when_they_catch_up():
    model = one_worker(frames("a", *range(20)))
    while model.workers[0].sent:
        model.answer(0)
    held = len(model.rendered)
    assert UNWRITTEN_PER_WORKER <= held < UNWRITTEN_PER_WORKER + SENT_AHEAD
    resumed = [action for _ in range(held) for action in model.written() if isinstance(action, Send)]
    assert resumed
    model.finish()


# Examples: refusals.


def test_refused_frame_is_tried_again_then_given_up():
    model = one_worker(frames("a", 1), max_attempts=2)
    model.answer(0)
    task = FrameTask("a", "s", 1)
    assert model.refuse(0, message="no memory") == [Retry(task, "no memory"), Send(0, task)]
    assert model.refuse(0, message="no memory") == [Fail(FrameTask("a", "s", 1), "frame", "no memory")]
    assert model.queue.finished


@pytest.mark.parametrize("kind", ["scene", "request"])
def test_frame_refused_for_what_cannot_change_is_given_up_at_once(kind):
    model = one_worker(frames("a", 1, 2))
    model.answer(0)
    assert model.refuse(0, kind, "the camera is gone")[0] == Fail(FrameTask("a", "s", 1), kind, "the camera is gone")
    model.finish()
    assert model.ended[FrameTask("a", "s", 2)] == "done"


@pytest.mark.parametrize("kind", ["scene", "request"])
def test_scene_that_cannot_be_opened_fails_once_and_takes_its_frames_along(kind):
    model = one_worker(frames("a", 1, 2), frames("a", 1, sequence="t"), frames("b", 1))
    actions = model.refuse(0, kind, "not a blend file")
    assert actions == [Fail(OpenTask("a"), kind, "not a blend file"), Send(0, OpenTask("b"))]
    model.finish()
    assert Counter(model.ended.values()) == {"failed with its scene": 3, "done": 1}


def test_scene_refused_for_the_moment_is_opened_again():
    model = one_worker(frames("a", 1, 2))
    again = [Retry(OpenTask("a"), "stale file handle"), Send(0, OpenTask("a"))]
    assert model.refuse(0, "frame", "stale file handle") == again
    model.finish()
    assert set(model.ended.values()) == {"done"}


def test_scene_refused_for_the_moment_is_given_up_after_max_attempts():
    model = one_worker(Job("a"), max_attempts=3)
    again = [Retry(OpenTask("a"), "out of memory"), Send(0, OpenTask("a"))]
    assert model.refuse(0) == again
    assert model.refuse(0) == again
    assert model.refuse(0) == [Fail(OpenTask("a"), "frame", "out of memory")]


def test_scene_that_was_open_before_a_refused_one_is_opened_again():
    # Half of the refused file may be loaded by now: nothing can be said about what is open.
    model = one_worker(Job("b"))
    model.answer(0)
    model.add(Job("a"))
    model.refuse(0, "scene")
    assert model.add(frames("b", 1)) == [Send(0, OpenTask("b"))]


# Examples: deaths.


def test_dead_workers_frames_go_to_another_one():
    model = Model(max_workers=2)
    model.add(frames("a", *range(8)))
    for number in (0, 1):
        model.ready(number)
        model.answer(number)
    model.die(0)
    while 1 in model.workers and not model.queue.finished:
        if model.workers[1].sent:
            model.answer(1)
        else:
            model.written()
    assert sorted(task.frame for task in model.ended) == list(range(8))
    assert set(model.ended.values()) == {"done"}


def test_dead_worker_is_replaced():
    model = one_worker(frames("a", 1))
    assert model.die(0) == [Retry(OpenTask("a"), "was killed by SIGKILL"), StartWorker(1)]


def test_replacements_wait_longer_and_longer_until_something_is_done():
    model = Model(max_workers=1, max_attempts=99)
    model.add(frames("a", 1, 2, 3))
    pauses = []
    for number in range(12):
        model.ready(number)
        if number == 10:
            model.answer(number)
        pauses += [action.pause for action in model.die(number) if isinstance(action, StartWorker)]
    assert pauses == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 0.0, 0.5]


def test_dead_worker_is_not_replaced_when_nothing_is_left():
    model = one_worker(Job("a"))
    model.answer(0)
    assert model.die(0) == []
    assert model.queue.finished


def test_only_the_frame_in_hand_is_blamed_for_a_death():
    model = one_worker(frames("a", 1, 2), max_attempts=1)
    model.answer(0)
    actions = model.die(0, "was killed by SIGSEGV")
    assert [(a.task.frame, a.kind) for a in actions if isinstance(a, Fail)] == [(1, "frame")]
    assert "SIGSEGV" in actions[0].message
    model.finish()
    assert model.ended[FrameTask("a", "s", 2)] == "done"


def test_frame_that_kills_every_worker_is_set_aside_when_all_others_are_done():
    model = one_worker(frames("a", 1, 2, 3), max_attempts=3)
    number = 0
    while not model.queue.finished:
        if not model.workers[number].ready:
            model.ready(number)
        if model.workers[number].sent[0] == FrameTask("a", "s", 1):
            model.die(number, "was killed by SIGSEGV")
            number += 1
            continue
        model.answer(number)
        while model.rendered:
            model.written()
    assert list(model.ended.items()) == [
        (FrameTask("a", "s", 2), "done"), (FrameTask("a", "s", 3), "done"), (FrameTask("a", "s", 1), "failed"),
    ]  # fmt: skip
    (fail,) = model.failures
    assert fail.set_aside and "3 attempts" in fail.message and "SIGSEGV" in fail.message
    assert [retry.task.frame for retry in model.retries] == [1, 1]


# Examples: workers that are replaced.

MIB = 1 << 20


def render(model: Model, number: int, memory: int) -> list:
    return model.answer(number, memory) + [action for _ in range(len(model.rendered)) for action in model.written()]


def test_worker_that_grows_is_replaced_when_it_has_done_what_it_holds():
    model = one_worker(frames("a", *range(20)), settled_frames=5)
    model.answer(0)
    for frame in range(5):
        render(model, 0, (1000 + frame) * MIB)
    assert render(model, 0, 1084 * MIB) and not model.stops
    render(model, 0, 1085 * MIB)
    assert len(model.workers[0].sent) == 1 and not model.stops
    assert model.answer(0, 1085 * MIB) == [StopWorker(0, "grew from 1004 MiB to 1085 MiB")]
    assert model.leave(0) == [StartWorker(1)]
    model.finish()
    assert [task.frame for task in model.ended] == list(range(20)) and not model.failures


def test_small_workers_may_grow_by_some_megabytes():
    model = one_worker(frames("a", *range(20)), settled_frames=5)
    model.answer(0)
    for memory in [10] * 8 + [33] * 8:
        render(model, 0, memory * MIB)
    assert not model.stops


def test_worker_that_does_not_know_its_memory_stays():
    model = one_worker(frames("a", *range(20)), settled_frames=5)
    model.finish()
    assert not model.stops


def test_memory_is_compared_within_a_scene():
    model = one_worker(frames("a", *range(6)), frames("b", *range(6)), settled_frames=3)
    model.answer(0)
    while model.workers[0].sent:
        task = model.workers[0].sent[0]
        render(model, 0, (100 if task.scene == "a" else 900) * MIB)
    assert model.queue.finished and not model.stops


def test_worker_is_replaced_after_its_lifetime():
    model = one_worker(frames("a", *range(25)), lifetime=10)
    model.finish()
    assert [stop.worker for stop in model.stops] == [0, 1]
    assert "10 frames" in model.stops[0].reason


def test_scene_that_kills_every_worker_is_given_up_and_others_are_rendered():
    model = one_worker(frames("a", 1, 2), frames("b", 1), max_attempts=2)
    model.die(0)
    model.ready(1)
    model.die(1)
    assert model.failed_scenes == ["a"]
    model.finish()
    assert model.ended[FrameTask("b", "s", 1)] == "done"


def test_rendered_frame_of_a_dead_worker_is_still_written():
    model = one_worker(frames("a", 1))
    model.answer(0)
    model.answer(0)
    model.die(0)
    assert model.written() == [Finish(FrameTask("a", "s", 1))]


def test_workers_that_never_say_hello_fail_everything_with_the_reason():
    model = Model(max_workers=1)
    model.add(Job("z"), frames("a", 1, 2))
    for number in range(START_FAILURES):
        model.die(number, "exited with code 127")
    assert model.queue.finished
    assert set(model.ended) == {FrameTask("a", "s", 1), FrameTask("a", "s", 2)}
    assert "z" in model.failed_scenes
    assert all("exited with code 127" in fail.message for fail in model.failures)


def test_hello_resets_the_count_of_failed_starts():
    model = Model(max_workers=1)
    model.add(frames("a", 1))
    for number in range(2 * START_FAILURES):
        if number % START_FAILURES == START_FAILURES - 1:
            model.ready(number)
        model.die(number)
    assert not model.failures
    model.finish()


# Examples: writers.


def test_frame_that_cannot_be_written_fails_and_the_rest_goes_on():
    model = one_worker(frames("a", 1, 2))
    model.answer(0)
    model.answer(0)
    assert model.write_failed()[0] == Fail(FrameTask("a", "s", 1), "frame", "No space left on device")
    model.finish()
    assert model.ended[FrameTask("a", "s", 2)] == "done"


def test_full_disk_stops_the_run_instead_of_rendering_on():
    model = one_worker(frames("a", *range(50)))
    model.answer(0)
    for _ in range(WRITE_FAILURES):
        model.answer(0)
        model.write_failed()
    begun = len(model.in_hand)
    assert begun <= SENT_AHEAD
    model.finish()
    assert Counter(model.ended.values()) == {"failed": 50 - begun, "done": begun}


def test_frames_with_something_wrong_in_them_take_no_others_with_them():
    model = one_worker(frames("a", *range(4 * WRITE_FAILURES)), frames("b", 1))
    model.answer(0)
    for _ in range(2 * WRITE_FAILURES):
        model.answer(0)
        model.write_failed(blame="frame")
    model.finish()
    assert Counter(model.ended.values()) == {"failed": 2 * WRITE_FAILURES, "done": 2 * WRITE_FAILURES + 1}


def test_frames_with_something_wrong_in_them_do_not_count_for_the_disk():
    model = one_worker(frames("a", *range(50)))
    model.answer(0)
    for index in range(2 * WRITE_FAILURES - 1):
        model.answer(0)
        assert len(model.failures) == index
        model.write_failed(blame="disk" if index % 2 == 0 else "frame")
    assert len(model.failures) > 40 and all("not begun" in failure.message for failure in model.failures[-30:])


def test_hopeless_write_stops_the_run_at_once():
    model = one_worker(frames("a", *range(50)))
    model.answer(0)
    model.answer(0)
    model.write_failed(blame="full disk")
    begun = len(model.in_hand)
    assert begun <= SENT_AHEAD
    model.finish()
    assert Counter(model.ended.values()) == {"failed": 50 - begun, "done": begun}


def test_written_frame_resets_the_count_of_failed_writes():
    model = one_worker(frames("a", *range(2 * WRITE_FAILURES)))
    model.answer(0)
    for index in range(2 * WRITE_FAILURES):
        model.answer(0)
        model.written() if index % WRITE_FAILURES == 0 else model.write_failed()
    assert Counter(model.ended.values()) == {"done": 2, "failed": 2 * (WRITE_FAILURES - 1)}


# Examples: interruption.


def test_interrupt_finishes_what_is_in_hand_and_begins_nothing():
    model = one_worker(frames("a", *range(10)))
    model.answer(0)
    assert model.interrupt() == []
    model.answer(0)
    model.answer(0)
    model.finish()
    assert model.queue.finished
    assert sorted(task.frame for task in model.ended) == [0, 1]


def test_interrupt_before_any_worker_is_ready_finishes_at_once():
    model = Model()
    model.add(frames("a", 1, 2))
    model.interrupt()
    assert model.queue.finished
    assert model.ready(0) == []


def test_add_after_an_interrupt_takes_nothing_on():
    model = Model()
    model.interrupt()
    assert model.add(frames("a", 1)) == []
    assert model.queue.finished


def test_frame_that_is_refused_after_an_interrupt_is_not_tried_again():
    model = one_worker(frames("a", 1, 2, 3))
    model.answer(0)
    model.interrupt()
    model.refuse(0)
    model.die(0)
    assert model.queue.finished
    assert not model.ended


# Examples: what the simulation below finds only now and then.


def test_dead_last_worker_fails_the_rest_when_none_can_be_started():
    model = Model(max_workers=2, max_attempts=1)
    model.add(frames("a", 1), frames("b", 1))
    model.ready(0)
    for number in range(1, 1 + RESTART_FAILURES):
        model.die(number, "exited with code 127")
    model.die(0)
    assert model.queue.finished
    assert len(model.ended) == 2


def test_work_added_after_no_worker_could_be_started_fails_at_once():
    model = Model(max_workers=1)
    model.add(frames("a", 1))
    for number in range(START_FAILURES):
        model.die(number, "exited with code 127")
    model.add(frames("b", 1))
    assert model.queue.finished
    assert "code 127" in model.failures[-1].message


def test_workers_that_are_still_starting_are_waited_for():
    model = Model(max_workers=5)
    model.add(frames("a", *range(10)))
    for number in range(START_FAILURES):
        model.die(number)
    assert model.workers and not model.failures
    model.finish()
    assert set(model.ended.values()) == {"done"}


@pytest.mark.parametrize("event", ["refuse", "die"])
@pytest.mark.parametrize("job", [Job("a"), frames("a", 1, 2)], ids=["scene", "frames"])
def test_scene_that_goes_wrong_after_an_interrupt_is_not_opened_again(event, job):
    model = one_worker(job)
    model.interrupt()
    assert getattr(model, event)(0) == []
    assert model.queue.finished


@pytest.mark.parametrize("event", ["refuse", "die"])
def test_scene_that_failed_elsewhere_is_neither_opened_nor_reported_again(event):
    model = Model(max_workers=2)
    model.add(frames("a", *range(10)))
    for number in (0, 1):
        model.ready(number)
    model.refuse(0, "scene")
    assert getattr(model, event)(1) == []
    assert model.failed_scenes == ["a"] and model.queue.finished


def test_scene_refused_by_two_workers_is_reported_once():
    model = Model(max_workers=2)
    model.add(frames("a", *range(10)))
    for number in (0, 1):
        model.ready(number)
    model.refuse(0, "scene")
    model.refuse(1, "scene")
    assert model.failed_scenes == ["a"]


def test_last_frame_is_taken_by_the_worker_that_has_its_scene_open():
    model = Model(max_workers=3)
    model.add(Job("a"), Job("b"), Job("b"))
    for step in (model.ready, model.answer):
        for number in range(3):
            step(number)
    # Worker 0 keeps one frame of `a` back, worker 1 one of `b`; worker 2 has `b` open and nothing to do.
    model.add(frames("a", 1, 2, 3), frames("b", 1, 2, 3))
    model.finish()
    assert model.opened == ["a", "b", "b"]


def test_worker_that_joins_opens_the_scene_that_nobody_is_opening():
    model = Model(max_workers=2)
    model.add(*(frames(scene, *range(4), sequence=sequence) for scene in "ab" for sequence in "st"))
    model.finish()
    assert sorted(model.opened) == ["a", "b"]


# Whatever the order of events.

SCENES = "abc"


@st.composite
def job_lists(draw, prefix: str = "s") -> list[Job]:
    """Up to five jobs; no frame twice."""
    jobs = []
    for index in range(draw(st.integers(0, 5))):
        size = draw(st.integers(0, 9))
        jobs.append(Job(draw(st.sampled_from(SCENES)), f"{prefix}{index}", tuple(range(size))))
    return jobs


def play(model: Model, jobs: list[Job], more: list[Job], choices: list[int], interrupt_at: int | None) -> None:
    """Let the choices decide what happens; then let all go well until the end.

    `more` comes while the rest is going on, but for scenes that have failed: nobody adds to those.
    """
    more = list(more)
    model.add(*jobs)
    for step, choice in enumerate(choices):
        if step == interrupt_at:
            model.interrupt()
        if more and step % 7 == 3:
            add(model, more.pop())
        events = model.possible()
        if events:
            call, *arguments = events[choice % len(events)]
            call(*arguments)
    for job in more:
        add(model, job)
    model.finish()


def add(model: Model, job: Job) -> None:
    if job.scene not in model.failed_scenes:
        model.add(job)


CHOICES = st.lists(st.integers(0, 999), max_size=80)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.integers(1, 4), st.integers(1, 3), job_lists(), job_lists("more"), CHOICES)
def test_every_frame_ends_exactly_once_whatever_happens(max_workers, max_attempts, jobs, more, choices):
    model = Model(max_workers, max_attempts, settled_frames=2, lifetime=6)
    play(model, jobs, more, choices, None)
    assert set(model.ended) == set(model.added)
    assert not model.in_hand


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.integers(1, 4), st.integers(1, 3), job_lists(), job_lists("more"), CHOICES, st.integers(0, 40))
def test_interrupt_at_any_moment_begins_nothing_and_ends(max_workers, max_attempts, jobs, more, choices, moment):
    model = Model(max_workers, max_attempts, settled_frames=2, lifetime=6)
    play(model, jobs, more, choices, moment)
    assert model.queue.finished
    assert not model.in_hand


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 5), job_lists(), st.lists(st.integers(0, 999), max_size=200))
def test_nothing_fails_when_nothing_goes_wrong(max_workers, jobs, choices):
    model = Model(max_workers)
    model.add(*jobs)
    for choice in choices:
        calm = [event for event in model.possible(deaths=False) if event[0].__name__ in {"ready", "answer", "written"}]
        if calm:
            call, *arguments = calm[choice % len(calm)]
            call(*arguments)
    model.finish()
    assert not model.failures
    assert set(model.ended.values()) <= {"done"} and set(model.ended) == set(model.added)
