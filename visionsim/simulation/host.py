"""The machine we run on: how many Blender processes it has cores and memory for."""

from __future__ import annotations

import os
from pathlib import Path

from visionsim.simulation.config import RenderConfig, parse_bytes

__all__ = ["num_threads", "num_workers"]

DEFAULT_JOB_BYTES = 1 << 30
"""A worker at 512 x 512 with 450,000 polygons peaks below this (`make bench`)."""

CORES_PER_WORKER = 4
"""Cores that one Blender process keeps busy; only the moments between two renders use a single one."""


def available_memory() -> int:
    """Bytes that can be used without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def num_workers(config: RenderConfig) -> int:
    """Blender processes to run at most: `jobs`, or with `autoscale` what cores and memory allow."""
    if not config.autoscale:
        return config.jobs
    job_bytes = parse_bytes(config.max_job_vram) if config.max_job_vram else DEFAULT_JOB_BYTES
    by_cores = (os.cpu_count() or 1) // CORES_PER_WORKER
    return max(1, min(by_cores, available_memory() // job_bytes))


def num_threads(workers: int) -> int:
    """Render threads of each of `workers` Blender processes: together they fill the cores."""
    return max(1, -(-(os.cpu_count() or 1) // workers))
