"""Vehicles for the street: an empty with parented parts, whose wheels turn as far as the vehicle drives.

A vehicle points along its own +x; its origin is on the road, midway between the axles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import _materials as mat
import _shapes as shape
import bpy
from _build import Vec, add, animate, group


@dataclass(frozen=True)
class Style:
    """Proportions of a kind of vehicle, in metres."""

    label: str
    body: Sequence[tuple[float, float]]  # side view of the painted body, (x, z)
    cabin: Sequence[tuple[float, float]]  # side view of the glass
    roof: tuple[float, float, float]  # from x, to x, at z
    belt: float  # the cabin narrows above this height
    width: float
    axles: tuple[float, float]  # x of the rear and front axle
    wheel: float  # radius of the wheels


HATCHBACK = Style(
    "car",
    [(-1.95, 0.3), (-2.0, 0.62), (-1.92, 0.86), (-1.3, 0.93), (0.75, 0.93), (1.75, 0.8), (1.98, 0.6), (1.95, 0.28)],
    [(-1.72, 0.9), (-1.42, 1.38), (-1.2, 1.43), (0.15, 1.43), (0.4, 1.38), (1.05, 0.9)],
    (-1.4, 0.28, 1.43),
    0.9,
    1.74,
    (-1.22, 1.25),
    0.32,
)
SEDAN = Style(
    "car",
    [(-2.25, 0.32), (-2.3, 0.62), (-2.22, 0.9), (-1.5, 0.96), (0.8, 0.94), (1.95, 0.82), (2.2, 0.62), (2.18, 0.28)],
    [(-1.65, 0.92), (-1.0, 1.38), (-0.75, 1.44), (0.2, 1.44), (0.45, 1.39), (1.15, 0.92)],
    (-0.95, 0.33, 1.44),
    0.92,
    1.8,
    (-1.35, 1.4),
    0.33,
)
VAN = Style(
    "van",
    [
        (-2.3, 0.34),
        (-2.35, 0.7),
        (-2.3, 2.1),
        (-2.2, 2.18),
        (0.85, 2.18),
        (0.95, 1.2),
        (2.0, 1.05),
        (2.3, 0.75),
        (2.28, 0.32),
    ],
    [(0.6, 1.12), (0.6, 2.0), (0.95, 2.02), (1.2, 1.95), (1.85, 1.1)],
    (0.3, 1.1, 2.04),
    1.1,
    1.95,
    (-1.45, 1.5),
    0.36,
)
BUS = Style(
    "bus",
    [(-4.4, 0.35), (-4.45, 0.8), (-4.4, 1.35), (4.2, 1.35), (4.4, 1.2), (4.45, 0.8), (4.4, 0.33)],
    [(-4.36, 1.3), (-4.34, 2.5), (4.05, 2.5), (4.22, 2.3), (4.36, 1.3)],
    (-4.36, 4.1, 2.62),
    1.3,
    2.4,
    (-2.7, 2.7),
    0.46,
)


def vehicle(name: str, style: Style, color: str, *, heading: float, stripe: str | None = None) -> bpy.types.Object:
    """Build a vehicle facing `heading` degrees; its wheels are named <name>.Wheel.FL, FR, RL, RR."""
    top = group(name, style.label, turn=(0, 0, heading))
    paint = mat.plain(f"{name} paint", color, 0.3, metallic=0.15, coat=1.0)
    chassis(name, style, paint, top)
    lamps(name, style, top)
    if stripe:
        front, rear = style.body[-2][0] - 0.12, style.body[1][0] + 0.12
        band = shape.box((front - rear, style.width + 0.012, 0.1))
        add(
            f"{name}.Stripe",
            style.label,
            band,
            mat.plain(f"{name} stripe", stripe, 0.35),
            at=((front + rear) / 2, 0, 0.72),
            parent=top,
        )
    for end, x in zip("RF", style.axles, strict=True):
        for side, y in (("L", 1), ("R", -1)):
            wheel(f"{name}.Wheel.{end}{side}", style.wheel, (x, y * (style.width / 2 - 0.09), style.wheel), y, top)
    return top


def chassis(name: str, style: Style, paint: bpy.types.Material, top: bpy.types.Object) -> None:
    """Painted body, dark arches and sills, glass, pillars and roof."""
    black = bpy.data.materials.get("Trim black") or mat.plain("Trim black", "#15171a", 0.5)
    window = bpy.data.materials.get("Window tint") or mat.plain("Window tint", "#141d24", 0.06, coat=0.4)
    high = max(z for _, z in style.cabin)

    def taper(z: float) -> float:
        return 0.97 - 0.15 * max(0.0, (z - style.belt) / (high - style.belt)) if style.label != "bus" else 0.985

    body_taper = (
        (lambda z: 1.0 if z > 0.4 else 0.94)
        if style.label in ("van", "bus")
        else (lambda z: 0.94 if z > 0.85 or z < 0.4 else 1.0)
    )
    add(
        f"{name}.Body",
        style.label,
        shape.prism(style.body, style.width, taper=body_taper),
        paint,
        parent=top,
        bevel=0.07,
        sharp=20,
    )
    add(
        f"{name}.Glass",
        "window",
        shape.prism(style.cabin, style.width - 0.06, taper=taper),
        window,
        parent=top,
        bevel=0.05,
        sharp=20,
    )
    start, stop, z = style.roof
    roof = shape.box((stop - start, (style.width - 0.04) * taper(z), 0.07))
    add(f"{name}.Roof", style.label, roof, paint, at=((start + stop) / 2, 0, z), parent=top, bevel=0.033)
    low, high_x = style.body[0][0] + 0.12, style.body[-1][0] - 0.12
    parts = [((high_x - low, style.width - 0.16, 0.2), ((high_x + low) / 2, 0, 0.3))]
    parts += [((0.1, style.width - 0.2, 0.16), (x, 0, 0.44)) for x in (style.body[1][0], style.body[-1][0] + 0.02)]
    add(f"{name}.Sills", style.label, shape.boxes(parts), black, parent=top, bevel=0.02)
    arch_profile = [(0.0, -0.04), (style.wheel + 0.07, -0.04), (style.wheel + 0.07, 0.0), (0.0, 0.0)]
    for i, x in enumerate(style.axles):
        for side in (-1, 1):
            arch = shape.lathe(arch_profile, 32)
            at = (x, side * (style.width / 2 + 0.006), style.wheel + 0.01)
            add(
                f"{name}.Arch.{i * 2 + (side + 1) // 2 + 1}",
                style.label,
                arch,
                black,
                at=at,
                turn=(-90 * side, 0, 0),
                parent=top,
            )
    if style.label == "bus":
        posts = [((0.09, style.width + 0.01, 1.24), (-4.0 + 1.3 * i, 0, 1.93)) for i in range(7)]
        add(f"{name}.Posts", style.label, shape.boxes(posts), paint, parent=top)
    else:
        mirrors = [
            ((0.1, 0.16, 0.11), (style.cabin[-1][0] - 0.25, side * (style.width / 2 + 0.06), style.belt + 0.1))
            for side in (-1, 1)
        ]
        add(f"{name}.Mirrors", style.label, shape.boxes(mirrors), paint, parent=top, bevel=0.03)
        door = style.cabin[-1][0] - 1.1
        seams = [((0.012, style.width + 0.006, 0.48), (door + dx, 0, 0.66)) for dx in (0.75, -0.3)]
        seams += [((0.14, style.width + 0.02, 0.025), (door - 0.12, 0, 0.8))]
        add(f"{name}.Seams", style.label, shape.boxes(seams), black, parent=top)


def lamps(name: str, style: Style, top: bpy.types.Object) -> None:
    """Head and tail lights, number plates."""
    white = bpy.data.materials.get("Headlight") or mat.glow("Headlight", "#fff3d6", 5.0)
    red = bpy.data.materials.get("Taillight") or mat.glow("Taillight", "#d3151b", 1.6)
    plate = bpy.data.materials.get("Plate") or mat.plain("Plate", "#e9e4cf", 0.5)
    front, rear, y = style.body[-2][0] - 0.04, style.body[1][0] + 0.03, style.width / 2 - 0.28
    for side, where in (("L", y), ("R", -y)):
        add(
            f"{name}.Headlight.{side}",
            style.label,
            shape.cushion((0.12, 0.34, 0.13)),
            white,
            at=(front, where, 0.64),
            parent=top,
        )
        add(
            f"{name}.Taillight.{side}",
            style.label,
            shape.cushion((0.1, 0.32, 0.14)),
            red,
            at=(rear, where, 0.74),
            parent=top,
        )
    plates = [((0.02, 0.5, 0.11), (x, 0, 0.46)) for x in (style.body[1][0] - 0.055, style.body[-1][0] + 0.075)]
    add(f"{name}.Plates", style.label, shape.boxes(plates), plate, parent=top)


def wheel(name: str, radius: float, at: Vec, side: int, top: bpy.types.Object) -> None:
    """A tyre on a rim with five spokes, turning about its own y axis."""
    rubber = bpy.data.materials.get("Tyre") or mat.plain("Tyre", "#1b1b1c", 0.85)
    alloy = bpy.data.materials.get("Alloy") or mat.plain("Alloy", "#c4c7ca", 0.25, metallic=1.0)
    r, half = radius, 0.1
    hub = group(name, "wheel", at=at, parent=top)
    tread = [
        (0.62 * r, -half),
        (0.9 * r, -half),
        (r, -0.7 * half),
        (r, 0.7 * half),
        (0.9 * r, half),
        (0.62 * r, half),
        (0.62 * r, -half),
    ]
    add(f"{name}.Tyre", "wheel", shape.lathe(tread, 40), rubber, turn=(90, 0, 0), parent=hub)
    dish = shape.lathe(
        [(0, 0.02), (0.62 * r, 0.02), (0.62 * r, half), (0.58 * r, half), (0.56 * r, 0.045), (0, 0.045)], 40
    )
    add(f"{name}.Dish", "wheel", dish, rubber, turn=(-90 * side, 0, 0), parent=hub)
    for k in range(5):
        spoke = shape.box((0.16 * r, 0.05, 0.56 * r), (0, side * 0.07, 0.3 * r))
        add(f"{name}.Spoke.{k + 1}", "wheel", spoke, alloy, turn=(0, 72 * k, 0), parent=hub, bevel=0.008)
    cap = shape.cylinder(0.15 * r, 0.1, edge=0.01, segments=20)
    add(f"{name}.Hub", "wheel", cap, alloy, turn=(-90 * side, 0, 0), parent=hub)


def drive(top: bpy.types.Object, start: Vec, distance: Mapping[int, float]) -> None:
    """Drive straight ahead from `start`: `distance` is in metres at each keyed frame.

    Place and wheels have the same keys with straight lines between them, so the wheels never slip, on any subframe.
    """
    forward = (math.cos(top.rotation_euler.z), math.sin(top.rotation_euler.z))
    places = {f: (start[0] + d * forward[0], start[1] + d * forward[1], start[2]) for f, d in distance.items()}
    animate(top, "location", places, linear=True)
    for child in top.children:
        if child.type == "EMPTY" and child["class"] == "wheel":
            radius = child.location.z
            animate(child, "rotation_euler", {f: (0.0, d / radius, 0.0) for f, d in distance.items()}, linear=True)
