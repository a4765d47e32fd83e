"""How flow is found: from geometry where everything moves rigidly, from Blender's vector pass where something deforms.

The vector pass makes Cycles build its acceleration structure anew for every render, motion included, which is most of
what ground truth costs. Where nothing deforms, flow follows exactly from depth, ids, and the matrices of camera and
objects at the neighbouring frames; those are collected here. The choice is made from the file alone, before the first
render, and whatever is not known to be rigid counts as deforming.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

from visionsim.simulation.movers import Movers
from visionsim.simulation.worker import camera, compat
from visionsim.simulation.worker.change import (
    animates_transform_only,
    copied_by,
    has_handlers,
    is_animated,
    makes_copies,
    may_move,
    node_trees,
    objects_of,
    why_changing,
)
from visionsim.simulation.worker.displacement import is_constant
from visionsim.simulation.worker.fault import WorkerFault

if TYPE_CHECKING:
    from visionsim.simulation.worker.instances import Instances

CACHED_FRAMES = 8
"""Neighbouring frames whose matrices are kept."""


def why_vector_pass(scene: Any, numbers: dict[Any, int], *, too_many_copies: bool) -> str | None:
    """Why flow needs Blender's vector pass in this scene, or None if geometry gives it.

    With `too_many_copies`, copies share the id of their source, so that a pixel does not say which copy moved.
    """
    if scene.rigidbody_world is not None and scene.rigidbody_world.enabled:
        return "the scene has rigid body physics"
    if has_handlers():
        return "a script changes the scene at every frame"
    for obj in sorted(objects_of(scene), key=lambda obj: obj.name_full):
        if obj.hide_render and not is_animated(obj):
            continue
        reason = why_changing(obj) if obj in numbers else None
        if reason is not None:
            return f"{obj.name_full!r} {reason}"
        if makes_copies(obj):
            generated = any(modifier.type == "NODES" for modifier in obj.modifiers)
            parts = [obj, *copied_by(obj)]
            if too_many_copies and any(map(may_move, parts)):
                return f"{obj.name_full!r} makes copies that may move, and there are too many to tell them apart"
            deforming = why_changing(obj)
            if deforming is not None:
                return f"{obj.name_full!r} {deforming} and makes copies"
            # What modifiers make may differ from viewport to render, where its copies are looked for.
            if (generated or obj.modifiers) and any(map(may_move, parts)) and not carries_copies(obj):
                return f"{obj.name_full!r} may move and makes copies of what may move by modifiers"
    return None


def carries_copies(instancer: Any) -> bool:
    """Whether all copies that an object makes are certain to move as it does, and by nothing else."""
    if why_changing(instancer) is not None or (instancer.instance_type in ("VERTS", "FACES") and may_move(instancer)):
        return False
    stack, seen = parts_of_copies(instancer), {instancer}
    while stack:
        part = stack.pop()
        if part in seen:
            continue
        seen.add(part)
        if may_move(part) or why_changing(part) is not None:
            return False
        if makes_copies(part):
            stack += parts_of_copies(part)
    return True


def parts_of_copies(instancer: Any) -> list[Any]:
    """The objects that an object may make copies of."""
    parts = copied_by(instancer)
    for modifier in instancer.modifiers:
        trees = node_trees(modifier.node_group) if modifier.type == "NODES" else ()
        for socket in (socket for tree in trees for node in tree.nodes for socket in node.inputs):
            if socket.type == "OBJECT" and socket.default_value is not None:
                parts.append(socket.default_value)
            elif socket.type == "COLLECTION" and socket.default_value is not None:
                parts += socket.default_value.all_objects
    return parts


LENS = ("lens", "angle", "sensor", "shift", "ortho_scale", "type", "panorama_type", "fisheye", "latitude", "longitude")
"""Beginnings of the names of a camera's settings that decide where in its picture a point is seen."""


def why_vectors_are_wrong(scene: Any, *, marked: bool) -> str | None:
    """Why Blender's vector pass is no flow in this scene, and what helps; None if it is right.

    With `marked`, it may be unknown where something is hidden in a neighbouring frame.
    """
    for obj in [scene.camera, *(marker.camera for marker in scene.timeline_markers if marker.camera)]:
        curves = compat.curves_and_drivers(obj.data)
        paths = {curve.data_path.removeprefix("cycles.") for curve in curves if not is_constant(curve)}
        animated = {path for path in paths if path.startswith(LENS)}
        if obj.data.animation_data is not None and obj.data.animation_data.nla_tracks:
            animated.add("NLA strips")
        described = camera.describe(scene, obj)
        wrong = compat.vector_pass_is_wrong(described.get("panorama_type", described["type"]), animated)
        if wrong is not None:
            return wrong
    if marked:
        return None
    for obj in sorted(objects_of(scene), key=lambda obj: obj.name_full):
        for curve in compat.curves_and_drivers(obj):
            if curve.data_path == "hide_render" and not is_constant(curve):
                return (
                    f"has no motion for what is hidden a frame before or after; keep {obj.name_full!r} from it, add "
                    "--render-config.occlusions to have that marked"
                )
    return None


def show_in_viewport(scene: Any) -> None:
    """Let Blender evaluate outside a render what is rendered, hidden in the viewport or not, and all of its copies."""
    for obj in bpy.data.objects:
        if makes_copies(obj) or obj.particle_systems:
            for modifier in obj.modifiers:
                modifier.show_viewport = modifier.show_render
                if modifier.type in ("SUBSURF", "MULTIRES"):
                    modifier.levels = modifier.render_levels
        for system in obj.particle_systems:
            system.settings.display_percentage = 100
            compat.show_all_children(system.settings)
    for collection in bpy.data.collections:  # Also those that are only instanced.
        if collection.hide_viewport and not collection.hide_render:
            collection.hide_viewport = False
    for layer in scene.view_layers:
        stack = [layer.layer_collection]
        while stack:
            current = stack.pop()
            current.hide_viewport = False
            stack.extend(current.children)
    for obj in objects_of(scene):
        for curve in compat.curves_and_drivers(obj):
            if curve.data_path == "hide_viewport":
                curve.mute = True
        if obj.hide_viewport:  # To set it anyway would have Blender build all its relations anew.
            obj.hide_viewport = False
    for layer in scene.view_layers:
        for obj in layer.objects:
            if obj.hide_get(view_layer=layer):
                obj.hide_set(False, view_layer=layer)


def cuts(scene: Any) -> bool:
    """Whether markers switch between cameras."""
    return len({marker.camera for marker in scene.timeline_markers if marker.camera is not None}) > 1


def cut_beside(scene: Any, frame: int) -> list[str]:
    """Directions (`forward`, `backward`) in which another camera renders the next frame.

    The vector pass keeps this frame's camera. Leaves the scene at `frame`; skips no frame on the way, so that
    simulations that are not baked stay what they were.
    """
    cameras = {}
    for way, offset in (("backward", -1), ("", 0), ("forward", 1)):
        scene.frame_set(frame + offset)
        cameras[way] = scene.camera
    scene.frame_set(frame)
    return [way for way, seen_by in cameras.items() if seen_by != cameras[""]]


Known = tuple[dict[str, Any], np.ndarray, np.ndarray]
"""The camera (`camera.describe`), and of all that may move keys (C,) and matrices (C, 4, 4) of an instant."""


class RigidMotion:
    """Matrices of the camera and of all objects and copies that may move, at any frame of an open scene."""

    def __init__(self, scene: Any, layer: Any, numbers: dict[Any, int], copies: Instances) -> None:
        self.scene, self.layer = scene, layer
        self.movers = {number: obj for obj, number in numbers.items() if may_move(obj)}
        instancers = [obj for obj in objects_of(scene) if makes_copies(obj)]
        moved = any(may_move(o) for i in instancers for o in (i, *parts_of_copies(i)))
        carriers = copies.carriers if moved else {}
        self._copies = copies if carriers is None else None
        """Whose matrices are read copy by copy; None if all copies stand still or follow their instancers."""
        self._carriers = [(obj, ids) for obj, ids in (carriers or {}).items() if may_move(obj)]
        """Instancers that move, and the ids of the copies that follow each."""
        self._known: dict[int, Known] = {}

    @property
    def anything_moves(self) -> bool:
        """Whether more than the camera may move."""
        return bool(self.movers or self._carriers) or self._copies is not None

    def matrices(self, graph: Any) -> tuple[np.ndarray, np.ndarray]:
        """Keys (C,) and evaluated object-to-world matrices (C, 4, 4) of all that may move.

        A key is the id of an object or of a copy; after the objects come instancers, with 0 for a key.
        """
        objects = [*self.movers.values(), *(obj for obj, _ in self._carriers)]
        rows = [[list(row) for row in obj.evaluated_get(graph).matrix_world] for obj in objects]
        keys = np.array([*self.movers, *[0] * len(self._carriers)], np.uint32)
        matrices = np.array(rows, np.float64).reshape(-1, 4, 4)
        if self._copies is None:
            return keys, matrices
        ids, own = self._copies.matrices(graph)
        return np.concatenate([keys, ids]), np.concatenate([matrices, own])

    def at(self, frame: int) -> Known:
        """What is known of a frame; may leave the scene set to it."""
        if frame not in self._known:
            self.scene.frame_set(frame)
            graph = self.layer.depsgraph
            # The graph's own scene may still name the camera of before a timeline marker.
            seen_by = self.scene.camera.evaluated_get(graph)
            self._known[frame] = (camera.describe(graph.scene_eval, seen_by), *self.matrices(graph))
            while len(self._known) > CACHED_FRAMES:
                del self._known[next(iter(self._known))]
        return self._known[frame]

    def around(self, frame: int) -> dict[str, Any]:
        """Cameras and matrices at the frame before, this one and the next; leaves the scene at `frame`.

        `cameras`: three descriptions; `objects`: `Movers.pack` of all that is not the same at the three.
        """
        cameras, keys, matrices = zip(*(self.at(frame + offset) for offset in (-1, 0, 1)), strict=True)
        self.scene.frame_set(frame)
        if not (np.array_equal(keys[0], keys[1]) and np.array_equal(keys[1], keys[2])):
            raise WorkerFault("frame", "copies come or go at the neighbouring frames: no exact flow")
        three = np.stack(matrices, axis=1)
        moving = np.any(three != three[:, 1:2], axis=(1, 2, 3))
        own = np.flatnonzero(keys[1])
        ids = [keys[1][own], *(ids for _, ids in self._carriers)]
        followed = len(self.movers) + np.arange(len(self._carriers))
        which = np.concatenate([own, np.repeat(followed, [len(ids) for _, ids in self._carriers])])
        kept = moving[which]
        movers = Movers(np.concatenate(ids)[kept], (np.cumsum(moving) - 1)[which[kept]], three[moving])
        return {"cameras": list(cameras), "objects": movers.pack()}

    def check(self, frame: int, rendered_camera: dict[str, Any], rendered: tuple[np.ndarray, np.ndarray]) -> None:
        """Raise WorkerFault unless the render saw the camera and the matrices that flow is made from."""
        described, keys, matrices = self._known[frame]
        known = np.isin(rendered[0], keys)
        differs = ~known
        # Both are in the same order.
        differs[known] = np.any(matrices[np.isin(keys, rendered[0])] != rendered[1][known], axis=(1, 2))
        wrong = np.flatnonzero(differs)
        objects = [*self.movers.values(), *(obj for obj, _ in self._carriers)]
        names = [
            objects[index].name if index < len(objects) else f"a copy (id {rendered[0][index]})"
            for index in wrong.tolist()
            if not (index < len(objects) and objects[index].hide_render)
        ]
        if described != rendered_camera:
            names.append(described["name"])
        if names:
            raise WorkerFault(
                "frame", f"{', '.join(names[:3])} moves differently in the render than outside of it: no exact flow"
            )


class Frozen:
    """Holds the scene still between the picture and its ground truth: a block during which nothing counts as animated.

    Cycles builds the geometry of anything animated anew for each render, also for the same frame again. Taking the
    actions away right after `frame_set` leaves all values as they are, and lets the second render start at once.
    Measured with 5.0 and 5.2; drivers, NLA and modifiers that depend on time are not reached. Only actions that move
    objects are taken: others (of materials, of settings) change the picture and build nothing.
    """

    def __init__(self) -> None:
        self._taken: list[tuple[Any, Any, Any]] = []

    def __enter__(self) -> Frozen:
        if len(bpy.context.scene.view_layers) > 1:
            return self  # Each layer is evaluated by itself, and only one of them saw the animation.
        for owner in bpy.data.objects:
            data = owner.animation_data
            if data is not None and data.action is not None and animates_transform_only(owner):
                self._taken.append((data, data.action, getattr(data, "action_slot", None)))
                data.action = None
        return self

    def __exit__(self, *exc: object) -> None:
        for data, action, slot in self._taken:
            data.action = action
            if hasattr(data, "action_slot"):
                data.action_slot = slot
        self._taken.clear()
