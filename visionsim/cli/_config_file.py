"""Read `--config FILE`: the options of the command line, from YAML or TOML."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from visionsim.cli._fields import Option, choices_of, expected, is_optional, nearest, without_none
from visionsim.errors import ConfigError
from visionsim.io.tables import read_table

__all__ = ["read_config_file"]

_BAD = object()


def read_config_file(path: Path, options: Sequence[Option]) -> dict[str, Any]:
    """The values in the file, by `Option.key`, checked and of the right type.

    Raises:
        InputNotFound: no such file.
        ConfigError: it cannot be read, or has unknown keys or values of the wrong type.
    """
    known = {option.key: option for option in options}
    values: dict[str, Any] = {}
    for key, value in flatten(path, read_table(path, "configuration file")):
        option = known.get(key)
        if option is None:
            near = nearest(key, known)
            hint = f" (did you mean {near!r}?)" if near else ""
            raise ConfigError(f"No such option {key!r}{hint} in the configuration file {path}")
        if key in values:
            raise ConfigError(f"The option {key!r} is there twice in the configuration file {path}")
        checked = checked_value(option.kind, value)
        if checked is _BAD:
            problem = f"{value!r} is not {expected(option.kind)}"
            raise ConfigError(f"Invalid value for {key!r}: {problem}; in the configuration file {path}")
        values[key] = checked
    return values


def flatten(path: Path, document: dict[Any, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """(key, value) with dotted keys and dashes, whether the file nests them, dots them or both."""
    items: list[tuple[str, Any]] = []
    for key, value in document.items():
        name = prefix + str(key).replace("_", "-")
        if name == "render-config" and not isinstance(value, dict) and value is not None:
            problem = f"{value!r} is not a table of options"
            raise ConfigError(f"Invalid value for {name!r}: {problem}; in the configuration file {path}")
        if isinstance(value, dict):
            items += flatten(path, value, name + ".")
        elif name != "render-config":
            items.append((name, value))
    return items


def checked_value(kind: Any, value: Any) -> Any:
    """The value as `kind`, or _BAD. Stricter than the command line: a text is not a number here."""
    if is_optional(kind):
        if value is None or (isinstance(value, str) and value.lower() == "none"):
            return None
        kind = without_none(kind)
    if choices := choices_of(kind):
        return value if value in choices else _BAD
    if typing.get_origin(kind) is tuple:
        values = [value] if isinstance(value, str) else value
        return tuple(values) if isinstance(values, list) and all(isinstance(v, str) for v in values) else _BAD
    if kind is bool:
        return value if isinstance(value, bool) else _BAD
    if isinstance(value, bool):
        return _BAD
    if kind is float:
        return float(value) if isinstance(value, int | float) else _BAD
    if kind is int:
        return value if isinstance(value, int) else _BAD
    return kind(value) if isinstance(value, str) and value else _BAD
