"""The examples of docs/converting.md run, one after the other."""

from __future__ import annotations

import json
import re

import pytest

from tests import synthetic
from tests.helpers import REPOSITORY
from visionsim.dataset.splits import read_splits

PAGE = (REPOSITORY / "docs" / "converting.md").read_text(encoding="utf-8")


def test_examples_run(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for scene in ("a", "b", "c", "d"):
        folder = synthetic.write_dataset(tmp_path / "datasets" / "renders" / scene / "001-00005-00007", num_frames=2)
        path = folder / "transforms.json"
        path.write_text(path.read_text().replace("0" * 64, scene * 64))
    examples = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(examples) == 4
    names: dict[str, object] = {}
    for number, example in enumerate(examples):
        exec(compile(example, f"docs/converting.md, example {number + 1}", "exec"), names)
    (shown,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    written = json.loads((tmp_path / "datasets" / "splits.json").read_text())
    assert list(json.loads(shown)) == list(written)
    assert {name: len(folders) for name, folders in read_splits(tmp_path / "datasets").items()} == {
        "train": 2, "val": 1, "test": 1
    }  # fmt: skip
