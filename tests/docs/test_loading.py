"""The examples of docs/loading.md run, and so does the guide that needs no Blender."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import synthetic
from tests.helpers import REPOSITORY, reader
from visionsim.dataset.reader import Dataset, Sample

GUIDE = REPOSITORY / "docs" / "guides" / "load_and_look.py"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```",
    (REPOSITORY / "docs" / "loading.md").read_text(encoding="utf-8"),
    re.DOTALL | re.MULTILINE,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two sequences, split, and a copy of the first one with depth as an array."""
    folder = tmp_path_factory.mktemp("loading")
    hall, yard = (folder / "datasets" / "renders" / scene / "001-00005-00012" for scene in ("hall", "yard"))
    synthetic.write_dataset(hall)
    synthetic.write_dataset(yard, num_frames=4)
    splits = {"train": ["renders/hall/001-00005-00012"], "test": ["renders/yard/001-00005-00012"]}
    (folder / "datasets" / "splits.json").write_text(json.dumps({"splits": splits}))
    document = json.loads((hall / "transforms.json").read_text())
    for frame in document["frames"]:
        del frame["depth_file_path"]
    document["arrays"] = {"depths": {"file": "depths.npy", "suffix": ".exr"}}
    (folder / "arrays").mkdir()
    (folder / "arrays" / "transforms.json").write_text(json.dumps(document))
    np.save(folder / "arrays" / "depths.npy", [sample.depth for sample in Dataset.from_path(hall)])
    return folder


CHECKS = """
depths = np.stack([each.depth for each in dataset])
assert nearest == list(depths.min(axis=(1, 2)))
assert len(late) == 5 and list(shuffled.frames) == [10, 5, 8]
floor = points[dataset[3].instance_ids[hit] == 1]
assert len(floor) > 1000 and np.abs(floor[:, 2]).max() < 1e-5
assert np.array_equal(column, depths[:7, 10, 20])
print(depths[np.isfinite(depths)].max())
"""


def run(script: str, folder: Path) -> list[str]:
    (folder / "page.py").write_text(script)
    # Numpy has threads; forks beside them are what we say works.
    options = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    ran = subprocess.run(
        [sys.executable, *options, "page.py"], cwd=folder, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.splitlines()


def test_examples_run(folder) -> None:
    assert len(BLOCKS) == 10
    shown, *each, farthest, expected = run("".join(b for b in BLOCKS if "torch" not in b) + CHECKS, folder)
    assert f"print(dataset)  # {shown}\n" in BLOCKS[0]
    assert [line.split()[:2] for line in each] == [["hall/001-00005-00012", "7"], ["yard/001-00005-00012", "4"]]
    assert farthest == expected


def test_torch_example_runs(folder) -> None:
    reader("torch")
    first, *_ = BLOCKS
    (split,) = [block for block in BLOCKS if "split=" in block]
    (block,) = [block for block in BLOCKS if "torch" in block]
    checks = 'print(tuple(batch["forward_flow"].shape[1:]), bool(valid.any()), bool(valid.all()))'
    *_, line = run(first + split + block + checks, folder)
    assert line == f"(2, {synthetic.HEIGHT}, {synthetic.WIDTH}) True False"


def test_table_of_a_sample_is_true(folder) -> None:
    sample = Dataset.from_path(folder / "datasets")[0]
    page = (REPOSITORY / "docs" / "loading.md").read_text(encoding="utf-8")
    table = page.partition("## A sample")[2].partition("\n\n| Attribute")[2].partition("\n\n")[0]
    sizes = {"H": synthetic.HEIGHT, "W": synthetic.WIDTH, "C": 3}
    described = set()
    for row in table.splitlines()[2:]:
        names, shape, kind = (cell.strip() for cell in row.split("|")[1:4])
        for name in re.findall(r"`(\w+)`", names):
            described.add(name)
            value = getattr(sample, name)
            if shape:
                wanted = tuple(sizes.get(part) or int(part) for part in shape.strip("()").split(", "))
                assert value.shape == wanted and str(value.dtype) in kind.split(", ")
            elif kind:
                assert type(value).__name__ == kind
    public = {name for name, member in vars(Sample).items() if isinstance(member, property)}
    assert described - {"index", "sequence"} == public - {"kinds"}


def test_guide(folder, tmp_path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", GUIDE, folder / "datasets", tmp_path / "look.png"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    number = r"(-?\d+\.?\d*(?:e-?\d+)?)"
    first = Dataset.from_path(folder / "datasets")[0]

    def said(pattern: str) -> list[float]:
        found = re.search(pattern.replace("#", number), ran.stdout)
        assert found is not None, f"{pattern} is not in\n{ran.stdout}"
        return [float(text) for text in found.groups()]

    assert said("hall/001-00005-00012: # frames, # s") == [7, 0.24]
    assert said("the camera goes #") == pytest.approx([6 * np.hypot(0.08, 0.05)], abs=1e-3)
    assert said("frame 5: # x # pixels, a surface in #%")[2] == pytest.approx(
        100 * np.isfinite(first.depth).mean(), abs=0.06
    )
    # The closed form of the dataset: the floor is z = 0, the wall y = 4, the ball that rests around (-1, 1, 0.7).
    assert said("Floor: .* z # to #") == [0, 0] and said("Wall: .* y # to #") == [4, 4]
    for axis, centre in zip("xyz", (-1, 1, 0.7), strict=True):
        low, high = said(f"Ball: .* {axis} # to #")
        assert centre - 0.701 <= low < high <= centre + 0.701
    pixels, wrong = said("flow of # pixels that rest differs .* at most # pixels")
    assert pixels > 4000 and wrong < 1e-3
    assert 75 < said("#% of the pixels are seen in frame 6")[0] < 85
    before, after = said("colours differ by # before and # after")
    assert before > 0.05 and after < 0.015
    with Image.open(tmp_path / "look.png") as picture:
        assert picture.size == (3 * synthetic.WIDTH, synthetic.HEIGHT)
        here, _, warped = np.split(np.asarray(picture).astype(int), 3, axis=1)
        shown = warped.any(axis=-1)
        assert np.abs(here - warped)[shown].mean() < 4 < np.abs(here - warped).mean()


def test_guide_refuses_frames_with_gaps(tmp_path) -> None:
    folder = synthetic.write_dataset(tmp_path / "gaps", step=2, num_frames=2)
    ran = subprocess.run(
        [sys.executable, GUIDE, folder], env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert ran.returncode and "--frame-step" in ran.stderr
