"""Differences between Blender versions, from 3.4 to 5.2; no other file looks at the version.

Facts were measured with the bpy wheels 4.2.23, 4.5.15, 5.0.1 and 5.2.3 and Debian's Blender 3.4.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
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


def fcurves(animation_data: Any) -> Iterator[Any]:
    """All F-curves of an ID's action. Actions have had layers and slots since 4.4, and nothing else since 5.0.

    In between their `fcurves` are those of one slot, be it another ID's: a camera and its data share an action.
    """
    action = animation_data.action
    if action is None:
        return
    if not hasattr(action, "layers"):
        yield from action.fcurves
        return
    for layer in action.layers:
        for strip in layer.strips:
            for bag in strip.channelbags:
                if bag.slot == animation_data.action_slot:
                    yield from bag.fcurves


def curves_and_drivers(block: Any) -> list[Any]:
    """What drives an ID's properties by F-curve or driver; each has a `data_path` and can be muted."""
    data = getattr(block, "animation_data", None)
    return [] if data is None else [*fcurves(data), *data.drivers]


def compositor_tree(scene: Any) -> Any | None:
    """The compositor's node tree, if the scene has one in use; it moved in 5.0."""
    if hasattr(scene, "compositing_node_group"):
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def panorama_settings(camera_data: Any) -> Any:
    """What has `panorama_type` and its settings: Cycles' own block before Blender took them over (3.4: not yet)."""
    return camera_data if hasattr(camera_data, "panorama_type") else camera_data.cycles


def vector_pass_is_wrong(camera_type: str, animated: Collection[str]) -> str | None:
    """What is wrong with the vectors that a camera of this type gives, and what helps; None if they are right.

    `camera_type` is Blender's type of camera or of panorama; `animated` are properties of the camera's data that change
    during the animation, but for its pose. Cycles takes the neighbouring frames' poses into account, and a perspective
    camera's field of view; nothing else. Measured with a closed-form scene about 96 pixels wide: orthographic cameras
    are up to 266 px off in 4.5 and 5.0 (between 4.2 and 5.2 no other version was tried, so none is trusted), fisheyes
    2 px and an animated lens 2.5 px before 4.5; an animated shift, orthographic scale or fisheye's field of view 2 to
    3 px in every version; all else at most 1e-3 px.
    """
    here = f"in Blender {bpy.app.version_string}"
    if camera_type == "ORTHO" and (4, 3, 0) <= VERSION < (5, 2, 0):
        return f"is wrong for orthographic cameras {here}; use Blender 5.2 or later, or 4.2"
    if camera_type.startswith("FISHEYE") and VERSION < (4, 5, 0):
        return f"is wrong for fisheye cameras {here}; use Blender 4.5 or later"
    others = set(animated) - ({"lens", "angle"} if camera_type == "PERSP" else set())
    if others:
        return f"does not know of the camera's animated {', '.join(sorted(others))}; keep it still"
    if animated and VERSION < (4, 5, 0):
        return f"is wrong for an animated lens {here}; use Blender 4.5 or later"
    return None


def can_denoise() -> bool:
    """Whether Cycles was built with a denoiser; Debian's 3.4.1 was not, and fails when it should use one."""
    import _cycles

    return bool(_cycles.with_openimagedenoise)
