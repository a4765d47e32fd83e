"""Render one scene with several Blender processes and a progress bar: `python parallel.py SCENE OUTPUT --jobs 4`."""

from __future__ import annotations

from pathlib import Path

import typer
from tqdm import tqdm

from visionsim.simulation.blender import BlenderClients


def main(
    scene: Path,
    output: Path,
    *,
    jobs: int = 2,
    executable: str | None = None,
    width: int = 512,
    height: int = 512,
    samples: int = 64,
    frames: int | None = None,
) -> None:
    """Split the first FRAMES frames of a scene, or all of them, over JOBS processes."""
    with BlenderClients.spawn(jobs=jobs, executable=executable) as clients, tqdm(unit="frame") as bar:

        def show(done: int, total: int) -> None:
            bar.total, bar.n = total, done
            bar.refresh()

        clients.set_resolution(height, width)
        clients.cycles_settings(max_samples=samples, use_denoising=False)
        clients.include_depths()
        clients.initialize(scene, output)
        shown = clients.animation_range()[:frames]
        clients.render_animation(frame_end=shown[-1], update_fn=show)
    print(f"{len(shown)} frames, rendered by {jobs} processes, are in {output}")


if __name__ == "__main__":
    typer.run(main)
