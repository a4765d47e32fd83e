"""The two jobs of the program, start to end: many scenes into datasets, one scene into an animation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from visionsim.simulation.config import RenderConfig
from visionsim.simulation.plan import Plan, Sampling
from visionsim.simulation.report import Observer, RunReport

__all__ = ["AnimationRequest", "DatasetRequest", "run"]


@dataclass(frozen=True)
class DatasetRequest:
    """Sequences of every scene of a folder."""

    scenes_dir: Path
    datasets_dir: Path
    sequences_per_scene: int = 1
    num_frames: int | None = None
    sampling: Sampling = "uniform"
    seed: int = 0
    anim_start: int | None = None
    anim_end: int | None = None


@dataclass(frozen=True)
class AnimationRequest:
    """One scene into one folder."""

    blend: Path
    root: Path
    frame_start: int | None = None
    frame_end: int | None = None
    """Last frame, inclusive."""
    frame_step: int = 1


def run(
    request: DatasetRequest | AnimationRequest,
    config: RenderConfig,
    *,
    dry_run: bool = False,
    observe: Observer,
) -> RunReport | Plan:
    raise NotImplementedError
