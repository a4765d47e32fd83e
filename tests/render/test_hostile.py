"""A .blend neither runs nor writes anything behind our back; what it lacks is told; if it crashes, it crashes alone."""

from __future__ import annotations

import dataclasses
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad_inputs import LACKING, REQUESTS, SCENES
from tests.render.conftest import EXECUTABLE
from tests.render.scripts import Blender
from visionsim.errors import ConfigError, IncompleteScene
from visionsim.simulation import pool
from visionsim.simulation.job_queue import JobQueue
from visionsim.simulation.plan import Plan, SceneInfo
from visionsim.simulation.report import RunReport
from visionsim.simulation.run import AnimationRequest, DatasetRequest, run

BUILDER = Path(__file__).parent / "build_hostile.py"

PYTHON = [
    "group driver",
    "handler",
    "material driver",
    "object driver",
    "registered",
    "shape key driver",
    "strip driver",
]
"""Files that the Python of the scene leaves."""


@dataclasses.dataclass(frozen=True)
class Hostile:
    """The scenes, and the folder that they write to."""

    folder: Path
    watched: Path

    def written(self) -> list[str]:
        return sorted(path.relative_to(self.watched).as_posix() for path in self.watched.rglob("*"))

    def everything(self) -> dict[Path, bytes | None]:
        """All files around the scenes, and what is in them."""
        paths = [*self.folder.rglob("*"), *self.watched.rglob("*")]
        return {path: path.read_bytes() if path.is_file() else None for path in paths}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Hostile:
    made = Hostile(tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("watched"))
    with Blender(EXECUTABLE) as alone:  # Fluids make some versions crash when they leave.
        output = alone.run(BUILDER, made.folder, made.watched)
    assert (made.folder / "crashing" / "good.blend").exists(), output
    for path in made.watched.iterdir():  # The builder's own evaluations.
        path.unlink() if path.is_file() else subprocess.run(["rm", "-r", path], check=True)
    return made


@pytest.fixture
def small(config):
    return dataclasses.replace(config, width=16, height=16, max_samples=1, flows=False, normals=False)


def infos(plan: RunReport | Plan) -> dict[str, SceneInfo]:
    assert isinstance(plan, Plan)
    return {planned.scene.name: planned.info for planned in plan.scenes if planned.info is not None}


def test_python_in_a_scene_runs_only_with_autoexec(hostile, tmp_path, small) -> None:
    before = hostile.everything()
    request = DatasetRequest(hostile.folder / "scripts", tmp_path / "data")
    report = run(request, small, observe=lambda event: None)
    assert isinstance(report, RunReport) and report.exit_code == 0
    assert hostile.everything() == before
    told = "\n".join(report.notes)
    for sentence in (
        "'run.py' did not run",
        "'on every frame' did not run",
        "Freestyle's scripts",
        "drivers with Python",
    ):
        assert sentence in told, told
    for driver in ("'Cube'", "'Material'", "'Key'", "'Group'", "strips["):
        assert driver in told, told
    (drivers,) = (note for note in report.notes if "drivers with Python" in note)
    assert drivers.count(" of '") == 5, drivers

    trusting = dataclasses.replace(small, autoexec=True)
    report = run(DatasetRequest(hostile.folder / "scripts", tmp_path / "more"), trusting, observe=lambda event: None)
    assert report.exit_code == 0
    assert hostile.written() == sorted([*PYTHON, "freestyle"])
    assert "did not run" not in "\n".join(report.notes)


def test_scenes_write_nothing_outside(hostile, tmp_path, small) -> None:
    before = hostile.everything()
    caches = {path.parent.name for path in before if path.suffix == ".bphys"}
    assert caches == {"blendcache_cloth", "blendcache_played", "blendcache_paint"}
    report = run(DatasetRequest(hostile.folder / "writing", tmp_path / "data"), small, observe=lambda event: None)
    assert isinstance(report, RunReport)
    assert hostile.everything() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "logs"]
    told = "\n".join(report.notes)
    for name in ("Plain", "Nested", "Of another scene"):
        assert f"File Output node {name!r} is switched off" in told, told
    assert "'Other scene'" not in told
    assert "fluid simulation of 'Cube' is not baked" in told
    assert "cloth simulation of 'Cube' is not baked" in told
    complete = {row.name.split("/")[0] for row in report.sequences if row.complete}
    assert complete == {"cloth", "fluid", "outputs", "paint", "played"}


def test_scenes_that_cannot_be_rendered_say_why(hostile, tmp_path, small) -> None:
    """As in docs/troubleshooting.md."""
    folder = hostile.folder / "refused"
    good = (folder / "good.blend").read_bytes()
    (folder / "good.blend").unlink()
    version = re.match(rb"BLENDER(?:-v\d\d\d|17-01v\d\d\d\d)", good)
    assert version is not None
    later = b"BLENDER-v999" if len(version[0]) == 12 else b"BLENDER17-01v9900"
    for name, data in (
        ("empty", b""),
        ("truncated", good[: len(good) // 2]),
        ("noise", bytes(range(256))),
        ("newest", b"BLENDER17-01v9800" + good[: len(good) // 2]),
        ("newer", later + good[len(later) :]),
    ):
        (folder / f"{name}.blend").write_bytes(data)
    before = hostile.everything()
    plan = run(DatasetRequest(folder, tmp_path / "data"), small, dry_run=True, observe=lambda event: None)
    assert isinstance(plan, Plan)
    errors = {scene.scene.name: scene.error for scene in plan.scenes if scene.error is not None}
    assert errors.keys() == SCENES.keys()
    for name, row in SCENES.items():
        assert re.fullmatch(row.pattern, errors[name]), errors[name]
    for name, row in LACKING.items():
        (sentence,) = infos(plan)[name].missing
        assert re.fullmatch(row.pattern, f"{name}: {sentence}"), sentence
    request = AnimationRequest(folder / "newer.blend", tmp_path / "data")
    for name, value in (("device_type", "metal"), ("addons", ("nobody",))):
        with pytest.raises(ConfigError) as refused:
            run(request, dataclasses.replace(small, **{name: value}), observe=lambda event: None)
        assert re.fullmatch(REQUESTS[name].pattern, str(refused.value))
    assert hostile.everything() == before
    assert list(tmp_path.iterdir()) == []


def test_what_a_scene_lacks_is_told_and_with_strict_refused(hostile, tmp_path, small, blender_knows) -> None:
    request = DatasetRequest(hostile.folder / "lacking", tmp_path / "data")
    with pytest.raises(IncompleteScene, match=r"leave out --strict:\n    lacking: ") as refused:
        run(request, small, strict=True, observe=lambda event: None)
    missing = str(refused.value).partition("\n")[2]
    folder = str(hostile.folder / "lacking")
    for sentence in (
        f"texture 'wood' is missing (renders pink): {folder}/wood.png",
        f"tiled texture (UDIM) 'tiles' is missing (renders pink): {folder}/tiles.1011.png",
        f"image sequence 'water' is missing (renders pink): {folder}/water003.png, {folder}/water005.png",
        f"movie 'clip' is missing (renders pink): {folder}/clip.mp4",
        f"volume 'Fog' is missing: {folder}/fog.vdb",
        f"the light profile (IES) of 'Lamp' is missing: {folder}/lamp.ies",
        f"the mesh cache 'MDD' of 'Cube' is missing: {folder}/cube.mdd",
    ):
        assert sentence in missing, missing
    tells = blender_knows("'is_missing' in bpy.types.ID.bl_rna.properties")
    assert (f"object 'Chair' is not in its library: {folder}/library/of/inner.blend" in missing) == tells, missing
    assert len(missing.splitlines()) == 7 + tells, missing
    inner = hostile.folder / "lacking" / "library" / "of" / "inner.blend"
    inner.rename(inner.with_suffix(".away"))
    try:
        missing = "\n".join(infos(run(request, small, dry_run=True, observe=lambda event: None))["lacking"].missing)
    finally:
        inner.with_suffix(".away").rename(inner)
    assert (
        f"library is missing, its objects are left out: {folder}/library/of/inner.blend (linked by //library/of/outer"
        in missing
    )
    assert "Chair" not in missing
    assert list(tmp_path.iterdir()) == []


def test_scenes_that_crash_blender_fail_alone(hostile, tmp_path, small, monkeypatch) -> None:
    # One attempt less than usual: tests/simulation/test_job_queue.py counts them.
    monkeypatch.setattr(pool, "JobQueue", functools.partial(JobQueue, max_attempts=2))
    trusting = dataclasses.replace(small, autoexec=True, jobs=2)
    report = run(DatasetRequest(hostile.folder / "crashing", tmp_path / "data"), trusting, observe=lambda event: None)
    assert isinstance(report, RunReport) and report.exit_code == 1
    failed = {(failure.scene, failure.frames): failure.message for failure in report.failures}
    assert sorted(failed) == [("crash_frame", (2,)), ("crash_opening", ()), ("out_of_memory", (2,))]
    assert "was killed by SIGSEGV" in failed["crash_opening", ()]
    assert "was killed by SIGSEGV" in failed["crash_frame", (2,)]
    assert "about to crash" in failed["crash_frame", (2,)]
    done = {row.name.split("/")[0]: (row.rendered, row.total) for row in report.sequences}
    assert done == {"crash_frame": (2, 3), "good": (3, 3), "out_of_memory": (2, 3)}
    assert re.search("[Mm]emory|[MC]alloc returns null", failed["out_of_memory", (2,)])
    assert all("Traceback" not in message for message in failed.values())


def test_scripts_and_preferences_of_the_user_are_left_alone(hostile, tmp_path, small, monkeypatch) -> None:
    """Also if they are broken: only --render-config.addons loads anything."""
    scripts, marks = tmp_path / "user" / "scripts", tmp_path / "marks"
    marks.mkdir()
    for name in ("startup", "addons"):
        (scripts / name).mkdir(parents=True)
        mark = f"open({str(marks / name)!r}, 'w').close()\n"
        about = "bl_info = {'name': 'Mine', 'blender': (3, 0, 0), 'category': 'Object', 'version': (1, 0, 0)}\n"
        end = "def register(): pass\ndef unregister(): pass\n"
        (scripts / name / "mine.py").write_text(about + mark + end)
    python = tmp_path / "python"
    (python / "numpy").mkdir(parents=True)
    (python / "numpy" / "__init__.py").write_text("raise ImportError('the wrong numpy')")
    (python / "startup.py").write_text(f"open({str(marks / 'pythonstartup')!r}, 'w').close()")
    monkeypatch.setenv("BLENDER_USER_SCRIPTS", str(scripts))
    monkeypatch.setenv("BLENDER_USER_CONFIG", str(tmp_path / "user"))
    (tmp_path / "user" / "startup.blend").write_bytes(b"broken")
    (tmp_path / "user" / "userpref.blend").write_bytes(b"broken")
    monkeypatch.setenv("PYTHONSTARTUP", str(python / "startup.py"))
    if small.executable not in (None, sys.executable):
        monkeypatch.setenv("PYTHONPATH", str(python))
        monkeypatch.setenv("PYTHONHOME", str(python))
    request = AnimationRequest(hostile.folder / "crashing" / "good.blend", tmp_path / "out", frame_end=1)
    assert run(request, small, observe=lambda event: None).exit_code == 0
    assert list(marks.iterdir()) == []
    with_addon = dataclasses.replace(small, addons=("mine",))
    request = AnimationRequest(hostile.folder / "crashing" / "good.blend", tmp_path / "with", frame_end=1)
    assert run(request, with_addon, observe=lambda event: None).exit_code == 0
    assert [path.name for path in marks.iterdir()] == ["addons"]
