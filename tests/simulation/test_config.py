"""RenderConfig: what is refused and how, what is stored, what each option says of itself."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import json
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from visionsim.errors import ConfigError
from visionsim.simulation import config as module
from visionsim.simulation.config import (
    GROUND_TRUTHS,
    RenderConfig,
    check_config,
    parse_bytes,
    settings_of,
    time_stretch,
)

FIELDS = [field.name for field in dataclasses.fields(RenderConfig)]

BAD = [
    ("width", 3),
    ("width", 0),
    ("width", -512),
    ("width", 65537),
    ("height", 3),
    ("height", 65537),
    ("bit_depth", 32),
    ("bit_depth", 10),
    ("adaptive_threshold", -0.01),
    ("adaptive_threshold", 1.01),
    ("adaptive_threshold", float("nan")),
    ("max_samples", 0),
    ("max_samples", -1),
    ("timeout", 0.0),
    ("timeout", -1.0),
    ("timeout", float("nan")),
    ("jobs", 0),
    ("jobs", -1),
    ("jobs", 1025),
    ("seed", -1),
    ("seed", 1 << 31),
    ("keyframe_multiplier", 0.0),
    ("keyframe_multiplier", -2.0),
    ("keyframe_multiplier", 901.0),
    ("keyframe_multiplier", float("nan")),
]

GOOD = [
    {},
    {"width": 4, "height": 65536},
    {"bit_depth": 16},
    {"file_format": "JPEG", "bit_depth": 8},
    {"file_format": "OPEN_EXR", "bit_depth": 16},
    {"file_format": "OPEN_EXR", "bit_depth": 32},
    {"adaptive_threshold": 0.0},
    {"adaptive_threshold": 1.0},
    {"max_samples": 1},
    {"timeout": 0.5},
    {"jobs": 1024},
    {"seed": (1 << 31) - 1},
    {"max_job_vram": "4GB"},
    {"keyframe_multiplier": 900.0},
    {"keyframe_multiplier": 1 / 900},
]


@pytest.mark.parametrize("changes", GOOD, ids=str)
def test_check_config_accepts_the_limits(changes):
    check_config(RenderConfig(**changes))


@pytest.mark.parametrize(("name", "value"), BAD)
def test_check_config_names_the_option_and_the_value(name, value):
    with pytest.raises(ConfigError) as caught:
        check_config(RenderConfig(**{name: value}))
    assert f"--render-config.{name.replace('_', '-')}={value}" in str(caught.value)


@pytest.mark.parametrize(("file_format", "bit_depth"), [("JPEG", 16), ("OPEN_EXR", 8), ("PNG", 32)])
def test_check_config_says_which_bit_depths_a_format_has(file_format, bit_depth):
    with pytest.raises(ConfigError, match=f"bit-depth={bit_depth}.*{file_format}"):
        check_config(RenderConfig(file_format=file_format, bit_depth=bit_depth))


def test_check_config_refuses_a_size_that_is_none():
    with pytest.raises(ConfigError, match="lots"):
        check_config(RenderConfig(max_job_vram="lots"))


def test_check_config_leaves_the_config_alone():
    config = RenderConfig(width=640, addons=("a",), max_job_vram="4GB")
    before = dataclasses.replace(config)
    check_config(config)
    assert config == before


def test_defaults_are_those_of_the_contract():
    defaults = dataclasses.asdict(RenderConfig())
    expected = {
        "executable": None, "width": 512, "height": 512, "file_format": "PNG", "bit_depth": 8, "exr_codec": "ZIP",
        "depths": False, "normals": False, "flows": False, "segmentations": False, "flow_direction": "forward",
        "debug": False, "keyframe_multiplier": 1.0, "timeout": None, "autoexec": False, "device_type": "auto",
        "adaptive_threshold": 0.05, "max_samples": 256, "use_denoising": True, "log_dir": Path("logs"),
        "allow_skips": True, "unbind_camera": False, "use_animations": True, "use_motion_blur": None, "addons": (),
        "jobs": 1, "autoscale": False, "max_job_vram": None, "seed": 0,
    }  # fmt: skip
    assert {name: defaults[name] for name in expected} == expected


@given(st.integers(1, 900), st.integers(1, 900))
def test_time_stretch_of_any_ratio_blender_can_express_is_that_ratio(old, new):
    assert time_stretch(old / new) == Fraction(old, new)


@given(st.floats(1e-3, 1e3))
def test_time_stretch_is_accurate_or_refused(multiplier):
    try:
        ratio = time_stretch(multiplier)
    except ConfigError as exc:
        assert str(multiplier) in str(exc)
        return
    assert 1 <= ratio.numerator <= 900 and 1 <= ratio.denominator <= 900
    assert abs(float(ratio) - multiplier) <= 1e-9 * multiplier


@pytest.mark.parametrize("multiplier", [0.0, -1.0, 901.0, 1 / 901, 3.14159265358979, 1e-320, float("nan")])
def test_time_stretch_refuses_what_blender_cannot_express(multiplier):
    with pytest.raises(ConfigError, match="keyframe-multiplier"):
        time_stretch(multiplier)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1000", 1000),
        ("1e9", 10**9),
        ("12B", 12),
        ("4GB", 4 * 10**9),
        ("4 gb", 4 * 10**9),
        ("4G", 4 * 10**9),
        (" 4GB ", 4 * 10**9),
        ("1.5KB", 1500),
        ("512MiB", 512 * 2**20),
        ("512 MiB", 512 * 2**20),
        ("2GiB", 2**31),
        ("1TB", 10**12),
        ("1KiB", 1024),
    ],
)
def test_parse_bytes_of_a_size(text, expected):
    assert parse_bytes(text) == expected


@given(st.integers(0, 10**6), st.sampled_from(["", "K", "M", "G", "T"]), st.booleans())
def test_parse_bytes_agrees_with_exact_arithmetic(count, prefix, binary):
    assume(prefix or not binary)
    unit = Decimal(1024 if binary else 1000) ** " KMGT".index(prefix or " ")
    assert parse_bytes(f"{count}{prefix}{'i' * binary}B") == int(count * unit)


@pytest.mark.parametrize("text", ["", "GB", "lots", "-4GB", "4XB", "4GB5", "4,5GB", "0x10", "4 G B", "nan", "inf"])
def test_parse_bytes_refuses_what_is_no_size(text):
    with pytest.raises(ConfigError, match="size"):
        parse_bytes(text)


def test_every_field_is_a_setting_or_known_to_have_no_effect():
    stored = set(settings_of(RenderConfig()))
    left_out = set(module._NO_EFFECT_ON_BYTES) | set(GROUND_TRUTHS)
    assert stored | left_out == set(FIELDS)
    assert not stored & left_out


def test_settings_do_not_say_which_ground_truth_was_asked_for():
    everything = RenderConfig(depths=True, normals=True, flows=True, segmentations=True)
    assert settings_of(everything) == settings_of(RenderConfig())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 640),
        ("height", 480),
        ("file_format", "OPEN_EXR"),
        ("bit_depth", 16),
        ("exr_codec", "PIZ"),
        ("keyframe_multiplier", 2.0),
        ("device_type", "cpu"),
        ("adaptive_threshold", 0.1),
        ("max_samples", 16),
        ("use_denoising", False),
        ("unbind_camera", True),
        ("use_animations", False),
        ("use_motion_blur", True),
        ("addons", ("io_scene_x",)),
        ("seed", 7),
    ],
)
def test_settings_differ_when_the_pictures_would(name, value):
    assert settings_of(RenderConfig(**{name: value})) != settings_of(RenderConfig())


@pytest.mark.parametrize(
    ("name", "value"), [("jobs", 8), ("log_dir", Path("elsewhere")), ("timeout", 60.0), ("executable", "blender")]
)
def test_settings_are_the_same_however_the_work_is_organised(name, value):
    assert settings_of(RenderConfig(**{name: value})) == settings_of(RenderConfig())


def test_settings_are_plain_json_and_come_back_equal():
    settings = settings_of(RenderConfig(addons=("a", "b"), use_motion_blur=True, max_job_vram="4GB"))
    assert json.loads(json.dumps(settings, allow_nan=False)) == settings


def test_ground_truths_are_in_a_fixed_order():
    assert RenderConfig(segmentations=True, depths=True).ground_truths == ("depths", "segmentations")
    assert RenderConfig().ground_truths == ()


def test_every_field_has_a_docstring_that_is_its_help():
    body = ast.parse(inspect.getsource(RenderConfig)).body[0].body
    documented = {
        field.target.id: following.value.value
        for field, following in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(following, ast.Expr)
        and isinstance(following.value, ast.Constant)
        and isinstance(following.value.value, str)
    }
    assert [name for name in FIELDS if not documented.get(name, "").strip()] == []
    assert [name for name, text in documented.items() if not text.endswith(".")] == []


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
