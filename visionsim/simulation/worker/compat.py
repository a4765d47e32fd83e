"""Differences between Blender versions, from 3.4 to 5.2; no other file looks at the version.

Facts were measured with the bpy wheels 4.2.23, 4.5.15, 5.0.1 and 5.2.3 and Debian's Blender 3.4.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy

VERSION: tuple[int, int, int] = tuple(bpy.app.version)


def version_text() -> str:
    """Version and build, such as `5.2.3 LTS e13b728c6880`; two builds of one version may differ in bits."""
    return f"{bpy.app.version_string} {bpy.app.build_hash.decode()}".strip()


def passes_leave_in_memory() -> bool:
    """Whether a render engine's passes can be read from Python while it runs.

    Before 4.2 a pass's `rect` cannot be copied flat (3.4: `foreach_get` refuses it); a multilayer file does it.
    """
    return VERSION >= (4, 2, 0)


def still_image(image_settings: Any, file_format: str) -> None:
    """Select a single-image file format; 5.0 put a media type before it."""
    if hasattr(image_settings, "media_type"):
        image_settings.media_type = "MULTI_LAYER_IMAGE" if file_format == "OPEN_EXR_MULTILAYER" else "IMAGE"
    image_settings.file_format = file_format


def fcurves(user: Any) -> Iterator[Any]:
    """All F-curves of an action as its user sees it, which is an ID's animation data or an NLA strip.

    Actions have had layers and slots since 4.4, and nothing else since 5.0; until then their `fcurves` are those of
    the first slot, and a camera's data are often in the second slot of the camera object's action.
    """
    action = user.action
    if action is None:
        return
    if not hasattr(action, "layers"):
        yield from action.fcurves
        return
    for layer in action.layers:
        for strip in layer.strips:
            for bag in strip.channelbags:
                if bag.slot == user.action_slot:
                    yield from bag.fcurves


def strip_fcurves(strips: Any) -> Iterator[Any]:
    """All F-curves of NLA strips, and of those within meta strips."""
    for strip in strips:
        yield from fcurves(strip)
        yield from strip_fcurves(getattr(strip, "strips", ()))


def curves_and_drivers(block: Any) -> list[Any]:
    """What drives an ID's properties by F-curve, NLA strip or driver; each has a `data_path` and can be muted."""
    data = getattr(block, "animation_data", None)
    if data is None:
        return []
    return [*fcurves(data), *(curve for track in data.nla_tracks for curve in strip_fcurves(track.strips)), *data.drivers]


def compositor_tree(scene: Any) -> Any | None:
    """The compositor's node tree, if the scene has one in use; it moved in 5.0."""
    if hasattr(scene, "compositing_node_group"):
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def sequencer_strips(scene: Any) -> Any:
    """The strips of the scene's video sequencer; they were called sequences before 5.0."""
    editor = scene.sequence_editor
    if editor is None:
        return ()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def can_denoise() -> bool:
    """Whether Cycles was built with a denoiser; Debian's 3.4.1 was not, and fails when it should use one."""
    import _cycles

    return bool(_cycles.with_openimagedenoise)
