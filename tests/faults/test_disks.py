"""Full and read-only disks, damaged files, and histories that must not matter."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.conftest import KINDS, tree

# Disks.


def test_full_disk_stops_the_run_which_goes_on_when_there_is_room(world, undisturbed, small_disk):
    world.scene("a", frames=[1, 300])
    expected = undisturbed()
    disk = small_disk(5)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(3_500_000))
    report = world.run(data=disk / "data", expect=1)
    assert report["frames_rendered"] < 300
    assert all("nearly full" in failure["message"] for failure in report["failures"]), report["failures"]
    assert shutil.disk_usage(disk).free > 500_000, "there is no room left for the journal"
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    again = world.run(data=disk / "data")
    assert again["frames_kept"] == report["frames_rendered"]
    assert tree(disk / "data") == expected


def test_read_only_folder_is_refused_before_anything_is_done(world, small_disk):
    world.scene("a")
    disk = small_disk(4)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    process = world.begin(data=disk / "data")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2 and "read-only" in err.lower() and "Traceback" not in err
    assert world.pids() == []


# Damaged files.


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "truncated":
        del data[len(data) // 2 :]
    elif how == "empty":
        data.clear()
    else:
        data[len(data) * 2 // 3] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "bit-flipped", "empty", "removed"])
def test_damaged_files_of_each_kind_are_rendered_again_and_nothing_else(world, undisturbed, how):
    world.scene("a", frames=[1, 12])
    expected = undisturbed()
    world.run()
    (sequence,) = (world.data / "renders" / "a").iterdir()
    names = ("frames/frame_000002.png", *(f"{kind}/{kind[:-1]}_{i + 3:06d}.exr" for i, kind in enumerate(KINDS)))
    for name in names:
        damage(sequence / name, how) if how != "removed" else (sequence / name).unlink()
    report = world.run()
    assert report["frames_rendered"] == len(names)
    assert tree(world.data) == expected


def test_torn_journal_loses_one_frame(world, undisturbed):
    world.scene("a", frames=[1, 12])
    expected = undisturbed()
    world.run()
    (journal,) = world.data.rglob("journal.jsonl")
    data = journal.read_bytes()
    journal.write_bytes(data[: data.rindex(b'"frame":12') + 40])
    assert world.run()["frames_rendered"] == 1
    assert tree(world.data) == expected


# Histories.


def test_number_of_jobs_and_order_do_not_matter(world, undisturbed):
    for name in "abc":
        world.scene(name, frames=[1, 20])
    expected = undisturbed()
    for jobs in (1, 5):
        data = world.folder / f"data-{jobs}"
        world.run(jobs=jobs, data=data)
        assert tree(data) == expected
