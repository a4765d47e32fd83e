"""Whether an object's surface may change from frame to frame: asked by flow, labels and persistent data alike.

The answers come from the file alone, before anything is evaluated, and whatever is not known to stay as it is counts
as changing. `worker.follow` looks at the evaluated surfaces of neighbouring frames: whether Blender can follow them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import bpy

from visionsim.simulation.worker import compat, displacement

RIGID_MODIFIERS = {
    "ARRAY",
    "BEVEL",
    "DECIMATE",
    "EDGE_SPLIT",
    "MIRROR",
    "MULTIRES",
    "REMESH",
    "SOLIDIFY",
    "SUBSURF",
    "TRIANGULATE",
    "WEIGHTED_NORMAL",
    "WELD",
    "WIREFRAME",
}
"""Modifiers whose result depends on nothing but the mesh and their own settings, unless they refer to an object."""

ATTRIBUTE_MODIFIERS = {
    "DATA_TRANSFER",
    "DYNAMIC_PAINT",
    "FLUID",
    "MESH_SEQUENCE_CACHE",
    "OCEAN",
    "UV_PROJECT",
    "UV_WARP",
}
"""Modifiers that may give the surface other attributes or texture coordinates in each frame."""

POSE_PROPERTIES = ("location", "rotation", "scale", "matrix", "bound_box", "dimensions", "camera")
"""Beginnings of the properties of an object, or by way of the scene of its camera, that follow from where it is."""

REPORTED = {"attribute", "images", "keys", "layer", "shape"}
"""Kinds of `displacement.Input` whose change Blender reports to Cycles, which then displaces anew.

Measured with 3.4.1, 4.2.23, 4.5.15 and 5.2.3 by comparing pictures with and without persistent data. Adaptive
subdivision is up to date as well.
"""


def is_animated(block: Any) -> bool:
    """Whether anything drives an ID's properties."""
    data = getattr(block, "animation_data", None)
    return data is not None and bool(data.action or data.drivers or data.nla_tracks)


def animates_transform_only(obj: Any) -> bool:
    """Whether an object's own animation drives its location, rotation and scale and nothing else."""
    if obj.animation_data is None or obj.animation_data.nla_tracks:
        return False
    transform = ("location", "rotation", "scale", "delta_")
    return all(curve.data_path.startswith(transform) for curve in compat.curves_and_drivers(obj))


def varies(block: Any) -> bool:
    """Whether an ID's animation gives its properties other values at other times, as far as that is known."""
    data = block.animation_data
    return data is not None and bool(data.nla_tracks or displacement.changing_paths(block))


def may_move(obj: Any, animated: Callable[[Any], bool] = is_animated) -> bool:
    """Whether an object's matrix may differ from frame to frame; `animated` tells what animation counts."""
    while obj is not None:
        if animated(obj) or obj.constraints or obj.rigid_body is not None:
            return True
        if obj.parent is not None and (obj.parent_type != "OBJECT" or obj.parent.type == "CURVE"):
            return True  # A bone, a vertex or the path of the parent may move though the parent does not.
        obj = obj.parent
    return False


def kind(obj: Any) -> str:
    """How an object may move during the animation, in the words of transforms.json."""
    world = bpy.context.scene.rigidbody_world
    if has_handlers() or (world is not None and world.enabled):
        return "deforming"
    if why_changing(obj) is not None:
        return "deforming"
    return "rigid" if may_move(obj, varies) else "static"


def has_handlers() -> bool:
    """Whether a script changes the scene at every frame."""
    return bool(bpy.app.handlers.frame_change_pre or bpy.app.handlers.frame_change_post)


def why_changing(obj: Any, asking: frozenset[Any] = frozenset()) -> str | None:
    """What may change an object's shape from frame to frame, or None if nothing can.

    `asking` are the objects whose answer depends on this one: of those nothing is said twice.
    """
    if obj in asking:
        return None
    return why_deforming(obj, asking | {obj}) or why_displaced_anew(obj, asking | {obj})


def why_deforming(obj: Any, asking: frozenset[Any]) -> str | None:
    """What may change the geometry that Blender evaluates, that is without the displacement of materials."""
    if obj.type == "META":
        return "is a metaball"
    if obj.particle_systems:
        return "has particles"
    if obj.parent is not None and obj.parent_type in ("ARMATURE", "LATTICE"):
        return "is deformed by its parent"
    if any(getattr(obj.data, name, None) is not None for name in ("bevel_object", "taper_object", "follow_curve")):
        return "is shaped by another curve"
    surface = getattr(obj.data, "surface", None) if obj.type in ("CURVES", "HAIR") else None
    if surface is not None and moves_hair(surface, obj, asking):
        return f"is hair on {surface.name_full!r}, which may move or deform"
    for modifier in obj.modifiers:
        if modifier.type == "NODES":
            reason = why_nodes_vary(modifier, asking)
            if reason is not None:
                return f"has the geometry nodes {modifier.name!r}, which {reason}"
            continue
        if modifier.type not in RIGID_MODIFIERS or refers(modifier):
            return f"has the modifier {modifier.name!r} ({modifier.type.lower()})"
    if obj.modifiers and is_animated(obj) and not animates_transform_only(obj):
        return "has modifiers and animated settings"
    if obj.data is not None and is_animated(obj.data):
        return "has animated geometry"
    keys = getattr(obj.data, "shape_keys", None)
    if keys is not None and is_animated(keys):
        return "has animated shape keys"
    return None


def refers(modifier: Any) -> bool:
    """Whether a modifier refers to other data, an object for example."""
    pointers = [prop.identifier for prop in modifier.bl_rna.properties if prop.type == "POINTER"]
    return any(isinstance(getattr(modifier, name), bpy.types.ID) for name in pointers)


def moves_hair(surface: Any, hair: Any, asking: frozenset[Any]) -> bool:
    """Whether the surface that hair grows on may deform, or move while the hair's own matrix does not follow."""
    if why_changing(surface, asking) is not None:
        return True
    carried = hair.parent == surface and hair.parent_type == "OBJECT"
    carried = carried and not (is_animated(hair) or hair.constraints or hair.rigid_body is not None)
    return not carried and (may_move(surface) or may_move(hair))


TIME_NODES = {
    "GeometryNodeApplySimulatedData",
    "GeometryNodeBake",
    "GeometryNodeInputActiveCamera",
    "GeometryNodeInputSceneTime",
    "GeometryNodeIsViewport",
    "GeometryNodeSampleSoundFrequencies",
    "GeometryNodeSelfObject",
    "GeometryNodeSimulationInput",
    "GeometryNodeSimulationOutput",
    "GeometryNodeViewportTransform",
    "GeometryNodeXPBDSolver",
}
"""Geometry nodes whose result may differ from frame to frame, or from render to viewport, though no input does."""

REFERENCES = {"OBJECT", "COLLECTION", "IMAGE", "TEXTURE"}
"""Types of sockets through which geometry nodes look at other data."""


def node_trees(tree: Any) -> Iterator[Any]:
    """A node tree and all groups within it, each once."""
    stack, seen = [tree], set()
    while stack:
        tree = stack.pop()
        if tree is None or tree in seen:
            continue
        seen.add(tree)
        yield tree
        stack += [node.node_tree for node in tree.nodes if getattr(node, "node_tree", None) is not None]


def why_nodes_vary(modifier: Any, asking: frozenset[Any] = frozenset()) -> str | None:
    """What may change the result of geometry nodes from frame to frame, or None if nothing can."""
    if modifier.node_group is None:
        return None
    if compat.takes_data(modifier.node_group, REFERENCES):
        return "look at other data"
    for tree in node_trees(modifier.node_group):
        if is_animated(tree):
            return "are animated"
        for node in tree.nodes:
            if node.bl_idname in TIME_NODES or node.bl_idname.startswith("GeometryNodeImport"):
                return f"have the node {node.name!r}"
            relative = getattr(node, "transform_space", "ORIGINAL") == "RELATIVE" and may_move(modifier.id_data)
            for socket in node.inputs:
                if socket.type in REFERENCES and may_refer_to_change(socket, asking, relative=relative):
                    return f"look at other data in the node {node.name!r}"
    return None


def may_refer_to_change(socket: Any, asking: frozenset[Any], *, relative: bool) -> bool:
    """Whether the target of a reference socket may move or deform; a linked one may name anything.

    With `relative`, the node sees the target from an object that may move itself.
    """
    if socket.is_linked:
        return True
    target = socket.default_value
    if socket.type == "OBJECT":
        parts = [target] if target is not None else []
    elif socket.type == "COLLECTION":
        parts = list(target.all_objects) if target is not None else []
    else:
        return target is not None
    return any(relative or may_move(part) or why_changing(part, asking) is not None for part in parts)


def materials_of(obj: Any) -> Iterator[Any]:
    """Every material that the surface of an object may have: also those that geometry nodes assign."""
    for slot in obj.material_slots:
        if slot.material is not None:
            yield slot.material
    for modifier in obj.modifiers:
        if modifier.type != "NODES" or modifier.node_group is None:
            continue
        if compat.takes_data(modifier.node_group, {"MATERIAL"}):
            yield from bpy.data.materials
        for tree in node_trees(modifier.node_group):
            for node in tree.nodes:
                named = [getattr(node, "material", None)]
                named += [socket.default_value for socket in node.inputs if socket.type == "MATERIAL"]
                yield from (material for material in named if material is not None)


def why_displaced_anew(obj: Any, asking: frozenset[Any] = frozenset()) -> str | None:
    """What may change the displacement of an object's materials from frame to frame, or None if nothing can."""
    return next((reason for reason, _ in changing_displacements(obj, asking)), None)


def changing_displacements(obj: Any, asking: frozenset[Any] = frozenset()) -> Iterator[tuple[str, str]]:
    """Reason and kind (of `displacement.Input`) of each thing that may change how an object is displaced."""
    for material in materials_of(obj):
        if displacement.moves_surface(material):
            for needed in displacement.inputs_of(material):
                if may_change(needed, obj, asking):
                    yield f"has the material {material.name_full!r}, which displaces {needed.words}", needed.kind


def may_change(needed: displacement.Input, obj: Any, asking: frozenset[Any]) -> bool:
    """Whether something that an object's displacement depends on may differ from frame to frame."""
    if needed.kind in ("keys", "images", "frame"):
        return True
    if needed.kind == "shape":
        return why_deforming(obj, asking) is not None
    if needed.kind == "attribute":
        return any(map(makes_attributes, obj.modifiers)) and why_deforming(obj, asking) is not None
    scene = bpy.context.scene
    instancers = [other for other in bpy.data.objects if makes_copies(other)]
    if needed.kind in ("property", "layer"):
        cameras = [scene.camera, scene.camera.data] if scene.camera is not None else []
        owners = [obj, obj.data, *instancers] if needed.kind == "property" else [scene, scene.world, *cameras]
        paths = [path for owner in owners if owner is not None for path in displacement.changing_paths(owner)]
        if any(needed.target in path or path in needed.target for path in paths):
            return True
        if not needed.target.startswith(POSE_PROPERTIES):
            return False
    others = [needed.target] if needed.kind == "object" else []
    if needed.kind == "camera":
        others += [scene.camera, *(marker.camera for marker in scene.timeline_markers)]
    return any(other is not None and may_move(other) for other in (obj, *instancers, *others))


def makes_attributes(modifier: Any) -> bool:
    """Whether a modifier may give the mesh attributes or texture coordinates that are others in each frame."""
    if modifier.type != "NODES":
        return modifier.type in ATTRIBUTE_MODIFIERS
    for tree in node_trees(modifier.node_group):
        for node in tree.nodes:
            if node.bl_idname == "GeometryNodeStoreNamedAttribute":
                return True
            if node.bl_idname == "NodeGroupOutput" and any(
                socket.is_linked and socket.type != "GEOMETRY" for socket in node.inputs
            ):
                return True
    return False


def objects_of(scene: Any) -> set[Any]:
    """The scene's objects and all that they bring in as instances."""
    found: set[Any] = set()
    stack = list(scene.objects)
    while scene.background_set is not None:
        scene = scene.background_set
        stack += scene.objects
    while stack:
        obj = stack.pop()
        if obj not in found:
            found.add(obj)
            if obj.instance_collection is not None:
                stack.extend(obj.instance_collection.all_objects)
    return found


def makes_copies(obj: Any) -> bool:
    """Whether an object instances others, or its own geometry."""
    return obj.instance_type != "NONE" or any(modifier.type == "NODES" for modifier in obj.modifiers)


def copied_by(obj: Any) -> list[Any]:
    """What an object instances by itself, not by geometry nodes."""
    if obj.instance_type == "COLLECTION":
        return list(obj.instance_collection.all_objects) if obj.instance_collection else []
    return list(obj.children) if obj.instance_type in ("VERTS", "FACES") else []


def unseen_changes(scene: Any) -> list[str]:
    """What moves surfaces without Blender's telling Cycles, whose persistent data would keep the old geometry."""
    return sorted(
        f"{obj.name_full!r} {reason}"
        for obj in objects_of(scene)
        for reason, how in changing_displacements(obj)
        if how not in REPORTED
    )
