"""Inline SVG for the page: histograms and the camera's path from above; numbers in, text out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np

from visionsim.preview.legends import number
from visionsim.preview.survey import Histogram, evenly

if TYPE_CHECKING:
    from visionsim.types import Matrix

__all__ = ["camera_path", "histogram", "share_bar", "swatch"]

WIDTH, HEIGHT = 320, 200
"""Of a histogram, in its own units: the page scales it."""

PATH_WIDTH, PATH_HEIGHT, MARGIN = 320, 250, 42
"""Of a camera's path, and what is free around it."""

POINTS, CAMERAS = 400, 9
"""Of a path, at most: corners of its line, and cameras drawn on it."""


def svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    inside = "".join(parts)
    return f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{label}">{inside}</svg>'


def text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def histogram(found: Histogram, unit: str, label: str) -> str:
    """Bars, with the values at both ends and in the middle."""
    left, right, top, bottom = 8.0, WIDTH - 8.0, 8.0, HEIGHT - 34.0
    most = max(found.counts) or 1
    step = (right - left) / len(found.counts)
    bars = []
    for index, count in enumerate(found.counts):
        height = (bottom - top) * count / most
        if count:
            x, y = left + index * step, bottom - max(height, 0.8)
            bars.append(
                f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{step * 0.86:.2f}" height="{bottom - y:.1f}"/>'
            )
    axis = f'<path class="axis" d="M{left:.1f} {bottom + 1:.1f}H{right:.1f}"/>'
    places = [(0, left, "start"), (len(found.counts) // 2, (left + right) / 2, "middle"), (-1, right, "end")]
    ticks = [text(x, bottom + 15, number(found.edges[index]), anchor) for index, x, anchor in places]
    scale = f"{unit}, log scale" if found.logarithmic else unit
    return svg(WIDTH, HEIGHT, label, [*bars, axis, *ticks, text(WIDTH / 2, HEIGHT - 4, scale)])


def camera_path(c2w: Matrix, half_angle: float | None) -> str:
    """Seen from above, +X to the right and +Y upwards: where the camera was, and where it looked.

    Args:
        c2w: (N, 4, 4).
        half_angle: half the angle of view across the picture, radians; None draws a line for where it looks.
    """
    across = c2w[:, :2, 3]
    low, high = across.min(axis=0), across.max(axis=0)
    extent = float(max(*(high - low), 1e-9))
    moved = extent > 1e-6
    free = np.array([PATH_WIDTH, PATH_HEIGHT]) - 2 * MARGIN
    scale = float(np.min(free / np.maximum(high - low, 1e-9))) if moved else 1.0
    middle, centre = (low + high) / 2, np.array([PATH_WIDTH, PATH_HEIGHT]) / 2

    def place(points: Any) -> Any:
        """(n, 2) world -> (n, 2) of the drawing."""
        return (points - middle) * [scale, -scale] + centre

    line = place(across[evenly(len(across), POINTS)])
    parts = []
    for order, row in enumerate(evenly(len(c2w), CAMERAS)):
        parts.append(frustum(place(across[row : row + 1])[0], -c2w[row, :3, 2], half_angle, strong=order == 0))
    if moved:
        corners = " ".join(f"{x:.1f} {y:.1f}" for x, y in line)
        parts.append(f'<path class="path" d="M{corners}"/>')
    (first_x, first_y), (last_x, last_y) = line[0], line[-1]
    if moved:
        parts.append(f'<rect class="end" x="{last_x - 4.5:.1f}" y="{last_y - 4.5:.1f}" width="9" height="9"/>')
    parts.append(f'<circle class="start" cx="{first_x:.1f}" cy="{first_y:.1f}" r="5"/>')
    if moved:
        length = round_length(90 / scale)
        bar = length * scale
        parts.append(f'<path class="axis" d="M12 {PATH_HEIGHT - 12}v4h{bar:.1f}v-4"/>')
        parts.append(text(18 + bar, PATH_HEIGHT - 7, f"{number(length)} units", "start"))
    x, y = PATH_WIDTH - 40.0, PATH_HEIGHT - 10.0
    parts.append(f'<path class="axis" d="M{x} {y - 20}V{y}H{x + 20}"/>')
    parts += [text(x + 27, y + 4, "x"), text(x, y - 25, "y")]
    return svg(PATH_WIDTH, PATH_HEIGHT, "camera path from above", parts)


def frustum(at: Any, forward: Any, half_angle: float | None, *, strong: bool) -> str:
    """Where a camera looks, as seen from above; a dot if that is up or down."""
    x, y = at
    ahead = np.array([forward[0], -forward[1]])
    length = float(np.hypot(*ahead))
    css = "look first" if strong else "look"
    if length < 0.05:
        return f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
    heading, reach = math.atan2(ahead[1], ahead[0]), 12.0 + 22.0 * length
    if half_angle is None or half_angle > 1.5:
        end = f"{x + reach * math.cos(heading):.1f} {y + reach * math.sin(heading):.1f}"
        return f'<path class="{css}" d="M{x:.1f} {y:.1f}L{end}"/>'
    sides = [heading - half_angle, heading + half_angle]
    far = reach / math.cos(min(half_angle, 1.2))
    corners = " ".join(f"L{x + far * math.cos(a):.1f} {y + far * math.sin(a):.1f}" for a in sides)
    return f'<path class="{css}" d="M{x:.1f} {y:.1f}{corners}Z"/>'


def round_length(value: float) -> float:
    """1, 2 or 5 times a power of ten, not more than this."""
    power = 10.0 ** math.floor(math.log10(value))
    return float(max(step for step in (1, 2, 5) if step * power <= value * (1 + 1e-9)) * power)


def swatch(colour: Sequence[int]) -> str:
    """A square of a colour."""
    rgb = "#{:02x}{:02x}{:02x}".format(*colour)
    return f'<svg class="swatch" viewBox="0 0 1 1" aria-hidden="true"><rect width="1" height="1" fill="{rgb}"/></svg>'


def share_bar(share: float) -> str:
    """A bar that is this part of its whole length."""
    width = 100 * min(max(share, 0.0), 1.0)
    return (
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="rest" width="100" height="8"/><rect class="bar" width="{width:.2f}" height="8"/></svg>'
    )
