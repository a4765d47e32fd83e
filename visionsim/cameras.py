"""Cameras: intrinsics, poses and depth. The only place that knows the camera conventions.

World and camera are Blender's: +X right, +Y up, the camera looks along -Z. Pixel i covers [i, i + 1), its centre
is i + 0.5; image x runs right, image y runs down. Shared with the worker: standard library and numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.errors import SceneError
from visionsim.types import check_shape

if TYPE_CHECKING:
    from visionsim.types import FloatImage, Matrix

__all__ = ["Intrinsics", "c2w_from_blender", "intrinsics_from_blender", "project", "ray_depth_from_planar"]


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera, in pixels."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    @property
    def K(self) -> Matrix:
        """(3, 3): pixel = K @ (right, down, forward) / forward."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])


def intrinsics_from_blender(camera: Mapping[str, Any]) -> Intrinsics:
    """Intrinsics of a perspective Blender camera.

    Args:
        camera: `lens`, `sensor_width`, `sensor_height` (mm), `sensor_fit`, `shift_x`, `shift_y`, `width`, `height`
            (pixels) and `pixel_aspect_x`, `pixel_aspect_y`.
    Raises:
        SceneError: the camera is not a perspective one.
    Source:
        Blender's BKE_camera_params_compute_viewplane; checked against renders of a closed-form scene
        (tests/render/test_truth_closed_form.py).
    """
    if camera.get("type", "PERSP") != "PERSP":
        raise SceneError(f"camera {camera.get('name', '')!r} is {camera['type']}; only perspective cameras have these")
    width, height = camera["width"], camera["height"]
    aspect_x, aspect_y = camera["pixel_aspect_x"], camera["pixel_aspect_y"]
    fit = camera["sensor_fit"]
    horizontal = fit == "HORIZONTAL" or (fit == "AUTO" and width * aspect_x >= height * aspect_y)
    sensor = camera["sensor_height"] if fit == "VERTICAL" else camera["sensor_width"]
    # The fitted side, measured in pixels along x and along y; they differ if pixels are not square.
    side_x = width if horizontal else height * aspect_y / aspect_x
    side_y = side_x * aspect_x / aspect_y
    return Intrinsics(
        fx=camera["lens"] / sensor * side_x,
        fy=camera["lens"] / sensor * side_y,
        cx=width / 2 - camera["shift_x"] * side_x,
        cy=height / 2 + camera["shift_y"] * side_y,
        width=width,
        height=height,
    )


def c2w_from_blender(matrix_world: Any) -> Matrix:
    """Camera-to-world pose of a Blender camera.

    Args:
        matrix_world: (4, 4), the object's, scale included.
    Returns:
        (4, 4), rotation part orthonormal: Cycles drops the scale of each axis, and so do we.
    Raises:
        SceneError: the axes are sheared or mirrored, so that no pose describes the image.
    """
    c2w = np.array(matrix_world, dtype=np.float64)
    check_shape("matrix_world", c2w, (4, 4))
    lengths = np.linalg.norm(c2w[:3, :3], axis=0)
    if not np.all(np.isfinite(c2w)) or np.any(lengths < 1e-12):
        raise SceneError("the camera has no valid pose: its matrix is singular")
    axes = c2w[:3, :3] / lengths
    if np.linalg.det(axes) < 0:
        raise SceneError("the camera is mirrored (negative scale, its own or a parent's); apply the scale in Blender")
    u, _, vt = np.linalg.svd(axes)
    rotation = u @ vt  # The nearest rotation: Blender's matrices are float32.
    if np.abs(rotation - axes).max() > 1e-4:
        raise SceneError("the camera is sheared (a parent's uneven scale); apply the parent's scale in Blender")
    c2w[:3, :3] = rotation
    c2w[3] = (0.0, 0.0, 0.0, 1.0)
    return c2w


def project(points: Matrix, camera: Intrinsics, c2w: Matrix) -> tuple[Matrix, Matrix]:
    """Where world points appear.

    Args:
        points: (..., 3), world, scene units.
        camera: intrinsics in pixels.
        c2w: (4, 4), camera-to-world.
    Returns:
        Pixels (..., 2), x right and y down, centres at half-integers; and planar depth (...), scene units, which is
        not positive for points that are not in front of the camera.
    """
    in_camera = (np.asarray(points, np.float64) - c2w[:3, 3]) @ c2w[:3, :3]
    planar_depth = -in_camera[..., 2]
    x = camera.cx + camera.fx * in_camera[..., 0] / planar_depth
    y = camera.cy - camera.fy * in_camera[..., 1] / planar_depth
    return np.stack([x, y], axis=-1), planar_depth


def ray_depth_from_planar(planar_depth: FloatImage, camera: Intrinsics) -> FloatImage:
    """Distance along each pixel's ray, from distance along the optical axis.

    Args:
        planar_depth: (H, W), scene units, +inf where no surface was hit.
        camera: intrinsics of that image, in pixels.
    Returns:
        (H, W), scene units, +inf where `planar_depth` is.
    Raises:
        ShapeError: the image and the camera differ in size.
    Source:
        Hartley & Zisserman, Multiple View Geometry (2nd ed.), ch. 6: back-projected rays.
    """
    check_shape("planar_depth", planar_depth, (camera.height, camera.width))
    x = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    stretch = np.sqrt(1.0 + x[None, :] ** 2 + y[:, None] ** 2)
    return np.asarray(planar_depth * stretch, dtype=planar_depth.dtype)
