"""Depth, ids, normals, flow, poses and intrinsics of the closed-form scenes, against truth without Blender."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest

from tests.render.closed_form import NUM_FRAMES
from tests.render.errors import COLUMNS, Rendered, measure, render_all
from tests.render.scenes import FAMILY, scene

FLOW_REFUSED = {
    "animated lens, deforming meshes": ("animated lens", {"3.4", "4.2"}),
    "animated shift, deforming meshes": ("animated shift_x", {"3.4", "4.2", "4.5", "5.0", "5.2"}),
    "orthographic, deforming meshes": ("orthographic", {"4.5", "5.0"}),
    "fisheye equisolid, deforming meshes": ("fisheye", {"3.4", "4.2"}),
}
"""Scene -> gist of the message, and the Blenders whose vector pass is wrong there."""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, executable, scripts) -> dict[str, Rendered | str]:
    return render_all(
        {name: scene(name) for name in FAMILY}, tmp_path_factory.mktemp("family") / "all", executable, scripts
    )


@pytest.mark.parametrize("name", FAMILY)
def test_errors_are_within_limits(name, rendered) -> None:
    result = rendered[name]
    assert isinstance(result, Rendered), result
    errors = measure(result)
    assert not errors.beyond(), {field: getattr(errors, field) for field in errors.beyond()} | {"": errors.remarks}
    version = ".".join(result.transforms["generator"]["blender"].split(".")[:2])
    gist, refused_in = FLOW_REFUSED.get(name, ("", set()))
    assert (errors.refused is not None) == (version in refused_in), errors.refused
    assert gist in (errors.refused or gist) and (errors.forward is None) == (errors.refused is not None)
    measured = [field for field in COLUMNS if getattr(errors, field) is not None]
    of_flow = {"forward", "backward", "known", "visible", "visible_on_edges"}
    assert set(COLUMNS) - set(measured) <= (of_flow if errors.refused else set())


def test_blur_is_in_the_picture_and_not_in_the_ground_truth(rendered) -> None:
    for sharp, blurred in (
        ("plain", "depth of field"),
        ("plain", "motion blur"),
        ("deforming meshes", "deforming meshes, depth of field and motion blur"),
    ):
        for index in range(NUM_FRAMES):
            a, b = rendered[sharp], rendered[blurred]
            pictures = [r.picture(index).astype(int) for r in (a, b)]
            assert np.abs(pictures[0] - pictures[1]).mean() > 0.3  # Of 255: the variant is what it says.
            for kind in ("depths", "segmentations", "flows", "occlusions"):
                assert np.array_equal(a.read(kind, index), b.read(kind, index))


def test_flow_was_found_both_ways(rendered) -> None:
    logs = "".join({result.log for result in rendered.values()})
    assert "nothing deforms" in logs and "from Blender's vector pass" in logs


def swap_two_copies(data: dict) -> None:
    ids = data["segmentations", 1]
    a, b = np.unique(ids)[-2:]
    data["segmentations", 1] = np.where(ids == a, b, np.where(ids == b, a, ids))


def merge_two_copies(data: dict) -> None:
    a, b = np.unique(data["segmentations", 1])[-2:]
    for index in range(NUM_FRAMES):
        ids = data["segmentations", index]
        data["segmentations", index] = np.where(ids == a, b, ids)


def change(kind: str, how: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict], None]:
    """Of the last frame only."""

    def apply(data: dict) -> None:
        data[kind, NUM_FRAMES - 1] = how(data[kind, NUM_FRAMES - 1])

    return apply


DAMAGES = {
    "two copies swapped in one frame": (swap_two_copies, "ids_inside"),
    "two copies share an id": (merge_two_copies, "labels"),
    "depth scaled": (change("depths", lambda a: a * np.float32(1.00002)), "depth"),
    "forward flow moved": (change("flows", lambda a: a + np.array([0, 0.002, 0, 0])), "forward"),
    "backward flow turned round": (change("flows", lambda a: a * np.array([1, 1, -1, -1])), "backward"),
    "normals tilted": (change("normals", lambda a: a + np.array([0.002, 0, 0])), "normal_flat"),
    "normals too long": (change("normals", lambda a: a * 1.001), "normal_length"),
    "nothing is at a distance": (change("depths", lambda a: np.where(np.isinf(a), 1e10, a)), "background"),
    "visible targets called hidden": (change("occlusions", lambda a: a & 5), "visible"),
    "hidden targets called visible": (change("occlusions", lambda a: a | (a & 5) * 2), "visible"),
    "known motion called unknown": (change("occlusions", lambda a: a & 12), "known"),
    "background of known motion": (change("occlusions", lambda a: a | 1), "known"),
    "flow where nothing is": (change("flows", lambda a: a + 1e-6), "background"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_measured(damage, rendered) -> None:
    apply, column = DAMAGES[damage]
    damaged = copy.copy(rendered["instances"])
    kinds = ("depths", "normals", "flows", "segmentations", "occlusions")
    damaged._arrays = {(kind, i): damaged.read(kind, i) for kind in kinds for i in range(NUM_FRAMES)}
    apply(damaged._arrays)
    assert column in measure(damaged).beyond()


def test_a_wrong_camera_is_measured(rendered) -> None:
    damaged = copy.copy(rendered["lens shift"])
    document = dict(damaged.transforms)
    damaged.transforms = {**document, "cx": document["cx"] + 0.02}
    assert measure(damaged).beyond() == ["camera"]


def test_a_wrong_label_is_measured(rendered) -> None:
    damaged = copy.copy(rendered["instances"])
    labels = copy.deepcopy(damaged.transforms["labels"])
    number = next(key for key, label in labels.items() if label["path"].startswith("Tree.Moving/"))
    labels[number]["motion"] = "static"
    damaged.transforms = {**damaged.transforms, "labels": labels}
    errors = measure(damaged)
    assert errors.beyond() == ["labels"] and "moves, but is labelled static" in errors.remarks[0]
