"""create_datasets: sequences of every scene of a folder, with ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from visionsim.cli._shared import OUTPUT, DryRun, Force, Labels, Probe, Strict
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.plan import Plan
from visionsim.simulation.report import Observer, RunReport

__all__ = ["create_datasets"]

SAMPLING = "Scenes and sampling"


def create_datasets(
    scenes_dir: Annotated[
        Path,
        typer.Option(
            help="Folder of .blend files, looked for there and one level down.", metavar="DIR", rich_help_panel=SAMPLING
        ),
    ],
    datasets_dir: Annotated[
        Path, typer.Option(help="Folder that the datasets are written to.", metavar="DIR", rich_help_panel=OUTPUT)
    ],
    *,
    sequences_per_scene: Annotated[
        int, typer.Option(help="Sequences of each scene; they never share a frame.", rich_help_panel=SAMPLING)
    ] = 1,
    num_frames: Annotated[
        int | None,
        typer.Option(
            help="Frames of each sequence. Needed for more than one sequence; a single one takes the whole range.",
            rich_help_panel=SAMPLING,
        ),
    ] = None,
    sampling: Annotated[
        Literal["uniform", "random"],
        typer.Option(help="Where sequences start: evenly spread, or at random.", rich_help_panel=SAMPLING),
    ] = "uniform",
    seed: Annotated[
        int,
        typer.Option(help="Seed of random sampling; --render-config.seed is the renderer's.", rich_help_panel=SAMPLING),
    ] = 0,
    anim_start: Annotated[
        int | None,
        typer.Option(
            help="First frame of the animation, as authored; by default the scene's.", rich_help_panel=SAMPLING
        ),
    ] = None,
    anim_end: Annotated[
        int | None,
        typer.Option(
            help="Last frame of the animation (inclusive), as authored; by default the scene's.",
            rich_help_panel=SAMPLING,
        ),
    ] = None,
    labels: Labels = None,
    dry_run: DryRun = False,
    probe: Probe = False,
    force: Force = False,
    strict: Strict = False,
    render_config: RenderConfig | None = None,
    observe: Observer | None = None,
) -> RunReport | Plan:
    """Render sequences of every scene of a folder, with ground truth.

    What is on disk already is kept: run the same command again to render what is missing.

    Args:
        scenes_dir: folder of .blend files, looked for there and one level down.
        datasets_dir: sequences go to `renders/SCENE/SEQUENCE-ID/` in it.
        sequences_per_scene: they never share a frame.
        num_frames: of each sequence, on the stretched timeline; None is the whole range, for a single sequence only.
        sampling: where sequences start.
        seed: of random sampling.
        anim_start: first authored frame; None is the scene's.
        anim_end: last authored frame, inclusive; None is the scene's.
        labels: file of patterns that give objects their classes; see docs/labels.md.
        dry_run: return the Plan, render nothing, write nothing.
        probe: with `dry_run`: render one frame of each scene, to measure time and size of all.
        force: remove what a sequence holds if that cannot be kept, instead of refusing.
        strict: raise IncompleteScene if a scene lacks files, or scripts that did not run.
        render_config: what to render and how; by default RenderConfig().
        observe: called with each event of `visionsim.simulation.report`, from this thread.
    Returns:
        What was done; or what would be, if `dry_run`.
    Raises:
        RequestError: what was asked for cannot be done; nothing was written.
    """
    from visionsim.simulation.labels import LabelRules
    from visionsim.simulation.run import DatasetRequest, run

    rules = None if labels is None else LabelRules.read(Path(labels))
    request = DatasetRequest(
        scenes_dir=Path(scenes_dir),
        datasets_dir=Path(datasets_dir),
        sequences_per_scene=sequences_per_scene,
        num_frames=num_frames,
        sampling=sampling,
        seed=seed,
        anim_start=anim_start,
        anim_end=anim_end,
        labels=rules,
    )
    return run(
        request,
        render_config or RenderConfig(),
        dry_run=dry_run,
        probe=probe,
        force=force,
        strict=strict,
        observe=observe or (lambda event: None),
    )
