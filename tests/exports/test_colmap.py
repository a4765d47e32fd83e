"""pycolmap reads the models: cameras, poses, points, and where images see them, are what was rendered."""

from __future__ import annotations

import numpy as np
import pytest

from tests import synthetic
from tests.exports.conftest import damage, reader
from visionsim.dataset.reader import Dataset
from visionsim.errors import ConfigError
from visionsim.exports.colmap import FOLLOWED, export_colmap
from visionsim.exports.geometry import opencv_c2w


def made(folder, camera: str = "perspective", **options) -> Dataset:
    return Dataset.from_path(synthetic.write_dataset(folder, camera=camera, **options))


@pytest.mark.parametrize(
    ("camera", "form"),
    [
        ("perspective", "binary"),
        ("perspective", "text"),
        ("animated lens", "text"),
        ("fisheye equidistant", "binary"),
        ("equirectangular", "binary"),
        ("camera cut", "text"),
    ],
)
def test_model_is_what_was_rendered(tmp_path, camera, form) -> None:
    pycolmap = reader("pycolmap")
    dataset = made(tmp_path / "balls", camera)
    report = export_colmap(dataset, tmp_path / "out", form, max_points=3000)
    assert (report.exit_code, report.frames) == (0, 7)
    model = pycolmap.Reconstruction(str(tmp_path / "out/balls/sparse/0"))
    assert model.num_images() == model.num_reg_images() == len(dataset) and model.is_valid()
    assert model.num_cameras() == len({sample.camera for sample in dataset})
    observed = 0
    for sample in dataset:
        image = model.find_image_with_name(f"frame_{sample.frame:06d}.png")
        assert (tmp_path / "out/balls/images" / image.name).read_bytes() == sample.path("frames").read_bytes()
        w2c = np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]])
        assert np.abs(np.linalg.inv(w2c) - opencv_c2w(sample.c2w)).max() < 1e-9
        if sample.camera.model == "OPENCV":
            assert image.camera.calibration_matrix() == pytest.approx(sample.K, abs=1e-12)
        seen = [point for point in image.points2D if point.has_point3D()]
        observed += len(seen)
        # COLMAP's own camera sees the point there, and it is on a surface that our ids say is seen there.
        points = np.array([model.points3D[point.point3D_id].xyz for point in seen])
        at = np.array([point.xy for point in seen])
        projected = np.array([image.project_point(point) for point in points])
        assert np.abs(projected - at).max() < 2e-3
        assert off_surfaces(points, at, sample.instance_ids) < 1e-3
    assert model.num_points3D() > 1500
    assert model.compute_mean_track_length() == observed / model.num_points3D() > 2


def off_surfaces(points: np.ndarray, at: np.ndarray, ids: np.ndarray) -> float:
    """How far points are from the nearest of the surfaces of the four pixels around; number 4 moves, and has none."""
    distance = {
        1: np.abs(points[:, 2]),
        2: np.abs(points[:, 1] - 4),
        3: np.abs(np.linalg.norm(points - synthetic.ball_at(3, 0), axis=-1) - 0.7),
    }
    column, row = np.clip(at - 0.5, 0, (synthetic.WIDTH - 2, synthetic.HEIGHT - 2)).astype(int).T
    best = np.full(len(points), np.inf)
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        here = ids[row + down, column + right]
        best = np.minimum(best, np.select([here == n for n in distance], list(distance.values()), np.inf))
    return float(best.max())


def test_colours_are_those_of_the_pictures(tmp_path) -> None:
    pycolmap = reader("pycolmap")
    dataset = made(tmp_path / "balls", num_frames=2)
    export_colmap(dataset, tmp_path / "out", max_points=200)
    model = pycolmap.Reconstruction(str(tmp_path / "out/balls/sparse/0"))
    for point in model.points3D.values():
        first = point.track.elements[0]
        x, y = model.images[first.image_id].points2D[first.point2D_idx].xy
        assert (x % 1, y % 1) == (0.5, 0.5)
        picture = next(s for s in dataset if f"{s.frame:06d}" in model.images[first.image_id].name).picture
        assert np.array_equal(point.color, picture[int(y), int(x)])


def test_both_forms_are_one_model(tmp_path) -> None:
    pycolmap = reader("pycolmap")
    dataset = made(tmp_path / "balls", num_frames=3)
    models = []
    for form in ("binary", "text"):
        export_colmap(dataset, tmp_path / form, form, max_points=500, scale=2.5)
        models.append(pycolmap.Reconstruction(str(tmp_path / form / "balls/sparse/0")))
    binary, text = models
    assert sorted(binary.points3D) == sorted(text.points3D)
    for number, point in binary.points3D.items():
        assert np.array_equal(point.xyz, text.points3D[number].xyz)
        assert [(e.image_id, e.point2D_idx) for e in point.track.elements] == [
            (e.image_id, e.point2D_idx) for e in text.points3D[number].track.elements
        ]
    positions = np.array([binary.images[i].projection_center() for i in (1, 2, 3)])
    assert positions == pytest.approx(dataset.poses[:, :3, 3] * 2.5)


def test_points_are_followed_as_long_as_it_is_said(tmp_path, monkeypatch) -> None:
    pycolmap = reader("pycolmap")
    monkeypatch.setattr("visionsim.exports.colmap.FOLLOWED", 2)
    assert FOLLOWED == 30
    export_colmap(made(tmp_path / "balls"), tmp_path / "out", max_points=700)
    model = pycolmap.Reconstruction(str(tmp_path / "out/balls/sparse/0"))
    assert model.is_valid() and max(len(point.track.elements) for point in model.points3D.values()) == 3


def test_without_depth_or_ids(tmp_path) -> None:
    pycolmap = reader("pycolmap")
    report = export_colmap(made(tmp_path / "none", kinds=()), tmp_path / "out")
    assert report.notes == ["The models have no points, which come from depths."]
    model = pycolmap.Reconstruction(str(tmp_path / "out/none/sparse/0"))
    assert (model.num_reg_images(), model.num_points3D()) == (7, 0)
    report = export_colmap(made(tmp_path / "depths", kinds=("depths",)), tmp_path / "out", max_points=500)
    assert "Points on moving objects" in report.notes[0]
    assert pycolmap.Reconstruction(str(tmp_path / "out/depths/sparse/0")).num_points3D() > 400


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ("orthographic", "COLMAP has no camera of model ORTHOGRAPHIC"),
        ("fisheye equisolid", "COLMAP has no camera of model FISHEYE_EQUISOLID"),
        ("equirectangular, shifted", "whole panoramas only, balls is a part of one"),
    ],
)
def test_other_cameras_are_refused(tmp_path, camera, message) -> None:
    with pytest.raises(ConfigError, match=message):
        export_colmap(made(tmp_path / "balls", camera), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_in_the_other_form_is_not_left_beside(tmp_path) -> None:
    dataset = made(tmp_path / "balls", num_frames=2)
    export_colmap(dataset, tmp_path / "out", "text", max_points=10)
    with pytest.raises(ConfigError, match="A model in the other form is there"):
        export_colmap(dataset, tmp_path / "out", "binary")
    assert export_colmap(dataset, tmp_path / "out", "text", max_points=10).exit_code == 0


@pytest.mark.parametrize("kind", ["frames", "depths", "segmentations"])
def test_damaged_frame_is_named_and_the_rest_done(tmp_path, kind) -> None:
    pycolmap = reader("pycolmap")
    dataset = made(tmp_path / "balls")
    damage(dataset[2], kind)
    report = export_colmap(dataset, tmp_path / "out", max_points=500)
    assert (report.exit_code, report.frames, report.damaged[0].frame) == (1, 6, 7)
    model = pycolmap.Reconstruction(str(tmp_path / "out/balls/sparse/0"))
    assert model.num_images() == 6 and model.is_valid()
    assert not (tmp_path / "out/balls/images/frame_000007.png").exists()
