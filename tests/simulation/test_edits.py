"""What a script did, and what workers have of it: nothing is rendered that its fingerprint does not describe."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visionsim.errors import ConfigError, SceneError, ScriptError, VisionsimError, WorkerCrashed
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.editor import Edits, FramesRequest, ScriptRun
from visionsim.simulation.job_queue import JobQueue
from visionsim.simulation.jobs import (
    Answered,
    Fail,
    Finish,
    FrameTask,
    Job,
    OpenTask,
    Refused,
    Send,
    StartWorker,
    StopWorker,
    WorkerDied,
    WorkerReady,
    Written,
)
from visionsim.simulation.plan import SceneFile
from visionsim.simulation.session import Session, State

UNKNOWN = "something that an exception left half done"


@dataclass
class ModelWorker:
    """A worker as it really is; the parent only knows what it answered."""

    ready: bool = False
    settings: str = ""
    scene: list[str] | None = None
    """The steps in the scene that it has open, in order; None if none is open."""
    sent: deque = field(default_factory=deque)

    def perform(self, request: dict[str, Any], fail_at: int | None = None) -> dict[str, Any] | None:
        """What `Service.perform` does; None if an exception that nobody foresaw ends it before a step."""
        done, wanted = self.scene or [], json.dumps(request["settings"], sort_keys=True)
        if request["reset"] or wanted != self.settings:
            self.scene = [] if request["reset"] else [*done]
            self.settings = wanted
        assert self.scene is not None, "steps are done to a scene that is not open"
        for index, step in enumerate(request["edits"]):
            if index == fail_at:
                self.scene.append(UNKNOWN)
                return None
            self.scene.append(json.dumps(step, sort_keys=True))
        if fail_at is not None:
            self.scene.append(UNKNOWN)
            return None
        return {"value": shown(self.scene), "mark": request["mark"]}


def shown(steps: list[str]) -> list[str]:
    """What steps make of a scene, in a form that can be compared: a pose replaces the one just before it."""
    kept: list[str] = []
    for step in steps:
        if kept and "pose_camera" in step and "pose_camera" in kept[-1]:
            kept.pop()
        kept.append(step)
    return kept


class World:
    """Stands in for the pool: the real queue, and workers to which anything may happen."""

    usable = True

    def __init__(self, choose: Any) -> None:
        self.queue = JobQueue(max_workers=3)
        self.workers: dict[int, ModelWorker] = {}
        self.choose = choose
        self.rendered: list[tuple[int, list[str]]] = []
        """Frame, and what the worker's scene really was."""
        self.unwritten: list[FrameTask] = []

    def reopen(self) -> None:
        self.queue.forget_scenes()

    def run(self, jobs: list[Job], client: Any) -> bool:
        self.client = client
        self.act(self.queue.add(jobs))
        while not self.queue.finished:
            event, *arguments = self.choose(self.possible())
            event(*arguments)
        return True

    def possible(self) -> list[tuple]:
        events: list[tuple] = []
        for number, worker in self.workers.items():
            if not worker.ready:
                events += [(self.ready, number)] * 3
            elif worker.sent:
                events += [(self.answer, number)] * 6
                events += [(self.refuse, number, kind) for kind in ("script", "scene")]
                events += [(self.stumble, number, steps) for steps in (0, 1, 9)]
            events += [(self.die, number)]
        return events + [(self.write,)] * (3 * bool(self.unwritten))

    def ready(self, number: int) -> None:
        self.workers[number].ready = True
        self.act(self.queue.handle(WorkerReady(number)))

    def die(self, number: int) -> None:
        del self.workers[number]
        self.act(self.queue.handle(WorkerDied(number, "was killed by SIGKILL")))

    def answer(self, number: int) -> None:
        worker = self.workers[number]
        task, request = worker.sent.popleft()
        if isinstance(task, OpenTask):
            answer = worker.perform(request)
            assert answer is not None
            self.client.done(task, json.loads(json.dumps(answer)))
        else:
            self.rendered.append((task.frame, shown(worker.scene or [])))
            self.unwritten.append(task)
        self.act(self.queue.handle(Answered(number, task)))

    def refuse(self, number: int, kind: Any) -> None:
        """The request cannot be carried out; its last step may have been done by half."""
        worker = self.workers[number]
        task, request = worker.sent.popleft()
        if isinstance(task, OpenTask):
            worker.perform(request, max(0, len(request["edits"]) - 1))
        self.act(self.queue.handle(Refused(number, task, kind, "refused")))

    def stumble(self, number: int, steps: int) -> None:
        """An exception that nobody foresaw, after some steps."""
        worker = self.workers[number]
        task, request = worker.sent.popleft()
        if isinstance(task, OpenTask):
            worker.perform(request, min(steps, len(request["edits"])))
        self.act(self.queue.handle(Refused(number, task, "frame", "MemoryError")))

    def write(self) -> None:
        task = self.unwritten.pop(0)
        self.act(self.queue.handle(Written(task)))

    def act(self, actions: list) -> None:
        for action in actions:
            match action:
                case StartWorker(number):
                    self.workers[number] = ModelWorker()
                case Send(number, task):
                    do, request = self.client.request(task, number)
                    assert do == ("perform" if isinstance(task, OpenTask) else "render")
                    self.workers[number].sent.append((task, request))
                case Fail():
                    self.client.failed(action)
                case Finish(task) if isinstance(task, FrameTask):
                    self.client.done(task, 0.0)
                case StopWorker():
                    raise AssertionError("no worker grows here")


class Rendering(ScriptRun):
    """A run without a disk."""

    def __init__(self, session: Session) -> None:
        request = FramesRequest(session._scene.blend, session._root, (1, 2, 3))
        super().__init__(
            request, session.config, 3, session._scene, session._edits, lambda event: None,
            shift=0, keep=True, again=True,
        )  # fmt: skip
        self.planning = False
        self.lost: list[Fail] = []

    def request(self, task: Any, worker: int) -> Any:
        if isinstance(task, OpenTask):
            return "perform", self.script.request(worker, self.scenes[task.scene], self.config)
        return "render", {"frame": task.frame}

    def done(self, task: Any, result: Any) -> None:
        if not isinstance(task, FrameTask):
            super().done(task, result)

    def failed(self, fail: Fail) -> None:
        self.lost.append(fail)


def opened(world: World, tmp_path: Path) -> Session:
    session = Session(world, RenderConfig())  # type: ignore[arg-type]
    session._scene, session._root, session._state = SceneFile("box", tmp_path / "box.blend"), tmp_path, State.OPEN
    return session


EDITS = [
    ("pose_camera", {"c2w": "here"}),
    ("pose_camera", {"c2w": "there"}),
    ("keyframe_camera", {"frames": [1]}),
    ("call", {"path": "paint.py", "digest": "1"}),
]


@settings(max_examples=150)
@given(data=st.data())
def test_frame_shows_what_its_fingerprint_says(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    world = World(lambda events: events[data.draw(st.integers(0, len(events) - 1))])
    session = opened(world, tmp_path_factory.getbasetemp())
    did: list[str] = []
    """What the script did, according to what it was told."""
    fingerprints: dict[str, list[str]] = {}
    for _ in range(data.draw(st.integers(1, 8))):
        match data.draw(st.sampled_from(["edit", "edit", "edit", "query", "render", "render", "configure"])):
            case "edit":
                name, arguments = data.draw(st.sampled_from(EDITS))
                try:
                    session._edit(name, **arguments)
                    did = shown([*did, json.dumps([name, arguments], sort_keys=True)])
                except VisionsimError:
                    pass  # As if it had never been tried.
            case "query":
                try:
                    assert session._query("about_range") == did
                except VisionsimError:
                    pass
            case "configure":
                session._configure("test", height=data.draw(st.sampled_from([64, 128])))
            case "render":
                run, before = Rendering(session), len(world.rendered)
                session._pool.reopen()
                session._pool.run([Job("box", "frames", (1, 2, 3))], run)
                assert all(scene == did for _, scene in world.rendered[before:])
                assert fingerprints.setdefault(run.edits, did) == did


def scripted(*steps: str) -> World:
    """A world in which this happens, by name of `World`'s methods, one worker at a time; then all goes well."""
    plan = list(steps)

    def choose(events: list[tuple]) -> tuple:
        wanted = plan.pop(0) if plan else ""
        names = [event[0].__name__ for event in events]
        if wanted not in names:
            wanted = next(name for name in ("ready", "answer", "write") if name in names)
        return events[names.index(wanted)]

    return World(choose)


def test_edit_that_met_an_unforeseen_exception_is_done_again(tmp_path: Path) -> None:
    world = scripted("ready", "stumble")
    session = opened(world, tmp_path)
    session._edit("call", path="paint.py", digest="1")
    assert session._query("about_range") == ['["call", {"digest": "1", "path": "paint.py"}]']


def test_edit_that_always_fails_is_forgotten(tmp_path: Path) -> None:
    world = scripted("ready", "stumble", "stumble", "stumble")
    session = opened(world, tmp_path)
    with pytest.raises(VisionsimError, match="MemoryError"):
        session._edit("call", path="paint.py", digest="1")
    assert session._query("about_range") == []
    assert not session._edits.fingerprint(0)


def test_worker_that_has_not_confirmed_begins_with_the_file() -> None:
    edits, scene, config = Edits(), SceneFile("box", Path("box.blend")), RenderConfig()
    with edits.adding("call", {}):
        first = edits.request(0, scene, config)
        again = edits.request(0, scene, config)
    assert first["reset"] and again["reset"] and first["edits"] == again["edits"] == [["call", {}]]
    edits.confirmed({"mark": again["mark"]})
    assert edits.request(0, scene, config)["edits"] == []


@pytest.mark.parametrize(("event", "error"), [("refuse", ScriptError), ("die", WorkerCrashed)], ids=["refused", "died"])
def test_failed_edit_raises_what_is_to_blame(tmp_path: Path, event: str, error: type[Exception]) -> None:
    session = opened(scripted("ready", event, "ready", event, "ready", event), tmp_path)
    with pytest.raises(error):
        session._edit("call", path="paint.py", digest="1")
    assert issubclass(error, VisionsimError) and not issubclass(error, (ConfigError, SceneError))
