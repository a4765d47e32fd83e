"""Takes the scene from frame to frame such that no frame depends on which others were rendered before it.

Measured with 3.4.1, 4.2.23, 4.5.15, 5.0.1 and 5.2.3: with persistent data, particles and dynamic paint keep what an
earlier frame, motion blur or the vector pass left in them, baked or not; without, each render starts from Blender's own
state. What is not baked is in memory, but Blender may forget what comes after the frame that was rendered, and simulate
it again from wherever it is: so the way ahead goes frame by frame, as in playback.

Particles forget most. Baked in memory, they are the same in every picture without motion blur. Blurred ones that turn
or steer are others, so that they stay as they are for the picture, and count as baked for ground truth only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import bpy

from visionsim.simulation.worker import animation, compat


def particles(scene: Any) -> list[animation.Simulation]:
    """The particle systems that a render of the scene shows, without hair."""
    return [simulation for simulation in animation.simulations(scene) if simulation.kind == "particle"]


def why_built_anew(scene: Any) -> list[str]:
    """Why persistent data would let a frame depend on those rendered before it; empty if they do not."""
    return [
        f"{simulation.name!r} has {simulation.kind}s"
        if simulation.kind == "particle"
        else f"{simulation.name!r} is painted"
        for simulation in animation.simulations(scene)
        if simulation.kind in ("particle", "dynamic paint")
    ]


def why_no_neighbours(scene: Any) -> list[str]:
    """Simulations that go on otherwise once a neighbouring frame was rendered; empty if none does."""
    return [
        f"the {simulation.kind} of {simulation.name!r} is not baked"
        for simulation in animation.simulations(scene)
        if simulation.kind == "dynamic paint" and not simulation.baked
    ]


def is_blurred(scene: Any) -> bool:
    """Whether pictures have motion blur, in some frames at least."""
    curves = compat.curves_and_drivers(scene)
    return scene.render.use_motion_blur or any(curve.data_path == "render.use_motion_blur" for curve in curves)


def is_fluid(simulation: animation.Simulation) -> bool:
    """Whether particles flow: they have a state that Blender does not cache."""
    assert simulation.modifier is not None
    return bool(simulation.modifier.particle_system.settings.physics_type == "FLUID")


def why_not_as_played(scene: Any) -> list[str]:
    """Particles that no order of frames shows as playback does; empty if there are none.

    Blurred and not baked, fluid particles are a pixel or two elsewhere than in a plain loop (measured with 3.4.1).
    """
    if not is_blurred(scene):
        return []
    flowing = [simulation for simulation in particles(scene) if not simulation.baked and is_fluid(simulation)]
    return [f"the fluid particles of {simulation.name!r} are not baked, and blurred" for simulation in flowing]


class Timeline:
    """The frames of an open scene."""

    def __init__(self, scene: Any, stretch: Fraction) -> None:
        self.scene, self.stretch = scene, stretch
        self._simulated = self._in_steps = False
        self._baked: list[Any] = []
        """Point caches that are baked because of us."""
        self._running: list[Any] = []
        """Point caches of particles that are not baked while a picture is rendered."""

    def simulate(self) -> None:
        """Run simulations that are not baked, if they did not run yet."""
        if self._simulated:
            return
        animation.run_simulations(self.scene, self.stretch)
        running = [simulation for simulation in particles(self.scene) if not simulation.baked]
        # Between whole frames nothing can be simulated again.
        again = is_blurred(self.scene) and self.stretch == 1
        for simulation in running:
            (self._running if again else self._baked).append(simulation.cache)
        bake(self._baked)
        self._in_steps = any(not simulation.baked for simulation in animation.simulations(self.scene))
        self._simulated = True

    def go_to(self, frame: int) -> None:
        """Set the scene to a frame."""
        self.simulate()
        if self._in_steps:
            for between in range(self.scene.frame_current + 1, frame):
                self.scene.frame_set(between)
        self.scene.frame_set(frame)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Simulations stay what they are at this frame and the two around it, whatever is evaluated."""
        if not self._running:
            yield
            return
        frame = self.scene.frame_current
        for ahead in (1, 2, 0):
            self.scene.frame_set(frame + ahead)
        bake(self._running)
        try:
            yield
        finally:
            free(self._running)

    def forget(self) -> None:
        """Let simulations run again before the next frame: the scene is about to change."""
        free(self._baked)
        self._baked, self._running, self._simulated = [], [], False


def bake(caches: list[Any]) -> None:
    """Let Blender take what is cached as it is, and neither change nor forget it."""
    for cache in caches:
        with bpy.context.temp_override(point_cache=cache):
            bpy.ops.ptcache.bake_from_cache()


def free(caches: list[Any]) -> None:
    """The reverse of `bake`; what is cached stays."""
    for cache in caches:
        with bpy.context.temp_override(point_cache=cache):
            bpy.ops.ptcache.free_bake()
