"""What a user should know about a scene before hours of rendering. One sentence per finding.

Findings are of two kinds: what is `missing`, so that pictures are not what the artist sees (with `--strict` the run is
refused), and `notices` of what is done about the rest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import bpy
import numpy as np

from visionsim.cameras import c2w_from_blender, camera_from_blender
from visionsim.simulation.worker import animation, camera, change, compat
from visionsim.simulation.worker.containment import Contained, cache_folder, point_caches
from visionsim.simulation.worker.scene import RENDERABLE, animated_settings


def missing(scene: Any, contained: Contained, *, autoexec: bool) -> list[str]:
    """What the picture lacks: what this Blender does not know, files that are not there, Python that did not run."""
    return [*newer_file(), *missing_files(scene), *(() if autoexec else scripts(contained))]


def notices(scene: Any, contained: Contained, *, engine: str, circles: list[list[str]], stretch: float) -> list[str]:
    """List what a user should know: load errors, the engine, what shows nothing, places far off, simulations, speed.

    `engine` is the one that the file was saved for, `circles` are those of `chatter.circles`, `stretch` is the
    multiplier.
    """
    materials = used_materials(scene)
    return [
        *contained.complaints,
        *another_engine(engine),
        *unknown_nodes(scene, materials),
        *black_materials(materials),
        *not_drawn(scene),
        *in_circles(circles),
        *contained.outputs,
        *shaped_by_chance(scene),
        *far_from_origin(scene),
        *animation.unbaked(scene),
        *animation.not_slowed(scene, stretch),
    ]


def another_engine(engine: str) -> list[str]:
    """The scene was made for another engine than Cycles; its look may differ.

    Blender calls an engine that it does not know EEVEE; of files from before EEVEE that can be told.
    """
    if engine == "CYCLES":
        return []
    names = {"BLENDER_EEVEE": "EEVEE", "BLENDER_EEVEE_NEXT": "EEVEE", "BLENDER_WORKBENCH": "Workbench"}
    made_for = names.get(engine, engine) or "an engine that is not installed"
    if bpy.data.version < (2, 80, 0):
        version = f"{bpy.data.version[0]}.{bpy.data.version[1]}"
        made_for = f"Blender Internal, the Game Engine or an add-on's engine (by Blender {version})"
    return [f"the scene was saved for {made_for}; it is rendered with Cycles, and may look different"]


def unknown_nodes(scene: Any, materials: list[Any]) -> list[str]:
    """Nodes of add-ons that are not there, and of other versions of Blender, where they are in use."""
    found = []
    for owner, tree in used_trees(scene, materials):
        names = sorted({repr(node.name) for node in animation.nodes_of(tree) if node.bl_idname == "NodeUndefined"})
        if names:
            found.append(
                f"{owner.bl_rna.name.lower()} {owner.name_full!r} has nodes that this Blender does not know "
                f"(an add-on's, most likely), which do nothing: {in_short(names)}"
            )
    return found


def used_trees(scene: Any, materials: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Node trees that decide what the scene looks like, each with the data-block that has it."""
    for material in materials:
        tree = compat.used_node_tree(material)
        if tree is not None:
            yield material, tree
    lamps = {obj.data for obj in change.objects_of(scene) if obj.type == "LIGHT" and not obj.hide_render}
    blocks = [lamp for lamp in sorted(lamps, key=lambda lamp: lamp.name_full) if lamp.use_nodes]
    for block in [*blocks, *([scene.world] if scene.world else [])]:
        if block.node_tree is not None:
            yield block, block.node_tree
    groups = {
        modifier.node_group
        for obj in change.objects_of(scene)
        for modifier in obj.modifiers
        if modifier.type == "NODES" and modifier.show_render and modifier.node_group is not None
    }
    yield from ((group, group) for group in sorted(groups, key=lambda group: group.name_full))


def used_materials(scene: Any) -> list[Any]:
    """Materials of what is rendered and has a surface, by name."""
    found = {
        material
        for obj in change.objects_of(scene)
        if not obj.hide_render and obj.type in SURFACES
        for material in change.materials_of(obj)
        if animation.is_used(material)
    }
    return sorted(found, key=lambda material: material.name_full)


SURFACES = {"MESH", "CURVE", "CURVES", "FONT", "META", "SURFACE", "VOLUME", "POINTCLOUD"}
"""Types of objects whose materials Cycles shows."""


def black_materials(materials: list[Any]) -> list[str]:
    """Materials that have nothing on the output that Cycles takes, which renders as black."""
    found = []
    for material in materials:
        tree = compat.used_node_tree(material)
        if tree is None:
            continue
        output = tree.get_output_node("CYCLES")
        if output is None or not (output.inputs["Surface"].is_linked or output.inputs["Volume"].is_linked):
            found.append(f"material {material.name_full!r} has nothing on its surface output for Cycles: it is black")
    return found


def not_drawn(scene: Any) -> list[str]:
    """Grease pencil, which Blender draws only where there is a window, or at least a graphics context."""
    return [
        f"grease pencil {obj.name_full!r} is not drawn: Blender draws no strokes without a window; "
        "convert it to a curve or a mesh"
        for obj in sorted(change.objects_of(scene), key=lambda obj: obj.name_full)
        if obj.type in ("GPENCIL", "GREASEPENCIL") and not obj.hide_render
    ]


def in_circles(circles: list[list[str]]) -> list[str]:
    """Data-blocks that depend on each other, or on themselves (see `chatter.circles`)."""
    found = []
    for names in circles:
        who = in_short([repr(name) for name in names])
        found.append(
            f"{who} {'depend on each other' if len(names) > 1 else 'depends on itself'} in a circle, which Blender "
            "cuts at any place: what moves by it may be wrong, or differ from run to run"
        )
    return found


def shaped_by_chance(scene: Any) -> list[str]:
    """What a lattice shapes as its parent, while it changes its own shape.

    Blender evaluates the two in any order, and the child never again: of 150 times that the same file was opened, the
    child had the lattice's shape in 53 to 126 and its own in the others, and kept it in every frame. Measured in 3.4.1,
    4.2.23, 4.5.15, 5.0.1 and 5.2.3 (`scripts/measure_lattice_parent.py`); a Lattice modifier was right each time.
    """
    return [
        f"{obj.name!r} gets its shape from its parent, the lattice {obj.parent.name!r}, whose own shape changes: "
        "Blender does not follow, and what it shows differs from run to run; use a Lattice modifier instead"
        for obj in scene.objects
        if obj.parent is not None
        and obj.parent.type == "LATTICE"
        and obj.parent_type in ("ARMATURE", "LATTICE")
        and (obj.parent.data.shape_keys or obj.parent.modifiers)
    ]


def far_from_origin(scene: Any) -> list[str]:
    """Coordinates so large that single precision, which Blender renders with, is coarser than a tenth of a pixel."""
    described = camera.describe(scene, scene.camera)
    model, c2w = camera_from_blender(described), c2w_from_blender(described["matrix_world"])
    away = [
        float(np.linalg.norm(np.maximum(np.abs(middle - c2w[:3, 3]) - half, 0.0)))
        for middle, half in map(box_of, scene.objects)
        if half.any()
    ]
    near = max(float(np.median(away)) if away else 0.0, described["clip_start"])
    x, y = model.width / 2, model.height / 2
    pixel = float(np.linalg.norm(model.unproject(x + 0.5, y, near) - model.unproject(x - 0.5, y, near)))
    largest = float(np.abs(c2w[:3, 3]).max())
    step = float(np.spacing(np.float32(largest)))
    if not step > COARSE * pixel:
        return []
    return [
        f"the camera is {largest:.3g} units from the origin, where single precision has steps of {step:.2g}: "
        f"{step / pixel:.2g} pixels, by which pictures and ground truth may be off; move the scene to the origin"
    ]


COARSE = 0.1
"""Pixels that a step of single precision may be."""


def box_of(obj: Any) -> tuple[Any, Any]:
    """Middle and half the size of an object's box in the world, as it is now; no size if it shows nothing."""
    corners = np.array(obj.bound_box if obj.type in RENDERABLE and not obj.hide_render else np.zeros((8, 3)))
    matrix = np.array(obj.matrix_world)
    corners = corners @ matrix[:3, :3].T + matrix[:3, 3]
    low, high = corners.min(axis=0), corners.max(axis=0)
    return (low + high) / 2, (high - low) / 2


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


def newer_file() -> list[str]:
    """Blender opens files of later versions as well as it can, and says nothing."""
    saved_by = tuple(bpy.data.version[:2])
    if saved_by <= compat.VERSION[:2]:
        return []
    return [f"the file was saved by Blender {saved_by[0]}.{saved_by[1]}: what {bpy.app.version_string} lacks is lost"]


def missing_files(scene: Any) -> list[str]:
    """Files and data-blocks without which the picture is another one, each with its path. Sounds do not matter."""
    found = [*missing_images(scene), *missing_libraries()]
    for block, what, paths in files_of_blocks():
        gone = [path for path in paths if not os.path.exists(path)]
        if gone:
            found.append(f"{what} {block.name_full!r} is missing: {in_short(gone)}")
    for obj in sorted(change.objects_of(scene), key=lambda obj: obj.name_full):
        for what, path in files_of_modifiers(obj):
            if not os.path.exists(path):
                found.append(f"{what} of {obj.name_full!r} is missing: {path}")
    return found


def absolute(path: str, owner: Any) -> str:
    """A path of a data-block, which counts from the .blend that it comes from."""
    resolved: str = os.path.normpath(bpy.path.abspath(path, library=owner.library))
    return resolved


def in_short(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def missing_images(scene: Any) -> list[str]:
    """Textures whose files are not where the .blend says: whole images, tiles of UDIMs, frames of sequences."""
    found: dict[Any, str] = {}
    users: dict[Any, list[Any]] = {}
    for image, user in animation.image_users(scene):
        users.setdefault(image, []).append(user)
    for image in bpy.data.images:
        if image.source not in IMAGE_FILES or image.packed_file or image.packed_files or not animation.is_used(image):
            continue
        path = absolute(image.filepath, image)
        if not image.filepath:
            found[image] = "it names no file"
            continue
        paths = {path}
        if image.source == "TILED":
            paths = {tile_path(path, tile.number) for tile in image.tiles}
        elif image.source == "SEQUENCE":
            # What is in no node (of which we know) is played from the file that it names.
            paths = {sequence_path(path, n) for user in users.get(image, []) for n in played(user)} or {path}
        gone = sorted(path for path in paths if not os.path.exists(path))
        if gone:
            found[image] = in_short(gone)
    bending = images_that_bend_normals(scene) if found else set()
    return [
        f"{IMAGE_FILES[image.source]} {image.name_full!r} is missing (renders pink"
        f"{', and bends normals, also those of ground truth' if image in bending else ''}): {where}"
        for image, where in found.items()
    ]


def images_that_bend_normals(scene: Any) -> set[Any]:
    """Images that reach a bump, a normal map or another input for normals in a material in use."""
    found = set()
    for _, tree in used_trees(scene, used_materials(scene)):
        for part in change.node_trees(tree):
            stack = [socket for node in part.nodes for socket in node.inputs if is_for_normals(node, socket)]
            seen = set()
            while stack:
                for link in stack.pop().links:
                    node = link.from_node
                    if node in seen:
                        continue
                    seen.add(node)
                    stack += node.inputs
                    if getattr(node, "image", None) is not None:
                        found.add(node.image)
    return found


def is_for_normals(node: Any, socket: Any) -> bool:
    return node.type in ("BUMP", "NORMAL_MAP") or socket.name.endswith("Normal")


IMAGE_FILES = {"FILE": "texture", "SEQUENCE": "image sequence", "MOVIE": "movie", "TILED": "tiled texture (UDIM)"}
"""Where images come from files -> how we call them."""


def tile_path(path: str, number: int) -> str:
    """The file of a tile; tiles are numbered from 1001, ten to a row."""
    row, column = divmod(number - 1001, 10)
    return path.replace("<UDIM>", str(number)).replace("<UVTILE>", f"u{column + 1}_v{row + 1}")


def sequence_path(path: str, number: int) -> str:
    """A sequence's file: the last digits of the name are its number."""
    folder, name = os.path.split(path)
    match = re.fullmatch(r"(.*?)(\d+)(\D*)", name)
    return os.path.join(folder, f"{match[1]}{number:0{len(match[2])}d}{match[3]}") if match else path


def played(user: Any) -> range:
    """Numbers of the files that an image user, or a volume, plays."""
    return range(user.frame_offset + 1, user.frame_offset + user.frame_duration + 1)


def missing_libraries() -> list[str]:
    """Libraries that are not there, and data-blocks that are not in theirs."""
    found = []
    there, paths = {}, {}
    for library in bpy.data.libraries:
        # Paths of libraries within libraries count from this .blend, too.
        paths[library] = path = os.path.normpath(bpy.path.abspath(library.filepath))
        there[library] = bool(library.packed_file) or os.path.exists(path)
        if not there[library] and not getattr(library, "is_archive", False):
            via = f" (linked by {library.parent.filepath})" if library.parent is not None else ""
            found.append(f"library is missing, its objects are left out: {path}{via}")
    for block in animation.all_ids():
        if block.library is not None and compat.is_missing(block) and there.get(block.library):
            kind = block.bl_rna.name.lower()
            found.append(f"{kind} {block.name!r} is not in its library: {paths[block.library]}")
    return found


def files_of_blocks() -> Iterator[tuple[Any, str, list[str]]]:
    """Fonts, volumes, Alembic and USD caches, movie clips, light profiles that are in use: what it is, its files."""
    for font in bpy.data.fonts:
        if font.filepath != "<builtin>" and not font.packed_file:
            yield font, "font", [absolute(font.filepath, font)]
    for volume in bpy.data.volumes:
        if volume.filepath and not volume.packed_file and animation.is_used(volume):
            path = absolute(volume.filepath, volume)
            numbers = played(volume) if volume.is_sequence else ()
            yield volume, "volume", [sequence_path(path, n) for n in numbers] or [path]
    for what, blocks in (("cache file", bpy.data.cache_files), ("movie clip", bpy.data.movieclips)):
        for block in blocks:
            if animation.is_used(block):
                yield block, what, [absolute(block.filepath, block)]
    for owner in (*bpy.data.lights, *bpy.data.materials, *bpy.data.worlds):
        if owner.node_tree is not None and animation.is_used(owner):
            for node in animation.nodes_of(owner.node_tree):
                if node.type == "TEX_IES" and node.mode == "EXTERNAL":
                    yield owner, "the light profile (IES) of", [absolute(node.filepath, owner)]


def files_of_modifiers(obj: Any) -> Iterator[tuple[str, str]]:
    """Mesh caches, and what baked simulations keep on disk."""
    for modifier in obj.modifiers:
        if not modifier.show_render:
            continue
        if modifier.type == "MESH_CACHE":
            yield f"the mesh cache {modifier.name!r}", absolute(modifier.filepath, obj)
        elif modifier.type == "FLUID" and modifier.fluid_type == "DOMAIN":
            settings = modifier.domain_settings
            if settings.has_cache_baked_data and settings.cache_type != "REPLAY":
                yield "the baked fluid cache", absolute(settings.cache_directory, obj)
        for cache in point_caches(modifier):
            if cache.use_disk_cache and cache.is_baked and not cache.use_external:
                yield f"the baked cache of {modifier.name!r}", cache_folder(obj)


def scripts(contained: Contained) -> list[str]:
    """Python in the .blend that did not run, to be asked when the scene has been evaluated."""
    found = [f"the script {text.name_full!r} did not run" for text in bpy.data.texts if text.use_module]
    found += contained.scripts
    drivers = [
        f"{curve.data_path} of {block.name_full!r}"
        for block, owner in animation.animated_ids()
        for curve in owner.animation_data.drivers
        if needs_python(curve.driver) and not curve.driver.is_valid and not curve.mute
    ]
    if drivers:
        found.append(f"drivers with Python did not run: {in_short(drivers, 10)}")
    if bpy.app.autoexec_fail and not found:
        found.append(f"Python did not run: {bpy.app.autoexec_fail_message}")
    return [f"{sentence}; --render-config.autoexec runs the file's scripts, if you trust it" for sentence in found]


def needs_python(driver: Any) -> bool:
    """Whether a driver's value is more than Blender can compute by itself."""
    return driver.type == "SCRIPTED" and not driver.is_simple_expression
