from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visionsim.io.images import read_pixels


def reader(module: str) -> Any:
    """The library that others read a format with; a test without it is skipped, unless CI asks for it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        if os.environ.get("VISIONSIM_REQUIRE_READERS"):
            raise
        pytest.skip(f"{module} is not installed")


def store_pictures_in_one_array(folder: Path, pictures: np.ndarray | None = None) -> None:
    """Let a sequence have its pictures, or others, in frames.npy instead of files."""
    path = folder / "transforms.json"
    document = json.loads(path.read_text())
    if pictures is None:
        pictures = np.stack([read_pixels(folder / frame["file_path"]) for frame in document["frames"]])
    np.save(folder / "frames.npy", pictures)
    suffix = ".exr" if pictures.dtype.kind == "f" else ".png"
    document["arrays"] = {"frames": {"file": "frames.npy", "suffix": suffix}}
    for frame in document["frames"]:
        (folder / frame["file_path"]).unlink()  # The array counts.
    path.write_text(json.dumps(document))
