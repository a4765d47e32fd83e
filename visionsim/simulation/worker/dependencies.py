"""What a data-block depends on, and whether anything in a scene depends on time."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import bpy

from visionsim.simulation.worker import animation, change, compat, displacement

NO_SHAPE = (
    bpy.types.Collection,
    bpy.types.Material,
    bpy.types.ParticleSettings,
    bpy.types.Scene,
    bpy.types.World,
)
"""Data-blocks that objects refer to, but not for their place or shape. A driver may read them all the same."""

TELLS_TIME = re.compile(r"\bframe|\bnoise\b")
"""In a driver's variable or expression: something that differs from frame to frame by itself."""

TIMELESS_MODIFIERS = change.RIGID_MODIFIERS | {
    "ARMATURE",
    "BOOLEAN",
    "CAST",
    "COLLISION",
    "CORRECTIVE_SMOOTH",
    "CURVE",
    "DATA_TRANSFER",
    "DISPLACE",
    "HOOK",
    "LAPLACIANDEFORM",
    "LAPLACIANSMOOTH",
    "LATTICE",
    "MASK",
    "MESH_DEFORM",
    "NODES",
    "NORMAL_EDIT",
    "OCEAN",
    "SCREW",
    "SHRINKWRAP",
    "SIMPLE_DEFORM",
    "SKIN",
    "SMOOTH",
    "SURFACE_DEFORM",
    "UV_PROJECT",
    "UV_WARP",
    "VERTEX_WEIGHT_EDIT",
    "VERTEX_WEIGHT_MIX",
    "VERTEX_WEIGHT_PROXIMITY",
    "WARP",
}
"""Modifiers that change nothing from frame to frame unless something else does; of NODES the nodes are looked at."""

TIMED_CONSTRAINTS = {"CAMERA_SOLVER", "FOLLOW_TRACK", "OBJECT_SOLVER", "TRANSFORM_CACHE"}
"""Constraints that move an object by a movie or a cache file."""


def deciders(blocks: Iterable[Any]) -> set[Any]:
    """All data-blocks whose animation may decide the place and shape of some blocks, these included.

    Blender itself lists the references: parents, targets of constraints and of bones' constraints, modifiers with
    their node groups, data with their shape keys. The targets of drivers are added, whatever they are.
    """
    refers = defaultdict(list)
    for block, users in bpy.data.user_map().items():
        for user in users:
            refers[user].append(block)
    found: set[Any] = set()
    stack = list(blocks)
    while stack:
        block = stack.pop()
        if block in found:
            continue
        found.add(block)
        stack += driven_by(block)
        shown = getattr(block, "instance_collection", None)  # What an object shows does not move it.
        for other in refers[block] if not isinstance(block, NO_SHAPE) else ():
            through_nodes = isinstance(other, bpy.types.Collection) and other != shown
            if through_nodes or not isinstance(other, NO_SHAPE):
                stack.append(other)
            if through_nodes:
                stack += other.all_objects
    return found


def driven_by(block: Any) -> Iterator[Any]:
    """The data-blocks that the drivers of a block and of its node tree read."""
    for driver in drivers_of(block):
        for variable in driver.variables:
            if variable.type == "CONTEXT_PROP":
                yield bpy.context.scene
            yield from (target.id for target in variable.targets if target.id is not None)


def drivers_of(block: Any) -> Iterator[Any]:
    for owner in (block, getattr(block, "node_tree", None)):
        data = getattr(owner, "animation_data", None)
        if data is not None:
            yield from (curve.driver for curve in data.drivers if not curve.mute)


def nothing_moves(scene: Any) -> bool:
    """Whether all frames of a scene are certainly the same picture.

    Something has to depend on time by itself: keys, NLA strips, drivers that read the frame number, scripts, images and
    files with a state for each frame, simulations. Whatever only follows others does not count.
    """
    world = scene.rigidbody_world
    if change.has_handlers() or (world is not None and world.enabled) or any(m.camera for m in scene.timeline_markers):
        return False
    if animation.simulations(scene) or animation.moving_images(scene) or animation.compositor_clocks(scene):
        return False
    if any(is_timed(block, owner) for block, owner in animation.animated_ids()):
        return False
    return not any(map(tells_time, change.objects_of(scene)))


def is_timed(block: Any, owner: Any) -> bool:
    """Whether keys, strips or drivers change a data-block over time by themselves."""
    if not (isinstance(block, bpy.types.Scene) or animation.is_used(block)):
        return False
    data = owner.animation_data
    if any(not track.mute and len(track.strips) for track in data.nla_tracks):
        return True
    if any(not (curve.mute or displacement.is_constant(curve)) for curve in compat.fcurves(data)):
        return True
    return any(reads_time(curve.driver) for curve in data.drivers if not curve.mute)


def reads_time(driver: Any) -> bool:
    """Whether a driver's value may differ between frames though none of the values that it reads does."""
    sources = [target.data_path for variable in driver.variables for target in variable.targets]
    if driver.type == "SCRIPTED":
        if not driver.is_simple_expression:
            return True
        sources.append(driver.expression)
    return any(map(TELLS_TIME.search, sources))


def tells_time(obj: Any) -> bool:
    """Whether modifiers, constraints or data of an object show something else in each frame by themselves."""
    bones = obj.pose.bones if obj.pose is not None else ()
    constraints = [*obj.constraints, *(constraint for bone in bones for constraint in bone.constraints)]
    if any(constraint.type in TIMED_CONSTRAINTS for constraint in constraints):
        return True
    if any(modifier.type not in TIMELESS_MODIFIERS | {"PARTICLE_SYSTEM"} for modifier in obj.modifiers):
        return True  # Particles that are simulated count as simulations; still hair does not.
    if obj.type == "VOLUME" and obj.data.is_sequence:
        return True
    trees = [modifier.node_group for modifier in obj.modifiers if modifier.type == "NODES"]
    return any(
        node.bl_idname in change.TIME_NODES or node.bl_idname.startswith("GeometryNodeImport")
        for tree in trees
        for part in change.node_trees(tree)
        for node in part.nodes
    )
