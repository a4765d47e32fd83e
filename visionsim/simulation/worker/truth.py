"""The exact ground-truth render, and how its arrays leave Blender.

Ground truth is a render of its own: one sample through each pixel's centre, without anti-aliasing, depth of field,
motion blur, denoising or compositing. The passes of the picture's render would be averages over samples. With a
Blackman-Harris filter 0.01 px wide the one sample is at the centre (BOX ignores its width).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import bpy
import numpy as np

from visionsim.simulation.worker import camera, compat, follow, instances, motion, unlit
from visionsim.simulation.worker.scene import main_layer

CYCLES_TRUTH = {
    "samples": 1,
    "pixel_filter_type": "BLACKMAN_HARRIS",
    "filter_width": 0.01,
    "use_denoising": False,
    "use_adaptive_sampling": False,
    "sample_offset": 0,
    "use_sample_subset": False,
    "max_bounces": 0,
    "transparent_max_bounces": 1024,
    "light_sampling_threshold": 1e9,  # No light is worth a shadow ray.
}

ALPHA_THRESHOLD = 0.001
"""Below this a surface is see-through: cut-outs stay cut out, and every partly visible surface is solid.

Between 0 and Blender's default of 0.5 a surface is hit or missed at random.
"""


PASSES_READ = {"Depth", "Normal", "Vector", "Object Index", "IndexOB", "Position"}
"""An artist's pass (AOV) of one of these names gets another one meanwhile: in the file that Blender 3.4.1 writes there
would be two, and which of them is read differs from run to run."""


OVERRIDDEN = (
    "cycles.",
    "dof.use_dof",
    "pass_index",
    "render.motion_blur_shutter",
    "render.use_motion_blur",
    "view_layers[",
)
"""Beginnings of data paths whose animation would undo the settings of the ground-truth render."""


class Hook:
    """Stands between Blender and Cycles: remembers the camera of each render, what moved, and when asked the passes and
    the copies.

    `cycles.engine.render` is what the engine's Python class calls for a final render, once for each view layer; it is
    handed the evaluated scene, so the camera is that of the very instant of the picture. Compositor nodes and
    Freestyle have Blender render other scenes as well: only the main layer of `scene` is looked at.
    """

    def __init__(self) -> None:
        import cycles.engine as engine

        self.scene: Any = None
        self.camera: dict[str, Any] = {}
        self.motion: motion.RigidMotion | None = None
        """Whose matrices to remember."""
        self.matrices: Any = None
        self.instances: instances.Instances | None = None
        """Whose copies to list."""
        self.copies: dict[str, Any] = {}
        self.follower: follow.Follower | None = None
        """Whose surfaces to look at while ground truth is rendered."""
        self.lost: dict[str, Any] | None = None
        """What that found, see `follow.Follower.around`; None if it did not come to an end."""
        self.passes: dict[str, np.ndarray] = {}
        self.reading = False
        self._failure: Exception | None = None
        self._render = engine.render
        engine.render = self._hooked

    def _hooked(self, engine: Any, depsgraph: Any) -> None:
        """Look at what is rendered, and render it.

        Blender only prints what is raised here, and 3.4.1 crashes on a render without a result: it is kept for `check`.
        """
        ours = depsgraph.scene == self.scene and depsgraph.view_layer.name == main_layer(self.scene).name
        try:
            if ours:
                self._look(engine, depsgraph)
        except Exception as exc:
            self._failure = exc
        self._render(engine, depsgraph)
        if ours and self.reading and self._failure is None:
            try:
                self._read(engine.get_result(), depsgraph.view_layer.name)
            except Exception as exc:
                self._failure = exc

    def check(self) -> None:
        """Raise what went wrong inside the render, if anything did."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _look(self, engine: Any, depsgraph: Any) -> None:
        """Remember what is asked for, before the render: after it Blender frees what was evaluated."""
        self.camera = camera.describe(depsgraph.scene_eval, depsgraph.scene_eval.camera)
        self.matrices = self.motion.matrices(depsgraph) if self.motion is not None else None
        if self.instances is not None:
            self.copies = self.instances.listed(depsgraph)
        if self.follower is not None:
            self.lost = self.follower.around(engine, depsgraph)

    def _read(self, result: Any, layer_name: str) -> None:
        """Copy the passes of a layer."""
        for layer in result.layers:
            if layer.name != layer_name:
                continue
            for item in layer.passes:
                if item.name == "Combined":
                    continue
                pixels = np.empty((result.resolution_y, result.resolution_x, item.channels), np.float32)
                item.rect.foreach_get(pixels.reshape(-1))
                self.passes[item.name] = pixels


@contextmanager
def no_volumes() -> Iterator[None]:
    """Take fog and smoke away: they have no surface, and would end the one ray of a pixel anywhere or nowhere.

    What is nothing but a volume gets a surface that is fully transparent: with no shader at all it would be solid.
    """
    links, nodes = [], []
    for owner in (*bpy.data.materials, *bpy.data.worlds):
        tree = owner.node_tree
        outputs = [node for node in tree.nodes if node.type in ("OUTPUT_MATERIAL", "OUTPUT_WORLD")] if tree else []
        for output in outputs:
            found = [link for link in output.inputs["Volume"].links if not link.is_muted]
            links += found
            if found and output.type == "OUTPUT_MATERIAL" and not output.inputs["Surface"].is_linked:
                clear = tree.nodes.new("ShaderNodeBsdfTransparent")
                tree.links.new(clear.outputs[0], output.inputs["Surface"])
                nodes.append((tree, clear))

    def mute(value: bool) -> None:
        for link in links:
            link.is_muted = value
            link.id_data.update_tag()  # Muting does not say by itself that the tree has changed.

    mute(True)
    try:
        yield
    finally:
        for tree, clear in nodes:
            tree.nodes.remove(clear)
        mute(False)


@dataclass(frozen=True)
class Wanted:
    """What a scene's ground truth takes that its picture does without."""

    passes: set[str] = field(default_factory=set)
    """Properties of the view layer that switch on passes; in the picture's render they would take time and room."""
    numbers: dict[Any, int] | None = None
    """Ids that hold for this render only."""
    light_tree: bool = True
    """Keep it if there is one (`unlit.only_lamps`)."""
    vectors_apart: bool = False
    """Render the vector pass by itself: with it Cycles leaves out particles that are born or die beside the frame."""

    def without_vectors(self) -> Wanted:
        return replace(self, passes=self.passes - {"use_pass_vector"})

    def only_vectors(self) -> Wanted:
        """Vectors, and the depth that tells what they are the vectors of."""
        return replace(self, passes={"use_pass_vector", "use_pass_z"})


@contextmanager
def truth_settings(scene: Any, wanted: Wanted) -> Iterator[None]:
    """The scene as the ground truth needs it, then as it was."""
    undo: list[tuple[Any, str, Any]] = []

    def put(owner: Any, name: str, value: Any) -> None:
        if hasattr(owner, name) and getattr(owner, name) != value:
            undo.append((owner, name, getattr(owner, name)))
            setattr(owner, name, value)

    for owner in (scene, scene.camera.data, *(wanted.numbers or {})):
        for curve in compat.curves_and_drivers(owner):
            if curve.data_path.startswith(OVERRIDDEN):
                put(curve, "mute", True)
    for name, value in CYCLES_TRUTH.items():
        put(scene.cycles, name, value)
    if not wanted.light_tree:
        put(scene.cycles, "use_light_tree", False)
    for name in ("use_motion_blur", "use_compositing", "use_freestyle"):
        put(scene.render, name, False)
    put(scene.camera.data.dof, "use_dof", False)
    if "use_pass_vector" in wanted.passes:
        # Without motion blur nothing depends on the shutter, but it has Cycles look at the camera again: at one that
        # stands still it would not, and take its motion to be that of the picture's render, which has none.
        put(scene.render, "motion_blur_shutter", scene.render.motion_blur_shutter + 1.0)
    main = main_layer(scene)
    for layer in scene.view_layers:
        put(layer, "use", layer == main)
    put(main, "pass_alpha_threshold", ALPHA_THRESHOLD)
    put(main, "samples", 0)  # The layer's own number would replace the one sample.
    for aov in main.aovs:
        if aov.name in PASSES_READ:
            put(aov, "name", f"{aov.name} of the artist")
    for name in wanted.passes:
        put(main, name, True)
    for obj, number in (wanted.numbers or {}).items():
        put(obj, "pass_index", number)
    try:
        main[unlit.SWITCH] = unlit.ON
        tell_of_changes(scene)
        with no_volumes():
            yield
    finally:
        main.pop(unlit.SWITCH, None)
        for owner, name, value in reversed(undo):
            setattr(owner, name, value)
        tell_of_changes(scene)


def tell_of_changes(scene: Any) -> None:
    """Let Blender know that the scene's settings changed: of custom properties and those of Cycles it does not hear.

    With the scene's `update_tag` Cycles would build all geometry anew.
    """
    scene.render.use_persistent_data = scene.render.use_persistent_data


def render_passes(scene: Any, hook: Hook, wanted: Wanted) -> dict[str, np.ndarray]:
    """Render the current frame's ground truth; pass name -> (H, W, C) float32, bottom row first."""
    hook.passes, hook.reading = {}, True
    try:
        with truth_settings(scene, wanted):
            bpy.ops.render.render()
    finally:
        hook.reading = False
    return hook.passes


def render_passes_to_file(scene: Any, path: str, wanted: Wanted) -> None:
    """The same, into a multilayer EXR, for versions of Blender whose passes cannot be read in memory."""
    image, saved_path = scene.render.image_settings, scene.render.filepath
    saved = {name: getattr(image, name) for name in ("file_format", "color_mode", "color_depth", "exr_codec")}
    compat.still_image(image, "OPEN_EXR_MULTILAYER")
    image.color_depth, image.exr_codec = "32", "NONE"
    scene.render.filepath = path
    try:
        with truth_settings(scene, wanted):
            bpy.ops.render.render(write_still=True)
    finally:
        scene.render.filepath = saved_path
        compat.still_image(image, saved.pop("file_format"))
        for name, value in saved.items():
            setattr(image, name, value)
