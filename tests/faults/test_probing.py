"""A probe renders one frame of each scene, says how long all will take, and leaves nothing."""

from __future__ import annotations

import pytest

from tests.cli.conftest import made_plan
from tests.faults.conftest import tree
from visionsim.simulation.plan import ProbedScene
from visionsim.simulation.probe import seconds_of

PROBE = ("--dry-run", "--probe")


def test_probe_measures_and_leaves_nothing(world, undisturbed):
    world.scene("room", frames=(1, 11))
    world.scene("hall", frames=(1, 20), misbehave={"11": ["segfault", 1]})
    before = tree(world.scenes)
    document = world.run(*PROBE)
    assert not world.data.exists() and not (world.folder / "logs").exists()
    assert tree(world.scenes) == before
    frames = {row["scene"]: row["frame"] for row in document["probe"]["scenes"]}
    assert frames == {"room": 6, "hall": 11}, "the middle of each, whatever killed a worker once"
    assert document["probe"]["workers"] == 2
    assert all(row["num_bytes"] > 0 for row in document["probe"]["scenes"])
    size = sum(len(data) for data in undisturbed().values())
    assert document["disk_bytes"] == pytest.approx(size, rel=0.3)


def test_scene_that_cannot_be_probed_is_told(world):
    world.scene("room", frames=(1, 9))
    world.scene("hall", frames=(1, 9), misbehave={"5": ["raise", 99]})
    document = world.run(*PROBE, expect=1)
    errors = {row["scene"]: row["error"] for row in document["probe"]["scenes"]}
    assert errors["room"] is None and "Out of memory" in errors["hall"]
    assert document["probe"]["hours"] > 0
    assert not world.data.exists()


@pytest.mark.parametrize(("device", "each"), [("cpu", 8.0 / 4 + 2.0 / 2), ("cuda", 8.0 / 4)])
def test_time_of_all_frames(device, each):
    plan = made_plan(scenes=2, sequences=3, frames=10)
    found = (ProbedScene("room1", 6, seconds=8.0, write_seconds=2.0), ProbedScene("room2", 6, error="it crashes"))
    devices = {"room1": device, "room2": device}
    assert seconds_of(plan, found, devices, workers=4, cores=2) == {"room1": pytest.approx(30 * each)}
