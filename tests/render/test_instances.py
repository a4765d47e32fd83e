"""Each copy has an id of its own, the same everywhere; telling copies apart changes no picture."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.render.conftest import EXECUTABLE, small_config
from visionsim.io.exr import read_exr
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.labels import LabelRules
from visionsim.simulation.run import AnimationRequest, run

HERE = Path(__file__).parent

EXPECTED = {
    "Card": "object", "Child": "object", "Emitter": "object", "Leaf": "plant", "Real": "object", "Scatter": "object",
    "Square": "object", "Trunk": "wood",
    "Cards0/Card#0": "object", "Cards1/Card#0": "object", "Cards2/Card#0": "object",
    "Grove/Leaf#0.1": "plant", "Grove/Leaf#1.1": "plant", "Grove/Trunk#0.0": "wood", "Grove/Trunk#1.0": "wood",
    "Moving/Leaf#1": "plant", "Moving/Trunk#0": "wood",
    "Square/Child#0": "object", "Square/Child#1": "object", "Square/Child#2": "object",
}  # fmt: skip
"""Path and class of ids 1, 2, ... but for those of geometry nodes, which stand between Moving and Square."""


def build(scripts, folder: Path, *options: str) -> Path:
    blend = folder / "copies.blend"
    output = scripts.run(HERE / "build_instances.py", blend, *options)
    assert blend.exists(), output
    return blend


@pytest.fixture(scope="module")
def blend(tmp_path_factory, scripts) -> Path:
    return build(scripts, tmp_path_factory.mktemp("instances"))


@pytest.fixture
def config(config) -> RenderConfig:
    return large(config)


def large(config: RenderConfig) -> RenderConfig:
    return dataclasses.replace(config, width=160, height=128)


def render(blend: Path, root: Path, config: RenderConfig, **request) -> dict:
    """transforms.json of what was rendered."""
    report = run(AnimationRequest(blend, root, **request), config, observe=lambda event: None)
    assert report.exit_code == 0, report.failures
    return json.loads((root / "transforms.json").read_text())


@pytest.fixture(scope="module")
def rendered(blend, tmp_path_factory) -> Path:
    """A folder with `data`, the first three frames, and `logs`; tests do not change it."""
    folder = tmp_path_factory.mktemp("rendered")
    render(blend, folder / "data", large(small_config(folder / "logs")), frame_end=3)
    return folder


def labels_of(root: Path) -> dict:
    return json.loads((root / "transforms.json").read_text())["labels"]


def ids_of(root: Path, frame: int) -> np.ndarray:
    return read_exr(root / "segmentations" / f"segmentation_{frame:06d}.exr")["Y"]


def test_table_and_ids_are_the_same_in_every_process_and_sequence(blend, rendered, tmp_path, config) -> None:
    table = labels_of(rendered / "data")
    second = render(blend, tmp_path / "out", dataclasses.replace(config, jobs=2), frame_start=2)
    assert table == second["labels"]
    for frame in (2, 3):
        assert np.array_equal(ids_of(rendered / "data", frame), ids_of(tmp_path / "out", frame))
    labels = list(table.values())
    assert [int(key) for key in table] == list(range(1, len(labels) + 1))
    # The same on every Blender that this test runs on.
    generated = [label for label in labels if label["path"].startswith("Scatter/")]
    assert [(label["path"], label["class"]) for label in labels if label not in generated] == list(EXPECTED.items())
    assert sorted(label["name"] for label in generated) == ["Real"] * 3 + ["Scatter"] * 3
    motion = {label["path"]: label["motion"] for label in labels}
    assert motion["Moving/Trunk#0"] == "rigid" and motion["Grove/Trunk#0.0"] == "static"


def test_each_copy_is_one_region_with_its_id(rendered) -> None:
    paths = {int(key): label["path"] for key, label in labels_of(rendered / "data").items()}
    for frame in (1, 2):
        ids = ids_of(rendered / "data", frame)
        shown = {paths[number] for number in np.unique(ids) if number}
        # All but what is invisible: the sources, the empty meshes, the cards that are cut out.
        hidden = {"Card", "Child", "Leaf", "Trunk", "Scatter", "Square", *(f"Cards{i}/Card#0" for i in range(3))}
        assert shown == set(paths.values()) - hidden
        for number in np.unique(ids[ids > 0]):
            assert regions(ids == number) == 1, paths[number]


def regions(mask: np.ndarray) -> int:
    """Number of parts that are not connected, corners included."""
    left, count = mask.copy(), 0
    while left.any():
        count += 1
        part = np.zeros_like(left)
        part[tuple(np.argwhere(left)[0])] = True
        while True:
            padded = np.pad(part, 1)
            height, width = part.shape
            grown = sum(padded[y : y + height, x : x + width] for y in range(3) for x in range(3)) > 0
            grown &= left
            if (grown == part).all():
                break
            part = grown
        left &= ~part
    return count


def test_flow_of_copies_that_move_is_that_of_their_instancer(rendered) -> None:
    labels = labels_of(rendered / "data")
    assert "nothing deforms" in (rendered / "logs" / "worker-00.log").read_text()
    ids = ids_of(rendered / "data", 2)
    flow = read_exr(rendered / "data" / "flows" / "flow_000002.exr")
    motion = np.array([labels[str(number)]["motion"] if number else "" for number in range(len(labels) + 1)])[ids]
    assert np.abs(flow["R"][motion == "static"]).max() < 1e-9
    # 0.05 units to the right at distance 6.85 of the top faces, 60 mm on 36 mm: more than 1.9 px, and a turn.
    expected = 0.05 / 7 * 60 / 36 * 160
    for sign, names in ((1, "RG"), (-1, "BA")):
        assert np.abs(sign * flow[names[0]][motion == "rigid"].mean() - expected) < 0.1 * expected


def test_pictures_do_not_change(blend, rendered, tmp_path, config, scripts) -> None:
    assert_plain_pictures(scripts, blend, rendered / "data", tmp_path, config, [1, 2])


def assert_plain_pictures(scripts, blend: Path, root: Path, folder: Path, config: RenderConfig, frames) -> None:
    """The pictures of a dataset are those of a loop without visionsim, to the bit."""
    names = "width height max_samples adaptive_threshold use_denoising seed file_format bit_depth".split()
    wanted = {name: getattr(config, name) for name in names}
    wanted.update(blend=str(blend), frames=list(frames), output=str(folder / "plain_%d.png"))
    (folder / "plain.json").write_text(json.dumps(wanted))
    scripts.run(HERE / "plain_render.py", folder / "plain.json")
    for frame in frames:
        ours = np.asarray(Image.open(root / "frames" / f"frame_{frame:06d}.png"))
        assert ours.std() > 5 and np.array_equal(ours, np.asarray(Image.open(folder / f"plain_{frame}.png")))


def identity(scripts, folder: Path, name: str) -> Path:
    """A scene of `build_identity.py`."""
    blend = folder / f"{name}.blend"
    scripts.run(HERE / "build_identity.py", blend, name)
    return blend


def regions_by_path(root: Path, frame: int) -> dict[str, int]:
    """Path of everything in a frame -> of how many parts it is."""
    ids, labels = ids_of(root, frame), labels_of(root)
    return {labels[str(number)]["path"]: regions(ids == number) for number in np.unique(ids[ids > 0])}


def test_materials_without_a_surface_shader_stay_black(tmp_path, config, scripts) -> None:
    blend = identity(scripts, tmp_path, "materials")
    config = dataclasses.replace(config, file_format="PNG", bit_depth=16, flows=False)
    render(blend, tmp_path / "out", config, frame_end=1)
    assert_plain_pictures(scripts, blend, tmp_path / "out", tmp_path, config, [1])
    shown = regions_by_path(tmp_path / "out", 1)
    kinds = [name.split(".")[0] for name in shown if name != "Floor"]
    fog = shown.keys() & {"fog.0/fog#0", "fog.1/fog#0"}
    assert not fog and len(kinds) == 2 * 23 and set(shown.values()) == {1}, shown


def test_linked_copies_without_material_have_ids(tmp_path, config, scripts) -> None:
    blend = identity(scripts, tmp_path, "linked")
    render(blend, tmp_path / "out", config, frame_end=1)
    assert_plain_pictures(scripts, blend, tmp_path / "out", tmp_path, config, [1])
    shown = regions_by_path(tmp_path / "out", 1)
    assert {name.split(".")[0] for name in shown} >= {"Bare", "Slot"}
    assert all(name.count("/") == 1 for name in shown) and len(shown) % 3 == 0, shown


def test_copies_that_come_and_go_keep_their_ids(tmp_path, config, scripts) -> None:
    """They are known by an `id`, by an index that stays theirs, and between two frames as well as on them."""
    blend = identity(scripts, tmp_path, "growing")
    config = dataclasses.replace(config, width=96, height=64, max_samples=1, normals=False, flows=False)
    labels = render(blend, tmp_path / "out", config)["labels"]
    sources = {label["path"]: int(key) for key, label in labels.items() if "/" not in label["path"]}
    counts, before, seen = {}, None, set()
    for frame in range(1, 6):
        ids = ids_of(tmp_path / "out", frame)
        shown = np.unique(ids[ids > 0])
        seen |= {str(number) for number in shown}
        assert not set(shown) & set(sources.values())
        makers = [labels[str(number)]["path"].split("/")[0] for number in shown]
        counts[frame] = {maker: makers.count(maker) for maker in makers}
        if before is not None:
            assert np.array_equal(ids[(ids > 0) & (before > 0)], before[(ids > 0) & (before > 0)])
        before = ids
    for frame, found in counts.items():
        assert found["Counted"] == found["Array"] == frame and found["Culled"] == 6 - frame and "Between" not in found
    assert counts[5]["Spread"] > counts[1]["Spread"] > 0

    slow = dataclasses.replace(config, keyframe_multiplier=2.0)
    slow_labels = render(blend, tmp_path / "slow", slow, frame_start=2, frame_end=5)["labels"]
    assert all(labels[number] == slow_labels[number] for number in seen)
    for frame in (2, 4):
        assert np.array_equal(ids_of(tmp_path / "slow", frame), ids_of(tmp_path / "out", frame // 2))
    between = {slow_labels[str(number)]["path"] for number in np.unique(ids_of(tmp_path / "slow", 5)) if number}
    assert "Between/Rock#1.0" in between


def test_copies_that_keys_add_have_ids(tmp_path, config, scripts) -> None:
    blend = identity(scripts, tmp_path, "keyed")
    config = dataclasses.replace(config, width=96, height=64, max_samples=1, normals=False, flows=False)
    render(blend, tmp_path / "out", config, frame_start=5)
    copies = {f"{maker}/Rock#{number}.0" for maker in ("Counted", "Array") for number in range(5)}
    assert regions_by_path(tmp_path / "out", 5) == dict.fromkeys(copies, 1)


def test_copy_that_was_not_found_is_an_error(tmp_path, config, scripts) -> None:
    blend = identity(scripts, tmp_path, "hidden")
    config = dataclasses.replace(config, flows=False)
    report = run(AnimationRequest(blend, tmp_path / "out", frame_end=1), config, observe=lambda event: None)
    (failure,) = report.failures
    assert "the copy 'Hidden/Rock#1.0' has no id" in failure.message and failure.frames == (1,), failure


def test_copies_whose_ids_would_jump_are_refused_by_name(tmp_path, config, scripts) -> None:
    blend = identity(scripts, tmp_path, "culled")
    for wanted in ({"flows": False}, {"segmentations": False}):
        asked = dataclasses.replace(config, **wanted)
        report = run(AnimationRequest(blend, tmp_path / "out"), asked, observe=lambda event: None)
        (failure,) = report.failures
        assert "'Culled'" in failure.message and "give the points an `id`" in failure.message, failure
    asked = dataclasses.replace(config, flows=False, segmentations=False)
    render(blend, tmp_path / "out", asked, frame_end=1)


def test_copies_that_nothing_tells_apart_are_refused_by_name(tmp_path, config, scripts) -> None:
    blend = identity(scripts, tmp_path, "bare")
    report = run(AnimationRequest(blend, tmp_path / "out"), config, observe=lambda event: None)
    (failure,) = report.failures
    assert "'Bare/Bare#0" in failure.message and "Set Material" in failure.message, failure
    render(blend, tmp_path / "out", dataclasses.replace(config, segmentations=False), frame_end=1)


def test_moving_copies_known_by_index_are_named(tmp_path, config, scripts) -> None:
    blend = identity(scripts, tmp_path, "waving")
    asked = dataclasses.replace(config, flows=False)
    report = run(AnimationRequest(blend, tmp_path / "out", frame_end=1), asked, observe=lambda event: None)
    assert any("'Waving'" in note and "index" in note for note in report.notes), report


@pytest.mark.skipif(EXECUTABLE is not None, reason="takes long, and is the same in every Blender")
def test_more_objects_than_ids_are_refused_only_where_ids_are_needed(tmp_path, config, scripts) -> None:
    blend = identity(scripts, tmp_path, "many")
    config = dataclasses.replace(config, width=64, height=32, max_samples=1)
    report = run(AnimationRequest(blend, tmp_path / "out", frame_end=1), config, observe=lambda event: None)
    assert "32769 objects" in report.failures[0].message and "segmentations" in report.failures[0].message
    asked = dataclasses.replace(config, segmentations=False)
    render(blend, tmp_path / "out", asked, frame_start=2, frame_end=2)
    flow = read_exr(tmp_path / "out" / "flows" / "flow_000002.exr")["R"]
    assert flow[:, 30:].max() > 0.3 and np.abs(flow[:, :28]).max() < 1e-3


def test_particles_that_are_born_later_have_their_ids_from_the_start(tmp_path, config, scripts) -> None:
    blend = build(scripts, tmp_path, "particles")
    config = dataclasses.replace(config, normals=False, flows=False)
    labels = render(blend, tmp_path / "late", config, frame_start=6)["labels"]
    assert labels == render(blend, tmp_path / "early", config, frame_end=1)["labels"]
    particles = {int(key) for key, label in labels.items() if label["path"].startswith("Emitter/Trunk#")}
    assert len(particles) == 4
    assert particles <= set(ids_of(tmp_path / "late", 6).flat) and not particles <= set(
        ids_of(tmp_path / "early", 1).flat
    )


def test_another_labels_file_renews_the_document_only(blend, rendered, tmp_path, config) -> None:
    root = tmp_path / "out"
    shutil.copytree(rendered / "data", root)
    picture = root / "frames" / "frame_000001.png"
    stamp = picture.stat().st_mtime_ns
    labels = render(blend, root, config, frame_end=3, labels=LabelRules({"moving": ("Moving/*",)}))["labels"]
    assert {label["class"] for label in labels.values() if label["path"].startswith("Moving/")} == {"moving"}
    assert picture.stat().st_mtime_ns == stamp
