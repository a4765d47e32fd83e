"""Run inside Blender: small scenes in which a referee may easily be wrong. Arguments: the folder to write them into.

`seen_otherwise`: what the camera does not see but rays would (an indirect-only collection, an object hidden from the
camera, a holdout), what it sees but `scene.objects` does not have (a set scene, with something that moves), a cut by a
boolean, and things that turn once, creep and rest. `far`: all of it 500 km from the origin. `particles`: a simulation
that is not baked. `missing_normal_map`: one without its texture.
"""

import sys
from pathlib import Path

import bpy


def add(kind, name, location, **options):
    getattr(bpy.ops.mesh, f"primitive_{kind}_add")(location=location, **options)
    obj = bpy.context.object
    obj.name = name
    return obj


def key(obj, path, values):
    for frame, value in values.items():
        setattr(obj, path, value)
        obj.keyframe_insert(path, frame=frame)


def fresh(frames):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine, scene.frame_start, scene.frame_end = "CYCLES", 1, frames
    scene.world = bpy.data.worlds.new("World")
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.location, camera.rotation_euler = (0, -9, 4), (1.15, 0, 0)
    return scene, camera


def into(obj, collection):
    for holder in list(obj.users_collection):
        holder.objects.unlink(obj)
    collection.objects.link(obj)


def seen_otherwise(far):
    scene, camera = fresh(5)
    add("plane", "Floor", (0, 0, 0), size=12)
    hidden = bpy.data.collections.new("Indirect")
    scene.collection.children.link(hidden)
    into(add("cube", "OnlyReflected", (-1.5, -3, 1.2), size=1.2), hidden)
    bpy.context.view_layer.layer_collection.children["Indirect"].indirect_only = True
    add("cube", "Unseen", (1.5, -3, 1.2), size=1.0).visible_camera = False
    add("cube", "Hole", (3.4, 0, 0.6), size=1.0).is_holdout = True
    block, cutter = add("cube", "Block", (0, 0, 1), size=2), add("uv_sphere", "Cutter", (0.3, -0.9, 1.4), radius=0.8)
    cutter.hide_render = True
    cut = block.modifiers.new("Cut", "BOOLEAN")
    cut.object, cut.operation = cutter, "DIFFERENCE"
    # Rests in all frames but one: it takes up much of the picture, and little else is static by its label.
    key(
        add("cube", "TurnsOnce", (-3, 0.5, 1), size=2),
        "rotation_euler",
        {1: (0, 0, 0.2), 4: (0, 0, 0.2), 5: (0, 0, 0.4)},
    )
    key(add("cube", "Creeps", (2.2, 1.5, 1), size=1.4), "location", {1: (2.2, 1.5, 1), 5: (2.2012, 1.5, 1)})
    key(bpy.data.objects["Floor"], "location", {1: (0, 0, 0), 5: (0, 0, 0)})
    behind = bpy.data.scenes.new("Set")
    for name, location in (("Backdrop", (0, 5, 2)), ("Walker", (1.5, 4, 1.5))):
        into(add("cube", name, location, size=2), behind.collection)
    scene.background_set = behind
    key(bpy.data.objects["Walker"], "location", {1: (1.5, 3.4, 1.5), 5: (2.5, 3.4, 1.5)})
    key(camera, "location", {1: (0, -9, 4), 5: (0.5, -9, 4.2)})
    if far:
        root = bpy.data.objects.new("Root", None)
        scene.collection.objects.link(root)
        root.location = (5e5, 0, 0)
        for obj in list(bpy.data.objects):
            if obj is not root and obj.name not in behind.objects:
                obj.parent = root
        scene.background_set = None


def particles(far):
    fresh(6)
    add("plane", "Floor", (0, 0, 0), size=12)
    speck = add("ico_sphere", "Speck", (0, 0, -30), radius=0.35)
    source = add("plane", "Source", (0, 1, 2), size=3)
    source.modifiers.new("Emitter", "PARTICLE_SYSTEM")
    settings = source.particle_systems[0].settings
    settings.count, settings.frame_start, settings.frame_end, settings.lifetime = 60, 1, 6, 4
    settings.render_type, settings.instance_object, settings.particle_size = "OBJECT", speck, 1.0


def missing_normal_map(far):
    _, camera = fresh(2)
    floor = add("plane", "Floor", (0, 0, 0), size=12)
    material = bpy.data.materials.new("Bent")
    material.use_nodes = True
    tree = material.node_tree
    image = bpy.data.images.new("Map", 8, 8)
    image.source, image.filepath = "FILE", "//nowhere/map.png"
    texture, bend = tree.nodes.new("ShaderNodeTexImage"), tree.nodes.new("ShaderNodeNormalMap")
    texture.image = image
    tree.links.new(texture.outputs[0], bend.inputs["Color"])
    tree.links.new(bend.outputs[0], tree.nodes["Principled BSDF"].inputs["Normal"])
    floor.data.materials.append(material)
    key(camera, "location", {1: (0, -9, 4), 2: (0.5, -9, 4)})


SCENES = {
    "seen_otherwise": (seen_otherwise, False),
    "far": (seen_otherwise, True),
    "particles": (particles, False),
    "missing_normal_map": (missing_normal_map, False),
}


def main():
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    for name, (build, far) in SCENES.items():
        build(far)
        bpy.ops.wm.save_as_mainfile(filepath=str(Path(arguments[0]) / f"{name}.blend"), compress=True)


main()
