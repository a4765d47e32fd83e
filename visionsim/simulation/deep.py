"""`visionsim verify --deep`: pixels of a dataset against rays that Blender casts into the .blend it was made from.

The dataset does not hold the .blend's path, but its SHA-256: it is looked for in a folder of scenes. It is opened with
the settings that are stored with the sequence, so that time, camera and visibility are those of the render.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from visionsim.cameras import CameraModel, Fisheye, c2w_from_blender, camera_from_blender
from visionsim.dataset.kinds import KINDS
from visionsim.dataset.schema import CAMERA_FIELDS, read_document
from visionsim.errors import DataError, SceneError, SchemaError, WorkerError
from visionsim.io.exr import read_exr
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.dialogue import Dialogue
from visionsim.simulation.plan import find_scenes
from visionsim.simulation.process import blender_command
from visionsim.verify.geometry import Camera, bend, pixel_centres, spread3, unproject
from visionsim.verify.report import ProgressOf, SequenceResult, Verified, VerifyReport

__all__ = ["Pixel", "Tally", "compare", "verify_deep"]

DEPTH_TOLERANCE = 2e-4
"""Relative. `ray_cast` works in single precision in each object's own space; 2e-5 was measured."""

OFF_CENTRE = 0.006
"""Pixels by which ground truth may miss a pixel's centre: its filter is 0.01 wide. On a slanted surface depth changes
with that, the more the smaller the cosine between ray and normal."""

CREASE = 1e-3
"""How far, in parts of depth, a pixel's neighbours are from a plane with it where the surface bends or ends."""

POSE_TOLERANCE = 1e-6
"""Of camera matrices: they are the same numbers, unless something else was rendered."""


def verify_deep(
    report: VerifyReport,
    scenes_dir: Path,
    *,
    executable: str | None = None,
    frames: int = 3,
    samples: int = 64,
    seed: int = 0,
    observe: ProgressOf = lambda event: None,
) -> None:
    """Add the check `deep` to a report.

    Args:
        report: of `visionsim.verify.run.verify`; what is found is added to its sequences.
        scenes_dir: folder of the .blend files.
        executable: Blender to ask; see `RenderConfig.executable`.
        frames: of each sequence, evenly spread.
        samples: pixels of each of them.
        seed: of the choice of pixels.
        observe: called as frames are done, from this thread.
    Raises:
        InputNotFound: there are no scenes.
        BlenderNotFound: there is no Blender.
    """
    command = blender_command(executable)
    blends = {digest_of(scene.blend): scene.blend for scene in find_scenes(scenes_dir)}
    rows: dict[str, list[tuple[SequenceResult, dict[str, Any]]]] = {}
    for row in report.sequences:
        try:
            transforms = read_document("transforms", row.folder / "transforms.json")
        except (SchemaError, OSError):
            continue  # Which is a problem of the check `documents`.
        if "arrays" in transforms:
            row.found.add("deep", "rays are cast for files only: convert the sequence to files", file="transforms.json")
            continue
        settings = transforms["generator"]["settings"]
        if settings.get("scene_sha256") not in blends:
            row.found.add(
                "deep",
                "the .blend that this was rendered from is not among the scenes, or was changed since",
                file="transforms.json",
                expected=f"SHA-256 {settings.get('scene_sha256')}",
            )
            continue
        rows.setdefault(json.dumps(settings, sort_keys=True), []).append((row, transforms))
    groups = [(json.loads(key), group) for key, group in rows.items()]
    while groups:  # One worker for all of them, unless it dies.
        with Dialogue(command) as talk:
            while groups and talk.alive:
                settings, group = groups.pop(0)
                try:
                    talk.ask("open", open_arguments(blends[settings["scene_sha256"]], settings))
                    for row, transforms in group:
                        assert talk.hello is not None  # It has answered.
                        here, there = talk.hello.blender, settings["blender"]
                        if here != there:
                            row.found.notes.append(f"deep: rendered by Blender {there}, rays are cast by {here}")
                        verify_sequence(row, transforms, talk, frames, samples, seed, observe)
                except (WorkerError, SceneError) as exc:
                    text = f"Blender {exc}" if isinstance(exc, WorkerError) else str(exc)
                    for row, _ in group:
                        row.found.add("deep", f"no rays could be cast: {text}", file="transforms.json")


def digest_of(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_arguments(blend: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of the worker's request `open`, so that the scene is as it was rendered. No kind of truth is to be rendered."""
    known = {name: value for name, value in settings.items() if name in FIELDS}
    full = {**dataclasses.asdict(RenderConfig()), **known, "device_type": "cpu", "use_denoising": False, "threads": 0}
    return {
        "blend": str(blend.resolve()),
        "settings": json.loads(json.dumps(full, default=str)),
        "truths": [],
        "expected": settings["scene_sha256"],
        "copies": {},
    }


FIELDS = frozenset(field.name for field in dataclasses.fields(RenderConfig))


@dataclass(frozen=True)
class Pixel:
    """What a dataset says of a pixel."""

    x: int
    y: int
    depth: float | None
    """None if there is no depth; infinite for the background."""
    name: str | None
    """Object's; empty for the background, None if there are no ids."""
    edge: bool
    """Whether the surface ends or bends next to the pixel, or the picture ends: a ray may fall to either side."""
    angle: float = 0.0
    """What it sees of a surface that faces it, in parts of depth; for most cameras its angle in radians."""


@dataclass
class Tally:
    """What became of the pixels of a sequence."""

    compared: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """Why -> how many."""

    def skip(self, why: str) -> None:
        self.skipped[why] = self.skipped.get(why, 0) + 1

    def words(self) -> str:
        skipped = sum(self.skipped.values())
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(self.skipped.items()))
        return f"{self.compared} pixels compared, {skipped} skipped{f' ({reasons})' if reasons else ''}"


def verify_sequence(
    row: SequenceResult,
    transforms: Mapping[str, Any],
    talk: Dialogue,
    frames: int,
    samples: int,
    seed: int,
    observe: ProgressOf,
) -> None:
    """Compare some pixels of some frames."""
    listed = transforms["frames"]
    chosen = sorted({index * (len(listed) - 1) // max(1, frames - 1) for index in range(frames)})
    tally = Tally()
    for done, index in enumerate(chosen, 1):
        values = {**transforms, **listed[index]}
        number = values["frame"]
        pixels = choose_pixels(row.folder, values, samples, np.random.default_rng([seed, number]))
        if pixels is None:
            continue  # Its files are a problem of the check `files`.
        answer = talk.ask("cast", {"frame": number, "pixels": [[p.x + 0.5, p.y + 0.5] for p in pixels]})
        row.found.count("deep")
        compare_camera(row, values, answer["camera"])
        wrong = [
            (pixel, text, expected, found, kind)
            for pixel, hits in zip(pixels, answer["hits"], strict=True)
            for text, expected, found, kind in compare(pixel, hits, answer["uncertain"], tally)
        ]
        for kind in ("depths", "segmentations"):
            here = [item for item in wrong if item[4] == kind]
            if here:
                pixel, text, expected, found, _ = here[0]
                row.found.add(
                    "deep", f"{text} ({len(here)} of {len(pixels)} pixels)", file=values[KINDS[kind].key],
                    frame=number, x=pixel.x, y=pixel.y, expected=expected, found=found,
                )  # fmt: skip
        observe(Verified(f"{row.name} (deep)", done, len(chosen)))
    row.found.notes.append(f"deep: {tally.words()}")


def choose_pixels(
    folder: Path, values: Mapping[str, Any], samples: int, rng: np.random.Generator
) -> list[Pixel] | None:
    """Random pixels of a frame; None if its files cannot be read."""
    camera = Camera.from_document(values)
    model, (height, width) = camera.model, (values["h"], values["w"])
    try:
        depth = read_exr(folder / values["depth_file_path"])["Y"] if "depth_file_path" in values else None
        ids = read_exr(folder / values["segmentation_file_path"])["Y"] if "segmentation_file_path" in values else None
    except (DataError, OSError, KeyError):
        return None
    if any(image is not None and image.shape != (height, width) for image in (depth, ids)):
        return None
    bent = np.zeros((height, width), bool)
    if depth is not None:
        hit = np.isfinite(depth)
        points = unproject(*pixel_centres(camera), np.where(hit, depth.astype(np.float64), np.nan), model)
        low, high = spread3(hit)
        bent = (high & ~(np.maximum(*bend(points, model)) <= CREASE)) | (low != high)
    pixels = []
    for x, y in zip(rng.integers(0, width, samples), rng.integers(0, height, samples), strict=True):
        name: str | None = None
        if ids is not None:
            number = int(ids[y, x])
            name = values["labels"].get(str(number), {"name": ""})["name"] if number else ""
        edge = not (0 < x < width - 1 and 0 < y < height - 1) or bool(bent[y, x])
        if not edge and ids is not None:
            edge = bool((ids[y - 1 : y + 2, x - 1 : x + 2] != ids[y, x]).any())
        # Cycles finds the rays of this row inexactly (see docs/conventions.md).
        edge = edge or (isinstance(model, Fisheye) and abs(y + 0.5 - model.cy) <= 0.5)
        here = None if depth is None else float(depth[y, x])
        size = 0.0 if here is None or np.isinf(here) else pixel_size(x, y, here, model) / here
        pixels.append(Pixel(int(x), int(y), here, name, edge, size))
    return pixels


def pixel_size(x: int, y: int, depth: float, model: CameraModel) -> float:
    """The longer side of what a pixel sees at a depth, scene units; 0 if it sees nothing."""
    sides = [
        [model.unproject(x + 0.5 + end * dx, y + 0.5 + end * dy, depth) for end in (-0.01, 0.01)]
        for dx, dy in ((1, 0), (0, 1))
    ]
    lengths = [float(np.linalg.norm(after - before)) / 0.02 for before, after in sides]
    return max((length for length in lengths if length > 0), default=0.0)  # NaN where there is no ray.


def compare_camera(row: SequenceResult, values: Mapping[str, Any], described: Mapping[str, Any]) -> None:
    there, here = np.array(values["transform_matrix"]), c2w_from_blender(described["matrix_world"])
    scale = max(1.0, float(np.abs(here[:3, 3]).max()))
    if np.abs(there - here).max() > POSE_TOLERANCE * scale:
        row.found.add(
            "deep", "the camera's pose is not that of the .blend", file="transforms.json", frame=values["frame"],
            expected=np.round(here, 6).tolist(), found=np.round(there, 6).tolist(),
        )  # fmt: skip
    camera = camera_from_blender(described)
    settings = {name: described[name] for name in CAMERA_FIELDS if name in described and name in values}
    for name, value in {"camera_model": camera.model, **camera.fields(), **settings}.items():
        if name not in values or not np.all(same(value, values[name])):
            row.found.add(
                "deep", f"{name} is not that of the .blend's camera", file="transforms.json", frame=values["frame"],
                expected=value, found=values.get(name),
            )  # fmt: skip


def same(value: Any, other: Any) -> Any:
    """Whether two values of a camera are the same, but for rounding in double precision."""
    return value == other if isinstance(value, str) else np.isclose(value, other, rtol=1e-9, atol=1e-9)


def compare(
    pixel: Pixel, hits: Sequence[Sequence[Any]], uncertain: Mapping[str, str], tally: Tally
) -> Iterator[tuple[str, Any, Any, str]]:
    """What is wrong with a pixel: text, expected, found, kind. Skips what rays cannot tell, and counts it."""
    doubts = [uncertain[name] for name in [*(hit[0] for hit in hits), pixel.name] if name in uncertain]
    problem: tuple[str, Any, Any, str] | None = None
    if pixel.depth is not None:
        cast = hits[0][1] if hits else np.inf
        allowed = DEPTH_TOLERANCE + (OFF_CENTRE * pixel.angle / max(hits[0][2], 1e-6) if hits else 0.0)
        if np.isfinite(cast) != np.isfinite(pixel.depth):
            seen = "nothing" if np.isfinite(pixel.depth) else f"{hits[0][0]!r} at depth {cast:.6g}"
            problem = (f"rays hit {seen}", float(cast), pixel.depth, "depths")
        elif np.isfinite(cast) and abs(pixel.depth / cast - 1.0) > allowed:
            problem = ("depth is not what rays find", round(cast, 6), pixel.depth, "depths")
    if problem is None and pixel.name is not None:
        names = [hit[0] for hit in hits]
        if (pixel.name == "") != (not names) or (names and pixel.name not in names):
            problem = ("the object is not the one that rays hit", names[0] if names else "nothing",
                       pixel.name or "background", "segmentations")  # fmt: skip
    if problem is None:
        tally.compared += 1
    elif doubts:
        tally.skip(f"with {doubts[0]}")
    elif pixel.edge:
        tally.skip("on an edge")
    else:
        tally.compared += 1
        yield (problem[0], str(problem[1]), str(problem[2]), problem[3])
