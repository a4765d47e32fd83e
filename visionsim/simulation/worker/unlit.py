"""Ground truth without light: what a ray hits does not depend on it, and it is most of what ground truth would cost.

Where Cycles hits a surface it also computes which light falls on it and where that goes on, and no setting keeps it
from doing so. So surfaces get a switch, before the first render of a scene: with it they have no shader that light
could reach, and depth, normal, position and ids are all that is left. Bumpy ones get a stand-in then, which has their
normals and sends no light on. Off, Cycles folds away all that was added, and pictures stay what they were to the bit.
On, it is nothing that Cycles could know beforehand: the shader keeps all its nodes, and asks for the same attributes of
the mesh. If it did not, as with a constant switch, an override or another link, Cycles would build all geometry anew
for each render (`scripts/bench_frame.py`).

Only surfaces whose shaders decide nothing else that ground truth shows get one (`solid_shaders`), and only in scenes in
which no surface emits light: of those that do, Cycles would prepare all triangles anew with each change of any shader.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy
import numpy as np

from visionsim.simulation.worker import compat

SWITCH = "visionsim_unlit"
"""A custom property of the rendered view layer, and the beginning of the names of the node groups that read it."""

ON = 1e20
"""The factor is this times the distance to the camera or 1, and is clamped to 1; without the property it is 0."""

OPAQUE = frozenset(
    {
        *("BSDF_DIFFUSE", "BSDF_GLASS", "BSDF_GLOSSY", "BSDF_METALLIC", "BSDF_PRINCIPLED", "BSDF_REFRACTION"),
        *("BSDF_SHEEN", "BSDF_TOON", "BSDF_TRANSLUCENT", "BSDF_VELVET", "SUBSURFACE_SCATTERING"),
    }
)
"""Types of nodes that make a surface that every ray hits."""

COMBINING = frozenset({"MIX_SHADER", "ADD_SHADER", "REROUTE", "GROUP", "GROUP_INPUT"})
"""Types of nodes that make of other shaders what those make."""

HANDLERS = ("frame_change", "depsgraph_update", "render_", "composite_")
"""Beginnings of the names of `bpy.app.handlers` that could change materials between two renders."""


def only_lamps() -> bool:
    """Whether no surface emits light, as far as nodes tell.

    Then ground truth needs no tree of lights either. Where surfaces do, the tree is over all of their triangles: it
    takes longer to build it anew for the next picture than ground truth saves.
    """
    trees = [*bpy.data.node_groups, *(tree for tree in map(compat.used_node_tree, bpy.data.materials) if tree)]
    return not any(
        any(may_emit(node) for node in tree.nodes)
        or any(link.to_socket.type == "SHADER" != link.from_socket.type for link in tree.links)  # A colour glows.
        for tree in trees
    )


def may_emit(node: Any) -> bool:
    """Whether a surface with this node could emit light: emission, a script, or a Principled BSDF told to."""
    if node.type in ("EMISSION", "EEVEE_SPECULAR", "SCRIPT"):
        return True
    if node.type != "BSDF_PRINCIPLED":
        return False
    strength = node.inputs["Emission Strength"]
    color = next(node.inputs[name] for name in ("Emission Color", "Emission") if name in node.inputs)
    return all(
        socket.is_linked or np.any(value)
        for socket, value in ((strength, strength.default_value), (color, color.default_value[:3]))
    )


def solid_shaders(material: Any, output: Any) -> list[Any]:
    """The nodes that make a material's surface, if it is solid everywhere and always; none if it may not be."""
    if output.inputs["Volume"].is_linked or output.inputs["Displacement"].is_linked:
        return []
    links, seen, owners = list(output.inputs["Surface"].links), set(), [material, material.node_tree]
    while links:
        link = links.pop()
        node = link.from_node
        if link.is_muted or not link.is_valid or link.from_socket.type != "SHADER" or not is_solid(node):
            return []
        if node in seen:
            continue
        seen.add(node)
        ends = [node]
        if node.type == "GROUP":
            owners.append(node.node_tree)
            ends += [end for end in node.node_tree.nodes if end.type == "GROUP_OUTPUT"]
        links += [link for end in ends for socket in end.inputs if socket.type == "SHADER" for link in socket.links]
    if any(compat.curves_and_drivers(owner) for owner in owners):
        return []
    return [node for node in seen if node.type in OPAQUE]


def is_solid(node: Any) -> bool:
    """Whether a node makes a shader that every ray hits, if all that go into it do, and that has one normal."""
    if node.mute:
        return False
    if node.type in COMBINING:
        return node.type != "GROUP" or node.node_tree is not None
    alpha, thin = node.inputs.get("Alpha"), node.inputs.get("Thin Wall")
    return (
        node.type in OPAQUE
        and (alpha is None or not (alpha.is_linked or alpha.default_value < 1))
        and (thin is None or not (thin.is_linked or thin.default_value))  # 5.2: the other side's normals count as well.
        and has_one_normal(node)
    )


def has_one_normal(node: Any) -> bool:
    """Whether all of a shader has the normals of the mesh, or all of it those that its input `Normal` gives."""
    links = [link for socket in node.inputs if socket.name.endswith("Normal") for link in socket.links]
    return not links or (
        [link.to_socket.name for link in links] == ["Normal"]
        and links[0].is_valid
        and not links[0].is_muted
        and surely_shows_normals(node)
    )


def surely_shows_normals(node: Any) -> bool:
    """Whether a shader reflects something wherever it is: where it does not, Cycles has the normals of the mesh."""
    inputs = node.inputs
    if node.type != "BSDF_PRINCIPLED":
        color = inputs.get("Color") if node.type not in ("BSDF_SHEEN", "BSDF_VELVET") else None
        return color is not None and not color.is_linked and max(color.default_value[:3]) > 0.01
    coat, specular = (
        next(inputs[name] for name in names if name in inputs)
        for names in (("Coat Weight", "Clearcoat"), ("Specular IOR Level", "Specular"))
    )
    return (
        not (coat.is_linked or coat.default_value)  # It has the mesh's.
        and not (specular.is_linked or specular.default_value < 0.01)
        and not (inputs["IOR"].is_linked or inputs["IOR"].default_value < 1.01)
    )


def normals_from(node: Any) -> Any:
    """The socket that a shader has its normals from; None if they are the mesh's."""
    return next((link.from_socket for socket in node.inputs if socket.name == "Normal" for link in socket.links), None)


def install() -> str:
    """Give the switch to all materials that may have it, and have not yet; returns in words where light is left out."""
    if not only_lamps():
        return "nowhere: a surface may emit light"
    if any(getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers) if name.startswith(HANDLERS)):
        return "nowhere: a script or an add-on may change materials"
    materials = [material for material in bpy.data.materials if compat.used_node_tree(material)]
    plain = [material for material in materials if switch_of(material.node_tree) or add_switch(material)]
    found = f"on {len(plain)} of {len(materials)} materials"
    others = "; the others are see-through, displaced or animated, or their normals depend on what they reflect"
    return found + others * (len(plain) < len(materials))


def add_switch(material: Any) -> bool:
    """Give a material the switch, if it may have it; returns whether."""
    tree = material.node_tree
    output = tree.get_output_node("CYCLES")
    sources = {normals_from(node) for node in solid_shaders(material, output)} if output is not None else set()
    if len(sources) != 1:
        return False
    (normals,) = sources
    if normals is not None and normals.id_data != tree:  # In a group.
        return False
    # One node with two or three links: the more materials there are, the longer Blender takes for each change of a
    # tree, and longest for a node's name.
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree = switch_group(bent=normals is not None)
    tree.links.new(output.inputs["Surface"].links[0].from_socket, node.inputs[0])
    if normals is not None:
        tree.links.new(normals, node.inputs[1])
    tree.links.new(node.outputs[0], output.inputs["Surface"])
    return True


def switch_of(tree: Any) -> Any | None:
    """The node that is a tree's switch; None if it has none."""
    groups = (node for node in tree.nodes if node.type == "GROUP" and node.node_tree is not None)
    return next((node for node in groups if node.node_tree.name.startswith(SWITCH)), None)


def switch_group(*, bent: bool) -> Any:
    """The node group that passes a shader on unless the switch is on; if `bent`, it takes the shader's normals too."""
    name = f"{SWITCH}_bent" if bent else SWITCH
    if name in bpy.data.node_groups:
        return bpy.data.node_groups[name]
    tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
    compat.new_group_socket(tree, "INPUT", "Shader", "NodeSocketShader")
    if bent:
        compat.new_group_socket(tree, "INPUT", "Normal", "NodeSocketVector")
    compat.new_group_socket(tree, "OUTPUT", "Shader", "NodeSocketShader")
    given, result = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    mix, times, switch = (add(tree, kind) for kind in ("MixShader", "Math", "Attribute"))
    times.operation = "MULTIPLY"
    switch.attribute_type, switch.attribute_name = "VIEW_LAYER", SWITCH
    tree.links.new(switch.outputs["Fac"], times.inputs[0])
    tree.links.new(times.outputs[0], mix.inputs[0])
    tree.links.new(given.outputs[0], mix.inputs[1])
    tree.links.new(mix.outputs[0], result.inputs[0])
    if bent:
        geometry = add(tree, "NewGeometry")
        tree.links.new(left_unbent(tree, given.outputs[1], geometry), times.inputs[1])
        tree.links.new(stand_in(tree, given.outputs[1], geometry).outputs[0], mix.inputs[2])
    else:
        tree.links.new(add(tree, "CameraData").outputs["View Distance"], times.inputs[1])
    return tree


def left_unbent(tree: Any, normals: Any, geometry: Any) -> Any:
    """A socket that is 1 where all shaders leave normals as they are.

    Where they lean so far that a reflection would go below the surface, those that reflect bend them, and by how much
    depends on the shader. Cycles does if the reflection's cosine to the true normal is less than 0.01.
    """
    reflected, cosine, above = (add(tree, kind) for kind in ("VectorMath", "VectorMath", "Math"))
    reflected.operation, cosine.operation, above.operation = "REFLECT", "DOT_PRODUCT", "LESS_THAN"
    tree.links.new(geometry.outputs["Incoming"], reflected.inputs[0])
    tree.links.new(normals, reflected.inputs[1])
    tree.links.new(reflected.outputs["Vector"], cosine.inputs[0])
    tree.links.new(geometry.outputs["True Normal"], cosine.inputs[1])
    tree.links.new(cosine.outputs["Value"], above.inputs[0])
    above.inputs[1].default_value = -0.02  # `Incoming` points to the viewer, so that this is the way back.
    return above.outputs[0]


def stand_in(tree: Any, normals: Any, geometry: Any) -> Any:
    """A shader that has normals and ends each path: no ray can enter what has an index of refraction of nothing.

    On the back of a face Cycles takes the inverse.
    """
    node, index = add(tree, "BsdfRefraction"), add(tree, "Math")
    index.operation, index.inputs[1].default_value = "MULTIPLY", 1e9
    tree.links.new(geometry.outputs["Backfacing"], index.inputs[0])
    tree.links.new(index.outputs[0], node.inputs["IOR"])
    tree.links.new(normals, node.inputs["Normal"])
    node.inputs["Roughness"].default_value = 0
    return node


def add(tree: Any, kind: str) -> Any:
    """A new node."""
    return tree.nodes.new(f"ShaderNode{kind}")


@contextmanager
def taken_out() -> Iterator[None]:
    """Materials as they are without the switch; those that had it may get it again afterwards."""
    switched = 0
    for tree in [material.node_tree for material in bpy.data.materials if material.node_tree is not None]:
        node = switch_of(tree)
        if node is None:
            continue
        switched += 1
        for link in list(node.outputs[0].links):
            tree.links.new(node.inputs[0].links[0].from_socket, link.to_socket)
        tree.nodes.remove(node)
    try:
        yield
    finally:
        if switched:
            install()
