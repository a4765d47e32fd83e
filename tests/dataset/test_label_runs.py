"""Labels of very many copies are written in few lines, and read as if they had not been."""

from __future__ import annotations

import copy
import json

from hypothesis import given
from hypothesis import strategies as st

from tests import synthetic
from visionsim.dataset import Dataset, label_runs
from visionsim.dataset.schema import read_document, validate, write_document


def copies(count: int, first: int = 100, place: str = "{}.0") -> dict[str, dict]:
    return {
        str(first + index): {
            "name": "Rock",
            "path": f"Hill/Rock#{place.format(index)}",
            "class": "stone",
            "motion": "rigid",
        }
        for index in range(count)
    }


def test_two_hundred_thousand_copies_are_one_line():
    labels = {"1": {"name": "Hill", "path": "Hill", "class": "object", "motion": "rigid"}, **copies(200_000)}
    packed = label_runs.packed({"labels": labels, "frames": []})
    assert list(packed) == ["labels", "label_runs", "frames"] and list(packed["labels"]) == ["1"]
    (run,) = packed["label_runs"]
    assert (run["first"], run["count"], run["path"], run["places"]) == (100, 200_000, "Hill/Rock#*.0", "0..199999")
    assert label_runs.unpacked(packed) == {"labels": labels, "frames": []}


def test_small_tables_are_written_label_by_label():
    document = {"labels": copies(50)}
    assert label_runs.packed(document) == document == label_runs.unpacked(document)


place = st.integers(-3, 12) | st.integers(-(2**31), 2**31)
rows = st.tuples(st.sampled_from(["A", "A#1", "A*"]), st.lists(place, max_size=3), st.sampled_from(["static", "rigid"]))


@given(st.dictionaries(st.integers(1, 60), rows, min_size=1))
def test_whatever_the_labels_are_they_are_read_back(table):
    labels = {}
    for number, (name, levels, motion) in sorted(table.items()):
        path = f"X/{name}#{'.'.join(map(str, levels))}" if levels else name
        labels[str(number)] = {"name": name, "path": path, "class": "object", "motion": motion}
    saved = label_runs.MANY, label_runs.SHORTEST
    label_runs.MANY, label_runs.SHORTEST = 0, 2
    try:
        packed = json.loads(json.dumps(label_runs.packed({"labels": labels})))
    finally:
        label_runs.MANY, label_runs.SHORTEST = saved
    assert label_runs.unpacked(packed)["labels"] == labels


def test_readers_do_not_see_how_labels_are_written(tmp_path):
    synthetic.write_dataset(tmp_path / "data")
    path = next(tmp_path.rglob("transforms.json"))
    document = read_document("transforms", path)
    more = copy.deepcopy(document)
    more["labels"].update(copies(2000))
    write_document("transforms", path, more)
    written = json.loads(path.read_text())
    assert len(written["labels"]) == len(document["labels"]) and len(written["label_runs"]) == 1
    validate("transforms", written)
    assert read_document("transforms", path)["labels"] == more["labels"]
    labels = Dataset.from_path(path.parent).labels
    assert len(labels) == len(document["labels"]) + 2000 and labels[2099].path == "Hill/Rock#1999.0"
