"""What exports share: frames made ready in threads, their arrays under common names, and the parts of a split."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from visionsim.dataset.folders import folder_of
from visionsim.dataset.index import SequenceIndex
from visionsim.dataset.kinds import DEPTHS, KINDS
from visionsim.dataset.reader import Dataset, Sample
from visionsim.dataset.report import DamagedFrame, WorkReport
from visionsim.dataset.splits import SPLITS, read_splits
from visionsim.errors import DataError, InputNotFound
from visionsim.parallel import ahead

if TYPE_CHECKING:
    from visionsim.types import ProgressFn

__all__ = [
    "ARRAYS",
    "arrays_of",
    "by_split",
    "conventions_of",
    "depth_kinds_of",
    "made_of",
    "meaning_of",
    "parts_of",
]

Made = TypeVar("Made")

logger = logging.getLogger(__name__)

ARRAYS: dict[str, tuple[str, str, str]] = {
    "depth": ("depths", "scene units", "{depth}; background +inf"),
    "normals": (
        "normals",
        "unit vectors",
        "normal in the camera's frame (+X right, +Y up, +Z towards the viewer); background 0",
    ),
    "instance_ids": ("segmentations", "object id", "object id, a key of the labels; background 0"),
    "forward_flow": (
        "flows",
        "pixels",
        "where the surface goes at the next frame of the timeline (right, down); background 0",
    ),
    "backward_flow": (
        "flows",
        "pixels",
        "where the surface was at the previous frame of the timeline (right, down); background 0",
    ),
    "occlusions": ("occlusions", "bits", KINDS["occlusions"].meaning.removeprefix("one channel, the ")),
}
"""Ground truth under the name that samples have -> its kind of data, unit, and meaning (see `meaning_of`)."""


def arrays_of(sample: Sample) -> dict[str, Any]:
    """Name -> (H, W) or (H, W, C): all ground truth that there is of a frame, each in memory of its own."""
    return {
        name: np.ascontiguousarray(getattr(sample, name))
        for name, (kind, _, _) in ARRAYS.items()
        if kind in sample.kinds
    }


def meaning_of(name: str, depth_kinds: set[str]) -> str:
    """Axes and background of one of `ARRAYS`, in words, for cameras with these kinds of depth."""
    return ARRAYS[name][2].format(depth=" or ".join(DEPTHS[kind] for kind in sorted(depth_kinds)))


def conventions_of(source: SequenceIndex) -> dict[str, str]:
    """The conventions in words, but for those of EXR files."""
    files = {kind.stem for kind in KINDS.values()}
    return {name: text for name, text in source.head["conventions"].items() if name not in files}


def depth_kinds_of(sequence: Dataset) -> set[str]:
    """planar, radial, or both of a sequence whose camera changes its type."""
    source = sequence[0].source
    return {values["depth_kind"] for values in source.varying if "depth_kind" in values} or {source.head["depth_kind"]}


def made_of(
    dataset: Dataset,
    make: Callable[[Sample], Made],
    report: WorkReport,
    threads: int | None,
    progress: ProgressFn,
    done: int = 0,
    total: int | None = None,
) -> Iterator[tuple[Sample, Made]]:
    """Each sample and what `make`, called in threads, made of it, in order; what cannot be read is only reported.

    Args:
        dataset: whose samples.
        make: may raise a DataError: then the frame is left out, and is in `report.damaged`.
        report: of the export.
        threads: how many; None is as many as there are cores.
        progress: called when a frame is done.
        done: frames of the export that came before.
        total: frames of the export; by default those of the dataset.
    """
    total = len(dataset) if total is None else total
    for sample, call in ahead(make, dataset, threads):
        try:
            made = call.result()
        except DataError as exc:
            report.damaged.append(DamagedFrame.of(sample, exc))
        else:
            yield sample, made
        progress(done + sample.index + 1, total)


def by_split(root: Path, split: str | None = None) -> tuple[Dataset, dict[str, Dataset]]:
    """A datasets folder as a whole, and its parts by their names in `splits.json`.

    What is in no part is left out, with a warning in the log.

    Args:
        root: as in `Dataset.from_path`.
        split: take only this part. By default all that have frames; if there is no `splits.json`, the only part is the
            whole, and its name is empty.
    """
    whole = Dataset.from_path(root)
    folder = folder_of(root)
    if split is not None:
        return whole, {split: Dataset.from_path(root, split)}
    if not (folder / SPLITS).exists():
        return whole, {"": whole}
    splits = read_splits(folder)
    owners = {place: name for name, places in splits.items() for place in places}
    # One look-up for each sequence, not for each frame.
    places = {id(sample.source): sample.source.folder.relative_to(folder).as_posix() for sample in heads_of(whole)}
    names = np.array([owners.get(places[id(sample.source)], "") for sample in whole])
    for sample in heads_of(whole[names == ""]):
        logger.warning("left out, since it is in no part of %s: %s", SPLITS, sample.source.folder)
    parts = {name: whole[names == name] for name in splits if (names == name).any()}
    if not parts:
        raise InputNotFound(f"None of its sequences is there, split the datasets anew: {folder / SPLITS}")
    return whole, parts


def heads_of(dataset: Dataset) -> Iterator[Sample]:
    """The first frame of each sequence."""
    return (sequence[0] for sequence in dataset.sequences().values())


def parts_of(dataset: Dataset | Mapping[str, Dataset]) -> dict[str, Dataset]:
    """The parts by name; of a single dataset the name is empty."""
    return {"": dataset} if isinstance(dataset, Dataset) else dict(dataset)
