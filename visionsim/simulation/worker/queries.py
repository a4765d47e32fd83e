"""What a script may ask of the open scene. `Service.perform` calls one of these; none of them changes the scene.

Each takes the scene and the service, then what the script gave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

from visionsim.simulation.worker import audit, camera, editing, motion, unlit

if TYPE_CHECKING:
    from visionsim.simulation.worker.service import Service


def camera_at(scene: Any, service: Service, frame: int) -> dict[str, Any]:
    """The active camera at a (stretched) frame, as `worker.camera.describe` gives it."""
    scene.frame_set(frame)
    evaluated = scene.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return camera.describe(evaluated, evaluated.camera)


def bounds(scene: Any, service: Service, frame: int) -> list[list[float]] | None:
    """Lowest and highest corner of all that renders at a (stretched) frame, in world space; None if nothing does."""
    motion.show_in_viewport(scene)
    scene.frame_set(frame)
    corners = [
        np.array(instance.object.bound_box) @ np.array(instance.matrix_world)[:3, :3].T
        + np.array(instance.matrix_world)[:3, 3]
        for instance in bpy.context.evaluated_depsgraph_get().object_instances
        if instance.show_self and instance.object.original in service.numbers
    ]
    if not corners:
        return None
    points = np.concatenate(corners)
    return [points.min(axis=0).tolist(), points.max(axis=0).tolist()]


def missing(scene: Any, service: Service) -> list[str]:
    """What pictures lack, one sentence each."""
    return audit.missing(scene, service.contained, autoexec=service.settings["autoexec"])


def about_range(scene: Any, service: Service) -> dict[str, Any]:
    """The authored animation: first and last frame, inclusive, and frames per second."""
    return {
        "start": scene.frame_start,
        "end": scene.frame_end,
        "fps": scene.render.fps / scene.render.fps_base,
        "digest": service.digest,
    }


def save(scene: Any, service: Service, path: str) -> None:
    """Write the scene as it is now into a .blend; what is open stays open."""
    with unlit.taken_out():
        bpy.ops.wm.save_as_mainfile(filepath=path, copy=True, check_existing=False)


def call(scene: Any, service: Service, **arguments: Any) -> Any:
    """As `editing.call`, of a function that changes nothing."""
    return editing.call(scene, service.scratch, **arguments)
