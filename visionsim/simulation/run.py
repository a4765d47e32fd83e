"""The two jobs of the program, start to end: many scenes into datasets, one scene into an animation.

Every scene is opened once and the plan is made from what it says. Nothing is written before the plan stands. Then
whatever is missing on disk is rendered, and each sequence that is complete gets its transforms.json.
"""

from __future__ import annotations

import importlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from visionsim.errors import ConfigError, IncompleteScene, InputNotFound, SamplingError
from visionsim.files import ensure_writable
from visionsim.simulation.client import RunClient
from visionsim.simulation.config import RenderConfig, check_config
from visionsim.simulation.host import (
    disk_warning,
    memory_warning,
    num_workers,
    this_machine,
)
from visionsim.simulation.jobs import Job
from visionsim.simulation.labels import LabelRules
from visionsim.simulation.plan import (
    Plan,
    Sampling,
    SceneFile,
    SceneInfo,
    SequencePlan,
    find_scenes,
    sample_starts,
    sequence_id,
    stretched_range,
)
from visionsim.simulation.pool import Pool, spawn_pool
from visionsim.simulation.probe import ProbeClient
from visionsim.simulation.probe import probe as measure
from visionsim.simulation.report import Observer, RunReport

__all__ = ["AnimationRequest", "DatasetRequest", "carry_out", "make_plan", "run"]


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
    labels: LabelRules | None = None

    @property
    def root(self) -> Path:
        return self.datasets_dir

    def scenes(self) -> list[SceneFile]:
        """Raises InputNotFound if there are none."""
        return find_scenes(self.scenes_dir)

    def sequences(self, scene: SceneFile, info: SceneInfo, config: RenderConfig) -> list[SequencePlan]:
        """Raises SamplingError if they do not fit."""
        start = info.frame_start if self.anim_start is None else self.anim_start
        end = info.frame_end if self.anim_end is None else self.anim_end
        frames = stretched_range(start, end, config.keyframe_multiplier)
        if not frames:
            stretch = "" if config.keyframe_multiplier == 1 else f" times {config.keyframe_multiplier:g}"
            raise SamplingError(
                f"Scene {scene.name}: there is no frame from {start} to {end}{stretch}; "
                "choose others with --anim-start and --anim-end"
            )
        try:
            ranges = sample_starts(
                frames, self.sequences_per_scene, self.num_frames, sampling=self.sampling, seed=self.seed
            )
        except SamplingError as exc:
            raise SamplingError(f"Scene {scene.name}: {exc}") from exc
        names = [sequence_id(config.keyframe_multiplier, chosen) for chosen in ranges]
        return [
            SequencePlan(f"{scene.name}/{name}", scene, info, self.datasets_dir / "renders" / scene.name / name, chosen)
            for name, chosen in zip(names, ranges, strict=True)
        ]


@dataclass(frozen=True)
class AnimationRequest:
    """One scene into one folder."""

    blend: Path
    root: Path
    frame_start: int | None = None
    frame_end: int | None = None
    """Last frame, inclusive."""
    frame_step: int = 1
    labels: LabelRules | None = None

    def scenes(self) -> list[SceneFile]:
        """Raises InputNotFound if the file does not exist."""
        if not self.blend.is_file():
            what = "is not a file" if self.blend.exists() else "does not exist"
            raise InputNotFound(f"The scene {what}: {self.blend}")
        return [SceneFile(self.blend.stem, self.blend)]

    def sequences(self, scene: SceneFile, info: SceneInfo, config: RenderConfig) -> list[SequencePlan]:
        """Raises SamplingError if the frames are not within the scene's range."""
        whole = self.whole(info, config)
        start = whole.start if self.frame_start is None else self.frame_start
        end = whole.stop - 1 if self.frame_end is None else self.frame_end
        if self.frame_step < 1:
            raise SamplingError(f"--frame-step={self.frame_step}: must be at least 1")
        if start > end or start not in whole or end not in whole:
            raise SamplingError(
                f"Frames {start} to {end} are not within the scene's frames {whole.start} to {whole.stop - 1}; "
                "choose --frame-start and --frame-end among them"
            )
        return [SequencePlan(scene.name, scene, info, self.root, range(start, end + 1, self.frame_step))]

    def whole(self, info: SceneInfo, config: RenderConfig) -> range:
        """The frames there are."""
        return stretched_range(info.frame_start, info.frame_end, config.keyframe_multiplier)


def run(
    request: DatasetRequest | AnimationRequest,
    config: RenderConfig,
    *,
    dry_run: bool = False,
    probe: bool = False,
    force: bool = False,
    strict: bool = False,
    observe: Observer,
) -> RunReport | Plan:
    """Plan, and unless `dry_run` render what is missing.

    Args:
        request: what is wanted.
        config: how; never changed.
        dry_run: return the Plan, render nothing, write nothing.
        probe: of a dry run: render one frame of each scene, of which nothing is kept, to say how long all will take.
        force: start sequences over that cannot be gone on with, which else would be refused.
        strict: refuse scenes that lack something which their pictures need.
        observe: called with events as they happen, from this thread.
    Raises:
        RequestError: what was asked for cannot be done; nothing was written.
    """
    check_config(config)
    if probe and not dry_run:
        raise ConfigError("--probe renders one frame of each scene to say how long all will take: add --dry-run")
    started = time.monotonic()
    scenes = {scene.name: scene for scene in request.scenes()}
    if not dry_run:
        ensure_writable(request.root)
        ensure_writable(config.log_dir, "folder of the logs")
    machine = this_machine(config.device_type)
    workers = num_workers(config, machine)
    client = (ProbeClient if probe else RunClient)(request, config, workers, scenes, observe, force=force)
    if warning := memory_warning(config, workers, machine):
        client.note(warning)
    with client, spawn_pool(config, workers) as pool:
        if config.executable is None and pool.command[0] != sys.executable:
            client.note(f"this Python has no bpy module: rendering with {pool.command[0]}")
        pool.start(len(scenes))
        plan = make_plan(client, pool)
        if plan is not None and strict:
            check_complete(plan)
        if plan is not None and isinstance(client, ProbeClient):
            plan = measure(client, pool, plan, workers, machine)
        if plan is None:
            return client.finish(interrupted=True, elapsed=time.monotonic() - started)
        if not dry_run:
            return carry_out(client, pool, plan, started, config.log_dir)
        if warning := disk_warning(request.root, plan.disk_bytes):
            client.note(warning)
        return plan


def make_plan(client: RunClient, pool: Pool) -> Plan | None:
    """Open every scene, and plan what to render of it; None if the user interrupted that."""
    # numpy, OpenEXR and what needs them load while Blender does: the first frame is there sooner.
    importlib.import_module("visionsim.simulation.writer")
    return client.make_plan() if pool.run((Job(name) for name in client.scenes), client) else None


def carry_out(client: RunClient, pool: Pool, plan: Plan, started: float, log_dir: Path | None = None) -> RunReport:
    """Render what is missing on disk of a plan; the run began at this time (`time.monotonic`).

    With `log_dir`, what Blender says goes there; otherwise to where it went before, if anywhere.
    """
    jobs = client.begin(plan)
    if jobs and log_dir is not None:
        pool.log_to(log_dir)
    complete = pool.run(jobs, client)
    return client.finish(interrupted=not complete, elapsed=time.monotonic() - started)


def check_complete(plan: Plan) -> None:
    """Raise IncompleteScene if any scene lacks what its pictures need; the message lists all of it."""
    missing = [
        f"{scene.scene.name}: {sentence}"
        for scene in plan.scenes
        if scene.info is not None
        for sentence in scene.info.missing
    ]
    if missing:
        lines = "".join(f"\n    {line}" for line in missing)
        raise IncompleteScene(f"Scenes lack what their pictures need; supply it, or leave out --strict:{lines}")
