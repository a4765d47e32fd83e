"""Change a scene with code of our own that runs inside Blender: `python own_code.py SCENE OUTPUT --variants 8`."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from visionsim.simulation.blender import BlenderClient, BlenderClients

RANDOMISE = Path(__file__).with_name("randomise.py")


def main(
    scene: Path,
    output: Path,
    *,
    variants: int = 4,
    first_seed: int = 0,
    jobs: int = 1,
    executable: str | None = None,
    width: int = 512,
    height: int = 512,
    samples: int = 64,
    frames: int | None = None,
) -> None:
    """Render the first FRAMES frames of a scene, or all, in VARIANTS variants of its materials: OUTPUT/seed-0000 ..."""

    def render(client: BlenderClient, seed: int) -> None:
        root = output / f"seed-{seed:04d}"
        client.set_resolution(height, width)
        client.cycles_settings(max_samples=samples, use_denoising=False)
        client.include_segmentations()
        client.initialize(scene, root)
        colours = client.call(RANDOMISE, "materials", seed=seed)
        shown = client.animation_range()[:frames]
        client.render_animation(frame_end=shown[-1])
        (root / "materials.json").write_text(json.dumps(colours, indent=1))

    seeds = range(first_seed, first_seed + variants)
    # Each call gets a fresh client: it has the scene as the file has it, not as the last variant left it.
    with BlenderClients.pool(jobs=jobs, executable=executable, log_dir=output / "logs") as pool:
        pool.map(render, seeds)
    print(f"{variants} variants are in {output}, one folder for each seed")


if __name__ == "__main__":
    typer.run(main)
