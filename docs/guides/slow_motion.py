"""Render a scene in slow motion: `python slow_motion.py SCENE OUTPUT --scale 2`."""

from __future__ import annotations

from pathlib import Path

import typer

from visionsim.simulation.blender import BlenderClient


def main(
    scene: Path,
    output: Path,
    *,
    scale: float = 2.0,
    executable: str | None = None,
    width: int = 512,
    height: int = 512,
    samples: int = 64,
    frames: int | None = None,
) -> None:
    """Render the first FRAMES authored frames of a scene, or all of them, stretched to SCALE times as many."""
    with BlenderClient.spawn(executable=executable) as client:
        client.set_resolution(height, width)
        client.cycles_settings(max_samples=samples, use_denoising=False)
        client.include_flows()
        client.initialize(scene, output)
        authored = client.animation_range()[:frames]
        client.move_keyframes(scale=scale)
        client.set_animation_range(authored[0], authored[-1])  # Still in authored frames.
        stretched = client.animation_range()
        client.render_animation()
        fps = client.original_fps()
    slow = f"{len(stretched)} frames at {fps * scale:g} fps"
    print(f"{slow}, of {len(authored)} authored ones at {fps:g} fps, are in {output}")


if __name__ == "__main__":
    typer.run(main)
