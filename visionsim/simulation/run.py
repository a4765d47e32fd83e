"""The two jobs of the program, start to end: many scenes into datasets, one scene into an animation.

Every scene is opened once and the plan is made from what it says. Nothing is written before the plan stands. Then
whatever is missing on disk is rendered, and each sequence that is complete gets its transforms.json.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visionsim.dataset.journal import FrameRecord, Journal
from visionsim.dataset.schema import info_document, transforms_document, write_document
from visionsim.errors import ConfigError, InputNotFound, RequestError, SamplingError
from visionsim.files import ensure_writable
from visionsim.simulation.config import RenderConfig, check_config, settings_of
from visionsim.simulation.host import num_threads, num_workers
from visionsim.simulation.jobs import Fail, FrameTask, Job, OpenTask, Task
from visionsim.simulation.plan import (
    Plan,
    Sampling,
    SceneFile,
    SceneInfo,
    ScenePlan,
    SequencePlan,
    bytes_per_frame,
    find_scenes,
    fps_of,
    sample_starts,
    sequence_id,
    stretched_range,
)
from visionsim.simulation.pool import Pool
from visionsim.simulation.process import blender_command
from visionsim.simulation.report import (
    Failure,
    FrameDone,
    FrameFailed,
    Note,
    Observer,
    RunPlanned,
    RunReport,
    SceneOpened,
    SequenceDone,
    SequenceReport,
)
from visionsim.simulation.writer import FrameFormat, write_frame

__all__ = ["AnimationRequest", "DatasetRequest", "run"]

logger = logging.getLogger(__name__)


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

    def scenes(self) -> list[SceneFile]:
        """Raises InputNotFound if the file does not exist."""
        if not self.blend.is_file():
            what = "is not a file" if self.blend.exists() else "does not exist"
            raise InputNotFound(f"The scene {what}: {self.blend}")
        return [SceneFile(self.blend.stem, self.blend)]

    def sequences(self, scene: SceneFile, info: SceneInfo, config: RenderConfig) -> list[SequencePlan]:
        """Raises SamplingError if the frames are not within the scene's range."""
        whole = stretched_range(info.frame_start, info.frame_end, config.keyframe_multiplier)
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


def run(
    request: DatasetRequest | AnimationRequest,
    config: RenderConfig,
    *,
    dry_run: bool = False,
    observe: Observer,
) -> RunReport | Plan:
    """Plan, and unless `dry_run` render what is missing.

    Args:
        request: what is wanted.
        config: how; never changed.
        dry_run: return the Plan, render nothing, write nothing.
        observe: called with events as they happen, from this thread.
    Raises:
        RequestError: what was asked for cannot be done; nothing was written.
    """
    check_config(config)
    started = time.monotonic()
    scenes = {scene.name: scene for scene in request.scenes()}
    if not dry_run:
        ensure_writable(request.root)
        ensure_writable(config.log_dir)
    client = Client(request, config, scenes, observe)
    with Pool(blender_command(config.executable), client, jobs=num_workers(config), timeout=config.timeout) as pool:
        pool.run(Job(name) for name in scenes)
        plan = client.make_plan()
        if dry_run:
            return plan
        jobs = client.begin(plan)
        if jobs:
            pool.log_to(config.log_dir)
        complete = pool.run(jobs)
    report = client.report
    report.interrupted = not complete
    report.elapsed = time.monotonic() - started
    return report


@dataclass
class OpenSequence:
    """A sequence while it is rendered."""

    plan: SequencePlan
    journal: Journal
    row: SequenceReport
    missing: list[int]


@dataclass
class Client:
    """What a run knows; the pool's client."""

    asked: DatasetRequest | AnimationRequest
    config: RenderConfig
    scenes: dict[str, SceneFile]
    observe: Observer
    report: RunReport = field(init=False)
    infos: dict[str, SceneInfo] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    sequences: dict[str, OpenSequence] = field(default_factory=dict)
    planning: bool = True

    def __post_init__(self) -> None:
        self.report = RunReport(root=self.asked.root)
        self.form = FrameFormat(
            kinds=self.config.ground_truths,
            file_format=self.config.file_format,
            exr_codec=self.config.exr_codec,
            width=self.config.width,
            height=self.config.height,
            previews=self.config.debug,
            flow_direction=self.config.flow_direction,
        )
        self.settings = {**dataclasses.asdict(self.config), "threads": num_threads(num_workers(self.config))}
        self.settings["addons"] = list(self.config.addons)
        self.settings["log_dir"] = str(self.config.log_dir)

    # What the pool asks and tells.

    def request(self, task: Task) -> tuple[str, Mapping[str, Any]]:
        if isinstance(task, FrameTask):
            return "render", {"frame": task.frame}
        blend = str(self.scenes[task.scene].blend.resolve())
        return "open", {"blend": blend, "settings": self.settings, "truths": list(self.form.kinds)}

    def write(self, task: FrameTask, reply: dict[str, Any]) -> tuple[FrameRecord, float]:
        folder = self.sequences[task.sequence].plan.folder
        return write_frame(folder, task.frame, reply, self.form), reply["seconds"]

    def done(self, task: Task, result: Any) -> None:
        if isinstance(task, FrameTask):
            self.frame_done(self.sequences[task.sequence], *result)
            return
        info = SceneInfo(**{**result, "warnings": tuple(result["warnings"])})
        if self.planning:
            self.infos[task.scene] = info
            self.scene_opened(task.scene)
        elif info.digest != self.infos[task.scene].digest:
            self.note(f"Scene {task.scene} changed on disk while it was rendered; start the command again")

    def failed(self, fail: Fail) -> None:
        task = fail.task
        if isinstance(task, OpenTask):
            if fail.kind == "request":
                raise ConfigError(fail.message)
            self.errors[task.scene] = fail.message
            self.report.failures.append(Failure(task.scene, None, (), fail.message))
            if self.planning:
                self.scene_opened(task.scene)
            else:
                self.scene_failed(task.scene, fail.message)
            return
        self.sequences[task.sequence].row.failed += 1
        self.report.failures.append(Failure(task.scene, task.sequence, (task.frame,), fail.message))
        self.observe(FrameFailed(task.sequence, task.frame, fail.message))

    def note(self, message: str) -> None:
        self.report.notes.append(message)
        self.observe(Note(message))

    # Planning.

    def scene_opened(self, scene: str) -> None:
        done = len(self.infos) + len(self.errors)
        self.observe(SceneOpened(scene, done, len(self.scenes), self.errors.get(scene)))
        for warning in self.infos[scene].warnings if scene in self.infos else ():
            self.note(f"Scene {scene}: {warning}")

    def make_plan(self) -> Plan:
        """The plan for all scenes that could be opened; raises RequestError if it cannot be carried out."""
        plans = []
        for name, scene in self.scenes.items():
            if name not in self.infos:
                plans.append(ScenePlan(scene, None, self.errors.get(name, "interrupted")))
                continue
            info = self.infos[name]
            plans.append(ScenePlan(scene, info, None, tuple(self.asked.sequences(scene, info, self.config))))
        num_frames = sum(len(sequence.frames) for plan in plans for sequence in plan.sequences)
        return Plan(tuple(plans), num_frames * bytes_per_frame(self.config), self.settings)

    def begin(self, plan: Plan) -> list[Job]:
        """Look at what is on disk, and prepare the folders of what is not; returns what is to be rendered."""
        self.planning = False
        for planned in plan.sequences:
            journal = Journal.load(planned.folder, self.sequence_settings(planned))
            if not self.config.allow_skips and journal.records:
                raise RequestError(f"There are frames already, and --render-config.no-allow-skips: {planned.folder}")
            row = SequenceReport(planned.name, planned.folder, len(planned.frames))
            self.sequences[planned.name] = OpenSequence(planned, journal, row, [])
            self.report.sequences.append(row)
        kinds = ("frames", *self.form.kinds)
        with ThreadPoolExecutor() as threads:
            for item in self.sequences.values():
                intact = threads.map(lambda frame, item=item: item.journal.intact(frame, kinds), item.plan.frames)
                item.missing = [frame for frame, fine in zip(item.plan.frames, intact, strict=True) if not fine]
                item.row.kept = item.row.total - len(item.missing)
        self.observe(RunPlanned(plan, {item.row.name: item.row.kept for item in self.sequences.values()}))
        for item in self.sequences.values():
            if item.missing:
                for frame in item.missing:
                    item.journal.forget(frame)
                # They say that the sequence is complete, which it is not.
                for name in ("transforms.json", "info.json"):
                    (item.plan.folder / name).unlink(missing_ok=True)
                item.journal.begin()
            else:
                self.finalise(item)
        return [
            Job(item.plan.scene.name, item.plan.name, tuple(item.missing))
            for item in self.sequences.values()
            if item.missing
        ]

    def sequence_settings(self, planned: SequencePlan) -> dict[str, Any]:
        """What decides the bytes of a sequence's files; stored with it."""
        info = planned.info
        settings = settings_of(self.config)
        settings.pop("device_type")
        return {**settings, "device": info.device, "blender": info.blender, "scene_sha256": info.digest}

    # Rendering.

    def frame_done(self, item: OpenSequence, record: FrameRecord, seconds: float) -> None:
        item.journal.append(record)
        item.row.rendered += 1
        item.row.seconds += seconds
        self.observe(FrameDone(item.row.name, record.frame, seconds))
        if item.row.complete:
            self.finalise(item)

    def scene_failed(self, scene: str, message: str) -> None:
        """A scene that could be opened for the plan can be no longer: what is left of it fails."""
        for item in self.sequences.values():
            if item.plan.scene.name == scene:
                left = item.row.total - item.row.kept - item.row.rendered - item.row.failed
                item.row.failed += left

    def finalise(self, item: OpenSequence) -> None:
        """All frames are there: write what describes them, the journal in order first."""
        folder, info = item.plan.folder, item.plan.info
        records = [item.journal.records[frame] for frame in item.plan.frames]
        fps = fps_of(info, self.config.keyframe_multiplier)
        step = item.plan.frames.step
        transforms = transforms_document(
            records, settings=item.journal.settings, fps=fps, frame_step=step, labels=info.labels
        )
        item.journal.begin()
        write_document("info", folder / "info.json", info_document(records, fps=fps, frame_step=step))
        write_document("transforms", folder / "transforms.json", transforms)
        self.observe(SequenceDone(item.row.name, folder))
