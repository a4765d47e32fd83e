"""Draw a run while it goes on: bars on a terminal, now and then a line elsewhere; always on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from visionsim.cli._console import say
from visionsim.simulation.report import (
    Event,
    FrameDone,
    FrameFailed,
    Note,
    Observer,
    RunPlanned,
    SceneOpened,
    SequenceDone,
)
from visionsim.types import ProgressFn

__all__ = ["LiveProgress", "PlainProgress", "Tally", "counting", "drawing", "duration"]

Clock = Callable[[], float]

MAX_FAILURES_SHOWN = 3
"""Of each sequence, while it runs; the closing table has all of them."""
MAX_BARS = 12
"""Bars of running sequences at once."""
LINE_EVERY_S = 10.0
"""Plain progress: least time between two lines of one sequence; and they are a tenth of its frames apart."""
TOTAL_EVERY_S = 60.0
"""Plain progress: time between two lines about the whole."""
OPENED_EVERY_S = 2.0
"""Plain progress: least time between two lines about scenes that could be opened."""


@contextmanager
def drawing() -> Iterator[Observer]:
    """Yield the observer to hand to a run; its drawing is gone when the block ends."""
    console = Console(stderr=True, highlight=False)
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        with LiveProgress(console) as live:
            yield live
    else:
        yield PlainProgress(sys.stderr)


@contextmanager
def counting(verb: str, noun: str) -> Iterator[ProgressFn]:
    """Yield a function that draws how many of something are done: `Looking at 3/5 files`."""
    console = Console(stderr=True, highlight=False)
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        with Live(console=console, transient=True, refresh_per_second=4) as live:

            def draw(done: int, total: int) -> None:
                live.update(bar_lines(console.width, [(verb, done, total, f"{done}/{total} {noun}")]))

            yield draw
        return
    last = time.monotonic()

    def write(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY_S:
            last = time.monotonic()
            console.print(f"{verb} {done}/{total} {noun}", soft_wrap=True)

    yield write


@dataclass
class Row:
    """Counts of one sequence."""

    name: str
    index: int
    """Its place in the plan."""
    total: int
    kept: int
    rendered: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        """Frames that are on disk."""
        return self.kept + self.rendered

    @property
    def over(self) -> bool:
        return self.done + self.failed >= self.total


@dataclass
class Tally:
    """Counts of a run, from its events. Knows nothing of drawing."""

    rows: dict[str, Row] = field(default_factory=dict)
    running: dict[str, Row] = field(default_factory=dict)
    """Sequences of which something was rendered and something is missing, by name; the latest last."""
    scenes_opened: int = 0
    scenes: int = 0
    planned_at: float | None = None
    total: int = 0
    kept: int = 0
    rendered: int = 0
    failed: int = 0
    sequences_over: int = 0

    def take(self, event: Event, now: float) -> None:
        if isinstance(event, SceneOpened):
            self.scenes_opened, self.scenes = event.done, event.total
        elif isinstance(event, RunPlanned):
            self.planned_at = now
            for planned in event.plan.sequences:
                self.add(Row(planned.name, len(self.rows), len(planned.frames), event.kept.get(planned.name, 0)))
        elif isinstance(event, FrameDone | FrameFailed) and event.sequence in self.rows:
            row = self.rows[event.sequence]
            if isinstance(event, FrameDone):
                row.rendered += 1
                self.rendered += 1
            else:
                row.failed += 1
                self.failed += 1
            self.running.pop(row.name, None)
            if row.over:
                self.sequences_over += 1
            else:
                self.running[row.name] = row

    def add(self, row: Row) -> None:
        self.rows[row.name] = row
        self.total += row.total
        self.kept += row.kept
        self.sequences_over += row.over

    @property
    def done(self) -> int:
        """Frames that are on disk."""
        return self.kept + self.rendered

    def rate(self, now: float) -> float | None:
        """Frames rendered per second, since rendering began."""
        if self.planned_at is None or not self.rendered or now <= self.planned_at:
            return None
        return self.rendered / (now - self.planned_at)

    def pace(self, now: float) -> list[str]:
        """Speed and times, in words."""
        if self.planned_at is None:
            return []
        words = [f"{duration(now - self.planned_at)} elapsed"]
        rate = self.rate(now)
        if rate is not None:
            words.insert(0, f"{rate:.2g} frames/s" if 0.1 <= rate < 10 else slow_or_fast(rate))
            words.append(f"{duration((self.total - self.done - self.failed) / rate)} left")
        return words


def slow_or_fast(rate: float) -> str:
    return f"{rate:.0f} frames/s" if rate >= 10 else f"{1 / rate:.0f} s/frame"


def duration(seconds: float) -> str:
    """`1:02:03`."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


class Messages:
    """Which notes and failures are worth a line, and its words; shared by both ways of drawing."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.failures: dict[str, int] = {}

    def of(self, event: Event) -> tuple[str, str] | None:
        """(`Note` or `Failed`, text), or None."""
        if isinstance(event, Note):
            if event.message in self.seen:
                return None
            self.seen.add(event.message)
            return "Note", event.message
        if isinstance(event, SceneOpened) and event.error is not None:
            return "Failed", f"scene {event.scene}: {event.error}"
        if isinstance(event, FrameFailed):
            count = self.failures[event.sequence] = self.failures.get(event.sequence, 0) + 1
            if count <= MAX_FAILURES_SHOWN:
                return "Failed", f"{event.sequence}, frame {event.frame}: {event.message}"
            if count == MAX_FAILURES_SHOWN + 1:
                return "Failed", f"{event.sequence}: more frames; they are listed at the end"
        return None


class LiveProgress:
    """Bars that are redrawn in place. An observer, and a context manager."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self.console = console
        self.clock = clock
        self.tally = Tally()
        self.messages = Messages()
        # Rich redraws from a thread of its own. Never held while printing: rich holds its own lock then.
        self.lock = threading.Lock()
        self.live = Live(console=console, get_renderable=self.render, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveProgress:
        self.live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.live.stop()

    def __call__(self, event: Event) -> None:
        with self.lock:
            self.tally.take(event, self.clock())
        message = self.messages.of(event)
        if message is not None:
            kind, text = message
            say(self.console, text, label=f"{kind}: ", style="bold red" if kind == "Failed" else "bold yellow")

    def render(self) -> RenderableType:
        with self.lock:
            return self.bars(self.clock())

    def bars(self, now: float) -> RenderableType:
        tally = self.tally
        if tally.planned_at is None:
            if not tally.scenes:
                return Text("Opening scenes", "bold")
            count = f"{tally.scenes_opened}/{tally.scenes}"
            return bar_lines(self.console.width, [("Opening scenes", tally.scenes_opened, tally.scenes, count)])
        over = tally.done + tally.failed
        counts = f"{tally.done}/{tally.total} frames"
        pace = Text("   ".join(tally.pace(now)), "dim")
        if len(tally.rows) > 1:
            pace.append(f"   {tally.sequences_over}/{len(tally.rows)} sequences")
        if tally.failed:
            pace.append(f"   {tally.failed} failed", "not dim red")
        lines = [("Rendering", over, tally.total, counts)]
        if len(tally.rows) == 1:
            return Group(bar_lines(self.console.width, lines), pace)
        room = max(1, min(MAX_BARS, self.console.height - 6))
        # A fixed order: bars that swap places with every frame cannot be read.
        latest = sorted(list(tally.running.values())[-room:], key=lambda row: row.index)
        lines += [(f"  {r.name}", r.done + r.failed, r.total, f"{r.done}/{r.total}") for r in latest]
        more = len(tally.running) - len(latest)
        return Group(
            bar_lines(self.console.width, lines), *([Text(f"  and {more} more sequences", "dim")] if more else []), pace
        )


def bar_lines(width: int, lines: Sequence[tuple[str, int, int, str]]) -> Table:
    """A table of (label, done, total, count), one bar below the other; the first is the sum of the others."""
    grid = Table.grid(padding=(0, 2), expand=True)
    # The bar shrinks to 12 columns before a name is cut.
    counts = max(len(count) for *_, count in lines)
    grid.add_column(no_wrap=True, overflow="ellipsis", max_width=max(16, width - counts - 16))
    grid.add_column(ratio=1, min_width=10)
    grid.add_column(no_wrap=True, justify="right")
    for index, (label, done, total, count) in enumerate(lines):
        bar = ProgressBar(total=max(1, total), completed=done)
        grid.add_row(Text(label, "" if index else "bold"), bar, Text(count))
    return grid


class PlainProgress:
    """A line now and then, for log files and pipes. An observer."""

    def __init__(self, stream: TextIO, clock: Clock = time.monotonic) -> None:
        self.stream = stream
        self.clock = clock
        self.tally = Tally()
        self.messages = Messages()
        self.last: dict[str, tuple[float, int]] = {}
        """When the last line of a sequence was written, and how many frames it had then."""
        self.last_total = 0.0
        self.last_opened = -OPENED_EVERY_S

    def __call__(self, event: Event) -> None:
        now = self.clock()
        self.tally.take(event, now)
        message = self.messages.of(event)
        if message is not None:
            self.write(": ".join(message))
        if isinstance(event, SceneOpened):
            if event.done == event.total or now - self.last_opened >= OPENED_EVERY_S:
                self.last_opened = now
                self.write(f"Opening scenes {event.done}/{event.total}")
        elif isinstance(event, RunPlanned):
            self.last_total = now
            self.planned()
        elif isinstance(event, FrameDone | FrameFailed):
            self.frame_over(event.sequence, now)
        elif isinstance(event, SequenceDone):
            row = self.tally.rows.get(event.sequence)
            if row is None or row.rendered:
                self.write(f"{event.sequence}: complete")

    def planned(self) -> None:
        tally = self.tally
        kept = f"; {tally.kept} are there already" if tally.kept else ""
        missing = counted(tally.total - tally.kept, "frame")
        self.write(f"Rendering {missing} of {counted(len(tally.rows), 'sequence')}{kept}")

    def frame_over(self, sequence: str, now: float) -> None:
        row = self.tally.rows.get(sequence)
        if row is not None and row.over:
            if row.failed:  # Of the others we hear that they are done.
                self.write(f"{sequence}: {row.done}/{row.total} frames, {row.failed} failed")
        elif row is not None:
            at, frames = self.last.get(sequence, (float("-inf"), -row.total))
            if now - at >= LINE_EVERY_S and row.done - frames >= row.total / 10:
                self.last[sequence] = now, row.done
                self.write(f"{sequence}: {row.done}/{row.total} frames")
        if now - self.last_total >= TOTAL_EVERY_S:
            self.last_total = now
            words = [f"{self.tally.done}/{self.tally.total} frames", *self.tally.pace(now)]
            self.write(f"In all: {', '.join(words)}")

    def write(self, text: str) -> None:
        self.stream.write(text + "\n")
        self.stream.flush()


def counted(number: int, word: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{number} {word}{'' if number == 1 else 's'}"
