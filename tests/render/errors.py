"""Render the closed-form scenes with a Blender, and measure how far the ground truth is from the truth.

One implementation for the tests and for `scripts/error_table.py`.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.reference.raycast import Body, Globe, Panorama
from tests.render.closed_form import FRAME_START, NUM_FRAMES, ClosedForm, build_all
from tests.render.scripts import Blender
from visionsim.cameras import camera_from_document
from visionsim.dataset.kinds import frame_path
from visionsim.dataset.truth_files import read_channels
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.report import RunReport
from visionsim.simulation.run import DatasetRequest, run


@dataclass(frozen=True)
class Column:
    """A kind of error: what it is, and how large it may be."""

    title: str
    limit: float
    meaning: str


COLUMNS = {
    "ids_inside": Column("ids", 0, "wrong ids per 50,000 pixels, further than a pixel from any edge"),
    "ids_on_edges": Column(
        "ids, edges", 2, "wrong ids per 50,000 pixels on edges, where a float32 ray may fall to either side"
    ),
    "depth": Column("depth", 1e-5, "largest relative error of depth, further than a pixel from any edge"),
    "depth_on_edges": Column(
        "depth, edges", 1e-4, "the same on edges, where a surface is seen edge-on and the rounding of a ray counts most"
    ),
    "forward": Column("flow fwd", 1e-3, "largest error of forward flow, pixels"),
    "backward": Column("flow bwd", 1e-3, "largest error of backward flow, pixels"),
    "normal_flat": Column("normal", 0.05, "largest error of normals on flat faces, degrees"),
    "normal_smooth": Column("smooth", 1.0, "largest error of normals on smooth balls, away from silhouettes, degrees"),
    "normal_length": Column("length", 1e-4, "largest difference of a normal's length from 1"),
    "camera": Column("camera", 1e-2, "largest error of where transforms.json puts a known point, pixels"),
    "background": Column("backgr.", 0, "background pixels that are not +inf, 0, 0 and 0 in the four kinds"),
    "known": Column("known", 0, "pixels whose motion is known, but marked as unknown, or the other way round"),
    "visible": Column(
        "visible", 0, "wrong bits of visible targets per 50,000 pixels, further than two pixels from any edge"
    ),
    "visible_on_edges": Column(
        "visible, edges", 1000, "the same on edges, where pixels' centres show one of two surfaces"
    ),
    "labels": Column("labels", 0, "labels that are missing, too many or wrong, and ids that two things share"),
}  # fmt: skip
"""Field of `Errors` -> what it is."""

PER = 50_000


@dataclass
class Errors:
    """Of all frames of a scene; None: nothing was measured, because there is nothing of that kind or it was refused."""

    ids_inside: float | None = None
    ids_on_edges: float | None = None
    depth: float | None = None
    depth_on_edges: float | None = None
    forward: float | None = None
    backward: float | None = None
    normal_flat: float | None = None
    normal_smooth: float | None = None
    normal_length: float | None = None
    camera: float | None = None
    background: float | None = None
    known: float | None = None
    visible: float | None = None
    visible_on_edges: float | None = None
    labels: float | None = None
    refused: str | None = None
    """What visionsim said when it refused the scene, or its flow if the other errors are there."""
    remarks: list[str] = field(default_factory=list)
    """What is wrong, in words, where a number says too little."""

    def beyond(self) -> list[str]:
        """Names of the columns whose limit is passed."""
        values = {name: getattr(self, name) for name in COLUMNS}
        return [name for name, value in values.items() if value is not None and not value <= COLUMNS[name].limit]


@dataclass
class Rendered:
    """What visionsim made of a scene."""

    scene: ClosedForm
    root: Path
    log: str
    """Of the Blender that rendered it."""
    refused: str | None = None
    """Why there is no flow."""

    @cached_property
    def transforms(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.root / "transforms.json").read_text(encoding="utf-8"))
        return document

    def picture(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8."""
        with Image.open(self.root / "frames" / f"frame_{FRAME_START + index:06d}.png") as file:
            return np.asarray(file.convert("RGB"))

    _arrays: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)

    def read(self, kind: str, index: int) -> np.ndarray:
        """(H, W) or (H, W, C): a kind of ground truth of frame FRAME_START + `index`."""
        if (kind, index) not in self._arrays:
            self._arrays[kind, index] = self._read(kind, index)
        return self._arrays[kind, index]

    def _read(self, kind: str, index: int) -> np.ndarray:
        names = {"depths": "Y", "normals": "RGB", "segmentations": "Y", "flows": "RGBA", "occlusions": "Y"}[kind]
        channels = read_channels(self.root / frame_path(kind, FRAME_START + index))
        assert sorted(channels) == sorted(names)
        return np.squeeze(np.stack([channels[name] for name in names], axis=-1))


def render_all(
    scenes: Mapping[str, ClosedForm], folder: Path, executable: str | None, scripts: Blender
) -> dict[str, Rendered | str]:
    """Name -> what was rendered, or why not; `folder` is filled. `scripts` builds the scenes.

    Scenes of one size are rendered in one run. What is refused is tried again without flow.
    """
    result: dict[str, Rendered | str] = {}
    blends = {name: folder / "made" / f"{slug(name)}.blend" for name in scenes}
    (folder / "made").mkdir(parents=True)
    build_all(scripts, {blends[name]: scenes[name] for name in scenes})
    sizes = {name: (scene.camera.width, scene.camera.height) for name, scene in scenes.items()}
    for width, height in sorted(set(sizes.values())):
        config = RenderConfig(
            executable=executable, width=width, height=height, max_samples=2, use_denoising=False,
            depths=True, normals=True, flows=True, segmentations=True, occlusions=True,
            log_dir=folder / f"logs-{width}x{height}",
        )  # fmt: skip
        waiting = [name for name in scenes if sizes[name] == (width, height)]
        for flows in (True, False):
            if not waiting:
                break
            kept = folder / f"{width}x{height}-{'all' if flows else 'without-flow'}"
            (kept / "scenes").mkdir(parents=True)
            for name in waiting:
                shutil.copy(blends[name], kept / "scenes")
            logs = kept / "logs"
            chosen = dataclasses.replace(config, flows=flows, occlusions=flows, log_dir=logs)
            report = run(DatasetRequest(kept / "scenes", kept / "data"), chosen, observe=lambda event: None)
            assert isinstance(report, RunReport)
            log = "".join(path.read_text() for path in sorted(logs.iterdir()))
            messages = {failure.scene: failure.message for failure in report.failures}
            for name in waiting:
                if slug(name) in messages:
                    result.setdefault(name, messages[slug(name)])
                    continue
                (root,) = (kept / "data" / "renders" / slug(name)).iterdir()
                earlier = result.get(name)
                result[name] = Rendered(scenes[name], root, log, earlier if isinstance(earlier, str) else None)
            waiting = [name for name in waiting if slug(name) in messages]
    return {name: result[name] for name in scenes}


def version_of(rendered: Mapping[str, Rendered | str]) -> str:
    """What rendered: Blender's version, or "unknown" if everything was refused."""
    for result in rendered.values():
        if isinstance(result, Rendered):
            return str(result.transforms["generator"]["blender"])
    return "unknown"


def slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")


def edges(body: np.ndarray) -> np.ndarray:
    """Where another body is within one pixel."""
    padded = np.pad(body, 1, mode="edge")
    h, w = body.shape
    shifted = [padded[y : y + h, x : x + w] for y in range(3) for x in range(3)]
    result: np.ndarray = np.max(shifted, axis=0) != np.min(shifted, axis=0)
    return result


def measure(rendered: Rendered | str) -> Errors:
    """The errors of all frames; of the first and the last too, whose flow looks past the range."""
    if isinstance(rendered, str):
        return Errors(refused=rendered)
    errors = Errors(refused=rendered.refused, background=0.0)
    lookup = ids_of_bodies(rendered, errors)
    inside = on_edges = 0
    for index in range(NUM_FRAMES):
        truth = rendered.scene.truth(index)
        ids = rendered.read("segmentations", index)
        on_edge = edges(truth["body"])
        wrong = ids != lookup[truth["body"]]
        inside += int((wrong & ~on_edge).sum())
        on_edges += int((wrong & on_edge).sum())
        measure_surfaces(rendered, index, ~wrong & (truth["body"] > 0), on_edge, errors)
        measure_background(rendered, index, ~wrong & (truth["body"] == 0), errors)
        measure_camera(rendered, index, errors)
        if rendered.refused is None:
            measure_occlusions(rendered, index, ~wrong, errors)
    pixels = rendered.scene.camera.width * rendered.scene.camera.height * NUM_FRAMES
    errors.ids_inside, errors.ids_on_edges = (count * PER / pixels for count in (inside, on_edges))
    return errors


def worst(known: float | None, values: np.ndarray) -> float | None:
    """The largest number so far; NaN counts as larger than any."""
    if not values.size:
        return known
    found = float(np.max(values))
    return found if known is None or not found <= known else known


def measure_surfaces(rendered: Rendered, index: int, hit: np.ndarray, on_edge: np.ndarray, errors: Errors) -> None:
    """Depth, flow and normals of the pixels that show what they should."""
    truth, bodies = rendered.scene.truth(index), rendered.scene.bodies
    depth = rendered.read("depths", index)
    for name, place in (("depth", hit & ~on_edge), ("depth_on_edges", hit & on_edge)):
        setattr(errors, name, worst(getattr(errors, name), np.abs(depth[place] / truth["depth"][place] - 1)))
    if rendered.refused is None:
        flow = rendered.read("flows", index)
        for name, part in (("forward", flow[..., :2]), ("backward", flow[..., 2:])):
            error = np.abs(part - truth[name])
            if isinstance(rendered.scene.camera, Globe):
                error[..., 0] = around(rendered.scene.camera, error[..., 0])
            # Near the plane of a camera a point's place is infinitely far away, and so is any error.
            near = np.abs(truth[name]).max(-1) < max(depth.shape)
            known = rendered.scene.known(index, name)
            setattr(errors, name, worst(getattr(errors, name), error[hit & near & known]))
            if part[hit & ~known].any():
                errors.remarks.append(f"{name} flow of unknown motion is not 0")
                errors.known = (errors.known or 0.0) + 1

    normals = rendered.read("normals", index)
    lengths = np.linalg.norm(normals, axis=-1)
    errors.normal_length = worst(errors.normal_length, np.abs(lengths[hit] - 1))
    chord = np.linalg.norm(normals - truth["normal"], axis=-1)  # arccos would lose half the digits near 0.
    angle = np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1)))
    flat = np.array([False, *(body.corner_normals is None for body in bodies)])[truth["body"]]
    # A ball that is stretched has other normals than the ones it was made with.
    round_ = np.array([False, *(body.corner_normals is not None and body.offsets is None for body in bodies)])
    # At a silhouette a facetted ball and its smooth normals disagree about what faces the camera.
    rays = rendered.scene.camera.rays(index + 1)[1] @ rendered.scene.camera.c2w[index + 1][:3, :3]
    facing = -(truth["normal"] * rays).sum(-1) / np.linalg.norm(rays, axis=-1)
    smooth = round_[truth["body"]] & ~on_edge & (facing > 0.3)
    errors.normal_flat = worst(errors.normal_flat, angle[hit & flat])
    errors.normal_smooth = worst(errors.normal_smooth, angle[hit & smooth])


def around(globe: Globe, error: np.ndarray) -> np.ndarray:
    """Errors of u (H, W) in a picture that goes round the camera, in pixels of its equator.

    Whole turns are no error: flow goes the shorter way. Towards a pole the columns of pixels come together, and what is
    a pixel at the equator are many there.
    """
    turn = globe.width * 360 / (globe.east - globe.west)
    up = globe.rays(1)[1] @ globe.c2w[1][:3, 1]
    return np.abs(error - turn * np.rint(error / turn)) * np.sqrt(1 - up**2)


def measure_background(rendered: Rendered, index: int, nothing: np.ndarray, errors: Errors) -> None:
    """Pixels where no surface is, as the ids and the truth agree."""
    wrong = ~np.isposinf(rendered.read("depths", index)) | (rendered.read("normals", index) != 0).any(axis=-1)
    if rendered.refused is None:
        wrong |= (rendered.read("flows", index) != 0).any(axis=-1)
    errors.background = (errors.background or 0.0) + int((wrong & nothing).sum())


def measure_occlusions(rendered: Rendered, index: int, right: np.ndarray, errors: Errors) -> None:
    """Occlusions of the pixels that show what they should."""
    scene, bits = rendered.scene, rendered.read("occlusions", index)
    truth = scene.truth(index)
    hit = right & (truth["body"] > 0)
    for side, known_bit, visible_bit, other in (("forward", 1, 2, index + 1), ("backward", 4, 8, index - 1)):
        known = scene.known(index, side)
        wrong_known = ((bits & known_bit) > 0) != known
        errors.known = (errors.known or 0.0) + int((wrong_known & right).sum())
        visible = scene.visible(index, side) & known
        wrong = hit & (visible != ((bits & visible_bit) > 0))
        far = hit & ~near_edge(scene, index, other, side)
        for name, place in (("visible", far), ("visible_on_edges", hit & ~far)):
            share = int((wrong & place).sum()) * PER / bits.size / (2 * NUM_FRAMES)
            setattr(errors, name, (getattr(errors, name) or 0.0) + share)


def near_edge(scene: ClosedForm, index: int, other: int, side: str) -> np.ndarray:
    """(H, W): where another body is within two pixels, now or at the target, or the target is on the picture's border.

    Within half a pixel of the border there is no pixel on the other side that could show an edge.
    """
    height, width = scene.camera.height, scene.camera.width
    here, there = (wide_edges(scene.truth(at)) for at in (index, other))
    y, x = np.mgrid[:height, :width] + 0.5
    u, v = x + scene.truth(index)[side][..., 0], y + scene.truth(index)[side][..., 1]
    if isinstance(scene.camera, Globe):
        u %= width * 360 / (scene.camera.east - scene.camera.west)
    row, column = (np.clip(np.nan_to_num(a), 0, n - 1).astype(int) for a, n in ((v, height), (u, width)))
    border = np.min(np.abs([u, u - width, v, v - height]), axis=0)
    on_border = border < np.where((u < 0) | (u >= width) | (v < 0) | (v >= height), 1e-3, 0.5)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    result: np.ndarray = here | on_border | (inside & there[row, column])
    return result


def wide_edges(truth: Mapping[str, np.ndarray]) -> np.ndarray:
    """(H, W): where another body, or another part of the same, is within two pixels."""
    depth = np.where(np.isfinite(truth["depth"]), truth["depth"], 1e9)
    jump = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        steps = np.abs(np.diff(np.log(depth), axis=axis)) > 0.05
        low, high = [slice(None)] * 2, [slice(None)] * 2
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        jump[tuple(low)] |= steps
        jump[tuple(high)] |= steps
    near = edges(truth["body"]) | jump
    result: np.ndarray = near | edges(near)
    return result


def measure_camera(rendered: Rendered, index: int, errors: Errors) -> None:
    """Where the camera of transforms.json sees the scene's vertices."""
    camera, transforms = rendered.scene.camera, rendered.transforms
    frame = transforms["frames"][index]
    assert frame["frame"] == FRAME_START + index and [transforms["w"], transforms["h"]] == [camera.width, camera.height]
    assert transforms["depth_kind"] == ("radial" if isinstance(camera, Panorama) else "planar")
    c2w = np.array(frame["transform_matrix"])
    assert np.abs(c2w[:3, :3].T @ c2w[:3, :3] - np.eye(3)).max() < 1e-6
    points = np.concatenate([body.world(index + 1) for body in rendered.scene.bodies])
    seen = (points - c2w[:3, 3]) @ c2w[:3, :3]
    # Where no ray of a pinhole goes, and near a fisheye's own back, a pixel is not defined.
    front = seen[:, 2] < -0.5
    pixels = np.stack(camera_from_document({**transforms, **frame}).project(seen[front]), axis=-1)
    # Far outside the picture a hundredth of a pixel is below the resolution of Blender's float32 poses.
    inside = np.abs(pixels - [camera.width / 2, camera.height / 2]).max(-1) < 2 * max(camera.width, camera.height)
    assert inside.sum() > 100
    errors.camera = worst(errors.camera, np.abs(pixels - camera.project(points, index + 1)[front])[inside])


def ids_of_bodies(rendered: Rendered, errors: Errors) -> np.ndarray:
    """(1 + bodies,) id of each body, 0 for the background; what is wrong with the labels goes into `errors`.

    An object is known by its path. Which copy of an object has which id is not ours to know: a copy is taken to have
    the id that most of its pixels have; that must be one of a copy of that object by that instancer, and no other's.
    """
    labels = {int(key): label for key, label in rendered.transforms["labels"].items()}
    bodies, meshes = rendered.scene.bodies, rendered.scene.description["meshes"]
    id_of_path = {label["path"]: number for number, label in labels.items()}
    objects = {mesh["name"]: mesh["class"] for mesh in meshes}
    copies = [body for body in bodies if body.instancer is not None]
    expected, found = sorted(objects), sorted(path for path in id_of_path if "#" not in path)
    if found != expected:
        errors.remarks.append(f"objects are labelled {found}, not {expected}")
    if len(labels) - len(found) != len(copies):
        errors.remarks.append(f"{len(labels) - len(found)} copies are labelled, of {len(copies)}")
    lookup = np.zeros(1 + len(bodies), np.int64)
    for place, body in enumerate(bodies, start=1):
        if body.instancer is None:
            lookup[place] = id_of_path.get(body.name, 0)
        else:
            lookup[place] = most_common(rendered, place)
        if lookup[place]:  # Else it is nowhere in the picture, or missing, which was said above.
            errors.remarks += wrong_label(body, labels.get(int(lookup[place])), objects[body.name])
    used = lookup[lookup > 0]
    for number in np.unique(used):
        if (used == number).sum() > 1:
            errors.remarks.append(f"{(used == number).sum()} things share the id {number}")
    errors.labels = float(len(errors.remarks))
    return lookup


def most_common(rendered: Rendered, place: int) -> int:
    """The id that most pixels of a body have in all frames; 0 if it is nowhere."""
    shown = [
        rendered.read("segmentations", index)[rendered.scene.truth(index)["body"] == place]
        for index in range(NUM_FRAMES)
    ]
    counts = np.bincount(np.concatenate(shown).astype(np.int64), minlength=1)
    return int(np.argmax(counts)) if counts.any() else 0


def wrong_label(body: Body, label: Mapping[str, str] | None, kind: str) -> Iterable[str]:
    """What a label gets wrong of its body."""
    what = body.name if body.instancer is None else f"{body.instancer}/{body.name}"
    if label is None:
        yield f"{what} has an id without a label"
        return
    path = label["path"] if body.instancer is None else label["path"].rpartition("#")[0]
    if (path, label["name"], label["class"]) != (what, body.name, kind):
        yield f"{what} ({kind}) is labelled {dict(label)}"
    moves = any(not np.array_equal(matrix, body.matrices[0]) for matrix in body.matrices)
    may = (
        ("deforming",)
        if body.offsets is not None
        else ("rigid", "deforming")
        if moves
        else ("static", "rigid", "deforming")
    )
    if label["motion"] not in may:
        yield f"{what} moves, but is labelled {label['motion']}"
