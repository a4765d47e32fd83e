"""What the exporters of cameras, pictures and depth have in common."""

from __future__ import annotations

import errno
import math
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.color import srgb_from_linear
from visionsim.dataset.folders import folder_of
from visionsim.dataset.reader import Dataset, Sample
from visionsim.dataset.report import DamagedFrame, WorkReport
from visionsim.dataset.splits import read_splits
from visionsim.errors import ConfigError
from visionsim.files import make_folder, whole_file
from visionsim.io.images import write_png

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visionsim.types import FloatImage, Matrix, ProgressFn

__all__ = [
    "PARTS",
    "DepthFiles",
    "Parts",
    "Pictures",
    "Work",
    "eight_bit",
    "opencv_c2w",
    "pixel_centres",
    "quaternion",
    "require_kinds",
    "require_models",
    "require_positive",
    "resting",
    "save_png",
    "scaled",
]

PARTS = ("train", "val", "test")
"""Of a dataset, as others name them."""


class Work:
    """Goes through the frames of a dataset, and reports."""

    def __init__(self, what: str, dataset: Dataset, target: Path, threads: int | None, progress: ProgressFn) -> None:
        """`what` it is, in words, such as `exported as COLMAP models`."""
        self.report = WorkReport(what, target)
        self.sequences = dataset.sequences()
        self._total, self._threads, self._progress = len(dataset), threads, progress
        self._started = time.monotonic()

    def frames(self, sequence: Dataset, kinds: Iterable[str]) -> Iterator[Sample]:
        """Samples with these kinds of data read, of those the sequence has; damaged ones go into the report."""

        def damaged(sample: Sample, error: Exception) -> None:
            self.report.damaged.append(DamagedFrame.of(sample, error))

        there = [kind for kind in kinds if kind in sequence.kinds]
        for sample in sequence.iterate(there, self._threads, damaged):
            yield sample
            self.report.frames += 1
            self._progress(self.report.frames + len(self.report.damaged), self._total)

    def note(self, text: str) -> None:
        """Tell it once."""
        if text not in self.report.notes:
            self.report.notes.append(text)

    def done(self) -> WorkReport:
        self.report.elapsed = time.monotonic() - self._started
        return self.report


def require_kinds(dataset: Dataset, kinds: Iterable[str], what: str) -> None:
    """Raise ConfigError unless all sequences have these kinds of data."""
    for kind in kinds:
        if kind not in dataset.kinds:
            raise ConfigError(f"{what} needs {kind}, and there are only {', '.join(dataset.kinds)}")


def require_models(dataset: Dataset, models: Collection[str], what: str, *, constant: bool = False) -> None:
    """Raise ConfigError unless the camera of every frame is of one of these models.

    Args:
        models: `camera_model` as in transforms.json.
        what: the format, in words.
        constant: the camera must be the same in all frames of a sequence.
    """
    for name, sequence in dataset.sequences().items():
        first = sequence[0].camera
        for sample in sequence:
            if sample.camera.model not in models:
                raise ConfigError(
                    f"{what} has no camera of model {sample.camera.model}, only {', '.join(models)}: "
                    f"leave out the sequence {name}"
                )
            if constant and sample.camera != first:
                raise ConfigError(
                    f"{what} has one camera for all frames, and that of the sequence {name} changes at frame "
                    f"{sample.frame}: leave it out"
                )


def require_positive(**values: float | None) -> None:
    """Raise ConfigError unless these options are finite and more than 0, or None."""
    for name, value in values.items():
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f"{name} must be positive, not {value}")


@dataclass(frozen=True)
class Parts:
    """Which frames are for training, validation and testing."""

    val: float = 0.1
    """Part of each sequence's frames, taken at even distances."""
    test: float = 0.1
    of_sequences: Mapping[str, str] | None = None
    """Name of a sequence -> the part that all its frames are of; instead of the above."""

    def __post_init__(self) -> None:
        if not (0 <= self.val and 0 <= self.test and self.val + self.test < 1):
            raise ConfigError(f"val ({self.val}) and test ({self.test}) are parts of 1, and leave some for training")

    @classmethod
    def of_splits(cls, root: Path, dataset: Dataset) -> Parts:
        """As `splits.json` in the datasets folder says.

        Raises:
            InputNotFound: there is none.
            ConfigError: it has other parts than train, val and test, or leaves out a sequence.
        """
        root = folder_of(root)
        parts = read_splits(root)
        if other := set(parts) - set(PARTS):
            raise ConfigError(f"splits.json has {', '.join(sorted(other))}; this format has only {', '.join(PARTS)}")
        part_of = {folder: part for part, folders in parts.items() for folder in folders}
        found = {}
        for name, sequence in dataset.sequences().items():
            folder = sequence[0].source.folder.relative_to(root).as_posix()
            if folder not in part_of:
                raise ConfigError(f"splits.json does not say which part the sequence {name} is of: {root}")
            found[name] = part_of[folder]
        return cls(of_sequences=found)

    def of(self, name: str, count: int) -> list[str]:
        """The part of each frame of a sequence. Three frames or more have one in each part; fewer are for training."""
        if self.of_sequences is not None:
            return [self.of_sequences[name]] * count
        parts = ["train"] * count
        for part, share in (("test", self.test), ("val", self.val)):
            left = [index for index in range(count) if parts[index] == "train"]
            wanted = min(max(round(share * count), 1), len(left) - 1) if share and count >= 3 else 0
            for turn in range(wanted):
                parts[left[int((turn + 0.5) * len(left) / wanted)]] = part
        return parts


def opencv_c2w(c2w: Matrix) -> Matrix:
    """(4, 4) for a camera whose axes are right, down, forward, of one whose axes are right, up, back."""
    turned: Matrix = c2w * [1.0, -1.0, -1.0, 1.0]
    return turned


def scaled(c2w: Matrix, scale: float) -> Matrix:
    """(4, 4): the pose in a world that is `scale` times as large."""
    larger = c2w.copy()
    larger[:3, 3] *= scale
    return larger


def quaternion(rotation: Matrix) -> Matrix:
    """(4,) unit quaternion w x y z, w >= 0, of a rotation matrix (3, 3).

    Source:
        I. Bar-Itzhack, New Method for Extracting the Quaternion from a Rotation Matrix, 2000: it is the eigenvector
        to the largest eigenvalue of a symmetric matrix, for any rotation, without cases.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    found: Matrix = np.linalg.eigh(symmetric)[1][:, -1]
    return found * math.copysign(1.0, found[0])


def pixel_centres(height: int, width: int) -> tuple[Matrix, Matrix]:
    """x and y, (H, W) each."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return x, y


def resting(sample: Sample, moving: Collection[int]) -> NDArray[np.bool_]:
    """(H, W): where something was hit that is none of the objects `moving`, by id; these need segmentations."""
    hit: NDArray[np.bool_] = np.isfinite(sample.depth)
    if moving:
        hit &= ~np.isin(sample.instance_ids, list(moving))
    return hit


def save_png(path: Path, pixels: Any) -> None:
    """Whole or not at all; makes the folder."""
    make_folder(path.parent)
    with whole_file(path, flush=False) as partial:
        write_png(partial, pixels)


class Pictures:
    """Writes 8-bit pictures: the dataset's own files where they will do, else PNG."""

    def __init__(
        self, work: Work, *, suffixes: Collection[str] = (".png",), channels: Collection[int] = (3, 4), link: bool
    ) -> None:
        """What the format takes: `suffixes` of files, numbers of `channels`. `link`: hard links, not copies."""
        self._work, self._suffixes, self._channels, self._link = work, suffixes, channels, link

    def save(self, sample: Sample, stem: Path) -> Path:
        """Write the picture; `stem` is the path but for its suffix."""
        pixels, source = sample.picture, sample.path("frames")
        as_it_is = pixels.dtype == np.uint8 and pixels.shape[2] in self._channels
        if as_it_is and source is not None and source.suffix in self._suffixes:
            path = stem.with_name(stem.name + source.suffix)
            make_folder(path.parent)
            if not (self._link and self._linked(source, path)):
                with whole_file(path, flush=False) as partial:
                    shutil.copyfile(source, partial)
            return path
        if pixels.dtype == np.uint16:
            self._work.note("Pictures of 16 bits are written with 8, which is what the format's readers take.")
        elif pixels.dtype != np.uint8:
            self._work.note(
                "Scene-linear pictures are written as 8-bit sRGB, clipped at 1, without the scene's view transform."
            )
        path = stem.with_name(stem.name + ".png")
        save_png(path, eight_bit(pixels, alpha=4 in self._channels))
        return path

    def _linked(self, source: Path, target: Path) -> bool:
        """Make a hard link, if that can be done."""
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            os.link(source, partial)
            os.replace(partial, target)
        except OSError as exc:
            if exc.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise
            self._work.note(f"Pictures are copied: hard links cannot be made there ({exc.strerror}).")
            return False
        finally:
            partial.unlink(missing_ok=True)  # It is left if the target was that link before.
        return True


def eight_bit(pixels: Any, *, alpha: bool = True) -> NDArray[np.uint8]:
    """(H, W, 3) or, of pixels with alpha, (H, W, 4), of pictures of any type and number of channels.

    Args:
        pixels: (H, W, C): uint8 or uint16, encoded, with straight alpha; or float, linear, with associated alpha, which
            is what Blender writes as PNG and as OpenEXR.
        alpha: keep it; else the picture is put on black.
    """
    if pixels.shape[2] < 3:  # Grey.
        pixels = pixels[..., [0, 0, 0, 1][: 3 if pixels.shape[2] == 1 else 4]]
    colour, cover = pixels[..., :3], pixels[..., 3:]
    if pixels.dtype.kind == "f":
        colour, cover = np.nan_to_num(colour.astype(np.float64)), np.clip(np.nan_to_num(cover), 0.0, 1.0)
        if alpha and cover.size:
            colour = np.minimum(colour, cover) / np.maximum(cover, 1e-6)
        colour = srgb_from_linear(colour)
    else:
        most = float(np.iinfo(pixels.dtype).max)
        colour, cover = colour / most, cover / most
        if not alpha and cover.size:
            colour = colour * cover
    kept = np.concatenate([colour, cover], axis=-1) if alpha else colour
    result: NDArray[np.uint8] = np.rint(kept * 255.0).astype(np.uint8)
    return result


class DepthFiles:
    """Writes depth as others read it: steps of which `factor` are one unit, 0 where nothing was hit."""

    def __init__(self, work: Work, *, factor: float, scale: float, advice: str) -> None:
        """A unit of what is written is `scale` scene units; `advice` says what to do about depth that does not fit."""
        require_positive(depth_factor=factor, scale=scale)
        self._work, self._factor, self._scale, self._advice = work, factor, scale, advice
        self._too_far, self._farthest = 0, 0.0

    def save_png(self, depth: FloatImage, path: Path) -> None:
        """16 bits; what does not fit is 0, and is told in the end."""
        steps = np.rint(self._steps(depth))
        far = steps > np.iinfo(np.uint16).max
        if far.any():
            self._too_far += int(far.sum())
            self._farthest = max(self._farthest, float(np.max(steps)) / self._factor)
        save_png(path, np.where(far, 0.0, steps).astype(np.uint16))

    def save_npy(self, depth: FloatImage, path: Path) -> None:
        """float32, without limits."""
        make_folder(path.parent)
        with whole_file(path, flush=False) as partial:
            np.save(partial, self._steps(depth).astype(np.float32))

    def tell(self) -> None:
        """Note what did not fit."""
        if self._too_far:
            limit = np.iinfo(np.uint16).max / self._factor
            self._work.note(
                f"{self._too_far} pixels are farther than the {limit:g} units that 16 bits hold (up to "
                f"{self._farthest:.6g}), and are marked as without depth: {self._advice}."
            )

    def _steps(self, depth: FloatImage) -> Matrix:
        return np.where(np.isfinite(depth), depth, 0.0).astype(np.float64) * (self._scale * self._factor)
