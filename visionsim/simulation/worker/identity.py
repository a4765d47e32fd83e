"""Whether Blender's numbers of copies stay with the surfaces while copies come and go.

Copies that geometry nodes make are numbered by the attribute `id` of the points they are on, where there is one, else
by index; copies on vertices and faces always by index. If one is taken away all that come after it move up, and each
has the number of another one from then on. Whether that happened shows in where the copies are: those that stay where
they were, relative to what makes them, have kept their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from visionsim.simulation.worker import compat
from visionsim.simulation.worker.change import copied_by, makes_copies

SAME_PLACE = 1e-5
"""Matrices that differ by less than this, relative to the largest coordinate, are the same place in float32."""


@dataclass
class Copied:
    """What an object's copies have been like so far."""

    has_ids: bool | None
    """Whether their numbers are ids; None if this Blender does not tell."""
    moved: bool = False
    """Whether a number was ever seen in another place."""
    confused: bool = False
    """Whether that happened while copies came or went: they may have taken over each other's numbers."""
    places: dict[str, Any] = field(default_factory=dict)
    """Path -> matrix relative to the object, at the last time."""

    def see(self, paths: Sequence[str], world_from_object: Any, world_from_copies: Sequence[Any]) -> None:
        """Compare the copies of a later time with those of the time before."""
        if self.has_ids is None and any(beyond(path, len(paths)) for path in paths):
            self.has_ids = True
        if self.has_ids:
            return
        world = np.array(world_from_copies, float).reshape(-1, 4, 4)
        places = dict(zip(paths, np.linalg.pinv(np.array(world_from_object, float)) @ world, strict=True))
        both = [path for path in paths if path in self.places]
        if both:
            change = np.array([places[path] for path in both]) - np.array([self.places[path] for path in both])
            moved = bool(np.abs(change).max() > SAME_PLACE * max(1.0, np.abs(world).max()))
            self.moved |= moved
            self.confused |= moved and places.keys() != self.places.keys()
        self.places = places


def beyond(path: str, count: int) -> bool:
    """Whether a copy's number is not the index of one of `count` copies."""
    return not all(0 <= int(number) < count for number in path.rpartition("#")[2].split("."))


def has_ids(instancer: Any, graph: Any) -> bool | None:
    """Whether the numbers of an object's copies are the same for the same copy always; None if it cannot be known."""
    if instancer.particle_systems:
        return True  # Particles are numbered in the order of their births.
    if instancer.instance_type in ("VERTS", "FACES"):
        return False
    if instancer.instance_type == "COLLECTION":
        # Blender counts what is in the collection whether it shows or not.
        nested = [has_ids(part, graph) for part in copied_by(instancer) if makes_copies(part)]
        return False if False in nested else None if None in nested else True
    return compat.instances_have_ids(instancer.evaluated_get(graph))
