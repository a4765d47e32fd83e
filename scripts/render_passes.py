"""Render scenes as plain Blender does, with chosen settings, and keep every pass: run by a Blender, for
`measure_blender.py`.

    python render_passes.py TASKS.json
    blender -b --python render_passes.py -- TASKS.json

Each task names a `blend`, a `frame`, an `output` and `settings`: data path from the scene -> value. The passes go into
OUTPUT.exr, and as read from memory, if this Blender can do that, into OUTPUT.npz. Needs nothing but bpy and numpy.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import bpy
import numpy as np

PASSES = ("use_pass_z", "use_pass_normal", "use_pass_vector", "use_pass_object_index")


def hook(found: dict[str, Any]) -> None:
    """Have `found` filled with the passes of each render, top row first, or with why they cannot be read."""
    import cycles.engine as engine

    original = engine.render

    def hooked(self: Any, depsgraph: Any) -> None:
        original(self, depsgraph)
        found.clear()
        result = self.get_result()
        for item in result.layers[0].passes:
            pixels = np.empty((result.resolution_y, result.resolution_x, item.channels), np.float32)
            try:
                item.rect.foreach_get(pixels.reshape(-1))
            except TypeError as exc:
                found["error"] = np.array(str(exc))
                return
            found[item.name] = pixels[::-1]

    engine.render = hooked


def render(task: dict[str, Any], found: dict[str, Any]) -> None:
    bpy.ops.wm.open_mainfile(filepath=task["blend"])
    scene = bpy.context.scene
    for number, obj in enumerate(sorted(bpy.data.objects, key=lambda obj: obj.name), start=1):
        obj.pass_index = number
    for name in PASSES:
        setattr(scene.view_layers[0], name, True)
    scene.render.resolution_x, scene.render.resolution_y = task["size"]
    for path, value in task["settings"].items():
        owner, _, name = path.rpartition(".")
        setattr(scene.path_resolve(owner) if owner else scene, name, value)
    image = scene.render.image_settings
    if hasattr(image, "media_type"):
        image.media_type = "MULTI_LAYER_IMAGE"
    image.file_format, image.color_depth = "OPEN_EXR_MULTILAYER", "32"
    scene.render.filepath = task["output"] + ".exr"
    scene.frame_set(task["frame"])
    bpy.ops.render.render(write_still=True)
    np.savez(task["output"] + ".npz", **found)


def main() -> None:
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    with open(arguments[0], encoding="utf-8") as stream:
        tasks = json.load(stream)
    found: dict[str, Any] = {}
    hook(found)
    for task in tasks:
        render(task, found)
    with open(arguments[0] + ".version", "w", encoding="utf-8") as stream:
        stream.write(bpy.app.version_string)


main()
