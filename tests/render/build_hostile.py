"""Run inside Blender: scenes that would run Python, write files, lack files or crash.

Arguments: the folder for them, and the watched folder, in which what runs or writes leaves files.
"""

import os
import sys

import bpy

FOLDER, WATCHED = sys.argv[-2:]


def new_scene(frames=2):
    """A cube before a camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.frame_start, scene.frame_end = 1, frames
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    cube.name = "Cube"
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location = (0, 0, 6)
    scene.collection.objects.link(camera)
    scene.camera = camera
    return scene, cube


def save(name):
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(FOLDER, f"{name}.blend"), compress=False)


def material(obj, name="Material"):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    obj.data.materials.append(made)
    return made.node_tree


def touch(name):
    """Python that leaves a file."""
    return f"open({os.path.join(WATCHED, name)!r}, 'w').close()"


def script(name, text):
    made = bpy.data.texts.new(name)
    made.from_string(text)
    made.use_module = True
    return made


def drive(owner, path, name, index=-1):
    """A driver that leaves a file each time."""
    curve = owner.driver_add(path, index) if index >= 0 else owner.driver_add(path)
    curve.driver.expression = f"__import__('os').close(__import__('os').open({os.path.join(WATCHED, name)!r}, 65)) or 1"


def scripts():
    scene, cube = new_scene()
    script("run.py", touch("registered"))
    script("on every frame", f"import bpy\ndef f(*_): {touch('handler')}\nbpy.app.handlers.frame_change_pre.append(f)")
    drive(cube, "location", "object driver", 0)
    cube.driver_add("location", 1).driver.expression = "frame * 0.1"
    cube.driver_add("location", 2).driver.expression = "min([frame, 0])"
    tree = material(cube)
    drive(tree, 'nodes["Principled BSDF"].inputs["Roughness"].default_value', "material driver")
    cube.shape_key_add(name="Basis")
    drive(cube.shape_key_add(name="Key"), "value", "shape key driver")
    group = bpy.data.node_groups.new("Group", "ShaderNodeTree")
    group.nodes.new("ShaderNodeValue")
    drive(group, 'nodes["Value"].outputs[0].default_value', "group driver")
    tree.nodes.new("ShaderNodeGroup").node_tree = group
    cube.keyframe_insert("scale", frame=1)
    track = cube.animation_data.nla_tracks.new()
    track.name = "Track"
    track.strips.new("Strip", 1, cube.animation_data.action)
    strip = track.strips[0]
    strip.use_animated_influence = True
    drive(cube, f'animation_data.nla_tracks["Track"].strips["{strip.name}"].influence', "strip driver")
    settings = scene.view_layers[0].freestyle_settings
    scene.render.use_freestyle = True
    settings.mode = "SCRIPT"
    style = bpy.data.texts.new("style.py")
    style.from_string(touch("freestyle"))
    settings.modules.new().script = style
    save("scripts")


def osl():
    """A Script node that writes a file, as far as OSL lets it; only where Blender can compile it here."""
    import _cycles

    scene, cube = new_scene()
    scene.cycles.shading_system = True
    tree = material(cube)
    tree.nodes.clear()
    node, emission = tree.nodes.new("ShaderNodeScript"), tree.nodes.new("ShaderNodeEmission")
    text = bpy.data.texts.new("shader.osl")
    text.from_string(
        f'shader simple(output color C = color(0)) {{ fprintf("{WATCHED}/osl", "written\\n"); C = color(1, 0.5, 0); }}'
    )
    node.script = text
    if _cycles.with_osl:
        import addon_utils

        addon_utils.enable("cycles")
        try:
            from cycles import osl as compiler

            compiler.update_script_node(node, lambda *_: None)
        except ImportError:
            return  # bpy wheels from 4.5 to 5.2 lack a module that compiling needs.
    tree.links.new(emission.outputs[0], tree.nodes.new("ShaderNodeOutputMaterial").inputs[0])
    if node.outputs:
        tree.links.new(node.outputs[0], emission.inputs[0])
    save("osl")


def file_output(tree, name):
    """A File Output node that writes what comes into it."""
    node = tree.nodes.new("CompositorNodeOutputFile")
    node.name = name
    if hasattr(node, "base_path"):
        node.base_path = os.path.join(WATCHED, name)
    else:
        node.directory, node.file_name = os.path.join(WATCHED, name), name
        node.file_output_items.new("RGBA", "Image")
    return node


def compositor(scene):
    if hasattr(scene, "compositing_node_group"):
        tree = scene.compositing_node_group = bpy.data.node_groups.new(scene.name, "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        end = tree.nodes.new("NodeGroupOutput")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        end = tree.nodes.new("CompositorNodeComposite")
    layers = tree.nodes.new("CompositorNodeRLayers")
    tree.links.new(layers.outputs["Image"], end.inputs[0])
    return tree, layers.outputs["Image"], end


def group_with_output(name, inner=None):
    """A compositor group that writes its input, or hands it to `inner`."""
    group = bpy.data.node_groups.new(name, "CompositorNodeTree")
    start = group.nodes.new("NodeGroupInput")
    if hasattr(group, "interface"):
        group.interface.new_socket("Image", in_out="INPUT", socket_type="NodeSocketColor")
    else:
        group.inputs.new("NodeSocketColor", "Image")
    if inner is None:
        end = file_output(group, "Nested")
    else:
        end = group.nodes.new("CompositorNodeGroup")
        end.node_tree = inner
    group.links.new(start.outputs[0], end.inputs[0])
    return group


def outputs():
    """Files in every way that needs no Python."""
    scene, _ = new_scene()
    tree, image, _ = compositor(scene)
    for name in ("Plain", "Unmuted"):
        tree.links.new(image, file_output(tree, name).inputs[0])
    tree.nodes["Unmuted"].mute = True
    try:
        tree.driver_add('nodes["Unmuted"].mute').driver.expression = "frame * 0"
    except TypeError:
        pass  # Some versions cannot animate it.
    outer = tree.nodes.new("CompositorNodeGroup")
    outer.node_tree = group_with_output("Outer", group_with_output("Inner"))
    tree.links.new(image, outer.inputs[0])
    other = bpy.data.scenes.new("Other")
    other.render.engine = "CYCLES"
    other.camera = scene.camera
    other_tree, other_image, _ = compositor(other)
    other_tree.links.new(other_image, file_output(other_tree, "Other scene").inputs[0])
    reader = tree.nodes.new("CompositorNodeRLayers")
    reader.scene = other
    tree.links.new(reader.outputs["Image"], file_output(tree, "Of another scene").inputs[0])
    for each in (scene, other):
        render = each.render
        render.filepath = os.path.join(WATCHED, "pictures", each.name + "_####")
        render.use_overwrite = render.use_placeholder = render.use_file_extension = render.use_stamp = True
        if hasattr(render, "use_render_cache"):
            render.use_render_cache = True
    save("outputs")


def refused():
    """Scenes that cannot be rendered; the first one is the beginning of others."""
    scene, _ = new_scene()
    save("good")
    scene.camera = None
    save("blind")
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    scene.collection.objects.link(lamp)
    scene.camera = lamp
    save("lamp")
    scene, _ = new_scene()
    import addon_utils

    addon_utils.enable("cycles")
    data = scene.camera.data
    data.type = "PANO"
    (data if hasattr(data, "panorama_type") else data.cycles).panorama_type = "MIRRORBALL"
    save("ball")
    scene, _ = new_scene()
    for layer in scene.view_layers:
        layer.use = False
    save("dark")


def cloth():
    """Cloth that keeps its frames in files beside the .blend, without and with such files; and dynamic paint."""
    scene, cube = new_scene()
    modifier = cube.modifiers.new("Cloth", "CLOTH")
    save("cloth")  # Blender wants to know where to put them.
    modifier.point_cache.use_disk_cache = True
    save("cloth")
    scene.frame_set(1)
    scene.frame_set(2)
    save("played")
    for frame in (1, 2, 1):
        scene.frame_set(frame)
    save("played")


def paint():
    scene, cube = new_scene()
    canvas = cube.modifiers.new("Paint", "DYNAMIC_PAINT")
    bpy.context.view_layer.objects.active = cube
    bpy.ops.dpaint.type_toggle(type="CANVAS")
    canvas.canvas_settings.canvas_surfaces[0].surface_type = "WAVE"
    bpy.ops.mesh.primitive_cube_add(size=0.3, location=(0, 0, 1))
    brush = bpy.context.object
    brush.modifiers.new("Paint", "DYNAMIC_PAINT").ui_type = "BRUSH"
    bpy.ops.dpaint.type_toggle(type="BRUSH")
    save("paint")
    for frame in (1, 2, 1):
        scene.frame_set(frame)
    save("paint")


def fluid():
    _, cube = new_scene()
    domain = cube.modifiers.new("Fluid", "FLUID")
    domain.fluid_type = "DOMAIN"
    domain.domain_settings.resolution_max = 8
    domain.domain_settings.cache_type = "REPLAY"
    domain.domain_settings.cache_directory = os.path.join(WATCHED, "fluid")
    bpy.ops.mesh.primitive_cube_add(size=0.3)
    flow = bpy.context.object.modifiers.new("Fluid", "FLUID")
    flow.fluid_type = "FLOW"
    flow.flow_settings.flow_type = "SMOKE"
    save("fluid")


def lacking():
    """Whatever a scene can lack."""
    new_scene()
    bpy.context.object.name = "Chair"
    os.makedirs(os.path.join(FOLDER, "library", "of"))
    save("library/of/inner")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(os.path.join(FOLDER, "library/of/inner.blend"), link=True, relative=True) as (_, here):
        here.objects = ["Cube", "Chair"]
    outer = bpy.data.collections.new("Chairs")
    for obj in here.objects:
        if obj is not None:
            outer.objects.link(obj)
    bpy.context.scene.collection.children.link(outer)
    save("library/of/outer")

    scene, cube = new_scene()
    with bpy.data.libraries.load(os.path.join(FOLDER, "library/of/outer.blend"), link=True, relative=True) as (_, here):
        here.collections = ["Chairs"]
    instance = bpy.data.objects.new("Instance", None)
    instance.instance_type, instance.instance_collection = "COLLECTION", here.collections[0]
    scene.collection.objects.link(instance)
    tree = material(cube)
    for number in (1001, 1012):
        small = bpy.data.images.new("made", 4, 4)
        small.filepath_raw, small.file_format = os.path.join(FOLDER, f"tiles.{number}.png"), "PNG"
        small.save()
        bpy.data.images.remove(small)
    for number in (1, 2, 4):
        small = bpy.data.images.new("made", 4, 4)
        small.filepath_raw, small.file_format = os.path.join(FOLDER, f"water{number:03d}.png"), "PNG"
        small.save()
        bpy.data.images.remove(small)
    for name, source, path in (
        ("wood", "FILE", "//wood.png"),
        ("tiles", "TILED", "//tiles.<UDIM>.png"),
        ("water", "SEQUENCE", "//water001.png"),
        ("clip", "MOVIE", "//clip.mp4"),
    ):
        image = bpy.data.images.new(name, 4, 4)
        image.source = source
        image.filepath = path
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image = image
        if source == "TILED":
            image.tiles.new(1011)
            image.tiles.new(1012)
        if source == "SEQUENCE":
            node.image_user.frame_duration = 5
    unused = bpy.data.images.new("unused", 4, 4)
    unused.source, unused.filepath, unused.use_fake_user = "FILE", "//unused.png", True
    light = bpy.data.lights.new("Lamp", "POINT")
    light.use_nodes = True
    profile = light.node_tree.nodes.new("ShaderNodeTexIES")
    profile.mode, profile.filepath = "EXTERNAL", "//lamp.ies"
    scene.collection.objects.link(bpy.data.objects.new("Lamp", light))
    volume = bpy.data.volumes.new("Fog")
    volume.filepath = "//fog.vdb"
    scene.collection.objects.link(bpy.data.objects.new("Fog", volume))
    cube.modifiers.new("MDD", "MESH_CACHE").filepath = "//cube.mdd"
    editor = scene.sequence_editor_create()
    if bpy.app.build_options.audaspace:
        (editor.strips if hasattr(editor, "strips") else editor.sequences).new_sound("Sound", "//music.wav", 1, 1)
    save("lacking")
    # Chair is no more in the inner library.
    new_scene()
    save("library/of/inner")


def crashing():
    new_scene()
    script("open.py", "import ctypes\nctypes.string_at(0)")
    save("crash_opening")
    new_scene(3)
    script(
        "frame.py",
        "import bpy, ctypes, sys\ndef f(scene, *_):\n    if scene.frame_current == 2:\n        "
        "sys.stderr.write('about to crash\\n'); sys.stderr.flush(); ctypes.string_at(0)\n"
        "bpy.app.handlers.frame_change_post.append(f)",
    )
    save("crash_frame")
    new_scene(3)
    script(
        "memory.py",
        "import bpy, resource\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "def f(scene, *_):\n"
        "    if scene.frame_current == 2:\n"
        "        limit = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize() + (200 << 20)\n"
        "        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))\n"
        "        scene.objects['Cube'].modifiers['Subsurf'].render_levels = 10\n"
        "        scene.objects['Cube'].modifiers['Subsurf'].levels = 10\n"
        "bpy.app.handlers.frame_change_post.append(f)",
    )
    bpy.data.objects["Cube"].modifiers.new("Subsurf", "SUBSURF").render_levels = 0
    bpy.data.objects["Cube"].modifiers["Subsurf"].levels = 0
    save("out_of_memory")
    new_scene(3)
    save("good")


made = {
    "scripts": (scripts, osl),
    "writing": (outputs, cloth, paint, fluid),
    "refused": (refused,),
    "lacking": (lacking,),
    "crashing": (crashing,),
}
BASE = FOLDER
for folder, builders in made.items():
    FOLDER = os.path.join(BASE, folder)
    os.makedirs(FOLDER)
    for build in builders:
        build()
