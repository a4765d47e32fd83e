"""Make a scene of which everything is known: run by a Blender, told what to make by a JSON file.

    python build_closed_form.py DESCRIPTION.json SCENE.blend
    blender -b --python build_closed_form.py -- DESCRIPTION.json SCENE.blend

Meshes come with their vertices, objects and camera with one matrix for each frame; nothing is left to Blender but to
store them. Each frame is a keyframe, so no interpolation takes part.
"""

from __future__ import annotations

import json
import sys

import bpy
import mathutils


def animate(obj, matrices, first):
    obj.rotation_mode = "QUATERNION"
    for offset, rows in enumerate(matrices):
        location, rotation, scale = mathutils.Matrix(rows).decompose()
        obj.location, obj.rotation_quaternion, obj.scale = location, rotation, scale
        for path in ("location", "rotation_quaternion", "scale"):
            obj.keyframe_insert(path, frame=first + offset)


def add_mesh(scene, spec, first):
    mesh = bpy.data.meshes.new(spec["name"])
    mesh.from_pydata(spec["vertices"], [], spec["faces"])
    for polygon in mesh.polygons:
        polygon.use_smooth = spec["smooth"]
    material = bpy.data.materials.new(spec["name"])
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    shader, output = tree.nodes.new("ShaderNodeBsdfDiffuse"), tree.nodes.new("ShaderNodeOutputMaterial")
    shader.inputs["Color"].default_value = (*spec["color"], 1.0)
    tree.links.new(shader.outputs[0], output.inputs[0])
    mesh.materials.append(material)
    obj = bpy.data.objects.new(spec["name"], mesh)
    obj["class"] = spec["class"]
    scene.collection.objects.link(obj)
    animate(obj, spec["matrices"], first)
    if "shape_key" in spec:
        obj.shape_key_add(name="Basis")
        key = obj.shape_key_add(name="Key")
        for point, position in zip(key.data, spec["shape_key"], strict=True):
            point.co = position
        for offset, value in enumerate(spec["shape_key_values"]):
            key.value = value
            key.keyframe_insert("value", frame=first + offset)


def owner(data, name):
    """Panoramas' settings were Cycles' own in 3.4."""
    return data if hasattr(data, name) else data.cycles


def add_camera(scene, spec, first):
    data = bpy.data.cameras.new("Camera")
    for name, value in spec["data"].items():
        setattr(owner(data, name), name, value)
    camera = bpy.data.objects.new("Camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    animate(camera, spec["matrices"], first)
    for name, values in spec.get("animated", {}).items():
        for offset, value in enumerate(values):
            setattr(owner(data, name), name, value)
            owner(data, name).keyframe_insert(name, frame=first + offset)


def main():
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    with open(arguments[0]) as stream:
        spec = json.load(stream)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.fps = spec["fps"]
    scene.frame_start, scene.frame_end = spec["frame_start"], spec["frame_end"]
    for name, value in spec.get("render", {}).items():
        setattr(scene.render, name, value)
    # One keyframe before the first frame and one after the last: flow looks there too.
    first = spec["frame_start"] - 1
    for mesh in spec["meshes"]:
        add_mesh(scene, mesh, first)
    if spec["camera"] is not None:
        add_camera(scene, spec["camera"], first)
    for name, value in spec.get("dof", {}).items():
        setattr(scene.camera.data.dof, name, value)
    light = bpy.data.lights.new("Sun", "SUN")
    light.energy = 3.0
    sun = bpy.data.objects.new("Sun", light)
    sun.rotation_euler = (0.6, 0.3, 0.2)
    scene.collection.objects.link(sun)
    bpy.ops.wm.save_as_mainfile(filepath=arguments[1], compress=True)


main()
