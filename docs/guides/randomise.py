"""Runs inside Blender, called by own_code.py. It may import what Blender's Python has: bpy, numpy, its neighbours."""

from __future__ import annotations

import colorsys
import random

import bpy


def materials(seed: int) -> dict[str, list[float]]:
    """Give every material of the file a random colour, and return them: name -> linear red, green, blue.

    A colour depends on the seed and the material's name alone, so every process makes the same.
    """
    colours = {}
    for material in bpy.data.materials:
        if material.node_tree is None or material.library is not None:
            continue
        rng = random.Random(f"{seed} {material.name}")
        colour = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.9))
        for node in material.node_tree.nodes:
            if node.bl_idname.startswith("ShaderNodeBsdf") and node.inputs[0].type == "RGBA":
                for link in node.inputs[0].links:
                    material.node_tree.links.remove(link)
                node.inputs[0].default_value = (*colour, 1.0)
                colours[material.name] = list(colour)
    return colours
