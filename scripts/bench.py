"""Measure what the documentation claims: `python scripts/bench.py [--size 512] [--frames 8] [--rounds 2] [PART ...]`.

Compares the whole `visionsim` command, which writes the picture and all four ground truths, with the plain bpy loop of
plain_loop.py, which writes the picture only, in CPU seconds (user + system, all processes). The two of a pair run by
turns, one second each, while the other is stopped: a machine that others use changes its speed all the time. Then the
time to the first frame on disk, the peak memory of a worker, `--help`, a dry run of 1,000 sequences, a run that finds
10,000 frames done, the memory of one whose scene leaks, and how quick a client is.

Parts are static, rigid and deforming, and of many things objects, copies, bare and instancer (scenes to compare; see
bench_scene.py), and read: how fast datasets are read (bench_reading.py).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import bench_reading

from tests.synthetic import grow, watched

HERE = Path(__file__).resolve().parent
SAMPLES = 16
KINDS = ("static", "rigid", "deforming")
MANY = ("objects", "copies", "bare", "instancer")
"""Scenes of many objects or copies, rendered at `MANY_SIZE` only."""
MANY_SIZE = (256, 192)
LIMITS = {
    256: {"static": 1.00, "rigid": 1.06, "deforming": 1.15},
    512: {"static": 1.00, "rigid": 1.06, "deforming": 1.10},
}
MANY_LIMIT = 1.10
"""What we promise: CPU seconds of ours at most so many times those of the plain loop, by size and kind."""
FRAMES = {256: 24, 512: 24}
"""Frames rendered by default; fewer would measure how long Python takes to start."""
TRUTHS = ("depths", "normals", "flows", "segmentations")


@dataclass
class Usage:
    """What a command took, all its processes together."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    """The largest of its processes."""


def measure(command: list[str], log: Path) -> Usage:
    """Run a command to its end; its output goes to `log`."""
    return measure_by_turns([command], [log])[0]


def measure_by_turns(commands: list[list[str]], logs: list[Path], turn_s: float = 1.0) -> list[Usage]:
    """Run commands to their ends, each for a second while the others are stopped; their outputs go to `logs`.

    A command's `wall_s` is how long it ran, not how long it was stopped.
    """
    processes: list[subprocess.Popen[bytes]] = []
    ran = [0.0] * len(commands)
    found: dict[int, Usage] = {}
    try:
        while len(found) < len(commands):
            for index in [index for index in range(len(commands)) if index not in found]:
                began = time.perf_counter()
                if index == len(processes):
                    with open(logs[index], "wb") as stream:
                        processes.append(subprocess.Popen(commands[index], stdout=stream, stderr=stream))
                else:
                    signal_family(processes[index].pid, signal.SIGCONT)
                usage = ended(processes[index], turn_s if len(found) < len(commands) - 1 else None)
                ran[index] += time.perf_counter() - began
                if usage is None:
                    signal_family(processes[index].pid, signal.SIGSTOP)
                    continue
                if processes[index].returncode:
                    sys.exit(f"{' '.join(commands[index])}\n{logs[index].read_text(errors='replace')[-2000:]}")
                cpu = usage.ru_utime + usage.ru_stime
                found[index] = Usage(ran[index], cpu, usage.ru_maxrss / 1024)
    finally:
        for process in processes:
            if process.returncode is None:
                signal_family(process.pid, signal.SIGKILL)
                process.wait()
    return [found[index] for index in range(len(commands))]


def ended(process: subprocess.Popen[bytes], seconds: float | None) -> Any:
    """What a process has used, all its children together, if it ends within so many seconds; None if it does not."""
    end = None if seconds is None else time.perf_counter() + seconds
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG if end is not None else 0)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage
        if end is not None and time.perf_counter() > end:
            return None
        time.sleep(0.005)


def signal_family(pid: int, number: int) -> None:
    """Send a signal to a process and all that it has started."""
    for member in family(pid):
        with suppress(ProcessLookupError):
            os.kill(member, number)


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    members = [pid]
    for tasks in Path("/proc").glob(f"{pid}/task/*/children"):
        with suppress(OSError):
            members += [member for child in tasks.read_text().split() for member in family(int(child))]
    return members


def ours(blend: Path, root: Path, width: int, height: int, frames: int) -> list[str]:
    """The visionsim command: every kind of ground truth, one worker, no denoiser, no adaptive sampling."""
    options = {
        "width": width,
        "height": height,
        "max-samples": SAMPLES,
        "adaptive-threshold": 0,
        "log-dir": f"{root}-logs",
    }
    return [
        *[sys.executable, "-m", "visionsim", "render-animation", str(blend), str(root), f"--frame-end={frames}"],
        *(f"--render-config.{name}={value}" for name, value in options.items()),
        *(f"--render-config.{name}" for name in (*TRUTHS, "no-use-denoising")),
    ]


def plain(blend: Path, root: Path, width: int, height: int, frames: int) -> list[str]:
    """The plain loop: the picture only."""
    numbers = map(str, (width, height, SAMPLES, 1, frames))
    return [sys.executable, str(HERE / "plain_loop.py"), str(blend), str(root), *numbers]


def compare(kind: str, folder: Path, width: int, height: int, frames: int, rounds: int, limit: float | None) -> None:
    """Ours against plain on one scene: CPU and wall ratios, pictures compared."""
    size = f"{width}x{height}"
    blend = folder / f"{kind}.blend"
    subprocess.run([sys.executable, str(HERE / "bench_scene.py"), kind, str(blend)], check=True, capture_output=True)
    pairs = []
    for number in range(rounds):
        commands = [
            ours(blend, folder / f"{kind}-{size}-ours-{number}", width, height, frames),
            plain(blend, folder / f"{kind}-{size}-plain-{number}", width, height, frames),
        ]
        pairs.append(tuple(measure_by_turns(commands, [folder / "ours.log", folder / "plain.log"])))
    cpu = median(a.cpu_s / b.cpu_s for a, b in pairs)
    wall = median(a.wall_s / b.wall_s for a, b in pairs)
    peak = max(a.peak_mib for a, _ in pairs)
    same = same_pixels(folder / f"{kind}-{size}-ours-0" / "frames", folder / f"{kind}-{size}-plain-0")
    per_frame = median(b.cpu_s for _, b in pairs) / frames
    verdict = f" (at most {limit:.2f})" if limit is not None else ""
    scatter = "  ".join(f"{a.cpu_s / b.cpu_s:.3f}" for a, b in pairs)
    print(
        f"{kind:>10}  {size}  {frames} frames  plain {per_frame:5.2f} CPU s a frame   "
        f"ours/plain CPU {cpu:.3f}{verdict}  pairs {scatter}  wall {wall:.3f}   "
        f"worker's peak {peak:4.0f} MiB   pictures {same}",
        flush=True,
    )


def same_pixels(left: Path, right: Path) -> str:
    """Whether two folders hold the same pictures."""
    import numpy as np
    from PIL import Image

    names = sorted(path.name for path in left.glob("*.png"))
    if names != sorted(path.name for path in right.glob("*.png")) or not names:
        return "DIFFER in number"
    equal = [np.array_equal(np.asarray(Image.open(left / n)), np.asarray(Image.open(right / n))) for n in names]
    return "identical" if all(equal) else f"DIFFER in {equal.count(False)} of {len(names)}"


def first_frame(blend: Path, root: Path) -> float:
    """Seconds from the command's start to the first picture in place."""
    command = ours(blend, root, 128, 128, 3)
    started = time.perf_counter()
    with open(os.devnull, "wb") as nothing:
        process = subprocess.Popen(command, stdout=nothing, stderr=nothing)
        while not list(root.glob("frames/*.png")):
            if process.poll() is not None:
                sys.exit(f"no picture from {' '.join(command)}")
            time.sleep(0.002)
        seconds = time.perf_counter() - started
        process.wait()
    return seconds


def dry_run(folder: Path, blend: Path) -> float:
    """Seconds that planning 1,000 sequences of 100 frames takes beyond opening the scene."""
    scenes = folder / "many"
    scenes.mkdir()
    (scenes / "scene.blend").write_bytes(blend.read_bytes())
    command = [sys.executable, "-m", "visionsim", "create-datasets", f"--scenes-dir={scenes}", "--dry-run", "--json"]
    command += [f"--datasets-dir={folder / 'never'}", "--anim-start=1", "--anim-end=100000"]
    times = []
    for count in (1, 1000):
        started = time.perf_counter()
        options = [f"--sequences-per-scene={count}", "--num-frames=100"]
        subprocess.run([*command, *options], capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    return times[1] - times[0]


def resume(folder: Path, blend: Path, frames: int = 10_000) -> str:
    """How long a run takes to find that all frames are there already, and what memory it needs itself."""
    scenes, data = folder / "scenes", folder / "data"
    scenes.mkdir()
    (scenes / "scene.blend").write_bytes(blend.read_bytes())
    command = [sys.executable, "-m", "visionsim", "create-datasets", f"--scenes-dir={scenes}", f"--datasets-dir={data}"]
    command += ["--json", "--render-config.width=64", "--render-config.height=64", "--render-config.max-samples=1"]
    command += [f"--render-config.log-dir={folder / 'logs'}", *(f"--render-config.{name}" for name in TRUTHS)]
    subprocess.run([*command, "--anim-start=1", "--anim-end=2"], check=True, capture_output=True)
    (sequence,) = (data / "renders" / "scene").iterdir()
    grow(sequence.rename(sequence.with_name(f"001-00001-{frames + 1:05d}")), frames)
    command += ["--anim-start=1", f"--anim-end={frames}"]
    subprocess.run(command, check=True, capture_output=True)  # Makes the documents.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    report, seconds, peak = watched(process)
    assert report["frames_kept"] == frames and report["frames_rendered"] == 0, report
    return f"{seconds:.2f} s in all, with Blender's start; {peak / 1e6:.0f} MB"


def client(folder: Path, blend: Path) -> str:
    """How long a client takes to be ready, to answer, and to be gone in the middle of a render."""
    from visionsim.simulation.blender import BlenderClient

    began = time.perf_counter()
    with BlenderClient.spawn() as blender:
        ready = time.perf_counter() - began
        answers = []
        for _ in range(1000):
            asked = time.perf_counter()
            blender.ping()
            answers.append(time.perf_counter() - asked)
        blender.initialize(blend, folder / "client")
        blender.cycles_settings(max_samples=100_000, use_denoising=False)
        blender.render_animation_async()
        time.sleep(3.0)
        began = time.perf_counter()
    gone = time.perf_counter() - began
    return (
        f"ready after {ready:.2f} s (at most 1.5), an empty request takes {1e3 * median(answers):.2f} ms (at most 1), "
        f"gone {gone:.2f} s after the block ends while it renders (at most 2)"
    )


def leak(folder: Path, frames: int = 500) -> str:
    """What workers hold at most while they render a scene that leaks, against the first fifty frames."""
    from tests.render.leaking import BUILDER, render_and_watch
    from visionsim.simulation.config import RenderConfig

    blend = folder / "leaking.blend"
    subprocess.run([sys.executable, str(BUILDER), str(blend), str(frames)], check=True, capture_output=True)
    config = RenderConfig(use_denoising=False, log_dir=folder / "logs")
    report, held = render_and_watch(blend, folder / "leaking", config)
    assert report.exit_code == 0 and len(held) == frames, report
    replaced = sum("grew from" in note for note in report.notes)
    first, most = (max(part) / 2**20 for part in (held[:50], held))
    ratio = most / first
    return f"{most:.0f} MiB; the first 50: {first:.0f} MiB; ratio {ratio:.3f} (at most 1.10), {replaced} replaced"


def rendering(folder: Path, kinds: list[str], sizes: list[int], frames: int | None, rounds: int) -> None:
    """All but how datasets are read."""
    small = HERE.parent / "scenes" / "toy.blend"
    helps = [
        measure([sys.executable, "-m", "visionsim", *c, "--help"], folder / "help") for c in ([], ["create-datasets"])
    ]
    print(f"--help: {helps[0].wall_s:.2f} s, create-datasets --help: {helps[1].wall_s:.2f} s")
    seconds = first_frame(small, folder / "first")
    print(f"first frame on disk: {seconds:.2f} s after the command's start (toy, 128x128)")
    seconds = dry_run(folder, small)
    print(f"dry run of 1,000 sequences of 100 frames: {seconds:.2f} s more than of one", flush=True)
    (folder / "resume").mkdir()
    print(f"10,000 frames that are there already, found so in {resume(folder / 'resume', small)}", flush=True)
    print(f"a client: {client(folder, small)}", flush=True)
    print(f"500 frames of a scene that leaks some 12 MiB a frame: workers hold at most {leak(folder)}", flush=True)
    for size in sizes:
        for kind in kinds:
            limit = LIMITS.get(size, {}).get(kind)
            compare(kind, folder, size, size, frames or FRAMES.get(size, 8), rounds, limit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=(*KINDS, *MANY, "read"), metavar="PART")
    parser.add_argument("--size", type=int, nargs="+", default=list(FRAMES))
    parser.add_argument("--frames", type=int)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="visionsim-bench-") as name:
        folder = Path(name)
        kinds = [kind for kind in KINDS if kind in (arguments.parts or KINDS)]
        if kinds:
            rendering(folder, kinds, arguments.size, arguments.frames, arguments.rounds)
        for kind in [kind for kind in MANY if kind in (arguments.parts or MANY)]:
            compare(kind, folder, *MANY_SIZE, arguments.frames or 24, arguments.rounds, MANY_LIMIT)
        if not arguments.parts or "read" in arguments.parts:
            for line in bench_reading.measured(folder):
                print(line, flush=True)


if __name__ == "__main__":
    main()
