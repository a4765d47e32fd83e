"""What a user should know about a scene before hours of rendering. One sentence per finding."""

from __future__ import annotations

import os
from typing import Any

import bpy

from visionsim.simulation.worker import animation, compat
from visionsim.simulation.worker.scene import animated_settings


def audit(scene: Any, *, engine: str, stretch: float) -> list[str]:
    """Another engine, missing files, scripts that did not run, file outputs, simulations, what cannot be slowed.

    `engine` is the one that the file was saved for, `stretch` the multiplier.
    """
    return [
        *another_engine(engine),
        *missing_files(),
        *scripts(),
        *own_outputs(scene),
        *animation.unbaked(scene),
        *animation.not_slowed(scene, stretch),
    ]


def another_engine(engine: str) -> list[str]:
    """The scene was made for EEVEE or Workbench; its look may differ."""
    if engine == "CYCLES":
        return []
    names = {"BLENDER_EEVEE": "EEVEE", "BLENDER_EEVEE_NEXT": "EEVEE", "BLENDER_WORKBENCH": "Workbench"}
    made_for = names.get(engine, engine) or "an engine that is not installed"
    return [f"the scene was saved for {made_for}; it is rendered with Cycles, and may look different"]


def replaced_settings(scene: Any, settings: dict[str, Any]) -> list[str]:
    """What is done about the artist's render settings, where it matters; to be asked before they are replaced."""
    render = scene.render
    paths = sorted({curve.data_path for curve in animated_settings(scene, settings)})
    own_samples = scene.cycles.use_layer_samples != "IGNORE"
    layers = [layer for layer in scene.view_layers if layer.use and layer.samples > 0 and own_samples]
    percentage, limit = render.resolution_percentage, scene.cycles.time_limit
    findings = {
        "the render border is ignored: whole pictures are rendered": render.use_border,
        f"the resolution percentage ({percentage} %) is ignored: pictures have the size asked for": percentage != 100,
        "stereo (multi-view) is switched off: there is one picture, of the camera itself": render.use_multiview,
        f"the time limit ({limit:g} s) is ignored: every frame gets its samples": limit > 0,
        "the sequencer's strips are left out: the picture is the scene's own": (
            render.use_sequencer and len(compat.sequencer_strips(scene)) > 0
        ),
        "metadata is not burnt into the picture": render.use_stamp,
        "Freestyle draws lines into the picture; ground truth has none of them": render.use_freestyle,
        "Simplify is on: picture and ground truth show the simplified scene": render.use_simplify,
        f"the animation of {', '.join(paths)} is ignored: the run's settings hold in every frame": bool(paths),
    }
    return [
        *(sentence for sentence, applies in findings.items() if applies),
        *(
            f"view layer {layer.name!r} has its own number of samples ({layer.samples}), which counts in place of "
            f"--render-config.max-samples={settings['max_samples']}"
            for layer in layers
        ),
    ]


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
