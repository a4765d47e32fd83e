"""From files to arrays and back: every kind of data, bit for bit."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from visionsim.dataset.array_writer import ArrayWriter
from visionsim.dataset.arrays import high_of
from visionsim.dataset.folder_writer import FolderWriter
from visionsim.dataset.folders import find_sequences, folder_of, names_of, refuse_nested
from visionsim.dataset.index import PICTURES, FileState, SequenceIndex, file_state, read_index
from visionsim.dataset.journal import StoredFile
from visionsim.dataset.report import DamagedFrame, WorkReport
from visionsim.dataset.sinks import Form, Sink, check_form, form_of
from visionsim.dataset.splits import SPLITS
from visionsim.dataset.stores import read_frame
from visionsim.dataset.writer import SequenceWriter
from visionsim.errors import ConfigError, DataError, InputNotFound, ShapeError
from visionsim.files import refusing, whole_file
from visionsim.parallel import each, num_cores, processes

if TYPE_CHECKING:
    from visionsim.types import ProgressFn

    To = Literal["arrays", "files"]

__all__ = ["convert"]

GROUP = 8
"""Frames of a task, so that two never write into the same byte of what is packed along the frames."""

MOST_BYTES = 64_000_000
"""Of frames that a process holds before it writes them."""

ALONE = 32
"""Up to so many frames this process does all: others take half a second to start."""


@dataclass(frozen=True)
class Planned:
    """One that is to be converted."""

    name: str
    source: SequenceIndex
    target: Path


@dataclass(frozen=True)
class Task:
    """Some frames of a sequence."""

    source: Path
    kinds: tuple[str, ...]
    rows: Sequence[int]
    sink: Sink | None = None
    """Where they go; None if they are only looked at."""


@dataclass
class Answer:
    """What became of them."""

    written: dict[int, dict[str, StoredFile]] = field(default_factory=dict)
    """Frame -> what is on the disk of it."""
    damaged: list[tuple[int, str]] = field(default_factory=list)
    """Frame, and why it cannot be read."""


@dataclass(frozen=True)
class Binary:
    """What two values a picture has."""

    frame: int
    high: float | None = None
    """That which is not 0; None if there is none."""
    where: str = ""
    """The first pixel that has it."""
    problem: str = ""
    """Why it is not binary."""


def convert(
    root: Path,
    target: Path,
    to: To,
    *,
    pack: str | None = None,
    jobs: int | None = 1,
    progress: ProgressFn = lambda done, total: None,
) -> WorkReport:
    """Write every sequence of a dataset in another form, at the same place below `target`.

    What an earlier call has written and is intact is kept. A frame that cannot be read is named and left out, and its
    sequence stays unfinished, until the same call finds it mended.

    Args:
        root: a datasets folder or a sequence, or its transforms.json.
        target: folder to write to.
        to: arrays (a `.npy` file for each kind) or files (for each kind of each frame).
        pack: frame, height, width or channel: the axis along which eight values of binary pictures become a byte.
        jobs: processes; None is as many as there are cores. Of several, a script's own work must stand below
            `if __name__ == "__main__":`, as always with processes that are spawned.
        progress: called as frames are done.
    Raises:
        InputNotFound: there is no finished sequence.
        ConfigError: one of the folders is in the other, or pictures that are to be packed are not binary.
        RequestError: something else is in the way at the target.
    """
    started = time.monotonic()
    root = folder_of(root)
    if to == "files" and pack:
        raise ConfigError("Only arrays are packed: use --to arrays")
    refuse_nested(root, target)
    report = WorkReport(f"converted to {to}", target)
    sequences = planned(root, target, report)
    total = sum(len(sequence.source) for sequence in sequences)
    jobs = jobs or (1 if total <= ALONE else num_cores())
    with processes(jobs) as pool:
        writers = []
        for sequence in sequences:
            writer: SequenceWriter
            if to == "arrays":
                writer = ArrayWriter.like(sequence.target, sequence.source, pack=pack)
            else:
                writer = FolderWriter.like(sequence.target, sequence.source)
            with refusing(sequence.target):
                begun = writer.check()  # Of all of them, before anything is written.
            if isinstance(writer, ArrayWriter) and pack and begun is None:
                writer.high = high_in(sequence, pool)
            writers.append(writer)
        for sequence, writer in zip(sequences, writers, strict=True):
            before = len(report.damaged)
            with refusing(sequence.target), writer:
                writer.may_stay_unfinished = True  # The report says which, and why.
                for done in convert_one(sequence, writer, pool, report):
                    report.frames += done
                    progress(report.frames + len(report.damaged), total)
            report.damaged[before:] = sorted(report.damaged[before:], key=lambda damaged: damaged.frame)
    if (root / SPLITS).exists():
        with whole_file(target / SPLITS) as partial:
            shutil.copyfile(root / SPLITS, partial)
    add_notes(sequences, to, report)
    report.elapsed = time.monotonic() - started
    return report


def planned(root: Path, target: Path, report: WorkReport) -> list[Planned]:
    """All finished sequences; the others are noted."""
    folders = find_sequences([root], to="convert")
    found = []
    for name, folder in zip(names_of(folders), folders, strict=True):
        if (folder / "transforms.json").exists():
            found.append(Planned(name, read_index(folder), target / folder.relative_to(root)))
        else:
            report.notes.append(f"Left out, since it is not finished (no transforms.json): {folder}")
    if not found:
        raise InputNotFound(f"No sequence is finished, none has a transforms.json, in {root}")
    return found


def add_notes(sequences: Sequence[Planned], to: To, report: WorkReport) -> None:
    """What one should know of the result."""
    jpeg = [sequence for sequence in sequences if sequence.source.suffixes.get(PICTURES) == ".jpg"]
    if jpeg:
        form = "are written as PNG" if to == "files" else "become PNG if they are converted to files again"
        report.notes.append(
            f"The pictures of {len(jpeg)} of {len(sequences)} sequences are JPEG. What is kept is their pixels, which "
            f"{form}: another JPEG would change them."
        )
    report.notes += [
        f"{name} stays unfinished until its damaged frames are mended and this command is given again."
        for name in dict.fromkeys(frame.sequence for frame in report.damaged)
    ]


# One sequence.


def convert_one(
    sequence: Planned, writer: SequenceWriter, pool: ProcessPoolExecutor | None, report: WorkReport
) -> Iterator[int]:
    """Write the frames that are missing; yields how many are done, as they are."""
    missing = writer.missing
    kept = len(writer.frames) - len(missing)
    report.kept += kept
    yield kept
    if not missing:
        return
    form = writer.form
    if form is None:
        form, unreadable = first_form(sequence.source, missing)
    if form is None:
        report.damaged += [DamagedFrame(sequence.name, frame, message) for frame, message in unreadable]
        yield 0
        return
    sink = writer.sink(form)
    for _, answer in each(write_some, tasks_of(sequence.source, missing, sequence.source.kinds, sink), pool):
        if answer.written:
            writer.record(answer.written)
        report.damaged += [DamagedFrame(sequence.name, frame, message) for frame, message in answer.damaged]
        yield len(answer.written)


def first_form(source: SequenceIndex, frames: Sequence[int]) -> tuple[Form | None, list[tuple[int, str]]]:
    """What all frames are like, from the first one that can be read; and those that cannot."""
    rows = dict(zip(source.frames.tolist(), range(len(source)), strict=True))
    unreadable: list[tuple[int, str]] = []
    for frame in frames:
        values = source.camera_values(rows[frame])
        try:
            data = {kind: read_frame(source, kind, rows[frame]) for kind in source.kinds}
            return form_of(frame, data, values["w"], values["h"]), unreadable
        except (DataError, ShapeError) as exc:
            unreadable.append((frame, str(exc)))
    return None, unreadable


def tasks_of(
    source: SequenceIndex, frames: Sequence[int], kinds: tuple[str, ...], sink: Sink | None = None
) -> list[Task]:
    """Frames in groups; two groups of eight never share a byte of what is packed along the frames."""
    wanted = set(frames)
    groups: dict[int, list[int]] = {}
    for row, frame in enumerate(source.frames.tolist()):
        if frame in wanted:
            groups.setdefault(row // GROUP, []).append(row)
    return [Task(source.folder, kinds, rows, sink) for rows in groups.values()]


def opened(folder: Path) -> SequenceIndex:
    """The index of a sequence, which many tasks of this process need; read again when the sequence was rewritten."""
    return index_of(folder, file_state(folder / "transforms.json"))


@functools.lru_cache(maxsize=2)
def index_of(folder: Path, state: FileState) -> SequenceIndex:
    """The index as it was when transforms.json had this `state`."""
    return read_index(folder)


def write_some(task: Task) -> Answer:
    """In a process: read frames and write them."""
    source, sink, answer = opened(task.source), task.sink, Answer()
    assert sink is not None
    batch: list[tuple[int, int, Mapping[str, Any]]] = []

    def write() -> None:
        with refusing(sink.folder):
            files = sink.write(batch)
        answer.written.update({frame: of for (_, frame, _), of in zip(batch, files, strict=True)})
        batch.clear()

    size = 0
    for row in task.rows:
        frame = int(source.frames[row])
        try:
            data = {kind: read_frame(source, kind, row) for kind in task.kinds}
            check_form(frame, data, sink.form)
            sink.check(frame, data)
        except (DataError, ShapeError) as exc:
            answer.damaged.append((frame, str(exc)))
            continue
        batch.append((row, frame, data))
        size = sum(pixels.nbytes for pixels in data.values())
        if (len(batch) + 1) * size > MOST_BYTES:
            write()
    if batch:
        write()
    return answer


# Whether pictures are binary.


def high_in(sequence: Planned, pool: ProcessPoolExecutor | None) -> float | None:
    """The value that all pictures of a sequence have besides 0; None if there is none.

    Raises:
        ConfigError: there are several; the message names the first pixel that does not fit.
    """
    tasks = tasks_of(sequence.source, sequence.source.frames.tolist(), (PICTURES,))
    looks = [look for _, looks in each(look_at_some, tasks, pool) for look in looks]
    first: Binary | None = None
    for look in sorted(looks, key=lambda look: look.frame):
        problem = look.problem
        if first is None and look.high is not None:
            first = look
        elif first is not None and look.high not in (None, first.high):
            problem = f"has {look.high} at {look.where}, while frame {first.frame} has 0 and {first.high}"
        if problem:
            raise ConfigError(
                f"The pictures cannot be packed, since they are not binary: frame {look.frame} of {sequence.name} "
                f"{problem}"
            )
    return None if first is None else first.high


def look_at_some(task: Task) -> list[Binary]:
    """In a process: which values pictures have. Those that cannot be read have none; they will be named later."""
    source, looks = opened(task.source), []
    for row in task.rows:
        frame = int(source.frames[row])
        try:
            pixels = read_frame(source, PICTURES, row)
        except DataError:
            continue
        try:
            high = high_of(pixels)
        except DataError as exc:
            looks.append(Binary(frame, problem=str(exc)))
            continue
        where = ""
        if high is not None:
            y, x, channel = (int(at) for at in np.argwhere(pixels)[0])
            where = f"pixel ({x}, {y}), channel {channel}"
        looks.append(Binary(frame, high, where))
    return looks
