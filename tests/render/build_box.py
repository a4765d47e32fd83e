"""Run inside Blender: the inside of a box, with an animated camera and an object that turns. Arguments: .blend."""

import sys

import bpy

bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.frame_start, scene.frame_end, scene.render.fps = 1, 6, 24
bpy.ops.mesh.primitive_cube_add(size=8.0)
bpy.context.object.name = "Box"
camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
camera.data.lens, camera.data.shift_x = 20.0, 0.05
scene.collection.objects.link(camera)
scene.camera = camera
for frame, x in ((1, -0.5), (6, 0.5)):
    camera.location = (x, -1.0, 0.2)
    camera.keyframe_insert("location", frame=frame)
camera.rotation_euler = (1.4, 0.0, 0.2)
lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
lamp.data.energy = 200.0
scene.collection.objects.link(lamp)
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[-1])
