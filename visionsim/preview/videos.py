"""Videos of one sequence: each kind of data, and a grid of all kinds."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.dataset.reader import Dataset, Sample
from visionsim.errors import DataError
from visionsim.files import make_folder
from visionsim.io.video import VideoWriter, writing_video
from visionsim.preview.colours import TITLES, Ranges, Unreadable, paint
from visionsim.preview.legends import Named, Overlay, caption, font_size, legend, placeholder, resized, words
from visionsim.preview.state import fingerprint, known_videos, up_to_date, write_state

if TYPE_CHECKING:
    from visionsim.colorize import Rgb
    from visionsim.preview.colours import FlowDirection

__all__ = ["GRID", "Look", "Made", "make_videos", "mosaic"]

GRID = "grid"
"""The video of all kinds side by side."""

SMALL, LARGE = 480, 3840
"""Longer side of a video: below the first it is enlarged by a whole number, above the second it is scaled down."""

GRID_WIDTH, GRID_HEIGHT = 1920, 1200
"""A grid fits into this."""

AHEAD = 2
"""Frames that each thread may be ahead of the encoders."""


@dataclass(frozen=True)
class Look:
    """How videos are to look."""

    kinds: tuple[str, ...]
    fps: float
    direction: FlowDirection = "forward"
    allow_skips: bool = True
    """Whether a frame that cannot be read gets a placeholder; else its kind gets no video."""


@dataclass
class Made:
    """The videos of a sequence."""

    videos: dict[str, Path] = field(default_factory=dict)
    """Kind, or `GRID` -> its file, if there is one now."""
    kept: list[str] = field(default_factory=list)
    """Those of them that were there already."""
    failed: dict[str, str] = field(default_factory=dict)
    """Kind, or `GRID` -> why there is no video of it."""
    unreadable: list[Unreadable] = field(default_factory=list)


@dataclass(frozen=True)
class Canvas:
    """Where a kind's frames are drawn."""

    width: int
    height: int
    overlays: tuple[Overlay, ...]

    def draw(self, picture: Rgb) -> Rgb:
        """A painted frame of any size, scaled and with its legend."""
        drawn = np.array(resized(picture, self.width, self.height))
        for overlay in self.overlays:
            overlay.over(drawn)
        return drawn

    def missing(self, text: str) -> Rgb:
        """In place of a frame that cannot be read."""
        return placeholder(self.width, self.height, text)


@dataclass
class Drawn:
    """A frame as all videos show it; its arrays are gone."""

    sample: Sample
    single: dict[str, Rgb] = field(default_factory=dict)
    tiles: dict[str, Rgb] = field(default_factory=dict)
    errors: dict[str, DataError] = field(default_factory=dict)


def make_videos(
    sequence: Dataset,
    folder: Path,
    look: Look,
    describe: Callable[[], tuple[Ranges, Sequence[Named]]],
    *,
    force: bool = False,
    threads: int = 1,
    tick: Callable[[int], None] = lambda frames: None,
) -> Made:
    """Make the videos of a sequence that are not there, `KIND.mp4` and `grid.mp4`.

    Args:
        sequence: one only.
        folder: of the videos.
        look: of them.
        describe: asked, if anything is to be made, for the ranges of its colours and the names to be drawn.
        force: make again what is there.
        threads: that read and paint.
        tick: called as frames are done, with their number; what it raises ends the work.
    Raises:
        VideoError: ffmpeg failed; nothing half-made is left.
        ConfigError: there is no ffmpeg.
    """
    made = Made()
    names: dict[str, tuple[str, ...]] = {kind: (kind,) for kind in look.kinds}
    if len(look.kinds) > 1:
        names[GRID] = look.kinds
    made_from = {name: fingerprint(sequence, kinds, [look.fps, look.direction]) for name, kinds in names.items()}
    known = known_videos(folder)
    made.kept = [name for name in names if not force and up_to_date(folder, name, made_from[name], known)]
    wanted = [name for name in names if name not in made.kept]
    if wanted:
        make_folder(folder)
        ranges, labels = describe()
        draw_all(sequence, folder, look, wanted, ranges, labels, made, threads, tick)
    else:
        tick(len(sequence))
    made.videos = {name: folder / f"{name}.mp4" for name in names if name not in made.failed}
    if wanted:
        bad = {item.kind for item in made.unreadable}
        again = {name for name in wanted if name in made.failed or bad & set(names[name])}
        write_state(folder, known, {name: None if name in again else of for name, of in made_from.items()})
    return made


def draw_all(
    sequence: Dataset,
    folder: Path,
    look: Look,
    wanted: Sequence[str],
    ranges: Ranges,
    labels: Sequence[Named],
    made: Made,
    threads: int,
    tick: Callable[[int], None],
) -> None:
    """Go through the frames once, and feed all encoders."""
    values = sequence[0].source.camera_values(sequence[0].row)
    width, height = values["w"], values["h"]
    singles = {kind: canvas_of(kind, *single_size(width, height), ranges, labels) for kind in wanted if kind != GRID}
    grid = Grid.of(look.kinds, width, height, ranges, labels) if GRID in wanted else None
    sizes = {kind: (canvas.width, canvas.height) for kind, canvas in singles.items()}
    if grid is not None:
        sizes[GRID] = (grid.width, grid.height)
    with ExitStack() as stack:
        encoders = {
            name: stack.enter_context(Encoder(folder / f"{name}.mp4", *size, look.fps)) for name, size in sizes.items()
        }
        for drawn in drawing(sequence, look, ranges, singles, grid, threads):
            for kind, error in drawn.errors.items():
                made.unreadable.append(Unreadable(drawn.sample.frame, kind, str(error)))
                if not look.allow_skips:
                    for name in (kind, GRID):
                        if name in encoders:
                            made.failed[name] = f"frame {drawn.sample.frame} cannot be read"
                            encoders.pop(name).give_up()
                            (folder / f"{name}.mp4").unlink(missing_ok=True)  # It may be of before the damage.
            for name, encoder in encoders.items():
                if name != GRID:
                    encoder.write(drawn.single[name])
                elif grid is not None:
                    encoder.write(grid.compose(drawn))
            tick(1)


class Encoder:
    """A video that appears when the block has ended well, unless it was given up."""

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        self._stack = ExitStack()
        self._opened = writing_video(path, width, height, fps)
        self._writer: VideoWriter | None = None

    def __enter__(self) -> Encoder:
        self._writer = self._stack.enter_context(self._opened)
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._stack.__exit__(*exc_info)

    def write(self, frame: Rgb) -> None:
        assert self._writer is not None
        self._writer.write(frame)

    def give_up(self) -> None:
        """Nothing of it is left."""
        error = DataError("given up")
        self._stack.__exit__(DataError, error, None)


def drawing(
    sequence: Dataset,
    look: Look,
    ranges: Ranges,
    singles: dict[str, Canvas],
    grid: Grid | None,
    threads: int,
) -> Iterator[Drawn]:
    """Frames in order, which threads have read, painted and scaled ahead."""

    def draw(sample: Sample) -> Drawn:
        drawn = Drawn(sample)
        for kind in look.kinds if grid is not None else singles:
            try:
                painted = paint(kind, sample.read(kind), ranges, look.direction)
            except DataError as exc:
                drawn.errors[kind] = exc
                text = f"frame {sample.frame}: {TITLES[kind]} cannot be read"
                if kind in singles:
                    drawn.single[kind] = singles[kind].missing(text)
                if grid is not None:
                    drawn.tiles[kind] = grid.canvases[kind].missing(text)
                continue
            if kind in singles:
                drawn.single[kind] = singles[kind].draw(painted)
            if grid is not None:
                drawn.tiles[kind] = grid.canvases[kind].draw(painted)
        # Of what was read nothing is kept.
        drawn.sample = Sample(sample.sequence, sample.index, sample.row, sample.source)
        return drawn

    ahead: deque[Future[Drawn]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="draw") as pool:
        try:
            for sample in sequence:
                ahead.append(pool.submit(draw, sample))
                if len(ahead) > AHEAD * threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


# Sizes and places.


def single_size(width: int, height: int) -> tuple[int, int]:
    """Of the video of pictures of this size."""
    longer = max(width, height)
    if longer > LARGE:
        return max(2, round(width * LARGE / longer)), max(2, round(height * LARGE / longer))
    factor = math.ceil(SMALL / longer)
    return width * factor, height * factor


def canvas_of(
    kind: str, width: int, height: int, ranges: Ranges, labels: Sequence[Named], title: str | None = None
) -> Canvas:
    """With what is drawn over each frame."""
    size = font_size(height)
    overlays = [legend(kind, ranges, labels, size), caption(title, size) if title else None]
    return Canvas(width, height, tuple(overlay for overlay in overlays if overlay is not None))


@dataclass(frozen=True)
class Grid:
    """All kinds side by side, and in a free place what frame it is."""

    columns: int
    rows: int
    canvases: dict[str, Canvas]
    """In the order of their places."""

    @classmethod
    def of(cls, kinds: Sequence[str], width: int, height: int, ranges: Ranges, labels: Sequence[Named]) -> Grid:
        columns, rows = arranged(len(kinds), width / height)
        tile_width, tile_height = tile_size(width, height, columns, rows)
        titles = {kind: TITLES[kind] for kind in kinds}
        return cls(
            columns,
            rows,
            {kind: canvas_of(kind, tile_width, tile_height, ranges, labels, titles[kind]) for kind in kinds},
        )

    @property
    def tile(self) -> tuple[int, int]:
        first = next(iter(self.canvases.values()))
        return first.width, first.height

    @property
    def width(self) -> int:
        return self.columns * self.tile[0]

    @property
    def height(self) -> int:
        return self.rows * self.tile[1]

    def compose(self, drawn: Drawn) -> Rgb:
        tiles = [drawn.tiles[kind] for kind in self.canvases]
        if len(tiles) < self.columns * self.rows:
            tiles.append(self.about(drawn.sample))
        return mosaic(tiles, self.columns, self.rows)

    def about(self, sample: Sample) -> Rgb:
        """Sequence, frame and time."""
        width, height = self.tile
        picture = np.full((height, width, 3), 24, np.uint8)
        size, top = font_size(height) * 5 // 4, height // 2
        lines = [*words(sample.sequence, 60).split("/"), f"frame {sample.frame}", f"{sample.time:.3f} s"]
        for index, line in enumerate(lines):
            label = caption(line, size)
            y = min(max(top + round((index - len(lines) / 2) * 2 * size), 0), height - 1)
            label.over(picture[y:, min(size, width - 1) :])
        return picture


def arranged(count: int, aspect: float) -> tuple[int, int]:
    """Columns and rows of so many tiles with this width / height: about 16 to 9 together, few places free."""

    def badness(columns: int) -> float:
        rows = math.ceil(count / columns)
        return abs(math.log(columns * aspect / rows / (16 / 9))) + 0.5 * (columns * rows - count) / count

    columns = min(range(1, count + 1), key=badness)
    return columns, math.ceil(count / columns)


def tile_size(width: int, height: int, columns: int, rows: int) -> tuple[int, int]:
    """Of tiles of this shape that all fit into a grid, enlarged by whole numbers only."""
    factor = min(GRID_WIDTH / (columns * width), GRID_HEIGHT / (rows * height))
    wanted = math.ceil(SMALL / max(width, height))
    factor = min(math.floor(factor), wanted) if factor >= 1 else factor
    return max(2, int(width * factor)), max(2, int(height * factor))


def mosaic(tiles: Sequence[Rgb], columns: int, rows: int) -> Rgb:
    """Tiles of one size, row by row; black where there are none."""
    height, width = tiles[0].shape[:2]
    picture = np.zeros((rows * height, columns * width, 3), np.uint8)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        picture[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
    return picture
