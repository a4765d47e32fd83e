"""Verify sequences: documents here, frames in processes side by side, each of which reads some and the next one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visionsim.dataset.arrays import ArrayFile
from visionsim.dataset.folders import find_sequences, names_of
from visionsim.dataset.journal import Journal, StoredFile
from visionsim.parallel import each, num_cores, processes
from visionsim.verify.consistency import Mismatch, check_pair
from visionsim.verify.flow import check_flow
from visionsim.verify.frames import Expected, FrameData, check_background, read_frame
from visionsim.verify.geometry import Camera
from visionsim.verify.moving import check_moving
from visionsim.verify.occlusion import check_known, check_visible
from visionsim.verify.pictures import Fit, check_order, fit
from visionsim.verify.report import CHECKS, Found, Problem, ProgressOf, SequenceResult, Verified, VerifyReport
from visionsim.verify.sequences import Described, describe
from visionsim.verify.surfaces import check_normals, check_smooth

__all__ = ["verify"]

CHUNK = 24
"""Frames that one task looks at, at most; it reads one more."""

ALONE = 32
"""Up to this many frames are verified in this process: others take half a second to start."""


@dataclass(frozen=True)
class Task:
    """Some frames of a sequence."""

    expected: Expected
    frames: Sequence[Mapping[str, Any]]
    """Values of all frames of the sequence that this task may need."""
    own: range
    """Which of them it answers for."""
    stored: Mapping[int, Sequence[StoredFile]] = field(default_factory=dict)
    """Frame number -> its files, as the journal knows them."""
    layouts: Mapping[str, ArrayFile] = field(default_factory=dict)
    """File of all frames -> how the journal says it is laid out."""


@dataclass
class Answer:
    """What a task found."""

    found: Found = field(default_factory=Found)
    mismatches: list[Mismatch] = field(default_factory=list)
    fits: list[Fit] = field(default_factory=list)


def verify(roots: Sequence[Path], *, jobs: int | None = None, observe: ProgressOf = lambda event: None) -> VerifyReport:
    """Verify all sequences that are, or are in, some folders.

    Args:
        roots: the folders.
        jobs: processes; by default as many as there are cores.
        observe: called as frames are done, from this thread.
    Raises:
        InputNotFound: a folder does not exist, or there is no sequence in it.
    """
    started = time.monotonic()
    folders = find_sequences(roots)
    report = VerifyReport(jobs=jobs or num_cores())
    described: list[Described] = []
    for name, folder in zip(names_of(folders), folders, strict=True):
        row = SequenceResult(name, folder)
        described.append(describe(folder, row.found))
        row.frames, row.kinds = len(described[-1].frames), described[-1].kinds
        report.sequences.append(row)
    for row in report.sequences:
        observe(Verified(row.name, 0, row.frames))
    if report.frames <= ALONE:
        report.jobs = 1
    answers, done = [Answer() for _ in described], [0] * len(described)
    with processes(report.jobs) as pool:
        known = [expectation(item) for item in described]
        tasks = [
            (index, task)
            for index, (item, expected) in enumerate(zip(described, known, strict=True))
            for task in tasks_of(item, expected, chunk_size(report))
        ]
        for number, answer in each(check_task, [task for _, task in tasks], pool):
            index, task = tasks[number]
            row = report.sequences[index]
            row.found += answer.found
            answers[index].mismatches += answer.mismatches
            answers[index].fits += answer.fits
            done[index] += len(task.own)
            observe(Verified(row.name, done[index], row.frames))
    for row, item, expected, answer in zip(report.sequences, described, known, answers, strict=True):
        finish(row.found, item, expected, answer)
    report.elapsed = time.monotonic() - started
    return report


def chunk_size(report: VerifyReport) -> int:
    """Large enough that reading one frame more does not matter, small enough to share the work."""
    return max(4, min(CHUNK, report.frames // (4 * report.jobs)))


# What is known before frames are looked at.


def expectation(item: Described) -> Expected:
    """What a sequence's documents say of its frames; of objects, how they move is what `labels` call it."""
    transforms = item.transforms or {"generator": {"settings": {}}}
    labels = transforms.get("labels")

    def moving(motion: str) -> frozenset[int]:
        return frozenset(int(key) for key, row in (labels or {}).items() if row["motion"] == motion)

    return Expected(
        folder=item.folder,
        bit_depth=transforms["generator"]["settings"].get("bit_depth"),
        ids=None if labels is None else frozenset(map(int, labels)),
        static=moving("static"),
        rigid=moving("rigid"),
        arrays=item.arrays,
        count=len(item.frames),
    )


def tasks_of(item: Described, expected: Expected, size: int) -> Iterator[Task]:
    """A sequence's frames in pieces, each with the frame before and the one after."""
    frames = item.frames
    records = item.journal.records if item.journal is not None else {}
    layouts = layouts_of(item.journal)
    for start in range(0, len(frames), size):
        stop = min(start + size, len(frames))
        before = max(0, start - 1)
        own = frames[start:stop]
        stored = {f["frame"]: list(records[f["frame"]].files.values()) for f in own if f["frame"] in records}
        yield Task(expected, frames[before : stop + 1], range(start - before, stop - before), stored, layouts)


def layouts_of(journal: Journal | None) -> dict[str, ArrayFile]:
    """The arrays that a journal knows, by their files."""
    known = journal.arrays.get("files", {}) if journal is not None else {}
    layouts = [ArrayFile.from_json(values) for values in known.values()]
    return {layout.stored.file: layout for layout in layouts}


# In the processes.


def check_task(task: Task) -> Answer:
    """All checks of a task's frames."""
    answer = Answer()
    found, expected = answer.found, task.expected
    cameras = [Camera.from_document(values) for values in task.frames]
    last: FrameData | None = None
    for index in range(task.own.start, min(task.own.stop + 1, len(task.frames))):
        mine = index in task.own
        frame = read_frame(expected, task.frames[index], found if mine else Found())
        frame.camera = cameras[index]
        if mine:
            check_stored(expected.folder, task.stored.get(frame.number, ()), task.frames[index], task.layouts, found)
            check_background(frame, found)
            check_normals(frame, found)
            check_smooth(frame, found)
            check_known(frame, found)
            for other, forward in ((index - 1, False), (index + 1, True)):  # The next camera is asked for again below.
                if 0 <= other < len(cameras) and task.frames[other]["frame"] == frame.number + (1 if forward else -1):
                    check_flow(frame, cameras[other], forward, found)
        if last is not None:
            adjacent = frame.number == last.number + 1
            wrong = check_pair(last, frame, adjacent, found)
            if adjacent and not wrong:  # Else it is known that something else is wrong with them.
                wrong = check_moving(last, frame, found) or check_visible(last, frame, found)
            answer.mismatches += wrong
            follows = fit(last, frame, found)
            if follows is not None:
                answer.fits.append(follows)
        last = frame
    return answer


def check_stored(
    folder: Path,
    stored: Iterable[StoredFile],
    values: Mapping[str, Any],
    layouts: Mapping[str, ArrayFile],
    found: Found,
) -> None:
    """The check `journal`: files are byte for byte what was written."""
    number = values["frame"]
    for file in stored:
        found.count("journal")
        if file.path in layouts:
            if (folder / file.path).is_file() and not layouts[file.path].intact(folder, values["row"], file):
                message = "what the array holds of the frame is not what was written"
                found.add("journal", message, file=file.path, frame=number)
        elif (folder / file.path).is_file() and not file.intact(folder):
            size = (folder / file.path).stat().st_size
            same = size == file.size
            found.add(
                "journal",
                "the file is not what was written" + ("" if same else ": it has another size"),
                file=file.path,
                frame=number,
                expected=f"CRC-32 {file.crc32}" if same else f"{file.size} bytes",
                found="another" if same else f"{size} bytes",
            )


# What follows from all answers.


def blame(mismatches: Sequence[Mismatch], numbers: Sequence[int]) -> list[Problem]:
    """Which frames are wrong, where pairs of frames do not fit.

    A frame that fits neither neighbour is wrong. If both, or neither, of a pair have another bad pair, both may be.
    """
    problems: dict[tuple[str, str], Problem] = {}
    place = {number: index for index, number in enumerate(numbers)}
    bad = {(item.check, item.first, item.second) for item in mismatches}
    for item in mismatches:
        before = numbers[place[item.first] - 1] if place[item.first] else None
        after = numbers[place[item.second] + 1] if place[item.second] + 1 < len(numbers) else None
        # True: it has another bad pair; False: its other pair fits; None: it has no other.
        first = None if before is None else (item.check, before, item.first) in bad
        second = None if after is None else (item.check, item.second, after) in bad
        guilty = [bool(first), bool(second)]
        if not any(guilty):  # At the end of a sequence there is one pair only.
            guilty = [first is None and second is False, second is None and first is False]
        if not any(guilty):
            guilty = [True, True]
        for problem, is_guilty in zip(item.problems, guilty, strict=True):
            if is_guilty:
                problems.setdefault((item.check, problem.file), problem)
    return list(problems.values())


def finish(found: Found, item: Described, expected: Expected, answer: Answer) -> None:
    """What only a whole sequence can tell; then the problems in order."""
    values = {frame["frame"]: frame for frame in item.frames}

    def load(number: int) -> FrameData:
        return read_frame(expected, values[number], Found())

    found.problems += blame(answer.mismatches, list(values))
    check_order(sorted(answer.fits, key=lambda pair: pair.first), list(values), load, found)
    put_in_order(found)


def put_in_order(found: Found) -> None:
    """Problems by check and frame, each once."""
    order = list(CHECKS)
    once: dict[tuple[str, str, int | None, str], Problem] = {}
    for problem in found.problems:
        once.setdefault((problem.check, problem.file, problem.frame, problem.message), problem)
    found.problems = sorted(
        once.values(), key=lambda p: (order.index(p.check), -1 if p.frame is None else p.frame, p.file)
    )
