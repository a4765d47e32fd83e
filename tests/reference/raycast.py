"""Ground truth by brute force: every pixel's ray against every triangle that may be on it, in double precision.

Obvious on purpose; shares no code with visionsim and never asks Blender.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    holes: Callable[[np.ndarray], np.ndarray] | None = (
        None  # (N, 3) points in object space -> (N,) where rays go through
    )
    instancer: str | None = None  # What makes this copy of the object `name`; None for an object itself
    hidden: frozenset[int] = frozenset()  # Times at which it is not there; it moves on all the same

    def local(self, time: int) -> np.ndarray:
        """(V, 3) vertices in object space."""
        return self.vertices if self.offsets is None else self.vertices + self.offsets[time]

    def world(self, time: int) -> np.ndarray:
        """(V, 3) vertices in the world."""
        return transform(self.matrices[time], self.local(time))


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
        """Origins (3,) or (H, W, 3), and directions (H, W, 3), in the world.

        The length of a direction is one unit of depth: here, 1 along the optical axis. NaN: there is no ray.
        """
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


@dataclass
class Parallel:
    """An orthographic camera, by the rectangle that it sees: `size_x` by `size_y` scene units around (x, y)."""

    size_x: list[float]
    size_y: list[float]
    x: float
    y: float
    width: int
    height: int
    c2w: list[np.ndarray]

    def rays(self, time: int) -> tuple[np.ndarray, np.ndarray]:
        right = self.x + self.size_x[time] * ((np.arange(self.width) + 0.5) / self.width - 0.5)
        up = self.y + self.size_y[time] * (0.5 - (np.arange(self.height) + 0.5) / self.height)
        right, up = np.meshgrid(right, up)
        start = transform(self.c2w[time], np.stack([right, up, np.zeros_like(right)], axis=-1))
        return start, np.broadcast_to(-self.c2w[time][:3, 2], start.shape)

    def project(self, points: np.ndarray, time: int) -> np.ndarray:
        p = (points - self.c2w[time][:3, 3]) @ self.c2w[time][:3, :3]
        from_left = (p[..., 0] - (self.x - self.size_x[time] / 2)) / self.size_x[time]
        from_top = ((self.y + self.size_y[time] / 2) - p[..., 1]) / self.size_y[time]
        return np.stack([from_left * self.width, from_top * self.height], axis=-1)


@dataclass
class Panorama:
    """A camera all of whose rays have length 1: what is seen where is a function of direction.

    `shift` moves the picture's frame over what is seen, by parts of its width to the right and of its height upwards.
    """

    width: int
    height: int
    c2w: list[np.ndarray]
    shift: tuple[float, float]

    def direction(self, x: np.ndarray, y: np.ndarray, time: int) -> np.ndarray:
        """(..., 3), camera frame, of places in the unshifted picture: x from -1 (left) to 1, y -1 (bottom) to 1."""
        raise NotImplementedError

    def place(self, direction: np.ndarray, time: int) -> np.ndarray:
        """(..., 2): the way back, from directions of length 1."""
        raise NotImplementedError

    def rays(self, time: int) -> tuple[np.ndarray, np.ndarray]:
        x = (np.arange(self.width) + 0.5) * 2 / self.width - 1
        y = 1 - (np.arange(self.height) + 0.5) * 2 / self.height
        x, y = np.meshgrid(x + 2 * self.shift[0], y + 2 * self.shift[1])
        return self.c2w[time][:3, 3], self.direction(x, y, time) @ self.c2w[time][:3, :3].T

    def project(self, points: np.ndarray, time: int) -> np.ndarray:
        p = (points - self.c2w[time][:3, 3]) @ self.c2w[time][:3, :3]
        place = self.place(p / np.linalg.norm(p, axis=-1, keepdims=True), time) - 2 * np.array(self.shift)
        return (place * [1, -1] + 1) / 2 * [self.width, self.height]


@dataclass
class Globe(Panorama):
    """Equirectangular; `west`, `east`, `south` and `north` are the picture's sides in degrees, east to the right."""

    west: float
    east: float
    south: float
    north: float

    def direction(self, x: np.ndarray, y: np.ndarray, time: int) -> np.ndarray:
        east = np.radians(self.west + (self.east - self.west) * (x + 1) / 2)
        north = np.radians(self.south + (self.north - self.south) * (y + 1) / 2)
        return np.stack([np.sin(east) * np.cos(north), np.sin(north), -np.cos(east) * np.cos(north)], axis=-1)

    def place(self, direction: np.ndarray, time: int) -> np.ndarray:
        east = np.degrees(np.angle(-direction[..., 2] + 1j * direction[..., 0]))
        north = np.degrees(np.arcsin(direction[..., 1]))
        return np.stack(
            [
                2 * (east - self.west) / (self.east - self.west) - 1,
                2 * (north - self.south) / (self.north - self.south) - 1,
            ],
            axis=-1,
        )


@dataclass
class Fisheye(Panorama):
    """What is `angle` degrees off the axis is seen at `reach * curve(angle)` from the middle of the picture.

    `reach` is in half pictures, along x and along y; `fov` is the whole angle of view in degrees.
    """

    reach: list[tuple[float, float]]
    fov: list[float]
    equisolid: bool

    def direction(self, x: np.ndarray, y: np.ndarray, time: int) -> np.ndarray:
        flat = x / self.reach[time][0] + 1j * (y / self.reach[time][1])
        with np.errstate(invalid="ignore"):
            angle = 2 * np.arcsin(np.abs(flat) / 2) if self.equisolid else np.abs(flat)
        angle = np.where(np.degrees(angle) <= self.fov[time] / 2, angle, np.nan)
        azimuth = np.angle(flat)
        return np.stack([np.sin(angle) * np.cos(azimuth), np.sin(angle) * np.sin(azimuth), -np.cos(angle)], axis=-1)

    def place(self, direction: np.ndarray, time: int) -> np.ndarray:
        # Half the angle by its sine, which is exact near the axis, where the arc cosine is not.
        half = np.arcsin(np.minimum(np.linalg.norm(direction - [0, 0, -1], axis=-1) / 2, 1))
        distance = 2 * np.sin(half) if self.equisolid else 2 * half
        azimuth = np.angle(direction[..., 0] + 1j * direction[..., 1])
        return np.stack([distance * np.cos(azimuth), distance * np.sin(azimuth)], axis=-1) * self.reach[time]


AnyCamera = Camera | Parallel | Panorama


def transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def cast(bodies: list[Body], camera: AnyCamera, time: int) -> dict[str, np.ndarray]:
    """Truth at index `time`; flow to a time that does not exist is 0.

    Returns (H, W, ...): `body` (index from 1, 0 background), `depth` (in units of the camera's rays), `normal` (camera
    frame, geometric or interpolated), `forward` and `backward` (pixels); `forward_point` and `backward_point` (world),
    where the surface is at these times.
    """
    origins, directions = camera.rays(time)
    height, width = camera.height, camera.width
    rays = directions.reshape(-1, 3)
    origins = np.broadcast_to(origins, directions.shape).reshape(-1, 3)
    depth = np.full(len(rays), np.inf)
    result = {
        "body": np.zeros(len(rays), int),
        "normal": np.zeros((len(rays), 3)),
        "forward": np.zeros((len(rays), 2)),
        "backward": np.zeros((len(rays), 2)),
        "forward_point": np.zeros((len(rays), 3)),
        "backward_point": np.zeros((len(rays), 3)),
    }
    pixels = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1).reshape(-1, 2)
    for index, body in enumerate(bodies, start=1):
        if time in body.hidden:
            continue
        corners = body.world(time)[body.triangles]  # (T, 3 corners, 3)
        for triangle, pixel in candidates(camera, time, corners, rays):
            hit, t, u, v = intersect(origins[pixel], rays[pixel], *np.moveaxis(corners[triangle], 1, 0))
            nearer = np.flatnonzero(hit & (t < depth[pixel]))
            # Of several triangles on a pixel's ray the nearest is written last.
            order = nearer[np.argsort(-t[nearer], kind="stable")]
            if body.holes is not None:
                weights = weights_of(u[order], v[order])
                order = order[~body.holes(between(weights, body.local(time), body.triangles[triangle[order]]))]
            triangle, pixel, weights = triangle[order], pixel[order], weights_of(u[order], v[order])
            depth[pixel] = t[order]
            result["body"][pixel] = index
            if body.corner_normals is None:
                a, b, c = np.moveaxis(corners[triangle], 1, 0)
                normal = np.cross(b - a, c - a)
            else:
                inverse_transpose = np.linalg.inv(body.matrices[time][:3, :3]).T
                normal = between(weights, body.corner_normals @ inverse_transpose.T, body.triangles[triangle])
            normal = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
            facing = np.where(dot(normal, rays[pixel]) > 0, -1.0, 1.0)
            result["normal"][pixel] = (normal * facing[:, None]) @ camera.c2w[time][:3, :3]
            for name, other in (("forward", time + 1), ("backward", time - 1)):
                if not 0 <= other < len(body.matrices):
                    continue
                moved = between(weights, body.world(other), body.triangles[triangle])
                result[name][pixel] = camera.project(moved, other) - pixels[pixel]
                result[f"{name}_point"][pixel] = moved
    result["depth"] = depth
    return {name: value.reshape(height, width, *value.shape[1:]) for name, value in result.items()}


def is_visible(bodies: list[Body], camera: AnyCamera, time: int, points: np.ndarray, body: np.ndarray) -> np.ndarray:
    """(N,): whether points (N, 3) of bodies (N,), indices from 1, are seen at index `time`.

    They are in front of the camera, inside its picture, there at that time, and nothing is nearer on their ray.
    """
    origins, size = origins_of(camera, time, points), [camera.width, camera.height]
    with np.errstate(divide="ignore", invalid="ignore"):
        places = camera.project(points, time)
    if isinstance(camera, Globe):
        turn = camera.width * 360 / (camera.east - camera.west)
        places[:, 0] %= turn
    forward = -camera.c2w[time][:3, 2]
    front = (points - camera.c2w[time][:3, 3]) @ forward > 0
    if isinstance(camera, Panorama):
        front = np.ones(len(points), bool)
    if isinstance(camera, Fisheye):
        towards = (points - origins) / np.linalg.norm(points - origins, axis=1, keepdims=True)
        front = np.degrees(np.arccos(np.clip(towards @ forward, -1, 1))) <= camera.fov[time] / 2
    there = np.array([False, *(time not in other.hidden for other in bodies)])[body]
    visible = front & there & (places >= 0).all(1) & (places < size).all(1)
    rays = points - origins
    for other in bodies:
        if time in other.hidden:
            continue
        corners = other.world(time)[other.triangles]
        left = np.flatnonzero(visible)
        # Only triangles whose box on the screen, or cone of a panorama, has the point in it.
        for triangle, which in pairs(camera, time, corners, places[left], rays[left]):
            hit, t, u, v = intersect(origins[left][which], rays[left][which], *np.moveaxis(corners[triangle], 1, 0))
            hides = hit & (t < 1 - 1e-6)
            if other.holes is not None:
                weights = weights_of(u, v)
                local = between(weights, other.local(time), other.triangles[triangle])
                hides &= ~np.where(hit, other.holes(local), True)
            visible[left[which[hides]]] = False
    return visible


def origins_of(camera: AnyCamera, time: int, points: np.ndarray) -> np.ndarray:
    """(N, 3): where the rays through points (N, 3) start."""
    if not isinstance(camera, Parallel):
        return np.broadcast_to(camera.c2w[time][:3, 3], points.shape)
    axis = camera.c2w[time][:3, 2]
    return points - ((points - camera.c2w[time][:3, 3]) @ axis)[:, None] * axis


def pairs(
    camera: AnyCamera, time: int, corners: np.ndarray, places: np.ndarray, rays: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of triangles (N,) and of rays (N,) that may meet, in parts; `places` (P, 2) are the rays' pixels."""
    if not len(places):
        return
    towards = corners - camera.c2w[time][:3, 3]
    if isinstance(camera, Panorama):
        axes, widest = cone(towards / np.linalg.norm(towards, axis=-1, keepdims=True))
        near = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        for part in np.array_split(np.arange(len(corners)), 1 + len(corners) * len(rays) // (4 * AT_ONCE)):
            which, place = np.nonzero(inside(near, axes[part], widest[part]))
            yield part[which], place
        return
    low, high = np.full((len(corners), 2), -np.inf), np.full((len(corners), 2), np.inf)
    whole = np.ones(len(corners), bool)
    if isinstance(camera, Camera):
        whole = ((towards @ camera.c2w[time][:3, :3])[..., 2] < -1e-6).all(axis=1)
    on_screen = camera.project(corners[whole], time)
    low[whole], high[whole] = on_screen.min(1) - 1e-6, on_screen.max(1) + 1e-6
    order = np.argsort(places[:, 0])
    first = np.searchsorted(places[order, 0], low[:, 0])
    stop = np.searchsorted(places[order, 0], high[:, 0], side="right")
    count = np.maximum(stop - first, 0)
    for part in np.array_split(np.arange(len(corners)), 1 + int(count.sum()) // AT_ONCE):
        triangle = np.repeat(part, count[part])
        within = np.arange(len(triangle)) - np.repeat(np.cumsum(count[part]) - count[part], count[part])
        which = order[first[triangle] + within]
        in_box = (places[which, 1] >= low[triangle, 1]) & (places[which, 1] <= high[triangle, 1])
        yield triangle[in_box], which[in_box]


def weights_of(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(N, 3): of the corners, from barycentric coordinates."""
    return np.stack([1 - u - v, u, v], axis=-1)


def between(weights: np.ndarray, values: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(N, 3): values (V, 3) of the corners (N, 3) of triangles, weighted (N, 3)."""
    return sum(weights[:, corner, None] * values[corners[:, corner]] for corner in range(3))


AT_ONCE = 500_000
"""How many pairs of a triangle and a pixel are tried at once: memory, not meaning."""


def candidates(
    camera: AnyCamera, time: int, corners: np.ndarray, rays: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of triangles (N,) and pixels (N,) that may meet, in parts; every pair that does meet is among them.

    A triangle of `corners` (T, 3, 3) can cover the pixels in the box around its projected corners; of a panorama,
    those whose rays are in the cone around them. What reaches behind the camera, or around it, can cover everything.
    """
    count = camera.width * camera.height
    towards = corners - camera.c2w[time][:3, 3]
    if isinstance(camera, Panorama):
        towards = towards / np.linalg.norm(towards, axis=-1, keepdims=True)
        axes, widest = cone(towards)
        (axis,), (whole,) = cone(towards.reshape(1, -1, 3))
        # NaN is no ray, and in no cone.
        near = np.flatnonzero(inside(rays, axis[None], np.array([whole]))[0])
        for part in np.array_split(np.arange(len(corners)), 1 + len(corners) * len(near) // (4 * AT_ONCE)):
            which, place = np.nonzero(inside(rays[near], axes[part], widest[part]))
            yield part[which], near[place]
        return
    behind = np.zeros(len(corners), bool)
    if isinstance(camera, Camera):
        behind = ((towards @ camera.c2w[time][:3, :3])[..., 2] > -1e-6).any(axis=1)
    for triangle in np.flatnonzero(behind):
        yield np.full(count, triangle), np.arange(count)
    front = np.flatnonzero(~behind)
    if not len(front):
        return
    places = camera.project(corners[front], time)
    # Pixels whose centre is in the box, with room for rounding: most small triangles have none.
    first = np.clip(np.ceil(places.min(1) - 0.51), 0, [camera.width, camera.height]).astype(int)
    stop = np.clip(np.floor(places.max(1) - 0.49) + 1, 0, [camera.width, camera.height]).astype(int)
    size = np.maximum(stop - first, 0)
    area = size.prod(axis=1)
    for part in np.array_split(np.arange(len(front)), 1 + int(area.sum()) // AT_ONCE):
        which = np.repeat(part, area[part])
        # Counts 0, 1, 2, ... within each box, row by row.
        within = np.arange(len(which)) - np.repeat(np.cumsum(area[part]) - area[part], area[part])
        x = first[which, 0] + within % size[which, 0]
        y = first[which, 1] + within // size[which, 0]
        yield front[which], y * camera.width + x


def cone(towards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes (N, 3), of length 1, of the cones around directions (N, C, 3), and the cosines (N,) of their angles."""
    axes = towards.sum(1) / np.linalg.norm(towards.sum(1), axis=-1, keepdims=True)
    return axes, np.einsum("nci,ni->nc", towards, axes).min(1)


def inside(rays: np.ndarray, axes: np.ndarray, widest: np.ndarray) -> np.ndarray:
    """(N, P) bool: which rays (P, 3) are in which cones, with room for rounding; wide cones are taken as everything."""
    result: np.ndarray = axes @ rays.T >= np.where(widest > 0.1, widest - 1e-9, -1.1)[:, None]
    return result


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,): of vectors (N, 3); numpy's own sums take several times as long for three numbers each."""
    return a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1] + a[:, 2] * b[:, 2]


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, 3): of vectors (N, 3)."""
    (ax, ay, az), (bx, by, bz) = a.T, b.T
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def intersect(
    origins: np.ndarray, rays: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Möller and Trumbore: hit (N,), distance in units of the rays, barycentric u and v of b and c; all (N, 3)."""
    edge1, edge2 = b - a, c - a
    p = cross(rays, edge2)
    determinant = dot(p, edge1)
    with np.errstate(divide="ignore", invalid="ignore"):
        s = origins - a
        u = dot(p, s) / determinant
        q = cross(s, edge1)
        v = dot(rays, q) / determinant
        t = dot(q, edge2) / determinant
        hit = (np.abs(determinant) > 1e-14) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 1e-9)
    return hit, t, u, v
