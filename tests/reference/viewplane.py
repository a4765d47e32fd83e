"""Where a Blender camera sees a point, by way of its view plane: slow, and without any intrinsics.

Follows BKE_camera_params_from_object, BKE_camera_params_compute_viewplane and perspective_m4 of Blender's source
(source/blender/blenkernel/intern/camera.cc), step by step; shares no code with visionsim.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def pixel_of(camera: Mapping[str, Any], right: float, up: float, forward: float) -> tuple[float, float]:
    """Pixel (x right, y down, centres at half-integers) that shows a point given in the camera's frame."""
    width, height = camera["width"], camera["height"]
    aspect_x, aspect_y = camera["pixel_aspect_x"], camera["pixel_aspect_y"]
    near = 0.1  # Any distance of the plane gives the same pixel.

    # BKE_camera_sensor_fit: AUTO looks at the shape of the picture as it is displayed.
    fit = camera["sensor_fit"]
    if fit == "AUTO":
        fit = "HORIZONTAL" if aspect_x * width >= aspect_y * height else "VERTICAL"
    # BKE_camera_sensor_size: the height only counts when it was chosen by hand.
    sensor = camera["sensor_height"] if camera["sensor_fit"] == "VERTICAL" else camera["sensor_width"]

    # Size of a pixel on the plane, in scene units.
    ycor = aspect_y / aspect_x
    viewfac = width if fit == "HORIZONTAL" else ycor * height
    pixel = sensor * near / camera["lens"] / viewfac

    # The plane's rectangle, in pixels, moved by the shift, then in scene units.
    dx, dy = camera["shift_x"] * viewfac, camera["shift_y"] * viewfac
    left, right_edge = (-0.5 * width + dx) * pixel, (0.5 * width + dx) * pixel
    bottom, top = (-0.5 * ycor * height + dy) * pixel, (0.5 * ycor * height + dy) * pixel

    # Where the ray to the point meets the plane, as a fraction of the rectangle.
    x = (right * near / forward - left) / (right_edge - left)
    y = (up * near / forward - bottom) / (top - bottom)
    return x * width, (1.0 - y) * height
