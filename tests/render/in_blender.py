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
