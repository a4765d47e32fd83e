"""What a material's displacement depends on, apart from the mesh: decides whether it may move a surface over time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import bpy

from visionsim.simulation.worker import compat

STILL_NODES = {
    "NodeReroute",
    "ShaderNodeBlackbody",
    "ShaderNodeBrightContrast",
    "ShaderNodeClamp",
    "ShaderNodeCombineColor",
    "ShaderNodeCombineHSV",
    "ShaderNodeCombineRGB",
    "ShaderNodeCombineXYZ",
    "ShaderNodeDisplacement",
    "ShaderNodeFloatCurve",
    "ShaderNodeGamma",
    "ShaderNodeHairInfo",
    "ShaderNodeHueSaturation",
    "ShaderNodeInvert",
    "ShaderNodeMapRange",
    "ShaderNodeMapping",
    "ShaderNodeMath",
    "ShaderNodeMix",
    "ShaderNodeMixRGB",
    "ShaderNodeNormal",
    "ShaderNodeRGB",
    "ShaderNodeRGBCurve",
    "ShaderNodeRGBToBW",
    "ShaderNodeRadialTiling",
    "ShaderNodeSeparateColor",
    "ShaderNodeSeparateHSV",
    "ShaderNodeSeparateRGB",
    "ShaderNodeSeparateXYZ",
    "ShaderNodeSqueeze",
    "ShaderNodeTexBrick",
    "ShaderNodeTexChecker",
    "ShaderNodeTexGabor",
    "ShaderNodeTexGradient",
    "ShaderNodeTexImage",
    "ShaderNodeTexMagic",
    "ShaderNodeTexMusgrave",
    "ShaderNodeTexNoise",
    "ShaderNodeTexVoronoi",
    "ShaderNodeTexWave",
    "ShaderNodeTexWhiteNoise",
    "ShaderNodeUVMap",
    "ShaderNodeValToRGB",
    "ShaderNodeValue",
    "ShaderNodeVectorCurve",
    "ShaderNodeVectorDisplacement",
    "ShaderNodeVectorMath",
    "ShaderNodeVectorRotate",
    "ShaderNodeVertexColor",
    "ShaderNodeWavelength",
}
"""Nodes whose result follows from their inputs and settings, the mesh, and the image they name; all others are either
looked at one by one in `inputs_of` or not trusted."""

POSE_NODES = {
    "ShaderNodeBump",
    "ShaderNodeNormalMap",
    "ShaderNodeTangent",
    "ShaderNodeVectorTransform",
}
"""Nodes whose result is a direction in the world, or may be."""

CAMERA_NODES = {"ShaderNodeCameraData", "ShaderNodeFresnel", "ShaderNodeLayerWeight"}
"""Nodes whose result depends on where the surface is seen from."""

ATTRIBUTE_NODES = {"ShaderNodeUVMap", "ShaderNodeVertexColor"}

MESH_OUTPUTS = {"Parametric", "Backfacing", "Pointiness", "Random Per Island"}
"""Outputs of the Geometry node that do not change when the object moves."""

NODE_OF_PATH = re.compile(r'nodes\["((?:[^"\\]|\\.)*)"\]')


class Input(NamedTuple):
    """Something that a displacement depends on."""

    kind: str
    """One of:

    * `keys`: animated settings of the nodes; `images`: one for each frame; `frame`: something unknown;
    * `pose`: where the object is; `camera`: where it and the camera are; `object`: where it and `target` are;
    * `shape`: the deformed shape of the mesh; `attribute`: one of its attributes;
    * `property`: the property `target` of the object or its instancer; `layer`: of view layer, scene or world.
    """
    words: str
    target: Any = None


def displaces(tree: Any) -> bool:
    """Whether a material's tree has displacement; its material may use that for bumps only."""
    return any(output_sockets(tree))


def output_sockets(tree: Any) -> Iterator[Any]:
    """Linked displacement inputs of a tree's output nodes."""
    for node in tree.nodes:
        if node.type == "OUTPUT_MATERIAL" and node.inputs["Displacement"].is_linked:
            yield node.inputs["Displacement"]


def moves_surface(material: Any) -> bool:
    """Whether a material displaces geometry, and does not only bend normals."""
    tree = compat.used_node_tree(material)
    return tree is not None and compat.displaces_geometry(material) and displaces(tree)


def is_constant(curve: Any) -> bool:
    """Whether an F-curve has the same value at all times; the value of a driver is not known."""
    if curve.driver is not None or curve.modifiers or not curve.keyframe_points:
        return False
    points = curve.keyframe_points
    return len({at[1] for point in points for at in (point.co, point.handle_left, point.handle_right)}) == 1


def changing_paths(block: Any) -> list[str]:
    """Data paths of an ID's properties that animation or drivers may change."""
    curves = compat.curves_and_drivers(block)
    return [curve.data_path for curve in curves if not (curve.mute or is_constant(curve))]


def inputs_of(material: Any) -> list[Input]:
    """Everything but the mesh that decides how far a material displaces, and may change from frame to frame."""
    tree = material.node_tree
    found: list[Input] = []
    if any("displacement_method" in path for path in changing_paths(material)):
        found.append(Input("frame", "by an animated method"))
    keyed: dict[Any, set[str]] = {}
    seen: set[tuple[Any, str, str]] = set()
    stack = [(socket.node, link) for socket in output_sockets(tree) for link in socket.links]
    while stack:
        _, link = stack.pop()
        node, output = link.from_node, link.from_socket
        owner = node.id_data
        key = (owner, node.name, output.identifier)
        if key in seen:
            continue
        seen.add(key)
        if owner not in keyed:
            names = [NODE_OF_PATH.match(path) for path in changing_paths(owner)]
            keyed[owner] = {bpy.utils.unescape_identifier(name.group(1)) for name in names if name}
        if node.name in keyed[owner]:
            found.append(Input("keys", f"by the animated node {node.name!r}"))
        found += node_inputs(node, output.name, material)
        stack += [(node, further) for socket in node.inputs for further in socket.links]
        inner = getattr(node, "node_tree", None)
        if inner is not None:
            ends = [end for end in inner.nodes if end.bl_idname == "NodeGroupOutput"]
            stack += [(end, further) for end in ends for socket in end.inputs for further in socket.links]
    return found


def node_inputs(node: Any, output: str, material: Any) -> Iterator[Input]:
    """What one node's output depends on, apart from its inputs and keys."""
    kind, words = node.bl_idname, f"by the node {node.name!r}"
    image = getattr(node, "image", None)
    if image is not None and (image.source in ("SEQUENCE", "MOVIE") or changing_paths(image)):
        yield Input("images", f"by the images {image.name!r}, which change from frame to frame")
    if getattr(node, "space", "") == "WORLD" and kind in ("ShaderNodeDisplacement", "ShaderNodeVectorDisplacement"):
        yield Input("pose", f"{words} in world space")
    if kind in ATTRIBUTE_NODES or (kind == "ShaderNodeTexImage" and not node.inputs["Vector"].is_linked):
        yield Input("attribute", words)
    if kind in STILL_NODES or kind in ("ShaderNodeGroup", "NodeGroupInput"):
        return
    if kind in POSE_NODES or (kind == "ShaderNodeNewGeometry" and output not in MESH_OUTPUTS):
        yield Input("pose", words)
    elif kind in CAMERA_NODES:
        yield Input("camera", words)
    elif kind == "ShaderNodeNewGeometry":
        if output == "Pointiness":
            yield Input("shape", words)
    elif kind == "ShaderNodeTexEnvironment":
        if not node.inputs["Vector"].is_linked:
            yield Input("pose", words)
    elif kind == "ShaderNodeTexCoord":
        if output in ("Camera", "Window", "Reflection"):
            yield Input("camera", words)
        elif output == "Object" and node.object is not None:
            yield Input("object", f"by the coordinates of {node.object.name_full!r}", node.object)
        elif node.from_instancer:
            yield Input("frame", words)
        else:
            yield Input("shape" if output in ("Object", "Normal") else "attribute", words)
    elif kind == "ShaderNodeObjectInfo":
        if output == "Location":
            yield Input("pose", words)
        elif output == "Material Index" and "pass_index" in changing_paths(material):
            yield Input("frame", words)
        elif output in ("Color", "Alpha", "Object Index"):
            yield Input("property", words, "pass_index" if output == "Object Index" else "color")
    elif kind == "ShaderNodeAttribute":
        domain = node.attribute_type
        if domain in ("OBJECT", "INSTANCER"):
            yield Input("property", f"by the attribute {node.attribute_name!r}", node.attribute_name)
        elif domain == "VIEW_LAYER":
            yield Input("layer", f"by the attribute {node.attribute_name!r}", node.attribute_name)
        else:
            yield Input("attribute", words)
    else:
        yield Input("frame", words)
