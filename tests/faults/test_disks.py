"""Full and read-only disks, damaged files, and histories that must not matter."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

from tests.faults.conftest import KINDS, NUM_FRAMES, tree

# Disks.


def test_full_disk_stops_the_run_which_goes_on_when_there_is_room(world, undisturbed, small_disk):
    world.scene("a", frames=(1, 80))
    expected = undisturbed()
    disk = small_disk(5)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(3_500_000))
    report = world.run(data=disk / "data", expect=1)
    assert report["frames_rendered"] < 80
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
    process = world.begin_program(data=disk / "data")
    _, err = process.communicate(timeout=200)
    assert process.returncode == 2 and "read-only" in err.lower() and "Traceback" not in err
    assert world.pids() == []


# Damaged files.


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    match how:
        case "truncated":
            del data[len(data) // 2 :]
        case "empty":
            data.clear()
        case "bit-flipped":
            data[len(data) * 2 // 3] ^= 0x10
        case "removed":
            path.unlink()
            return
    path.write_bytes(data)


def test_damaged_files_of_each_kind_are_rendered_again_and_nothing_else(world, finished):
    world.scene("a")
    expected = finished()
    (sequence,) = (world.data / "renders" / "a").iterdir()
    files = ("frames/frame_{:06d}.png", *(f"{kind}/{kind[:-1]}_{{:06d}}.exr" for kind in KINDS))
    # Each in a frame of its own.
    damages = list(itertools.product(("truncated", "bit-flipped", "empty", "removed"), files))
    for frame, (how, file) in enumerate(damages, 2):
        damage(sequence / file.format(frame), how)
    report = world.run()
    assert report["frames_rendered"] == len(damages) < NUM_FRAMES
    assert tree(world.data) == expected


def test_torn_journal_loses_one_frame(world, finished):
    world.scene("a")
    expected = finished()
    (journal,) = world.data.rglob("journal.jsonl")
    data = journal.read_bytes()
    journal.write_bytes(data[: data.rindex(b'"frame":%d' % NUM_FRAMES) + 40])
    assert world.run()["frames_rendered"] == 1
    assert tree(world.data) == expected


# Histories.


def test_number_of_jobs_and_order_do_not_matter(world, undisturbed):
    for name in "abc":
        world.scene(name, frames=(1, 8))
    expected = undisturbed()
    for jobs in (1, 5):
        data = world.folder / f"data-{jobs}"
        world.run(jobs=jobs, data=data)
        assert tree(data) == expected
