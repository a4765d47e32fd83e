"""Optical flow as others store it: KITTI's 16-bit PNG and Middlebury's `.flo`."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from visionsim.dataset.reader import Dataset, Sample
from visionsim.dataset.report import WorkReport
from visionsim.exports.geometry import Work, require_kinds
from visionsim.files import make_folder, whole_file
from visionsim.io.images import write_png

if TYPE_CHECKING:
    from visionsim.types import FloatImage, ProgressFn

    FlowFormat = Literal["kitti", "flo"]

__all__ = ["export_flow", "kitti_flow", "middlebury_flow"]

KITTI_STEPS = 64
"""Per pixel. Source: KITTI 2015 development kit, readme: (value - 2 ** 15) / 64."""

FLO_TAG = 202021.25
"""First number of a .flo file. Source: Middlebury flow benchmark, flow-code/README.txt."""

FLO_UNKNOWN = 1e10
"""What a .flo file holds where there is no flow; readers take more than 1e9 for that."""


def export_flow(
    dataset: Dataset,
    target: Path,
    form: FlowFormat = "kitti",
    *,
    threads: int | None = None,
    progress: ProgressFn = lambda done, total: None,
) -> WorkReport:
    """Write `SEQUENCE/forward/000001.png` (or .flo) and `SEQUENCE/backward/...` for each frame.

    Flow is marked as valid where its motion is known, as occlusions say; without them where a surface was hit, as depth
    or ids say; without all of these, everywhere.

    Args:
        dataset: with flows.
        target: folder; files that are there are written again.
        form: kitti (16-bit PNG, steps of 1/64 pixel, up to 512 pixels) or flo (float32).
        threads: that read ahead; by default as many as there are cores.
        progress: called as frames are done.
    Raises:
        ConfigError: the dataset has no flows.
    """
    require_kinds(dataset, ["flows"], "Optical flow")
    work = Work(f"exported as {'KITTI' if form == 'kitti' else 'Middlebury'} flow", dataset, target, threads, progress)
    hit = next((kind for kind in ("occlusions", "depths", "segmentations") if kind in dataset.kinds), None)
    if hit is None:
        work.note("Flow is valid everywhere: without occlusions, depths or segmentations nobody knows the background.")
    too_long = 0
    for name, sequence in work.sequences.items():
        for sample in work.frames(sequence, ("flows", hit) if hit else ("flows",)):
            for direction, flow in (("forward", sample.forward_flow), ("backward", sample.backward_flow)):
                valid = is_known(sample, hit, direction)
                path = target / name / direction / f"{sample.frame:06d}.{'png' if form == 'kitti' else 'flo'}"
                make_folder(path.parent)
                with whole_file(path, flush=False) as partial:
                    if form == "kitti":
                        pixels = kitti_flow(flow, valid)
                        too_long += int(valid.sum() - pixels[..., 2].sum())
                        write_png(partial, pixels)
                    else:
                        partial.write_bytes(middlebury_flow(flow, valid))
    if too_long:
        work.note(f"{too_long} pixels move by more than KITTI's 512 pixels, and are marked as not valid.")
    return work.done()


def is_known(sample: Sample, kind: str | None, direction: str) -> Any:
    """(H, W) bool: where the motion in a direction is known, as this kind of data says."""
    if kind is None:
        return np.ones(sample.read("flows").shape[:2], bool)
    if kind == "occlusions":
        return sample.occlusions & (1 if direction == "forward" else 4) != 0
    return np.isfinite(sample.depth) if kind == "depths" else sample.instance_ids != 0


def kitti_flow(flow: FloatImage, valid: Any) -> Any:
    """(H, W, 3) uint16: u and v in steps of 1/64 pixel around 2**15, and 1 where they are valid.

    Args:
        flow: (H, W, 2), pixels (right, down).
        valid: (H, W) bool.
    """
    steps = np.rint(flow * KITTI_STEPS) + 2.0**15
    fits = valid & np.all((steps >= 0) & (steps < 2**16), axis=-1)
    return np.concatenate([np.where(fits[..., None], steps, 0), fits[..., None]], axis=-1).astype(np.uint16)


def middlebury_flow(flow: FloatImage, valid: Any) -> bytes:
    """A .flo file.

    Args:
        flow: (H, W, 2), pixels (right, down).
        valid: (H, W) bool.
    """
    height, width = valid.shape
    pixels = np.where(valid[..., None], flow, FLO_UNKNOWN).astype("<f4")
    return struct.pack("<fii", FLO_TAG, width, height) + pixels.tobytes()
