"""Whatever happens to a run: exit codes as promised, nothing lost, nothing left, and the same bytes in the end."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY, running, wait_until

FAKE_BLENDER = Path(__file__).parent / "fake_blender.py"
KINDS = ("depths", "normals", "flows", "segmentations")
NUM_FRAMES = 60


def tree(root: Path) -> dict[str, bytes]:
    """Every file under a folder, and what is in it."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@dataclass
class World:
    """A folder of scenes, one of data, and the command that makes the one from the other."""

    folder: Path
    blender: Path
    data: Path
    temporary: Path

    def scene(self, name: str, **scene) -> None:
        (self.folder / "scenes").mkdir(exist_ok=True)
        text = json.dumps({"frames": [1, NUM_FRAMES], **scene})
        (self.folder / "scenes" / f"{name}.blend").write_text(text)

    def begin(self, *options: str, jobs: int = 2, data: Path | None = None) -> subprocess.Popen:
        command = [
            sys.executable, "-P", "-m", "visionsim", "create-datasets", "--json",
            f"--scenes-dir={self.folder / 'scenes'}", f"--datasets-dir={data or self.data}",
            "--render-config.width=16", "--render-config.height=12", f"--render-config.jobs={jobs}",
            f"--render-config.executable={self.blender}", f"--render-config.log-dir={self.folder / 'logs'}",
            *(f"--render-config.{kind}" for kind in KINDS), *options,
        ]  # fmt: skip
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        environment = {
            **os.environ, "PYTHONPATH": str(REPOSITORY), "VISIONSIM_FAKE_STATE": str(state),
            "VISIONSIM_SCRATCH": str(self.temporary), "TMPDIR": str(self.temporary),
        }  # fmt: skip
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *options: str, expect: int = 0, **more) -> dict:
        """Run to the end; returns the report."""
        out, err = self.begin(*options, **more).communicate(timeout=120)
        report = json.loads(out) if out.strip() else {"exit_code": None, "error": err}
        assert report.get("exit_code", expect) == expect, (report, err)
        assert "Traceback" not in err, err
        self.check_nothing_is_left()
        return report

    def pids(self) -> list[int]:
        return [int(path.stem) for path in (self.folder / "state").glob("*.pid")]

    def check_nothing_is_left(self) -> None:
        wait_until(lambda: not any(map(running, self.pids())), "the workers' end")
        wait_until(lambda: not list(self.temporary.iterdir()), "the end of scratch files")


@pytest.fixture
def world(tmp_path: Path) -> World:
    # Without site-packages Python starts in a fraction of the time.
    blender = tmp_path / "blender"
    blender.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E -P "{FAKE_BLENDER}" "$@"\n')
    blender.chmod(0o755)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    return World(tmp_path, blender, tmp_path / "data", temporary)


@pytest.fixture
def undisturbed(world: World) -> Callable[[], dict[str, bytes]]:
    """() -> the tree that the world's scenes give if nothing happens."""

    def make() -> dict[str, bytes]:
        calm = World(world.folder, world.blender, world.folder / "calm", world.temporary)
        calm.run()
        return tree(calm.data)

    return make


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


# Killed runs.


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


# Workers that hang or crash.


def test_stopped_worker_is_replaced(world, undisturbed):
    world.scene("a", seconds=0.02)
    expected = undisturbed()
    before = set(world.pids())
    process = world.begin("--render-config.timeout=1.5")
    wait_until(lambda: len(list(world.data.rglob("frame_*.png"))) > 3, "some frames", 30)
    os.kill(max(set(world.pids()) - before), signal.SIGSTOP)
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


# Disks.


@pytest.fixture
def small_disk(world) -> Iterator[Callable[[int], Path]]:
    """(megabytes) -> a disk of that size. Needs the right to mount."""
    mounted: list[Path] = []

    def make(megabytes: int, *options: str) -> Path:
        folder = world.folder / f"disk-{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={megabytes}m", *options]), "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            assert not os.environ.get("VISIONSIM_REQUIRE_MOUNT"), done.stderr
            pytest.skip(f"cannot mount a small disk: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


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
    journal.write_bytes(journal.read_bytes()[:-20])
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
