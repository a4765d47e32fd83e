"""What a run writes: the files of a frame from what a worker left in scratch, the documents of a whole sequence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from visionsim import __version__
from visionsim.colorize import colorize
from visionsim.dataset.journal import FrameRecord, Journal, StoredFile, settings_digest
from visionsim.dataset.kinds import KINDS, frame_path
from visionsim.dataset.schema import info_document, transforms_document, write_document
from visionsim.dataset.truth_files import write_truth
from visionsim.errors import DataError
from visionsim.files import flush_folder, make_folder, whole_file
from visionsim.io.exr import read_exr, read_passes
from visionsim.io.images import SUFFIXES, clean_picture, read_pixels
from visionsim.simulation.passes import PASSES, Neighbour, View, with_copies, with_vectors
from visionsim.simulation.plan import SequencePlan, fps_of, step_of

__all__ = ["FrameFormat", "write_documents", "write_frame"]


@dataclass(frozen=True)
class FrameFormat:
    """What a frame's files are and how they are encoded."""

    kinds: Sequence[str]
    """Kinds of ground truth, keys of PASSES."""
    file_format: str
    exr_codec: str
    width: int
    height: int
    previews: bool = False
    """Also write a colour preview beside each file of ground truth."""
    flow_direction: str = "forward"
    """Which flow the previews show."""


def write_frame(folder: Path, frame: int, reply: Mapping[str, Any], form: FrameFormat) -> FrameRecord:
    """Convert, encode and put in place all files of one frame.

    Args:
        folder: the sequence's.
        frame: its number on the (stretched) timeline.
        reply: the worker's answer to `render`.
        form: what to write.
    Raises:
        DataError: the worker's arrays are not what they should be.
        SceneError: the camera cannot be described.
    """
    if gone := [path.name for path in scratch_files(reply) if not path.is_file()]:
        raise DataError(f"the worker did not leave what it said it would: {', '.join(gone)}")
    view = View.from_reply(reply)  # Refuses what we cannot describe before anything is written.
    files: dict[str, Path] = {}
    if form.kinds:
        passes = load_passes(reply, view, form)
        if "occlusions" in form.kinds:
            previous, following = (neighbour_of(reply["neighbours"][side], form) for side in ("previous", "next"))
            view = replace(view, previous=previous, next=following)
        for kind in form.kinds:
            channels = PASSES[kind].convert(passes, view)
            files[kind] = place(folder, kind, frame)
            with whole_file(files[kind], flush=False) as partial:
                write_truth(partial, channels, form.exr_codec)
            if form.previews:
                preview = colorize(kind, channels, flow_direction=form.flow_direction)
                with whole_file(place(folder, kind, frame, KINDS[kind].preview_suffix), flush=False) as partial:
                    Image.fromarray(preview).save(partial)
    files["frames"] = place(folder, "frames", frame, SUFFIXES[form.file_format])
    with whole_file(files["frames"], flush=False) as partial:
        num_channels = clean_picture(Path(reply["picture"]), partial, form.file_format, form.exr_codec)
    for path in files.values():
        flush_folder(path.parent)  # All at the end: the first does it for the others, as far as the file system can.
    stored = {kind: StoredFile.of(folder, files[kind]) for kind in ("frames", *form.kinds)}
    return FrameRecord(frame, num_channels, reply["camera"], stored)


BLACK = 2 / 255
"""Below this everything in a picture is black: dithering of 8 bits may lift it by a step."""


def emptiness(folder: Path, record: FrameRecord) -> list[str]:
    """Why a frame is of no use, one sentence each: no surface is seen, or the picture is black."""
    found = []
    if "depths" in record.files:
        depth = read_exr(folder / record.files["depths"].path)["Y"]
        if not np.isfinite(depth).any():
            found.append("the camera sees nothing: no surface is in the picture")
    if "frames" in record.files:
        pixels = read_pixels(folder / record.files["frames"].path)
        limit = BLACK * np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else BLACK
        if pixels[..., : 3 if pixels.shape[-1] >= 3 else 1].max() <= limit:
            found.append("the picture is black")
    return found


def scratch_files(reply: Mapping[str, Any]) -> list[Path]:
    """The files that a worker's answer names."""
    found = [Path(reply[name]) for name in ("picture", "arrays", "multilayer", "vectors", "copies") if name in reply]
    return found + [path for neighbour in reply.get("neighbours", {}).values() for path in scratch_files(neighbour)]


def place(folder: Path, kind: str, frame: int, suffix: str | None = None) -> Path:
    """Where a file goes; its folder is made."""
    path = folder / frame_path(kind, frame, suffix)
    make_folder(path.parent)
    return path


def neighbour_of(described: Mapping[str, Any], form: FrameFormat) -> Neighbour:
    """The frame before or after one, as the worker describes it."""
    view = View.from_reply(described)
    return Neighbour(load_passes(described, view, form), view)


def load_passes(reply: Mapping[str, Any], view: View, form: FrameFormat) -> Mapping[str, Any]:
    """Blender's passes of a frame: name -> (H, W, C) float32, top row first; each copy has an id of its own.

    Raises:
        DataError: they have another size than the picture.
    """
    passes = stored_passes(Path(reply.get("multilayer", reply.get("arrays"))), reply.get("passes"), reply, form)
    if "vectors" in reply:
        vectors = stored_passes(Path(reply["vectors"]), reply["vector_passes"], reply, form)
        passes = with_vectors(passes, vectors)
    return passes if view.copies is None else with_copies(passes, view)


def stored_passes(
    path: Path, places: Mapping[str, Any] | None, reply: Mapping[str, Any], form: FrameFormat
) -> Mapping[str, Any]:
    """The passes in one file of a worker: arrays one after another at `places`, or None for a multilayer file."""
    shape = (form.height, form.width)
    if places is None:
        passes = read_passes(path, reply["layer"])
    else:
        size = 4 * form.height * form.width * sum(channels for _, channels in places.values())
        if path.stat().st_size != size:
            raise DataError(f"the worker delivered {path.stat().st_size} bytes of passes instead of {size}")
        memory = np.memmap(path, np.float32, mode="r")
        passes = {
            name: memory[offset // 4 : offset // 4 + shape[0] * shape[1] * channels].reshape(*shape, channels)[::-1]
            for name, (offset, channels) in places.items()
        }
    for name, pixels in passes.items():
        if pixels.shape[:2] != shape:
            raise DataError(f"pass {name} is {pixels.shape[1]} x {pixels.shape[0]}, not {shape[1]} x {shape[0]} pixels")
    return passes


def write_documents(plan: SequencePlan, journal: Journal, frames: Sequence[int]) -> None:
    """Write info.json and transforms.json from the journal, which is put in order first; unless all that was done.

    `frames`, in order, are those that the documents are about.
    """
    fps = fps_of(plan.info, journal.settings["keyframe_multiplier"])
    step = step_of(frames)
    about = [frames[0], frames[-1] + step, step]
    if list(frames) != list(range(*about)):
        about = list(frames)
    labels = hashlib.sha256(json.dumps(plan.info.labels).encode()).hexdigest()
    made_from = settings_digest({"visionsim": __version__, "fps": fps, "labels": labels, "frames": about})
    if journal.closed(made_from):
        return
    records = [journal.records[frame] for frame in frames]
    transforms = transforms_document(
        records, settings=journal.settings, fps=fps, frame_step=step, labels=plan.info.labels
    )
    journal.begin()
    write_document("info", plan.folder / "info.json", info_document(records, fps=fps, frame_step=step))
    write_document("transforms", plan.folder / "transforms.json", transforms)
    journal.close(made_from)
