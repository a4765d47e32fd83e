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
    """Files are called `<stem>_000001<suffix>`."""
    key: str
    """Its path's name in the frames of transforms.json."""
    unit: str
    channels: str
    """Names of the channels of its EXR files, in the order of the arrays' last axis; one channel has no axis."""
    dtype: str
    """Type of its values, numpy's name."""
    meaning: str
    """Channels, axes and background, in words; `{depth}` stands for what the camera's depth is (`meaning`)."""
    suffix: str = ".exr"
    """File type: `.exr`, or `.png` for one channel of 8 bits."""

    @property
    def preview_suffix(self) -> str:
        """End of the name of the colour preview that lies beside the file."""
        return ".png" if self.suffix != ".png" else "_preview.png"


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
    "occlusions": Kind(
        stem="occlusion",
        key="occlusion_file_path",
        unit="bits",
        channels="Y",
        dtype="uint8",
        meaning="one channel, the sum of bits: 1 = forward motion is known, 2 = its target is visible in the next "
        "frame (inside the picture and not hidden), 4 = backward motion is known, 8 = its target is visible in the "
        "previous frame; where motion is not known, flow is 0; background 0",
        suffix=".png",
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


def frame_path(kind: str, frame: int, suffix: str | None = None) -> PurePosixPath:
    """Path of a frame's file relative to its sequence; `frames` is the picture, whose suffix must be given."""
    if kind == "frames":
        assert suffix is not None
        return PurePosixPath(kind) / f"frame_{frame:06d}{suffix}"
    return PurePosixPath(kind) / f"{KINDS[kind].stem}_{frame:06d}{KINDS[kind].suffix if suffix is None else suffix}"
