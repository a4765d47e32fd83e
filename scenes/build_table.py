"""A still life on a wooden table: glass, metal, ceramics and fruit, with a shallow depth of field.

Shows transparent and mirror-like surfaces and out-of-focus background lights. What moves: the camera (a slow arc), a
steel ball that rolls across the table at constant speed (its engraved bands show the rolling), and a spinning top.

Run with bpy 4.2: `python scenes/build_table.py [OUTPUT.blend]` (default: table.blend beside this script).
"""

from __future__ import annotations

import math
import random

import _materials as mat
import _shapes as shape
import bpy
from _build import FIRST_FRAME, LAST_FRAME, add, add_camera, add_light, animate, group, run, sampled_frames

# Profiles are (radius, height) in metres, from the axis under the foot, up the outside, and down the inside.
WINE_GLASS = [(0, 0), (0.036, 0), (0.036, 0.002), (0.008, 0.006), (0.004, 0.015), (0.0036, 0.075), (0.012, 0.085)]
WINE_GLASS += [(0.034, 0.105), (0.043, 0.135), (0.042, 0.165), (0.035, 0.205), (0.0338, 0.205), (0.0407, 0.165)]
WINE_GLASS += [(0.0417, 0.136), (0.033, 0.107), (0.012, 0.0875), (0, 0.087)]
WINE = [(0, 0.0872), (0.0122, 0.0877), (0.0332, 0.1072), (0.0416, 0.132), (0.0416, 0.1335), (0, 0.1335)]
TUMBLER = [
    (0, 0),
    (0.032, 0),
    (0.034, 0.003),
    (0.038, 0.095),
    (0.0365, 0.0955),
    (0.0355, 0.094),
    (0.0318, 0.014),
    (0, 0.012),
]
VASE = [(0, 0), (0.042, 0), (0.046, 0.004), (0.073, 0.05), (0.078, 0.085), (0.066, 0.13), (0.036, 0.165), (0.027, 0.2)]
VASE += [(0.029, 0.225), (0.036, 0.24), (0.034, 0.241), (0.026, 0.225), (0.023, 0.2), (0.03, 0.165), (0, 0.15)]
BOWL = [
    (0, 0),
    (0.05, 0),
    (0.052, 0.01),
    (0.048, 0.014),
    (0.09, 0.035),
    (0.125, 0.075),
    (0.1285, 0.077),
    (0.127, 0.0725),
]
BOWL += [(0.121, 0.0725), (0.085, 0.038), (0.04, 0.022), (0, 0.02)]
TEAPOT = [
    (0, 0),
    (0.05, 0),
    (0.055, 0.006),
    (0.082, 0.04),
    (0.09, 0.075),
    (0.08, 0.11),
    (0.052, 0.135),
    (0.048, 0.14),
    (0, 0.14),
]
LID = [
    (0.05, 0.14),
    (0.052, 0.145),
    (0.04, 0.156),
    (0.012, 0.165),
    (0.008, 0.17),
    (0.015, 0.18),
    (0.013, 0.19),
    (0, 0.193),
]
APPLE = [(0, 0.012), (0.012, 0.004), (0.024, 0.0), (0.034, 0.012), (0.0395, 0.034), (0.036, 0.056), (0.024, 0.069)]
APPLE += [(0.012, 0.068), (0.004, 0.061), (0, 0.058)]
PEAR = [
    (0, 0.004),
    (0.015, 0),
    (0.032, 0.014),
    (0.037, 0.034),
    (0.031, 0.058),
    (0.02, 0.078),
    (0.015, 0.095),
    (0.008, 0.105),
    (0, 0.103),
]


def build(scene: bpy.types.Scene) -> None:
    rng = random.Random(2)
    table()
    backdrop(rng)
    teapot()
    fruit_bowl(rng)
    glasses()
    vase(rng)
    small_things(rng)
    rolling_ball()
    spinning_top()
    lights(scene)
    camera(scene)


def revolve(name: str, label: str, profile: list, material, *, rounded: bool = True, **options) -> bpy.types.Object:
    """A turned object; `rounded` smooths its profile with a subdivision surface."""
    mesh = shape.lathe(profile, 24 if rounded else 48)
    return add(name, label, mesh, material, subdivide=2 if rounded else 0, **options)


# --- table and background ----------------------------------------------------------------------------------------


def table() -> None:
    """The table top and a linen runner."""
    oak = mat.planks("Table oak", "#4d2e18", "#96683f", length=3.0, width=0.16)
    add("Table", "table", shape.box((1.9, 1.1, 0.04)), oak, at=(0, 0.05, -0.02), bevel=0.008)
    linen = mat.fabric("Linen", "#8b97a0", "#cdd4d6", thread=900, bump=0.3)

    def folds(x: float, y: float) -> float:
        return 0.0022 + 0.0012 * math.sin(17 * y + 3 * x) * math.sin(9 * x + 1) ** 2

    add("Runner", "cloth", shape.sheet((1.9, 0.4), (60, 16), folds), linen, at=(0, 0.09, 0), turn=(0, 0, 3))


def backdrop(rng: random.Random) -> None:
    """A dark wall with a string of warm lights, far out of focus."""
    wall = mat.mottled("Backdrop", "#1b3640", "#3a6a72", scale=1.2, roughness=0.9)
    add("Backdrop", "wall", shape.box((9, 0.1, 4)), wall, at=(0, 2.6, 0.6))
    warm = [mat.glow(f"Bulb {i}", color, 26) for i, color in enumerate(("#ffb35c", "#ff8f4a", "#ffd9a0"))]
    bulb = [shape.ball(0.011, segments=12) for _ in warm]
    for row in range(4):
        for i in range(15):
            x = -2.1 + 0.3 * i + rng.uniform(-0.08, 0.08)
            z = 0.28 + 0.36 * row - 0.1 * math.sin(math.pi * ((i * 0.13 + row * 0.4) % 1)) + rng.uniform(-0.06, 0.06)
            k = rng.randrange(3)
            add(f"Bulb.{row * 15 + i + 1:02d}", "lamp", bulb[k], warm[k], at=(x, 2.3, z))


# --- the still life ----------------------------------------------------------------------------------------------


def teapot() -> None:
    """A copper teapot."""
    shader = mat.Shader("Copper")
    patina = shader.noise(25, detail=3)
    shader.set(Base_Color=shader.ramp(patina, [(0.3, "#c4693f"), (0.7, "#eda77c")]), Metallic=1.0)
    shader.set(Roughness=shader.span(patina, 0.3, 0.7, 0.1, 0.24))
    copper = shader.material
    top = group("Teapot", "teapot", at=(-0.25, 0.24, 0.003), turn=(0, 0, 200))
    revolve("Teapot.Body", "teapot", TEAPOT, copper, parent=top)
    revolve("Teapot.Lid", "teapot", LID, copper, parent=top)
    spout = shape.tube([(0.07, 0, 0.045), (0.115, 0, 0.075), (0.13, 0, 0.115), (0.155, 0, 0.135)], 0.012)
    for point, width in zip(spout.splines[0].bezier_points, (1.6, 1.15, 0.9, 0.75), strict=True):
        point.radius = width
    add("Teapot.Spout", "teapot", spout, copper, parent=top)
    handle = [(-0.066, 0, 0.12), (-0.1, 0, 0.14), (-0.145, 0, 0.115), (-0.135, 0, 0.06), (-0.085, 0, 0.04)]
    walnut = mat.wood("Handle walnut", "#2c190d", "#5b3820", along="Z")
    add("Teapot.Handle", "teapot", shape.tube(handle, 0.0075), walnut, parent=top)


def fruit_bowl(rng: random.Random) -> None:
    """A ceramic bowl with apples, oranges, a pear and lemons."""
    shader = mat.Shader("Bowl glaze")
    z = shader.node("SeparateXYZ", {0: shader.coords()}).outputs[2]
    drip = shader.math("ADD", z, shader.math("MULTIPLY", shader.noise(30, detail=1), 0.03))
    shader.set(
        Base_Color=shader.ramp(
            shader.math("MULTIPLY", drip, 10),
            [(0.38, "#8a6d52"), (0.46, "#d9cdb8"), (0.55, "#3f7f86"), (0.9, "#28606c")],
        )
    )
    glaze = shader.set(Roughness=0.22, Coat_Weight=0.7).material
    top = revolve("Bowl", "bowl", BOWL, glaze, at=(0.07, 0.17, 0.003), scale=1.12)
    red, green = apple_skin("Apple red", "#a3161c", "#d8b13e"), apple_skin("Apple green", "#7f9c2c", "#b9c35a")
    orange = mat.mottled("Orange peel", "#dd7414", "#f39a2e", scale=60, roughness=0.4, bump=0.5)
    for i, (x, y, z, tilt, swing, skin) in enumerate(
        [
            (-0.055, -0.02, 0.036, 20, 200, red),
            (0.0, 0.055, 0.036, -18, 70, green),
            (-0.01, -0.005, 0.083, 34, 20, red),
        ],
        1,
    ):
        apple(f"Apple.{i}", skin, (x, y, z), (tilt, 0, swing), top)
    for i, (x, y, z) in enumerate([(0.052, -0.05, 0.07), (0.07, 0.03, 0.073)], 1):
        add(f"Orange.{i}", "fruit", shape.ball(0.038), orange, at=(x, y, z), parent=top)
    lemon = mat.mottled("Lemon peel", "#e3bd28", "#f5dc55", scale=50, roughness=0.35, bump=0.4)
    lemon_profile = [
        (0, -0.044),
        (0.006, -0.042),
        (0.012, -0.034),
        (0.026, -0.02),
        (0.029, 0),
        (0.026, 0.02),
        (0.012, 0.034),
        (0.006, 0.041),
        (0, 0.043),
    ]
    revolve("Lemon.1", "fruit", lemon_profile, lemon, at=(0.25, 0.01, 0.031), turn=(85, 12, 35))
    half = [(0, -0.042), (0.006, -0.04), (0.012, -0.033), (0.025, -0.02), (0.0285, -0.002), (0.0284, 0)]
    cut = add("Lemon.Half", "fruit", shape.lathe(half, 48), lemon, at=(0.31, -0.075, 0.026), turn=(72, 0, -18))
    add("Lemon.Flesh", "fruit", shape.lathe([(0, 0), (0.0284, 0)], 48), lemon_flesh(), parent=cut)


def apple(name: str, skin: bpy.types.Material, at: tuple, turn: tuple, parent: bpy.types.Object | None = None) -> None:
    """An apple with its stalk."""
    top = revolve(name, "fruit", APPLE, skin, at=at, turn=turn, parent=parent)
    bark = bpy.data.materials.get("Stalk") or mat.plain("Stalk", "#4a3320", 0.8)
    stalk = shape.tube([(0, 0, 0.056), (0.002, 0, 0.068), (0.007, 0.001, 0.079)], 0.0014)
    add(f"{name}.Stalk", "fruit", stalk, bark, parent=top)


def apple_skin(name: str, main: str, blush: str) -> bpy.types.Material:
    """Skin with streaks from pole to pole."""
    shader = mat.Shader(name)
    streaks = shader.noise(1.0, detail=2, at=shader.coords((60, 60, 12)))
    shader.set(Base_Color=shader.ramp(streaks, [(0.35, main), (0.75, blush)]), Roughness=0.3, Coat_Weight=0.25)
    return shader.material


def lemon_flesh() -> bpy.types.Material:
    """The cut face of a lemon: segments around a pale core, inside a pale rind."""
    shader = mat.Shader("Lemon flesh")
    x, y, _ = shader.node("SeparateXYZ", {0: shader.coords()}).outputs
    radius = shader.math("SQRT", shader.math("ADD", shader.math("MULTIPLY", x, x), shader.math("MULTIPLY", y, y)))
    angle = shader.math("MULTIPLY", shader.math("ARCTAN2", y, x), 9 / (2 * math.pi))
    wall = shader.math("PINGPONG", angle, 0.5)
    inside = shader.math("MULTIPLY", shader.span(wall, 0.03, 0.07), shader.span(radius, 0.0255, 0.0245))
    inside = shader.math("MULTIPLY", inside, shader.span(radius, 0.003, 0.005))
    shader.set(Base_Color=shader.mix(inside, "#f3ead0", "#ecc94e"), Roughness=0.2)
    return shader.material


def glasses() -> None:
    """A wine glass with wine, and a tumbler of water."""
    clear = mat.glass("Glass", "#f8fdfb")
    red = mat.glass("Wine", "#8f1730", ior=1.34)
    wine = revolve("WineGlass", "glass", WINE_GLASS, clear, at=(-0.075, -0.005, 0.003))
    revolve("WineGlass.Wine", "drink", WINE, red, parent=wine)
    water = mat.glass("Water", "#eaf6f7", ior=1.33)
    tumbler = revolve("Tumbler", "glass", TUMBLER, clear, at=(-0.2, -0.045, 0.003), rounded=False)
    level = [(0, 0.0122), (0.0317, 0.0142), (0.0345, 0.064), (0, 0.064)]
    revolve("Tumbler.Water", "drink", level, water, rounded=False, parent=tumbler)


def vase(rng: random.Random) -> None:
    """A glazed vase with eucalyptus twigs and cotton balls."""
    shader = mat.Shader("Vase glaze")
    crackle = shader.node("TexVoronoi", {"Scale": 55.0, "Vector": shader.coords()}, feature="DISTANCE_TO_EDGE")
    lines = shader.span(crackle.outputs["Distance"], 0.0, 0.05)
    shader.set(Base_Color=shader.mix(lines, "#8f8877", "#e9e4d8"), Roughness=0.16, Coat_Weight=0.5)
    top = revolve("Vase", "vase", VASE, shader.material, at=(0.3, 0.3, 0.003), scale=1.1)
    bark = mat.plain("Twig", "#5c4a35", 0.8)
    green = mat.Shader("Eucalyptus")
    tint = green.node("ObjectInfo").outputs["Random"]
    green.set(Base_Color=green.ramp(tint, [(0, "#486b58"), (1, "#8fae97")]), Roughness=0.5)
    leaf = shape.lathe([(0, 0), (0.009, 0.001), (0.014, 0.003)], 12)
    for t, (dx, dy, tall) in enumerate(
        [(-0.13, 0.0, 0.24), (-0.04, 0.05, 0.3), (0.06, -0.03, 0.27), (0.14, 0.03, 0.2)]
    ):
        points = [(dx * 0.05, dy * 0.05, 0.2), (dx * 0.35, dy * 0.4, 0.22 + tall * 0.5), (dx, dy, 0.22 + tall)]
        add(f"Twig.{t + 1}", "plant", shape.tube(points, 0.0016), bark, parent=top)
        for i in range(11):
            share = 0.3 + 0.7 * i / 10
            spot = (dx * share**1.5, dy * share**1.5, 0.22 + tall * share)
            turn = (rng.uniform(35, 80), 0, 180 * (i % 2) + rng.uniform(-40, 40))
            side = (-1) ** i * 0.012
            spot = (spot[0] + side, spot[1] + rng.uniform(-0.008, 0.008), spot[2])
            add(
                f"Leaf.{t + 1}.{i + 1:02d}",
                "plant",
                leaf,
                green.material,
                at=spot,
                turn=turn,
                scale=rng.uniform(0.8, 1.35),
                parent=top,
            )


def small_things(rng: random.Random) -> None:
    """Grapes, an espresso cup with saucer and spoon, and a book."""
    skin = mat.plain("Grape", "#4b1d3f", 0.28, coat=0.3)
    grape = shape.ball(0.0105, stretch=(1, 1, 1.12), segments=16)
    for i in range(30):
        layer = 0 if i < 16 else 1 if i < 26 else 2
        angle, reach = 2.4 * i, (0.048, 0.03, 0.012)[layer] * math.sqrt(rng.uniform(0.25, 1))
        spot = (0.16 + 1.5 * reach * math.cos(angle), -0.085 + reach * math.sin(angle), 0.0115 + 0.017 * layer)
        add(f"Grape.{i + 1:02d}", "fruit", grape, skin, at=spot, turn=(rng.uniform(0, 90), 0, rng.uniform(0, 180)))
    white = mat.plain("Porcelain", "#efece6", 0.15, coat=0.5)
    saucer = [
        (0, 0),
        (0.03, 0),
        (0.032, 0.004),
        (0.06, 0.01),
        (0.063, 0.013),
        (0.058, 0.0125),
        (0.028, 0.007),
        (0, 0.006),
    ]
    cup = [
        (0, 0.007),
        (0.018, 0.007),
        (0.02, 0.01),
        (0.03, 0.035),
        (0.033, 0.058),
        (0.031, 0.058),
        (0.028, 0.036),
        (0.016, 0.013),
        (0, 0.012),
    ]
    top = group("Espresso", "cup", at=(-0.36, -0.02, 0.001))
    revolve("Espresso.Saucer", "plate", saucer, white, parent=top)
    revolve("Espresso.Cup", "cup", cup, white, parent=top)
    coffee = mat.plain("Coffee", "#2a1408", 0.1)
    revolve("Espresso.Coffee", "drink", [(0, 0.046), (0.0298, 0.046)], coffee, parent=top, rounded=False)
    handle = [(0.028, 0, 0.05), (0.047, 0, 0.048), (0.046, 0, 0.03), (0.024, 0, 0.024)]
    add("Espresso.Handle", "cup", shape.tube(handle, 0.003), white, turn=(0, 0, 220), parent=top)
    steel = mat.plain("Steel", "#d9dadb", 0.12, metallic=1.0)
    spoon = group("Spoon", "spoon", at=(-0.31, -0.075, 0.012), turn=(0, 4, 24), parent=None)
    add(
        "Spoon.Handle", "spoon", shape.tube([(0, 0, 0), (0.05, 0, 0.006), (0.1, 0, 0.003)], 0.0022), steel, parent=spoon
    )
    add("Spoon.Bowl", "spoon", shape.ball(0.012, stretch=(1.5, 1, 0.3)), steel, at=(-0.014, 0, -0.002), parent=spoon)


# --- what moves --------------------------------------------------------------------------------------------------


def rolling_ball() -> None:
    """A steel ball that rolls from left to right in front, without slipping."""
    radius, start, stop = 0.02, -0.33, 0.37
    shader = mat.Shader("Banded steel")
    x, _, z = shader.node("SeparateXYZ", {0: shader.coords()}).outputs
    band = shader.math("MINIMUM", shader.math("ABSOLUTE", x), shader.math("ABSOLUTE", z))
    groove = shader.span(band, 0.0016, 0.0022)
    steel = shader.set(Base_Color=shader.mix(groove, "#1b1b1d", "#e3e4e6"), Metallic=1.0, Roughness=0.08).material
    top = add("Ball", "ball", shape.ball(radius, segments=64), steel)
    animate(top, "location", {FIRST_FRAME: (start, -0.185, radius), LAST_FRAME: (stop, -0.165, radius)}, linear=True)
    turned = math.hypot(stop - start, 0.02) / radius
    animate(top, "rotation_euler", {FIRST_FRAME: (0, 0, 0), LAST_FRAME: (0, turned, 0)}, linear=True)


def spinning_top() -> None:
    """A painted top: it spins twice a second around an axis that slowly nods around."""
    shader = mat.Shader("Top paint")
    x, y, z = shader.node("SeparateXYZ", {0: shader.coords()}).outputs
    angle = shader.math("PINGPONG", shader.math("MULTIPLY", shader.math("ARCTAN2", y, x), 3 / math.pi), 0.5)
    sectors = shader.ramp(shader.math("MULTIPLY", angle, 2), [(0, "#c8372d"), (0.5, "#f0e2c0")], constant=True)
    rim = shader.math("COMPARE", z, 0.031)
    rim.node.inputs[2].default_value = 0.004
    paint = shader.set(Base_Color=shader.mix(rim, sectors, "#205a6b"), Roughness=0.25, Coat_Weight=0.5).material
    top = group("Top", "toy", at=(0.02, -0.075, 0.001))
    profile = [
        (0, 0),
        (0.002, 0.002),
        (0.006, 0.012),
        (0.028, 0.027),
        (0.03, 0.031),
        (0.028, 0.035),
        (0.008, 0.04),
        (0.004, 0.044),
    ]
    profile += [(0.0035, 0.06), (0.0045, 0.064), (0, 0.066)]
    spinner = add("Top.Body", "toy", shape.lathe(profile, 48), paint, parent=top)
    nods = {}
    for frame in sampled_frames(12):
        phase = 2 * math.pi * (frame - 1) / 110
        nods[frame] = (0.11 * math.cos(phase), 0.11 * math.sin(phase), 0)
    animate(top, "rotation_euler", nods)
    animate(spinner, "rotation_euler", {FIRST_FRAME: (0, 0, 0), LAST_FRAME: (0, 0, 2 * math.pi * 24)}, linear=True)


# --- light and camera --------------------------------------------------------------------------------------------


def lights(scene: bpy.types.Scene) -> None:
    """A big window from the left, a warm rim light from behind, a weak fill, and a dim world."""
    mat.sky(scene, [(0.0, "#1a1512"), (0.5, "#39434d"), (1.0, "#6f8291")], strength=0.5, reach=0.5)
    add_light("Glow", "SPOT", at=(-1.2, 1.0, 1.6), towards=(0.2, 2.6, 0.5), power=90, color="#9fd0d8", size=0.3)
    add_light(
        "Window", "AREA", at=(-1.25, -0.15, 0.85), towards=(0, 0.1, 0.05), power=26, color="#dfeaff", size=(0.9, 1.1)
    )
    add_light(
        "Rim", "AREA", at=(0.9, 1.15, 0.75), towards=(0.05, 0.1, 0.08), power=22, color="#ffc98a", size=(0.7, 0.5)
    )
    add_light("Fill", "AREA", at=(0.8, -1.0, 0.9), towards=(0.05, 0.1, 0.08), power=5, color="#ffe6cf", size=(0.8, 0.8))


def camera(scene: bpy.types.Scene) -> None:
    """A slow arc in front of the table, focused on the fruit bowl's near rim."""
    focus = group("Focus", "helper", at=(0.03, 0.06, 0.08))
    target = (0.01, 0.08, 0.125)
    camera_object = add_camera(
        scene,
        [
            (1, (-0.42, -0.78, 0.36), target),
            (200, (-0.16, -0.86, 0.31), target),
            (400, (0.16, -0.86, 0.29), target),
            (600, (0.43, -0.76, 0.34), target),
        ],
        lens=38,
        clip_end=30,
    )
    dof = camera_object.data.dof
    dof.use_dof, dof.focus_object, dof.aperture_fstop, dof.aperture_blades = True, focus, 2.0, 0


if __name__ == "__main__":
    run(build, __file__)
