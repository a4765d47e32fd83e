"""Progress on a terminal and elsewhere, from made-up events."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.cli.conftest import Answer, FakeRun, made_plan
from visionsim.cli._progress import LiveProgress, PlainProgress, Tally, duration
from visionsim.simulation.report import (
    Event,
    FrameDone,
    FrameFailed,
    Note,
    RunPlanned,
    RunReport,
    SceneOpened,
    SequenceDone,
)

FIRST, SECOND = "room1/001-00001-00011", "room1/001-00011-00021"


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def plain() -> tuple[PlainProgress, io.StringIO, Clock]:
    clock, stream = Clock(), io.StringIO()
    return PlainProgress(stream, clock), stream, clock


def live(width: int = 80, height: int = 24) -> tuple[LiveProgress, Clock, Callable[[], str]]:
    clock = Clock()
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    progress = LiveProgress(console, clock)

    def drawn() -> str:
        with console.capture() as capture:
            console.print(progress.render())
        return capture.get()

    return progress, clock, drawn


def planned(kept: dict[str, int] | None = None) -> RunPlanned:
    return RunPlanned(made_plan(scenes=1), kept or {})


def test_live_bars_show_counts_speed_and_time_left(golden: Callable[[str, str], None]) -> None:
    progress, clock, drawn = live()
    text = drawn()
    progress(SceneOpened("room1", 1, 5))
    text += drawn()
    progress(planned({SECOND: 5}))
    text += drawn()
    clock.now += 10
    for frame in (1, 2, 3, 4):
        progress(FrameDone(FIRST, frame, 2.0))
    progress(FrameDone(SECOND, 16, 2.0))
    progress(FrameFailed(SECOND, 17, "no"))
    text += drawn()
    assert "10/20 frames" in text
    assert "0.5 frames/s" in text
    assert "0:00:18 left" in text
    golden("live.txt", text)


def test_live_bars_of_many_sequences_fit_the_terminal() -> None:
    progress, _, drawn = live(width=60, height=12)
    plan = made_plan(scenes=1, sequences=40)
    progress(RunPlanned(plan, {}))
    for sequence in plan.sequences:
        progress(FrameDone(sequence.name, sequence.frames[0], 1.0))
    lines = drawn().splitlines()
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 60
    assert "and 34 more sequences" in drawn()


def test_live_messages_come_above_the_bars() -> None:
    progress, _, _ = live()
    with progress:
        progress(SceneOpened("room2", 1, 2, "Blender cannot open it"))
        progress(Note("a worker was replaced"))
        progress(Note("a worker was replaced"))
    stream = progress.console.file
    assert isinstance(stream, io.StringIO)
    assert stream.getvalue().count("Note: a worker was replaced") == 1
    assert "Failed: scene room2: Blender cannot open it" in stream.getvalue()


def test_plain_lines_are_few(golden: Callable[[str, str], None]) -> None:
    progress, stream, clock = plain()
    for number in range(1, 6):
        progress(SceneOpened(f"room{number}", number, 5, "cannot be opened" if number == 3 else None))
    plan = made_plan(scenes=1, sequences=3, frames=100)
    names = [sequence.name for sequence in plan.sequences]
    progress(RunPlanned(plan, {names[1]: 99, names[2]: 100}))
    progress(SequenceDone(names[2], Path("out")))
    for frame in range(1, 101):
        clock.now += 3
        progress(FrameDone(names[0], frame, 3.0))
    progress(SequenceDone(names[0], Path("out")))
    progress(Note("a worker was replaced"))
    progress(FrameFailed(names[1], 200, "crashed"))
    golden("plain.txt", stream.getvalue())


def test_plain_lines_of_slow_frames_are_a_tenth_apart() -> None:
    progress, stream, clock = plain()
    progress(RunPlanned(made_plan(scenes=1, sequences=1, frames=1000), {}))
    for frame in range(1, 1000):
        clock.now += 0.5
        progress(FrameDone("room1/001-00001-01001", frame, 0.5))
    assert stream.getvalue().count("room1/") == 10


def test_many_failures_of_a_sequence_are_cut_short() -> None:
    progress, stream, _ = plain()
    progress(planned())
    for frame in range(1, 9):
        progress(FrameFailed(FIRST, frame, "crashed"))
    assert stream.getvalue().count("crashed") == 3
    assert "listed at the end" in stream.getvalue()


def events() -> Iterator[Event]:
    for frame in range(1, 11):
        yield FrameDone(FIRST, frame, 1.0)
        yield FrameFailed(SECOND, frame + 10, "no")


@given(st.permutations(list(events())))
def test_tally_counts_in_any_order(order: list[Event]) -> None:
    tally = Tally()
    tally.take(planned(), 0.0)
    for event in order:
        tally.take(event, 1.0)
        assert set(tally.running) == {row.name for row in tally.rows.values() if row.done + row.failed and not row.over}
    assert (tally.done, tally.failed, tally.sequences_over, tally.running) == (10, 10, 2, {})


def test_events_of_unknown_sequences_are_no_reason_to_stop() -> None:
    for progress in (plain()[0], live()[0]):
        progress(FrameDone("other", 1, 1.0))
        progress(SequenceDone("other", Path("out")))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59.6, "0:01:00"), (36_061, "10:01:01"), (-3, "0:00:00")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_with_json_progress_goes_to_stderr(call: Callable[..., Answer], fake_run: FakeRun) -> None:
    fake_run.events = [SceneOpened("room1", 1, 1), planned(), *events()]
    fake_run.result = RunReport(Path("out"))
    answer = call("render-animation", "a.blend", "out", "--json")
    assert json.loads(answer.out)["root"] == "out"
    assert answer.err.startswith("Opening scenes 1/1\nRendering 20 frames of 2 sequences\n")
