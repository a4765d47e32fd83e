"""Meshes and curves for the scenes, as plain data: nothing here touches a scene.

Every function returns new mesh or curve data, centred on the origin or standing on z = 0, in metres.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import bmesh
import bpy
from mathutils import Matrix, Vector, noise

Vec = Sequence[float]
Point2 = tuple[float, float]


def mesh_from(vertices: Iterable[Vec], faces: Iterable[Sequence[int]]) -> bpy.types.Mesh:
    """A mesh with consistent outward normals."""
    mesh = bpy.data.meshes.new("Mesh")
    mesh.from_pydata([tuple(v) for v in vertices], [], [tuple(f) for f in faces])
    bm = bmesh.new()
    bm.from_mesh(mesh)
    bmesh.ops.recalc_face_normals(bm, faces=bm.faces)
    bm.to_mesh(mesh)
    bm.free()
    mesh.update()
    return mesh


def box(size: Vec, centre: Vec = (0, 0, 0)) -> bpy.types.Mesh:
    """A box with the given sides."""
    return boxes([(size, centre)])


def boxes(parts: Iterable[tuple[Vec, Vec]]) -> bpy.types.Mesh:
    """Many boxes, (size, centre) each, as one mesh."""
    vertices: list[Vec] = []
    faces: list[tuple[int, ...]] = []
    for (sx, sy, sz), (cx, cy, cz) in parts:
        n = len(vertices)
        vertices += [
            (cx + x * sx / 2, cy + y * sy / 2, cz + z * sz / 2) for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)
        ]
        sides = ((0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (1, 3, 7, 5), (3, 2, 6, 7), (2, 0, 4, 6))
        faces += [tuple(n + i for i in side) for side in sides]
    return mesh_from(vertices, faces)


def lathe(profile: Sequence[Point2], segments: int = 32) -> bpy.types.Mesh:
    """The surface of revolution about z of a profile of (radius, height); radius 0 closes it with a tip."""
    vertices: list[Vec] = []
    rings: list[list[int]] = []
    for radius, height in profile:
        count = 1 if radius <= 1e-9 else segments
        rings.append(list(range(len(vertices), len(vertices) + count)))
        angles = [2 * math.pi * k / segments for k in range(count)]
        vertices += [(radius * math.cos(a), radius * math.sin(a), height) for a in angles]
    faces: list[tuple[int, ...]] = []
    for low, high in itertools.pairwise(rings):
        for k in range(segments):
            corners = (low[k % len(low)], low[(k + 1) % len(low)], high[(k + 1) % len(high)], high[k % len(high)])
            distinct = tuple(dict.fromkeys(corners))
            if len(distinct) > 2:
                faces.append(distinct)
    return mesh_from(vertices, faces)


def cylinder(radius: float, height: float, *, top: float | None = None, edge: float = 0.0, segments: int = 32):
    """A cylinder (or truncated cone, `top` is its upper radius) standing on z = 0, its rims rounded by `edge`."""
    top = radius if top is None else top
    if edge <= 0:
        return lathe([(0, 0), (radius, 0), (top, height), (0, height)], segments)
    arc = [math.pi / 2 * k / 3 for k in range(4)]
    low = [(radius - edge + edge * math.sin(a), edge - edge * math.cos(a)) for a in arc]
    high = [(top - edge + edge * math.cos(a), height - edge + edge * math.sin(a)) for a in arc]
    return lathe([(0, 0), *low, *high, (0, height)], segments)


def ball(radius: float, *, stretch: Vec = (1, 1, 1), segments: int = 32) -> bpy.types.Mesh:
    """A sphere, or an ellipsoid with half-axes `radius * stretch`."""
    rings = segments // 2
    profile = [
        (radius * math.sin(math.pi * k / rings), -radius * math.cos(math.pi * k / rings)) for k in range(rings + 1)
    ]
    profile[0], profile[-1] = (0, -radius), (0, radius)
    mesh = lathe(profile, segments)
    mesh.transform(Matrix.Diagonal((*stretch, 1)))
    return mesh


def lump(radius: float, *, rough: float, scale: float, seed: int, detail: int = 3, flat: Vec = (1, 1, 1)):
    """A ball dented by noise: rocks, foliage, clouds. `detail` is the number of icosphere subdivisions."""
    mesh = bpy.data.meshes.new("Mesh")
    bm = bmesh.new()
    bmesh.ops.create_icosphere(bm, subdivisions=detail, radius=radius)
    offset = Vector((seed * 7.31, seed * 3.17, seed * 1.77))
    for vertex in bm.verts:
        vertex.co *= 1 + rough * noise.fractal(vertex.co * (scale / radius) + offset, 1.0, 2.0, 3)
        vertex.co = Vector(c * f for c, f in zip(vertex.co, flat, strict=True))
    bm.to_mesh(mesh)
    bm.free()
    return mesh


def cushion(size: Vec, *, power: float = 4.0, cuts: int = 7, pinch: float = 0.0) -> bpy.types.Mesh:
    """A soft rounded box (a superellipsoid of exponent `power`); `pinch` pulls its corners out like a pillow's."""
    mesh = bpy.data.meshes.new("Mesh")
    bm = bmesh.new()
    bmesh.ops.create_cube(bm, size=2.0)
    bmesh.ops.subdivide_edges(bm, edges=bm.edges[:], cuts=cuts, use_grid_fill=True)
    for vertex in bm.verts:
        p = Vector(math.sin(c * math.pi / 4) / math.sin(math.pi / 4) for c in vertex.co)
        p /= sum(abs(c) ** power for c in p) ** (1 / power)
        spread = 1 + pinch * abs(p.x * p.y) ** 2
        vertex.co = Vector((p.x * size[0] / 2 * spread, p.y * size[1] / 2 * spread, p.z * size[2] / 2))
    bm.to_mesh(mesh)
    bm.free()
    return mesh


def prism(outline: Sequence[Point2], width: float, *, taper: Callable[[float], float] | None = None):
    """An outline in the x-z plane, extruded to `width` along y; `taper(z)` scales the width at height z."""
    n = len(outline)
    scale = taper or (lambda z: 1.0)
    vertices = [(x, side * width / 2 * scale(z), z) for side in (-1, 1) for x, z in outline]
    faces: list[tuple[int, ...]] = [tuple(range(n)), tuple(range(2 * n - 1, n - 1, -1))]
    faces += [(k, (k + 1) % n, n + (k + 1) % n, n + k) for k in range(n)]
    return mesh_from(vertices, faces)


def sheet(size: Point2, cells: tuple[int, int], height: Callable[[float, float], float]) -> bpy.types.Mesh:
    """A grid around the origin, with z = height(x, y)."""
    nx, ny = cells
    xs = [size[0] * (i / nx - 0.5) for i in range(nx + 1)]
    ys = [size[1] * (j / ny - 0.5) for j in range(ny + 1)]
    vertices = [(x, y, height(x, y)) for y in ys for x in xs]
    row = nx + 1
    faces = [
        (j * row + i, j * row + i + 1, (j + 1) * row + i + 1, (j + 1) * row + i) for j in range(ny) for i in range(nx)
    ]
    mesh = bpy.data.meshes.new("Mesh")
    mesh.from_pydata(vertices, [], faces)
    mesh.update()
    return mesh


def ring(radius: float, thickness: float, *, segments: int = 48, sides: int = 12) -> bpy.types.Mesh:
    """A torus about z."""
    vertices = []
    for k in range(segments):
        a = 2 * math.pi * k / segments
        for m in range(sides):
            b = 2 * math.pi * m / sides
            r = radius + thickness * math.cos(b)
            vertices.append((r * math.cos(a), r * math.sin(a), thickness * math.sin(b)))
    faces = [
        (
            k * sides + m,
            (k + 1) % segments * sides + m,
            (k + 1) % segments * sides + (m + 1) % sides,
            k * sides + (m + 1) % sides,
        )
        for k in range(segments)
        for m in range(sides)
    ]
    return mesh_from(vertices, faces)


def tube(points: Sequence[Vec], radius: float, *, closed: bool = False, resolution: int = 6) -> bpy.types.Curve:
    """A smooth round wire through `points`."""
    curve = bpy.data.curves.new("Curve", "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", radius, 3
    curve.resolution_u, curve.use_fill_caps = resolution, True
    spline = curve.splines.new("BEZIER")
    spline.bezier_points.add(len(points) - 1)
    for knot, point in zip(spline.bezier_points, points, strict=True):
        knot.co = point
        knot.handle_left_type = knot.handle_right_type = "AUTO"
    spline.use_cyclic_u = closed
    return curve


def joined(parts: Iterable[tuple[bpy.types.Mesh, Vec]]) -> bpy.types.Mesh:
    """Several meshes, each moved by its offset, as one."""
    bm = bmesh.new()
    for mesh, offset in parts:
        mesh.transform(Matrix.Translation(Vector(offset)))
        bm.from_mesh(mesh)
        bpy.data.meshes.remove(mesh)
    result = bpy.data.meshes.new("Mesh")
    bm.to_mesh(result)
    bm.free()
    return result
