"""Which materials may emit light, asked of a Blender: prints `{"emits": [...]}`, the names for which it may."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from visionsim.simulation.worker.unlit import only_lamps


def principled(tree, strength, color):
    node = tree.nodes.new("ShaderNodeBsdfPrincipled")
    node.inputs["Emission Strength"].default_value = strength
    socket = node.inputs["Emission Color" if "Emission Color" in node.inputs else "Emission"]
    socket.default_value = (*color, 1.0)
    return node


def grouped(tree):
    group = bpy.data.node_groups.new("Glow", "ShaderNodeTree")
    group.nodes.new("ShaderNodeEmission")
    tree.nodes.new("ShaderNodeGroup").node_tree = group


def with_strength_from_a_node(tree):
    node = principled(tree, 0.0, (1, 1, 1))
    tree.links.new(tree.nodes.new("ShaderNodeValue").outputs[0], node.inputs["Emission Strength"])


def colour_as_surface(tree):
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(tree.nodes.new("ShaderNodeRGB").outputs[0], output.inputs["Surface"])


MATERIALS = {
    "diffuse": lambda tree: tree.nodes.new("ShaderNodeBsdfDiffuse"),
    "principled": lambda tree: tree.nodes.new("ShaderNodeBsdfPrincipled"),
    "principled, no strength": lambda tree: principled(tree, 0.0, (1, 1, 1)),
    "principled, black": lambda tree: principled(tree, 1.0, (0, 0, 0)),
    "principled that glows": lambda tree: principled(tree, 1.0, (0, 0.1, 0)),
    "principled with a link": with_strength_from_a_node,
    "emission": lambda tree: tree.nodes.new("ShaderNodeEmission"),
    "emission in a group": grouped,
    "colour": colour_as_surface,
    "script": lambda tree: tree.nodes.new("ShaderNodeScript"),
}

emits = []
for name, make in MATERIALS.items():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    material.node_tree.nodes.clear()
    make(material.node_tree)
    if not only_lamps():
        emits.append(name)
sys.stderr.write(json.dumps({"emits": emits}) + "\n")
