"""What a frame of the bench's static scene is made of: `python scripts/bench_frame.py [--size 512] [--rounds 8]`.

CPU seconds (user + system) of single renders in one Blender, in turn for some rounds: what Blender does for every frame
anew without persistent data, what a sample costs, and what the ground truth costs with light and without. See
docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import bpy
from bench_scene import FRAMES

from visionsim.simulation.worker import unlit
from visionsim.simulation.worker.truth import Wanted, tell_of_changes, truth_settings

PASSES = dict.fromkeys(("use_pass_z", "use_pass_normal", "use_pass_object_index"), True)
HERE = Path(__file__).resolve().parent


def cpu_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system


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
    made.use_nodes = True
    made.cycles.emission_sampling = "NONE"
    nodes, links = made.node_tree.nodes, made.node_tree.links
    nodes.clear()
    links.new(nodes.new("ShaderNodeEmission").outputs[0], nodes.new("ShaderNodeOutputMaterial").inputs[0])
    return made


@contextmanager
def hidden(objects: list[Any]) -> Iterator[None]:
    """Objects that no render sees."""
    with ExitStack() as stack:
        for obj in objects:
            stack.enter_context(changed(obj, hide_render=True))
        yield


def make_switch_constant() -> None:
    """Let the factor of `unlit`'s switch be known before anything is rendered, which lets Cycles drop nodes."""
    for group in [group for group in bpy.data.node_groups if group.name.startswith(unlit.SWITCH)]:
        links = group.links
        for times in group.nodes:
            if times.type == "MATH" and times.inputs[0].links[0].from_node.type == "ATTRIBUTE":
                links.remove(times.inputs[1].links[0])
                times.inputs[1].default_value = 1


Cases = dict[str, Callable[[], list[AbstractContextManager[None]]]]


def measure(blend: str, size: int, rounds: int) -> None:
    bpy.ops.wm.open_mainfile(filepath=blend)
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = size
    cycles, layer = scene.cycles, scene.view_layers[0]
    cycles.use_adaptive_sampling = cycles.use_denoising = False
    cycles.samples = 1
    scene.render.use_persistent_data = True
    shown = [obj for obj in scene.objects if obj.type != "CAMERA"]
    glowing = glow()

    def truth(light_tree: bool = False) -> list[AbstractContextManager[None]]:
        return [truth_settings(scene, Wanted(set(PASSES), light_tree=light_tree))]

    lit: Cases = {
        "picture, one sample, as the plain loop renders it": lambda: [changed(scene.render, use_persistent_data=False)],
        "the same with persistent data": list,
        "and with the passes of ground truth": lambda: [changed(layer, **PASSES)],
        "nine samples, with persistent data": lambda: [changed(cycles, samples=9)],
        "nine samples, and with the passes": lambda: [changed(cycles, samples=9), changed(layer, **PASSES)],
        "ground truth with light and a tree of lights": lambda: truth(light_tree=True),
        "ground truth with light": truth,
        "ground truth if every surface only glowed": lambda: [*truth(), changed(layer, material_override=glowing)],
        "ground truth of nothing at all": lambda: [*truth(), hidden(shown)],
    }
    unlit_cases: Cases = {
        "picture, one sample, with the switch": list,
        "ground truth": truth,
    }
    sys.stderr.write(" least  median  median of the first after what changed\n")
    run_in_turn(scene, lit, rounds)
    bpy.data.materials.remove(glowing)  # A surface that emits light would keep the others lit.
    sys.stderr.write(f"Light is left out {unlit.install()}.\n")
    run_in_turn(scene, unlit_cases, rounds)
    make_switch_constant()
    run_in_turn(scene, {f"{name}, if it were constant": case for name, case in unlit_cases.items()}, rounds)


def run_in_turn(scene: Any, cases: Cases, rounds: int) -> None:
    """Render each case twice, one after the other, for some rounds, and print CPU seconds."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    frame = 0
    for _ in range(rounds):
        for name, settings in cases.items():
            spent = []
            with ExitStack() as stack:
                for setting in settings():
                    stack.enter_context(setting)
                for _ in range(2):
                    frame = frame % FRAMES + 1
                    scene.frame_set(frame)
                    tell_of_changes(scene)
                    began = cpu_seconds()
                    bpy.ops.render.render()
                    spent.append(cpu_seconds() - began)
            found[name].append((spent[0], spent[1]))
    for name, pairs in found.items():
        first, second = zip(*pairs, strict=True)
        sys.stderr.write(f"{min(second):6.2f}  {median(second):6.2f}  {median(first):6.2f}   {name}\n")


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
