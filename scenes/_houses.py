"""Houses for the street: plain boxes with rows of windows, shops, and a church at its end."""

from __future__ import annotations

import random
from collections.abc import Callable

import _materials as mat
import _shapes as shape
import bpy
from _build import Vec, add, group


def wall_materials() -> dict[str, bpy.types.Material]:
    """Plaster in several colours, and brick."""
    plaster = {
        "ochre": ("#b98540", "#d8a85c"),
        "rose": ("#b87263", "#d3978a"),
        "cream": ("#cbbd9b", "#e6dcc2"),
        "sage": ("#7f8f72", "#a3b193"),
        "blue": ("#5f7f95", "#86a5b8"),
    }
    walls = {name: mat.mottled(f"Plaster {name}", *tones, scale=0.8, roughness=0.9) for name, tones in plaster.items()}
    walls["brick"] = mat.bricks("Brick", "#8f4632", "#a95f43", "#b9a993")
    return walls


def shared(name: str, make: Callable[[], bpy.types.Material]) -> bpy.types.Material:
    """The material of that name, made on first use."""
    return bpy.data.materials.get(name) or make()


def house(
    rng: random.Random,
    name: str,
    at: Vec,
    turn: float,
    width: float,
    floors: int,
    wall: bpy.types.Material,
    awning: str,
) -> None:
    """A house with a shop below and rows of windows above.

    Args:
        at: the middle of its front, on the ground; the front looks along -y, turned by `turn` degrees.
        awning: the colour of the shop.
    """
    depth, floor, shop = 9.0, 3.1, 3.7
    height = shop + floor * (floors - 1) + 0.5
    top = group(name, "building", at=at, turn=(0, 0, turn))
    stone = shared("Trim stone", lambda: mat.mottled("Trim stone", "#bdb3a0", "#dcd4c3", scale=3, roughness=0.8))
    slate = shared("Roof tiles", lambda: mat.mottled("Roof tiles", "#6d3a2a", "#8f543b", scale=4, roughness=0.85))
    add(f"{name}.Walls", "building", shape.box((width, depth, height)), wall, at=(0, depth / 2, height / 2), parent=top)
    ledges = [((width, 0.3, 0.22), (0, 0.05, height - 0.1)), ((width, 0.16, 0.16), (0, 0, shop))]
    ledges += [((0.3, 0.08, height), (end * (width / 2 - 0.15), 0, height / 2)) for end in (-1, 1)]
    add(f"{name}.Ledges", "building", shape.boxes(ledges), stone, parent=top, bevel=0.03)
    gable = [(-0.4, height), (depth / 2, height + 2.6), (depth + 0.2, height)]
    roof = add(f"{name}.Roof", "roof", shape.prism(gable, width), slate, parent=top, turn=(0, 0, 90))
    roof.scale.y = -1
    windows(rng, name, top, width, [shop + floor * k + 0.85 for k in range(floors - 1)], stone)
    shop_front(name, top, width, awning)


def windows(
    rng: random.Random, name: str, top: bpy.types.Object, width: float, sills: list[float], stone: bpy.types.Material
) -> None:
    """Rows of windows with frames, sills and some shutters; some rooms are lit."""
    dark = shared("Pane", lambda: mat.plain("Pane", "#1d2a33", 0.08, coat=0.3))
    lit = shared("Pane lit", lambda: mat.glow("Pane lit", "#ffc873", 2.0))
    white = shared("Window white", lambda: mat.plain("Window white", "#ece7da", 0.5))
    tone = rng.choice(("#3f5b4b", "#5b3a2e", "#39506b", "#6b6a5c"))
    paint = shared(f"Shutter {tone}", lambda: mat.plain(f"Shutter {tone}", tone, 0.6))
    count = int(width / 2.4)
    frames, panes, glowing, shutters, lintels = [], [], [], [], []
    with_shutters = rng.random() < 0.6
    for z in sills:
        for i in range(count):
            x = (i - (count - 1) / 2) * (width - 1.0) / count
            (glowing if rng.random() < 0.22 else panes).append(((1.0, 0.05, 1.55), (x, 0, z + 0.78)))
            frames += [((0.08, 0.12, 1.6), (x + dx, -0.02, z + 0.78)) for dx in (-0.52, 0.52)]
            frames += [((0.05, 0.1, 1.55), (x, -0.02, z + 0.78)), ((1.1, 0.12, 0.08), (x, -0.02, z + 1.56))]
            frames.append(((1.0, 0.1, 0.05), (x, -0.02, z + 1.1)))
            lintels += [((1.3, 0.26, 0.1), (x, -0.06, z - 0.03)), ((1.3, 0.16, 0.16), (x, -0.02, z + 1.7))]
            if with_shutters:
                shutters += [((0.5, 0.06, 1.6), (x + dx, -0.05, z + 0.78)) for dx in (-0.83, 0.83)]
    rows = [
        ("Frames", frames, white),
        ("Panes", panes, dark),
        ("Panes.Lit", glowing, lit),
        ("Sills", lintels, stone),
        ("Shutters", shutters, paint),
    ]
    for part, parts, material in rows:
        if parts:
            add(f"{name}.{part}", "window", shape.boxes(parts), material, parent=top)


def shop_front(name: str, top: bpy.types.Object, width: float, awning: str) -> None:
    """A shop window, a door, a sign board, and a striped awning."""
    timber = shared(f"Timber {awning}", lambda: mat.plain(f"Timber {awning}", awning, 0.5))
    shine = shared("Shop display", shop_display)
    wide = width - 3.2
    posts = [((0.16, 0.2, 2.9), (x, -0.05, 1.45)) for x in (-wide / 2 - 0.9, -wide / 2 + 0.2, 0.1, wide / 2)]
    posts += [((wide + 1.1, 0.26, 0.5), (-0.45, -0.06, 3.05)), ((wide - 0.2, 0.2, 0.6), (0.1, -0.05, 0.42))]
    add(f"{name}.Shop", "shop", shape.boxes(posts), timber, parent=top, bevel=0.02)
    add(f"{name}.Shop.Window", "window", shape.box((wide - 0.2, 0.06, 2.1)), shine, at=(0.1, 0, 1.75), parent=top)
    door = shared("Shop door", lambda: mat.wood("Shop door", "#3b2415", "#6b4529", along="Z"))
    add(
        f"{name}.Door", "door", shape.box((1.0, 0.08, 2.4)), door, at=(-wide / 2 - 0.35, 0, 1.3), parent=top, bevel=0.02
    )
    stripes = mat.Shader(f"Awning {awning}")
    x = stripes.node("SeparateXYZ", {0: stripes.coords()}).outputs[0]
    fold = stripes.math("PINGPONG", x, 0.3)
    stripes.set(Base_Color=stripes.mix(stripes.math("GREATER_THAN", fold, 0.15), awning, "#efe6d2"), Roughness=0.9)
    profile = [(0.0, 2.95), (-1.25, 2.45), (-1.25, 2.2), (-1.23, 2.2), (-1.23, 2.43), (0.0, 2.91)]
    vertices = [(sx * (wide / 2 + 0.1), y, z) for sx in (-1, 1) for y, z in profile]
    n = len(profile)
    faces = [(k, (k + 1) % n, n + (k + 1) % n, n + k) for k in range(n)]
    add(
        f"{name}.Awning",
        "awning",
        shape.mesh_from(vertices, faces),
        stripes.material,
        at=(0.1, 0, 0),
        parent=top,
        sharp=20,
    )


def shop_display() -> bpy.types.Material:
    """A lit shop window: shelves of goods in warm light, painted on."""
    shader = mat.Shader("Shop display")
    x, _, z = shader.node("SeparateXYZ", {0: shader.coords()}).outputs
    row = shader.math("FLOOR", shader.math("MULTIPLY", z, 1 / 0.5))
    column = shader.math("FLOOR", shader.math("MULTIPLY", x, 1 / 0.22))
    cell = shader.node("CombineXYZ", {0: column, 1: row}).outputs[0]
    random_value, random_color = shader.node("TexWhiteNoise", {"Vector": cell}, noise_dimensions="3D").outputs
    up = shader.math("FRACT", shader.math("MULTIPLY", z, 1 / 0.5))
    across = shader.math("PINGPONG", shader.math("FRACT", shader.math("MULTIPLY", x, 1 / 0.22)), 0.5)
    goods = shader.math("LESS_THAN", up, shader.span(random_value, 0.0, 1.0, 0.25, 0.8))
    goods = shader.math("MULTIPLY", goods, shader.math("GREATER_THAN", across, 0.09))
    things = shader.mix(0.55, random_color, "#8a4b22", "MULTIPLY")
    color = shader.mix(goods, shader.ramp(up, [(0.0, "#6b3d18"), (0.12, "#d8923f"), (1.0, "#ffd28a")]), things)
    shader.set(Base_Color=color, Emission_Color=color, Emission_Strength=0.8, Roughness=0.1)
    shader.material.cycles.emission_sampling = "NONE"
    return shader.material


def church() -> None:
    """A church with a spire closes the view."""
    top = group("Church", "building", at=(-1.5, 82, 0))
    wall = mat.mottled("Church wall", "#b9ad97", "#d9cfba", scale=0.6, roughness=0.9)
    copper = mat.mottled("Church copper", "#4f8a78", "#7bb09b", scale=0.5, roughness=0.6)
    nave = [(-8, 0), (8, 0), (8, 12), (0, 20), (-8, 12)]
    add("Church.Nave", "building", shape.prism(nave, 24), wall, at=(0, 14, 0), parent=top)
    add("Church.Tower", "building", shape.box((6.4, 6.4, 25)), wall, at=(0, 0, 12.5), parent=top, bevel=0.1)
    spire = shape.lathe([(0, 24.9), (4.9, 24.9), (2.2, 29.5), (0.9, 36), (0, 44)], 8)
    add("Church.Spire", "roof", spire, copper, parent=top, turn=(0, 0, 22.5))
    dark = mat.plain("Church opening", "#20242a", 0.7)
    holes = [((1.1, 0.3, 3.0), (dx, -3.15, 20)) for dx in (-1.2, 1.2)] + [((2.4, 0.3, 4.2), (0, -3.15, 2.1))]
    add("Church.Openings", "window", shape.boxes(holes), dark, parent=top)
    dial = shape.cylinder(1.3, 0.25, edge=0.05, segments=40)
    add(
        "Church.Clock",
        "clock",
        dial,
        mat.plain("Clock face", "#f1e6c6", 0.4),
        at=(0, -3.1, 15.5),
        turn=(90, 0, 0),
        parent=top,
    )
    hands = [((0.12, 0.05, 1.0), (0, -3.4, 15.9)), ((0.7, 0.05, 0.14), (0.3, -3.4, 15.5))]
    add("Church.Hands", "clock", shape.boxes(hands), dark, parent=top)
