"""What a run tells while it goes on (events) and when it has ended (the report). Plain data; commands draw it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visionsim.simulation.plan import Plan

__all__ = [
    "Event",
    "Failure",
    "FrameDone",
    "FrameFailed",
    "FrameRetried",
    "Note",
    "Observer",
    "RunPlanned",
    "RunReport",
    "SceneOpened",
    "SequenceDone",
    "SequenceReport",
]


@dataclass(frozen=True)
class SceneOpened:
    """A scene was opened for the plan, or could not be."""

    scene: str
    done: int
    total: int
    error: str | None = None


@dataclass(frozen=True)
class RunPlanned:
    """The plan stands; `kept` says how many frames of each sequence (by name) are on disk already."""

    plan: Plan
    kept: dict[str, int]


@dataclass(frozen=True)
class FrameDone:
    """All files of a frame are on disk."""

    sequence: str
    frame: int
    seconds: float
    """Time the worker spent on it."""


@dataclass(frozen=True)
class FrameFailed:
    """A frame was given up."""

    sequence: str
    frame: int
    message: str


@dataclass(frozen=True)
class FrameRetried:
    """A frame went wrong, and will be tried again."""

    sequence: str
    frame: int
    message: str


@dataclass(frozen=True)
class SequenceDone:
    """All frames of a sequence and its transforms.json are on disk."""

    sequence: str
    folder: Path


@dataclass(frozen=True)
class Note:
    """Something the user should know: a worker that died and was replaced, a scene's audit finding."""

    message: str


Event = SceneOpened | RunPlanned | FrameDone | FrameFailed | FrameRetried | SequenceDone | Note
Observer = Callable[[Event], None]


@dataclass(frozen=True)
class Failure:
    """A piece of work that was not done, and why."""

    scene: str
    sequence: str | None
    frames: tuple[int, ...]
    """Empty if the whole scene failed."""
    message: str
    set_aside: bool = False
    """The frame killed each worker that tried it."""


@dataclass
class SequenceReport:
    """What became of one sequence."""

    name: str
    folder: Path
    total: int
    kept: int = 0
    """Frames that were there already."""
    rendered: int = 0
    failed: int = 0
    retried: int = 0
    """Times that a frame was tried again."""
    seconds: float = 0.0
    """Sum over the rendered frames of the time their workers spent on them."""

    @property
    def complete(self) -> bool:
        return self.kept + self.rendered == self.total


@dataclass
class RunReport:
    """What a run did."""

    root: Path
    sequences: list[SequenceReport] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    elapsed: float = 0.0
    """Wall clock of the whole run, seconds."""
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some work failed, 130 interrupted."""
        if self.interrupted:
            return 130
        return 1 if self.failures else 0

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        rows = [
            {**dataclasses.asdict(row), "folder": str(row.folder), "complete": row.complete} for row in self.sequences
        ]
        return {
            "root": str(self.root),
            "exit_code": self.exit_code,
            "interrupted": self.interrupted,
            "elapsed": self.elapsed,
            "frames_rendered": sum(row.rendered for row in self.sequences),
            "frames_kept": sum(row.kept for row in self.sequences),
            "frames_failed": sum(row.failed for row in self.sequences),
            "frames_set_aside": sum(failure.set_aside for failure in self.failures),
            "retries": sum(row.retried for row in self.sequences),
            "sequences": rows,
            "failures": [{**dataclasses.asdict(f), "frames": list(f.frames)} for f in self.failures],
            "notes": list(self.notes),
        }
