"""Ground truth without light: what a ray hits does not depend on it, and it is most of what ground truth would cost.

Where Cycles hits a surface it also computes which light falls on it and where that goes on, and no setting keeps it
from doing so. So surfaces get a switch, before the first render of a scene: with it they have no shader that light
could reach, and depth, normal, position and ids are all that is left. Off, Cycles folds away all that was added, and
pictures stay what they were to the bit. On, it is nothing that Cycles could know beforehand: the shader keeps all its
nodes and attributes. If it lost any, as it does with a constant switch, an override or another link, Cycles would build
all geometry anew, for each render (`scripts/bench_frame.py`, with 3.4.1, 4.2.23, 4.5.15, 5.0.1 and 5.2.3).

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

SCRIPTED = ("frame_change_pre", "frame_change_post", "depsgraph_update_pre", "depsgraph_update_post", "render_init",
            "render_pre")  # fmt: skip
"""When scripts of the file could change materials between two renders."""


def only_lamps() -> bool:
    """Whether no surface emits light, as far as nodes tell.

    Then ground truth needs no tree of lights either. Where surfaces do, the tree is over all of their triangles: it
    takes longer to build it anew for the next picture than ground truth saves.
    """
    materials = [material.node_tree for material in bpy.data.materials if material.node_tree]
    return not any(may_emit(node) for tree in (*materials, *bpy.data.node_groups) for node in tree.nodes)


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


def is_plain(tree: Any, output: Any) -> bool:
    """Whether a material's surface is solid everywhere and always, and has the normals of its mesh."""
    if output.inputs["Volume"].is_linked or output.inputs["Displacement"].is_linked:
        return False
    return output.inputs["Surface"].is_linked and all_plain(tree, output)


def all_plain(tree: Any, node: Any) -> bool:
    """Whether all shaders that go into a node are plain, and nothing changes them."""
    sources = [link.from_node for socket in node.inputs if socket.type == "SHADER" for link in socket.links]
    return not compat.curves_and_drivers(tree) and all(is_plain_shader(tree, source) for source in sources)


def is_plain_shader(tree: Any, node: Any) -> bool:
    """Whether a shader, with all that goes into it, is solid and does not bend normals."""
    if node.mute:
        return False
    if node.type in ("MIX_SHADER", "ADD_SHADER", "REROUTE"):
        return all_plain(tree, node)
    if node.type == "GROUP" and node.node_tree is not None:
        ends = [end for end in node.node_tree.nodes if end.type == "GROUP_OUTPUT"]
        return all_plain(tree, node) and all(all_plain(node.node_tree, end) for end in ends)
    if node.type == "GROUP_INPUT":
        return True
    alpha = node.inputs.get("Alpha")
    if node.type not in OPAQUE or (alpha is not None and (alpha.is_linked or alpha.default_value < 1)):
        return False
    return not any(socket.is_linked for socket in node.inputs if socket.name.endswith("Normal"))


def install() -> str:
    """Give the switch to all materials that may have it, and have not yet; returns in words where light is left out."""
    if not only_lamps():
        return "nowhere: a surface may emit light"
    if any(getattr(bpy.app.handlers, name) for name in SCRIPTED):
        return "nowhere: a script of the file may change materials"
    materials = [material for material in bpy.data.materials if material.node_tree]
    plain = [material for material in materials if SWITCH in material.node_tree.nodes or add_switch(material.node_tree)]
    others = "; the others are see-through, bumpy, displaced or animated" if len(plain) < len(materials) else ""
    return f"on {len(plain)} of {len(materials)} materials{others}"


def add_switch(tree: Any) -> bool:
    """Give a material the switch, if it may have it; returns whether."""
    output = tree.get_output_node("CYCLES")
    if output is None or not is_plain(tree, output):
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
