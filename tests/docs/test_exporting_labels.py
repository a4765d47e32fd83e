"""The examples of docs/exporting-labels.md run, in order, with each format's own reader."""

from __future__ import annotations

import re

import pytest

from tests import synthetic
from tests.exports.conftest import reader
from tests.helpers import REPOSITORY
from visionsim.cli import main

PAGE = REPOSITORY / "docs" / "exporting-labels.md"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' arrays, NumPy 2.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # webdataset leaves shards open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_examples_run(tmp_path, monkeypatch) -> None:
    for module in ("pycocotools", "h5py", "webdataset", "cv2"):
        reader(module)
    monkeypatch.chdir(tmp_path)
    synthetic.write_dataset(tmp_path / "balls", num_frames=2)
    for command in ("coco balls coco", "hdf5 balls hdf5", "webdataset balls shards", "flow balls flow"):
        assert main(["export", *command.split()]) == 0
    assert main("export flow balls flow --form flo".split()) == 0
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(examples) == 4
    names: dict = {}
    for example in examples:
        exec(example, names)
    assert names["points"].shape[0] > 1000 and names["mask"].any() and names["valid"].any()
