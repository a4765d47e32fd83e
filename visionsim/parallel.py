"""Work spread over processes, with results as they come, or over threads that work ahead, with results in order;
and how many cores there are for it."""

from __future__ import annotations

import contextlib
import itertools
import math
import multiprocessing
import os
import queue
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeVar

from visionsim.errors import VisionsimError

__all__ = ["Meter", "ahead", "each", "num_cores", "processes", "tick"]

AHEAD = 2
"""Items that each thread may be ahead of who takes them."""

LOOK_EVERY_S = 0.25
"""How often who waits is told how far others are."""

Given = TypeVar("Given")
Made = TypeVar("Made")


class Meter:
    """Counts what is done in all processes of a pool, and tells them to stop."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._count, self._stop = context.Value("q", 0), context.Event()

    @property
    def count(self) -> int:
        return int(self._count.value)

    def add(self, number: int) -> None:
        with self._count.get_lock():
            self._count.value += number

    def stop(self) -> None:
        """Let the next `tick` of each process end its task."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()


_meter: Meter | None = None


def tick(number: int = 1) -> None:
    """In a task of a pool that has a meter: so much is done; raises KeyboardInterrupt if the parent gave up."""
    if _meter is not None:
        _meter.add(number)
        if _meter.stopped:
            raise KeyboardInterrupt


def processes(jobs: int, meter: Meter | None = None) -> AbstractContextManager[ProcessPoolExecutor | None]:
    """A pool, or None for this process alone."""
    if jobs == 1:
        return nullcontext()
    # Not forked: the caller may have threads, such as that of a progress bar.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=begin, initargs=(meter,))


def begin(meter: Meter | None) -> None:
    """In a process of the pool: Ctrl-C is the parent's to handle; and we end with it, however it ends."""
    global _meter
    _meter = meter
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()


def end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # Nobody hears what we did, and the queue we wait at never ends.


def each(
    function: Callable[[Given], Made],
    items: Sequence[Given],
    pool: ProcessPoolExecutor | None,
    meanwhile: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Made]]:
    """(index, function(item)), as they are ready; `meanwhile` is called now and then while a pool works.

    Raises:
        VisionsimError: a process died.
    """
    if pool is None:
        yield from ((index, function(item)) for index, item in enumerate(items))
        return
    futures = {pool.submit(function, item): index for index, item in enumerate(items)}
    try:
        for future in ready(futures, meanwhile):
            yield futures[future], future.result()
    except BrokenProcessPool as exc:
        raise VisionsimError(
            "A process that looked at frames died; if memory ran out, use fewer --jobs. In a script, what uses several "
            'processes must stand below `if __name__ == "__main__":`'
        ) from exc
    finally:
        for future in futures:
            future.cancel()


def ready(futures: Iterable[Future[Made]], meanwhile: Callable[[], None]) -> Iterator[Future[Made]]:
    """As they are, with a look at the clock in between."""
    # Not concurrent.futures.wait: that looks at all of them each time.
    done: queue.SimpleQueue[Future[Made]] = queue.SimpleQueue()
    left = 0
    for future in futures:
        left += 1
        future.add_done_callback(done.put)
    while left:
        with contextlib.suppress(queue.Empty):
            finished = done.get(timeout=LOOK_EVERY_S)
            left -= 1
            yield finished
        meanwhile()


def ahead(
    function: Callable[[Given], Made], items: Iterable[Given], threads: int | None = None
) -> Iterator[tuple[Given, Future[Made]]]:
    """(item, its finished call of function), in order; threads are at work on those that follow.

    Args:
        function: called in a thread.
        items: taken from as threads are free.
        threads: how many; by default as many as there are cores.
    """
    threads = threads or num_cores()
    with ThreadPoolExecutor(threads, thread_name_prefix="ahead") as pool:
        left = iter(items)
        calls = deque((item, pool.submit(function, item)) for item in itertools.islice(left, threads * AHEAD))
        try:
            while calls:
                item, call = calls.popleft()
                calls.extend((item, pool.submit(function, item)) for item in itertools.islice(left, 1))
                call.exception()  # Returns when it is done.
                yield item, call
        finally:
            for _, call in calls:
                call.cancel()


# Cores, as far as the system and its containers let us have them.

SYSTEM = Path("/")
"""Where `proc` and `sys` are; for tests."""


def num_cores() -> int:
    """Cores that this process may use: not those that others were given, nor more than its container's share."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for group in control_groups():
        # "200000 100000": so many microseconds of each period; "max" if there is no limit.
        quota, _, period = first_line(group / "cpu.max").partition(" ")
        if quota.isdecimal() and period.isdecimal():
            cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def control_groups() -> Iterator[Path]:
    """The control groups (version 2) that we are in, inner ones first: each may have limits."""
    top = SYSTEM / "sys/fs/cgroup"
    path = first_line(SYSTEM / "proc/self/cgroup", begins="0::")
    inner = top / path.removeprefix("0::").lstrip("/")
    while path and inner != top:
        yield inner
        inner = inner.parent
    yield top  # In a container the limits are here, as seen from inside.


def first_line(path: Path, begins: str = "") -> str:
    """The first line that begins so; empty if there is none, or no such file."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(begins)), "")
