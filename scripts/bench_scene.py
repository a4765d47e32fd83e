"""Make the bench's scenes, run by a Python that has bpy: `python scripts/bench_scene.py KIND SCENE.blend`.

`static`, `rigid`, `deforming`: about 450,000 polygons in 50 objects with procedural textures, sun and area light. The
camera moves, in `rigid` six objects too, in `deforming` also a waving sheet and a shape key.

`objects`, `copies`, `bare`, `instancer`: many things. 2,000 objects with meshes and materials of their own, of which
200 move; 19,600 copies by geometry nodes, with a material and without; 20,164 copies whose instancer moves. A number
after `copies`, as in `copies:200000`, is how many there are.
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


def small_mesh(name: str, corners: int = 8) -> bpy.types.Mesh:
    """A low cone."""
    rim = [(math.cos(a), math.sin(a), 0.0) for a in (2 * math.pi * i / corners for i in range(corners))]
    made = bpy.data.meshes.new(name)
    made.from_pydata([*rim, (0.0, 0.0, 1.0)], [], [(i, (i + 1) % corners, corners) for i in range(corners)])
    return made


def linked(name: str, data: bpy.types.ID | None) -> bpy.types.Object:
    made = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(made)
    return made


def many_objects(rng: random.Random, count: int = 2000) -> None:
    """Objects with meshes and materials of their own; each tenth one moves."""
    side = math.ceil(math.sqrt(count))
    for i in range(count):
        obj = linked(f"Cone.{i:04d}", small_mesh(f"Cone.{i:04d}"))
        made = bpy.data.materials.new(f"Paint.{i:04d}")
        made.use_nodes = True
        shader = next(node for node in made.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
        shader.inputs["Base Color"].default_value = (rng.random(), rng.random(), rng.random(), 1.0)
        obj.data.materials.append(made)
        obj.scale = (6 / side,) * 3
        place = (14 * (i % side) / side - 7, 14 * (i // side) / side - 4, 0.0)
        obj.location = place
        if i % 10 == 0:
            move(obj, "location", place, (place[0] + 0.5, place[1], 0.3))


def many_copies(count: int, *, bare: bool, moving: bool) -> None:
    """Copies of a cone on the points of a grid, by geometry nodes."""
    side = math.ceil(math.sqrt(count))
    source = linked("Cone", small_mesh("Cone"))
    source.location = (0, -50, 0)
    if not bare:
        source.data.materials.append(material("Paint", (0.2, 0.5, 0.3), 5.0, bumpy=False))
    points = bpy.data.meshes.new("Points")
    step = 14 / side
    points.from_pydata([(step * (i % side) - 7, step * (i // side) - 4, 0.0) for i in range(count)], [], [])
    instancer = linked("Scatter", points)
    group = bpy.data.node_groups.new("Scatter", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    kinds = ("NodeGroupInput", "GeometryNodeObjectInfo", "GeometryNodeInstanceOnPoints", "NodeGroupOutput")
    given, info, scatter, result = map(group.nodes.new, kinds)
    info.inputs["Object"].default_value = source
    info.inputs["As Instance"].default_value = True
    scatter.inputs["Scale"].default_value = (step / 2.2,) * 3
    group.links.new(given.outputs[0], scatter.inputs["Points"])
    group.links.new(info.outputs["Geometry"], scatter.inputs["Instance"])
    group.links.new(scatter.outputs[0], result.inputs[0])
    instancer.modifiers.new("Scatter", "NODES").node_group = group
    if moving:
        move(instancer, "location", (0.0, 0.0, 0.0), (1.0, -0.5, 0.2))
        move(instancer, "rotation_euler", (0.0, 0.0, 0.0), (0.0, 0.0, 0.2))


def few_large(rng: random.Random, kind: str) -> None:
    """Some fifty objects of many polygons."""
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


def build(kind: str, path: str) -> None:
    """Make the scene and save it."""
    rng = random.Random(7)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.frame_start, scene.frame_end, scene.render.fps = 1, FRAMES, 25
    kind, _, number = kind.partition(":")
    if kind in ("static", "rigid", "deforming"):
        few_large(rng, kind)
    elif kind == "objects":
        bpy.ops.mesh.primitive_plane_add(size=30)
        many_objects(rng)
    else:
        bpy.ops.mesh.primitive_plane_add(size=30)
        count = int(number or (20_164 if kind == "instancer" else 19_600))
        many_copies(count, bare=kind == "bare", moving=kind == "instancer")
    bpy.ops.object.light_add(type="SUN", rotation=(0.7, 0.2, 0.4))
    bpy.context.object.data.energy = 2.5
    if kind in ("static", "rigid", "deforming"):
        bpy.ops.object.light_add(type="AREA", location=(-4, -5, 6), rotation=(0.8, 0, -0.6))
        bpy.context.object.data.energy, bpy.context.object.data.size = 600.0, 4.0
    else:
        scene.cycles.max_bounces = 2  # Cheap pictures show what the number of objects costs.
    bpy.ops.object.camera_add(location=(0, -11, 4.5), rotation=(math.radians(72), 0, 0))
    scene.camera = bpy.context.object
    move(scene.camera, "location", (-1.5, -11.0, 4.5), (1.5, -10.0, 4.0))
    move(scene.camera, "rotation_euler", (1.25, 0.0, -0.1), (1.25, 0.0, 0.1))
    print(sum(len(obj.data.polygons) for obj in bpy.data.objects if obj.type == "MESH"), "polygons")
    bpy.ops.wm.save_as_mainfile(filepath=path, compress=True)


if __name__ == "__main__":
    build(*sys.argv[-2:])
