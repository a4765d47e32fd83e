"""What a script has done to a scene, how a process catches up with it, and a run that renders the result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visionsim.errors import ConfigError, SamplingError, ShapeError, WorkerError
from visionsim.simulation.client import OpenSequence, RunClient, RunRequest, worker_settings
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.jobs import Fail, FrameTask, Retry, Task
from visionsim.simulation.labels import LabelRules
from visionsim.simulation.plan import SceneFile, SceneInfo, SequencePlan
from visionsim.simulation.protocol import ARRAY
from visionsim.simulation.report import Observer
from visionsim.simulation.run import AnimationRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

    from visionsim.types import Matrix

__all__ = [
    "Asked",
    "Edits",
    "FramesRequest",
    "ScriptRun",
    "ShiftedRequest",
    "c2w_looking_at",
    "c2w_of",
    "checked_poses",
    "unpacked",
]


class Edits:
    """What was done to a scene, in order, and how much of it each worker has done already."""

    def __init__(self) -> None:
        self.digest: str | None = None
        """SHA-256 of the .blend, once it is known."""
        self.camera_is_free = False
        """Whether nothing but our own keyframes moves the camera."""
        self._steps: list[tuple[int, str, dict[str, Any]]] = []
        """Number, function of `worker.editing`, keyword arguments."""
        self._numbers = count(1)
        self._done: dict[int, int] = {}
        """Worker -> number of the last step that it has confirmed. A worker that was asked for something and has not
        answered, or has refused, is not here: it may be in any state."""

    def __bool__(self) -> bool:
        return bool(self._steps)

    @contextmanager
    def adding(self, name: str, arguments: dict[str, Any]) -> Iterator[None]:
        """Add a step, unless the block fails: then it is as if it had never been tried."""
        before = self._steps[:]
        if name == "pose_camera" and before and before[-1][1] == name:
            self._steps.pop()  # Only the last pose counts: a camera may be moved a million times.
        self._steps.append((next(self._numbers), name, arguments))
        try:
            yield
        except BaseException:
            self._steps = before
            self.forget_workers()
            raise

    def forget_workers(self) -> None:
        """Workers may be in any state: each is to begin with the file."""
        self._done.clear()

    def request(self, worker: int, scene: SceneFile, config: RenderConfig) -> dict[str, Any]:
        """Arguments of the request `perform` that brings a worker up to date; its answer goes to `confirmed`."""
        done = self._done.pop(worker, None)
        return {
            "blend": str(scene.blend.resolve()),
            "settings": worker_settings(config, config.jobs),
            "expected": self.digest,
            "reset": done is None,
            "edits": [[name, arguments] for number, name, arguments in self._steps if number > (done or 0)],
            "mark": [worker, self._steps[-1][0] if self._steps else 0],
        }

    def confirmed(self, answer: dict[str, Any]) -> None:
        """Note what a worker has done; takes the request's `mark` out of its answer."""
        worker, last = answer.pop("mark")
        self._done[worker] = last

    def fingerprint(self, shift: int) -> str:
        """Digest of everything besides settings that decides what frames show; empty if nothing was changed."""
        if not (self._steps or shift):
            return ""
        # Of a user's file its contents count, not where it is.
        steps = [
            [name, {key: value for key, value in arguments.items() if key != "path"}]
            for _, name, arguments in self._steps
        ]
        return hashlib.sha256(json.dumps([shift, steps], sort_keys=True).encode()).hexdigest()[:16]


@dataclass
class Asked:
    """A client of the pool that has one thing to ask of any worker."""

    do: str
    arguments: Callable[[int], Mapping[str, Any]]
    """Worker -> arguments of the request."""
    answered: Callable[[dict[str, Any]], None] = lambda answer: None
    """Called with the worker's answer before it becomes the result."""
    result: dict[str, Any] = field(default_factory=dict)
    fail: Fail | None = None

    def request(self, task: Task, worker: int) -> tuple[str, Mapping[str, Any]]:
        return self.do, self.arguments(worker)

    def write(self, task: FrameTask, reply: dict[str, Any]) -> None:
        raise AssertionError("nothing is rendered")

    def done(self, task: Task, result: Any) -> None:
        self.answered(result)
        self.result = result

    def failed(self, fail: Fail) -> None:
        self.fail = fail

    def retried(self, retry: Retry) -> None:
        """Nothing: only the answer matters."""

    def note(self, message: str) -> None:
        """A worker that died over it is replaced; if that fails, it is told."""


@dataclass(frozen=True)
class ShiftedRequest(AnimationRequest):
    """The animation, on a timeline that was moved by so many frames."""

    shift: int = 0

    def whole(self, info: SceneInfo, config: RenderConfig) -> range:
        """The frames there are."""
        frames = super().whole(info, config)
        return range(frames.start + self.shift, frames.stop + self.shift)


@dataclass(frozen=True)
class FramesRequest:
    """Single frames of one scene, into one folder."""

    blend: Path
    root: Path
    frames: tuple[int, ...]
    labels: LabelRules | None = None

    def sequences(self, scene: SceneFile, info: SceneInfo, config: RenderConfig) -> list[SequencePlan]:
        """Raises SamplingError if there are no frames."""
        if not self.frames:
            raise SamplingError("There are no frames to render")
        return [SequencePlan(scene.name, scene, info, self.root, self.frames)]


class ScriptRun(RunClient):
    """A run that renders a scene as a script has left it."""

    def __init__(
        self,
        request: RunRequest,
        config: RenderConfig,
        workers: int,
        scene: SceneFile,
        edits: Edits,
        observe: Observer,
        *,
        shift: int,
        keep: bool,
        again: bool,
    ) -> None:
        """
        Args:
            shift: frames by which the timeline was moved.
            keep: the documents are about all frames in the folder, not only those that were asked for.
            again: render frames that are there already, too.
        """
        super().__init__(request, config, workers, {scene.name: scene}, observe)
        self.script, self.shift, self.keep, self.again = edits, shift, keep, again
        self.edits = edits.fingerprint(shift)

    def request(self, task: Task, worker: int) -> tuple[str, Mapping[str, Any]]:
        if isinstance(task, FrameTask):
            self.tell_begun(task.sequence)
            return "render", {"frame": task.frame - self.shift}
        _, opening = super().request(task, worker)
        survey = {name: opening[name] for name in ("truths", "copies")}
        return "perform", {**self.script.request(worker, self.scenes[task.scene], self.config), "survey": survey}

    def done(self, task: Task, result: Any) -> None:
        if not isinstance(task, FrameTask):
            self.script.confirmed(result)
        super().done(task, result)

    def find_missing(self) -> None:
        if not self.again:
            super().find_missing()
            return
        for item in self.sequences.values():
            item.missing = list(item.plan.frames)

    def described(self, item: OpenSequence) -> Sequence[int]:
        return sorted(item.journal.records) if self.keep else item.plan.frames


def unpacked(value: Any) -> Any:
    """What a function inside Blender returned, with its arrays; their files are removed."""
    import numpy as np

    if isinstance(value, dict):
        if ARRAY in value:
            path = Path(value[ARRAY])
            try:
                array = np.load(path, allow_pickle=False)
            except OSError as exc:
                raise WorkerError(f"an array that Blender left in {path} cannot be read: {exc}") from exc
            path.unlink()
            return array
        return {key: unpacked(item) for key, item in value.items()}
    return [unpacked(item) for item in value] if isinstance(value, list) else value


def checked_poses(name: str, c2w: ArrayLike) -> np.ndarray:
    """(N, 4, 4), float64.

    Raises:
        ShapeError: it has another shape, or N is 0.
        ConfigError: a pose is not rigid: rotation, without scale or mirror, and translation.
    """
    import numpy as np

    poses = np.asarray(c2w, dtype=np.float64)
    if poses.ndim != 3 or poses.shape[1:] != (4, 4) or not len(poses):
        raise ShapeError(f"{name} has shape {poses.shape}, expected (N, 4, 4) with at least one pose")
    rotations = poses[:, :3, :3]
    off = np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    bad = ~np.isfinite(poses).all(axis=(1, 2)) | (off > 1e-4) | (np.linalg.det(rotations) < 0)
    bad |= np.abs(poses[:, 3] - [0, 0, 0, 1]).max(axis=1) > 1e-9
    if bad.any():
        raise ConfigError(
            f"{name}: pose {int(bad.argmax())} is not rigid; it must be a rotation, without scale, and a translation"
        )
    return poses


def c2w_of(location: ArrayLike, rotation: ArrayLike) -> Matrix:
    """Pose from a place and a (3, 3) rotation or (4,) quaternion w, x, y, z.

    Raises:
        ShapeError, ConfigError: they are not such.
    """
    import numpy as np

    c2w, turn = np.eye(4), np.asarray(rotation, dtype=np.float64)
    if turn.shape == (4,):
        length = np.linalg.norm(turn)
        if not length > 1e-12:
            raise ConfigError("rotation: a quaternion must not be zero")
        w, x, y, z = turn / length
        turn = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
    if turn.shape != (3, 3):
        raise ShapeError(f"rotation has shape {turn.shape}, expected (3, 3) or (4,)")
    c2w[:3, :3], c2w[:3, 3] = turn, vector("location", location)
    pose: Matrix = checked_poses("rotation", c2w[None])[0]
    return pose


def c2w_looking_at(location: ArrayLike, target: ArrayLike) -> Matrix:
    """Pose of a camera at one point that has another in the middle of its picture; the world's +Z is up in it, or +Y
    if it looks straight up or down.

    Raises:
        ConfigError: the two are the same point.
    """
    import numpy as np

    eye, there = vector("location", location), vector("look_at", target)
    back = eye - there
    distance = np.linalg.norm(back)
    if not distance > 1e-12:
        raise ConfigError("look_at is where the camera is")
    back = back / distance
    up = np.array([0.0, 0.0, 1.0]) if abs(back[2]) < 1 - 1e-9 else np.array([0.0, 1.0, 0.0])
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    c2w = np.eye(4)
    c2w[:3, :4] = np.stack([right, np.cross(back, right), back, eye], axis=1)
    return c2w


def vector(name: str, value: ArrayLike) -> np.ndarray:
    """(3,), float64; raises ShapeError or ConfigError."""
    import numpy as np

    result = np.asarray(value, dtype=np.float64)
    if result.shape != (3,):
        raise ShapeError(f"{name} has shape {result.shape}, expected (3,)")
    if not np.isfinite(result).all():
        raise ConfigError(f"{name} is not finite: {result.tolist()}")
    return result
