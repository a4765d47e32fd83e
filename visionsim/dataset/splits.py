"""`splits.json` in a datasets folder: which sequences are for training, which for validation, which for testing."""

from __future__ import annotations

import json
from pathlib import Path

from visionsim.errors import InputNotFound, SchemaError

__all__ = ["SPLITS", "read_split", "read_splits"]

SPLITS = "splits.json"


def read_splits(root: Path) -> dict[str, list[str]]:
    """Name of a part -> folders of its sequences, relative to `root`.

    Raises:
        InputNotFound: the datasets folder is not split.
        SchemaError: the file is damaged.
    """
    path = root / SPLITS
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise InputNotFound(f"The datasets are not split, see `visionsim dataset split`: there is no {path}") from exc
    except ValueError as exc:
        raise SchemaError(f"Not a JSON file: {path}") from exc
    parts = document.get("splits") if isinstance(document, dict) else None
    if not isinstance(parts, dict) or not all(
        isinstance(part, list) and all(isinstance(name, str) for name in part) for part in parts.values()
    ):
        raise SchemaError(f"There are no `splits`, lists of sequences by name, in {path}")
    return parts


def read_split(root: Path, name: str) -> set[str]:
    """Folders of the sequences of one part, relative to `root`.

    Raises:
        InputNotFound: there is no such part.
    """
    parts = read_splits(root)
    if name not in parts:
        raise InputNotFound(f"There is no split {name!r}, only {', '.join(parts)}, in {root / SPLITS}")
    return set(parts[name])
