"""What a run tells while it goes on (events) and when it has ended (the report). Plain data; commands draw it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
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
    "grouped",
]

MOST_ALIKE = 3
"""Up to this many sentences that differ only in names are told one by one."""

MOST_NAMES = 5
"""Scenes, or objects, that a line names."""


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
    again: bool = True
    """Whether the same command may succeed another time; not if the request or the scene is to blame."""


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
    findings: dict[str, list[str]] = field(default_factory=dict)
    """Scene -> what a user should know about it, one sentence each; `grouped` makes few lines of them."""
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
            "findings": {scene: list(sentences) for scene, sentences in self.findings.items()},
        }


def grouped(findings: Mapping[str, Iterable[str]]) -> list[str]:
    """Few lines from many sentences about scenes.

    A sentence about several scenes becomes one line, and so do more than MOST_ALIKE sentences that differ only in what
    they name: `room: texture 'wood' is missing: wood.png; the same of 'brick', 'sand', 'sky'`.
    """
    kinds: dict[str, dict[str, list[str]]] = {}
    for scene, sentences in findings.items():
        for sentence in sentences:
            kinds.setdefault(without_names(sentence), {}).setdefault(sentence, []).append(scene)
    lines = []
    for alike in kinds.values():
        if len(alike) <= MOST_ALIKE:
            lines += [line_of(sentence, scenes) for sentence, scenes in alike.items()]
            continue
        first, *others = alike
        names = [name for name in dict.fromkeys(map(first_name, others)) if name and name != first_name(first)]
        also = f"; the same of {in_short(names)}" if names else f"; {len(others)} more like it"
        lines.append(line_of(first + also, list(dict.fromkeys(scene for scenes in alike.values() for scene in scenes))))
    return lines


def line_of(sentence: str, scenes: list[str]) -> str:
    return f"{scenes[0]}: {sentence}" if len(scenes) == 1 else f"{len(scenes)} scenes: {sentence} ({in_short(scenes)})"


def without_names(sentence: str) -> str:
    """A sentence without what differs between objects of the same kind: quoted names, paths and numbers."""
    return re.sub(r"'[^']*'|\S*[/\\]\S*|\d+", "...", sentence)


def first_name(sentence: str) -> str:
    found = re.search(r"'[^']*'", sentence)
    return found.group() if found else ""


def in_short(names: list[str], most: int = MOST_NAMES) -> str:
    """`a, b and 3 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
