"""The ground truth of the frames before and after one: whether a point is visible there decides about occlusions.

The last few frames are kept as scratch files, so that frames in a row take one more render each, not two.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

KEPT_FRAMES = 3
"""Frames whose ground truth is kept."""

FILES = ("arrays", "multilayer", "vectors", "copies")
"""Entries of a reply to `render` that are paths of scratch files of ground truth."""

OFFSETS = {"previous": -1, "next": 1}

KEPT_NAMES = "neighbour-"
"""Beginning of the names of files that are kept."""


class Neighbours:
    """The ground truth of neighbouring frames of the open scene."""

    def __init__(self) -> None:
        self._known: dict[int, dict[str, Any]] = {}

    def forget(self) -> None:
        """Remove what is kept: the scene is another one now."""
        for frame in list(self._known):
            self._drop(frame)

    def keep(self, frame: int, truth: dict[str, Any]) -> None:
        """Remember a frame's ground truth: the part of a reply to `render` that describes it."""
        if frame in self._known:
            self._drop(frame)
        self._known[frame] = self._linked(truth, f"{KEPT_NAMES}{frame}")
        while len(self._known) > KEPT_FRAMES:
            self._drop(next(iter(self._known)))

    def around(self, frame: int, name: str, render: Callable[[int, str], dict[str, Any]]) -> dict[str, Any]:
        """The ground truth of the frames before and after, `previous` and `next`, in scratch files called `name`.

        `render` renders that of a frame to scratch files of a name.
        """
        found = {}
        for side, offset in OFFSETS.items():
            if frame + offset not in self._known:
                passing = f"{name}.{side}"
                truth = render(frame + offset, passing)
                self.keep(frame + offset, truth)
                for key in FILES:
                    if key in truth:
                        os.unlink(truth[key])
            found[side] = self._linked(self._known[frame + offset], f"{name}.{side}")
        return found

    def _linked(self, truth: dict[str, Any], name: str) -> dict[str, Any]:
        """The same ground truth with other names of its files, whose contents are shared."""
        linked = dict(truth)
        for key in FILES:
            if key in truth:
                # Beside the file itself: what is in memory and what is on the disk cannot share contents.
                linked[key] = str(Path(truth[key]).parent / f"{name}.{key}{Path(truth[key]).suffix}")
                link(truth[key], linked[key])
        return linked

    def _drop(self, frame: int) -> None:
        truth = self._known.pop(frame)
        for key in FILES:
            if key in truth:
                Path(truth[key]).unlink(missing_ok=True)


def link(source: str, target: str) -> None:
    """Give a file a second name; where the file system has none, copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
