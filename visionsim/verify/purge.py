"""Find the corrupted files of datasets, and remove them so that the next run renders exactly those frames again.

Only files that visionsim names so are looked at. A file is corrupted if it cannot be decoded, is not what the journal
says, or has another size or form than the sequence's others. What a folder holds otherwise is left alone.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from visionsim.dataset.folders import find_sequences, names_of
from visionsim.dataset.journal import DOCUMENTS, Journal, StoredFile
from visionsim.dataset.kinds import KINDS, frame_path
from visionsim.dataset.lock import Holder, allow_open_files, take
from visionsim.dataset.schema import DocumentKind, read_document
from visionsim.errors import DataError, FolderInUse, SchemaError
from visionsim.files import flush_folder
from visionsim.parallel import num_cores
from visionsim.types import ProgressFn
from visionsim.verify.damage import FileTask, Look, Stamp, look_at_all, picture_form, stamp, truth_form

__all__ = ["Corrupted", "PurgeReport", "SequencePurge", "find_corrupted", "remove_corrupted"]

JOURNAL = ".visionsim/journal.jsonl"

FOLDERS = ("frames", *KINDS)
"""Of the files of frames."""

ENOUGH = 3
"""Files that can outvote one that differs from them, where no document says how they should be."""


@dataclass
class Corrupted:
    """A file that is to go."""

    file: str
    """Relative to its sequence's folder."""
    reason: str
    frame: int | None = None
    """None of documents and the journal."""
    stamp: Stamp | None = None
    removed: bool = False
    problem: str = ""
    """Why it could not be removed."""


@dataclass
class SequencePurge:
    """What became of one sequence."""

    name: str
    folder: Path
    files: int = 0
    """Files that were looked at."""
    corrupted: list[Corrupted] = field(default_factory=list)
    unchecked: dict[str, str] = field(default_factory=dict)
    """File -> why nothing can be said of it."""
    notes: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    """What says that the sequence is complete: goes with any other file."""
    documents_removed: bool = False

    @property
    def in_the_way(self) -> list[str]:
        """Documents that are intact, but no longer true once something is removed."""
        bad = {item.file for item in self.corrupted}
        return [name for name in self.documents if name not in bad] if bad else []


@dataclass
class PurgeReport:
    """What was looked at, found and removed."""

    sequences: list[SequencePurge] = field(default_factory=list)
    elapsed: float = 0.0
    """Wall clock of looking, seconds."""

    @property
    def files(self) -> int:
        return sum(row.files for row in self.sequences)

    @property
    def corrupted(self) -> list[Corrupted]:
        return [item for row in self.sequences for item in row.corrupted]

    @property
    def unchecked(self) -> int:
        return sum(len(row.unchecked) for row in self.sequences)

    @property
    def exit_code(self) -> int:
        """0 all files are fine, or gone; 1 some are not."""
        return int(bool(self.unchecked) or not all(item.removed for item in self.corrupted))

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        rows = []
        for row in self.sequences:
            corrupted = [asdict(item) for item in row.corrupted]
            for item in corrupted:
                del item["stamp"]
            rows.append(
                {
                    "name": row.name,
                    "folder": str(row.folder),
                    "files": row.files,
                    "corrupted": corrupted,
                    "unchecked": row.unchecked,
                    "documents_in_the_way": row.in_the_way,
                    "documents_removed": row.documents_removed,
                    "notes": row.notes,
                }
            )
        return {
            "exit_code": self.exit_code,
            "files": self.files,
            "num_corrupted": len(self.corrupted),
            "num_removed": sum(item.removed for item in self.corrupted),
            "num_unchecked": self.unchecked,
            "elapsed": self.elapsed,
            "sequences": rows,
        }


def find_corrupted(
    roots: Sequence[Path], *, jobs: int | None = None, progress: ProgressFn = lambda done, total: None
) -> PurgeReport:
    """Look at all files of all sequences that are, or are in, some folders; changes nothing.

    Args:
        roots: the folders.
        jobs: processes; by default as many as there are cores.
        progress: called as files are done, from this thread.
    Raises:
        InputNotFound: a folder does not exist, or there is no sequence in it.
    """
    started = time.monotonic()
    folders = find_sequences(roots, to="purge")
    report = PurgeReport()
    found = [contents_of(folder) for folder in folders]
    tasks = [task for sequence in found for task in sequence.tasks]
    looks = iter(look_at_all(tasks, jobs or num_cores(), progress) if tasks else ())
    for name, sequence in zip(names_of(folders), found, strict=True):
        report.sequences.append(judge(name, sequence, [next(looks) for _ in sequence.tasks]))
    report.elapsed = time.monotonic() - started
    return report


# What there is.


@dataclass
class Contents:
    """What a sequence's folder holds of visionsim's."""

    folder: Path
    row: SequencePurge
    """What is known without decoding anything."""
    journal: Journal | None = None
    transforms: dict[str, Any] | None = None
    items: list[tuple[str, int, FileTask]] = field(default_factory=list)
    """Relative path, frame and task of each file that is to be decoded."""

    @property
    def tasks(self) -> list[FileTask]:
        return [task for _, _, task in self.items]

    @property
    def settings(self) -> dict[str, Any] | None:
        """What the files were made with, if that is known."""
        if self.journal is not None:
            return self.journal.settings
        if self.transforms is None:
            return None
        sides = {"width": self.transforms.get("w"), "height": self.transforms.get("h")}
        return {**self.transforms["generator"]["settings"], **sides}


def contents_of(folder: Path) -> Contents:
    """Read journal and documents of a sequence, and list its other files."""
    found = Contents(folder, SequencePurge("", folder))
    read_journal(found)
    files = [(kind, *entry) for kind in FOLDERS for entry in files_of(folder, kind)]
    for name in DOCUMENTS:
        read_one(found, name, has_frames=bool(files))
    if "arrays" in (found.transforms or {}) or (found.journal is not None and found.journal.arrays):
        found.row.notes.append(
            "its arrays are not looked at: `visionsim verify` does, and what wrote them, run again, mends them"
        )
    records = found.journal.records.values() if found.journal is not None else ()
    stored = {file.path: file for record in records for file in record.files.values()}
    for kind, path, frame, preview in files:
        found.items.append((path, frame, FileTask(str(folder / path), kind, preview, stored.get(path))))
    found.row.files += len(files)
    return found


def files_of(folder: Path, kind: str) -> Iterator[tuple[str, int, bool]]:
    """The files of a kind whose names are visionsim's: relative path, frame, and whether it is a preview; in order."""
    stem = frame_path(kind, 0, "").name.rpartition("_")[0]
    if kind == "frames":
        wanted = {".png": False, ".jpg": False, ".exr": False}
    else:
        wanted = {KINDS[kind].suffix: False, KINDS[kind].preview_suffix: True}
    found = []
    try:
        entries = list(os.scandir(folder / kind))
    except OSError:
        return  # It is not there, or not a folder.
    for entry in entries:
        match = re.fullmatch(rf"{stem}_(-?[0-9]+)((_preview)?\.[a-z]+)", entry.name)
        if match and match[2] in wanted and entry.is_file():
            frame, path = int(match[1]), frame_path(kind, int(match[1]), match[2])
            if path.name == entry.name:
                found.append((frame, str(path), wanted[match[2]]))
    yield from ((path, frame, preview) for frame, path, preview in sorted(found))


def read_journal(found: Contents) -> None:
    path = found.folder / JOURNAL
    try:
        before = stamp(path)
        found.journal = Journal.read(found.folder)
        lines = len(path.read_bytes().splitlines())
    except FileNotFoundError:
        return
    except DataError:
        reason = "it is damaged, or of another version of visionsim; without it all frames are rendered again"
        found.row.corrupted.append(Corrupted(JOURNAL, reason, stamp=before))
    except OSError as exc:
        found.row.unchecked[JOURNAL] = exc.strerror or str(exc)
    else:
        assert found.journal is not None
        damaged = lines - 1 - len(found.journal.records) - bool(found.journal.closing)
        if damaged > 0:
            lost = "a line" if damaged == 1 else f"{damaged} lines"
            found.row.notes.append(
                f"the journal has {lost} damaged or out of date: a frame without one is rendered again"
            )
    found.row.files += 1


def read_one(found: Contents, name: str, *, has_frames: bool) -> None:
    """Read a document, if it is visionsim's."""
    path = found.folder / name
    kind: DocumentKind = "transforms" if name == "transforms.json" else "info"
    journaled = (found.folder / JOURNAL).exists()
    try:
        before = stamp(path)
        data = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as exc:
        found.row.unchecked[name] = exc.strerror or str(exc)
        return
    found.row.files += 1
    problem = ""
    try:
        document = read_document(kind, path)
        if kind == "transforms":
            found.transforms = document
    except (SchemaError, OSError) as exc:
        problem = str(exc).replace(f". File: {path}", "")
    if not problem and found.journal is not None and found.journal.closing:
        written = [StoredFile(*values) for values in found.journal.closing["documents"]]
        if not all(file.intact(found.folder) for file in written if file.path == name):
            problem = "its bytes are not those that were written"
    if problem and not journaled and (is_json(data) or not has_frames):
        # Others have files of that name. Even if it is ours, nothing could make it again without the journal.
        found.row.notes.append(f"{name} is left alone, though it is not what visionsim writes: {problem}")
        return
    found.row.documents.append(name)
    if problem:
        found.row.corrupted.append(Corrupted(name, problem, stamp=before))


def is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


# What is wrong with it.


def judge(name: str, found: Contents, looks: Sequence[Look]) -> SequencePurge:
    """Which files are corrupted: those that cannot be decoded, and those that are not like what they should be."""
    row = found.row
    row.name = name
    expected = expectations(found, looks)
    corrupted = []
    for (path, frame, _), seen, (size, form) in zip(found.items, looks, expected, strict=True):
        if seen.unchecked:
            row.unchecked[path] = seen.unchecked
            continue
        reason = seen.damage
        if not reason and size not in ("", seen.size):
            reason = f"it is {seen.size} pixels, not {size}"
        if not reason and form not in ("", seen.form):
            reason = f"it has {seen.form} instead of {form}"
        if reason:
            corrupted.append(Corrupted(path, reason, frame, seen.stamp))
    row.corrupted += corrupted
    return row


def expectations(found: Contents, looks: Sequence[Look]) -> list[tuple[str, str]]:
    """Size and form that each file should have; empty where nobody knows.

    Journal or transforms.json know. Without them the files of a sequence vote. Previews, which are for people, may
    have any form.
    """
    settings = found.settings or {}
    pairs = list(zip(found.tasks, looks, strict=True))
    votes: dict[str, str] = {kind: vote(seen.form for task, seen in pairs if task.kind == kind) for kind in FOLDERS}
    sides = settings.get("width"), settings.get("height")
    size = f"{sides[0]} x {sides[1]}" if all(sides) else vote(seen.size for _, seen in pairs)
    channels, bits = channels_of(found), settings.get("bit_depth")
    wanted = []
    for _, frame, task in found.items:
        form = votes[task.kind]
        if task.preview:
            form = ""
        elif task.kind != "frames" and settings:
            form = truth_form(KINDS[task.kind].channels, [KINDS[task.kind].dtype])
        elif frame in channels and bits:
            form = picture_form(channels[frame], bits)
        wanted.append((size, form))
    return wanted


def vote(values: Iterable[str]) -> str:
    """What most of them are, of those that are anything; empty if these are too few, or do not agree."""
    counts = Counter(filter(None, values))
    if not counts:
        return ""
    value, number = counts.most_common(1)[0]
    return value if number >= ENOUGH and 2 * number > counts.total() else ""


def channels_of(found: Contents) -> dict[int, int]:
    """Frame -> channels of its picture."""
    channels: dict[int, int] = {}
    if found.transforms is not None:
        shared: Mapping[str, Any] = found.transforms
        channels = {frame["frame"]: frame.get("c", shared.get("c")) for frame in found.transforms["frames"]}
    if found.journal is not None:
        channels.update({record.frame: record.channels for record in found.journal.records.values()})
    return channels


# Removing.


def remove_corrupted(report: PurgeReport) -> None:
    """Remove what was found, and what says that a sequence without it is complete.

    Raises:
        FolderInUse: a run works on one of the sequences; nothing was removed.
    """
    rows = [row for row in report.sequences if row.corrupted]
    allow_open_files(len(rows))
    holder = Holder.me()
    with ExitStack() as locks:
        for row in rows:
            try:
                locks.callback(take(row.folder, holder).release)
            except FolderInUse:
                raise
            except OSError as exc:
                blame(row, exc)
        for row in rows:
            if not any(item.problem for item in row.corrupted):
                try:
                    remove_from(row)
                except (OSError, DataError) as exc:
                    blame(row, exc)


def blame(row: SequencePurge, exc: Exception) -> None:
    """Say of all that is left why it could not be removed."""
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    for item in row.corrupted:
        if not item.removed:
            item.problem = reason


def remove_from(row: SequencePurge) -> None:
    """First what says that frames are there, then the frames: whenever we are stopped, nothing untrue is left."""
    chosen = []
    for item in row.corrupted:
        try:
            if stamp(row.folder / item.file) == item.stamp:
                chosen.append(item)
            else:
                item.problem = "it was changed meanwhile, and is left alone"
        except FileNotFoundError:
            item.removed = True
    if not chosen:
        return
    for name in row.documents:
        (row.folder / name).unlink(missing_ok=True)
    row.documents_removed = bool(row.documents)
    if any(item.file == JOURNAL for item in chosen):
        (row.folder / JOURNAL).unlink()
    else:
        journal = Journal.read(row.folder)
        if journal is not None:
            for item in chosen:
                if item.frame is not None:
                    journal.forget(item.frame)
            journal.begin()
    for item in chosen:
        (row.folder / item.file).unlink(missing_ok=True)  # Documents are gone already.
        item.removed = True
    for folder in {(row.folder / item.file).parent for item in chosen} | {row.folder}:
        flush_folder(folder)
