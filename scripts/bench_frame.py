"""What a frame of the bench's static scene is made of: `python scripts/bench_frame.py [--size 512] [--rounds 8]`.

CPU seconds (user + system) of single renders in one Blender, each the smallest of some rounds: what Blender does for
every frame anew without persistent data, what a sample costs, what the ground truth costs, and what that would cost
with simpler light and surfaces. See docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import bpy

from visionsim.simulation.worker.scene import enable_passes
from visionsim.simulation.worker.truth import needs_light_tree, truth_settings

HERE = Path(__file__).resolve().parent


def cpu_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system


def smallest(scene: Any, rounds: int, settings: Callable[[], Any] = nullcontext) -> float:
    """CPU seconds of a render; the camera moves before each, and the first one does not count."""
    found = []
    for number in range(rounds + 1):
        scene.frame_set(1 + number % 24)
        with settings():
            began = cpu_seconds()
            bpy.ops.render.render()
            found.append(cpu_seconds() - began)
    return min(found[1:])


@contextmanager
def changed(owner: Any, **values: Any) -> Iterator[None]:
    """Attributes as they are asked for, then as they were."""
    saved = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in saved.items():
            setattr(owner, name, value)


def glow() -> Any:
    """A material that lights nothing and has no bump: the least that can be done where a ray hits."""
    made = bpy.data.materials.new("Glow")
    made.cycles.emission_sampling = "NONE"
    nodes, links = made.node_tree.nodes, made.node_tree.links
    nodes.clear()
    links.new(nodes.new("ShaderNodeEmission").outputs[0], nodes.new("ShaderNodeOutputMaterial").inputs[0])
    return made


def measure(blend: str, size: int, rounds: int) -> None:
    bpy.ops.wm.open_mainfile(filepath=blend)
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = size
    cycles, layer = scene.cycles, scene.view_layers[0]
    cycles.use_adaptive_sampling = cycles.use_denoising = False

    def line(text: str, seconds: float) -> None:
        sys.stderr.write(f"{seconds:6.3f}  {text}\n")

    cycles.samples = 1
    plain = smallest(scene, rounds)
    line("picture, one sample, as the plain loop renders it", plain)
    enable_passes(scene, {"use_pass_z", "use_pass_normal", "use_pass_object_index", "use_pass_position"})
    scene.render.use_persistent_data = True
    kept = smallest(scene, rounds)
    line("the same with persistent data and the passes of ground truth", kept)
    line("so persistent data save", plain - kept)
    cycles.samples = 9
    scene.render.use_persistent_data = True  # Tells Blender that something changed; an assignment to `cycles` does not.
    nine = smallest(scene, max(2, rounds // 4))
    cycles.samples = 1
    line("each further sample of the picture costs", (nine - kept) / 8)

    def truth(light_tree: bool = False) -> Any:
        return truth_settings(scene, None, light_tree=light_tree)

    assert not needs_light_tree()
    line("ground truth with a light tree", smallest(scene, rounds, lambda: truth(light_tree=True)))
    line("ground truth", smallest(scene, rounds, truth))
    lights = [obj for obj in scene.objects if obj.type == "LIGHT"]
    for obj in lights:
        obj.hide_render = True
    line("ground truth if the scene had no light", smallest(scene, rounds, truth))
    with changed(layer, material_override=glow()):
        line("ground truth if, besides, every surface only glowed", smallest(scene, rounds, truth))
    for obj in scene.objects:
        obj.hide_render = obj.type != "CAMERA"
    line("ground truth if there were no surface at all", smallest(scene, rounds, truth))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="visionsim-bench-") as name:
        blend = str(Path(name) / "static.blend")
        # Another process: what made the scene leaves traces in Blender.
        subprocess.run([sys.executable, str(HERE / "bench_scene.py"), "static", blend], check=True, capture_output=True)
        measure(blend, arguments.size, arguments.rounds)


if __name__ == "__main__":
    main()
