"""The commands of `visionsim export`, from the command line to files."""

from __future__ import annotations

import json

import pytest

from tests import synthetic
from tests.exports.conftest import damage, reader
from visionsim.cli import main
from visionsim.dataset.reader import Dataset

WRITES = {
    "nerfstudio": "transforms.json",
    "ngp": "transforms_train.json",
    "colmap": "sparse/0/images.bin",
    "tum": "groundtruth.txt",
    "points": "points.ply",
    "mesh": "mesh.ply",
}


@pytest.fixture
def root(tmp_path):
    for scene in ("park", "room"):
        synthetic.write_dataset(tmp_path / "ds/renders" / scene / "001-00005-00008", num_frames=3)
    return tmp_path / "ds"


@pytest.mark.parametrize("command", WRITES)
def test_each_sequence_gets_a_folder_and_a_damaged_frame_is_told(command, root, tmp_path, capsys) -> None:
    if command == "mesh":
        reader("open3d")
    damage(Dataset.from_path(root)[4], "depths")
    code = main(["export", command, str(root), str(tmp_path / "out"), "--json"], prog="visionsim")
    report = json.loads(capsys.readouterr().out)
    assert (code, report["exit_code"], report["frames"]) == (1, 1, 5)
    assert [(each["sequence"], each["frame"]) for each in report["damaged"]] == [("room/001-00005-00008", 6)]
    for scene in ("park", "room"):
        assert (tmp_path / "out" / scene / "001-00005-00008" / WRITES[command]).stat().st_size > 100


@pytest.mark.parametrize("command", ["nerfstudio", "ngp", "colmap", "tum", "mesh"])
def test_a_camera_that_the_format_has_not_is_refused(command, tmp_path, capsys) -> None:
    synthetic.write_dataset(tmp_path / "ds", camera="orthographic", num_frames=1)
    code = main(["export", command, str(tmp_path / "ds"), str(tmp_path / "out")], prog="visionsim")
    message = capsys.readouterr().err
    assert code == 2 and "ORTHOGRAPHIC" in message and "leave out the sequence ds" in " ".join(message.split())
    assert not (tmp_path / "out").exists()


def test_splits_and_parts(root, tmp_path, capsys) -> None:
    folders = [f"renders/{scene}/001-00005-00008" for scene in ("park", "room")]
    (root / "splits.json").write_text(json.dumps({"splits": {"train": folders[:1], "test": folders[1:]}}))
    out = tmp_path / "out"
    assert main(["export", "ngp", str(root), str(out), "--by-splits"], prog="visionsim") == 0
    document = json.loads((out / "room/001-00005-00008/transforms_test.json").read_text())
    assert len(document["frames"]) == 3
    args = ["export", "nerfstudio", str(root), str(out / "ns"), "--split", "train", "--val", "0", "--test", "0.4"]
    assert main(args, prog="visionsim") == 0
    document = json.loads((out / "ns/park/001-00005-00008/transforms.json").read_text())
    assert [len(document[f"{part}_filenames"]) for part in ("train", "val", "test")] == [2, 0, 1]
    assert not (out / "ns/room").exists()
    capsys.readouterr()
    assert main(["export", "ngp", str(root), str(out), "--val", "0.6", "--test", "0.6"], prog="visionsim") == 2
    assert "leave some for training" in capsys.readouterr().err
