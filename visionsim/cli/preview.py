"""preview_datasets: videos of what was rendered, and a page about all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from visionsim.cli._shared import AsJson, ConfigFile, Direction, Processes

__all__ = ["preview_datasets"]

VIDEOS, REPORT = "Videos", "Report"


def preview_datasets(
    datasets_dir: Annotated[
        Path, typer.Option(help="Folder of datasets, as create-datasets wrote it; or of one sequence.", metavar="DIR")
    ],
    *,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these kinds of data: frames (the picture), depths, normals, segmentations, flows, occlusions; "
            "several with commas, or the option again.",
            metavar="KIND",
        ),
    ] = None,
    flow_direction: Direction = "forward",
    jobs: Processes = None,
    videos: Annotated[
        bool,
        typer.Option(
            help="Make videos; without, only the report, which then has no links to videos.", rich_help_panel=VIDEOS
        ),
    ] = True,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second of the videos; by default each sequence's own.", rich_help_panel=VIDEOS),
    ] = None,
    allow_skips: Annotated[
        bool,
        typer.Option(
            help="Go on where a frame is missing or damaged, with a marked placeholder for it; else there is no video "
            "of its kind.",
            rich_help_panel=VIDEOS,
        ),
    ] = True,
    force: Annotated[
        bool, typer.Option(help="Make all videos again, also those that are up to date.", rich_help_panel=VIDEOS)
    ] = False,
    report: Annotated[
        bool, typer.Option(help="Write DATASETS-DIR/report.html, a page that needs no network.", rich_help_panel=REPORT)
    ] = True,
    details: Annotated[
        int,
        typer.Option(
            help="Number of sequences that the page shows in full; the others stand in its table.",
            rich_help_panel=REPORT,
            min=0,
        ),
    ] = 24,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Make videos of what was rendered, and one page about all of it.

    For each sequence a video of every kind of data and one of all side by side, in
    DATASETS-DIR/previews/SCENE/SEQUENCE-ID/; videos over all sequences; and report.html. Colours mean the same in all
    frames of a sequence. Videos whose sources have not changed are kept. Exit code 1 if a frame could not be read.
    """
    from visionsim.cli._errors import write_json
    from visionsim.cli._preview import show_previews
    from visionsim.cli._progress import counting
    from visionsim.errors import ConfigError
    from visionsim.preview.run import preview_datasets as run

    if jobs is not None and jobs < 1:
        raise ConfigError(f"--jobs={jobs}: must be at least 1")
    if not (videos or report):
        raise ConfigError("--no-videos and --no-report leave nothing to do")
    chosen = [name for text in kinds or () for name in text.split(",") if name]
    with counting("Drawing", "frames") as progress:
        done = run(
            datasets_dir,
            kinds=chosen,
            fps=fps,
            flow_direction=flow_direction,
            allow_skips=allow_skips,
            videos=videos,
            page=report,
            details=details,
            force=force,
            jobs=jobs,
            progress=progress,
        )
    if as_json:
        write_json(done.to_json())
    else:
        show_previews(done)
    return done.exit_code
