"""verify: prove that what is on disk is complete, readable and consistent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from visionsim.cli._shared import AsJson, ConfigFile, Processes

__all__ = ["verify"]

DEEP = "Against the .blend files"


def verify(
    roots: Annotated[
        list[Path],
        typer.Argument(
            help="Folders to verify: datasets, sequences, or what render-animation wrote.", metavar="ROOT..."
        ),
    ],
    *,
    jobs: Processes = None,
    deep: Annotated[
        bool, typer.Option(help="Also compare pixels with ray casts into the .blend files.", rich_help_panel=DEEP)
    ] = False,
    scenes_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the .blend files, looked for there and one level down; needed for --deep.",
            metavar="DIR",
            rich_help_panel=DEEP,
        ),
    ] = None,
    deep_frames: Annotated[
        int, typer.Option(help="Frames of each sequence to cast rays for, evenly spread.", rich_help_panel=DEEP)
    ] = 5,
    deep_samples: Annotated[
        int,
        typer.Option(
            help="Pixels of each of these frames, chosen by a seed, besides one of each id and of each object in view.",
            rich_help_panel=DEEP,
        ),
    ] = 256,
    executable: Annotated[
        str | None,
        typer.Option(
            help="Blender to cast rays with; by default the bpy module of this Python, else `blender` on PATH.",
            rich_help_panel=DEEP,
        ),
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Prove that datasets are complete, readable and consistent with themselves.

    Every file is decoded; depth, poses, flow, normals and ids of all frames are compared with each other. Exit code 1
    if anything is wrong.
    """
    from visionsim.cli._errors import write_json
    from visionsim.cli._verify import drawing, show_verified
    from visionsim.errors import ConfigError
    from visionsim.verify.run import verify as run

    for name, value in (("--jobs", jobs), ("--deep-frames", deep_frames), ("--deep-samples", deep_samples)):
        if value is not None and value < 1:
            raise ConfigError(f"{name}={value}: must be at least 1")
    if deep and scenes_dir is None:
        raise ConfigError("--deep needs the scenes: name their folder with --scenes-dir")
    with drawing() as observe:
        report = run(roots, jobs=jobs, observe=observe)
        if deep:
            from visionsim.simulation.deep import verify_deep

            assert scenes_dir is not None
            verify_deep(
                report, scenes_dir, executable=executable, frames=deep_frames, samples=deep_samples, observe=observe
            )
    if as_json:
        write_json(report.to_json())
    else:
        show_verified(report)
    return report.exit_code
