"""Blender driven from Python: what a script changes is rendered, whatever process renders it and whoever dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import running, wait_until, worker_pids
from tests.render.conftest import EXECUTABLE
from tests.render.same import assert_same_data
from visionsim.cli.blender import render_animation
from visionsim.errors import (
    ClientStateError,
    ConfigError,
    InputNotFound,
    RenderError,
    SceneError,
    ScriptError,
    ShapeError,
    WorkerCrashed,
)
from visionsim.io.exr import read_exr
from visionsim.parallel import num_cores
from visionsim.simulation.blender import BlenderClient, BlenderClients, render_job
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.host import threads_of
from visionsim.simulation.plan import Plan

HERE = Path(__file__).parent
SCRIPT = HERE / "in_blender.py"
HALF = 4.0
"""Half of the box's side."""
WIDTH, HEIGHT = 48, 32


@pytest.fixture(scope="module")
def box(tmp_path_factory, scripts) -> Path:
    blend = tmp_path_factory.mktemp("box") / "box.blend"
    scripts.run(HERE / "build_box.py", blend)
    return blend


def prepare(client: BlenderClient, blend: Path, root: Path, *, truths: bool = True) -> None:
    client.set_resolution(HEIGHT, WIDTH)
    client.cycles_settings(max_samples=1, use_denoising=False)
    if truths:
        client.include_depths()
        client.include_flows()
        client.include_segmentations()
    client.initialize(blend, root)


@pytest.fixture(scope="module")
def shared() -> Iterator[object]:
    """A pool of one process, for tests that need a client and nothing else."""
    with BlenderClients.pool(executable=EXECUTABLE) as pool:
        yield pool


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def pair(log_dir) -> Iterator[object]:
    """A pool of two processes, for tests that need several clients."""
    with BlenderClients.pool(jobs=2, executable=EXECUTABLE, log_dir=log_dir) as pool:
        yield pool


def transforms(root: Path) -> dict:
    return json.loads((root / "transforms.json").read_text())


def random_poses(count: int, seed: int = 0) -> np.ndarray:
    """Rigid poses inside the box that look about the same way."""
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    for pose in poses:
        axis = rng.normal(size=3)
        x, y, z = axis / np.linalg.norm(axis)
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        angle = rng.uniform(0.0, 0.3)
        turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
        pose[:3, :3] = turn @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
        pose[:3, 3] = rng.uniform(-1, 1, 3)
    return poses


def wall_points(c2w: np.ndarray, k: np.ndarray) -> np.ndarray:
    """(H, W, 3): where the ray of each pixel's centre meets the box that the camera is in."""
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([(x - k[0, 2]) / k[0, 0], -(y - k[1, 2]) / k[1, 1], -np.ones_like(x)], axis=-1) @ c2w[:3, :3].T
    with np.errstate(divide="ignore"):
        reach = np.where(rays > 0, (HALF - c2w[:3, 3]) / rays, (-HALF - c2w[:3, 3]) / rays)
    return c2w[:3, 3] + rays * reach.min(axis=-1, keepdims=True)


def seen_at(points: np.ndarray, c2w: np.ndarray, k: np.ndarray) -> np.ndarray:
    local = (points - c2w[:3, 3]) @ c2w[:3, :3]
    return np.stack([k[0, 2] - k[0, 0] * local[..., 0] / local[..., 2],
                     k[1, 2] + k[1, 1] * local[..., 1] / local[..., 2]], axis=-1)  # fmt: skip


# The camera.


@pytest.fixture(scope="module")
def carried(tmp_path_factory, scripts) -> Path:
    folder = tmp_path_factory.mktemp("carried")
    scripts.run(HERE / "build_carried.py", folder)
    return folder


def test_camera_keeps_all_that_moves_it_when_nothing_else_moves(shared, carried, tmp_path) -> None:
    def seen(client: BlenderClient, blend: Path, moving: bool) -> np.ndarray:
        client.use_animations(moving)
        client.cycles_settings(use_denoising=False)
        client.initialize(blend, tmp_path)
        rows = []
        for frame in range(1, 5):
            client.set_current_frame(frame)
            rows.append(np.concatenate([client.camera_extrinsics().ravel(), client.camera_intrinsics().ravel()]))
        places = client.query(SCRIPT, "places", name="Bystander", frames=[1, 4])
        assert (places[0] != places[1]) == moving, blend.stem
        return np.array(rows)

    blends = sorted(carried.glob("*.blend"))
    assert len(blends) == 11
    for blend in blends:
        expected = shared.apply(seen, (blend, True))
        assert len(np.unique(expected, axis=0)) == 4, f"{blend.stem}: the camera does not move at all"
        assert np.array_equal(shared.apply(seen, (blend, False)), expected), blend.stem


@pytest.mark.parametrize("multiplier", [1, 2])
def test_trajectory_comes_back_and_flow_follows_it(shared, box, tmp_path, multiplier) -> None:
    poses = random_poses(100)

    def job(client: BlenderClient) -> None:
        prepare(client, box, tmp_path)
        client.move_keyframes(scale=multiplier)
        client.set_camera_trajectory(poses, start=3)
        assert client.animation_range_tuple() == (3 * multiplier, 102 * multiplier)
        report = client.render_animation(frame_step=1)
        assert report.to_json()["frames_rendered"] == 99 * multiplier + 1

    shared.apply(job)
    document = transforms(tmp_path)
    frames = {row["frame"]: np.array(row["transform_matrix"]) for row in document["frames"]}
    for index, pose in enumerate(poses):
        assert np.abs(frames[(3 + index) * multiplier] - pose).max() < 1e-5
    k = np.array(document["intrinsics"])
    worst = 0.0
    for frame, c2w in frames.items():
        flow = read_exr(tmp_path / "flows" / f"flow_{frame:06d}.exr")
        points = wall_points(c2w, k)
        here = seen_at(points, c2w, k)
        for names, other in (("RG", frame + 1), ("BA", frame - 1)):
            # Before the first pose and after the last one the camera stands still.
            expected = seen_at(points, frames.get(other, c2w), k) - here
            worst = max(worst, *(np.abs(flow[name] - expected[..., i]).max() for i, name in enumerate(names)))
    assert worst < 1e-3


def test_camera_is_put_where_it_was_told(shared, box, tmp_path) -> None:
    def job(client: BlenderClient) -> None:
        prepare(client, box, tmp_path)
        client.set_current_frame(6)
        assert np.allclose(client.camera_extrinsics()[:3, 3], [0.5, -1.0, 0.2], atol=1e-6)
        before = client.camera_extrinsics()
        client.unbind_camera()
        client.set_current_frame(1)
        assert np.abs(client.camera_extrinsics() - before).max() < 1e-6
        client.rotate_camera(0.5)
        turned = client.camera_extrinsics()
        assert np.allclose(turned[:3, 2], before[:3, 2], atol=1e-6)  # The optical axis.
        assert np.arccos(turned[:3, 0] @ before[:3, 0]) == pytest.approx(0.5, abs=1e-5)
        client.position_camera([1.0, 2.0, 0.0], look_at=[1.0, 3.5, 0.0])
        assert np.allclose(client.camera_extrinsics()[:3, :3], [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-6)
        client.position_camera([0.0, 0.0, 0.0])
        assert np.allclose(client.camera_extrinsics()[:3, :3], [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-6)
        client.position_camera([0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0])
        assert np.allclose(client.camera_extrinsics()[:3, :3], np.diag([1.0, -1.0, -1.0]), atol=1e-6)
        client.set_camera_keyframe(2, before)
        client.set_camera_keyframe(4, turned)
        client.set_current_frame(4)
        assert np.abs(client.camera_extrinsics() - turned).max() < 1e-6
        assert client.camera_intrinsics()[0].tolist() == pytest.approx([20 / 36 * 48, 0.0, 24 - 0.05 * 48])
        low, high = client.scene_bounds()
        assert np.allclose([low, high], [[-4] * 3, [4] * 3], atol=1e-5)
        client.render_frames([2, 4])
        rows = transforms(tmp_path)["frames"]
        assert [row["frame"] for row in rows] == [2, 4]
        assert np.abs(np.array(rows[1]["transform_matrix"]) - turned).max() < 1e-5
        head = client.empty_transforms()
        assert head["frames"] == [] and head["fl_x"] == pytest.approx(20 / 36 * 48) and head["fps"] == 24

    shared.apply(job)


def test_bad_poses_are_refused_naming_them(shared, box, tmp_path) -> None:
    def job(client: BlenderClient) -> None:
        prepare(client, box, tmp_path)
        poses = random_poses(3)
        poses[1, :3, :3] *= 1.1
        with pytest.raises(ConfigError, match="c2w: pose 1 is not rigid"):
            client.set_camera_trajectory(poses)
        with pytest.raises(ShapeError, match=r"expected \(N, 4, 4\)"):
            client.set_camera_trajectory(np.eye(4))
        with pytest.raises(ConfigError, match="not both"):
            client.position_camera([0, 0, 0], np.eye(3), look_at=[1, 1, 1])
        with pytest.raises(ConfigError, match="where the camera is"):
            client.position_camera([0, 0, 0], look_at=[0, 0, 0])

    shared.apply(job)


# States.


def test_each_wrong_state_has_its_message(shared, box, tmp_path) -> None:
    def job(client: BlenderClient) -> BlenderClient:
        with pytest.raises(ClientStateError, match="render_animation: this client has no scene yet"):
            client.render_animation()
        with pytest.raises(InputNotFound, match="does not exist"):
            client.initialize(tmp_path / "nothing.blend", tmp_path)
        (tmp_path / "text.blend").write_text("no scene")
        with pytest.raises(SceneError, match=r"no \.blend file"):
            client.initialize(tmp_path / "text.blend", tmp_path)
        prepare(client, box, tmp_path / "data")
        with pytest.raises(ClientStateError, match="initialize: this client has a scene already"):
            client.initialize(box, tmp_path / "other")
        client.position_camera([0, 0, 0])
        with pytest.raises(ClientStateError, match="move_keyframes: call it before"):
            client.move_keyframes(2.0)
        with pytest.raises(ConfigError, match="max-samples"):
            client.cycles_settings(max_samples=0)
        return client

    with pytest.raises(ClientStateError, match="camera_extrinsics: this client is closed"):
        shared.apply(job).camera_extrinsics()


def test_leaving_ends_the_process_also_while_it_renders(box, tmp_path) -> None:
    with BlenderClient.spawn(executable=EXECUTABLE) as client:
        prepare(client, box, tmp_path)
        client.cycles_settings(max_samples=10_000_000)  # It would take longer than the test may.
        handle = client.render_animation_async()
        wait_until(lambda: (tmp_path / ".visionsim").exists(), "the render to begin", 30)
        (worker,) = worker_pids()
    assert not running(worker)
    assert handle.done
    with pytest.raises(KeyboardInterrupt):
        handle.result()
    with pytest.raises(ClientStateError, match="camera_extrinsics: this client is closed"):
        client.camera_extrinsics()


# The user's own code.


def test_own_code_changes_the_scene_and_answers(shared, box, tmp_path) -> None:
    def job(client: BlenderClient) -> None:
        prepare(client, box, tmp_path)
        client.render_frame(1)
        added = client.call(SCRIPT, "add_cubes", count=3, seed=5)
        expected = np.random.default_rng(5).uniform(-1.5, 1.5, (3, 3)).astype(np.float32)
        assert np.array_equal(added["places"], expected) and added["places"].dtype == np.float32
        assert np.allclose(added["last"], expected[-1])
        assert set(added["names"]) <= set(client.query(SCRIPT, "names"))
        client.render_frame(1)
        client.call(SCRIPT, "remove", name=added["names"][1])
        client.render_frame(2)
        labels = {row["name"]: number for number, row in transforms(tmp_path)["labels"].items()}
        assert labels == {"Box": "1", added["names"][0]: "2", added["names"][2]: "4"}
        for error, function, words in (
            (ScriptError, "fail", r"fail\(\) of .*in_blender.py, line \d+: ValueError: nothing is right"),
            (ScriptError, "unspeakable", "returned Scene, which is neither an array"),
            (ScriptError, "missing", "has no attribute"),
        ):
            with pytest.raises(error, match=words):
                client.call(SCRIPT, function)
        with pytest.raises(ConfigError, match="plain JSON"):
            client.call(SCRIPT, "names", what=np.zeros(3))
        with pytest.raises(InputNotFound, match="no such Python file"):
            client.call(tmp_path / "none.py", "names")
        assert added["names"][1] not in client.query(SCRIPT, "names")  # What failed has left nothing behind.

    shared.apply(job)


def test_edit_is_done_when_the_worker_says_so(shared, box, tmp_path) -> None:
    def job(client: BlenderClient) -> None:
        prepare(client, box, tmp_path)
        client.call(SCRIPT, "stumble_once")
        client.position_camera([0.5, 0, 0], look_at=[0.5, 1, 0])
        client.render_frame(1)
        (row,) = transforms(tmp_path)["frames"]
        assert np.array(row["transform_matrix"])[:3, 3] == pytest.approx([0.5, 0, 0])
        before = client.animation_range()
        for wrong in ({"start": 1, "end": 2**40}, {"start": -5}, {"end": 2_000_000}):
            with pytest.raises(ConfigError, match=r"frames -?\d+ to \d+: "):
                client.set_animation_range(**wrong)
        assert client.animation_range() == before

    shared.apply(job)


def test_another_process_refuses_a_script_that_was_edited_meanwhile(box, tmp_path) -> None:
    script = tmp_path / "paint.py"
    script.write_text("import bpy\ndef paint():\n    bpy.data.objects.new('First', None)\n")
    with BlenderClient.spawn(executable=EXECUTABLE) as client:
        prepare(client, box, tmp_path / "out")
        client.call(script, "paint")
        script.write_text("import bpy\ndef paint():\n    bpy.data.objects.new('Second', None)\n")
        assert "First" in client.query(SCRIPT, "names")  # This process has called it already.
        os.kill(worker_pids()[0], signal.SIGKILL)
        with pytest.raises(ScriptError, match=r"paint.py was changed after paint\(\) was called"):
            client.query(SCRIPT, "names")
        with pytest.raises(SceneError, match=r"paint.py was changed after paint\(\) was called"):
            client.render_frame(1)
        assert not (tmp_path / "out" / "frames").exists()


def test_own_code_changes_a_material_that_ground_truth_has_left_unlit(shared, box, tmp_path) -> None:
    def depth(client: BlenderClient) -> float:
        client.render_frame(1, allow_skips=False)
        (row,) = transforms(tmp_path)["frames"]
        return float(read_exr(tmp_path / row["depth_file_path"])["Y"][HEIGHT // 2, WIDTH // 2])

    def job(client: BlenderClient) -> None:
        prepare(client, box, tmp_path)
        client.position_camera([0, 0, 0], look_at=[0, 1, 0])
        client.call(SCRIPT, "add_panel", y=2.0)
        assert depth(client) == pytest.approx(2.0)
        client.save_file(tmp_path / "saved.blend")
        assert client.query(SCRIPT, "nodes_of_panel") == ["BSDF_PRINCIPLED", "OUTPUT_MATERIAL"]
        assert depth(client) == pytest.approx(2.0)
        assert client.call(SCRIPT, "set_alpha", value=0.0) == ["BSDF_PRINCIPLED", "OUTPUT_MATERIAL"]
        assert depth(client) == pytest.approx(HALF)
        client.call(SCRIPT, "set_alpha", value=1.0)
        assert depth(client) == pytest.approx(2.0)
        assert client.call(SCRIPT, "nodes_of_panel_in", path=str(tmp_path / "saved.blend")) == [
            "BSDF_PRINCIPLED", "OUTPUT_MATERIAL",
        ]  # fmt: skip

    shared.apply(job)


def test_frames_of_other_edits_are_rendered_again_and_those_of_the_same_kept(shared, box, tmp_path) -> None:
    def first(client: BlenderClient) -> None:
        prepare(client, box, tmp_path)
        client.position_camera([0, 0, 0], look_at=[0, 1, 0])
        assert client.render_frames([1, 2]).to_json()["frames_rendered"] == 2

    def second(client: BlenderClient) -> None:
        prepare(client, box, tmp_path)
        client.position_camera([0, 0, 0], look_at=[0, 1, 0])
        assert client.render_frames([1, 2, 3]).to_json()["frames_rendered"] == 1
        client.position_camera([0, 0, 1], look_at=[0, 1, 0])
        assert client.render_frame(2).to_json()["frames_rendered"] == 1
        assert client.render_frame(2, allow_skips=False).to_json()["frames_rendered"] == 1
        assert [row["frame"] for row in transforms(tmp_path)["frames"]] == [1, 2, 3]

    shared.apply(first)
    shared.apply(second)


# Several processes, and their deaths.


EDITED = 8
"""Frames of the scene after `edit`."""


def edit(client: BlenderClient) -> None:
    client.call(SCRIPT, "add_cubes", count=2, seed=1)
    client.set_camera_trajectory(random_poses(EDITED, seed=2), start=1)


@pytest.fixture(scope="module")
def undisturbed(shared, box, tmp_path_factory) -> Path:
    """The edited scene, rendered by one process that lives."""
    root = tmp_path_factory.mktemp("undisturbed") / "data"

    def job(client: BlenderClient) -> None:
        prepare(client, box, root)
        edit(client)
        client.render_animation()

    shared.apply(job)
    assert len([*(root / "frames").iterdir()]) == EDITED
    return root


def test_processes_show_the_same_scene_also_those_that_take_over(undisturbed, box, tmp_path) -> None:
    progress: list[tuple[int, int]] = []

    def update(done: int, total: int) -> None:
        progress.append((done, total))
        if done == 3:
            os.kill(worker_pids()[0], signal.SIGKILL)

    with BlenderClients.spawn(jobs=2, executable=EXECUTABLE) as clients:
        prepare(clients, box, tmp_path / "two")
        edit(clients)
        os.kill(worker_pids()[0], signal.SIGKILL)
        report = clients.render_animation(update_fn=update)
    assert report.exit_code == 0 and any("SIGKILL" in note for note in report.notes)
    assert progress[0] == (0, EDITED) and progress[-1] == (EDITED, EDITED)
    assert_same_data(undisturbed, tmp_path / "two")
    assert not worker_pids()


def test_job_gives_what_the_command_gives(shared, box, tmp_path) -> None:
    config = RenderConfig(
        executable=EXECUTABLE, width=WIDTH, height=HEIGHT, max_samples=1, use_denoising=False, depths=True,
        log_dir=tmp_path / "logs", keyframe_multiplier=2.0,
    )  # fmt: skip
    render_animation(box, tmp_path / "command", frame_end=4, render_config=config)

    def job(client: BlenderClient) -> None:
        report = render_job(client, box, tmp_path / "job", config, frame_end=4)
        assert report.to_json()["frames_rendered"] == 3
        plan = client.render_animation(dry_run=True)
        assert isinstance(plan, Plan) and plan.num_frames == 11

    shared.apply(job)
    assert_same_data(tmp_path / "command", tmp_path / "job")


def test_handles_can_be_waited_for(shared, box, tmp_path) -> None:
    async def several(client: BlenderClient) -> int:
        reports = await asyncio.gather(*(client.render_frame_async(frame) for frame in (1, 2)))
        return sum(report.to_json()["frames_rendered"] for report in reports)

    def job(client: BlenderClient) -> None:
        prepare(client, box, tmp_path)
        assert asyncio.run(several(client)) == 2
        client.cycles_settings(max_samples=300)
        client.set_root(tmp_path / "slow")
        handle = client.render_frames_async(range(1, 5))
        with pytest.raises(TimeoutError):
            handle.result(timeout=0.01)
        assert not handle.wait(0.01) and not handle.done
        assert handle.result(120).to_json()["frames_rendered"] == 4 and handle.wait() and handle.done

    shared.apply(job)


def test_failed_frames_are_raised_with_the_report(shared, box, tmp_path) -> None:
    def job(client: BlenderClient) -> None:
        prepare(client, box, tmp_path / "data")
        client.render_frame(1)
        (tmp_path / "data" / "depths" / "depth_000002.exr").mkdir()
        with pytest.raises(RenderError, match=r"frames \[2\]") as caught:
            client.render_frames([1, 2, 3])
        assert caught.value.report.to_json()["frames_rendered"] == 1

    shared.apply(job)


def test_map_finishes_the_others_and_raises_with_scene_and_log(pair, log_dir, box, tmp_path) -> None:
    done = []

    def job(client: BlenderClient, name: str) -> str:
        prepare(client, box, tmp_path / name)
        if name == "b":
            client.call(SCRIPT, "fail")
        client.render_frame(1)
        done.append(name)
        return name

    with pytest.raises(ScriptError, match="nothing is right") as caught:
        pair.map(job, ["a", "b", "c"])
    assert sorted(done) == ["a", "c"]
    (note,) = caught.value.__notes__
    assert "'b'" in note and str(log_dir) in note

    def logged() -> bool:
        return any("ValueError: nothing is right" in path.read_text() for path in log_dir.rglob("*.log"))

    wait_until(logged, "the traceback in a log")  # It comes another way than the answer, and may be later.
    assert sorted(pair.imap_unordered(job, ["d", "e"])) == ["d", "e"]
    assert list(pair.imap(job, ["f", "g"])) == ["f", "g"]
    assert pair.starmap(lambda client, a, b: a + b, [(1, 2), (3, 4)]) == [3, 7]


def test_clients_of_a_pool_share_the_cores(pair, box, tmp_path) -> None:
    def job(client: BlenderClient, name: str) -> int:
        prepare(client, box, tmp_path / name)
        threads: int = client.query(SCRIPT, "threads")
        return threads

    assert set(pair.map(job, ["a", "b"])) <= {threads_of(place, 2, num_cores()) for place in (0, 1)}


def test_call_that_takes_longer_than_one_waits() -> None:
    with BlenderClients.pool(executable=EXECUTABLE) as pool:
        gate = threading.Event()
        result = pool.apply_async(lambda client, word: word if gate.wait(200) else "", ("done",))
        with pytest.raises(TimeoutError):
            result.get(timeout=0.2)
        assert not result.ready()
        gate.set()
        assert result.get(timeout=200) == "done" and result.successful()
    with pytest.raises(ClientStateError, match="pool is closed"):
        pool.apply(print)


def test_killed_worker_inside_map_loses_nothing(pair, undisturbed, box, tmp_path) -> None:
    def job(client: BlenderClient, name: str) -> None:
        prepare(client, box, tmp_path / name)
        edit(client)
        if name == "a":
            client.query(SCRIPT, "die_once", marker=str(tmp_path / "marker"))
        client.render_animation()

    assert len(pair.map(job, ["a", "b"])) == 2
    assert (tmp_path / "marker").exists()
    for name in ("a", "b"):
        assert_same_data(tmp_path / name, undisturbed)
    with pytest.raises(WorkerCrashed, match="SIGKILL"):
        pair.apply(lambda client: (prepare(client, box, tmp_path / "c"), client.query(SCRIPT, "always_die")))
