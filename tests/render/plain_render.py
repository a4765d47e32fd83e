"""Render frames as anybody would with plain bpy: no visionsim, no hook, no extra passes.

python plain_render.py SETTINGS.json
"""

from __future__ import annotations

import json
import sys

import bpy


def main():
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    with open(arguments[0]) as stream:
        wanted = json.load(stream)
    for scene in wanted if isinstance(wanted, list) else [wanted]:
        render(scene)


def render(wanted):
    bpy.ops.wm.open_mainfile(filepath=wanted["blend"], use_scripts=wanted.get("autoexec", False))
    scene = bpy.context.scene
    if wanted.get("still_settings"):
        scene.animation_data_clear()
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = wanted["width"], wanted["height"]
    scene.render.resolution_percentage = 100
    scene.cycles.samples = wanted["max_samples"]
    scene.cycles.use_adaptive_sampling = wanted["adaptive_threshold"] > 0
    scene.cycles.adaptive_threshold = wanted["adaptive_threshold"]
    scene.cycles.use_denoising = wanted["use_denoising"]
    scene.cycles.seed = wanted["seed"]
    scene.render.image_settings.file_format = wanted["file_format"]
    scene.render.image_settings.color_depth = str(wanted["bit_depth"])
    for path, value in wanted.get("set", {}).items():
        exec(f"{path} = value", {"scene": scene, "value": value})
    for frame in wanted["frames"]:
        scene.frame_set(frame)
        scene.render.filepath = wanted["output"] % frame
        bpy.ops.render.render(write_still=True)


main()
