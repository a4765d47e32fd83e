"""Failing against the code as it is; each passes with the patch that is proposed for it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dataset.test_schema import info, record, transforms
from tests.helpers import camera_values
from tests.io.test_images import jpeg, png
from tests.simulation.test_passes import HIT, MISS, convert, has_negative_zero, image
from visionsim.dataset.journal import FrameRecord, Journal
from visionsim.dataset.schema import read_document, validate, write_document
from visionsim.errors import ConfigError, DataError, OutputNotWritable, SchemaError, SettingsMismatch
from visionsim.files import ensure_writable, natural_key
from visionsim.io.images import clean_picture
from visionsim.simulation.config import RenderConfig, check_config, parse_bytes, settings_of, time_stretch
from visionsim.simulation.plan import find_scenes

# passes


def test_normals_have_no_negative_zero():
    channels = convert("normals", Normal=image((-1, -1, -1), (0, 0, 1), (-0.0, 1, -0.0)), Depth=image(MISS, HIT, HIT))
    assert not has_negative_zero(channels)


def test_normals_rotated_have_no_negative_zero():
    c2w = np.diag([-1.0, -1.0, 1.0, 1.0])
    assert not has_negative_zero(convert("normals", c2w, Normal=image((0, 0, 1)), Depth=image(HIT)))


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan, 2.0**32])
def test_ids_that_do_not_fit_are_refused(value):
    with pytest.raises(DataError):
        convert("segmentations", IndexOB=image(1, value))


# config


@pytest.mark.parametrize("multiplier", [math.inf, -math.inf])
def test_time_stretch_of_infinity_is_refused(multiplier):
    with pytest.raises(ConfigError):
        time_stretch(multiplier)


@pytest.mark.parametrize("text", ["1e999", "9" * 400 + "GB"])
def test_parse_bytes_refuses_what_is_no_number(text):
    with pytest.raises(ConfigError):
        parse_bytes(text)


def test_parse_bytes_refuses_a_binary_prefix_without_letter():
    with pytest.raises(ConfigError):
        parse_bytes("4iB")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("file_format", "TIFF"),
        ("exr_codec", "DWAA"),
        ("device_type", "vulkan"),
        ("flow_direction", "up"),
        ("max_job_vram", "lots"),
    ],
)
def test_check_config_names_option_and_value_of_a_choice(name, value):
    with pytest.raises(ConfigError) as caught:
        check_config(RenderConfig(**{name: value}))
    assert f"--render-config.{name.replace('_', '-')}={value}" in str(caught.value)


def test_scripts_change_the_picture_so_autoexec_is_a_setting():
    assert settings_of(RenderConfig(autoexec=True)) != settings_of(RenderConfig())


# files


@given(st.text(max_size=8))
def test_natural_key_of_any_text(text):
    natural_key(text)


def test_find_scenes_with_a_superscript(tmp_path):
    (tmp_path / "room1².blend").touch()
    (tmp_path / "1².blend").touch()
    assert len(find_scenes(tmp_path)) == 2


def test_find_scenes_order_does_not_depend_on_the_file_system(tmp_path, monkeypatch):
    for name in ("a01.blend", "a1.blend", "A1.blend"):
        (tmp_path / name).touch()
    first = [scene.name for scene in find_scenes(tmp_path)]
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: reversed(list(glob(self, pattern))))
    assert [scene.name for scene in find_scenes(tmp_path)] == first


def test_ensure_writable_of_a_name_that_is_too_long(tmp_path):
    with pytest.raises(OutputNotWritable):
        ensure_writable(tmp_path / ("x" * 300) / "y")


# journal

SETTINGS = {"width": 6}


def test_journal_with_damaged_bytes_is_read_without_the_damaged_frame(tmp_path):
    journal = Journal(tmp_path, dict(SETTINGS))
    journal.begin()
    for frame in (1, 2):
        journal.append(FrameRecord(frame, 3, camera_values(), {}))
    data = journal.path.read_bytes()
    journal.path.write_bytes(data[:-20] + b"\xff\xfe" + data[-18:])
    assert 1 in Journal.load(tmp_path, SETTINGS).records


def test_journal_that_is_no_text_is_an_error_naming_it(tmp_path):
    journal = Journal(tmp_path, dict(SETTINGS))
    journal.begin()
    journal.path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match=r"journal\.jsonl"):
        Journal.load(tmp_path, SETTINGS)


def test_setting_that_is_new_and_none_is_named(tmp_path):
    Journal(tmp_path, dict(SETTINGS)).begin()
    with pytest.raises(SettingsMismatch, match="use_motion_blur"):
        Journal.load(tmp_path, {**SETTINGS, "use_motion_blur": None})


# schema


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
    import json

    (tmp_path / "info.json").write_text(json.dumps(document))
    with pytest.raises(SchemaError, match=r"info\.json"):
        read_document("info", tmp_path / "info.json")


@pytest.mark.parametrize("name", ["fl_x", "fl_y", "cx", "cy", "w", "h"])
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


# images


def clean(tmp_path, data: bytes, file_format: str):
    (tmp_path / "source").write_bytes(data)
    return clean_picture(tmp_path / "source", tmp_path / "target", file_format)


def test_truncated_jpeg_is_an_error_at_every_length(tmp_path):
    data = jpeg()
    for length in range(len(data)):
        with pytest.raises(DataError, match="JPEG"):
            clean(tmp_path, data[:length], "JPEG")


def test_damaged_png_is_an_error(tmp_path):
    data = bytearray(png())
    data[len(data) // 2] ^= 0x10
    with pytest.raises(DataError, match="PNG"):
        clean(tmp_path, bytes(data), "PNG")
