"""What an asynchronous render returns."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import Any

from visionsim.simulation.report import RunReport

__all__ = ["RenderHandle"]


class RenderHandle:
    """A render that goes on. `await` it, or use the methods; both give the RunReport or raise what went wrong."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._future.done()

    def wait(self, timeout: float | None = None) -> bool:
        """Return when it has ended, or after so many seconds; whether it has ended. Raises nothing."""
        return bool(wait_for([self._future], timeout).done)

    def result(self, timeout: float | None = None) -> RunReport:
        """The report.

        Raises:
            TimeoutError: it has not ended within so many seconds; it goes on.
            RenderError: frames could not be rendered.
        """
        report: RunReport = self._future.result(timeout)
        return report

    def __await__(self) -> Generator[Any, None, RunReport]:
        return asyncio.wrap_future(self._future).__await__()
