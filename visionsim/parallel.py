"""Work spread over processes, with results as they come, or over threads that work ahead, with results in order."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from visionsim.errors import VisionsimError

__all__ = ["ahead", "each", "processes"]

AHEAD = 2
"""Items that each thread may be ahead of who takes them."""

Given = TypeVar("Given")
Made = TypeVar("Made")


def processes(jobs: int) -> AbstractContextManager[ProcessPoolExecutor | None]:
    """A pool, or None for this process alone."""
    if jobs == 1:
        return nullcontext()
    # Not forked: the caller may have threads, such as that of a progress bar.
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=serve_parent)


def serve_parent() -> None:
    """In a process of the pool: Ctrl-C is the parent's to handle; and we end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()


def end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # Nobody hears what we did, and the queue we wait at never ends.


def each(
    function: Callable[[Given], Made], items: Sequence[Given], pool: ProcessPoolExecutor | None
) -> Iterator[tuple[int, Made]]:
    """(index, function(item)), as they are ready.

    Raises:
        VisionsimError: a process died.
    """
    if pool is None:
        yield from ((index, function(item)) for index, item in enumerate(items))
        return
    futures = {pool.submit(function, item): index for index, item in enumerate(items)}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as exc:
        raise VisionsimError("A process that looked at frames died; if memory ran out, use fewer --jobs") from exc
    finally:
        for future in futures:
            future.cancel()


def ahead(
    function: Callable[[Given], Made], items: Iterable[Given], threads: int | None = None
) -> Iterator[tuple[Given, Future[Made]]]:
    """(item, its finished call of function), in order; threads are at work on those that follow.

    Args:
        function: called in a thread.
        items: taken from as threads are free.
        threads: how many; by default as many as there are cores.
    """
    threads = threads or len(os.sched_getaffinity(0))
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
