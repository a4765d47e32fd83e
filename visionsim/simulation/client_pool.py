"""A pool of Blender clients for work on many scenes, in the manner of `multiprocessing.pool`."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from visionsim.errors import ClientStateError, ConfigError
from visionsim.simulation.blender import BlenderClient
from visionsim.simulation.config import RenderConfig, check_config
from visionsim.simulation.pool import Pool, spawn_pool

__all__ = ["AsyncResult", "ClientPool"]

T = TypeVar("T")
"""What the user's function returns."""


class AsyncResult(Generic[T]):
    """The result of a call that may still go on."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def get(self, timeout: float | None = None) -> T:
        """What the function returned; raises what it raised.

        Raises:
            TimeoutError: it has not returned within so many seconds; it goes on.
        """
        return self._future.result(timeout)

    def wait(self, timeout: float | None = None) -> None:
        """Return when the function has, or after so many seconds."""
        wait([self._future], timeout)

    def ready(self) -> bool:
        """Whether the function has returned or raised."""
        return self._future.done()

    def successful(self) -> bool:
        """Whether it has returned.

        Raises:
            ValueError: it goes on.
        """
        if not self._future.done():
            raise ValueError("the call goes on")
        return self._future.exception() is None


class Seat:
    """A Blender process of the pool, which one client after the other uses; started when the first one needs it."""

    def __init__(self, config: RenderConfig, log_dir: Path | None, place: int, workers: int) -> None:
        self.log_dir = log_dir
        self._config, self._place, self._workers = config, place, workers
        self._pool: Pool | None = None
        self._open = contextlib.ExitStack()

    def pool(self) -> Pool:
        """Raises BlenderNotFound if there is none."""
        if self._pool is not None and not self._pool.usable:
            self.close()  # The client before was ended in the middle of something.
        if self._pool is None:
            # Threads and GPUs are shared with the processes of the other seats.
            opening = spawn_pool(self._config, 1, self.log_dir, place=self._place, workers=self._workers)
            self._pool = self._open.enter_context(opening)
        return self._pool

    def close(self) -> None:
        """End the process."""
        self._pool = None
        self._open.close()


class ClientPool:
    """Clients, each with a Blender process of its own, that call a function of yours for many scenes.

    The function gets a fresh client as its first argument, then yours. It runs in this process, in a thread: it may be
    a lambda, write to your lists and draw your progress bar. A process that dies meanwhile is replaced, and what it was
    asked is asked again; only if that fails as well does the function see a `WorkerCrashed`. What the function raises
    comes out of the call, with a note that says which arguments and which log it was.
    """

    def __init__(self, jobs: int, config: RenderConfig, log_dir: str | Path | None = None) -> None:
        """See `BlenderClients.pool`."""
        if jobs < 1:
            raise ConfigError(f"jobs={jobs}: must be at least 1")
        check_config(config)
        self._config = config
        self._seats: queue.SimpleQueue[Seat] = queue.SimpleQueue()
        self._all_seats = [
            Seat(config, None if log_dir is None else Path(log_dir) / f"client-{n:02d}", n, jobs) for n in range(jobs)
        ]
        for seat in self._all_seats:
            self._seats.put(seat)
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="client")
        self._lock = threading.Lock()
        self._clients: set[BlenderClient] = set()
        self._closed = False
        self._terminated = False

    def __enter__(self) -> ClientPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            self.close()
            self.join()
        else:
            self.terminate()

    # Calls.

    def apply(self, function: Callable[..., T], args: Iterable[Any] = (), kwds: Mapping[str, Any] | None = None) -> T:
        """`function(client, *args, **kwds)`."""
        return self.apply_async(function, args, kwds).get()

    def apply_async(
        self, function: Callable[..., T], args: Iterable[Any] = (), kwds: Mapping[str, Any] | None = None
    ) -> AsyncResult[T]:
        """As `apply`, but return at once."""
        return AsyncResult(self._submit(function, tuple(args), dict(kwds or {})))

    def map(self, function: Callable[..., T], items: Iterable[Any]) -> list[T]:
        """`function(client, item)` of each item, in order; all are tried before the first error is raised."""
        return self._collected([self._submit(function, (item,), {}) for item in items])

    def starmap(self, function: Callable[..., T], items: Iterable[Iterable[Any]]) -> list[T]:
        """`function(client, *item)` of each item, in order; all are tried before the first error is raised."""
        return self._collected([self._submit(function, tuple(item), {}) for item in items])

    def imap(self, function: Callable[..., T], items: Iterable[Any]) -> Iterator[T]:
        """As `map`, but each result as soon as it and those before are there; an error is raised in its place."""
        # Not a generator: that would end with the first error.
        return map(Future.result, [self._submit(function, (item,), {}) for item in items])

    def imap_unordered(self, function: Callable[..., T], items: Iterable[Any]) -> Iterator[T]:
        """As `map`, but each result as soon as it is there; an error is raised in its place."""
        return map(Future.result, as_completed([self._submit(function, (item,), {}) for item in items]))

    def _collected(self, futures: list[Future[T]]) -> list[T]:
        wait(futures)
        return [future.result() for future in futures]

    def _submit(self, function: Callable[..., T], args: tuple[Any, ...], kwds: dict[str, Any]) -> Future[T]:
        if self._closed:
            raise ClientStateError("this pool is closed: its `with` block has ended, or close() was called")
        return self._threads.submit(self._call, function, args, kwds)

    def _call(self, function: Callable[..., T], args: tuple[Any, ...], kwds: dict[str, Any]) -> T:
        seat = self._seats.get()
        try:
            client = BlenderClient(seat.pool(), dataclasses.replace(self._config))
            with self._lock:
                if self._terminated:
                    raise KeyboardInterrupt
                self._clients.add(client)
            try:
                return function(client, *args, **kwds)
            except Exception as exc:
                log = "" if seat.log_dir is None else f"; log: {seat.log_dir}"
                exc.add_note(f"in the call of {getattr(function, '__name__', 'a function')} with {args}{log}")
                raise
            finally:
                with self._lock:
                    self._clients.discard(client)
                client.close()
        finally:
            self._seats.put(seat)

    # Its end.

    def close(self) -> None:
        """No more calls; those that go on end in their own time."""
        self._closed = True

    def join(self) -> None:
        """Return when all calls have ended and all processes are gone; `close` must come first."""
        if not self._closed:
            raise ClientStateError("join: call close() first")
        self._threads.shutdown(wait=True)
        for seat in self._all_seats:
            seat.close()

    def terminate(self) -> None:
        """End everything now; calls that go on see a KeyboardInterrupt."""
        self._closed = True
        with self._lock:
            self._terminated = True  # A call that has no client yet gets none.
            clients = list(self._clients)
        for client in clients:
            client.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for seat in self._all_seats:
            seat.close()
