"""What ids are called, and which class they get."""

from __future__ import annotations

import pytest

from visionsim.errors import ConfigError, InputNotFound
from visionsim.simulation.labels import LabelRules, label_table


def row(number, name, label=None, collections=(), motion="static"):
    return {"id": number, "name": name, "class": label, "collections": list(collections), "motion": motion}


OBJECTS = [
    row(1, "Ground", "terrain"),
    row(2, "Pine", collections=[["Conifers", None], ["Trees", "tree"], ["All", "thing"]]),
    row(3, "Rock", motion="rigid"),
]
COPIES = {
    "Forest/Pine#0": [4, 2, "wood", "static"],
    "Heap/Rock#3.1": [5, 3, "heap", "rigid"],
    "X/Rock#0": [6, 3, None, "rigid"],
}


def classes(rules=None) -> dict[str, str]:
    return {label["path"]: label["class"] for label in label_table(OBJECTS, COPIES, rules).values()}


def test_table_has_a_row_for_each_object_and_copy():
    table = label_table(OBJECTS, COPIES, None)
    assert list(table) == ["1", "2", "3", "4", "5", "6"]
    assert table["1"] == {"name": "Ground", "path": "Ground", "class": "terrain", "motion": "static"}
    assert table["5"] == {"name": "Rock", "path": "Heap/Rock#3.1", "class": "heap", "motion": "rigid"}


def test_class_comes_from_the_object_then_its_collections_then_the_instancer_then_the_default():
    assert classes() == {
        "Ground": "terrain", "Pine": "tree", "Rock": "object",
        "Forest/Pine#0": "tree", "Heap/Rock#3.1": "heap", "X/Rock#0": "object",
    }  # fmt: skip
    assert classes(LabelRules({}, "clutter"))["Rock"] == "clutter"


def test_rules_win_and_the_first_that_fits():
    rules = LabelRules(
        {"one": ("Heap/*",), "stone": ("R?ck", "G[or]*"), "plant": ("collection:Con*",), "never": ("*",)}
    )
    assert classes(rules) == {
        "Ground": "stone", "Pine": "plant", "Rock": "stone",
        "Forest/Pine#0": "plant", "Heap/Rock#3.1": "one", "X/Rock#0": "stone",
    }  # fmt: skip


def test_names_are_case_sensitive():
    assert LabelRules({"x": ("pine",)}).class_of(["Pine"], []) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "classes:\n  tree: [Pine*, Oak]\n  car: 'collection:Cars'\ndefault: clutter\n"),
        ("a.toml", 'default = "clutter"\n[classes]\ntree = ["Pine*", "Oak"]\ncar = "collection:Cars"\n'),
    ],
)
def test_rules_are_read_from_yaml_and_toml(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    rules = LabelRules.read(tmp_path / name)
    assert dict(rules.classes) == {"tree": ("Pine*", "Oak"), "car": ("collection:Cars",)}
    assert rules.default == "clutter"


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("klasses: {}", "klasses"),
        ("classes: [a]", "table of class names"),
        ("classes: {tree: 3}", "tree"),
        ("classes: {tree: [a, 3]}", "tree"),
        ("just words", "name: value"),
        ("classes: {tree: [", "line 1"),
    ],
)
def test_wrong_files_are_refused_with_the_culprit_and_the_file(tmp_path, text, culprit):
    path = tmp_path / "labels.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=culprit) as caught:
        LabelRules.read(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputNotFound, match=r"labels file does not exist.*none\.yaml"):
        LabelRules.read(tmp_path / "none.yaml")
