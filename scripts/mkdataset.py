"""Make datasets from a folder of Blender scenes: `python scripts/mkdataset.py create-datasets --help`."""

from __future__ import annotations

import sys

from visionsim.cli import main
from visionsim.cli._command import add_command, add_render_command, new_app
from visionsim.cli.datasets import create_datasets
from visionsim.cli.preview import preview_datasets
from visionsim.cli.purge import purge_corrupted

app = new_app("Make computer-vision datasets from a folder of Blender scenes.")
add_render_command(app, create_datasets)
add_command(app, preview_datasets)
add_command(app, purge_corrupted)

if __name__ == "__main__":
    sys.exit(main(app=app))
