"""`visionsim status` as people see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Answer
from tests.synthetic import write_dataset
from visionsim.dataset.folders import find_sequences
from visionsim.dataset.lock import Holder, take
from visionsim.simulation.record import PlannedSequence, Retried, RunRecord
from visionsim.simulation.report import Failure

HOLDER = Holder("render-7", 4321, "2026-11-21T09:00:00+01:00")
DIED = "was killed by SIGSEGV\n    Blender's last words Log: logs/worker-00.log"


def make_dataset(root: Path) -> RunRecord:
    """One sequence complete, one that a run works on, one stopped, one not begun."""
    for scene in "abc":
        write_dataset(root / "renders" / scene / "001-00005-00012", num_frames=3)
    for scene in "bc":
        (root / "renders" / scene / "001-00005-00012" / "transforms.json").unlink()
    record = RunRecord(root, HOLDER)
    record.planned(
        PlannedSequence(f"{scene}/001-00005-00012", f"renders/{scene}/001-00005-00012", 7 if scene != "a" else 3, 0)
        for scene in "abcd"
    )
    name = "c/001-00005-00012"
    record.failure(Failure("c", name, (8,), "RuntimeError: out of memory"))
    record.failure(Failure("c", name, (9,), f"in 3 attempts Blender {DIED}", set_aside=True))
    for _ in range(2):
        record.retried(Retried(name, 9, DIED))
    return record


def test_status_reads_as_reviewed(call: Callable[..., Answer], golden: Callable[[str, str], None]) -> None:
    record = make_dataset(Path("out"))
    lock = take(Path("out/renders/b/001-00005-00012"), HOLDER)
    waiting = call("status", "out")
    record.begun("b/001-00005-00012")
    running = call("status", "out")
    record.stop("interrupted")
    lock.release()
    stopped = call("status", "out")
    assert (running.code, running.err, stopped.code, stopped.err) == (1, "", 1, "")
    golden("status.txt", f"{running.out}\n\n{stopped.out}")
    assert waiting.out == running.out.replace("running", "waiting")


def test_record_does_not_hide_the_sequences_from_verify(tmp_path: Path) -> None:
    make_dataset(tmp_path).stop("interrupted")
    assert [folder.parent.name for folder in find_sequences([tmp_path])] == ["a", "b", "c"]


def test_finished_dataset_needs_no_record(call: Callable[..., Answer], tmp_path: Path) -> None:
    write_dataset(tmp_path / "lego", num_frames=2)
    answer = call("status", tmp_path / "lego")
    assert answer.code == 0 and "1 of 1 sequence complete; 2 of 2 frames done" in answer.out
