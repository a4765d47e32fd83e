"""Render many scenes with a pool and a progress bar for each: `python many_scenes.py SCENE... OUTPUT --jobs 4`."""

from __future__ import annotations

from pathlib import Path

import typer
from tqdm import tqdm

from visionsim.simulation.blender import BlenderClient, BlenderClients


def main(
    scenes: list[Path],
    output: Path,
    *,
    jobs: int = 2,
    executable: str | None = None,
    width: int = 512,
    height: int = 512,
    samples: int = 64,
    frames: int | None = None,
) -> None:
    """Render the first FRAMES frames of each scene, or all of them, into OUTPUT/NAME, JOBS scenes at a time."""

    def render(client: BlenderClient, scene: Path) -> int:
        """Runs in this process, in a thread; only `client` is elsewhere."""
        with tqdm(desc=scene.stem, unit="frame") as bar:

            def show(done: int, total: int) -> None:
                bar.total, bar.n = total, done
                bar.refresh()

            client.set_resolution(height, width)
            client.cycles_settings(max_samples=samples, use_denoising=False)
            client.include_segmentations()
            client.initialize(scene, output / scene.stem)
            shown = client.animation_range()[:frames]
            client.render_animation(frame_end=shown[-1], update_fn=show)
        return len(shown)

    with BlenderClients.pool(jobs=jobs, executable=executable, log_dir=output / "logs") as pool:
        counts = pool.map(render, scenes)  # If a scene fails, its error is raised when all others are done.
    print(f"{sum(counts)} frames of {len(scenes)} scenes are in {output}")


if __name__ == "__main__":
    typer.run(main)
