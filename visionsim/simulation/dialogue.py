"""One worker that answers one request at a time, for checks that need no pool."""

from __future__ import annotations

import queue
import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from visionsim.errors import SceneError, WorkerError
from visionsim.simulation.guard import Guard
from visionsim.simulation.jobs import OpenTask
from visionsim.simulation.process import WorkerProcess
from visionsim.simulation.protocol import PROTOCOL, Failed, Hello, Message, Request
from visionsim.simulation.watch import PATIENCE, Asked, Conversation, Watch

__all__ = ["Dialogue"]


class Dialogue:
    """A worker process, for as long as the `with` block lasts."""

    def __init__(self, command: list[str], *, seconds: float | None = None, patience: float = PATIENCE) -> None:
        """
        Args:
            command: of the worker; see `blender_command`.
            seconds: that an answer may take; by default as long as the worker uses processor time.
            patience: seconds that the worker may use none while it has something to do.
        """
        self.hello: Hello | None = None
        """The worker's first words, once it was asked something."""
        self.alive = True
        self._command, self._seconds = command, seconds
        self._watch = Watch(None, patience)
        self._inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._asked = 0
        self._stack = ExitStack()

    def __enter__(self) -> Dialogue:
        with ExitStack() as stack:
            guard = stack.enter_context(Guard())
            process = WorkerProcess(self._command, guard.scratch / "worker", self._inbox.put)
            self._talk = Conversation(process, {}, time.monotonic(), 0)
            stack.enter_context(process)
            guard.began(process.pid)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def ask(self, do: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Have the worker carry out a request; returns its result.

        Raises:
            WorkerError: it died, hangs, took too long or is another visionsim's; the message says how, without a
                subject. It has ended.
            SceneError: it refused.
        """
        if self.hello is None:
            self.hello = self._hear_hello()
        self._asked += 1
        self._talk.asked = {self._asked: Asked(OpenTask(do), None)}
        self._talk.since = self._talk.stirred = time.monotonic()
        self._talk.process.send(Request(self._asked, do, dict(arguments)))
        answer = self._hear()
        self._talk.asked.clear()
        if isinstance(answer, (Hello, Request)):
            raise self._end("gave no answer, but something else")
        if isinstance(answer, Failed):
            raise SceneError(answer.message)
        return answer.value

    def _hear_hello(self) -> Hello:
        hello = self._hear()
        if not isinstance(hello, Hello) or hello.protocol != PROTOCOL:
            raise self._end("is the worker of another visionsim")
        self._talk.ready = True
        return hello

    def _hear(self) -> Message:
        deadline = None if self._seconds is None else time.monotonic() + self._seconds
        while True:
            moments = [*self._watch.moments([self._talk]), *([] if deadline is None else [deadline])]
            try:
                message = self._inbox.get(timeout=max(0.0, min(moments) - time.monotonic()))
            except queue.Empty:
                if deadline is not None and time.monotonic() >= deadline:
                    raise self._end(f"did not answer within {self._seconds:g} s") from None
                for _, why in self._watch.overdue([self._talk]):
                    raise self._end(why) from None
                continue
            if message is None:
                self.alive = False
                words = [line for line in self._talk.process.log_tail if line][-2:]
                raise WorkerError(": ".join([self._talk.process.exit_text(), *([" / ".join(words)] if words else [])]))
            return message

    def _end(self, why: str) -> WorkerError:
        self.alive = False
        self._talk.process.kill()
        return WorkerError(why)
