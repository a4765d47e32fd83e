"""A picture of a path, from above and from the side."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from visionsim.errors import ConfigError
from visionsim.files import whole_file
from visionsim.trajectory.path import Trajectory
from visionsim.trajectory.splines import interpolate

if TYPE_CHECKING:
    from visionsim.types import Matrix

__all__ = ["draw_path", "save_picture"]

PANEL, MARGIN, LARGER = 560, 64, 2
"""Pixels of a panel's side and of its margin; how much larger it is drawn than it is shown, for smooth lines."""

PAPER, GRID, INK, PATH, LOOKS = "#ffffff", "#e7e9ec", "#40464d", "#2563eb", "#f59e0b"
FIRST, LAST = "#16a34a", "#dc2626"

VIEWS = (("From above", "x", "y", (0, 1)), ("From the side", "x", "z", (0, 2)))
"""Title, axes' names, and which coordinates they are."""

CAMERAS = 24
"""Viewing directions that are drawn, at most."""


def save_picture(path: Trajectory, file: Path) -> None:
    """Write the picture as PNG, JPEG or WebP, by the file's suffix, whole or not at all.

    Raises:
        ConfigError: the suffix is none of these.
    """
    if file.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise ConfigError(f"--out={file}: name a .png, .jpg or .webp file")
    picture = draw_path(path)
    with whole_file(file) as partial:
        picture.save(partial)


def draw_path(path: Trajectory) -> Image.Image:
    """Both views side by side in one scale: the path, where the camera looks, its first pose green, its last red."""
    line, marks = curve(path), path.c2w[np.unique(np.linspace(0, len(path) - 1, CAMERAS).round().astype(int))]
    low, high = np.min(line, axis=0), np.max(line, axis=0)
    extent = max(float(np.max(high - low)), 1e-6)
    sheet = Image.new("RGB", (len(VIEWS) * PANEL * LARGER, PANEL * LARGER), PAPER)
    for index, (title, across, up, axes) in enumerate(VIEWS):
        panel = Panel(title, (across, up), (low + high)[list(axes)] / 2, extent)
        panel.grid()
        panel.path(line[:, axes])
        for c2w in marks:
            panel.look(c2w[list(axes), 3], -c2w[list(axes), 2])
        panel.dot(line[0, axes], FIRST)
        panel.dot(line[-1, axes], LAST)
        sheet.paste(panel.image, (index * PANEL * LARGER, 0))
    return sheet.resize((len(VIEWS) * PANEL, PANEL), Image.Resampling.LANCZOS)


def curve(path: Trajectory) -> Matrix:
    """(M, 3): points of the path, close enough together to look smooth."""
    between = np.linspace(0, len(path) - 1, max(2, min(2000, 20 * len(path))))
    times = np.interp(between, np.arange(len(path)), path.times_s)
    return interpolate(path, times)[:, :3, 3]


class Panel:
    """One view with its scale."""

    def __init__(self, title: str, axes: tuple[str, str], centre: Any, extent: float) -> None:
        self.title, self.axes, self.extent = title, axes, extent
        self.side = PANEL * LARGER
        self.image = Image.new("RGB", (self.side, self.side), PAPER)
        self.pen = ImageDraw.Draw(self.image)
        self.font = ImageFont.load_default(13 * LARGER)
        self.low = np.asarray(centre, np.float64) - extent * 0.6
        self.scale = (self.side - 2 * MARGIN * LARGER) / (1.2 * extent)

    def at(self, point: Any) -> tuple[float, float]:
        """Pixels of a point (2,)."""
        x, y = (np.asarray(point, np.float64) - self.low) * self.scale
        return MARGIN * LARGER + float(x), self.side - MARGIN * LARGER - float(y)

    def grid(self) -> None:
        step = round_step(self.extent / 4)
        for axis in (0, 1):
            first = math.ceil(self.low[axis] / step)
            for count in range(first, math.floor((self.low[axis] + 1.2 * self.extent) / step) + 1):
                ends = np.array([self.low, self.low + 1.2 * self.extent])
                ends[:, axis] = count * step
                begin, end = self.at(ends[0]), self.at(ends[1])
                self.pen.line([begin, end], GRID, LARGER)
                words, gap = f"{count * step:g}", 6 * LARGER
                if axis == 0:
                    self.pen.text((begin[0], begin[1] + gap), words, INK, self.font, anchor="ma")
                else:
                    self.pen.text((begin[0] - gap, begin[1]), words, INK, self.font, anchor="rm")
        middle, edge = self.side / 2, self.side - 14 * LARGER
        self.pen.text((middle, 18 * LARGER), self.title, INK, ImageFont.load_default(16 * LARGER), anchor="mt")
        self.pen.text((middle, edge), f"{self.axes[0]}, scene units", INK, self.font, anchor="mb")
        self.pen.text((14 * LARGER, self.side / 2), self.axes[1], INK, self.font, anchor="lm")

    def path(self, points: Any) -> None:
        self.pen.line([self.at(point) for point in points], PATH, 3 * LARGER)

    def look(self, point: Any, direction: Any) -> None:
        """A line from the camera's centre towards what it looks at; short if it looks into or out of the picture."""
        begin, end = self.at(point), self.at(np.asarray(point) + np.asarray(direction) * self.extent * 0.09)
        self.pen.line([begin, end], LOOKS, 2 * LARGER)

    def dot(self, point: Any, color: str) -> None:
        x, y = self.at(point)
        radius = 6 * LARGER
        self.pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color, outline=PAPER, width=LARGER)


def round_step(wanted: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not larger."""
    power = 10.0 ** math.floor(math.log10(wanted))
    return power * max(step for step in (1, 2, 5) if step * power <= wanted * (1 + 1e-9))
