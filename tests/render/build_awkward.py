"""Run inside Blender: a scene with much that makes comparing hard. Arguments: the .blend to write.

A bumpy floor, smooth balls that touch it, a card with cut-outs, a half transparent one, hair, a volume, a displaced
block, an object that only the viewport shows, one that only the render shows, and a camera that moves.
"""

import sys

import bpy


def material(name, build):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    tree = made.node_tree
    build(tree, tree.nodes["Principled BSDF"], tree.nodes["Material Output"])
    return made


def bumpy(tree, shader, output):
    noise, bump = tree.nodes.new("ShaderNodeTexNoise"), tree.nodes.new("ShaderNodeBump")
    noise.inputs["Scale"].default_value = 8
    tree.links.new(noise.outputs[0], bump.inputs["Height"])
    tree.links.new(bump.outputs[0], shader.inputs["Normal"])
    tree.links.new(noise.outputs[0], shader.inputs["Base Color"])


def cut_out(tree, shader, output):
    checker = tree.nodes.new("ShaderNodeTexChecker")
    checker.inputs["Scale"].default_value = 6
    tree.links.new(checker.outputs["Fac"], shader.inputs["Alpha"])


def half(tree, shader, output):
    shader.inputs["Alpha"].default_value = 0.5


def smoke(tree, shader, output):
    scatter = tree.nodes.new("ShaderNodeVolumeScatter")
    tree.nodes.remove(shader)
    tree.links.new(scatter.outputs[0], output.inputs["Volume"])


def displaced(tree, shader, output):
    noise, move = tree.nodes.new("ShaderNodeTexNoise"), tree.nodes.new("ShaderNodeDisplacement")
    tree.links.new(noise.outputs[0], move.inputs["Height"])
    tree.links.new(move.outputs[0], output.inputs["Displacement"])


def add(kind, name, location, build=None, **options):
    getattr(bpy.ops.mesh, f"primitive_{kind}_add")(location=location, **options)
    obj = bpy.context.object
    obj.name = name
    if build is not None:
        obj.data.materials.append(material(name, build))
    return obj


def main():
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.fps, scene.frame_start, scene.frame_end = 25, 1, 5
    add("plane", "Floor", (0, 0, 0), bumpy, size=14)
    for index, x in enumerate((-2.2, -0.6)):
        ball = add("uv_sphere", f"Ball{index}", (x, 1, 0.6), radius=0.6)
        for face in ball.data.polygons:
            face.use_smooth = True
    ball.modifiers.new("Subsurf", "SUBSURF").render_levels = 2
    add("plane", "Card", (1.2, 0.5, 0.8), cut_out, size=1.4, rotation=(1.4, 0, 0.3))
    add("plane", "Glass", (-1.2, -1.2, 0.7), half, size=0.9, rotation=(1.5, 0, 0))
    add("cube", "Smoke", (0.4, -0.4, 0.5), smoke, size=0.9)
    add("cube", "Block", (2.6, 1.4, 0.5), displaced, size=1.0)
    add("cube", "Viewport", (0, -2, 1.0), size=0.8).hide_render = True
    add("cube", "Render", (0.2, 2.4, 0.5), size=1.0).hide_viewport = True
    add("cube", "Unseen", (-0.5, -2.5, 1.2), size=0.7).visible_camera = False
    fur = add("ico_sphere", "Fur", (-2.6, -0.6, 0.5), radius=0.4)
    fur.modifiers.new("Hair", "PARTICLE_SYSTEM")
    hair = fur.particle_systems[0].settings
    hair.type, hair.count, hair.hair_length = "HAIR", 60, 0.3
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    for frame, x in ((0, 0.0), (6, 1.2)):
        camera.location, camera.rotation_euler = (x, -7, 3 + x / 3), (1.2, 0, 0.1 * x)
        camera.keyframe_insert("location", frame=frame)
        camera.keyframe_insert("rotation_euler", frame=frame)
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.rotation_euler = (0.6, 0.3, 0.2)
    scene.collection.objects.link(sun)
    bpy.ops.wm.save_as_mainfile(filepath=arguments[0], compress=True)


main()
