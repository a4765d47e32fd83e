"""Our own transforms.json, as it was rendered, is what the loaders of others take."""

from __future__ import annotations

import json

import fastjsonschema
import numpy as np
import pytest

from tests import synthetic
from visionsim.dataset.reader import Dataset

NUMBER = {"type": "number"}
PINHOLE = ("fl_x", "fl_y", "cx", "cy", "w", "h")

MINIMAL = {
    "type": "object",
    "required": ["frames"],
    "properties": {
        "camera_angle_x": NUMBER,
        **dict.fromkeys(PINHOLE, NUMBER),
        "camera_model": {"enum": ["OPENCV", "OPENCV_FISHEYE", "EQUIRECTANGULAR"]},
        "frames": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["file_path", "transform_matrix"],
                "properties": {
                    "file_path": {"type": "string", "pattern": r"\.(png|jpe?g|exr)$"},
                    "transform_matrix": {
                        "type": "array",
                        "minItems": 4,
                        "maxItems": 4,
                        "items": {"type": "array", "minItems": 4, "maxItems": 4, "items": NUMBER},
                    },
                    **dict.fromkeys(PINHOLE, NUMBER),
                },
            },
        },
    },
    # The camera, at the top or in each frame.
    "allOf": [
        {"anyOf": [{"required": [key]}, {"properties": {"frames": {"items": {"required": [key]}}}}]}
        for key in ("camera_angle_x", *PINHOLE)
    ],
}
"""What nerfstudio's parser, instant-ngp and loaders of NeRF-synthetic look at; all else they pass over.

Source: nerfstudio 1.1.5 data/dataparsers/{nerfstudio,blender,instant_ngp}_dataparser.py; instant-ngp nerf_loader.cu.
"""


@pytest.mark.parametrize("camera", ["perspective", "animated lens", "animated shift", "camera cut"])
def test_the_minimal_image_schema_accepts_ours(tmp_path, camera) -> None:
    folder = synthetic.write_dataset(tmp_path, camera=camera, num_frames=4, kinds=())
    document = json.loads((folder / "transforms.json").read_text())
    accepts = fastjsonschema.compile(MINIMAL)
    accepts(document)
    del document["frames"][1]["transform_matrix"]
    with pytest.raises(fastjsonschema.JsonSchemaValueException, match="transform_matrix"):
        accepts(document)


def test_it_refuses_cameras_that_others_would_take_for_a_pinhole(tmp_path) -> None:
    folder = synthetic.write_dataset(tmp_path, camera="orthographic", num_frames=1, kinds=())
    with pytest.raises(fastjsonschema.JsonSchemaValueException):
        fastjsonschema.compile(MINIMAL)(json.loads((folder / "transforms.json").read_text()))


@pytest.mark.parametrize("camera", ["perspective", "animated lens", "fisheye equidistant"])
def test_nerfstudio_reads_it_as_it_is(nerfstudio, tmp_path, camera) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls", camera=camera, num_frames=3))
    found = nerfstudio.read("nerfstudio", tmp_path / "balls", eval_mode="all", read_depth=False)
    assert list(found["names"]) == [f"frames/frame_{frame:06d}.png" for frame in (5, 6, 7)]
    assert np.abs(found["c2w"] - dataset.poses).max() < 1e-5
    for index, sample in enumerate(dataset):
        if sample.camera.model == "OPENCV":
            assert found["K"][index] == pytest.approx(sample.K, abs=1e-4)
        depth = np.where(np.isfinite(sample.depth), sample.depth, 0) * found["stretch"][index]
        points = found["origins"][index] + found["directions"][index] * depth[..., None]
        floor = (sample.instance_ids == 1) & (sample.depth < 50)
        assert np.abs(points[floor][:, 2]).max() < 1e-3


def test_the_loader_of_instant_ngp_reads_it_as_it_is(nerfstudio, tmp_path) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls", num_frames=3))
    found = nerfstudio.read("instant-ngp", tmp_path / "balls", eval_mode="all")
    assert np.abs(found["c2w"] - dataset.poses).max() < 1e-5
    assert np.abs(found["K"] - dataset.intrinsics).max() < 1e-4
