"""Make a scene with every kind of copies: run by a Blender, `build_instances.py SCENE.blend`.

Most things have no material, which is the hardest case. All copies stand apart from each other in the picture.
"""

from __future__ import annotations

import sys

import bpy


def cube(name, size, collection, location=(0, 0, 0)):
    h = size / 2
    corners = [(x, y, z) for x in (-h, h) for y in (-h, h) for z in (-h, h)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], faces)
    obj = bpy.data.objects.new(name, mesh)
    obj.location = location
    collection.objects.link(obj)
    return obj


def instancer(name, collection, parent, location):
    obj = bpy.data.objects.new(name, None)
    obj.instance_type, obj.instance_collection, obj.location = "COLLECTION", collection, location
    parent.objects.link(obj)
    return obj


def material(name, alpha=None):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    tree = made.node_tree
    tree.nodes.clear()
    shader = tree.nodes.new("ShaderNodeBsdfTransparent" if alpha == 0 else "ShaderNodeBsdfDiffuse")
    tree.links.new(shader.outputs[0], tree.nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    return made


def scatter(scene, source, location):
    """Geometry nodes that put a generated cube without material, and copies of `source`, on a row of points."""
    tree = bpy.data.node_groups.new("Scatter", "GeometryNodeTree")
    if hasattr(tree, "interface"):
        tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    else:
        tree.outputs.new("NodeSocketGeometry", "Geometry")
    nodes, link = tree.nodes, tree.links.new
    points = nodes.new("GeometryNodeMeshLine")
    points.inputs["Count"].default_value = 3
    points.inputs["Offset"].default_value = (0.5, 0.0, 0.0)
    generated, given = nodes.new("GeometryNodeInstanceOnPoints"), nodes.new("GeometryNodeInstanceOnPoints")
    box, info = nodes.new("GeometryNodeMeshCube"), nodes.new("GeometryNodeObjectInfo")
    box.inputs["Size"].default_value = (0.2, 0.2, 0.2)
    info.inputs["Object"].default_value = source
    info.inputs["As Instance"].default_value = True
    up, join = nodes.new("GeometryNodeTransform"), nodes.new("GeometryNodeJoinGeometry")
    up.inputs["Translation"].default_value = (0.0, 0.5, 0.0)
    for target, shape in ((generated, box.outputs["Mesh"]), (given, info.outputs["Geometry"])):
        link(points.outputs["Mesh"], target.inputs["Points"])
        link(shape, target.inputs["Instance"])
    link(given.outputs[0], up.inputs["Geometry"])
    link(generated.outputs[0], join.inputs[0])
    link(up.outputs[0], join.inputs[0])
    link(join.outputs[0], nodes.new("NodeGroupOutput").inputs[0])
    obj = bpy.data.objects.new("Scatter", bpy.data.meshes.new("Scatter"))
    obj.location = location
    scene.collection.objects.link(obj)
    obj.modifiers.new("Scatter", "NODES").node_group = tree


def main():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.frame_start, scene.frame_end = 1, 6
    tree, grove = bpy.data.collections.new("Tree"), bpy.data.collections.new("Grove")
    trunk = cube("Trunk", 0.3, tree)
    trunk["class"] = "wood"
    cube("Leaf", 0.2, tree, (0, 0.35, 0))
    tree["class"] = "plant"
    for index in range(2):
        instancer(f"Tree{index}", tree, grove, (0.5 * index, 0, 0))
    instancer("Grove", grove, scene.collection, (-1.5, 1.0, 0))
    moving = instancer("Moving", tree, scene.collection, (0.2, 1.0, 0))
    for frame in (0, 7):
        moving.location.x = 0.2 + 0.05 * frame
        moving.rotation_euler.z = 0.03 * frame
        for path in ("location", "rotation_euler"):
            moving.keyframe_insert(path, frame=frame)
    for curve in curves_of(moving):
        for point in curve.keyframe_points:
            point.interpolation = "LINEAR"

    parent = cube("Square", 0.001, scene.collection, (1.4, 1.1, 0))
    parent.data.clear_geometry()
    parent.data.from_pydata([(0, 0, 0), (0.4, 0, 0), (0, 0.4, 0)], [], [])
    child = cube("Child", 0.15, scene.collection)
    child.parent, parent.instance_type = parent, "VERTS"

    plain = cube("Real", 0.25, scene.collection, (-1.5, -1.2, 0))
    plain.data.materials.append(material("Grey"))
    scatter(scene, plain, (-1.5, -0.4, 0))

    # Cut-outs in front: rays go through up to six surfaces of copies that nothing shows; Blender's limit is eight.
    cards = bpy.data.collections.new("Cards")
    card = cube("Card", 0.6, cards)
    card.data.materials.append(material("Nothing", alpha=0))
    for index in range(3):
        instancer(f"Cards{index}", cards, scene.collection, (-1.4 + 0.1 * index, 0.9, 1.0 + 0.7 * index))

    emitter = cube("Emitter", 0.001, scene.collection)
    emitter.data.clear_geometry()
    emitter.data.from_pydata([(0.3, -1.4, 0), (1.5, -1.4, 0), (1.5, -0.2, 0), (0.3, -0.2, 0)], [], [(0, 1, 2, 3)])
    if "particles" in sys.argv:
        emitter.modifiers.new("Particles", "PARTICLE_SYSTEM")
        settings = emitter.particle_systems[0].settings
        settings.type, settings.count, settings.render_type = "EMITTER", 4, "OBJECT"
        settings.frame_start, settings.frame_end, settings.lifetime = 1, 5, 100
        settings.physics_type, settings.instance_object, settings.particle_size = "NO", trunk, 0.4

    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.lens = 60
    camera.location = (0, 0, 7)
    scene.collection.objects.link(camera)
    scene.camera = camera
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.rotation_euler = (0.5, 0.4, 0)
    scene.collection.objects.link(sun)
    bpy.ops.wm.save_as_mainfile(filepath=next(word for word in sys.argv if word.endswith(".blend")))


def curves_of(obj):
    action = obj.animation_data.action
    if hasattr(action, "fcurves"):
        return list(action.fcurves)
    return [
        curve for layer in action.layers for strip in layer.strips for bag in strip.channelbags for curve in bag.fcurves
    ]


main()
