"""Instanced copies: which there are, their ids, and how a render tells them apart.

All copies of an object share the one pass index that Blender renders. What differs from copy to copy is the Random
value of the Object Info node, so the materials write it into a pass of its own (`worker.marks`), and the list of copies
says which value belongs to which. Geometry without a material cannot do that; its copies are told apart by where their
surfaces are (`simulation.copies`).

A copy is known by its path, `Instancer/Source#2.0`: who makes it, of what, and Blender's persistent id, outermost
first. Paths are the same in every frame, process and version.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

import bpy
import numpy as np

from visionsim.simulation.config import time_stretch
from visionsim.simulation.copies import SAME_RANDOM
from visionsim.simulation.worker import animation, compat, identity, marks
from visionsim.simulation.worker.change import copied_by, has_handlers, kind, makes_copies, objects_of, why_changing
from visionsim.simulation.worker.fault import WorkerFault
from visionsim.simulation.worker.motion import carries_copies

MAX_COPIES = 500_000
"""More copies than this share the id of their source: they would take minutes to list."""

NOT_DRAWN = {"CURVE", "FONT", "META", "SURFACE"}
"""Types of evaluated objects that render nothing: the mesh made from them is listed besides, as an instance."""

UNUSED_ID = 2**31 - 1
"""What fills a persistent id that has fewer levels than Blender has room for."""


def copies(graph: Any, numbers: Mapping[Any, int]) -> Iterator[tuple[str, Any]]:
    """Path and instance (valid until the next one) of each visible copy of a numbered object."""
    for instance in graph.object_instances:
        if not (instance.is_instance and instance.show_self) or instance.object.type in NOT_DRAWN:
            continue
        source, instancer = instance.object.original, instance.parent.original
        levels = [level for level in instance.persistent_id if level != UNUSED_ID]
        if source not in numbers or (source == instancer and len(levels) == 1):
            continue  # The mesh made from a curve or text, which is the object itself.
        place = ".".join(map(str, reversed(levels)))
        yield f"{instancer.name_full}/{source.name_full}#{place}", instance


class Instances:
    """The copies of an open scene."""

    def __init__(self, scene: Any, layer: Any, numbers: dict[Any, int]) -> None:
        self.scene, self.layer, self.numbers = scene, layer, numbers
        self.table: dict[str, list[Any]] = {}
        """Path -> id, id of the source, class of the instancer (custom property) or None, how it may move."""
        self.ids: dict[str, int] = {}
        """Path -> id; empty if there are no copies, or too many."""
        self.too_many = 0
        """How many copies there are, if that is more than ids are given to."""
        objects = objects_of(scene)
        self.vary = any(map(may_vary, objects)) or (has_handlers() and any(map(makes_copies, objects)))
        """Whether copies may come and go."""
        self.by_index: list[str] = []
        """Names of objects whose copies move, and are known by their index only."""
        self.confused: list[str] = []
        """Names of those among them whose copies come and go as well, so that ids may jump from one to another."""
        self._shapeless = False
        """Whether copies were seen that have no faces, by which they could be told apart."""
        self._read: Read | None = None
        """The copies that were listed last."""

    def find(self, table: dict[str, list[Any]] | None, multiplier: float) -> None:
        """Give each copy an id, after those of the objects.

        Args:
            table: what another opening of the same file found; None to look for copies.
            multiplier: of the keyframes. Copies that come and go are looked for in every authored frame, in those
                between that are rendered, and in the neighbours of the first and the last.
        """
        self.table = self._look(multiplier) if table is None else table
        self.ids = {path: row[0] for path, row in self.table.items()}

    def _look(self, multiplier: float) -> dict[str, list[Any]]:
        found: dict[str, tuple[Any, Any]] = {}
        between: set[str] = set()
        seen: dict[Any, identity.Copied] = {}
        graph = self.layer.depsgraph
        for authored in self._times(multiplier):
            now: dict[Any, tuple[Any, list[str], list[Any]]] = {}
            for path, instance in copies(graph, self.numbers):
                instancer = instance.parent.original
                if path not in found and not authored:
                    between.add(path)
                elif authored:
                    between.discard(path)
                found.setdefault(path, (instancer, instance.object.original))
                self._shapeless |= is_shapeless(instance.object)
                if self.vary:
                    _, paths, matrices = now.setdefault(instancer, (instance.parent.matrix_world.copy(), [], []))
                    paths.append(path)
                    matrices.append([list(row) for row in instance.matrix_world])
            for instancer, (matrix, paths, matrices) in now.items():
                if instancer not in seen:
                    seen[instancer] = identity.Copied(identity.has_ids(instancer, graph))
                seen[instancer].see(paths, matrix, matrices)
        self.by_index = sorted(instancer.name_full for instancer, its in seen.items() if its.moved)
        self.confused = sorted(instancer.name_full for instancer, its in seen.items() if its.confused)
        if len(found) > MAX_COPIES:
            self.too_many = len(found)
            return {}

        def order(path: str) -> tuple[Any, ...]:
            instancer, source = found[path]
            place = path.rpartition("#")[2]
            # Those of authored frames first: their ids are the same whatever the multiplier is.
            return path in between, instancer.name_full, self.numbers[source], tuple(map(int, place.split(".")))

        kinds = {pair: copy_kind(*pair) for pair in set(found.values())}
        classes = {instancer: instancer.get("class") for instancer, _ in kinds}
        table = {}
        for number, path in enumerate(sorted(found, key=order), max(self.numbers.values(), default=0) + 1):
            instancer, source = found[path]
            label = classes[instancer]
            table[path] = [number, self.numbers[source], None if label is None else str(label), kinds[found[path]]]
        return table

    def _times(self, multiplier: float) -> Iterator[bool]:
        """Set the scene to the times at which copies may be seen for the first time; yield whether it is authored."""
        scene, stretch = self.scene, time_stretch(multiplier)
        last = scene.frame_end if self.vary else scene.frame_start
        authored = {frame * stretch for frame in range(scene.frame_start, last + 1)}
        times = set(authored)
        if self.vary:
            times.add((last + 1) * stretch)  # Flow and occlusions look one frame beyond the range.
            if all(simulation.baked for simulation in animation.simulations(scene)):
                first, stop = math.ceil(min(authored)), math.floor(max(authored)) + 1
                times.update(Fraction(frame) for frame in range(first - 1, stop + 1))
        for time in sorted(times):
            whole = time.numerator // time.denominator
            scene.frame_set(whole, subframe=float(time - whole))
            yield time in authored

    def mark(self) -> bool:
        """Have materials write which copy they are on, where that changes no picture; return whether there are any."""
        copied = {row[1] for row in self.table.values()}
        if not copied and (self.too_many or not self.vary):
            return False
        marks.install(self.layer, [source for source, number in self.numbers.items() if number in copied])
        if self._shapeless:
            self.layer.update()
            for path, instance in copies(self.layer.depsgraph, self.numbers):
                if is_shapeless(instance.object) and marks.is_unmarked(instance.object):
                    raise cannot_tell_apart("scene", path)
        return True

    def refuse_confusion(self) -> None:
        """Raise WorkerFault if ids could jump from one copy to another."""
        if self.confused:
            raise WorkerFault(
                "scene",
                f"copies that {quoted(self.confused)} makes come and go, and others take over their numbers, because "
                "Blender knows them by their index; give the points an `id` before any of them are taken away (a Store "
                "Named Attribute node: id, integer, from an Index node), or leave out --render-config.segmentations, "
                ".flows and .occlusions",
            )

    def notices(self) -> list[str]:
        """What a user should know about the copies' identity, one sentence each."""
        named = [name for name in self.by_index if name not in self.confused]
        if not named:
            return []
        return [
            f"copies that {quoted(named)} makes move, and Blender knows them by their index: if geometry nodes change "
            "the order, ids change as well; to be sure, give the points an `id` (a Store Named Attribute node)"
        ]

    def listed(self, graph: Any) -> dict[str, np.ndarray]:
        """The copies that a render shows, as the arrays of `simulation.copies.Copies`.

        Raises:
            WorkerFault: one has no id, or cannot be told from another.
        """
        if self._read is None or self.carriers is None:
            self._read = self._look_at(graph)
        found = self._read
        # What differs from frame to frame is where instancers are, if anything.
        at = np.array([[list(row) for row in obj.evaluated_get(graph).matrix_world] for obj in found.instancers])
        matrices = at.reshape(-1, 4, 4)[found.which] @ found.local if len(found.which) else found.local
        return {**found.arrays, "matrices": matrices}

    def _look_at(self, graph: Any) -> Read:
        """Read all copies of an evaluation, one by one."""
        rows: list[tuple[int, int, float, bool, int]] = []
        matrices: list[list[list[float]]] = []
        instancers: dict[Any, int] = {}
        unmarked: dict[Any, bool] = {}
        for path, instance in copies(graph, self.numbers):
            evaluated, instancer = instance.object, instance.parent.original
            source = evaluated.original
            # What geometry nodes make of an object has its name, and materials of its own.
            look = source, *(slot.material for slot in evaluated.material_slots)
            if look not in unmarked:
                unmarked[look] = marks.is_unmarked(evaluated)
            number = instancers.setdefault(instancer, len(instancers))
            random = (instance.random_id & 0xFFFFFFFF) / 0xFFFFFFFF
            rows.append((self.numbers[source], self._id_of(path), random, unmarked[look], number))
            matrices.append([list(row) for row in instance.matrix_world])
        sources, ids, randoms, bare, which = map(np.array, zip(*rows, strict=True) if rows else [()] * 5)
        needed = np.array(bare, bool) | too_near(sources * 4.0 + randoms)
        meshes, shapes = self._shapes(graph, needed)
        at = [[list(row) for row in obj.evaluated_get(graph).matrix_world] for obj in instancers]
        inverses = np.linalg.pinv(np.array(at, np.float64).reshape(-1, 4, 4))
        index = np.array(which, np.intp)
        return Read(
            {
                "sources": np.array(sources, np.uint32),
                "ids": np.array(ids, np.uint32),
                "randoms": np.array(randoms, np.float64),
                "meshes": meshes,
                **shapes,
            },
            list(instancers),
            index,
            inverses[index] @ np.array(matrices, np.float64).reshape(-1, 4, 4),
        )

    @cached_property
    def carriers(self) -> dict[Any, np.ndarray] | None:
        """Instancer -> ids of its copies, if all copies move with their instancers and never come or go; else None."""
        if self.vary:
            return None
        named = {obj.name_full: obj for obj in bpy.data.objects}
        sources = {number: obj.name_full for obj, number in self.numbers.items()}
        found: dict[Any, list[int]] = {}
        for path, (number, source, *_) in self.table.items():
            instancer = path.rpartition("#")[0].removesuffix(f"/{sources[source]}")
            found.setdefault(named[instancer], []).append(number)
        if not all(map(carries_copies, found)):
            return None
        return {obj: np.array(ids, np.uint32) for obj, ids in found.items()}

    def _id_of(self, path: str) -> int:
        """The id of a copy that a render shows; never that of its source in its place."""
        if path in self.ids:
            return self.ids[path]
        raise WorkerFault(
            "frame",
            f"the copy {path!r} has no id: it was not there when the scene was opened, at any frame from "
            f"{self.scene.frame_start} to {self.scene.frame_end}; widen the scene's frame range in Blender, and let "
            "geometry nodes make the same copies in the viewport and in a render",
        )

    def _shapes(self, graph: Any, needed: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """The index of the shape of each copy that needs one, else -1; the shapes' vertices and triangles."""
        meshes = np.full(len(needed), -1, np.int32)
        shapes: dict[str, Any] = {}
        if not needed.any():
            return meshes, shapes
        indices: dict[int, int] = {}
        for index, (path, instance) in enumerate(copies(graph, self.numbers)):
            if needed[index] and is_shapeless(instance.object):
                raise cannot_tell_apart("frame", path)
            if not needed[index] or instance.object.type != "MESH":
                continue
            mesh = instance.object.data
            # Copies of generated geometry share its address for as long as the list is read.
            known = indices.setdefault(mesh.as_pointer(), len(indices))
            meshes[index] = known
            if f"vertices_{known}" not in shapes:
                vertices = np.empty(3 * len(mesh.vertices), np.float32)
                mesh.vertices.foreach_get("co", vertices)
                mesh.calc_loop_triangles()
                triangles = np.empty(3 * len(mesh.loop_triangles), np.int32)
                mesh.loop_triangles.foreach_get("vertices", triangles)
                shapes[f"vertices_{known}"] = vertices.reshape(-1, 3)
                shapes[f"triangles_{known}"] = triangles.reshape(-1, 3)
        return meshes, shapes

    def matrices(self, graph: Any) -> tuple[np.ndarray, np.ndarray]:
        """Ids (N,), in order, and object-to-world matrices (N, 4, 4) of the copies that have an id of their own."""
        found = sorted(
            (self.ids[path], [list(row) for row in instance.matrix_world])
            for path, instance in copies(graph, self.numbers)
            if path in self.ids
        )
        ids, rows = zip(*found, strict=True) if found else ((), ())
        return np.array(ids, np.uint32), np.array(rows, np.float64).reshape(-1, 4, 4)


@dataclass(frozen=True)
class Read:
    """The copies of an evaluation."""

    arrays: dict[str, np.ndarray]
    """Arrays of `simulation.copies.Copies` but the matrices."""
    instancers: list[Any]
    """Objects that make copies."""
    which: np.ndarray
    """(N,) index of each copy's instancer."""
    local: np.ndarray
    """(N, 4, 4) instancer from copy."""


def is_shapeless(evaluated: Any) -> bool:
    """Whether an object has a surface, but no faces that say where it is: hair and points. Volumes have no surface."""
    return evaluated.type not in ("MESH", "VOLUME")


def cannot_tell_apart(kind: Literal["scene", "frame"], path: str) -> WorkerFault:
    """What to say of a shapeless copy whose material does not write which copy it is on."""
    return WorkerFault(
        kind,
        f"the copy {path!r} cannot be told from others, because it is made of hair or points and has no material that "
        "can be marked; give it one (in geometry nodes: Set Material), or leave out --render-config.segmentations",
    )


def quoted(names: list[str]) -> str:
    """The first few of some names, in quotes."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(repr, names[:3])) + more


def too_near(values: np.ndarray) -> np.ndarray:
    """(N,) bool: which values have another one so near that a picture cannot tell them apart."""
    order = np.argsort(values)
    near = np.diff(values[order]) <= 2 * SAME_RANDOM
    result = np.zeros(len(values), bool)
    result[order[:-1]] |= near
    result[order[1:]] |= near
    return result


def copy_kind(instancer: Any, source: Any) -> str:
    """How a copy may move during the animation, in the words of transforms.json."""
    kinds = {kind(part) for part in (instancer, source, *copied_by(instancer))}
    if instancer.particle_systems:
        return "deforming"
    return next(word for word in ("deforming", "rigid", "static") if word in kinds)


def may_vary(obj: Any) -> bool:
    """Whether the copies that an object makes, or that are made of it, may come and go."""
    data = [curve.data_path for curve in compat.curves_and_drivers(obj)]
    if any(path.startswith(("hide_", "show_instancer")) for path in data):
        return True
    if any(system.settings.type == "EMITTER" for system in obj.particle_systems):
        return True
    # Whatever changes its geometry may change how many copies are made on it, or by it.
    return makes_copies(obj) and why_changing(obj) is not None
