"""What the `build_*.py` scripts share: an empty scene, objects, animation, lights, and saving by the rules.

The scenes are saved with bpy 4.2, since 4.2 ... 5.2 must all open them: files saved by bpy 5 do not open in 4.2.
Lengths are metres, angles degrees, frames are 50 per second, colours are "#rrggbb" strings in sRGB.
Mesh shapes are in `_shapes.py`, materials in `_materials.py`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import bpy
from _materials import rgb
from mathutils import Euler, Vector

Vec = Sequence[float]

FIRST_FRAME, LAST_FRAME, FPS = 1, 600, 50
MAX_FILE_BYTES = 1_000_000
MAX_POLYGONS = 300_000
RENDERABLE = {"MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES", "POINTCLOUD", "VOLUME"}


# --- the scene ---------------------------------------------------------------------------------------------------


def run(build: Callable[[bpy.types.Scene], None], script: str) -> None:
    """Build a scene and save it beside `script` (build_room.py -> room.blend), or at the path given as argument."""
    default = Path(script).resolve().with_name(Path(script).stem.removeprefix("build_") + ".blend")
    path = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else default
    scene = new_scene(path.stem)
    build(scene)
    finish(scene, path)


def new_scene(name: str) -> bpy.types.Scene:
    """An empty scene with the settings that all our scenes share.

    Raises:
        SystemExit: this bpy would save files that bpy 4.2 cannot open, or is too old.
    """
    if not (4, 2) <= bpy.app.version < (5, 0):
        raise SystemExit(
            f"The scenes are saved with bpy 4.2, so that 4.2 and everything newer can open them; this is bpy "
            f"{bpy.app.version_string}, whose files bpy 4.2 would refuse or misread. Use: pip install 'bpy==4.2.*'"
        )
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.name = name
    scene.frame_start, scene.frame_end = FIRST_FRAME, LAST_FRAME
    scene.unit_settings.system, scene.unit_settings.scale_length = "METRIC", 1.0
    render = scene.render
    render.engine, render.filepath, render.use_motion_blur = "CYCLES", "//", False
    render.fps, render.fps_base = FPS, 1.0
    render.resolution_x, render.resolution_y, render.resolution_percentage = 512, 512, 100
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    cycles = scene.cycles
    cycles.samples, cycles.use_denoising = 64, True
    cycles.use_adaptive_sampling, cycles.adaptive_threshold = True, 0.02
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 6, 2, 3
    cycles.transmission_bounces, cycles.transparent_max_bounces, cycles.volume_bounces = 6, 6, 0
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_direct, cycles.sample_clamp_indirect, cycles.blur_glossy = 20.0, 4.0, 0.5
    # Few lights each: picking one at random is cheaper than the light tree (measured: 10 to 25 % of the frame).
    cycles.use_light_tree = False
    # Beyond the first bounce, near surfaces only darken the sky's ambient light (`_materials.sky` sets how near):
    # a quarter to a half of the time, and less noise.
    cycles.use_fast_gi, cycles.fast_gi_method = True, "REPLACE"
    cycles.ao_bounces = cycles.ao_bounces_render = 1
    return scene


def finish(scene: bpy.types.Scene, path: Path) -> None:
    """Drop what is unused, check the rules of this folder, and save `scene` compressed at `path`.

    Raises:
        ValueError: a rule is broken; nothing is left at `path` if it is the rule about the file's size.
    """
    bpy.data.orphans_purge(do_local_ids=True, do_linked_ids=True, do_recursive=True)
    scene.frame_set(FIRST_FRAME)
    polygons = evaluated_polygons()
    problems = rule_violations(scene)
    if polygons > MAX_POLYGONS:
        problems.append(f"{polygons} evaluated polygons, at most {MAX_POLYGONS} are allowed")
    if problems:
        raise ValueError(f"{path.name} breaks the rules of this folder:\n  " + "\n  ".join(problems))
    forget_folders()
    bpy.context.preferences.filepaths.save_version = 0  # No .blend1 beside the file.
    # A copy of a never-saved file carries no path of the machine that built it.
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True, copy=True, check_existing=False)
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        path.unlink()
        raise ValueError(f"{path.name} would take {size} bytes, at most {MAX_FILE_BYTES} are allowed")
    print(f"{path.name}: {size / 1000:.0f} kB, {len(bpy.data.objects)} objects, {polygons} evaluated polygons")


def forget_folders() -> None:
    """Drop the home folder that Blender's start-up layout remembers in its file browsers."""
    for screen in bpy.data.screens:
        for space in (space for area in screen.areas for space in area.spaces if space.type == "FILE_BROWSER"):
            if space.params:
                space.params.directory = b"//"


def rule_violations(scene: bpy.types.Scene) -> list[str]:
    """What is wrong with the scene, in words; empty if nothing is."""
    problems = [f"{obj.name!r} has no class" for obj in bpy.data.objects if is_renderable(obj) and not obj.get("class")]
    cameras = [obj for obj in bpy.data.objects if obj.type == "CAMERA"]
    if len(cameras) != 1 or scene.camera is not cameras[0]:
        problems.append(f"there must be exactly one camera, and it must be the scene's; found {len(cameras)}")
    elif cameras[0].animation_data is None:
        problems.append("the camera is not animated")
    facts = {
        "engine": (scene.render.engine, "CYCLES"),
        "fps": (scene.render.fps / scene.render.fps_base, float(FPS)),
        "frame range": ((scene.frame_start, scene.frame_end), (FIRST_FRAME, LAST_FRAME)),
        "resolution": ((scene.render.resolution_x, scene.render.resolution_y), (512, 512)),
        "embedded texts": (len(bpy.data.texts), 0),
        "external libraries": (len(bpy.data.libraries), 0),
        "images": (len(bpy.data.images), 0),
        "motion blur": (scene.render.use_motion_blur, False),
    }
    problems += [f"{what} is {found}, must be {wanted}" for what, (found, wanted) in facts.items() if found != wanted]
    return problems


def is_renderable(obj: bpy.types.Object) -> bool:
    """Does the object, or the collection it is an instance of, end up in pictures?"""
    return not obj.hide_render and (obj.type in RENDERABLE or obj.instance_type == "COLLECTION")


def evaluated_polygons() -> int:
    """The number of polygons after modifiers, each instance counted."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    return sum(len(i.object.data.polygons) for i in depsgraph.object_instances if i.object.type == "MESH")


# --- objects -----------------------------------------------------------------------------------------------------


def add(
    name: str,
    label: str,
    data: bpy.types.ID | None,
    material: bpy.types.Material | Sequence[bpy.types.Material] | None = None,
    *,
    at: Vec = (0, 0, 0),
    turn: Vec = (0, 0, 0),
    scale: float | Vec = 1.0,
    parent: bpy.types.Object | None = None,
    into: bpy.types.Collection | None = None,
    bevel: float = 0.0,
    subdivide: int = 0,
    sharp: float = 40.0,
) -> bpy.types.Object:
    """Add an object of class `label`, placed relative to `parent`.

    Args:
        data: mesh or curve; None makes an empty.
        material: one, or one for each material slot that the mesh refers to.
        turn: Euler angles XYZ in degrees.
        into: the collection that takes the object; the scene's if None.
        bevel: width in metres of the rounding of edges (a modifier), 0 for none.
        subdivide: levels of a subdivision surface modifier.
        sharp: edges between faces that meet at more than this angle (degrees) are shaded sharp.
    """
    obj = bpy.data.objects.new(name, data)
    obj["class"] = label
    obj.location = at
    obj.rotation_euler = [math.radians(angle) for angle in turn]
    obj.scale = (scale,) * 3 if isinstance(scale, (int, float)) else scale
    obj.parent = parent
    (into or bpy.context.scene.collection).objects.link(obj)
    if material is not None and not data.materials:
        for one in [material] if isinstance(material, bpy.types.Material) else material:
            data.materials.append(one)
    if isinstance(data, bpy.types.Mesh):
        data.shade_smooth()
        if bevel:
            modifier = obj.modifiers.new("Bevel", "BEVEL")
            modifier.width, modifier.segments, modifier.limit_method = bevel, 3, "ANGLE"
            modifier.harden_normals, modifier.angle_limit = True, math.radians(sharp)
        elif not subdivide:
            data.set_sharp_from_angle(angle=math.radians(sharp))
    if subdivide:
        modifier = obj.modifiers.new("Subdivision", "SUBSURF")
        modifier.levels = modifier.render_levels = subdivide
    return obj


def group(name: str, label: str, *, at: Vec = (0, 0, 0), turn: Vec = (0, 0, 0), **options: Any) -> bpy.types.Object:
    """An empty to parent things to."""
    empty = add(name, label, None, at=at, turn=turn, **options)
    empty.empty_display_size = 0.2
    return empty


def source_collection(name: str) -> bpy.types.Collection:
    """A collection to make instances of; it is not itself part of the scene."""
    return bpy.data.collections.new(name)


def instance(
    name: str, label: str, source: bpy.types.Collection, *, at: Vec, turn: Vec = (0, 0, 0), scale: float | Vec = 1.0
) -> bpy.types.Object:
    """A copy of everything in `source`, as an instance."""
    empty = add(name, label, None, at=at, turn=turn, scale=scale)
    empty.instance_type, empty.instance_collection = "COLLECTION", source
    empty.empty_display_size = 0.2
    return empty


# --- camera and lights -------------------------------------------------------------------------------------------


def add_camera(
    scene: bpy.types.Scene, stops: Sequence[tuple[int, Vec, Vec]], *, lens: float, clip_end: float = 200.0
) -> bpy.types.Object:
    """The scene's camera, flying smoothly through `stops`: (frame, where it is, what it looks at)."""
    data = bpy.data.cameras.new("Camera")
    data.lens, data.sensor_width, data.clip_start, data.clip_end = lens, 36.0, 0.05, clip_end
    camera = bpy.data.objects.new("Camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    frames = [frame for frame, _, _ in stops]
    places: dict[int, Vec] = {}
    turns: dict[int, Vec] = {}
    turn = Euler()
    for frame in sampled_frames(10):
        place = smooth(frames, [Vector(p) for _, p, _ in stops], frame)
        target = smooth(frames, [Vector(t) for _, _, t in stops], frame)
        turn = (target - place).to_track_quat("-Z", "Y").to_euler("XYZ", turn)
        places[frame], turns[frame] = place, tuple(turn)
    animate(camera, "location", places)
    animate(camera, "rotation_euler", turns)
    return camera


def add_light(
    name: str,
    kind: str,
    *,
    at: Vec,
    towards: Vec,
    power: float,
    color: str = "#ffffff",
    size: float | tuple[float, float] = 0.1,
    parent: bpy.types.Object | None = None,
) -> bpy.types.Object:
    """A light that the camera does not see itself.

    Args:
        kind: AREA (size: sides in metres), POINT or SPOT (size: radius in metres), or SUN (size: degrees across).
        power: watts; for SUN, watts per square metre.
    """
    data = bpy.data.lights.new(name, kind)
    data.energy, data.color = power, rgb(color)[:3]
    if kind == "AREA":
        width, height = (size, size) if isinstance(size, (int, float)) else size
        data.shape, data.size, data.size_y = "RECTANGLE", width, height
    elif kind == "SUN":
        data.angle = math.radians(size)
    else:
        data.shadow_soft_size = size
    light = bpy.data.objects.new(name, data)
    light.location = at
    light.rotation_euler = (Vector(towards) - Vector(at)).to_track_quat("-Z", "Y").to_euler()
    light.visible_camera = False
    light.parent = parent
    bpy.context.scene.collection.objects.link(light)
    return light


# --- animation ---------------------------------------------------------------------------------------------------


def sampled_frames(step: int) -> list[int]:
    """Frames from the first to the last, about `step` apart."""
    count = round((LAST_FRAME - FIRST_FRAME) / step)
    return [round(FIRST_FRAME + i * (LAST_FRAME - FIRST_FRAME) / count) for i in range(count + 1)]


def smooth(frames: Sequence[float], values: Sequence[Any], frame: float) -> Any:
    """The value at `frame` of a smooth (Catmull-Rom) curve through `values` (numbers or Vectors) at `frames`."""
    i = max(k for k in range(len(frames) - 1) if k == 0 or frames[k] <= frame)

    def slope(k: int) -> Any:
        a, b = max(k - 1, 0), min(k + 1, len(frames) - 1)
        return (values[b] - values[a]) * (1.0 / (frames[b] - frames[a]))

    step = frames[i + 1] - frames[i]
    t = (frame - frames[i]) / step
    return (
        values[i] * (2 * t**3 - 3 * t**2 + 1)
        + values[i + 1] * (3 * t**2 - 2 * t**3)
        + slope(i) * step * (t**3 - 2 * t**2 + t)
        + slope(i + 1) * step * (t**3 - t**2)
    )


def animate(
    owner: Any, path: str, keys: Mapping[int, float | Vec], *, linear: bool = False, cyclic: bool = False
) -> None:
    """Key the property `path` of an object, bone, shape key, ...: frame -> value.

    Args:
        linear: straight lines between the keys, else smooth curves; either way motion continues past the last key.
        cyclic: repeat the keys for ever (the first and the last key are the same moment).
    """
    for frame, value in keys.items():
        setattr(owner, path, value)
        owner.keyframe_insert(path, frame=frame)
    data_path = owner.path_from_id(path)
    for curve in owner.id_data.animation_data.action.fcurves:
        if curve.data_path != data_path:
            continue
        curve.extrapolation = "LINEAR"
        for point in curve.keyframe_points:
            point.interpolation = "LINEAR" if linear else "BEZIER"
            point.handle_left_type = point.handle_right_type = "AUTO"
        if cyclic:
            curve.extrapolation = "CONSTANT"
            curve.modifiers.new("CYCLES")
        curve.update()
