"""Read `--config FILE`: the options of the command line, from YAML or TOML."""

from __future__ import annotations

import re
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from visionsim.cli._fields import Option, choices_of, expected, is_optional, nearest, without_none
from visionsim.errors import ConfigError, InputNotFound

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
    for key, value in flatten(path, parse(path)):
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


def parse(path: Path) -> dict[Any, Any]:
    """The file's top-level table."""
    suffix = path.suffix.lower()
    if suffix not in (".yaml", ".yml", ".toml"):
        raise ConfigError(f"A configuration file ends in .yaml, .yml or .toml, unlike {path}")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise InputNotFound(f"The configuration file does not exist: {path}") from exc
    except OSError as exc:
        raise ConfigError(f"Cannot read the configuration file: {exc.strerror or exc}: {path}") from exc
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise ConfigError(f"The configuration file is not UTF-8 text, line {line}: {path}") from exc
    document = parse_toml(path, text) if suffix == ".toml" else parse_yaml(path, text)
    if document is None:  # An empty YAML file.
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"The configuration file holds no `option: value` pairs: {path}")
    return document


def parse_toml(path: Path, text: str) -> Any:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        # `Expected '=' after a key (at line 3, column 5)`; it has attributes only since Python 3.14.
        problem = re.sub(r" \(at .*\)$", "", str(exc).partition("\n")[0])
        found = re.search(r"at line (\d+)", str(exc))
        line = found[1] if found else str(text.count("\n") + 1)  # `at end of document`
        raise ConfigError(f"Not a TOML file: {problem}, line {line}: {path}") from exc


def parse_yaml(path: Path, text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        problem = getattr(exc, "problem", None) or getattr(exc, "reason", None) or "it cannot be parsed"
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"Not a YAML file: {problem}{where}: {path}") from exc
    except ValueError as exc:  # Such as `2024-13-01`, which looks like a date and is none.
        raise ConfigError(f"Not a YAML file: {exc}: {path}") from exc


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
