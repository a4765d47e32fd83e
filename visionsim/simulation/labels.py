"""Labels: what each id of a scene is called, where it comes from, and its class, by the rules of `--labels FILE`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from visionsim.errors import ConfigError
from visionsim.io.tables import read_table

__all__ = ["DEFAULT_CLASS", "LabelRules", "label_table"]

DEFAULT_CLASS = "object"
COLLECTION = "collection:"


@dataclass(frozen=True)
class LabelRules:
    """Which class objects get, by patterns. The first class with a pattern that fits wins."""

    classes: Mapping[str, tuple[str, ...]]
    """Class -> patterns with * ? [] for an object's name or a copy's path; `collection:Cars*` for those of its
    collections."""
    default: str | None = None
    """Class of what has none otherwise."""

    @classmethod
    def read(cls, path: Path) -> LabelRules:
        """Rules of a YAML or TOML file.

        Raises:
            InputNotFound: no such file.
            ConfigError: it cannot be read, or says something else.
        """
        document = read_table(path, "labels file")
        unknown = sorted(map(str, set(document) - {"classes", "default"}))
        if unknown:
            raise ConfigError(f"{unknown[0]!r} is neither `classes` nor `default`, in the labels file {path}")
        classes = document.get("classes") or {}
        if not isinstance(classes, dict):
            raise ConfigError(f"`classes` must be a table of class names and patterns, in the labels file {path}")
        rules: dict[str, tuple[str, ...]] = {}
        for name, patterns in classes.items():
            several = [patterns] if isinstance(patterns, str) else patterns
            if not isinstance(several, list) or not all(isinstance(pattern, str) for pattern in several):
                raise ConfigError(f"The class {name!r} needs a pattern or a list of them, in the labels file {path}")
            rules[str(name)] = tuple(several)
        default = document.get("default")
        return cls(rules, None if default is None else str(default))

    def class_of(self, names: Sequence[str], collections: Sequence[str]) -> str | None:
        """The class of what goes by these names (an object's name, a copy's path) and is in these collections."""
        for name, patterns in self.classes.items():
            for pattern in patterns:
                targets = collections if pattern.startswith(COLLECTION) else names
                if any(fnmatchcase(target, pattern.removeprefix(COLLECTION)) for target in targets):
                    return name
        return None


def label_table(
    objects: Sequence[Mapping[str, Any]], copies: Mapping[str, Sequence[Any]], rules: LabelRules | None
) -> dict[str, dict[str, Any]]:
    """`labels` of transforms.json: id (as text) -> name, path, class, motion.

    A class is what the rules say, else the custom property `class` of the object, else that of the nearest collection
    that has one, else (of a copy) that of its instancer, else the default.

    Args:
        objects: with their ids; see `worker.scene.object_table`.
        copies: path -> id, id of the source, class of the instancer, motion; see `worker.instances`.
        rules: of `--labels`.
    """
    rules = rules or LabelRules({})

    def label(path: str, source: Mapping[str, Any], inherited: str | None, motion: str) -> dict[str, Any]:
        collections = [name for name, _ in source["collections"]]
        candidates = [
            rules.class_of([path, source["name"]], collections),
            source["class"],
            *(value for _, value in source["collections"]),
            inherited,
            rules.default,
        ]
        chosen = next((value for value in candidates if value is not None), DEFAULT_CLASS)
        return {"name": source["name"], "path": path, "class": chosen, "motion": motion}

    table = {str(row["id"]): label(row["name"], row, None, row["motion"]) for row in objects}
    rows = {row["id"]: row for row in objects}
    for path, (number, source, inherited, motion) in copies.items():
        table[str(number)] = label(path, rows[source], inherited, motion)
    return table
