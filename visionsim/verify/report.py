"""What verification found: problems, and the counts of every check. Plain data; commands draw it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "CHECKS",
    "NOT_STATIC",
    "NO_IDS",
    "Found",
    "Problem",
    "SequenceResult",
    "Verified",
    "VerifyReport",
    "rounded",
]

CHECKS = {
    "documents": "transforms.json and info.json agree with their schemas, with each other and with the journal",
    "journal": "every file is, byte for byte, what was written",
    "files": "every file decodes; size, channels, types and ranges are right",
    "background": "all kinds have their background in the same pixels",
    "depth": "depth and poses of different frames describe the same static surfaces",
    "flow": "depth and poses of neighbouring frames reproduce the flow of static surfaces",
    "roundtrip": "forward and backward flow undo each other",
    "occlusions": "occlusions agree with flow and with what neighbouring frames show",
    "moving": "what moves goes where its flow leads, and what is rigid keeps its shape",
    "ids": "a surface point keeps its id from frame to frame",
    "normals": "normals agree with the depth's surface, and with those of neighbouring frames",
    "smooth": "ids do not change in the middle of a smooth surface",
    "order": "pictures follow the flow from frame to frame",
    "deep": "ray casts into the .blend hit what the dataset says",
}
"""Name of each check -> what it proves, in the order of the report."""

NO_IDS = "frames without segmentations: what moves is not known"
NOT_STATIC = "frames in which too little stands still"
BENT = "frames in which normal maps bend most normals, as one does whose texture is missing (--deep names it)"
"""Why checks of static surfaces, of moving ones, and of normals, cannot judge."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong."""

    check: str
    """A key of CHECKS."""
    message: str
    """One sentence, without the place."""
    file: str = ""
    """Relative to the sequence's folder; empty if it is none in particular."""
    frame: int | None = None
    x: int | None = None
    """Column of the first pixel that is wrong."""
    y: int | None = None
    """Its row."""
    expected: Any = None
    found: Any = None

    @property
    def place(self) -> str:
        """`depths/depth_000007.exr, pixel (12, 3)`."""
        words = [self.file] if self.file else [f"frame {self.frame}"] if self.frame is not None else []
        if self.x is not None:
            words.append(f"pixel ({self.x}, {self.y})")
        return ", ".join(words)


@dataclass
class Found:
    """Problems, and how often each check compared something; grows by `+=`."""

    problems: list[Problem] = field(default_factory=list)
    compared: dict[str, int] = field(default_factory=dict)
    """Check -> frames (documents: files) that it could say something about."""
    skipped: dict[str, dict[str, int]] = field(default_factory=dict)
    """Check -> why it could not judge something -> how often: frames, or pixels of `deep`."""
    notes: list[str] = field(default_factory=list)
    unfinished: bool = False
    """Whether frames are recorded, and nothing describes them: whatever made them was interrupted, or goes on."""

    def count(self, check: str, number: int = 1) -> None:
        self.compared[check] = self.compared.get(check, 0) + number

    def skip(self, check: str, reason: str, number: int = 1) -> None:
        reasons = self.skipped.setdefault(check, {})
        reasons[reason] = reasons.get(reason, 0) + number

    def add(self, check: str, message: str, **place: Any) -> None:
        self.problems.append(Problem(check, message, **place))

    def __iadd__(self, other: Found) -> Found:
        self.problems += other.problems
        self.unfinished |= other.unfinished
        self.notes += [note for note in other.notes if note not in self.notes]
        for check, number in other.compared.items():
            self.count(check, number)
        for check, reasons in other.skipped.items():
            for reason, number in reasons.items():
                self.skip(check, reason, number)
        return self


@dataclass
class SequenceResult:
    """What became of one sequence."""

    name: str
    folder: Path
    frames: int = 0
    kinds: tuple[str, ...] = ()
    """Kinds of ground truth that are there."""
    found: Found = field(default_factory=Found)

    @property
    def ok(self) -> bool:
        return not (self.found.problems or self.found.unfinished)

    def status(self, check: str) -> str:
        """`ok`, `failed`, or `skipped` where there was nothing to compare."""
        if any(problem.check == check for problem in self.found.problems):
            return "failed"
        return "ok" if self.found.compared.get(check) else "skipped"


@dataclass
class VerifyReport:
    """What was verified."""

    sequences: list[SequenceResult] = field(default_factory=list)
    jobs: int = 1
    elapsed: float = 0.0
    """Wall clock, seconds."""

    @property
    def frames(self) -> int:
        return sum(row.frames for row in self.sequences)

    @property
    def exit_code(self) -> int:
        """0 nothing is wrong, 1 something is, or is unfinished."""
        return int(not all(row.ok for row in self.sequences))

    @property
    def frames_per_minute(self) -> float:
        return 60.0 * self.frames / self.elapsed if self.elapsed else 0.0

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "exit_code": self.exit_code,
            "frames": self.frames,
            "jobs": self.jobs,
            "elapsed": self.elapsed,
            "frames_per_minute": self.frames_per_minute,
            "checks": dict(CHECKS),
            "sequences": [
                {
                    "name": row.name,
                    "folder": str(row.folder),
                    "frames": row.frames,
                    "kinds": list(row.kinds),
                    "ok": row.ok,
                    "unfinished": row.found.unfinished,
                    "checks": {
                        check: {
                            "status": row.status(check),
                            "compared": row.found.compared.get(check, 0),
                            "skipped": row.found.skipped.get(check, {}),
                        }
                        for check in CHECKS
                    },
                    "problems": [dataclasses.asdict(problem) for problem in row.found.problems],
                    "notes": row.found.notes,
                }
                for row in self.sequences
            ],
        }


@dataclass(frozen=True)
class Verified:
    """So many frames have been looked at; told while it goes on."""

    sequence: str
    done: int
    total: int


ProgressOf = Callable[[Verified], None]


def rounded(values: Any, digits: int = 6) -> list[float]:
    return [round(float(value), digits) for value in values]
