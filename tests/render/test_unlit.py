"""Ground truth without light is what it is with light, and only surfaces that allow it go without."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from visionsim.io.exr import read_exr_image, read_passes

HERE = Path(__file__).parent


def test_ground_truth_without_light_is_that_with_light(scripts, tmp_path) -> None:
    printed = scripts.run(HERE / "lit_and_unlit.py", tmp_path)
    found = next(json.loads(line) for line in printed.splitlines() if line.startswith('{"unlit"'))
    assert found["unlit"] == found["expected"]
    assert found["same"], "the materials are not what they were before"
    lit, unlit = (read_passes(tmp_path / f"{name}.exr") for name in ("lit", "unlit"))
    ids = next(lit[name] for name in ("Object Index", "IndexOB") if name in lit)[..., 0]
    for name in lit.keys() - {"Combined", "Normal"}:
        assert np.array_equal(lit[name], unlit[name]), name
    # At silhouettes, shaders bend normals towards the viewer, in 3.4.1 all of them. The camera is in (0, 0, 10).
    view = np.array([0.0, 0.0, 10.0]) - lit["Position"]
    view /= np.linalg.norm(view, axis=-1, keepdims=True)
    silhouette = np.abs((unlit["Normal"] * view).sum(-1)) < 0.1
    differ = np.abs(lit["Normal"] - unlit["Normal"]).max(-1) > 1e-5
    assert not np.any(differ & ~silhouette) and differ.sum() < 20
    number = len(found["expected"])
    shown = np.where((ids > 0) & (ids <= number), 1, np.where(ids > number, 2, 0))
    assert [int((shown == group).sum()) > 500 for group in (1, 2)] == [True, True]
    # Where a bump leans far from the viewer, light is computed, so that shaders bend it as they do with light.
    lit_up, left = (passes["Combined"][shown == 1][:, :3].any(-1).mean() for passes in (lit, unlit))
    assert lit_up > 0.05 and left < 0.02, "light was computed"
    pictures = [read_exr_image(tmp_path / f"picture_{name}.exr") for name in ("with", "without")]
    assert np.array_equal(*pictures) and pictures[0][shown == 1][..., :3].mean() > 0.05


def test_surfaces_that_emit_are_found(scripts) -> None:
    printed = scripts.run(HERE / "emitters.py")
    emits = next(json.loads(line) for line in printed.splitlines() if line.startswith('{"emits"'))["emits"]
    assert emits == [
        "principled that glows", "principled with a link", "emission", "emission in a group", "colour", "script",
    ]  # fmt: skip
