"""What a run knows and decides: its plan, what is on disk already, what became of each frame. The pool's client."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from visionsim.dataset.journal import Journal
from visionsim.errors import ConfigError, DataError, RequestError
from visionsim.simulation.config import GROUND_TRUTHS, RenderConfig, settings_of
from visionsim.simulation.host import num_threads
from visionsim.simulation.jobs import Fail, FrameTask, Job, Task
from visionsim.simulation.labels import LabelRules, label_table
from visionsim.simulation.plan import Plan, SceneFile, SceneInfo, ScenePlan, SequencePlan, bytes_per_frame
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

__all__ = ["RunClient", "RunRequest"]


class RunRequest(Protocol):
    """What is wanted of which scenes; `simulation.run` has the two there are."""

    @property
    def root(self) -> Path:
        """Folder that everything is written under."""

    @property
    def labels(self) -> LabelRules | None:
        """Which classes objects get."""

    def sequences(self, scene: SceneFile, info: SceneInfo, config: RenderConfig) -> list[SequencePlan]:
        """The sequences of a scene; raises RequestError if there cannot be such."""


@dataclass
class OpenSequence:
    """A sequence while it is rendered."""

    plan: SequencePlan
    journal: Journal
    row: SequenceReport
    kinds: tuple[str, ...]
    """Kinds of ground truth: those asked for, and those that its other frames have already."""
    missing: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while a line is added to the journal."""


class RunClient:
    """A run from its first scene to its report."""

    def __init__(
        self,
        request: RunRequest,
        config: RenderConfig,
        workers: int,
        scenes: dict[str, SceneFile],
        observe: Observer,
    ) -> None:
        self.asked, self.config, self.scenes, self.observe = request, config, scenes, observe
        self.report = RunReport(root=request.root)
        self.infos: dict[str, SceneInfo] = {}
        self.errors: dict[str, str] = {}
        self.sequences: dict[str, OpenSequence] = {}
        self.planning = True
        self.settings: dict[str, Any] = {
            **dataclasses.asdict(config),
            "addons": list(config.addons),
            "log_dir": str(config.log_dir),
            "threads": num_threads(workers),
        }

    # What the pool asks and tells.

    def request(self, task: Task) -> tuple[str, Mapping[str, Any]]:
        if isinstance(task, FrameTask):
            return "render", {"frame": task.frame}
        kinds = set(self.config.ground_truths)
        kinds.update(*(item.kinds for item in self.sequences.values() if item.plan.scene.name == task.scene))
        return "open", {
            "blend": str(self.scenes[task.scene].blend.resolve()),
            "settings": self.settings,
            "truths": [kind for kind in GROUND_TRUTHS if kind in kinds],
            "expected": None if self.planning else self.infos[task.scene].digest,
            "copies": None if self.planning else self.infos[task.scene].copies,
        }

    def write(self, task: FrameTask, reply: dict[str, Any]) -> float:
        """In a writer thread: the frame's files, then its line in the journal; returns what the frame took."""
        from visionsim.simulation.writer import FrameFormat, write_frame

        item, config = self.sequences[task.sequence], self.config
        form = FrameFormat(
            kinds=item.kinds,
            file_format=config.file_format,
            exr_codec=config.exr_codec,
            width=config.width,
            height=config.height,
            previews=config.debug,
            flow_direction=config.flow_direction,
        )
        record = write_frame(item.plan.folder, task.frame, reply, form)
        with item.lock:
            item.journal.append(record)
        seconds: float = reply["seconds"]
        return seconds

    def done(self, task: Task, result: Any) -> None:
        if isinstance(task, FrameTask):
            self.frame_done(self.sequences[task.sequence], task.frame, result)
        elif self.planning:
            objects = result.pop("objects")
            labels = label_table(objects, result["copies"], self.asked.labels)
            findings = {kind: tuple(result[kind]) for kind in ("missing", "warnings")}
            self.infos[task.scene] = SceneInfo(**{**result, "labels": labels, **findings})
            self.scene_opened(task.scene)

    def failed(self, fail: Fail) -> None:
        task = fail.task
        if isinstance(task, FrameTask):
            self.sequences[task.sequence].row.failed += 1
            self.report.failures.append(Failure(task.scene, task.sequence, (task.frame,), fail.message))
            self.observe(FrameFailed(task.sequence, task.frame, fail.message))
            return
        if fail.kind == "request" and self.planning:
            raise ConfigError(fail.message)
        self.errors[task.scene] = fail.message
        self.report.failures.append(Failure(task.scene, None, (), fail.message))
        if self.planning:
            self.scene_opened(task.scene)
        else:
            self.observe(Note(f"Scene {task.scene} is given up: {fail.message}"))

    def note(self, message: str) -> None:
        self.report.notes.append(message)
        self.observe(Note(message))

    # Planning.

    def scene_opened(self, scene: str) -> None:
        done = len(self.infos) + len(self.errors)
        self.observe(SceneOpened(scene, done, len(self.scenes), self.errors.get(scene)))
        if scene in self.infos:
            for finding in (*self.infos[scene].missing, *self.infos[scene].warnings):
                self.note(f"Scene {scene}: {finding}")

    def make_plan(self) -> Plan:
        """The plan for all scenes that could be opened; raises RequestError if it cannot be carried out."""
        plans = []
        for name, scene in self.scenes.items():
            if name in self.infos:
                sequences = tuple(self.asked.sequences(scene, self.infos[name], self.config))
                plans.append(ScenePlan(scene, self.infos[name], None, sequences))
            else:
                plans.append(ScenePlan(scene, None, self.errors[name]))
        num_frames = sum(len(sequence.frames) for plan in plans for sequence in plan.sequences)
        return Plan(tuple(plans), num_frames * bytes_per_frame(self.config), self.settings)

    def sequence_settings(self, planned: SequencePlan) -> dict[str, Any]:
        """What decides the bytes of a sequence's files; stored with it."""
        info = planned.info
        settings = settings_of(self.config)
        settings.pop("device_type")
        return {**settings, "device": info.device, "blender": info.blender, "scene_sha256": info.digest}

    def begin(self, plan: Plan) -> list[Job]:
        """Look at what is on disk, and prepare the folders of what is not; returns what is to be rendered."""
        self.planning = False
        for planned in plan.sequences:
            journal = Journal.load(planned.folder, self.sequence_settings(planned))
            if not self.config.allow_skips and journal.records:
                raise RequestError(f"There are frames already, and --render-config.no-allow-skips: {planned.folder}")
            there = {
                kind for frame in planned.frames if frame in journal.records for kind in journal.records[frame].files
            }
            kinds = tuple(kind for kind in GROUND_TRUTHS if kind in there.union(self.config.ground_truths))
            row = SequenceReport(planned.name, planned.folder, len(planned.frames))
            self.sequences[planned.name] = OpenSequence(planned, journal, row, kinds)
            self.report.sequences.append(row)
        with ThreadPoolExecutor() as threads:
            for item in self.sequences.values():
                wanted = ("frames", *item.kinds)
                intact = threads.map(
                    lambda frame, item=item, wanted=wanted: item.journal.intact(frame, wanted), item.plan.frames
                )
                item.missing = [frame for frame, fine in zip(item.plan.frames, intact, strict=True) if not fine]
                item.row.kept = item.row.total - len(item.missing)
        self.observe(RunPlanned(plan, {item.row.name: item.row.kept for item in self.sequences.values()}))
        for item in self.sequences.values():
            if item.missing:
                prepare(item)
            else:
                self.finalise(item)
        return [
            Job(item.plan.scene.name, item.plan.name, tuple(item.missing))
            for item in self.sequences.values()
            if item.missing
        ]

    # Rendering.

    def frame_done(self, item: OpenSequence, frame: int, seconds: float) -> None:
        item.row.rendered += 1
        item.row.seconds += seconds
        self.observe(FrameDone(item.row.name, frame, seconds))
        if item.row.complete:
            self.finalise(item)

    def finalise(self, item: OpenSequence) -> None:
        """All frames are there: write what describes them."""
        from visionsim.simulation.writer import write_documents

        try:
            write_documents(item.plan, item.journal)
        except (OSError, DataError) as exc:
            message = f"the frames are there, but not what describes them: {exc}"
            self.report.failures.append(Failure(item.plan.scene.name, item.row.name, (), message))
            self.observe(Note(f"{item.row.name}: {message}"))
            return
        self.observe(SequenceDone(item.row.name, item.plan.folder))

    def finish(self, *, interrupted: bool, elapsed: float) -> RunReport:
        """The report, when nothing goes on any more."""
        self.report.interrupted, self.report.elapsed = interrupted, elapsed
        for item in self.sequences.values():
            if item.plan.scene.name in self.errors:
                # The scene failed after the plan was made: what was not done by then never will be.
                item.row.failed = item.row.total - item.row.kept - item.row.rendered
        return self.report


def prepare(item: OpenSequence) -> None:
    """Make a folder ready for the frames that are missing."""
    for frame in item.missing:
        item.journal.forget(frame)
    # They say that the sequence is complete, which it is not.
    for name in ("transforms.json", "info.json"):
        (item.plan.folder / name).unlink(missing_ok=True)
    # What a killed run was about to write.
    for left in item.plan.folder.glob("**/.*.partial*"):
        left.unlink()
    item.journal.begin()
