"""The bear of the toy scene: one skin over an armature, and a face that lives by shape keys.

The bear stands on z = 0, looks along -y, and is about 1.25 m tall. The skin is one voxel-remeshed union of balls; its
vertex groups follow from the distances to the bones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import _materials as mat
import _shapes as shape
import bpy
from _build import Vec, add, animate
from mathutils import Euler, Matrix, Vector, geometry

# bone: (head, tail, parent)
BONES: dict[str, tuple[Vec, Vec, str | None]] = {
    "Hips": ((0, 0, 0.33), (0, 0, 0.46), None),
    "Spine": ((0, 0, 0.46), (0, 0, 0.62), "Hips"),
    "Chest": ((0, 0, 0.62), (0, 0, 0.78), "Spine"),
    "Head": ((0, 0, 0.8), (0, 0, 1.2), "Chest"),
}
for _side, _x in (("L", 1), ("R", -1)):
    BONES[f"Arm.{_side}"] = ((0.17 * _x, 0, 0.7), (0.36 * _x, 0, 0.66), "Chest")
    BONES[f"Forearm.{_side}"] = ((0.36 * _x, 0, 0.66), (0.56 * _x, 0, 0.62), f"Arm.{_side}")
    BONES[f"Thigh.{_side}"] = ((0.125 * _x, 0, 0.34), (0.135 * _x, 0, 0.2), "Hips")
    BONES[f"Shin.{_side}"] = ((0.135 * _x, 0, 0.2), (0.135 * _x, 0, 0.06), f"Thigh.{_side}")
    BONES[f"Foot.{_side}"] = ((0.135 * _x, 0, 0.06), (0.14 * _x, -0.16, 0.05), f"Shin.{_side}")

PERIOD = 100  # frames of one dance step to the left and to the right


@dataclass(frozen=True)
class Key:
    """A shape key: its name and where it moves a vertex."""

    name: str
    move: Callable[[Vector], Vector]


def bear() -> bpy.types.Object:
    """Build the bear and its dance; returns the armature."""
    rig = armature()
    skin(rig)
    face(rig)
    dance(rig)
    return rig


def armature() -> bpy.types.Object:
    """The bones, at rest with the arms stretched out sideways."""
    data = bpy.data.armatures.new("Bear.Armature")
    rig = add("Bear", "bear", data)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for name, (head, tail, parent) in BONES.items():
        bone = data.edit_bones.new(name)
        bone.head, bone.tail = head, tail
        if parent:
            bone.parent = data.edit_bones[parent]
    bpy.ops.object.mode_set(mode="OBJECT")
    return rig


# --- the skin ----------------------------------------------------------------------------------------------------


def skin(rig: bpy.types.Object) -> None:
    """The plush body: balls and limbs, melted into one mesh, and bound to the bones."""
    parts = [
        (shape.ball(0.25, stretch=(1, 0.92, 1.0)), (0, 0, 0.45)),
        (shape.ball(0.2, stretch=(1, 0.92, 1.0)), (0, 0, 0.65)),
        (shape.ball(0.27, stretch=(1.06, 0.94, 0.95)), (0, 0, 1.0)),
        (shape.ball(0.07), (0, 0.23, 0.36)),
    ]
    for x in (-1, 1):
        parts += [(shape.ball(0.092, stretch=(1, 0.6, 1)), (x * 0.205, 0.01, 1.225))]
        parts += [(shape.ball(0.088 - 0.003 * k), (x * (0.15 + 0.055 * k), 0, 0.705 - 0.0115 * k)) for k in range(8)]
        parts += [(shape.ball(0.088), (x * 0.56, 0, 0.62))]
        parts += [(shape.ball(0.115 - 0.005 * k), (x * (0.12 + 0.003 * k), 0, 0.33 - 0.06 * k)) for k in range(5)]
        parts += [(shape.ball(0.098, stretch=(0.95, 1.35, 0.75)), (x * 0.14, -0.055, 0.075))]
    mesh = melted(shape.joined(parts), voxel=0.022, rounds=4)
    body = add("Bear.Body", "bear", mesh, plush(), parent=rig, sharp=180)
    bind(body, rig)


def melted(mesh: bpy.types.Mesh, *, voxel: float, rounds: int) -> bpy.types.Mesh:
    """The union of overlapping closed pieces, its creases smoothed; `voxel` is the edge length in metres."""
    helper = bpy.data.objects.new("Helper", mesh)
    bpy.context.scene.collection.objects.link(helper)
    remesh = helper.modifiers.new("Remesh", "REMESH")
    remesh.mode, remesh.voxel_size = "VOXEL", voxel
    soften = helper.modifiers.new("Smooth", "SMOOTH")
    soften.factor, soften.iterations = 0.5, rounds
    result = bpy.data.meshes.new_from_object(helper.evaluated_get(bpy.context.evaluated_depsgraph_get()))
    bpy.data.objects.remove(helper)
    return result


def plush() -> bpy.types.Material:
    """Brown plush with a cream belly, soles and ears; generated coordinates, since they stick to a deforming skin."""
    shader = mat.Shader("Plush")
    at = shader.coords(kind="Generated")
    x, y, z = shader.node("SeparateXYZ", {0: at}).outputs
    tuft = shader.noise(60, detail=2, at=at)

    def blob(cx: float, cy: float, cz: float, size: float) -> bpy.types.NodeSocket:
        scaled = shader.node("CombineXYZ", {0: x, 1: shader.math("MULTIPLY", y, 0.55), 2: z}).outputs[0]
        distance = shader.node("VectorMath", {0: scaled, 1: (cx, cy * 0.55, cz)}, operation="DISTANCE")
        return shader.span(distance.outputs["Value"], size, size - 0.015)

    fur = shader.ramp(tuft, [(0.3, "#8a4f28"), (0.7, "#c0803f")])
    cream = shader.ramp(tuft, [(0.3, "#dcb987"), (0.7, "#f5e2bd")])
    light = blob(0.5, 0.1, 0.33, 0.145)
    for cx in (0.335, 0.665):
        light = shader.math("MAXIMUM", light, blob(cx, 0.3, 0.94, 0.06))
    shader.set(Base_Color=shader.mix(light, fur, cream), Roughness=1.0, Specular_IOR_Level=0.1, Sheen_Weight=0.3)
    return shader.bump(tuft, 0.7, 0.012).material


def bind(body: bpy.types.Object, rig: bpy.types.Object) -> None:
    """Give each vertex to the bones near it: weights fall with the sixth power of the distance."""
    segments = {name: (Vector(head), Vector(tail)) for name, (head, tail, _) in BONES.items()}
    groups = {name: body.vertex_groups.new(name=name) for name in BONES}
    for vertex in body.data.vertices:
        weights = {}
        for name, (head, tail) in segments.items():
            closest, share = geometry.intersect_point_line(vertex.co, head, tail)
            closest = head if share < 0 else tail if share > 1 else closest
            weights[name] = max((vertex.co - closest).length, 0.01) ** -6
        if vertex.co.z > 0.88:  # The head is stiff; only the neck bends.
            weights = {"Head": 1.0}
        total = sum(weights.values())
        for name, weight in weights.items():
            if weight / total > 0.03:
                groups[name].add([vertex.index], weight / total, "REPLACE")
    modifier = body.modifiers.new("Armature", "ARMATURE")
    modifier.object = rig


# --- the face ----------------------------------------------------------------------------------------------------


def on_head(obj: bpy.types.Object, rig: bpy.types.Object) -> bpy.types.Object:
    """Attach an object, placed in the bear's rest space, to the bone of the head."""
    bone = rig.data.bones["Head"]
    obj.parent, obj.parent_type, obj.parent_bone = rig, "BONE", "Head"
    obj.matrix_parent_inverse = (bone.matrix_local @ Matrix.Translation((0, bone.length, 0))).inverted()
    return obj


def add_keys(obj: bpy.types.Object, keys: list[Key]) -> dict[str, bpy.types.ShapeKey]:
    """Shape keys on a mesh object, by name."""
    obj.shape_key_add(name="Basis")
    blocks = {}
    for key in keys:
        block = obj.shape_key_add(name=key.name)
        for vertex, point in zip(obj.data.vertices, block.data, strict=True):
            point.co = key.move(vertex.co.copy())
        blocks[key.name] = block
    return blocks


def face(rig: bpy.types.Object) -> None:
    """Muzzle, nose, blinking eyes, brows, cheeks, and a mouth that smiles and opens."""
    cream = mat.mottled("Muzzle", "#e3c393", "#f7e6c4", scale=30, roughness=0.95)
    black = mat.plain("Eye", "#120d0b", 0.06, coat=1.0)
    pink = mat.plain("Cheek", "#e58a80", 0.9)
    on_head(add("Bear.Muzzle", "bear", shape.ball(0.125, stretch=(1.08, 0.8, 0.78)), cream, at=(0, -0.215, 0.935)), rig)
    on_head(add("Bear.Nose", "bear", shape.ball(0.045, stretch=(1.15, 0.8, 0.75)), black, at=(0, -0.315, 0.972)), rig)
    blink = {1: 0.0, 40: 0.0, 44: 1.0, 49: 0.0, 118: 0.0, 122: 1.0, 127: 0.0, 151: 0.0}
    for side, x in (("L", 1), ("R", -1)):
        eye = on_head(
            add(
                f"Bear.Eye.{side}", "eye", shape.ball(0.04, stretch=(1, 0.7, 1.2)), black, at=(x * 0.105, -0.232, 1.05)
            ),
            rig,
        )
        lid = add_keys(eye, [Key("Blink", lambda co: Vector((co.x * 1.15, co.y, co.z * 0.1 - 0.012)))])["Blink"]
        animate(lid, "value", blink, cyclic=True)
        spark = shape.ball(0.011, segments=12)
        on_head(
            add(
                f"Bear.Spark.{side}",
                "eye",
                spark,
                mat.glow("Spark", "#ffffff", 1.5),
                at=(x * 0.105 + 0.014, -0.258, 1.07),
            ),
            rig,
        )
        on_head(
            add(
                f"Bear.Cheek.{side}",
                "bear",
                shape.ball(0.042, stretch=(1, 0.45, 0.75)),
                pink,
                at=(x * 0.182, -0.19, 0.945),
            ),
            rig,
        )
        brow = shape.cushion((0.075, 0.02, 0.018), power=2.5)
        on_head(add(f"Bear.Brow.{side}", "bear", brow, black, at=(x * 0.11, -0.222, 1.128), turn=(0, 10 * x, 0)), rig)
    mouth_material = mat.plain("Mouth", "#6d1f22", 0.4)
    mouth = on_head(
        add("Bear.Mouth", "mouth", shape.ball(0.05, stretch=(1, 0.42, 0.2)), mouth_material, at=(0, -0.292, 0.893)), rig
    )
    keys = add_keys(
        mouth,
        [
            Key("Smile", lambda co: Vector((co.x * 1.25, co.y + 6 * co.x**2, co.z + 12 * co.x**2 - 0.008))),
            Key("Open", lambda co: Vector((co.x * 0.8, co.y, co.z * 3.6 - 0.012))),
        ],
    )
    animate(keys["Smile"], "value", {1: 1.0, 70: 0.5, 120: 1.0, 201: 1.0}, cyclic=True)
    animate(keys["Open"], "value", {1: 0.15, 30: 0.1, 70: 0.75, 85: 0.3, 100: 0.7, 120: 0.15, 201: 0.15}, cyclic=True)


# --- the dance ---------------------------------------------------------------------------------------------------


def pose(rig: bpy.types.Object, bone: str, turns: Mapping[int, Vec]) -> None:
    """Key a bone's rotation: frame -> degrees about the bear's own x, y and z."""
    axes = rig.data.bones[bone].matrix_local.to_3x3()
    local = {
        frame: (axes.inverted() @ Euler([math.radians(a) for a in turn]).to_matrix() @ axes).to_quaternion()
        for frame, turn in turns.items()
    }
    animate(rig.pose.bones[bone], "rotation_quaternion", local, cyclic=True)


def wave(turn_at: Callable[[float], Vec], period: int = PERIOD) -> dict[int, Vec]:
    """Keys for one period, from a function of the phase in radians."""
    return {1 + k * period // 20: turn_at(2 * math.pi * k / 20) for k in range(21)}


def dance(rig: bpy.types.Object) -> None:
    """Sway from side to side, bend the knees twice a period, wave with the right arm, swing the left."""
    sin, cos = math.sin, math.cos
    bend = {"L": lambda p: 8 + 26 * max(0.0, sin(p)) ** 2, "R": lambda p: 8 + 26 * max(0.0, -sin(p)) ** 2}

    def hips(p: float) -> Vec:
        knees = math.radians(min(bend["L"](p), bend["R"](p)))
        return (0.045 * sin(p), -0.28 * (1 - cos(knees)) - 0.008 + 0.012 * cos(2 * p), 0.0)

    animate(rig.pose.bones["Hips"], "location", wave(hips), cyclic=True)
    pose(rig, "Hips", wave(lambda p: (0, 7 * sin(p), 9 * sin(p))))
    pose(rig, "Spine", wave(lambda p: (3 * cos(2 * p), -9 * sin(p), -6 * sin(p))))
    pose(rig, "Chest", wave(lambda p: (0, -8 * sin(p - 0.4), -6 * sin(p - 0.3))))
    pose(rig, "Head", wave(lambda p: (4 * cos(2 * p - 0.6), 11 * sin(p - 0.7), 8 * sin(p - 0.5))))
    pose(rig, "Arm.R", wave(lambda p: (0, 42 + 8 * sin(2 * p), 0)))
    pose(rig, "Forearm.R", wave(lambda p: (0, 38 + 26 * sin(2 * p), 0)))
    pose(rig, "Arm.L", wave(lambda p: (0, 28 - 16 * sin(p), -14 + 18 * sin(p))))
    pose(rig, "Forearm.L", wave(lambda p: (0, -34 - 18 * sin(p - 0.6), -22)))
    for side, x in (("L", 1), ("R", -1)):
        pose(rig, f"Thigh.{side}", wave(lambda p, s=side: (-bend[s](p), -4 * sin(p), 0)))
        pose(rig, f"Shin.{side}", wave(lambda p, s=side: (2 * bend[s](p), 0, 0)))
        pose(rig, f"Foot.{side}", wave(lambda p, s=side, d=x: (-bend[s](p), -3 * sin(p), 12 * d)))
