"""Previews of all sequences under a folder: videos, in processes side by side, and the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.dataset.folders import find_sequences, folder_of, name_in
from visionsim.dataset.index import PICTURES, SequenceIndex, read_index
from visionsim.dataset.kinds import KINDS
from visionsim.dataset.reader import Dataset
from visionsim.dataset.report import DamagedFrame
from visionsim.errors import ConfigError, DataError, InputNotFound, VisionsimError
from visionsim.files import ensure_writable, make_folder, refusing
from visionsim.io.video import find_ffmpeg
from visionsim.parallel import Meter, each, num_cores, processes, tick
from visionsim.preview.colours import Ranges
from visionsim.preview.legends import Named
from visionsim.preview.mosaics import Member, make_mosaics
from visionsim.preview.survey import Survey, largest, survey
from visionsim.preview.videos import Look, Made, make_videos

if TYPE_CHECKING:
    from visionsim.preview.colours import FlowDirection
    from visionsim.types import ProgressFn

__all__ = ["PreviewReport", "SequencePreview", "Timing", "preview_datasets"]

DETAILS = 24
"""Sequences that the page shows in full."""

ALONE = 64
"""Up to this many frames are drawn in this process: others take a second to start."""

NAMES = 8
"""Entries of the legend of segmentations."""


@dataclass(frozen=True)
class Timing:
    """When a sequence's pictures were written, as their files' modification times say."""

    first: float
    last: float
    """Seconds since the epoch."""
    median_step: float | None
    """Seconds from one to the next; None of a single picture."""


@dataclass
class SequencePreview:
    """A sequence, and what was made of it."""

    name: str
    folder: Path
    index: SequenceIndex | None
    """None if its transforms.json is damaged."""
    kinds: tuple[str, ...] = ()
    made: Made | None = None
    """None if no videos were asked for, or they failed."""
    survey: Survey | None = None
    timing: Timing | None = None
    error: str = ""
    """Why there is nothing."""

    @property
    def damaged(self) -> list[DamagedFrame]:
        """Files that could not be read, of those that were looked at."""
        found = {*(self.made.unreadable if self.made else ()), *(self.survey.unreadable if self.survey else ())}
        return [DamagedFrame(self.name, item.frame, f"{item.kind}: {item.message}") for item in sorted(found)]

    @property
    def failures(self) -> list[str]:
        """Videos that are missing, and why; in sentences."""
        failed = self.made.failed.items() if self.made else ()
        return [*([self.error] if self.error else []), *(f"no video of {name}: {reason}" for name, reason in failed)]


@dataclass
class PreviewReport:
    """What was made."""

    root: Path
    folder: Path
    """Of the videos."""
    sequences: list[SequencePreview] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    """Names of sequences without transforms.json."""
    mosaics: dict[str, Path] = field(default_factory=dict)
    """Kind -> video over sequences."""
    mosaics_kept: list[str] = field(default_factory=list)
    """Those of them that were there already."""
    failures: list[str] = field(default_factory=list)
    """Of what is not of one sequence."""
    page: Path | None = None
    notes: list[str] = field(default_factory=list)
    elapsed: float = 0.0
    """Seconds."""

    @property
    def damaged(self) -> list[DamagedFrame]:
        return [frame for row in self.sequences for frame in row.damaged]

    @property
    def videos(self) -> list[Path]:
        every = [path for row in self.sequences if row.made for path in row.made.videos.values()]
        return [*every, *self.mosaics.values()]

    @property
    def kept(self) -> int:
        """Videos that were there already."""
        return len(self.mosaics_kept) + sum(len(row.made.kept) for row in self.sequences if row.made)

    @property
    def exit_code(self) -> int:
        """1 if a frame could not be read or a video not be made."""
        return int(bool(self.damaged or self.failures or any(row.failures for row in self.sequences)))

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        rows = [
            {
                "name": row.name,
                "folder": str(row.folder),
                "videos": {name: str(path) for name, path in row.made.videos.items()} if row.made else {},
                "kept": row.made.kept if row.made else [],
                "failures": row.failures,
            }
            for row in self.sequences
        ]
        return {
            "root": str(self.root),
            "exit_code": self.exit_code,
            "sequences": rows,
            "unfinished": self.unfinished,
            "over_sequences": {kind: str(path) for kind, path in self.mosaics.items()},
            "damaged": [vars(frame) for frame in self.damaged],
            "failures": self.failures,
            "report": None if self.page is None else str(self.page),
            "notes": self.notes,
            "elapsed": self.elapsed,
        }


@dataclass(frozen=True)
class Task:
    """A sequence to look at, and videos of it to make."""

    name: str
    source: Path
    kinds: tuple[str, ...]
    look: Look | None
    """None: no videos."""
    videos: Path
    detailed: bool
    force: bool
    threads: int = 1


@dataclass
class Answer:
    """What became of it."""

    made: Made | None = None
    survey: Survey | None = None
    timing: Timing | None = None
    error: str = ""


def preview_datasets(
    root: Path,
    *,
    kinds: Sequence[str] = (),
    fps: float | None = None,
    flow_direction: FlowDirection = "forward",
    allow_skips: bool = True,
    videos: bool = True,
    page: bool = True,
    details: int = DETAILS,
    force: bool = False,
    jobs: int | None = 1,
    progress: ProgressFn = lambda done, total: None,
) -> PreviewReport:
    """Make videos of all finished sequences in `root/previews/`, and `root/report.html`, a page about all sequences.

    A video that is there, and whose sources have not changed since, is kept.

    Args:
        root: datasets folder or sequence.
        kinds: of data; by default all there are.
        fps: frames per second of the videos; by default each sequence's own.
        flow_direction: of the flow that is shown.
        allow_skips: put a placeholder where a frame is missing or damaged; else its kind gets no video.
        videos: whether to make videos.
        page: whether to make the page.
        details: sequences that the page shows in full; the others stand in a table.
        force: make all videos again.
        jobs: processes; None is as many as there are cores. Of several, a script's own work must stand below
            `if __name__ == "__main__":`, as always with processes that are spawned.
        progress: called as frames are drawn.
    Raises:
        InputNotFound: no such folder, or no finished sequence in it.
        ConfigError: there is no ffmpeg, or no such kind of data.
        OutputNotWritable: the folder cannot be written.
    """
    started = time.monotonic()
    root = folder_of(root)
    if fps is not None and not 0.01 <= fps <= 1000:
        raise ConfigError(f"--fps={fps}: must be from 0.01 to 1000")
    report = PreviewReport(root, root / "previews")
    for folder in find_sequences([root], to="preview"):
        take(report, folder, name_in(root, folder))
    finished = [row for row in report.sequences if row.index is not None]
    if not finished:
        raise InputNotFound(f"No sequence is finished, or none can be read, in {root}")
    choose_kinds(finished, kinds)
    if videos:
        find_ffmpeg()
        ensure_writable(report.folder)
    if page:
        ensure_writable(root)
    tasks = [
        Task(
            row.name,
            row.folder,
            row.kinds,
            Look(row.kinds, fps or row.index.head["fps"], flow_direction, allow_skips) if videos else None,
            report.folder / row.name,
            detailed=page and number < details,
            force=force,
        )
        for number, row in enumerate(finished)
        if row.index is not None and (videos or number < details)
    ]
    work(tasks, finished, jobs, progress)
    if videos:
        add_mosaics(report, finished, fps, force=force)
    if page:
        from visionsim.preview.report import write_page

        report.page = root / "report.html"
        with refusing(root):
            write_page(report, details)
    report.elapsed = time.monotonic() - started
    return report


def take(report: PreviewReport, folder: Path, name: str) -> None:
    """Add a sequence to those to be previewed, or to those that cannot be."""
    if not (folder / "transforms.json").exists():
        report.unfinished.append(name)
        return
    try:
        index = read_index(folder)
    except DataError as exc:
        report.sequences.append(SequencePreview(name, folder, None, error=str(exc)))
    else:
        report.sequences.append(SequencePreview(name, folder, index, index.kinds))


def choose_kinds(rows: Sequence[SequencePreview], kinds: Sequence[str]) -> None:
    """Leave only these kinds.

    Raises:
        ConfigError: there is no such kind, or no sequence has it.
    """
    there = [kind for kind in (PICTURES, *KINDS) if any(kind in row.kinds for row in rows)]
    for kind in kinds:
        if kind not in there:
            raise ConfigError(f"--kinds={kind}: there are only {', '.join(there)}")
    for row in rows:
        row.kinds = tuple(kind for kind in row.kinds if not kinds or kind in kinds)


def work(tasks: Sequence[Task], rows: Sequence[SequencePreview], jobs: int | None, progress: ProgressFn) -> None:
    """Carry out the tasks, and put the answers into the rows of the same names."""
    cores = num_cores()
    by_name = {row.name: row for row in rows}
    frames = {row.name: len(row.index) for row in rows if row.index is not None}
    total = sum(frames[task.name] for task in tasks)
    jobs = max(1, min(jobs or cores, len(tasks)))
    if total <= ALONE:
        jobs = 1
    threads = max(1, cores // jobs)
    tasks = [replace(task, threads=threads) for task in tasks]
    done = 0

    def one_more(number: int = 1) -> None:
        nonlocal done
        done += number
        progress(done, total)

    def take_answer(index: int, answer: Answer) -> None:
        row = by_name[tasks[index].name]
        row.made, row.survey, row.timing, row.error = answer.made, answer.survey, answer.timing, answer.error

    if jobs == 1:
        for index, task in enumerate(tasks):
            take_answer(index, carry_out(task, one_more))
        return
    meter = Meter()
    with processes(jobs, meter) as pool:
        try:
            for index, answer in each(carry_out, tasks, pool, lambda: progress(meter.count, total)):
                take_answer(index, answer)
        except BaseException:
            meter.stop()
            raise


def carry_out(task: Task, tick: Callable[[int], None] = tick) -> Answer:
    """Look at a sequence and make its videos; what goes wrong is in the answer."""
    answer = Answer()
    try:
        sequence = Dataset([task.name], [read_index(task.source)], None)
        direction = task.look.direction if task.look else "forward"

        def surveyed() -> Survey:
            if answer.survey is None:
                answer.survey = survey(sequence, task.kinds, direction, strips=task.detailed, threads=task.threads)
            return answer.survey

        def describe() -> tuple[Ranges, list[Named]]:
            found = surveyed()
            return found.ranges, largest(found.pixels, sequence.labels, NAMES)

        if task.detailed:
            surveyed()
            answer.timing = timing_of(sequence)
        if task.look is not None:
            answer.made = make_videos(
                sequence, task.videos, task.look, describe, force=task.force, threads=task.threads, tick=tick
            )
        else:
            tick(len(sequence))
    except (VisionsimError, OSError) as exc:
        answer.error = str(exc)
    return answer


def timing_of(sequence: Dataset) -> Timing | None:
    """When the pictures were written; None if they are not files of their own."""
    times = []
    for sample in sequence:
        path = sample.path(PICTURES) if PICTURES in sample.kinds else None
        if path is not None and path.exists():
            times.append(path.stat().st_mtime)
    if not times:
        return None
    times.sort()
    return Timing(times[0], times[-1], float(np.median(np.diff(times))) if len(times) > 1 else None)


def add_mosaics(report: PreviewReport, rows: Sequence[SequencePreview], fps: float | None, *, force: bool) -> None:
    """Videos over sequences."""
    members = []
    for row in rows:
        if row.made is not None and row.index is not None:
            values = row.index.camera_values(0)
            members.append(Member(row.name, values["w"], values["h"], row.made.videos))
    rates = [row.index.head["fps"] for row in rows if row.index is not None]
    kinds = [kind for kind in (PICTURES, *KINDS) if any(kind in row.kinds for row in rows)]
    try:
        make_folder(report.folder)
        rate = fps or max(rates, key=rates.count)
        report.mosaics, report.mosaics_kept = make_mosaics(members, kinds, report.folder, rate, force=force)
    except (VisionsimError, OSError) as exc:
        report.failures.append(f"no video over sequences: {exc}")
