"""A furnished living room in afternoon light: procedural textures only, a robot vacuum cleaner at work.

Shows textured indoor surfaces, many small separately labelled objects, soft light through a window. What moves: the
camera (a slow walk along the room), the vacuum cleaner (drives and turns), and the pendulum of the clock.

Run with bpy 4.2: `python scenes/build_room.py [OUTPUT.blend]` (default: room.blend beside this script).
"""

from __future__ import annotations

import math
import random

import _materials as mat
import _shapes as shape
import bpy
from _build import add, add_camera, add_light, animate, group, run, sampled_frames
from _furniture import (
    armchair,
    bookshelf,
    coffee_table,
    floor_lamp,
    pictures,
    plant,
    rug,
    sofa,
)

# The room: x from the window (left) to the shelves (right), y from the camera's end to the sofa's wall.
LEFT, RIGHT, FRONT, BACK, HEIGHT = -2.6, 2.6, -3.0, 2.2, 2.7
WINDOW_Y, WINDOW_WIDTH, SILL, LINTEL = 0.35, 1.9, 0.75, 2.3


def build(scene: bpy.types.Scene) -> None:
    rng = random.Random(1)
    shell()
    window()
    curtains()
    sofa((-0.35, BACK - 0.56, 0))
    armchair()
    coffee_table()
    rug()
    bookshelf(rng, RIGHT)
    pictures(BACK)
    floor_lamp((1.12, BACK - 0.4, 0))
    plant(rng, (LEFT + 0.5, BACK - 0.45, 0))
    clock()
    vacuum()
    lights(scene)
    add_camera(
        scene,
        [
            (1, (1.75, -2.55, 1.5), (-0.45, 1.1, 0.8)),
            (200, (0.75, -2.45, 1.35), (-0.25, 1.2, 0.85)),
            (400, (-0.55, -2.35, 1.3), (0.35, 1.2, 0.85)),
            (600, (-1.6, -2.2, 1.5), (0.75, 1.0, 0.9)),
        ],
        lens=28,
        clip_end=60,
    )


# --- the building ------------------------------------------------------------------------------------------------


def shell() -> None:
    """Floor, ceiling, walls with an opening for the window, skirting and picture rail."""
    depth, middle, thick = BACK - FRONT, (BACK + FRONT) / 2, 0.2
    floor = mat.planks("Oak floor", "#6b4526", "#b98552", turn=math.pi / 2)
    add("Floor", "floor", shape.box((RIGHT - LEFT, depth, 0.1)), floor, at=(0, middle, -0.05))
    white = mat.mottled("Ceiling paint", "#e9e5dc", "#f4f1ea", scale=3, roughness=0.9, bump=0.1)
    add("Ceiling", "ceiling", shape.box((RIGHT - LEFT, depth, 0.1)), white, at=(0, middle, HEIGHT + 0.05))
    paper, paint = wallpaper(), mat.mottled("Wall paint", "#cfc8b8", "#dcd6c8", scale=4, roughness=0.85, bump=0.12)
    wide = shape.box((RIGHT - LEFT + 2 * thick, thick, HEIGHT))
    add("Wall.Back", "wall", wide, paper, at=(0, BACK + thick / 2, HEIGHT / 2))
    add("Wall.Front", "wall", wide.copy(), paint, at=(0, FRONT - thick / 2, HEIGHT / 2)).data.materials[0] = paint
    side = shape.box((thick, depth, HEIGHT))
    add("Wall.Right", "wall", side, paint, at=(RIGHT + thick / 2, middle, HEIGHT / 2))
    low, high = WINDOW_Y - WINDOW_WIDTH / 2, WINDOW_Y + WINDOW_WIDTH / 2
    around_window = [
        ((thick, low - FRONT, HEIGHT), (0, (low + FRONT) / 2, HEIGHT / 2)),
        ((thick, BACK - high, HEIGHT), (0, (BACK + high) / 2, HEIGHT / 2)),
        ((thick, high - low, SILL), (0, WINDOW_Y, SILL / 2)),
        ((thick, high - low, HEIGHT - LINTEL), (0, WINDOW_Y, (HEIGHT + LINTEL) / 2)),
    ]
    add("Wall.Left", "wall", shape.boxes(around_window), paint, at=(LEFT - thick / 2, 0, 0))
    trim = mat.plain("Trim", "#efece4", 0.4)
    skirting = [
        ((RIGHT - LEFT, 0.02, 0.12), (0, BACK - 0.01, 0.06)),
        ((0.02, depth, 0.12), (LEFT + 0.01, middle, 0.06)),
        ((0.02, depth, 0.12), (RIGHT - 0.01, middle, 0.06)),
    ]
    add("Skirting", "wall", shape.boxes(skirting), trim, bevel=0.006)
    cornice = [
        ((RIGHT - LEFT, 0.06, 0.08), (0, BACK - 0.03, HEIGHT - 0.04)),
        ((0.06, depth, 0.08), (LEFT + 0.03, middle, HEIGHT - 0.04)),
        ((0.06, depth, 0.08), (RIGHT - 0.03, middle, HEIGHT - 0.04)),
    ]
    add("Cornice", "wall", shape.boxes(cornice), trim, bevel=0.02)


def wallpaper() -> bpy.types.Material:
    """Teal paper with a damask-like pattern of dots and diamonds."""
    shader = mat.Shader("Wallpaper")
    x, _, z = shader.node("SeparateXYZ", {0: shader.coords()}).outputs
    waves = [shader.math("SINE", shader.math("MULTIPLY", axis, 2 * math.pi / 0.16)) for axis in (x, z)]
    shifted = [shader.math("COSINE", shader.math("MULTIPLY", axis, 2 * math.pi / 0.08)) for axis in (x, z)]
    leaf = shader.math("ADD", shader.math("MULTIPLY", waves[0], waves[1]), shader.math("MULTIPLY", *shifted))
    pattern = shader.ramp(leaf, [(0.42, "#2f5a5c"), (0.5, "#3d6d6c"), (0.8, "#477975"), (0.95, "#b79a63")])
    worn = shader.ramp(shader.noise(2.0), [(0.3, "#d8d8d8"), (0.7, "#ffffff")])
    shader.set(Base_Color=shader.mix(1.0, pattern, worn, "MULTIPLY"), Roughness=0.75)
    return shader.bump(leaf, 0.15, 0.001).material


def window() -> None:
    """Frame and sill, and a garden hedge outside."""
    white = mat.plain("Window paint", "#f3f1ec", 0.3)
    low, high = WINDOW_Y - WINDOW_WIDTH / 2, WINDOW_Y + WINDOW_WIDTH / 2
    tall, middle = LINTEL - SILL, (LINTEL + SILL) / 2
    bars = [((0.07, 0.06, tall), (0, y, middle)) for y in (low + 0.03, WINDOW_Y, high - 0.03)]
    bars += [((0.07, WINDOW_WIDTH, 0.06), (0, WINDOW_Y, z)) for z in (SILL + 0.03, LINTEL - 0.03)]
    bars += [((0.04, WINDOW_WIDTH, 0.03), (0, WINDOW_Y, SILL + tall * 0.68))]
    add("Window.Frame", "window", shape.boxes(bars), white, at=(LEFT - 0.1, 0, 0), bevel=0.008)
    add(
        "Window.Sill",
        "window",
        shape.box((0.3, WINDOW_WIDTH + 0.16, 0.035)),
        white,
        at=(LEFT, WINDOW_Y, SILL),
        bevel=0.01,
    )
    hedge = mat.mottled("Hedge", "#2c4a1c", "#86a84a", scale=3, roughness=0.9)
    for i, (x, y, size) in enumerate([(-7.5, 2.5, 1.6), (-8.5, 5.6, 2.3), (-7.0, -0.6, 1.3), (-9.5, 9.0, 2.6)]):
        bush = shape.lump(size, rough=0.5, scale=2.2, seed=i, detail=4)
        add(f"Hedge.{i + 1}", "tree", bush, hedge, at=(x, y, 0.2))
    lawn = mat.mottled("Lawn", "#5c7d2d", "#8fae4e", scale=2, roughness=0.95)
    add("Lawn", "terrain", shape.box((20, 40, 0.1)), lawn, at=(-13, 5, -0.5))


def curtains() -> None:
    """Two pleated curtains on a rail."""
    linen = mat.fabric("Curtain linen", "#c9a878", "#e9d6b4", bump=0.15)

    def pleats(x: float, y: float) -> float:
        return 0.035 * math.sin(x * 44) + 0.012 * math.sin(x * 97 + y * 1.5)

    for side, y in (("Near", WINDOW_Y - 1.13), ("Far", WINDOW_Y + 1.13)):
        cloth = shape.sheet((0.46, 2.36), (56, 6), pleats)
        add(f"Curtain.{side}", "curtain", cloth, linen, at=(LEFT + 0.11, y, 1.27), turn=(90, 0, 90))
    brass = mat.plain("Brass", "#c29a52", 0.25, metallic=1.0)
    rail = shape.cylinder(0.013, 2.9, edge=0.004, segments=16)
    add("Curtain.Rail", "curtain", rail, brass, at=(LEFT + 0.11, WINDOW_Y - 1.45, 2.46), turn=(-90, 0, 0))


# --- what moves --------------------------------------------------------------------------------------------------


def clock() -> None:
    """A pendulum clock on the back wall, right of the lamp."""
    top = group("Clock", "clock", at=(1.62, BACK - 0.07, 1.62))
    walnut = mat.wood("Clock walnut", "#3f2514", "#6d4327", along="Z")
    case = [((0.3, 0.12, 0.34), (0, 0, 0)), ((0.22, 0.02, 0.42), (0, 0.05, -0.36)), ((0.34, 0.14, 0.03), (0, 0, 0.18))]
    add("Clock.Case", "clock", shape.boxes(case), walnut, parent=top, bevel=0.008)
    dial = shape.cylinder(0.12, 0.012, edge=0.004, segments=48)
    add("Clock.Dial", "clock", dial, mat.plain("Dial", "#f4efe2", 0.4), at=(0, -0.06, 0), turn=(90, 0, 0), parent=top)
    ink = mat.plain("Ink", "#181614", 0.5)
    marks = [((0.006, 0.003, 0.02), (0, 0, 0.1))]
    for i in range(12):
        add(
            f"Clock.Mark.{i + 1:02d}",
            "clock",
            shape.boxes(marks),
            ink,
            at=(0, -0.073, 0),
            turn=(0, 30 * i, 0),
            parent=top,
        )
    for name, length, angle in (("Hour", 0.06, -60), ("Minute", 0.09, 48)):
        hand = shape.box((0.008, 0.003, length), (0, 0, length / 2))
        add(f"Clock.Hand.{name}", "clock", hand, ink, at=(0, -0.076, 0), turn=(0, angle, 0), parent=top)
    brass = mat.plain("Pendulum brass", "#cda75c", 0.2, metallic=1.0)
    rod = shape.box((0.008, 0.004, 0.4), (0, 0, -0.2))
    pendulum = add("Clock.Pendulum", "clock", rod, brass, at=(0, -0.03, -0.12), parent=top)
    bob = shape.cylinder(0.045, 0.014, edge=0.006)
    add("Clock.Bob", "clock", bob, brass, at=(0, 0.005, -0.4), turn=(90, 0, 0), parent=pendulum)
    swing = math.radians(11)
    animate(pendulum, "rotation_euler", {1: (0, swing, 0), 31: (0, -swing, 0), 61: (0, swing, 0)}, cyclic=True)


def vacuum() -> None:
    """A robot vacuum cleaner that drives around the front of the rug and turns smoothly."""
    body = mat.plain("Vacuum body", "#e9e9ea", 0.25, coat=0.5)
    dark = mat.plain("Vacuum dark", "#26282b", 0.35)
    top = add("Vacuum", "vacuum", shape.cylinder(0.17, 0.075, edge=0.012, segments=48), body)
    add("Vacuum.Bumper", "vacuum", shape.ring(0.168, 0.012), dark, at=(0, 0, 0.03), parent=top)
    add("Vacuum.Lid", "vacuum", shape.cylinder(0.06, 0.022, edge=0.006), dark, at=(0.05, 0, 0.073), parent=top)
    lamp = mat.glow("Vacuum light", "#54e0c0", 4.0)
    add("Vacuum.Light", "vacuum", shape.cylinder(0.012, 0.006, edge=0.002), lamp, at=(-0.08, 0, 0.073), parent=top)
    places, turns = {}, {}
    for frame in sampled_frames(20):
        angle = math.radians(200 + 140 * (frame - 1) / 599)
        places[frame] = (-0.1 + 1.75 * math.cos(angle) * 0.95, 0.05 + 1.4 * math.sin(angle), 0.005)
        heading = math.atan2(1.4 * math.cos(angle), -1.66 * math.sin(angle))
        turns[frame] = (0, 0, heading if heading > -1.6 else heading + 2 * math.pi)
    animate(top, "location", places)
    animate(top, "rotation_euler", turns)


def lights(scene: bpy.types.Scene) -> None:
    """Sun and sky through the window, and soft fill light."""
    mat.sky(
        scene,
        [(0.0, "#7d8a6a"), (0.5, "#e8efe9"), (0.6, "#b9d6ea"), (1.0, "#5c93cf")],
        strength=1.6,
        ambient=0.5,
        reach=1.2,
    )
    scene.view_settings.exposure = 0.3
    add_light("Sun", "SUN", at=(-6, 1.2, 4), towards=(0, -0.4, 0), power=7, color="#ffe1b8", size=1.2)
    window_light = (LEFT - 0.02, WINDOW_Y, (SILL + LINTEL) / 2)
    add_light(
        "Daylight",
        "AREA",
        at=window_light,
        towards=(0, WINDOW_Y, 1.1),
        power=85,
        color="#dcebff",
        size=(WINDOW_WIDTH, 1.5),
    )
    add_light(
        "Fill.Ceiling",
        "AREA",
        at=(0.2, -0.4, HEIGHT - 0.03),
        towards=(0.2, -0.4, 0),
        power=52,
        color="#fff0dc",
        size=(4.4, 4.0),
    )


if __name__ == "__main__":
    run(build, __file__)
