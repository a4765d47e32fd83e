"""The machine we run on: how many Blender processes it has cores, memory and GPUs for, and what each of them gets.

`this_machine` looks; all else is decided from what it saw.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from visionsim import parallel
from visionsim.parallel import control_groups, first_line, num_cores
from visionsim.simulation.config import THREADS_VARIABLE, RenderConfig, parse_bytes

__all__ = [
    "Gpu",
    "Machine",
    "disk_warning",
    "free_bytes",
    "gigabytes",
    "job_memory",
    "memory_warning",
    "num_workers",
    "places",
    "this_machine",
    "threads_of",
    "worker_environment_of",
]

CORES_PER_WORKER = 4
"""Cores that one Blender process keeps busy; only the moments between two renders use a single one."""

JOB_BYTES = 500 << 20
"""Memory of a worker with a tiny picture: 455 and 497 MB were measured (demo scenes table and street, bpy 5.2.3)."""

PIXEL_BYTES = 150
"""What each pixel of the picture adds: Blender's buffers and ground truth; 142 were measured at 2048 x 2048."""

DENOISING_BYTES = 850
"""... and if the picture is denoised: with all of it 985 were measured, at 512 x 512 and 1024 x 1024."""

JOB_VRAM = 4 << 30
"""Memory of a GPU that one process may need, unless `max_job_vram` says so."""

TOOL_SECONDS = 10.0
"""How long we wait for what a vendor's tool says of its GPUs."""


@dataclass(frozen=True)
class Gpu:
    """A graphics card that a worker can be given for itself."""

    maker: str
    """`nvidia` or `amd`."""
    id: str
    """What the maker's variable calls it."""
    name: str
    free: int
    """Bytes of its memory that nobody uses; 0 if that is not known."""
    total: int = 0


VISIBLE = {"nvidia": "CUDA_VISIBLE_DEVICES", "amd": "HIP_VISIBLE_DEVICES"}
"""Maker -> the variable that says which of its GPUs a process sees."""

MAKERS = {"auto": ("nvidia", "amd"), "cuda": ("nvidia",), "optix": ("nvidia",), "hip": ("amd",)}
"""Device type -> whose GPUs it may mean, the first that are there."""


@dataclass(frozen=True)
class Machine:
    """What this process may use."""

    cores: int
    memory: int
    """Bytes that are free, without swapping."""
    gpus: tuple[Gpu, ...] = ()
    """Those that are to be rendered on."""


def this_machine(device_type: str = "cpu") -> Machine:
    """What there is to render on a type of device; asks the tools of GPUs' makers only if it may be theirs."""
    return Machine(num_cores(), available_memory(), gpus_for(device_type))


# Memory, as far as the system and its containers let us have it.


def available_memory() -> int:
    """Bytes that can be used without swapping, and without exceeding what our containers may have."""
    free = [system_memory()]
    for group in control_groups():
        limit, used = first_line(group / "memory.max"), first_line(group / "memory.current")
        if limit.isdecimal() and used.isdecimal():
            # Files that were read count as used, until somebody needs the room.
            cached = fields_of(group / "memory.stat").get("inactive_file", 0)
            free.append(int(limit) - int(used) + cached)
    return max(0, min(free))


def system_memory() -> int:
    available = fields_of(parallel.SYSTEM / "proc/meminfo").get("MemAvailable:")
    if available is not None:
        return available * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def fields_of(path: Path) -> dict[str, int]:
    """Name -> number of a file with a pair on each line."""
    try:
        words = [line.split() for line in path.read_text(encoding="ascii", errors="replace").splitlines()]
    except OSError:
        return {}
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdecimal()}


# GPUs.


def gpus_for(device_type: str) -> tuple[Gpu, ...]:
    """The GPUs that workers can be spread over; none if that cannot be known."""
    tools = {"nvidia": nvidia_gpus, "amd": amd_gpus}
    for maker in MAKERS.get(device_type, ()):
        found = visible(tools[maker](ask), os.environ.get(VISIBLE[maker]))
        if found:
            return tuple(found)
    return ()


def ask(command: Sequence[str]) -> str:
    """What a program says; nothing if it is not there, fails or takes too long."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def nvidia_gpus(ask: Callable[[Sequence[str]], str]) -> list[Gpu]:
    """As nvidia-smi lists them. Known by their UUID: CUDA counts them in another order."""
    text = ask(["nvidia-smi", "--query-gpu=uuid,name,memory.free,memory.total", "--format=csv,noheader,nounits"])
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines())]
    return [
        Gpu("nvidia", row[0], row[1], *(int(cell) << 20 if cell.isdecimal() else 0 for cell in row[2:]))
        for row in rows
        if len(row) == 4 and row[0].startswith("GPU-")
    ]


def amd_gpus(ask: Callable[[Sequence[str]], str]) -> list[Gpu]:
    """As rocm-smi lists them; known by their place in that list."""
    try:
        cards = json.loads(ask(["rocm-smi", "--showproductname", "--showmeminfo", "vram", "--json"]) or "{}")
    except ValueError:
        return []
    found = []
    for card, facts in cards.items():
        number = card.removeprefix("card")
        if number.isdecimal() and isinstance(facts, dict):
            total, used = (int(facts.get(f"VRAM Total {word}Memory (B)", 0)) for word in ("", "Used "))
            found.append((int(number), Gpu("amd", number, facts.get("Card series", card), total - used, total)))
    return [gpu for _, gpu in sorted(found, key=lambda pair: pair[0])]


def visible(gpus: Sequence[Gpu], chosen: str | None) -> list[Gpu]:
    """Those of a maker's GPUs that this process was given by its variable, whose value is `chosen`; by default all.

    Entries are places in the list or beginnings of UUIDs; whatever follows one that is neither does not count.
    """
    if chosen is None:
        return list(gpus)
    found: list[Gpu] = []
    for entry in (part.strip() for part in chosen.split(",")):
        if entry.isdecimal():
            matches = list(gpus[int(entry) : int(entry) + 1])
        else:
            matches = [gpu for gpu in gpus if entry and gpu.id.startswith(entry)]
        if len(matches) != 1:
            break
        found += matches
    return found


# How many workers, and what each of them gets.


def job_memory(config: RenderConfig, machine: Machine) -> int:
    """Bytes of main memory that one worker may need; where no GPU has the scene, `max_job_vram` knows better."""
    if config.max_job_vram and not machine.gpus:
        return max(1, parse_bytes(config.max_job_vram))
    each = PIXEL_BYTES + (DENOISING_BYTES if config.use_denoising else 0)
    return JOB_BYTES + config.width * config.height * each


def num_workers(config: RenderConfig, machine: Machine) -> int:
    """Blender processes to run at most: `jobs`; with `autoscale` what cores and memory allow, and that of the GPUs."""
    if not config.autoscale:
        return config.jobs
    by_memory = machine.memory // job_memory(config, machine)
    if not machine.gpus:
        return max(1, min(machine.cores // CORES_PER_WORKER, by_memory))
    wanted = max(1, parse_bytes(config.max_job_vram)) if config.max_job_vram else JOB_VRAM
    by_vram = sum(max(1, gpu.free // wanted) for gpu in machine.gpus)
    return max(1, min(machine.cores, by_memory, by_vram))


def threads_of(place: int, workers: int, cores: int) -> int:
    """Render threads of the worker at a place, from 0: together as many as there are cores, and at least one each."""
    return max(1, cores // workers + (place < cores % workers))


def places(workers: int, gpus: Sequence[Gpu]) -> list[tuple[Gpu, ...]]:
    """The GPUs of each of so many workers: one each, those with more memory more often; several if there are enough."""
    if len(gpus) >= workers:
        return [tuple(gpus[place::workers]) for place in range(workers)]
    given = [0] * len(gpus)
    chosen: list[tuple[Gpu, ...]] = []
    for _ in range(workers):
        # Where a worker has most if one more comes to it; the first of several.
        shares = [max(gpu.free, 1) / (number + 1) for gpu, number in zip(gpus, given, strict=True)]
        index = shares.index(max(shares))
        given[index] += 1
        chosen.append((gpus[index],))
    return chosen


def worker_environment_of(place: int, workers: int, machine: Machine) -> dict[str, str]:
    """The variables that give a worker its share of the machine.

    Args:
        place: the worker's, from 0. Who takes the place of a dead one gets what that had.
        workers: that run at the same time.
        machine: what they share.
    """
    environment = {THREADS_VARIABLE: str(threads_of(place, workers, machine.cores))}
    if len(machine.gpus) > 1:  # A single one needs no choice, and is found whatever it is called.
        own = places(workers, machine.gpus)[place]
        environment[VISIBLE[own[0].maker]] = ",".join(gpu.id for gpu in own)
    return environment


# What is worth a warning before anything begins.


def memory_warning(config: RenderConfig, workers: int, machine: Machine) -> str | None:
    """What to say if so many workers may need more memory than there is."""
    each = job_memory(config, machine)
    needed = workers * each
    if needed <= machine.memory:
        return None
    fewer = max(1, machine.memory // each)
    remedy = f"try --render-config.jobs={fewer}" if fewer < workers else "close other programs"
    count = "one worker" if workers == 1 else f"{workers} workers"
    return (
        f"{count} may need {gigabytes(needed)} of memory, and {gigabytes(machine.memory)} are free: "
        f"if workers die, {remedy}"
    )


def disk_warning(folder: Path, needed: int) -> str | None:
    """What to say if so many bytes are to be written to a folder, which may not be there yet, and are not free."""
    free = free_bytes(folder)
    if needed <= free:
        return None
    return (
        f"about {gigabytes(needed)} are to be written, and {gigabytes(free)} are free at {folder}: the run will stop "
        "before the disk is full; make room, then or now, and the same command goes on"
    )


def free_bytes(folder: Path) -> int:
    """Bytes that we may write where `folder`, which may not be there yet, is or will be."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def gigabytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e8 else f"{number / 1e6:.0f} MB"
