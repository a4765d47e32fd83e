"""Two runs at once, other settings, --force, ten thousand finished frames, and what `visionsim status` says of it."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import NUM_FRAMES, World, tree
from tests.faults.forked import Forked
from tests.helpers import wait_until
from tests.synthetic import grow, watched
from visionsim.dataset.lock import Holder, holder_of, lock_path, take


def sequence_of(world: World, scene: str) -> Path:
    (folder,) = (world.data / "renders" / scene).iterdir()
    return folder


@contextmanager
def paused(world: World, frames: int = 3, **options) -> Iterator[Forked]:
    """A run that has rendered some frames and stands still until the block ends; then it may render all."""
    world.give_tickets(frames)
    process = world.begin(**options)
    wait_until(lambda: world.frames() >= frames, "some frames")
    process.send_signal(signal.SIGSTOP)
    threads = list(Path(f"/proc/{process.pid}/task").glob("*/stat"))
    # What a thread asked of the system is still done.
    wait_until(lambda: all(path.read_text().rsplit(")", 1)[1].split()[0] == "T" for path in threads), "a standstill")
    try:
        yield process
    except BaseException:
        process.kill()
        process.communicate()
        raise
    world.open_gate()
    process.send_signal(signal.SIGCONT)


# Two runs at once.


def test_second_run_is_refused_with_host_and_process_of_the_first(world, undisturbed):
    world.scene("a")
    with paused(world) as process:
        before = tree(world.data)
        for options in ([], ["--force"], ["--force", "--render-config.seed=1"]):
            why = world.refused(*options)
            assert str(process.pid) in why and Holder.me().host in why
        assert tree(world.data) == before
    out, _ = process.communicate(timeout=200)
    report = json.loads(out)
    assert report["exit_code"] == 0 and report["frames_rendered"] == NUM_FRAMES
    assert tree(world.data) == undisturbed()


def test_refused_run_leaves_other_sequences_as_they_were(world, finished):
    """Locks are all taken before anything is written: the one that is held is the last."""
    for name in "abc":
        world.scene(name, frames=(1, 3))
    finished()
    shutil.rmtree(world.data / "renders" / "a")
    before = tree(world.data)
    taken = take(sequence_of(world, "c"), Holder("render-7", 4321, "yesterday"))
    assert "process 4321 on render-7, started yesterday" in world.refused()
    taken.release()
    assert tree(world.data) == before
    assert not (world.data / "renders" / "a").exists()


def test_lock_of_a_killed_run_is_no_obstacle_and_goes(world, undisturbed):
    world.scene("a")
    with paused(world) as process:
        process.kill()
    process.communicate()
    holder = holder_of(lock_path(sequence_of(world, "a")))
    assert holder is not None and holder.pid == process.pid
    found = world.status(1)
    assert [row["state"] for row in found["sequences"]] == ["stopped"]
    assert found["sequences"][0]["total"] == NUM_FRAMES and found["runs"][0]["state"].startswith("killed")
    world.run()
    assert world.status(0)["runs"] == []
    assert tree(world.data) == undisturbed()


def test_runs_on_different_scenes_of_one_folder_do_not_disturb_each_other(world, undisturbed):
    world.scene("a")
    other = World.at(world.folder / "other")
    other.data = world.data
    other.scene("b", frames=(1, 5))
    with paused(world) as first:
        other.run()
        states = {row["name"].split("/")[0]: row["state"] for row in world.status(1)["sequences"]}
        assert states == {"a": "running", "b": "complete"}
    out, _ = first.communicate(timeout=200)
    assert json.loads(out)["exit_code"] == 0
    world.scene("b", frames=(1, 5))
    assert tree(world.data) == undisturbed()


# Other settings.


def test_other_settings_are_refused_naming_the_fields_and_the_way_out(world, finished):
    world.scene("a", frames=(1, 6))
    before = finished()
    why = world.refused("--render-config.seed=5", "--render-config.max-samples=7")
    for word in ("seed (there 0, now 5)", "max_samples (there 256, now 7)", "--force"):
        assert word in why
    assert tree(world.data) == before


def test_force_removes_what_visionsim_wrote_and_nothing_else(world, finished):
    world.scene("a", frames=(1, 6))
    finished("--render-config.debug")
    sequence = sequence_of(world, "a")
    mine = [sequence / name for name in ("notes.txt", "frames/mine.png", "depths/old.exr", "extra/frame_000001.png")]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (sequence / "depths" / ".depth_000001.1.partial.exr").write_text("half")
    report = world.run("--render-config.seed=5", "--render-config.file-format=JPEG", "--force", expect=1)
    assert report["frames_kept"] == 0 and "seed (there 0, now 5)" in " ".join(report["notes"])
    assert all(path.read_text() == "mine" for path in mine)
    # The fake renders PNG, whatever it is asked for: that nothing could be written shows what was removed.
    left = {str(path.relative_to(sequence)) for path in sequence.rglob("*") if path.is_file()} - {
        str(path.relative_to(sequence)) for path in mine
    }
    assert not [name for name in left if name.endswith((".png", ".json", ".partial.exr"))], left


def test_forced_run_gives_what_a_fresh_one_gives_and_goes_on_where_it_stopped(world, undisturbed, finished):
    world.scene("a", frames=(1, 6))
    fresh = undisturbed("--render-config.seed=5")
    finished()
    assert world.run("--render-config.seed=5", "--force")["frames_rendered"] == 6
    assert tree(world.data) == fresh
    (sequence_of(world, "a") / "depths" / "depth_000003.exr").unlink()
    again = world.run("--render-config.seed=5", "--force")
    assert (again["frames_kept"], again["frames_rendered"]) == (5, 1), "--force began anew where it could go on"
    assert tree(world.data) == fresh


def test_force_with_no_allow_skips_renders_everything_again(world, finished):
    world.scene("a", frames=(1, 6))
    expected = finished()
    assert "--force" in world.refused("--render-config.no-allow-skips")
    assert world.run("--render-config.no-allow-skips", "--force")["frames_rendered"] == 6
    assert tree(world.data) == expected


def test_unreadable_journal_is_refused_until_force(world, finished):
    world.scene("a", frames=(1, 6))
    expected = finished()
    (sequence_of(world, "a") / ".visionsim" / "journal.jsonl").write_text("nonsense\n")
    assert "--force" in world.refused()
    assert world.run("--force")["frames_rendered"] == 6
    assert tree(world.data) == expected


# What is trusted.


def test_flipped_bit_in_a_pose_of_the_journal_is_not_believed(world, finished):
    world.scene("a", frames=(1, 6))
    expected = finished()
    journal = sequence_of(world, "a") / ".visionsim" / "journal.jsonl"
    text = journal.read_text()
    at = text.index('"matrix_world":[[1.0,0.0,0.0,0.375]')  # Frame 3's.
    journal.write_text(text[: at + 33] + "2" + text[at + 34 :])
    assert json.loads(journal.read_text().splitlines()[3])["camera"]["matrix_world"][0][3] != 0.375
    assert world.run()["frames_rendered"] == 1
    assert tree(world.data) == expected


@pytest.mark.parametrize("name", ["transforms.json", "info.json", ".visionsim/journal.jsonl"])
def test_documents_that_were_changed_or_lost_are_made_again(world, finished, name):
    world.scene("a", frames=(1, 6))
    expected = finished()
    path = sequence_of(world, "a") / name
    if name.endswith("l"):
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))  # Its last line.
    else:
        path.write_text(path.read_text().replace("24", "25"))
    assert world.run()["frames_rendered"] == 0
    assert tree(world.data) == expected
    if not name.endswith("l"):
        path.unlink()
        assert world.run()["frames_rendered"] == 0
        assert tree(world.data) == expected


def test_a_thousand_finished_frames_are_found_in_little_memory(world):
    """`make bench` does it with ten thousand, and sees how long it takes: less than 5 s, and 200 MB."""
    world.scene("a", frames=(1, 1000))
    world.run("--anim-end=2")
    folder = sequence_of(world, "a")
    grow(folder.rename(folder.with_name("001-00001-01001")), 1000)
    assert world.run()["frames_kept"] == 1000  # The documents are made.
    before = {path: path.stat().st_mtime_ns for path in world.data.rglob("*")}
    report, _, peak = watched(world.begin_program())
    assert (report["exit_code"], report["frames_kept"], report["frames_rendered"]) == (0, 1000, 0)
    assert peak < 110e6, "a run of two frames takes 65 MB"
    after = {path: path.stat().st_mtime_ns for path in world.data.rglob("*")}
    changed = {str(path.relative_to(world.data)) for path in after if before.get(path) != after[path]}
    folders = {str(folder.relative_to(world.data)) for folder in world.data.rglob(".visionsim")}
    assert changed <= folders | {"."}, "it wrote something"


# What status says.


def test_status_while_a_run_goes_on_after_it_stopped_and_when_all_is_done(world):
    world.scene("a", frames=(1, 4))
    world.scene("b")
    with paused(world, frames=7) as process:
        found = world.status(1)
        assert [row["total"] for row in found["sequences"]] == [4, NUM_FRAMES]
        assert found["sequences"][1]["state"] == "running" and found["sequences"][1]["done"] > 0
        (run,) = found["runs"]
        assert (run["pid"], run["state"]) == (process.pid, "running") and run["host"] == Holder.me().host
        process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=200)
    report = json.loads(out)
    found = world.status(1)
    assert found["sequences"][1]["state"] == "stopped" and report["exit_code"] == 130
    assert found["frames_done"] == report["frames_rendered"] and found["runs"][0]["state"] == "interrupted"
    world.run()
    assert [row["state"] for row in world.status(0)["sequences"]] == ["complete", "complete"]
    assert not (world.data / ".visionsim").exists()


def test_status_tells_what_failed_was_set_aside_and_tried_again_with_blenders_last_words(world):
    world.scene("a", frames=(1, 12), misbehave={"7": ["segfault", 99], "3": ["raise", 1], "9": ["raise", 99]})
    world.scene("b", misbehave={"open": ["segfault", 99]})
    report = world.run(expect=1)
    found = world.status(1)
    (run,) = found["runs"]
    assert run["failures"] == report["failures"] and run["state"] == "ended with failures"
    by_frame = {tuple(failure["frames"]): failure for failure in run["failures"]}
    assert (
        by_frame[(7,)]["set_aside"] and "SIGSEGV" in by_frame[(7,)]["message"] and "Log:" in by_frame[(7,)]["message"]
    )
    assert not by_frame[(9,)]["set_aside"] and "Out of memory" in by_frame[(9,)]["message"]
    assert by_frame[()]["scene"] == "b"
    assert 3 in [retried["frame"] for retried in run["retries"]]
    (row,) = found["sequences"]
    assert (row["state"], row["done"], row["total"], row["failed"]) == ("stopped", 10, 12, 2)
    assert row["retried"] == report["sequences"][0]["retried"]


def test_status_of_a_folder_without_anything_is_an_error(world):
    world.data.mkdir()
    assert "no sequence" in world.status(2)["error"]
    assert "does not exist" in world.status(2, world.folder / "none")["error"]
