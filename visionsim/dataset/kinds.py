"""The kinds of ground truth on disk: their files, their names in transforms.json, what their values mean."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["KINDS", "Kind", "frame_path", "meaning"]


@dataclass(frozen=True)
class Kind:
    """A kind of ground truth; its folder is its name."""

    stem: str
    """Files are called `<stem>_000001.exr`."""
    key: str
    """Its path's name in the frames of transforms.json."""
    unit: str
    channels: str
    """Of its EXR files, in the order of the arrays' last axis; one channel has none."""
    dtype: str
    """Of its values, numpy's name."""
    meaning: str
    """Channels, axes and background, in words; `{depth}` stands for what the camera's depth is (`meaning`)."""


KINDS = {
    "depths": Kind(
        stem="depth",
        key="depth_file_path",
        unit="scene units",
        channels="Y",
        dtype="float32",
        meaning="channel Y: {depth}; background +inf",
    ),
    "normals": Kind(
        stem="normal",
        key="normal_file_path",
        unit="unit vectors",
        channels="RGB",
        dtype="float32",
        meaning="channels R G B: normal in the camera's frame (+X right, +Y up, +Z towards the viewer); background 0",
    ),
    "segmentations": Kind(
        stem="segmentation",
        key="segmentation_file_path",
        unit="object id",
        channels="Y",
        dtype="uint32",
        meaning="channel Y: object id, a key of `labels`; background 0",
    ),
    "flows": Kind(
        stem="flow",
        key="flow_file_path",
        unit="pixels",
        channels="RGBA",
        dtype="float32",
        meaning="channels R G: where the surface goes at the next frame of the timeline (right, down); "
        "B A: where it was at the previous one (right, down); background 0",
    ),
}
"""Name of the kind, of its folder and of the RenderConfig field that asks for it -> what it is."""


DEPTHS = {
    "planar": "planar depth, along the optical axis",
    "radial": "radial depth, the distance to the camera's centre",
}
"""Kind of depth -> what it is."""


def meaning(kind: str, depth_kinds: Collection[str]) -> str:
    """What the values of a kind of ground truth mean, in words, for cameras with these kinds of depth."""
    if len(depth_kinds) == 1:
        (depth,) = (DEPTHS[name] for name in depth_kinds)
    else:
        depth = "depth, by the frame's `depth_kind`: " + " or ".join(DEPTHS[name] for name in sorted(depth_kinds))
    return KINDS[kind].meaning.format(depth=depth)


def frame_path(kind: str, frame: int, suffix: str = ".exr") -> PurePosixPath:
    """Path of a frame's file relative to its sequence; `frames` is the picture."""
    stem = "frame" if kind == "frames" else KINDS[kind].stem
    return PurePosixPath(kind) / f"{stem}_{frame:06d}{suffix}"
