"""Run inside Blender: scenes whose pictures are of little use. Arguments: the folder for them."""

import sys

import bpy


def new_scene():
    """A cube before a camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine, scene.frame_start, scene.frame_end = "CYCLES", 1, 3
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    cube.name = "Cube"
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location.z = 6
    scene.collection.objects.link(camera)
    scene.camera = camera
    return scene, cube


def material(obj, name):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    obj.data.materials.append(made)
    return made.node_tree


class Engine(bpy.types.RenderEngine):
    bl_idname, bl_label = "LUXURY", "Luxury"


class Node(bpy.types.ShaderNode):
    bl_idname, bl_label = "LuxuryNode", "Velvet"


def still():
    """An add-on's engine and node, a circle, nothing on the output for Cycles, and grease pencil since 4.3."""
    scene, cube = new_scene()
    tree = material(cube, "Velvet")
    tree.nodes.new("LuxuryNode")
    tree.nodes["Material Output"].target = "EEVEE"
    image = bpy.data.images.new("bumps", 4, 4)
    image.source, image.filepath = "FILE", "//pictures/../bumps.png"
    texture, bump = tree.nodes.new("ShaderNodeTexImage"), tree.nodes.new("ShaderNodeNormalMap")
    texture.image = image
    tree.links.new(texture.outputs[0], bump.inputs["Color"])
    tree.links.new(bump.outputs[0], tree.nodes["Principled BSDF"].inputs["Normal"])
    for name, other in (("Hen", "Egg"), ("Egg", "Hen")):
        obj = bpy.data.objects.get(name) or bpy.data.objects.new(name, None)
        target = bpy.data.objects.get(other) or bpy.data.objects.new(other, None)
        if name == "Hen":
            scene.collection.objects.link(obj)
            scene.collection.objects.link(target)
        obj.constraints.new("COPY_LOCATION").target = target
    # Keys that stay where they are, and a driver that follows them.
    cube.location.x = 0.5
    cube.keyframe_insert("location", frame=1)
    cube.keyframe_insert("location", frame=3)
    driver = scene.camera.driver_add("location", 0).driver
    driver.type = "AVERAGE"
    variable = driver.variables.new()
    variable.targets[0].id, variable.targets[0].data_path = cube, "location.x"
    if hasattr(bpy.data, "grease_pencils_v3") or bpy.app.version >= (5, 0):
        strokes = getattr(bpy.data, "grease_pencils_v3", bpy.data.grease_pencils)
        scene.collection.objects.link(bpy.data.objects.new("Strokes", strokes.new("Strokes")))
    scene.render.engine = "LUXURY"


def blind():
    """The camera looks away, into a black world, and something moves."""
    scene, cube = new_scene()
    scene.camera.rotation_euler.x = 3.0
    scene.world = bpy.data.worlds.new("Night")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0, 0, 0, 1)
    cube.keyframe_insert("location", frame=1)
    cube.location.x = 1
    cube.keyframe_insert("location", frame=3)


bpy.utils.register_class(Engine)
bpy.utils.register_class(Node)
try:
    for case in (still, blind):
        case()
        bpy.ops.wm.save_as_mainfile(filepath=f"{sys.argv[-1]}/{case.__name__}.blend")
finally:
    bpy.utils.unregister_class(Engine)
    bpy.utils.unregister_class(Node)
