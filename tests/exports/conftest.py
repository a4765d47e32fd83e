from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import synthetic
from tests.helpers import REPOSITORY, reader
from visionsim.dataset.reader import Sample
from visionsim.io.images import read_pixels

__all__ = ["damage", "plane_error", "reader", "store_pictures_in_one_array"]


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


class Nerfstudio:
    """nerfstudio's data parsers, in the Python that has them."""

    def __init__(self, python: str, folder: Path) -> None:
        script = REPOSITORY / "tests" / "exports" / "read_nerfstudio.py"
        self._folder, self._asked = folder, 0
        self._log = open(folder / "stderr.txt", "w+")
        self._process = subprocess.Popen(
            [python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )

    def read(self, parser: str, path: Path, split: str = "train", **options: Any) -> dict[str, Any]:
        """What `read_nerfstudio.read` found."""
        self._asked += 1
        out = self._folder / f"{self._asked}.npz"
        request = {"parser": parser, "path": str(path), "split": split, "options": options, "out": str(out)}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer == "done", answer or Path(self._log.name).read_text()[-3000:]
        with np.load(out) as found:
            return dict(found)

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()
        self._log.close()


@pytest.fixture(scope="session")
def nerfstudio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nerfstudio]:
    python = os.environ.get("VISIONSIM_NERFSTUDIO_PYTHON")
    if not python:
        reason = "VISIONSIM_NERFSTUDIO_PYTHON names no Python that has nerfstudio; see `make readers`"
        if os.environ.get("VISIONSIM_REQUIRE_READERS"):
            pytest.fail(reason)
        pytest.skip(reason)
    opened = Nerfstudio(python, tmp_path_factory.mktemp("nerfstudio"))
    yield opened
    opened.close()


@pytest.fixture
def centred(monkeypatch: pytest.MonkeyPatch) -> str:
    """A camera of `synthetic` that is neither shifted nor changes."""
    monkeypatch.setitem(synthetic.CAMERAS, "centred", lambda t: (synthetic.perspective(t), {"lens": 35.0}))
    return "centred"


def plane_error(points: np.ndarray, ids: np.ndarray) -> float:
    """How far points (N, 3) in the world are from the surface they are on, the floor (id 1) or the wall (id 2)."""
    floor, wall = np.abs(points[ids == 1][:, 2]), np.abs(points[ids == 2][:, 1] - 4)
    assert floor.size and wall.size
    return float(max(floor.max(), wall.max()))


def damage(sample: Sample, kind: str) -> None:
    """Cut off the end of a file."""
    path = sample.path(kind)
    assert path is not None
    path.write_bytes(path.read_bytes()[:-30])
