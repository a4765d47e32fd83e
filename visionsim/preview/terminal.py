"""Pictures as text that terminals draw: three graphics protocols, and half blocks for all others with colours.

Sources:
    kitty, "Terminal graphics protocol", https://sw.kovidgoyal.net/kitty/graphics-protocol/.
    iTerm2, "Inline Images Protocol", https://iterm2.com/documentation-images.html.
    DEC, VT330/VT340 Programmer Reference Manual, volume 2, chapter 14: sixel graphics.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visionsim.colorize import Rgb

    Method = Literal["kitty", "iterm2", "sixel", "blocks", "no"]

__all__ = ["blocks", "drawn", "iterm2", "kitty", "method_of", "sixel"]

CHUNK = 4096
"""Characters of one of kitty's commands."""

CELL = 9
"""Pixels of sixels that a column of text may take: terminals scale the other protocols themselves."""

COLOURS = 255
"""Of sixels."""


def method_of(terminal: bool, colours: bool, environ: Mapping[str, str] = os.environ) -> Method:
    """What the terminal is known to understand, by the variables that it sets.

    Args:
        terminal: whether somebody looks.
        colours: whether there are any.
        environ: variables.
    """
    if not terminal or not colours:
        return "no"
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    if "TMUX" in environ or term.startswith(("screen", "tmux")):
        return "blocks"  # They swallow what they do not know.
    if "KITTY_WINDOW_ID" in environ or "kitty" in term or "ghostty" in term or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm", "mintty") or environ.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    if term.startswith(("foot", "mlterm", "contour", "yaft")) or "sixel" in term:
        return "sixel"
    return "blocks"


def drawn(picture: Rgb, method: Method, columns: int) -> str:
    """The picture as text, `columns` wide at most; empty for no method."""
    ways = {"kitty": kitty, "iterm2": iterm2, "sixel": sixel, "blocks": blocks}
    return ways[method](picture, columns) if method in ways else ""


def png(picture: Rgb) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def kitty(picture: Rgb, columns: int) -> str:
    """PNG in pieces; as wide as the terminal if it is wider than that."""
    data = base64.b64encode(png(picture)).decode()
    pieces = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    width = f",c={columns}" if picture.shape[1] > columns * CELL else ""
    text = []
    for index, piece in enumerate(pieces):
        keys = f"a=T,f=100{width}," if index == 0 else ""
        text.append(f"\x1b_G{keys}m={int(index < len(pieces) - 1)};{piece}\x1b\\")
    return "".join(text)


def iterm2(picture: Rgb, columns: int) -> str:
    """PNG in one piece; as wide as the terminal if it is wider than that."""
    data = png(picture)
    width = "100%" if picture.shape[1] > columns * CELL else "auto"
    keys = f"inline=1;size={len(data)};width={width};preserveAspectRatio=1"
    return f"\x1b]1337;File={keys}:{base64.b64encode(data).decode()}\x07"


def sixel(picture: Rgb, columns: int) -> str:
    """Bands of six rows, each colour of a band after the other."""
    image = shrunk(picture, columns * CELL).quantize(COLOURS)
    palette = (np.array(image.getpalette() or [], np.uint16).reshape(-1, 3) * 100 + 127) // 255
    pixels = np.asarray(image)
    height, width = pixels.shape
    text = ["\x1bPq", f'"1;1;{width};{height}']
    text += [f"#{index};2;{red};{green};{blue}" for index, (red, green, blue) in enumerate(palette.tolist())]
    weights = 1 << np.arange(6)[:, None]
    for top in range(0, height, 6):
        band = pixels[top : top + 6]
        for colour in np.unique(band):
            sixels = ((band == colour) * weights[: len(band)]).sum(axis=0) + 63
            text.append(f"#{colour}{runs(sixels)}$")
        text.append("-")
    return "".join([*text, "\x1b\\"])


def runs(sixels: NDArray[Any]) -> str:
    """Characters, repeated ones as `!count`."""
    ends = [*(np.flatnonzero(np.diff(sixels)) + 1).tolist(), len(sixels)]
    text, start = [], 0
    for end in ends:
        character = chr(int(sixels[start]))
        text.append(f"!{end - start}{character}" if end - start > 3 else character * (end - start))
        start = end
    return "".join(text)


def blocks(picture: Rgb, columns: int) -> str:
    """Two pixels in each character: a half block in true colour on a ground in true colour."""
    image = shrunk(picture, columns)
    pixels = np.asarray(image)
    if len(pixels) % 2:
        pixels = np.concatenate([pixels, pixels[-1:]])
    lines = []
    for upper, lower in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        line, last = [], ""
        for above, below in zip(upper, lower, strict=True):
            style = "\x1b[38;2;{};{};{};48;2;{};{};{}m".format(*above, *below)
            line.append(("" if style == last else style) + "▀")
            last = style
        lines.append("".join(line) + "\x1b[0m")
    return "\n".join(lines)


def shrunk(picture: Rgb, width: int) -> Image.Image:
    """Not wider than that."""
    image = Image.fromarray(picture)
    if image.width <= width:
        return image
    return image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)
