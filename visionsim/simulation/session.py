"""What every client of Blender has: its processes, its state, what it has changed, and how it asks and renders."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from visionsim.errors import (
    ClientStateError,
    ConfigError,
    InputNotFound,
    RenderError,
    SceneError,
    ScriptError,
    VisionsimError,
    WorkerCrashed,
    WorkerError,
)
from visionsim.simulation.config import RenderConfig, check_config
from visionsim.simulation.editor import Asked, Edits, FramesRequest, ScriptRun, unpacked
from visionsim.simulation.handle import RenderHandle
from visionsim.simulation.jobs import Job
from visionsim.simulation.labels import LabelRules
from visionsim.simulation.plan import Plan, SceneFile
from visionsim.simulation.pool import Pool, spawn_pool
from visionsim.simulation.protocol import ErrorKind
from visionsim.simulation.report import FrameDone, Observer, RunPlanned, RunReport
from visionsim.simulation.run import AnimationRequest, carry_out, make_plan
from visionsim.types import ProgressFn

__all__ = ["Client", "Session", "State"]

Client = TypeVar("Client", bound="Session")


ERRORS: Mapping[ErrorKind, type[VisionsimError]] = {
    "request": ConfigError,
    "scene": SceneError,
    "frame": WorkerError,
    "script": ScriptError,
}
"""What a worker's refusal becomes."""


class State(Enum):
    """Life of a client."""

    NEW = "has no scene yet: call initialize(blend_file, root) first"
    OPEN = "has a scene already; spawn another client, or take one from a pool, for another scene"
    CLOSED = "is closed: its `with` block has ended"


class Session:
    """What every client has, whatever it drives: its settings, its end, and a way to hear whether Blender is there."""

    def __init__(self, pool: Pool, config: RenderConfig) -> None:
        """For `spawn` and `ClientPool`; `pool` is theirs to end."""
        self._pool = pool
        self._state = State.NEW
        self._lock = threading.RLock()
        self._background = ThreadPoolExecutor(1, thread_name_prefix="render")
        self._frame = 0
        self._shift = 0
        self._root = Path()
        self._scene = SceneFile("", Path())
        self._edits = Edits()
        self._labels: LabelRules | None = None
        self.config = config
        """How it renders; the methods change it."""

    @classmethod
    @contextmanager
    def _spawned(cls: type[Client], config: RenderConfig, log_dir: str | Path | None) -> Iterator[Client]:
        """A client of its own processes, which are ready."""
        check_config(config)
        with spawn_pool(config, config.jobs, log_dir) as pool:
            client = cls(pool, config)
            try:
                pool.start(config.jobs)
                client.ping()
                yield client
            finally:
                client.close()

    def close(self) -> None:
        """End whatever goes on; afterwards nothing can be asked for. The end of the `with` block does it."""
        if self._state is State.CLOSED:
            return
        if not self._lock.acquire(blocking=False):
            self._pool.abandon()  # A render goes on in another thread.
            self._lock.acquire()
        self._state = State.CLOSED
        self._lock.release()
        self._background.shutdown(wait=True, cancel_futures=True)

    def ping(self) -> None:
        """Return when Blender has answered."""
        with self._lock:
            self._check_open("ping", also=State.NEW)
            self._ask(Asked("ping", lambda worker: {}))

    # How things are asked.

    @contextmanager
    def _opened(self, method: str) -> Iterator[None]:
        """Have the scene open, and no one else ask meanwhile."""
        with self._lock:
            self._check_open(method)
            yield

    def _check_open(self, method: str, also: State = State.OPEN) -> None:
        if self._state not in (State.OPEN, also):
            raise ClientStateError(f"{method}: this client {self._state.value}")
        if not self._pool.usable:
            raise ClientStateError(f"{method}: this client was interrupted; spawn another")

    def _configure(self, method: str, **changes: Any) -> None:
        with self._lock:
            self._check_open(method, also=State.NEW)
            wanted = {name: value for name, value in changes.items() if value is not None}
            config = dataclasses.replace(self.config, **wanted)
            check_config(config)
            self.config = config

    def _edit(self, name: str, **arguments: Any) -> Any:
        with self._edits.adding(name, arguments):
            return self._perform()

    def _query(self, name: str, **arguments: Any) -> Any:
        return self._perform(query=[name, arguments])

    def _perform(self, **more: Any) -> Any:
        """Bring a worker up to date, and perhaps ask it something."""
        return self._ask(
            Asked(
                "perform",
                lambda worker: {**self._edits.request(worker, self._scene, self.config), **more},
                self._edits.confirmed,
            )
        )

    def _ask(self, asked: Asked) -> Any:
        """Have one process answer.

        Raises:
            WorkerCrashed: each process that tried died.
            One of ERRORS, by what is to blame.
        """
        self._pool.reopen()
        if not self._pool.run([Job(self._scene.name)], asked):
            raise KeyboardInterrupt
        fail = asked.fail
        if fail is None:
            return asked.result.get("value")
        self._edits.forget_workers()
        if fail.set_aside:
            raise WorkerCrashed(fail.message.partition("opening it, ")[2] or fail.message)
        raise ERRORS[fail.kind](fail.message)

    def _run_script(
        self, method: str, source: str | Path, function: str, arguments: Mapping[str, Any], send: Any
    ) -> Any:
        path = script_path(method, source)
        try:
            json.dumps(arguments, allow_nan=False)
        except (TypeError, ValueError) as exc:
            raise ConfigError(f"{method}: arguments of {function}() must be plain JSON values: {exc}") from exc
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return unpacked(send({"path": str(path), "function": function, "arguments": arguments, "digest": digest}))

    def _render(
        self,
        request: AnimationRequest | FramesRequest,
        *,
        allow_skips: bool,
        dry_run: bool,
        update_fn: ProgressFn | None,
        observe: Observer | None = None,
    ) -> RunReport | Plan:
        started = time.monotonic()
        config = dataclasses.replace(self.config)
        check_config(config)
        run = ScriptRun(
            request,
            config,
            self.config.jobs,
            self._scene,
            self._edits,
            counting(update_fn, observe),
            shift=self._shift,
            keep=isinstance(request, FramesRequest),
            again=not allow_skips,
        )
        self._pool.reopen()
        with run:
            plan = make_plan(run, self._pool)
            if plan is None:
                raise KeyboardInterrupt
            if message := run.errors.get(self._scene.name):
                raise SceneError(message)
            if dry_run:
                return plan
            report = carry_out(run, self._pool, plan, started)
        if report.failures:
            self._edits.forget_workers()
            failures = "\n".join(f"    frames {list(f.frames)}: {f.message}" for f in report.failures)
            raise RenderError(f"{len(report.failures)} failures in {self._scene.name}:\n{failures}", report)
        if report.interrupted:
            raise KeyboardInterrupt
        return report

    def _later(self, what: Callable[[], RunReport]) -> RenderHandle:
        return RenderHandle(self._background.submit(what))


def counting(update_fn: ProgressFn | None, observe: Observer | None) -> Observer:
    """An observer that calls both."""
    counts = [0, 0]

    def tell(event: Any) -> None:
        if observe is not None:
            observe(event)
        if isinstance(event, RunPlanned):
            counts[:] = sum(event.kept.values()), event.plan.num_frames
        elif isinstance(event, FrameDone):
            counts[0] += 1
        else:
            return
        if update_fn is not None:
            update_fn(*counts)

    return tell


def script_path(method: str, source: str | Path) -> Path:
    """The file of a script or module."""
    path = Path(source)
    if path.is_file():
        return path.resolve()
    if isinstance(source, str) and all(part.isidentifier() for part in source.split(".")):
        try:
            spec = importlib.util.find_spec(source)
        except ModuleNotFoundError:
            spec = None
        if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
            return Path(spec.origin).resolve()
    raise InputNotFound(f"{method}: there is no such Python file, nor a module of that name: {source}")
