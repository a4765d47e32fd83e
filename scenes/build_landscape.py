"""A mountain lake in the morning: terrain, hundreds of instanced trees and rocks, a cabin, a balloon, birds.

Shows large depth ranges and collection instances (every tree, bush and rock is one). What moves: the camera (a flight
over the shore and the lake), a hot-air balloon (drifts and slowly turns), a rowing boat (bobs), and flapping birds.

Run with bpy 4.2: `python scenes/build_landscape.py [OUTPUT.blend]` (default: landscape.blend beside this script).
"""

from __future__ import annotations

import math
import random

import _materials as mat
import _shapes as shape
import bpy
from _build import (
    FIRST_FRAME,
    LAST_FRAME,
    add,
    add_camera,
    add_light,
    animate,
    group,
    instance,
    run,
    sampled_frames,
    smooth,
    source_collection,
)
from _trees import tree_sources
from mathutils import Vector, noise

SIDE, CELLS = 300.0, 132
HAZE, HAZE_DISTANCE = "#a9c6e0", 520.0
CABIN, PIER = (33.0, 16.0), (24.5, 12.0)
STOPS = [
    (1, (-44.0, -70.0, 23.0), (0.0, 20.0, 5.0)),
    (200, (-29.0, -50.0, 17.0), (6.0, 26.0, 5.5)),
    (400, (-12.0, -34.0, 12.0), (12.0, 34.0, 6.0)),
    (600, (3.0, -20.0, 9.0), (17.0, 42.0, 7.5)),
]


def build(scene: bpy.types.Scene) -> None:
    rng = random.Random(3)
    terrain()
    water()
    mountains()
    forest(rng)
    rocks(rng)
    cabin()
    pier()
    balloon()
    birds(rng)
    light(scene)
    add_camera(scene, STOPS, lens=30, clip_end=1500)


# --- ground and water --------------------------------------------------------------------------------------------


def step(low: float, high: float, value: float) -> float:
    """0 below `low`, 1 above `high`, smooth in between."""
    t = min(1.0, max(0.0, (value - low) / (high - low)))
    return t * t * (3 - 2 * t)


def ground(x: float, y: float) -> float:
    """Height of the terrain in metres; the lake's surface is at 0."""
    p = Vector((x, y, 0))
    bend = 9 * noise.noise(p * 0.03)
    shore = math.hypot(x / 1.15 - 4, (y - 2) / 0.95) + bend
    rise = step(26, 75, shore)
    hills = 5 + 9 * noise.fractal(p * 0.014 + Vector((3, 8, 0)), 1.0, 2.0, 4)
    ridge = (1 - abs(noise.noise(p * 0.016 + Vector((7, 1, 0))))) ** 2
    alps = step(48, 140, y + 0.25 * abs(x)) * (12 + 52 * ridge + 10 * noise.fractal(p * 0.05, 1.0, 2.0, 3))
    bed = -3.5 * (1 - step(14, 33, shore)) + 0.9 * step(30, 36, shore)
    detail = 0.35 * noise.fractal(p * 0.17, 1.0, 2.0, 3)
    plateau = step(9, 4, math.hypot(x - CABIN[0], y - CABIN[1]))
    height = bed + rise * (1.2 + max(hills, -0.4)) + alps + detail * (0.3 + rise)
    return height * (1 - plateau) + 1.6 * plateau


def steepness(x: float, y: float) -> float:
    """Slope of the terrain, rise over run."""
    return math.hypot(ground(x + 1, y) - ground(x - 1, y), ground(x, y + 1) - ground(x, y - 1)) / 2


def terrain() -> None:
    """Sand at the shore, grass, rock where steep, snow on the heights."""
    shader = mat.Shader("Ground")
    z = shader.node("SeparateXYZ", {0: shader.coords()}).outputs[2]
    up = shader.node("SeparateXYZ", {0: shader.node("NewGeometry").outputs["Normal"]}).outputs[2]
    patches, speck = shader.noise(0.09, detail=3), shader.noise(1.7, detail=2)
    grass = shader.ramp(patches, [(0.3, "#3c5a20"), (0.5, "#6d8635"), (0.7, "#a09a4c")])
    rock = shader.ramp(speck, [(0.3, "#5a544d"), (0.7, "#9a9186")])
    rough_z = shader.math("ADD", z, shader.math("MULTIPLY", speck, 3.0))
    color = shader.mix(shader.span(up, 0.82, 0.72), grass, rock)
    color = shader.mix(shader.span(rough_z, 2.3, 1.7), color, "#c7b48a")
    snow = shader.math("MULTIPLY", shader.span(rough_z, 30, 33), shader.span(up, 0.45, 0.6))
    color = shader.mix(snow, color, "#f2f5f8")
    shades = shader.ramp(speck, [(0.3, "#b5b5b5"), (0.7, "#ffffff")])
    shader.set(Base_Color=shader.mix(1.0, color, shades, "MULTIPLY"), Roughness=0.95, Specular_IOR_Level=0.2)
    shader.bump(speck, 0.7, 0.5).haze(HAZE, HAZE_DISTANCE)
    add("Terrain", "terrain", shape.sheet((SIDE, SIDE), (CELLS, CELLS), ground), shader.material, sharp=180)


def water() -> None:
    """The lake: a dark mirror with ripples."""
    shader = mat.Shader("Lake")
    at = shader.coords((1.0, 1.8, 1.0))
    shader.set(Base_Color="#0d3b45", Roughness=0.04, IOR=1.33)
    shader.bump(shader.noise(0.9, detail=2, at=at), 0.18, 0.25).haze(HAZE, HAZE_DISTANCE)
    add("Lake", "water", shape.sheet((130, 110), (1, 1), lambda x, y: 0.0), shader.material, at=(4, 0, 0))


def mountains() -> None:
    """A ring of blue peaks on the horizon."""
    count, rows = 150, [(170, -8), (230, 0.35), (300, 1.0), (380, 0.2)]
    vertices, faces = [], []
    for row, (radius, share) in enumerate(rows):
        for k in range(count):
            a = 2 * math.pi * k / count
            p = Vector((math.cos(a) * 3.1, math.sin(a) * 3.1, row * 0.3))
            peak = 34 + 62 * (1 - abs(noise.noise(p * 1.3))) ** 2 + 16 * noise.fractal(p * 4, 1.0, 2.0, 3)
            peak *= 0.45 + 0.55 * step(-0.3, 0.7, math.sin(a))
            wobble = radius * (1 + 0.05 * noise.noise(p * 5))
            vertices.append((wobble * math.cos(a), wobble * math.sin(a), share * peak if row else share))
    for row in range(len(rows) - 1):
        for k in range(count):
            n = (k + 1) % count
            faces.append((row * count + k, row * count + n, (row + 1) * count + n, (row + 1) * count + k))
    shader = mat.Shader("Far rock")
    z = shader.node("SeparateXYZ", {0: shader.coords()}).outputs[2]
    line = shader.math("ADD", z, shader.math("MULTIPLY", shader.noise(0.05, detail=3), 50.0))
    shader.set(
        Base_Color=shader.ramp(
            shader.span(line, 20, 95), [(0.0, "#46603a"), (0.4, "#5d635f"), (0.62, "#7d8286"), (0.7, "#eef2f6")]
        )
    )
    shader.set(Roughness=1.0, Specular_IOR_Level=0.0).haze(HAZE, HAZE_DISTANCE)
    add("Mountains", "mountain", shape.mesh_from(vertices, faces), shader.material, sharp=55)


# --- plants and rocks --------------------------------------------------------------------------------------------


def near_flight(x: float, y: float, reach: float) -> bool:
    """Is this place within `reach` metres of the ground track of the camera?"""
    frames = [f for f, _, _ in STOPS]
    track = (smooth(frames, [Vector(p) for _, p, _ in STOPS], f) for f in sampled_frames(30))
    return any(math.hypot(p.x - x, p.y - y) < reach for p in track)


def free_spot(rng: random.Random, low: float, high: float, slope: float, reach: float) -> tuple[float, float, float]:
    """A random place on the terrain between two heights, not too steep, away from cabin, pier and camera."""
    while True:
        x, y = rng.uniform(-110, 110), rng.uniform(-95, 118)
        z = ground(x, y)
        away = min(math.hypot(x - a, y - b) for a, b in (CABIN, PIER)) > 8
        if low < z < high and steepness(x, y) < slope and away and not near_flight(x, y, reach):
            return x, y, z


def forest(rng: random.Random) -> None:
    """Conifers on the slopes, broad-leaved trees in the valley, in groups."""
    sources = tree_sources((HAZE, HAZE_DISTANCE))
    kinds = [
        ("Pine", 150, 2.5, 30, 0.8),
        ("Spruce", 170, 3, 34, 0.9),
        ("Oak", 52, 1.6, 12, 0.45),
        ("Birch", 46, 1.4, 14, 0.5),
        ("Bush", 70, 1.2, 10, 0.6),
    ]
    for offset, (kind, count, low, high, slope) in enumerate(kinds):
        number = 0
        while number < count:
            x, y, z = free_spot(rng, low, high, slope, reach=1.5 if kind == "Bush" else 9.0)
            if noise.noise(Vector((x * 0.03, y * 0.03, 3.0 * offset))) < -0.05:
                continue
            number += 1
            label, size = ("bush", rng.uniform(0.7, 1.4)) if kind == "Bush" else ("tree", rng.uniform(0.7, 1.25))
            turn = (rng.uniform(-3, 3), rng.uniform(-3, 3), rng.uniform(0, 360))
            tree = (size, size, size * rng.uniform(0.9, 1.15))
            name = f"{'Bush' if kind == 'Bush' else 'Tree.' + kind}.{number:03d}"
            instance(name, label, sources[kind], at=(x, y, z - 0.25), turn=turn, scale=tree)


def rocks(rng: random.Random) -> None:
    """Boulders along the shore and on the meadows."""
    shader = mat.Shader("Boulder")
    speck = shader.noise(2.2, detail=4)
    color = shader.ramp(speck, [(0.3, "#4d4a46"), (0.55, "#8b857c"), (0.75, "#b1aa9c")])
    up = shader.node("SeparateXYZ", {0: shader.node("NewGeometry").outputs["Normal"]}).outputs[2]
    moss = shader.math("MULTIPLY", shader.span(up, 0.55, 0.9), shader.span(speck, 0.4, 0.55))
    shader.set(Base_Color=shader.mix(moss, color, "#66752f"), Roughness=0.9).bump(speck, 0.6, 0.2).haze(
        HAZE, HAZE_DISTANCE
    )
    sources = []
    for kind in range(3):
        sources.append(source_collection(f"Source.Rock.{kind + 1}"))
        stone = shape.lump(0.8, rough=0.6, scale=1.1, seed=20 + kind, detail=2, flat=(1.2, 1, 0.75))
        add(f"Rock.{kind + 1}.Stone", "rock", stone, shader.material, into=sources[kind], sharp=32)
    for i in range(95):
        low, high = (-0.5, 1.2) if i < 60 else (1.2, 16)
        x, y, z = free_spot(rng, low, high, 2.0, reach=0)
        size = rng.uniform(0.35, 1.0) ** 2 * 2.2 + 0.15
        instance(
            f"Rock.{i + 1:02d}", "rock", sources[i % 3], at=(x, y, z), turn=(0, 0, rng.uniform(0, 360)), scale=size
        )


# --- what people made --------------------------------------------------------------------------------------------


def cabin() -> None:
    """A red wooden cabin with white corners, and a lit window."""
    x, y = CABIN
    top = group("Cabin", "building", at=(x, y, ground(x, y) - 0.1), turn=(0, 0, -62), scale=1.35)
    shader = mat.Shader("Red boards")
    along = shader.node("SeparateXYZ", {0: shader.coords()}).outputs
    gap = shader.math("PINGPONG", shader.math("ADD", along[0], along[1]), 0.12)
    shader.set(Base_Color=shader.mix(shader.span(gap, 0.004, 0.012), "#3d0f0c", "#9c2f22"), Roughness=0.8)
    white, stone = (
        mat.plain("White trim", "#f0ece2", 0.6),
        mat.mottled("Stone", "#5e5a55", "#a09a90", scale=3, roughness=0.9),
    )
    slate = mat.mottled("Slate", "#2e3338", "#4d545a", scale=5, roughness=0.7)
    gable = [(-2.2, 0), (2.2, 0), (2.2, 2.5), (0, 4.3), (-2.2, 2.5)]
    add("Cabin.Walls", "building", shape.prism(gable, 6), shader.material, at=(0, 0, 0.4), parent=top)
    add("Cabin.Base", "building", shape.box((4.5, 6.1, 1.6)), stone, at=(0, 0, -0.4), parent=top)
    roof = [(-2.7, 2.2), (-2.75, 2.36), (0, 4.62), (2.75, 2.36), (2.7, 2.2), (0, 4.42)]
    add("Cabin.Roof", "building", shape.prism(roof, 6.8), slate, at=(0, 0, 0.4), parent=top)
    add("Cabin.Chimney", "building", shape.box((0.6, 0.6, 1.6)), stone, at=(0.9, 1.2, 4.6), parent=top)
    trims = [((0.16, 0.16, 2.6), (sx * 2.2, sy * 3, 1.65)) for sx in (-1, 1) for sy in (-1, 1)]
    trims += [((0.1, 1.1, 1.2), (-2.22, y, 1.8)) for y in (-1.6, 1.6)] + [((1.1, 0.1, 1.2), (-1.0, -3.02, 1.8))]
    trims += [((1.1, 0.1, 2.1), (0.9, -3.02, 1.4))]
    add("Cabin.Trim", "building", shape.boxes(trims), white, parent=top)
    lit = mat.glow("Lit window", "#ffd58a", 3.0)
    panes = [((0.12, 0.85, 0.95), (-2.23, y, 1.8)) for y in (-1.6, 1.6)] + [((0.85, 0.12, 0.95), (-1.0, -3.03, 1.8))]
    add("Cabin.Windows", "window", shape.boxes(panes), lit, parent=top)
    door = mat.wood("Door", "#2f4a4a", "#4a6b68", along="Z")
    add("Cabin.Door", "door", shape.box((0.85, 0.12, 1.9)), door, at=(0.9, -3.03, 1.35), parent=top)


def pier() -> None:
    """A wooden pier, and a rowing boat tied to it that bobs on the water."""
    x, y = PIER
    top = group("Pier", "pier", at=(x, y, 0), turn=(0, 0, 205))
    boards = mat.wood("Pier boards", "#5d4a38", "#a08a6c", along="Y")
    parts = [((0.36, 2.0, 0.08), (0.4 * i - 3, 0, 0.75)) for i in range(36)]
    parts += [((0.2, 0.2, 3.2), (3.2 * i - 2, side, -0.5)) for i in range(5) for side in (-0.9, 0.9)]
    add("Pier.Boards", "pier", shape.boxes(parts), boards, parent=top)
    boat = group("Boat", "boat", at=(x - 9.5, y - 9.0, 0.12), turn=(0, 0, 215))
    outline, n = [], 9
    for k in range(n):
        t = k / (n - 1)
        wide = 0.85 * math.sin(math.pi * (0.14 + 0.86 * (1 - t))) ** 0.7
        outline.append((4.4 * t - 2.2, max(wide, 0.03), 0.42 + 0.35 * t * t))
    hull_v, hull_f = [], []
    for px, wide, high in outline:
        hull_v += [
            (px, -wide, high),
            (px * 0.92, -wide * 0.7, 0),
            (px * 0.85, 0, -0.16),
            (px * 0.92, wide * 0.7, 0),
            (px, wide, high),
        ]
    for k in range(n - 1):
        hull_f += [(5 * k + m, 5 * k + m + 1, 5 * k + m + 6, 5 * k + m + 5) for m in range(4)]
    hull_f.append((0, 1, 2, 3, 4))
    hull = add(
        "Boat.Hull", "boat", shape.mesh_from(hull_v, hull_f), mat.plain("Boat paint", "#e9e3d4", 0.4), parent=boat
    )
    thickness = hull.modifiers.new("Planking", "SOLIDIFY")
    thickness.thickness = 0.06
    seats = [((0.3, 1.25, 0.05), (px, 0, 0.3)) for px in (-1.2, 0.0, 1.1)]
    add("Boat.Seats", "boat", shape.boxes(seats), boards, parent=boat)
    heave = {f: (x - 9.5, y - 9.0, 0.12 + 0.05 * math.sin(f * 0.06)) for f in sampled_frames(12)}
    animate(boat, "location", heave)
    roll = {
        f: (0.05 * math.sin(f * 0.047), 0.02 * math.sin(f * 0.06 + 1), math.radians(215)) for f in sampled_frames(12)
    }
    animate(boat, "rotation_euler", roll)


def balloon() -> None:
    """A striped hot-air balloon over the lake."""
    top = group("Balloon", "balloon")
    shader = mat.Shader("Balloon cloth")
    x, y, z = shader.node("SeparateXYZ", {0: shader.coords()}).outputs
    gore = shader.math("PINGPONG", shader.math("MULTIPLY", shader.math("ARCTAN2", y, x), 6 / math.pi), 0.5)
    stripes = shader.ramp(gore, [(0.0, "#d8432f"), (0.25, "#f3c24b")], constant=True)
    belt = shader.math("LESS_THAN", shader.math("ABSOLUTE", shader.math("SUBTRACT", z, 6.6)), 0.7)
    shader.set(Base_Color=shader.mix(belt, stripes, "#2a4d69"), Roughness=0.6).haze(HAZE, HAZE_DISTANCE)
    skin = [
        (0.75, 1.6),
        (1.5, 2.7),
        (2.9, 4.6),
        (3.75, 6.2),
        (3.95, 7.4),
        (3.6, 9.0),
        (2.5, 10.3),
        (1.1, 10.95),
        (0, 11.1),
    ]
    add("Balloon.Envelope", "balloon", shape.lathe(skin, 48), shader.material, parent=top, sharp=180)
    wicker = mat.fabric("Wicker", "#5c3d1e", "#a87a45", thread=60)
    add("Balloon.Basket", "balloon", shape.box((1.1, 1.1, 0.9)), wicker, at=(0, 0, -0.4), parent=top, bevel=0.1)
    rope = mat.plain("Rope", "#8a7a60", 0.9)
    for i, (sx, sy) in enumerate([(1, 1), (-1, 1), (-1, -1), (1, -1)], 1):
        line = shape.tube([(0.5 * sx, 0.5 * sy, 0), (0.53 * sx, 0.53 * sy, 1.65)], 0.03)
        add(f"Balloon.Rope.{i}", "balloon", line, rope, parent=top)
    animate(top, "location", {1: (2, 18, 14), 300: (1, 27, 16.5), LAST_FRAME: (5, 38, 18)})
    animate(top, "rotation_euler", {FIRST_FRAME: (0, 0, 0), LAST_FRAME: (0, 0, 1.4)}, linear=True)


def birds(rng: random.Random) -> None:
    """A flock of gulls crossing the lake; every wing is an object that flaps about its shoulder."""
    body, wing = shape.ball(0.16, stretch=(0.7, 2.2, 0.7), segments=12), {}
    for side in (-1, 1):
        edge = [
            (0, -0.2, 0),
            (0, 0.2, 0),
            (side * 0.55, 0.24, 0.03),
            (side * 1.15, -0.12, 0),
            (side * 0.5, -0.12, 0.03),
        ]
        wing[side] = shape.mesh_from(edge, [(0, 1, 2, 4), (4, 2, 3)])
    white, grey = mat.plain("Gull white", "#f4f4f2", 0.7), mat.plain("Gull grey", "#9aa3ab", 0.7)
    for i in range(7):
        row = (i + 1) // 2 * (1 if i % 2 else -1)
        start = Vector((-34 - 1.6 * abs(row) + rng.uniform(-0.4, 0.4), -6 + 2.2 * row, 10 + rng.uniform(-0.5, 0.8)))
        stop = start + Vector((62, 34, 2.5))
        top = group(f"Bird.{i + 1}", "bird")
        top.rotation_euler = (0, 0, math.atan2(stop.y - start.y, stop.x - start.x) - math.pi / 2)
        animate(top, "location", {FIRST_FRAME: start, LAST_FRAME: stop}, linear=True)
        add(f"Bird.{i + 1}.Body", "bird", body, white, parent=top)
        beat, lag = rng.randrange(26, 32), rng.randrange(20)
        for side, name in ((-1, "L"), (1, "R")):
            flapper = add(
                f"Bird.{i + 1}.Wing.{name}", "bird", wing[side], grey, at=(side * 0.06, 0.05, 0.04), parent=top
            )
            flap = {1 - lag: 0.6, 1 - lag + beat // 2: -0.4, 1 - lag + beat: 0.6}
            animate(flapper, "rotation_euler", {f: (0, -side * a, 0) for f, a in flap.items()}, cyclic=True)


def light(scene: bpy.types.Scene) -> None:
    """Morning sun from the left, blue sky with clouds."""
    mat.sky(
        scene,
        [(0.0, "#8fa5b5"), (0.49, "#d6e2ea"), (0.53, "#c3d9ea"), (0.68, "#77a9da"), (1.0, "#2f66ad")],
        strength=0.9,
        clouds=0.55,
        reach=6.0,
    )
    add_light("Sun", "SUN", at=(-60, -30, 42), towards=(0, 0, 0), power=6.0, color="#ffe3bd", size=1.0)


if __name__ == "__main__":
    run(build, __file__)
