"""The requests a parent may make, one method each."""

from __future__ import annotations

import hashlib
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from visionsim.simulation.config import time_stretch
from visionsim.simulation.passes import FLOW_FROM_GEOMETRY, FLOW_KINDS, PASSES
from visionsim.simulation.protocol import PROTOCOL, Hello
from visionsim.simulation.worker import (
    animation,
    audit,
    change,
    chatter,
    compat,
    dependencies,
    editing,
    motion,
    queries,
    raycast,
    scene,
    truth,
    unlit,
)
from visionsim.simulation.worker.containment import Contained
from visionsim.simulation.worker.fault import WorkerFault
from visionsim.simulation.worker.follow import CHECKED_FRAMES, Follower, described
from visionsim.simulation.worker.instances import Instances
from visionsim.simulation.worker.neighbours import Neighbours
from visionsim.simulation.worker.timeline import (
    Timeline,
    particles,
    why_built_anew,
    why_no_neighbours,
    why_not_as_played,
)

REQUESTS = ("about", "open", "perform", "ping", "render", "cast", "missing")


class Service:
    """One Blender process and the scene it has open."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        scene.enable_addons([])
        self.hook = truth.Hook()
        self.settings: dict[str, Any] = {}
        """What the open scene was set up with; empty if none is open."""
        self.edits: list[list[Any]] = []
        """What was done to the open scene since; see `perform`."""
        self.info: dict[str, Any] | None = None
        """What `perform` returned of the scene as it is now."""
        self.rendered = False
        self.truths: list[str] = []
        self.known_ids: dict[tuple[str, str], int] = {}
        """Library and name of each object that was ever numbered -> its number."""
        self.numbers: dict[Any, int] = {}
        self.wanted = truth.Wanted()
        self.motion: motion.RigidMotion | None = None
        self.follower: Follower | None = None
        """None unless flow comes from Blender's vector pass, and that may lose track of something."""
        self.instances: Instances | None = None
        """None unless the scene has copies, and they are to be told apart."""
        self.neighbours = Neighbours()
        self.timeline: Timeline | None = None
        # Of the file that is open.
        self.circles: list[list[str]] = []
        self.digest = self.engine = self.device = ""
        self.contained = Contained()
        self.replaced: list[str] = []

    def hello(self) -> Hello:
        return Hello(PROTOCOL, compat.version_text(), sys.version.split()[0], os.getpid())

    def answer(self, do: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request."""
        if do not in REQUESTS:
            raise WorkerFault("request", f"the worker knows no request called {do!r}")
        result: dict[str, Any] = getattr(self, do)(**arguments)
        return result

    def about(self) -> dict[str, Any]:
        """What this Blender is, and what it could render on; for `visionsim doctor`."""
        return {
            "version": list(compat.VERSION),
            "devices": scene.devices(),
            "denoiser": compat.can_denoise(),
        }

    def ping(self) -> dict[str, Any]:
        """Nothing: an answer."""
        return {}

    def open(
        self,
        blend: str,
        settings: dict[str, Any],
        truths: list[str],
        expected: str | None,
        copies: dict[str, list[Any]] | None,
    ) -> dict[str, Any]:
        """Open a .blend and set it up; returns what a plan needs to know of it (`plan.SceneInfo`).

        With `expected`, refuse a file that is not the one with that SHA-256. `copies` is the table of copies
        that an earlier opening returned; None to look for them, as where that returned None: there are too many.
        """
        self._load(blend, settings, expected)
        return self._survey(truths, copies)

    def perform(
        self,
        blend: str,
        settings: dict[str, Any],
        expected: str | None,
        reset: bool,
        edits: list[list[Any]],
        mark: list[int],
        survey: dict[str, Any] | None = None,
        query: list[Any] | None = None,
    ) -> dict[str, Any]:
        """Bring a scene that a script edits to the state the script is in, and perhaps ask something.

        Args:
            blend, settings, expected: as of `open`.
            reset: open the file anew; otherwise `edits` come after those that were done already.
            edits: [name of a function of `worker.editing`, keyword arguments] in order.
            mark: is returned with the answer, and so tells the parent that all of this was done.
            survey: `truths` and `copies` of `open`; returns what that returns.
            query: [name of a function of `worker.queries`, keyword arguments]; returns its `value`.
        """
        truths = survey["truths"] if survey is not None else self.truths
        anew = reset or settings != self.settings or (self.rendered and truths != self.truths)
        done = [] if reset else self.edits
        if anew:
            # What was set up cannot be taken back: time stretching, nodes of materials, or a look at another file.
            self._load(blend, settings, expected)
            edits = [*done, *edits]
            self.edits = []
        if edits and self.timeline is not None:
            self.timeline.forget()
        value = None
        for name, arguments in edits:
            value = getattr(editing, name)(bpy.context.scene, self.scratch, **arguments)
            self.edits.append([name, arguments])
            self.numbers = scene.number_objects(self.known_ids)  # Now: what is new gets the same ids in each worker.
            self.info = None
        if query is not None:
            name, arguments = query
            value = getattr(queries, name)(bpy.context.scene, self, **arguments)
            return {**editing.answer(value, self.scratch, arguments), "mark": mark}
        if survey is not None:
            if self.info is None or truths != self.truths:
                self.info = self._survey(**survey)
            return {**self.info, "mark": mark}
        return {**editing.answer(value, self.scratch, edits[-1][1] if edits else {}), "mark": mark}

    def _load(self, blend: str, settings: dict[str, Any], expected: str | None) -> None:
        """Open a file and apply the run's settings."""
        digest = hashlib.sha256()
        try:
            with open(blend, "rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        except OSError as exc:
            raise WorkerFault("scene", f"the file cannot be read: {exc.strerror}") from exc
        if expected not in (None, digest.hexdigest()):
            raise WorkerFault("scene", "the file was changed while the run went on; start the command again")
        self.digest, self.settings, self.info, self.edits, self.rendered = digest.hexdigest(), {}, None, [], False
        with chatter.heard(self.scratch) as said:
            current, self.contained = scene.open_scene(
                blend, self.scratch, autoexec=settings["autoexec"], addons=settings["addons"]
            )
        scene.check_camera(current)
        self.engine = chatter.unknown_engine(said, current) or current.render.engine
        self.circles = chatter.circles(said)
        self.hook.scene = current
        self.replaced = audit.replaced_settings(current, settings)
        self.device = scene.configure(current, settings)
        self.timeline = Timeline(current, time_stretch(settings["keyframe_multiplier"]))
        self.known_ids = {}
        self.numbers = scene.number_objects(self.known_ids)
        self.settings = settings

    def _survey(self, truths: list[str], copies: dict[str, list[Any]] | None) -> dict[str, Any]:
        """Set up passes and ids for what the scene holds now; see `open`."""
        current, stretch = bpy.context.scene, self.settings["keyframe_multiplier"]
        planning = copies is None  # Where the scene is opened again, it was checked and all has been told.
        first, last = current.frame_start * time_stretch(stretch), current.frame_end * time_stretch(stretch)
        scene.check_camera(current, (math.ceil(first), math.floor(last)) if planning else ())
        warnings = [
            *self.replaced,
            *(
                audit.notices(current, self.contained, engine=self.engine, circles=self.circles, stretch=stretch)
                if planning
                else ()
            ),
        ]
        self.truths = truths
        unlike = why_not_as_played(current)
        if unlike:
            text = f"{unlike[0]}: their picture would not be what Blender plays; bake them"
            raise WorkerFault("scene", f"{text}, or use --render-config.no-use-motion-blur")
        drifting = why_no_neighbours(current) if "occlusions" in truths else []
        if drifting:
            text = f"{drifting[0]}, and would go on otherwise in frames with occlusions; bake it"
            raise WorkerFault("scene", f"{text}, or leave out --render-config.occlusions")
        self.neighbours.forget()
        motion.show_in_viewport(current)
        found = Instances(current, scene.main_layer(current), self.numbers)
        found.find(copies, stretch)
        if found.too_many and "segmentations" in truths:
            warnings.append(
                f"{found.too_many} copies are too many for ids of their own: they have that of their source"
            )
        if "segmentations" in truths or FLOW_KINDS.intersection(truths):
            found.refuse_confusion()
            warnings += found.notices()
        flow = self._choose_flow(current, found, look=copies is None)
        if flow:
            sys.stderr.write(f"visionsim: flow is taken {flow}\n")
            if self.motion is None and motion.cuts(current) and "occlusions" not in truths:
                warnings.append(
                    "markers switch between cameras, and something deforms: frames on either side of a cut are refused "
                    f"because their flow would be wrong ({flow})"
                )
        passes = {name for truth in truths for name in PASSES[truth].enable}
        if self.motion is not None:
            needed = set(FLOW_FROM_GEOMETRY) if self.motion.anything_moves else {"use_pass_z"}
            passes = passes - {"use_pass_vector"} | needed
        if self.follower is not None:
            passes.add("use_pass_object_index")  # Flow needs to know what Blender lost track of.
        anew = [*why_built_anew(current), *change.unseen_changes(current)]
        if "use_pass_vector" in passes and compat.vector_pass_may_crash():
            anew.append("this Blender may crash if only some renders of persistent data have the vector pass")
        current.render.use_persistent_data = not anew
        if anew:
            sys.stderr.write(f"visionsim: every frame is built anew, which takes longer: {anew[0]}\n")
        if "use_pass_object_index" in passes:
            scene.refuse_too_many(self.known_ids)
        self.instances = found if "use_pass_object_index" in passes and found.mark() else None
        if truths:
            sys.stderr.write(f"visionsim: ground truth leaves light out {unlit.install()}\n")
        numbers = None
        if "use_pass_object_index" in passes:
            if scene.uses_object_index(current):
                numbers = self.numbers
            else:
                for obj, number in self.numbers.items():
                    obj.pass_index = number
                    for curve in compat.curves_and_drivers(obj):
                        if curve.data_path == "pass_index":
                            curve.mute = True
        self.wanted = truth.Wanted(
            passes, numbers, light_tree=not unlit.only_lamps(), vectors_apart=bool(particles(current))
        )
        bpy.context.view_layer.update()  # Drivers say whether they run when they have been asked for a value.
        return {
            "blender": compat.version_text(),
            "digest": self.digest,
            "frame_start": current.frame_start,
            "frame_end": current.frame_end,
            "fps": current.render.fps / current.render.fps_base,
            "camera": current.camera.name,
            "device": self.device,
            "objects": scene.object_table(self.numbers),
            "copies": None if found.too_many else found.table,  # None: each opening has to find out again.
            "flow": flow,
            **(self.missing() if planning else {"missing": []}),
            "still": planning and dependencies.nothing_moves(current),
            "warnings": warnings,
        }

    def _choose_flow(self, current: Any, copies: Instances, *, look: bool) -> str:
        """Decide where flow comes from; returns it in words. With `look`, evaluate surfaces that may lose track."""
        self.motion = self.hook.motion = self.follower = None
        if not FLOW_KINDS.intersection(self.truths):
            return ""
        reason = motion.why_vector_pass(current, self.numbers, too_many_copies=bool(copies.too_many))
        rigid = motion.RigidMotion(current, scene.main_layer(current), self.numbers, copies)
        if reason is None and rigid.anything_moves and len(self.known_ids) > scene.MAX_OBJECT_ID:
            reason = "there are too many objects to tell apart the ones that move"
        if reason is not None:
            wrong = motion.why_vectors_are_wrong(current, marked="occlusions" in self.truths)
            if wrong is not None:
                text = f"flow has to come from Blender's vector pass ({reason}), which {wrong}"
                raise WorkerFault("scene", f"{text}, or leave out --render-config.flows")
            follower = Follower(current, self.numbers, copies)
            self.follower = follower if follower.checks else None
            if "occlusions" not in self.truths and self.follower is not None:
                self._refuse_lost(current, look)
            return f"from Blender's vector pass: {reason}"
        self.motion = self.hook.motion = rigid
        return "from depth and the matrices of camera and objects: nothing deforms"

    def _refuse_lost(self, current: Any, look: bool) -> None:
        """Raise WorkerFault if flow has no way of saying that the motion of a surface is not known."""
        assert self.follower is not None
        lost = self.follower.why_never()
        # Simulations and scripts may only see the frames in the order in which they are rendered.
        in_order = change.has_handlers() or any(not simulation.baked for simulation in animation.simulations(current))
        if not lost and look and not in_order:
            stretch = time_stretch(self.settings["keyframe_multiplier"])
            last = min(current.frame_end, current.frame_start + CHECKED_FRAMES)
            times = [float(frame * stretch) for frame in range(current.frame_start, last + 1)]
            lost = self.follower.why_lost(times, scene.main_layer(current).depsgraph)
        if lost:
            raise WorkerFault("scene", f"{no_flow(lost)}; add --render-config.occlusions{OR_NO_FLOW}")

    def render(self, frame: int, name: str) -> dict[str, Any]:
        """Render a frame's picture and ground truth into files whose paths begin with `name`.

        Returns the paths, where each pass lies in the arrays' file (`passes`: name -> [offset in bytes, channels]),
        the camera (`worker.camera.describe`), `seconds`, `memory` (bytes that this process holds); if flow is to come
        from geometry, `motion` (`RigidMotion.around`); if there are copies to tell apart, `copies`, the path of their
        list.
        """
        started = time.perf_counter()
        current = bpy.context.scene
        self.rendered = True
        reply: dict[str, Any] = {}
        assert self.timeline is not None
        cut: list[str] = []
        if self.motion is None:
            self.timeline.go_to(frame)
            if FLOW_KINDS.intersection(self.truths) and motion.cuts(current):
                cut = motion.cut_beside(current, frame)
        else:
            self.timeline.simulate()
            reply["motion"] = self.motion.around(frame)
        scene.check_camera(current)
        frozen = motion.Frozen() if self.motion is not None and self.motion.anything_moves else nullcontext()
        with nullcontext() if current.render.use_motion_blur else frozen:
            reply["picture"] = self._render_picture(current, name)
            reply["camera"] = self.hook.camera
            if self.motion is not None:
                self.motion.check(frame, self.hook.camera, self.hook.matrices)
            if self.truths:
                still = frozen if current.render.use_motion_blur else nullcontext()
                with still, self.timeline.held(), self._following(reply, cut):
                    found = self._render_truth(current, name)
                if found["camera"] != reply["camera"]:
                    raise WorkerFault("frame", "the camera differs between the picture and its ground truth")
                reply.update(found)
        if "occlusions" in self.truths:
            self.neighbours.keep(frame, found)
            with self.timeline.held():
                reply["neighbours"] = self.neighbours.around(frame, name, self._render_neighbour)
        reply["seconds"] = time.perf_counter() - started
        reply["memory"] = memory_held()
        return reply

    def cast(self, frame: int, pixels: list[list[float]], probes: int) -> dict[str, Any]:
        """Cast rays through pixel positions of a frame; see `raycast.cast`."""
        assert self.timeline is not None
        self.timeline.go_to(frame)
        return raycast.cast(bpy.context.scene, pixels, probes)

    def missing(self) -> dict[str, Any]:
        """List what the open scene lacks, one sentence each (`missing`)."""
        return {"missing": audit.missing(bpy.context.scene, self.contained, autoexec=self.settings["autoexec"])}

    def _render_picture(self, current: Any, name: str) -> str:
        picture = str(self.scratch / f"{name}.picture")
        saved = current.render.filepath, current.render.use_file_extension
        current.render.filepath, current.render.use_file_extension = picture, False
        try:
            # As anybody would: an image's `save_render` makes other greys of colours (color_mode BW).
            bpy.ops.render.render(write_still=True)
        except RuntimeError as exc:
            raise WorkerFault("frame", str(exc).replace("Error: ", "").strip()) from exc
        finally:
            current.render.filepath, current.render.use_file_extension = saved
            self.hook.check()
        return picture

    def _render_truth(self, current: Any, name: str) -> dict[str, Any]:
        self.hook.instances = self.instances
        try:
            reply = self._render_passes(current, name)
        finally:
            self.hook.instances = None
            self.hook.check()
        if self.instances is not None:
            reply["copies"] = str(self.scratch / f"{name}.npz")
            np.savez(reply["copies"], **self.hook.copies)
        reply["camera"] = self.hook.camera
        return reply

    @contextmanager
    def _following(self, reply: dict[str, Any], cut: list[str]) -> Iterator[None]:
        """Find out while ground truth is rendered what Blender loses track of: `unknown` of the reply, by direction.

        In the directions of `cut` another camera renders, of which Blender's vectors know nothing.
        """
        self.hook.follower, self.hook.lost = self.follower, None
        try:
            yield
        finally:
            self.hook.follower = None
        lost: dict[str, list[Any]] = {"forward": [], "backward": []}
        if self.follower is not None:
            assert self.hook.lost is not None, "the surfaces of neighbouring frames could not be evaluated"
            lost = self.hook.lost
        if "occlusions" not in self.truths:
            names = sorted({described(key, found) for parts in lost.values() for key, found in parts})
            if names:
                raise WorkerFault("frame", f"{no_flow(names)}; add --render-config.occlusions{OR_NO_FLOW}")
            if cut:
                text = "the camera changes next to this frame, and something deforms: no exact flow across the cut"
                raise WorkerFault("frame", f"{text}; add --render-config.occlusions to have that marked")
        unknown = {way: {found.number for _, found in parts} for way, parts in lost.items()}
        for way in cut:
            unknown[way].update(self.numbers.values(), self.instances.ids.values() if self.instances else ())
        if any(unknown.values()):
            reply["unknown"] = {way: sorted(numbers) for way, numbers in unknown.items()}

    def _render_neighbour(self, frame: int, name: str) -> dict[str, Any]:
        """Render the ground truth of another frame; leaves the scene there."""
        current = bpy.context.scene
        assert self.timeline is not None
        self.timeline.go_to(frame)
        scene.check_camera(current)
        return self._render_truth(current, name)

    def _render_passes(self, current: Any, name: str) -> dict[str, Any]:
        """Render the current frame's ground truth, its vectors by themselves if those lose surfaces."""
        if not self.wanted.vectors_apart or "use_pass_vector" not in self.wanted.passes:
            return self._passes_of(current, name, self.wanted)
        follower, self.hook.follower = self.hook.follower, None
        try:
            reply = self._passes_of(current, name, self.wanted.without_vectors())
        finally:
            self.hook.follower = follower
        vectors = self._passes_of(current, f"{name}.vectors", self.wanted.only_vectors())
        reply["vectors"] = vectors.get("arrays", vectors.get("multilayer"))
        reply["vector_passes"] = vectors.get("passes")
        return reply

    def _passes_of(self, current: Any, name: str, wanted: truth.Wanted) -> dict[str, Any]:
        tiled = max(self.hook.camera["width"], self.hook.camera["height"]) > scene.MAX_TILE_SIZE
        if tiled or not compat.passes_leave_in_memory():
            path = self.scratch / f"{name}.exr"
            truth.render_passes_to_file(current, str(path), wanted)
            return {"multilayer": str(path), "layer": scene.main_layer(current).name}
        path = self.scratch / f"{name}.raw"
        passes: dict[str, list[int]] = {}
        arrays: dict[str, np.ndarray] = truth.render_passes(current, self.hook, wanted)
        with open(path, "wb") as stream:
            for key, pixels in arrays.items():
                passes[key] = [stream.tell(), pixels.shape[2]]
                stream.write(pixels.data)
        return {"arrays": str(path), "passes": passes}


OR_NO_FLOW = " to have such surfaces marked, or leave out --render-config.flows"


def no_flow(lost: list[str]) -> str:
    """What is wrong with the flow of surfaces: a few of them, each with its reason."""
    more = f" (and {len(lost) - 3} more)" if len(lost) > 3 else ""
    return f"the motion of some surfaces is not known: {', '.join(lost[:3])}{more}"


def memory_held() -> int:
    """Bytes of physical memory that this process holds; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
