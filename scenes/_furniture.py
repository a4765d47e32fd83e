"""Furniture for the room: every piece is built from named parts of one class, parented to an empty or a main part."""

from __future__ import annotations

import math
import random

import _materials as mat
import _shapes as shape
import bpy
from _build import Vec, add, add_light, group


def sofa(at: Vec) -> None:
    """A three-seat sofa, its back towards +y."""
    cloth = mat.fabric("Sofa cloth", "#b4532f", "#d98a54")
    oak = mat.wood("Oak legs", "#5a381d", "#8c5d34", along="Z")
    top = group("Sofa", "sofa", at=at)
    add("Sofa.Base", "sofa", shape.cushion((2.1, 0.86, 0.24), power=9), cloth, at=(0, 0, 0.25), parent=top)
    add("Sofa.Back", "sofa", shape.cushion((2.1, 0.24, 0.62), power=7), cloth, at=(0, 0.36, 0.56), parent=top)
    for side, x in (("L", -1.03), ("R", 1.03)):
        arm = shape.cushion((0.22, 0.9, 0.5), power=6)
        add(f"Sofa.Arm.{side}", "sofa", arm, cloth, at=(x, 0, 0.38), parent=top)
        for end, y in (("Front", -0.34), ("Back", 0.34)):
            leg = shape.cylinder(0.022, 0.15, top=0.032, edge=0.003, segments=16)
            add(f"Sofa.Leg.{side}.{end}", "sofa", leg, oak, at=(x * 0.93, y, 0), parent=top)
    for i, x in enumerate((-0.62, 0.0, 0.62)):
        seat = shape.cushion((0.62, 0.68, 0.17), power=5, pinch=0.02)
        add(f"Sofa.Cushion.{'LMR'[i]}", "sofa", seat, cloth, at=(x, -0.09, 0.43), parent=top)
        rest = shape.cushion((0.6, 0.17, 0.42), power=4.5)
        add(f"Sofa.Rest.{'LMR'[i]}", "sofa", rest, cloth, at=(x, 0.2, 0.68), turn=(-10, 0, 0), parent=top)
    pillows = [
        ("#e7d9b8", "#f6eedb", -0.78, 14, 12),
        ("#2d5a63", "#4d8a8f", -0.5, -10, -8),
        ("#d6a23c", "#efc86a", 0.74, 8, -14),
    ]
    for i, (dark, light, x, roll, swing) in enumerate(pillows):
        pillow = shape.cushion((0.44, 0.42, 0.16), power=2.4, pinch=0.16)
        cover = mat.fabric(f"Pillow cloth {i + 1}", dark, light)
        spot = (x, 0.05 - 0.06 * (i == 1), 0.7)
        add(f"Pillow.{i + 1}", "pillow", pillow, cover, at=spot, turn=(66, roll, swing), parent=top)


def armchair() -> None:
    """A wooden armchair with cushions, turned towards the table."""
    walnut = mat.wood("Walnut", "#4a2c17", "#7d5030", scale=1.2, along="Z")
    cloth = mat.fabric("Armchair cloth", "#4e6b52", "#86a184")
    top = group("Armchair", "chair", at=(1.42, 0.72, 0), turn=(0, 0, -58))
    for side, x in (("L", -0.33), ("R", 0.33)):
        front = shape.cylinder(0.018, 0.6, top=0.024, edge=0.003, segments=16)
        add(f"Armchair.Leg.{side}.Front", "chair", front, walnut, at=(x, -0.3, 0), turn=(-4, 0, 0), parent=top)
        back = shape.cylinder(0.018, 0.58, top=0.024, edge=0.003, segments=16)
        add(f"Armchair.Leg.{side}.Back", "chair", back, walnut, at=(x, 0.36, 0), turn=(14, 0, 0), parent=top)
        arm = shape.box((0.07, 0.68, 0.03))
        add(f"Armchair.Arm.{side}", "chair", arm, walnut, at=(x, -0.05, 0.6), turn=(-4, 0, 0), parent=top, bevel=0.012)
    add("Armchair.Frame", "chair", shape.box((0.64, 0.6, 0.05)), walnut, at=(0, 0, 0.31), parent=top, bevel=0.015)
    seat = shape.cushion((0.6, 0.6, 0.16), power=5)
    add("Armchair.Seat", "chair", seat, cloth, at=(0, -0.02, 0.4), turn=(-5, 0, 0), parent=top)
    rest = shape.cushion((0.58, 0.15, 0.6), power=5)
    add("Armchair.Rest", "chair", rest, cloth, at=(0, 0.3, 0.7), turn=(-18, 0, 0), parent=top)


def coffee_table() -> None:
    """A round table with books, a bowl, and a mug."""
    walnut = mat.wood("Table walnut", "#5b3720", "#94623a", along="X", roughness=0.28)
    top = group("Table", "table", at=(-0.3, 0.2, 0))
    plate = shape.cylinder(0.52, 0.035, edge=0.012, segments=64)
    add("Table.Top", "table", plate, walnut, at=(0, 0, 0.385), parent=top)
    for i in range(3):
        angle = math.radians(120 * i + 30)
        leg = shape.cylinder(0.016, 0.4, top=0.026, edge=0.003, segments=16)
        spot = (0.37 * math.cos(angle), 0.37 * math.sin(angle), 0)
        add(f"Table.Leg.{i + 1}", "table", leg, walnut, at=spot, turn=(0, -9, 120 * i + 30), parent=top)
    pile = [("#2f5d62", 0.27, 0.2, 20), ("#d9a441", 0.24, 0.18, 8), ("#b5482f", 0.21, 0.15, 31)]
    height = 0.42
    for i, (color, long, deep, angle) in enumerate(pile):
        book(f"Book.Table.{i + 1}", color, (long, deep, 0.03), (-0.2, -0.06, height + 0.0152), (0, 0, angle), top)
        height += 0.031
    bowl_profile = [
        (0, 0),
        (0.05, 0),
        (0.055, 0.008),
        (0.1, 0.035),
        (0.135, 0.08),
        (0.129, 0.08),
        (0.094, 0.04),
        (0, 0.014),
    ]
    glaze = mat.plain("Bowl glaze", "#e8e2d5", 0.2, coat=0.6)
    add("Bowl", "bowl", shape.lathe(bowl_profile, 40), glaze, at=(0.16, 0.12, 0.42), parent=top)
    peel = mat.mottled("Orange peel", "#d9731c", "#f09a35", scale=30, roughness=0.45, bump=0.4)
    for i, (x, y, z) in enumerate([(0.12, 0.1, 0.475), (0.19, 0.09, 0.478), (0.17, 0.165, 0.48), (0.158, 0.118, 0.53)]):
        add(f"Orange.{i + 1}", "fruit", shape.ball(0.037, segments=20), peel, at=(x, y, z), parent=top)
    mug_profile = [(0, 0), (0.036, 0), (0.04, 0.006), (0.041, 0.09), (0.037, 0.09), (0.036, 0.012), (0, 0.01)]
    blue = mat.plain("Mug glaze", "#33658a", 0.25, coat=0.5)
    mug = add("Mug", "mug", shape.lathe(mug_profile), blue, at=(0.12, -0.24, 0.42), parent=top)
    handle = [(0.04, 0, 0.07), (0.068, 0, 0.062), (0.068, 0, 0.03), (0.04, 0, 0.022)]
    add("Mug.Handle", "mug", shape.tube(handle, 0.005), blue, turn=(0, 0, -40), parent=mug)


def book(name: str, color: str, size: tuple, at: tuple, turn: tuple, parent: bpy.types.Object) -> None:
    """A book lying flat: cover around pages; `size` is (spine length, width, thickness)."""
    cover = bpy.data.materials.get(f"Cover {color}") or mat.plain(f"Cover {color}", color, 0.55)
    pages = bpy.data.materials.get("Pages") or mat.plain("Pages", "#e6dcc3", 0.9)
    length, width, thick = size
    boards = [((length, width, 0.004), (0, 0, z)) for z in (-thick / 2 + 0.002, thick / 2 - 0.002)]
    boards.append(((length, 0.004, thick), (0, -width / 2 + 0.002, 0)))
    top = add(name, "book", shape.boxes(boards), cover, at=at, turn=turn, parent=parent)
    block = shape.box((length - 0.01, width - 0.012, thick - 0.008))
    add(f"{name}.Pages", "book", block, pages, parent=top)


def rug() -> None:
    """A patterned wool rug under the table."""
    shader = mat.Shader("Rug wool")
    x, y, _ = shader.node("SeparateXYZ", {0: shader.coords()}).outputs
    wide = shader.math("DIVIDE", shader.math("ABSOLUTE", x), 1.35)
    deep = shader.math("DIVIDE", shader.math("ABSOLUTE", y), 0.95)
    edge = shader.math("MAXIMUM", wide, deep)
    diamonds = shader.math(
        "PINGPONG", shader.math("ADD", shader.math("MULTIPLY", wide, 4), shader.math("MULTIPLY", deep, 3)), 0.5
    )
    field = shader.ramp(
        diamonds,
        [(0.0, "#e9dcc0"), (0.12, "#8c3b2e"), (0.2, "#d8b98a"), (0.34, "#2f4f5b"), (0.44, "#e9dcc0")],
        constant=True,
    )
    border = shader.ramp(
        edge, [(0.0, "#2f4f5b"), (0.86, "#e9dcc0"), (0.88, "#8c3b2e"), (0.95, "#2f4f5b")], constant=True
    )
    color = shader.mix(shader.math("GREATER_THAN", edge, 0.84), field, border)
    fuzz = shader.noise(160.0, detail=0)
    shades = shader.ramp(fuzz, [(0.3, "#8a8a8a"), (0.65, "#ffffff")])
    shader.set(Base_Color=shader.mix(0.8, color, shades, "MULTIPLY"), Roughness=1.0, Specular_IOR_Level=0.1)
    wool = shader.bump(fuzz, 0.8, 0.006).material
    add("Rug", "rug", shape.box((2.7, 1.9, 0.016)), wool, at=(-0.3, 0.15, 0.008), bevel=0.006)
    fringe = [((0.06, 0.007, 0.004), (side * 1.375, -0.93 + 0.03 * i, 0)) for side in (-1, 1) for i in range(63)]
    add("Rug.Fringe", "rug", shape.boxes(fringe), mat.plain("Fringe", "#e2d5b5", 0.95), at=(-0.3, 0.15, 0.004))


def bookshelf(rng: random.Random, wall_x: float) -> None:
    """A tall open shelf on the wall at x = `wall_x`, filled with books and a few ornaments."""
    oak = mat.wood("Shelf oak", "#6a4527", "#a9774a", along="Y", scale=0.8)
    width, depth, height, levels, board = 1.5, 0.3, 2.05, 5, 0.028
    top = group("Bookshelf", "shelf", at=(wall_x - depth / 2 - 0.01, 1.38, 0))
    gap = (height - board) / levels
    parts = [((depth, width, board), (0, 0, board / 2 + gap * i)) for i in range(levels + 1)]
    parts += [((depth, board, height), (0, side * (width / 2 - board / 2), height / 2)) for side in (-1, 0, 1)]
    parts.append(((0.01, width, height), (depth / 2 - 0.005, 0, height / 2)))
    add("Bookshelf.Frame", "shelf", shape.boxes(parts), oak, parent=top, bevel=0.003)
    palette = [
        "#7d2e2e",
        "#274c5e",
        "#d9a441",
        "#e5dcc6",
        "#4f6d4a",
        "#a5572f",
        "#383838",
        "#8fb0b5",
        "#c46b54",
        "#5d4a72",
    ]
    number = 0
    for level in range(levels):
        for bay in (-1, 1):
            z = board + gap * level
            start, stop = sorted((bay * (width / 2 - board), bay * board / 2))
            if (level, bay) in ((3, -1), (1, 1), (4, 1)):
                ornament(level, bay, top, z)
                stop -= 0.36
            y = start + 0.02
            while y < stop - 0.06:
                thick, tall, deep = rng.uniform(0.016, 0.05), rng.uniform(0.2, 0.31), rng.uniform(0.14, 0.2)
                number += 1
                spot = (depth / 2 - 0.02 - deep / 2, y + thick / 2, z + tall / 2 + 0.001)
                book(f"Book.Shelf.{number:03d}", rng.choice(palette), (tall, deep, thick), spot, (0, 90, -90), top)
                y += thick + rng.choice((0.001, 0.001, 0.001, 0.004, 0.03))


def ornament(level: int, bay: int, top: bpy.types.Object, z: float) -> None:
    """A vase, a globe, or a bowl at the end of a row."""
    y = (0.735 if bay > 0 else -0.02) - 0.19
    if level == 3:
        profile = [(0, 0), (0.05, 0), (0.085, 0.08), (0.075, 0.15), (0.03, 0.21), (0.04, 0.26), (0.034, 0.26), (0, 0.2)]
        glaze = mat.mottled("Vase glaze", "#1f4e5f", "#3f8f93", scale=14, roughness=0.15, bump=0.05)
        add("Vase.Shelf", "vase", shape.lathe(profile), glaze, at=(-0.02, y, z), parent=top)
    elif level == 1:
        sea = mat.mottled("Globe", "#3c6f8f", "#cfc08a", scale=11, roughness=0.35, bump=0.05)
        add("Globe", "globe", shape.ball(0.1), sea, at=(-0.02, y, z + 0.16), turn=(0, 23, 0), parent=top)
        foot = shape.lathe([(0, 0), (0.07, 0), (0.06, 0.015), (0.012, 0.025), (0.012, 0.06), (0, 0.06)])
        add(
            "Globe.Foot",
            "globe",
            foot,
            mat.plain("Globe brass", "#b08d4c", 0.3, metallic=1.0),
            at=(-0.02, y, z),
            parent=top,
        )
    else:
        pot = mat.mottled("Terracotta small", "#a9542f", "#c9744a", scale=20, roughness=0.8)
        add(
            "Jar",
            "vase",
            shape.lathe([(0, 0), (0.06, 0), (0.08, 0.1), (0.06, 0.18), (0.065, 0.2), (0, 0.19)]),
            pot,
            at=(0, y, z),
            parent=top,
        )


def pictures(wall_y: float) -> None:
    """Three framed abstract pictures on the wall at y = `wall_y`."""
    black = mat.plain("Frame black", "#1d1a18", 0.35)
    card = mat.plain("Passepartout", "#f2eee4", 0.9)
    specs = [
        (-1.15, 0.5, 0.66, [(0.3, "#1f3b4d"), (0.45, "#d97b4a"), (0.55, "#f1c27b"), (0.7, "#7fa6a0")], 2.2),
        (-0.35, 0.72, 0.52, [(0.32, "#f4e6c8"), (0.46, "#c9503c"), (0.54, "#2d4e57"), (0.66, "#e0a43b")], 1.3),
        (0.5, 0.5, 0.66, [(0.35, "#20303a"), (0.48, "#6d8f7b"), (0.53, "#e9d9b0"), (0.65, "#b24c35")], 3.0),
    ]
    for i, (x, wide, tall, stops, scale) in enumerate(specs, 1):
        top = group(f"Picture.{i}", "picture", at=(x, wall_y - 0.02, 1.62))
        bars = [((wide, 0.03, 0.03), (0, 0, side * (tall / 2 - 0.015))) for side in (-1, 1)]
        bars += [((0.03, 0.03, tall), (side * (wide / 2 - 0.015), 0, 0)) for side in (-1, 1)]
        add(f"Picture.{i}.Frame", "picture", shape.boxes(bars), black, parent=top, bevel=0.004)
        add(
            f"Picture.{i}.Card",
            "picture",
            shape.box((wide - 0.03, 0.01, tall - 0.03)),
            card,
            parent=top,
            at=(0, 0.008, 0),
        )
        shader = mat.Shader(f"Painting {i}")
        paint = shader.noise(scale, detail=2, distortion=1.6)
        shader.set(Base_Color=shader.ramp(paint, stops, constant=i == 2), Roughness=0.6)
        add(
            f"Picture.{i}.Painting",
            "picture",
            shape.box((wide - 0.16, 0.012, tall - 0.16)),
            shader.material,
            parent=top,
            at=(0, 0.005, 0),
        )


def floor_lamp(at: Vec) -> None:
    """A lamp with a shining shade."""
    brass = mat.plain("Lamp brass", "#b9924f", 0.25, metallic=1.0)
    top = group("Lamp", "lamp", at=at)
    pole = [(0, 0), (0.15, 0), (0.15, 0.012), (0.02, 0.03), (0.011, 0.05), (0.011, 1.6), (0, 1.6)]
    add("Lamp.Pole", "lamp", shape.lathe(pole), brass, parent=top)
    shade = mat.glow("Lamp shade", "#ffd9a0", 2.2)
    cone = shape.lathe([(0.22, 1.36), (0.15, 1.66)], 48)
    add("Lamp.Shade", "lamp", cone, shade, parent=top)
    rims = shape.joined([(shape.ring(0.22, 0.005), (0, 0, 1.36)), (shape.ring(0.15, 0.005), (0, 0, 1.66))])
    add("Lamp.Rims", "lamp", rims, brass, parent=top)
    bulb = (at[0], at[1], 1.5)
    add_light("Lamp.Bulb", "POINT", at=bulb, towards=(0, 0, 0), power=14, color="#ffc47d", size=0.05)


def plant(rng: random.Random, at: Vec) -> None:
    """A rubber plant in a pot."""
    top = group("Plant", "plant", at=at)
    clay = mat.mottled("Terracotta", "#a5532f", "#cf7f52", scale=12, roughness=0.8)
    pot = [(0, 0), (0.13, 0), (0.19, 0.3), (0.205, 0.3), (0.205, 0.35), (0.18, 0.35), (0.17, 0.3), (0, 0.3)]
    add("Plant.Pot", "pot", shape.lathe(pot), clay, parent=top)
    leaf_green = mat.Shader("Leaf")
    tint = leaf_green.node("ObjectInfo").outputs["Random"]
    leaf_green.set(Base_Color=leaf_green.ramp(tint, [(0.0, "#1f4a24"), (1.0, "#4f8a3a")]), Roughness=0.35)

    def blade(x: float, y: float) -> float:
        return -0.9 * y * y + 0.6 * abs(x) - 0.25 * y

    leaf = shape.sheet((0.2, 0.42), (6, 10), lambda x, y: 0.0)
    for vertex in leaf.vertices:
        along = vertex.co.y / 0.42 + 0.5
        vertex.co.x *= max(0.06, math.sin(math.pi * min(1.0, along * 0.93 + 0.05)) ** 0.8)
        vertex.co.z = blade(vertex.co.x, vertex.co.y)
        vertex.co.y += 0.21
    stalk = mat.plain("Stalk", "#5a4a2c", 0.8)
    for s in range(3):
        lean = (rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1))
        tall = 1.2 - 0.22 * s
        points = [(0.04 * s - 0.04, 0, 0.3), (lean[0] * 0.5, lean[1] * 0.4, 0.3 + tall / 2), (*lean, 0.3 + tall)]
        add(f"Plant.Stalk.{s + 1}", "plant", shape.tube(points, 0.012), stalk, parent=top)
        for i in range(11 - 2 * s):
            share = 0.25 + 0.75 * i / (10 - 2 * s)
            spot = (lean[0] * share, lean[1] * share, 0.3 + tall * share)
            turn = (rng.uniform(10, 55), rng.uniform(-12, 12), 137.5 * i + 40 * s)
            add(
                f"Plant.Leaf.{s + 1}.{i + 1:02d}",
                "plant",
                leaf,
                leaf_green.material,
                at=spot,
                turn=turn,
                scale=rng.uniform(0.6, 0.95),
                parent=top,
            )
