"""What the bench compares with: the loop anybody would write with bpy, which saves the picture and nothing else.

python scripts/plain_loop.py SCENE.blend FOLDER WIDTH HEIGHT SAMPLES FIRST LAST
"""

from __future__ import annotations

import sys
from pathlib import Path

import bpy


def main(blend: str, folder: str, width: int, height: int, samples: int, first: int, last: int) -> None:
    bpy.ops.wm.open_mainfile(filepath=blend)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.resolution_percentage = 100
    scene.cycles.samples = samples
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = False
    scene.render.image_settings.file_format = "PNG"
    for frame in range(first, last + 1):
        scene.frame_set(frame)
        scene.render.filepath = str(Path(folder) / f"frame_{frame:06d}.png")
        bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    blend_file, output, *numbers = sys.argv[1:8]
    main(blend_file, output, *map(int, numbers))
