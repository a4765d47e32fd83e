"""A plush bear dances on a toy stage, among letter blocks, a bouncing ball, and a train that runs around it.

Shows deformation: an armature with vertex groups and posed bones, shape keys on the face, a ball that squashes and
stretches by shape keys. What moves besides: the camera (a slow arc), a toy train on a round track, a mobile of stars.

Run with bpy 4.2: `python scenes/build_toy.py [OUTPUT.blend]` (default: toy.blend beside this script).
"""

from __future__ import annotations

import math
import random

import _materials as mat
import _shapes as shape
import bpy
from _build import FIRST_FRAME, LAST_FRAME, add, add_camera, add_light, animate, group, run
from _character import Key, add_keys, bear
from mathutils import Matrix, Vector

RED, ORANGE, YELLOW, GREEN, TEAL, BLUE, PURPLE = (
    "#e2503f",
    "#f0893a",
    "#f4c542",
    "#6fb35a",
    "#3fa7a3",
    "#3f7fc1",
    "#8a63b5",
)
PODIUM = 0.16
TRACK = 1.3  # radius of the train's circle, in metres


def build(scene: bpy.types.Scene) -> None:
    rng = random.Random(5)
    stage()
    rainbow()
    bunting()
    blocks(rng)
    ring_tower()
    train()
    bouncing_ball()
    mobile()
    bear().location.z = PODIUM
    lights(scene)
    target = (0.0, 0.0, 0.78)
    add_camera(
        scene,
        [
            (1, (-1.7, -3.75, 1.35), target),
            (200, (-0.65, -4.1, 1.1), target),
            (400, (0.6, -4.1, 1.05), target),
            (600, (1.7, -3.7, 1.4), target),
        ],
        lens=36,
        clip_end=50,
    )


# --- the stage ---------------------------------------------------------------------------------------------------


def stage() -> None:
    """A floor that curves up into a backdrop, and a round striped podium."""
    profile = [(-4.0, 0.0), (1.4, 0.0)]
    profile += [
        (1.4 + 1.2 * math.sin(a), 1.2 - 1.2 * math.cos(a)) for a in (math.pi / 2 * k / 12 for k in range(1, 13))
    ]
    profile.append((2.6, 5.0))
    vertices = [(x, y, z) for x in (-6, 6) for y, z in profile]
    n = len(profile)
    faces = [(k, k + 1, n + k + 1, n + k) for k in range(n - 1)]
    shader = mat.Shader("Backdrop")
    at = shader.coords()
    x, y, z = shader.node("SeparateXYZ", {0: at}).outputs
    height = shader.ramp(
        shader.span(z, 0.0, 3.6), [(0.0, "#f3c9b5"), (0.22, "#f7e0c8"), (0.5, "#a9dbe2"), (1.0, "#5fb0d0")]
    )
    spot = shader.node(
        "VectorMath",
        {0: shader.node("VectorMath", {0: at, 1: (2.4, 2.4, 2.4)}, operation="MULTIPLY").outputs[0]},
        operation="FRACTION",
    )
    far = shader.node("VectorMath", {0: spot.outputs[0], 1: (0.5, 0.5, 0.5)}, operation="DISTANCE").outputs["Value"]
    floor = shader.math("LESS_THAN", z, 0.01)
    dots = shader.math("MULTIPLY", shader.math("LESS_THAN", far, 0.53), floor)
    shader.set(Base_Color=shader.mix(dots, height, "#fbe7d6"), Roughness=0.75)
    add("Stage", "stage", shape.mesh_from(vertices, faces), shader.material, sharp=60)
    stripes = mat.Shader("Podium stripes")
    x, y, _ = stripes.node("SeparateXYZ", {0: stripes.coords()}).outputs
    angle = stripes.math("PINGPONG", stripes.math("MULTIPLY", stripes.math("ARCTAN2", y, x), 12 / math.pi), 0.5)
    stripes.set(
        Base_Color=stripes.ramp(angle, [(0.0, "#f7efe0"), (0.25, RED)], constant=True), Roughness=0.4, Coat_Weight=0.3
    )
    add("Podium", "stage", shape.cylinder(0.85, PODIUM - 0.04, edge=0.03, segments=72), stripes.material)
    top = mat.wood("Podium top", "#c08a52", "#e6bd85", along="X")
    add("Podium.Top", "stage", shape.cylinder(0.8, 0.04, edge=0.015, segments=72), top, at=(0, 0, PODIUM - 0.04))


def rainbow() -> None:
    """A wooden rainbow, a sun, and clouds behind the podium."""
    for i, color in enumerate((RED, ORANGE, YELLOW, GREEN, TEAL, BLUE, PURPLE)):
        outer, inner = 1.5 - 0.125 * i, 1.5 - 0.125 * (i + 1) + 0.008
        arc = [math.pi * k / 48 for k in range(49)]
        outline = [(outer * math.cos(a), outer * math.sin(a)) for a in arc]
        outline += [(inner * math.cos(a), inner * math.sin(a)) for a in reversed(arc)]
        paint = mat.plain(f"Rainbow {i + 1}", color, 0.45, coat=0.2)
        add(f"Rainbow.{i + 1}", "rainbow", shape.prism(outline, 0.24), paint, at=(0, 1.75, 0), bevel=0.012)
    cotton = mat.mottled("Cotton", "#e9eef2", "#ffffff", scale=8, roughness=1.0, bump=0.4)
    puffs = [
        (-1.45, 1.55, 0.0, 1.0),
        (1.5, 1.6, 0.0, 0.9),
        (-2.5, 2.3, 1.75, 0.8),
        (2.45, 2.3, 2.05, 0.9),
        (0.9, 2.4, 2.55, 0.55),
    ]
    for i, (x, y, z, size) in enumerate(puffs, 1):
        parts = [
            (shape.ball(r, segments=24), (dx, dy, r * 0.9))
            for r, dx, dy in [
                (0.26, 0, 0),
                (0.2, -0.27, -0.03),
                (0.21, 0.27, 0.02),
                (0.15, 0.46, -0.02),
                (0.14, -0.44, 0),
            ]
        ]
        add(f"Cloud.{i}", "cloud", shape.joined(parts), cotton, at=(x, y, z), scale=size)


def bunting() -> None:
    """A string of pennants across the backdrop."""
    colors = [mat.plain(f"Pennant {i}", c, 0.8) for i, c in enumerate((RED, YELLOW, TEAL, ORANGE, BLUE))]
    flag = [shape.prism([(-0.11, 0), (0, -0.27), (0.11, 0)], 0.012) for _ in colors]
    points = []
    for i in range(21):
        x = -3.0 + 0.3 * i
        z = 2.3 + 0.05 * x * x
        points.append((x, 2.05, z))
        if 0 < i < 20:
            add(f"Pennant.{i:02d}", "pennant", flag[i % 5], colors[i % 5], at=points[-1], turn=(0, -6 * x, 0))
    add("Pennant.String", "pennant", shape.tube(points, 0.007), mat.plain("String", "#fff6e6", 0.8))


def letter(character: str, size: float) -> bpy.types.Mesh:
    """A solid letter, as a mesh around its centre; a font object would look different in another Blender version."""
    curve = bpy.data.curves.new("Letter", "FONT")
    curve.body, curve.size, curve.extrude = character, size, 0.008
    curve.align_x, curve.align_y = "CENTER", "CENTER"
    helper = bpy.data.objects.new("Helper", curve)
    bpy.context.scene.collection.objects.link(helper)
    mesh = bpy.data.meshes.new_from_object(helper.evaluated_get(bpy.context.evaluated_depsgraph_get()))
    bpy.data.objects.remove(helper)
    corners = list(zip(*(vertex.co for vertex in mesh.vertices), strict=True))
    centre = Vector([(min(axis) + max(axis)) / 2 for axis in corners])
    mesh.transform(Matrix.Translation(-centre))
    return mesh


def blocks(rng: random.Random) -> None:
    """Letter blocks that spell VISION SIM, in two piles and a row."""
    spots = [("V", -1.98, 0.75, 0, 14), ("I", -1.62, 0.85, 0, 6), ("S", -1.8, 0.8, 1, -6)]
    spots += [("I", 1.55, 0.85, 0, -4), ("O", 1.92, 0.72, 0, -16), ("N", 1.72, 0.79, 1, 5)]
    colors = [RED, BLUE, YELLOW, GREEN, ORANGE, PURPLE]
    maple = mat.wood("Maple", "#d9b17c", "#f0d6a8", along="X")
    side = 0.3
    for i, (character, x, y, level, turn) in enumerate(spots):
        name = f"Block.{i + 1}.{character}"
        block = add(
            name,
            "block",
            shape.box((side, side, side)),
            maple,
            at=(x, y, side * (level + 0.5)),
            turn=(0, 0, turn),
            bevel=0.02,
        )
        paint = mat.plain(f"Block paint {i + 1}", colors[i], 0.4, coat=0.3)
        frame = [((side * 0.86, 0.012, 0.022), (0, 0, s * side * 0.42)) for s in (-1, 1)]
        frame += [((0.022, 0.012, side * 0.86), (s * side * 0.42, 0, 0)) for s in (-1, 1)]
        for k, face in enumerate(("Front", "Right", "Back", "Left")):
            across = Matrix.Rotation(math.radians(90 * k), 3, "Z") @ Vector((0, -side / 2, 0))
            add(
                f"{name}.Letter.{face}",
                "block",
                letter(character, side * 0.8),
                paint,
                at=across,
                turn=(90, 0, 90 * k),
                parent=block,
            )
            add(
                f"{name}.Frame.{face}", "block", shape.boxes(frame), paint, at=across, turn=(0, 0, 90 * k), parent=block
            )
    for i in range(9):
        angle = rng.uniform(math.pi * 1.05, math.pi * 1.95)
        reach = rng.uniform(1.5, 1.85)
        bead = shape.ball(rng.uniform(0.03, 0.055), segments=24)
        paint = mat.plain(f"Bead paint {i + 1}", rng.choice(colors), 0.15, coat=0.8)
        add(
            f"Bead.{i + 1}",
            "ball",
            bead,
            paint,
            at=(reach * math.cos(angle), reach * math.sin(angle), max(v.co.z for v in bead.vertices)),
        )


def ring_tower() -> None:
    """A stack of coloured rings on a peg."""
    at = (-1.6, -0.5, 0)
    maple = bpy.data.materials["Maple"]
    peg = [
        (0, 0),
        (0.17, 0),
        (0.17, 0.03),
        (0.03, 0.04),
        (0.025, 0.5),
        (0.05, 0.53),
        (0.055, 0.57),
        (0.03, 0.61),
        (0, 0.615),
    ]
    add("Rings.Peg", "ring toy", shape.lathe(peg), maple, at=at)
    z = 0.04
    for i, color in enumerate((RED, ORANGE, YELLOW, GREEN, BLUE)):
        thick = 0.048 - 0.003 * i
        z += thick
        paint = mat.plain(f"Ring paint {i + 1}", color, 0.2, coat=0.7)
        add(f"Rings.{i + 1}", "ring toy", shape.ring(0.15 - 0.018 * i, thick), paint, at=(at[0], at[1], z))
        z += thick


# --- what moves --------------------------------------------------------------------------------------------------


def train() -> None:
    """An engine and two wagons on a round track; each hangs on its own turning empty, so curves are exact."""
    maple, steel = bpy.data.materials["Maple"], mat.plain("Rail", "#b9bcc0", 0.3, metallic=1.0)
    for i, r in enumerate((TRACK - 0.055, TRACK + 0.055), 1):
        add(f"Track.Rail.{i}", "track", shape.ring(r, 0.009, segments=96, sides=8), steel, at=(0, 0, 0.022))
    sleeper = shape.box((0.17, 0.035, 0.014))
    for i in range(72):
        a = 2 * math.pi * i / 72
        add(
            f"Track.Sleeper.{i + 1:02d}",
            "track",
            sleeper,
            maple,
            at=(TRACK * math.cos(a), TRACK * math.sin(a), 0.007),
            turn=(0, 0, math.degrees(a)),
            bevel=0.003,
        )
    paints = {c: mat.plain(f"Train {c}", c, 0.3, coat=0.6) for c in (RED, YELLOW, BLUE, GREEN)}
    dark = mat.plain("Train dark", "#2b2d33", 0.4)
    start, turned = math.radians(-150), math.radians(330)
    for car, (lag, color) in enumerate(((0.0, RED), (14.5, BLUE), (28.0, GREEN))):
        name = ("Train.Engine", "Train.Wagon.1", "Train.Wagon.2")[car]
        pivot = group(f"{name}.Pivot", "train")
        first = start - math.radians(lag)
        animate(pivot, "rotation_euler", {FIRST_FRAME: (0, 0, first), LAST_FRAME: (0, 0, first + turned)}, linear=True)
        top = group(name, "train", at=(TRACK, 0, 0.03), turn=(0, 0, 90), parent=pivot)
        add(f"{name}.Frame", "train", shape.box((0.27, 0.13, 0.035)), dark, at=(0, 0, 0.06), parent=top, bevel=0.008)
        if car == 0:
            add(
                f"{name}.Boiler",
                "train",
                shape.cylinder(0.062, 0.17, edge=0.012),
                paints[color],
                at=(-0.04, 0, 0.14),
                turn=(0, 90, 0),
                parent=top,
            )
            add(
                f"{name}.Cab",
                "train",
                shape.box((0.1, 0.14, 0.17)),
                paints[BLUE],
                at=(-0.085, 0, 0.162),
                parent=top,
                bevel=0.01,
            )
            add(
                f"{name}.Roof",
                "train",
                shape.box((0.14, 0.17, 0.025)),
                paints[YELLOW],
                at=(-0.085, 0, 0.258),
                parent=top,
                bevel=0.01,
            )
            funnel = shape.lathe([(0.02, 0), (0.02, 0.05), (0.036, 0.09), (0.03, 0.09), (0, 0.07)])
            add(f"{name}.Funnel", "train", funnel, dark, at=(0.08, 0, 0.195), parent=top)
            add(f"{name}.Dome", "train", shape.ball(0.028), paints[YELLOW], at=(0.015, 0, 0.202), parent=top)
        else:
            add(
                f"{name}.Box",
                "train",
                shape.box((0.25, 0.15, 0.1)),
                paints[color],
                at=(0, 0, 0.125),
                parent=top,
                bevel=0.012,
            )
            for k, (x, y) in enumerate([(-0.07, -0.03), (0.0, 0.03), (0.07, -0.02)]):
                add(
                    f"{name}.Load.{k + 1}",
                    "ball",
                    shape.ball(0.045, segments=24),
                    list(paints.values())[(k + car) % 4],
                    at=(x, y, 0.19),
                    parent=top,
                )
        for k, (x, y) in enumerate([(0.085, -0.06), (0.085, 0.06), (-0.085, -0.06), (-0.085, 0.06)], 1):
            wheel = group(f"{name}.Wheel.{k}", "wheel", at=(x, y, 0.042), parent=top)
            disc = shape.joined(
                [
                    (shape.cylinder(0.042, 0.022, edge=0.005, segments=28), (0, 0, -0.011)),
                    (shape.box((0.06, 0.01, 0.03)), (0, 0, 0)),
                ]
            )
            add(f"{name}.Wheel.{k}.Disc", "wheel", disc, paints[YELLOW], turn=(90, 0, 0), parent=wheel)
            animate(
                wheel,
                "rotation_euler",
                {FIRST_FRAME: (0, 0, 0), LAST_FRAME: (0, turned * TRACK / 0.042, 0)},
                linear=True,
            )


def bouncing_ball() -> None:
    """A ball on the podium's right that bounces on the floor, stretched in flight and squashed on the ground."""
    radius, period, high = 0.17, 50, 0.85
    shader = mat.Shader("Ball stripes")
    x, y, z = shader.node("SeparateXYZ", {0: shader.coords(kind="Generated")}).outputs
    dx, dy = shader.math("SUBTRACT", x, 0.5), shader.math("SUBTRACT", y, 0.5)
    angle = shader.math("PINGPONG", shader.math("MULTIPLY", shader.math("ARCTAN2", dy, dx), 3 / math.pi), 0.5)
    color = shader.ramp(angle, [(0.0, TEAL), (0.25, YELLOW)], constant=True)
    cap = shader.math("GREATER_THAN", shader.math("ABSOLUTE", shader.math("SUBTRACT", z, 0.5)), 0.42)
    shader.set(Base_Color=shader.mix(cap, color, RED), Roughness=0.2, Coat_Weight=0.6)
    ball = add("Ball", "ball", shape.ball(radius, segments=40), shader.material, turn=(0, 0, 20))
    keys = add_keys(
        ball,
        [
            Key("Squash", lambda co: Vector((co.x * 1.22, co.y * 1.22, (co.z + radius) * 0.62 - radius))),
            Key("Stretch", lambda co: Vector((co.x * 0.92, co.y * 0.92, co.z * 1.18))),
        ],
    )
    places, squash, stretch = {}, {}, {}
    contact = 0.08  # share of the period during which the ball touches the floor, before and after the bounce
    for k in range(26):
        phase, frame = k / 25, 1 + round(k * period / 25)
        flight = min(1.0, max(0.0, (phase - contact) / (1 - 2 * contact)))
        places[frame] = (1.58, -0.62, radius + 4 * high * flight * (1 - flight))
        squash[frame] = max(0.0, 1 - min(phase, 1 - phase) / contact)
        stretch[frame] = abs(2 * flight - 1) * (1 - squash[frame]) if 0 < flight < 1 else 0.0
    animate(ball, "location", places, cyclic=True, linear=True)
    animate(keys["Squash"], "value", squash, cyclic=True, linear=True)
    animate(keys["Stretch"], "value", stretch, cyclic=True, linear=True)


def mobile() -> None:
    """Stars on threads, turning slowly above the stage."""
    gold, thread = mat.plain("Star", "#f6c945", 0.3, coat=0.5), mat.plain("Thread", "#ffffff", 0.8)
    outline = [
        (r * math.sin(a), r * math.cos(a))
        for k in range(10)
        for r, a in [(0.14 if k % 2 == 0 else 0.066, math.pi * k / 5)]
    ]
    star = shape.prism(outline, 0.05)
    for i, (x, y, z, turns) in enumerate(
        [(-1.25, 0.9, 1.95, 1.0), (-0.5, 1.2, 2.12, -1.5), (0.42, 1.1, 2.08, 1.2), (1.2, 0.9, 1.85, -1.0)], 1
    ):
        top = add(f"Star.{i}", "star", star, gold, at=(x, y, z), bevel=0.015)
        add(f"Star.{i}.Thread", "star", shape.cylinder(0.003, 2.0, segments=8), thread, at=(0, 0, 0.13), parent=top)
        first = math.radians(40 * i)
        keys = {FIRST_FRAME: (0, 0, first), LAST_FRAME: (0, 0, first + 2 * math.pi * turns)}
        animate(top, "rotation_euler", keys, linear=True)


def lights(scene: bpy.types.Scene) -> None:
    """A large soft key light from the left, a warm fill, a light on the backdrop, and a bright world."""
    mat.sky(scene, [(0.0, "#d9c7b8"), (0.5, "#f3ece6"), (1.0, "#cfe4f2")], strength=0.35, reach=2.0)
    add_light("Key", "AREA", at=(-2.8, -2.8, 3.6), towards=(0, 0, 0.5), power=230, color="#fff0dd", size=1.6)
    add_light("Fill", "AREA", at=(3.2, -2.6, 2.0), towards=(0, 0, 0.6), power=60, color="#ffd9c4", size=2.0)
    add_light("Rim", "AREA", at=(1.6, 1.3, 3.4), towards=(0, 0, 0.8), power=80, color="#dfeeff", size=1.0)


if __name__ == "__main__":
    run(build, __file__)
