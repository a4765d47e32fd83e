"""What became of work on many frames: how many are done, and which could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visionsim.dataset.reader import Sample

__all__ = ["DamagedFrame", "WorkReport"]


@dataclass(frozen=True)
class DamagedFrame:
    """A frame that could not be read; all others were."""

    sequence: str
    frame: int
    message: str

    @classmethod
    def of(cls, sample: Sample, error: Exception) -> DamagedFrame:
        return cls(sample.sequence, sample.frame, str(error))


@dataclass
class WorkReport:
    """What was done with a dataset."""

    what: str
    """In words, such as `exported as KITTI flow`."""
    target: Path
    frames: int = 0
    """Done, those of an earlier run included."""
    kept: int = 0
    """Of them: were there already."""
    damaged: list[DamagedFrame] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What one should know of the result, in sentences."""
    elapsed: float = 0.0
    """Seconds."""

    @property
    def exit_code(self) -> int:
        """0 if all is done, 1 if frames are damaged."""
        return 1 if self.damaged else 0

    def to_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "target": str(self.target),
            "frames": self.frames,
            "kept": self.kept,
            "damaged": [vars(frame) for frame in self.damaged],
            "notes": self.notes,
            "elapsed": self.elapsed,
            "exit_code": self.exit_code,
        }
