"""What is in a dataset, without reading pixels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from visionsim.dataset.reader import Dataset

__all__ = ["DatasetInfo", "SequenceInfo", "info_of"]


@dataclass(frozen=True)
class SequenceInfo:
    """A sequence."""

    name: str
    folder: Path
    frames: int
    first_frame: int
    last_frame: int
    kinds: tuple[str, ...]
    form: str
    """files or arrays."""
    width: int
    height: int
    camera_model: str
    fps: float
    keyframe_multiplier: float
    distance: float
    """Of the camera's path, scene units."""
    objects: int
    """Number of labels."""
    size: int
    """Bytes of all its files."""


@dataclass(frozen=True)
class DatasetInfo:
    """All sequences of a dataset."""

    sequences: tuple[SequenceInfo, ...]

    @property
    def frames(self) -> int:
        return sum(sequence.frames for sequence in self.sequences)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(sequence.size for sequence in self.sequences)

    def to_json(self) -> dict[str, Any]:
        rows = [{**asdict(sequence), "folder": str(sequence.folder)} for sequence in self.sequences]
        return {"frames": self.frames, "size": self.size, "sequences": rows}


def info_of(dataset: Dataset) -> DatasetInfo:
    """Look at all sequences and the sizes of their files."""
    rows = []
    for name, sequence in dataset.sequences().items():
        source = sequence[0].source
        values = source.camera_values(0)
        rows.append(
            SequenceInfo(
                name=name,
                folder=source.folder,
                frames=len(sequence),
                first_frame=int(sequence.frames[0]),
                last_frame=int(sequence.frames[-1]),
                kinds=source.kinds,
                form="arrays" if source.arrays else "files",
                width=values["w"],
                height=values["h"],
                camera_model=values["camera_model"],
                fps=source.head["fps"],
                keyframe_multiplier=source.head["keyframe_multiplier"],
                distance=float(sequence.arclength[-1]),
                objects=len(source.head.get("labels", {})),
                size=sum(path.stat().st_size for path in source.folder.rglob("*") if path.is_file()),
            )
        )
    return DatasetInfo(tuple(rows))
