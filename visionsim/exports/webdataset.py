"""WebDataset shards: tar files in which members of one name up to the first dot are a sample.

Source of the format: https://github.com/webdataset/webdataset, README, "The WebDataset Format".
"""

from __future__ import annotations

import io
import re
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from visionsim.cameras import Intrinsics
from visionsim.dataset.index import PICTURES
from visionsim.dataset.kinds import KINDS
from visionsim.dataset.reader import Dataset, Sample
from visionsim.dataset.report import WorkReport
from visionsim.errors import ConfigError
from visionsim.exports.frames import (
    ARRAYS,
    arrays_of,
    conventions_of,
    depth_kinds_of,
    made_of,
    meaning_of,
    parts_of,
)
from visionsim.files import make_folder, whole_file, write_json
from visionsim.io.images import encode_png

if TYPE_CHECKING:
    from visionsim.types import ProgressFn

__all__ = ["export_webdataset"]

SHARD_SIZE = 1_000_000_000
"""Bytes of a shard, unless one says."""

WHOLE = "all"
"""What shards are called that are not of a part of the dataset."""


@dataclass(frozen=True)
class Run:
    """Successive frames of a sequence that are in one shard."""

    sequence: str
    start: int
    stop: int


def export_webdataset(
    dataset: Dataset | Mapping[str, Dataset],
    target: Path,
    *,
    shard_size: int = SHARD_SIZE,
    threads: int | None = None,
    progress: ProgressFn = lambda done, total: None,
) -> WorkReport:
    """Write `all-000000.tar`, `all-000001.tar` ... and `all.json`, which says what is in them.

    The same data gives the same bytes.

    Args:
        dataset: with any kinds of data; or several by name, which their shards have instead of `all`.
        target: folder; files that are there are written again.
        shard_size: bytes of a shard, roughly. Only a sequence that is larger is divided.
        threads: that read and encode; by default as many as there are cores.
        progress: called as frames are done.
    Raises:
        ConfigError: the folder has more shards than will be written, or two samples would have the same name.
    """
    started = time.monotonic()
    parts = {name or WHOLE: part.sequences() for name, part in parts_of(dataset).items()}
    plans = {name: plan_shards(sequences, shard_size) for name, sequences in parts.items()}
    for name, sequences in parts.items():
        check_keys(sequences)
        check_target(target, name, len(plans[name]))
    report = WorkReport("exported as WebDataset", target)
    total, done = sum(len(sequence) for part in parts.values() for sequence in part.values()), 0
    make_folder(target)
    for name, sequences in parts.items():
        shards = []
        for number, runs in enumerate(plans[name]):
            path, before = target / shard_name(name, number), report.frames
            with whole_file(path) as partial, tarfile.open(partial, "w") as tar:
                for run in runs:
                    frames = sequences[run.sequence][run.start : run.stop]
                    for _, files in made_of(frames, files_of, report, threads, progress, done, total):
                        for member, content in files.items():
                            add(tar, member, content)
                        report.frames += 1
                    done += len(frames)
            shards.append({"file": path.name, "samples": report.frames - before, "runs": described(runs, sequences)})
        write_json(target / f"{name}.json", {"shards": shards, **description(sequences)})
    report.elapsed = time.monotonic() - started
    return report


def plan_shards(sequences: Mapping[str, Dataset], shard_size: int) -> list[list[Run]]:
    """What goes into which shard, by what frames take in memory: it does not depend on which ones can be read.

    Raises:
        ConfigError: a shard cannot be that small.
    """
    if shard_size < 1:
        raise ConfigError(f"The size of shards must be positive, not {shard_size}")
    shards: list[list[Run]] = [[]]
    room = shard_size
    for name, sequence in sequences.items():
        size = frame_size(sequence[0])
        if shards[-1] and len(sequence) * size > room:
            shards.append([])
            room = shard_size
        step = max(1, room // size)
        for start in range(0, len(sequence), step):
            if start:
                shards.append([])
                room = shard_size
            stop = min(start + step, len(sequence))
            shards[-1].append(Run(name, start, stop))
            room -= (stop - start) * size
    return shards


def frame_size(sample: Sample) -> int:
    """Bytes of a frame, but for its JSON."""
    values = sample.source.camera_values(sample.row)
    pixels: int = values["w"] * values["h"]
    path = sample.path(PICTURES)
    picture = path.stat().st_size if path and path.exists() else pixels * values["c"]
    return picture + pixels * sum(4 * len(KINDS[kind].channels) for kind in sample.kinds if kind in KINDS)


def shard_name(name: str, number: int) -> str:
    return f"{name}-{number:06d}.tar"


def check_target(target: Path, name: str, count: int) -> None:
    """Raise ConfigError if there are shards that will not be written again, such as those of an earlier export."""
    written = {shard_name(name, number) for number in range(count)}
    found = {path.name for path in target.glob(f"{name}-*.tar")} - written
    stale = sorted(file for file in found if re.fullmatch(re.escape(name) + r"-\d{6,}\.tar", file))
    if stale:
        raise ConfigError(
            f"{stale[0]} would be taken for one of the {count} shards to be written: remove what an earlier export "
            f"left, or choose another folder than {target}"
        )


def check_keys(sequences: Mapping[str, Dataset]) -> None:
    """Raise ConfigError unless each sequence's samples have names of their own."""
    owners: dict[str, str] = {}
    for name in sequences:
        other = owners.setdefault(key_of(name), name)
        if other != name:
            raise ConfigError(f"Samples of {other} and of {name} would have the same names; rename one of both folders")


def key_of(sequence: str) -> str:
    """A sequence's name without slashes and dots, which divide a member's name into folder, key and extension."""
    return re.sub(r"[/.]", "_", sequence)


def files_of(sample: Sample) -> dict[str, bytes]:
    """Name in the tar file -> content, of all that there is of a frame."""
    arrays = arrays_of(sample)
    picture = sample.picture  # Decoded even if its file is copied: it may be damaged.
    path = sample.path(PICTURES)
    files = {}
    if picture.dtype.kind == "f":  # No decoder of WebDataset's reads OpenEXR.
        arrays = {"picture": picture, **arrays}
    elif path is None:
        files["png"] = encode_png(picture)
    else:
        files[path.suffix[1:]] = path.read_bytes()
    files.update({f"{name}.npy": npy(array) for name, array in arrays.items()})
    files["json"] = msgspec.json.encode(values_of(sample))
    key = f"{key_of(sample.sequence)}_{sample.frame:06d}"
    return {f"{key}.{extension}": content for extension, content in files.items()}


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    return stream.getvalue()


def values_of(sample: Sample) -> dict[str, Any]:
    """All of a frame that is not pixels; of the labels those of objects that are seen."""
    camera, head = sample.camera, sample.source.head
    values: dict[str, Any] = {
        "sequence": sample.sequence,
        "frame": sample.frame,
        "time": sample.time,
        "fps": head["fps"],
        "c2w": sample.c2w.tolist(),
    }
    if isinstance(camera, Intrinsics):
        values["K"] = camera.K.tolist()
    values["camera"] = sample.source.camera_values(sample.row)
    if "segmentations" in sample.kinds:
        seen = map(str, np.unique(sample.instance_ids).tolist())
        values["labels"] = {number: head["labels"][number] for number in seen if number in head["labels"]}
    return values


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file; its owner, mode and date are those of a new TarInfo, always the same."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def described(runs: Sequence[Run], sequences: Mapping[str, Dataset]) -> list[dict[str, Any]]:
    """The frames of a shard in the words of its JSON file."""
    found = []
    for run in runs:
        frames = sequences[run.sequence].frames[run.start : run.stop]
        found.append({"sequence": run.sequence, "first_frame": int(frames[0]), "last_frame": int(frames[-1])})
    return found


def description(sequences: Mapping[str, Dataset]) -> dict[str, Any]:
    """What holds for all samples: conventions, meaning of arrays, all labels of each sequence."""
    sources = {name: sequence[0].source for name, sequence in sequences.items()}
    depth_kinds = set().union(*(depth_kinds_of(sequence) for sequence in sequences.values()))
    kinds = {kind for source in sources.values() for kind in source.kinds}
    return {
        "conventions": conventions_of(next(iter(sources.values()))),
        "arrays": {
            name: {"unit": unit, "meaning": meaning_of(name, depth_kinds)}
            for name, (kind, unit, _) in ARRAYS.items()
            if kind in kinds
        },
        "labels": {name: source.head.get("labels", {}) for name, source in sources.items()},
    }
