"""A pool of clients whose function asks nothing of Blender: order, and what becomes of exceptions."""

from __future__ import annotations

import sys

import pytest

from visionsim.simulation.blender import BlenderClient, BlenderClients


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
