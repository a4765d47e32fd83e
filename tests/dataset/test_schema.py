"""transforms.json and info.json: their numbers by hand, and what their schemas refuse."""

from __future__ import annotations

import copy
import json
import math

import fastjsonschema
import pytest

from tests.helpers import camera_values
from visionsim.dataset.journal import FrameRecord, StoredFile, settings_digest
from visionsim.dataset.kinds import KINDS, frame_path
from visionsim.dataset.schema import (
    CAMERA_FIELDS,
    info_document,
    load_schema,
    read_document,
    transforms_document,
    validate,
    write_document,
)
from visionsim.errors import SchemaError
from visionsim.simulation.config import GROUND_TRUTHS

SETTINGS = {"keyframe_multiplier": 2.0, "blender": "5.0.1 abc", "device": "cpu", "seed": 3, "width": 6}
LABELS = {"1": {"name": "Cube", "path": "Cube", "class": "object", "motion": "static"}}


def record(frame: int, kinds=(), x: float = 0.0, **camera) -> FrameRecord:
    """A frame whose camera stands at (x, 0, 4)."""
    matrix = [[1, 0, 0, x], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]
    paths = {kind: frame_path(kind, frame, ".png" if kind == "frames" else None) for kind in ("frames", *kinds)}
    files = {kind: StoredFile(path.as_posix(), 1, "00000000") for kind, path in paths.items()}
    return FrameRecord(frame, 4, camera_values(**{"matrix_world": matrix, **camera}), files)


def transforms(*records: FrameRecord, fps: float = 48.0, frame_step: int = 1) -> dict:
    return transforms_document(records, settings=SETTINGS, fps=fps, frame_step=frame_step, labels=LABELS)


@pytest.fixture
def document() -> dict:
    return transforms(*(record(frame, KINDS, x=frame) for frame in (1, 2, 3)))


# transforms.json.


def test_every_kind_of_ground_truth_is_described():
    assert set(KINDS) == set(GROUND_TRUTHS)


def test_transforms_match_their_schema(document):
    validate("transforms", document)
    validate("transforms", transforms(record(1)))


def test_camera_values_that_never_change_stand_at_the_top(document):
    assert document["camera_model"] == "OPENCV"
    # 50 mm on 36 mm over 6 pixels.
    focal = 50 / 36 * 6
    assert [document[name] for name in ("fl_x", "fl_y", "cx", "cy", "w", "h", "c")] == [focal, focal, 3, 2, 6, 4, 4]
    assert document["intrinsics"] == [[focal, 0, 3], [0, focal, 2], [0, 0, 1]]
    assert document["camera_angle_x"] == pytest.approx(2 * math.atan(18 / 50))
    assert document["depth_kind"] == "planar"
    described = {name: value for name, value in camera_values().items() if name in CAMERA_FIELDS}
    assert {name: value for name, value in document.items() if name in CAMERA_FIELDS} == described
    assert {"type", "lens", "angle_x", "sensor_fit"} <= set(described)
    assert set(document["frames"][0]) == {
        "file_path", "depth_file_path", "normal_file_path", "segmentation_file_path", "flow_file_path",
        "occlusion_file_path", "transform_matrix", "frame", "time",
    }  # fmt: skip


def test_camera_values_that_change_stand_in_each_frame():
    changing = transforms(record(1, lens=50.0), record(2, lens=60.0), record(3, lens=60.0))
    validate("transforms", changing)
    assert [frame["lens"] for frame in changing["frames"]] == [50, 60, 60]
    assert [frame["fl_x"] for frame in changing["frames"]] == pytest.approx([50 / 6, 10, 10])
    for name in ("lens", "fl_x", "fl_y", "intrinsics", "camera_angle_x"):
        assert name not in changing
        assert all(name in frame for frame in changing["frames"])
    assert changing["cx"] == 3 and changing["w"] == 6


def test_shift_that_changes_moves_only_the_centre():
    changing = transforms(record(1), record(2, shift_x=0.5))
    assert [frame["cx"] for frame in changing["frames"]] == [3, 0]
    assert "cx" not in changing and "shift_x" not in changing
    assert "fl_x" in changing and "cy" in changing


PANORAMA = {
    "type": "PANO", "longitude_min": -math.pi, "longitude_max": math.pi, "latitude_min": -math.pi / 2,
    "latitude_max": math.pi / 2, "fisheye_fov": math.pi, "fisheye_lens": 10.5,
}  # fmt: skip
OF_BLENDER = ["type", "sensor_width", "sensor_height", "sensor_fit", "shift_x", "shift_y", "clip_start", "clip_end"]


@pytest.mark.parametrize(
    ("camera", "model", "depth_kind", "fields"),
    [
        ({"type": "ORTHO", "ortho_scale": 3.0}, "ORTHOGRAPHIC", "planar",
         {"pixels_per_unit_x": 2.0, "pixels_per_unit_y": 2.0, "cx": 3.0, "cy": 2.0, "ortho_scale": 3.0}),
        ({**PANORAMA, "panorama_type": "EQUIRECTANGULAR", "shift_x": 0.25}, "EQUIRECTANGULAR", "radial",
         {"longitude_min": -math.pi / 2, "longitude_max": 1.5 * math.pi, "latitude_min": -math.pi / 2,
          "latitude_max": math.pi / 2, "panorama_type": "EQUIRECTANGULAR"}),
        ({**PANORAMA, "panorama_type": "FISHEYE_EQUIDISTANT"}, "OPENCV_FISHEYE", "radial",
         {"fl_x": 6 / math.pi, "fl_y": 4 / math.pi, "cx": 3.0, "cy": 2.0, "fov": math.pi, "k1": 0, "k2": 0, "k3": 0,
          "k4": 0, "fisheye_fov": math.pi}),
        ({**PANORAMA, "panorama_type": "FISHEYE_EQUISOLID"}, "FISHEYE_EQUISOLID", "radial",
         {"fl_x": 1.75, "fl_y": 1.75, "cx": 3.0, "cy": 2.0, "fov": math.pi, "fisheye_lens": 10.5}),
    ],
)  # fmt: skip
def test_cameras_that_are_no_pinholes_cannot_be_taken_for_one(camera, model, depth_kind, fields):
    document = transforms(record(1, KINDS, **camera), record(2, KINDS, **camera))
    validate("transforms", document)
    assert (document["camera_model"], document["depth_kind"]) == (model, depth_kind)
    assert {name: document[name] for name in fields} == pytest.approx(fields)
    assert [document[name] for name in OF_BLENDER if name not in document] == []
    # What pinhole loaders look for.
    absent = {"intrinsics", "camera_angle_x", "lens", "angle", "angle_x", "angle_y"}
    assert not absent & set(document) and ("fl_x" in document) == ("fl_x" in fields)
    assert document["conventions"]["depth"].startswith(f"channel Y: {depth_kind} depth")
    for name in fields:
        if name not in CAMERA_FIELDS or name == "ortho_scale":
            missing = {key: value for key, value in document.items() if key != name}
            with pytest.raises(SchemaError):
                validate("transforms", missing)


def test_model_that_changes_stands_in_each_frame():
    """A timeline marker may switch to a camera of another type."""
    switched = transforms(record(1, ["depths"]), record(2, ["depths"], type="ORTHO", ortho_scale=3.0))
    validate("transforms", switched)
    assert [frame["camera_model"] for frame in switched["frames"]] == ["OPENCV", "ORTHOGRAPHIC"]
    assert "camera_model" not in switched and switched["depth_kind"] == "planar"
    assert ["fl_x" in frame for frame in switched["frames"]] == [True, False]


def test_kind_of_depth_that_changes_is_said_so():
    switched = transforms(record(1, ["depths"]), record(2, ["depths"], panorama_type="EQUIRECTANGULAR", **PANORAMA))
    validate("transforms", switched)
    assert [frame["depth_kind"] for frame in switched["frames"]] == ["planar", "radial"]
    assert "by the frame's `depth_kind`: planar depth" in switched["conventions"]["depth"]


def test_frames_tell_number_time_pose_and_files():
    first, second = transforms(record(24, ["depths"], x=1.0), record(25, ["depths"], x=2.5))["frames"]
    assert (first["frame"], first["time"]) == (24, 0.5)
    assert (second["frame"], second["time"]) == (25, 25 / 48)
    assert first["file_path"] == "frames/frame_000024.png"
    assert first["depth_file_path"] == "depths/depth_000024.exr"
    assert second["transform_matrix"] == [[1, 0, 0, 2.5], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]


def test_pose_has_no_scale():
    scaled = [[2, 0, 0, 1], [0, 3, 0, 2], [0, 0, 4, 3], [0, 0, 0, 1]]
    (frame,) = transforms(record(1, matrix_world=scaled))["frames"]
    assert frame["transform_matrix"] == [[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]


def test_rate_counts_the_frames_that_are_there():
    stepped = transforms(record(0), record(4), fps=48.0, frame_step=4)
    assert stepped["fps"] == 12
    assert [frame["time"] for frame in stepped["frames"]] == [0, 4 / 48]


def test_generator_tells_how_it_was_made(document):
    generator = document["generator"]
    assert generator["blender"] == "5.0.1 abc" and generator["seed"] == 3 and generator["device"] == "cpu"
    assert generator["settings_digest"] == settings_digest(SETTINGS)
    assert document["keyframe_multiplier"] == 2.0


def test_labels_are_there_with_segmentations_only(document):
    assert document["labels"] == LABELS
    assert "labels" not in transforms(record(1, ["depths"]))


def test_kind_that_a_frame_lacks_is_left_out():
    mixed = transforms(record(1, ["depths", "flows"]), record(2, ["depths"]))
    assert all("depth_file_path" in frame and "flow_file_path" not in frame for frame in mixed["frames"])
    assert "depth" in mixed["conventions"] and "flow" not in mixed["conventions"]


def test_conventions_are_words(document):
    for name in ("world", "camera", "transform_matrix", "pixels", "depth", "normal", "segmentation", "flow"):
        assert len(document["conventions"][name]) > 10


# What the schema refuses.

REQUIRED = ("fps", "keyframe_multiplier", "conventions", "generator", "frames")


@pytest.mark.parametrize("name", REQUIRED)
def test_transforms_without_a_required_value_are_refused(document, name):
    del document[name]
    with pytest.raises(SchemaError, match=name):
        validate("transforms", document)


@pytest.mark.parametrize("name", ["file_path", "frame", "time", "transform_matrix"])
def test_frame_without_a_required_value_is_refused(document, name):
    del document["frames"][1][name]
    with pytest.raises(SchemaError, match=name):
        validate("transforms", document)


@pytest.mark.parametrize("name", ["file_path", *(kind.key for kind in KINDS.values())])
@pytest.mark.parametrize("path", ["/data/frame.png", "", 7, None])
def test_path_that_is_not_relative_is_refused(document, name, path):
    document["frames"][0][name] = path
    with pytest.raises(SchemaError, match=name):
        validate("transforms", document)


def wrong(*keys, value):
    def change(document: dict) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        wrong("camera_model", value="PINHOLE"),
        wrong("type", value="ORTHO"),
        wrong("depth_kind", value="radial"),
        wrong("camera_model", value="ORTHOGRAPHIC"),
        wrong("fl_x", value=0.0),
        wrong("fl_x", value="50"),
        wrong("w", value=0),
        wrong("w", value=6.5),
        wrong("c", value=5),
        wrong("sensor_fit", value="FILL"),
        wrong("fps", value=0),
        wrong("fps", value=True),
        wrong("intrinsics", value=[[1, 0], [0, 1]]),
        wrong("frames", value=[]),
        wrong("frames", 0, "frame", value=1.5),
        wrong("frames", 0, "transform_matrix", value=[[1, 0, 0, 0]] * 3),
        wrong("frames", 0, "transform_matrix", 0, value=[1, 0, 0]),
        wrong("frames", 0, "transform_matrix", 0, 0, value=None),
        wrong("generator", "settings_digest", value="xyz"),
        wrong("generator", value={}),
        wrong("labels", value={"0": LABELS["1"]}),
        wrong("labels", value={"1": {"name": "Cube"}}),
        wrong("labels", value={"one": LABELS["1"]}),
    ],
)
def test_transforms_with_a_wrong_value_are_refused(document, change):
    change(document)
    with pytest.raises(SchemaError, match=r"transforms\.json"):
        validate("transforms", document)


NERFSTUDIO_LIKE = {
    "type": "object",
    "required": ["camera_model", "fl_x", "fl_y", "cx", "cy", "w", "h", "frames"],
    "properties": {
        "camera_model": {"enum": ["OPENCV", "OPENCV_FISHEYE", "EQUIRECTANGULAR", "PINHOLE"]},
        **{name: {"type": "number"} for name in ("fl_x", "fl_y", "cx", "cy", "camera_angle_x")},
        **{name: {"type": "integer"} for name in ("w", "h")},
        "frames": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["file_path", "transform_matrix"],
                "properties": {
                    "file_path": {"type": "string"},
                    "depth_file_path": {"type": "string"},
                    "transform_matrix": {
                        "type": "array", "minItems": 4, "maxItems": 4,
                        "items": {"type": "array", "minItems": 4, "maxItems": 4, "items": {"type": "number"}},
                    },
                },
            },
        },
    },
}  # fmt: skip
"""What nerfstudio's data conventions ask for, written down by hand."""


def test_transforms_are_what_nerfstudio_reads(document):
    fastjsonschema.compile(NERFSTUDIO_LIKE)(json.loads(json.dumps(document)))


# info.json.


def info(*positions: float, fps: float = 24.0, frame_step: int = 1) -> dict:
    records = [record(10 + index * frame_step, x=x) for index, x in enumerate(positions)]
    return info_document(records, fps=fps, frame_step=frame_step)


def test_info_by_hand():
    # 3 to the right, 1 back: chords 3 + 1 in 2 / 24 s.
    assert info(0, 3, 2) == {
        "frame_rate": 24.0,
        "distance_traveled": 4.0,
        "average_velocity": pytest.approx(48.0),
        "elapsed_time": pytest.approx(2 / 24),
        "num_frames": 3,
        "start_frame": 10,
        "stop_frame": 13,
    }


def test_info_of_one_frame_stands_still():
    document = info(5)
    assert [document[name] for name in ("distance_traveled", "average_velocity", "elapsed_time")] == [0, 0, 0]
    assert (document["num_frames"], document["start_frame"], document["stop_frame"]) == (1, 10, 11)
    validate("info", document)


def test_info_of_every_third_frame_has_a_third_of_the_rate():
    document = info(0, 1, fps=24.0, frame_step=3)
    assert document["frame_rate"] == 8 and document["elapsed_time"] == 1 / 8
    assert (document["start_frame"], document["stop_frame"]) == (10, 14)


@pytest.mark.parametrize("name", ["frame_rate", "distance_traveled", "num_frames", "start_frame", "stop_frame"])
def test_info_without_a_value_is_refused(name):
    document = info(0, 1)
    del document[name]
    with pytest.raises(SchemaError, match=name):
        validate("info", document)


@pytest.mark.parametrize(
    ("name", "value"),
    [("frame_rate", 0), ("num_frames", 0), ("distance_traveled", -1), ("start_frame", 1.5), ("surplus", 1)],
)
def test_info_with_a_wrong_value_is_refused(name, value):
    with pytest.raises(SchemaError, match=name):
        validate("info", {**info(0, 1), name: value})


# Files.


@pytest.mark.parametrize("kind", ["transforms", "info"])
def test_document_comes_back_from_its_file(tmp_path, document, kind):
    original = document if kind == "transforms" else info(0, 1)
    path = tmp_path / f"{kind}.json"
    write_document(kind, path, copy.deepcopy(original))
    assert read_document(kind, path) == json.loads(json.dumps(original))


def test_wrong_document_is_not_written(tmp_path):
    with pytest.raises(SchemaError):
        write_document("info", tmp_path / "info.json", {"frame_rate": 24})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_document_with_a_number_that_json_has_not_is_not_written(tmp_path, document, value):
    document["fps"] = value
    with pytest.raises(ValueError):
        write_document("transforms", tmp_path / "transforms.json", document)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"frame_rate": 24}', "\x00"])
def test_file_that_is_no_document_is_an_error_naming_it(tmp_path, text):
    (tmp_path / "info.json").write_text(text)
    with pytest.raises(SchemaError) as caught:
        read_document("info", tmp_path / "info.json")
    assert str(tmp_path / "info.json") in str(caught.value)


def test_file_that_is_no_text_is_an_error_naming_it(tmp_path):
    (tmp_path / "info.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(SchemaError, match=r"info\.json"):
        read_document("info", tmp_path / "info.json")


@pytest.mark.parametrize("kind", ["transforms", "info"])
def test_schemas_describe_themselves(kind):
    schema = load_schema(kind)
    assert schema["title"].endswith(f"{kind}.json") and schema["description"]
    assert set(schema["required"]) <= set(schema["properties"])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_has_not_are_refused(value):
    document = transforms(record(1))
    document["frames"][0]["transform_matrix"][0][3] = value
    with pytest.raises(SchemaError):
        validate("transforms", document)
    with pytest.raises(SchemaError):
        validate("info", {**info(0, 1), "distance_traveled": value})


def test_document_with_nan_is_a_schema_error_when_written_and_when_read(tmp_path):
    document = {**info(0, 1), "distance_traveled": math.nan}
    with pytest.raises(SchemaError):
        write_document("info", tmp_path / "info.json", document)
    (tmp_path / "info.json").write_text(json.dumps(document))
    with pytest.raises(SchemaError, match=r"info\.json"):
        read_document("info", tmp_path / "info.json")


@pytest.mark.parametrize("name", ["camera_model", "depth_kind", "fl_x", "fl_y", "cx", "cy", "w", "h", "intrinsics"])
def test_transforms_without_intrinsics_are_refused(name):
    document = transforms(record(1), record(2))
    del document[name]
    with pytest.raises(SchemaError):
        validate("transforms", document)


@pytest.mark.parametrize("path", ["../other/frame.png", "frames/../../x.png", "C:\\frame.png", "~/x.png"])
def test_paths_that_leave_the_folder_are_refused(path):
    document = transforms(record(1))
    document["frames"][0]["file_path"] = path
    with pytest.raises(SchemaError, match="file_path"):
        validate("transforms", document)
