"""What a user should know about a scene before hours of rendering. One sentence per finding."""

from __future__ import annotations

import os
from typing import Any

import bpy

from visionsim.simulation.worker import animation, compat


def audit(scene: Any, *, engine: str, stretch: float) -> list[str]:
    """Missing files, scripts that did not run, another engine, file outputs, what cannot be slowed.

    `engine` is the one that the file was saved for, `stretch` the multiplier.
    """
    return [
        *another_engine(engine),
        *missing_files(),
        *scripts(),
        *own_outputs(scene),
        *animation.not_slowed(stretch),
    ]


def another_engine(engine: str) -> list[str]:
    """The scene was made for EEVEE or Workbench; its look may differ."""
    return [] if engine == "CYCLES" else [f"the scene was saved for {engine}; it is rendered with Cycles"]


def missing_files() -> list[str]:
    """Textures and libraries that are not where the .blend says."""
    found = []
    for image in bpy.data.images:
        if image.source == "FILE" and not image.packed_file and image.filepath:
            path = bpy.path.abspath(image.filepath, library=image.library)
            if not os.path.exists(path):
                found.append(f"texture {image.name_full!r} is missing (renders pink): {image.filepath}")
    for library in bpy.data.libraries:
        path = bpy.path.abspath(library.filepath)
        if not os.path.exists(path):
            found.append(f"library is missing, its objects are left out: {library.filepath}")
    return found


def scripts() -> list[str]:
    """Python in the .blend that did not run."""
    if not bpy.app.autoexec_fail:
        return []
    return [f"scripts in the file did not run ({bpy.app.autoexec_fail_message}); --render-config.autoexec runs them"]


def own_outputs(scene: Any) -> list[str]:
    """File Output nodes of the artist would write wherever they point: they are muted."""
    tree = compat.compositor_tree(scene)
    nodes = [node for node in tree.nodes if node.type == "OUTPUT_FILE" and not node.mute] if tree else []
    for node in nodes:
        node.mute = True
    return [f"the compositor's File Output node {node.name!r} is switched off" for node in nodes]
