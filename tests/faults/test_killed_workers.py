"""Workers that die, hang and crash while the run goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.conftest import NUM_FRAMES, tree
from tests.helpers import running, wait_until

# Killed workers.


def test_fifty_workers_killed_in_one_run(world, undisturbed):
    world.scene("a", frames=[1, 120], seconds=0.05)
    world.scene("b", frames=[1, 120], seconds=0.05)
    expected = undisturbed()
    rng = random.Random(4)
    killed = 0
    before = set(world.pids())
    process = world.begin(jobs=3)
    while killed < 50 and process.poll() is None:
        time.sleep(rng.uniform(0.0, 0.1))
        alive = [pid for pid in set(world.pids()) - before if running(pid)]
        if alive:
            os.kill(rng.choice(alive), signal.SIGKILL)
            killed += 1
    out, err = process.communicate(timeout=120)
    report = json.loads(out)
    assert killed == 50, "the run was too short"
    if report["exit_code"] == 1:  # What three workers had in hand when they were killed is given up; see `Fail`.
        assert all("in 3 attempts" in failure["message"] for failure in report["failures"]), report["failures"]
        report = world.run()
    assert report["exit_code"] == 0 and "Traceback" not in err
    world.check_nothing_is_left()
    assert tree(world.data) == expected


# Workers that hang or crash.


def test_stopped_worker_is_replaced(world, undisturbed):
    world.scene("a", seconds=0.02)
    expected = undisturbed()
    state = world.folder / "state"
    before = set(state.glob("*.renders"))
    process = world.begin("--render-config.timeout=1.5")
    (worker,) = wait_until(lambda: list(set(state.glob("*.renders")) - before)[:1], "a worker that renders", 30)
    os.kill(int(worker.stem), signal.SIGSTOP)
    out, _ = process.communicate(timeout=60)
    report = json.loads(out)
    assert report["exit_code"] == 0 and report["retries"] >= 1
    world.check_nothing_is_left()
    assert tree(world.data) == expected


@pytest.mark.parametrize("how", ["segfault", "abort", "raise"])
def test_frame_that_cannot_be_rendered_is_set_aside(world, undisturbed, how):
    world.scene("a")
    world.scene("b")
    expected = undisturbed()
    world.scene("a", misbehave={"7": [how, 99]})
    report = world.run(expect=1)
    (failure,) = report["failures"]
    assert failure["frames"] == [7] and failure["set_aside"] == (how != "raise")
    assert report["frames_rendered"] == 2 * NUM_FRAMES - 1
    missing = set(expected) - set(tree(world.data))
    assert {Path(name).stem for name in missing} == {
        "frame_000007", "depth_000007", "normal_000007", "flow_000007", "segmentation_000007", "transforms", "info",
    }  # fmt: skip


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
    world.scene("a", frames=[1, 500])
    expected = undisturbed()
    world.scene("a", frames=[1, 500], memory=[320, 3])
    report = world.run(jobs=1)
    assert report["frames_rendered"] == 500 and report["retries"] == 0
    rows = [tuple(map(int, line.split())) for line in (world.folder / "state" / "held").read_text().splitlines()]
    held = [number for _, number in rows]
    assert len({pid for pid, _ in rows}) >= 5
    assert max(held) <= 1.1 * max(held[:51])  # The first line is the opened scene.
    world.check_nothing_is_left()
    assert pictures(tree(world.data)) == pictures(expected)


def pictures(files: dict[str, bytes]) -> dict[str, bytes]:
    """Without what records the scene's own digest."""
    return {name: data for name, data in files.items() if Path(name).suffix in (".png", ".exr")}
