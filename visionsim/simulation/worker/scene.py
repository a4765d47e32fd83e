"""Open a .blend and set it up: resolution, files, sampling, device, time, ids."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy

from visionsim.cameras import c2w_from_blender, camera_from_blender
from visionsim.errors import SceneError
from visionsim.simulation.config import THREADS_VARIABLE, time_stretch
from visionsim.simulation.worker import animation, camera, change, compat, dependencies
from visionsim.simulation.worker.containment import Contained, contained
from visionsim.simulation.worker.fault import WorkerFault

RENDERABLE = {"MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES", "HAIR", "POINTCLOUD", "VOLUME"}
"""Types of objects that can show in a picture and get an id."""

MAX_OBJECT_ID = 32767
"""Upper bound of Blender's `Object.pass_index`."""

MAX_TILE_SIZE = 8192
"""Pictures with a side longer than this are rendered in tiles, whatever one sets."""

DEVICE_ORDER = ("optix", "cuda", "hip", "oneapi", "metal")
"""Kinds of devices that `auto` tries, best first."""


DECIDED = (
    "render.resolution_",
    "render.use_border",
    "render.use_crop_to_border",
    "render.use_multiview",
    "render.use_sequencer",
    "render.use_stamp",
    "cycles.samples",
    "cycles.use_adaptive_sampling",
    "cycles.adaptive_threshold",
    "cycles.use_denoising",
    "cycles.seed",
    "cycles.time_limit",
    "cycles.use_auto_tile",
    "cycles.tile_size",
)
"""Beginnings of data paths of what `configure` sets; the artist's animation would undo it at the next frame."""


def open_scene(blend: str, scratch: Path, *, autoexec: bool, addons: list[str]) -> tuple[Any, Contained]:
    """Load the file; returns its scene, and what was done to keep the file from running and writing anything.

    Raises:
        WorkerFault: Blender cannot open it, or it has no scene that can be rendered.
    """
    enable_addons(addons)
    # A file that fails to load leaves the one before it in place, and that would render happily.
    bpy.ops.wm.read_factory_settings(use_empty=True)
    complaints: list[str] = []
    with contained(scratch, autoexec=autoexec) as found:
        try:
            bpy.ops.wm.open_mainfile(filepath=blend, load_ui=False, use_scripts=autoexec)
        except RuntimeError as exc:  # The operator reported an error, which it may also do about a file that is loaded.
            complaints = [line.removeprefix("Error: ").rstrip(".") for line in str(exc).strip().splitlines()]
    if not bpy.data.filepath or not os.path.samefile(bpy.data.filepath, blend):
        text = why_unreadable(blend, complaints[0] if complaints else "unknown reason")
        raise WorkerFault("scene", f"Blender {bpy.app.version_string} cannot open the file: {text}")
    found.complaints += [f"Blender opened the file with an error: {line}" for line in complaints]
    enable_addons(addons)
    scene = bpy.context.scene
    if not any(layer.use for layer in scene.view_layers):
        raise WorkerFault("scene", "every view layer is switched off for rendering; switch one on")
    return scene, found


def why_unreadable(blend: str, blender_says: str) -> str:
    """What is wrong with a file that Blender does not open, by its first bytes: Blender's own words seldom tell."""
    with open(blend, "rb") as stream:
        head = stream.read(17)
    if not head:
        return "it is empty"
    saved_by = re.match(rb"BLENDER(?:[-_][vV](\d)(\d\d)|\d\d-\d\d[vV](\d\d)(\d\d))", head)
    if saved_by:
        version = tuple(int(part) for part in saved_by.groups() if part is not None)
        if version > compat.VERSION[:2]:
            return f"it was saved by Blender {version[0]}.{version[1]}; use that or a later one"
    elif not head.startswith((b"BLENDER", *COMPRESSED)):
        return "it is no .blend file"
    return f"it is damaged or cut off ({blender_says})"


COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""How compressed .blend files begin: gzip until 2.93, Zstandard since."""


def enable_addons(addons: list[str]) -> None:
    """Enable Blender add-ons by module name; Cycles always."""
    import addon_utils

    for name in ["cycles", *addons]:
        # To enable one again would register all of it anew, which takes as long as opening a small file.
        if not addon_utils.check(name)[1] and addon_utils.enable(name) is None:
            raise WorkerFault("request", f"--render-config.addons: Blender has no add-on called {name!r}")


def main_layer(scene: Any) -> Any:
    """The view layer that ground truth is taken from: the first one that is rendered."""
    return next(layer for layer in scene.view_layers if layer.use)


def check_camera(scene: Any, frames: Iterable[int] = ()) -> None:
    """Raise WorkerFault unless the scene has a camera whose images can be described.

    With `frames`, the camera must have a valid pose in one of them; the scene is set to each until one is found. A
    camera that is wrong in some frames only costs those frames, not the scene.
    """
    obj = scene.camera
    if obj is None:
        raise WorkerFault("scene", "the scene has no active camera; set one in Blender (Scene properties > Camera)")
    if obj.type != "CAMERA":
        raise WorkerFault("scene", f"the active camera {obj.name!r} is of type {obj.type}; make a camera active")
    try:
        camera_from_blender(camera.describe(scene, obj))
    except SceneError as exc:
        raise WorkerFault("scene", str(exc)) from exc
    refusal: SceneError | None = None
    for frame in frames:
        scene.frame_set(frame)
        evaluated = scene.evaluated_get(bpy.context.evaluated_depsgraph_get())
        try:
            described = camera.describe(evaluated, evaluated.camera)
            camera_from_blender(described)
            c2w_from_blender(described["matrix_world"])
            return
        except SceneError as exc:
            refusal = refusal or exc
    if refusal is not None:
        raise WorkerFault("scene", str(refusal)) from refusal


def configure(scene: Any, settings: dict[str, Any]) -> str:
    """Apply the run's settings; what they do not name stays as the artist left it. Returns the device."""
    render = scene.render
    for curve in animated_settings(scene, settings):
        curve.mute = True
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y = settings["width"], settings["height"]
    render.resolution_percentage = 100
    render.use_border = render.use_crop_to_border = False
    render.use_multiview = False
    render.use_sequencer = False
    render.use_single_layer = False
    render.use_persistent_data = True
    render.use_stamp = False
    for name in dir(render):
        if name.startswith("use_stamp_"):
            setattr(render, name, False)
    threads = int(os.environ.get(THREADS_VARIABLE, settings["threads"]))
    if threads:
        render.threads_mode, render.threads = "FIXED", threads

    image = render.image_settings
    compat.still_image(image, settings["file_format"])
    image.color_depth = str(settings["bit_depth"])
    image.compression = 15  # Blender's default: 15 is twice as fast as 50 and 4 % larger.
    if settings["file_format"] == "OPEN_EXR":
        image.exr_codec = settings["exr_codec"]

    cycles = scene.cycles
    cycles.samples = settings["max_samples"]
    cycles.use_adaptive_sampling = settings["adaptive_threshold"] > 0
    cycles.adaptive_threshold = settings["adaptive_threshold"]
    if settings["use_denoising"] and not compat.can_denoise():
        version = compat.version_text()
        raise WorkerFault("request", f"Blender {version} has no denoiser; use --render-config.no-use-denoising")
    cycles.use_denoising = settings["use_denoising"]
    cycles.seed = settings["seed"]
    cycles.time_limit = 0.0
    # Tiles are merged from disk after the hook that reads the passes. Since 5.0 only their size counts.
    cycles.use_auto_tile = False
    cycles.tile_size = MAX_TILE_SIZE
    if settings["use_motion_blur"] is not None:
        render.use_motion_blur = settings["use_motion_blur"]

    if not settings["use_animations"]:
        cameras = [scene.camera, *(marker.camera for marker in scene.timeline_markers if marker.camera is not None)]
        animation.freeze_all_but_camera(scene, dependencies.deciders(cameras))
    if settings["unbind_camera"]:
        animation.unbind_camera(scene)
    stretch_time(scene, time_stretch(settings["keyframe_multiplier"]))
    return select_device(scene, settings["device_type"])


def animated_settings(scene: Any, settings: dict[str, Any]) -> list[Any]:
    """F-curves and drivers of what the run decides."""
    decided = (*DECIDED, *(("render.use_motion_blur",) if settings["use_motion_blur"] is not None else ()))
    curves = compat.curves_and_drivers(scene)
    return [curve for curve in curves if curve.data_path.startswith(decided) and not curve.mute]


def stretch_time(scene: Any, m: Fraction) -> None:
    """Show at frame m * t what the scene showed at time t; the shutter keeps its seconds."""
    render = scene.render
    remap = Fraction(render.frame_map_new, render.frame_map_old) * m
    if max(remap.numerator, remap.denominator) > 900:
        raise WorkerFault("scene", f"the scene's own time remapping times {float(m):g} is not a ratio up to 900")
    # Whole hundreds where they fit, as Blender shows them.
    scale = 100 if max(remap.numerator, remap.denominator) <= 9 else 1
    render.frame_map_old, render.frame_map_new = remap.denominator * scale, remap.numerator * scale
    if m != 1:
        render.motion_blur_shutter *= float(m)
        stretch_animated_shutter(scene, float(m))


def stretch_animated_shutter(scene: Any, m: float) -> None:
    """If the shutter is animated: let the animation move a property of our own, and the shutter be `m` times that."""
    data, path = scene.animation_data, "render.motion_blur_shutter"
    strips = [strip for track in data.nla_tracks for strip in track.strips] if data else []
    curves = [curve for owner in (data, *strips) for curve in compat.fcurves(owner)] if data else []
    curves = [curve for curve in (*curves, *(data.drivers if data else ())) if curve.data_path == path]
    if not curves:
        return
    scene["visionsim_shutter"] = float(scene.render.motion_blur_shutter) / m
    for curve in curves:
        curve.data_path = '["visionsim_shutter"]'
    driver = scene.driver_add(path).driver
    variable = driver.variables.new()
    variable.name = "shutter"
    variable.targets[0].id_type, variable.targets[0].id = "SCENE", scene
    variable.targets[0].data_path = '["visionsim_shutter"]'
    driver.expression = f"shutter * {m!r}"  # Simple enough that Blender needs no Python for it.


def select_device(scene: Any, wanted: str) -> str:
    """Let Cycles render on `wanted`, or on the best device present if that is `auto`; returns what it is."""
    preferences = cycles_preferences()
    for kind in DEVICE_ORDER if wanted == "auto" else (wanted,):
        if kind == "cpu":
            break
        found = devices_of(kind)
        for device in preferences.devices:
            device.use = device in found
        if found:
            scene.cycles.device = "GPU"
            return kind
    if wanted not in ("auto", "cpu"):
        raise WorkerFault("request", f"--render-config.device-type={wanted}: no such device here; try auto or cpu")
    preferences.compute_device_type = "NONE"
    scene.cycles.device = "CPU"
    return "cpu"


def cycles_preferences() -> Any:
    return bpy.context.preferences.addons["cycles"].preferences


def devices_of(kind: str) -> list[Any]:
    """The devices of a kind of DEVICE_ORDER, which Cycles is told to use."""
    preferences = cycles_preferences()
    try:
        preferences.compute_device_type = kind.upper()
    except TypeError:
        return []  # This build of Blender does not know that kind of device.
    preferences.refresh_devices()
    return [device for device in preferences.devices if device.type == kind.upper()]


def devices() -> dict[str, list[str]]:
    """Kind of device -> the names of those present; the CPU first, which always is."""
    preferences = cycles_preferences()
    found = {kind: [device.name for device in devices_of(kind)] for kind in DEVICE_ORDER}
    preferences.compute_device_type = "NONE"
    preferences.refresh_devices()
    cpus = [device.name for device in preferences.devices if device.type == "CPU"]
    return {"cpu": cpus, **{kind: names for kind, names in found.items() if names}}


def number_objects(known: dict[tuple[str, str], int]) -> dict[Any, int]:
    """An id from 1 for each object that can show, by library and name: the same for the same file, always.

    `known` has the ids that were given already; objects that are new come after all of them, and are added to it.
    """
    objects = {
        (obj.library.filepath if obj.library else "", obj.name): obj
        for obj in bpy.data.objects
        if obj.type in RENDERABLE
    }
    for key in sorted(objects.keys() - known.keys()):
        known[key] = len(known) + 1
    return {objects[key]: number for key, number in known.items() if key in objects}


def refuse_too_many(known: dict[tuple[str, str], int]) -> None:
    """Raise WorkerFault if there are more numbered objects than a render can tell apart."""
    if len(known) > MAX_OBJECT_ID:
        raise WorkerFault(
            "scene",
            f"{len(known)} objects are more than the {MAX_OBJECT_ID} that Blender's object index can tell apart; join "
            "some, or leave out --render-config.segmentations and .occlusions",
        )


def object_table(numbers: dict[Any, int]) -> list[dict[str, Any]]:
    """What labels are made from, object by object; see `simulation.labels`."""
    collections = {obj: [] for obj in numbers}  # type: dict[Any, list[list[str | None]]]
    for collection in bpy.data.collections:
        row = [collection.name_full, class_of(collection)]
        own = set(collection.objects)
        # `all_objects` takes minutes with 30,000 of them: Blender looks for each among all before it.
        for obj in own.union(*(child.objects for child in collection.children_recursive)):
            if obj in collections:
                # What holds an object directly comes first; collections that hold those come after.
                collections[obj].insert(0 if obj in own else len(collections[obj]), row)
    return [
        {
            "id": number,
            "name": obj.name_full,
            "class": class_of(obj),
            "collections": collections[obj],
            "motion": change.kind(obj),
        }
        for obj, number in numbers.items()
    ]


def class_of(owner: Any) -> str | None:
    """The custom property `class` of an object or a collection, as text."""
    value = owner.get("class")
    return None if value is None else str(value)


def uses_object_index(scene: Any) -> bool:
    """Whether the look of the scene depends on the artist's own pass indices, so that ours may not replace them."""
    trees = [owner.node_tree for owner in (*bpy.data.materials, *bpy.data.worlds, *bpy.data.lights) if owner.node_tree]
    compositor = compat.compositor_tree(scene)
    for tree in (*trees, *bpy.data.node_groups, *([compositor] if compositor else [])):
        for node in tree.nodes:
            for socket in node.outputs:
                if socket.name in ("Object Index", "IndexOB") and socket.is_linked:
                    return True
    return False
