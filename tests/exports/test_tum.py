"""evo reads the trajectory, Open3D the pictures and depth, and the planes are where they were."""

from __future__ import annotations

import numpy as np
import pytest

from tests import synthetic
from tests.exports.conftest import damage, plane_error, reader
from visionsim.dataset.reader import Dataset
from visionsim.errors import ConfigError
from visionsim.exports.geometry import opencv_c2w
from visionsim.exports.tum import export_tum
from visionsim.io.images import read_pixels


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return Dataset.from_path(synthetic.write_dataset(tmp_path_factory.mktemp("tum") / "balls"))


@pytest.fixture(scope="module")
def folder(dataset, tmp_path_factory):
    target = tmp_path_factory.mktemp("tum-out")
    report = export_tum(dataset, target)
    assert (report.exit_code, report.frames, report.notes) == (0, 7, [])
    return target / "balls"


def test_evo_reads_the_trajectory(dataset, folder) -> None:
    trajectory = reader("evo.tools.file_interface").read_tum_trajectory_file(str(folder / "groundtruth.txt"))
    assert trajectory.check()[0] and list(trajectory.timestamps) == pytest.approx(list(dataset.times))
    poses = np.array(trajectory.poses_se3)
    assert np.abs(poses - [opencv_c2w(c2w) for c2w in dataset.poses]).max() < 1e-8


def test_open3d_recovers_the_planes(dataset, folder) -> None:
    o3d = reader("open3d")
    trajectory = np.loadtxt(folder / "groundtruth.txt")
    fx, fy, cx, cy = np.loadtxt(folder / "calibration.txt")
    camera = o3d.camera.PinholeCameraIntrinsic(synthetic.WIDTH, synthetic.HEIGHT, fx, fy, cx, cy)
    lines = (folder / "associations.txt").read_text().splitlines()
    assert len(lines) == len(dataset)
    for sample, line, (_, tx, ty, tz, qx, qy, qz, qw) in zip(dataset, lines, trajectory, strict=True):
        _, rgb, _, depth = line.split()
        pictures = [o3d.io.read_image(str(folder / name)) for name in (rgb, depth)]
        # Its create_from_tum_format is the same, but ends at 4 metres.
        rgbd = o3d.geometry.RGBDImage.create_from_color_and_depth(
            *pictures, depth_scale=5000.0, depth_trunc=100.0, convert_rgb_to_intensity=False
        )
        assert np.array_equal(np.asarray(rgbd.color), sample.picture)
        fits = sample.depth < 13.1
        assert np.abs(np.asarray(rgbd.depth) - sample.depth)[fits].max() < 0.5 / 5000 + 1e-6
        cloud = o3d.geometry.PointCloud.create_from_rgbd_image(rgbd, camera, project_valid_depth_only=True)
        pose = np.eye(4)
        pose[:3, :3] = o3d.geometry.get_rotation_matrix_from_quaternion([qw, qx, qy, qz])
        pose[:3, 3] = tx, ty, tz
        points = np.asarray(cloud.transform(pose).points)
        assert plane_error(points, sample.instance_ids[np.asarray(rgbd.depth) > 0]) < 1e-3


def test_open3d_reads_the_format_as_its_own(dataset, folder) -> None:
    o3d = reader("open3d")
    _, rgb, _, depth = (folder / "associations.txt").read_text().splitlines()[0].split()
    pictures = [o3d.io.read_image(str(folder / name)) for name in (rgb, depth)]
    found = np.asarray(o3d.geometry.RGBDImage.create_from_tum_format(*pictures, convert_rgb_to_intensity=False).depth)
    near = dataset[0].depth < 3.99
    assert near.any() and np.abs(found - dataset[0].depth)[near].max() < 0.0002


def test_files_are_those_of_the_format(dataset, folder) -> None:
    assert (folder / "rgb.txt").read_text().splitlines()[1] == "0.200000 rgb/0.200000.png"
    depth = read_pixels(folder / "depth/0.240000.png")
    assert depth.dtype == np.uint16 and depth.shape == (80, 120, 1)
    assert np.all(depth[..., 0][~np.isfinite(dataset[1].depth)] == 0)
    assert read_pixels(folder / "rgb/0.240000.png").shape == (80, 120, 3)


def test_scale_makes_metres_of_units(tmp_path, dataset) -> None:
    report = export_tum(dataset[:2], tmp_path, scale=0.01, depth_factor=10_000)
    assert report.notes == ["The depth factor is 10000, not the format's own 5000: tell it to whoever reads it."]
    assert np.loadtxt(tmp_path / "balls/groundtruth.txt")[1, 1:4] == pytest.approx(dataset[1].c2w[:3, 3] / 100)
    depth = read_pixels(tmp_path / "balls/depth/0.240000.png")[..., 0] / 10_000
    hit = np.isfinite(dataset[1].depth)
    assert depth[hit] == pytest.approx(dataset[1].depth[hit] / 100, abs=5e-5)


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ("animated lens", "that of the sequence balls changes at frame 6"),
        ("fisheye equidistant", "no camera of model OPENCV_FISHEYE"),
        ("orthographic", "no camera of model ORTHOGRAPHIC"),
    ],
)
def test_other_cameras_are_refused(tmp_path, camera, message) -> None:
    other = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls", camera=camera))
    with pytest.raises(ConfigError, match=message):
        export_tum(other, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_frame_is_named_and_the_rest_done(tmp_path) -> None:
    broken = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls"))
    damage(broken[2], "depths")
    report = export_tum(broken, tmp_path / "out")
    assert (report.exit_code, report.frames, report.damaged[0].frame) == (1, 6, 7)
    for name in ("rgb.txt", "depth.txt", "associations.txt", "groundtruth.txt"):
        lines = [line for line in (tmp_path / "out/balls" / name).read_text().splitlines() if line[0] != "#"]
        assert len(lines) == 6 and not any(line.startswith("0.28") for line in lines)
