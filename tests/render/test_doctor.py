"""A real Blender tells what it is."""

from __future__ import annotations

from pathlib import Path

from visionsim.simulation.doctor import diagnose


def test_blender_tells_what_it_is(executable: str | None, blender_knows, tmp_path: Path) -> None:
    found = {check.name: check for check in diagnose(tmp_path, executable).checks}
    assert found["Blender"].status == "ok", found["Blender"]
    assert found["devices"].values["devices"]["cpu"]
    assert found["denoiser"].values["denoiser"] == blender_knows("__import__('_cycles').with_openimagedenoise")
    assert list(tmp_path.iterdir()) == []
