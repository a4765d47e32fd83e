"""One of each kind: pictures are plain Blender's whatever ground truth is asked for, and no byte depends on jobs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.render.same import assert_same_data
from visionsim.simulation.report import RunReport
from visionsim.simulation.run import AnimationRequest, run

HERE = Path(__file__).parent
FRAMES = range(1, 5)


@pytest.mark.parametrize("kind", ["things", "particles", "blurred", "painted"])
def test_ground_truth_changes_no_picture_and_jobs_change_no_byte(tmp_path, config, scripts, kind) -> None:
    blend = tmp_path / f"{kind}.blend"
    scripts.run(HERE / "build_zoo.py", kind, blend)
    config = dataclasses.replace(config, max_samples=1, occlusions=kind != "painted")
    for jobs in (1, 3):
        report = run(
            AnimationRequest(blend, tmp_path / str(jobs)),
            dataclasses.replace(config, jobs=jobs),
            observe=lambda event: None,
        )
        assert isinstance(report, RunReport) and report.exit_code == 0, report.to_json()["failures"]
    names = "width height max_samples adaptive_threshold use_denoising seed file_format bit_depth".split()
    wanted = {name: getattr(config, name) for name in names}
    wanted |= {"blend": str(blend), "frames": list(FRAMES), "output": str(tmp_path / "plain_%d.png")}
    (tmp_path / "plain.json").write_text(json.dumps(wanted))
    scripts.run(HERE / "plain_render.py", tmp_path / "plain.json")
    different = {}
    for frame in FRAMES:
        ours = np.asarray(Image.open(tmp_path / "1" / "frames" / f"frame_{frame:06d}.png"))
        plain = np.asarray(Image.open(tmp_path / f"plain_{frame}.png"))
        assert plain.std() > 5
        different[frame] = int((ours != plain).any(axis=-1).sum())
    assert not any(different.values()), f"pixels that are not plain Blender's, by frame: {different}"
    assert_same_data(tmp_path / "1", tmp_path / "3")


def test_blurred_fluid_particles_that_are_not_baked_are_refused_by_name(tmp_path, config, scripts) -> None:
    blend = tmp_path / "flowing.blend"
    scripts.run(HERE / "build_zoo.py", "flowing", blend)
    report = run(AnimationRequest(blend, tmp_path / "out"), config, observe=lambda event: None)
    (failure,) = report.failures
    assert "the fluid particles of 'Fluid' are not baked" in failure.message and "bake them" in failure.message
    assert not (tmp_path / "out" / "frames").exists()
