"""Instance masks, boxes and classes as COCO has them.

Source of the format: https://cocodataset.org/#format-data; of the compressed masks: cocoapi, common/maskApi.c.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import msgspec
import numpy as np

from visionsim import __version__
from visionsim.dataset.index import PICTURES
from visionsim.dataset.reader import Dataset, Sample
from visionsim.dataset.report import WorkReport
from visionsim.errors import ConfigError, DataError
from visionsim.exports.frames import made_of, parts_of
from visionsim.files import make_folder, natural_key, whole_file
from visionsim.io.exr import write_exr
from visionsim.io.images import write_png

if TYPE_CHECKING:
    from visionsim.types import IdImage, ProgressFn

    Pictures = Literal["copy", "link"]

__all__ = ["Mask", "classes_of", "encode_masks", "export_coco"]


@dataclass(frozen=True)
class Mask:
    """Where an object is seen in a picture."""

    object_id: int
    counts: str
    """COCO's compressed run lengths, column by column."""
    area: int
    """Pixels."""
    box: tuple[int, int, int, int]
    """x, y, width and height; its sides are the outer edges of its outermost pixels."""


def export_coco(
    dataset: Dataset | Mapping[str, Dataset],
    target: Path,
    *,
    classes: Sequence[str] | None = None,
    categories: Sequence[str] | None = None,
    min_area: int = 1,
    pictures: Pictures = "copy",
    threads: int | None = None,
    progress: ProgressFn = lambda done, total: None,
) -> WorkReport:
    """Write `annotations.json` and `images/SEQUENCE/frame_000001.png`.

    Args:
        dataset: with segmentations; or several by name, each of which goes to a folder of its name in `target`.
        target: folder; files that are there are written again.
        classes: leave out objects of all others.
        categories: all classes, in the order of their ids from 1; by default `classes_of` the dataset.
        min_area: leave out objects of which fewer pixels are seen.
        pictures: copy them, or make symbolic links to them.
        threads: that read and encode; by default as many as there are cores.
        progress: called as frames are done.
    Raises:
        ConfigError: the dataset has no segmentations, or no such classes.
    """
    started = time.monotonic()
    parts = parts_of(dataset)
    for part in parts.values():
        if "segmentations" not in part.kinds:
            raise ConfigError(f"There are no segmentations to export, only {', '.join(part.kinds)}")
    categories = classes_of(parts.values()) if categories is None else categories
    for name in classes or ():
        if name not in categories:
            raise ConfigError(f"No object is of class {name!r}; there are {', '.join(categories)}")
    numbers = {name: number for number, name in enumerate(categories, start=1) if classes is None or name in classes}
    report = WorkReport("exported as COCO", target)
    total, before, annotations = sum(map(len, parts.values())), 0, 0
    floats = False
    for name, part in parts.items():
        folder = target / name
        for sequence in part.sequences():
            make_folder(folder / "images" / sequence)

        def make(sample: Sample, folder: Path = folder) -> tuple[str, list[Mask]]:
            sample.load((PICTURES, "segmentations"))
            masks = encode_masks(sample.instance_ids)
            labels = sample.source.head.get("labels", {})
            for mask in masks:
                if str(mask.object_id) not in labels:
                    raise DataError(f"The labels have no object {mask.object_id}: {sample.path('segmentations')}")
            return put_picture(sample, folder / "images", pictures), masks

        with whole_file(folder / "annotations.json") as partial, open(partial, "wb") as file:
            document = Document(file, numbers, annotations)
            for sample, (file_name, masks) in made_of(part, make, report, threads, progress, before, total):
                image = image_entry(before + sample.index + 1, sample, file_name)
                document.images.append(image)
                for mask in masks:
                    label = sample.source.head["labels"][str(mask.object_id)]
                    if mask.area >= min_area and label["class"] in numbers:
                        document.add(annotation_entry(image, mask, label, numbers[label["class"]]))
                floats = floats or file_name.endswith(".exr")
                report.frames += 1
            document.finish()
        before, annotations = before + len(part), document.last
    if floats:
        report.notes.append("Pictures are OpenEXR, which few readers of COCO can open.")
    report.elapsed = time.monotonic() - started
    return report


def classes_of(datasets: Iterable[Dataset]) -> list[str]:
    """The classes that labels name, in natural order."""
    heads = [sequence[0].source.head for dataset in datasets for sequence in dataset.sequences().values()]
    names = {label["class"] for head in heads for label in head.get("labels", {}).values()}
    return sorted(names, key=lambda name: (natural_key(name), name))


class Document:
    """annotations.json, written as it is made: masks of many frames need not fit into memory."""

    def __init__(self, file: BinaryIO, numbers: Mapping[str, int], last: int) -> None:
        self.file = file
        self.last = last
        """Id of the annotation before."""
        self.images: list[dict[str, Any]] = []
        head = {
            "info": {"description": "Rendered with visionsim", "version": __version__},
            "licenses": [],
            "categories": [{"id": id, "name": name, "supercategory": ""} for name, id in numbers.items()],
        }
        file.write(msgspec.json.encode(head)[:-1] + b',\n"annotations":[')
        self.separator = b"\n"

    def add(self, annotation: dict[str, Any]) -> None:
        self.last += 1
        self.file.write(self.separator + msgspec.json.encode({"id": self.last, **annotation}))
        self.separator = b",\n"

    def finish(self) -> None:
        self.file.write(b'\n],\n"images":' + msgspec.json.encode(self.images) + b"}\n")


def image_entry(number: int, sample: Sample, file_name: str) -> dict[str, Any]:
    height, width = sample.instance_ids.shape
    return {
        "id": number,
        "file_name": file_name,
        "width": width,
        "height": height,
        "sequence": sample.sequence,
        "frame": sample.frame,
        "time": sample.time,
    }


def annotation_entry(image: dict[str, Any], mask: Mask, label: dict[str, Any], category: int) -> dict[str, Any]:
    return {
        "image_id": image["id"],
        "category_id": category,
        "segmentation": {"size": [image["height"], image["width"]], "counts": mask.counts},
        "area": mask.area,
        "bbox": mask.box,
        "iscrowd": 0,
        "object_id": mask.object_id,
        "object_path": label["path"],
    }


def put_picture(sample: Sample, images: Path, how: Pictures) -> str:
    """Copy a picture, or link to it; returns its path in `images`.

    One of many in a file is written without loss: PNG, or OpenEXR if its values are floats.
    """
    source = sample.path(PICTURES)
    floats = sample.picture.dtype.kind == "f"
    suffix = source.suffix if source else ".exr" if floats else ".png"
    name = f"{sample.sequence}/frame_{sample.frame:06d}{suffix}"
    path = images / name
    if source and how == "link":
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.unlink(missing_ok=True)
        partial.symlink_to(os.path.relpath(source.resolve(), path.parent.resolve()))
        os.replace(partial, path)
        return name
    with whole_file(path, flush=False) as partial:
        if source:
            shutil.copyfile(source, partial)
        elif floats:
            names = {1: "Y", 3: "RGB", 4: "RGBA"}[sample.picture.shape[2]]
            write_exr(partial, {channel: sample.picture[..., i] for i, channel in enumerate(names)})
        else:
            write_png(partial, sample.picture)
    return name


def encode_masks(instance_ids: IdImage) -> list[Mask]:
    """Every object's mask, in the order of ids, as cocoapi's `rleEncode` and `rleToString` make it.

    A mask is run lengths in turn of pixels outside and inside, down the first column, then the next ones.

    Args:
        instance_ids: (H, W); background 0.
    """
    height = instance_ids.shape[0]
    column = instance_ids.ravel(order="F")
    starts = np.flatnonzero(np.concatenate([[True], column[1:] != column[:-1]]))
    stops = np.append(starts[1:], column.size)
    owners = column[starts]
    order = np.argsort(owners, kind="stable")
    order = order[owners[order] != 0]
    if not order.size:
        return []
    starts, stops, owners = starts[order], stops[order], owners[order]
    first = np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]]))  # Run of each object.
    last = np.append(first[1:], len(owners)) - 1

    counts, begins = run_lengths(starts, stops, first, last, column.size)
    text, ends = compress(counts, begins)
    # A run that goes on in the next column reaches from top to bottom.
    left, right = starts // height, (stops - 1) // height
    top = np.where(right > left, 0, starts % height)
    bottom = np.where(right > left, height - 1, (stops - 1) % height)
    x, y = np.minimum.reduceat(left, first), np.minimum.reduceat(top, first)
    boxes = [x, y, np.maximum.reduceat(right, first) - x + 1, np.maximum.reduceat(bottom, first) - y + 1]
    columns = [owners[first], ends, np.add.reduceat(stops - starts, first), *boxes]
    masks, begin = [], 0
    for number, end, area, *box in zip(*(column.tolist() for column in columns), strict=True):
        masks.append(Mask(number, text[begin:end], area, (box[0], box[1], box[2], box[3])))
        begin = end
    return masks


def run_lengths(starts: Any, stops: Any, first: Any, last: Any, size: int) -> tuple[Any, Any]:
    """Counts outside and inside of all objects' masks one after the other, and the index of each mask's first count.

    Args:
        starts: (R,): where runs of pixels begin, object by object.
        stops: (R,): one past their ends.
        first: (M,): each object's first run.
        last: (M,): each object's last run.
        size: of the image, pixels.
    """
    before = np.concatenate([[0], stops[:-1]])
    before[first] = 0
    rest = size - stops[last]
    # Two counts for each run, and one for what is outside after the last one, unless that is nothing.
    ends = 2 * (last + 1) + np.cumsum(rest > 0)
    begins = np.concatenate([[0], ends[:-1]])
    runs = np.arange(len(starts))
    at = 2 * runs + np.repeat(begins - 2 * first, last - first + 1)
    counts = np.empty(ends[-1], np.int64)
    counts[at], counts[at + 1] = starts - before, stops - starts
    counts[(ends - 1)[rest > 0]] = rest[rest > 0]
    return counts, begins


def compress(counts: Any, begins: Any) -> tuple[str, Any]:
    """The characters of all masks, and where each mask's end.

    From a mask's fourth count on, the difference to the last but one is stored. Values are signed, in groups of five
    bits, lowest first; a sixth bit says that another group follows, and 48 makes it a character.
    """
    values = counts.copy()
    place = np.arange(len(counts)) - np.repeat(begins, np.diff(begins, append=len(counts)))
    later = np.flatnonzero(place > 2)
    values[later] -= counts[later - 2]
    groups, used = [], []
    more = np.ones(len(values), bool)
    while more.any():
        group = values & 31
        values = values >> 5
        used.append(more)
        more = more & (values != np.where(group & 16, -1, 0))
        groups.append(group + 48 + 32 * more)
    taken = np.stack(used, axis=1)
    text = np.stack(groups, axis=1)[taken].astype(np.uint8).tobytes().decode("ascii")
    return text, np.cumsum(np.add.reduceat(taken.sum(axis=1), begins))
