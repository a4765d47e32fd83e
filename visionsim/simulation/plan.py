"""What will be rendered: scenes, sequences, frames. Pure functions; nothing here opens a file but to list folders.

Frame ranges are half-open: a sequence of N frames from s covers s ... s + N - 1, and its `stop` is s + N.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from visionsim.errors import InputNotFound, SamplingError
from visionsim.files import natural_key
from visionsim.simulation.config import RenderConfig, time_stretch

__all__ = [
    "Plan",
    "Probe",
    "ProbedScene",
    "SceneFile",
    "SceneInfo",
    "ScenePlan",
    "SequencePlan",
    "bytes_per_frame",
    "find_scenes",
    "fps_of",
    "sample_starts",
    "sequence_id",
    "step_of",
    "stretched_range",
]

Sampling = Literal["uniform", "random"]


@dataclass(frozen=True)
class SceneFile:
    """A .blend file and the name its data goes by."""

    name: str
    blend: Path


@dataclass(frozen=True)
class SceneInfo:
    """What opening a scene told us. Plain values, as they came from the worker."""

    blender: str
    """Version and build of the Blender that opened it, such as `5.2.3 LTS e13b728c6880`."""
    digest: str
    """SHA-256 of the .blend file, hexadecimal."""
    frame_start: int
    frame_end: int
    """Last frame of the authored range, inclusive as in Blender."""
    fps: float
    """Authored frames per second."""
    camera: str
    """Name of the active camera object."""
    device: str
    """What Cycles will render on, such as `cpu`."""
    labels: dict[str, dict[str, Any]]
    """Object id (as text) -> name, path, class, motion; copies included."""
    copies: dict[str, Any] | None = field(default_factory=dict)
    """Path of each copy -> what the worker knows of it (`worker.instances`), for workers that open the scene later.
    None if there are too many, which each of them has to find out again."""
    flow: str = ""
    """Where flow comes from and why, in words; empty if none is wanted."""
    missing: tuple[str, ...] = ()
    """What pictures lack, one sentence each: missing textures and libraries, scripts that did not run. `--strict`
    makes these errors."""
    still: bool = False
    """Whether certainly nothing changes from frame to frame, the camera included."""
    warnings: tuple[str, ...] = ()
    """Other findings of the audit, one sentence each: what is replaced, what cannot be slowed."""


@dataclass(frozen=True)
class SequencePlan:
    """A range of a scene's stretched timeline, rendered into one folder."""

    name: str
    """How reports call it: `SCENE/SEQUENCE-ID`, or the folder's name."""
    scene: SceneFile
    info: SceneInfo
    folder: Path
    frames: Sequence[int]
    """(Stretched) Blender frames, in order; a range but for single frames that a script chose."""


@dataclass(frozen=True)
class ScenePlan:
    """A scene with its sequences, or why it has none."""

    scene: SceneFile
    info: SceneInfo | None
    error: str | None = None
    sequences: tuple[SequencePlan, ...] = ()


@dataclass(frozen=True)
class ProbedScene:
    """What one frame of a scene took when it was tried."""

    scene: str
    frame: int
    seconds: float = 0.0
    """Time the worker spent on it."""
    write_seconds: float = 0.0
    """Processor time of encoding its files."""
    num_bytes: int = 0
    """What it adds to the dataset."""
    error: str | None = None
    """Why it could not be rendered."""


@dataclass(frozen=True)
class Probe:
    """How long a plan will take, from a frame of each scene."""

    scenes: tuple[ProbedScene, ...]
    workers: int
    scene_seconds: dict[str, float]
    """Scene -> seconds that all of its frames take, if all workers render it; without those that failed."""

    @property
    def seconds(self) -> float:
        return sum(self.scene_seconds.values())


@dataclass(frozen=True)
class Plan:
    """Everything one command is going to do."""

    scenes: tuple[ScenePlan, ...]
    disk_bytes: int = 0
    """Estimate of the bytes that all frames will take; measured, if there is a probe."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The resolved settings, as plain JSON values."""
    probe: Probe | None = None

    @property
    def sequences(self) -> list[SequencePlan]:
        return [sequence for scene in self.scenes for sequence in scene.sequences]

    @property
    def num_frames(self) -> int:
        return sum(len(sequence.frames) for sequence in self.sequences)


def find_scenes(folder: Path) -> list[SceneFile]:
    """The .blend files in `folder` and one level down, in natural order, with names that are unique.

    Raises:
        InputNotFound: no such folder, or no .blend file in it.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise InputNotFound(f"The scenes folder {what}: {folder}")
    blends = [path for pattern in ("*.blend", "*/*.blend") for path in folder.glob(pattern) if path.is_file()]
    if not blends:
        raise InputNotFound(f"There is no .blend file in the scenes folder, nor one level down: {folder}")
    blends.sort(key=lambda path: (natural_key(path.relative_to(folder).as_posix()), path))
    return [SceneFile(name, blend) for name, blend in zip(scene_names(blends), blends, strict=True)]


def scene_names(blends: Sequence[Path]) -> list[str]:
    """A name for each file: its stem; if two share it, `<folder>-<stem>`.

    Raises:
        SamplingError: even so two would write into the same folder.
    """
    stems = [path.stem for path in blends]
    names = [f"{path.parent.name}-{path.stem}" if stems.count(path.stem) > 1 else path.stem for path in blends]
    for index, name in enumerate(names):
        if name in names[:index]:
            first = blends[names.index(name)]
            raise SamplingError(f"Two scenes would both be called {name!r}; rename one: {first} and {blends[index]}")
    return names


def stretched_range(frame_start: int, frame_end: int, multiplier: float) -> range:
    """Frames of the stretched timeline that show the authored range [frame_start, frame_end].

    What the scene shows at time t is shown at frame `multiplier * t`, so the frames are
    ceil(start * m) ... floor(end * m), never past what the artist animated. May be empty.
    """
    m = time_stretch(multiplier)
    return range(math.ceil(frame_start * m), math.floor(frame_end * m) + 1)


def sample_starts(
    frames: range,
    count: int,
    num_frames: int | None,
    *,
    sampling: Sampling = "uniform",
    seed: int = 0,
) -> list[range]:
    """`count` disjoint ranges of `num_frames` consecutive frames inside `frames` (step 1), in order.

    Uniform: sequence i starts at s0 + floor(i * n / count). Random: seeded random starts, every disjoint
    placement equally likely. With one sequence `num_frames` defaults to all frames.

    Raises:
        SamplingError: they do not fit; the message names the largest number of frames that does.
    """
    total = len(frames)
    if count < 1:
        raise SamplingError(f"--sequences-per-scene={count}: must be at least 1")
    if num_frames is None:
        if count > 1:
            raise SamplingError(
                f"--num-frames is needed with --sequences-per-scene={count}; at most {total // count} fit"
            )
        num_frames = total
    largest = total // count
    if largest < 1:
        raise SamplingError(f"{count} sequences do not fit into {total} frames; at most {total} of one frame each do")
    if num_frames < 1:
        raise SamplingError(f"--num-frames={num_frames}: must be at least 1; at most {largest} fit")
    if num_frames > largest:
        raise SamplingError(
            f"{count} sequence{'s' * (count > 1)} of {num_frames} frames would overlap or pass the end of the "
            f"{total} frames {frames.start} to {frames.stop - 1}: "
            f"--num-frames={largest} is the largest that fits"
        )
    if sampling == "uniform":
        offsets = [i * total // count for i in range(count)]
    else:
        # Choosing `count` of the slack's positions, with repetition, and pushing the i-th right by i * N
        # reaches each disjoint placement exactly once: sorted distinct picks minus their rank are such choices.
        slack = total - count * num_frames
        picks = sorted(random.Random(seed).sample(range(slack + count), count))
        offsets = [pick - rank + rank * num_frames for rank, pick in enumerate(picks)]
    return [range(frames.start + offset, frames.start + offset + num_frames) for offset in offsets]


def sequence_id(multiplier: float, frames: range) -> str:
    """`MMM-SSSSS-EEEEE`: the multiplier, the first frame, one past the last; `002-00001-00101`, `001.5-...`."""
    m = time_stretch(multiplier)
    whole, rest = divmod(m, 1)
    fraction = f"{float(rest):.9f}"[1:].rstrip("0") if rest else ""
    return f"{whole:03d}{fraction}-{frames.start:05d}-{frames.stop:05d}"


def step_of(frames: Sequence[int]) -> int:
    """From one frame to the next; 1 if that differs, or if there is only one."""
    steps = {after - before for before, after in pairwise(frames)}
    return steps.pop() if len(steps) == 1 else 1


def bytes_per_frame(config: RenderConfig) -> int:
    """Rough estimate of what one frame takes on disk; scenes differ by a factor of two.

    Bits per pixel of PNG at 8 bits and EXR with ZIP are the demo scenes' (`scripts/readme_picture.py` prints them);
    RLE files of the same kinds are half as large again.
    """
    picture = {"PNG": 2.0, "JPEG": 0.4, "OPEN_EXR": 3.0}[config.file_format] * config.bit_depth
    packed = {"depths": 20.0, "normals": 70.0, "flows": 105.0, "segmentations": 1.5, "occlusions": 0.3}
    whole = {"depths": 32.0, "normals": 96.0, "flows": 128.0, "segmentations": 32.0, "occlusions": 0.3}
    bits = whole if config.exr_codec == "NONE" else packed
    truth = sum(bits[name] for name in config.ground_truths) * (1.5 if config.exr_codec == "RLE" else 1.0)
    return int(config.width * config.height * (picture + truth) / 8) + 4096


def fps_of(info: SceneInfo, multiplier: float) -> float:
    """Frames per second of the stretched timeline."""
    return float(Fraction(info.fps).limit_denominator(100_000) * time_stretch(multiplier))
