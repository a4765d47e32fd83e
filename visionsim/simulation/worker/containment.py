"""What a .blend would run or write behind our back is switched off before Blender evaluates it for the first time.

Registered scripts and Python drivers Blender itself keeps from running. Not so Freestyle's style modules, which 3.4 and
4.2 run whatever they are told, and not what writes files: File Output nodes, and simulations with caches on disk, which
may begin to write while the file is opened. Measured with 3.4.1, 4.2.23, 4.5.15, 5.0.1 and 5.2.3 (OSL's `fprintf`
writes nothing in any of them); tests/render/test_hostile.py repeats it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import bpy

from visionsim.simulation.worker import animation, compat


@dataclass
class Contained:
    """What was found in a file, in words."""

    complaints: list[str] = field(default_factory=list)
    """What Blender reported when it loaded the file."""
    outputs: list[str] = field(default_factory=list)
    """What was switched off because it would have written files."""
    scripts: list[str] = field(default_factory=list)
    """What was switched off because it is Python, and changes the picture."""


@contextmanager
def contained(scratch: Path, *, autoexec: bool) -> Iterator[Contained]:
    """While a file is opened in the block: contain it. Blender calls `load_post` before it evaluates the scene."""
    found = Contained()
    failed: list[Exception] = []

    @bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
    def loaded(*_: object) -> None:
        try:
            contain(found, scratch, autoexec=autoexec)
        except Exception as exc:  # Blender would print it and go on.
            failed.append(exc)

    bpy.app.handlers.load_post.append(loaded)
    try:
        yield found
    finally:
        bpy.app.handlers.load_post.remove(loaded)
    if failed:
        raise failed[0]


def contain(found: Contained, scratch: Path, *, autoexec: bool) -> None:
    """Switch off what writes, in all scenes of the file: compositor nodes and simulations reach into others."""
    if not autoexec:
        found.scripts += style_modules()
    found.outputs += file_outputs(bpy.context.scene)
    for scene in bpy.data.scenes:
        if hasattr(scene.render, "use_render_cache"):
            scene.render.use_render_cache = False
    caches_into(scratch)


def style_modules() -> list[str]:
    """Take away the Python that draws Freestyle's lines; returns a sentence for each view layer that has such."""
    found = []
    for scene in bpy.data.scenes:
        for layer in scene.view_layers:
            settings: Any = getattr(layer, "freestyle_settings", None)
            modules = list(settings.modules) if settings is not None else []
            if modules and scene == bpy.context.scene and scene.render.use_freestyle and settings.mode == "SCRIPT":
                names = ", ".join(repr(module.script.name_full) for module in modules if module.use and module.script)
                if names:
                    found.append(f"Freestyle's scripts of view layer {layer.name!r} do not run ({names})")
            for module in modules:
                settings.modules.remove(module)
    return found


def file_outputs(scene: Any) -> list[str]:
    """Cut off every File Output node, also in groups; returns a sentence for each that would have written."""
    tree = animation.compositor_in_use(scene)
    nodes = [node for node in animation.nodes_of(tree) if node.type == "OUTPUT_FILE"] if tree else []
    found = [f"the compositor's File Output node {node.name!r} is switched off" for node in nodes]
    for tree in compat.compositor_trees():
        for node in tree.nodes:
            if node.type == "OUTPUT_FILE":
                node.mute = True
                # A driver may unmute it. Without any output node Blender would refuse to render, so it stays.
                for link in [link for socket in node.inputs for link in socket.links]:
                    tree.links.remove(link)
    return found


def caches_into(scratch: Path) -> None:
    """Let simulations that are not baked keep their frames in memory, or in our scratch folder.

    Blender deletes the files of a cache that leaves the disk, but only where it looks for them: it is sent elsewhere
    first. (Rigid bodies can have no cache on disk: Blender crashes when it is switched on.)
    """
    caches = scratch / "caches"
    shutil.rmtree(caches, ignore_errors=True)  # Those of the scene before; Blender would read them.
    numbers = count()  # For names of folders: those of objects may begin with `../`.
    for obj in bpy.data.objects:
        for modifier in obj.modifiers:
            if modifier.type == "FLUID" and modifier.fluid_type == "DOMAIN":
                settings = modifier.domain_settings
                if settings.cache_type == "REPLAY" or not settings.has_cache_baked_data:
                    settings.cache_directory = str(caches / str(next(numbers)))
            for cache in point_caches(modifier):
                always_on_disk = modifier.type == "DYNAMIC_PAINT"  # Whatever its switch says.
                if cache.is_baked or cache.use_external or not (cache.use_disk_cache or always_on_disk):
                    continue
                folder = caches / str(next(numbers))
                folder.mkdir(parents=True)
                cache.use_external = True
                cache.filepath = str(folder)
                if not always_on_disk:
                    cache.use_disk_cache = False
                    cache.use_external = False


def cache_folder(obj: Any) -> str:
    """Where Blender keeps the frames of an object's simulations."""
    blend = bpy.path.abspath(obj.library.filepath) if obj.library is not None else bpy.data.filepath
    folder, name = os.path.split(blend)
    return os.path.join(folder, f"blendcache_{name.partition('.blend')[0]}")


def point_caches(modifier: Any) -> list[Any]:
    """The caches of a modifier that keep simulated frames in memory, or in files beside the .blend."""
    if modifier.type in ("CLOTH", "SOFT_BODY"):
        return [modifier.point_cache]
    if modifier.type == "PARTICLE_SYSTEM":
        return [modifier.particle_system.point_cache]
    if modifier.type == "DYNAMIC_PAINT" and modifier.canvas_settings is not None:
        return [surface.point_cache for surface in modifier.canvas_settings.canvas_surfaces]
    return []
