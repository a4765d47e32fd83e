"""Slow motion: every stretched frame is the original scene at its time, and what is not is reported before rendering.

The truth is plain Blender's: the file as it was made, its frames stepped in order, then set to the (sub)frame t / m.
docs/slow-motion.md has a table of it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.reference.raycast import Body, Camera, cast
from visionsim.io.exr import read_exr
from visionsim.simulation.blender import BlenderClient, BlenderClients
from visionsim.simulation.plan import Plan, stretched_range
from visionsim.simulation.run import AnimationRequest, run

HERE = Path(__file__).parent
AUTHORED = range(1, 21)
MULTIPLIERS = (0.5, 1.0, 1.5, 2.0, 3.0)
TIMED = (
    "bezier stepped cycles noise driver_frame driver_other nla shape_key armature follow_path scene_time wave build "
    "mesh_cache"
).split()
"""Mechanisms of build_motion.py that follow from the time alone."""

SIMULATED = ["rigid_body", "particles"]
"""Those that follow from the frames before, and slow down."""

NOT_SLOWED = ["frame_current", "cloth", "soft_body", "dynamic_paint"]

TOLERANCE = 2e-6
"""Scene units: 1 / m is rounded to float32."""


@pytest.fixture(scope="module")
def build(tmp_path_factory, scripts):
    """(mechanisms) -> a .blend that has them, made by the Blender under test."""

    def make(*mechanisms: str) -> Path:
        blend = tmp_path_factory.mktemp("motion") / "scene.blend"
        call(scripts, "build_motion.py", blend, *mechanisms)
        return blend

    return make


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory, scripts):
    """(blend, visits) -> the answers of evaluate_motion.py."""

    def ask(blend: Path, visits: list[dict]) -> list[dict]:
        folder = tmp_path_factory.mktemp("evaluated")
        request = {"blend": str(blend), "visits": visits, "out": str(folder / "out.json")}
        (folder / "request.json").write_text(json.dumps(request))
        call(scripts, "evaluate_motion.py", folder / "request.json")
        answers: list[dict] = json.loads((folder / "out.json").read_text())
        return answers

    return ask


def call(scripts, script: str, *arguments: object) -> None:
    output = scripts.run(HERE / script, *arguments)
    assert "Traceback" not in output, output


def deviations(original: dict, stretched: dict) -> dict[str, float]:
    """Object -> the largest distance between where its points are and where they should be, along an axis."""
    found = {}
    for name, frames in original["points"].items():
        worst = 0.0
        for expected, seen in zip(frames, stretched["points"][name], strict=True):
            a, b = np.array(expected), np.array(seen)
            worst = max(worst, float(np.abs(a - b).max(initial=0.0)) if a.shape == b.shape else math.inf)
        found[name] = worst
    return found


def moves(frames: list) -> bool:
    first = np.array(frames[0])
    return any(np.shape(a) != first.shape or np.abs(a - first).max(initial=0.0) > 0.05 for a in map(np.array, frames))


def times_of(multiplier: float) -> list[float]:
    """Where the stretched frames are on the authored timeline, the last one first: simulations may not mind."""
    return [frame / multiplier for frame in reversed(stretched_range(AUTHORED[0], AUTHORED[-1], multiplier))]


def compare(evaluate, blend: Path, multipliers: tuple[float, ...], remap=None) -> dict[float, tuple[dict, dict]]:
    """Multiplier -> plain Blender at the times of the stretched frames, and visionsim at the stretched frames."""
    before = [*AUTHORED, AUTHORED.stop]  # Plain Blender knows of a simulation what it has seen in order.
    times = {m: times_of(m) for m in multipliers}
    visits: list[dict] = [{"frames": [*before, *(time for m in multipliers for time in times[m])], "remap": remap}]
    visits += [{"frames": [round(time * m) for time in times[m]], "multiplier": m, "remap": remap} for m in multipliers]
    original, *stretched = evaluate(blend, visits)
    found, start = {}, len(before)
    for m, answer in zip(multipliers, stretched, strict=True):
        part = slice(start, start + len(times[m]))
        points = {name: frames[part] for name, frames in original["points"].items()}
        expected = {"points": points, "camera": original["camera"][part], "shutter": original["shutter"][part]}
        found[m] = (expected, answer)
        start = part.stop
    return found


@pytest.mark.parametrize("remap", [None, (100, 80)], ids=["plain", "artist-remaps-time"])
def test_every_frame_is_the_original_at_its_time(build, evaluate, remap) -> None:
    blend = build(*TIMED, *SIMULATED) if remap is None else build("bezier", "driver_frame", "scene_time")
    multipliers = MULTIPLIERS if remap is None else (1.5,)
    for m, (expected, stretched) in compare(evaluate, blend, multipliers, remap).items():
        still = [name for name, frames in expected["points"].items() if not moves(frames)]
        assert still == [name for name in still if name.endswith(".one")]
        found = deviations(expected, stretched)
        assert max(found.values()) <= TOLERANCE, found
        assert np.abs(np.subtract(expected["camera"], stretched["camera"])).max() <= TOLERANCE
        # Frames are m times as many in a second, so the shutter is m times as many of them.
        assert np.allclose(np.multiply(expected["shutter"], m), stretched["shutter"], rtol=1e-5)
        assert np.ptp(expected["shutter"]) > 0.1


def test_simulation_nodes_slow_down(build, evaluate, blender_knows) -> None:
    if not blender_knows("hasattr(bpy.types, 'GeometryNodeSimulationOutput')"):
        pytest.skip("simulation zones are there since Blender 3.6")
    blend = build("simulation_nodes")
    expected, stretched = compare(evaluate, blend, (1.5,))[1.5]
    assert moves(expected["points"]["simulation_nodes"])
    assert max(deviations(expected, stretched).values()) <= TOLERANCE


def test_cache_files_slow_down(build, evaluate, pool, blender_knows) -> None:
    if not blender_knows("bpy.app.build_options.alembic and bpy.app.build_options.usd"):
        pytest.skip("this Blender was built without Alembic or USD")
    blend = build("alembic", "usd", "alembic_in_steps")
    expected, stretched = compare(evaluate, blend, (1.5,))[1.5]
    assert max(deviations(expected, stretched).values()) <= TOLERANCE
    backwards = {name: np.array(frames) for name, frames in stretched["points"].items()}
    rests = {name: bool((np.diff(points, axis=0) == 0).all((1, 2)).any()) for name, points in backwards.items()}
    assert rests == {"alembic": False, "usd": False, "alembic_in_steps": True}
    (sentence,) = warnings(pool, blend, 1.5)
    assert "'alembic_in_steps'" in sentence and "Vertex Interpolation" in sentence


@pytest.fixture(scope="module")
def pool(executable) -> Iterator[object]:
    with BlenderClients.pool(executable=executable) as pool:
        yield pool


def warnings(pool, blend: Path, multiplier: float) -> list[str]:
    """What a dry run says of the scene."""

    def dry_run(client: BlenderClient) -> Plan:
        client.cycles_settings(use_denoising=False)
        for include in (client.include_depths, client.include_normals, client.include_flows):
            include()
        client.initialize(blend, blend.parent / "out")
        client.move_keyframes(multiplier)
        return client.render_animation(dry_run=True)

    plan = pool.apply(dry_run)
    assert not (blend.parent / "out").exists()
    return list(plan.scenes[0].info.warnings)


def test_what_is_not_slowed_and_nothing_else_is_reported(build, evaluate, pool) -> None:
    blend = build(*TIMED, *SIMULATED, *NOT_SLOWED, "silent", "image_sequence", "compositor_clock")
    expected, stretched = compare(evaluate, blend, (1.5,))[1.5]
    found = deviations(expected, stretched)
    assert {name for name, deviation in found.items() if deviation > TOLERANCE} == set(NOT_SLOWED)

    plain = warnings(pool, blend, 1.0)
    simulations = ["cloth", "soft_body", "dynamic_paint", *SIMULATED]
    assert len(plain) == len(simulations)
    for name in simulations:
        assert any(f"{name!r} is not baked" in warning for warning in plain), name

    slow = [warning for warning in warnings(pool, blend, 1.5) if warning not in plain]
    for name in [*NOT_SLOWED, "image_sequence", "compositor_clock"]:
        sentences = [warning for warning in slow if f"{name!r}" in warning]
        assert len(sentences) == 1, sentences
        (sentence,) = sentences
        assert "slow" in sentence or "in steps" in sentence
    assert len(slow) == len(NOT_SLOWED) + 2, slow

    # Every frame shows a whole frame of the original: cloth has those.
    fast = [warning for warning in warnings(pool, blend, 0.5) if warning not in plain]
    assert not any("'cloth'" in warning or "'soft_body'" in warning for warning in fast)
    assert len(fast) == len(slow) - 2


@pytest.mark.parametrize("multiplier", [0.5, 1.5])
def test_rendered_truth_is_the_original_at_its_time(build, evaluate, tmp_path, config, multiplier) -> None:
    blend = build(*(name for name in TIMED if name != "build"), "rigid_body")
    whole = stretched_range(AUTHORED[0], AUTHORED[-1], multiplier)
    shown = whole[:: (len(whole) - 1) // 2][:3]
    times = [[(frame + offset) / multiplier for offset in (-1, 0, 1)] for frame in shown]
    (original,) = evaluate(blend, [{"frames": [*AUTHORED, 21, *np.ravel(times).tolist()]}])
    config = dataclasses.replace(config, keyframe_multiplier=multiplier, max_samples=1)
    root = tmp_path / "out"
    request = AnimationRequest(blend, root, shown[0], shown[-1], shown.step)
    assert run(request, config, observe=lambda event: None).exit_code == 0
    document = json.loads((root / "transforms.json").read_text())
    assert document["fps"] == 25 * multiplier / shown.step
    known = len(AUTHORED) + 1
    for number, frame in enumerate(shown):
        first = known + 3 * number
        assert document["frames"][number]["frame"] == frame
        assert document["frames"][number]["time"] == pytest.approx(times[number][1] / 25)
        c2w = [np.array(matrix) for matrix in original["camera"][first : first + 3]]
        assert np.allclose(document["frames"][number]["transform_matrix"], c2w[1], atol=1e-6)
        bodies = []
        for name, frames in original["points"].items():
            at = [np.array(points) for points in frames[first : first + 3]]
            triangles = np.array(original["triangles"][name])
            bodies.append(Body(name, np.zeros_like(at[0]), triangles, [np.eye(4)] * 3, None, at))
        focal = 30.0 / 36.0 * config.width
        camera = Camera(
            [focal] * 3, [focal] * 3, [config.width / 2] * 3, [config.height / 2] * 3, config.width, config.height, c2w
        )
        truth = cast(bodies, camera, 1)
        ids = {label["name"]: int(number) for number, label in document["labels"].items()}
        true_ids = np.array([0, *(ids[body.name] for body in bodies)])[truth["body"]]
        seen = {
            kind: read_exr(root / f"{kind}s" / f"{kind}_{frame:06d}.exr") for kind in ("segmentation", "depth", "flow")
        }
        same = seen["segmentation"]["Y"] == true_ids
        assert (~same).sum() <= same.size * 2e-3  # On edges.
        hit = same & (true_ids > 0)
        assert len(np.unique(true_ids[hit])) >= 14
        assert np.abs(seen["depth"]["Y"][hit] / truth["depth"][hit] - 1).max() <= 1e-4
        flow = np.stack([seen["flow"][name] for name in "RGBA"], axis=-1)
        assert np.abs(flow[hit] - np.concatenate([truth["forward"], truth["backward"]], axis=-1)[hit]).max() <= 2e-3
        assert np.abs(truth["forward"][hit]).max() > 0.3 / multiplier


@pytest.mark.parametrize(
    ("names", "occlusions"),
    # Dynamic paint refuses occlusions, and particles that are born need them.
    [(("cloth", "rigid_body", "particles", "soft_body"), True), (("dynamic_paint",), False)],
    ids=["with particles", "dynamic paint"],
)
def test_simulation_does_not_depend_on_the_frames_before(names, occlusions, build, tmp_path, config) -> None:
    blend = build(*names)
    config = dataclasses.replace(config, width=64, height=48, max_samples=1, occlusions=occlusions)
    for root, first in (("whole", 9), ("end", 12)):
        request = AnimationRequest(blend, tmp_path / root, first, 13)
        assert run(request, config, observe=lambda event: None).exit_code == 0
    for frame in (12, 13):
        for kind in ("frame", "depth", "normal", "segmentation", "flow", *(("occlusion",) if occlusions else ())):
            name = f"{kind}s/{kind}_{frame:06d}.{'png' if kind in ('frame', 'occlusion') else 'exr'}"
            assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "end" / name).read_bytes(), name
