"""Open3D reads point clouds and meshes, whose planes are where they were."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests import synthetic
from tests.exports.conftest import damage, plane_error, reader
from visionsim.dataset.reader import Dataset
from visionsim.errors import ConfigError
from visionsim.exports import points as exporter
from visionsim.exports.points import VERTEX, Voxels, export_mesh, export_points, groups


def made(folder, camera: str = "perspective", **options) -> Dataset:
    return Dataset.from_path(synthetic.write_dataset(folder, camera=camera, **options))


@pytest.mark.parametrize(
    "camera",
    ["perspective", "orthographic", "fisheye equisolid", "fisheye equidistant", "equirectangular, shifted"],
)
def test_every_pixel_is_where_it_was(tmp_path, camera) -> None:
    o3d = reader("open3d")
    dataset = made(tmp_path / "balls", camera, num_frames=2)
    report = export_points(dataset, tmp_path / "out", voxel=0, moving=True)
    assert (report.exit_code, report.frames, report.notes) == (0, 2, [])
    cloud = o3d.t.io.read_point_cloud(str(tmp_path / "out/balls/points.ply")).point
    hit = [np.isfinite(sample.depth) for sample in dataset]
    ids = np.concatenate([sample.instance_ids[here] for sample, here in zip(dataset, hit, strict=True)])
    assert np.array_equal(cloud["instance"].numpy().reshape(-1), ids)
    positions = cloud.positions.numpy()
    near = np.concatenate([sample.depth[here] for sample, here in zip(dataset, hit, strict=True)]) < 50
    assert plane_error(positions[near], ids[near]) < 1e-3
    colours = np.concatenate([sample.picture[here] for sample, here in zip(dataset, hit, strict=True)])
    assert np.array_equal(cloud.colors.numpy(), colours)
    normals = cloud.normals.numpy()
    assert np.abs(normals[ids == 1] - [0, 0, 1]).max() < 1e-5
    assert np.abs(normals[ids == 2] - [0, -1, 0]).max() < 1e-5
    legend = json.loads((tmp_path / "out/balls/labels.json").read_text())
    names = [legend["classes"][str(number)] for number in cloud["class"].numpy().reshape(-1)]
    assert names == [legend["instances"][str(number)]["class"] for number in ids]
    older = o3d.io.read_point_cloud(str(tmp_path / "out/balls/points.ply"))
    assert np.asarray(older.points) == pytest.approx(positions) and older.has_normals() and older.has_colors()


def test_voxels_join_points_of_one_object(tmp_path) -> None:
    o3d = reader("open3d")
    dataset = made(tmp_path / "balls")
    report = export_points(dataset, tmp_path / "out", voxel=0.1, max_depth=20)
    assert report.notes == ["Objects that may move are left out; --moving keeps them."]
    cloud = o3d.t.io.read_point_cloud(str(tmp_path / "out/balls/points.ply")).point
    positions, ids = cloud.positions.numpy(), cloud["instance"].numpy().reshape(-1)
    assert set(ids) == {1, 2, 3}  # Number 4 moves.
    assert plane_error(positions, ids) < 1e-3
    cells = np.column_stack([np.floor(positions.astype(np.float64) / 0.1), ids])
    inside = np.abs(positions / 0.1 - np.round(positions / 0.1)).min(axis=1) > 1e-3  # Not at the border of two.
    assert len(np.unique(cells[inside], axis=0)) == inside.sum()
    assert np.linalg.norm(cloud.normals.numpy(), axis=1) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(positions[ids == 3] - [-1.0, 1.0, 0.7], axis=1) == pytest.approx(0.7, abs=0.01)


def test_voxel_goes_by_depth_unless_it_is_given(tmp_path) -> None:
    dataset = made(tmp_path / "balls", num_frames=2)
    (note,) = export_points(dataset, tmp_path / "out", scale=100, moving=True).notes
    median = np.median(dataset[0].depth[np.isfinite(dataset[0].depth)])
    assert note == f"balls: points of one object within {100 * median / 250:.3g} units are one (--voxel)."
    data = (tmp_path / "out/balls/points.ply").read_bytes()
    end = data.index(b"end_header\n") + len(b"end_header\n")
    points = np.frombuffer(data[end:], VERTEX)
    assert np.abs(points["y"][points["instance"] == 2] - 400).max() < 0.01


def test_voxels_are_the_same_however_points_come() -> None:
    rng = np.random.default_rng(5)
    points = np.zeros(5000, VERTEX)
    for name in "xyz":
        points[name] = rng.uniform(-3, 3, len(points))
    points["nz"], points["instance"], points["red"] = (
        1,
        rng.integers(0, 4, len(points)),
        rng.integers(0, 255, len(points)),
    )
    one, many = Voxels(0.5), Voxels(0.5)
    one.add(points)
    for part in np.array_split(points, 17):
        many.add(part)
        many._merge()
    a, b = one.points(), many.points()
    assert np.array_equal(a[["instance", "red"]], b[["instance", "red"]])
    slow = {}
    for point in points:
        key = (*(int(np.floor(float(point[name]) / 0.5)) for name in "xyz"), int(point["instance"]))
        slow.setdefault(key, []).append(point)
    assert len(a) == len(slow)
    for found, (_, members) in zip(a, sorted(slow.items()), strict=True):
        for name in "xyz":
            assert found[name] == pytest.approx(np.mean([float(member[name]) for member in members]), abs=1e-6)


def test_groups_of_rows_too_far_apart_for_one_number() -> None:
    keys = np.array([[0, 0], [2**40, -(2**40)], [0, 0], [-(2**40), 2**40]])
    first, which = groups(keys)
    assert np.array_equal(keys[first][which], keys) and len(first) == 3
    small_first, small_which = groups(np.array([[5, 7], [3, 7], [5, 7]]))
    assert list(small_first) == [1, 0] and list(small_which) == [1, 0, 1]


def test_without_other_kinds_it_is_points(tmp_path) -> None:
    dataset = made(tmp_path / "balls", kinds=("depths",), num_frames=2)
    report = export_points(dataset, tmp_path / "out", voxel=0.2)
    assert report.notes == [
        "What moves is wherever it was: without segmentations nobody knows which objects these are."
    ]
    with pytest.raises(ConfigError, match="A point cloud needs depths"):
        export_points(made(tmp_path / "none", kinds=()), tmp_path / "none-out")


def test_mesh_is_on_the_surfaces(tmp_path) -> None:
    o3d = reader("open3d")
    dataset = made(tmp_path / "balls")
    report = export_mesh(dataset, tmp_path / "out", voxel=0.06, max_depth=15)
    assert (report.exit_code, report.frames) == (0, 7)
    mesh = o3d.io.read_triangle_mesh(str(tmp_path / "out/balls/mesh.ply"))
    vertices, normals = np.asarray(mesh.vertices), np.asarray(mesh.vertex_normals)
    colours = np.asarray(mesh.vertex_colors)
    assert 0.3 < colours.mean() < 0.8 and colours.max() <= 1
    wall = (np.abs(vertices[:, 1] - 4) < 0.2) & (np.abs(vertices[:, 2] - 1.2) < 0.9) & (np.abs(vertices[:, 0]) < 2)
    floor = (np.abs(vertices[:, 2]) < 0.2) & (np.abs(vertices[:, 1] + 2) < 1)
    assert wall.sum() > 1000 and floor.sum() > 500
    for error in (vertices[wall, 1] - 4, vertices[floor, 2]):
        assert abs(error.mean()) < 1e-3 and np.abs(error).mean() < 4e-3
    assert normals[wall].mean(axis=0) == pytest.approx([0, -1, 0], abs=0.02)
    assert normals[floor].mean(axis=0) == pytest.approx([0, 0, 1], abs=0.02)


def test_mesh_of_nothing(tmp_path) -> None:
    reader("open3d")
    dataset = made(tmp_path / "balls", num_frames=2)
    report = export_mesh(dataset, tmp_path / "out", voxel=0.05, max_depth=0.1)
    assert report.notes[-1] == "balls has no surface within reach: there is no mesh of it."
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="no camera of model ORTHOGRAPHIC"):
        export_mesh(made(tmp_path / "flat", "orthographic"), tmp_path / "out")
    for options in ({"voxel": 0.0}, {"scale": -1}, {"max_depth": float("nan")}):
        with pytest.raises(ConfigError, match="must be positive"):
            export_mesh(dataset, tmp_path / "out", **options)
    with pytest.raises(ConfigError, match=r"voxel must be positive, not -0\.1"):
        export_points(dataset, tmp_path / "out", voxel=-0.1)


def test_mesh_without_open3d_names_the_extra(tmp_path, monkeypatch) -> None:
    def missing(module: str, extra: str):
        raise ConfigError(f"{module} {extra}")

    monkeypatch.setattr(exporter, "require", missing)
    with pytest.raises(ConfigError, match="open3d mesh"):
        export_mesh(made(tmp_path / "balls", num_frames=1), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("voxel", [0, 0.2])
def test_damaged_frame_is_named_and_the_rest_done(tmp_path, voxel) -> None:
    dataset = made(tmp_path / "balls")
    damage(dataset[0], "normals")
    report = export_points(dataset, tmp_path / "out", voxel=voxel)
    assert (report.exit_code, report.frames, report.damaged[0].frame) == (1, 6, 5)
    assert (tmp_path / "out/balls/points.ply").stat().st_size > 10_000
