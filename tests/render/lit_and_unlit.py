"""Render a zoo of materials' ground truth with light and without: python lit_and_unlit.py FOLDER

Writes FOLDER/lit.exr and FOLDER/unlit.exr, and pictures with the switch and without. Object indices begin with 1, those
that should be unlit first. Prints a line `{"unlit": [...], "expected": [...], "same": ...}`: which materials are left
unlit, which should be, and whether all are what they were with the switch taken out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from visionsim.simulation.worker import compat, truth, unlit

PASSES = ("use_pass_z", "use_pass_normal", "use_pass_object_index", "use_pass_position")


def shader(tree, kind, **inputs):
    node = tree.nodes.new(f"ShaderNode{kind}")
    for name, value in inputs.items():
        node.inputs[name.replace("_", " ")].default_value = value
    return node


def noise_into(tree, node, name, through=None):
    """A noise that varies an input, through a node of another kind if it says so."""
    socket = tree.nodes.new("ShaderNodeTexNoise").outputs[0]
    if through is not None:
        middle = tree.nodes.new(f"ShaderNode{through}")
        tree.links.new(socket, middle.inputs["Height" if through == "Bump" else "Color"])
        if through == "Bump":
            middle.inputs["Distance"].default_value = 0.5  # Blender 5.2's own is a thousandth.
        socket = middle.outputs[0]
    tree.links.new(socket, node.inputs[name])
    return node


def mixed(tree, one, other, kind="MixShader"):
    node = tree.nodes.new(f"ShaderNode{kind}")
    for socket, source in zip([socket for socket in node.inputs if socket.type == "SHADER"], (one, other), strict=True):
        tree.links.new(source.outputs[0], socket)
    return node


def grouped(tree, make):
    group = bpy.data.node_groups.new("Group", "ShaderNodeTree")
    compat.new_group_output(group, "Shader", "NodeSocketShader")
    group.links.new(make(group).outputs[0], group.nodes.new("NodeGroupOutput").inputs[0])
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree = group
    return node


def through_reroute(tree, node):
    reroute = tree.nodes.new("NodeReroute")
    tree.links.new(node.outputs[0], reroute.inputs[0])
    return reroute


def layered(tree):
    """A shader that goes into the next twice, and that into the next: 2 ** 24 ways to the first."""
    node = diffuse(tree)
    for _ in range(24):
        node = mixed(tree, node, node)
    return node


def in_a_circle(tree):
    first, second = tree.nodes.new("ShaderNodeAddShader"), tree.nodes.new("ShaderNodeAddShader")
    tree.links.new(first.outputs[0], second.inputs[0])
    tree.links.new(second.outputs[0], first.inputs[0])
    return first


def animated(tree):
    node = shader(tree, "BsdfPrincipled")
    node.inputs["Alpha"].keyframe_insert("default_value", frame=1)
    return node


def driven(tree):
    node = shader(tree, "BsdfPrincipled")
    node.inputs["Alpha"].driver_add("default_value").driver.expression = "frame / 10"
    return node


def muted(tree):
    node = mixed(tree, shader(tree, "BsdfDiffuse"), shader(tree, "BsdfGlossy"))
    node.mute = True
    return node


def displaced(tree):
    noise_into(tree, tree.get_output_node("CYCLES"), "Displacement")
    return diffuse(tree)


def foggy(tree):
    fog = tree.nodes.new("ShaderNodeVolumeScatter")
    tree.links.new(fog.outputs[0], tree.get_output_node("CYCLES").inputs["Volume"])
    return diffuse(tree)


def coated(tree):
    node = shader(tree, "BsdfPrincipled")
    return noise_into(tree, node, next(name for name in ("Coat Normal", "Clearcoat Normal") if name in node.inputs))


def bumpy(tree, kind="BsdfPrincipled", **inputs):
    return noise_into(tree, shader(tree, kind, **inputs), "Normal", "Bump")


def bumpy_twice(tree, one_bump):
    first, second = bumpy(tree), shader(tree, "BsdfGlossy")
    source = first if one_bump else bumpy(tree)
    tree.links.new(source.inputs["Normal"].links[0].from_socket, second.inputs["Normal"])
    return mixed(tree, first, second)


def bumpy_and_coated(tree):
    node = bumpy(tree)
    next(node.inputs[name] for name in ("Coat Weight", "Clearcoat") if name in node.inputs).default_value = 0.5
    return node


def bumpy_by_a_muted_link(tree):
    node = bumpy(tree)
    node.inputs["Normal"].links[0].is_muted = True
    return node


def diffuse(tree):
    return shader(tree, "BsdfDiffuse")


def clear(tree):
    return shader(tree, "BsdfTransparent")


PLAIN = {
    "diffuse": diffuse,
    "black": lambda tree: shader(tree, "BsdfDiffuse", Color=(0, 0, 0, 1)),
    "principled": lambda tree: shader(tree, "BsdfPrincipled"),
    "textured": lambda tree: noise_into(tree, shader(tree, "BsdfPrincipled"), "Base Color"),
    "metal": lambda tree: shader(tree, "BsdfPrincipled", Metallic=1.0, Roughness=0.0),
    "glass": lambda tree: shader(tree, "BsdfGlass", Roughness=0.0),
    "air": lambda tree: shader(tree, "BsdfGlass", Roughness=0.0, IOR=1.0),
    "refraction": lambda tree: shader(tree, "BsdfRefraction", Roughness=0.0, IOR=1.0),
    "translucent": lambda tree: shader(tree, "BsdfTranslucent"),
    "wax": lambda tree: shader(tree, "SubsurfaceScattering"),
    "mixed": lambda tree: mixed(tree, diffuse(tree), shader(tree, "BsdfGlossy")),
    "added": lambda tree: mixed(tree, diffuse(tree), shader(tree, "BsdfGlossy"), "AddShader"),
    "grouped": lambda tree: grouped(tree, diffuse),
    "through a reroute": lambda tree: through_reroute(tree, diffuse(tree)),
    "toon": lambda tree: shader(tree, "BsdfToon"),
    "layered": layered,
    "bumpy": bumpy,
    "bumpy and black": lambda tree: bumpy(tree, Base_Color=(0, 0, 0, 1)),
    "bumpy and diffuse": lambda tree: bumpy(tree, "BsdfDiffuse"),
    "bumpy glass": lambda tree: bumpy(tree, "BsdfGlass", Roughness=0.0),
    "bumpy metal": lambda tree: bumpy(tree, "BsdfGlossy"),
    "bumpy twice": lambda tree: bumpy_twice(tree, one_bump=True),
    "bumpy inside out": bumpy,
    "normal map": lambda tree: noise_into(tree, shader(tree, "BsdfPrincipled"), "Normal", "NormalMap"),
}
OTHERS = {
    "clear through a reroute": lambda tree: through_reroute(tree, clear(tree)),
    "animated in a group": lambda tree: grouped(tree, animated),
    "muted link": diffuse,
    "in a circle": in_a_circle,
    "foggy": foggy,
    "coated": coated,
    "clear": clear,
    "alpha": lambda tree: shader(tree, "BsdfPrincipled", Alpha=0.5),
    "alpha from a texture": lambda tree: noise_into(tree, shader(tree, "BsdfPrincipled"), "Alpha"),
    "partly clear": lambda tree: mixed(tree, diffuse(tree), clear(tree)),
    "clear in a group": lambda tree: grouped(tree, lambda group: mixed(group, diffuse(group), clear(group))),
    "holdout": lambda tree: shader(tree, "Holdout"),
    "bumpy in a group": lambda tree: grouped(tree, bumpy),
    "bumpy and coated": bumpy_and_coated,
    "bumpy and black, diffuse": lambda tree: bumpy(tree, "BsdfDiffuse", Color=(0, 0, 0, 1)),
    "bumpy, its color from a texture": lambda tree: noise_into(tree, bumpy(tree, "BsdfDiffuse"), "Color"),
    "bumpy and dull": lambda tree: bumpy(tree, IOR=1.0),
    "bumpy by a muted link": bumpy_by_a_muted_link,
    "bumpy in two ways": lambda tree: bumpy_twice(tree, one_bump=False),
    "bumpy in part": lambda tree: mixed(tree, bumpy(tree), diffuse(tree)),
    "displaced": displaced,
    "animated": animated,
    "driven": driven,
    "muted": muted,
}


def contents(tree):
    ends = ((link.from_socket, link.to_socket, link.is_muted) for link in tree.links)
    links = [(a.node.name, a.identifier, b.node.name, b.identifier, is_muted) for a, b, is_muted in ends]
    return sorted(node.name for node in tree.nodes), sorted(links)


def render_picture(scene, path):
    scene.cycles.samples, scene.cycles.use_denoising, scene.render.filepath = 2, False, path
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    bpy.ops.render.render(write_still=True)


def main(folder):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene, layer = bpy.context.scene, bpy.context.view_layer
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.use_persistent_data = 96, 96, True
    for index, (name, make) in enumerate({**PLAIN, **OTHERS}.items()):
        material = bpy.data.materials.new(name)
        material.use_nodes = True
        tree = material.node_tree
        tree.nodes.clear()
        output = tree.nodes.new("ShaderNodeOutputMaterial")
        link = tree.links.new(make(tree).outputs[0], output.inputs["Surface"])
        link.is_muted = name == "muted link"
        bpy.ops.mesh.primitive_uv_sphere_add(radius=0.6, location=(index % 7 - 3.0, index // 7 - 3.0, 0))
        if name.endswith("inside out"):
            bpy.context.object.data.flip_normals()
        bpy.ops.object.shade_smooth()
        bpy.context.object.data.materials.append(material)
        bpy.context.object.pass_index = index + 1
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -1))
    bpy.ops.object.light_add(type="SUN")
    bpy.ops.object.camera_add(location=(0, 0, 10))
    scene.camera = bpy.context.object
    for name in PASSES:
        setattr(layer, name, True)
    before = {material.name: contents(material.node_tree) for material in bpy.data.materials}
    unlit.install()
    unlit.install()
    named = [material.name for material in bpy.data.materials if unlit.switch_of(material.node_tree)]
    truth.render_passes_to_file(scene, f"{folder}/unlit.exr", truth.Wanted(light_tree=False))
    render_picture(scene, f"{folder}/picture_with.exr")
    with unlit.taken_out():
        after = {material.name: contents(material.node_tree) for material in bpy.data.materials}
        truth.render_passes_to_file(scene, f"{folder}/lit.exr", truth.Wanted(light_tree=False))
        render_picture(scene, f"{folder}/picture_without.exr")
    found = {"unlit": sorted(named), "expected": sorted(PLAIN), "same": before == after}
    sys.stderr.write(json.dumps(found) + "\n")


main(sys.argv[1])
