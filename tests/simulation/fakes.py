"""How tests start fake workers, and a client that remembers what the pool told it."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visionsim.simulation.jobs import Fail, FrameTask, Retry, Task

FAKE_WORKER = Path(__file__).parent / "fake_worker.py"


@dataclass
class Fakes:
    """Fake workers that share a folder."""

    state: Path

    def command(self, start: str = "hello", tasks: dict[str, tuple[str, int]] | None = None, **more: Any) -> list[str]:
        script = {"state": str(self.state), "start": start, "tasks": tasks or {}, **more}
        # Without site-packages Python starts in a fraction of the time.
        return [sys.executable, "-S", "-E", str(FAKE_WORKER), json.dumps(script)]

    def open_gate(self) -> None:
        """Let workers go on that wait at the gate, and all that come to it."""
        (self.state / "gate").touch()

    def pids(self) -> list[int]:
        """Of all workers that were ever started."""
        return [int(path.stem) for path in self.state.glob("*.pid")]

    def attempts(self, name: str) -> int:
        """How often workers were asked for it, such as `render 3`."""
        return len(list(self.state.glob(f"{name}.*")))


class Clock:
    """Stands in for the module `time`: its time passes only while a condition holds.

    So nothing is late because the machine is busy, but only what the test means to be late.
    """

    def __init__(self, passes: Callable[[], bool]) -> None:
        self._passes = passes
        self._shown = 0.0
        self._last: float | None = None
        """When it was last looked at, if time passed then."""

    def turn(self, seconds: float) -> None:
        """Let it be later."""
        self._shown += seconds

    def monotonic(self) -> float:
        now = time.monotonic()
        if self._last is not None:
            self._shown += now - self._last
        self._last = now if self._passes() else None
        return self._shown


@dataclass
class Client:
    """A pool's client: checks who calls what from where, and keeps it."""

    finished: list[Task] = field(default_factory=list)
    results: dict[Task, Any] = field(default_factory=dict)
    failures: dict[Task, Fail] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    retries: list[Retry] = field(default_factory=list)
    writer_threads: set[int] = field(default_factory=set)
    on_write: Callable[[FrameTask], None] = lambda task: None
    on_note: Callable[[str], None] = lambda message: None
    on_done: Callable[[Task], None] = lambda task: None
    thread: int = field(default_factory=threading.get_ident)

    def request(self, task: Task, worker: int) -> tuple[str, dict[str, Any]]:
        assert threading.get_ident() == self.thread
        if isinstance(task, FrameTask):
            return "render", {"scene": task.scene, "frame": task.frame}
        return "open", {"scene": task.scene}

    def write(self, task: FrameTask, reply: dict[str, Any]) -> str:
        self.writer_threads.add(threading.get_ident())
        self.on_write(task)
        path = Path(reply["path"])
        text = path.read_text()
        path.unlink()
        return text

    def done(self, task: Task, result: Any) -> None:
        assert threading.get_ident() == self.thread
        # Each worker that needs a scene opens it.
        assert task not in self.failures and not (isinstance(task, FrameTask) and task in self.results)
        self.results[task] = result
        self.finished.append(task)
        self.on_done(task)

    def failed(self, fail: Fail) -> None:
        assert threading.get_ident() == self.thread
        assert fail.task not in self.failures and not (isinstance(fail.task, FrameTask) and fail.task in self.results)
        self.failures[fail.task] = fail

    def retried(self, retry: Retry) -> None:
        assert threading.get_ident() == self.thread
        self.retries.append(retry)

    def note(self, message: str) -> None:
        assert threading.get_ident() == self.thread
        self.notes.append(message)
        self.on_note(message)

    @property
    def frames(self) -> list[int]:
        """Numbers of the frames that are done."""
        return sorted(task.frame for task in self.results if isinstance(task, FrameTask))
