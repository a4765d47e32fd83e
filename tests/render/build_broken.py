"""Run inside Blender: good scenes and scenes with something wrong with them. Arguments: folder, how many good ones.

Each is a cube, a lamp and a camera, in frames 1 to 3.
"""

import os
import sys

import bpy


def scene():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.frame_start, scene.frame_end, scene.render.fps = 1, 3, 24
    bpy.ops.mesh.primitive_cube_add(size=2.0)
    bpy.context.object.name = "Cube"
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location = (0.0, 0.0, 6.0)
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "SUN"))
    for obj in (camera, lamp):
        scene.collection.objects.link(obj)
    scene.camera = camera
    return scene


def good(scene):
    pass


def blind(scene):
    """No camera."""
    scene.camera = None


def mirrored(scene):
    scene.camera.scale = (-1.0, 1.0, 1.0)


def mirrored_later(scene):
    """In the last of the three frames only."""
    for frame, x in ((2, 1.0), (3, -1.0)):
        scene.camera.scale[0] = x
        scene.camera.keyframe_insert("scale", index=0, frame=frame)


def sheared(scene):
    """By what carries it."""
    parent = bpy.data.objects.new("Parent", None)
    scene.collection.objects.link(parent)
    parent.scale = (1.0, 3.0, 1.0)
    scene.camera.parent = parent
    scene.camera.rotation_euler = (0.0, 0.0, 0.6)


def layerless(scene):
    """Nothing is rendered of it."""
    scene.view_layers[0].use = False


def empty(scene):
    """A world without any object but the camera."""
    for obj in list(bpy.data.objects):
        if obj != scene.camera:
            bpy.data.objects.remove(obj)
    world = scene.world = bpy.data.worlds.new("World")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.2, 0.5, 0.8, 1.0)


def keyed(scene):
    """With shape keys."""
    cube = bpy.data.objects["Cube"]
    cube.shape_key_add(name="Basis")
    cube.shape_key_add(name="Up").value = 0.5


def save(folder, name, change):
    change(scene())
    # What has no user, such as the mesh of a removed object, is not written.
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(folder, f"{name}.blend"), compress=False)


def main():
    folder, number = sys.argv[-2:]
    for index in range(int(number)):
        save(folder, f"good{index:02d}", good)
    for change in (blind, mirrored, mirrored_later, sheared, layerless, empty, keyed):
        save(folder, change.__name__, change)


main()
