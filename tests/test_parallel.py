from __future__ import annotations

import pytest

from tests.tasks import count_to, die, tick_for_ever
from visionsim.errors import VisionsimError
from visionsim.parallel import Meter, each, processes, tick


def test_work_of_all_processes_is_counted() -> None:
    meter, looks = Meter(), []
    with processes(2, meter) as pool:
        answers = dict(each(count_to, [5, 7, 11], pool, lambda: looks.append(meter.count)))
    assert answers == {0: 25, 1: 49, 2: 121} and meter.count == looks[-1] == 23


def test_processes_stop_when_they_are_told_to() -> None:
    meter = Meter()
    with pytest.raises(RuntimeError), processes(2, meter) as pool:
        for _ in each(tick_for_ever, [0, 1], pool, lambda: stop_after(meter)):
            raise AssertionError("it ended by itself")


def stop_after(meter: Meter) -> None:
    if meter.count > 4:
        meter.stop()
        raise RuntimeError("enough")


def test_process_that_dies_is_told() -> None:
    with pytest.raises(VisionsimError, match="use fewer --jobs"), processes(2) as pool:
        list(each(die, [0, 1], pool, lambda: None))


def test_without_a_meter_ticks_are_nobodys() -> None:
    tick()
    assert list(each(count_to, [2], None)) == [(0, 4)]
