"""Runs that are killed or interrupted, and run again."""

from __future__ import annotations

import json
import random
import signal
import time

import pytest

from tests.faults.conftest import NUM_FRAMES, tree
from tests.helpers import wait_until


@pytest.mark.parametrize("part", range(4))
def test_run_killed_at_random_moments(world, undisturbed, part):
    """Five moments in each part, each in a fresh folder, and a second one during the rerun."""
    world.scene("a", seconds=0.01)
    began = time.monotonic()
    expected = undisturbed()
    takes = time.monotonic() - began
    rng = random.Random(part)
    for attempt in range(5):
        data = world.folder / f"data-{attempt}"
        process = world.begin(data=data)
        time.sleep(rng.uniform(0.1, takes))
        process.kill()
        process.communicate()
        world.check_nothing_is_left()
        assert world.run(data=data)["exit_code"] == 0
        assert tree(data) == expected


def test_terminated_run_finishes_what_it_has_in_hand(world, undisturbed):
    world.scene("a", seconds=0.05)
    process = world.begin()
    wait_until(lambda: len(list(world.data.rglob("frame_*.png"))) > 3, "some frames", 30)
    process.terminate()
    out, err = process.communicate(timeout=30)
    report = json.loads(out)
    assert process.returncode == report["exit_code"] == 130 and "Traceback" not in err
    assert 0 < report["frames_rendered"] < NUM_FRAMES and not report["failures"]
    world.check_nothing_is_left()
    rest = world.run()
    assert rest["frames_kept"] == report["frames_rendered"]
    assert tree(world.data) == undisturbed()


def test_ctrl_c_twice_stops_now(world, undisturbed):
    world.scene("a", seconds=1.0)
    process = world.begin()
    wait_until(lambda: len(list(world.data.rglob("frame_*.png"))) > 1, "some frames", 30)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in err
    assert time.monotonic() - began < 2.5
    world.check_nothing_is_left()
    world.scene("a", seconds=0.0)
