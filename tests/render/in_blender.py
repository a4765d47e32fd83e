"""Functions that test_client.py calls inside Blender."""

import os
import signal
import sys

import bpy
import numpy as np


def add_cubes(count, seed):
    """Small cubes at random places; returns where, and their names."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(-1.5, 1.5, (count, 3))
    names = []
    for place in places:
        bpy.ops.mesh.primitive_cube_add(size=0.4, location=place)
        names.append(bpy.context.object.name)
    return {"places": places.astype(np.float32), "names": names, "last": bpy.context.object.location}


def remove(name):
    bpy.data.objects.remove(bpy.data.objects[name])


def names():
    return sorted(obj.name for obj in bpy.data.objects)


def fail():
    raise ValueError("nothing is right")


def unspeakable():
    return {"object": bpy.context.scene}


def die_once(marker):
    """Kill this Blender, the first time."""
    if not os.path.exists(marker):
        with open(marker, "w"):
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def always_die():
    os.kill(os.getpid(), signal.SIGKILL)


def threads():
    render = bpy.context.scene.render
    return render.threads if render.threads_mode == "FIXED" else 0


def add_panel(y):
    """A wall across the view, of an opaque material of its own."""
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, y, 0), rotation=(1.5707963, 0, 0))
    material = bpy.data.materials.new("Panel")
    material.use_nodes = True
    bpy.context.object.data.materials.append(material)


def set_alpha(value):
    node = next(node for node in bpy.data.materials["Panel"].node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    node.inputs["Alpha"].default_value = value
    return nodes_of_panel()


def nodes_of_panel():
    return sorted(node.type for node in bpy.data.materials["Panel"].node_tree.nodes)


def nodes_of_panel_in(path):
    bpy.ops.wm.open_mainfile(filepath=path)
    return nodes_of_panel()


def stumble_once():
    """Let the next pose of the camera end with an exception that nobody foresaw, the first time."""
    editing = sys.modules["visionsim.simulation.worker.editing"]
    if hasattr(editing, "right"):
        return
    editing.right = editing.pose_camera

    def pose_camera(*args, **kwargs):
        editing.pose_camera = editing.right
        raise MemoryError("injected")

    editing.pose_camera = pose_camera


def places(name, frames):
    """x of an object at some frames."""
    found = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        found.append(bpy.data.objects[name].matrix_world.translation.x)
    return found


def nothing_moves():
    """What `dependencies.nothing_moves` says of a still scene, and of others with one thing that moves."""
    dependencies = sys.modules["visionsim.simulation.worker.dependencies"]

    def keys(owner, path, values=(0.1, 0.9), index=-1):
        for frame, value in enumerate(values, start=1):
            setattr(owner, path, value)
            owner.keyframe_insert(path, index=index, frame=frame)

    def driver(owner, path, expression):
        curve = owner.driver_add(path, 0)
        curve.driver.type, curve.driver.expression = "SCRIPTED", expression

    def frame_number(scene, cube):
        driver = cube.driver_add("location", 0).driver
        driver.type = "AVERAGE"
        variable = driver.variables.new()
        variable.targets[0].id_type, variable.targets[0].id = "SCENE", scene
        variable.targets[0].data_path = "frame_current"

    def strip(scene, cube):
        keys(cube.data, "use_fake_user", (False, True))
        data = cube.data.animation_data
        data.nla_tracks.new().strips.new("Strip", 1, data.action)
        data.action = None

    def nodes(kind):
        def add(scene, cube):
            group = bpy.data.node_groups.new("Nodes", "GeometryNodeTree")
            inner = bpy.data.node_groups.new("Inner", "GeometryNodeTree")
            inner.nodes.new(kind)
            group.nodes.new("GeometryNodeGroup").node_tree = inner
            cube.modifiers.new("Nodes", "NODES").node_group = group

        return add

    def images(scene, cube):
        material = bpy.data.materials.new("Water")
        material.use_nodes = True
        cube.data.materials.append(material)
        node = material.node_tree.nodes.new("ShaderNodeTexImage")
        node.image = bpy.data.images.new("water", 4, 4)
        node.image.source, node.image_user.use_auto_refresh = "SEQUENCE", True

    def marker(scene, cube):
        scene.timeline_markers.new("Cut", frame=2).camera = scene.camera

    def light(scene, cube):
        lamp = bpy.data.lights.new("Lamp", "POINT")
        scene.collection.objects.link(bpy.data.objects.new("Lamp", lamp))
        keys(lamp, "energy")

    def particles(scene, cube):
        cube.modifiers.new("Dust", "PARTICLE_SYSTEM")

    def shape(scene, cube):
        cube.shape_key_add(name="Basis")
        keys(cube.shape_key_add(name="Key"), "value")

    def keys_of_scene(scene, cube):
        for frame in (1, 2):
            scene.view_settings.exposure = frame
            scene.keyframe_insert("view_settings.exposure", frame=frame)

    cases = {
        "a still scene": lambda scene, cube: cube.modifiers.new("Bevel", "BEVEL"),
        "lens": lambda scene, cube: keys(scene.camera.data, "lens", (30, 50)),
        "a driver with frame": lambda scene, cube: driver(cube, "location", "frame * 0.1"),
        "a driver with noise": lambda scene, cube: driver(cube, "location", "noise.random()"),
        "a driver of the frame number": frame_number,
        "a strip": strip,
        "time in a group": nodes("GeometryNodeInputSceneTime"),
        "images": images,
        "a marker with a camera": marker,
        "light": light,
        "particles": particles,
        "shape": shape,
        "wave": lambda scene, cube: cube.modifiers.new("Wave", "WAVE"),
        "build": lambda scene, cube: cube.modifiers.new("Build", "BUILD"),
        "film": keys_of_scene,
    }

    said = {}
    for name, change in cases.items():
        bpy.ops.wm.read_factory_settings(use_empty=True)
        scene = bpy.context.scene
        scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
        scene.collection.objects.link(scene.camera)
        bpy.ops.mesh.primitive_cube_add()
        change(scene, bpy.context.object)
        said[name] = dependencies.nothing_moves(scene)
    return said
