"""Where exports may not write."""

from __future__ import annotations

import json

import pytest

from tests import synthetic
from visionsim.cli import main
from visionsim.dataset.splits import SPLITS

COMMANDS = ["nerfstudio", "ngp", "colmap", "tum", "points", "flow", "coco", "webdataset"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("targets") / "data"
    synthetic.write_dataset(root / "renders" / "balls" / "001", num_frames=1)
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_dataset_is_never_written_into(command, root, capsys) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    for target in (root, root / "renders", root.parent):
        assert main(["export", command, str(root), str(target)]) == 2
        assert "Neither folder may be in the other" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "command", [*(["export", name] for name in COMMANDS), ["dataset", "convert"], ["dataset", "merge"]]
)
def test_target_that_is_a_file_is_said_in_one_sentence(command, root, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("mine")
    options = ["--to", "arrays"] if command[-1] == "convert" else []
    assert main([*command, str(root), str(tmp_path / "file" / "in it"), *options]) == 2
    message = capsys.readouterr().err
    assert message.startswith("Error: Cannot") and "Traceback" not in message and "mistake" not in message
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("command", ["coco", "webdataset"])
def test_split_of_sequences_that_are_gone_is_refused(command, tmp_path, capsys) -> None:
    synthetic.write_dataset(tmp_path / "data" / "one", num_frames=1)
    (tmp_path / "data" / SPLITS).write_text(json.dumps({"splits": {"train": ["gone"]}}))
    assert main(["export", command, str(tmp_path / "data"), str(tmp_path / "out")]) == 2
    assert "split the datasets anew" in capsys.readouterr().err and not (tmp_path / "out").exists()
