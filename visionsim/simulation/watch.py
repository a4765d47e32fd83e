"""Whether a worker is late or hangs: what it was asked for, since when, and what processor time it has used."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from visionsim.simulation.jobs import FrameTask, Task
from visionsim.simulation.process import WorkerProcess, cpu_seconds

__all__ = ["PATIENCE", "Asked", "Conversation", "Watch"]

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


@dataclass(frozen=True)
class Asked:
    """A task that a worker was asked to carry out."""

    task: Task
    files: Path | None
    """How the paths of the files begin that it leaves of a frame; they end with a suffix."""

    def remove_files(self) -> int:
        """Remove what the worker has left; returns how many bytes that were."""
        removed = 0
        if self.files is not None:
            for path in self.files.parent.iterdir():
                if path.name.partition(".")[0] == self.files.name:
                    removed += path.stat().st_size
                    path.unlink()
        return removed


@dataclass
class Conversation:
    """A worker process and the requests that it has not answered."""

    process: WorkerProcess
    asked: dict[int, Asked]
    """Number of the request -> what was asked for."""
    since: float
    """When the oldest of them was begun, as far as we know."""
    place: int
    """Its share of the machine."""
    verdict: str | None = None
    """Why we ended it, in words, if we did."""
    ready: bool = False
    leaving: threading.Thread | None = None
    """The thread that waits for its end, if we asked for it."""
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


class Watch:
    """Decides which workers are to be ended, and when to look again."""

    def __init__(self, timeout: float | None, patience: float) -> None:
        """
        Args:
            timeout: seconds that a frame may take; by default a multiple of what the slowest one so far took.
            patience: seconds that a worker may use no processor time while it has something to do.
        """
        self._timeout, self._patience = timeout, patience
        self._slowest: dict[str, float] = {}
        self._looked = 0.0

    def rendered(self, task: FrameTask, seconds: float) -> None:
        """Note what a frame took."""
        self._slowest[task.scene] = max(self._slowest.get(task.scene, 0.0), seconds)

    def moments(self, talks: Collection[Conversation]) -> list[float]:
        """Times at which a worker may have become late, or hang."""
        moments = [moment for moment, *_ in self._late(talks)]
        if any(talk.asked or not talk.ready for talk in talks):
            moments.append(self._looked + min(LOOK, self._patience / 4))
        return moments

    def overdue(self, talks: Collection[Conversation]) -> list[tuple[Conversation, str]]:
        """The workers to be ended now, and why."""
        now = self._looked = time.monotonic()
        found = [(talk, words) for deadline, talk, words in self._late(talks) if deadline <= now]
        late = [talk for talk, _ in found]
        should_work = [
            talk
            for talk in talks
            if talk.verdict is None and talk.process.started and (talk.asked or not talk.ready) and talk not in late
        ]
        used = cpu_seconds({talk.process.pid for talk in should_work}) if should_work else {}
        for talk in should_work:
            if self._idles(talk, used.get(talk.process.pid)):
                words = f"did nothing for {self._patience:g} s" if talk.ready else "did not come up"
                found.append((talk, f"{words}: it hangs"))
        return found

    def _frame_limit(self, scene: str) -> float | None:
        """Seconds that a frame of a scene may take, if that can be said."""
        if self._timeout is not None:
            return self._timeout
        slowest = self._slowest.get(scene)
        return None if slowest is None else max(FIRST_DEADLINE, SLOWEST_TIMES * slowest)

    def _late(self, talks: Collection[Conversation]) -> list[tuple[float, Conversation, str]]:
        """Workers that render, each with the time at which it becomes late, and what is to be said then."""
        late = []
        for talk in talks:
            if talk.verdict is None and not talk.ready:
                late.append((talk.since + START_LIMIT, talk, f"did not say hello within {START_LIMIT:g} s"))
            elif talk.verdict is None and talk.asked:
                task = next(iter(talk.asked.values())).task
                limit = self._frame_limit(task.scene) if isinstance(task, FrameTask) else None
                if limit is not None:
                    late.append((talk.since + limit, talk, f"took longer than {limit:g} s over a frame"))
        return late

    def _idles(self, talk: Conversation, used: float | None) -> bool:
        """Whether a worker has used no processor time for longer than we have patience. Not, if it cannot be known."""
        now = time.monotonic()
        if used is None or talk.cpu is None or used - talk.cpu > STIRS:
            talk.cpu, talk.stirred = used, now
        return now - talk.stirred > self._patience
