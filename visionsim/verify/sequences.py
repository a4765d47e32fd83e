"""Read what describes a sequence, and check that description: the check `documents`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visionsim.cameras import camera_from_document
from visionsim.dataset.index import KEYS, OF_THE_SEQUENCE, PICTURES, StoredArray, open_array
from visionsim.dataset.journal import DOCUMENTS, FrameRecord, Journal, StoredFile, settings_digest
from visionsim.dataset.kinds import KINDS, frame_path
from visionsim.dataset.schema import info_document, read_document, record_of, transforms_document
from visionsim.errors import DataError, SceneError, SchemaError
from visionsim.verify.report import Found

__all__ = ["Described", "describe"]

RELATIVE = 1e-9
"""Two numbers of the documents that say the same may differ by this: they were computed in double precision."""


@dataclass
class Described:
    """A sequence's documents, as far as they can be read."""

    folder: Path
    transforms: dict[str, Any] | None
    journal: Journal | None

    @property
    def frames(self) -> list[dict[str, Any]]:
        """The values of each frame, those that all share included; `row` is its place."""
        if self.transforms is None:
            return []
        shared = {name: value for name, value in self.transforms.items() if name not in OF_THE_SEQUENCE}
        return [{**shared, **frame, "row": row} for row, frame in enumerate(self.transforms["frames"])]

    @property
    def arrays(self) -> dict[str, StoredArray]:
        """Kinds that one file holds for all frames."""
        entries = (self.transforms or {}).get("arrays", {})
        return {kind: StoredArray(**values) for kind, values in entries.items()}

    @property
    def step(self) -> int:
        """Timeline frames from one file to the next."""
        numbers = [frame["frame"] for frame in self.frames]
        return numbers[1] - numbers[0] if len(numbers) > 1 else 1

    @property
    def kinds(self) -> tuple[str, ...]:
        frames = self.frames
        return tuple(kind for kind, row in KINDS.items() if frames and (row.key in frames[0] or kind in self.arrays))


def describe(folder: Path, found: Found) -> Described:
    """Read a sequence's documents and check that they agree; what is wrong goes to `found`."""
    described = Described(folder, None, None)
    try:
        described.journal = Journal.read(folder)
    except (DataError, OSError) as exc:
        found.add("documents", str(exc), file=".visionsim/journal.jsonl")
    documents: dict[str, dict[str, Any]] = {}
    if described.journal is not None and not any((folder / name).exists() for name in DOCUMENTS):
        found.unfinished = True
        return described
    for kind in ("transforms", "info"):
        path = folder / f"{kind}.json"
        if not path.exists():
            found.add("documents", missing(path, described.journal), file=path.name)
            continue
        try:
            documents[kind] = read_document(kind, path)
        except (SchemaError, OSError) as exc:
            found.add("documents", str(exc).replace(f" File: {path}", ""), file=path.name)
            continue
        found.count("documents")
    described.transforms = documents.get("transforms")
    if described.transforms is None:
        return described
    if described.journal is None:
        found.notes.append("there is no journal: whether files are byte for byte what was written is not known")
    else:
        found.count("documents")
    check_frames(described, found)
    check_values(described, documents.get("info"), found)
    for frame in described.frames:
        try:
            camera_from_document(frame)
        except DataError as exc:
            found.add("documents", f"the frame has no camera: {exc}", file="transforms.json", frame=frame["frame"])
            described.transforms = None  # Nothing can be said of the frames.
            break
    return described


def missing(path: Path, journal: Journal | None) -> str:
    if journal is None:
        return f"{path.name} is missing: the sequence is unfinished, or something removed it"
    return (
        f"{path.name} is missing: the sequence is unfinished, with {len(journal.records)} frames recorded; "
        "run the command that makes it again"
    )


def check_frames(described: Described, found: Found) -> None:
    """Frame numbers are complete; every frame has the same kinds, in files that are there and named after it."""
    frames = described.frames
    numbers = [frame["frame"] for frame in frames]
    expected = list(range(numbers[0], numbers[0] + described.step * len(numbers), described.step or 1))
    if described.step < 1 or numbers != expected:
        at = next((n for n, wanted in zip(numbers, expected, strict=False) if n != wanted), numbers[0])
        found.add(
            "documents",
            f"frames are not in order and complete, {described.step} apart",
            file="transforms.json",
            frame=at,
            expected=expected[numbers.index(at)] if len(expected) > numbers.index(at) else None,
            found=at,
        )
    keys = {row.key for row in KINDS.values()}
    arrays = described.arrays
    for kind, stored in arrays.items():
        try:
            shape = (frames[0]["h"], frames[0]["w"], frames[0]["c"])
            open_array(described.folder, kind, stored, len(frames), shape)
        except DataError as exc:
            found.add("files", str(exc).replace(f": {described.folder / stored.file}", ""), file=stored.file)
    for frame in frames:
        own = {KINDS[kind].key for kind in described.kinds if kind not in arrays}
        missing_keys = sorted(own ^ (keys & set(frame)))
        if missing_keys:
            found.add(
                "documents",
                f"{', '.join(missing_keys)} is not in every frame, or not in the first",
                file="transforms.json",
                frame=frame["frame"],
            )
        suffix = Path(frame.get("file_path", "")).suffix
        for key, kind in (("file_path", "frames"), *((row.key, kind) for kind, row in KINDS.items())):
            if key not in frame:
                continue
            wanted = str(frame_path(kind, frame["frame"], suffix if kind == "frames" else None))
            if frame[key] != wanted:
                found.add(
                    "documents",
                    f"{key} names another frame's file",
                    file="transforms.json",
                    frame=frame["frame"],
                    expected=wanted,
                    found=frame[key],
                )
            if not (described.folder / frame[key]).is_file():
                found.add("files", "the file is missing", file=frame[key], frame=frame["frame"])


def check_values(described: Described, info: Mapping[str, Any] | None, found: Found) -> None:
    """The documents are what would be written anew: from the journal, and from Blender's values in transforms.json.

    Raises nothing: what cannot be computed is a problem.
    """
    transforms = described.transforms
    assert transforms is not None
    generator = transforms["generator"]
    if settings_digest(generator["settings"]) != generator["settings_digest"]:
        found.add(
            "documents",
            "generator.settings_digest is not that of generator.settings",
            file="transforms.json",
            expected=settings_digest(generator["settings"]),
            found=generator["settings_digest"],
        )
    frames = described.frames
    if ("segmentations" in described.kinds) != ("labels" in transforms):
        found.add("documents", "there are labels without segmentations, or none for them", file="transforms.json")
    settings = generator["settings"]
    for key, name in (("w", "width"), ("h", "height")):
        if name in settings and frames[0].get(key) != settings[name]:
            found.add(
                "documents",
                f"{key} is not what generator.settings say",
                file="transforms.json",
                expected=settings[name],
                found=frames[0].get(key),
            )
    sources: list[tuple[str, list[FrameRecord]]] = []
    try:
        own = [record_of(values, files_of(values, described.kinds)) for values in frames]
        sources.append(("its own camera values", own))
    except KeyError as exc:
        found.add("documents", f"the camera has no value {exc}", file="transforms.json")
    if described.journal is not None:
        if described.journal.settings != settings:
            found.add("documents", "generator.settings are not those of the journal", file="transforms.json")
        records = [described.journal.records.get(frame["frame"]) for frame in frames]
        gone = [frame["frame"] for frame, record in zip(frames, records, strict=True) if record is None]
        for number in gone:
            found.add("documents", "the frame is not in the journal", file=".visionsim/journal.jsonl", frame=number)
        if not gone:
            sources.append(("the journal", [record for record in records if record is not None]))
    for source, records_of_source in sources:
        compare_with(source, records_of_source, described, info, found)


def files_of(values: Mapping[str, Any], kinds: Sequence[str]) -> dict[str, StoredFile]:
    """The files of a frame of transforms.json; their sizes and checksums it does not tell."""
    return {kind: StoredFile(values.get(KEYS[kind], ""), 0, "") for kind in (PICTURES, *kinds)}


def compare_with(
    source: str,
    records: Sequence[FrameRecord],
    described: Described,
    info: Mapping[str, Any] | None,
    found: Found,
) -> None:
    transforms, step = described.transforms, described.step
    assert transforms is not None
    fps = transforms["fps"] * step
    try:
        wanted = transforms_document(
            records, settings=transforms["generator"]["settings"], fps=fps, frame_step=step,
            labels=transforms.get("labels", {}), arrays=transforms.get("arrays", {}),
        )  # fmt: skip
        wanted_info = info_document(records, fps=fps, frame_step=step)
    except (SceneError, KeyError, ArithmeticError, ValueError) as exc:
        found.add("documents", f"no camera is like that of {source}: {exc}", file="transforms.json")
        return
    # The words may change from version to version, and a value that differs in one frame stands in all of them.
    values = {frame["frame"]: frame for frame in described.frames}
    shared = {name: value for name, value in wanted.items() if name not in OF_THE_SEQUENCE}
    for frame in wanted["frames"]:
        report_difference({**shared, **frame}, values[frame["frame"]], source, "transforms.json", frame["frame"], found)
    multiplier = {"keyframe_multiplier": wanted["keyframe_multiplier"]}
    report_difference(multiplier, transforms, source, "transforms.json", None, found)
    if info is not None:
        report_difference(wanted_info, info, source, "info.json", None, found)


def report_difference(
    wanted: Mapping[str, Any], there: Mapping[str, Any], source: str, file: str, frame: int | None, found: Found
) -> None:
    """Report the first of `wanted` that is not `there`."""
    for name in wanted:
        for path, expected, value in differences(wanted[name], there.get(name), name):
            problem = f"{path} is not what follows from {source}"
            if not any(p.message.startswith(f"{path} is not") and p.frame == frame for p in found.problems):
                found.add("documents", problem, file=file, frame=frame, expected=expected, found=value)
            return


def differences(wanted: Any, there: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ: path, expected, found."""
    if isinstance(wanted, list) and isinstance(there, list) and len(wanted) == len(there):
        for index, (a, b) in enumerate(zip(wanted, there, strict=True)):
            yield from differences(a, b, f"{path}[{index}]")
    elif isinstance(wanted, float) and isinstance(there, int | float):
        if not math.isclose(wanted, there, rel_tol=RELATIVE, abs_tol=RELATIVE):
            yield path, wanted, there
    elif wanted != there:
        yield path, wanted, there
