"""nerfstudio's parsers of NeRF-synthetic and of instant-ngp give back what was rendered."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests import synthetic
from tests.exports.conftest import damage, plane_error
from visionsim.dataset.reader import Dataset
from visionsim.errors import ConfigError
from visionsim.exports.geometry import PARTS, Parts
from visionsim.exports.ngp import aabb_scale, export_ngp
from visionsim.io.images import read_pixels


def documents(folder) -> dict[str, dict]:
    return {part: json.loads((folder / f"transforms_{part}.json").read_text()) for part in PARTS}


def test_nerf_synthetic_loader_gives_poses_angle_and_planes(nerfstudio, tmp_path, centred) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls", camera=centred))
    report = export_ngp(dataset, tmp_path / "out")
    assert (report.exit_code, report.frames, report.notes) == (0, 7, [])
    seen = 0
    for part, document in documents(tmp_path / "out/balls").items():
        found = nerfstudio.read("blender", tmp_path / "out/balls", part)
        for index, frame in enumerate(document["frames"]):
            sample = next(s for s in dataset if f"{s.frame:06d}" in frame["file_path"])
            assert found["names"][index] == f"{part}/frame_{sample.frame:06d}.png"
            assert np.abs(found["c2w"][index] - sample.c2w).max() < 1e-6
            assert found["K"][index] == pytest.approx(sample.K, abs=1e-4)
            # As instant-ngp does: steps times integer_depth_scale is planar depth, in units of the poses.
            depth = read_pixels(tmp_path / "out/balls" / frame["depth_path"])[..., 0] * document["integer_depth_scale"]
            near = (depth > 0) & (depth < 50)
            points = found["origins"][index] + found["directions"][index] * (depth * found["stretch"][index])[..., None]
            assert plane_error(points[near], sample.instance_ids[near]) < 1e-3
            seen += 1
    assert seen == len(dataset)


@pytest.mark.parametrize("part", PARTS)
def test_instant_ngp_loader_gives_the_whole_camera(nerfstudio, tmp_path, part) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls"))
    report = export_ngp(dataset, tmp_path / "out", parts=Parts(val=0.3, test=0.3))
    assert report.notes == [
        "The camera of balls is shifted (its axis is not seen at the centre of the picture): instant-ngp reads that "
        "(fl_x, cx, ...), loaders of NeRF-synthetic, which know one camera_angle_x, do not."
    ]
    path = tmp_path / "out/balls" / f"transforms_{part}.json"
    found = nerfstudio.read("instant-ngp", path, eval_mode="all")
    frames = [int(name[-10:-4]) for name in found["names"]]
    chosen = dataset[[list(dataset.frames).index(frame) for frame in frames]]
    assert len(frames) == {"train": 3, "val": 2, "test": 2}[part]
    assert np.abs(found["c2w"] - chosen.poses).max() < 1e-5
    assert np.abs(found["K"] - chosen.intrinsics).max() < 1e-4


def test_a_camera_that_changes_stands_in_each_frame(tmp_path) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls", camera="animated lens"))
    report = export_ngp(dataset, tmp_path / "out")
    assert "changes from frame to frame" in report.notes[0]
    document = documents(tmp_path / "out/balls")["train"]
    assert not {"camera_angle_x", "fl_x", "cx"} & set(document)
    for frame in document["frames"]:
        sample = next(s for s in dataset if f"{s.frame:06d}" in frame["file_path"])
        assert [frame[key] for key in ("fl_x", "fl_y", "cx", "cy")] == [
            sample.K[i] for i in ((0, 0), (1, 1), (0, 2), (1, 2))
        ]
        assert (frame["w"], frame["h"]) == (120, 80)  # instant-ngp divides cx by the w beside it.


def test_the_box_holds_what_is_seen(tmp_path) -> None:
    assert [aabb_scale(reach) for reach in (0.0, 1.5, 1.6, 3.0, 24.0, 192.0, 193.0)] == [1, 1, 2, 2, 16, 128, 256]
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls", num_frames=2))
    export_ngp(dataset, tmp_path / "out")
    assert documents(tmp_path / "out/balls")["train"]["aabb_scale"] == 4
    export_ngp(dataset, tmp_path / "out", scale=0.1)
    assert documents(tmp_path / "out/balls")["train"]["aabb_scale"] == 1
    report = export_ngp(dataset, tmp_path / "out", scale=100)
    assert any("further than instant-ngp looks (192): use --scale" in note for note in report.notes)


@pytest.mark.parametrize("camera", ["orthographic", "fisheye equidistant", "equirectangular", "cut to a panorama"])
def test_other_cameras_are_refused(tmp_path, camera) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls", camera=camera))
    with pytest.raises(ConfigError, match=r"instant-ngp has no camera of model .* leave out the sequence balls"):
        export_ngp(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_frame_is_named_and_the_rest_done(tmp_path) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls"))
    damage(dataset[2], "frames")
    report = export_ngp(dataset, tmp_path / "out")
    assert (report.exit_code, report.frames, report.damaged[0].frame) == (1, 6, 7)
    assert sum(len(document["frames"]) for document in documents(tmp_path / "out/balls").values()) == 6


def test_without_depth_there_are_pictures_and_poses(tmp_path) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls", kinds=(), num_frames=2))
    assert export_ngp(dataset, tmp_path / "out").exit_code == 0
    document = documents(tmp_path / "out/balls")["train"]
    assert "enable_depth_loading" not in document and "depth_path" not in document["frames"][0]
