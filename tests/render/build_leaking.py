"""Run inside Blender: a scene whose script keeps more memory with every frame. Arguments: .blend, number of frames."""

import sys

import bpy

BLEND, FRAMES = sys.argv[-2], int(sys.argv[-1])

bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.frame_start, scene.frame_end = 1, FRAMES
bpy.ops.mesh.primitive_cube_add()
camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
camera.location = (0, 0, 6)
scene.collection.objects.link(camera)
scene.camera = camera
text = bpy.data.texts.new("leak.py")
text.from_string(
    "import bpy\nkept = []\n"
    "def leak(*_):\n    kept.append(b'1' * (1 << 20))\n"
    "bpy.app.handlers.frame_change_pre.append(leak)"
)
text.use_module = True
bpy.ops.wm.save_as_mainfile(filepath=BLEND)
