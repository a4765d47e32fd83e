"""Render one scene with every kind of ground truth: `python one_scene.py SCENE OUTPUT`."""

from __future__ import annotations

from pathlib import Path

import typer

from visionsim.simulation.blender import BlenderClient


def main(
    scene: Path,
    output: Path,
    *,
    executable: str | None = None,
    width: int = 512,
    height: int = 512,
    samples: int = 64,
    frames: int | None = None,
) -> None:
    """Render the first FRAMES frames of a scene, or all of them."""
    with BlenderClient.spawn(executable=executable) as client:
        client.set_resolution(height, width)
        client.cycles_settings(max_samples=samples, use_denoising=False)
        client.include_depths()
        client.include_normals()
        client.include_flows()
        client.include_segmentations()
        client.initialize(scene, output)
        shown = client.animation_range()[:frames]
        client.render_animation(frame_end=shown[-1])
    print(f"{len(shown)} frames with depth, normals, flow and ids are in {output}")


if __name__ == "__main__":
    typer.run(main)
