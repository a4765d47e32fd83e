"""The record of a run: others read it while it goes on, after its end and after its death; the next run removes it."""

from __future__ import annotations

import pytest

from visionsim.dataset.lock import Holder
from visionsim.simulation.record import PlannedSequence, Retried, RunRecord, read_runs
from visionsim.simulation.report import Failure, RunReport

ME = Holder.me()
PLANNED = PlannedSequence("a/001-00001-00011", "renders/a/001-00001-00011", 10, 3)
FAILURE = Failure("a", PLANNED.name, (7,), "Blender was killed by SIGSEGV\n    last words", set_aside=True)
RETRIED = Retried(PLANNED.name, 7, "was killed by SIGSEGV")


@pytest.fixture
def record(tmp_path) -> RunRecord:
    record = RunRecord(tmp_path, ME)
    record.planned([PLANNED])
    record.retried(RETRIED)
    record.failure(FAILURE)
    record.note("a note\nof two lines")
    return record


def test_record_of_a_run_that_goes_on(tmp_path, record):
    (run,) = read_runs(tmp_path)
    assert (run.holder, run.running, run.state, run.ended) == (ME, True, "running", None)
    assert (run.sequences, run.failures, run.retries) == ([PLANNED], [FAILURE], [RETRIED])
    assert run.notes == ["a note\nof two lines"]


@pytest.mark.parametrize(
    ("report", "state"),
    [(RunReport(None, interrupted=True), "interrupted"), (RunReport(None, failures=[FAILURE]), "ended with failures")],
)
def test_record_of_a_run_that_did_not_do_everything_stays(tmp_path, record, report, state):
    record.end(report)
    record.stop("ended with an error: what comes later")
    (run,) = read_runs(tmp_path)
    assert (run.running, run.state, run.failures) == (False, state, [FAILURE])


def test_record_of_a_run_that_did_everything_goes(tmp_path, record):
    record.end(RunReport(tmp_path))
    assert read_runs(tmp_path) == [] and list(tmp_path.iterdir()) == []


def test_next_run_removes_records_of_runs_that_ended_and_no_others(tmp_path, record):
    ended = RunRecord(tmp_path, Holder("elsewhere", 77, "2026-11-21T09:00:00+01:00"))
    ended.stop("interrupted")
    second = RunRecord(tmp_path, ME)  # Another run of this process.
    assert [run.holder for run in read_runs(tmp_path)] == [ME, ME]
    for one in (record, second):
        one.end(RunReport(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "3", '{"retry": 3}', '{"retry": {"frame": 1}}', '{"a": 1, "b": 2}', "\0"]
)
def test_line_that_says_nothing_is_passed_over(tmp_path, record, line):
    record.stop("interrupted")
    (path,) = (tmp_path / ".visionsim").iterdir()
    path.write_text(f"{path.read_text()}{line}\n")
    (run,) = read_runs(tmp_path)
    assert (run.state, run.failures, run.retries) == ("interrupted", [FAILURE], [RETRIED])


def test_file_that_is_no_record_is_passed_over(tmp_path, record):
    (tmp_path / ".visionsim" / "run-mine.jsonl").write_text("not a record\n")
    assert [run.holder for run in read_runs(tmp_path)] == [ME]
    record.stop("interrupted")


def test_disk_that_is_full_does_not_stop_the_run(tmp_path, record, monkeypatch, caplog):
    def full(text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record._lock, "write", full)
    record.note("never written")
    assert "No space left" in caplog.text
    record.stop("interrupted")
    assert [run.notes for run in read_runs(tmp_path)] == [["a note\nof two lines"]]
