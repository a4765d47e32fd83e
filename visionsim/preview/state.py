"""Which videos are there already: `previews.json` beside them says what they were made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from visionsim.dataset.reader import Dataset
from visionsim.files import write_json

__all__ = ["digest_of", "file_size", "fingerprint", "known_videos", "up_to_date", "write_state"]

STATE = "previews.json"

FORMAT = 1
"""Of the videos: raise it when they look different, so that all are made again."""


def fingerprint(sequence: Dataset, kinds: Sequence[str], how: Sequence[Any]) -> str:
    """Of all that a video is made of: names, sizes and modification times of files, and how it is to look."""
    source = sequence[0].source
    files = {source.folder / "transforms.json"}
    for kind in kinds:
        if kind in source.arrays:
            files.add(source.folder / source.arrays[kind].file)
        else:
            files.update(source.path(kind, sample.row) for sample in sequence)
    return digest_of([list(kinds), list(how)], ((str(path.relative_to(source.folder)), path) for path in sorted(files)))


def digest_of(how: Sequence[Any], files: Iterable[tuple[str, Path]]) -> str:
    """Of plain values, and of named files."""
    digest = hashlib.sha256(json.dumps([FORMAT, *how]).encode())
    for name, path in files:
        digest.update(f"{name} {stamp(path)}\n".encode())
    return digest.hexdigest()[:32]


def stamp(path: Path) -> str:
    try:
        about = path.stat()
    except OSError:
        return "missing"
    return f"{about.st_size} {about.st_mtime_ns}"


def known_videos(folder: Path) -> dict[str, Any]:
    """Name of a video in this folder -> what it was made of, and its size; of those without damaged frames."""
    try:
        document = json.loads((folder / STATE).read_text(encoding="utf-8"))
        return dict(document["videos"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # They are made again.


def up_to_date(folder: Path, name: str, made_from: str, known: dict[str, Any]) -> bool:
    """Whether a video is there that was made of this, whole and without damaged frames."""
    return known.get(name) == {"made_from": made_from, "size": file_size(folder / f"{name}.mp4")}


def file_size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def write_state(folder: Path, known: dict[str, Any], made_from: dict[str, str | None]) -> None:
    """Say what videos were made of, besides those known; None of one that is to be made again next time."""
    videos = {name: about for name, about in known.items() if name not in made_from}
    for name, of in made_from.items():
        if of is not None:
            videos[name] = {"made_from": of, "size": file_size(folder / f"{name}.mp4")}
    write_json(folder / STATE, {"format": FORMAT, "videos": videos})
