"""What a user should know about a scene before hours of rendering. One sentence per finding."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import bpy

from visionsim.simulation.worker import animation, compat


def audit(scene: Any, *, engine: str, stretch: float, ids: bool) -> list[str]:
    """Missing files, scripts that did not run, another engine, file outputs, shared ids, simulations, slow motion.

    `engine` is the one that the file was saved for, `stretch` the multiplier, `ids` whether object ids are wanted.
    """
    return [
        *another_engine(engine),
        *missing_files(),
        *scripts(),
        *own_outputs(scene),
        *(shared_ids() if ids else []),
        *animation.unbaked(scene),
        *animation.not_slowed(scene, stretch),
    ]


def shared_ids() -> list[str]:
    """Copies made by instancing cannot be told apart by the object ids that Blender renders."""
    graph = bpy.context.evaluated_depsgraph_get()
    shown: Counter[str] = Counter()
    for copy in graph.object_instances:
        source = copy.object.original
        # A curve is listed once more, as an instance of the mesh that is made from it.
        if source.type != "EMPTY" and not (copy.is_instance and copy.parent.original == source):
            shown[source.name_full] += 1
    copies = {name: count for name, count in shown.items() if count > 1}
    if not copies:
        return []
    name, count = max(copies.items(), key=lambda item: item[1])
    return [
        f"some objects ({len(copies)}) are instanced, such as {name!r} ({count} times): in segmentations all copies of "
        "an object have its id"
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
