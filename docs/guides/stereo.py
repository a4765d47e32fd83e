"""Render a stereo pair with a fixed baseline: `python stereo.py SCENE OUTPUT --baseline 0.065`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer

from visionsim.simulation.blender import BlenderClient


def main(
    scene: Path,
    output: Path,
    *,
    baseline: float = 0.065,
    executable: str | None = None,
    width: int = 512,
    height: int = 512,
    samples: int = 64,
    frames: int | None = None,
) -> None:
    """Render the first FRAMES frames of a scene, or all, into OUTPUT/left as the scene's camera sees them, and into
    OUTPUT/right from BASELINE scene units to its right."""
    to_the_right = np.eye(4)
    to_the_right[0, 3] = baseline  # Along the camera's own +X.
    with BlenderClient.spawn(executable=executable) as client:
        client.set_resolution(height, width)
        client.cycles_settings(max_samples=samples, use_denoising=False)
        client.include_depths()
        client.initialize(scene, output / "left")
        shown = client.animation_range()[:frames]
        # One pose more at each end: flow and motion blur look there.
        around = range(shown.start - 1, shown.stop + 1)
        poses = []
        for frame in around:
            client.set_current_frame(frame)
            poses.append(client.camera_extrinsics())
        left = np.stack(poses)
        for name, c2w in (("left", left), ("right", left @ to_the_right)):
            client.set_root(output / name)
            client.set_camera_trajectory(c2w, start=around.start)
            client.render_animation(shown[0], shown[-1])
    print(f"{len(shown)} pairs of frames are in {output / 'left'} and {output / 'right'}")


if __name__ == "__main__":
    typer.run(main)
