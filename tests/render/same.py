"""What it means that two datasets are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.render.conftest import EXECUTABLE
from visionsim.io.exr import read_exr


def tree(root: Path) -> dict[str, bytes]:
    """Every file of a dataset, hidden ones too."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def assert_same_data(a: Path, b: Path) -> None:
    """The same files with the same bytes.

    Blender 3.4 adds up vertex normals in parallel, in any order: its smooth normals differ in their last bits from run
    to run, and so does what records them. They are compared as numbers there.
    """
    trees = [tree(a), tree(b)]
    assert trees[0].keys() == trees[1].keys()
    for name in trees[0]:
        if EXECUTABLE and name.endswith(".exr") and "normal_" in name:
            pixels = [np.stack(list(read_exr(root / name).values())) for root in (a, b)]
            assert np.abs(pixels[0] - pixels[1]).max() < 1e-5
        elif not (EXECUTABLE and name.endswith("journal.jsonl")):
            assert trees[0][name] == trees[1][name], name
