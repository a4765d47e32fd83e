"""Instanced copies: which there are, their ids, and how a render tells them apart.

All copies of an object share the one pass index that Blender renders. What differs from copy to copy is the Random
value of the Object Info node, so the materials write it into a pass of its own (`PASS_NAME`), and the list of copies
says which value belongs to which. Geometry without a material cannot do that; its copies are told apart by where their
surfaces are (`simulation.copies`).

A copy is known by its path, `Instancer/Source#2.0`: who makes it, of what, and Blender's persistent id, outermost
first. Paths are the same in every frame, process and version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import bpy
import numpy as np

from visionsim.simulation.config import time_stretch
from visionsim.simulation.copies import CHANNELS, PASS_NAME, SAME_RANDOM, STEP_BITS
from visionsim.simulation.worker import compat
from visionsim.simulation.worker.change import copied_by, kind, objects_of, why_changing, why_nodes_vary

MAX_COPIES = 50_000
"""More copies than this share the id of their source: the table of ids would be larger than the pictures."""

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
        self._still: dict[str, Any] | None = None
        """What `listed` returns at every frame, once it is known, if all copies stand still."""

    def find(self, table: dict[str, list[Any]] | None, multiplier: float) -> None:
        """Give each copy an id, after those of the objects.

        Args:
            table: what another opening of the same file found; None to look for copies.
            multiplier: of the keyframes. Copies that come and go are looked for in every authored frame.
        """
        self.table = self._look(multiplier) if table is None else table
        self.ids = {path: row[0] for path, row in self.table.items()}

    def _look(self, multiplier: float) -> dict[str, list[Any]]:
        found: dict[str, tuple[Any, Any]] = {}
        for _ in self._times(multiplier):
            for path, instance in copies(self.layer.depsgraph, self.numbers):
                found.setdefault(path, (instance.parent.original, instance.object.original))
        if len(found) > MAX_COPIES:
            self.too_many = len(found)
            return {}

        def order(path: str) -> tuple[Any, ...]:
            instancer, source = found[path]
            place = path.rpartition("#")[2]
            return instancer.name_full, self.numbers[source], tuple(map(int, place.split(".")))

        kinds = {pair: copy_kind(*pair) for pair in set(found.values())}
        classes = {instancer: instancer.get("class") for instancer, _ in kinds}
        table = {}
        for number, path in enumerate(sorted(found, key=order), max(self.numbers.values(), default=0) + 1):
            instancer, source = found[path]
            label = classes[instancer]
            table[path] = [number, self.numbers[source], None if label is None else str(label), kinds[found[path]]]
        return table

    def _times(self, multiplier: float) -> Iterator[float]:
        """Set the scene to the times at which copies may be seen for the first time."""
        scene, stretch = self.scene, time_stretch(multiplier)
        last = scene.frame_end if any(may_vary(obj) for obj in objects_of(scene)) else scene.frame_start
        for frame in range(scene.frame_start, last + 1):
            time = frame * stretch
            whole = time.numerator // time.denominator
            scene.frame_set(whole, subframe=float(time - whole))
            yield float(time)

    def mark(self) -> None:
        """Have every material write which copy it is on, unless it does already."""
        if not self.ids:
            return
        if PASS_NAME not in self.layer.aovs:
            aov = self.layer.aovs.add()
            aov.name, aov.type = PASS_NAME, "COLOR"
        plain = None
        copied = {row[1] for row in self.table.values()}
        for source, number in self.numbers.items():
            if number not in copied or source.type == "VOLUME":
                continue
            if not source.material_slots and hasattr(source.data, "materials") and source.data.library is None:
                plain = plain or compat.default_surface()
                source.data.materials.append(plain)
            for slot in source.material_slots:
                if slot.material is None and source.library is None:
                    plain = plain or compat.default_surface()
                    slot.material = plain
        group = bpy.data.node_groups.get(PASS_NAME) or copy_group()
        for material in bpy.data.materials:
            if material.is_grease_pencil:
                continue
            tree = compat.surface_tree(material)
            if PASS_NAME in tree.nodes:
                continue
            node = tree.nodes.new("ShaderNodeGroup")
            node.node_tree = group
            output = tree.nodes.new("ShaderNodeOutputAOV")
            compat.name_aov(output, PASS_NAME)
            output.name = PASS_NAME
            tree.links.new(node.outputs[0], output.inputs["Color"])

    def listed(self, graph: Any) -> dict[str, np.ndarray]:
        """The copies that a render shows, as the arrays of `simulation.copies.Copies`."""
        if self._still is not None:
            return self._still
        found = [
            (
                self.numbers[instance.object.original],
                self.ids.get(path, self.numbers[instance.object.original]),
                (instance.random_id & 0xFFFFFFFF) / 0xFFFFFFFF,
                is_unmarked(instance.object),
                [list(row) for row in instance.matrix_world],
            )
            for path, instance in copies(graph, self.numbers)
        ]
        sources, ids, randoms, unmarked, matrices = zip(*found, strict=True) if found else ((), (), (), (), ())
        needed = np.array(unmarked, bool)
        needed |= too_near(np.array(sources, np.float64) * 4 + np.array(randoms))
        meshes, shapes = self._shapes(graph, needed)
        arrays = {
            "sources": np.array(sources, np.uint32),
            "ids": np.array(ids, np.uint32),
            "randoms": np.array(randoms, np.float64),
            "matrices": np.array(matrices, np.float64).reshape(-1, 4, 4),
            "meshes": meshes,
            **shapes,
        }
        if all(motion == "static" for *_, motion in self.table.values()):
            self._still = arrays
        return arrays

    def _shapes(self, graph: Any, needed: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """The index of the shape of each copy that needs one, else -1; the shapes' vertices and triangles."""
        meshes = np.full(len(needed), -1, np.int32)
        shapes: dict[str, Any] = {}
        if not needed.any():
            return meshes, shapes
        indices: dict[int, int] = {}
        for index, (_, instance) in enumerate(copies(graph, self.numbers)):
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

    def matrices(self, graph: Any) -> dict[int, list[list[float]]]:
        """Id -> object-to-world matrix of each copy that has an id of its own."""
        return {
            self.ids[path]: [list(row) for row in instance.matrix_world]
            for path, instance in copies(graph, self.numbers)
            if path in self.ids
        }


def is_unmarked(evaluated: Any) -> bool:
    """Whether part of an object has no material, which could write which copy it is."""
    return not evaluated.material_slots or any(slot.material is None for slot in evaluated.material_slots)


def too_near(values: np.ndarray) -> np.ndarray:
    """(N,) bool: which values have another one so near that a picture cannot tell them apart."""
    order = np.argsort(values)
    near = np.diff(values[order]) <= 2 * SAME_RANDOM
    result = np.zeros(len(values), bool)
    result[order[:-1]] |= near
    result[order[1:]] |= near
    return result


def copy_group() -> Any:
    """A node group that outputs what `simulation.copies` decodes."""
    group = bpy.data.node_groups.new(PASS_NAME, "ShaderNodeTree")
    compat.new_group_output(group, "Color", "NodeSocketColor")
    nodes, links = group.nodes, group.links

    def math(operation: str, *operands: Any) -> Any:
        node = nodes.new("ShaderNodeMath")
        node.operation = operation
        for socket, operand in zip(node.inputs, operands, strict=False):
            if isinstance(operand, (int, float)):
                socket.default_value = operand
            else:
                links.new(operand, socket)
        return node.outputs[0]

    surface = nodes.new("ShaderNodeLightPath").outputs["Transparent Depth"]
    random = nodes.new("ShaderNodeObjectInfo").outputs["Random"]
    step = math("FLOOR", math("DIVIDE", math("ADD", surface, 0.5), CHANNELS))
    channel = math("SUBTRACT", surface, math("MULTIPLY", step, CHANNELS))
    value = math("MULTIPLY", math("ADD", random, 1.0), math("POWER", 2.0, math("MULTIPLY", step, STEP_BITS)))
    combined = nodes.new("ShaderNodeCombineXYZ")
    for index in range(CHANNELS):
        links.new(math("MULTIPLY", value, math("COMPARE", channel, index, 0.5)), combined.inputs[index])
    links.new(combined.outputs[0], nodes.new("NodeGroupOutput").inputs[0])
    return group


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
    if any(modifier.type == "NODES" and why_nodes_vary(modifier) for modifier in obj.modifiers):
        return True
    return obj.instance_type in ("VERTS", "FACES") and why_changing(obj) is not None
