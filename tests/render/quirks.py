"""Unusual and hostile things that a scene may have, one function each; run inside any Blender by build_closed_form.py.

Each gets the scene and the frame of the first keyframe, one before the first frame that is rendered.
"""

from __future__ import annotations

import bpy
import mathutils

TIMES = 5
"""Keyframes: as many frames as are rendered, and one on either side."""


def link(scene, name, data, location=(0, 0, 0)):
    obj = bpy.data.objects.new(name, data)
    obj.location = location
    scene.collection.objects.link(obj)
    return obj


def keys(owner, path, values, first):
    for offset, value in enumerate(values):
        setattr(owner, path, value)
        owner.keyframe_insert(path, frame=first + offset)


def cube(scene, name, size=0.5, location=(0, 0, 0)):
    corners = [(x * size, y * size, z * size) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])
    return link(scene, name, mesh, location)


def collection_of(scene, name, *objects):
    """A collection of its own for some of the scene's objects."""
    group = bpy.data.collections.new(name)
    scene.collection.children.link(group)
    for obj in objects:
        for other in obj.users_collection:
            other.objects.unlink(obj)
        group.objects.link(obj)
    return group


# What is done to the picture after it is rendered.


def compositor(scene, first, output=None):
    """Inverts, scales and turns the picture; with `output` it also writes to that folder."""
    if hasattr(scene, "compositing_node_group"):
        tree = scene.compositing_node_group = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        result = tree.nodes.new("NodeGroupOutput")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        result = tree.nodes.new("CompositorNodeComposite")
    layers, invert, scale, rotate = (
        tree.nodes.new(f"CompositorNode{name}") for name in ("RLayers", "Invert", "Scale", "Rotate")
    )
    layers.scene = scene
    layers.layer = scene.view_layers[0].name
    for name in ("X", "Y"):
        scale.inputs[name].default_value = 0.5
    (rotate.inputs.get("Degr") or rotate.inputs[1]).default_value = 0.5
    link_nodes = tree.links.new
    link_nodes(layers.outputs["Image"], invert.inputs["Color"])
    link_nodes(invert.outputs["Color"], scale.inputs["Image"])
    link_nodes(scale.outputs["Image"], rotate.inputs["Image"])
    link_nodes(rotate.outputs["Image"], result.inputs[0])
    if output:
        node = tree.nodes.new("CompositorNodeOutputFile")
        if hasattr(node, "directory"):
            node.directory = output
            node.file_output_items.new("RGBA", "stray")
        else:
            node.base_path = output
        link_nodes(invert.outputs["Color"], node.inputs[0])


def other_scene_in_compositor(scene, first):
    """The picture is mixed with that of another scene, which has another camera and a layer of the same name."""
    other = bpy.data.scenes.new("Other")
    other.render.engine = "CYCLES"
    other.cycles.samples, other.cycles.use_denoising = 1, False
    camera = bpy.data.objects.new("Other Camera", bpy.data.cameras.new("Other Camera"))
    camera.location = (0, 0, 9)
    other.collection.objects.link(camera)
    other.camera = camera
    other.collection.objects.link(scene.objects["Ball.Still"])
    other.collection.objects.link(scene.objects["Ball.Moving"])
    other.view_layers[0].name = scene.view_layers[0].name
    compositor(scene, first)
    tree = getattr(scene, "compositing_node_group", None) or scene.node_tree
    second = tree.nodes.new("CompositorNodeRLayers")
    second.scene, second.layer = other, other.view_layers[0].name
    over = tree.nodes.new("CompositorNodeAlphaOver")
    result = next(node for node in tree.nodes if node.bl_idname in ("NodeGroupOutput", "CompositorNodeComposite"))
    images = [socket for socket in over.inputs if socket.type == "RGBA"]
    tree.links.new(result.inputs[0].links[0].from_socket, images[0])
    tree.links.new(second.outputs["Image"], images[1])
    tree.links.new(over.outputs[0], result.inputs[0])
    other.render.film_transparent = True


def sequencer(scene, first):
    """A red strip over everything."""
    editor = scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    span = {"length": 20} if bpy.app.version >= (5, 0, 0) else {"frame_end": 20}
    strips.new_effect(name="Red", type="COLOR", channel=1, frame_start=1, **span).color = (1, 0, 0)


# Layers and scenes.


def layers(scene, first):
    """The first layer is not rendered; the second has everything and the artist's passes, the third misses a ball."""
    group = collection_of(scene, "Balls", scene.objects["Ball.Still"])
    scene.view_layers[0].use = False
    scene.view_layers[0].layer_collection.children[group.name].exclude = True
    whole = scene.view_layers.new("Whole")
    whole.use_pass_cryptomatte_object = whole.use_pass_material_index = whole.use_pass_uv = True
    whole.use_pass_normal = True
    whole.pass_alpha_threshold = 1.0
    whole.samples = 3
    for name in ("Depth", "Shine"):
        whole.aovs.add().name = name
    part = scene.view_layers.new("Part")
    part.layer_collection.children[group.name].exclude = True
    part.use_pass_vector = True


def overrides(scene, first):
    """One material for everything, and a world for the layer where Blender knows that."""
    layer = scene.view_layers[0]
    layer.material_override = scene.objects["Floor"].data.materials[0]
    if hasattr(layer, "world_override"):
        layer.world_override = bpy.data.worlds.new("Bright")


def hidden_from_camera(scene, first):
    """Things that are in front of the camera and not seen by it: rays that hit them would tell."""
    at = scene.camera.matrix_world
    positions = [at @ mathutils.Vector((x, 0, -3)) for x in (-0.6, -0.3, 0, 0.3, 0.6)]
    screens = [cube(scene, f"Screen.{i}", 0.3, position) for i, position in enumerate(positions)]
    screens[0].visible_camera = False
    scene.view_layers[0].layer_collection.children[
        collection_of(scene, "Indirect", screens[1]).name
    ].indirect_only = True
    screens[2].hide_render = True
    scene.view_layers[0].layer_collection.children[collection_of(scene, "Excluded", screens[3]).name].exclude = True
    collection_of(scene, "Off", screens[4]).hide_render = True
    lamp = link(scene, "Lamp", bpy.data.lights.new("Lamp", "AREA"), positions[1])
    lamp.rotation_euler = (1.5, 0, 0)
    lamp.data.energy = 20


def hidden_in_viewport(scene, first):
    """The camera and what moves are hidden while one works, and rendered."""
    scene.camera.hide_viewport = scene.camera.hide_render = True
    scene.view_layers[0].layer_collection.children[collection_of(scene, "Cameras", scene.camera).name].exclude = True
    scene.objects["Ball.Moving"].hide_viewport = True
    scene.objects["Ball.Turning"].hide_set(True)
    group = collection_of(scene, "Balls", scene.objects["Ball.Still"])
    group.hide_viewport = True
    scene.view_layers[0].layer_collection.children[group.name].hide_viewport = True


def two_scenes(scene, first):
    """Another scene comes first in the file, with another engine, size and camera; the balls come from a third one."""
    other = bpy.data.scenes.new("A")
    other.render.engine, other.render.resolution_x = "BLENDER_WORKBENCH", 999
    background = bpy.data.scenes.new("Set")
    for obj in [obj for obj in scene.objects if obj.name.startswith("Ball")]:
        scene.collection.objects.unlink(obj)
        background.collection.objects.link(obj)
    scene.background_set = background


def from_library(scene, first, path):
    """The balls are linked from another file."""
    balls = {obj for obj in scene.objects if obj.name.startswith("Ball")}
    names = sorted(obj.name for obj in balls)
    bpy.data.libraries.write(path, balls)
    for obj in balls:
        bpy.data.objects.remove(obj)
    with bpy.data.libraries.load(path, link=True) as (_, wanted):
        wanted.objects = names
    for obj in wanted.objects:
        scene.collection.objects.link(obj)


def marker_cameras(scene, first, matrices, cut):
    """From frame `cut` on, another camera renders."""
    data = bpy.data.cameras.new("Second")
    data.lens, data.shift_x = 28.0, 0.05
    second = link(scene, "Second", data)
    second.rotation_mode = "QUATERNION"
    for offset, rows in enumerate(matrices):
        second.location, second.rotation_quaternion, _ = mathutils.Matrix(rows).decompose()
        for path in ("location", "rotation_quaternion"):
            second.keyframe_insert(path, frame=first + offset)
    for frame, camera in ((first, scene.camera), (cut, second)):
        scene.timeline_markers.new(str(frame), frame=frame).camera = camera


# Settings.


def animated_settings(scene, first, how):
    """Keyframes, a driver or an NLA strip on what the run and the ground truth want to decide."""
    values = {
        "cycles.samples": 7, "cycles.seed": 99, "cycles.filter_width": 8.0, "cycles.use_adaptive_sampling": False,
        "cycles.max_bounces": 3, "render.resolution_x": 50, "render.resolution_percentage": 150,
        "render.use_border": True, "render.border_max_x": 0.5, "render.use_motion_blur": True,
        "render.motion_blur_shutter": 2.0, "camera.data.dof.use_dof": True,
        'view_layers["ViewLayer"].pass_alpha_threshold': 1.0,
    }  # fmt: skip
    scene.camera.data.dof.aperture_fstop = 0.05
    scene.camera.data.dof.focus_distance = 1.0
    for obj in scene.objects:
        values[f'objects["{obj.name}"].pass_index'] = 3
    for path, value in values.items():
        owner, name = scene.path_resolve(path.rpartition(".")[0]), path.rpartition(".")[2]
        before = getattr(owner, name)
        try:
            if how == "driver":
                owner.driver_add(name).driver.expression = str(float(value))
            else:
                setattr(owner, name, value)
                owner.keyframe_insert(name, frame=first)
        except TypeError:
            continue  # This Blender cannot animate it.
        setattr(owner, name, before)
    if how == "nla":
        for owner in (scene, scene.camera.data):
            animation = owner.animation_data
            action, slot = animation.action, getattr(animation, "action_slot", None)
            strip = animation.nla_tracks.new().strips.new("Strip", first, action)
            if slot is not None:
                strip.action_slot = slot
            animation.action = None


def subdivided(scene, first):
    """Modifiers that would change the shape: one is simplified away, one is off in renders, one is on there only."""
    scene.render.use_simplify = True
    scene.render.simplify_subdivision_render, scene.render.simplify_subdivision = 0, 3
    smooth = scene.objects["Ball.Still"].modifiers.new("Round", "SUBSURF")
    smooth.levels = smooth.render_levels = 2
    for name, render in (("Ball.Turning", False), ("Ball.Moving", True)):
        cast = scene.objects[name].modifiers.new("Cast", "CAST")
        cast.cast_type, cast.factor = "CUBOID", 1.0 - render
        cast.show_render, cast.show_viewport = render, not render


def freestyle(scene, first):
    scene.render.use_freestyle = True
    for layer in scene.view_layers:
        layer.use_freestyle = True
        lines = layer.freestyle_settings.linesets
        for line_set in lines or [lines.new("Lines")]:
            line_set.linestyle = bpy.data.linestyles.new("Line")  # Blender 3.4 crashes without one.


# Materials.


def material(name, kind, alpha=1.0):
    """Diffuse mixed with transparent, or glass."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    tree = made.node_tree
    tree.nodes.clear()
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    shader = tree.nodes.new(f"ShaderNodeBsdf{kind}")
    if alpha < 1:
        mix, clear = tree.nodes.new("ShaderNodeMixShader"), tree.nodes.new("ShaderNodeBsdfTransparent")
        mix.inputs[0].default_value = alpha
        tree.links.new(clear.outputs[0], mix.inputs[1])
        tree.links.new(shader.outputs[0], mix.inputs[2])
        shader = mix
    tree.links.new(shader.outputs[0], output.inputs["Surface"])
    return made


def give_material(scene, first, name, kind, alpha=1.0):
    scene.objects[name].data.materials[0] = material(name, kind, alpha)


def clear_screens(scene, first, count):
    """Fully transparent screens right in front of the camera, more than its rays may pass in the picture."""
    clear = material("Clear", "Diffuse", 0.0)
    for i in range(count):
        screen = cube(scene, f"Clear.{i}", 0.6 + 0.02 * i)
        screen.parent = scene.camera
        screen.location = (0, 0, -1.2)
        screen.scale = (2, 2, 0.01)
        screen.location.z -= 0.05 * i
        screen.data.materials.append(clear)


def fog(scene, first):
    """The world is misty, and so is a box around the moving ball."""
    world = scene.world = bpy.data.worlds.new("World")
    world.use_nodes = True
    tree = world.node_tree
    scatter = tree.nodes.new("ShaderNodeVolumeScatter")
    scatter.inputs["Density"].default_value = 0.2
    output = next(node for node in tree.nodes if node.type == "OUTPUT_WORLD")
    tree.links.new(scatter.outputs[0], output.inputs["Volume"])
    box = cube(scene, "Cloud", 1.0, (1.2, -0.8, 0.8))
    made = bpy.data.materials.new("Cloud")
    made.use_nodes = True
    tree = made.node_tree
    tree.nodes.clear()
    output, scatter = tree.nodes.new("ShaderNodeOutputMaterial"), tree.nodes.new("ShaderNodeVolumePrincipled")
    scatter.inputs["Density"].default_value = 3.0
    tree.links.new(scatter.outputs[0], output.inputs["Volume"])
    box.data.materials.append(made)


def colour_by_index(scene, first):
    """The colour of things depends on the artist's own object indices, one of them animated."""
    made = bpy.data.materials.new("By index")
    made.use_nodes = True
    tree = made.node_tree
    tree.nodes.clear()
    output, shader = tree.nodes.new("ShaderNodeOutputMaterial"), tree.nodes.new("ShaderNodeEmission")
    info, divide = tree.nodes.new("ShaderNodeObjectInfo"), tree.nodes.new("ShaderNodeMath")
    divide.operation = "DIVIDE"
    divide.inputs[1].default_value = 20
    tree.links.new(info.outputs["Object Index"], divide.inputs[0])
    tree.links.new(divide.outputs[0], shader.inputs["Strength"])
    tree.links.new(shader.outputs[0], output.inputs["Surface"])
    for i, obj in enumerate(obj for obj in scene.objects if obj.type == "MESH"):
        obj.data.materials[0] = made
        obj.pass_index = 2 + 3 * i
    keys(scene.objects["Floor"], "pass_index", [3, 9, 15, 18, 18], first)


# Ways to move, one small cube each. Blender says where they are (`evaluated`); nothing changes its shape.


def curve(scene, name, points, **settings):
    data = bpy.data.curves.new(name, "CURVE")
    data.dimensions = "3D"
    spline = data.splines.new("POLY")
    spline.points.add(len(points) - 1)
    for point, position in zip(spline.points, points, strict=False):
        point.co = (*position, 1)
    for key, value in settings.items():
        setattr(data, key, value)
    return link(scene, name, data)


def shape_key(obj, move, first):
    """Every point of the object wanders by `move`: a function of its position."""
    obj.shape_key_add(name="Basis")
    key = obj.shape_key_add(name="Key")
    for point in key.data:
        point.co = move(point.co)
    keys(key, "value", [0.2 * i for i in range(TIMES)], first)


def armature(scene, name, location):
    obj = link(scene, name, bpy.data.armatures.new(name), location)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    bone = obj.data.edit_bones.new("Bone")
    bone.head, bone.tail = (0, 0, 0), (0, 0, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    return obj


def rigid_motions(scene, first):
    path = curve(scene, "Path", [(-2, -2, 1), (-1, -1.5, 1.2), (0, -2, 1)], use_path=True, path_duration=20)
    keys(path.data, "eval_time", [2.0 * i for i in range(TIMES)], first)
    cube(scene, "On path", 0.25).parent = path

    rig = armature(scene, "Rig", (-1, -2, 1.8))
    keys(rig.pose.bones["Bone"], "location", [(0.1 * i, 0, 0) for i in range(TIMES)], first)
    on_bone = cube(scene, "On bone", 0.2)
    on_bone.parent, on_bone.parent_type, on_bone.parent_bone = rig, "BONE", "Bone"

    carrier = cube(scene, "Carrier", 0.3, (0, -1.5, 1))
    shape_key(carrier, lambda co: co + mathutils.Vector((0.5, 0, 0.3)), first)
    carrier.hide_render = True
    on_vertex = cube(scene, "On vertex", 0.2)
    on_vertex.parent, on_vertex.parent_type, on_vertex.parent_vertices = carrier, "VERTEX", (7, 0, 0)

    target = link(scene, "Target", None)
    keys(target, "location", [(1.5 + 0.1 * i, -2, 0.5) for i in range(TIMES)], first)
    target.hide_viewport = target.hide_render = True
    follower = cube(scene, "Follower", 0.2, (0, -2.5, 0.4))
    constraint = follower.constraints.new("COPY_LOCATION")
    constraint.target = target
    keys(constraint, "influence", [0.2 * i for i in range(TIMES)], first)

    driven = cube(scene, "Driven", 0.2, (-0.8, -3, 0.6))
    driven.driver_add("location", 2).driver.expression = "0.3 + frame * 0.05"
    lever = link(scene, "Lever", None)
    lever["pull"] = 0.0
    for offset in range(TIMES):
        lever["pull"] = 0.1 * offset
        lever.keyframe_insert('["pull"]', frame=first + offset)
    pulled = cube(scene, "Pulled", 0.2, (-0.2, -3, 0.6))
    driver = pulled.driver_add("rotation_euler", 2).driver
    variable = driver.variables.new()
    variable.name = "pull"
    variable.targets[0].id, variable.targets[0].data_path = lever, '["pull"]'
    driver.expression = "pull * 3"

    actor = cube(scene, "Actor", 0.2, (0.9, -3, 0.5))
    keys(actor, "delta_location", [(0.05 * i, 0, 0.06 * i) for i in range(TIMES)], first)
    action, slot = actor.animation_data.action, getattr(actor.animation_data, "action_slot", None)
    strip = actor.animation_data.nla_tracks.new().strips.new("Strip", first, action)
    if slot is not None:
        strip.action_slot = slot
    actor.animation_data.action = None

    mirrored = cube(scene, "Mirrored", 0.2, (0.4, -3.2, 1.4))
    mirrored.scale = (-1, 1, 0.5)
    keys(mirrored, "rotation_euler", [(0, 0.1 * i, 0.2 * i) for i in range(TIMES)], first)

    uneven = link(scene, "Uneven", None, (-0.6, -3, 1.5))
    uneven.scale = (1, 2, 1)
    keys(uneven, "rotation_euler", [(0, 0, 0.3 * i) for i in range(TIMES)], first)
    sheared = cube(scene, "Sheared", 0.15, (0.3, 0, 0))
    sheared.rotation_euler = (0, 0, 0.5)
    sheared.parent = uneven


def flat(scene, first):
    """A cube that is scaled to nothing along one axis, and moves."""
    pressed = cube(scene, "Pressed", 0.6)
    pressed.scale = (1, 0, 1)
    keys(pressed, "location", [(-0.5 + 0.1 * i, -2.5, 1) for i in range(TIMES)], first)
    keys(pressed, "rotation_euler", [(0, 0.1 * i, 0.1 * i) for i in range(TIMES)], first)


def children_as_instances(scene, first):
    """Small cubes on the vertices of one cube and the faces of another; their parents move and turn."""
    for x, kind in ((-0.8, "VERTS"), (0.8, "FACES")):
        parent = cube(scene, f"Parent {kind}", 0.4, (x, -2.5, 1))
        parent.instance_type = kind
        keys(parent, "rotation_euler", [(0, 0, 0.2 * i) for i in range(TIMES)], first)
        cube(scene, f"Child {kind}", 0.1).parent = parent


# Ways to change shape.


def rigged(scene, first):
    rig = armature(scene, "Rig", (-1.2, -2, 0.5))
    keys(rig.pose.bones["Bone"], "location", [(0.1 * i, 0, 0) for i in range(TIMES)], first)
    skinned = cube(scene, "Skinned", 0.3)
    skinned.vertex_groups.new(name="Bone").add([0, 1, 2, 3, 7], 1.0, "REPLACE")
    skinned.parent, skinned.parent_type = rig, "ARMATURE"

    cage = link(scene, "Cage", bpy.data.lattices.new("Cage"), (-0.2, -2.5, 0.5))
    cage.scale = (1.5, 1.5, 1.5)
    shape_key(cage, lambda co: co + mathutils.Vector((0.3, 0, 0.1 * co.z)), first)
    caged = cube(scene, "Caged", 0.25)
    caged.parent = cage
    caged.modifiers.new("Lattice", "LATTICE").object = cage

    waving = cube(scene, "Waving", 0.25, (1.2, -2.5, 0.9))
    wave = waving.modifiers.new("Wave", "WAVE")
    wave.time_offset, wave.height, wave.width, wave.speed = -20, 0.2, 1.0, 0.3


def lattice_as_parent(scene, first):
    """Far below everything: nobody can say what shape it has, see `worker.audit.shaped_by_chance`."""
    cage = link(scene, "Cage", bpy.data.lattices.new("Cage"), (0, 0, -500))
    shape_key(cage, lambda co: co + mathutils.Vector((0.3, 0, 0)), first)
    still = link(scene, "Stiff cage", bpy.data.lattices.new("Stiff cage"), (0, 0, -500))
    for name, parent in (("Caged", cage), ("In a stiff cage", still)):
        caged = cube(scene, name, 0.25)
        caged.parent, caged.parent_type = parent, "LATTICE"


def shaped_by_curves(scene, first):
    points = [(-1, -2.5, 1.6), (0, -2.5, 1.8), (1, -2.5, 1.6)]
    profile = curve(scene, "Profile", [(-0.1, -0.1, 0), (0.1, -0.1, 0), (0.1, 0.1, 0), (-0.1, 0.1, 0)])
    profile.data.splines[0].use_cyclic_u = True
    profile.hide_render = True
    shape_key(profile, lambda co: co * 1.8, first)
    tube = curve(scene, "Bevelled", points)
    tube.data.bevel_mode, tube.data.bevel_object = "OBJECT", profile

    taper = curve(scene, "Taper", [(0, 0.5, 0), (1, 1, 0), (2, 0.5, 0)])
    taper.hide_render = True
    keys(taper, "scale", [(1, 1 + 0.3 * i, 1) for i in range(TIMES)], first)
    horn = curve(scene, "Tapered", [(x, y, z - 0.5) for x, y, z in points], bevel_depth=0.1)
    horn.data.taper_object = taper

    rail = curve(scene, "Rail", [(-1, -3, 0.2), (0, -3, 0.3), (1, -3, 0.2)])
    rail.hide_render = True
    shape_key(rail, lambda co: co + mathutils.Vector((0, 0, 0.4)), first)
    letters = bpy.data.curves.new("Letters", "FONT")
    letters.body, letters.size, letters.extrude, letters.follow_curve = "HELLO", 0.5, 0.05, rail
    link(scene, "Letters", letters)


def handler(scene, first):
    """A script in the file moves a cube whenever the frame changes."""
    cube(scene, "Scripted", 0.4, (0, -2.5, 1))
    text = bpy.data.texts.new("handler.py")
    text.use_module = True
    text.write(
        "import bpy\n"
        "def move(scene, graph=None):\n"
        "    bpy.data.objects['Scripted'].location.x = scene.frame_current * 0.1 - 0.6\n"
        "bpy.app.handlers.frame_change_pre.append(move)\n"
    )
    # For the reference, which is taken right here.
    bpy.app.handlers.frame_change_pre.append(
        lambda scene, graph=None: setattr(bpy.data.objects["Scripted"].location, "x", scene.frame_current * 0.1 - 0.6)
    )


def hold_out(scene, first, name):
    """An object in a collection that the layer holds out."""
    group = collection_of(scene, "Held out", scene.objects[name])
    scene.view_layers[0].layer_collection.children[group.name].holdout = True
