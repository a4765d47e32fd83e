"""Let the camera go round a scene, on a path of our own: `python camera_path.py SCENE OUTPUT`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer

from visionsim.simulation.blender import BlenderClient


def orbit(centre: np.ndarray, distance: float, elevation: float, count: int) -> np.ndarray:
    """(N, 4, 4), c2w, world, scene units: once around `centre`, which is always in the middle of the picture.

    Args:
        centre: (3,), world.
        distance: to it, scene units.
        elevation: radians above the horizon, less than a quarter turn.
        count: how many poses, evenly spaced.
    """
    azimuth = 2 * np.pi * np.arange(count) / count
    rise = np.full(count, np.sin(elevation))
    # The camera's axes in the world: it looks along -Z, so Z points from the centre to the camera.
    back = np.stack([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), rise], axis=1)
    right = np.stack([-np.sin(azimuth), np.cos(azimuth), np.zeros(count)], axis=1)
    c2w = np.tile(np.eye(4), (count, 1, 1))
    c2w[:, :3, 0], c2w[:, :3, 1], c2w[:, :3, 2] = right, np.cross(back, right), back
    c2w[:, :3, 3] = centre + distance * back
    return c2w


def main(
    scene: Path,
    output: Path,
    *,
    distance: float = 2.0,
    elevation: float = 0.4,
    executable: str | None = None,
    width: int = 512,
    height: int = 512,
    samples: int = 64,
    frames: int = 120,
) -> None:
    """Render FRAMES frames from an orbit: DISTANCE in radii of the scene, ELEVATION in radians above the horizon."""
    with BlenderClient.spawn(executable=executable) as client:
        client.set_resolution(height, width)
        client.cycles_settings(max_samples=samples, use_denoising=False)
        client.include_depths()
        client.initialize(scene, output)
        low, high = client.scene_bounds()
        radius = float(np.linalg.norm(high - low)) / 2
        c2w = orbit((low + high) / 2, distance * radius, elevation, frames)
        client.set_camera_trajectory(c2w, start=client.animation_range().start)
        client.render_animation()
    print(f"{frames} frames from an orbit of {distance * radius:.3g} scene units are in {output}")


if __name__ == "__main__":
    typer.run(main)
