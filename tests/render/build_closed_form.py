"""Make a scene of which everything is known: run by a Blender, told what to make by a JSON file.

    python build_closed_form.py DESCRIPTION.json SCENE.blend [DESCRIPTION.json SCENE.blend ...]
    blender -b --python build_closed_form.py -- DESCRIPTION.json SCENE.blend [...]

Meshes come with their vertices, objects and camera with one matrix for each frame; nothing is left to Blender but to
store them. Each frame is a keyframe, so no interpolation takes part. Whatever else a scene is to have is done last:

* `quirks`: pairs of a function of quirks.py and its keyword arguments;
* `set`: expression -> value, such as `scene.render.use_border`;
* `known`: the same, for settings that not every Blender has;
* `keys`: expression -> one value for each frame.

With `evaluated`, what Blender makes of the meshes at each frame is stored beside the .blend, as SCENE.npz.
"""

from __future__ import annotations

import json
import os
import sys

import bpy
import mathutils
import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import quirks


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


def add_camera(scene, spec, first):
    data = bpy.data.cameras.new("Camera")
    for name, value in spec["data"].items():
        setattr(data, name, value)
    camera = bpy.data.objects.new("Camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    animate(camera, spec["matrices"], first)
    for name, values in spec.get("animated", {}).items():
        for offset, value in enumerate(values):
            setattr(data, name, value)
            data.keyframe_insert(name, frame=first + offset)


def assign(scene, path, value):
    if value == "EEVEE":
        value = "BLENDER_EEVEE_NEXT" if (4, 2, 0) <= bpy.app.version < (5, 0, 0) else "BLENDER_EEVEE"
    exec(f"{path} = value", {"scene": scene, "bpy": bpy, "value": value})


def apply_quirks(scene, spec, first):
    for name, arguments in spec.get("quirks", []):
        getattr(quirks, name)(scene, first, **arguments)
    for path, value in spec.get("set", {}).items():
        assign(scene, path, value)
    for path, value in spec.get("known", {}).items():
        owner, name = path.rsplit(".", 1)
        if hasattr(eval(owner, {"scene": scene, "bpy": bpy}), name):
            assign(scene, path, value)
    for path, values in spec.get("keys", {}).items():
        owner, name = path.rsplit(".", 1)
        for offset, value in enumerate(values):
            assign(scene, path, value)
            eval(owner, {"scene": scene, "bpy": bpy}).keyframe_insert(name, frame=first + offset)


def store_evaluated(scene, frames, path):
    """World vertices (frame, V, 3) and triangles (T, 3) of all that shows, as Blender moves, bends and copies it."""
    vertices, triangles = {}, {}
    for frame in frames:
        scene.frame_set(frame)
        count = {}
        for copy in bpy.context.evaluated_depsgraph_get().object_instances:
            name = copy.object.original.name
            # A curve is listed once more, as an instance of the mesh that is made from it.
            itself = copy.is_instance and copy.parent.original == copy.object.original
            if itself or copy.object.type not in ("MESH", "CURVE", "FONT") or bpy.data.objects[name].hide_render:
                continue
            key = f"{name}|{count.setdefault(name, 0)}"
            count[name] += 1
            mesh = copy.object.to_mesh()
            mesh.calc_loop_triangles()
            if not len(mesh.loop_triangles):
                continue
            local, matrix = np.array([vertex.co for vertex in mesh.vertices], np.float64), np.array(copy.matrix_world)
            vertices.setdefault(key, []).append(local @ matrix[:3, :3].T + matrix[:3, 3])
            triangles[key] = np.array([triangle.vertices[:] for triangle in mesh.loop_triangles])
    arrays = {f"{key}|vertices": np.stack(value) for key, value in vertices.items()}
    np.savez(path, **arrays, **{f"{key}|triangles": value for key, value in triangles.items()})


def build(description, blend):
    with open(description) as stream:
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
    apply_quirks(scene, spec, first)
    if spec.get("evaluated"):
        store_evaluated(scene, range(first, spec["frame_end"] + 2), blend[: -len(".blend")] + ".npz")
    bpy.ops.wm.save_as_mainfile(filepath=blend, compress=True)


def main():
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    for description, blend in zip(arguments[::2], arguments[1::2]):
        build(description, blend)


main()
