"""Render a scene whose script keeps more memory with every frame, and watch what its worker holds."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from visionsim.simulation.config import RenderConfig
from visionsim.simulation.report import Event, FrameDone, RunReport
from visionsim.simulation.run import AnimationRequest, run

BUILDER = Path(__file__).parent / "build_leaking.py"
"""To be run inside Blender, with the .blend and its number of frames."""


def render_and_watch(blend: Path, root: Path, config: RenderConfig) -> tuple[RunReport, list[int]]:
    """The report, and the bytes that our children held together after each frame."""
    small = dataclasses.replace(config, width=16, height=16, max_samples=1, autoexec=True)
    held = []

    def observe(event: Event) -> None:
        if isinstance(event, FrameDone):
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in children]
            held.append(sum(pages) * os.sysconf("SC_PAGE_SIZE"))

    report = run(AnimationRequest(blend, root), small, observe=observe)
    assert isinstance(report, RunReport)
    return report, held
