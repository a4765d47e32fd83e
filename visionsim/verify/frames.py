"""One frame's files as arrays, and what can be said of them by themselves: the checks `files` and `background`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from visionsim.dataset import truth_files
from visionsim.dataset.index import PICTURES, StoredArray, open_array
from visionsim.dataset.kinds import KINDS
from visionsim.dataset.stores import frame_of
from visionsim.errors import DataError
from visionsim.io.images import Picture, picture_of, read_picture
from visionsim.verify.geometry import Camera, Seen, bend, pixel_centres, reproject, spread3, unproject
from visionsim.verify.report import Found

__all__ = ["Expected", "FrameData", "check_background", "read_frame"]


UNIT_TOLERANCE = 1e-4
"""What normals promise: their length in float32 is off by some 1e-7, and readers may rely on 1e-4."""

SMOOTH = 1e-4
"""How far, in parts of depth, the neighbours of a pixel may be from a plane with it on a smooth surface.

On what bends less than this, interpolating depth between pixels is off by less than an eighth of it.
"""

FLAT = 1e-3
"""Largest difference of normals within 3x3 pixels on a flat surface: 0.06 degrees."""


@dataclass(frozen=True)
class Expected:
    """What a sequence's documents say about all of its frames."""

    folder: Path
    bit_depth: int | None
    """Of the picture; None if the document does not tell."""
    ids: frozenset[int] | None
    """Object ids that `labels` has; None if there are no labels."""
    static: frozenset[int] = frozenset()
    """Those of them that do not move."""
    rigid: frozenset[int] = frozenset()
    """Those of them that move, but keep their shape."""
    arrays: Mapping[str, StoredArray] = field(default_factory=dict)
    """Kinds that one file holds for all frames."""
    count: int = 0
    """How many frames there are."""


@dataclass
class FrameData:
    """What could be read of a frame; kinds that are not there or damaged are None."""

    number: int
    camera: Camera
    files: dict[str, str]
    """Kind -> file, relative to the sequence's folder."""
    static_ids: frozenset[int] = frozenset()
    rigid_ids: frozenset[int] = frozenset()
    depth: Any = None
    """(H, W) float64; +inf where there is nothing."""
    normals: Any = None
    """(3, H, W) float32."""
    ids: Any = None
    """(H, W) uint32."""
    flow: Any = None
    """(4, H, W) float64: forward x and y, backward x and y."""
    occlusions: Any = None
    """(H, W) uint8: bits, see `dataset.kinds`."""
    picture: Any = None
    """(H, W) float32, brightness."""
    broken: set[str] = field(default_factory=set)
    """Kinds that could not be read, or are not what they should be."""

    _seen: tuple[Camera, Seen] | None = None

    def seen_by(self, other: Camera) -> Seen:
        """Where `other` sees this frame's points, if they stand still; the last answer is kept."""
        if self._seen is None or self._seen[0] is not other:
            depth = np.where(self.hit, self.depth, 1.0)
            self._seen = other, reproject(self.points, depth, self.camera, other)
        return self._seen[1]

    @cached_property
    def hit(self) -> Any:
        return np.isfinite(self.depth)

    @cached_property
    def points(self) -> Any:
        """(3, H, W): the surface in the camera's frame; NaN where there is none."""
        x, y = pixel_centres(self.camera)
        return unproject(x, y, np.where(self.hit, self.depth, np.nan), self.camera.model)

    @cached_property
    def rays(self) -> Any:
        """(H, W) bool: whether a pixel sees anything; those outside of a fisheye's circle do not."""
        x, y = pixel_centres(self.camera)
        if self.camera.model.depth_kind == "planar":
            return np.ones(np.broadcast_shapes(x.shape, y.shape), bool)
        return ~np.isnan(unproject(x, y, 1.0, self.camera.model)[2])

    @cached_property
    def near(self) -> Any:
        """Inverse depth, 0 for the background."""
        return np.where(self.hit, 1.0 / np.where(self.hit, self.depth, 1.0), 0.0)

    @cached_property
    def soft(self) -> Any:
        """The picture without the finest of its noise; None if there is none."""
        return None if self.picture is None else soften(self.picture)

    @cached_property
    def groups(self) -> Any:
        """(H, W): the ids, or 1 where something is if there are none."""
        return self.hit.astype(np.uint32) if self.ids is None else self.ids

    @cached_property
    def static(self) -> Any:
        """(H, W) bool: surfaces that do not move."""
        return among(self.groups, self.static_ids) & self.hit

    @cached_property
    def inner(self) -> Any:
        """(H, W) bool: surfaces whose whole 3x3 neighbourhood has the same id."""
        low, high = spread3(self.groups)
        return (low == high) & self.hit

    def known(self, forward: bool) -> Any:
        """(H, W) bool: surfaces whose motion to the next frame, or from the previous one, is known."""
        return self.hit if self.occlusions is None else self.hit & (self.occlusions & (1 if forward else 4) != 0)

    @cached_property
    def bend(self) -> tuple[Any, Any]:
        """How far the surface is from a plane along x and along y, in parts of depth; (H, W) each."""
        return bend(self.points, self.camera.model)

    @cached_property
    def smooth(self) -> Any:
        """(H, W) bool: surfaces where interpolating depth is exact."""
        return self.inner & (self.bend[0] < SMOOTH) & (self.bend[1] < SMOOTH)

    @cached_property
    def flat(self) -> Any:
        """(H, W) bool: surfaces with one normal."""
        flat = self.inner.copy()
        for component in self.normals:
            low, high = spread3(component)
            flat &= high - low < FLAT
        return flat

    @cached_property
    def connected(self) -> tuple[Any, Any]:
        """Whether a surface continues smoothly to the next pixel on the right (H, W-1), and below (H-1, W)."""
        flat_x, flat_y = self.hit & (self.bend[0] < 10 * SMOOTH), self.hit & (self.bend[1] < 10 * SMOOTH)
        across, down = flat_x[:, :-1] & flat_x[:, 1:], flat_y[:-1] & flat_y[1:]
        if self.normals is not None:
            for component in self.normals:
                across &= np.abs(component[:, :-1] - component[:, 1:]) < 10 * FLAT
                down &= np.abs(component[:-1] - component[1:]) < 10 * FLAT
        return across, down

    @cached_property
    def smooth_surface(self) -> Any:
        """(H, W) bool: pixels that continue smoothly to all four sides, whatever the ids are."""
        across, down = self.connected
        every = np.zeros(self.hit.shape, bool)
        every[1:-1, 1:-1] = across[1:-1, :-1] & across[1:-1, 1:] & down[:-1, 1:-1] & down[1:, 1:-1]
        return every


def soften(brightness: Any) -> Any:
    """Means over 5x5 pixels: the renderer's noise, which does not follow the flow, hides less behind them."""
    height, width = brightness.shape
    padded = np.pad(brightness, 2, mode="edge")
    rows, mean = np.zeros((height, width + 4), np.float32), np.zeros((height, width), np.float32)
    for i in range(5):
        rows += padded[i : i + height]
    for i in range(5):
        mean += rows[:, i : i + width]
    return mean / np.float32(25)


def among(ids: Any, wanted: frozenset[int]) -> Any:
    """(H, W) bool: whether an id is one of `wanted`."""
    table = np.zeros(max(wanted, default=0) + 2, bool)
    table[list(wanted)] = True
    return table[np.minimum(ids, len(table) - 1)]  # The last entry stands for all larger ones.


def read_frame(expected: Expected, values: Mapping[str, Any], found: Found, *, pictures: bool = True) -> FrameData:
    """Read a frame's files, and check each by itself.

    Args:
        expected: what the documents say of all frames.
        values: `{**transforms, **frame}`.
        found: what is wrong goes here.
        pictures: read them too.
    """
    files = {kind: values[KINDS[kind].key] for kind in KINDS if KINDS[kind].key in values}
    files.update({kind: expected.arrays[kind].file for kind in KINDS if kind in expected.arrays})
    picture = expected.arrays[PICTURES].file if PICTURES in expected.arrays else values["file_path"]
    camera, named = Camera.from_document(values), {PICTURES: picture, **files}
    frame = FrameData(values["frame"], camera, named, expected.static, expected.rigid)
    shape = (values["h"], values["w"])
    if pictures:
        try:
            frame.picture = load_picture(expected, values, shape, frame, found)
        except (DataError, OSError) as exc:
            unreadable(frame, "frames", exc, expected.folder, found)
    for kind, file in files.items():
        try:
            channels = read_channels(expected, values, kind, file)
        except (DataError, OSError) as exc:
            unreadable(frame, kind, exc, expected.folder, found)
            continue
        if not has_form(kind, channels, shape, file, frame, found):
            frame.broken.add(kind)
            continue
        pixels = np.stack([channels[name] for name in KINDS[kind].channels])
        problems = len(found.problems)
        check_values(kind, pixels, expected, frame, found)
        if len(found.problems) > problems:
            frame.broken.add(kind)  # Its values would be compared in vain.
        elif kind == "depths":
            frame.depth = pixels[0].astype(np.float64)
        elif kind == "segmentations":
            frame.ids = pixels[0]
        elif kind == "normals":
            frame.normals = pixels
        elif kind == "occlusions":
            frame.occlusions = pixels[0]
        else:
            frame.flow = pixels.astype(np.float64)
    found.count("files")
    return frame


def read_channels(expected: Expected, values: Mapping[str, Any], kind: str, file: str) -> Mapping[str, Any]:
    """Channel -> (H, W), of ground truth."""
    if kind not in expected.arrays:
        return truth_files.read_channels(expected.folder / file)
    pixels = from_array(expected, values, kind)
    channels = KINDS[kind].channels
    return dict(zip(channels, [pixels] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0), strict=True))


def from_array(expected: Expected, values: Mapping[str, Any], kind: str) -> Any:
    """A frame's pixels of a kind that one file holds for all frames."""
    stored, picture = expected.arrays[kind], (values["h"], values["w"], values["c"])
    return frame_of(open_array(expected.folder, kind, stored, expected.count, picture), stored, values["row"])


def unreadable(frame: FrameData, kind: str, exc: Exception, folder: Path, found: Found) -> None:
    frame.broken.add(kind)
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    reason = reason.replace(f": {folder / frame.files[kind]}", "")
    found.add("files", f"cannot be read: {reason}", file=frame.files[kind], frame=frame.number)


def load_picture(
    expected: Expected, values: Mapping[str, Any], shape: tuple[int, int], frame: FrameData, found: Found
) -> Any:
    """Its brightness (H, W), or None if it is not what the documents say."""
    if PICTURES in expected.arrays:
        picture: Picture = picture_of(from_array(expected, values, PICTURES))
    else:
        picture = read_picture(expected.folder / values["file_path"])
    file = frame.files[PICTURES]
    facts = [
        ("size", f"{shape[1]} x {shape[0]}", f"{picture.pixels.shape[1]} x {picture.pixels.shape[0]}"),
        ("channels", values["c"], picture.channels),
        ("bits per channel", expected.bit_depth or picture.bit_depth, picture.bit_depth),
    ]
    for what, wanted, is_there in facts:
        if wanted != is_there:
            message = f"the picture has other {what} than transforms.json says"
            found.add("files", message, file=file, frame=frame.number, expected=wanted, found=is_there)
            frame.broken.add("frames")
    if "frames" in frame.broken:
        return None
    colours = picture.pixels[..., : min(3, picture.pixels.shape[2])]
    if not np.isfinite(colours).all():  # Blender writes what its compositor makes; only files of floats can hold it.
        return None
    channels = np.moveaxis(colours, -1, 0).astype(np.float32)
    return sum(channels) / np.float32(len(channels))


def has_form(
    kind: str, channels: Mapping[str, Any], shape: tuple[int, int], file: str, frame: FrameData, found: Found
) -> bool:
    """Whether an EXR file has the channels, the type and the size of its kind."""
    names, dtype = KINDS[kind].channels, np.dtype(KINDS[kind].dtype)
    facts = [("channels", " ".join(names), " ".join(name for name in "RGBAY" if name in channels))]
    if set(channels) != set(names):
        facts = [("channels", " ".join(names), " ".join(sorted(channels)))]
    else:
        facts += [("type", str(dtype), str(pixels.dtype)) for pixels in channels.values()]
        facts += [("size", f"{shape[1]} x {shape[0]}", f"{p.shape[1]} x {p.shape[0]}") for p in channels.values()]
    for what, wanted, is_there in facts:
        if wanted != is_there:
            message = f"the file has another {what} than its kind" if what != "size" else "the file has another size"
            found.add("files", message, file=file, frame=frame.number, expected=wanted, found=is_there)
            return False
    return True


def check_values(kind: str, pixels: Any, expected: Expected, frame: FrameData, found: Found) -> None:
    """Whether every value (C, H, W) is one that its kind can have."""

    def wrong(where: Any, message: str, wanted: str, value: Any = None) -> bool:
        if not where.any():
            return False
        y, x = (int(i) for i in np.argwhere(where)[0])
        is_there = [float(v) for v in pixels[:, y, x]] if value is None else value(y, x)
        shown = is_there[0] if isinstance(is_there, list) and len(is_there) == 1 else is_there
        count = int(where.sum())
        text = f"{message} ({count} pixels)" if count > 1 else message
        found.add(
            "files", text, file=frame.files[kind], frame=frame.number, x=x, y=y, expected=wanted, found=str(shown)
        )
        return True

    period = frame.camera.model.period
    if not frame.rays.all():
        shown = np.isfinite(pixels[0]) if kind == "depths" else pixels.any(axis=0)
        wrong(shown & ~frame.rays, "something is where the lens sees nothing", "background")
    if kind == "depths":
        wrong(~(pixels[0] > 0), "depth is not positive", "above 0, or +inf")
    elif kind == "normals":
        lengths = np.sqrt((pixels.astype(np.float64) ** 2).sum(axis=0))
        bad = ~((lengths == 0) | (np.abs(lengths - 1) <= UNIT_TOLERANCE))
        wrong(bad, "a normal is neither of length 1 nor 0", "length 1 or 0")
    elif kind == "segmentations":
        if expected.ids is not None:
            wrong(
                ~among(pixels[0], expected.ids | {0}),
                "an id is not in the labels of transforms.json",
                "a key of labels, or 0",
                lambda y, x: int(pixels[0, y, x]),
            )
    elif kind == "occlusions":
        wrong(impossible(pixels[0]), "bits are set that cannot be", "0 to 15; 2 only with 1, 8 only with 4")
    else:
        infinite = wrong(~np.isfinite(pixels).all(axis=0), "flow is not finite", "finite")
        if np.isfinite(period) and not infinite:
            around = np.abs(pixels[::2]).max(axis=0) > period / 2 * (1 + 1e-5)
            wrong(around, "flow goes the longer way round the panorama", f"within {period / 2:g} pixels")


def impossible(occlusions: Any) -> Any:
    """(H, W) bool: where bits are set that no frame has: unknown ones, or a visible target of unknown motion."""
    wrong = occlusions > 15
    for known in (1, 4):
        wrong |= (occlusions & (2 * known) != 0) & (occlusions & known == 0)
    return wrong


def check_background(frame: FrameData, found: Found) -> None:
    """Where nothing was hit all kinds say so; where something was, ids and normals say so too."""
    masks: dict[str, Any] = {}
    if frame.depth is not None:
        masks["depths"] = frame.hit
    if frame.ids is not None:
        masks["segmentations"] = frame.ids != 0
    if frame.normals is not None:
        masks["normals"] = frame.normals.any(axis=0)
        for other in ("depths", "segmentations"):
            if other in masks:
                # At the rim Blender may have no normal: bump maps need the ray of the next pixel.
                masks["normals"] |= masks[other] & ~spread3(frame.rays)[0]
                break
    if frame.flow is not None:
        masks["flows"] = frame.flow.any(axis=0)
    if frame.occlusions is not None:
        masks["occlusions"] = frame.occlusions != 0
    if len(masks) > 1:
        found.count("background")
    while len(masks) > 1:
        wrong = {kind: [other for other in masks if disagree(masks, kind, other).any()] for kind in masks}
        # The kind that contradicts most others is wrong; of two, the later one is named.
        kind = max(reversed(wrong), key=lambda kind: len(wrong[kind]))
        if not wrong[kind]:
            return
        other = wrong[kind][0]
        where = disagree(masks, kind, other)
        y, x = (int(i) for i in np.argwhere(where)[0])
        words = {True: "a surface", False: "background"}
        found.add(
            "background",
            f"{other} and {kind} do not agree where the background is ({int(where.sum())} pixels)",
            file=frame.files[kind],
            frame=frame.number,
            x=x,
            y=y,
            expected=words[bool(masks[other][y, x])],
            found=words[bool(masks[kind][y, x])],
        )
        del masks[kind]


def disagree(masks: Mapping[str, Any], kind: str, other: str) -> Any:
    """(H, W) bool: where two kinds do not agree.

    A surface that does not move has no flow, and one of unknown motion no occlusions: these must only be 0 where there
    is no surface, and flow where neither motion is known.
    """
    a, b = sorted((kind, other), key=PARTIAL.index) if {kind, other} <= set(PARTIAL) else (kind, other)
    if b in PARTIAL and a not in PARTIAL:
        a, b = b, a
    return masks[a] & ~masks[b] if a in PARTIAL else masks[a] != masks[b]


PARTIAL = ("flows", "occlusions")
"""Kinds that may be 0 on a surface."""
