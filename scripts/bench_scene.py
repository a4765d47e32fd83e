"""Make the bench's scenes, run by a Python that has bpy: `python scripts/bench_scene.py KIND SCENE.blend`.

About 450,000 polygons in 50 objects with procedural textures, sun and area light. KIND says what moves:
`static` (the camera only), `rigid` (six objects too), `deforming` (rigid, and a waving sheet and a shape key).
"""

from __future__ import annotations

import math
import random
import sys

import bpy

FRAMES = 24


def material(name: str, color: tuple[float, float, float], scale: float, bumpy: bool) -> bpy.types.Material:
    """Diffuse-glossy with a noise colour, and perhaps a bump."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    noise, ramp = (nodes.new(f"ShaderNode{kind}") for kind in ("TexNoise", "ValToRGB"))
    noise.inputs["Scale"].default_value = scale
    ramp.color_ramp.elements[0].color = (*color, 1.0)
    ramp.color_ramp.elements[1].color = (*(min(1.0, 1.6 * c) for c in color), 1.0)
    links.new(noise.outputs[0], ramp.inputs[0])
    links.new(ramp.outputs["Color"], shader.inputs["Base Color"])
    if bumpy:
        bump = nodes.new("ShaderNodeBump")
        bump.inputs["Strength"].default_value = 0.3
        links.new(noise.outputs[0], bump.inputs["Height"])
        links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    return made


def move(obj: bpy.types.Object, path: str, start: tuple[float, ...], stop: tuple[float, ...]) -> None:
    for frame, value in ((1, start), (FRAMES, stop)):
        setattr(obj, path, value)
        obj.keyframe_insert(path, frame=frame)


def build(kind: str, path: str) -> None:
    """Make the scene and save it."""
    rng = random.Random(7)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.frame_start, scene.frame_end, scene.render.fps = 1, FRAMES, 25
    materials = [
        material(f"Material.{i}", (rng.random(), rng.random(), rng.random()), rng.uniform(2, 9), bumpy=i > 5)
        for i in range(8)
    ]
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=120, y_subdivisions=120, size=30)
    bpy.context.object.data.materials.append(materials[0])
    objects = []
    for i in range(48):
        place = (rng.uniform(-7, 7), rng.uniform(-4, 10), rng.uniform(0.4, 2.2))
        if i % 2:
            bpy.ops.mesh.primitive_uv_sphere_add(
                segments=128, ring_count=72, radius=rng.uniform(0.3, 0.8), location=place
            )
        else:
            turn = (rng.uniform(0, 3), rng.uniform(0, 3), 0)
            radii = {"major_radius": rng.uniform(0.4, 0.8), "minor_radius": 0.2}
            bpy.ops.mesh.primitive_torus_add(
                major_segments=144, minor_segments=62, location=place, rotation=turn, **radii
            )
        obj = bpy.context.object
        bpy.ops.object.shade_smooth()
        obj.data.materials.append(materials[1 + i % 7])
        objects.append(obj)
    if kind != "static":
        for obj in objects[:6]:
            x, y, z = obj.location
            move(obj, "location", (x, y, z), (x + 1.0, y - 0.5, z))
            move(obj, "rotation_euler", (0.0, 0.0, 0.0), (0.3, 0.6, 0.9))
    if kind == "deforming":
        sheet = objects[10]
        wave = sheet.modifiers.new("Wave", "WAVE")
        wave.height, wave.width, wave.speed = 0.1, 0.6, 0.05
        soft = objects[11]
        soft.shape_key_add(name="Basis")
        key = soft.shape_key_add(name="Stretch")
        for point in key.data:
            point.co.z *= 1.5
        for frame, value in ((1, 0.0), (FRAMES, 1.0)):
            key.value = value
            key.keyframe_insert("value", frame=frame)
    bpy.ops.object.light_add(type="SUN", rotation=(0.7, 0.2, 0.4))
    bpy.context.object.data.energy = 2.5
    bpy.ops.object.light_add(type="AREA", location=(-4, -5, 6), rotation=(0.8, 0, -0.6))
    bpy.context.object.data.energy, bpy.context.object.data.size = 600.0, 4.0
    bpy.ops.object.camera_add(location=(0, -11, 4.5), rotation=(math.radians(72), 0, 0))
    scene.camera = bpy.context.object
    move(scene.camera, "location", (-1.5, -11.0, 4.5), (1.5, -10.0, 4.0))
    move(scene.camera, "rotation_euler", (1.25, 0.0, -0.1), (1.25, 0.0, 0.1))
    print(sum(len(obj.data.polygons) for obj in bpy.data.objects if obj.type == "MESH"), "polygons")
    bpy.ops.wm.save_as_mainfile(filepath=path, compress=True)


if __name__ == "__main__":
    build(*sys.argv[-2:])
