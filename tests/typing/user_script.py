"""A user's script that calls all there is of the API; never run, but checked by mypy (strict), as `scripts/check` does.

What has a type of its own is given one, so that a method that returns Any or something else is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visionsim.dataset import Dataset, Sample
from visionsim.dataset.torch import TorchDataset, collate
from visionsim.errors import ClientStateError, RenderError, ScriptError, VisionsimError
from visionsim.simulation.blender import BlenderClient, BlenderClients, render_job
from visionsim.simulation.client_pool import AsyncResult, ClientPool
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.handle import RenderHandle
from visionsim.simulation.plan import Plan
from visionsim.simulation.report import RunReport

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def progress(done: int, total: int) -> None:
    """As `update_fn`."""


def set_up(client: BlenderClient, scene: Path, root: Path) -> None:
    client.set_resolution(height=480, width=640)
    client.image_settings(file_format="OPEN_EXR", bit_depth=16, exr_codec="ZIP")
    client.cycles_settings(device_type="cpu", max_samples=16, adaptive_threshold=0.0, use_denoising=False, seed=3)
    client.use_animations(True)
    client.use_motion_blur(False)
    client.load_addons("node_wrangler")
    client.include_depths()
    client.include_normals()
    client.include_flows(direction="backward")
    client.include_segmentations()
    client.include_occlusions()
    client.include_previews(False)
    client.initialize(scene, root, labels="labels.yaml")
    client.set_root(root / "other")
    client.ping()
    config: RenderConfig = client.config
    where: Path = client.root
    assert (config.width, where) == (640, root / "other")


def time(client: BlenderClient) -> range:
    client.move_keyframes(scale=2.0, shift=10)
    client.set_animation_range(start=1, end=48)
    client.set_current_frame(12)
    fps: float = client.original_fps()
    first, last = client.animation_range_tuple()
    assert fps > 0 and first < last
    frames: range = client.animation_range()
    return frames


def camera(client: BlenderClient) -> Float64:
    K: Float64 = client.camera_intrinsics()
    c2w: Float64 = client.camera_extrinsics()
    client.unbind_camera()
    client.position_camera([0.0, -4.0, 2.0], look_at=(0.0, 0.0, 1.0))
    client.position_camera(c2w[:3, 3], c2w[:3, :3])
    client.position_camera(np.zeros(3), rotation=(1.0, 0.0, 0.0, 0.0))
    client.rotate_camera(np.pi / 2)
    client.set_camera_keyframe(1)
    client.set_camera_keyframe(24, c2w)
    client.set_camera_trajectory(np.stack([c2w, c2w]), start=1)
    return K


def scene(client: BlenderClient, script: Path) -> dict[str, Any]:
    low, high = client.scene_bounds()
    size: float = float(np.linalg.norm(high - low))
    lacking: list[str] = client.missing_files()
    client.call(script, "materials", seed=3)
    client.call("my_package.scenes", "scatter", count=10, size=size)
    client.query(script, "vertices", name="Cube")
    client.save_file("changed.blend")
    head: dict[str, Any] = client.empty_transforms()
    return {**head, "lacking": lacking}


def render(client: BlenderClient) -> list[RunReport]:
    plan: RunReport | Plan = client.render_animation(dry_run=True)
    assert isinstance(plan, Plan)
    whole = client.render_animation(1, 10, 2, allow_skips=False, update_fn=progress)
    assert isinstance(whole, RunReport)
    some: RunReport = client.render_frames(range(3, 6), update_fn=progress)
    one: RunReport = client.render_frame(7, allow_skips=False)
    here: RunReport = client.render_current_frame()
    return [whole, some, one, here]


async def render_later(client: BlenderClient) -> RunReport:
    handles: list[RenderHandle] = [
        client.render_animation_async(1, 10, update_fn=progress),
        client.render_frames_async([1, 2], update_fn=progress),
        client.render_frame_async(3),
        client.render_current_frame_async(),
    ]
    ended: bool = handles[0].wait(timeout=1.0)
    if not (ended or handles[0].done):
        handles[0].result(timeout=60.0)
    reports: list[RunReport] = await asyncio.gather(*handles)
    report: RunReport = await handles[-1]
    assert report in reports
    return report


def many(scenes: list[Path], out: Path) -> dict[str, int]:
    def count(client: BlenderClient, scene: Path, step: int = 1) -> int:
        client.initialize(scene, out / scene.stem)
        client.render_animation(frame_step=step)
        return len(client.animation_range())

    pool: ClientPool
    with BlenderClients.pool(
        jobs=2, log_dir=out / "logs", timeout=60.0, executable="/usr/bin/blender", autoexec=False, device_type="cpu"
    ) as pool:
        counts: list[int] = pool.map(count, scenes)
        counts += pool.starmap(count, [(scene, 2) for scene in scenes])
        in_order: Iterator[int] = pool.imap(count, scenes)
        as_ready: Iterator[int] = pool.imap_unordered(count, scenes)
        first: int = pool.apply(count, (scenes[0],), {"step": 3})
        later: AsyncResult[int] = pool.apply_async(count, [scenes[0]])
        later.wait(1.0)
        last: int = later.get(timeout=60.0) if not later.ready() or later.successful() else 0
        pool.close()
        pool.join()
        pool.terminate()
    return {"frames": sum([*counts, *in_order, *as_ready, first, last])}


def read(root: Path) -> float:
    dataset: Dataset = Dataset.from_path(root, split="train")
    frames: NDArray[np.int64] = dataset.frames
    columns: list[Float64] = [dataset.poses, dataset.intrinsics, dataset.times, dataset.arclength]
    parts: dict[str, Dataset] = dataset.sequences()
    part: Dataset = dataset[2:10][[0, 1]][frames[2:4] > 3]
    names: dict[int, str] = {number: label.name for number, label in part.labels.items()}
    far = 0.0
    for each in part.iterate(dataset.kinds, threads=2, on_error=lambda sample, error: None):
        far += float(np.max(each.depth))
    sample: Sample = dataset[0].load(["depths"])
    pixels: list[Float32] = [sample.depth, sample.normals, sample.forward_flow, sample.backward_flow]
    ids: NDArray[np.uint32] = sample.instance_ids
    bits: NDArray[np.uint8] = sample.occlusions
    where: Path | None = sample.path("depths")
    described: str = (
        f"{sample.frame} {sample.time} {sample.depth_kind} {sample.camera} {where} {names[int(np.max(ids))]} "
        f"{np.max(bits)}"
    )
    known: bool = sample.c2w.shape == sample.K.shape and sample.read("frames").shape == sample.picture.shape
    items = TorchDataset(part, kinds=sample.kinds, transform=None)
    batch: dict[str, Any] = collate([items[0], items[1]])
    return far + len(described) + len(parts) + len(columns) + len(pixels) + len(batch) + known


def main(blend: Path, out: Path) -> int:
    """The report's exit code."""
    with BlenderClient.spawn(
        executable=None, timeout=60.0, log_dir=out / "logs", autoexec=False, device_type="auto"
    ) as client:
        one: BlenderClient = client
        set_up(one, blend, out)
        time(one)
        camera(one)
        scene(one, Path("randomise.py"))
        render(one)
        asyncio.run(render_later(one))
        one.close()
    with BlenderClients.spawn(jobs=4) as clients:
        several: BlenderClients = clients
        config = RenderConfig(width=800, height=800, depths=True)
        try:
            report: RunReport = render_job(
                several, blend, out / "job", config, frame_start=1, frame_end=8, frame_step=1, update_fn=progress,
                observe=lambda event: None,
            )  # fmt: skip
        except RenderError as exc:
            return len(exc.report.failures)
        except (ClientStateError, ScriptError) as exc:
            raise SystemExit(str(exc)) from exc
        except VisionsimError:
            return 1
    return report.exit_code
