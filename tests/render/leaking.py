"""Render a scene whose script keeps more memory with every frame, and watch what its worker holds."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from tests.helpers import worker_pids
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.report import Event, FrameDone, RunReport
from visionsim.simulation.run import AnimationRequest, run

BUILDER = Path(__file__).parent / "build_leaking.py"
"""To be run inside Blender, with the .blend and its number of frames."""


def render_and_watch(blend: Path, root: Path, config: RenderConfig) -> tuple[RunReport, list[int]]:
    """The report, and the bytes that the workers held together after each frame."""
    small = dataclasses.replace(config, width=16, height=16, max_samples=1, autoexec=True)
    held = []

    def observe(event: Event) -> None:
        if isinstance(event, FrameDone):
            held.append(sum(map(bytes_of, worker_pids())))

    report = run(AnimationRequest(blend, root), small, observe=observe)
    assert isinstance(report, RunReport)
    return report, held


def bytes_of(pid: int) -> int:
    """Of physical memory that a process holds; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        return 0
