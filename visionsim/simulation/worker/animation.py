"""What moves: holding the scene still, freeing the camera, and what a stretched timeline cannot slow down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy

from visionsim.simulation.worker import compat


def animated_ids() -> Iterator[Any]:
    """Every data-block that has animation data, node trees and shape keys included."""
    for name in dir(bpy.data):
        blocks = getattr(bpy.data, name)
        if not isinstance(blocks, bpy.types.bpy_prop_collection):
            continue
        for block in blocks:
            if not isinstance(block, bpy.types.ID):
                break
            for owner in (block, getattr(block, "node_tree", None)):
                if owner is not None and getattr(owner, "animation_data", None) is not None:
                    yield owner


def freeze_all_but_camera(scene: Any) -> None:
    """Stop every animation but that of the camera and of what carries it, as at the first frame."""
    scene.frame_set(scene.frame_start)
    moving = set()
    for camera in [scene.camera, *(marker.camera for marker in scene.timeline_markers)]:
        link = camera
        while link is not None and link not in moving:
            moving.update({link, *([link.data] if link.data is not None else [])})
            moving.update(c.target for c in link.constraints if getattr(c, "target", None) is not None)
            link = link.parent
    for owner in animated_ids():
        if owner in moving:
            continue
        data = owner.animation_data
        for curve in (*compat.fcurves(data), *data.drivers):
            curve.mute = True
        for track in data.nla_tracks:
            track.mute = True


def unbind_camera(scene: Any) -> None:
    """Free the camera of parents, constraints and animation; it stays where it is at the first frame."""
    scene.frame_set(scene.frame_start)
    camera = scene.camera
    c2w = camera.matrix_world.copy()
    camera.animation_data_clear()
    camera.constraints.clear()
    camera.parent = None
    camera.matrix_world = c2w


def not_slowed(stretch: float) -> list[str]:
    """What time remapping by `stretch` leaves at its old speed or gets wrong, one sentence for each.

    Measured with 4.2 and 5.0: drivers that read the frame as a property, cloth and soft bodies, rigid bodies
    unless the factor is whole, particles below 1, image sequences and movies.
    """
    found: list[str] = []
    if stretch == 1:
        return found
    for owner in animated_ids():
        for driver in owner.animation_data.drivers:
            paths = [t.data_path for v in driver.driver.variables for t in v.targets]
            if any("frame_current" in path for path in paths):
                found.append(f"a driver of {owner.name_full!r} reads the scene's current frame: it will not slow down")
                break
    for obj in bpy.data.objects:
        kinds = {modifier.type for modifier in obj.modifiers}
        for kind, word in (("CLOTH", "cloth"), ("SOFT_BODY", "soft body"), ("DYNAMIC_PAINT", "dynamic paint")):
            if kind in kinds:
                found.append(f"{obj.name_full!r} has a {word} simulation: it will move wrongly unless it is baked")
        if obj.rigid_body is not None and obj.rigid_body.type == "ACTIVE" and stretch != int(stretch):
            found.append(f"{obj.name_full!r} is a rigid body: it will move wrongly with a factor that is not whole")
        if "PARTICLE_SYSTEM" in kinds and stretch < 1:
            found.append(f"{obj.name_full!r} has particles: they will move wrongly with a factor below 1")
    moving = [image for image in bpy.data.images if image.source in ("SEQUENCE", "MOVIE")]
    found += [f"image {image.name_full!r} is a {image.source.lower()}: it will not slow down" for image in moving]
    return found
