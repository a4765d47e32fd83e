"""Drive Blender from Python: one scene, in one process (`BlenderClient`) or in several (`BlenderClients`).

    with BlenderClient.spawn() as client:
        client.initialize("room.blend", "renders/room")
        client.include_depths()
        client.render_animation()

What is changed in the scene is remembered as a list of edits. Each process carries out those that it does not have
yet before it renders, so several processes, and one that takes over from another that died, show the same scene.

Frames are those of the stretched timeline, as in file names; where keyframes are set, authored frames are meant, and
the docstring says so. Poses are c2w, (4, 4), as Blender has them: +X right, +Y up, the camera looks along -Z.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from visionsim.errors import ClientStateError, ConfigError, SceneError
from visionsim.simulation.config import DeviceType, ExrCodec, FileFormat, FlowDirection, RenderConfig
from visionsim.simulation.editor import (
    FramesRequest,
    ScriptRun,
    ShiftedRequest,
    c2w_looking_at,
    c2w_of,
    checked_poses,
)
from visionsim.simulation.handle import RenderHandle
from visionsim.simulation.labels import LabelRules
from visionsim.simulation.plan import Plan, SceneFile, fps_of, stretched_range
from visionsim.simulation.report import Observer, RunReport
from visionsim.simulation.run import AnimationRequest
from visionsim.simulation.session import Client, Session, State
from visionsim.types import ProgressFn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

    from visionsim.simulation.client_pool import ClientPool
    from visionsim.types import Matrix

__all__ = ["BlenderClient", "BlenderClients", "render_job"]


class BlenderClient(Session):
    """A Blender process and the scene that it has open. Made by `spawn`, or by a pool of clients."""

    @classmethod
    @contextmanager
    def spawn(
        cls: type[Client],
        *,
        executable: str | None = None,
        timeout: float | None = None,
        log_dir: str | Path | None = None,
        autoexec: bool = False,
        device_type: DeviceType = "auto",
    ) -> Iterator[Client]:
        """Start a Blender process; it is ready when the block begins, and gone when it ends.

        Args:
            executable: a `blender`, a Python that has bpy, or a command with arguments; by default the bpy module of
                this Python, else `blender` on PATH.
            timeout: seconds that a frame may take; by default a multiple of the slowest one so far.
            log_dir: folder for what Blender says; by default it is not kept.
            autoexec: let Python that is in a .blend run.
            device_type: what Cycles renders on, as in `RenderConfig`.
        Raises:
            BlenderNotFound: there is none; the message says what was tried.
            WorkerError: it does not start; the message says why.
        """
        config = RenderConfig(executable=executable, timeout=timeout, autoexec=autoexec, device_type=device_type)
        with cls._spawned(config, log_dir) as client:
            yield client

    # The scene.

    def initialize(
        self, blend_file: str | Path, root: str | Path, *, labels: str | Path | LabelRules | None = None
    ) -> None:
        """Open a scene; what is rendered goes to `root`, laid out like a sequence of `create-datasets`.

        Args:
            blend_file: the scene.
            root: folder; made when something is rendered. See also `set_root`.
            labels: file of patterns that give objects their classes; see docs/labels.md.
        Raises:
            InputNotFound: there is no such file.
            SceneError: it cannot be opened, or not be rendered.
            ClientStateError: a scene is open already.
        """
        with self._lock:
            if self._state is not State.NEW:
                raise ClientStateError(f"initialize: this client {self._state.value}")
            blend = Path(blend_file)
            AnimationRequest(blend, Path(root)).scenes()  # Raises InputNotFound.
            self._scene, self._root = SceneFile(blend.stem, blend), Path(root)
            self._labels = labels if labels is None or isinstance(labels, LabelRules) else LabelRules.read(Path(labels))
            self._state = State.OPEN
            try:
                about = self._query("about_range")
            except BaseException:
                self._state = State.NEW
                raise
            self._edits.digest = about["digest"]
            self._frame = self.animation_range().start

    def set_root(self, root: str | Path) -> None:
        """What is rendered from now on goes to another folder, such as that of the second camera of a stereo pair."""
        with self._opened("set_root"):
            self._root = Path(root)

    @property
    def root(self) -> Path:
        """Folder that is rendered into."""
        return self._root

    def save_file(self, path: str | Path) -> None:
        """Write the scene as it is now into a .blend, with the settings that its pictures are rendered with."""
        with self._opened("save_file"):
            self._query("save", path=str(Path(path).resolve()))

    def missing_files(self) -> list[str]:
        """What pictures lack, one sentence each: missing textures and libraries, scripts that did not run."""
        with self._opened("missing_files"):
            found: list[str] = self._query("missing")
            return found

    def scene_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, (3,) each, world, scene units, of the boxes around all that renders at the current
        frame.

        Raises:
            SceneError: nothing renders.
        """
        import numpy as np

        with self._opened("scene_bounds"):
            found = self._query("bounds", frame=self._frame - self._shift)
            if found is None:
                raise SceneError("scene_bounds: nothing in the scene renders")
            return np.array(found[0]), np.array(found[1])

    # Settings.

    def set_resolution(self, height: int, width: int) -> None:
        """Size of the picture, pixels."""
        self._configure("set_resolution", height=height, width=width)

    def image_settings(
        self,
        file_format: FileFormat | None = None,
        bit_depth: int | None = None,
        exr_codec: ExrCodec | None = None,
    ) -> None:
        """How pictures are stored; what is None stays. See `RenderConfig` for what goes together."""
        self._configure("image_settings", file_format=file_format, bit_depth=bit_depth, exr_codec=exr_codec)

    def cycles_settings(
        self,
        device_type: DeviceType | None = None,
        max_samples: int | None = None,
        adaptive_threshold: float | None = None,
        use_denoising: bool | None = None,
        seed: int | None = None,
    ) -> None:
        """How Cycles samples; what is None stays. `adaptive_threshold` 0 switches adaptive sampling off."""
        self._configure(
            "cycles_settings",
            device_type=device_type,
            max_samples=max_samples,
            adaptive_threshold=adaptive_threshold,
            use_denoising=use_denoising,
            seed=seed,
        )

    def use_animations(self, enable: bool = True) -> None:
        """Whether the scene moves; otherwise all but the camera stands still as at the first frame."""
        self._configure("use_animations", use_animations=enable)

    def use_motion_blur(self, enable: bool = True) -> None:
        """Whether pictures have motion blur; by default as the scene has it. Ground truth never has."""
        self._configure("use_motion_blur", use_motion_blur=enable)

    def load_addons(self, *addons: str) -> None:
        """Enable Blender add-ons by module name; the scene is opened again with them."""
        self._configure("load_addons", addons=(*self.config.addons, *addons))

    def include_depths(self, enable: bool = True) -> None:
        """Write planar depth: scene units along the optical axis, background +inf."""
        self._configure("include_depths", depths=enable)

    def include_normals(self, enable: bool = True) -> None:
        """Write unit normals in the camera's frame: +X right, +Y up, +Z towards the viewer."""
        self._configure("include_normals", normals=enable)

    def include_flows(self, enable: bool = True, direction: FlowDirection | None = None) -> None:
        """Write optical flow in pixels: forward (u right, v down), then backward. `direction` is that of previews."""
        self._configure("include_flows", flows=enable, flow_direction=direction)

    def include_segmentations(self, enable: bool = True) -> None:
        """Write object ids: whole numbers, 0 is background."""
        self._configure("include_segmentations", segmentations=enable)

    def include_occlusions(self, enable: bool = True) -> None:
        """Write whether motion is known and its target visible in the next and the previous frame; see `Sample`."""
        self._configure("include_occlusions", occlusions=enable)

    def include_previews(self, enable: bool = True) -> None:
        """Write a colour picture beside each file of ground truth."""
        self._configure("include_previews", debug=enable)

    # Time.

    def original_fps(self) -> float:
        """Frames per second as authored."""
        with self._opened("original_fps"):
            fps: float = self._query("about_range")["fps"]
            return fps

    def animation_range(self) -> range:
        """Frames of the (stretched) timeline that show the animation."""
        with self._opened("animation_range"):
            about = self._query("about_range")
            whole = stretched_range(about["start"], about["end"], self.config.keyframe_multiplier)
            return range(whole.start + self._shift, whole.stop + self._shift)

    def animation_range_tuple(self) -> tuple[int, int]:
        """First and last frame, inclusive, of `animation_range`."""
        whole = self.animation_range()
        return whole.start, whole.stop - 1

    def set_animation_range(self, start: int | None = None, end: int | None = None) -> None:
        """Let the animation go from one authored frame to another, inclusive; what is None stays."""
        with self._opened("set_animation_range"):
            about = self._query("about_range")
            first, last = about["start"] if start is None else start, about["end"] if end is None else end
            if first > last:
                raise ConfigError(f"set_animation_range: there is no frame from {first} to {last}")
            self._edit("range_of_frames", start=first, end=last)

    def move_keyframes(self, scale: float = 1.0, shift: int = 0) -> None:
        """Slow everything that moves down: what was shown at frame t is shown at `scale * t + shift`.

        Args:
            scale: a ratio of two whole numbers up to 900. Frame rate and timeline are stretched by it, the shutter
                keeps its seconds; see docs/slow-motion.md.
            shift: whole frames.
        Raises:
            ClientStateError: the scene was edited already: it is not clear which frames were meant then.
        """
        with self._opened("move_keyframes"):
            if self._edits:
                raise ClientStateError("move_keyframes: call it before anything is changed in the scene")
            self._configure("move_keyframes", keyframe_multiplier=scale)
            self._shift = shift
            self._frame = self.animation_range().start

    def set_current_frame(self, frame: int) -> None:
        """The (stretched) frame that `render_current_frame`, `camera_extrinsics` and their like mean; at first the
        animation's."""
        with self._opened("set_current_frame"):
            self._frame = frame

    # The camera.

    def camera_extrinsics(self) -> Matrix:
        """c2w, (4, 4), of the camera at the current frame, in scene units; without the scale of the object."""
        from visionsim.cameras import c2w_from_blender

        with self._opened("camera_extrinsics"):
            return c2w_from_blender(self._query("camera_at", frame=self._frame - self._shift)["matrix_world"])

    def camera_intrinsics(self) -> Matrix:
        """K, (3, 3), of the camera at the current frame, in pixels; pixel centres lie at half-integers.

        Raises:
            SceneError: the camera is no perspective one, and has none.
        """
        from visionsim.cameras import Intrinsics, camera_from_blender

        with self._opened("camera_intrinsics"):
            camera = camera_from_blender(self._query("camera_at", frame=self._frame - self._shift))
            if not isinstance(camera, Intrinsics):
                raise SceneError(f"camera_intrinsics: a camera of model {camera.model} has no K")
            return camera.K

    def unbind_camera(self) -> None:
        """Free the camera of parents, constraints and animation; it stays where it is at the current frame.

        All that moves the camera does so first if it has not been done.
        """
        with self._opened("unbind_camera"):
            self._edit("free_camera", frame=self._frame - self._shift)
            self._edits.camera_is_free = True

    def position_camera(
        self, location: ArrayLike, rotation: ArrayLike | None = None, *, look_at: ArrayLike | None = None
    ) -> None:
        """Put the camera somewhere, where it stands still at all frames.

        Args:
            location: (3,), world, scene units.
            rotation: (3, 3) camera-to-world, or (4,) quaternion w, x, y, z; by default as it is at the current frame.
            look_at: (3,), world: the point in the middle of the picture, with the world's +Z up in it.
        """
        with self._opened("position_camera"):
            if look_at is not None and rotation is not None:
                raise ConfigError("position_camera: either rotation or look_at, not both")
            if look_at is not None:
                c2w = c2w_looking_at(location, look_at)
            else:
                c2w = c2w_of(location, self.camera_extrinsics()[:3, :3] if rotation is None else rotation)
            self._pose(c2w)

    def rotate_camera(self, angle: float) -> None:
        """Turn the camera about its optical axis, where it then stands still as at the current frame.

        Args:
            angle: radians; the camera turns to the left, its picture to the right.
        """
        import numpy as np

        with self._opened("rotate_camera"):
            c2w = self.camera_extrinsics()
            turn = np.eye(4)
            turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
            self._pose(c2w @ turn)

    def set_camera_keyframe(self, frame: int, matrix: ArrayLike | None = None) -> None:
        """Set a keyframe of the camera's pose. Between keyframes it moves and turns evenly.

        Args:
            frame: authored frame.
            matrix: c2w, (4, 4); by default where the camera is at the current frame.
        """
        with self._opened("set_camera_keyframe"):
            poses = checked_poses("matrix", [self.camera_extrinsics() if matrix is None else matrix])
            self._keyframe([frame], poses)

    def set_camera_trajectory(self, c2w: ArrayLike, start: int = 0) -> None:
        """Let the camera go along poses, one for each authored frame from `start`; they become the animation's range.

        Args:
            c2w: (N, 4, 4), rigid, world, scene units.
            start: authored frame of the first one.
        Raises:
            ShapeError: not (N, 4, 4).
            ConfigError: not all of them are rigid.
        """
        with self._opened("set_camera_trajectory"):
            poses = checked_poses("c2w", c2w)
            self._edits.camera_is_free = False  # Keyframes from before are not part of it.
            self._keyframe(list(range(start, start + len(poses))), poses)
            self._edit("range_of_frames", start=start, end=start + len(poses) - 1)
            self._frame = self.animation_range().start

    def _pose(self, c2w: Matrix) -> None:
        self._edit("pose_camera", c2w=c2w.tolist())
        self._edits.camera_is_free = True

    def _keyframe(self, frames: list[int], poses: np.ndarray) -> None:
        if not self._edits.camera_is_free:
            self.unbind_camera()
        self._edit("keyframe_camera", frames=frames, c2w=poses.tolist())

    # Your own code.

    def call(self, source: str | Path, function: str, /, **arguments: Any) -> Any:
        """Call a function of yours inside Blender, to change the scene.

        Each process calls it, also one that takes over from another that died: the same arguments must do the same, so
        give it a seed for what is random.

        Args:
            source: a Python file, or the name of a module that this Python finds. It may import bpy, numpy, what
                Blender brings along, and its neighbours.
            function: its name.
            arguments: of the function; plain JSON values.
        Returns:
            What it returned: JSON values, with numpy arrays in any place.
        Raises:
            ScriptError: it raised an exception; the message has it, with the line.
            InputNotFound: there is no such file or module.
        """
        with self._opened("call"):
            return self._run_script("call", source, function, arguments, lambda given: self._edit("call", **given))

    def query(self, source: str | Path, function: str, /, **arguments: Any) -> Any:
        """As `call`, for a function that changes nothing: one process calls it, once."""
        with self._opened("query"):
            return self._run_script("query", source, function, arguments, lambda given: self._query("call", **given))

    # Rendering.

    @overload
    def render_animation(
        self,
        frame_start: int | None = None,
        frame_end: int | None = None,
        frame_step: int = 1,
        *,
        allow_skips: bool = True,
        dry_run: Literal[False] = False,
        update_fn: ProgressFn | None = None,
    ) -> RunReport: ...
    @overload
    def render_animation(
        self,
        frame_start: int | None = None,
        frame_end: int | None = None,
        frame_step: int = 1,
        *,
        allow_skips: bool = True,
        dry_run: Literal[True],
        update_fn: ProgressFn | None = None,
    ) -> Plan: ...
    def render_animation(
        self,
        frame_start: int | None = None,
        frame_end: int | None = None,
        frame_step: int = 1,
        *,
        allow_skips: bool = True,
        dry_run: bool = False,
        update_fn: ProgressFn | None = None,
    ) -> RunReport | Plan:
        """Render the animation, or part of it, and write transforms.json.

        What is on disk already, was rendered after the same edits and is intact is kept.

        Args:
            frame_start: first (stretched) frame; by default the animation's.
            frame_end: last frame, inclusive.
            frame_step: render every n-th frame.
            allow_skips: keep frames that are there; otherwise all are rendered again.
            dry_run: render nothing, write nothing, and return the Plan.
            update_fn: called with the number of frames done, and that of all.
        Raises:
            RenderError: frames could not be rendered; the others were. Its `report` says which and why.
            SamplingError: the frames are not within the animation.
            SettingsMismatch: the folder has frames that were rendered with other settings.
            KeyboardInterrupt: the frames in hand are done.
        """
        with self._opened("render_animation"):
            request = ShiftedRequest(
                self._scene.blend, self._root, frame_start, frame_end, frame_step, self._labels, self._shift
            )
            return self._render(request, allow_skips=allow_skips, dry_run=dry_run, update_fn=update_fn)

    def render_frames(
        self, frames: Iterable[int], *, allow_skips: bool = True, update_fn: ProgressFn | None = None
    ) -> RunReport:
        """Render these (stretched) frames; transforms.json is about all frames that are in the folder then.

        Arguments and errors are those of `render_animation`; frames outside of the animation may be asked for, too.
        """
        with self._opened("render_frames"):
            request = FramesRequest(self._scene.blend, self._root, tuple(sorted(set(frames))), self._labels)
            report = self._render(request, allow_skips=allow_skips, dry_run=False, update_fn=update_fn)
            assert isinstance(report, RunReport)
            return report

    def render_frame(self, frame: int, *, allow_skips: bool = True) -> RunReport:
        """Render a (stretched) frame; see `render_frames`, which takes less time for many."""
        return self.render_frames([frame], allow_skips=allow_skips)

    def render_current_frame(self, *, allow_skips: bool = True) -> RunReport:
        """Render the current frame; see `render_frames`."""
        return self.render_frames([self._frame], allow_skips=allow_skips)

    def render_animation_async(
        self,
        frame_start: int | None = None,
        frame_end: int | None = None,
        frame_step: int = 1,
        *,
        allow_skips: bool = True,
        update_fn: ProgressFn | None = None,
    ) -> RenderHandle:
        """As `render_animation`, but return at once. `update_fn` is called from another thread."""
        self._check_open("render_animation_async")
        return self._later(
            lambda: self.render_animation(
                frame_start, frame_end, frame_step, allow_skips=allow_skips, update_fn=update_fn
            )
        )

    def render_frames_async(
        self, frames: Iterable[int], *, allow_skips: bool = True, update_fn: ProgressFn | None = None
    ) -> RenderHandle:
        """As `render_frames`, but return at once. `update_fn` is called from another thread."""
        self._check_open("render_frames_async")
        wanted = tuple(frames)
        return self._later(lambda: self.render_frames(wanted, allow_skips=allow_skips, update_fn=update_fn))

    def render_frame_async(self, frame: int, *, allow_skips: bool = True) -> RenderHandle:
        """As `render_frame`, but return at once."""
        return self.render_frames_async([frame], allow_skips=allow_skips)

    def render_current_frame_async(self, *, allow_skips: bool = True) -> RenderHandle:
        """As `render_current_frame`, but return at once."""
        return self.render_frames_async([self._frame], allow_skips=allow_skips)

    def empty_transforms(self) -> dict[str, Any]:
        """transforms.json as it would be now, without frames: camera, conventions, generator. Values of the camera are
        those of the current frame."""
        from visionsim.dataset.schema import transforms_head

        with self._opened("empty_transforms"):
            plan = self._render(
                ShiftedRequest(self._scene.blend, self._root, labels=self._labels, shift=self._shift),
                allow_skips=True, dry_run=True, update_fn=None,
            )  # fmt: skip
            assert isinstance(plan, Plan)
            (scene,) = plan.scenes
            assert scene.info is not None
            camera = self._query("camera_at", frame=self._frame - self._shift)
            kinds = self.config.ground_truths
            settings = ScriptRun.settings_with(self.config, scene.info)
            return transforms_head(
                camera, kinds, settings=settings, fps=fps_of(scene.info, self.config.keyframe_multiplier)
            )


class BlenderClients(BlenderClient):
    """Several Blender processes that have one scene open. Frames are split over them; all else is as with one."""

    @classmethod
    @contextmanager
    def spawn(
        cls: type[Client],
        jobs: int = 1,
        *,
        executable: str | None = None,
        timeout: float | None = None,
        log_dir: str | Path | None = None,
        autoexec: bool = False,
        device_type: DeviceType = "auto",
    ) -> Iterator[Client]:
        """Start `jobs` Blender processes for one scene; the rest is as of `BlenderClient.spawn`."""
        config = RenderConfig(
            executable=executable, jobs=jobs, timeout=timeout, autoexec=autoexec, device_type=device_type
        )
        with cls._spawned(config, log_dir) as client:
            yield client

    @staticmethod
    def pool(
        jobs: int = 1,
        *,
        log_dir: str | Path | None = None,
        timeout: float | None = None,
        executable: str | None = None,
        autoexec: bool = False,
        device_type: DeviceType = "auto",
    ) -> ClientPool:
        """A pool of `jobs` clients, each with a process of its own, for work on many scenes; see `ClientPool`.

        The rest is as of `BlenderClient.spawn`; below `log_dir` each client has a folder.
        """
        from visionsim.simulation.client_pool import ClientPool

        config = RenderConfig(executable=executable, timeout=timeout, autoexec=autoexec, device_type=device_type)
        return ClientPool(jobs, config, log_dir)


def render_job(
    client: BlenderClient,
    blend_file: str | Path,
    root: str | Path,
    config: RenderConfig | None = None,
    *,
    frame_start: int | None = None,
    frame_end: int | None = None,
    frame_step: int = 1,
    labels: str | Path | LabelRules | None = None,
    update_fn: ProgressFn | None = None,
    observe: Observer | None = None,
) -> RunReport:
    """What `visionsim render-animation` does, with a client of yours that has no scene yet.

    Args:
        client: its processes are used; those settings of `config` that are about processes are not.
        blend_file: the scene.
        root: folder.
        config: what to render and how; by default as the client is set up.
        frame_start, frame_end, frame_step: as of `BlenderClient.render_animation`.
        labels: file of patterns that give objects their classes.
        update_fn: called with the number of frames done, and that of all.
        observe: called with each event of `visionsim.simulation.report`.
    Raises:
        RenderError: frames could not be rendered; the others were.
    """
    if config is not None:
        own = client.config
        client.config = dataclasses.replace(
            config, executable=own.executable, jobs=own.jobs, timeout=own.timeout, autoscale=False
        )
    client.initialize(blend_file, root, labels=labels)
    request = AnimationRequest(Path(blend_file), Path(root), frame_start, frame_end, frame_step, client._labels)
    report = client._render(
        request, allow_skips=client.config.allow_skips, dry_run=False, update_fn=update_fn, observe=observe
    )
    assert isinstance(report, RunReport)
    return report
