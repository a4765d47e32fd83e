"""dataset: look at datasets, and make others of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from visionsim.cli._shared import AsJson, ConfigFile

__all__ = ["info"]


def info(
    root: Annotated[
        Path, typer.Argument(help="A datasets folder or a sequence, or its transforms.json.", metavar="ROOT")
    ],
    *,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Tell what is in a dataset: sequences, frames, kinds of data, cameras, sizes; pixels are not read."""
    from visionsim.cli._errors import write_json
    from visionsim.cli._info import show_info
    from visionsim.dataset.info import info_of
    from visionsim.dataset.reader import Dataset

    found = info_of(Dataset.from_path(root))
    if as_json:
        write_json(found.to_json())
    else:
        show_info(found)
    return 0
