"""What shape Blender gives a mesh whose parent is a lattice that changes its shape, each time it opens the same file.

    python scripts/measure_lattice_parent.py        (a Python that has bpy)
    blender -b --factory-startup --python scripts/measure_lattice_parent.py

The lattice moves its points by 0, 0.5 and 1 in frames 1, 6 and 11. Printed is where a point of the child is then, and
one of a mesh with a Lattice modifier, and in how many of 150 openings.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import bpy

OPENINGS = 150
FRAMES = (1, 6, 11)


def build(path: str) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene

    def add(name: str, data: Any) -> Any:
        obj = bpy.data.objects.new(name, data)
        scene.collection.objects.link(obj)
        return obj

    def triangle() -> Any:
        mesh = bpy.data.meshes.new("Triangle")
        mesh.from_pydata([(0, 0, 0), (0.1, 0, 0), (0, 0.1, 0)], [], [(0, 1, 2)])
        return mesh

    cage = add("Cage", bpy.data.lattices.new("Cage"))
    cage.shape_key_add(name="Basis")
    key = cage.shape_key_add(name="Key")
    for point in key.data:
        point.co.x += 1
    for value, frame in ((0, FRAMES[0]), (1, FRAMES[-1])):
        key.value = value
        key.keyframe_insert("value", frame=frame)
    child = add("Child", triangle())
    child.parent, child.parent_type = cage, "LATTICE"
    add("Modified", triangle()).modifiers.new("Lattice", "LATTICE").object = cage
    for number in range(60):  # Something to do for the other threads.
        add(f"Bystander.{number}", triangle()).parent = cage
    scene.frame_set(FRAMES[1])
    bpy.ops.wm.save_as_mainfile(filepath=path)


def look(path: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Where the child's first point is in each frame, and the modified one's."""
    bpy.ops.wm.open_mainfile(filepath=path)
    rows = []
    for frame in FRAMES:
        bpy.context.scene.frame_set(frame)
        graph = bpy.context.evaluated_depsgraph_get()
        found = (bpy.data.objects[name].evaluated_get(graph) for name in ("Child", "Modified"))
        rows.append([round(obj.data.vertices[0].co.x, 3) for obj in found])
    child, modified = zip(*rows, strict=True)
    return child, modified


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "lattice.blend")
        build(path)
        seen = Counter(look(path) for _ in range(OPENINGS))
    for (child, modified), times in seen.most_common():
        sys.stderr.write(f"{bpy.app.version_string}: {times} times  child {child}  with a modifier {modified}\n")


main()
