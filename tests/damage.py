"""Ways to damage a good dataset, each with the files that verification has to name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from visionsim.dataset.journal import FrameRecord, Journal, StoredFile
from visionsim.dataset.kinds import frame_path
from visionsim.dataset.truth_files import read_channels, write_truth

TRUTHS = ("depths", "normals", "segmentations", "flows", "occlusions")

Damage = Callable[[Path, list[int]], "set[str]"]
"""(sequence, its frame numbers) -> files that are wrong now."""


def file_of(kind: str, frame: int) -> str:
    return str(frame_path(kind, frame, ".png" if kind == "frames" else None))


def edit(root: Path, kind: str, frame: int, change: Callable[[dict[str, Any]], dict[str, Any]]) -> set[str]:
    name = file_of(kind, frame)
    write_truth(root / name, change(read_channels(root / name)), "ZIP")
    return {name}


def swap(root: Path, kinds: tuple[str, ...], a: int, b: int) -> set[str]:
    names = set()
    for kind in kinds:
        first, second = root / file_of(kind, a), root / file_of(kind, b)
        first.rename(root / "aside")
        second.rename(first)
        (root / "aside").rename(second)
        names |= {file_of(kind, a), file_of(kind, b)}
    return names


def truncate(root: Path, kind: str, frame: int) -> set[str]:
    path = root / file_of(kind, frame)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return {file_of(kind, frame)}


def document(root: Path, change: Callable[[dict[str, Any]], None]) -> set[str]:
    path = root / "transforms.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return {"transforms.json"}


def change_bits(root: Path, frame: int, how: Callable[[Any], Any]) -> set[str]:
    return edit(root, "occlusions", frame, lambda c: {"Y": np.where(c["Y"] != 0, how(c["Y"]), 0).astype(np.uint8)})


def flow_sign(root: Path, frames: list[int]) -> set[str]:
    return edit(root, "flows", frames[2], lambda c: {name: -pixels for name, pixels in c.items()})


def flow_sign_everywhere(root: Path, frames: list[int]) -> set[str]:
    return set().union(*(flow_sign(root, [0, 0, frame]) for frame in frames))


def depth_scale(root: Path, frames: list[int]) -> set[str]:
    return edit(root, "depths", frames[2], lambda c: {"Y": c["Y"] * np.float32(1.001)})


def depth_scale_everywhere(root: Path, frames: list[int]) -> set[str]:
    return set().union(*(depth_scale(root, [0, 0, frame]) for frame in frames))


def shifted_centre(root: Path, frames: list[int]) -> set[str]:
    """By a pixel to the right; of a panorama, the same by its longitudes."""

    def change(content: dict[str, Any]) -> None:
        for values in (content, *content["frames"]):
            if "cx" in values:
                values["cx"] += 1.0
            if "longitude_min" in values:
                pixel = (values["longitude_max"] - values["longitude_min"]) / values["w"]
                values.update({name: values[name] - pixel for name in ("longitude_min", "longitude_max")})

    return document(root, change)


def renumbered_label(root: Path, frames: list[int]) -> set[str]:
    def change(content: dict[str, Any]) -> None:
        ids = read_channels(root / file_of("segmentations", frames[0]))["Y"]
        content["labels"]["9999"] = content["labels"].pop(str(np.unique(ids[ids > 0])[0]))

    document(root, change)
    return {file_of("segmentations", frame) for frame in frames}  # Their ids have no label.


def renumbered_id(root: Path, frames: list[int]) -> set[str]:
    """The object with most pixels gets the id of another, in one file."""

    def change(channels: dict[str, Any]) -> dict[str, Any]:
        numbers, counts = np.unique(channels["Y"][channels["Y"] > 0], return_counts=True)
        first, second = numbers[np.argsort(counts)[[-1, -2]]]
        return {"Y": np.where(channels["Y"] == first, second, channels["Y"]).astype(np.uint32)}

    return edit(root, "segmentations", frames[2], change)


DAMAGES: dict[str, Damage] = {
    "flow sign": flow_sign,
    "flow sign everywhere": flow_sign_everywhere,
    **{
        f"{kind} of two frames swapped": lambda root, frames, kind=kind: swap(root, (kind,), frames[1], frames[-2])
        for kind in (*TRUTHS, "frames")
    },
    **{
        f"{kind} of two neighbours swapped": lambda root, frames, kind=kind: swap(root, (kind,), frames[2], frames[3])
        for kind in (*TRUTHS, "frames")
    },
    "two frames swapped": lambda root, frames: swap(root, (*TRUTHS, "frames"), frames[1], frames[-2]),
    "occlusions say that all is hidden": lambda root, frames: change_bits(root, frames[1], lambda bits: bits & 5),
    "occlusions say that all is visible": lambda root, frames: change_bits(root, frames[1], lambda bits: bits | 15),
    "occlusions say that nothing is known": lambda root, frames: change_bits(root, frames[1], lambda bits: bits & 12),
    "occlusions have a bit too many": lambda root, frames: change_bits(root, frames[1], lambda bits: bits | 16),
    "occlusions see what is unknown": lambda root, frames: change_bits(root, frames[1], lambda bits: bits & 14 | 2),
    "depth truncated": lambda root, frames: truncate(root, "depths", frames[1]),
    "flow truncated": lambda root, frames: truncate(root, "flows", frames[1]),
    "picture truncated": lambda root, frames: truncate(root, "frames", frames[1]),
    "depth scaled": depth_scale,
    "depth scaled everywhere": depth_scale_everywhere,
    "shifted centre": shifted_centre,
    "renumbered label": renumbered_label,
    "renumbered id": renumbered_id,
}
"""What -> how. Each must be found whether the journal tells of it or not."""


def without_journal(root: Path) -> None:
    shutil.rmtree(root / ".visionsim")


def with_new_journal(root: Path) -> None:
    """The journal tells of the damaged files, as if they had been written so."""
    journal = Journal.read(root)
    assert journal is not None
    for frame, record in list(journal.records.items()):
        files = {kind: StoredFile.of(root, root / file.path) for kind, file in record.files.items()}
        journal.records[frame] = FrameRecord(frame, record.channels, record.camera, files)
    journal.begin()


JOURNALS: dict[str, Callable[[Path], None]] = {
    "journal as it was": lambda root: None,
    "no journal": without_journal,
    "journal rewritten": with_new_journal,
}
