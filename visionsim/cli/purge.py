"""purge_corrupted: find corrupted files, and remove them so that the next run renders them again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from visionsim.cli._shared import AsJson, ConfigFile, Processes

__all__ = ["purge_corrupted"]


def purge_corrupted(
    roots: Annotated[
        list[Path],
        typer.Argument(
            help="Folders to look through: datasets, sequences, or what render-animation wrote.", metavar="ROOT..."
        ),
    ],
    *,
    dry_run: Annotated[bool, typer.Option(help="Only list what is corrupted; remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes/--no-yes", help="Remove without asking.")] = False,
    jobs: Processes = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Find corrupted files, and remove them so that the next run renders them again.

    Every picture, ground truth, preview, document and journal is decoded completely, and compared with what was written
    where that is recorded. With a file goes the transforms.json of its sequence, which says that it is there. Files of
    other names are left alone. Exit code 1 if anything corrupted is left.
    """
    from visionsim.cli._errors import write_json
    from visionsim.cli._progress import counting
    from visionsim.cli._purge import agreed, show_found, show_removed
    from visionsim.errors import ConfigError
    from visionsim.verify.purge import find_corrupted, remove_corrupted

    if jobs is not None and jobs < 1:
        raise ConfigError(f"--jobs={jobs}: must be at least 1")
    if not (dry_run or yes or sys.stdin.isatty()):
        raise ConfigError(
            "There is no terminal to ask on whether files may be removed: say --yes to remove them, or --dry-run to "
            "only list them"
        )
    with counting("Looking at", "files") as progress:
        report = find_corrupted(roots, jobs=jobs, progress=progress)
    if not as_json:
        show_found(report)
    if report.corrupted and not dry_run and (yes or agreed(report)):
        remove_corrupted(report)
    if as_json:
        write_json(report.to_json())
    else:
        show_removed(report, asked=not dry_run)
    return report.exit_code
