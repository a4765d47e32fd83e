"""render_animation: one scene into one folder, with ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from visionsim.cli._shared import DryRun, Force, Labels, Probe, Strict
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.plan import Plan
from visionsim.simulation.report import Observer, RunReport

__all__ = ["RenderConfig", "render_animation"]

FRAMES = "Frames"


def render_animation(
    blend: Annotated[Path, typer.Argument(help="Scene to render, a .blend file.", metavar="BLEND")],
    root: Annotated[Path, typer.Argument(help="Folder that the frames are written to.", metavar="ROOT")],
    *,
    frame_start: Annotated[
        int | None,
        typer.Option(
            help="First frame, on the stretched timeline; by default the scene's first.", rich_help_panel=FRAMES
        ),
    ] = None,
    frame_end: Annotated[
        int | None,
        typer.Option(
            help="Last frame (inclusive), on the stretched timeline; by default the scene's last.",
            rich_help_panel=FRAMES,
        ),
    ] = None,
    frame_step: Annotated[
        int, typer.Option(help="Render every n-th frame, starting with the first.", rich_help_panel=FRAMES)
    ] = 1,
    labels: Labels = None,
    dry_run: DryRun = False,
    probe: Probe = False,
    force: Force = False,
    strict: Strict = False,
    render_config: RenderConfig | None = None,
    observe: Observer | None = None,
) -> RunReport | Plan:
    """Render the animation of one scene, with ground truth.

    What is on disk already is kept: run the same command again to render what is missing.

    Args:
        blend: scene to render.
        root: folder that the frames are written to.
        frame_start: first frame, on the stretched timeline; None is the scene's first.
        frame_end: last frame, inclusive; None is the scene's last.
        frame_step: render every n-th frame, starting with the first.
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
    from visionsim.simulation.run import AnimationRequest, run

    rules = None if labels is None else LabelRules.read(Path(labels))
    request = AnimationRequest(
        blend=Path(blend),
        root=Path(root),
        frame_start=frame_start,
        frame_end=frame_end,
        frame_step=frame_step,
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
