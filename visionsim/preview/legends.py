"""What colours mean, drawn into the corner of a picture; and pictures of words."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from visionsim.colorize import OCCLUSION_COLOURS, colorize_flow, colorize_ids, colorize_normals, turbo
from visionsim.preview.colours import Ranges

if TYPE_CHECKING:
    from visionsim.colorize import Rgb

__all__ = ["Named", "Overlay", "caption", "font_size", "legend", "number", "placeholder", "resized", "words"]

PANEL = (0, 0, 0, 150)
WHITE = (255, 255, 255, 255)
LONGEST_NAME = 24
"""Characters of a name that are drawn."""
SIDE = 4
"""Panels are this many times finer when they are drawn than when they are seen: Pillow's circles have no soft edges."""


@dataclass(frozen=True)
class Named:
    """An entry of the legend of ids."""

    id: int
    text: str


@dataclass(frozen=True)
class Overlay:
    """A small picture to lay over others."""

    rgba: Any
    """(h, w, 4) uint8, straight alpha."""
    right: bool = False
    """In the lower right corner, instead of the lower left one."""
    top: bool = False

    def over(self, picture: Rgb) -> Rgb:
        """Lay it over a picture, which is changed; what is too large for it is cut off."""
        height, width = min(self.rgba.shape[0], picture.shape[0]), min(self.rgba.shape[1], picture.shape[1])
        rows = slice(0, height) if self.top else slice(picture.shape[0] - height, None)
        columns = slice(picture.shape[1] - width, None) if self.right else slice(0, width)
        part = self.rgba[:height, :width].astype(np.float32)
        alpha = part[..., 3:] / 255.0
        picture[rows, columns] = np.rint(part[..., :3] * alpha + picture[rows, columns] * (1.0 - alpha))
        return picture


def font_size(height: int) -> int:
    """Pixels, for a picture of this height."""
    return min(max(height // 26, 10), 30)


@functools.lru_cache(64)
def font(size: int) -> Any:
    """Pillow's own, which has Latin letters."""
    return ImageFont.load_default(size)


def words(text: str, longest: int = LONGEST_NAME) -> str:
    """On one line, and not too long."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= longest else text[: longest - 2] + ".."


def number(value: float) -> str:
    """Three digits, without an exponent where people would not use one."""
    if value == 0 or not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3g}"
    digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"


def resized(picture: Rgb, width: int, height: int) -> Rgb:
    """Scaled: whole multiples keep their pixels, smaller ones are averages."""
    if picture.shape[:2] == (height, width):
        return picture
    whole = width % picture.shape[1] == 0 and height % picture.shape[0] == 0
    how = Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(picture).resize((width, height), how))


def panel(width: int, height: int, size: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty one with round corners, in `SIDE` times its size."""
    image = Image.new("RGBA", (max(width, 1) * SIDE, max(height, 1) * SIDE), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    margin = size // 4 * SIDE
    box = (margin, margin, image.width - 1 - margin, image.height - 1 - margin)
    draw.rounded_rectangle(box, radius=size // 3 * SIDE, fill=PANEL)
    return image, draw


def finished(image: Image.Image) -> Any:
    size = (image.width // SIDE, image.height // SIDE)
    return np.asarray(image.resize(size, Image.Resampling.BOX))


def text_width(text: str, size: int) -> int:
    return int(np.ceil(font(size).getlength(text)))


def write(draw: ImageDraw.ImageDraw, x: float, y: float, text: str, size: int, anchor: str = "lm") -> None:
    """At a place in pixels as they are seen."""
    draw.text((x * SIDE, y * SIDE), text, font=font(size * SIDE), fill=WHITE, anchor=anchor)


def caption(text: str, size: int, *, top: bool = True, right: bool = False) -> Overlay:
    """A line of words."""
    text = words(text, 80)
    height = 2 * size
    image, draw = panel(text_width(text, size) + 3 * size // 2, height, size)
    write(draw, 0.75 * size, height / 2, text, size)
    return Overlay(finished(image), right=right, top=top)


def legend(kind: str, ranges: Ranges, names: Sequence[Named], size: int) -> Overlay | None:
    """What the colours of a kind of data mean; None for the picture.

    Args:
        kind: of data.
        ranges: those it is painted with.
        names: of some ids, for segmentations.
        size: of its letters, pixels.
    """
    if kind == "depths":
        return depth_legend(ranges, size)
    if kind == "normals":
        return normal_legend(size)
    if kind == "flows":
        return flow_legend(ranges, size)
    if kind == "segmentations" and names:
        colours = colorize_ids(np.array([name.id for name in names], np.uint32))
        return names_legend([name.text for name in names], colours, size)
    if kind == "occlusions":
        return names_legend(OCCLUSION_NAMES, OCCLUSION_COLOURS[1:][::-1], size)
    return None


OCCLUSION_NAMES = ("target is visible", "target is hidden", "motion is unknown")
"""The colours of occlusions in words; black is unknown as well, or background."""


def paste(image: Image.Image, rgb: Any, x: int, y: int, mask: Any = None) -> None:
    """A picture in `SIDE` times its size, at a place in pixels as they are seen."""
    soft = None if mask is None else Image.fromarray((mask * 255).astype(np.uint8))
    image.paste(Image.fromarray(rgb), (x * SIDE, y * SIDE), soft)


def depth_legend(ranges: Ranges, size: int) -> Overlay:
    """A bar from near to far, whose middle is where inverse depth is halfway."""
    middle = 2.0 / (1.0 / max(ranges.near, 1e-6) + 1.0 / max(ranges.far, 1e-6))
    texts = [number(ranges.near), number(middle), number(ranges.far)]
    widths = [text_width(text, size) for text in texts]
    bar = max(9 * size, 2 * max(widths) + 2 * size)
    margin = max(size, *widths) // 2 + size // 2
    image, draw = panel(bar + 2 * margin, 3 * size + size // 4, size)
    ramp = turbo(np.linspace(1.0, 0.0, bar * SIDE))
    paste(image, np.repeat(ramp[None], size * 3 // 4 * SIDE, axis=0), margin, size * 3 // 4)
    for place, text in zip((0.0, 0.5, 1.0), texts, strict=True):
        write(draw, margin + place * bar, 2.2 * size, text, size, "mm")
    return Overlay(finished(image))


def disc(radius: int) -> tuple[Any, Any, Any]:
    """x right and y down in radii, (d, d) each, in `SIDE` times the size; and where they are inside."""
    across = (np.arange(2 * radius * SIDE) + 0.5) / (radius * SIDE) - 1.0
    x, y = np.meshgrid(across, across)
    return x, y, np.hypot(x, y) <= 1.0


def flow_legend(ranges: Ranges, size: int) -> Overlay:
    """The colour wheel; flow that is as long as its rim tells."""
    radius = 2 * size
    text = f"{number(ranges.longest)} px"
    width = max(2 * radius, text_width(text, size)) + 2 * size
    image, draw = panel(width, 2 * radius + 2 * size + size // 2, size)
    x, y, inside = disc(radius)
    wheel = colorize_flow(np.stack([x, y], axis=-1).astype(np.float32), 1.0)
    paste(image, wheel, width // 2 - radius, size * 2 // 3, inside)
    write(draw, width / 2, 2 * radius + 1.4 * size, text, size, "mm")
    return Overlay(finished(image), right=True)


def normal_legend(size: int) -> Overlay:
    """A ball as the camera sees it."""
    radius = 2 * size
    margin = size * 3 // 4
    image, _ = panel(2 * (radius + margin), 2 * (radius + margin), size)
    x, y, inside = disc(radius)
    z = np.sqrt(np.maximum(1.0 - x * x - y * y, 0.0))
    paste(image, colorize_normals(np.stack([x, -y, z], axis=-1)), margin, margin, inside)
    return Overlay(finished(image), right=True)


def names_legend(names: Sequence[str], colours: Any, size: int) -> Overlay:
    """A line for each name, with its colour (N, 3)."""
    texts = [words(name) for name in names]
    line = size * 7 // 5
    width = max(text_width(text, size) for text in texts) + 3 * size
    image, draw = panel(width, len(names) * line + size, size)
    for row, (text, colour) in enumerate(zip(texts, colours, strict=True)):
        y = size / 2 + (row + 0.5) * line
        box = [size * 0.8, y - size * 0.4, size * 1.6, y + size * 0.4]
        draw.rectangle([side * SIDE for side in box], fill=(*map(int, colour), 255))
        write(draw, 2.1 * size, y, text, size)
    return Overlay(finished(image))


def placeholder(width: int, height: int, text: str) -> Rgb:
    """Dark stripes and words: it stands where a frame cannot be shown, and is not taken for one."""
    y, x = np.mgrid[:height, :width]
    stripes = (x + y) // max(height // 12, 4) % 2
    picture: Rgb = np.array([[60, 16, 24], [150, 24, 40]], np.uint8)[stripes]
    size = max(height // 14, 8)
    while size > 6 and text_width(text, size) + 2 * size > width:
        size -= 1
    label = caption(text, size).rgba[:height, :width]
    top, left = (height - label.shape[0]) // 2, (width - label.shape[1]) // 2
    part = picture[top : top + label.shape[0], left : left + label.shape[1]]
    Overlay(label, top=True).over(part)
    return picture
