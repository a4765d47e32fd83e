"""The labels of very many copies in a few lines of transforms.json: copies of one kind with ids in a row are a run.

A run holds what its copies share, and the numbers in which their paths differ as ranges. Small tables have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["packed", "unpacked"]

MANY = 1000
"""Tables with more labels than this are written with runs."""

SHORTEST = 8
"""Fewer copies in a row stay labels of their own."""


PLACE = re.compile(r"(0|-?[1-9][0-9]*)(\.(0|-?[1-9][0-9]*))*")


def packed(document: Mapping[str, Any]) -> dict[str, Any]:
    """transforms.json with runs, if it has very many labels."""
    labels = document.get("labels", {})
    if len(labels) <= MANY:
        return dict(document)
    own, runs = {}, []
    for run in in_a_row(labels):
        if len(run) < SHORTEST:
            own.update({str(number): labels[str(number)] for number in run})
        else:
            runs.append(described([labels[str(number)] for number in run], run[0]))
    result = {}
    for key, value in document.items():  # Runs come after the labels.
        result[key] = own if key == "labels" else value
        if key == "labels":
            result["label_runs"] = runs
    return result


def unpacked(document: Mapping[str, Any]) -> dict[str, Any]:
    """transforms.json with a label for each id, however it was written."""
    result = {key: value for key, value in document.items() if key != "label_runs"}
    if "label_runs" in document:
        labels = dict(document.get("labels", {}))
        for run in document["label_runs"]:
            before, _, after = run["path"].rpartition("*")
            same = {name: run[name] for name in ("class", "motion")}
            for number, place in enumerate(numbers_in(run["places"]), run["first"]):
                labels[str(number)] = {"name": run["name"], "path": f"{before}{place}{after}", **same}
        result["labels"] = dict(sorted(labels.items(), key=lambda item: int(item[0])))
    return result


def in_a_row(labels: Mapping[str, Mapping[str, Any]]) -> Iterator[list[int]]:
    """The ids in order, in groups that may be runs: one number of the path's place differs, and nothing else."""
    run: list[int] = []
    last: Mapping[str, Any] = {}
    varying: int | None = None
    for number in sorted(map(int, labels)):
        label = labels[str(number)]
        place = difference(last, label) if run and number == run[-1] + 1 else None
        if place is None or varying not in (None, place):
            if run:
                yield run
            run, varying = [], None
        else:
            varying = place
        run.append(number)
        last = label
    if run:
        yield run


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> int | None:
    """Which level of two copies' places differs, if it is the only thing that does; else None."""
    if any(one[name] != other[name] for name in ("name", "class", "motion")):
        return None
    (head, levels), (other_head, other_levels) = split(one["path"]), split(other["path"])
    if head != other_head or len(levels) != len(other_levels):
        return None
    differ = [index for index, pair in enumerate(zip(levels, other_levels, strict=True)) if pair[0] != pair[1]]
    return differ[0] if len(differ) == 1 else None


def split(path: str) -> tuple[str, list[str]]:
    """A copy's path up to its place, and the levels of that; no levels if it is no copy's."""
    head, _, place = path.rpartition("#")
    return (head, place.split(".")) if PLACE.fullmatch(place) else (path, [])


def described(labels: list[Mapping[str, Any]], first: int) -> dict[str, Any]:
    """One run."""
    places = [split(label["path"])[1] for label in labels]
    level = difference(labels[0], labels[1])
    assert level is not None
    pattern = ".".join("*" if index == level else text for index, text in enumerate(places[0]))
    return {
        "first": first,
        "count": len(labels),
        "name": labels[0]["name"],
        "path": f"{split(labels[0]['path'])[0]}#{pattern}",
        "places": ranges_of([int(place[level]) for place in places]),
        "class": labels[0]["class"],
        "motion": labels[0]["motion"],
    }


def ranges_of(numbers: list[int]) -> str:
    """Whole numbers as text such as `0..19,25`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a}..{b}" for a, b in parts)


def numbers_in(text: str) -> Iterator[int]:
    """What `ranges_of` was given."""
    for part in text.split(","):
        first, _, last = part.partition("..")
        yield from range(int(first), int(last or first) + 1)
