"""The command line: `visionsim COMMAND`, and `vsim`, which is the same.

To add a command, write a plain function in a module of this folder and add it below: `add_render_command` for one
that takes a RenderConfig, `add_command` for any other.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache

import typer

from visionsim.cli import dataset, export, trajectory
from visionsim.cli._command import add_command, add_group, add_render_command, new_app
from visionsim.cli._errors import report_error
from visionsim.cli._options import Session
from visionsim.cli.blender import render_animation
from visionsim.cli.datasets import create_datasets
from visionsim.cli.doctor import doctor
from visionsim.cli.preview import preview_datasets
from visionsim.cli.purge import purge_corrupted
from visionsim.cli.show import show
from visionsim.cli.status import status
from visionsim.cli.verify import verify

__all__ = ["app", "main"]

app = new_app("Computer-vision datasets with exact ground truth, rendered from Blender scenes.")
add_render_command(app, create_datasets)
add_render_command(app, render_animation)
add_command(app, status)
add_command(app, preview_datasets)
add_command(app, show)
add_command(app, verify)
add_command(app, purge_corrupted)
add_command(app, doctor)
datasets = add_group(app, "dataset", "Look at datasets, and make others of them.")
add_command(datasets, dataset.info)
add_command(datasets, dataset.convert)
add_command(datasets, dataset.merge)
add_command(datasets, dataset.split)
trajectories = add_group(app, "trajectory", "Look at camera paths, and make others of them.")
add_command(trajectories, trajectory.info)
add_command(trajectories, trajectory.resample)
add_command(trajectories, trajectory.smooth)
add_command(trajectories, trajectory.convert)
exports = add_group(app, "export", "Write datasets in the formats of others.")
add_command(exports, export.nerfstudio)
add_command(exports, export.ngp)
add_command(exports, export.colmap)
add_command(exports, export.tum)
add_command(exports, export.points)
add_command(exports, export.mesh)
add_command(exports, export.flow)
add_command(exports, export.coco)
add_command(exports, export.hdf5)
add_command(exports, export.webdataset)


command_of = cache(typer.main.get_command)
"""What Typer makes of the commands: once, however often the program is run in a process."""


def main(argv: Sequence[str] | None = None, *, app: typer.Typer = app, prog: str | None = None) -> int:
    """Run the program and return its exit code.

    Args:
        argv: its arguments; by default those of this process.
        app: the commands.
        prog: its name in messages; by default the file it was started as.
    """
    # Numpy is not loaded yet. Neither we nor Blender's Python have a use for threads of its own, and to start them
    # takes a tenth of a second in each process.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    args = list(sys.argv[1:] if argv is None else argv)
    prog = prog or os.path.basename(sys.argv[0])
    if prog in ("", "-c", "__main__.py"):  # `python -m visionsim`
        prog = "visionsim"
    # As far as can be told before the command line is understood, which it may never be.
    session = Session(as_json="--json" in args[: args.index("--") if "--" in args else None])
    try:
        # Not `app()`: that would draw errors its own way, and end the process.
        with command_of(app).make_context(prog, args, obj=session) as ctx:
            return int(ctx.command.invoke(ctx) or 0)
    except typer.Exit as exc:
        return exc.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone, as in `visionsim --help | head -1`. Python would complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt) as exc:
        return report_error(exc, as_json=session.as_json)
