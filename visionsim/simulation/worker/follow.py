"""Whether Blender's vector pass can follow a surface from one frame to the next: decided from the evaluated surfaces.

The vector pass pairs vertices by their index. It is exact where a mesh keeps its vertices, and means nothing where a
modifier makes other ones; displacement does not take part in it. `Follower` looks at each frame's evaluated surfaces
and at those of its neighbours, as the render sees them, and names the ids whose motion is not known.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import bpy
import numpy as np

from visionsim.simulation.worker import change, compat, displacement
from visionsim.simulation.worker.instances import NOT_DRAWN, UNUSED_ID, Instances, copies, may_vary

FOLLOWED_MODIFIERS = {
    "ARMATURE",
    "CAST",
    "CLOTH",
    "COLLISION",
    "CORRECTIVE_SMOOTH",
    "CURVE",
    "DISPLACE",
    "DYNAMIC_PAINT",
    "HOOK",
    "LAPLACIANDEFORM",
    "LAPLACIANSMOOTH",
    "LATTICE",
    "MESH_CACHE",
    "MESH_DEFORM",
    "NORMAL_EDIT",
    "SHRINKWRAP",
    "SIMPLE_DEFORM",
    "SMOOTH",
    "SOFT_BODY",
    "SURFACE",
    "SURFACE_DEFORM",
    "UV_PROJECT",
    "UV_WARP",
    "VERTEX_WEIGHT_EDIT",
    "VERTEX_WEIGHT_MIX",
    "VERTEX_WEIGHT_PROXIMITY",
    "VOLUME_DISPLACE",
    "WARP",
    "WAVE",
    "WEIGHTED_NORMAL",
}
"""Modifiers that keep all vertices in their order."""

REGULAR_MODIFIERS = {"MULTIRES", "SUBSURF"}
"""Modifiers whose vertices depend on those of the mesh and their own settings, not on its shape."""

RESAMPLING_MODIFIERS = {"BOOLEAN", "EXPLODE", "REMESH", "SKIN", "VOLUME_TO_MESH"}
"""Modifiers that put vertices anywhere on a surface: equal numbers of them do not mean the same points."""

RESAMPLING_NODES = {
    "GeometryNodeConvexHull",
    "GeometryNodeGridToMesh",
    "GeometryNodeMeshBoolean",
    "GeometryNodeResampleCurve",
    "GeometryNodeTrimCurve",
    "GeometryNodeVolumeToMesh",
}
"""Geometry nodes that do so."""

RESAMPLING_PATHS = ("bevel_factor", "resolution", "render_resolution", "twist_smooth", "body")
"""Beginnings of the settings of curves and text that do so when they are animated."""

CHECKED_FRAMES = 50
"""Frames that are evaluated when a scene is opened; later changes are found when their frame is rendered."""

SAME_NORMAL = 1e-5
"""Greatest difference of unit normals that lets displacement be followed, as a part of its height."""

KEPT_FRAMES = 3
"""Frames whose surfaces are remembered."""


class Check(NamedTuple):
    """How to find out whether an object is followed."""

    words: str
    """Why it may not be."""
    never: bool = False
    """It is not, in any frame."""
    positions: bool = False
    """It is only where each vertex stays in its place."""
    normals: bool = False
    """It is only where normals stay as they are."""
    presence: bool = False
    """It is as long as it is there."""


POINTS = Check("renders points, whose vectors in Blender are those of their centres", never=True)


class Surface(NamedTuple):
    """An evaluated surface, as far as following it goes."""

    digest: bytes
    normals: Any = None


def same(one: Surface | None, other: Surface | None) -> bool:
    """Whether the vector pass follows a surface from one to the other; None are surfaces that it never follows."""
    if one is None or other is None or one.digest != other.digest:
        return False
    if one.normals is None:
        return True
    return bool(np.abs(one.normals - other.normals).max(initial=0.0) <= SAME_NORMAL)


def may_lose_track(scene: Any, obj: Any) -> Check | None:
    """Why Blender may not be able to follow an object's surface, or None if it always can."""
    if obj.type == "POINTCLOUD":
        return POINTS
    displaced = change.why_displaced_anew(obj)
    if displaced is not None:
        return Check(displaced, never=True)
    scripts = change.has_handlers()
    if change.why_deforming(obj, frozenset({obj})) is None and not scripts:
        return None
    if compat.has_adaptive_subdivision(scene, obj):
        return Check("is divided anew by its size in the picture (adaptive subdivision)", never=True)
    for system in obj.particle_systems:
        if system.settings.type == "EMITTER" and system.settings.render_type in ("PATH", "LINE"):
            return Check(f"renders the paths of its particles {system.name!r}", never=True)
    if obj.type == "META":
        return Check("is a metaball", positions=True)
    if any(path.startswith(RESAMPLING_PATHS) for path in displacement.changing_paths(obj.data)):
        return Check("is a curve with animated settings that move its vertices along it", positions=True)
    check = Check("is changed by a script at every frame") if scripts else None
    check = check or lost_by_modifiers(obj)
    if check is None or not check.positions:
        if any(displacement.moves_surface(material) for material in change.materials_of(obj)):
            words = check.words if check is not None else "bends, and is displaced by its material"
            return Check(words, normals=True)
    return check


def lost_by_modifiers(obj: Any) -> Check | None:
    """Which of its modifiers may make other vertices in other frames."""
    keyed = displacement.changing_paths(obj)
    deformed = [obj.data, getattr(obj.data, "shape_keys", None)]
    moving = any(map(change.is_animated, deformed)) or obj.parent_type in ("ARMATURE", "LATTICE")
    found = None
    for modifier in obj.modifiers:
        own = f'modifiers["{bpy.utils.escape_identifier(modifier.name)}"]'
        animated = any(path.startswith(own) for path in keyed)
        if not modifier.show_render and not animated:
            continue
        if modifier.type in FOLLOWED_MODIFIERS or modifier.type == "PARTICLE_SYSTEM":
            moving = True
            continue
        if modifier.type in REGULAR_MODIFIERS and not animated:
            continue
        if modifier.type == "FLUID":
            if modifier.fluid_type == "DOMAIN" and modifier.domain_settings.domain_type == "LIQUID":
                return Check("is a liquid", never=True)
            continue
        if modifier.type == "NODES":
            changes = change.why_nodes_vary(modifier, frozenset({obj})) is not None
            trees = change.node_trees(modifier.node_group)
            resamples = any(node.bl_idname in RESAMPLING_NODES for tree in trees for node in tree.nodes)
        else:
            changes = modifier.type not in change.RIGID_MODIFIERS or change.refers(modifier)
            resamples = modifier.type in RESAMPLING_MODIFIERS
        if not (moving or animated or changes):
            continue  # As the same vertices go in, and the same settings, the same come out.
        moving = True
        if found is None or (resamples and not found.positions):
            kind = "geometry nodes" if modifier.type == "NODES" else modifier.type.lower()
            words = f"has the modifier {modifier.name!r} ({kind}), which makes new vertices from frame to frame"
            found = Check(words, positions=resamples)
    return found


class Found(NamedTuple):
    """An object or a copy in one evaluation."""

    number: int
    """Its id."""
    surface: Surface | None
    """None if it is never followed."""
    check: Check


class Follower:
    """Objects and copies of an open scene that Blender may lose track of."""

    def __init__(self, scene: Any, numbers: dict[Any, int], instances: Instances) -> None:
        self.scene, self.numbers, self.ids = scene, numbers, instances.ids
        copied = {row[1] for row in instances.table.values()}
        hidden_sources = {obj for obj, number in numbers.items() if number in copied}
        self.checks: dict[Any, Check] = {}
        for obj in change.objects_of(scene) | hidden_sources:
            check = self._check(obj, shown=not obj.hide_render or obj in hidden_sources)
            if check is not None:
                self.checks[obj] = check
        self._lists = bool(copied) or any(change.makes_copies(o) or o.type in NOT_DRAWN for o in self.checks)
        self._known: dict[float, dict[Any, Found]] = {}

    def _check(self, obj: Any, *, shown: bool) -> Check | None:
        varies = may_vary(obj)
        if obj in self.numbers and (shown or varies):
            check = may_lose_track(self.scene, obj)
            if check is not None:
                return check
        return Check("comes and goes", presence=True) if varies else None

    def why_never(self) -> list[str]:
        """What is not followed in any frame: `name` and reason of each object."""
        return sorted(f"{obj.name_full!r} {check.words}" for obj, check in self.checks.items() if check.never)

    def why_lost(self, times: Iterable[float], graph: Any) -> list[str]:
        """What is not followed at the first of `times` at which anything is not; sets the scene to them in turn."""
        before: dict[Any, Found] | None = None
        for time in times:
            self.scene.frame_set(math.floor(time), subframe=time - math.floor(time))
            now = self.surfaces(graph)
            lost = [*self.lost(before, now), *self.lost(now, before)] if before is not None else []
            if lost:
                return sorted({described(key, found) for key, found in lost})
            before = now
        return []

    def around(self, engine: Any, graph: Any) -> dict[str, list[tuple[Any, Found]]]:
        """What is not followed to the frame after this one (`forward`) and before it (`backward`).

        Called while `engine` renders: the surfaces are evaluated as that render sees them.
        """
        frame, part = graph.scene_eval.frame_current, graph.scene_eval.frame_subframe
        self._known[frame + part] = now = self.surfaces(graph)
        moved = False
        for time in (frame - 1, frame + 1):
            if time + part not in self._known:
                engine.frame_set(time, part)
                self._known[time + part] = self.surfaces(graph)
                moved = True
        if moved:
            engine.frame_set(frame, part)
        result = {
            "forward": self.lost(now, self._known[frame + 1 + part]),
            "backward": self.lost(now, self._known[frame - 1 + part]),
        }
        for time in sorted(self._known, key=lambda known: abs(known - frame))[KEPT_FRAMES:]:
            del self._known[time]
        return result

    def lost(self, here: dict[Any, Found], there: dict[Any, Found]) -> list[tuple[Any, Found]]:
        """The parts of `here` that are not followed to `there`."""
        return [
            (key, found)
            for key, found in here.items()
            if key not in there or not same(found.surface, there[key].surface)
        ]

    def surfaces(self, graph: Any) -> dict[Any, Found]:
        """The surfaces of an evaluation that Blender may lose track of, by what identifies them."""
        found: dict[Any, Found] = {}
        meshes: dict[Any, Surface] = {}
        for obj, check in self.checks.items():
            evaluated = obj.evaluated_get(graph)
            if obj in self.numbers and not evaluated.hide_render:
                found[obj] = found_as(self.numbers[obj], evaluated, check, meshes)
        if not self._lists:
            return found
        for path, instance in copies(graph, self.numbers):
            source, instancer = instance.object.original, instance.parent.original
            for check in [self.checks[obj] for obj in (source, instancer) if obj in self.checks]:
                if path not in found or found[path].surface is not None:
                    number = self.ids.get(path, self.numbers[source])
                    found[path] = found_as(number, instance.object, check, meshes)
        for instance in graph.object_instances:
            if not instance.is_instance or instance.object.original != instance.parent.original:
                continue
            levels = [level for level in instance.persistent_id if level != UNUSED_ID]
            obj = instance.object.original
            if obj in self.checks and obj in self.numbers and len(levels) == 1:  # Made by the object, not a copy.
                found[obj, levels[0]] = found_as(self.numbers[obj], instance.object, self.checks[obj], meshes)
        return found


def described(key: Any, found: Found) -> str:
    """What is not followed, and why, in words."""
    if not isinstance(key, str):
        return f"{(key[0] if isinstance(key, tuple) else key).name_full!r} {found.check.words}"
    return (
        f"{key!r} comes and goes" if found.check.presence else f"{key!r}, whose source or instancer {found.check.words}"
    )


def found_as(number: int, evaluated: Any, check: Check, known: dict[Any, Surface]) -> Found:
    """What is found of an evaluated object under an id. `known` holds the surfaces of this evaluation."""
    if evaluated.type == "POINTCLOUD":
        check = POINTS
    if check.never:
        return Found(number, None, check)
    if check.presence or evaluated.type not in ("MESH", "CURVES", "HAIR"):
        return Found(number, Surface(b""), check)
    data = evaluated.data
    key = data.as_pointer(), check.positions, check.normals
    if key not in known:
        known[key] = surface_of_mesh(data, check) if evaluated.type == "MESH" else surface_of_hair(data)
    return Found(number, known[key], check)


def surface_of_mesh(mesh: Any, check: Check) -> Surface:
    counts = np.array([len(mesh.vertices), len(mesh.edges), len(mesh.polygons)])
    digest = hashlib.blake2b(counts.tobytes(), digest_size=16)
    for attribute, name in ((".corner_vert", "vertex_index"), (".corner_edge", "edge_index")):
        if attribute in mesh.attributes:  # A hundred times as fast as the loops, which is all that 3.4 has.
            digest.update(values_of(mesh.attributes[attribute].data, "value", np.int32))
        else:
            digest.update(values_of(mesh.loops, name, np.int32))
    if check.positions:
        if "position" in mesh.attributes:
            digest.update(values_of(mesh.attributes["position"].data, "vector", np.float32, 3))
        else:
            digest.update(values_of(mesh.vertices, "co", np.float32, 3))
    normals = values_of(mesh.vertex_normals, "vector", np.float32, 3) if check.normals else None
    return Surface(digest.digest(), normals)


def surface_of_hair(curves: Any) -> Surface:
    return Surface(hashlib.blake2b(values_of(curves.curves, "points_length", np.int32), digest_size=16).digest())


def values_of(items: Any, name: str, kind: Any, size: int = 1) -> Any:
    """One property of all items, flat."""
    values = np.empty(size * len(items), kind)
    items.foreach_get(name, values)
    return values
