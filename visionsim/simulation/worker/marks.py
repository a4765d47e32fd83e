"""Marks: nodes that make a material write which copy of an object it is on, for `simulation.copies` to read.

A mark never changes a picture. Only materials that certainly have a surface, or certainly have none, get one; copies
with any other material are told apart by their surfaces. A surface without a shader is black in Cycles, but vanishes as
soon as its material writes a pass. Such a material gets a black shader first, which looks the same to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bpy

from visionsim.simulation.copies import CHANNELS, PASS_NAME, STEP_BITS
from visionsim.simulation.worker import compat
from visionsim.simulation.worker.unlit import OPAQUE

SHADERS = OPAQUE | {"BSDF_HAIR", "BSDF_HAIR_PRINCIPLED", "BSDF_TRANSPARENT"}
"""Types of nodes whose shader Cycles keeps, whatever their settings are; it drops an emission of nothing."""


def install(layer: Any, copied: Iterable[Any]) -> None:
    """Have every material that can do so write which copy it is on, unless it does already.

    Args:
        layer: view layer whose ground truth gets the pass.
        copied: objects that there are copies of; what they show without a material gets one that looks the same.
    """
    if PASS_NAME not in layer.aovs:
        aov = layer.aovs.add()
        aov.name, aov.type = PASS_NAME, "COLOR"
    fill_slots(copied)
    group = bpy.data.node_groups.get(PASS_NAME) or copy_group()
    for material in bpy.data.materials:
        if material.is_grease_pencil or is_marked(material):
            continue
        tree = tree_to_mark(material)
        if tree is None:
            continue
        node = tree.nodes.new("ShaderNodeGroup")
        node.node_tree = group
        output = tree.nodes.new("ShaderNodeOutputAOV")
        compat.name_aov(output, PASS_NAME)
        output.name = PASS_NAME
        tree.links.new(node.outputs[0], output.inputs["Color"])


def fill_slots(copied: Iterable[Any]) -> None:
    """Give objects without a material the one that Cycles draws without; volumes have another, and no surface."""
    plain = None
    for source in copied:
        materials = getattr(source.data, "materials", None)
        if materials is None or source.type == "VOLUME":
            continue
        if source.material_slots and all(slot.material is not None for slot in source.material_slots):
            continue
        plain = plain or compat.default_surface()
        if not source.material_slots:
            materials.append(plain)
        for index, slot in enumerate(source.material_slots):
            # Linked objects' slots are read-only, linked data are not. What an object's own empty slot shows depends on
            # the version: the material of its data before 5.0.
            if slot.material is None and slot.link == "DATA":
                materials[index] = plain


def is_marked(material: Any) -> bool:
    """Whether a material writes which copy it is on."""
    tree = compat.used_node_tree(material)
    return tree is not None and PASS_NAME in tree.nodes


def tree_to_mark(material: Any) -> Any | None:
    """A material's node tree, with a surface; None if it cannot be known whether the material has one."""
    if compat.used_node_tree(material) is None and compat.curves_and_drivers(material):
        return None  # Its colour may be animated, which nodes would not know.
    tree = compat.surface_tree(material)
    if tree is None:
        return None
    output = tree.get_output_node("CYCLES")
    if output is None:
        if any(node.type == "GROUP" for node in tree.nodes):
            return None  # The output may be in a group.
    elif output.mute:  # 5.2 has no muted outputs.
        output = None
    elif surely_shaded(output.inputs["Surface"]):
        return tree
    elif output.inputs["Volume"].is_linked:
        return None  # What has nothing but a volume must not get a surface.
    if output is None:
        output = new_output(tree)
    blacken(tree, output.inputs["Surface"])
    return tree


def new_output(tree: Any) -> Any:
    """A material output in place of all that a tree has."""
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    for node in tree.nodes:
        if node.type == "OUTPUT_MATERIAL":
            node.is_active_output = node == output
    return output


def blacken(tree: Any, surface: Any) -> None:
    """Add a shader that reflects nothing to whatever a surface may have already."""
    black = tree.nodes.new("ShaderNodeBsdfDiffuse")
    black.inputs["Color"].default_value = (0.0, 0.0, 0.0, 1.0)
    links = list(surface.links)
    if not links:
        tree.links.new(black.outputs[0], surface)
        return
    both, muted = tree.nodes.new("ShaderNodeAddShader"), links[0].is_muted
    tree.links.new(links[0].from_socket, both.inputs[0]).is_muted = muted
    tree.links.new(black.outputs[0], both.inputs[1])
    tree.links.new(both.outputs[0], surface)


def surely_shaded(socket: Any) -> bool:
    """Whether Cycles certainly gets a shader from an input socket; many ways to give it none look linked."""
    if not socket.links:
        return False
    link = socket.links[0]
    node = link.from_node
    if link.is_muted or not link.is_valid or node.mute or link.from_socket.type != "SHADER":
        return False
    shaders = [part for part in node.inputs if part.type == "SHADER"]
    if node.type in ("MIX_SHADER", "REROUTE"):
        return all(map(surely_shaded, shaders))
    if node.type == "ADD_SHADER":
        return any(map(surely_shaded, shaders))
    return node.type in SHADERS


def is_unmarked(evaluated: Any) -> bool:
    """Whether part of an object cannot write which copy it is on."""
    slots = evaluated.material_slots
    if not slots or any(slot.material is None or not is_marked(slot.material) for slot in slots):
        return True
    # Of an object's own empty slot, the evaluated object has the material of its data, which since 5.0 is not shown.
    return any(slot.material is None for slot in evaluated.original.material_slots)


def copy_group() -> Any:
    """A node group that outputs what `simulation.copies` decodes."""
    group = bpy.data.node_groups.new(PASS_NAME, "ShaderNodeTree")
    compat.new_group_output(group, "Color", "NodeSocketColor")
    nodes, links = group.nodes, group.links

    def math(operation: str, *operands: Any) -> Any:
        node = nodes.new("ShaderNodeMath")
        node.operation = operation
        for socket, operand in zip(node.inputs, operands, strict=False):
            if isinstance(operand, (int, float)):
                socket.default_value = operand
            else:
                links.new(operand, socket)
        return node.outputs[0]

    surface = nodes.new("ShaderNodeLightPath").outputs["Transparent Depth"]
    random = nodes.new("ShaderNodeObjectInfo").outputs["Random"]
    step = math("FLOOR", math("DIVIDE", math("ADD", surface, 0.5), CHANNELS))
    channel = math("SUBTRACT", surface, math("MULTIPLY", step, CHANNELS))
    value = math("MULTIPLY", math("ADD", random, 1.0), math("POWER", 2.0, math("MULTIPLY", step, STEP_BITS)))
    combined = nodes.new("ShaderNodeCombineXYZ")
    for index in range(CHANNELS):
        links.new(math("MULTIPLY", value, math("COMPARE", channel, index, 0.5)), combined.inputs[index])
    links.new(combined.outputs[0], nodes.new("NodeGroupOutput").inputs[0])
    return group
