"""`--dry-run --probe`: render one frame of each scene, keep nothing of it, and tell how long and large all will be."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

from visionsim.simulation.client import RunClient
from visionsim.simulation.host import Machine
from visionsim.simulation.jobs import Fail, FrameTask, Job, Retry, Task
from visionsim.simulation.plan import Plan, Probe, ProbedScene, bytes_per_frame
from visionsim.simulation.pool import Pool
from visionsim.simulation.report import Note

__all__ = ["ProbeClient", "probe"]

QUICK = 10.0
"""Seconds below which a frame is rendered twice: the first one of a worker takes half a second longer than others."""


class ProbeClient(RunClient):
    """The client of a dry run that renders a little."""

    probed: dict[str, ProbedScene]
    """By scene."""

    def write(self, task: FrameTask, reply: dict[str, Any]) -> Any:
        """As a run would, but into the worker's scratch folder, which goes with it whatever happens."""
        from visionsim.simulation.writer import write_frame

        folder = Path(reply["picture"]).parent / f"probe-{task.frame}"
        began = time.thread_time()
        try:
            record = write_frame(folder, task.frame, reply, self.frame_format(self.config.ground_truths))
            took = time.thread_time() - began
            files = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        # The journal has its line, and transforms.json says about the same.
        num_bytes = files + 2 * len(record.to_line())
        return ProbedScene(task.scene, task.frame, reply["seconds"], took, num_bytes)

    def done(self, task: Task, result: Any) -> None:
        if isinstance(task, FrameTask):
            self.probed[task.scene] = result
        else:
            super().done(task, result)

    def failed(self, fail: Fail) -> None:
        if self.planning:
            super().failed(fail)
        else:
            frame = fail.task.frame if isinstance(fail.task, FrameTask) else 0
            self.probed[fail.task.scene] = ProbedScene(fail.task.scene, frame, error=fail.message)

    def retried(self, retry: Retry) -> None:
        """Of no interest: what counts is the frame that succeeds."""


def probe(client: ProbeClient, pool: Pool, plan: Plan, workers: int, machine: Machine) -> Plan | None:
    """The plan with what one frame of each scene took, the middle one of its first sequence; None if interrupted."""
    chosen = {}
    for scene in plan.scenes:
        if scene.sequences:
            first = scene.sequences[0]
            chosen[scene.scene.name] = Job(scene.scene.name, first.name, (first.frames[len(first.frames) // 2],))
    client.planning = False
    client.probed = {}
    client.observe(Note(f"timing one frame of {'the scene' if len(chosen) == 1 else f'each of {len(chosen)} scenes'}"))
    complete = pool.run(chosen.values())
    quick = [name for name, found in client.probed.items() if found.error is None and found.seconds < QUICK]
    complete = complete and pool.run(chosen[name] for name in quick)
    if not complete:
        return None
    found = tuple(client.probed[name] for name in chosen)
    device = {scene.scene.name: scene.info.device for scene in plan.scenes if scene.info is not None}
    result = Probe(found, workers, seconds_of(plan, found, device, workers, machine.cores))
    sizes = {row.scene: row.num_bytes for row in found if row.error is None}
    estimate = bytes_per_frame(client.config)
    disk = sum(len(item.frames) * sizes.get(item.scene.name, estimate) for item in plan.sequences)
    return dataclasses.replace(plan, disk_bytes=disk, probe=result)


def seconds_of(
    plan: Plan, found: tuple[ProbedScene, ...], device: dict[str, str], workers: int, cores: int
) -> dict[str, float]:
    """Scene -> seconds that all of its frames will take; scenes that could not be probed are left out.

    Frames are written while others are rendered: on a CPU both want the same cores, beside a GPU the slower one counts.
    """
    seconds = {}
    for row in found:
        frames = sum(len(item.frames) for item in plan.sequences if item.scene.name == row.scene)
        rendering, writing = row.seconds / workers, row.write_seconds / cores
        each = rendering + writing if device[row.scene] == "cpu" else max(rendering, writing)
        if row.error is None:
            seconds[row.scene] = frames * each
    return seconds
