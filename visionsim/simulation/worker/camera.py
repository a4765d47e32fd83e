"""The camera as Cycles sees it, as plain values; `visionsim.cameras` knows what they mean."""

from __future__ import annotations

from typing import Any

from visionsim.simulation.worker import compat

PANORAMA = {
    "EQUIRECTANGULAR": ("longitude_min", "longitude_max", "latitude_min", "latitude_max"),
    "FISHEYE_EQUIDISTANT": ("fisheye_fov",),
    "FISHEYE_EQUISOLID": ("fisheye_fov", "fisheye_lens"),
}
"""Type of panorama -> the settings that it has."""


def describe(scene_eval: Any, obj: Any) -> dict[str, Any]:
    """The evaluated camera of one frame: pose, lens and pixels, in Blender's names and units.

    `matrix_world` is camera-to-world with the object's scale still in it; lens and sensor are millimetres,
    angles radians, shift in units of the fitted side. `obj` is the evaluated camera object. Cameras that are not
    perspective have further values: `ortho_scale` (scene units), or `panorama_type` and its settings.
    """
    data, render = obj.data, scene_eval.render
    more: dict[str, Any] = {}
    if data.type == "ORTHO":
        more["ortho_scale"] = data.ortho_scale
    elif data.type == "PANO":
        panorama = compat.panorama_settings(data)
        more["panorama_type"] = panorama.panorama_type
        more.update({name: getattr(panorama, name) for name in PANORAMA.get(panorama.panorama_type, ())})
    return {
        "name": obj.name,
        "matrix_world": [list(row) for row in obj.matrix_world],
        "type": data.type,
        "lens": data.lens,
        "lens_unit": data.lens_unit,
        "sensor_width": data.sensor_width,
        "sensor_height": data.sensor_height,
        "sensor_fit": data.sensor_fit,
        "shift_x": data.shift_x,
        "shift_y": data.shift_y,
        "clip_start": data.clip_start,
        "clip_end": data.clip_end,
        "angle": data.angle,
        "angle_x": data.angle_x,
        "angle_y": data.angle_y,
        "width": render.resolution_x * render.resolution_percentage // 100,
        "height": render.resolution_y * render.resolution_percentage // 100,
        "pixel_aspect_x": render.pixel_aspect_x,
        "pixel_aspect_y": render.pixel_aspect_y,
        **more,
    }
