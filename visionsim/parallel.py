"""Work spread over processes: a pool that is none for one process, and results as they come."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from visionsim.errors import VisionsimError

__all__ = ["each", "processes"]

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
