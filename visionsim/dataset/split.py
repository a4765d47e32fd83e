"""Divide datasets for training, validation and testing, so that no part shows what another one does."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.dataset.folders import find_sequences, folder_of
from visionsim.dataset.index import SequenceIndex, read_index
from visionsim.dataset.splits import SPLITS
from visionsim.errors import ConfigError, InputNotFound
from visionsim.files import natural_key, refusing, write_json

if TYPE_CHECKING:
    from typing import Literal

    By = Literal["sequence", "scene"]

__all__ = ["Part", "SplitReport", "split"]

CELLS = 100_000_000
"""Bytes of a table of sums."""

MANY = 300
"""Of more groups one division is made and improved: with so many that comes near enough."""


@dataclass(frozen=True)
class Part:
    """What one part got."""

    name: str
    wanted: float
    """Share of all frames."""
    sequences: tuple[str, ...]
    """Folders, relative to the root."""
    frames: int


@dataclass
class SplitReport:
    """How a datasets folder was divided."""

    path: Path
    """Of splits.json."""
    parts: list[Part]
    groups: int
    """Sets of sequences that had to stay together."""
    notes: list[str] = field(default_factory=list)

    @property
    def frames(self) -> int:
        return sum(part.frames for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "groups": self.groups,
            "frames": self.frames,
            "parts": [{**vars(part), "sequences": list(part.sequences)} for part in self.parts],
            "notes": self.notes,
        }


@dataclass(frozen=True)
class Shown:
    """What a sequence shows."""

    name: str
    """Its folder, relative to the root."""
    frames: int
    scene: str
    """The .blend's checksum; of what no Blender made, its own name."""
    home: str
    """Folder of its scene; its own name if it is in none."""
    first: Fraction
    """In frames of the authored timeline."""
    last: Fraction

    @classmethod
    def of(cls, folder: Path, root: Path, source: SequenceIndex) -> Shown:
        name = folder.relative_to(root).as_posix()
        multiplier = Fraction(str(source.head["keyframe_multiplier"]))
        frames = source.frames.tolist()
        first, last = Fraction(min(frames)) / multiplier, Fraction(max(frames)) / multiplier
        scene = source.head["generator"]["settings"].get("scene_sha256", name)
        home = str(folder.resolve().parent) if folder.resolve().parents[1].name == "renders" else name
        return cls(name, len(source), scene, home, first, last)


def split(root: Path, *, by: By = "sequence", val: float = 0.1, test: float = 0.1, seed: int = 0) -> SplitReport:
    """Write `splits.json`: which sequences are for training, which for validation, which for testing.

    Sequences of a scene that show the same moments of its animation, slowed down or not, always go together. Within
    that the parts come as near to the shares as they can, counted in frames.

    Args:
        root: the datasets folder.
        by: whether other sequences of a scene may be in different parts, or none.
        val: share of the frames for validation; with 0 there is no such part.
        test: for testing, likewise. The rest is for training.
        seed: another one divides otherwise.
    Raises:
        InputNotFound: there is no finished sequence.
        ConfigError: the shares are impossible, or there are fewer groups of sequences than parts.
    """
    if not (0 <= val and 0 <= test and val + test < 1 - 1e-9):
        raise ConfigError(f"--val={val:g} --test={test:g}: each must be 0 or more, and something be left for training")
    shares = {
        name: share for name, share in (("train", round(1.0 - val - test, 9)), ("val", val), ("test", test)) if share
    }
    root = folder_of(root)
    report = SplitReport(root / SPLITS, [], 0)
    shown = sequences_of(root, report)
    groups = sorted(grouped(shown, by), key=lambda group: shuffled(seed, group))
    report.groups = len(groups)
    if len(groups) < len(shares):
        raise ConfigError(impossible(shares, shown, groups, by))
    sizes = [sum(one.frames for one in group) for group in groups]
    chosen = divide(sizes, list(shares.values()))
    for number, (name, share) in enumerate(shares.items()):
        members = [one for group, part in zip(groups, chosen, strict=True) if part == number for one in group]
        folders = sorted((one.name for one in members), key=natural_key)
        report.parts.append(Part(name, share, tuple(folders), sum(one.frames for one in members)))
    with refusing(root):
        write_json(
            report.path,
            {
                "by": by,
                "shares": shares,
                "seed": seed,
                "splits": {part.name: list(part.sequences) for part in report.parts},
            },
        )
    return report


def sequences_of(root: Path, report: SplitReport) -> list[Shown]:
    """All finished sequences; the others are noted."""
    shown = []
    for folder in find_sequences([root], to="split"):
        if (folder / "transforms.json").exists():
            shown.append(Shown.of(folder, root, read_index(folder)))
        else:
            report.notes.append(f"In no part, since it is not finished (no transforms.json): {folder}")
    if not shown:
        raise InputNotFound(f"No sequence is finished, none has a transforms.json, in {root}")
    return shown


def impossible(shares: Mapping[str, float], shown: Sequence[Shown], groups: Sequence[Sequence[Shown]], by: By) -> str:
    """What is possible instead."""
    why = "of the same scene" if by == "scene" else "that show the same moments of a scene"
    what = f"{len(groups)} group{'s' * (len(groups) != 1)} of sequences {why}"
    fewer = {1: "there is nothing to divide", 2: "use --val=0 or --test=0"}[min(len(groups), 2)]
    more = (
        "; --by sequence may find more" if by == "scene" and len(list(grouped(shown, "sequence"))) > len(groups) else ""
    )
    return f"{', '.join(shares)} are {len(shares)} parts, but there are only {what}, which stay together: {fewer}{more}"


def shuffled(seed: int, group: Sequence[Shown]) -> str:
    """A key that sorts groups at random, the same way everywhere."""
    return hashlib.sha256(f"{seed} {min(one.name for one in group)}".encode()).hexdigest()


# What must stay together.


def grouped(shown: Sequence[Shown], by: By) -> Iterator[list[Shown]]:
    """Sequences that must be in the same part."""
    left = list(shown)
    while left:
        group = [left.pop(0)]
        for one in group:  # It grows meanwhile.
            bound = [other for other in left if together(one, other, by)]
            left = [other for other in left if other not in bound]
            group += bound
        yield group


def together(one: Shown, other: Shown, by: By) -> bool:
    if by == "scene":
        return one.scene == other.scene or one.home == other.home
    return one.scene == other.scene and one.first <= other.last and other.first <= one.last


# How they are divided.


def divide(sizes: Sequence[int], shares: Sequence[float]) -> list[int]:
    """The part of each group: none is empty, and all are as near to their shares of the sum as can be found."""
    wanted = [share * sum(sizes) for share in shares]
    return improved((nearest if len(sizes) <= MANY else filled)(sizes, wanted), sizes, wanted)


def nearest(sizes: Sequence[int], wanted: Sequence[float]) -> list[int]:
    """The best of all divisions, found over the sums that parts can have.

    Sums are counted in units of so many frames that the table of all of them fits into memory: one, unless there are
    thousands of frames.
    """
    unit = math.ceil(sum(sizes) / math.sqrt(CELLS / len(sizes)))
    units = [max(1, round(size / unit)) for size in sizes]
    total, others = sum(units), len(wanted) - 1  # The first part gets the rest.
    reached = [np.zeros((total + 1,) * others, bool)]
    reached[0][(0,) * others] = True
    for size in units:
        sums = reached[-1].copy()
        for axis in range(others):
            np.moveaxis(sums, axis, 0)[size:] |= np.moveaxis(reached[-1], axis, 0)[:-size]
        reached.append(sums)
    ends = np.argwhere(reached[-1])
    ends = np.concatenate([total - ends.sum(axis=1, keepdims=True), ends], axis=1)
    ends = ends[(ends > 0).all(axis=1)]
    missed = np.abs(ends * (sum(wanted) / total) - wanted).sum(axis=1)
    at = ends[np.argmin(missed)][1:].tolist()
    parts = []
    for size, before in zip(reversed(units), reversed(reached[:-1]), strict=True):
        part = 0 if before[tuple(at)] else 1
        while part and not (at[part - 1] >= size and before[tuple(minus(at, part - 1, size))]):
            part += 1
        if part:
            at = minus(at, part - 1, size)
        parts.append(part)
    return parts[::-1]


def minus(sums: Sequence[int], axis: int, size: int) -> list[int]:
    return [value - size * (index == axis) for index, value in enumerate(sums)]


def filled(sizes: Sequence[int], wanted: Sequence[float]) -> list[int]:
    """Large groups first, each to the part that lacks most; the first of them one to each part."""
    lacking = list(wanted)
    parts = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda index: -sizes[index])
    for place, index in enumerate(order):
        rest = len(sizes) - place
        empty = [part for part in range(len(wanted)) if lacking[part] == wanted[part]]
        among = empty if rest <= len(empty) else range(len(wanted))
        parts[index] = max(among, key=lambda part: lacking[part])
        lacking[parts[index]] -= sizes[index]
    return parts


def improved(parts: list[int], sizes: Sequence[int], wanted: Sequence[float]) -> list[int]:
    """Move groups, and exchange two of them, as long as it helps."""
    got = [0.0] * len(wanted)
    count = [0] * len(wanted)
    for size, part in zip(sizes, parts, strict=True):
        got[part] += size
        count[part] += 1

    def gain(source: int, target: int, size: int) -> float:
        """How many frames less are misplaced if so many go from one part to another."""
        before = abs(got[source] - wanted[source]) + abs(got[target] - wanted[target])
        return before - abs(got[source] - size - wanted[source]) - abs(got[target] + size - wanted[target])

    def shift(source: int, target: int, size: int) -> None:
        got[source] -= size
        got[target] += size

    better = True
    while better:
        better = False
        for index, size in enumerate(sizes):
            for target in range(len(wanted)):
                source = parts[index]
                if target != source and count[source] > 1 and gain(source, target, size) > 1e-9:
                    shift(source, target, size)
                    count[source] -= 1
                    count[target] += 1
                    parts[index], better = target, True
        pairs = itertools.combinations(range(len(sizes)), 2) if len(sizes) <= MANY else ()
        for a, b in pairs:
            if parts[a] != parts[b] and gain(parts[a], parts[b], sizes[a] - sizes[b]) > 1e-9:
                shift(parts[a], parts[b], sizes[a] - sizes[b])
                parts[a], parts[b] = parts[b], parts[a]
                better = True
    return parts
