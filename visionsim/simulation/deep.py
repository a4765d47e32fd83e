"""`visionsim verify --deep`: pixels of a dataset against rays that Blender casts into the .blend it was made from.

The dataset does not hold the .blend's path, but its SHA-256: it is looked for in a folder of scenes. It is opened with
the settings that are stored with the sequence, so that time, camera and visibility are those of the render.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from visionsim.cameras import c2w_from_blender, camera_from_blender
from visionsim.dataset.journal import Journal
from visionsim.dataset.kinds import KINDS
from visionsim.dataset.schema import CAMERA_FIELDS, read_document
from visionsim.errors import DataError, SceneError, SchemaError, WorkerError
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.dialogue import Dialogue
from visionsim.simulation.pixels import MOST_OBJECTS, Stored, Tally, compare
from visionsim.simulation.plan import find_scenes
from visionsim.simulation.process import blender_command
from visionsim.verify.report import BENT, ProgressOf, SequenceResult, Verified, VerifyReport

__all__ = ["verify_deep"]

POSE_TOLERANCE = 1e-6
"""Of camera matrices: they are the same numbers, unless something else was rendered."""


def verify_deep(
    report: VerifyReport,
    scenes_dir: Path,
    *,
    executable: str | None = None,
    frames: int = 5,
    samples: int = 256,
    seed: int = 0,
    observe: ProgressOf = lambda event: None,
) -> None:
    """Add the check `deep` to a report.

    Args:
        report: of `visionsim.verify.run.verify`; what is found is added to its sequences.
        scenes_dir: folder of the .blend files.
        executable: Blender to ask; see `RenderConfig.executable`.
        frames: of each sequence, evenly spread.
        samples: pixels of each of them; one of each id, and one of each object that rays find, come in addition.
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
        if was_edited(row.folder):
            row.found.skip("deep", "sequences of a scene that a script edited: its .blend does not have those edits")
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
                        if BENT in row.found.skipped.get("normals", {}):  # This names the map, if one is missing.
                            row.found.notes += [f"deep: {sentence}" for sentence in talk.ask("missing", {})["missing"]]
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


def was_edited(folder: Path) -> bool:
    """Whether the journal says that frames were rendered after a script had changed the scene."""
    try:
        journal = Journal.read(folder)
    except (DataError, OSError):
        return False
    return journal is not None and any(record.edits for record in journal.records.values())


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
        stored = Stored.read(row.folder, values)
        if stored is None:
            row.found.skip("deep", "frames whose files cannot be read")  # A problem of the check `files`.
            continue
        places = stored.places(samples, np.random.default_rng([seed, number]))
        asked = [[x + 0.5, y + 0.5] for x, y in places]
        answer = talk.ask("cast", {"frame": number, "pixels": asked, "probes": MOST_OBJECTS})
        row.found.count("deep")
        compare_camera(row, values, answer["camera"])
        places += [(int(x), int(y)) for x, y in answer["probes"]]
        hits = [*answer["hits"], *answer["probe_hits"]]
        wrong = [
            (x, y, *problem)
            for (x, y), rays in zip(places, hits, strict=True)
            for problem in compare(stored.pixel(x, y), rays, answer["uncertain"], tally)
        ]
        for kind in ("depths", "segmentations"):
            here = [item for item in wrong if item[5] == kind]
            if here:
                x, y, text, expected, found, _ = here[0]
                row.found.add(
                    "deep", f"{text} ({len(here)} of {len(places)} pixels)", file=values[KINDS[kind].key],
                    frame=number, x=x, y=y, expected=expected, found=found,
                )  # fmt: skip
        observe(Verified(f"{row.name} (deep)", done, len(chosen)))
    row.found.notes.append(f"deep: {tally.compared} pixels compared with rays")
    for why, count in sorted(tally.skipped.items()):
        row.found.skip("deep", f"pixels {why}", count)


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
