"""Frames of random bits, of every type that pixels have: what is written must come back bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from visionsim.cameras import Intrinsics
from visionsim.dataset.folder_writer import FolderWriter
from visionsim.dataset.reader import Dataset, Label, Sample

HEIGHT, WIDTH = 11, 13
CAMERA = Intrinsics(20.0, 21.0, 6.0, 5.5, WIDTH, HEIGHT)
LABELS = [Label(1, "Cube", "Cube", "object", "static"), Label(2, "Ball", "Ball", "object", "rigid")]
ALL = ("frames", "depths", "normals", "segmentations", "flows")
SHAPES = {
    "depths": (HEIGHT, WIDTH),
    "normals": (HEIGHT, WIDTH, 3),
    "segmentations": (HEIGHT, WIDTH),
    "flows": (HEIGHT, WIDTH, 4),
}


def random_bits(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    """Any value there is, NaN of all kinds included."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(rng.bytes(size), dtype).reshape(shape)


def frame_data(frame: int, picture: str = "uint8", channels: int = 3, kinds: tuple[str, ...] = ALL) -> dict[str, Any]:
    """Kind -> pixels."""
    rng = np.random.default_rng(frame + 2)
    data = {"frames": random_bits(rng, (HEIGHT, WIDTH, channels), picture)}
    for kind, shape in SHAPES.items():
        if kind in kinds:
            data[kind] = random_bits(rng, shape, "uint32" if kind == "segmentations" else "float32")
    return data


def binary_data(frame: int, picture: str = "uint8", channels: int = 1, high: float = 255) -> dict[str, Any]:
    """A picture of 0 and `high`."""
    bits = np.random.default_rng(frame + 2).integers(0, 2, (HEIGHT, WIDTH, channels))
    return {"frames": np.array([0, high], picture)[bits]}


def pose(frame: int) -> Any:
    """(4, 4), camera to world."""
    c2w = np.eye(4)
    turn = 0.1 * frame
    c2w[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    c2w[:3, 3] = [0.1 * frame, 1.0, 2.0]
    return c2w


def write(
    folder: Path, frames: range = range(3, 13), *, make: Any = FolderWriter, data: Any = frame_data, **options: Any
) -> Path:
    """A finished sequence."""
    given = {name: options.pop(name) for name in ("pack", "settings") if name in options}
    with make(folder, frames, fps=25.0, labels=LABELS, **given) as writer:
        for frame in writer.missing:
            writer.add(frame, data(frame, **options), c2w=pose(frame), camera=CAMERA)
    return folder


def assert_same(sample: Sample, data: dict[str, Any]) -> None:
    assert sample.kinds == tuple(data)
    for kind, pixels in data.items():
        found = sample.read(kind)
        assert (found.shape, found.dtype) == (pixels.shape, pixels.dtype)
        assert found.tobytes() == pixels.tobytes(), (kind, sample.frame)


def assert_all_same(folder: Path, frames: range = range(3, 13), *, data: Any = frame_data, **options: Any) -> None:
    dataset = Dataset.from_path(folder)
    assert list(dataset.frames) == list(frames)
    for sample in dataset:
        assert_same(sample, data(sample.frame, **options))
        assert np.allclose(sample.c2w, pose(sample.frame), atol=1e-12)
