"""Flow of surfaces that change is exact, or known to be unknown; no picture shows geometry of an earlier frame."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests.render.conftest import small_config
from visionsim.io.exr import read_exr
from visionsim.io.images import read_pixels
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.run import AnimationRequest, run

HERE = Path(__file__).parent

STILL = ["still"]
FOLLOWED = ["rigid", "subdivided", "repeated", "offset", "displaced", "hair"]
LOST = ["remeshed", "swapped", "cut", "built", "blob", "drawn", "grouped", "followed_empty", "bent"]
LIFTED = ["by_colour", "by_property", "by_instancer", "by_place"]

STEP = 0.1
"""Motion per frame, along x."""

FORWARD, BACKWARD = 1, 4
"""Bits of occlusions: motion is known."""


@pytest.fixture(scope="module")
def followed(blender_knows) -> list[str]:
    """What Blender follows; in 3.4 Python cannot make hair curves."""
    curves = blender_knows("bpy.app.version >= (4, 2, 0)")
    return [name for name in FOLLOWED if name != "hair" or curves]


def build(scripts, blend: Path, *parts: str, last: int = 4) -> Path:
    output = scripts.run(HERE / "build_changing.py", blend, last, *parts)
    assert blend.exists(), output
    return blend


def render(blend: Path, root: Path, config: RenderConfig, first: int = 2, last: int = 3) -> dict:
    """transforms.json of what was rendered."""
    request = AnimationRequest(blend, root, frame_start=first, frame_end=last)
    report = run(request, config, observe=lambda event: None)
    assert report.exit_code == 0, report.failures
    return json.loads((root / "transforms.json").read_text())


def refusal(blend: Path, root: Path, config: RenderConfig, **request) -> str:
    report = run(AnimationRequest(blend, root, **request), config, observe=lambda event: None)
    assert report.exit_code == 1
    (message,) = {failure.message for failure in report.failures}
    return message


def flow_of(root: Path, frame: int) -> np.ndarray:
    channels = read_exr(root / "flows" / f"flow_{frame:06d}.exr")
    return np.stack([channels[name] for name in "RGBA"])


def check_followed(root: Path, document: dict, names: list[str]) -> None:
    """The flow of each named object is that of its motion, at every pixel and in every frame."""
    numbers = {label["name"]: int(key) for key, label in document["labels"].items()}
    for frame in (2, 3):
        ids = read_exr(root / "segmentations" / f"segmentation_{frame:06d}.exr")["Y"]
        depth = read_exr(root / "depths" / f"depth_{frame:06d}.exr")["Y"]
        flow = flow_of(root, frame)
        for name in names:
            seen = ids == numbers[name]
            assert seen.sum() > 20, name
            u = (0.0 if name in STILL else STEP) * document["fl_x"] / depth[seen]
            # The vectors of hair are those of its axis, 0.02 away from its surface.
            error = np.abs(flow[:, seen] - [u, 0 * u, -u, 0 * u]).max()
            assert error < (1e-3 if name == "hair" else 1e-4), (name, frame, error)


@pytest.fixture(scope="module")
def marked(scripts, tmp_path_factory, followed) -> tuple[Path, dict]:
    """A sequence with everything, rendered with occlusions."""
    folder = tmp_path_factory.mktemp("marked")
    blend = build(scripts, folder / "all.blend", *STILL, *followed, *LOST, "hiding")
    config = dataclasses.replace(small_config(folder / "logs"), occlusions=True, max_samples=1)
    return folder / "out", render(blend, folder / "out", config)


def test_flow_is_exact_where_blender_follows_the_surface(marked, followed) -> None:
    check_followed(*marked, [*STILL, *followed])


def test_flow_is_nothing_and_marked_where_blender_does_not(marked, followed) -> None:
    root, document = marked
    numbers = {label["name"]: int(key) for key, label in document["labels"].items()}
    for frame in (2, 3):
        ids = read_exr(root / "segmentations" / f"segmentation_{frame:06d}.exr")["Y"]
        bits = read_pixels(root / "occlusions" / f"occlusion_{frame:06d}.png")
        flow = flow_of(root, frame)
        for name in [*STILL, *followed, *LOST]:
            seen = ids == numbers[name]
            assert seen.sum() > 10, name
            known = 0 if name in LOST else FORWARD | BACKWARD
            assert set(np.unique(bits[seen] & (FORWARD | BACKWARD))) == {known}, (name, frame)
            assert name not in LOST or not flow[:, seen].any(), (name, frame)
        if frame == 2:  # Hidden in frame 3.
            assert set(np.unique(bits[ids == numbers["hiding"]] & (FORWARD | BACKWARD))) == {BACKWARD}


def test_motion_across_a_cut_is_marked_where_something_deforms(scripts, tmp_path, config) -> None:
    blend = build(scripts, tmp_path / "cut.blend", "still", "subdivided", "other_camera")
    assert "the camera changes next to this frame" in refusal(
        blend, tmp_path / "refused", config, frame_start=2, frame_end=3
    )
    config = dataclasses.replace(config, occlusions=True, max_samples=1)
    render(blend, tmp_path / "out", config)
    for frame, known, lost in ((2, BACKWARD, [0, 1]), (3, FORWARD, [2, 3])):
        surface = read_exr(tmp_path / "out" / "segmentations" / f"segmentation_{frame:06d}.exr")["Y"] > 0
        bits = read_pixels(tmp_path / "out" / "occlusions" / f"occlusion_{frame:06d}.png")
        assert surface.any() and set(np.unique(bits[surface] & (FORWARD | BACKWARD))) == {known}
        assert not flow_of(tmp_path / "out", frame)[lost].any()


def test_labels_say_which_surfaces_may_change(marked, followed) -> None:
    motion = {label["name"]: label["motion"] for label in marked[1]["labels"].values()}
    for name in [*STILL, *followed, *LOST]:
        assert motion[name] == {"still": "static", "rigid": "rigid"}.get(name, "deforming"), name


def test_what_is_always_followed_needs_no_occlusions(scripts, tmp_path, config, followed) -> None:
    blend = build(scripts, tmp_path / "followed.blend", *STILL, *followed)
    config = dataclasses.replace(config, max_samples=1)
    check_followed(tmp_path / "out", render(blend, tmp_path / "out", config), [*STILL, *followed])


def test_flow_that_cannot_say_what_it_does_not_know_is_refused_before_rendering(scripts, tmp_path, config) -> None:
    refused = {
        "grouped": "'grouped' has the material 'grouped', which displaces by the animated node 'Value'",
        "swapped": "'swapped' has the modifier 'Nodes' (geometry nodes), which makes new vertices from frame to frame",
    }
    for name, reason in refused.items():
        message = refusal(build(scripts, tmp_path / f"{name}.blend", "still", name), tmp_path / "out", config)
        assert reason in message and "add --render-config.occlusions" in message
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".visionsim"]  # The run's record, no frame.


def test_a_change_late_in_a_long_scene_fails_its_frames_only(scripts, tmp_path, config) -> None:
    blend = build(scripts, tmp_path / "late.blend", "still", "swapped_later", last=200)
    request = AnimationRequest(blend, tmp_path / "out", frame_start=147, frame_end=149)
    report = run(request, dataclasses.replace(config, max_samples=1), observe=lambda event: None)
    assert sorted(frame for failure in report.failures for frame in failure.frames) == [148, 149]
    assert all("'swapped_later' has the modifier" in failure.message for failure in report.failures)
    assert (tmp_path / "out" / "flows" / "flow_000147.exr").exists()


@pytest.mark.parametrize("depths", [True, False])
def test_no_frame_shows_the_geometry_of_an_earlier_one(scripts, tmp_path, config, depths) -> None:
    """In every frame the surfaces are as high as their displacement says: in the picture, and in the depth."""
    blend = build(scripts, tmp_path / "lifted.blend", *LIFTED)
    plain = dataclasses.replace(config, depths=depths, normals=False, flows=False, segmentations=False)
    plain = dataclasses.replace(plain, file_format="OPEN_EXR", bit_depth=32, max_samples=1)
    document = render(blend, tmp_path / "out", plain, first=1, last=3)
    for frame in (1, 2, 3):
        picture = read_exr(tmp_path / "out" / "frames" / f"frame_{frame:06d}.exr")["R"]
        for index, name in enumerate(LIFTED):
            x = document["cx"] + document["fl_x"] * (2 * (index % 6) - 5) / 20
            y = document["cy"] + document["fl_x"] * 3 / 20
            assert picture[int(y), int(x)] == pytest.approx(STEP * frame, abs=2e-3), (name, frame)
            if depths:
                depth = read_exr(tmp_path / "out" / "depths" / f"depth_{frame:06d}.exr")["Y"]
                assert depth[int(y), int(x)] == pytest.approx(20 - STEP * frame, abs=2e-3), (name, frame)


def test_displacement_changes_unless_everything_it_depends_on_stands_still(scripts) -> None:
    printed = scripts.run(HERE / "displaced.py")
    found = json.loads(next(line for line in printed.splitlines() if line.startswith('{"changing"')))
    always = {"sequence", "movie", "keys", "driver", "something unknown"}
    if_it_moves = {
        "world space", "coordinates of another", "coordinates of another, in a group", "camera coordinates", "position",
        "location", "colour", "facing", "property", "place as property", "scene's property",
    }  # fmt: skip
    assert {name for name, (still, _) in found["changing"].items() if still} == always
    assert {name for name, (_, moving) in found["changing"].items() if moving} == always | if_it_moves
    # Blender tells Cycles of keys, drivers, images and the scene's properties.
    seen = {"sequence", "movie", "keys", "driver", "scene's property"}
    assert set(found["unseen"]) == (always | if_it_moves) - seen
