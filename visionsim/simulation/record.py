"""What a run leaves in `ROOT/.visionsim/run-HOST-PID.jsonl` for `visionsim status`, and how that is read.

The first line says who runs, each further one what was planned, went wrong or was noted, the last one how it ended. The
file is locked while the run lives. A run that did everything removes it; else the next run on that folder does.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from visionsim.dataset.lock import FileLock, Holder, is_held, lock_file
from visionsim.simulation.report import Failure, RunReport

__all__ = ["PlannedSequence", "Retried", "RunRecord", "StoredRun", "read_runs"]

logger = logging.getLogger(__name__)

PATTERN = "run-*.jsonl"


@dataclass(frozen=True)
class PlannedSequence:
    """A sequence that a run was to complete."""

    name: str
    folder: str
    """Relative to the run's root."""
    total: int
    kept: int
    """Frames that were there when the run began."""


@dataclass(frozen=True)
class Retried:
    """A frame that was tried again."""

    sequence: str
    frame: int
    message: str


@dataclass
class StoredRun:
    """What the record of a run says."""

    holder: Holder
    running: bool
    sequences: list[PlannedSequence] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    """Names of the sequences of which a frame was given to a worker."""
    retries: list[Retried] = field(default_factory=list)
    """One for each time."""
    notes: list[str] = field(default_factory=list)
    ended: str | None = None
    """How, in words; None if it goes on, or was killed."""

    @property
    def state(self) -> str:
        """In words."""
        if self.running:
            return "running"
        return self.ended or "killed, or its machine stopped"

    def take(self, line: str) -> None:
        """Add what a line says; one that was torn says nothing."""
        try:
            ((kind, value),) = json.loads(line).items()
            if kind == "sequence":
                self.sequences.append(PlannedSequence(**value))
            elif kind == "failure":
                self.failures.append(Failure(**{**value, "frames": tuple(value["frames"])}))
            elif kind == "retry":
                self.retries.append(Retried(**value))
            elif kind == "begun":
                self.begun.add(str(value))
            elif kind == "note":
                self.notes.append(str(value))
            elif kind == "end":
                self.ended = str(value)
        except (ValueError, KeyError, TypeError, AttributeError):
            logger.debug("not a line of a run's record: %r", line)


class RunRecord:
    """The record of this run, from its plan to its end."""

    def __init__(self, root: Path, holder: Holder) -> None:
        folder = root / ".visionsim"
        for path in sorted(folder.glob(PATTERN)):
            ended = lock_file(path, 0.1)
            if ended is not None:
                ended.release()
        self._lock = first_free(folder, f"run-{holder.host}-{holder.pid}")
        self._over = False
        self._write(holder.to_line())

    def planned(self, sequences: Iterable[PlannedSequence]) -> None:
        for sequence in sequences:
            self._add("sequence", dataclasses.asdict(sequence))

    def begun(self, sequence: str) -> None:
        self._add("begun", sequence)

    def failure(self, failure: Failure) -> None:
        self._add("failure", dataclasses.asdict(failure))

    def retried(self, retried: Retried) -> None:
        self._add("retry", dataclasses.asdict(retried))

    def note(self, message: str) -> None:
        self._add("note", message)

    def end(self, report: RunReport) -> None:
        """The run has come to its end; the record goes unless it has something to tell."""
        if report.exit_code == 0:
            self._over = True
            self._lock.release()
        self.stop("interrupted" if report.interrupted else "ended with failures")

    def stop(self, how: str) -> None:
        """The run is over. Does nothing if that is known."""
        if not self._over:
            self._over = True
            self._add("end", how)
            self._lock.release(remove=False)

    def _add(self, kind: str, value: Any) -> None:
        self._write(json.dumps({kind: value}) + "\n")

    def _write(self, line: str) -> None:
        try:
            self._lock.write(line)
        except OSError as exc:  # A full disk, most likely; the run has more important things to say then.
            logger.warning("the record of the run cannot be written: %s", exc)


def first_free(folder: Path, stem: str) -> FileLock:
    """A record of our own; a process may have several runs."""
    for number in count(1):
        lock = lock_file(folder / (f"{stem}.jsonl" if number == 1 else f"{stem}-{number}.jsonl"))
        if lock is not None:
            return lock
    raise AssertionError


def read_runs(root: Path) -> list[StoredRun]:
    """The runs that have a record under `root`, in the order in which they began."""
    runs = []
    for path in sorted((root / ".visionsim").glob(PATTERN)):
        running = is_held(path)  # First: what has ended in the meantime says how.
        try:
            first, *lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
        except FileNotFoundError:
            continue  # It has just done everything.
        holder = Holder.from_line(first)
        if holder is not None:
            run = StoredRun(holder, running)
            for line in lines:
                run.take(line)
            run.running = run.running and run.ended is None
            runs.append(run)
    return sorted(runs, key=lambda run: run.holder.started)
