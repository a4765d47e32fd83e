"""Cameras: models, poses and depth. The only place that knows the camera conventions.

World and camera are Blender's: +X right, +Y up, the camera looks along -Z. Pixel i covers [i, i + 1), its centre
is i + 0.5; image x runs right, image y runs down. Shared with the worker: standard library and numpy only.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from visionsim.errors import DataError, SceneError
from visionsim.types import check_shape

if TYPE_CHECKING:
    from visionsim.types import FloatImage, Matrix

    DepthKind = Literal["planar", "radial"]
    """Along the optical axis, or the distance to the camera's centre."""

__all__ = [
    "CameraModel",
    "Equirectangular",
    "FisheyeEquidistant",
    "FisheyeEquisolid",
    "Intrinsics",
    "Orthographic",
    "blender_from_camera",
    "c2w_from_blender",
    "camera_from_blender",
    "camera_from_document",
    "intrinsics_from_blender",
    "project",
    "ray_depth_from_planar",
    "unshifted_sides",
]


class CameraModel(ABC):
    """Which point is seen by which pixel, in the camera's frame, scene units and pixels. All in double precision."""

    model: ClassVar[str]
    """What transforms.json calls it."""
    depth_kind: ClassVar[DepthKind]
    width: int
    height: int

    @property
    def period(self) -> float:
        """Pixels after which x shows the same again; infinite unless the picture goes round the camera."""
        return math.inf

    def shorter_way(self, u: Any) -> Any:
        """Steps to the right (pixels) in a picture that may go round the camera: the shorter of both ways."""
        return u if math.isinf(self.period) else u - self.period * np.rint(u / self.period)

    @abstractmethod
    def unproject(self, x: Any, y: Any, depth: Any) -> Matrix:
        """(..., 3): the points seen at pixel positions (...) at depths (...) of the model's kind.

        NaN where the pixel has no ray. The arguments are broadcast; each coordinate of the result is contiguous.
        """

    @abstractmethod
    def project(self, points: Matrix) -> tuple[Matrix, Matrix]:
        """Pixel positions x and y (...) of points (..., 3), in the picture or not."""

    def depth(self, points: Matrix) -> Matrix:
        """(...): depth of points (..., 3), of the model's kind; planar depth is not positive behind the camera."""
        return -points[..., 2] if self.depth_kind == "planar" else np.linalg.norm(points, axis=-1)

    def pixel_width(self, depth: Any) -> Any:
        """Scene units (...) that a pixel in the middle of the picture shows across at depths (...)."""
        x, y = self.width / 2, self.height / 2
        return np.linalg.norm(self.unproject(x + 0.5, y, depth) - self.unproject(x - 0.5, y, depth), axis=-1)

    def narrowing(self, y: Any) -> Any:
        """How wide pixels at rows y (...) are, relative to the widest row: below 1 towards the poles of a panorama."""
        return np.ones(np.shape(y))

    def shows(self, x: Any, y: Any) -> Any:
        """(...) bool: whether pixel positions (...) are inside the picture and have a ray."""
        with np.errstate(invalid="ignore"):
            inside = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
            return inside & np.isfinite(self.unproject(x, y, 1.0)[..., 2])

    @abstractmethod
    def fields(self) -> dict[str, Any]:
        """What transforms.json says of it; `camera_from_document` is the way back."""


def stack(x: Any, y: Any, z: Any) -> Matrix:
    """(..., 3) of three arrays that are broadcast; each stays contiguous, for speed."""
    points = np.empty((3, *np.broadcast_shapes(np.shape(x), np.shape(y), np.shape(z))))
    points[0], points[1], points[2] = x, y, z
    return np.moveaxis(points, 0, -1)


@dataclass(frozen=True)
class Intrinsics(CameraModel):
    """A pinhole camera, in pixels."""

    model: ClassVar[str] = "OPENCV"
    depth_kind: ClassVar[DepthKind] = "planar"

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

    def unproject(self, x: Any, y: Any, depth: Any) -> Matrix:
        return stack((x - self.cx) / self.fx * depth, (self.cy - y) / self.fy * depth, -depth)

    def project(self, points: Matrix) -> tuple[Matrix, Matrix]:
        """A point behind the camera has no image; it gets where its line of sight crosses the image plane.

        That is what Blender's vectors say too.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = points[..., 0] / points[..., 2], points[..., 1] / points[..., 2]
        x *= -self.fx
        y *= self.fy
        x += self.cx
        y += self.cy
        return x, y

    def fields(self) -> dict[str, Any]:
        return {
            "fl_x": self.fx,
            "fl_y": self.fy,
            "cx": self.cx,
            "cy": self.cy,
            "w": self.width,
            "h": self.height,
            "camera_angle_x": 2.0 * math.atan(self.width / (2.0 * self.fx)),
            "intrinsics": self.K.tolist(),
        }


@dataclass(frozen=True)
class Orthographic(CameraModel):
    """Rays parallel to the optical axis."""

    model: ClassVar[str] = "ORTHOGRAPHIC"
    depth_kind: ClassVar[DepthKind] = "planar"

    scale_x: float
    """Pixels per scene unit, to the right."""
    scale_y: float
    cx: float
    """Where the camera's own axis meets the picture, in pixels."""
    cy: float
    width: int
    height: int

    def unproject(self, x: Any, y: Any, depth: Any) -> Matrix:
        return stack((x - self.cx) / self.scale_x, (self.cy - y) / self.scale_y, -depth)

    def project(self, points: Matrix) -> tuple[Matrix, Matrix]:
        return self.cx + self.scale_x * points[..., 0], self.cy - self.scale_y * points[..., 1]

    def fields(self) -> dict[str, Any]:
        return {
            "pixels_per_unit_x": self.scale_x,
            "pixels_per_unit_y": self.scale_y,
            "cx": self.cx,
            "cy": self.cy,
            "w": self.width,
            "h": self.height,
        }


@dataclass(frozen=True)
class Equirectangular(CameraModel):
    """A panorama: longitude from left to right, latitude from the bottom to the top, in radians.

    Longitude 0, latitude 0 is the optical axis; longitude grows to the right, latitude upwards.
    """

    model: ClassVar[str] = "EQUIRECTANGULAR"
    depth_kind: ClassVar[DepthKind] = "radial"

    longitude_min: float
    longitude_max: float
    latitude_min: float
    latitude_max: float
    width: int
    height: int

    @property
    def period(self) -> float:
        return 2.0 * math.pi * self.width / (self.longitude_max - self.longitude_min)

    def narrowing(self, y: Any) -> Any:
        return np.cos(self.latitude_max - y * ((self.latitude_max - self.latitude_min) / self.height))

    def unproject(self, x: Any, y: Any, depth: Any) -> Matrix:
        longitude = self.longitude_min + x * ((self.longitude_max - self.longitude_min) / self.width)
        latitude = self.latitude_max - y * ((self.latitude_max - self.latitude_min) / self.height)
        across = np.cos(latitude) * depth
        return stack(np.sin(longitude) * across, np.sin(latitude) * depth, -np.cos(longitude) * across)

    def project(self, points: Matrix) -> tuple[Matrix, Matrix]:
        """Of all turns, x is the one nearest to the middle of the picture."""
        right, up, forward = points[..., 0], points[..., 1], -points[..., 2]
        longitude, latitude = np.arctan2(right, forward), np.arctan2(up, np.hypot(right, forward))
        turns = (longitude - (self.longitude_min + self.longitude_max) / 2) / (2 * math.pi)
        longitude = longitude - 2 * math.pi * np.rint(turns)
        x = (longitude - self.longitude_min) * (self.width / (self.longitude_max - self.longitude_min))
        y = (self.latitude_max - latitude) * (self.height / (self.latitude_max - self.latitude_min))
        return x, y

    def fields(self) -> dict[str, Any]:
        return {
            "longitude_min": self.longitude_min,
            "longitude_max": self.longitude_max,
            "latitude_min": self.latitude_min,
            "latitude_max": self.latitude_max,
            "w": self.width,
            "h": self.height,
        }


@dataclass(frozen=True)
class Fisheye(CameraModel):
    """A lens whose image is a circle (an ellipse if fx and fy differ).

    A ray at angle theta to the optical axis is seen at a distance from (cx, cy) that depends on theta alone, in units
    of fx along x and fy along y.
    """

    depth_kind: ClassVar[DepthKind] = "radial"

    fx: float
    fy: float
    cx: float
    cy: float
    fov: float
    """Whole angle of view, radians; there are no rays outside."""
    width: int
    height: int

    @abstractmethod
    def theta(self, radius: Matrix) -> Matrix:
        """Angle to the optical axis from the distance to the centre, in focal lengths; NaN where there is none."""

    @abstractmethod
    def radius(self, theta: Matrix) -> Matrix:
        """The way back."""

    def unproject(self, x: Any, y: Any, depth: Any) -> Matrix:
        right, up = (x - self.cx) / self.fx, (self.cy - y) / self.fy
        radius = np.hypot(right, up)
        theta = self.theta(radius)
        # Cycles decides in single precision what is outside.
        theta = np.where(theta <= self.fov / 2 * (1 + 1e-6), theta, np.nan)
        across = np.sin(theta) * depth / np.where(radius > 0, radius, 1.0)
        return stack(right * across, up * across, -np.cos(theta) * depth)

    def project(self, points: Matrix) -> tuple[Matrix, Matrix]:
        """A point outside of the lens's view gets where the formula puts it; one exactly behind has no direction."""
        across = np.hypot(points[..., 0], points[..., 1])
        radius = self.radius(np.arctan2(across, -points[..., 2]))
        stretch = radius / np.where(across > 0, across, 1.0)
        return self.cx + self.fx * (points[..., 0] * stretch), self.cy - self.fy * (points[..., 1] * stretch)

    def fields(self) -> dict[str, Any]:
        return {
            "fl_x": self.fx,
            "fl_y": self.fy,
            "cx": self.cx,
            "cy": self.cy,
            "fov": self.fov,
            "w": self.width,
            "h": self.height,
        }


@dataclass(frozen=True)
class FisheyeEquidistant(Fisheye):
    """A fisheye lens with radius = theta: OpenCV's fisheye model without its polynomial."""

    model: ClassVar[str] = "OPENCV_FISHEYE"

    def theta(self, radius: Matrix) -> Matrix:
        return radius

    def radius(self, theta: Matrix) -> Matrix:
        return theta

    def fields(self) -> dict[str, Any]:
        return {**super().fields(), **{f"k{i}": 0.0 for i in (1, 2, 3, 4)}}


@dataclass(frozen=True)
class FisheyeEquisolid(Fisheye):
    """A fisheye lens with radius = 2 sin(theta / 2), like most real ones."""

    model: ClassVar[str] = "FISHEYE_EQUISOLID"

    def theta(self, radius: Matrix) -> Matrix:
        return 2 * np.arcsin(np.where(radius <= 2, radius / 2, np.nan))

    def radius(self, theta: Matrix) -> Matrix:
        return 2 * np.sin(theta / 2)


def camera_from_blender(camera: Mapping[str, Any]) -> CameraModel:
    """The model of a Blender camera.

    Args:
        camera: as `worker.camera.describe` says it: lengths in mm, angles in radians, size in pixels.
    Raises:
        SceneError: no model of ours describes it.
    Source:
        Cycles' blender/camera.cpp and kernel/camera/projection.h; checked against renders of a closed-form scene
        (tests/render/test_truth_closed_form.py).
    """
    name = f"camera {camera.get('name', '')!r}"
    kind = camera.get("type", "PERSP")
    if kind == "PANO":
        kind = camera["panorama_type"]
    if kind not in FROM_BLENDER:
        raise SceneError(
            f"{name} is of type {kind}; supported are perspective and orthographic cameras, and panoramic ones of type "
            "EQUIRECTANGULAR, FISHEYE_EQUIDISTANT or FISHEYE_EQUISOLID"
        )
    if kind.startswith("FISHEYE") and camera["fisheye_fov"] > 2 * math.pi * (1 + 1e-6):
        raise SceneError(f"{name} sees more than 360 degrees; set its field of view to 360 or less")
    if kind == "ORTHO" and not camera["ortho_scale"] > 0:
        raise SceneError(f"{name} has an orthographic scale of 0; give it a size")
    return FROM_BLENDER[kind](camera)


def fitted_side(camera: Mapping[str, Any]) -> tuple[float, float, float]:
    """The side of the picture that the sensor's size refers to: in pixels along x and along y, and the sensor in mm.

    The two numbers of pixels differ if pixels are not square.
    """
    width, height = camera["width"], camera["height"]
    aspect_x, aspect_y = camera["pixel_aspect_x"], camera["pixel_aspect_y"]
    fit = camera["sensor_fit"]
    horizontal = fit == "HORIZONTAL" or (fit == "AUTO" and width * aspect_x >= height * aspect_y)
    sensor = camera["sensor_height"] if fit == "VERTICAL" else camera["sensor_width"]
    side_x = width if horizontal else height * aspect_y / aspect_x
    return side_x, side_x * aspect_x / aspect_y, sensor


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
    side_x, side_y, sensor = fitted_side(camera)
    return Intrinsics(
        fx=camera["lens"] / sensor * side_x,
        fy=camera["lens"] / sensor * side_y,
        cx=camera["width"] / 2 - camera["shift_x"] * side_x,
        cy=camera["height"] / 2 + camera["shift_y"] * side_y,
        width=camera["width"],
        height=camera["height"],
    )


def orthographic_from_blender(camera: Mapping[str, Any]) -> Orthographic:
    """The fitted side shows `ortho_scale` scene units; shift is in fitted sides, as for perspective cameras."""
    side_x, side_y, _ = fitted_side(camera)
    return Orthographic(
        scale_x=side_x / camera["ortho_scale"],
        scale_y=side_y / camera["ortho_scale"],
        cx=camera["width"] / 2 - camera["shift_x"] * side_x,
        cy=camera["height"] / 2 + camera["shift_y"] * side_y,
        width=camera["width"],
        height=camera["height"],
    )


def panorama_centre(camera: Mapping[str, Any]) -> tuple[float, float]:
    """Where a panorama's axis is seen: shift is in widths along x and in heights along y, whatever the sensor."""
    return camera["width"] * (0.5 - camera["shift_x"]), camera["height"] * (0.5 + camera["shift_y"])


def equirectangular_from_blender(camera: Mapping[str, Any]) -> Equirectangular:
    """The ranges fill the picture, whatever its shape and that of its pixels; shift turns them."""
    around, high = (camera[f"{axis}_max"] - camera[f"{axis}_min"] for axis in ("longitude", "latitude"))
    west = camera["longitude_min"] + camera["shift_x"] * around
    south = camera["latitude_min"] + camera["shift_y"] * high
    whole = 2 * math.pi * (1 + 1e-6)  # Blender's settings are single precision.
    if not (0 < around <= whole and 0 < high and -whole / 4 <= south and south + high <= whole / 4):
        west, east, south, north = (f"{math.degrees(at):g}" for at in (west, west + around, south, south + high))
        raise SceneError(
            f"camera {camera.get('name', '')!r} shows longitudes from {west} to {east} and latitudes from {south} to "
            f"{north} degrees (shift included); supported are up to 360 degrees from left to right, -90 to 90 upwards"
        )
    return Equirectangular(west, west + around, south, south + high, camera["width"], camera["height"])


def equidistant_from_blender(camera: Mapping[str, Any]) -> FisheyeEquidistant:
    """The field of view fills the picture's width and also its height; sensor and pixel aspect do nothing."""
    width, height, fov = camera["width"], camera["height"], camera["fisheye_fov"]
    return FisheyeEquidistant(width / fov, height / fov, *panorama_centre(camera), fov, width, height)


def equisolid_from_blender(camera: Mapping[str, Any]) -> FisheyeEquisolid:
    """Lens and sensor decide, as for a perspective camera."""
    side_x, side_y, sensor = fitted_side(camera)
    fx, fy = camera["fisheye_lens"] / sensor * side_x, camera["fisheye_lens"] / sensor * side_y
    return FisheyeEquisolid(fx, fy, *panorama_centre(camera), camera["fisheye_fov"], camera["width"], camera["height"])


FROM_BLENDER: dict[str, Callable[[Mapping[str, Any]], CameraModel]] = {
    "PERSP": intrinsics_from_blender,
    "ORTHO": orthographic_from_blender,
    "EQUIRECTANGULAR": equirectangular_from_blender,
    "FISHEYE_EQUIDISTANT": equidistant_from_blender,
    "FISHEYE_EQUISOLID": equisolid_from_blender,
}
"""Blender's type of camera, or of panorama -> its model."""


def blender_from_camera(camera: CameraModel) -> dict[str, Any]:
    """Settings of a Blender camera that sees the same: the way back of `camera_from_blender`, up to rounding.

    Raises:
        SceneError: no Blender camera sees that.
    """
    width, height = camera.width, camera.height
    described: dict[str, Any] = {
        "name": "",
        "width": width,
        "height": height,
        "sensor_width": 36.0,
        "sensor_height": 24.0,
        "sensor_fit": "HORIZONTAL",
        "shift_x": 0.0,
        "shift_y": 0.0,
        "pixel_aspect_x": 1.0,
        "pixel_aspect_y": 1.0,
    }
    if isinstance(camera, Equirectangular):
        sides = {f"{axis}_{end}": getattr(camera, f"{axis}_{end}") for axis in SIDES for end in ("min", "max")}
        return {**described, **sides, "type": "PANO", "panorama_type": "EQUIRECTANGULAR"}
    assert isinstance(camera, Intrinsics | Orthographic | Fisheye), camera
    described["shift_x"], described["shift_y"] = 0.5 - camera.cx / width, camera.cy / height - 0.5
    if isinstance(camera, FisheyeEquidistant):
        if not np.allclose((camera.fx * camera.fov, camera.fy * camera.fov), (width, height), rtol=1e-9, atol=0):
            raise SceneError(
                "an equidistant fisheye fills the picture: fl_x is width / fov and fl_y is height / fov, unlike "
                f"{camera.fx:g} and {camera.fy:g} of a picture of {width} x {height} pixels and fov {camera.fov:g}"
            )
        return {**described, "type": "PANO", "panorama_type": "FISHEYE_EQUIDISTANT", "fisheye_fov": camera.fov}
    if isinstance(camera, Orthographic):
        across, down = camera.scale_x, camera.scale_y
        described |= {"type": "ORTHO", "ortho_scale": width / across}
    else:
        across, down = camera.fx, camera.fy
        lens = across * described["sensor_width"] / width
        described |= {"type": "PERSP", "lens": lens}
        if isinstance(camera, FisheyeEquisolid):
            del described["lens"]
            described |= {"type": "PANO", "panorama_type": "FISHEYE_EQUISOLID"}
            described |= {"fisheye_fov": camera.fov, "fisheye_lens": lens}
    described["pixel_aspect_x"] = down / across
    if not isinstance(camera, Fisheye):  # Of these, shift is in fitted sides.
        described["shift_y"] *= height / (width * down / across)
    return described


SIDES = ("longitude", "latitude")
"""What the sides of an equirectangular picture are."""


FROM_DOCUMENT: dict[str, tuple[type[CameraModel], tuple[str, ...]]] = {
    "OPENCV": (Intrinsics, ("fl_x", "fl_y", "cx", "cy", "w", "h")),
    "ORTHOGRAPHIC": (Orthographic, ("pixels_per_unit_x", "pixels_per_unit_y", "cx", "cy", "w", "h")),
    "EQUIRECTANGULAR": (
        Equirectangular,
        ("longitude_min", "longitude_max", "latitude_min", "latitude_max", "w", "h"),
    ),
    "OPENCV_FISHEYE": (FisheyeEquidistant, ("fl_x", "fl_y", "cx", "cy", "fov", "w", "h")),
    "FISHEYE_EQUISOLID": (FisheyeEquisolid, ("fl_x", "fl_y", "cx", "cy", "fov", "w", "h")),
}
"""`camera_model` of transforms.json -> the class, and the fields that its arguments are."""


def camera_from_document(values: Mapping[str, Any]) -> CameraModel:
    """The camera of a frame.

    Args:
        values: of transforms.json, `{**document, **frame}`.
    Raises:
        DataError: the camera is of no model that we know, or a value is missing or cannot be.
    """
    model = values.get("camera_model")
    if model not in FROM_DOCUMENT:
        raise DataError(f"camera_model {model!r} is not one of {', '.join(FROM_DOCUMENT)}")
    make, names = FROM_DOCUMENT[model]
    missing = [name for name in names if name not in values]
    if missing:
        raise DataError(f"camera_model {model!r} needs {', '.join(missing)}")
    for name in names:
        if not isinstance(values[name], int | float):
            raise DataError(f"{name} is {values[name]!r}, not a number")
    for axis in ("longitude", "latitude") if make is Equirectangular else ():
        if not values[f"{axis}_min"] < values[f"{axis}_max"]:
            raise DataError(f"{axis}_max is not larger than {axis}_min")
    return make(*(values[name] for name in names))


def unshifted_sides(values: Mapping[str, Any]) -> dict[str, float]:
    """Blender's settings of an equirectangular camera, from its values in transforms.json: there, shift is in them."""
    sides: dict[str, float] = {}
    for axis, shift in (("longitude", values["shift_x"]), ("latitude", values["shift_y"])):
        least, most = values[f"{axis}_min"], values[f"{axis}_max"]
        sides |= {f"{axis}_min": least - shift * (most - least), f"{axis}_max": most - shift * (most - least)}
    return sides


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


def project(points: Matrix, camera: CameraModel, c2w: Matrix) -> tuple[Matrix, Matrix]:
    """Where world points appear.

    Args:
        points: (..., 3), world, scene units.
        camera: its model.
        c2w: (4, 4), camera-to-world.
    Returns:
        Pixels (..., 2), x right and y down, centres at half-integers; and depth (...) of the model's kind, scene
        units, which is not positive for points that are not in front of a camera with planar depth.
    """
    in_camera = (np.asarray(points, np.float64) - c2w[:3, 3]) @ c2w[:3, :3]
    return np.stack(camera.project(in_camera), axis=-1), camera.depth(in_camera)


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
