"""A COLMAP model of what was rendered: exact cameras and poses, and points from depth with what images saw them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from visionsim.cameras import CameraModel, Equirectangular, project
from visionsim.dataset.reader import Dataset, Sample
from visionsim.dataset.report import WorkReport
from visionsim.errors import ConfigError
from visionsim.exports.geometry import (
    Pictures,
    Work,
    eight_bit,
    opencv_c2w,
    quaternion,
    require_kinds,
    require_models,
    require_positive,
    resting,
    scaled,
)
from visionsim.files import make_folder, whole_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visionsim.types import Matrix, ProgressFn

    ModelForm = Literal["binary", "text"]

__all__ = ["export_colmap"]

MODELS = {"OPENCV": (1, "PINHOLE"), "OPENCV_FISHEYE": (5, "OPENCV_FISHEYE"), "EQUIRECTANGULAR": (17, "EQUIRECTANGULAR")}
"""Ours -> COLMAP's number and name. Source: colmap src/colmap/sensor/models.h."""

FOLLOWED = 30
"""Later frames in which a point is looked for."""

WIDEST = np.cos(np.radians(85))
"""COLMAP's fisheye has rays in front only; this is the cosine of the largest angle of a point to the axis."""

UNEVEN = 1.2
"""Depths of neighbouring pixels whose ratio is larger are of an edge: what is seen between them is not known."""

TOLERANCE = 0.002
"""Of depth, as part of it, for a point to be on the surface that an image sees."""

OBSERVATION = np.dtype([("xy", "<f8", 2), ("point", "<i8")])
TRACK = np.dtype([("image", "<i4"), ("index", "<i4")])


@dataclass
class Image:
    """An image of the model, and the points that it sees."""

    number: int
    w2c: Matrix
    camera: int
    name: str
    seen: NDArray[Any]
    """(N,) of OBSERVATION."""


@dataclass
class Model:
    """A COLMAP model."""

    cameras: dict[CameraModel, int] = field(default_factory=dict)
    images: list[Image] = field(default_factory=list)
    points: list[Matrix] = field(default_factory=list)
    """Of each image: the points (N, 3) that were first seen in it, in our scene units."""
    colours: list[NDArray[np.uint8]] = field(default_factory=list)
    """Of each image: (N, 3)."""


def export_colmap(
    dataset: Dataset,
    target: Path,
    form: ModelForm = "binary",
    *,
    max_points: int = 100_000,
    scale: float = 1.0,
    link: bool = False,
    threads: int | None = None,
    progress: ProgressFn = lambda done, total: None,
) -> WorkReport:
    """Write `SEQUENCE/images/` and `SEQUENCE/sparse/0/`: cameras, images, points3D.

    The world is ours. Poses are world to camera, with axes right, down, forward; pixel centres are at half-integers, as
    ours. Points are taken from the depth of all frames alike, on objects that never move if segmentations say which
    these are. Each is looked for in the frames after its own (`FOLLOWED`), where depth tells whether it is seen.
    Without depths there are none.

    Args:
        dataset: with pictures.
        target: folder; files that are there are written again.
        form: binary or text.
        max_points: about so many points for each sequence.
        scale: positions are multiplied by it.
        link: hard-link the pictures where that can be done.
        threads: that read ahead; by default as many as there are cores.
        progress: called as frames are done.
    Raises:
        ConfigError: a camera is of a model that COLMAP has not, or a model in the other form is there.
    Source:
        https://colmap.github.io/format.html; colmap src/colmap/sensor/models.h.
    """
    require_kinds(dataset, ["frames"], "A COLMAP model")
    require_models(dataset, MODELS, "COLMAP")
    require_positive(scale=scale)
    suffix, other = (".bin", ".txt") if form == "binary" else (".txt", ".bin")
    for name, sequence in dataset.sequences().items():
        for camera in {sample.camera for sample in sequence}:
            if isinstance(camera, Equirectangular) and not whole_globe(camera):
                raise ConfigError(f"COLMAP has whole panoramas only, {name} is a part of one: leave that sequence out")
        if (there := target / name / "sparse" / "0" / f"images{other}").exists():
            raise ConfigError(
                f"A model in the other form is there, and readers may take that one: remove {there.parent}"
            )
    work = Work(f"exported as COLMAP models ({form})", dataset, target, threads, progress)
    pictures = Pictures(work, suffixes=(".png", ".jpg"), link=link)
    for name, sequence in work.sequences.items():
        folder = target / name
        model = Model()
        with_points = "depths" in sequence.kinds and max_points > 0
        moving: set[int] = set()
        if with_points and "segmentations" in sequence.kinds:
            moving = {number for number, label in sequence.labels.items() if label.motion != "static"}
        elif with_points:
            work.note("Points on moving objects are in the models: without segmentations nobody knows which these are.")
        else:
            work.note("The models have no points, which come from depths.")
        kinds = ("frames", "depths", "segmentations") if with_points else ("frames",)
        each = -(-max_points // len(sequence))
        for sample in work.frames(sequence, kinds):
            path = pictures.save(sample, folder / "images" / f"frame_{sample.frame:06d}")
            image = Image(
                number=len(model.images) + 1,
                w2c=np.linalg.inv(opencv_c2w(scaled(sample.c2w, scale))),
                camera=model.cameras.setdefault(sample.camera, len(model.cameras) + 1),
                name=path.relative_to(folder / "images").as_posix(),
                seen=np.empty(0, OBSERVATION),
            )
            if with_points:
                image.seen = look(model, sample, resting(sample, moving), each)
            model.images.append(image)
        if model.images:
            save_model(folder / "sparse" / "0", model, scale, suffix)
            if any(camera.model == "EQUIRECTANGULAR" for camera in model.cameras):
                work.note("COLMAP reads panoramas (its camera model EQUIRECTANGULAR) from version 4 on.")
    return work.done()


def whole_globe(camera: Equirectangular) -> bool:
    sides = (camera.longitude_min, camera.longitude_max, camera.latitude_min, camera.latitude_max)
    return np.allclose(sides, (-np.pi, np.pi, -np.pi / 2, np.pi / 2), atol=1e-6)


def look(model: Model, sample: Sample, rests: NDArray[np.bool_], count: int) -> NDArray[Any]:
    """What this image sees of earlier points, and of `count` new ones at most, which it adds to the model.

    Args:
        rests: (H, W): where a surface that does not move is seen.
    Returns:
        (N,) of OBSERVATION; points are numbered from 1.
    """
    earlier = sum(map(len, model.points[:-FOLLOWED]))
    followed = np.concatenate([np.empty((0, 3)), *model.points[-FOLLOWED:]])
    xy, found = find(followed, sample, rests)
    numbers = earlier + 1 + np.flatnonzero(found)

    # Seeded by the frame: the same points whatever was read before.
    rng = np.random.default_rng([sample.frame < 0, abs(sample.frame)])
    rows, columns = np.nonzero(rests)
    chosen = rng.permutation(len(rows))[:count]
    rows, columns = rows[chosen], columns[chosen]
    at = np.stack([columns + 0.5, rows + 0.5], axis=-1)
    points = sample.camera.unproject(at[:, 0], at[:, 1], sample.depth[rows, columns].astype(np.float64))
    ahead = in_front(points, sample.camera)
    at, points, rows, columns = at[ahead], points[ahead], rows[ahead], columns[ahead]
    model.points.append(points @ sample.c2w[:3, :3].T + sample.c2w[:3, 3])
    model.colours.append(eight_bit(sample.picture[rows, columns][None], alpha=False)[0])

    seen = np.empty(len(numbers) + len(points), OBSERVATION)
    seen["xy"] = np.concatenate([xy[found], at])
    first = earlier + len(followed) + 1
    seen["point"] = np.concatenate([numbers, np.arange(first, first + len(points))])
    return seen


def in_front(points: Matrix, camera: CameraModel) -> NDArray[np.bool_]:
    """(N,): which points (N, 3), in the camera's frame, COLMAP's camera of that model sees."""
    if camera.model != "OPENCV_FISHEYE":
        return np.ones(len(points), bool)
    ahead: NDArray[np.bool_] = -points[:, 2] > WIDEST * np.linalg.norm(points, axis=-1)
    return ahead


def find(points: Matrix, sample: Sample, rests: NDArray[np.bool_]) -> tuple[Matrix, NDArray[np.bool_]]:
    """Where an image shows points (N, 3), (N, 2) pixels, and which of them it does show, (N,).

    It does if the depths of the four pixels around are those of one surface, and the point's is among them.
    """
    height, width = sample.depth.shape
    xy, depth = project(points, sample.camera, sample.c2w)
    found = np.isfinite(xy).all(axis=-1) & in_front((points - sample.c2w[:3, 3]) @ sample.c2w[:3, :3], sample.camera)
    found &= ((xy >= 0.5) & (xy <= (width - 0.5, height - 0.5))).all(axis=-1)
    column, row = np.clip(np.nan_to_num(xy[found]) - 0.5, 0, (width - 2, height - 2)).astype(int).T
    around = np.stack([sample.depth[row + down, column + right] for down in (0, 1) for right in (0, 1)])
    still = np.all([rests[row + down, column + right] for down in (0, 1) for right in (0, 1)], axis=0)
    near, far = around.min(axis=0, initial=np.inf), around.max(axis=0, initial=0)
    one = still & (far <= UNEVEN * near)
    found[found] = one & (near * (1 - TOLERANCE) <= depth[found]) & (depth[found] <= far * (1 + TOLERANCE))
    return xy, found


def save_model(folder: Path, model: Model, scale: float, suffix: str) -> None:
    make_folder(folder)
    points = np.concatenate([np.empty((0, 3)), *model.points]) * scale
    colours = np.concatenate([np.empty((0, 3), np.uint8), *model.colours])
    write = write_binary if suffix == ".bin" else write_text
    with (
        whole_file(folder / f"points3D{suffix}") as points_file,
        whole_file(folder / f"images{suffix}") as images_file,
        whole_file(folder / f"cameras{suffix}") as cameras_file,
    ):
        write(cameras_file, images_file, points_file, model, points, colours)


def tracks_of(model: Model, count: int) -> list[NDArray[Any]]:
    """Of each of `count` points: (N,) of TRACK."""
    seen = [image.seen["point"] for image in model.images]
    numbers = np.concatenate([np.empty(0, np.int64), *seen])
    tracks = np.empty(len(numbers), TRACK)
    tracks["image"] = np.repeat([image.number for image in model.images], [len(points) for points in seen])
    tracks["index"] = np.concatenate([np.empty(0, np.int64), *(np.arange(len(points)) for points in seen)])
    order = np.argsort(numbers, kind="stable")
    return np.split(tracks[order], np.searchsorted(numbers[order], np.arange(2, count + 1))) if count else []


def camera_parameters(camera: CameraModel) -> list[float]:
    values = camera.fields()
    if isinstance(camera, Equirectangular):
        return [float(camera.width), float(camera.height)]
    distortion = [0.0] * 4 if camera.model == "OPENCV_FISHEYE" else []
    return [values["fl_x"], values["fl_y"], values["cx"], values["cy"], *distortion]


def write_binary(
    cameras: Path, images: Path, points: Path, model: Model, positions: Matrix, colours: NDArray[np.uint8]
) -> None:
    with open(cameras, "wb") as file:
        file.write(struct.pack("<Q", len(model.cameras)))
        for camera, number in model.cameras.items():
            values, parameters = camera.fields(), camera_parameters(camera)
            file.write(struct.pack("<iiQQ", number, MODELS[camera.model][0], values["w"], values["h"]))
            file.write(struct.pack(f"<{len(parameters)}d", *parameters))
    with open(images, "wb") as file:
        file.write(struct.pack("<Q", len(model.images)))
        for image in model.images:
            pose = (*quaternion(image.w2c[:3, :3]), *image.w2c[:3, 3])
            file.write(struct.pack("<i7di", image.number, *pose, image.camera))
            file.write(image.name.encode() + b"\0" + struct.pack("<Q", len(image.seen)) + image.seen.tobytes())
    with open(points, "wb") as file:
        file.write(struct.pack("<Q", len(positions)))
        for index, track in enumerate(tracks_of(model, len(positions))):
            file.write(struct.pack("<Q3d3Bd", index + 1, *positions[index], *colours[index], 0.0))
            file.write(struct.pack("<Q", len(track)) + track.tobytes())


def write_text(
    cameras: Path, images: Path, points: Path, model: Model, positions: Matrix, colours: NDArray[np.uint8]
) -> None:
    with open(cameras, "w", encoding="utf-8") as file:
        file.write("# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n")
        for camera, number in model.cameras.items():
            values = camera.fields()
            parameters = " ".join(repr(float(value)) for value in camera_parameters(camera))
            file.write(f"{number} {MODELS[camera.model][1]} {values['w']} {values['h']} {parameters}\n")
    with open(images, "w", encoding="utf-8") as file:
        file.write("# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME\n# POINTS2D[] as (X, Y, POINT3D_ID)\n")
        for image in model.images:
            pose = " ".join(repr(float(value)) for value in (*quaternion(image.w2c[:3, :3]), *image.w2c[:3, 3]))
            file.write(f"{image.number} {pose} {image.camera} {image.name}\n")
            file.write(" ".join(f"{x:.6f} {y:.6f} {point}" for (x, y), point in image.seen.tolist()) + "\n")
    with open(points, "w", encoding="utf-8") as file:
        file.write("# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX)\n")
        for index, track in enumerate(tracks_of(model, len(positions))):
            x, y, z = positions[index].tolist()
            seen = " ".join(f"{image} {at}" for image, at in track.tolist())
            file.write(f"{index + 1} {x!r} {y!r} {z!r} {' '.join(map(str, colours[index]))} 0 {seen}\n")
