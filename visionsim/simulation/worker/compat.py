"""Differences between Blender versions, from 3.4 to 5.2; no other file looks at the version.

Facts were measured with the bpy wheels 4.2.23, 4.5.15, 5.0.1 and 5.2.3 and Debian's Blender 3.4.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import bpy

VERSION: tuple[int, int, int] = tuple(bpy.app.version)


def version_text() -> str:
    """Version and build, such as `5.2.3 LTS e13b728c6880`; two builds of one version may differ in bits."""
    return f"{bpy.app.version_string} {bpy.app.build_hash.decode()}".strip()


def passes_leave_in_memory() -> bool:
    """Whether a render engine's passes can be read from Python while it runs.

    Before 4.2 a pass's `rect` cannot be copied flat (3.4: `foreach_get` refuses it); a multilayer file does it.
    """
    return VERSION >= (4, 2, 0)


def still_image(image_settings: Any, file_format: str) -> None:
    """Select a single-image file format; 5.0 put a media type before it."""
    if hasattr(image_settings, "media_type"):
        image_settings.media_type = "MULTI_LAYER_IMAGE" if file_format == "OPEN_EXR_MULTILAYER" else "IMAGE"
    image_settings.file_format = file_format


def fcurves(user: Any) -> Iterator[Any]:
    """All F-curves of an action that are its user's own; the user is an ID's animation data or an NLA strip.

    Since 4.4 an object and its data may share an action, each with a slot of its own; `action.fcurves`, which is there
    until 4.5, knows the first slot only.
    """
    action = user.action
    if action is None:
        return
    if not hasattr(user, "action_slot"):
        yield from action.fcurves
        return
    for layer in action.layers:
        for strip in layer.strips:
            for bag in strip.channelbags:
                if bag.slot == user.action_slot:
                    yield from bag.fcurves


def strip_fcurves(strips: Any) -> Iterator[Any]:
    """All F-curves of NLA strips, and of those within meta strips."""
    for strip in strips:
        yield from fcurves(strip)
        yield from strip_fcurves(getattr(strip, "strips", ()))


def curves_and_drivers(block: Any) -> list[Any]:
    """What drives an ID's properties by F-curve, NLA strip or driver; each has a `data_path` and can be muted."""
    data = getattr(block, "animation_data", None)
    if data is None:
        return []
    return [
        *fcurves(data),
        *(curve for track in data.nla_tracks for curve in strip_fcurves(track.strips)),
        *data.drivers,
    ]


def compositor_tree(scene: Any) -> Any | None:
    """The compositor's node tree, if the scene has one in use; it moved in 5.0."""
    if hasattr(scene, "compositing_node_group"):
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def is_missing(block: Any) -> bool:
    """Whether a linked data-block is not in its library; 3.4 does not tell."""
    return bool(getattr(block, "is_missing", False))


def compositor_trees() -> list[Any]:
    """Every compositor tree of the file, node groups included; since 5.0 all of them are node groups."""
    trees = [scene.node_tree for scene in bpy.data.scenes if not hasattr(scene, "compositing_node_group")]
    groups = [group for group in bpy.data.node_groups if group.type == "COMPOSITING"]
    return [tree for tree in [*trees, *groups] if tree is not None]


def panorama_settings(camera_data: Any) -> Any:
    """What has `panorama_type` and its settings: Cycles' own block before Blender took them over (3.4: not yet)."""
    return camera_data if hasattr(camera_data, "panorama_type") else camera_data.cycles


def vector_pass_is_wrong(camera_type: str, animated: Collection[str]) -> str | None:
    """What is wrong with the vectors that a camera of this type gives, and what helps; None if they are right.

    `camera_type` is Blender's type of camera or of panorama; `animated` are properties of the camera's data that change
    during the animation, but for its pose. Cycles takes the neighbouring frames' poses into account, and a perspective
    camera's field of view; nothing else. Measured with a closed-form scene about 96 pixels wide: orthographic cameras
    are up to 266 px off in 4.5 and 5.0 (between 4.2 and 5.2 no other version was tried, so none is trusted), fisheyes
    2 px and an animated lens 2.5 px before 4.5; an animated shift, orthographic scale or fisheye's field of view 2 to
    3 px in every version; all else at most 1e-3 px.
    """
    here = f"in Blender {bpy.app.version_string}"
    if camera_type == "ORTHO" and (4, 3, 0) <= VERSION < (5, 2, 0):
        return f"is wrong for orthographic cameras {here}; use Blender 5.2 or later, or 4.2"
    if camera_type.startswith("FISHEYE") and VERSION < (4, 5, 0):
        return f"is wrong for fisheye cameras {here}; use Blender 4.5 or later"
    others = set(animated) - ({"lens", "angle"} if camera_type == "PERSP" else set())
    if others:
        return f"does not know of the camera's animated {', '.join(sorted(others))}; keep it still"
    if animated and VERSION < (4, 5, 0):
        return f"is wrong for an animated lens {here}; use Blender 4.5 or later"
    return None


def vector_pass_may_crash() -> bool:
    """Whether switching the vector pass on between two renders may crash Blender while data are persistent.

    5.0.1 did, with static geometry; 4.2, 4.5 and 5.2 never did. Between 5.0 and 5.2 nothing was tried.
    """
    return (5, 0, 0) <= VERSION < (5, 2, 0)


def sequencer_strips(scene: Any) -> Any:
    """The strips of the scene's video sequencer; they were called sequences before 5.0."""
    editor = scene.sequence_editor
    if editor is None:
        return ()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def can_denoise() -> bool:
    """Whether Cycles was built with a denoiser; Debian's 3.4.1 was not, and fails when it should use one."""
    import _cycles

    return bool(_cycles.with_openimagedenoise)


def default_surface() -> Any:
    """A material that looks as a surface without one: the Principled BSDF since 5.0, a grey diffuse one before.

    Cycles' pictures are the same to the bit with 4.2, 4.5, 5.0 and 5.2 (tests/render/test_instances.py).
    """
    material = bpy.data.materials.new("default surface")
    tree = surface_tree(material)
    tree.nodes.clear()
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled" if VERSION >= (5, 0, 0) else "ShaderNodeBsdfDiffuse")
    if VERSION < (5, 0, 0):
        shader.inputs["Color"].default_value = (0.8, 0.8, 0.8, 1.0)
    tree.links.new(shader.outputs[0], tree.nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    return material


def used_node_tree(material: Any) -> Any | None:
    """A material's node tree, if it is what renders show; before 5.0 a material may have one and not use it."""
    return material.node_tree if VERSION >= (5, 0, 0) or material.use_nodes else None


def displaces_geometry(material: Any) -> bool:
    """Whether Cycles moves the surface by a material's displacement; the setting was its own before 4.1."""
    owner = material if hasattr(material, "displacement_method") else material.cycles
    return bool(owner.displacement_method != "BUMP")


def has_adaptive_subdivision(scene: Any, obj: Any) -> bool:
    """Whether Cycles divides an object's faces by their size in the picture; experimental before 5.0."""
    last = obj.modifiers[-1] if obj.modifiers else None
    if last is None or last.type != "SUBSURF" or not last.show_render:
        return False
    if hasattr(last, "use_adaptive_subdivision"):
        return bool(last.use_adaptive_subdivision)
    return scene.cycles.feature_set == "EXPERIMENTAL" and bool(obj.cycles.use_adaptive_subdivision)


def surface_tree(material: Any) -> Any:
    """A material's node tree; before 5.0 a material may have none, and is diffuse in its viewport colour then."""
    if VERSION < (5, 0, 0) and not material.use_nodes:
        colour = material.diffuse_color
        material.use_nodes = True
        tree = material.node_tree
        tree.nodes.clear()
        shader = tree.nodes.new("ShaderNodeBsdfDiffuse")
        shader.inputs["Color"].default_value = colour
        tree.links.new(shader.outputs[0], tree.nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    return material.node_tree


def name_aov(node: Any, name: str) -> None:
    """Which AOV a shader's AOV Output node writes; the property was renamed after 4.0."""
    setattr(node, "aov_name" if hasattr(node, "aov_name") else "name", name)


def new_group_output(group: Any, name: str, kind: str) -> None:
    """Give a node group an output; groups have had an interface since 4.0."""
    if hasattr(group, "interface"):
        group.interface.new_socket(name, in_out="OUTPUT", socket_type=kind)
    else:
        group.outputs.new(kind, name)


def takes_data(tree: Any, kinds: set[str]) -> bool:
    """Whether a node group has an input of one of these socket types; groups have had an interface since 4.0."""
    if hasattr(tree, "interface"):
        names = {f"NodeSocket{kind.title()}" for kind in kinds}
        items = [item for item in tree.interface.items_tree if item.item_type == "SOCKET" and item.in_out == "INPUT"]
        return any(item.socket_type in names for item in items)
    return any(socket.type in kinds for socket in tree.inputs)


def show_all_children(settings: Any) -> None:
    """Show as many child particles in the viewport as in a render; the viewport's number was renamed after 4.0."""
    name = "child_percent" if hasattr(settings, "child_percent") else "child_nbr"
    setattr(settings, name, settings.rendered_child_count)


def instances_have_ids(evaluated: Any) -> bool | None:
    """Whether the instances that geometry nodes make have an `id`; None before 4.5, where Python cannot look."""
    if not hasattr(evaluated, "evaluated_geometry"):
        return None
    stack = [evaluated.evaluated_geometry()]
    while stack:
        geometry = stack.pop()
        points = geometry.instances_pointcloud()
        if points is None:
            continue
        if len(points.points) > 1 and "id" not in points.attributes:
            return False
        stack += [part for part in geometry.instance_references() if hasattr(part, "instances_pointcloud")]
    return True
