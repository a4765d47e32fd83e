"""Make a scene in which each object moves by a mechanism of its own: run by a Blender.

    python build_motion.py SCENE.blend MECHANISM...
    blender -b --python build_motion.py -- SCENE.blend MECHANISM...

Each MECHANISM is a function of this file, and the name of the object that it makes. The camera is animated, and looks
at all of them; so is the shutter.
"""

from __future__ import annotations

import os
import struct
import sys

import bpy

COLUMNS, SPACING = 5, 2.4
FRAME_START, FRAME_END = 1, 20


def cube(name, half=0.4):
    corners = [(x, y, z) for x in (-half, half) for y in (-half, half) for z in (-half, half)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], faces)
    return link(name, mesh)


def grid(name, half=0.6, cells=8):
    """A square of `cells` by `cells` quads that faces the camera."""
    side = cells + 1
    points = [((i / cells * 2 - 1) * half, 0.0, (j / cells * 2 - 1) * half) for j in range(side) for i in range(side)]
    faces = [
        (j * side + i, j * side + i + 1, (j + 1) * side + i + 1, (j + 1) * side + i)
        for j in range(cells)
        for i in range(cells)
    ]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(points, [], faces)
    return link(name, mesh)


def link(name, data):
    obj = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def fcurves(block):
    action = block.animation_data.action
    if hasattr(action, "fcurves"):
        return list(action.fcurves)
    bags = [bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags]
    return [curve for bag in bags for curve in bag.fcurves]


def key(block, path, values, index=-1):
    """Keyframes {frame: value}, Blender's default interpolation (Bezier)."""
    for frame, value in values.items():
        if index < 0:
            owner, _, name = path.rpartition(".")
            setattr(block.path_resolve(owner) if owner else block, name, value)
        else:
            getattr(block, path)[index] = value
        block.keyframe_insert(path, index=index, frame=frame)


def drive(block, path, expression, index=-1, **variables):
    """A driver; each variable is (type, ID, data path or transform)."""
    curve = block.driver_add(path, index) if index >= 0 else block.driver_add(path)
    driver = curve.driver
    driver.type = "SCRIPTED"
    for name, (kind, owner, target) in variables.items():
        variable = driver.variables.new()
        variable.name, variable.type = name, kind
        if kind == "TRANSFORMS":
            variable.targets[0].id = owner
            variable.targets[0].transform_type = target
        else:
            variable.targets[0].id_type = "SCENE"
            variable.targets[0].id = owner
            variable.targets[0].data_path = target
    driver.expression = expression
    return curve


def geometry_nodes(obj, make):
    """A modifier whose node group sends its geometry through what `make(tree, geometry socket)` returns."""
    tree = bpy.data.node_groups.new(obj.name, "GeometryNodeTree")
    if hasattr(tree, "interface"):
        tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
        tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    else:
        tree.inputs.new("NodeSocketGeometry", "Geometry")
        tree.outputs.new("NodeSocketGeometry", "Geometry")
    entry, leave = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    tree.links.new(make(tree, entry.outputs[0]), leave.inputs[0])
    obj.modifiers.new("Nodes", "NODES").node_group = tree


def raise_by(tree, geometry, amount=None, factor=1.0):
    """The geometry moved up by a socket's value (times `factor`), or by `factor`."""
    move, vector = tree.nodes.new("GeometryNodeSetPosition"), tree.nodes.new("ShaderNodeCombineXYZ")
    if amount is None:
        vector.inputs["Z"].default_value = factor
    else:
        scale = tree.nodes.new("ShaderNodeMath")
        scale.operation = "MULTIPLY"
        scale.inputs[1].default_value = factor
        tree.links.new(amount, scale.inputs[0])
        tree.links.new(scale.outputs[0], vector.inputs["Z"])
    tree.links.new(geometry, move.inputs["Geometry"])
    tree.links.new(vector.outputs[0], move.inputs["Offset"])
    return move.outputs[0]


# Mechanisms whose state follows from the time alone.


def bezier(name):
    obj = cube(name)
    key(obj, "location", {1: 0.0, 8: 0.7, 20: -0.5}, 2)
    key(obj, "rotation_euler", {1: 0.0, 20: 1.2}, 1)
    return obj


def stepped(name):
    obj = cube(name)
    key(obj, "location", {1: 0.0, 7: 0.4, 14: -0.3}, 2)
    for curve in fcurves(obj):
        for point in curve.keyframe_points:
            point.interpolation = "CONSTANT"
    return obj


def cycles(name):
    obj = cube(name)
    key(obj, "location", {1: -0.2, 4: 0.4, 6: -0.2}, 2)
    fcurves(obj)[0].modifiers.new("CYCLES")
    return obj


def noise(name):
    obj = cube(name)
    key(obj, "location", {1: 0.0}, 2)
    modifier = fcurves(obj)[0].modifiers.new("NOISE")
    modifier.strength, modifier.scale = 1.0, 4.0
    return obj


def driver_frame(name):
    obj = cube(name)
    drive(obj, "location", "0.5 * sin(frame * 0.4)", 2)
    return obj


def driver_other(name):
    """Driven by where another object is."""
    obj, leader = cube(name), cube(f"{name}.leader", 0.1)
    key(leader, "location", {1: 0.0, 20: 1.0}, 2)
    leader.location = (0.0, 3.0, 0.0)
    drive(obj, "location", "height * 0.6", 2, height=("TRANSFORMS", leader, "LOC_Z"))
    return obj


def nla(name):
    obj = cube(name)
    key(obj, "location", {1: -0.4, 5: 0.4, 9: -0.2}, 2)
    action = obj.animation_data.action
    obj.animation_data.action = None
    strip = obj.animation_data.nla_tracks.new().strips.new("strip", 3, action)
    strip.scale = 1.7
    strip.repeat = 2.0
    return obj


def shape_key(name):
    obj = cube(name)
    obj.shape_key_add(name="Basis")
    shape = obj.shape_key_add(name="Key")
    for point in shape.data:
        point.co.z *= 2.0
    key(shape, "value", {1: 0.0, 9: 1.0, 20: 0.2})
    return obj


def armature(name):
    bones = bpy.data.armatures.new(f"{name}.bones")
    rig = link(f"{name}.rig", bones)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    bone = bones.edit_bones.new("Bone")
    bone.head, bone.tail = (0, 0, 0), (0, 0, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    key(rig.pose.bones["Bone"], "location", {1: 0.0, 20: 0.6}, 1)
    obj = cube(name)
    obj.vertex_groups.new(name="Bone").add(range(8), 1.0, "REPLACE")
    obj.modifiers.new("Armature", "ARMATURE").object = rig
    return obj


def follow_path(name):
    curve = bpy.data.curves.new(f"{name}.path", "CURVE")
    curve.dimensions = "3D"
    spline = curve.splines.new("POLY")
    spline.points.add(1)
    spline.points[0].co, spline.points[1].co = (0, 0, -0.6, 1), (0, 0, 0.6, 1)
    curve.use_path = True
    key(curve, "eval_time", {1: 0.0, 20: 100.0})
    path = link(f"{name}.path", curve)
    obj = cube(name)
    constraint = obj.constraints.new("FOLLOW_PATH")
    constraint.target = path
    return obj


def scene_time(name):
    obj = cube(name)

    def make(tree, geometry):
        time = tree.nodes.new("GeometryNodeInputSceneTime")
        geometry = raise_by(tree, geometry, time.outputs["Seconds"], 0.5)
        return raise_by(tree, geometry, time.outputs["Frame"], 0.02)

    geometry_nodes(obj, make)
    return obj


def wave(name):
    obj = grid(name)
    modifier = obj.modifiers.new("Wave", "WAVE")
    modifier.height, modifier.width, modifier.speed = 0.3, 0.4, 0.08
    obj.rotation_euler.x = -0.6
    return obj


def build(name):
    obj = grid(name)
    modifier = obj.modifiers.new("Build", "BUILD")
    modifier.frame_start, modifier.frame_duration = 1, 25
    return obj


def mesh_cache(name):
    """A point cache file (PC2) beside the .blend, read by a Mesh Cache modifier."""
    obj = cube(name)
    path = os.path.join(os.path.dirname(bpy.context.scene["saved_as"]), f"{name}.pc2")
    points = [vertex.co.copy() for vertex in obj.data.vertices]
    with open(path, "wb") as stream:
        stream.write(b"POINTCACHE2\0" + struct.pack("<iiffi", 1, len(points), 0.0, 1.0, 30))
        for sample in range(30):
            for point in points:
                stream.write(struct.pack("<fff", point.x, point.y, point.z + 0.02 * sample))
    modifier = obj.modifiers.new("Cache", "MESH_CACHE")
    modifier.cache_format, modifier.filepath = "PC2", path
    return obj


def alembic(name):
    """An Alembic file beside the .blend, read by a Mesh Sequence Cache modifier."""
    obj = from_cache_file(name, "abc")
    obj.modifiers[0].use_vertex_interpolation = True  # What importing sets differs between versions.
    return obj


def alembic_in_steps(name):
    obj = from_cache_file(name, "abc")
    obj.modifiers[0].use_vertex_interpolation = False
    return obj


def usd(name):
    """A USD file beside the .blend, read by a Mesh Sequence Cache modifier."""
    return from_cache_file(name, "usdc")


def from_cache_file(name, suffix):
    """Write a moving cube into a file, and read it back in its place."""
    path = os.path.join(os.path.dirname(bpy.context.scene["saved_as"]), f"{name}.{suffix}")
    source = shape_key(f"{name}_source")
    if suffix == "abc":
        bpy.ops.wm.alembic_export(filepath=path, start=FRAME_START, end=FRAME_END, as_background_job=False)
    else:
        bpy.ops.wm.usd_export(filepath=path, export_animation=True)
    bpy.data.objects.remove(source)
    before = set(bpy.data.objects)
    if suffix == "abc":
        bpy.ops.wm.alembic_import(filepath=path, as_background_job=False)
    else:
        bpy.ops.wm.usd_import(filepath=path)
    made = {obj for obj in bpy.data.objects if obj not in before}
    (obj,) = (obj for obj in made if obj.type == "MESH" and obj.name.startswith(f"{name}_source"))
    for other in made - {obj}:
        if other.type in ("CAMERA", "MESH", "LIGHT"):
            bpy.data.objects.remove(other)
    obj.name = name
    return obj


# Mechanisms that do not slow down with the rest, or whose state follows from the frames before.


def frame_current(name):
    obj = cube(name)
    drive(obj, "location", "f * 0.05", 2, f=("SINGLE_PROP", bpy.context.scene, "frame_current"))
    return obj


def frame_float(name):
    obj = cube(name)
    drive(obj, "location", "f * 0.05", 2, f=("SINGLE_PROP", bpy.context.scene, "frame_float"))
    return obj


def cloth(name):
    obj = grid(name)
    obj.rotation_euler.x = 1.2
    obj.vertex_groups.new(name="pin").add([0, 8], 1.0, "REPLACE")
    obj.modifiers.new("Cloth", "CLOTH").settings.vertex_group_mass = "pin"
    return obj


def soft_body(name):
    obj = grid(name)
    obj.rotation_euler.x = 1.2
    obj.modifiers.new("Soft", "SOFT_BODY").settings.use_goal = False
    return obj


def rigid_body(name):
    scene = bpy.context.scene
    obj = cube(name)
    if scene.rigidbody_world is None:
        bpy.ops.rigidbody.world_add()
        scene.rigidbody_world.collection = bpy.data.collections.new("bodies")
    scene.rigidbody_world.collection.objects.link(obj)
    obj.rigid_body.type = "ACTIVE"
    return obj


def particles(name):
    obj = grid(name)
    settings = obj.modifiers.new("Particles", "PARTICLE_SYSTEM").particle_system.settings
    settings.count, settings.frame_start, settings.frame_end, settings.lifetime = 40, 1, 15, 30
    settings.render_type = "OBJECT"
    settings.instance_object = cube(f"{name}.one", 0.1)
    return obj


def hair_dynamics(name):
    obj = grid(name)
    system = obj.modifiers.new("Hair", "PARTICLE_SYSTEM").particle_system
    system.settings.type = "HAIR"
    system.settings.count = 20
    system.use_hair_dynamics = True
    return obj


def simulation_nodes(name):
    obj = cube(name)

    def make(tree, geometry):
        begin, end = tree.nodes.new("GeometryNodeSimulationInput"), tree.nodes.new("GeometryNodeSimulationOutput")
        begin.pair_with_output(end)
        tree.links.new(geometry, begin.inputs["Geometry"])
        tree.links.new(raise_by(tree, begin.outputs["Geometry"], None, 0.05), end.inputs["Geometry"])
        return end.outputs["Geometry"]

    geometry_nodes(obj, make)
    return obj


def dynamic_paint(name):
    obj = grid(name)
    modifier = obj.modifiers.new("Paint", "DYNAMIC_PAINT")
    modifier.ui_type = "CANVAS"
    bpy.context.view_layer.objects.active = obj
    bpy.ops.dpaint.type_toggle(type="CANVAS")
    surface = modifier.canvas_settings.canvas_surfaces[0]
    surface.surface_type = "WAVE"
    brush = cube(f"{name}.brush", 0.2)
    key(brush, "location", {1: -0.5, 20: 0.5}, 0)
    brush.modifiers.new("Paint", "DYNAMIC_PAINT").ui_type = "BRUSH"
    bpy.context.view_layer.objects.active = brush
    bpy.ops.dpaint.type_toggle(type="BRUSH")
    return obj


# What must not be reported.


def silent(name):
    """Things that would not slow down, but do not show."""
    obj = grid(name)
    modifier = obj.modifiers.new("Cloth", "CLOTH")
    modifier.show_render = modifier.show_viewport = False
    other = drive(obj, "location", "f * 0.05", 2, f=("SINGLE_PROP", bpy.context.scene, "frame_current"))
    other.mute = True
    image = bpy.data.images.new("unused", 4, 4)
    image.source = "SEQUENCE"
    material = bpy.data.materials.new("unused")
    material.use_nodes = True
    material.node_tree.nodes.new("ShaderNodeTexImage").image = image
    material.use_fake_user = True
    return obj


def image_sequence(name):
    obj = grid(name)
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    node = material.node_tree.nodes.new("ShaderNodeTexImage")
    node.image = bpy.data.images.new(name, 4, 4)
    node.image.source = "SEQUENCE"
    node.image_user.use_auto_refresh = True
    obj.data.materials.append(material)
    return obj


def compositor_clock(name):
    """A Scene Time node in the compositor."""
    scene = bpy.context.scene
    if hasattr(scene, "compositing_node_group"):
        tree = scene.compositing_node_group = bpy.data.node_groups.new(name, "CompositorNodeTree")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
    tree.nodes.new("CompositorNodeSceneTime").name = name
    return cube(name)


def add_camera(scene):
    data = bpy.data.cameras.new("Camera")
    data.lens = 30.0
    camera = link("Camera", data)
    camera.rotation_euler.x = 1.5707963
    middle, height = (COLUMNS - 1) * SPACING / 2, SPACING
    camera.location = (middle, -14.0, height)
    key(camera, "location", {1: middle - 0.4, 12: middle + 0.5, 20: middle}, 0)
    key(camera, "rotation_euler", {1: -0.03, 20: 0.04}, 1)
    scene.camera = camera
    key(scene, "render.motion_blur_shutter", {1: 0.3, 20: 0.8})


def main():
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    blend, names = arguments[0], arguments[1:]
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene["saved_as"] = blend
    scene.render.engine = "CYCLES"
    scene.render.fps = 25
    scene.frame_start, scene.frame_end = FRAME_START, FRAME_END
    add_camera(scene)
    for number, name in enumerate(names):
        obj = globals()[name](name)
        parts = [obj, *(part for part in scene.objects if part.name.startswith(f"{name}."))]
        holder = link(f"{name}.place", None)
        holder.location = (number % COLUMNS * SPACING, 0.0, number // COLUMNS * SPACING)
        for part in parts:
            if part.parent is None and part.rigid_body is None:
                part.parent = holder
            elif part.rigid_body is not None:
                part.location = holder.location
    light = bpy.data.lights.new("Sun", "SUN")
    link("Sun", light).rotation_euler = (1.0, 0.2, 0.3)
    bpy.ops.wm.save_as_mainfile(filepath=blend, compress=True)


main()
