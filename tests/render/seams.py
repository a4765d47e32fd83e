"""What parts of the worker promise each other: python seams.py FOLDER

Fails if one does not keep it. Runs inside a Blender, and leaves it as it was.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import bpy
import cycles.engine
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from visionsim.simulation.worker import motion, raycast, scene, service
from visionsim.simulation.worker.fault import WorkerFault
from visionsim.simulation.worker.instances import Instances
from visionsim.simulation.worker.timeline import Timeline


class Visits:
    """A scene that remembers to which frames it is set."""

    def __init__(self, real):
        self.real, self.frames = real, []

    def __getattr__(self, name):
        return getattr(self.real, name)

    def frame_set(self, frame, subframe=0.0):
        self.frames.append(frame)
        self.real.frame_set(frame, subframe=subframe)


def two_cameras():
    """A scene with a cube that comes and goes, and another camera from frame 4 on."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    current = bpy.context.scene
    current.render.engine = "CYCLES"
    for frame in (1, 4):
        bpy.ops.object.camera_add(location=(0, 0, 5 + frame))
        marker = current.timeline_markers.new(str(frame), frame=frame)
        marker.camera = current.camera = bpy.context.object
    bpy.ops.mesh.primitive_cube_add()
    for frame in (1, 2):
        bpy.context.object.hide_render = frame == 1
        bpy.context.object.keyframe_insert("hide_render", frame=frame)
    return current


def cuts_are_looked_for_without_skipping_a_frame():
    visits = Visits(two_cameras())
    assert motion.cut_beside(visits, 3) == ["forward"]
    assert visits.frames == [2, 3, 4, 3]
    assert motion.cut_beside(visits, 4) == ["backward"] and motion.cut_beside(visits, 2) == []


def no_copies_are_not_looked_for_again():
    current = two_cameras()
    visits = Visits(current)
    found = Instances(visits, scene.main_layer(current), scene.number_objects({}))
    assert found.vary
    found.find(None, 1.0)
    assert found.table == {} and visits.frames
    visits.frames.clear()
    found.find({}, 1.0)
    assert not visits.frames


def matrices_are_checked_though_a_copy_is_missing():
    """Of three copies that are known outside of the render, two are rendered, and one of these is elsewhere."""
    current = two_cameras()
    layer = scene.main_layer(current)
    rigid = motion.RigidMotion(current, layer, {}, Instances(current, layer, {}))
    keys, matrices, camera = np.array([1, 2, 3], np.uint32), np.tile(np.eye(4), (3, 1, 1)), {"name": "Camera"}
    rigid._known[1] = camera, keys, matrices
    rigid.check(1, camera, (keys[1:], matrices[1:]))
    for wrong in ((keys[1:], 2 * matrices[1:]), (np.array([2, 3, 4], np.uint32), matrices)):
        try:
            rigid.check(1, camera, wrong)
        except WorkerFault:
            continue
        raise AssertionError("what is rendered elsewhere was let through")


def rays_are_cast_where_the_timeline_goes(folder):
    current = two_cameras()
    visits = Visits(current)
    timeline = Timeline(visits, Fraction(1))
    timeline._simulated = timeline._in_steps = True  # As with a simulation that is not baked.
    render = cycles.engine.render
    try:
        worker = service.Service(Path(folder))
        worker.timeline = timeline
        current.frame_set(1)
        assert worker.cast(4, [], 0)["camera"]["name"] == "Camera.001"
        assert visits.frames == [2, 3, 4]
    finally:
        cycles.engine.render = render


def what_goes_wrong_between_rays_is_not_swallowed():
    current = two_cameras()
    into = raycast.cast_into
    raycast.cast_into = lambda *arguments: 1 / 0
    try:
        raycast.cast(current, [])
    except ZeroDivisionError:
        return
    finally:
        raycast.cast_into = into
    raise AssertionError("a failure was not told")


cuts_are_looked_for_without_skipping_a_frame()
no_copies_are_not_looked_for_again()
matrices_are_checked_though_a_copy_is_missing()
rays_are_cast_where_the_timeline_goes(sys.argv[1])
what_goes_wrong_between_rays_is_not_swallowed()
