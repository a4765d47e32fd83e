"""Tables that people write: YAML and TOML files, with messages for people when they are not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from visionsim.errors import ConfigError, InputNotFound

__all__ = ["read_table"]


def read_table(path: Path, what: str) -> dict[Any, Any]:
    """The file's top-level table, by its suffix; `what` the file is, in words, stands in messages.

    Raises:
        InputNotFound: no such file.
        ConfigError: it cannot be read, or holds no table.
    """
    suffix = path.suffix.lower()
    if suffix not in (".yaml", ".yml", ".toml"):
        raise ConfigError(f"A {what} ends in .yaml, .yml or .toml, unlike {path}")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise InputNotFound(f"The {what} does not exist: {path}") from exc
    except OSError as exc:
        raise ConfigError(f"Cannot read the {what}: {exc.strerror or exc}: {path}") from exc
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise ConfigError(f"The {what} is not UTF-8 text, line {line}: {path}") from exc
    document = parse_toml(path, text) if suffix == ".toml" else parse_yaml(path, text)
    if document is None:  # An empty YAML file.
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"The {what} holds no `name: value` pairs: {path}")
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
