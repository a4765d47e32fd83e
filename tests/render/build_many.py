"""Build a scene of many copies, or of a set scene: python build_many.py SCENE.blend KIND.

`carried`: a grid of copies that geometry nodes make on an object that moves and turns. `set`, `hidden-set`: a square
that moves in the scene that is this one's background, shown in the viewport or not. The camera looks down from a height
of 20.
"""

import sys

import bpy

STEP = 0.1
"""Motion to the right, from frame to frame."""

TURN = 0.02
"""Radians from frame to frame, in `carried` only."""


def main(blend, kind):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    import addon_utils

    addon_utils.enable("cycles")
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.frame_start, scene.frame_end = 1, 4
    scene.world = bpy.data.worlds.new("World")
    scene.camera = link(scene, "Camera", bpy.data.cameras.new("Camera"), (0, 0, 20))
    if kind == "carried":
        carried(scene)
    else:
        background = bpy.data.scenes.new("Background")
        background.render.engine = "CYCLES"
        mover = link(background, "Mover", square("Mover", 3))
        move(mover, turn=0)
        mover.hide_viewport = kind == "hidden-set"
        scene.background_set = background
    bpy.ops.wm.save_as_mainfile(filepath=blend)


def link(scene, name, data, location=(0, 0, 0)):
    obj = bpy.data.objects.new(name, data)
    obj.location = location
    scene.collection.objects.link(obj)
    return obj


def square(name, size):
    mesh, half = bpy.data.meshes.new(name), size / 2
    mesh.from_pydata([(-half, -half, 0), (half, -half, 0), (half, half, 0), (-half, half, 0)], [], [(0, 1, 2, 3)])
    return mesh


def move(obj, turn):
    for frame in range(8):
        obj.location.x, obj.rotation_euler.z = STEP * frame, turn * frame
        obj.keyframe_insert("location", frame=frame)
        obj.keyframe_insert("rotation_euler", frame=frame)


def carried(scene):
    source = link(scene, "Tile", square("Tile", 0.8), (0, 50, 0))
    points = bpy.data.meshes.new("Points")
    points.from_pydata([(x - 2.5, y - 2.5, 0) for x in range(6) for y in range(6)], [], [])
    instancer = link(scene, "Carrier", points)
    move(instancer, TURN)
    group = bpy.data.node_groups.new("Carrier", "GeometryNodeTree")
    if hasattr(group, "interface"):
        for way in ("INPUT", "OUTPUT"):
            group.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    else:
        group.inputs.new("NodeSocketGeometry", "Geometry")
        group.outputs.new("NodeSocketGeometry", "Geometry")
    kinds = ("NodeGroupInput", "GeometryNodeObjectInfo", "GeometryNodeInstanceOnPoints", "NodeGroupOutput")
    given, info, scatter, result = map(group.nodes.new, kinds)
    info.inputs["Object"].default_value = source
    info.inputs["As Instance"].default_value = True
    group.links.new(given.outputs[0], scatter.inputs["Points"])
    group.links.new(info.outputs["Geometry"], scatter.inputs["Instance"])
    group.links.new(scatter.outputs[0], result.inputs[0])
    instancer.modifiers.new("Carrier", "NODES").node_group = group


if __name__ == "__main__":
    main(*sys.argv[-2:])
