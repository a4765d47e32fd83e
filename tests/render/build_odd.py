"""Run inside Blender: odd .blend files, one for each function below. Arguments: the folder for them.

Most show what public files have and closed-form scenes have not: something missing, hidden, generated, simulated,
far away or broken. Each begins as a turning cube and a ball on a floor, seen by a moving camera, frames 1 to 4.
"""

import math
import os
import sys

import bpy

FOLDER = os.path.abspath(sys.argv[-1])
BUILT = {}


def odd(function):
    """Register a function as the builder of the file with its name."""
    BUILT[function.__name__] = function
    return function


def link(name, data):
    obj = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def keys(obj, path, values, index=-1):
    """Keyframes of a property: frame -> value."""
    for frame, value in values.items():
        if index >= 0:
            getattr(obj, path)[index] = value
        else:
            setattr(obj, path, value)
        obj.keyframe_insert(path, index=index, frame=frame)


def add(kind, name, **options):
    getattr(bpy.ops.mesh, f"primitive_{kind}_add")(**options)
    bpy.context.object.name = name
    return bpy.context.object


def material(obj, name="Paint"):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    obj.data.materials.append(made)
    return made.node_tree


def begin():
    """The scene that all files start from."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.frame_start, scene.frame_end = 1, 4
    add("plane", "Floor", size=12)
    cube = add("cube", "Cube", size=1, location=(-1, 0, 0.8))
    keys(cube, "rotation_euler", {1: (0, 0, 0), 5: (0, 0.4, 0.8)})
    add("ico_sphere", "Ball", radius=0.7, location=(1, 0.5, 0.7), subdivisions=2)
    camera = link("Camera", bpy.data.cameras.new("Camera"))
    camera.rotation_euler = (1.1, 0, 0)
    keys(camera, "location", {0: (0, -6, 3.4), 5: (0.6, -6, 3.4)})
    scene.camera = camera
    link("Sun", bpy.data.lights.new("Sun", "SUN")).rotation_euler = (0.6, 0.3, 0)
    return scene


def get(name):
    return bpy.data.objects[name]


def nodes_modifier(obj, build, name="Nodes"):
    """A geometry nodes modifier; `build(tree, input, output)` makes its nodes (Blender 4.0 and later)."""
    tree = bpy.data.node_groups.new(name, "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    build(tree, tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput"))
    obj.modifiers.new(name, "NODES").node_group = tree
    return tree


# Cameras.


@odd
def camera_missing(scene):
    bpy.data.objects.remove(scene.camera)


@odd
def camera_is_an_empty(scene):
    scene.camera = link("Nobody", None)


@odd
def camera_mirrored(scene):
    scene.camera.scale = (-1, 1, 1)


@odd
def camera_sheared(scene):
    parent = link("Parent", None)
    parent.scale, parent.rotation_euler = (1, 2, 1), (0, 0, 0.5)
    scene.camera.parent = parent


@odd
def camera_flat(scene):
    scene.camera.scale = (1, 1, 0)


@odd
def camera_orthographic(scene):
    scene.camera.data.type, scene.camera.data.ortho_scale = "ORTHO", 5


@odd
def camera_equirectangular(scene):
    scene.camera.data.type = "PANO"
    settings = scene.camera.data if hasattr(scene.camera.data, "panorama_type") else scene.camera.data.cycles
    settings.panorama_type = "EQUIRECTANGULAR"


@odd
def camera_mirror_ball(scene):
    scene.camera.data.type = "PANO"
    settings = scene.camera.data if hasattr(scene.camera.data, "panorama_type") else scene.camera.data.cycles
    settings.panorama_type = "MIRRORBALL"


@odd
def camera_inside_a_cube(scene):
    add("cube", "Box", size=1, location=scene.camera.location).parent = None


@odd
def camera_sees_nothing(scene):
    scene.camera.rotation_euler = (math.pi, 0, 0)
    get("Floor").hide_render = True


@odd
def camera_clips_all(scene):
    scene.camera.data.clip_end = 0.5


@odd
def camera_follows_a_path(scene):
    curve = bpy.data.curves.new("Path", "CURVE")
    curve.dimensions, curve.use_path, curve.path_duration = "3D", True, 4
    spline = curve.splines.new("POLY")
    spline.points.add(1)
    spline.points[0].co, spline.points[1].co = (-1, -6, 3.4, 1), (1, -6, 3.4, 1)
    keys(curve, "eval_time", {1: 0, 4: 4})
    scene.camera.animation_data_clear()
    scene.camera.location = (0, 0, 0)
    scene.camera.constraints.new("FOLLOW_PATH").target = link("Path", curve)


@odd
def markers_switch_cameras(scene):
    other = link("Other", bpy.data.cameras.new("Other"))
    other.location, other.rotation_euler = (3, -5, 3), (1.1, 0, 0.5)
    for frame, camera in ((1, scene.camera), (3, other)):
        marker = scene.timeline_markers.new(f"Cut {frame}", frame=frame)
        marker.camera = camera


@odd
def stereo_border_and_percentage(scene):
    render = scene.render
    render.use_multiview = True
    render.use_border, render.border_max_x = True, 0.5
    render.resolution_percentage, render.pixel_aspect_x = 37, 2


# Nothing, or nearly nothing.


@odd
def nothing_but_a_camera(scene):
    for obj in list(bpy.data.objects):
        if obj.type == "MESH":
            bpy.data.objects.remove(obj)


@odd
def nothing_moves(scene):
    for obj in bpy.data.objects:
        obj.animation_data_clear()


@odd
def no_light(scene):
    bpy.data.objects.remove(get("Sun"))


@odd
def all_hidden(scene):
    for obj in bpy.data.objects:
        obj.hide_render = obj.type == "MESH"


@odd
def only_a_volume(scene):
    for name in ("Floor", "Ball"):
        bpy.data.objects.remove(get(name))
    tree = material(get("Cube"))
    tree.nodes.clear()
    scatter, output = tree.nodes.new("ShaderNodeVolumeScatter"), tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(scatter.outputs[0], output.inputs["Volume"])


@odd
def view_layers_off(scene):
    scene.view_layers[0].use = False


@odd
def view_layers_two(scene):
    scene.view_layers.new("Second")
    scene.view_layers[0].use = False


@odd
def frames_from_zero(scene):
    scene.frame_start, scene.frame_end = 0, 3


@odd
def frame_rate_of_television(scene):
    scene.render.fps, scene.render.fps_base = 30, 1.001
    scene.render.frame_map_new = 130


# Geometry.


@odd
def loose_and_broken_meshes(scene):
    mesh = bpy.data.meshes.new("Loose")
    mesh.from_pydata([(0, 0, 1), (1, 0, 1), (float("nan"), 0, 2), (0, 1, 1)], [(0, 1)], [])
    link("Loose", mesh)
    link("No vertices", bpy.data.meshes.new("Empty"))
    get("Ball").scale = (0, 0, 0)
    get("Cube").scale = (1, 1, 0)


@odd
def scales_mirrored_and_tiny(scene):
    get("Cube").scale = (-1, 1, 1)
    get("Ball").scale = (1e-5, 1e-5, 1e-5)


@odd
def far_from_the_origin(scene):
    parent = link("Far", None)
    for obj in (get("Floor"), get("Cube"), get("Ball"), scene.camera):
        obj.parent = parent
    parent.location = (5e5, 0, 0)


@odd
def curves_text_and_metaballs(scene):
    font = bpy.data.curves.new("Text", "FONT")
    font.body, font.extrude = "odd", 0.1
    link("Text", font).location = (-1, -1, 1.5)
    curve = bpy.data.curves.new("Bent", "CURVE")
    curve.dimensions, curve.bevel_depth = "3D", 0.1
    curve.splines.new("BEZIER").bezier_points.add(1)
    curve.splines[0].bezier_points[1].co = (1, 1, 1)
    keys(curve, "bevel_factor_end", {1: 0.3, 5: 1.0})
    link("Bent", curve)
    ball = bpy.data.metaballs.new("Meta")
    ball.elements.new().radius = 1
    keys(link("Meta", ball), "location", {1: (0, 1, 1), 5: (0, 1, 2)})


@odd
def remeshed_shape_keys(scene):
    ball = get("Ball")
    ball.shape_key_add(name="Basis")
    key = ball.shape_key_add(name="Up")
    for point in key.data:
        point.co.z += 0.8
    keys(key, "value", {1: 0.0, 5: 1.0})
    ball.modifiers.new("Remesh", "REMESH").voxel_size = 0.15


@odd
def boolean_cut_that_moves(scene):
    cutter = add("cube", "Cutter", size=0.8, location=(1, 0, 1))
    cutter.hide_render = True
    keys(cutter, "location", {1: (0.4, -0.4, 1), 5: (1.6, -0.4, 1)})
    cut = get("Ball").modifiers.new("Cut", "BOOLEAN")
    cut.object, cut.operation = cutter, "DIFFERENCE"


@odd
def build_and_wave(scene):
    build = get("Ball").modifiers.new("Build", "BUILD")
    build.frame_start, build.frame_duration = 1, 8
    floor = get("Floor")
    subdivide = floor.modifiers.new("Subdivide", "SUBSURF")
    subdivide.subdivision_type, subdivide.render_levels = "SIMPLE", 4
    floor.modifiers.new("Wave", "WAVE").height = 0.2


@odd
def shape_keys_without_an_owner(scene):
    ball = get("Ball")
    ball.shape_key_add(name="Basis")
    ball.shape_key_add(name="Key")
    ball.active_shape_key_index = 1


@odd
def grease_pencil(scene):
    blocks = next((getattr(bpy.data, n) for n in ("grease_pencils_v3", "grease_pencils") if hasattr(bpy.data, n)), None)
    link("Stroke", blocks.new("Stroke"))


@odd
def names_that_are_paths(scene):
    get("Cube").name = "../../up/and out"
    get("Ball").name = "\u7403 \U0001f3b1\nnew line"
    scene.camera.name = "a" * 63
    material(get("Floor"), "/")


# Copies.


@odd
def copies_within_copies(scene):
    inner = bpy.data.collections.new("Inner")
    inner.objects.link(get("Ball"))
    for level in range(4):
        outer = bpy.data.collections.new(f"Level {level}")
        for x in (-0.8, 0.8):
            instancer = bpy.data.objects.new(f"Copy {level}", None)
            instancer.instance_type, instancer.instance_collection = "COLLECTION", inner
            instancer.location, instancer.scale = (x, 0.5, 0.3), (0.7, 0.7, 0.7)
            outer.objects.link(instancer)
        inner = outer
    scene.collection.children.link(inner)


@odd
def copies_on_faces_and_vertices(scene):
    for name, kind in (("Floor", "VERTS"), ("Cube", "FACES")):
        child = add("ico_sphere", f"On {name}", radius=0.2, subdivisions=1)
        child.parent = get(name)
        get(name).instance_type = kind


@odd
def copies_whose_number_grows(scene):
    def scatter(tree, start, end):
        points = tree.nodes.new("GeometryNodeDistributePointsOnFaces")
        density = points.inputs["Density"]
        density.default_value = 0.2
        density.keyframe_insert("default_value", frame=1)
        density.default_value = 1.5
        density.keyframe_insert("default_value", frame=5)
        ball, copies = tree.nodes.new("GeometryNodeMeshIcoSphere"), tree.nodes.new("GeometryNodeInstanceOnPoints")
        ball.inputs["Radius"].default_value = 0.15
        join = tree.nodes.new("GeometryNodeJoinGeometry")
        tree.links.new(start.outputs[0], points.inputs[0])
        tree.links.new(points.outputs[0], copies.inputs["Points"])
        tree.links.new(ball.outputs[0], copies.inputs["Instance"])
        for source in (copies, start):
            tree.links.new(source.outputs[0], join.inputs[0])
        tree.links.new(join.outputs[0], end.inputs[0])

    nodes_modifier(get("Floor"), scatter)


# Simulations.


def emitter(scene, **settings):
    system = get("Floor").modifiers.new("Particles", "PARTICLE_SYSTEM").particle_system.settings
    system.count, system.frame_start, system.frame_end, system.lifetime = 40, 0, 4, 2
    system.render_type, system.instance_object, system.particle_size = "OBJECT", get("Ball"), 0.2
    for name, value in settings.items():
        setattr(system, name, value)
    return system


@odd
def particles_born_and_dying(scene):
    emitter(scene)


@odd
def particles_with_motion_blur(scene):
    emitter(scene)
    scene.render.use_motion_blur = True


@odd
def hair_on_a_bending_head(scene):
    system = get("Ball").modifiers.new("Hair", "PARTICLE_SYSTEM").particle_system.settings
    system.type, system.count, system.hair_length = "HAIR", 50, 0.4
    bend = get("Ball").modifiers.new("Bend", "SIMPLE_DEFORM")
    bend.deform_method = "TAPER"
    keys(bend, "factor", {1: 0.0, 5: 0.5})


@odd
def cloth_and_soft_body(scene):
    sheet = add("grid", "Sheet", size=1.5, x_subdivisions=6, y_subdivisions=6, location=(0, 0, 2.2))
    sheet.modifiers.new("Cloth", "CLOTH")
    get("Ball").modifiers.new("Soft", "SOFT_BODY")


@odd
def rigid_bodies(scene):
    bpy.ops.rigidbody.world_add()
    for name, kind in (("Cube", "ACTIVE"), ("Floor", "PASSIVE")):
        bpy.context.view_layer.objects.active = get(name)
        bpy.ops.rigidbody.object_add(type=kind)
    get("Cube").animation_data_clear()


@odd
def smoke_that_is_not_baked(scene):
    domain = get("Cube").modifiers.new("Fluid", "FLUID")
    domain.fluid_type = "DOMAIN"
    flow = get("Ball").modifiers.new("Fluid", "FLUID")
    flow.fluid_type = "FLOW"


@odd
def dynamic_paint(scene):
    canvas = get("Floor").modifiers.new("Paint", "DYNAMIC_PAINT")
    bpy.context.view_layer.objects.active = get("Floor")
    with bpy.context.temp_override(object=get("Floor")):
        bpy.ops.dpaint.type_toggle(type="CANVAS")
    canvas.canvas_settings.canvas_surfaces[0].frame_end = 4


# Files that are missing, things that are not there.


@odd
def textures_missing(scene):
    tree = material(get("Cube"))
    for socket, name in (("Base Color", "wood.png"), ("Normal", "bumps.png")):
        image = bpy.data.images.new(name, 8, 8)
        image.source, image.filepath = "FILE", f"//textures/{name}"
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image = image
        source = node.outputs[0]
        if socket == "Normal":
            bent = tree.nodes.new("ShaderNodeNormalMap")
            tree.links.new(source, bent.inputs["Color"])
            source = bent.outputs[0]
        tree.links.new(source, tree.nodes["Principled BSDF"].inputs[socket])


@odd
def library_missing(scene):
    path = os.path.join(FOLDER, "gone.blend")
    bpy.data.libraries.write(path, {get("Ball").data})
    with bpy.data.libraries.load(path, link=True) as (source, wanted):
        wanted.meshes = source.meshes
    link("Linked", wanted.meshes[0])
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(FOLDER, "library_missing.blend"))
    os.remove(path)


@odd
def nodes_of_an_add_on(scene):
    class Unknown(bpy.types.ShaderNode):
        bl_idname, bl_label = "OddAddOnNode", "Add-on"

        def init(self, context):
            self.outputs.new("NodeSocketShader", "Surface")

    bpy.utils.register_class(Unknown)
    tree = material(get("Cube"))
    node = tree.nodes.new("OddAddOnNode")
    tree.links.new(node.outputs[0], tree.nodes["Material Output"].inputs["Surface"])
    bpy.utils.unregister_class(Unknown)


@odd
def surface_not_linked(scene):
    tree = material(get("Cube"))
    tree.links.remove(tree.nodes["Material Output"].inputs["Surface"].links[0])
    copy = link("Copy", None)
    collection = bpy.data.collections.new("Copied")
    collection.objects.link(get("Ball"))
    copy.instance_type, copy.instance_collection, copy.location = "COLLECTION", collection, (1, 1, 0)


@odd
def dependency_cycle(scene):
    a, b = get("Cube"), get("Ball")
    a.constraints.new("COPY_LOCATION").target = b
    b.constraints.new("COPY_LOCATION").target = a


@odd
def drivers_and_scripts(scene):
    for index, expression in enumerate(("frame * 0.1", "bpy.context.scene.frame_current", "no_such_name(", "1 / 0")):
        curve = get("Cube" if index < 3 else "Ball").driver_add("location", index % 3)
        curve.driver.expression = expression
    text = bpy.data.texts.new("start.py")
    text.from_string("raise RuntimeError('odd')")
    text.use_module = True


# Shading and the rest of the scene.


@odd
def displacement_that_moves(scene):
    tree = material(get("Ball"))
    move = tree.nodes.new("ShaderNodeDisplacement")
    move.inputs["Height"].default_value = 0.0
    move.inputs["Height"].keyframe_insert("default_value", frame=1)
    move.inputs["Height"].default_value = 1.0
    move.inputs["Height"].keyframe_insert("default_value", frame=5)
    tree.links.new(move.outputs[0], tree.nodes["Material Output"].inputs["Displacement"])
    owner = bpy.data.materials[-1]
    (owner if hasattr(owner, "displacement_method") else owner.cycles).displacement_method = "DISPLACEMENT"


@odd
def cut_outs_and_holdouts(scene):
    get("Ball").is_holdout = True
    get("Cube").visible_camera = False
    tree = material(get("Floor"))
    checker = tree.nodes.new("ShaderNodeTexChecker")
    tree.links.new(checker.outputs["Fac"], tree.nodes["Principled BSDF"].inputs["Alpha"])


@odd
def collection_for_light_only(scene):
    collection = bpy.data.collections.new("Light only")
    scene.collection.children.link(collection)
    scene.collection.objects.unlink(get("Ball"))
    collection.objects.link(get("Ball"))
    scene.view_layers[0].layer_collection.children["Light only"].indirect_only = True


@odd
def a_set_behind(scene):
    behind = bpy.data.scenes.new("Behind")
    for name in ("Floor", "Cube"):
        scene.collection.objects.unlink(get(name))
        behind.collection.objects.link(get(name))
    scene.background_set = behind


@odd
def compositor_sequencer_and_freestyle(scene):
    scene.render.use_freestyle = True
    scene.sequence_editor_create()
    if hasattr(scene, "compositing_node_group"):
        tree = bpy.data.node_groups.new("Comp", "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        scene.compositing_node_group = tree
        end = tree.nodes.new("NodeGroupOutput")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        end = tree.nodes.new("CompositorNodeComposite")
    layers = tree.nodes.new("CompositorNodeRLayers")
    tree.links.new(layers.outputs["Image"], end.inputs[0])
    tree.links.new(layers.outputs["Image"], tree.nodes.new("CompositorNodeOutputFile").inputs[0])


@odd
def saved_for_workbench(scene):
    scene.render.engine = "BLENDER_WORKBENCH"


@odd
def objects_that_come_and_go(scene):
    for name, hidden in (("Cube", {1: False, 3: True}), ("Ball", {1: True, 3: False})):
        keys(get(name), "hide_render", hidden)


def write_broken_files(good):
    """Files that are no .blend, or not any more."""
    with open(good, "rb") as stream:
        data = stream.read()
    broken = {
        "file_empty": b"",
        "file_of_text": b"This is no .blend file.\n" * 20,
        "file_cut_off": data[: len(data) // 2],
        "file_overwritten": data[:4096] + bytes(len(data) - 4096),
        "file_of_the_future": b"BLENDER17-01v9900" + data[17:],
    }
    for name, content in broken.items():
        with open(os.path.join(FOLDER, f"{name}.blend"), "wb") as stream:
            stream.write(content)
    os.symlink("nowhere.blend", os.path.join(FOLDER, "file_that_points_nowhere.blend"))
    os.mkdir(os.path.join(FOLDER, "file_is_a_folder.blend"))


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for name, build in BUILT.items():
        scene = begin()
        build(scene)
        bpy.ops.wm.save_as_mainfile(filepath=os.path.join(FOLDER, f"{name}.blend"), compress=False)
    write_broken_files(os.path.join(FOLDER, "nothing_moves.blend"))


main()
