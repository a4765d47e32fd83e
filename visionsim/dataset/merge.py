"""Several datasets folders into one."""

from __future__ import annotations

import filecmp
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.dataset.folders import find_sequences, folder_of, refuse_nested, sequences_in
from visionsim.dataset.index import SequenceIndex, read_index
from visionsim.dataset.journal import DOCUMENTS
from visionsim.dataset.lock import Holder, is_held, lock_path, take
from visionsim.dataset.report import WorkReport
from visionsim.dataset.splits import SPLITS
from visionsim.errors import ConfigError, FolderInUse, InputNotFound
from visionsim.files import make_folder, refusing, whole_file

if TYPE_CHECKING:
    from visionsim.types import ProgressFn

__all__ = ["merge"]

JOURNAL = Path(".visionsim", "journal.jsonl")


@dataclass(frozen=True)
class Found:
    """A finished sequence."""

    root: Path
    source: SequenceIndex
    place: Path
    """Relative to the datasets folder that it is in, or will be in."""

    @property
    def folder(self) -> Path:
        return self.source.folder

    @property
    def scene(self) -> tuple[str, float] | None:
        """The .blend's checksum, and how much time was stretched; None if no Blender made it."""
        digest = self.source.head["generator"]["settings"].get("scene_sha256")
        return None if digest is None else (digest, self.source.head["keyframe_multiplier"])


def merge(roots: Sequence[Path], target: Path, *, progress: ProgressFn = lambda done, total: None) -> WorkReport:
    """Put the finished sequences of several datasets folders into one, each at the place that it had.

    Files are hard links to the originals where the file system can do that, else copies; journals are always copies.
    What an earlier call, or something else, has put at the target stays there.

    Args:
        roots: datasets folders or sequences.
        target: datasets folder to write to.
        progress: called as frames are done.
    Raises:
        InputNotFound: there is no finished sequence.
        ConfigError: different sequences would get the same place, or have frames of the same scene in common; or one
            of the folders is in the target. Nothing was written.
        FolderInUse: a run works on one of the sequences.
    """
    started = time.monotonic()
    roots = [folder_of(root) for root in roots]
    report = WorkReport("merged", target)
    for root in roots:
        refuse_nested(root, target)
    there = [Found(target, read_index(folder), folder.relative_to(target)) for folder in finished_in(target)]
    chosen = choose(there, list(found_in(roots, report)), report)
    for one in chosen:
        if is_held(lock_path(one.folder)):
            raise FolderInUse(f"A run works on the sequence, wait for its end: {one.folder}")
        check_place(one, target / one.place)
    total = sum(len(one.source) for one in (*there, *chosen))
    report.frames = report.kept = sum(len(one.source) for one in there)
    how: Counter[str] = Counter()
    for one in chosen:
        with refusing(target / one.place):
            how += transfer(one.folder, target / one.place)
        report.frames += len(one.source)
        progress(report.frames, total)
    if how["linked"]:
        report.notes.append(f"{how['linked']} files are hard links: they share their bytes with the originals.")
    if how["copied"]:
        report.notes.append(f"{how['copied']} files were copied, since they cannot be linked to from {target}.")
    report.notes += [
        f"{root / SPLITS} was not taken over: split the merged datasets anew."
        for root in roots
        if (root / SPLITS).exists()
    ]
    report.elapsed = time.monotonic() - started
    return report


# What there is.


def finished_in(root: Path) -> list[Path]:
    return sorted(folder for folder in sequences_in(root) if (folder / "transforms.json").exists())


def found_in(roots: Sequence[Path], report: WorkReport) -> Iterator[Found]:
    """The finished sequences of all roots, each once; the others are noted.

    Raises:
        InputNotFound: there are none.
    """
    none = True
    seen: set[Path] = set()
    for root in roots:
        for folder in find_sequences([root], to="merge"):
            if folder.resolve() in seen:
                continue
            seen.add(folder.resolve())
            if (folder / "transforms.json").exists():
                none = False
                yield Found(root, read_index(folder), place_of(folder, root))
            else:
                report.notes.append(f"Left out, since it is not finished (no transforms.json): {folder}")
    if none:
        raise InputNotFound(f"No sequence is finished, none has a transforms.json, in {', '.join(map(str, roots))}")


def place_of(folder: Path, root: Path) -> Path:
    """Relative to the root, or to the datasets folder that the root is a part of."""
    place, parts = folder.relative_to(root), folder.resolve().parts
    if len(place.parts) < 3 and parts[-3:-2] == ("renders",):
        return Path(*parts[-3:])
    return place if place.parts else Path(parts[-1])


# What is taken.


def choose(there: Sequence[Found], found: Sequence[Found], report: WorkReport) -> list[Found]:
    """Those of `found` that are neither there nor twice.

    Raises:
        ConfigError: two that differ would get the same place, or share frames of a scene.
    """
    kept = list(there)
    chosen: list[Found] = []
    for one in found:
        place = next((other for other in kept if other.place == one.place), None)
        overlapping = (other for other in kept if other.root != one.root and common_frames(one, other).size)
        other = place or next(overlapping, None)
        if other is None:
            chosen.append(one)
            kept.append(one)
        elif not (where := difference(one.source, other.source)):
            if other not in there:
                report.notes.append(f"Taken once, since they are the same: {other.folder} and {one.folder}")
        elif place is not None:
            raise ConfigError(
                f"Two sequences that differ in {where} would get the same place, {one.place}: "
                f"{other.folder} and {one.folder}"
            )
        else:
            frames = common_frames(one, other)
            raise ConfigError(
                f"Two sequences of the same scene have {len(frames)} frames in common, the first is {frames[0]}: "
                f"{other.folder} and {one.folder}. Merge one of them only"
            )
    return chosen


def common_frames(one: Found, other: Found) -> Any:
    """Numbers of the frames that two sequences of a scene share."""
    if one.scene is None or one.scene != other.scene:
        return np.empty(0, np.int64)
    return np.intersect1d(one.source.frames, other.source.frames)


def difference(one: SequenceIndex, other: SequenceIndex) -> str:
    """The first file that two sequences have not in common, byte for byte, but for transforms.json; empty if none."""
    columns = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("frames", "times", "c2w"))
    if not columns or (one.head, one.varying, one.kinds) != (other.head, other.varying, other.kinds):
        return "transforms.json"
    for kind in one.kinds:
        if kind in one.arrays:
            files = theirs = [one.arrays[kind].file]
        else:
            files, theirs = (
                [index.path(kind, row).relative_to(index.folder).as_posix() for row in range(len(index))]
                for index in (one, other)
            )
        for file, their in zip(files, theirs, strict=True):
            if file != their or not same_file(one.folder / file, other.folder / file):
                return file
    return ""


def same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other) or filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False  # One of them is missing: they are not the same.


def check_place(one: Found, place: Path) -> None:
    """Raise ConfigError if something else is there than what a killed call has left."""
    for file in files_in(place):
        if not same_file(one.folder / file, place / file):
            raise ConfigError(f"Something else is at the place of {one.folder}: {place / file}")


# Files.


def files_in(folder: Path) -> list[Path]:
    """Files of a sequence, relative to its folder, in the order in which they must appear: documents come last."""
    found = []
    for path in folder.rglob("*"):
        file = path.relative_to(folder)
        if path.is_file() and (file == JOURNAL or not any(part.startswith(".") for part in file.parts)):
            found.append(file)
    late = (str(JOURNAL), *reversed(DOCUMENTS))
    return sorted(found, key=lambda file: (late.index(str(file)) + 1 if str(file) in late else 0, file))


def transfer(source: Path, target: Path) -> Counter[str]:
    """Link or copy a sequence's files; returns how many `linked` and `copied`."""
    how: Counter[str] = Counter()
    lock = take(target, Holder.me())
    try:
        for file in files_in(source):
            if (target / file).exists():
                continue
            make_folder((target / file).parent)
            # A journal grows in place, whoever it belongs to.
            if file != JOURNAL and linked(source / file, target / file):
                how["linked"] += 1
                continue
            with whole_file(target / file) as partial:
                shutil.copyfile(source / file, partial)
            how["copied"] += file != JOURNAL
    finally:
        lock.release()
    return how


def linked(source: Path, target: Path) -> bool:
    """Make a hard link, if that is possible."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        return False  # Another file system, or one without links. If nothing can be written, the copy will tell.
    return True
