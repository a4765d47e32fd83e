"""Measure how fast datasets are read: `python scripts/bench_reading.py [--size 512] [--frames 24] [--rounds 5]`.

Pixels: `Dataset.iterate` on two threads against a bare loop of the same libraries (Pillow, OpenEXR) on two threads,
over the same files of all kinds, in pairs, in turn. Then how long opening 100,000 frames takes, in one sequence and in
a thousand, and what memory; and what one sample anywhere in them costs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import OpenEXR
from PIL import Image

from tests import synthetic
from visionsim.dataset.kinds import KINDS, frame_path
from visionsim.dataset.reader import Dataset
from visionsim.io.exr import write_exr

THREADS = 2
AT_LEAST = 0.8
"""What we promise: our speed as part of the bare loop's."""
SECONDS, MEGABYTES = 2.0, 300.0
"""What we promise of opening 100,000 frames."""


def make_frames(folder: Path, size: int, count: int = 4) -> Path:
    """A sequence of all kinds, with as much detail as rendered ones have: their files are as large for each pixel."""
    synthetic.WIDTH = synthetic.HEIGHT = size
    synthetic.SETTINGS.update(width=size, height=size)
    synthetic.write_dataset(folder, num_frames=count)
    rng = np.random.default_rng(0)

    def rough(shape: tuple[int, ...]) -> Any:
        """Even within 4 x 4 pixels, as detail is that a renderer sees and compression finds."""
        return np.repeat(np.repeat(rng.normal(0, 1, (shape[0] // 4, shape[1] // 4, *shape[2:])), 4, 0), 4, 1)

    for sample in Dataset.from_path(folder):
        noisy = sample.picture + rng.normal(0, 2.0, sample.picture.shape)
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(existing(sample.path("frames")))
        depth = sample.depth * (1 + 1e-3 * rough(sample.depth.shape)).astype(np.float32)
        write_exr(existing(sample.path("depths")), {"Y": depth})
        bumpy = sample.normals + 0.05 * rough(sample.normals.shape)
        bumpy /= np.maximum(np.linalg.norm(bumpy, axis=-1, keepdims=True), 1e-6)
        channels = np.where(sample.normals.any(axis=-1, keepdims=True), bumpy, 0).astype(np.float32)
        write_exr(existing(sample.path("normals")), {name: channels[..., i] for i, name in enumerate("RGB")})
    return folder


def existing(path: Path | None) -> Path:
    assert path is not None
    return path


def lengthen(folder: Path, target: Path, count: int, first: int = 1, files: Sequence[int] = ()) -> None:
    """Write a sequence of many frames into `target`; of those in `files` (places) there are files, links to others."""
    document = json.loads((folder / "transforms.json").read_text())
    rng, frames = np.random.default_rng(first), document["frames"]
    linked = set(files)
    result = []
    for place in range(count):
        model, number = frames[place % len(frames)], first + place
        paths = {}
        for kind, key in {"frames": "file_path", **{name: kind.key for name, kind in KINDS.items()}}.items():
            path = frame_path(kind, number, Path(model[key]).suffix)
            paths[key] = path.as_posix()
            if place in linked:
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                os.link(folder / model[key], target / path)
        # Numbers as long as a camera that moves has them.
        matrix = [[*rng.uniform(-1, 1, 4).tolist()] for _ in range(3)]
        result.append(
            {**paths, "frame": number, "time": number / 25, "transform_matrix": [*matrix, [0.0, 0.0, 0.0, 1.0]]}
        )
    document["frames"] = result
    target.mkdir(parents=True, exist_ok=True)
    (target / "transforms.json").write_text(json.dumps(document, indent=2) + "\n")


def bare(files: Sequence[Sequence[str]]) -> None:
    """Decode the files of each frame, as anybody would."""

    def decode(paths: Sequence[str]) -> list[Any]:
        arrays = []
        for path in paths:
            if path.endswith(".exr"):
                with OpenEXR.File(path) as file:
                    arrays += [channel.pixels for channel in file.channels().values()]
            else:
                with Image.open(path) as image:
                    arrays.append(np.asarray(image))
        return arrays

    with ThreadPoolExecutor(THREADS) as pool:
        for arrays in pool.map(decode, files):
            assert len(arrays) == len(files[0])


def ours(dataset: Dataset) -> None:
    for sample in dataset.iterate(threads=THREADS):
        assert sample.kinds


def usage(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds, and CPU seconds (user and system)."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    work()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def pixels(folder: Path, size: int, frames: int, rounds: int) -> str:
    """How fast pixels are read."""
    lengthen(make_frames(folder / "model", size), folder / "long", frames, files=range(frames))
    dataset = Dataset.from_path(folder / "long")
    files = [[str(existing(sample.path(kind))) for kind in sample.kinds] for sample in dataset]
    sides: tuple[Callable[[], None], Callable[[], None]] = (lambda: ours(dataset), lambda: bare(files))
    for side in sides:
        side()
    pairs = []
    for number in range(rounds):
        # As in bench.py: A B, B A, A B ...
        found = {side: usage(sides[side]) for side in ((0, 1) if number % 2 == 0 else (1, 0))}
        pairs.append((found[0], found[1]))
    speed = [loop[0] / we[0] for we, loop in pairs]
    cpu = [loop[1] / we[1] for we, loop in pairs]
    megabytes = sum(os.path.getsize(path) for path in files[0]) / 1e6
    return (
        f"{frames} frames of all kinds, {size}x{size}, {megabytes:.1f} MB each: "
        f"{frames / median(we[0] for we, _ in pairs):.1f} frames/s, "
        f"speed {median(speed):.2f} of a bare loop's (at least {AT_LEAST}), CPU {median(cpu):.2f}   pairs "
        + "  ".join(f"{a:.2f}/{b:.2f}" for a, b in zip(speed, cpu, strict=True))
    )


OPEN = """
import json, sys, time
from visionsim.dataset.reader import Dataset
began, cpu = time.perf_counter(), time.process_time()
dataset = Dataset.from_path(sys.argv[1])
wall, cpu = time.perf_counter() - began, time.process_time() - cpu
(peak,) = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps({"frames": len(dataset), "wall": wall, "cpu": cpu, "peak": 1024 * peak}))
"""


def opening(root: Path, what: str, rounds: int) -> str:
    """How long it takes a fresh process to open a dataset, and all the memory that it has then."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    answers = []
    for _ in range(rounds):
        ran = subprocess.run([sys.executable, "-c", OPEN, root], env=environment, stdout=subprocess.PIPE, check=True)
        answers.append(json.loads(ran.stdout))
    assert all(answer["frames"] == 100_000 for answer in answers)
    wall, cpu, peak = (median(answer[name] for answer in answers) for name in ("wall", "cpu", "peak"))
    return (
        f"opening 100,000 frames in {what}: {wall:.2f} s (at most {SECONDS:g}), {cpu:.2f} CPU s; "
        f"{peak / 1e6:.0f} MB in all (at most {MEGABYTES:g})"
    )


def random_access(root: Path, places: Sequence[int]) -> str:
    """What a sample costs that nobody has read before."""
    dataset = Dataset.from_path(root)
    seen: list[str] = []
    watching = False

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in ("open", "os.listdir", "os.scandir"):
            seen.append(event)

    sys.addaudithook(watch)
    times = []
    for place in places:
        began = time.perf_counter()
        watching = True
        dataset[place].load()
        watching = False
        times.append(time.perf_counter() - began)
    opened, listed = seen.count("open") / len(places), (len(seen) - seen.count("open")) / len(places)
    return (
        f"one sample anywhere in them: {1e3 * median(times):.0f} ms with all its pixels; Python opened {opened:g} file "
        f"(the picture; OpenEXR opens its own) and listed {listed:g} folders for each"
    )


def measured(folder: Path, size: int = 512, frames: int = 24, rounds: int = 5) -> Iterator[str]:
    """All figures, as lines."""
    yield pixels(folder / "pixels", size, frames, rounds)
    model, one, many = folder / "pixels" / "model", folder / "one", folder / "many"
    places = random.Random(0).sample(range(100_000), 10)
    lengthen(model, one / "renders" / "scene" / "001-00001-100001", 100_000, files=places)
    for number in range(1000):
        lengthen(
            model, many / "renders" / f"scene{number // 10}" / f"{number % 10}", 100, first=1 + 100 * (number % 10)
        )
    yield opening(one, "one sequence", rounds)
    yield opening(many, "1,000 sequences", rounds)
    yield random_access(one, places)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="pixels of a side")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="visionsim-bench-") as name:
        for line in measured(Path(name), arguments.size, arguments.frames, arguments.rounds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
