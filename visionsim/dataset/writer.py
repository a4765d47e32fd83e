"""Sequences written frame by frame, in any order: what `FolderWriter` and `ArrayWriter` have in common.

    with FolderWriter("data/mine", range(1, 101), fps=25.0) as writer:
        for frame in writer.missing:
            writer.add(frame, {"frames": picture, "depths": depth}, c2w=c2w, camera=camera)

Each frame is recorded in the journal when it is on the disk, so another writer on the same folder goes on where one was
stopped. `transforms.json` and `info.json` are written when the block ends, if every frame is there.
"""

from __future__ import annotations

import json
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from visionsim.cameras import CameraModel, blender_from_camera, c2w_from_blender
from visionsim.dataset.index import KEYS, PICTURES, SequenceIndex
from visionsim.dataset.journal import (
    DOCUMENTS,
    FrameRecord,
    Journal,
    StoredFile,
    mismatch,
    settings_digest,
)
from visionsim.dataset.kinds import KINDS, frame_path
from visionsim.dataset.lock import FileLock, Holder, take
from visionsim.dataset.schema import (
    camera_values,
    info_document,
    info_values,
    record_of,
    transforms_document,
    write_document,
)
from visionsim.dataset.sinks import Form, Sink, check_form, form_of, suffix_of
from visionsim.errors import ConfigError, RequestError, ShapeError

if TYPE_CHECKING:
    from visionsim.dataset.reader import Label

__all__ = ["SequenceWriter"]

logger = logging.getLogger(__name__)

OF_THE_PICTURE = ("width", "height", "file_format", "bit_depth")
"""Settings that the first frame decides."""

DEFAULTS = {"blender": "none", "device": "none", "seed": 0, "keyframe_multiplier": 1.0}
"""Settings of what no Blender made."""

THREADS = 4
"""That look whether frames are intact."""

PART = 64
"""Frames that a thread looks at in one go."""

W = TypeVar("W", bound="SequenceWriter")


class SequenceWriter(ABC):
    """A sequence that is being written; use it in a `with` block. Threads may share it."""

    may_stay_unfinished = False
    """Whether the block may end without a word while frames are missing; else the log says so."""

    def __init__(
        self,
        folder: str | Path,
        frames: Iterable[int],
        *,
        fps: float,
        labels: Iterable[Label] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """A sequence of our own; see `like` for another version of one that is there.

        Args:
            folder: of the sequence; made if need be. What a writer left there, stopped or killed, is kept.
            frames: the numbers of all frames that the sequence is to have, evenly spaced.
            fps: of the timeline that the numbers are on: frame 0 is time 0.
            labels: what object ids stand for; needed for segmentations.
            settings: anything that tells how the data were made, plain JSON values. Frames made with other settings
                are not mixed.
        Raises:
            ConfigError: there are no frames, or they are not in order.
        """
        self.folder = Path(folder)
        self.frames = [int(frame) for frame in frames]
        self.fps = fps
        self.labels = {str(label.id): label_values(label) for label in labels}
        self.source: SequenceIndex | None = None
        self._settings = json.loads(json.dumps({**DEFAULTS, **(settings or {})}))
        self._rows = {frame: row for row, frame in enumerate(self.frames)}
        self._done: set[int] = set()
        self._sink: Sink | None = None
        self._journal = Journal(self.folder, {})
        self._lock: FileLock | None = None
        self._one_at_a_time = threading.Lock()
        if not self.frames or self.frames != sorted(self._rows):
            raise ConfigError("The frames of a sequence must be in order, each once, and at least one")
        if fps <= 0:
            raise ConfigError(f"The frame rate must be above 0, not {fps:g}")

    @classmethod
    def like(cls: type[W], folder: str | Path, source: SequenceIndex, **options: Any) -> W:
        """Another version of a sequence, such as one with other pictures: frames, cameras and labels are its own.

        Args:
            folder: of the new sequence.
            source: the sequence, `Sample.source`.
            options: those of the writer that are not about frames.
        """
        settings = source.head["generator"]["settings"]
        writer = cls(folder, source.frames.tolist(), fps=source.head["fps"], settings=settings, **options)
        writer.source, writer._settings = source, dict(settings)
        return writer

    # Lifetime.

    def __enter__(self: W) -> W:
        """Look at what is there, all of it.

        Raises:
            FolderInUse: somebody else writes there.
            RequestError: what is there is something else, or was made with other settings.
            DataError: its journal is damaged.
        """
        if self.source is None and len(set(np.diff(self.frames))) > 1:
            raise ConfigError("The frames of a sequence must be evenly spaced")
        self._lock = take(self.folder, Holder.me())
        try:
            self._open()
        except BaseException:
            self._lock.release()
            self._lock = None
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        assert self._lock is not None
        try:
            if kind is None:
                self.finish()
        finally:
            self._lock.release()
            self._lock = None

    @property
    def missing(self) -> list[int]:
        """Frames that are still to be added, in order."""
        return [frame for frame in self.frames if frame not in self._done]

    @property
    def complete(self) -> bool:
        """Whether every frame is there."""
        return len(self._done) == len(self.frames)

    @property
    def form(self) -> Form | None:
        """What every frame is like; None before the first one."""
        return None if self._sink is None else self._sink.form

    # Writing.

    def add(self, frame: int, data: Mapping[str, Any], *, c2w: Any = None, camera: CameraModel | None = None) -> None:
        """Write a frame, which replaces what is there of it.

        Args:
            frame: its number.
            data: kind of data -> pixels, as `Sample.read` gives them: `frames` (H, W, C) uint8, uint16, float16 or
                float32; `depths` (H, W) float32; `normals` (H, W, 3) float32; `segmentations` (H, W) uint32; `flows`
                (H, W, 4) float32; `occlusions` (H, W) uint8. Every frame has a picture, and the same kinds as the
                others.
            c2w: (4, 4), camera to world; +X right, +Y up, the camera looks along -Z. Not of a writer made by `like`.
            camera: which point is seen by which pixel. Not of a writer made by `like`.
        Raises:
            ShapeError, DataError: these are not pixels of that kind, or not like those of the other frames.
            SceneError: no Blender camera sees that, or its axes are not at right angles.
        """
        if frame not in self._rows:
            raise ConfigError(f"Frame {frame} is not one of the sequence's")
        record = self._described(frame, data, c2w, camera)
        (height, width), channels = (record.camera["height"], record.camera["width"]), record.channels
        form = form_of(frame, data, width, height)
        if form[PICTURES][0][2] != channels:
            raise ShapeError(f"frames of frame {frame} have {form[PICTURES][0][2]} channels, not {channels}")
        with self._one_at_a_time:
            sink = self.sink(form)
        check_form(frame, data, sink.form)
        sink.check(frame, data)
        with self._one_at_a_time if sink.alone else nullcontext():
            (files,) = sink.write([(self._rows[frame], frame, data)])
        with self._one_at_a_time:
            self.record({frame: files}, {frame: record})

    def sink(self, form: Form) -> Sink:
        """Where frames of this form go; the first form is that of all."""
        if self._lock is None:
            raise RequestError(f"The writer is not open, use it in a `with` block: {self.folder}")
        if self._sink is None:
            if "segmentations" in form and not self.labels and self.source is None:
                raise ConfigError("Segmentations need labels: say what their ids stand for")
            self._sink = self._begin(form)
        elif self.complete:
            self._reopen()
        return self._sink

    def record(
        self, written: Mapping[int, dict[str, StoredFile]], described: Mapping[int, FrameRecord] | None = None
    ) -> None:
        """Say in the journal that frames are on the disk.

        Args:
            written: frame -> what `Sink.write` said of it.
            described: frame -> its camera; by default the source's.
        """
        records = []
        for frame, files in written.items():
            known = self._of_source(frame) if described is None else described[frame]
            records.append(FrameRecord(frame, known.channels, known.camera, files))
        self._journal.append(*records)
        self._done.update(written)

    def finish(self) -> bool:
        """Write the documents if every frame is there; returns whether."""
        if not self.complete:
            level = logging.DEBUG if self.may_stay_unfinished else logging.WARNING
            logger.log(level, "%d of %d frames are missing: %s", len(self.missing), len(self.frames), self.folder)
            return False
        transforms, info = self._documents()
        made_from = settings_digest({"transforms": transforms, "info": info})
        if not self._journal.closed(made_from):
            self._journal.begin()
            self._settle()
            write_document("info", self.folder / "info.json", info)
            write_document("transforms", self.folder / "transforms.json", transforms)
            self._journal.close(made_from)
        return True

    # What is there.

    def check(self) -> Journal | None:
        """See whether what is in the folder can be gone on with; reads the journal only, and returns it.

        Raises:
            RequestError: what is there is something else, or was made with other settings.
            DataError: its journal is damaged.
        """
        journal = Journal.read(self.folder)
        if journal is None:
            taken = [self.folder / "transforms.json", *(self.folder / f"{kind}.npy" for kind in KEYS)]
            taken += [path for kind in KEYS for path in sorted((self.folder / kind).glob("[!.]*"))[:1]]
            there = [path.name for path in taken if path.exists()]
            if there:
                raise RequestError(
                    f"There is something that has no journal, so that nobody knows what it is ({there[0]}); "
                    f"use another folder than {self.folder}"
                )
            return None
        stored, wanted = (
            {name: value for name, value in settings.items() if name not in OF_THE_PICTURE}
            for settings in (journal.settings, self._settings)
        )
        if stored != wanted:
            raise mismatch(self.folder, stored, wanted, force=False)
        self._check_form(journal)
        return journal

    def _open(self) -> None:
        journal = self.check()
        if journal is None:
            return
        self._journal = journal
        self._sink = self._resume(journal)
        self._done = set(self._intact())
        if not self.complete:
            self._reopen()

    def _reopen(self) -> None:
        """Say that the sequence is not complete, and make ready for frames."""
        for frame in self.missing:
            self._journal.forget(frame)
        for name in DOCUMENTS:
            (self.folder / name).unlink(missing_ok=True)
        self._prepare()
        self._journal.begin()

    def _intact(self) -> list[int]:
        """Frames that are on the disk as they were written."""
        if self._sink is None:
            return []
        known = [frame for frame in self.frames if frame in self._journal.records]
        parts = [known[start : start + PART] for start in range(0, len(known), PART)]
        with ThreadPoolExecutor(THREADS) as threads:
            return [frame for part in threads.map(self._intact_of, parts) for frame in part]

    def _is_of_source(self, frame: int) -> bool:
        """Whether a frame that is there was made from the source, as far as its camera tells."""
        if self.source is None:
            return True
        wanted, there = self._of_source(frame), self._journal.records[frame]
        # What they mean: a render's journal has Blender's own numbers, of which transforms.json was made.
        pose, other = (c2w_from_blender(record.camera["matrix_world"]) for record in (wanted, there))
        return np.allclose(pose, other, rtol=0, atol=1e-9) and same_values(
            camera_values(wanted.camera, wanted.channels), camera_values(there.camera, there.channels)
        )

    # What a frame is.

    def _described(self, frame: int, data: Mapping[str, Any], c2w: Any, camera: CameraModel | None) -> FrameRecord:
        """Its camera in Blender's words, as the journal has it."""
        if self.source is not None:
            if c2w is not None or camera is not None:
                raise ConfigError("The cameras are the source's: give neither c2w nor camera")
            return self._of_source(frame)
        if c2w is None or camera is None:
            raise ConfigError("A frame needs c2w and camera")
        described = {**blender_from_camera(camera), "matrix_world": c2w_from_blender(c2w).tolist()}
        pixels = data.get(PICTURES)
        return FrameRecord(frame, 0 if pixels is None or pixels.ndim != 3 else pixels.shape[2], described, {})

    def _of_source(self, frame: int) -> FrameRecord:
        assert self.source is not None
        row = self._rows[frame]
        pose = {"frame": frame, "transform_matrix": self.source.c2w[row].tolist()}
        return record_of({**self.source.camera_values(row), **pose}, {})

    def _documents(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """transforms.json and info.json."""
        assert self._sink is not None
        settings, entries = self._journal.settings, self._entries()
        if self.source is None:
            records = [self._journal.records[frame] for frame in self.frames]
            step = self.frames[1] - self.frames[0] if len(self.frames) > 1 else 1
            transforms = transforms_document(
                records, settings=settings, fps=self.fps, frame_step=step, labels=self.labels, arrays=entries
            )
            return transforms, info_document(records, fps=self.fps, frame_step=step)
        transforms = document_like(self.source, self._sink.form, settings, entries)
        return transforms, info_values(self.frames, self.source.c2w, self.source.head["fps"])

    # What the two forms differ in.

    @abstractmethod
    def _begin(self, form: Form) -> Sink:
        """Make everything ready for the first frame, the journal included."""

    @abstractmethod
    def _resume(self, journal: Journal) -> Sink | None:
        """Where the frames of a journal went; None if there are none."""

    @abstractmethod
    def _check_form(self, journal: Journal) -> None:
        """Raise RequestError if it is a journal of the other form, or of other frames."""

    @abstractmethod
    def _intact_of(self, frames: Sequence[int]) -> list[int]:
        """Those of some recorded frames that are on the disk as they were written; in threads."""

    @abstractmethod
    def _prepare(self) -> None:
        """Make ready for the frames that are missing."""

    @abstractmethod
    def _settle(self) -> None:
        """Put everything in place, now that all frames are there."""

    def _entries(self) -> dict[str, dict[str, Any]]:
        """The `arrays` of transforms.json."""
        return {}


def label_values(label: Label) -> dict[str, str]:
    """As transforms.json has it."""
    return {"name": label.name, "path": label.path, "class": label.class_name, "motion": label.motion}


def document_like(
    source: SequenceIndex, form: Form, settings: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """transforms.json of another version of a sequence: what it says of its files and kinds is new, all else is kept.

    Args:
        source: the sequence.
        form: the kinds of the new one.
        settings: of the new one.
        entries: kind -> the array that holds it; the others are in files.
    """
    head = {name: value for name, value in source.head.items() if name not in ("arrays", "frames")}
    gone = {KINDS[kind].stem for kind in KINDS if kind not in form}
    head["conventions"] = {name: text for name, text in head["conventions"].items() if name not in gone}
    digest = settings_digest(settings)
    head["generator"] = {**head["generator"], "settings_digest": digest, "settings": dict(settings)}
    if "segmentations" not in form:
        head.pop("labels", None)
    in_files = {kind: suffix_of(kind, form) for kind in form if kind not in entries}
    frames = [
        {
            **{KEYS[kind]: frame_path(kind, frame, suffix).as_posix() for kind, suffix in in_files.items()},
            "frame": frame,
            "time": time,
            "transform_matrix": c2w,
            **source.own_values(row),
        }
        for row, (frame, time, c2w) in enumerate(
            zip(source.frames.tolist(), source.times.tolist(), source.c2w.tolist(), strict=True)
        )
    ]
    return {**head, **({"arrays": dict(entries)} if entries else {}), "frames": frames}


def same_values(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether cameras, in the fields of transforms.json, are the same but for the last digits of numbers."""
    if one.keys() != other.keys():
        return False
    numbers = [name for name, value in one.items() if isinstance(value, float | list)]
    return all(np.allclose(one[name], other[name], rtol=1e-9, atol=1e-9) for name in numbers) and all(
        one[name] == other[name] for name in one.keys() - set(numbers)
    )
