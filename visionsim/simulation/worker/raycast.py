"""Rays into an open scene, by Blender's own `scene.ray_cast`: what `visionsim verify --deep` compares pixels with.

The rays go into the scene as the renderer is given it, with the render's modifiers and visibility: the engine's render
function is replaced for one render, which casts rays instead. What rays cannot be compared with is said, not hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from visionsim.cameras import CameraModel, c2w_from_blender, camera_from_blender
from visionsim.simulation.worker import camera, displacement
from visionsim.simulation.worker.fault import WorkerFault

UNTOUCHED = {"CURVES": "hair", "HAIR": "hair", "POINTCLOUD": "points", "VOLUME": "volume"}
"""Types of objects that are seen but that `ray_cast` does not hit."""

SEE_THROUGH = {"BSDF_TRANSPARENT", "HOLDOUT", "VOLUME_ABSORPTION", "VOLUME_SCATTER", "PRINCIPLED_VOLUME"}
"""Types of nodes that may let a ray pass on."""

MOST_STEPS = 64
"""Surfaces that a ray may pass through before it is given up."""

BEHIND = 1e-3
"""Relative distance within which a second surface is told as well: surfaces that touch are seen in either order."""


def cast(scene: Any, frame: int, pixels: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Cast a ray through each of some pixel positions (x, y) at a frame.

    Returns:
        `camera`: as `worker.camera.describe` says it. `hits`: for each pixel the surfaces that it may show, first the
        one that was hit: [object's name, depth of the camera's kind, cosine of the angle between ray and normal]; empty
        if nothing was hit. `uncertain`: object's name -> what lets rays see it otherwise than the renderer does.
    """
    import cycles.engine as engine

    scene.frame_set(frame)
    result: dict[str, Any] = {}

    def instead(this_engine: Any, depsgraph: Any) -> None:
        result.update(cast_into(depsgraph, pixels))

    render, compositing = engine.render, scene.render.use_compositing
    engine.render, scene.render.use_compositing = instead, False
    try:
        bpy.ops.render.render()
    finally:
        engine.render, scene.render.use_compositing = render, compositing
    if not result:
        raise WorkerFault("frame", "Blender did not begin to render, so no rays could be cast")
    return result


def cast_into(depsgraph: Any, pixels: Sequence[Sequence[float]]) -> dict[str, Any]:
    described = camera.describe(depsgraph.scene_eval, depsgraph.scene_eval.camera)
    model, c2w = camera_from_blender(described), c2w_from_blender(described["matrix_world"])
    shown = {
        (copy.object.original.name_full, rows_of(copy.matrix_world))
        for copy in depsgraph.object_instances
        if copy.show_self
    }
    doubts = {obj.name_full: doubt for obj in bpy.data.objects if (doubt := why_uncertain(obj)) is not None}
    x, y = np.array(pixels, float).reshape(-1, 2).T
    # Cycles clips at depths of the camera's own kind.
    starts, ends = (
        model.unproject(x, y, described[name]) @ c2w[:3, :3].T + c2w[:3, 3] for name in ("clip_start", "clip_end")
    )
    hits = [
        along(depsgraph, start, end, model, c2w, shown) if np.isfinite(start).all() else []
        for start, end in zip(starts, ends, strict=True)
    ]
    return {"camera": described, "hits": hits, "uncertain": doubts}


def rows_of(matrix: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix)


def along(depsgraph: Any, start: Any, end: Any, model: CameraModel, c2w: Any, shown: set[Any]) -> list[list[Any]]:
    """The surface that a ray from `start` to `end` hits first, and those right behind it.

    `shown`: names and matrices (rows) of what is rendered. Rays also hit what only its copies show.
    """
    direction = end - start
    reach = float(np.linalg.norm(direction))
    direction = direction / reach
    found: list[list[Any]] = []
    gone = 0.0
    for _ in range(MOST_STEPS):
        if gone >= reach:
            break
        origin = start + direction * gone
        hit, location, normal, _, obj, matrix = depsgraph.scene.ray_cast(
            depsgraph, Vector(origin), Vector(direction), distance=reach - gone
        )
        if not hit:
            break
        far = float((np.array(location) - start) @ direction)
        depth = float(model.depth((np.array(location) - c2w[:3, 3]) @ c2w[:3, :3]))
        if found and depth > found[0][1] * (1 + BEHIND):
            break
        name = obj.original.name_full if obj.original is not None else obj.name_full
        if (name, rows_of(matrix)) in shown and getattr(obj.original, "visible_camera", True):
            found.append([name, depth, abs(float(np.array(normal) @ direction))])
        # Not the same surface once more.
        gone = max(far, gone) + 1e-5 * max(abs(depth), 1e-3)
    return found


def why_uncertain(obj: Any) -> str | None:
    """What lets rays see an object otherwise than the renderer does; None if nothing does."""
    if obj.type in UNTOUCHED:
        return UNTOUCHED[obj.type]
    if any(system.settings.type == "HAIR" for system in obj.particle_systems):
        return "hair"
    if getattr(obj, "is_holdout", False) or getattr(obj, "is_shadow_catcher", False):
        return "holdout"
    for slot in obj.material_slots:
        tree = slot.material.node_tree if slot.material is not None else None
        if tree is not None and displacement.displaces(tree):
            return "displacement"
        if tree is not None and lets_through(tree):
            return "transparency"
    return None


def lets_through(tree: Any) -> bool:
    """Whether a material's node tree may let rays pass, in groups too."""
    for node in tree.nodes:
        if node.type in SEE_THROUGH:
            return True
        alpha = node.inputs.get("Alpha") if node.type == "BSDF_PRINCIPLED" else None
        if alpha is not None and (alpha.is_linked or alpha.default_value < 1.0):
            return True
        if node.type == "GROUP" and node.node_tree is not None and lets_through(node.node_tree):
            return True
    return False
