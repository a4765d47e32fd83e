"""What moves: holding the scene still, freeing the camera, simulations, and what slow motion cannot slow down.

What is said here about Blender was measured with 3.4.1, 4.2.23, 4.5.15, 5.0.1 and 5.2.3; docs/slow-motion.md has the
figures, tests/render/test_slow_motion.py repeats them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import bpy

from visionsim.simulation.worker import change, compat, motion

READS_FRAME = re.compile(r"\bframe_(current|current_final|float|subframe)\b")
"""In a driver's variable or expression: the scene's own frame number, which is not remapped as `frame` is."""

COMPOSITOR_CLOCKS = {"SCENE_TIME": "Scene Time", "TIME": "Time Curve", "MOVIECLIP": "Movie Clip"}
"""Types of compositor nodes that go by the rendered frame's number."""


def all_ids() -> Iterator[Any]:
    """Every data-block of the file."""
    for name in dir(bpy.data):
        blocks = getattr(bpy.data, name)
        if name == "all_ids" or not isinstance(blocks, bpy.types.bpy_prop_collection):
            continue  # Since 5.2 `all_ids` lists once more what the others do.
        for block in blocks:
            if not isinstance(block, bpy.types.ID):
                break
            yield block


def animated_ids() -> Iterator[tuple[Any, Any]]:
    """Every data-block that has animation data, shape keys included, and what has it: the block or its node tree."""
    for block in all_ids():
        for owner in (block, getattr(block, "node_tree", None)):
            if owner is not None and getattr(owner, "animation_data", None) is not None:
                yield block, owner


def freeze_all_but_camera(scene: Any, moving: set[Any]) -> None:
    """Stop every animation but that of `moving`, as at the first frame: see `dependencies.deciders`."""
    scene.frame_set(scene.frame_start)
    kept: set[Any] = set()
    for block, owner in animated_ids():
        if block in moving or owner in moving:
            kept.update(actions_of(owner.animation_data))
    for block, owner in animated_ids():
        if block in moving or owner in moving:
            continue
        data = owner.animation_data
        if data.action in kept:
            data.action = None  # Its curves cannot be muted for one of its users alone.
        for curve in (*compat.fcurves(data), *data.drivers):
            curve.mute = True
        for track in data.nla_tracks:
            track.mute = True


def actions_of(data: Any) -> Iterator[Any]:
    """The actions of animation data, those of NLA strips included."""
    strips = [strip for track in data.nla_tracks for strip in track.strips]
    while strips:
        strip = strips.pop()
        strips += getattr(strip, "strips", ())
        yield strip.action
    if data.action is not None:
        yield data.action


def unbind_camera(scene: Any) -> None:
    """Free the camera of parents, constraints and animation; it stays where it is at the first frame."""
    scene.frame_set(scene.frame_start)
    free_camera(scene)


def free_camera(scene: Any) -> None:
    """Free the camera of parents, constraints and animation; it stays where it is now."""
    camera = scene.camera
    c2w = camera.matrix_world.copy()
    camera.animation_data_clear()
    camera.constraints.clear()
    camera.parent = None
    camera.matrix_world = c2w


@dataclass(frozen=True)
class Simulation:
    """Something whose state follows from the frames before."""

    name: str
    """The object's."""
    kind: str
    """In words, such as `cloth`."""
    baked: bool
    """Whether Blender has all its frames already. Of simulation nodes and fluids this cannot be known: False."""
    cache: Any | None = None
    """Its point cache, if it is kept in one."""
    modifier: Any | None = None


def simulations(scene: Any) -> list[Simulation]:
    """The simulations that a render of the scene shows, by object name."""
    found: list[Simulation] = []

    def add(obj: Any, kind: str, cache: Any | None, modifier: Any | None = None) -> None:
        found.append(Simulation(obj.name_full, kind, cache is not None and cache.is_baked, cache, modifier))

    world = scene.rigidbody_world
    for obj in sorted(change.objects_of(scene), key=lambda obj: obj.name_full):
        if obj.rigid_body is not None and obj.rigid_body.type == "ACTIVE" and world is not None and world.enabled:
            add(obj, "rigid body", world.point_cache)
        for modifier in obj.modifiers:
            if not modifier.show_render:
                continue
            if modifier.type == "CLOTH":
                add(obj, "cloth", modifier.point_cache, modifier)
            elif modifier.type == "SOFT_BODY":
                add(obj, "soft body", modifier.point_cache, modifier)
            elif modifier.type == "FLUID" and modifier.fluid_type == "DOMAIN":
                add(obj, "fluid", None, modifier)
            elif modifier.type == "DYNAMIC_PAINT" and modifier.canvas_settings is not None:
                for surface in modifier.canvas_settings.canvas_surfaces:
                    if surface.is_active:
                        add(obj, "dynamic paint", surface.point_cache, modifier)
            elif modifier.type == "PARTICLE_SYSTEM":
                system = modifier.particle_system
                if system.settings.type != "HAIR" or system.use_hair_dynamics:
                    kind = "hair dynamics" if system.settings.type == "HAIR" else "particle"
                    add(obj, kind, system.point_cache, modifier)
            elif modifier.type == "NODES" and modifier.node_group is not None and simulates(modifier.node_group):
                add(obj, "simulation nodes", None, modifier)
    return found


def nodes_of(tree: Any) -> Iterator[Any]:
    """The nodes of a tree that are not muted, those of groups in it included."""
    for node in tree.nodes:
        if not node.mute:
            yield node
            if getattr(node, "node_tree", None) is not None:
                yield from nodes_of(node.node_tree)


def simulates(tree: Any) -> bool:
    """Whether a geometry node group has a simulation zone."""
    return any(node.bl_idname == "GeometryNodeSimulationOutput" for node in nodes_of(tree))


def run_simulations(scene: Any, stretch: Fraction) -> None:
    """Step once through the authored frames, so that simulations that are not baked have them all in memory.

    A simulation that is asked for a frame before it was at those in between stays where it is: what a worker shows
    would depend on the frames it rendered before. The frames are stepped at the artist's own speed, then read back at
    whatever time; simulated on a stretched timeline, most simulations become others.
    """
    running = [simulation for simulation in simulations(scene) if not simulation.baked]
    if not running:
        return
    motion.show_in_viewport(scene)
    for simulation in running:
        if simulation.modifier is not None:
            simulation.modifier.show_viewport = True
    first = min([scene.frame_start, *(s.cache.frame_start for s in running if s.cache is not None)])
    render = scene.render
    stretched = render.frame_map_old, render.frame_map_new
    authored = Fraction(render.frame_map_new, render.frame_map_old) / stretch
    render.frame_map_old, render.frame_map_new = authored.denominator, authored.numerator
    for frame in range(first, scene.frame_end + 2):  # Flow looks one frame beyond the last.
        scene.frame_set(frame)
    render.frame_map_old, render.frame_map_new = stretched


def unbaked(scene: Any) -> list[str]:
    """Simulations that each worker has to run for itself, one sentence for each."""
    found = []
    for simulation in simulations(scene):
        what = f"the {simulation.kind} simulation of {simulation.name!r}"
        if simulation.kind == "simulation nodes":
            what = f"the simulation nodes of {simulation.name!r}"
        if simulation.baked:
            continue
        if simulation.kind == "fluid":
            # Its frames are files; whether they are complete is Mantaflow's secret.
            settings = simulation.modifier.domain_settings  # type: ignore[union-attr]
            if settings.cache_type == "REPLAY":
                found.append(
                    f"{what} is not baked: it will run once in each worker, from the first frame, whatever cache it has"
                )
            elif not settings.has_cache_baked_data:
                found.append(f"{what} is not baked: it will not show; bake it in Blender")
        else:
            if simulation.kind == "simulation nodes":
                what = f"unless they are baked, {what}"
            else:
                what += " is not baked: it"
            found.append(
                f"{what} will run once in each worker, from the first frame; bake it in Blender to save that time"
            )
    return found


def not_slowed(scene: Any, stretch: float) -> list[str]:
    """What time remapping by `stretch` leaves at its old speed or gets wrong, one sentence for each."""
    if stretch == 1:
        return []
    between = Fraction(stretch).limit_denominator(900).numerator > 1
    return [
        *drivers_on_frame(scene),
        *scripts_on_frame(),
        *simulations_not_slowed(scene, between),
        *(files_in_steps(scene) if between else []),
        *moving_images(scene),
        *compositor_clocks(scene),
    ]


def is_used(block: Any) -> bool:
    """Whether anything but a fake user uses a data-block."""
    return bool(block.users > block.use_fake_user)


def drivers_on_frame(scene: Any) -> list[str]:
    """Drivers that read the frame number of the scene."""
    found = []
    for block, owner in animated_ids():
        if (isinstance(block, bpy.types.Scene) and block != scene) or not is_used(block):
            continue
        for curve in owner.animation_data.drivers:
            driver = curve.driver
            sources = [target.data_path for variable in driver.variables for target in variable.targets]
            if driver.type == "SCRIPTED":
                sources.append(driver.expression)
            if not curve.mute and any(READS_FRAME.search(source) for source in sources):
                found.append(
                    f"the driver of {curve.data_path} of {block.name_full!r} reads the scene's frame number: it will "
                    "not slow down; let its expression use `frame` instead"
                )
    return found


def scripts_on_frame() -> list[str]:
    """Python that runs at every frame; what it does nobody knows."""
    if not (bpy.app.handlers.frame_change_pre or bpy.app.handlers.frame_change_post):
        return []
    return ["a script of the file changes the scene at every frame: what it does may not slow down"]


def simulations_not_slowed(scene: Any, between: bool) -> list[str]:
    """Simulations that are wrong on a stretched timeline; `between` tells whether it shows times between frames."""
    found = []
    for simulation in simulations(scene):
        what = f"the {simulation.kind} simulation of {simulation.name!r}"
        if simulation.kind == "dynamic paint":
            found.append(f"{what} will be wrong in slow motion; render it without a multiplier")
        elif simulation.kind in ("cloth", "soft body", "fluid") and between:
            found.append(
                f"{what} has no state between whole frames: it will move in steps; export it to USD or Alembic, "
                "and render that with Vertex Interpolation"
            )
    return found


def files_in_steps(scene: Any) -> list[str]:
    """Files with something for each whole frame, and nothing between."""
    found = []
    for obj in sorted(change.objects_of(scene), key=lambda obj: obj.name_full):
        if obj.type == "VOLUME" and obj.data.is_sequence:
            found.append(
                f"the volume {obj.name_full!r} is a sequence of files, one for each frame: it will move in steps"
            )
        found += [
            f"the Alembic mesh of {obj.name_full!r} will move in steps: switch on Vertex Interpolation in its modifier "
            f"{modifier.name!r}"
            for modifier in obj.modifiers
            if modifier.type == "MESH_SEQUENCE_CACHE" and modifier.show_render and holds_whole_frames(modifier)
        ]
    return found


def holds_whole_frames(modifier: Any) -> bool:
    """Whether a Mesh Sequence Cache modifier shows whole frames only; USD is interpolated whatever the switch says."""
    file = modifier.cache_file
    return file is not None and file.filepath.lower().endswith(".abc") and not modifier.use_vertex_interpolation


def image_users(scene: Any) -> list[tuple[Any, Any]]:
    """Every image in a node or a texture, and what says which of its frames are shown."""
    trees = [block.node_tree for blocks in (bpy.data.materials, bpy.data.worlds, bpy.data.lights)
             for block in blocks if is_used(block) and block.node_tree is not None]  # fmt: skip
    compositor = compositor_in_use(scene)
    users = [
        (node.image, getattr(node, "image_user", node))
        for tree in [*trees, *([compositor] if compositor else [])]
        for node in nodes_of(tree)
        if getattr(node, "image", None) is not None
    ]
    users += [
        (texture.image, texture.image_user)
        for texture in bpy.data.textures
        if texture.type == "IMAGE" and texture.image is not None and is_used(texture)
    ]
    return users


def moving_images(scene: Any) -> list[str]:
    """Image sequences and movies that follow the timeline."""
    names = {
        image.name_full: image.source.lower()
        for image, user in image_users(scene)
        if image.source in ("SEQUENCE", "MOVIE") and getattr(user, "use_auto_refresh", False)
    }
    return [
        f"the image {name!r} is a {kind}: it will not slow down; render it without a multiplier, or repeat its frames"
        for name, kind in sorted(names.items())
    ]


def compositor_in_use(scene: Any) -> Any | None:
    return compat.compositor_tree(scene) if scene.render.use_compositing else None


def compositor_clocks(scene: Any) -> list[str]:
    """Compositor nodes that tell the time; those of geometry nodes follow the remapping, these do not."""
    tree = compositor_in_use(scene)
    nodes = [node for node in nodes_of(tree) if node.type in COMPOSITOR_CLOCKS] if tree else []
    return [
        f"the compositor's {COMPOSITOR_CLOCKS[node.type]} node {node.name!r} goes by the rendered frame: it will not "
        "slow down; drive its values with `frame` instead"
        for node in nodes
    ]
