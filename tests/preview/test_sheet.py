from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import synthetic
from visionsim.dataset.reader import Dataset
from visionsim.errors import ConfigError, InputNotFound
from visionsim.preview.sheet import GAP, contact_sheet, save_sheet


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("sheet")
    for scene, frames in (("a", 7), ("b", 3)):
        synthetic.write_dataset(root / "renders" / scene / "001-00005-00012", num_frames=frames)
    return root


def test_rows_are_sequences_and_columns_are_kinds(root) -> None:
    sheet = contact_sheet(root, tile=120)
    assert sheet.rows == [("a/001-00005-00012", 8), ("b/001-00005-00012", 6)]
    assert sheet.kinds == ("frames", "depths", "normals", "segmentations", "flows", "occlusions")
    heading = 24 + GAP
    assert sheet.picture.shape == (heading + 2 * (80 + GAP), 6 * (120 + GAP) + GAP, 3)
    sample = Dataset.from_path(root)[3]
    tile = sheet.picture[heading : heading + 80, GAP : GAP + 120]
    assert np.array_equal(tile[30:], sample.picture[30:])  # Below its name.
    normals = sheet.picture[heading : heading + 80, GAP + 2 * (120 + GAP) :][:, :120]
    assert np.abs(normals - (sample.normals * 0.5 + 0.5) * 255)[sample.instance_ids > 0].max() <= 0.6


def test_rows_of_one_sequence_are_frames(root) -> None:
    sheet = contact_sheet(root, sequences=["a"], tile=60)
    assert [frame for _, frame in sheet.rows] == [5, 7, 9, 11]
    assert contact_sheet(root / "renders" / "b" / "001-00005-00012" / "transforms.json").rows[0][1] == 5


def test_frame_and_sequences_can_be_chosen(root) -> None:
    assert contact_sheet(root, frame=6).rows == [("a/001-00005-00012", 6), ("b/001-00005-00012", 6)]
    sheet = contact_sheet(root, frame=11)
    assert sheet.rows == [("a/001-00005-00012", 11)] and sheet.notes == ["Frame 11 is not in b/001-00005-00012."]
    assert [name for name, _ in contact_sheet(root, sequences=["b/*", "a"]).rows] == [
        "b/001-00005-00012",
        "a/001-00005-00012",
    ]
    with pytest.raises(ConfigError, match="--frame=99: a/001-00005-00012 has 5 to 11"):
        contact_sheet(root, frame=99)
    with pytest.raises(ConfigError, match="--sequences=c: there are only a/001-00005-00012, b"):
        contact_sheet(root, sequences=["c"])
    with pytest.raises(InputNotFound, match="folder to show does not exist"):
        contact_sheet(root / "nowhere")


def test_damaged_frame_is_named_and_marked(tmp_path) -> None:
    folder = synthetic.write_dataset(tmp_path / "balls", num_frames=2)
    (folder / "normals" / "normal_000006.exr").unlink()
    sheet = contact_sheet(folder, tile=120)
    (damaged,) = sheet.damaged
    assert (damaged.sequence, damaged.frame) == ("balls", 6) and "normal_000006.exr" in damaged.message
    tile = sheet.picture[28 + 84 : 28 + 164, GAP + 2 * 124 :][:, :120].astype(int)
    assert tile[..., 0].mean() > 2 * tile[..., 1].mean()


def test_kinds_that_a_sequence_lacks_are_said(tmp_path) -> None:
    synthetic.write_dataset(tmp_path / "a", num_frames=1)
    synthetic.write_dataset(tmp_path / "b", num_frames=1, kinds=())
    sheet = contact_sheet(tmp_path)
    assert len(sheet.kinds) == 6 and len(sheet.rows) == 2 and not sheet.damaged


def test_saved_whole_in_the_format_of_its_suffix(root, tmp_path) -> None:
    sheet = contact_sheet(root, tile=60)
    save_sheet(sheet, tmp_path / "new" / "sheet.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "sheet.png")), sheet.picture)
    for suffix in ("txt", "psd"):  # Pillow reads the second one, and does not write it.
        with pytest.raises(ConfigError, match=rf"ends in .png or .jpg, unlike .*sheet\.{suffix}"):
            save_sheet(sheet, tmp_path / f"sheet.{suffix}")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "sheet.png"]
