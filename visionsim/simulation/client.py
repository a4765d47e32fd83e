"""What a run knows and decides: its plan, what is on disk already, what became of each frame. The pool's client."""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from visionsim.dataset.journal import DOCUMENTS, FrameRecord, Journal, remove_partials
from visionsim.dataset.lock import FileLock, Holder, allow_open_files, take
from visionsim.errors import ConfigError, DataError, RequestError, SettingsMismatch
from visionsim.files import ensure_room, refusing
from visionsim.parallel import num_cores
from visionsim.simulation.config import GROUND_TRUTHS, RenderConfig, settings_of
from visionsim.simulation.host import disk_warning, threads_of
from visionsim.simulation.job_queue import UNWRITTEN_PER_WORKER
from visionsim.simulation.jobs import Fail, FrameTask, Job, Retry, Task
from visionsim.simulation.labels import LabelRules, label_table
from visionsim.simulation.plan import Plan, SceneFile, SceneInfo, ScenePlan, SequencePlan, bytes_per_frame
from visionsim.simulation.record import PlannedSequence, Retried, RunRecord
from visionsim.simulation.report import (
    Failure,
    FrameDone,
    FrameFailed,
    FrameRetried,
    Note,
    Observer,
    RunPlanned,
    RunReport,
    SceneOpened,
    SequenceDone,
    SequenceReport,
    grouped,
)

if TYPE_CHECKING:
    from visionsim.simulation.writer import FrameFormat

__all__ = ["OpenSequence", "RunClient", "RunRequest", "worker_settings"]


RAW_BYTES_PER_PIXEL = 48
"""Of a picture and all kinds of ground truth with previews, if nothing can be compressed."""


READERS = 4
"""Threads that look at files; more would wait for each other where files are small."""


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
    start_over: str = ""
    """Why what is there is to be removed; empty if it is not."""


class RunClient:
    """A run from its first scene to its report. When the `with` block ends, so does its claim on folders."""

    edits = ""
    """Digest of what a script did to the scene; frames that were rendered after other edits are rendered again."""

    def __init__(
        self,
        request: RunRequest,
        config: RenderConfig,
        workers: int,
        scenes: dict[str, SceneFile],
        observe: Observer,
        *,
        force: bool = False,
    ) -> None:
        self.asked, self.config, self.scenes, self.observe = request, config, scenes, observe
        self.force = force
        self.report = RunReport(root=request.root)
        self.holder = Holder.me()
        self.locks: dict[str, FileLock] = {}
        self.record: RunRecord | None = None
        self.infos: dict[str, SceneInfo] = {}
        self.errors: dict[str, str] = {}
        self.sequences: dict[str, OpenSequence] = {}
        self.planning = True
        self.begun: set[str] = set()
        """Sequences of which a frame was given to a worker."""
        self.seen: deque[tuple[SequencePlan, str]] = deque()
        """What was seen, and is not reported yet."""
        # What all frames in hand take at most, and the journal's lines.
        pixels = config.width * config.height
        self.room = UNWRITTEN_PER_WORKER * workers * pixels * RAW_BYTES_PER_PIXEL + (1 << 20)
        self.settings = worker_settings(config, workers)

    def __enter__(self) -> RunClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.record is not None and kind is not None:  # Else `finish` has more to say.
            self.record.stop(f"ended with an error: {error}" if issubclass(kind, Exception) else "interrupted")
        for lock in self.locks.values():
            lock.release()

    # What the pool asks and tells.

    def request(self, task: Task, worker: int) -> tuple[str, Mapping[str, Any]]:
        if isinstance(task, FrameTask):
            self.tell_begun(task.sequence)
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

    def tell_begun(self, sequence: str) -> None:
        if sequence not in self.begun:
            self.begun.add(sequence)
            if self.record is not None:
                self.record.begun(sequence)

    def write(self, task: FrameTask, reply: dict[str, Any]) -> float:
        """In a writer thread: the frame's files, then its line in the journal; returns what the frame took."""
        from visionsim.simulation.writer import write_frame

        item = self.sequences[task.sequence]
        ensure_room(item.plan.folder, self.room)
        record = write_frame(item.plan.folder, task.frame, reply, self.frame_format(item.kinds))
        record = dataclasses.replace(record, edits=self.edits)
        with item.lock:
            item.journal.append(record)
        if item.missing and task.frame == item.missing[0]:
            self.look_at(item.plan, record)
        seconds: float = reply["seconds"]
        return seconds

    def look_at(self, planned: SequencePlan, record: FrameRecord) -> None:
        """In a writer thread: see whether a frame shows anything."""
        from visionsim.simulation.writer import emptiness

        for sentence in emptiness(planned.folder, record):
            self.seen.append((planned, f"frame {record.frame}: {sentence}"))

    def frame_format(self, kinds: tuple[str, ...]) -> FrameFormat:
        """What the files of a frame are, with these kinds of ground truth."""
        from visionsim.simulation.writer import FrameFormat

        return FrameFormat(
            kinds=kinds,
            file_format=self.config.file_format,
            exr_codec=self.config.exr_codec,
            width=self.config.width,
            height=self.config.height,
            previews=self.config.debug,
            flow_direction=self.config.flow_direction,
        )

    def done(self, task: Task, result: Any) -> None:
        if isinstance(task, FrameTask):
            self.frame_done(self.sequences[task.sequence], task.frame, result)
        elif self.planning:
            objects = result.pop("objects")
            labels = label_table(objects, result["copies"] or {}, self.asked.labels)
            findings = {kind: tuple(result[kind]) for kind in ("missing", "warnings")}
            self.infos[task.scene] = SceneInfo(**{**result, "labels": labels, **findings})
            self.scene_opened(task.scene)

    def failed(self, fail: Fail) -> None:
        task = fail.task
        if isinstance(task, FrameTask):
            self.sequences[task.sequence].row.failed += 1
            again = fail.kind == "frame"
            self.give_up(Failure(task.scene, task.sequence, (task.frame,), fail.message, fail.set_aside, again))
            self.observe(FrameFailed(task.sequence, task.frame, fail.message))
            return
        if fail.kind == "request" and self.planning:
            raise ConfigError(fail.message)
        self.errors[task.scene] = fail.message
        self.give_up(Failure(task.scene, None, (), fail.message, again=fail.kind == "frame"))
        if self.planning:
            self.scene_opened(task.scene)
        else:
            self.observe(Note(f"Scene {task.scene} is given up: {fail.message}"))

    def retried(self, retry: Retry) -> None:
        task = retry.task
        if isinstance(task, FrameTask):
            self.sequences[task.sequence].row.retried += 1
            if self.record is not None:
                self.record.retried(Retried(task.sequence, task.frame, retry.message))
            self.observe(FrameRetried(task.sequence, task.frame, retry.message))

    def give_up(self, failure: Failure) -> None:
        self.report.failures.append(failure)
        if self.record is not None:
            self.record.failure(failure)

    def note(self, message: str) -> None:
        self.report.notes.append(message)
        if self.record is not None:
            self.record.note(message)
        self.observe(Note(message))

    # Planning.

    def scene_opened(self, scene: str) -> None:
        done = len(self.infos) + len(self.errors)
        self.observe(SceneOpened(scene, done, len(self.scenes), self.errors.get(scene)))

    def make_plan(self) -> Plan:
        """The plan for all scenes that could be opened; raises RequestError if it cannot be carried out."""
        plans = []
        for name, scene in self.scenes.items():
            if name in self.infos:
                sequences = tuple(self.asked.sequences(scene, self.infos[name], self.config))
                self.tell_still(name, sum(len(sequence.frames) for sequence in sequences))
                plans.append(ScenePlan(scene, self.infos[name], None, sequences))
            else:
                plans.append(ScenePlan(scene, None, self.errors[name]))
        self.tell_findings()
        num_frames = sum(len(sequence.frames) for plan in plans for sequence in plan.sequences)
        return Plan(tuple(plans), num_frames * bytes_per_frame(self.config), self.settings)

    def tell_still(self, scene: str, num_frames: int) -> None:
        """Add to a scene's findings that its frames will be the same picture, if they are several and will be."""
        info = self.infos[scene]
        if info.still and num_frames > 1:
            sentence = f"nothing moves, neither objects nor the camera: all {num_frames} frames will be identical"
            self.infos[scene] = dataclasses.replace(info, warnings=(*info.warnings, sentence))

    def tell_findings(self) -> None:
        """Report what was found in all scenes: grouped for people, whole in the report."""
        findings = {name: [*info.missing, *info.warnings] for name, info in self.infos.items()}
        for scene, sentences in findings.items():
            self.report.findings[scene] = sentences
            self.report.notes += [f"Scene {scene}: {sentence}" for sentence in sentences]
        for line in grouped(findings):
            self.observe(Note(line))

    def sequence_settings(self, planned: SequencePlan) -> dict[str, Any]:
        """What decides the bytes of a sequence's files; stored with it."""
        return self.settings_with(self.config, planned.info)

    @staticmethod
    def settings_with(config: RenderConfig, info: SceneInfo) -> dict[str, Any]:
        """The settings that decide what a scene's files hold."""
        settings = settings_of(config)
        settings.pop("device_type")
        return {**settings, "device": info.device, "blender": info.blender, "scene_sha256": info.digest}

    def begin(self, plan: Plan) -> list[Job]:
        """Look at what is on disk, and prepare the folders of what is not; returns what is to be rendered.

        Raises:
            RequestError: another run works on one of the folders, or there is what cannot be kept; nothing was written.
        """
        self.planning = False
        self.claim(plan.sequences)
        for item in self.sequences.values():
            if item.start_over:
                self.note(f"{item.row.name} is started over: {item.start_over}")
                with refusing(item.plan.folder):
                    item.journal.erase(item.plan.frames)
                item.journal.settings = self.sequence_settings(item.plan)
        self.find_missing()
        self.keep_record()
        missing = sum(len(item.missing) for item in self.sequences.values())
        if warning := disk_warning(self.report.root, missing * bytes_per_frame(self.config)):
            self.note(warning)
        self.observe(RunPlanned(plan, {item.row.name: item.row.kept for item in self.sequences.values()}))
        for item in self.sequences.values():
            if item.missing:
                with refusing(item.plan.folder):
                    prepare(item)
            else:
                remove_partials(item.plan.folder)
                self.finalise(item)
        return [
            Job(item.plan.scene.name, item.plan.name, tuple(item.missing))
            for item in self.sequences.values()
            if item.missing
        ]

    def claim(self, sequences: list[SequencePlan]) -> None:
        """Lock the folders, then read the journals; writes nothing else, and removes nothing."""
        allow_open_files(len(sequences))
        for planned in sequences:
            with refusing(planned.folder):
                self.locks[planned.name] = take(planned.folder, self.holder)
        if not all(lock.sure for lock in self.locks.values()):
            self.note("the output folder's file system knows no locks: never start a second run on it meanwhile")
        for planned in sequences:
            with refusing(planned.folder):
                journal, start_over = self.load(planned)
            there = {
                kind for frame in planned.frames if frame in journal.records for kind in journal.records[frame].files
            }
            if start_over:
                there.clear()
            kinds = tuple(kind for kind in GROUND_TRUTHS if kind in there.union(self.config.ground_truths))
            row = SequenceReport(planned.name, planned.folder, len(planned.frames))
            self.sequences[planned.name] = OpenSequence(planned, journal, row, kinds, start_over=start_over)
            self.report.sequences.append(row)

    def load(self, planned: SequencePlan) -> tuple[Journal, str]:
        """What was recorded in a folder, and why it must be started over, if it must.

        Raises:
            RequestError: it must be, and that was not asked for by `force`.
        """
        refusal: RequestError
        try:
            journal = Journal.load(planned.folder, self.sequence_settings(planned))
            if self.config.allow_skips or not journal.records:
                return journal, ""
            refusal = RequestError(
                f"There are frames already, and --render-config.no-allow-skips: {planned.folder}. "
                "--force starts it over"
            )
            reason = "there were frames, and --render-config.no-allow-skips"
        except SettingsMismatch as exc:
            refusal, reason = exc, exc.differences
            journal = Journal.read(planned.folder) or Journal(planned.folder, {})
        except DataError as exc:
            refusal = RequestError(f"{exc}. Use another output folder, or --force to start this one over")
            journal, reason = Journal(planned.folder, {}), "its journal could not be read"
        if not self.force:
            raise refusal
        return journal, reason

    def find_missing(self) -> None:
        """Compare the files of all frames with what was recorded; reads all of them."""
        with ThreadPoolExecutor(READERS) as threads:
            for item in self.sequences.values():
                frames, wanted = item.plan.frames, ("frames", *item.kinds)
                # Many at a time: to hand over one takes as long as to look at it.
                parts = [frames[start : start + 64] for start in range(0, len(frames), 64)]
                found = threads.map(partial(missing_of, item.journal, wanted, self.edits), parts)
                item.missing = [frame for part in found for frame in part]
                item.row.kept = item.row.total - len(item.missing)

    def keep_record(self) -> None:
        """From here on the run can be looked at by `visionsim status`."""
        with refusing(self.report.root):
            self.record = RunRecord(self.report.root, self.holder)
        self.record.planned(
            PlannedSequence(row.name, row.folder.relative_to(self.report.root).as_posix(), row.total, row.kept)
            for row in self.report.sequences
        )
        for failure in self.report.failures:
            self.record.failure(failure)
        for message in self.report.notes:
            self.record.note(message)

    # Rendering.

    def frame_done(self, item: OpenSequence, frame: int, seconds: float) -> None:
        while self.seen:
            planned, sentence = self.seen.popleft()
            self.report.findings.setdefault(planned.scene.name, []).append(sentence)
            self.note(f"{planned.name}, {sentence}")
        item.row.rendered += 1
        item.row.seconds += seconds
        self.observe(FrameDone(item.row.name, frame, seconds))
        if item.row.complete:
            self.finalise(item)

    def finalise(self, item: OpenSequence) -> None:
        """All frames are there: write what describes them."""
        from visionsim.simulation.writer import write_documents

        try:
            write_documents(item.plan, item.journal, self.described(item))
        except (OSError, DataError) as exc:
            message = f"the frames are there, but not what describes them: {exc}"
            self.give_up(Failure(item.plan.scene.name, item.row.name, (), message))
            self.observe(Note(f"{item.row.name}: {message}"))
            return
        self.locks[item.row.name].release()
        self.observe(SequenceDone(item.row.name, item.plan.folder))

    def described(self, item: OpenSequence) -> Sequence[int]:
        """Frames that the documents are about."""
        return item.plan.frames

    def finish(self, *, interrupted: bool, elapsed: float) -> RunReport:
        """The report, when nothing goes on any more."""
        self.report.interrupted, self.report.elapsed = interrupted, elapsed
        for item in self.sequences.values():
            if item.plan.scene.name in self.errors:
                # The scene failed after the plan was made: what was not done by then never will be.
                item.row.failed = item.row.total - item.row.kept - item.row.rendered
        if self.record is not None:
            self.record.end(self.report)
        return self.report


def worker_settings(config: RenderConfig, workers: int) -> dict[str, Any]:
    """The settings as a worker gets them: plain JSON values."""
    return {
        **dataclasses.asdict(config),
        "addons": list(config.addons),
        "log_dir": str(config.log_dir),
        "threads": threads_of(0, workers, num_cores()),
    }


def missing_of(journal: Journal, kinds: tuple[str, ...], edits: str, frames: Sequence[int]) -> list[int]:
    """Those frames that are to be rendered."""
    return [frame for frame in frames if not (journal.intact(frame, kinds) and journal.records[frame].edits == edits)]


def prepare(item: OpenSequence) -> None:
    """Make a folder ready for the frames that are missing."""
    for frame in item.missing:
        item.journal.forget(frame)
    # They say that the sequence is complete, which it is not.
    for name in DOCUMENTS:
        (item.plan.folder / name).unlink(missing_ok=True)
    remove_partials(item.plan.folder)
    item.journal.begin()
