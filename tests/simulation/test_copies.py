"""Which copy a pixel shows: decoding the pass, and telling copies apart by value and by surface."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reference.surfaces import nearest_copy
from visionsim.simulation.copies import (
    CHANNELS,
    SAME_RANDOM,
    STEP_BITS,
    Copies,
    decode,
    distances_to_triangles,
    nearest_copies,
    tell_apart,
)


def written(*surfaces: float) -> np.ndarray:
    """(1, 1, 4): what Cycles adds up along a ray through surfaces with these random values; None writes nothing."""
    pixel = np.zeros((1, 1, 4), np.float32)
    for depth, random in enumerate(surfaces):
        if random is not None:
            step, channel = divmod(depth, CHANNELS)
            pixel[0, 0, channel] += np.float32((1 + random) * 2.0 ** (STEP_BITS * step))
    return pixel


@pytest.mark.parametrize("depth", range(9))
@pytest.mark.parametrize("random", [0.0, 0.123456, 0.5, 1.0])
def test_the_last_surface_counts(depth, random):
    before = [0.9, 0.0, 1.0, 0.3, 0.7, 0.2, 0.6, 0.5][:depth]
    assert abs(decode(written(*before, random))[0, 0] - random) < SAME_RANDOM


def test_surfaces_that_write_nothing_may_be_between():
    assert abs(decode(written(None, None, 0.25))[0, 0] - 0.25) < SAME_RANDOM
    assert np.isnan(decode(written())[0, 0])


def copies(*rows, shapes=()) -> Copies:
    """Rows of source, id, random, position, index of the shape."""
    matrices = np.tile(np.eye(4), (len(rows), 1, 1))
    matrices[:, :3, 3] = np.array([row[3] for row in rows]).reshape(-1, 3)
    return Copies(
        np.array([row[0] for row in rows], np.uint32),
        np.array([row[1] for row in rows], np.uint32),
        np.array([row[2] for row in rows], np.float64),
        matrices,
        np.array([row[4] for row in rows], np.int32),
        tuple(shapes),
    )


SQUARE = (np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]), np.array([[0, 1, 2], [0, 2, 3]]))
NOWHERE = (0.0, 0.0, 0.0)


def image(*values, dtype=np.float64) -> np.ndarray:
    return np.array([values], dtype)


def test_copies_are_found_by_source_and_value():
    table = copies((3, 10, 0.2, NOWHERE, -1), (3, 11, 0.7, NOWHERE, -1), (4, 12, 0.2, NOWHERE, -1))
    ids = image(0, 3, 3, 4, 3, 5, 4, dtype=np.uint32)
    randoms = image(np.nan, 0.7, 0.2, 0.2 + SAME_RANDOM / 4, 0.5, 0.2, np.nan)
    found = tell_apart(ids, randoms, np.zeros((1, 7, 3)), table)
    # The object itself (0.5 is no copy's), an object without copies, and an unmarked one keep their ids.
    assert found.tolist() == [[0, 11, 10, 12, 3, 5, 4]]
    assert ids.tolist() == [[0, 3, 3, 4, 3, 5, 4]]


def test_unmarked_copies_are_found_by_their_surface():
    table = copies((3, 10, 0.2, (0, 0, 0), 0), (3, 11, 0.7, (1.5, 0, 0.5), 0), shapes=[SQUARE])
    points = np.array([[[0, 0, 0], [0.9, 0.5, 0], [0.9, 0.5, 0.5], [2.4, 0, 0.5], [0, 0, 0.2], [9, 9, 9]]], float)
    ids = np.full((1, 6), 3, np.uint32)
    found = tell_apart(ids, np.full((1, 6), np.nan), points, table)
    assert found.tolist() == [[10, 10, 11, 11, 3, 3]]  # The last two lie on no copy: they are the object itself.


def test_copies_with_the_same_value_are_found_by_their_surface():
    near = SAME_RANDOM / 8
    table = copies(
        (3, 10, 0.2, (0, 0, 0), 0), (3, 11, 0.2 + near, (5, 0, 0), 0), (3, 12, 0.9, (0, 0, 0), -1), shapes=[SQUARE]
    )
    points = np.array([[[0, 0, 0], [5, 0.5, 0], [0, 0, 0]]], float)
    found = tell_apart(np.full((1, 3), 3, np.uint32), image(0.2, 0.2, 0.9), points, table)
    assert found.tolist() == [[10, 11, 12]]


def test_nothing_is_a_copy_of_nothing():
    ids = image(1, 2, dtype=np.uint32)
    assert tell_apart(ids, image(0.5, np.nan), np.zeros((1, 2, 3)), copies()).tolist() == [[1, 2]]


def test_distance_is_to_the_plane_of_a_triangle_above_or_below():
    low, high, nothing = [[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 0, 2], [2, 0, 2], [0, 2, 2]], [[0, 0, 0]] * 3
    points = np.array([[0.2, 0.2, 0.5], [0.2, 0.2, 1.8], [5, 5, 0], [0, 0, 0]], float)
    assert np.allclose(
        distances_to_triangles(points, np.array([low, high, low, nothing], float)), [0.5, 0.2, np.inf, np.inf]
    )


def lump(numbers: np.random.Generator, triangles: int) -> tuple[np.ndarray, np.ndarray]:
    """A mesh of triangles in no order."""
    return numbers.uniform(-1, 1, (3 * triangles, 3)), np.arange(3 * triangles).reshape(-1, 3)


@pytest.mark.parametrize("seed", range(3))
def test_copies_at_points_are_those_of_the_reference(seed):
    numbers = np.random.default_rng(seed)
    shapes = [lump(numbers, 3), lump(numbers, 20), (np.empty((0, 3)), np.empty((0, 3), int))]
    count = 20
    matrices = np.tile(np.eye(4), (count, 1, 1))
    matrices[:, :3, :3] = numbers.normal(size=(count, 3, 3)) * 10 ** numbers.uniform(-2, 0.5, (count, 1, 1))
    matrices[5, :3, 2] = 0  # Flat.
    matrices[:, :3, 3] = numbers.uniform(-3, 3, (count, 3))
    table = Copies(
        np.repeat(np.array([3, 4], np.uint32), count // 2),
        np.arange(10, 10 + count, dtype=np.uint32),
        numbers.uniform(size=count),
        matrices,
        numbers.integers(-1, 3, count).astype(np.int32),
        tuple(shapes),
    )
    on = numbers.integers(0, count, 40)  # Points on triangles of some copies, and points in the air.
    points = numbers.uniform(-3, 3, (50, 3))
    for point, index in enumerate(on):
        vertices, triangles = shapes[max(0, table.meshes[index]) % 2]
        weights = numbers.dirichlet([1, 1, 1])
        corner = weights @ vertices[triangles[numbers.integers(len(triangles))]]
        points[point] = matrices[index, :3, :3] @ corner + matrices[index, :3, 3]
    order = numbers.permutation(count)
    begin = numbers.integers(0, count // 2, 50)
    end = np.minimum(count, begin + numbers.integers(1, count, 50))
    found = nearest_copies(points, table, order, begin, end)
    tolerance = 1e-4 * np.abs(points).max()
    wanted = [
        nearest_copy(point, table, order[a:b].tolist(), tolerance)
        for point, a, b in zip(points, begin, end, strict=True)
    ]
    assert found.tolist() == wanted
    assert (found >= 0).sum() > 5
