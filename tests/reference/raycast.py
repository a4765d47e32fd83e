"""Ground truth by brute force: every pixel's ray against every triangle, in double precision.

Slow and obvious on purpose; shares no code with visionsim and never asks Blender.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Body:
    """A triangle mesh with a pose for each time."""

    name: str
    vertices: np.ndarray  # (V, 3), object space
    triangles: np.ndarray  # (T, 3), indices
    matrices: list[np.ndarray]  # (4, 4) world from object, one per time
    corner_normals: np.ndarray | None = None  # (V, 3), object space, for smooth bodies
    offsets: list[np.ndarray] | None = None  # (V, 3), added to the vertices, one per time, for bodies that deform

    def world(self, time: int) -> np.ndarray:
        """(V, 3) vertices in the world."""
        vertices = self.vertices if self.offsets is None else self.vertices + self.offsets[time]
        return transform(self.matrices[time], vertices)


@dataclass
class Camera:
    """A pinhole camera with a pose for each time; x right, y down, centres at half-integers."""

    fx: list[float]
    fy: list[float]
    cx: list[float]
    cy: list[float]
    width: int
    height: int
    c2w: list[np.ndarray]

    def rays(self, time: int) -> tuple[np.ndarray, np.ndarray]:
        """Origin (3,) and directions (H, W, 3) whose length along the optical axis is 1."""
        x = (np.arange(self.width) + 0.5 - self.cx[time]) / self.fx[time]
        y = (np.arange(self.height) + 0.5 - self.cy[time]) / self.fy[time]
        right, down = np.meshgrid(x, y)
        in_camera = np.stack([right, -down, -np.ones_like(right)], axis=-1)
        return self.c2w[time][:3, 3], in_camera @ self.c2w[time][:3, :3].T

    def project(self, points: np.ndarray, time: int) -> np.ndarray:
        """(..., 3) world -> (..., 2) pixels."""
        p = (points - self.c2w[time][:3, 3]) @ self.c2w[time][:3, :3]
        x = self.cx[time] + self.fx[time] * p[..., 0] / -p[..., 2]
        y = self.cy[time] - self.fy[time] * p[..., 1] / -p[..., 2]
        return np.stack([x, y], axis=-1)


def transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def cast(bodies: list[Body], camera: Camera, time: int) -> dict[str, np.ndarray]:
    """Truth at index `time`; times `time - 1` and `time + 1` must exist.

    Returns (H, W, ...): `body` (index from 1, 0 background), `depth` (planar), `normal` (camera frame, geometric or
    interpolated), `forward` and `backward` (pixels).
    """
    origin, directions = camera.rays(time)
    height, width = camera.height, camera.width
    rays = directions.reshape(-1, 3)
    best = np.full(len(rays), np.inf)
    result = {
        "body": np.zeros(len(rays), int),
        "normal": np.zeros((len(rays), 3)),
        "forward": np.zeros((len(rays), 2)),
        "backward": np.zeros((len(rays), 2)),
    }
    pixels = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1).reshape(-1, 2)
    for index, body in enumerate(bodies, start=1):
        neighbours = {"forward": body.world(time + 1), "backward": body.world(time - 1)}
        corners = body.world(time)[body.triangles]
        for k in range(len(corners)):
            a, b, c = corners[k]
            near = candidates(camera, time, corners[k])
            if not len(near):
                continue
            hit, t, u, v = intersect(origin, rays[near], a, b, c)
            closer = hit & (t < best[near])
            nearer, t, u, v = near[closer], t[closer], u[closer], v[closer]
            if not len(nearer):
                continue
            best[nearer] = t
            result["body"][nearer] = index
            weights = np.stack([1 - u - v, u, v], axis=-1)
            if body.corner_normals is None:
                normal = np.broadcast_to(np.cross(b - a, c - a), (len(nearer), 3))
            else:
                inverse_transpose = np.linalg.inv(body.matrices[time][:3, :3]).T
                normal = weights @ (body.corner_normals[body.triangles[k]] @ inverse_transpose.T)
            normal = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
            facing = np.where((normal * rays[nearer]).sum(-1) > 0, -1.0, 1.0)
            result["normal"][nearer] = (normal * facing[:, None]) @ camera.c2w[time][:3, :3]
            for name, other in (("forward", time + 1), ("backward", time - 1)):
                moved = weights @ neighbours[name][body.triangles[k]]
                result[name][nearer] = camera.project(moved, other) - pixels[nearer]
    result["depth"] = best
    return {name: value.reshape(height, width, *value.shape[1:]) for name, value in result.items()}


def candidates(camera: Camera, time: int, corners: np.ndarray) -> np.ndarray:
    """Indices of the pixels that a triangle can cover: those in the box around its projected corners."""
    everything = np.arange(camera.width * camera.height)
    in_camera = (corners - camera.c2w[time][:3, 3]) @ camera.c2w[time][:3, :3]
    if (in_camera[:, 2] > -1e-6).any():
        return everything  # It reaches behind the camera, where projection says nothing.
    corner_pixels = camera.project(corners, time)
    # Pixels whose centre is in the box, with room for rounding: most small triangles have none.
    left, top = np.ceil(corner_pixels.min(0) - 0.51).astype(int)
    right, bottom = np.floor(corner_pixels.max(0) - 0.49).astype(int) + 1
    columns = np.arange(max(left, 0), min(right, camera.width))
    rows = np.arange(max(top, 0), min(bottom, camera.height))
    return (rows[:, None] * camera.width + columns[None, :]).reshape(-1)


def intersect(origin, rays, a, b, c):
    """Möller and Trumbore: hit (N,), distance in units of the rays, barycentric u and v of b and c."""
    edge1, edge2 = b - a, c - a
    p = np.cross(rays, edge2)
    determinant = p @ edge1
    with np.errstate(divide="ignore", invalid="ignore"):
        s = origin - a
        u = (p @ s) / determinant
        q = np.cross(s, edge1)
        v = (rays @ q) / determinant
        t = (edge2 @ q) / determinant
        hit = (np.abs(determinant) > 1e-14) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 1e-9)
    return hit, t, u, v
