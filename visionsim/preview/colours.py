"""Every kind of data as a picture, in colours that mean the same in all frames of a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from visionsim.color import srgb_from_linear
from visionsim.colorize import colorize_depth, colorize_flow, colorize_ids, colorize_normals, colorize_occlusions
from visionsim.dataset.index import PICTURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visionsim.colorize import Rgb

    FlowDirection = Literal["forward", "backward"]

__all__ = ["TITLES", "Ranges", "Unreadable", "flow_of", "paint", "rgb_of_picture"]

TITLES = {
    PICTURES: "picture",
    "depths": "depth",
    "normals": "normals",
    "segmentations": "segmentation",
    "flows": "flow",
    "occlusions": "occlusion",
}
"""Kind of data -> what people call it."""


@dataclass(frozen=True)
class Ranges:
    """Which values have the outermost colours."""

    near: float = 1.0
    """Scene units: the warmest colour."""
    far: float = 10.0
    """Scene units: the coldest colour."""
    longest: float = 1.0
    """Pixels of flow: full saturation."""


@dataclass(frozen=True, order=True)
class Unreadable:
    """A file that is missing or damaged."""

    frame: int
    kind: str
    message: str


def paint(kind: str, pixels: Any, ranges: Ranges, direction: FlowDirection = "forward") -> Rgb:
    """(H, W) or (H, W, C), as `Sample.read` gives them -> (H, W, 3)."""
    if kind == PICTURES:
        return rgb_of_picture(pixels)
    if kind == "depths":
        return colorize_depth(pixels, ranges.near, ranges.far)
    if kind == "normals":
        return colorize_normals(pixels)
    if kind == "flows":
        return colorize_flow(flow_of(pixels, direction), ranges.longest)
    if kind == "occlusions":
        return colorize_occlusions(pixels, direction)
    return colorize_ids(pixels)


def flow_of(pixels: Any, direction: FlowDirection) -> Any:
    """(H, W, 4) -> (H, W, 2) of one direction."""
    return pixels[..., :2] if direction == "forward" else pixels[..., 2:]


def rgb_of_picture(pixels: NDArray[Any]) -> Rgb:
    """(H, W, C) with 1 to 4 channels: uint8, uint16, or linear float -> (H, W, 3) uint8 sRGB, before black.

    Alpha of 8 and 16 bits is straight, that of OpenEXR is in its colours already.
    """
    channels = pixels.shape[2]
    colours = pixels[..., : 3 if channels > 2 else 1]
    if pixels.dtype.kind == "f":
        rgb = np.rint(srgb_from_linear(np.nan_to_num(colours)) * 255.0).astype(np.uint8)
    else:
        largest = 255.0 if pixels.dtype == np.uint8 else 65535.0
        rgb = colours
        if channels in (2, 4) and (alpha := pixels[..., -1:]).min() < largest:
            rgb = colours * (alpha / np.float32(largest))
        if rgb.dtype != np.uint8:
            rgb = np.rint(rgb * np.float32(255.0 / largest)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(rgb, (*rgb.shape[:2], 3)))
