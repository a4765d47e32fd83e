"""nerfstudio's own data parser, dataset and rays give back what was rendered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests import synthetic
from tests.exports.conftest import damage, plane_error
from visionsim.dataset.reader import Dataset
from visionsim.errors import ConfigError
from visionsim.exports.geometry import PARTS, Parts
from visionsim.exports.nerfstudio import export_nerfstudio

ALL = Parts(val=0, test=0)


def made(folder: Path, camera: str = "perspective", **options) -> Dataset:
    return Dataset.from_path(synthetic.write_dataset(folder, camera=camera, **options))


@pytest.mark.parametrize(
    ("camera", "depth"),
    [
        ("perspective", "png"),
        ("perspective", "npy"),
        ("animated lens", "png"),
        ("fisheye equidistant", "npy"),
        ("equirectangular", "png"),
        ("equirectangular, shifted", "npy"),
    ],
)
def test_planes_and_cameras_are_recovered(nerfstudio, tmp_path, camera, depth) -> None:
    dataset = made(tmp_path / "balls", camera, num_frames=2)
    report = export_nerfstudio(dataset, tmp_path / "out", depth=depth, parts=ALL)
    assert (report.exit_code, report.frames) == (0, 2)
    found = nerfstudio.read("nerfstudio", tmp_path / "out" / "balls")
    assert np.abs(found["c2w"] - dataset.poses).max() < 1e-5
    for index, sample in enumerate(dataset):
        if camera in ("perspective", "animated lens"):
            assert found["K"][index] == pytest.approx(sample.K, abs=1e-4)
        fits = np.isfinite(sample.depth) & ((sample.depth < 65.5) | (depth == "npy"))
        distance = found["depth"][index]
        assert np.all(distance[~fits] == 0)
        assert np.abs(distance - sample.depth)[fits].max() < (0.00051 if depth == "png" else 1e-6 * 1100)
        # As its depth losses do: depth is along the axis, the rays have length 1.
        points = found["origins"][index] + found["directions"][index] * (distance * found["stretch"][index])[..., None]
        near = fits & (sample.depth < 50)  # Its rays are of single precision.
        assert plane_error(points[near], sample.instance_ids[near]) < 1e-3
        assert np.array_equal(np.rint(found["pictures"][index] * 255), sample.picture)


def test_default_lists_are_disjoint_and_read(nerfstudio, tmp_path) -> None:
    dataset = made(tmp_path / "balls")
    export_nerfstudio(dataset, tmp_path / "out")
    names = {part: list(nerfstudio.read("nerfstudio", tmp_path / "out/balls", part)["names"]) for part in PARTS}
    assert [len(names[part]) for part in PARTS] == [5, 1, 1]
    assert sorted(name for part in PARTS for name in names[part]) == [
        f"images/frame_{frame:06d}.png" for frame in range(5, 12)
    ]


def test_scale_is_that_of_positions_and_depth(nerfstudio, tmp_path) -> None:
    dataset = made(tmp_path / "balls", num_frames=2)
    export_nerfstudio(dataset, tmp_path / "out", scale=0.01, depth_factor=100_000, parts=ALL)
    found = nerfstudio.read("nerfstudio", tmp_path / "out/balls", depth_unit_scale_factor=1e-5)
    assert found["c2w"][:, :3, 3] == pytest.approx(dataset.poses[:, :3, 3] / 100, abs=1e-6)
    hit = np.isfinite(dataset[1].depth) & (dataset[1].depth < 65)
    assert found["depth"][1][hit] == pytest.approx(dataset[1].depth[hit] / 100, abs=6e-6)


def test_pixels_without_a_ray_are_masked(nerfstudio, tmp_path) -> None:
    dataset = made(tmp_path / "fish", "fisheye equidistant", num_frames=2)
    export_nerfstudio(dataset, tmp_path / "out", parts=ALL)
    masks = nerfstudio.read("nerfstudio", tmp_path / "out/fish")["masks"]
    y, x = np.mgrid[: synthetic.HEIGHT, : synthetic.WIDTH] + 0.5
    rays = np.isfinite(dataset[0].camera.unproject(x, y, 1.0)).all(axis=-1)
    assert np.array_equal(masks[0], rays) and rays.any() and not rays.all()


def test_each_sequence_is_a_dataset(nerfstudio, tmp_path) -> None:
    for scene in "ab":
        synthetic.write_dataset(tmp_path / "ds/renders" / scene / "001-00005-00008", num_frames=3)
    dataset = Dataset.from_path(tmp_path / "ds")
    report = export_nerfstudio(dataset, tmp_path / "out")
    assert report.frames == 6
    for name, sequence in dataset.sequences().items():
        found = nerfstudio.read("nerfstudio", tmp_path / "out" / name, "test")
        assert list(found["names"]) == ["images/frame_000006.png"]
        assert np.abs(found["c2w"][0] - sequence[1].c2w).max() < 1e-5


def test_splits_json_gives_whole_sequences(tmp_path) -> None:
    for name in "abc":
        synthetic.write_dataset(tmp_path / "ds/renders/room" / name, num_frames=2, kinds=())
    splits = {"train": ["renders/room/a"], "val": ["renders/room/c"], "test": ["renders/room/b"]}
    (tmp_path / "ds/splits.json").write_text(json.dumps({"splits": splits}))
    dataset = Dataset.from_path(tmp_path / "ds")
    parts = Parts.of_splits(tmp_path / "ds", dataset)
    export_nerfstudio(dataset, tmp_path / "out", depth="none", parts=parts)
    for name, part in zip("abc", ("train", "test", "val"), strict=True):
        document = json.loads((tmp_path / "out/room" / name / "transforms.json").read_text())
        assert [len(document[f"{each}_filenames"]) for each in PARTS] == [2 * (each == part) for each in PARTS]
        assert "depth_file_path" not in document["frames"][0]
    (tmp_path / "ds/splits.json").write_text(json.dumps({"splits": {"train": ["renders/room/a"]}}))
    with pytest.raises(ConfigError, match="does not say which part the sequence room/b is of"):
        Parts.of_splits(tmp_path / "ds", dataset)
    (tmp_path / "ds/splits.json").write_text(json.dumps({"splits": {"train": [], "debug": []}}))
    with pytest.raises(ConfigError, match=r"splits\.json has debug"):
        Parts.of_splits(tmp_path / "ds", dataset)


def test_what_does_not_fit_is_without_depth_and_told(tmp_path) -> None:
    dataset = made(tmp_path / "balls", num_frames=1)
    farthest = dataset[0].depth[np.isfinite(dataset[0].depth)].max()
    report = export_nerfstudio(dataset, tmp_path / "out", depth_factor=10_000)
    (first, second) = report.notes
    assert "farther than the 6.5535 units that 16 bits hold" in first and f"up to {farthest:.6g}" in first
    assert "--depth npy" in first and "--depth-unit-scale-factor 0.0001" in second
    assert export_nerfstudio(dataset, tmp_path / "npy", depth="npy").notes == []


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ("orthographic", "no camera of model ORTHOGRAPHIC.* leave out the sequence balls"),
        ("fisheye equisolid", "no camera of model FISHEYE_EQUISOLID"),
        ("cut to a panorama", "one camera model for all frames, the sequence balls has several"),
    ],
)
def test_other_cameras_are_refused(tmp_path, camera, message) -> None:
    with pytest.raises(ConfigError, match=message):
        export_nerfstudio(made(tmp_path / "balls", camera), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["frames", "depths"])
def test_damaged_frame_is_named_and_the_rest_done(nerfstudio, tmp_path, kind) -> None:
    dataset = made(tmp_path / "balls")
    damage(dataset[2], kind)
    report = export_nerfstudio(dataset, tmp_path / "out", parts=ALL)
    assert (report.exit_code, report.frames) == (1, 6)
    assert [(d.sequence, d.frame) for d in report.damaged] == [("balls", 7)]
    assert len(nerfstudio.read("nerfstudio", tmp_path / "out/balls")["names"]) == 6


def test_without_depth_there_is_something_to_say(tmp_path) -> None:
    dataset = made(tmp_path / "balls", kinds=())
    with pytest.raises(ConfigError, match="needs depths, and there are only frames"):
        export_nerfstudio(dataset, tmp_path / "out")
    assert export_nerfstudio(dataset, tmp_path / "out", depth="none").exit_code == 0
