"""How far the sequences under a folder are, from what is on disk: during a run, after its end, after its death."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from visionsim.dataset.folders import sequences_in
from visionsim.dataset.journal import DOCUMENTS, Journal
from visionsim.dataset.lock import is_held, lock_path
from visionsim.dataset.schema import read_document
from visionsim.errors import DataError, InputNotFound, SchemaError
from visionsim.files import natural_key
from visionsim.simulation.record import PlannedSequence, StoredRun, read_runs
from visionsim.simulation.report import Failure

__all__ = ["SequenceStatus", "State", "Status", "status"]

State = Literal["complete", "running", "waiting", "stopped", "not begun"]
"""`waiting`: a run that goes on has claimed the sequence, and no worker has begun it."""


@dataclass(frozen=True)
class SequenceStatus:
    """One sequence as it is now."""

    name: str
    folder: Path
    state: State
    done: int
    """Frames that are recorded as finished; whether their files are still intact only the next run looks."""
    total: int | None
    """None if no run is known that was to complete it."""
    failed: int = 0
    retried: int = 0
    """Times that a frame was tried again."""


@dataclass
class Status:
    """All that is known of a folder."""

    root: Path
    sequences: list[SequenceStatus] = field(default_factory=list)
    runs: list[StoredRun] = field(default_factory=list)
    """Those that go on, and those that did not do everything; of others there is no record."""

    @property
    def failures(self) -> list[Failure]:
        return [failure for run in self.runs for failure in run.failures]

    @property
    def exit_code(self) -> int:
        """0 if everything is complete."""
        return int(bool(self.failures) or any(row.state != "complete" for row in self.sequences))

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        runs = [
            {
                **dataclasses.asdict(run.holder),
                "state": run.state,
                "failures": [{**dataclasses.asdict(f), "frames": list(f.frames)} for f in run.failures],
                "retries": [dataclasses.asdict(retried) for retried in run.retries],
                "notes": run.notes,
            }
            for run in self.runs
        ]
        return {
            "root": str(self.root),
            "exit_code": self.exit_code,
            "frames_done": sum(row.done for row in self.sequences),
            "frames_failed": sum(row.failed for row in self.sequences),
            "frames_set_aside": sum(failure.set_aside for failure in self.failures),
            "sequences": [{**dataclasses.asdict(row), "folder": str(row.folder)} for row in self.sequences],
            "runs": runs,
        }


def status(root: Path) -> Status:
    """Look at a dataset, a sequence, or what render-animation wrote or writes; changes nothing, and needs no Blender.

    Raises:
        InputNotFound: no such folder, or visionsim has nothing in it.
    """
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise InputNotFound(f"The folder {what}: {root}")
    runs = read_runs(root)
    planned = {root / row.folder: row for run in runs for row in run.sequences}
    folders = sorted({*sequences_in(root), *planned}, key=lambda folder: natural_key(str(folder)))
    if not folders and not runs:
        raise InputNotFound(f"There is no sequence that visionsim wrote, and no run that is to write one, in {root}")
    return Status(root, [sequence_status(root, folder, planned.get(folder), runs) for folder in folders], runs)


def sequence_status(root: Path, folder: Path, planned: PlannedSequence | None, runs: list[StoredRun]) -> SequenceStatus:
    """One sequence; `planned` is what the last run that knows it was to do."""
    claimed = is_held(lock_path(folder))  # First: what it finishes meanwhile is done, not stopped.
    # As reports call it.
    found = folder.relative_to(root).as_posix().removeprefix("renders/") if folder != root else folder.resolve().name
    name = planned.name if planned else found
    try:
        journal = Journal.read(folder)
    except DataError:
        journal = None  # The next run refuses it, and says why.
    done = len(journal.records) if journal else 0
    total = planned.total if planned else None
    if journal and journal.arrays:
        total = journal.arrays["files"]["frames"]["frames"]
    complete = all((folder / document).exists() for document in DOCUMENTS)
    if complete:
        # render-animation may have rendered more frames than it was asked for the last time.
        total = done = frames_described(folder, done)
    state: State = "stopped"
    if complete:
        state = "complete"
    elif claimed:
        known = [run for run in runs if run.running and any(row.name == name for row in run.sequences)]
        # Scripts that write a sequence by themselves leave no record, and are at work.
        state = "waiting" if known and not any(name in run.begun for run in known) else "running"
    elif done == 0:
        state = "not begun"
    failed = sum(len(failure.frames) for run in runs for failure in run.failures if failure.sequence == name)
    retried = sum(again.sequence == name for run in runs for again in run.retries)
    return SequenceStatus(name, folder, state, done, total, failed, retried)


def frames_described(folder: Path, recorded: int) -> int:
    """How many frames the documents of a complete sequence describe."""
    try:
        return int(read_document("info", folder / "info.json")["num_frames"])
    except (SchemaError, OSError):
        return recorded  # `verify` tells what is wrong with it.
