"""Rays into an open scene: what `visionsim verify --deep` compares pixels with.

The rays go into the scene as the renderer is given it, with the render's modifiers and visibility: the engine's render
function is replaced for one render, which casts rays instead. It takes the objects that Cycles takes, set scenes
included, as meshes, and finds out by Cycles' rules which of them the camera sees (`scene.ray_cast` has other rules, and
no set scenes). What rays cannot be compared with is said, not hidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from visionsim.cameras import CameraModel, c2w_from_blender, camera_from_blender
from visionsim.simulation.worker import animation, camera, compat, displacement
from visionsim.simulation.worker.fault import WorkerFault
from visionsim.simulation.worker.scene import main_layer

UNTOUCHED = {"CURVES": "hair", "HAIR": "hair", "POINTCLOUD": "points", "VOLUME": "volume"}
"""Types of objects that are seen, but are not made of faces."""

SOLID = {"MESH", "CURVE", "SURFACE", "META", "FONT"}
"""Types of objects that Cycles makes meshes of."""

SEE_THROUGH = {"BSDF_TRANSPARENT", "HOLDOUT", "VOLUME_ABSORPTION", "VOLUME_SCATTER", "PRINCIPLED_VOLUME"}
"""Types of nodes that may let a ray pass on."""

BEHIND = 1e-3
"""Relative distance within which a second surface is told as well: surfaces that touch are seen in either order."""

ASIDE = 0.02
"""Pixels from a pixel's centre to the four rays around it. Ground truth is found up to 0.005 px from the centre: where
all five rays hit the same, so does the renderer."""

PLACES = 6
"""Points on an object that are tried before it is given up as hidden."""

COPIES = 4
"""Copies of an object that are tried."""


@dataclass
class Shape:
    """A mesh in its object's own space."""

    vertices: Any
    """(V, 3)"""
    triangles: Any
    """(T, 3)"""

    @cached_property
    def tree(self) -> Any:
        return BVHTree.FromPolygons(self.vertices.tolist(), self.triangles.tolist(), all_triangles=True)

    @classmethod
    def of(cls, obj: Any) -> Shape | None:
        """The mesh of an evaluated object, as Cycles takes it; None if it has no faces."""
        try:
            mesh = obj.to_mesh()
        except RuntimeError:
            return None
        if mesh is None:
            return None
        mesh.calc_loop_triangles()
        vertices = np.empty(3 * len(mesh.vertices), np.float32)
        triangles = np.empty(3 * len(mesh.loop_triangles), np.int32)
        mesh.vertices.foreach_get("co", vertices)
        mesh.loop_triangles.foreach_get("vertices", triangles)
        obj.to_mesh_clear()
        return cls(vertices.reshape(-1, 3).astype(float), triangles.reshape(-1, 3)) if len(triangles) else None


@dataclass
class Surfaces:
    """All that the camera may see; a row for each object and copy."""

    names: list[str]
    shapes: list[Shape]
    matrices: Any
    """(N, 4, 4) world from object."""
    low: Any
    high: Any
    """(N, 3) corners of their boxes in the world."""

    @classmethod
    def of(cls, depsgraph: Any, doubts: dict[str, str]) -> Surfaces:
        """The surfaces that a render is given; adds to `doubts` (name -> why) what is shown otherwise than to rays."""
        names: list[str] = []
        shapes: list[Shape] = []
        matrices: list[Any] = []
        known: dict[Any, Shape | None] = {}
        layer, scene = depsgraph.view_layer, depsgraph.scene
        for instance in depsgraph.object_instances:
            obj = instance.object
            if not instance.show_self or obj.type not in SOLID:
                continue
            copied = instance.is_instance
            owner = (instance.parent if copied else obj).original
            if not seen_by_camera(obj.original, owner, layer):
                continue
            name = obj.original.name_full
            doubt = why_doubtful(instance, owner, layer, scene) or (doubts.get(owner.name_full) if copied else None)
            if np.linalg.det(np.array(instance.matrix_world, float)[:3, :3]) == 0.0:
                doubt = doubt or "an object scaled to nothing"
            key = obj.data.as_pointer() if obj.type == "MESH" else (obj.original.as_pointer(), obj.type)
            if key not in known:
                known[key] = Shape.of(obj)
                doubt = doubt or why_uncertain(obj, scene)  # Geometry nodes may give it other materials.
            if doubt is not None:
                doubts.setdefault(name, doubt)
            shape = known[key]
            if shape is not None:
                names.append(name)
                shapes.append(shape)
                matrices.append(np.array(instance.matrix_world, float))
        boxes: dict[int, tuple[Any, Any]] = {}
        low, high = np.empty((len(names), 3)), np.empty((len(names), 3))
        for index, (shape, matrix) in enumerate(zip(shapes, matrices, strict=True)):
            if id(shape) not in boxes:
                boxes[id(shape)] = shape.vertices.min(axis=0), shape.vertices.max(axis=0)
            least, most = boxes[id(shape)]
            middle = matrix[:3, :3] @ (least + most) / 2 + matrix[:3, 3]
            half = np.abs(matrix[:3, :3]) @ (most - least) / 2
            low[index], high[index] = middle - half, middle + half
        return cls(names, shapes, np.array(matrices).reshape(-1, 4, 4), low, high)

    @cached_property
    def inverses(self) -> Any:
        """(N, 4, 4) object from world; NaN where there is none."""
        regular = np.linalg.det(self.matrices[:, :3, :3]) != 0.0
        result = np.full(self.matrices.shape, np.nan)
        result[regular] = np.linalg.inv(self.matrices[regular])
        return result

    def hit(self, index: int, start: Any, direction: Any, near: float, far: float) -> tuple[float, float, float] | None:
        """Where a ray hits one of them: distance, cosine of the angle to the normal, and the largest coordinate in it.

        The tree is of single precision: it only tells the triangle.
        """
        matrix, shape = self.matrices[index], self.shapes[index]
        inverse = self.inverses[index]
        if not np.isfinite(inverse).all():
            return None  # Flattened to nothing.
        # From nearby, so that the start has few digits before the point.
        begin = max(0.0, near - 1e-3 * max(near, far - near))
        origin = inverse[:3, :3] @ (start + begin * direction) + inverse[:3, 3]
        place, _, triangle, _ = shape.tree.ray_cast(Vector(origin), Vector(inverse[:3, :3] @ direction))
        if place is None:
            return None
        local = shape.vertices[shape.triangles[triangle]]
        corners = local @ matrix[:3, :3].T + matrix[:3, 3]
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        length = float(np.linalg.norm(normal))
        if length == 0.0:
            return None
        slope = float(normal @ direction) / length
        away = float(normal @ (corners[0] - start)) / length
        reach = float((np.abs(local) @ np.abs(matrix[:3, :3]).T + np.abs(matrix[:3, 3])).max())
        if abs(slope) < 1e-6:  # The plane says little about where on the edge it is.
            away, slope = float((matrix[:3, :3] @ np.array(place) + matrix[:3, 3] - start) @ direction), 1.0
        return away / slope, abs(slope), reach


def seen_by_camera(obj: Any, owner: Any, layer: Any) -> bool:
    """Cycles' rule: of a copy, the camera must see both the object and what makes the copy."""
    if owner.indirect_only_get(view_layer=layer) and not owner.holdout_get(view_layer=layer):
        return False
    return all(getattr(each, "visible_camera", True) for each in (obj, owner))


def why_doubtful(instance: Any, owner: Any, layer: Any, scene: Any) -> str | None:
    """What about the way an object is shown lets rays see it otherwise than the renderer does."""
    if owner.holdout_get(view_layer=layer):
        return "holdout"
    if instance.is_instance and instance.particle_system is not None:
        return "particles"
    culls = scene.render.use_simplify and (scene.cycles.use_camera_cull or scene.cycles.use_distance_cull)
    if culls and (owner.cycles.use_camera_cull or owner.cycles.use_distance_cull):
        return "culling"
    return None


def cast(scene: Any, pixels: Sequence[Sequence[float]], probes: int = 0) -> dict[str, Any]:
    """Cast rays through and around some pixel positions (x, y) at the current frame.

    Args:
        scene: the open one.
        pixels: the positions.
        probes: find, of at most so many objects, a pixel in which each is seen.
    Returns:
        `camera`: as `worker.camera.describe` says it. `hits`: for each pixel five rays (its centre, and around it), of
        each the surfaces that it may show, first the one that was hit: [object's name, depth of the camera's kind,
        cosine of the angle between ray and normal, largest coordinate in it]; empty if nothing was hit. `probes`: pixel
        positions at which a ray hits an object, and `probe_hits` those of them. `uncertain`: object's name -> what lets
        rays see it otherwise than the renderer does.
    """
    import cycles.engine as engine

    result: dict[str, Any] = {}
    failures: list[Exception] = []
    name = main_layer(scene).name

    def instead(this_engine: Any, depsgraph: Any) -> None:
        if depsgraph.view_layer.name != name:
            return
        try:
            result.update(cast_into(depsgraph, pixels, probes))
        except Exception as exc:
            failures.append(exc)  # Blender would only print it.

    render, settings = engine.render, scene.render
    # Neither finds a picture to work on; Freestyle would crash Blender (5.2.3).
    saved = settings.use_compositing, settings.use_freestyle
    engine.render, settings.use_compositing, settings.use_freestyle = instead, False, False
    try:
        bpy.ops.render.render()
    finally:
        engine.render = render
        settings.use_compositing, settings.use_freestyle = saved
    if failures:
        raise failures[0]
    if not result:
        raise WorkerFault("frame", "Blender did not begin to render, so no rays could be cast")
    return result


def cast_into(depsgraph: Any, pixels: Sequence[Sequence[float]], probes: int) -> dict[str, Any]:
    described = camera.describe(depsgraph.scene_eval, depsgraph.scene_eval.camera)
    scene = depsgraph.scene
    doubts = {obj.name_full: doubt for obj in bpy.data.objects if (doubt := why_uncertain(obj, scene)) is not None}
    for simulation in animation.simulations(scene):
        if not simulation.baked:
            doubts.setdefault(simulation.name, "a simulation that is not baked")
    rays = Rays(described, Surfaces.of(depsgraph, doubts))
    found = list(rays.probe(probes)) if probes else []
    return {
        "camera": described,
        "hits": [rays.around(*pixel) for pixel in pixels],
        "probes": [place for place, _ in found],
        "probe_hits": [hits for _, hits in found],
        "uncertain": doubts,
    }


class Rays:
    """Rays of one camera into the surfaces that it may see."""

    def __init__(self, described: dict[str, Any], surfaces: Surfaces) -> None:
        self.described, self.surfaces = described, surfaces
        self.model: CameraModel = camera_from_blender(described)
        self.c2w = c2w_from_blender(described["matrix_world"])

    def around(self, x: float, y: float) -> list[list[list[Any]]]:
        """What the ray through a position hits, and what the four around it do."""
        places = [(0, 0), (-ASIDE, 0), (ASIDE, 0), (0, -ASIDE), (0, ASIDE)]
        return [self.at(x + right, y + down) for right, down in places]

    def at(self, x: float, y: float) -> list[list[Any]]:
        """The surface that a ray hits first, and those right behind it."""
        # Cycles clips at depths of the camera's own kind.
        start, end = (
            self.model.unproject(np.array(x), np.array(y), self.described[name]) @ self.c2w[:3, :3].T + self.c2w[:3, 3]
            for name in ("clip_start", "clip_end")
        )
        if not np.isfinite(start).all() or not len(self.surfaces.names):
            return []
        reach = float(np.linalg.norm(end - start))
        direction = (end - start) / reach
        with np.errstate(divide="ignore", invalid="ignore"):
            one: Any = (self.surfaces.low - start) / direction
            other: Any = (self.surfaces.high - start) / direction
        # NaN: the ray runs within a side of the box. A box may be flat, and its sides are rounded.
        enters: Any = np.where(np.isnan(inward := np.minimum(one, other)), -np.inf, inward).max(axis=1)
        leaves: Any = np.where(np.isnan(outward := np.maximum(one, other)), np.inf, outward).min(axis=1)
        slack = 1e-6 * (np.abs(self.surfaces.low).max(axis=1) + np.abs(start).max() + np.abs(leaves))
        near = np.flatnonzero((enters <= leaves + slack) & (leaves + slack >= 0) & (enters - slack <= reach))
        found: list[tuple[float, int, float, float]] = []
        first = np.inf
        for index in near[np.argsort(enters[near])].tolist():
            if enters[index] - slack[index] > first * (1 + BEHIND):
                break
            hit = self.surfaces.hit(index, start, direction, max(0.0, enters[index]), leaves[index])
            if hit is not None and 0.0 <= hit[0] <= reach:
                first = min(first, hit[0])
                found.append((hit[0], index, *hit[1:]))
        result: list[list[Any]] = []
        for far, index, slope, largest in sorted(found):
            depth = float(self.model.depth((start + far * direction - self.c2w[:3, 3]) @ self.c2w[:3, :3]))
            if result and depth > result[0][1] + BEHIND * abs(result[0][1]):
                break
            result.append([self.surfaces.names[index], depth, slope, largest])
        return result

    def probe(self, most: int) -> Iterator[tuple[list[float], list[list[list[Any]]]]]:
        """For objects by chance, at most so many: the centre of a pixel that shows each, and the rays there."""
        rng = np.random.default_rng(most)
        rows: dict[str, list[int]] = {}
        for index in rng.permutation(len(self.surfaces.names)).tolist():
            rows.setdefault(self.surfaces.names[index], []).append(index)
        width, height = self.model.width, self.model.height
        for name, copies in list(rows.items())[:most]:
            for x, y in self.seen_at(copies[:COPIES], rng):
                column, row = np.floor(x), np.floor(y)
                if not (0 <= column < width and 0 <= row < height):
                    continue
                place = [float(column + 0.5), float(row + 0.5)]
                first = self.at(*place)
                if first and first[0][0] == name:
                    yield place, self.around(*place)
                    break

    def seen_at(self, copies: list[int], rng: np.random.Generator) -> Iterator[tuple[float, float]]:
        """Where the camera has points of some surfaces, in its picture or not, hidden or not."""
        for index in copies:
            shape, matrix = self.surfaces.shapes[index], self.surfaces.matrices[index]
            chosen = shape.triangles[rng.integers(0, len(shape.triangles), PLACES)]
            points = shape.vertices[chosen].mean(axis=1) @ matrix[:3, :3].T + matrix[:3, 3]
            local = (points - self.c2w[:3, 3]) @ self.c2w[:3, :3]
            x, y = self.model.project(local)
            depth = self.model.depth(local)
            seen = (depth > self.described["clip_start"]) & np.isfinite(x) & np.isfinite(y)
            yield from zip(x[seen].tolist(), y[seen].tolist(), strict=True)


def why_uncertain(obj: Any, scene: Any) -> str | None:
    """What of an object, original or evaluated, rays see otherwise than the renderer; None if nothing."""
    if obj.type in UNTOUCHED:
        return UNTOUCHED[obj.type]
    if any(system.settings.type == "HAIR" for system in obj.particle_systems):
        return "hair"
    if getattr(obj, "is_holdout", False) or getattr(obj, "is_shadow_catcher", False):
        return "holdout"
    for slot in obj.material_slots:
        if slot.material is None:
            continue
        if displacement.moves_surface(slot.material):
            return "displacement"
        tree = compat.used_node_tree(slot.material)
        if tree is not None and lets_through(tree):
            return "transparency"
    return "adaptive subdivision" if compat.has_adaptive_subdivision(scene, obj) else None


def lets_through(tree: Any) -> bool:
    """Whether a material's node tree may let rays pass, in groups too."""
    for node in tree.nodes:
        if node.type in SEE_THROUGH:
            return True
        alpha = node.inputs.get("Alpha") if node.type == "BSDF_PRINCIPLED" else None
        if alpha is not None and (alpha.is_linked or alpha.default_value < 1.0):
            return True
        if node.type == "GROUP" and node.node_tree is not None and lets_through(node.node_tree):
            return True
    return False
