"""RenderConfig: what to render and how. Standard library only, shared with the worker.

The strings under the fields are the help texts of the command line.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

from visionsim.errors import ConfigError

__all__ = [
    "GROUND_TRUTHS",
    "THREADS_VARIABLE",
    "RenderConfig",
    "check_config",
    "parse_bytes",
    "settings_of",
    "time_stretch",
]

FileFormat = Literal["PNG", "JPEG", "OPEN_EXR"]
ExrCodec = Literal["NONE", "RLE", "ZIPS", "ZIP", "PIZ"]
FlowDirection = Literal["forward", "backward"]
DeviceType = Literal["auto", "cpu", "cuda", "optix", "hip", "oneapi", "metal"]

GROUND_TRUTHS = ("depths", "normals", "flows", "segmentations", "occlusions")
"""The fields of RenderConfig that ask for a kind of ground truth; each is also the name of its folder."""

THREADS_VARIABLE = "VISIONSIM_THREADS"
"""Variable of a worker's environment: its render threads, if they are not those of all workers."""


@dataclass
class RenderConfig:
    """What to render from each scene, and with what."""

    executable: str | None = None
    """Blender to use; by default the bpy module of this Python, else `blender` on PATH."""
    width: int = 512
    """Width of the picture, pixels."""
    height: int = 512
    """Height of the picture, pixels."""
    file_format: FileFormat = "PNG"
    """File format of the picture; ground truth has its own."""
    bit_depth: int = 8
    """Bits per channel of the picture: 8 or 16 for PNG, 8 for JPEG, 16 or 32 for OPEN_EXR."""
    exr_codec: ExrCodec = "ZIP"
    """Compression of EXR files; lossless ones only."""
    depths: bool = False
    """Write planar depth."""
    normals: bool = False
    """Write surface normals in the camera's frame."""
    flows: bool = False
    """Write forward and backward optical flow."""
    segmentations: bool = False
    """Write object ids."""
    occlusions: bool = False
    """Write whether motion is known, and whether its target is visible in the next and the previous frame."""
    flow_direction: FlowDirection = "forward"
    """Which flow the previews show."""
    debug: bool = False
    """Also write a colour preview beside each file of ground truth."""
    keyframe_multiplier: float = 1.0
    """Stretch time by this factor: 2 renders twice as many frames of the same motion."""
    timeout: float | None = None
    """Seconds a frame may take before its worker is replaced; by default 20 times the slowest so far, at least 600."""
    autoexec: bool = False
    """Run the Python scripts inside .blend files; only for files you trust."""
    device_type: DeviceType = "auto"
    """Device to render on; auto takes the best one present."""
    adaptive_threshold: float = 0.05
    """Noise level at which a pixel is done, 0 to spend all samples everywhere."""
    max_samples: int = 256
    """Samples per pixel of the picture, at most."""
    use_denoising: bool = True
    """Denoise the picture; ground truth never is."""
    log_dir: Path = field(default_factory=lambda: Path("logs"))
    """Folder of the workers' log files."""
    allow_skips: bool = True
    """Keep frames that are already there and intact; otherwise a folder with frames is refused."""
    unbind_camera: bool = False
    """Free the camera of parents, constraints and animation; it stays where it is at the first frame."""
    use_animations: bool = True
    """Let the scene move; otherwise everything but the camera stands still as at the first frame."""
    use_motion_blur: bool | None = None
    """Motion blur in the picture; by default as the scene has it."""
    addons: tuple[str, ...] = ()
    """Blender add-ons to enable before the scene is opened."""
    jobs: int = 1
    """Number of Blender processes."""
    autoscale: bool = False
    """Choose the number of Blender processes from cores and memory, on GPUs from theirs, instead of `jobs`."""
    max_job_vram: str | None = None
    """Memory one process may need, on GPUs of theirs, such as 4GB; for autoscale and its warnings."""
    seed: int = 0
    """Seed of the renderer's noise."""

    @property
    def ground_truths(self) -> tuple[str, ...]:
        """The kinds of ground truth asked for, in the order of GROUND_TRUTHS."""
        return tuple(name for name in GROUND_TRUTHS if getattr(self, name))


CHOICES: Mapping[str, tuple[str, ...]] = {
    "file_format": get_args(FileFormat),
    "exr_codec": get_args(ExrCodec),
    "device_type": get_args(DeviceType),
    "flow_direction": get_args(FlowDirection),
}

BIT_DEPTHS: Mapping[str, tuple[int, ...]] = {"PNG": (8, 16), "JPEG": (8,), "OPEN_EXR": (16, 32)}

_NO_EFFECT_ON_BYTES = frozenset(
    "executable flow_direction debug timeout log_dir allow_skips jobs autoscale max_job_vram".split()
)


def check_config(config: RenderConfig) -> None:
    """Raise ConfigError for the first value that cannot work; the message names field, value and remedy."""

    def refuse(name: str, why: str) -> None:
        option = "--render-config." + name.replace("_", "-")
        raise ConfigError(f"{option}={getattr(config, name)}: {why}")

    for name, choices in CHOICES.items():
        if getattr(config, name) not in choices:
            refuse(name, f"must be one of {', '.join(choices)}")
    for name in ("width", "height"):
        if not 4 <= getattr(config, name) <= 65536:
            refuse(name, "must be between 4 and 65536 pixels")
    if config.bit_depth not in BIT_DEPTHS[config.file_format]:
        allowed = " or ".join(map(str, BIT_DEPTHS[config.file_format]))
        refuse("bit_depth", f"{config.file_format} files have {allowed} bits per channel")
    if not 0.0 <= config.adaptive_threshold <= 1.0:
        refuse("adaptive_threshold", "must be between 0 and 1")
    if not 1 <= config.max_samples <= 1 << 24:
        refuse("max_samples", "must be at least 1")
    if config.timeout is not None and not config.timeout > 0:
        refuse("timeout", "must be a positive number of seconds")
    if not 1 <= config.jobs <= 1024:
        refuse("jobs", "must be between 1 and 1024")
    if not 0 <= config.seed < 1 << 31:
        refuse("seed", "must be a whole number from 0 to 2147483647")
    if config.max_job_vram is not None:
        try:
            parse_bytes(config.max_job_vram)
        except ConfigError as exc:
            refuse("max_job_vram", str(exc))
    time_stretch(config.keyframe_multiplier)


def time_stretch(multiplier: float) -> Fraction:
    """The multiplier as the exact ratio of two of Blender's whole-number time remap settings.

    Blender maps time by `frame_map_old / frame_map_new`, each a whole number from 1 to 900.

    Raises:
        ConfigError: not positive, or no such ratio equals it to nine digits.
    """
    if 0 < multiplier < math.inf:
        ratio = Fraction(multiplier).limit_denominator(900)
        if ratio > 0 and ratio.numerator <= 900 and abs(float(ratio) / multiplier - 1.0) < 1e-9:
            return ratio
    raise ConfigError(
        f"--render-config.keyframe-multiplier={multiplier}: must be a positive ratio of two whole numbers up to 900, "
        "such as 2, 1.5 or 0.25"
    )


def parse_bytes(text: str) -> int:
    """Bytes of a size such as `4GB`, `512 MiB` or `1e9`; KB, MB and GB are powers of 1000, KiB ... of 1024."""
    match = re.fullmatch(r"\s*(\d{1,18}(?:\.\d+)?(?:e\d{1,2})?)\s*(?:([kmgt])(i?))?b?\s*", text, re.IGNORECASE)
    if match:
        base = 1024 if match[3] else 1000
        return int(float(match[1]) * base ** " kmgt".index((match[2] or " ").lower()))
    raise ConfigError(f"{text!r} is not a size; write for example 4GB or 512MiB")


def settings_of(config: RenderConfig) -> dict[str, Any]:
    """The settings that decide what the files hold, as plain JSON values.

    Kinds of ground truth are left out as well: they add files but never change a picture.
    """
    settings = dataclasses.asdict(config)
    left_out = _NO_EFFECT_ON_BYTES.union(GROUND_TRUTHS)
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in settings.items()
        if name not in left_out
    }
