"""One command line, two parsers: what arrives in the run."""

from __future__ import annotations

import dataclasses
import inspect
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.conftest import Answer, FakeRun
from visionsim.cli import main
from visionsim.cli._fields import Option, nearest, render_options
from visionsim.cli._options import normalise
from visionsim.cli.blender import render_animation
from visionsim.cli.datasets import create_datasets
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.plan import Plan
from visionsim.simulation.report import RunReport
from visionsim.simulation.run import AnimationRequest, DatasetRequest

REPOSITORY = Path(__file__).parents[2]
NEEDED = ("create-datasets", "--scenes-dir=scenes", "--datasets-dir=out")


def test_seed_command_arrives_whole(fake_run: FakeRun) -> None:
    script = runpy.run_path(str(REPOSITORY / "scripts" / "mkdataset.py"))
    args = (
        "create-datasets --scenes-dir=scenes/ --datasets-dir=datasets/ --sequences-per-scene=1 "
        "--render-config.width=800 --render-config.height=800 --render-config.depths --render-config.normals "
        "--render-config.flows --render-config.segmentations --render-config.keyframe-multiplier=2.0 "
        "--render-config.jobs=5"
    )
    assert main(args.split(), app=script["app"], prog="mkdataset.py") == 0
    assert fake_run.request == DatasetRequest(Path("scenes"), Path("datasets"))
    assert fake_run.config == RenderConfig(
        width=800,
        height=800,
        depths=True,
        normals=True,
        flows=True,
        segmentations=True,
        keyframe_multiplier=2.0,
        jobs=5,
    )
    assert fake_run.dry_run is False


def test_all_own_options_arrive(call: Callable[..., Answer], fake_run: FakeRun) -> None:
    args = "--sequences-per-scene 3 --num-frames 7 --sampling random --seed 4 --anim-start -5 --anim-end 9 --dry-run"
    fake_run.result = Plan(())
    assert call(*NEEDED, *args.split()).code == 0
    assert fake_run.request == DatasetRequest(Path("scenes"), Path("out"), 3, 7, "random", 4, -5, 9)
    assert fake_run.dry_run is True
    fake_run.result = RunReport(Path("out"))
    call("render-animation", "a.blend", "out", "--frame-start=2", "--frame-end", "8", "--frame_step=3")
    assert fake_run.request == AnimationRequest(Path("a.blend"), Path("out"), 2, 8, 3)


@pytest.mark.parametrize(
    ("args", "field", "value"),
    [
        ("--render-config.width 7", "width", 7),
        ("--render_config.max_samples=7", "max_samples", 7),
        ("--render-config.depths", "depths", True),
        ("--render-config.no-use-denoising", "use_denoising", False),
        ("--no-render-config.use-denoising", "use_denoising", False),
        ("--no_render_config.use_denoising", "use_denoising", False),
        ("--render-config.use-denoising=False", "use_denoising", False),
        ("--render-config.depths --render-config.no-depths", "depths", False),
        ("--render-config.timeout 30", "timeout", 30.0),
        ("--render-config.timeout None", "timeout", None),
        ("--render-config.executable=none", "executable", None),
        ("--render-config.executable=--json", "executable", "--json"),
        ("--render-config.executable=a=b", "executable", "a=b"),
        ("--render-config.use-motion-blur", "use_motion_blur", True),
        ("--render-config.use-motion-blur None", "use_motion_blur", None),
        ("--no-render-config.use-motion-blur", "use_motion_blur", False),
        ("--render-config.addons a", "addons", ("a",)),
        ("--render-config.addons a --render-config.addons=-b", "addons", ("a", "-b")),
        ("--render-config.width 7 --render-config.width=8", "width", 8),
        ("--render-config.log-dir=some/where", "log_dir", Path("some/where")),
        ("--render-config.device-type cuda", "device_type", "cuda"),
        ("--render-config.keyframe-multiplier 1e-1", "keyframe_multiplier", 0.1),
    ],
)
def test_render_option_arrives_wherever_it_stands(
    args: str, field: str, value: Any, call: Callable[..., Answer], fake_run: FakeRun
) -> None:
    words = args.split()
    for line in ([*words, "a.blend", "out"], ["a.blend", *words, "out"], ["a.blend", "out", *words]):
        answer = call("render-animation", *line)
        assert (answer.code, answer.err) == (0, "")
        assert fake_run.config == dataclasses.replace(RenderConfig(), **{field: value})
        assert fake_run.request == AnimationRequest(Path("a.blend"), Path("out"))


def test_typer_values_that_look_like_tyro_options_stay_values(call: Callable[..., Answer], fake_run: FakeRun) -> None:
    call("create-datasets", "--scenes-dir=--render-config.width=9", "--datasets-dir=--json")
    assert fake_run.request == DatasetRequest(Path("--render-config.width=9"), Path("--json"))
    assert fake_run.config == RenderConfig()


def test_behind_two_dashes_all_is_positional(call: Callable[..., Answer], fake_run: FakeRun) -> None:
    call("render-animation", "--render-config.width=9", "--", "--render-config.depths", "--json")
    assert fake_run.request == AnimationRequest(Path("--render-config.depths"), Path("--json"))
    assert fake_run.config == RenderConfig(width=9)


def test_none_takes_an_optional_option_back(call: Callable[..., Answer], fake_run: FakeRun) -> None:
    call(*NEEDED, "--num-frames=4", "--num-frames", "None")
    assert fake_run.request.num_frames is None


def test_json_is_not_swallowed(call: Callable[..., Answer], fake_run: FakeRun) -> None:
    for words in (["--render-config.depths", "--json"], ["--render-config.addons", "a", "--json"]):
        assert call(*NEEDED, *words).out.startswith("{")
    assert "needs a value, and --json is an option" in call(*NEEDED, "--render-config.width", "--json").err


VALUES: dict[str, st.SearchStrategy[str]] = {
    "INT": st.integers(-9, 999).map(str),
    "FLOAT": st.floats(-9, 9, allow_nan=False).map(str),
    "TEXT": st.text("abc=.-", min_size=1).filter(lambda text: not text.startswith("-") and text.lower() != "none"),
}


def written(option: Option, data: st.DataObject) -> tuple[list[str], Any]:
    """The option as words of a command line in one of its spellings, and the value that they mean."""
    if option.flag:
        value: Any = data.draw(st.booleans())
        names = option.names if value else option.negatives
        return [data.draw(st.sampled_from(names))], value
    kind = {"width": "INT", "seed": "INT", "jobs": "INT", "timeout": "FLOAT"}.get(option.field, "TEXT")
    value = data.draw(VALUES[kind])
    name = data.draw(st.sampled_from([option.names[0], option.names[0].replace("-", "_").replace("__", "--", 1)]))
    separate = data.draw(st.booleans())
    meant = {"INT": int, "FLOAT": float, "TEXT": Path if option.field == "log_dir" else str}[kind](value)
    return ([name, value] if separate else [f"{name}={value}"]), meant


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_spelling_means_the_same(data: st.DataObject, fake_run: FakeRun) -> None:
    fields = ["width", "seed", "jobs", "timeout", "executable", "log_dir", "depths", "use_denoising", "use_motion_blur"]
    options = {option.field: option for option in render_options()}
    chosen = data.draw(st.lists(st.sampled_from(fields), unique=True))
    groups, expected = [["a.blend"], ["out"]], {}
    for field in chosen:
        words, expected[field] = written(options[field], data)
        groups.append(words)
    order = data.draw(st.permutations(range(len(groups))))
    # The two positionals keep their order.
    order = sorted(order, key=lambda index: order.index(index) if index > 1 else min(order.index(0), order.index(1)))
    if order.index(0) > order.index(1):
        order = [{0: 1, 1: 0}.get(index, index) for index in order]
    assert main(["render-animation", *(word for index in order for word in groups[index])], prog="visionsim") == 0
    assert fake_run.config == dataclasses.replace(RenderConfig(), **expected)
    assert fake_run.request == AnimationRequest(Path("a.blend"), Path("out"))


def test_normalise_knows_options_by_their_whole_names_only() -> None:
    for option in render_options():
        for name in (*option.names, *option.negatives):
            words = [name] if option.flag else [f"{name}=1"]
            assert normalise(words, render_options(), "").keys == {option.key}


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("--render-config.widht", "--render-config.width"),
        ("--width", "--render-config.width"),
        ("--render-config.sead", "--render-config.seed"),
        ("--sead", "--seed"),
        ("--scen", "--scenes-dir"),
        ("--no-render-config.depth", "--no-render-config.depths"),
        ("--qqqqqq", None),
    ],
)
def test_nearest_option(word: str, near: str | None) -> None:
    names = [name for option in render_options() for name in (*option.names, *option.negatives)]
    assert nearest(word, [*names, "--scenes-dir", "--seed", "--json"]) == near


def test_plain_functions_work_from_a_script(fake_run: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert create_datasets(Path("scenes"), Path("out"), num_frames=3) is fake_run.result
    assert fake_run.request == DatasetRequest(Path("scenes"), Path("out"), num_frames=3)
    config = RenderConfig(depths=True)
    assert render_animation(Path("a.blend"), Path("out"), render_config=config) is fake_run.result
    assert fake_run.config is config
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("function", [create_datasets, render_animation])
def test_defaults_are_those_of_the_request(function: Any) -> None:
    request = {create_datasets: DatasetRequest, render_animation: AnimationRequest}[function]
    defaults = {name: p.default for name, p in inspect.signature(function).parameters.items()}
    for field in dataclasses.fields(request):
        if field.default is not dataclasses.MISSING:
            assert defaults[field.name] == field.default
