"""Ground truth without light: what a ray hits does not depend on it, and it is most of what ground truth would cost.

Where Cycles hits a surface it also computes which light falls on it and where that goes on, and no setting keeps it
from doing so. So surfaces get a switch, before the first render of a scene: with it they have no shader that light
could reach, and depth, normal, position and ids are all that is left. Off, Cycles folds away all that was added, and
pictures stay what they were to the bit. On, it is nothing that Cycles could know beforehand: the shader keeps all its
nodes, and asks for the same attributes of the mesh. If it did not, as with a constant switch, an override or another
link, Cycles would build all geometry anew for each render (`scripts/bench_frame.py`).

Only surfaces whose shaders decide nothing that ground truth shows get one (`is_plain`), and only in scenes in which
no surface emits light: of those that do, Cycles would prepare all triangles anew with each change of any shader.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy
import numpy as np

from visionsim.simulation.worker import compat

SWITCH = "visionsim_unlit"
"""A custom property of the view layer that is rendered, and what the nodes that were added are called."""

ON = 1e20
"""The factor is this times the distance to the camera, and is clamped to 1; without the property it is 0."""

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


def is_plain(material: Any, output: Any) -> bool:
    """Whether a material's surface is solid everywhere and always, and has the normals of its mesh."""
    if output.inputs["Volume"].is_linked or output.inputs["Displacement"].is_linked:
        return False
    links, seen, owners = list(output.inputs["Surface"].links), set(), [material, material.node_tree]
    if not links:
        return False
    while links:
        link = links.pop()
        node = link.from_node
        if link.is_muted or not link.is_valid or link.from_socket.type != "SHADER" or not is_plain_node(node):
            return False
        if node in seen:
            continue
        seen.add(node)
        ends = [node]
        if node.type == "GROUP":
            owners.append(node.node_tree)
            ends += [end for end in node.node_tree.nodes if end.type == "GROUP_OUTPUT"]
        links += [link for end in ends for socket in end.inputs if socket.type == "SHADER" for link in socket.links]
    return not any(compat.curves_and_drivers(owner) for owner in owners)


def is_plain_node(node: Any) -> bool:
    """Whether a node makes a shader that is solid and has the normals of the mesh, if all that go into it do."""
    if node.mute:
        return False
    if node.type in COMBINING:
        return node.type != "GROUP" or node.node_tree is not None
    alpha, thin = node.inputs.get("Alpha"), node.inputs.get("Thin Wall")
    return (
        node.type in OPAQUE
        and (alpha is None or not (alpha.is_linked or alpha.default_value < 1))
        and (thin is None or not (thin.is_linked or thin.default_value))  # 5.2: the other side's normals count as well.
        and not any(socket.is_linked for socket in node.inputs if socket.name.endswith("Normal"))
    )


def install() -> str:
    """Give the switch to all materials that may have it, and have not yet; returns in words where light is left out."""
    if not only_lamps():
        return "nowhere: a surface may emit light"
    if any(getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers) if name.startswith(HANDLERS)):
        return "nowhere: a script or an add-on may change materials"
    materials = [material for material in bpy.data.materials if compat.used_node_tree(material)]
    plain = [material for material in materials if SWITCH in material.node_tree.nodes or add_switch(material)]
    others = "; the others are see-through, bumpy, displaced or animated" if len(plain) < len(materials) else ""
    return f"on {len(plain)} of {len(materials)} materials{others}"


def add_switch(material: Any) -> bool:
    """Give a material the switch, if it may have it; returns whether."""
    tree = material.node_tree
    output = tree.get_output_node("CYCLES")
    if output is None or not is_plain(material, output):
        return False
    kinds = "ShaderNodeMixShader", "ShaderNodeMath", "ShaderNodeAttribute", "ShaderNodeCameraData"
    mix, times, switch, camera = nodes = [tree.nodes.new(kind) for kind in kinds]
    for node in nodes:
        node.name = SWITCH
    times.operation = "MULTIPLY"
    switch.attribute_type, switch.attribute_name = "VIEW_LAYER", SWITCH
    tree.links.new(switch.outputs["Fac"], times.inputs[0])
    tree.links.new(camera.outputs["View Distance"], times.inputs[1])
    tree.links.new(times.outputs[0], mix.inputs[0])
    tree.links.new(output.inputs["Surface"].links[0].from_socket, mix.inputs[1])
    tree.links.new(mix.outputs[0], output.inputs["Surface"])
    return True


@contextmanager
def taken_out() -> Iterator[None]:
    """Materials as they are without the switch; those that had it may get it again afterwards."""
    switched = [tree for tree in (m.node_tree for m in bpy.data.materials) if tree is not None and SWITCH in tree.nodes]
    for tree in switched:
        mix = tree.nodes[SWITCH]
        for link in list(mix.outputs[0].links):
            tree.links.new(mix.inputs[1].links[0].from_socket, link.to_socket)
        for node in [node for node in tree.nodes if node.name.startswith(SWITCH)]:
            tree.nodes.remove(node)
    try:
        yield
    finally:
        if switched:
            install()
