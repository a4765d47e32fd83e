"""What the queue talks about: jobs and tasks, what happened (events), what is to be done (actions). Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from visionsim.simulation.protocol import ErrorKind

__all__ = [
    "Action",
    "Answered",
    "Event",
    "Fail",
    "Finish",
    "FrameTask",
    "Interrupted",
    "Job",
    "OpenTask",
    "Refused",
    "Retry",
    "Send",
    "StartWorker",
    "StopWorker",
    "Task",
    "WorkerDied",
    "WorkerLeft",
    "WorkerReady",
    "WriteBlame",
    "WriteFailed",
    "Written",
]


@dataclass(frozen=True)
class Job:
    """Frames of one sequence; without frames, only open the scene."""

    scene: str
    sequence: str = ""
    frames: tuple[int, ...] = ()


@dataclass(frozen=True)
class OpenTask:
    """Open a scene."""

    scene: str


@dataclass(frozen=True)
class FrameTask:
    """Render a frame; the worker has the scene open."""

    scene: str
    sequence: str
    frame: int


Task = OpenTask | FrameTask


@dataclass(frozen=True)
class WorkerReady:
    """A started worker said hello."""

    worker: int


@dataclass(frozen=True)
class WorkerDied:
    """A worker's process ended without being asked to."""

    worker: int
    reason: str


@dataclass(frozen=True)
class WorkerLeft:
    """A worker's process ended because of `StopWorker`."""

    worker: int


@dataclass(frozen=True)
class Answered:
    """A worker carried out the oldest task it had; a frame goes on to the writers."""

    worker: int
    task: Task
    memory: int = 0
    """Bytes that the worker's process holds; 0 if it does not know."""


@dataclass(frozen=True)
class Refused:
    """A worker could not carry out the oldest task it had, and lives on."""

    worker: int
    task: Task
    kind: ErrorKind
    message: str


@dataclass(frozen=True)
class Written:
    """All files of a frame are in place."""

    task: FrameTask


WriteBlame = Literal["frame", "scene", "disk", "full disk"]
"""Why a frame could not be written: what the worker delivered, the scene, the file system, or a disk without room."""


@dataclass(frozen=True)
class WriteFailed:
    """A frame was rendered but not written."""

    task: FrameTask
    message: str
    blame: WriteBlame = "frame"


@dataclass(frozen=True)
class Interrupted:
    """The user wants to stop: finish what is in hand, begin nothing new."""


Event = WorkerReady | WorkerDied | WorkerLeft | Answered | Refused | Written | WriteFailed | Interrupted


@dataclass(frozen=True)
class StartWorker:
    """Start a worker process under this number, after a pause in seconds."""

    worker: int
    pause: float = 0.0


@dataclass(frozen=True)
class StopWorker:
    """Ask a worker, which has nothing to do, to leave; its end is heard as `WorkerLeft`."""

    worker: int
    reason: str


@dataclass(frozen=True)
class Send:
    """Ask a worker to carry out a task."""

    worker: int
    task: Task


@dataclass(frozen=True)
class Finish:
    """A task is done for good."""

    task: Task


@dataclass(frozen=True)
class Fail:
    """A task is given up; an OpenTask stands for its whole scene."""

    task: Task
    kind: ErrorKind
    message: str
    set_aside: bool = False
    """It killed each worker that tried."""


@dataclass(frozen=True)
class Retry:
    """A task went wrong, and will be tried again."""

    task: Task
    message: str


Action = StartWorker | StopWorker | Send | Finish | Fail | Retry
