"""Videos over sequences: what several sequences show at the same time, side by side."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from visionsim.files import make_folder
from visionsim.io.video import read_video, writing_video
from visionsim.preview.legends import caption, font_size, words
from visionsim.preview.state import digest_of, known_videos, up_to_date, write_state
from visionsim.preview.survey import evenly
from visionsim.preview.videos import arranged, mosaic, tile_size

if TYPE_CHECKING:
    from visionsim.colorize import Rgb

__all__ = ["MOST", "Member", "make_mosaics"]

MOST = 16
"""Sequences in one video."""


@dataclass(frozen=True)
class Member:
    """A sequence whose videos are there."""

    name: str
    width: int
    height: int
    """Of its pictures."""
    videos: Mapping[str, Path]


def make_mosaics(
    members: Sequence[Member], kinds: Sequence[str], folder: Path, fps: float, *, force: bool = False
) -> tuple[dict[str, Path], list[str]]:
    """Make `sequences-KIND.mp4` in a folder, of the videos of single sequences; returns them, and which were kept.

    A sequence that is over shows its last frame, darker, until all are. Of more than `MOST` sequences some are shown,
    evenly spread over all.

    Raises:
        VideoError: ffmpeg failed, or a sequence's video is damaged.
    """
    made: dict[str, Path] = {}
    made_from: dict[str, str] = {}
    kept: list[str] = []
    known = known_videos(folder)
    for kind in kinds:
        having = [member for member in members if kind in member.videos]
        if len(having) < 2:
            (folder / f"sequences-{kind}.mp4").unlink(missing_ok=True)  # It may be of before the damage.
            continue
        shown = [having[index] for index in evenly(len(having), MOST)]
        name = f"sequences-{kind}"
        sizes = [[member.width, member.height] for member in shown]
        made_from[name] = digest_of([kind, fps, sizes], ((member.name, member.videos[kind]) for member in shown))
        made[kind] = folder / f"{name}.mp4"
        if not force and up_to_date(folder, name, made_from[name], known):
            kept.append(kind)
            continue
        make_folder(folder)
        draw(shown, kind, made[kind], fps)
    if len(kept) < len(made):
        write_state(folder, known, dict(made_from))
    return made, kept


def draw(members: Sequence[Member], kind: str, target: Path, fps: float) -> None:
    """Decode all, and encode what they show side by side."""
    columns, rows = arranged(len(members), members[0].width / members[0].height)
    width, height = tile_size(members[0].width, members[0].height, columns, rows)
    with ExitStack() as stack:
        tiles = [
            stack.enter_context(closing(tiles_of(member, member.videos[kind], width, height))) for member in members
        ]
        writer = stack.enter_context(writing_video(target, columns * width, rows * height, fps))
        shown: list[Rgb] = [np.zeros((height, width, 3), np.uint8)] * len(members)
        over = [False] * len(members)
        while True:
            for index, frames in enumerate(tiles):
                frame = None if over[index] else next(frames, None)
                if frame is not None:
                    shown[index] = frame
                elif not over[index]:
                    over[index] = True
                    shown[index] = shown[index] // 2
            if all(over):
                break
            writer.write(mosaic(shown, columns, rows))


def tiles_of(member: Member, path: Path, width: int, height: int) -> Generator[Rgb]:
    """Frames of a sequence's video in the middle of a tile, with its name."""
    scale = min(width / member.width, height / member.height)
    inner = max(2, round(member.width * scale)), max(2, round(member.height * scale))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    label = caption(words(member.name, 40), font_size(height))
    with closing(read_video(path, *inner)) as frames:
        for frame in frames:
            tile = np.zeros((height, width, 3), np.uint8)
            tile[top : top + inner[1], left : left + inner[0]] = frame
            yield label.over(tile)
