"""Where every point of a scene is at given times, asked of a Blender: python evaluate_motion.py REQUEST.json

REQUEST has `blend`; `visits`, each of which opens the file anew and visits its `frames`, numbers that need not be
whole, in their order; and `out`, where the answer goes, a list with one entry for each visit. With `multiplier` a visit
is of the timeline that visionsim's own worker stretches, else plain Blender's; `remap` is an artist's time remapping.

An entry has, one for each frame: `points`, {object: world positions of its vertices and instances}; `camera`, its
matrix; `shutter`. `triangles` is {object: indices}, those of the last frame.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def points(obj, graph):
    seen = obj.evaluated_get(graph)
    found = [seen.matrix_world @ vertex.co for vertex in seen.data.vertices]
    found += [
        copy.matrix_world.translation.copy()
        for copy in graph.object_instances
        if copy.is_instance and copy.parent is not None and copy.parent.original == obj
    ]
    return [list(point) for point in found]


def triangles(obj, graph):
    mesh = obj.evaluated_get(graph).data
    mesh.calc_loop_triangles()
    return [list(triangle.vertices) for triangle in mesh.loop_triangles]


def visit(blend, frames, multiplier=None, remap=None):
    bpy.ops.wm.open_mainfile(filepath=blend)
    scene = bpy.context.scene
    if remap is not None:
        scene.render.frame_map_old, scene.render.frame_map_new = remap
    if multiplier is not None:
        from visionsim.simulation.config import time_stretch
        from visionsim.simulation.worker.animation import run_simulations
        from visionsim.simulation.worker.scene import stretch_time

        stretch_time(scene, time_stretch(multiplier))
        run_simulations(scene, time_stretch(multiplier))
    meshes = [obj for obj in scene.objects if obj.type == "MESH"]
    answer = {"points": {obj.name: [] for obj in meshes}, "camera": [], "shutter": []}
    for frame in frames:
        whole = math.floor(frame)
        scene.frame_set(whole, subframe=frame - whole)
        graph = bpy.context.evaluated_depsgraph_get()
        for obj in meshes:
            answer["points"][obj.name].append(points(obj, graph))
        answer["camera"].append([list(row) for row in scene.camera.evaluated_get(graph).matrix_world])
        answer["shutter"].append(graph.scene_eval.render.motion_blur_shutter)
    answer["triangles"] = {obj.name: triangles(obj, graph) for obj in meshes}
    return answer


def main():
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    wanted = json.loads(Path(arguments[0]).read_text())
    answers = [visit(wanted["blend"], **each) for each in wanted["visits"]]
    Path(wanted["out"]).write_text(json.dumps(answers))


main()
