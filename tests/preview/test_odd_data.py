"""Previews of what datasets should not have, and of places that are in the way."""

from __future__ import annotations

import numpy as np
import pytest

from tests import synthetic
from visionsim.dataset.reader import Dataset
from visionsim.errors import OutputNotWritable
from visionsim.io.exr import read_exr, write_exr
from visionsim.preview.run import preview_datasets


@pytest.mark.parametrize("kind", ["depths", "normals", "flows"])
def test_values_that_are_no_numbers_are_drawn_all_the_same(kind, tmp_path) -> None:
    """Such as of own data; `verify` finds them."""
    sample = Dataset.from_path(synthetic.write_dataset(tmp_path, num_frames=1))[0]
    channels = read_exr(sample.path(kind))
    for pixels in channels.values():
        pixels[3, 4] = np.nan
    write_exr(sample.path(kind), channels)
    report = preview_datasets(tmp_path, videos=False)
    assert report.exit_code == 0 and report.page.exists()


def test_ids_that_are_floats_are_read_if_they_are_whole(tmp_path) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path, num_frames=2))
    ids = dataset[0].instance_ids
    write_exr(dataset[0].path("segmentations"), {"Y": ids.astype(np.float32)})
    write_exr(dataset[1].path("segmentations"), {"Y": ids.astype(np.float32) + np.float32(0.5)})
    assert np.array_equal(dataset[0].instance_ids, ids) and dataset[0].instance_ids.dtype == np.uint32
    report = preview_datasets(tmp_path, videos=False)
    assert report.exit_code == 1
    assert [(d.frame, "not whole numbers" in d.message) for d in report.damaged] == [(6, True)]


def test_output_that_cannot_be_written_is_refused_before_the_work(tmp_path) -> None:
    synthetic.write_dataset(tmp_path / "one", num_frames=1)
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputNotWritable, match=r"is a directory.*report"):
        preview_datasets(tmp_path, videos=False)


def test_scene_may_be_called_frames(tmp_path) -> None:
    synthetic.write_dataset(tmp_path / "renders" / "frames" / "001", num_frames=1)
    synthetic.write_dataset(tmp_path / "renders" / "other" / "001", num_frames=1)
    assert list(Dataset.from_path(tmp_path).sequences()) == ["frames/001", "other/001"]


def test_video_over_sequences_goes_when_it_would_be_of_before_the_damage(ffmpeg, tmp_path) -> None:
    for scene in "ab":
        synthetic.write_dataset(tmp_path / "renders" / scene / "001", num_frames=1, kinds=("depths",))
    assert "depths" in preview_datasets(tmp_path, kinds=["depths"], page=False).mosaics
    path = tmp_path / "renders" / "a" / "001" / "depths" / "depth_000005.exr"
    path.write_bytes(path.read_bytes()[:-20])
    (tmp_path / "previews" / "b" / "001" / ".depths.1.partial.mp4").write_bytes(b"of one that was terminated")
    report = preview_datasets(tmp_path, kinds=["depths"], page=False, allow_skips=False, force=True)
    assert report.exit_code == 1 and not list(tmp_path.rglob("sequences-*.mp4"))
    assert not list(tmp_path.rglob("*.partial*"))
