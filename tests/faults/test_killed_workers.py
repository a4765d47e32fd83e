"""Workers that die, hang and crash while the run goes on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from pathlib import Path

from tests.faults.conftest import NUM_FRAMES, tree
from tests.helpers import running, wait_until

# Killed workers.


def test_fifty_workers_killed_in_one_run(world, undisturbed):
    """One for every second frame at most; no more are rendered than that takes, so that the run cannot end before."""
    for name in "ab":
        world.scene(name, frames=(1, 120), seconds=0.02)
    rng = random.Random(4)
    killed = 0
    world.give_tickets(6)
    process = world.begin(jobs=3)
    while killed < 50 and process.poll() is None:
        time.sleep(rng.uniform(0.0, 0.1))
        alive = [pid for pid in world.pids() if running(pid)]
        if alive and killed <= world.frames() / 2:
            with contextlib.suppress(ProcessLookupError):  # It has ended just now.
                os.kill(rng.choice(alive), signal.SIGKILL)
                killed += 1
                world.allow(6 + 3 * killed)  # Two frames, and the one that it had in hand.
    world.open_gate()
    out, err = process.communicate(timeout=250)
    report = json.loads(out)
    assert killed == 50, "the run was too short"
    if report["exit_code"] == 1:  # What three workers had in hand when they were killed is given up; see `Fail`.
        assert all("in 3 attempts" in failure["message"] for failure in report["failures"]), report["failures"]
        report = world.run()
    assert report["exit_code"] == 0 and "Traceback" not in err
    world.check_nothing_is_left()
    assert tree(world.data) == undisturbed()


# Workers that hang or crash.


def test_stopped_worker_is_replaced(world, undisturbed):
    world.scene("a")
    world.give_tickets(0)
    process = world.begin("--render-config.timeout=5")
    (worker,) = wait_until(lambda: list(world.state.glob("*.renders"))[:1], "a worker that renders")
    os.kill(int(worker.stem), signal.SIGSTOP)
    world.open_gate()
    out, _ = process.communicate(timeout=200)
    report = json.loads(out)
    assert report["exit_code"] == 0 and report["retries"] >= 1
    world.check_nothing_is_left()
    assert tree(world.data) == undisturbed()


def test_frame_that_cannot_be_rendered_is_set_aside(world, undisturbed):
    scenes = {"a": "segfault", "b": "abort", "c": "raise"}
    for name, how in scenes.items():
        world.scene(name, frames=(1, 12), misbehave={"7": [how, 99]})
    world.scene("d", frames=(1, 12))
    report = world.run(expect=1)
    failures = {failure["scene"]: failure for failure in report["failures"]}
    assert len(report["failures"]) == 3 and failures.keys() == scenes.keys()
    assert all(failure["frames"] == [7] for failure in failures.values())
    assert {name: failure["set_aside"] for name, failure in failures.items()} == {"a": True, "b": True, "c": False}
    assert report["frames_rendered"] == 4 * 12 - 3
    missing = [Path(name) for name in undisturbed().keys() - tree(world.data).keys()]
    for scene in "abcd":
        assert {path.stem for path in missing if path.parts[1] == scene} == ({
            "frame_000007", "depth_000007", "normal_000007", "flow_000007", "segmentation_000007", "transforms", "info",
        } if scene != "d" else set())  # fmt: skip


def test_scene_that_crashes_blender_fails_alone(world):
    world.scene("a", misbehave={"open": ["segfault", 99]})
    world.scene("b")
    report = world.run(expect=1)
    (failure,) = report["failures"]
    assert failure["scene"] == "a" and "SIGSEGV" in failure["message"]
    assert report["frames_rendered"] == NUM_FRAMES


# Workers that leak.


def test_leaking_worker_is_replaced_before_it_holds_much_more(world, undisturbed):
    """What it holds at most stays within a tenth of what it held during its first fifty frames."""
    world.kinds = ("depths",)
    world.scene("a", frames=(1, 280), memory=[220, 2])
    report = world.run(jobs=1)
    assert report["frames_rendered"] == 280 and report["retries"] == 0
    rows = [tuple(map(int, line.split())) for line in (world.state / "held").read_text().splitlines()]
    held = [number for _, number in rows]
    assert len({pid for pid, _ in rows}) >= 5
    assert max(held) <= 1.1 * max(held[:51])  # The first line is the opened scene.
    assert tree(world.data) == undisturbed()
