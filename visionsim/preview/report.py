"""What the page says about a folder of datasets: gathered from documents, previews, and what runs left behind."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim import __version__
from visionsim.colorize import colorize_ids
from visionsim.dataset.reader import Dataset
from visionsim.files import whole_file
from visionsim.preview.charts import camera_path, histogram
from visionsim.preview.colours import TITLES
from visionsim.preview.legends import number, words
from visionsim.preview.page import (
    ClassRow,
    ObjectRow,
    Overview,
    Page,
    Panel,
    Problems,
    SequenceCard,
    html_of,
)
from visionsim.preview.videos import GRID
from visionsim.simulation.status import Status, status

if TYPE_CHECKING:
    from visionsim.preview.run import PreviewReport, SequencePreview, Timing

__all__ = ["page_of", "write_page"]

CLASSES, OBJECTS, COLOURS = 14, 24, 6
"""Rows of the tables of a card, and swatches in a row."""

NO_CLASS = "(others)"

COLUMNS = ("Sequence", "Frames", "Picture", "Rate", "Camera", "Path", "Objects", "State")

LONG_NAME = 160
"""Characters of a name of an object or a class."""


def write_page(report: PreviewReport, details: int) -> None:
    """Write `report.page`, whole."""
    assert report.page is not None
    text = html_of(page_of(report, details, status(report.root)))
    with whole_file(report.page) as partial:
        partial.write_text(text, encoding="utf-8", errors="replace")  # A folder may have any name.


def page_of(report: PreviewReport, details: int, states: Status) -> Page:
    """All that the page says.

    Args:
        report: what previews were made.
        details: sequences that get a card.
        states: what is known of runs and of unfinished sequences.
    """
    rows = [row for row in report.sequences if row.index is not None]
    common = common_settings(rows)
    scenes = {row.name.partition("/")[0] for row in report.sequences} | {n.partition("/")[0] for n in report.unfinished}
    frames = sum(len(row.index) for row in rows if row.index is not None)
    page = Page(
        title=report.root.resolve().name or "datasets",
        subtitle="What visionsim rendered, and what it looks like",
        columns=COLUMNS,
        settings=common,
        footer=f"Made by visionsim {__version__} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. This page is whole: it "
        "loads nothing. Links to videos lead to the folder previews beside it.",
    )
    page.facts = [
        ("Scenes", str(len(scenes))),
        ("Sequences", str(len(rows))),
        ("Frames", f"{frames:,}".replace(",", " ")),
    ]
    page.facts += [(title, value) for title, value in size_facts(rows) if value]
    page.facts.append(("Unfinished", str(len(report.unfinished))))
    page.facts.append(("Problems", str(len(report.damaged) + sum(len(row.failures) for row in report.sequences))))
    page.problems = problems_of(report, states)
    page.videos = {TITLES[kind]: relative(path, report.root) for kind, path in report.mosaics.items()}
    carded = {id(row): f"s{number}" for number, row in enumerate(rows[:details], 1)}
    page.overview = [overview_of(row, carded.get(id(row))) for row in report.sequences]
    page.overview += [unfinished_of(name, states) for name in report.unfinished]
    page.cards = [card_of(row, carded[id(row)], report, dict(common)) for row in rows[:details]]
    if len(rows) > details:
        page.footer += f" The first {details} of {len(rows)} sequences are shown in full."
    return page


def relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def size_facts(rows: Sequence[SequencePreview]) -> list[tuple[str, str]]:
    """What all sequences have in common, for the head of the page."""
    values = [row.index.camera_values(0) for row in rows if row.index is not None]
    sizes = {f"{one['w']} × {one['h']}" for one in values}
    generators = [row.index.head["generator"] for row in rows if row.index is not None]
    blender = {" ".join(one["blender"].split()[:1]) for one in generators}
    return [
        ("Picture", sizes.pop() if len(sizes) == 1 else "several sizes"),
        ("Blender", blender.pop() if len(blender) == 1 else "several"),
    ]


# Settings.


def settings_of(row: SequencePreview) -> dict[str, str]:
    """What a sequence was rendered with, in words."""
    assert row.index is not None
    generator = row.index.head["generator"]
    found = {"visionsim": generator["visionsim"], **generator["settings"]}
    return {name: value_text(value) for name, value in found.items()}


def value_text(value: Any) -> str:
    if value is None:
        return "the scene's own"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def common_settings(rows: Sequence[SequencePreview]) -> list[tuple[str, str]]:
    """Those that all sequences share."""
    every = [settings_of(row) for row in rows]
    return [(name, value) for name, value in every[0].items() if all(one.get(name) == value for one in every)]


# Problems.


def problems_of(report: PreviewReport, states: Status) -> list[Problems]:
    failures = [f"{row.name}: {words}" for row in report.sequences for words in row.failures] + report.failures
    damaged = [f"{frame.sequence}, frame {frame.frame}, {frame.message}" for frame in report.damaged]
    failed = [f"{f.sequence or f'scene {f.scene}'}{in_words(f.frames)}: {f.message}" for f in states.failures]
    runs = [f"since {run.holder.started}: {run.state}" for run in states.runs]
    waiting = [f"{name}: {state_words(name, states)}" for name in report.unfinished]
    lists = [
        Problems("Damaged or missing files", "bad", damaged),
        Problems("Not previewed", "bad", failures),
        Problems("Failed while rendering", "bad", failed),
        Problems("Unfinished sequences", "warn", waiting),
        Problems("Runs that go on, or did not do everything", "warn", runs),
    ]
    return [
        replace(item, lines=[without_places(line, report.root) for line in item.lines]) for item in lists if item.lines
    ]


ABSOLUTE = re.compile(r"(?<![^\s'\"(])/(?:[^\s/:]+/)+")


def without_places(line: str, root: Path) -> str:
    """A message with paths as they are in the datasets folder, and the names alone of files elsewhere.

    The page may be read on another machine, and by anybody.
    """
    for folder in dict.fromkeys((root.resolve(), root.absolute(), root)):
        if folder.parts:  # Not of the current folder, whose name is in many words.
            line = line.replace(f"{folder}/", "")
    return ABSOLUTE.sub("", line)


def in_words(frames: Sequence[int]) -> str:
    if not frames:
        return ""
    more = " ..." if len(frames) > 10 else ""
    return f", frame{'s' if len(frames) > 1 else ''} {', '.join(map(str, frames[:10]))}{more}"


def state_words(name: str, states: Status) -> str:
    """How far an unfinished sequence is."""
    for row in states.sequences:
        if row.name == name:
            total = f" of {row.total}" if row.total is not None else ""
            return f"{row.state}, {row.done}{total} frames are there"
    return "no transforms.json"


# Rows and cards.


def overview_of(row: SequencePreview, anchor: str | None) -> Overview:
    if row.index is None:
        return Overview(row.name, None, ("",) * 6, "transforms.json is damaged", "bad")
    values = row.index.camera_values(0)
    frames = row.index.frames
    cells = (
        f"{len(frames)} ({frames[0]}-{frames[-1]})",
        f"{values['w']} × {values['h']}",
        f"{number(row.index.head['fps'])} fps",
        values["camera_model"],
        number(path_length(row)),
        str(len(row.index.head.get("labels", {})) or ""),
    )
    damaged = len({frame.frame for frame in row.damaged})
    if damaged:
        return Overview(row.name, anchor, cells, f"{damaged} damaged frame{'s' if damaged > 1 else ''}", "bad")
    if row.failures:
        return Overview(row.name, anchor, cells, "not previewed", "bad")
    return Overview(row.name, anchor, cells, "finished")


def unfinished_of(name: str, states: Status) -> Overview:
    return Overview(name, None, ("",) * 6, state_words(name, states).partition(",")[0], "warn")


def path_length(row: SequencePreview) -> float:
    assert row.index is not None
    return float(np.linalg.norm(np.diff(row.index.c2w[:, :3, 3], axis=0), axis=1).sum())


def card_of(row: SequencePreview, anchor: str, report: PreviewReport, common: dict[str, str]) -> SequenceCard:
    assert row.index is not None
    head, values, frames = row.index.head, row.index.camera_values(0), row.index.frames
    fact = [
        f"{len(frames)} frame{'s' if len(frames) > 1 else ''}, {frames[0]} to {frames[-1]}",
        f"{len(frames) / head['fps']:.3g} s at {number(head['fps'])} fps",
        f"{values['w']} × {values['h']}",
        f"camera {values['camera_model']}",
        f"{head['generator']['device']}, {head['generator']['blender']}",
    ]
    if head["keyframe_multiplier"] != 1:
        fact.insert(2, f"slowed down {number(head['keyframe_multiplier'])} times")
    card = SequenceCard(anchor, row.name, " · ".join(fact))
    card.settings = [(name, value) for name, value in settings_of(row).items() if common.get(name) != value]
    if row.made is not None:
        order = [GRID, *(kind for kind in row.made.videos if kind != GRID)]
        names = {GRID: "all kinds", **TITLES}
        card.videos = {
            names[kind]: relative(row.made.videos[kind], report.root) for kind in order if kind in row.made.videos
        }
    card.panels.append(path_panel(row))
    found = row.survey
    if found is not None:
        card.frames = found.strip_frames
        card.strips = {TITLES[kind]: jpeg for kind, jpeg in found.strips.items()}
        ranges = found.ranges
        if "depths" in found.strips:
            card.ranges[TITLES["depths"]] = f"{number(ranges.near)} to {number(ranges.far)}"
        if "flows" in found.strips:
            card.ranges[TITLES["flows"]] = f"up to {number(ranges.longest)} px"
        looked = f"From {len(found.frames)} of {len(frames)} frames."
        if found.depth is not None:
            unit = "scene units"
            card.panels.append(Panel("Depth", histogram(found.depth, unit, "histogram of depth"), looked))
        if found.flow is not None:
            svg = histogram(found.flow, "pixels per frame", "histogram of the length of flow")
            card.panels.append(Panel("Length of flow", svg, f"{looked} Where nothing moves is left out."))
        add_classes(card, row)
    card.timing = timing_words(row.timing)
    return card


def path_panel(row: SequencePreview) -> Panel:
    assert row.index is not None
    c2w, values = row.index.c2w, row.index.camera_values(0)
    half = math.atan(values["w"] / (2 * values["fl_x"])) if values["camera_model"] == "OPENCV" else None
    heights = c2w[:, 2, 3].tolist()
    low, high = number(min(heights)), number(max(heights))
    height = f"height {low}" if low == high else f"height {low} to {high}"
    length = path_length(row)
    if length > 0:
        text = '<span class="start-word">start</span> to <span class="end-word">end</span>, '
        text += f"{number(length)} units along the path, {height}"
    else:
        text = f"The camera stays where it is, {height}"
    return Panel("Camera path from above", camera_path(c2w, half), text)


def add_classes(card: SequenceCard, row: SequencePreview) -> None:
    """Tables of classes and of the largest objects."""
    assert row.index is not None and row.survey is not None
    labels = Dataset([row.name], [row.index], None).labels
    if not labels or not row.survey.pixels:
        return
    shares = row.survey.pixels
    every = {name: values.class_name for name, values in labels.items()}
    objects = Counter(every.values())
    total: Counter[str] = Counter()
    first: dict[str, list[int]] = {}
    for object_id, share in shares.items():  # Largest first.
        if object_id:
            name = every.get(object_id, "not in labels")
            total[name] += share  # type: ignore[assignment]
            first.setdefault(name, []).append(object_id)
    order = sorted({*objects, *total}, key=lambda name: (-total[name], name))
    for name in order[:CLASSES]:
        colours = tuple(colour_of(one) for one in first.get(name, [])[:COLOURS])
        card.classes.append(ClassRow(words(name, LONG_NAME), objects[name], total[name], colours))
    if len(order) > CLASSES:
        rest = order[CLASSES:]
        card.classes.append(
            ClassRow(f"{len(rest)} more classes", sum(objects[n] for n in rest), sum(total[n] for n in rest), ())
        )
    card.classes.append(ClassRow("background", 0, shares.get(0, 0.0), ((0, 0, 0),)))
    for object_id, share in list(shares.items())[: OBJECTS + 1]:
        if object_id and len(card.objects) < OBJECTS:
            label = labels.get(object_id)
            name = label.path if label else f"id {object_id}"
            card.objects.append(
                ObjectRow(words(name, LONG_NAME), every.get(object_id, ""), share, colour_of(object_id))
            )


def colour_of(object_id: int) -> tuple[int, int, int]:
    red, green, blue = colorize_ids(np.array([object_id], np.uint32))[0].tolist()
    return red, green, blue


def timing_words(timing: Timing | None) -> str:
    """When it was rendered, as far as files tell."""
    if timing is None:
        return ""
    first, last = (datetime.fromtimestamp(at, UTC) for at in (timing.first, timing.last))
    text = f"The pictures were written from {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC"
    if timing.median_step is not None:
        text += f", one every {timing.median_step:.2g} s in the median"
    return (
        f"{text}. That is what the files' modification times say: other sequences may have been rendered meanwhile, "
        "pauses count, and copies of files may have the time of copying."
    )
