"""Contact sheets: one picture of a dataset, with a column for each kind of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from visionsim.dataset.folders import find_sequences, folder_of, name_in
from visionsim.dataset.index import PICTURES, read_index
from visionsim.dataset.kinds import KINDS
from visionsim.dataset.reader import Dataset, Sample
from visionsim.dataset.report import DamagedFrame
from visionsim.errors import ConfigError, DataError, InputNotFound
from visionsim.files import make_folder, refusing, whole_file
from visionsim.preview.colours import TITLES, Ranges, paint
from visionsim.preview.legends import caption, font_size, number, placeholder, resized, words
from visionsim.preview.survey import evenly, ranges_of

if TYPE_CHECKING:
    from visionsim.colorize import Rgb
    from visionsim.preview.colours import FlowDirection

__all__ = ["Sheet", "contact_sheet", "save_sheet"]

TILE = 240
"""Width of a tile, pixels."""

FRAMES = 4
"""Rows of a single sequence."""

MOST = 12
"""Rows at most."""

GAP = 4
GROUND = 24
"""Grey between the tiles."""


@dataclass
class Sheet:
    """A contact sheet."""

    picture: Rgb
    """(H, W, 3) uint8."""
    rows: list[tuple[str, int]] = field(default_factory=list)
    """Sequence and frame of each."""
    kinds: tuple[str, ...] = ()
    """Of the columns."""
    damaged: list[DamagedFrame] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def contact_sheet(
    root: Path,
    *,
    frame: int | None = None,
    sequences: Sequence[str] = (),
    flow_direction: FlowDirection = "forward",
    tile: int = TILE,
) -> Sheet:
    """Draw a row for each sequence, of its middle frame; or of a single sequence a row for each of some frames.

    Colours reach as far in a row as the values of its sequence's shown frames; depth and flow say how far that is.

    Args:
        root: datasets folder, sequence, or its transforms.json.
        frame: show this one, by its number on the timeline.
        sequences: names of those to show, such as `street/*`; by default all, `MOST` of them.
        flow_direction: of the flow that is shown.
        tile: width of the pictures, pixels.
    Raises:
        InputNotFound: no such folder, or no finished sequence in it.
        ConfigError: no sequence has such a name, or none has that frame.
        SchemaError: a transforms.json is damaged.
    """
    root = folder_of(root)
    notes: list[str] = []
    chosen = choose(open_all(root), sequences)
    if len(chosen) > MOST:
        shown = [list(chosen)[index] for index in evenly(len(chosen), MOST)]
        notes.append(f"{MOST} of {len(chosen)} sequences are shown; --sequences chooses others.")
        chosen = {name: chosen[name] for name in shown}
    rows: list[list[Sample]] = []
    for dataset in chosen.values():
        if frame is not None:
            rows.append([dataset[int(index)] for index in np.flatnonzero(dataset.frames == frame)])
        elif len(chosen) == 1:
            rows.append([dataset[index] for index in evenly(len(dataset), FRAMES)])
        else:
            rows.append([dataset[len(dataset) // 2]])
    without = [name for name, samples in zip(chosen, rows, strict=True) if not samples]
    if len(without) == len(chosen):
        ranges = ", ".join(f"{name} has {d.frames[0]} to {d.frames[-1]}" for name, d in list(chosen.items())[:5])
        raise ConfigError(f"--frame={frame}: {ranges}")
    if without:
        notes.append(f"Frame {frame} is not in {', '.join(without)}.")
    present = {kind for samples in rows for sample in samples for kind in sample.kinds}
    kinds = tuple(kind for kind in (PICTURES, *KINDS) if kind in present)
    sheet = Sheet(np.zeros((0, 0, 3), np.uint8), kinds=kinds, notes=notes)
    pictures = [picture for samples in rows if samples for picture in draw_rows(sheet, samples, flow_direction, tile)]
    sheet.picture = np.concatenate([heading(kinds, tile), *pictures])
    return sheet


def save_sheet(sheet: Sheet, target: Path) -> None:
    """Write it, whole; the suffix tells the format, such as .png or .jpg.

    Raises:
        ConfigError: Pillow writes no such format.
        OutputNotWritable: it cannot be written there.
    """
    if Image.registered_extensions().get(target.suffix.lower()) not in Image.SAVE:
        raise ConfigError(f"A picture ends in .png or .jpg, unlike {target}")
    with refusing(target.parent):
        make_folder(target.parent)
        with whole_file(target) as partial:
            Image.fromarray(sheet.picture).save(partial, quality=78)


def open_all(root: Path) -> dict[str, Dataset]:
    """Name -> sequence, of all that are finished.

    Raises:
        InputNotFound: no such folder, or no finished sequence in it.
    """
    found = {}
    for folder in find_sequences([root], to="show"):
        if (folder / "transforms.json").exists():
            name = name_in(root, folder)
            found[name] = Dataset([name], [read_index(folder)], None)
    if not found:
        raise InputNotFound(f"No sequence is finished, none has a transforms.json, in {root}")
    return found


def choose(every: dict[str, Dataset], patterns: Sequence[str]) -> dict[str, Dataset]:
    """Those whose names match one of the patterns, in the order of these."""
    if not patterns:
        return every
    chosen: dict[str, Dataset] = {}
    for pattern in patterns:
        names = [name for name in every if pattern in (name, name.partition("/")[0]) or fnmatchcase(name, pattern)]
        if not names:
            there = ", ".join(list(every)[:8]) + (" ..." if len(every) > 8 else "")
            raise ConfigError(f"--sequences={pattern}: there are only {there}")
        chosen.update({name: every[name] for name in names})
    return chosen


def draw_rows(sheet: Sheet, samples: Sequence[Sample], direction: FlowDirection, tile: int) -> list[Rgb]:
    """Rows of one sequence; what cannot be read is named in the sheet."""
    known: list[dict[str, Any]] = []
    for sample in samples:
        pixels = {}
        for kind in sample.kinds:
            try:
                pixels[kind] = sample.read(kind)
            except DataError as exc:
                sheet.damaged.append(DamagedFrame(sample.sequence, sample.frame, f"{kind}: {exc}"))
        known.append(pixels)
    ranges = ranges_of(known, direction)
    rows = []
    for sample, pixels in zip(samples, known, strict=True):
        values = sample.source.camera_values(sample.row)
        height = max(1, round(tile * values["h"] / values["w"]))
        tiles = [draw_tile(sample, kind, pixels.get(kind), ranges, direction, tile, height) for kind in sheet.kinds]
        label = words(f"{sample.sequence}, frame {sample.frame}", 60)
        caption(label, font_size(height)).over(tiles[0])
        rows.append(in_line(tiles, tile))
        sheet.rows.append((sample.sequence, sample.frame))
    return rows


def draw_tile(
    sample: Sample, kind: str, pixels: Any, ranges: Ranges, direction: FlowDirection, width: int, height: int
) -> Rgb:
    if kind not in sample.kinds:
        return placeholder(width, height, f"no {TITLES[kind]}")
    if pixels is None:
        return placeholder(width, height, f"{TITLES[kind]} cannot be read")
    picture = np.array(resized(paint(kind, pixels, ranges, direction), width, height))
    reach = {
        "depths": f"{number(ranges.near)} to {number(ranges.far)}",
        "flows": f"up to {number(ranges.longest)} px",
    }
    if kind in reach:
        caption(reach[kind], font_size(height), top=False).over(picture)
    return picture


def heading(kinds: Sequence[str], tile: int) -> Rgb:
    """What the columns are."""
    size = max(12, tile // 18)
    cells = []
    for kind in kinds:
        cell = np.full((2 * size, tile, 3), GROUND, np.uint8)
        cells.append(caption(TITLES[kind], size).over(cell))
    return in_line(cells, tile)


def in_line(tiles: Sequence[Rgb], tile: int) -> Rgb:
    """Tiles of one height, with gaps around them."""
    height = tiles[0].shape[0]
    line = np.full((height + GAP, len(tiles) * (tile + GAP) + GAP, 3), GROUND, np.uint8)
    for index, picture in enumerate(tiles):
        left = GAP + index * (tile + GAP)
        line[:height, left : left + tile] = picture
    return line
