from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.helpers import reader
from visionsim.io.images import read_pixels

__all__ = ["reader", "store_pictures_in_one_array"]


def store_pictures_in_one_array(folder: Path, pictures: np.ndarray | None = None) -> None:
    """Let a sequence have its pictures, or others, in frames.npy instead of files."""
    path = folder / "transforms.json"
    document = json.loads(path.read_text())
    if pictures is None:
        pictures = np.stack([read_pixels(folder / frame["file_path"]) for frame in document["frames"]])
    np.save(folder / "frames.npy", pictures)
    suffix = ".exr" if pictures.dtype.kind == "f" else ".png"
    document["c"] = pictures.shape[3]
    document["arrays"] = {"frames": {"file": "frames.npy", "suffix": suffix}}
    for frame in document["frames"]:
        (folder / frame.pop("file_path")).unlink()
    path.write_text(json.dumps(document))
