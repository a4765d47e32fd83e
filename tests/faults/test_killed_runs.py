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
    world.scene("a", frames_of_a, seconds=0.02)
    rng = random.Random(6)
    kept = [0]

    def recorded() -> int:
        lines = b"".join(path.read_bytes() for path in world.data.rglob("journal.jsonl")).splitlines()
        return len({line.split(b",")[0] for line in lines if line.startswith(b'{"frame":')})

    for number in range(20):
        if number % 2:
            more = rng.randint(1, 10)
            wanted = recorded() + more
            world.give_tickets(more + 2)
            process = world.begin()
            wait_until(lambda wanted=wanted: recorded() >= wanted, "some more frames")
        else:  # While it starts, or soon after.
            world.give_tickets(3)
            process = world.begin()
            time.sleep(rng.uniform(0.0, 0.6))
        assert process.poll() is None, "the run was too short"
        process.kill()
        process.communicate()
        world.check_nothing_is_left()
        kept.append(world.frames())
    assert kept == sorted(kept) and kept[-1] < 200, kept
    world.open_gate()
    (journal,) = world.data.rglob("journal.jsonl")
    recorded = {line.split(b",")[0] for line in journal.read_bytes().splitlines() if line.startswith(b'{"frame":')}
    world.scene("a", frames_of_a)
    report = world.run()
    assert report["frames_kept"] >= len(recorded) - 1 > 0  # The last line may be torn.
    assert tree(world.data) == undisturbed()


def test_terminated_run_finishes_what_it_has_in_hand(world, undisturbed):
    world.scene("a")
    world.give_tickets(5)
    process = world.begin_program()
    wait_until(lambda: world.frames() > 3, "some frames")
    process.terminate()
    world.wait_for_note("Interrupted")
    world.open_gate()
    out, err = process.communicate(timeout=200)
    report = json.loads(out)
    assert process.returncode == report["exit_code"] == 130 and "Traceback" not in err
    assert 5 < report["frames_rendered"] < NUM_FRAMES and not report["failures"]
    world.check_nothing_is_left()
    rest = world.run()
    assert rest["frames_kept"] == report["frames_rendered"]
    assert tree(world.data) == undisturbed()


def test_ctrl_c_twice_stops_now(world):
    """It does not wait for frames in hand: those would never be done."""
    world.scene("a")
    world.give_tickets(2)
    process = world.begin_program()
    wait_until(lambda: world.frames() > 1, "some frames")
    process.send_signal(signal.SIGINT)
    world.wait_for_note("Interrupted")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130 and "Traceback" not in err
    world.check_nothing_is_left()
