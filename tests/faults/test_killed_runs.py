"""Runs that are killed or interrupted, and run again."""

from __future__ import annotations

import json
import random
import signal
import time

from tests.faults.conftest import NUM_FRAMES, tree
from tests.helpers import wait_until


def test_run_killed_at_twenty_random_moments(world, undisturbed):
    """Each rerun goes on in the same folder, and is killed too, but the last."""
    frames_of_a = (1, 200)
    world.scene("a", frames_of_a, seconds=0.12)
    rng = random.Random(6)
    kept = [0]

    def frames() -> int:
        return len(list(world.data.rglob("frame_*.png")))

    for number in range(20):
        process = world.begin()
        if number % 2:
            wanted = kept[-1] + rng.randint(1, 10)
            wait_until(lambda wanted=wanted: frames() >= wanted, "some more frames", 60)
        else:  # While it starts, or soon after.
            time.sleep(rng.uniform(0.0, 0.6))
        assert process.poll() is None, "the run was too short"
        process.kill()
        process.communicate()
        world.check_nothing_is_left()
        kept.append(frames())
    assert kept == sorted(kept) and kept[-1] < 200, kept
    (journal,) = world.data.rglob("journal.jsonl")
    recorded = {line.split(b",")[0] for line in journal.read_bytes().splitlines() if line.startswith(b'{"frame":')}
    world.scene("a", frames_of_a)
    report = world.run()
    assert report["frames_kept"] >= len(recorded) - 1 > 0  # The last line may be torn.
    assert tree(world.data) == undisturbed()


def test_terminated_run_finishes_what_it_has_in_hand(world, undisturbed):
    world.scene("a", seconds=0.1)
    process = world.begin_program()
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


def test_ctrl_c_twice_stops_now(world):
    world.scene("a", seconds=1.0)
    process = world.begin_program()
    wait_until(lambda: len(list(world.data.rglob("frame_*.png"))) > 1, "some frames", 30)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in err
    assert time.monotonic() - began < 2.5
    world.check_nothing_is_left()
