"""From Blender's render passes to our ground truth: one row per kind, each with a pure converter.

The conventions of the results are those of docs/conventions: planar depth, normals in the camera's frame, flow with
x right and y down, ids as whole numbers, and a background that says so. Shared with the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.errors import DataError

if TYPE_CHECKING:
    from visionsim.types import FloatImage, Matrix

    Passes = Mapping[str, FloatImage]
    """Name of Blender's pass -> (H, W, C) float32, top row first."""

__all__ = ["PASSES", "RenderPass"]

BACKGROUND_DEPTH = 1e10
"""What Cycles writes into the depth pass where nothing was hit, in every version from 3.4 to 5.2."""


@dataclass(frozen=True)
class RenderPass:
    """How a kind of ground truth comes out of Blender."""

    enable: tuple[str, ...]
    """Properties of Blender's view layer that switch on the passes it is made from."""
    convert: Callable[[Passes, Matrix], dict[str, Any]]
    """(passes, c2w) -> EXR channel name -> (H, W) array, as `dataset.kinds` describes them."""


def get_pass(passes: Passes, *names: str) -> FloatImage:
    """The pass under the first of `names` that is there; versions of Blender differ."""
    for name in names:
        if name in passes:
            return passes[name]
    raise DataError(f"Blender delivered no {names[0]} pass, only {sorted(passes)}")


def background(passes: Passes) -> Any:
    """(H, W) bool: where no surface was hit."""
    return get_pass(passes, "Depth")[..., 0] >= BACKGROUND_DEPTH


def to_planar_depth(passes: Passes, c2w: Matrix) -> dict[str, Any]:
    """Blender's depth is planar for perspective cameras; only the background needs translating."""
    depth = get_pass(passes, "Depth")[..., 0]
    return {"Z": np.where(background(passes), np.float32(np.inf), depth)}


def to_camera_normals(passes: Passes, c2w: Matrix) -> dict[str, Any]:
    """Blender's normals are world space; a camera sees R^T n."""
    normals = get_pass(passes, "Normal") @ c2w[:3, :3].astype(np.float32)
    lengths = np.sqrt(np.einsum("hwc,hwc->hw", normals, normals))
    valid = (lengths > 0) & ~background(passes)
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=valid)
    normals *= scale[..., None]
    return {name: normals[..., i] for i, name in enumerate("RGB")}


def to_flow_pair(passes: Passes, c2w: Matrix) -> dict[str, Any]:
    """Blender's vectors are (previous - current, current - next), y up; ours point to t + 1 and t - 1, y down.

    The background is overwritten: 5.2 leaves vectors there that are up to a pixel off.
    """
    vector = np.where(background(passes)[..., None], np.float32(0), get_pass(passes, "Vector"))
    # Adding zero turns -0.0 into 0.0.
    return {
        "R": 0.0 - vector[..., 2],
        "G": vector[..., 3] + 0.0,
        "B": vector[..., 0] + 0.0,
        "A": 0.0 - vector[..., 1],
    }


def to_instance_ids(passes: Passes, c2w: Matrix) -> dict[str, Any]:
    """Blender's ids are floats that hold whole numbers."""
    ids = get_pass(passes, "Object Index", "IndexOB")[..., 0]
    whole = np.rint(ids)
    if np.any(whole != ids):
        raise DataError("Blender's object ids are not whole numbers")
    return {"Y": whole.astype(np.uint32)}


PASSES = {
    "depths": RenderPass(("use_pass_z",), to_planar_depth),
    "normals": RenderPass(("use_pass_normal", "use_pass_z"), to_camera_normals),
    "segmentations": RenderPass(("use_pass_object_index",), to_instance_ids),
    "flows": RenderPass(("use_pass_vector", "use_pass_z"), to_flow_pair),
}
"""Kind of ground truth (a field of RenderConfig) -> how it is made."""
