"""What Blender prints while it does something, where it says in no other way what a user should know."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from visionsim.simulation.protocol import CHATTER


@contextmanager
def heard(scratch: Path) -> Iterator[list[str]]:
    """Yield a list that holds, when the block has ended, the lines that were printed in it.

    They are printed all the same, when the block has ended. If Blender dies in it, the parent finds them in the scratch
    folder. A file, not a pipe: there is nobody to read a pipe while Blender is busy.
    """
    lines: list[str] = []
    path = scratch / CHATTER
    flush()
    with open(path, "wb+") as file:
        saved = os.dup(1), os.dup(2)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            flush()
            for number, stream in enumerate(saved, start=1):
                os.dup2(stream, number)
                os.close(stream)
            file.seek(0)
            text = file.read()
            path.unlink()
            sys.stderr.write(text.decode(errors="replace"))
            sys.stderr.flush()
            lines += text.decode(errors="replace").splitlines()


def flush() -> None:
    """Write out what Python's and C's streams hold."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)


def unknown_engine(said: list[str], scene: Any) -> str | None:
    """The engine that a scene was saved for, if this Blender lacks it; `said` is from when the file was opened."""
    for line in said:
        found = re.search(r"Engine '([^']*)' not available for scene '(.*)' \(", line)
        if found and found.group(2) == scene.name:
            return found.group(1)
    return None


def circles(said: list[str]) -> list[list[str]]:
    """Names of the data-blocks of each circle in which data-blocks depend on each other.

    Blender prints them when a file is opened and it sorts dependencies; 3.4.1, 4.2.23, 4.5.15 and 5.2.3 do so in almost
    the same words.
    """
    found: list[list[str]] = []
    for line in said:
        if "Dependency cycle detected" in line:
            found.append([])
        step = re.search(r"(?:^|\|) +[A-Z]{2}(.+?)/[A-Z_]+\(", line)
        if step and found:
            found[-1].append(step.group(1))
    unique = {tuple(sorted(set(names))): None for names in found if names}
    return [list(names) for names in unique]
