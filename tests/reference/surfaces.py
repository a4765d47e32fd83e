"""Which copy a point lies on: each copy is tried on each point, triangle by triangle. Slow, and obvious."""

from __future__ import annotations

import numpy as np

from visionsim.simulation.copies import Copies


def nearest_copy(point: np.ndarray, copies: Copies, candidates: list[int], tolerance: float) -> int:
    """The candidate with the triangle nearest to a point that is above or below it, -1 if none is within tolerance."""
    best, nearest = tolerance, -1
    for index in candidates:
        if copies.meshes[index] < 0:
            continue
        vertices, triangles = copies.shapes[copies.meshes[index]]
        matrix = copies.matrices[index]
        for corners in vertices[triangles]:
            a, b, c = (matrix[:3, :3] @ corner + matrix[:3, 3] for corner in corners)
            normal = np.cross(b - a, c - a)
            if not normal.any():
                continue
            # point - a = u (b - a) + v (c - a) + w normal
            u, v, w = np.linalg.solve(np.stack([b - a, c - a, normal], axis=1), point - a)
            distance = abs(w) * np.linalg.norm(normal)
            if u >= -1e-3 and v >= -1e-3 and u + v <= 1.001 and distance < best:
                best, nearest = distance, index
    return nearest
