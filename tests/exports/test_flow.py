from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import synthetic
from tests.exports.conftest import reader
from visionsim.dataset.reader import Dataset
from visionsim.dataset.truth_files import read_truth, write_truth
from visionsim.errors import ConfigError
from visionsim.exports.flow import export_flow, kitti_flow
from visionsim.io.images import read_pixels


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return Dataset.from_path(synthetic.write_dataset(tmp_path_factory.mktemp("flow") / "balls"))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_kitti_is_ours_within_its_steps(dataset, tmp_path, direction) -> None:
    report = export_flow(dataset, tmp_path, "kitti")
    assert (report.exit_code, report.frames, report.notes) == (0, 7, [])
    for sample in dataset:
        pixels = read_pixels(tmp_path / "balls" / direction / f"{sample.frame:06d}.png").astype(np.float64)
        valid = pixels[..., 2] == 1
        assert np.array_equal(valid, np.isfinite(sample.depth)) and valid.any() and not valid.all()
        flow = (pixels[..., :2] - 2**15) / 64
        assert np.abs(flow - getattr(sample, f"{direction}_flow"))[valid].max() <= 0.5 / 64


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_flo_is_ours_exactly(dataset, tmp_path, direction) -> None:
    export_flow(dataset, tmp_path, "flo")
    sample = dataset[3]
    data = (tmp_path / "balls" / direction / f"{sample.frame:06d}.flo").read_bytes()
    assert data[:4] == b"PIEH" and list(np.frombuffer(data, "<i4", 2, 4)) == [synthetic.WIDTH, synthetic.HEIGHT]
    flow = np.frombuffer(data, "<f4", offset=12).reshape(synthetic.HEIGHT, synthetic.WIDTH, 2)
    valid = np.isfinite(sample.depth)
    assert np.array_equal(flow[valid], getattr(sample, f"{direction}_flow")[valid])
    assert (np.abs(flow[~valid]) > 1e9).all()


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_opencv_reads_ours(dataset, tmp_path, direction) -> None:
    """Both formats, by the calls that its users make; channels of pictures come as B G R."""
    cv2 = reader("cv2")
    for form in ("kitti", "flo"):
        export_flow(dataset, tmp_path, form)
    for sample in dataset:
        ours, valid = getattr(sample, f"{direction}_flow"), np.isfinite(sample.depth)
        stem = tmp_path / "balls" / direction / f"{sample.frame:06d}"
        pixels = cv2.imread(f"{stem}.png", cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
        assert pixels.dtype == np.uint16 and np.array_equal(pixels[..., 0] == 1, valid)
        flow = (pixels[..., :0:-1].astype(np.float64) - 2**15) / 64
        assert np.abs(flow - ours)[valid].max() <= 0.5 / 64
        flow = cv2.readOpticalFlow(f"{stem}.flo")
        assert flow.dtype == np.float32 and np.array_equal(flow[valid], ours[valid])
        assert (np.abs(flow[~valid]) > 1e9).all()


def test_what_kitti_cannot_hold_is_not_valid() -> None:
    flow = np.array([[[511.99, -512.0], [512.0, 0.0], [0.0, -512.1], [0.5, 0.25]]], np.float32)
    pixels = kitti_flow(flow, np.array([[True, True, True, False]]))
    assert pixels.tolist() == [[[65535, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]]]


def test_damaged_frame_is_named_and_the_rest_done(tmp_path) -> None:
    folder = synthetic.write_dataset(tmp_path / "balls")
    path = folder / "flows" / "flow_000007.exr"
    path.write_bytes(path.read_bytes()[:-30])
    report = export_flow(Dataset.from_path(folder), tmp_path / "out")
    assert (report.exit_code, report.frames) == (1, 6)
    (damaged,) = report.damaged
    assert (damaged.sequence, damaged.frame) == ("balls", 7) and path.name in damaged.message
    assert not (tmp_path / "out" / "balls" / "forward" / "000007.png").exists()


def test_without_flows_there_is_nothing_to_export(tmp_path) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls", kinds=("depths",)))
    with pytest.raises(ConfigError, match="Optical flow needs flows, and there are only frames, depths"):
        export_flow(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_surfaces_all_is_valid_and_that_is_said(tmp_path) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls", kinds=("flows",)))
    report = export_flow(dataset, tmp_path / "out")
    assert "valid everywhere" in report.notes[0]
    assert read_pixels(Path(tmp_path, "out", "balls", "forward", "000005.png"))[..., 2].all()


def test_unknown_motion_is_not_valid(tmp_path) -> None:
    folder = synthetic.write_dataset(tmp_path / "hall", num_frames=1)
    path = folder / "occlusions" / f"occlusion_{synthetic.FIRST:06d}.png"
    known = read_truth(path, "occlusions") & 1 != 0
    bits = read_truth(path, "occlusions")
    bits[:20] &= 12
    write_truth(path, {"Y": bits}, "ZIP")
    export_flow(Dataset.from_path(folder), tmp_path / "out", form="kitti")
    for direction in ("forward", "backward"):
        valid = read_pixels(tmp_path / "out" / "hall" / direction / f"{synthetic.FIRST:06d}.png")[..., 2] == 1
        assert np.array_equal(valid[20:], known[20:])
        assert np.array_equal(valid[:20], known[:20] & (direction == "backward"))
