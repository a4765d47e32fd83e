"""A pool of clients whose function asks nothing of Blender: order, and what becomes of exceptions."""

from __future__ import annotations

import sys
import threading

import pytest

from visionsim.simulation.blender import BlenderClient, BlenderClients
from visionsim.simulation.client_pool import Seat
from visionsim.simulation.pool import Pool


def inverse(client: BlenderClient, number: int) -> float:
    return 1 / number


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_results_after_an_error_are_there(method: str) -> None:
    with BlenderClients.pool(jobs=2, executable=sys.executable) as pool:
        results = getattr(pool, method)(inverse, [1, 0, 2, 0, 4])
        found: list[float | str] = []
        while len(found) < 5:
            try:
                found.append(next(results))
            except ZeroDivisionError as exc:
                found.append(exc.__notes__[0])
        assert next(results, None) is None
    note = "in the call of inverse with (0,)"
    assert sorted(found, key=str) == [0.25, 0.5, 1.0, note, note]
    if method == "imap":
        assert found == [1.0, note, 0.5, note, 0.25]


def test_terminate_ends_calls_that_have_no_client_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, go_on = threading.Event(), threading.Event()
    called: list[int] = []
    opened = Seat.pool

    def slow_to_start(seat: Seat) -> Pool:
        entered.set()
        assert go_on.wait(60)
        return opened(seat)

    monkeypatch.setattr(Seat, "pool", slow_to_start)
    with BlenderClients.pool(jobs=1, executable=sys.executable) as pool:
        result = pool.apply_async(lambda client: called.append(1))
        assert entered.wait(60)
        shutdown = pool._threads.shutdown

        def shut_down(**arguments: bool) -> None:
            go_on.set()  # By now `terminate` has closed all clients that it knows.
            shutdown(**arguments)

        monkeypatch.setattr(pool._threads, "shutdown", shut_down)
        pool.terminate()
        assert not called
        with pytest.raises(KeyboardInterrupt):
            result.get()
