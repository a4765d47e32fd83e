"""Measure what Blender's own passes hold: the facts that the ground truth is built on, for every Blender that is named.

    python scripts/measure_blender.py --blender PYTHON-WITH-BPY --blender /usr/bin/blender

Prints docs/blender-passes.md. Scenes and truth are those of the closed-form tests; nothing of visionsim renders here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.render.closed_form import FRAME_START, ClosedForm, build_all, closed_form, plane
from tests.render.errors import edges, slug
from tests.render.scenes import DOF, still, upright, variant
from tests.render.scripts import Blender, script_command
from visionsim.io.exr import read_passes

RENDERER = Path(__file__).parent / "render_passes.py"
SIZE: dict[str, Any] = {"width": 96, "height": 72}
EXACT = {
    "cycles.samples": 1, "cycles.pixel_filter_type": "BLACKMAN_HARRIS", "cycles.filter_width": 0.01,
    "cycles.use_denoising": False, "cycles.use_adaptive_sampling": False, "cycles.max_bounces": 0,
    "view_layers[0].pass_alpha_threshold": 0.001,
}  # fmt: skip
"""What ground truth is rendered with."""


def with_cards(alpha: float, count: int) -> ClosedForm:
    """Cards of one alpha, one behind the other, that the truth knows nothing of."""
    scene = closed_form(**SIZE)
    for i in range(count):
        pose = upright(0.2, -4.0 + 0.05 * i, 2.0)
        scene.add(f"Card.{i}", "card", *plane(1.5), still(pose), shown=False, alpha=alpha)
    return scene


PLAIN = closed_form(**SIZE)
SCENES: dict[str, ClosedForm] = {
    "perspective": PLAIN,
    "depth of field": variant(PLAIN, dof=DOF),
    "orthographic": closed_form(**SIZE, kind="ORTHO"),
    "equirectangular": closed_form(**SIZE, kind="EQUIRECTANGULAR"),
    "equidistant fisheye": closed_form(**SIZE, kind="FISHEYE_EQUIDISTANT"),
    "equisolid fisheye": closed_form(**SIZE, kind="FISHEYE_EQUISOLID"),
    "animated lens": closed_form(**SIZE, zoom=0.05),
    "animated shift": closed_form(**SIZE, drift=0.02),
    "animated orthographic scale": closed_form(**SIZE, kind="ORTHO", zoom=0.05),
    "animated field of view of a fisheye": closed_form(**SIZE, kind="FISHEYE_EQUIDISTANT", zoom=0.03),
    "deforming mesh": closed_form(**SIZE, deforming=True),
    "card, alpha 0.3": with_cards(0.3, 1),
    "cut-outs, 7": with_cards(0.0, 7),
    "cut-outs, 12": with_cards(0.0, 12),
}


@dataclass
class Measured:
    """What a Blender rendered."""

    folder: Path
    tasks: list[dict[str, Any]] = field(default_factory=list)
    version: str = ""

    def ask(self, name: str, scene: str, **settings: Any) -> None:
        """Have `scene` rendered; settings replace those of the exact render."""
        size = (SIZE["width"], SIZE["height"])
        self.tasks.append(
            {
                "blend": str(self.folder / f"{slug(scene)}.blend"), "frame": FRAME_START, "size": size,
                "output": str(self.folder / slug(name)), "settings": {**EXACT, **settings},
            }
        )  # fmt: skip

    def passes(self, name: str) -> dict[str, np.ndarray]:
        """Pass -> (H, W, C), as Blender writes them."""
        return read_passes(self.folder / f"{slug(name)}.exr")

    def memory(self, name: str) -> dict[str, np.ndarray]:
        """The same as read from memory, or `error`."""
        with np.load(self.folder / f"{slug(name)}.npz") as arrays:
            return dict(arrays)


ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in SCENES if name != "depth of field"},
    "motion blur": ("perspective", {"render.use_motion_blur": True}),
    "box filter": ("perspective", {"cycles.pixel_filter_type": "BOX"}),
    "wide filter": ("perspective", {"cycles.filter_width": 1.5}),
    "16 samples": ("perspective", {"cycles.samples": 16, "cycles.filter_width": 1.5}),
    "16 samples, depth of field": ("depth of field", {"cycles.samples": 16, "cycles.filter_width": 1.5}),
    "threshold 0.5": ("card, alpha 0.3", {"view_layers[0].pass_alpha_threshold": 0.5}),
    "threshold 0.5, other seed": (
        "card, alpha 0.3", {"view_layers[0].pass_alpha_threshold": 0.5, "cycles.seed": 1},
    ),
    "threshold 0.001, other seed": ("card, alpha 0.3", {"cycles.seed": 1}),
    "cut-outs, 12, 32 allowed": ("cut-outs, 12", {"cycles.transparent_max_bounces": 32}),
}  # fmt: skip
"""Name of a render -> scene, settings."""


def ids_of(passes: dict[str, np.ndarray]) -> np.ndarray:
    return next(passes[name] for name in ("Object Index", "IndexOB") if name in passes)[..., 0]


def number(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}".replace("e-0", "e-") if value < 0.1 else f"{value:.2g}"


def true_ids(scene: ClosedForm) -> np.ndarray:
    """Pass indices as `render_passes.py` gives them: by name, from 1."""
    names = sorted([*(mesh["name"] for mesh in scene.description["meshes"]), "Camera", "Sun"])
    lookup = np.array([0, *(1 + names.index(body.name) for body in scene.bodies)])
    result: np.ndarray = lookup[scene.truth(0)["body"]]
    return result


def vector_error(measured: Measured, name: str) -> str:
    """Largest error of flow, if vectors are (previous - current, current - next), y up."""
    scene, passes = SCENES[ASKED[name][0]], measured.passes(name)
    truth, vector = scene.truth(0), passes["Vector"]
    hit = (truth["body"] > 0) & (ids_of(passes) == true_ids(scene))
    flow = np.stack([-vector[..., 2], vector[..., 3], vector[..., 0], -vector[..., 1]], axis=-1)
    true = np.concatenate([truth["forward"], truth["backward"]], axis=-1)
    error = np.abs(flow - true)
    if name == "equirectangular":  # Whole turns, and the poles, where columns of pixels come together.
        turn = scene.camera.width
        error[..., ::2] = np.abs(error[..., ::2] - turn * np.rint(error[..., ::2] / turn))
        hit[:4] = hit[-4:] = False
    return number(float(error[hit].max()))


def depth_kind(measured: Measured, name: str) -> str:
    """Along the axis or to the camera's centre, and the largest relative error away from edges."""
    scene, passes = SCENES[name], measured.passes(name)
    truth = scene.truth(0)
    inner = (truth["body"] > 0) & ~edges(truth["body"])
    rays = scene.camera.rays(1)[1]
    depth, true = passes["Depth"][..., 0], truth["depth"]
    distance = np.linalg.norm(rays, axis=-1)
    ahead = -(rays @ scene.camera.c2w[1][:3, 2])
    errors = {
        kind: float(np.abs(depth / (true * unit) - 1)[inner].max())
        for kind, unit in (("planar", ahead), ("radial", distance))
    }
    if name == "orthographic":  # The rays are parallel to the axis.
        return number(errors["planar"])
    kind = min(errors, key=lambda name: errors[name])
    return f"{kind}, {number(errors[kind])}"


def hook_equals_file(measured: Measured) -> str:
    memory, file = measured.memory("perspective"), measured.passes("perspective")
    if "error" in memory:
        return f"cannot be read ({memory['error']})"
    same = all(np.array_equal(memory[name], pixels, equal_nan=True) for name, pixels in file.items() if name in memory)
    return "bit-identical with the EXR" if same and set(file) <= set(memory) else "differs from the EXR"


def background(measured: Measured) -> str:
    passes = measured.passes("perspective")
    nothing = ids_of(passes) == 0
    depth = np.unique(passes["Depth"][nothing])
    vector, normal = (float(np.abs(passes[name][nothing]).max()) for name in ("Vector", "Normal"))
    return f"{', '.join(f'{d:g}' for d in depth)}; {number(normal)}; {number(vector)}"


def wrong(measured: Measured, name: str) -> str:
    """Wrong ids; depth off by more than 1e-3, normals by more than a degree, flow by more than 0.1 px, in percent."""
    scene, passes = SCENES[ASKED[name][0]], measured.passes(name)
    truth, ids = scene.truth(0), true_ids(scene)
    found = ids_of(passes)
    hit = (ids > 0) & (found > 0)
    normal = passes["Normal"] @ scene.camera.c2w[1][:3, :3]
    chord = np.linalg.norm(normal - truth["normal"], axis=-1)
    vector = passes["Vector"]
    flow = np.abs(np.stack([-vector[..., 2], vector[..., 3]], axis=-1) - truth["forward"]).max(-1)
    parts = (
        np.abs(passes["Depth"][..., 0] / np.where(hit, truth["depth"], 1) - 1) > 1e-3,
        2 * np.arcsin(np.minimum(chord / 2, 1)) > np.radians(1),
        flow > 0.1,
    )
    shares = [f"{100 * part[hit].mean():.1f} %" for part in parts]
    return f"{int((found != ids).sum())}; {', '.join(shares)}"


def pixel_centre(measured: Measured, name: str) -> str:
    """Largest relative error of depth away from edges."""
    truth, depth = PLAIN.truth(0), measured.passes(name)["Depth"][..., 0]
    inner = (truth["body"] > 0) & ~edges(truth["body"])
    return number(float(np.abs(depth[inner] / truth["depth"][inner] - 1).max()))


def noise(measured: Measured, name: str, other: str) -> str:
    """Of the pixels of the card: how many show it, and how many differ with another seed."""
    found = [ids_of(measured.passes(n)) for n in (name, other)]
    solid = ids_of(measured.passes("card, alpha 0.3"))
    card = solid != true_ids(SCENES["card, alpha 0.3"])
    shown = (found[0] == solid)[card].mean()
    return f"{100 * shown:.0f} %, {int((found[0] != found[1]).sum())} px"


def gone_through(measured: Measured, name: str) -> str:
    """Pixels whose id is not that of what is behind the cut-outs."""
    scene = SCENES[ASKED[name][0]]
    return f"{int((ids_of(measured.passes(name)) != true_ids(scene)).sum())} px wrong"


def whole(measured: Measured) -> str:
    passes = measured.passes("perspective")
    ids = ids_of(passes)
    name = next(name for name in passes if name in ("Object Index", "IndexOB"))
    kind = "whole" if (ids == np.rint(ids)).all() else "not whole"
    return f"`{name}`, {int((ids != true_ids(PLAIN)).sum())} px wrong, {kind}"


FACTS: dict[str, Callable[[Measured], str]] = {
    "Passes": lambda m: ", ".join(sorted(set(m.passes("perspective")) - {"Combined"})),
    "Passes in memory, by a hook of `cycles.engine.render`": hook_equals_file,
    "Ids": whole,
    "Background: depth; normal, vector (largest)": background,
    **{
        f"Depth, {name}": lambda m, name=name: depth_kind(m, name)  # type: ignore[misc]
        for name in ("perspective", "orthographic", "equirectangular", "equidistant fisheye", "equisolid fisheye")
    },
    **{
        f"Vectors as flow, {name} (largest error, px)": lambda m, name=name: vector_error(m, name)  # type: ignore[misc]
        for name in (
            "perspective", "deforming mesh", "orthographic", "equirectangular", "equidistant fisheye",
            "equisolid fisheye", "animated lens", "animated shift", "animated orthographic scale",
            "animated field of view of a fisheye",
        )
    },
    "Vectors with motion blur (largest, px)": lambda m: number(float(np.abs(m.passes("motion blur")["Vector"]).max())),
    "Depth, filter Blackman-Harris 0.01 px": lambda m: pixel_centre(m, "perspective"),
    "Depth, filter box 0.01 px": lambda m: pixel_centre(m, "box filter"),
    "Depth, filter Blackman-Harris 1.5 px": lambda m: pixel_centre(m, "wide filter"),
    "16 samples: wrong ids; depth, normals, flow off": lambda m: wrong(m, "16 samples"),
    "16 samples, depth of field: the same": lambda m: wrong(m, "16 samples, depth of field"),
    "Card of alpha 0.3, threshold 0.5: shown, differs by seed": lambda m: noise(
        m, "threshold 0.5", "threshold 0.5, other seed"
    ),
    "Card of alpha 0.3, threshold 0.001: the same": lambda m: noise(
        m, "card, alpha 0.3", "threshold 0.001, other seed"
    ),
    "7 cut-outs in a row": lambda m: gone_through(m, "cut-outs, 7"),
    "12 cut-outs in a row": lambda m: gone_through(m, "cut-outs, 12"),
    "12 cut-outs in a row, 32 transparent bounces": lambda m: gone_through(m, "cut-outs, 12, 32 allowed"),
}  # fmt: skip
"""Row of the table -> what it says of a Blender."""


def measure(executable: str | None, folder: Path) -> list[str]:
    """Version, then every fact."""
    measured = Measured(folder)
    with Blender(executable) as scripts:
        build_all(scripts, {folder / f"{slug(n)}.blend": scene for n, scene in SCENES.items()})
    for name, (scene, settings) in ASKED.items():
        measured.ask(name, scene, **settings)
    tasks = folder / "tasks.json"
    tasks.write_text(json.dumps(measured.tasks))
    command = [*script_command(executable, RENDERER), str(tasks)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    version = folder / "tasks.json.version"
    if not version.exists():
        raise SystemExit(f"{command[0]} did not render:\n{finished.stdout[-2000:]}{finished.stderr[-2000:]}")
    return [version.read_text(), *(fact(measured) for fact in FACTS.values())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--blender", action="append", metavar="PATH", help="a Python that has bpy, or a blender; default: this Python"
    )
    columns = []
    for executable in parser.parse_args().blender or [None]:
        print(f"Rendering with {executable or sys.executable} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="visionsim-measure-") as name:
            columns.append(measure(executable, Path(name)))
    rows = list(zip(["Fact", *FACTS], *columns, strict=True))
    print("# What Blender's own passes hold\n\nMade by `make proof-docs`; see [ground-truth.md](ground-truth.md).\n")
    print("| " + " | ".join(rows[0]) + " |")
    print("| --- |" + " --- |" * len(columns))
    for fact, *values in rows[1:]:
        print(f"| {fact} | {' | '.join(values)} |")


if __name__ == "__main__":
    main()
