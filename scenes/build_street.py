"""An old-town street in evening light, with shops, lamps, trees, and traffic.

Shows articulated rigid motion: each vehicle is an empty with parented parts, and its wheels turn exactly as far as it
drives. What moves: the camera (forward at the height of a first floor), a hatchback that drives away, a van and a bus
that come towards the camera, a taxi that brakes to a stop, and the sign of the barber's shop.

Run with bpy 4.2: `python scenes/build_street.py [OUTPUT.blend]` (default: street.blend beside this script).
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
    instance,
    run,
    sampled_frames,
    source_collection,
)
from _houses import church, house, wall_materials
from _vehicles import BUS, HATCHBACK, SEDAN, VAN, drive, vehicle

# The street runs along +y. Right-hand traffic: away from the camera on the right (x > 0).
ROAD, PAVEMENT, START, END = 3.6, 2.6, -30.0, 110.0
HOUSES = [  # side, from y, width, floors, wall, awning
    (-1, -22, 12, 4, "ochre", "#b5402f"),
    (-1, -10, 10, 3, "brick", "#2f5d50"),
    (-1, 0, 11, 4, "rose", "#d8a33a"),
    (-1, 11, 13, 3, "cream", "#3d5a80"),
    (-1, 24, 11, 4, "brick", "#8c2f39"),
    (-1, 35, 12, 3, "sage", "#c46b3c"),
    (-1, 47, 13, 4, "ochre", "#31576b"),
    (1, -22, 11, 3, "brick", "#3d5a80"),
    (1, -11, 12, 4, "sage", "#a8442f"),
    (1, 1, 10, 3, "ochre", "#2f5d50"),
    (1, 11, 12, 4, "blue", "#d8a33a"),
    (1, 23, 12, 3, "rose", "#31576b"),
    (1, 35, 11, 4, "brick", "#c98b2e"),
    (1, 46, 14, 3, "cream", "#8c2f39"),
]


def build(scene: bpy.types.Scene) -> None:
    rng = random.Random(4)
    ground()
    walls = wall_materials()
    for number, (side, y, width, floors, wall, awning) in enumerate(HOUSES, 1):
        front = (side * (ROAD + PAVEMENT), y + width / 2, 0)
        house(rng, f"House.{number:02d}", front, -90 * side, width, floors, walls[wall], awning)
    church()
    furniture(rng)
    barber_pole()
    traffic()
    light(scene)
    add_camera(
        scene,
        [
            (1, (2.0, -14.5, 3.9), (-0.5, 12.0, 2.6)),
            (200, (1.3, -9.5, 3.4), (-0.6, 16.0, 2.6)),
            (400, (0.5, -4.0, 3.1), (-0.4, 22.0, 2.7)),
            (600, (-0.4, 1.5, 3.0), (0.2, 30.0, 2.9)),
        ],
        lens=30,
        clip_end=400,
    )


# --- the ground --------------------------------------------------------------------------------------------------


def ground() -> None:
    """Asphalt with markings, kerbs, and paved footways."""
    length, middle = END - START, (END + START) / 2
    asphalt = mat.Shader("Asphalt")
    grain, patch = asphalt.noise(60, detail=1), asphalt.noise(0.5, detail=3)
    color = asphalt.mix(
        0.5,
        asphalt.ramp(patch, [(0.3, "#56565a"), (0.7, "#77767a")]),
        asphalt.ramp(grain, [(0.3, "#47474a"), (0.7, "#8c8b8d")]),
    )
    asphalt.set(Base_Color=color, Roughness=asphalt.span(patch, 0.35, 0.65, 0.55, 0.85)).bump(grain, 0.4, 0.008)
    add("Road", "road", shape.box((2 * ROAD, length, 0.2)), asphalt.material, at=(0, middle, -0.1))
    paint = mat.mottled("Road paint", "#b9b7ae", "#e6e4da", scale=6, roughness=0.7)
    dashes = [((0.12, 2.0, 0.006), (0, START + 4.0 * i, 0.002)) for i in range(int(length / 4))]
    dashes += [((0.1, length, 0.006), (side * (ROAD - 0.35), middle, 0.002)) for side in (-1, 1)]
    stripes = [((0.5, 3.0, 0.006), (-2.75 + 1.1 * i, 7.5, 0.003)) for i in range(6)]
    add("Marking.Lanes", "marking", shape.boxes([d for d in dashes if not 4 < d[1][1] < 11]), paint)
    add("Marking.Crossing", "marking", shape.boxes(stripes), paint)
    slabs = mat.Shader("Paving")
    sizes = {"Scale": 1.0, "Brick Width": 0.6, "Row Height": 0.4, "Mortar Size": 0.012, "Vector": slabs.coords()}
    brick = slabs.node("TexBrick", {**sizes, "Color1": "#8f877b", "Color2": "#b0a797", "Mortar": "#5f5850"})
    slabs.set(Base_Color=brick.outputs["Color"], Roughness=0.8)
    kerb = mat.mottled("Kerb", "#8d8a85", "#b7b3ac", scale=5, roughness=0.8)
    manhole = mat.plain("Manhole", "#3a3835", 0.5, metallic=0.6)
    for side, name in ((-1, "Left"), (1, "Right")):
        x = side * (ROAD + PAVEMENT / 2)
        add(f"Pavement.{name}", "pavement", shape.box((PAVEMENT, length, 0.3)), slabs.material, at=(x, middle, 0))
        edge = shape.box((0.18, length, 0.32))
        add(f"Kerb.{name}", "pavement", edge, kerb, at=(side * (ROAD + 0.05), middle, 0), bevel=0.03)
        for i, y in enumerate((-7.0, 13.0, 31.0), 1):
            cover = shape.cylinder(0.33, 0.012, edge=0.004)
            add(f"Manhole.{name}.{i}", "road", cover, manhole, at=(side * 1.7, y + 3 * side, 0))


# --- on the footway ----------------------------------------------------------------------------------------------


def furniture(rng: random.Random) -> None:
    """Street lamps, trees, benches, bollards, a letter box, and flower tubs, as instances."""
    iron = mat.plain("Iron", "#1d2623", 0.45, metallic=0.5)
    lamp = source_collection("Source.Lamp")
    pole = [
        (0, 0),
        (0.14, 0),
        (0.14, 0.3),
        (0.08, 0.4),
        (0.055, 1.0),
        (0.045, 3.6),
        (0.09, 3.7),
        (0.03, 3.75),
        (0, 3.75),
    ]
    add("Lamp.Pole", "lamp", shape.lathe(pole, 20), iron, into=lamp)
    add(
        "Lamp.Globe",
        "lamp",
        shape.ball(0.21, segments=24),
        mat.glow("Lamp globe", "#ffe3a8", 5.0),
        at=(0, 0, 3.92),
        into=lamp,
    )
    add("Lamp.Cap", "lamp", shape.lathe([(0.16, 4.06), (0.1, 4.16), (0, 4.24)], 20), iron, into=lamp)
    tree = tree_source()
    bench = source_collection("Source.Bench")
    slats = [((0.09, 1.6, 0.035), (0.11 * i - 0.16, 0, 0.45)) for i in range(4)] + [
        ((0.03, 1.6, 0.09), (0.22, 0, 0.6 + 0.12 * i)) for i in range(3)
    ]
    add("Bench.Slats", "bench", shape.boxes(slats), mat.wood("Bench wood", "#5a3a20", "#8f6238", along="Y"), into=bench)
    legs = [((0.42, 0.05, 0.44), (0.02, y, 0.22)) for y in (-0.6, 0.6)] + [
        ((0.04, 0.05, 0.5), (0.24, y, 0.65)) for y in (-0.6, 0.6)
    ]
    add("Bench.Legs", "bench", shape.boxes(legs), iron, into=bench)
    tub = source_collection("Source.Tub")
    clay = mat.mottled("Tub clay", "#8f4f30", "#b9714a", scale=6, roughness=0.85)
    add(
        "Tub.Pot",
        "pot",
        shape.lathe([(0, 0), (0.28, 0), (0.36, 0.5), (0.38, 0.5), (0.38, 0.56), (0.33, 0.56), (0, 0.5)]),
        clay,
        into=tub,
    )
    blossom = mat.Shader("Blossom")
    dots = blossom.node("TexVoronoi", {"Scale": 13.0, "Vector": blossom.coords()}).outputs["Distance"]
    blossom.set(
        Base_Color=blossom.ramp(dots, [(0.0, "#e8c13a"), (0.2, "#d23f5b"), (0.42, "#4c7a33"), (0.8, "#2f5424")]),
        Roughness=0.9,
    )
    add(
        "Tub.Flowers",
        "plant",
        shape.lump(0.38, rough=0.35, scale=2.5, seed=3, flat=(1, 1, 0.75)),
        blossom.material,
        at=(0, 0, 0.72),
        into=tub,
    )
    spots = {"Lamp": [], "Tree": [], "Bench": [], "Tub": []}
    for i in range(6):
        for side in (-1, 1):
            y = -16 + 14 * i + (4 if side > 0 else 0)
            spots["Lamp"].append((side, y, 0.45))
            spots["Tree"].append((side, y + 6.5, 0.75))
            if i % 2:
                spots["Bench"].append((side, y + 3.0, 0.7))
            spots["Tub"].append((side, y + 9.5, 0.5))
    for kind, source in (("Lamp", lamp), ("Tree", tree), ("Bench", bench), ("Tub", tub)):
        for number, (side, y, inset) in enumerate(spots[kind], 1):
            size = rng.uniform(0.85, 1.15) if kind == "Tree" else 1.0
            turn = rng.uniform(0, 360) if kind == "Tree" else 180 if side < 0 else 0
            label = {"Tub": "pot"}.get(kind, kind.lower())
            instance(
                f"{kind}.{number:02d}",
                label,
                source,
                at=(side * (ROAD + inset), y, 0.15),
                turn=(0, 0, turn),
                scale=size,
            )


def tree_source() -> bpy.types.Collection:
    """A young plane tree."""
    source = source_collection("Source.Tree")
    bark = mat.mottled("Bark", "#4f4233", "#8d7c63", scale=6, roughness=0.95)
    add("Tree.Trunk", "tree", shape.cylinder(0.12, 2.6, top=0.07, segments=12), bark, into=source)
    leaf = mat.Shader("Leaves")
    tuft = leaf.noise(5.0, detail=2)
    leaf.set(Base_Color=leaf.ramp(tuft, [(0.35, "#2f4a18"), (0.55, "#6f8c30"), (0.7, "#b7a540")]), Roughness=0.9)
    leaf.bump(tuft, 1.0, 0.2)
    blobs = [(0.95, (0, 0, 3.5)), (0.75, (0.55, 0.2, 3.0)), (0.7, (-0.5, 0.35, 2.9)), (0.7, (0.0, -0.55, 3.0))]
    parts = [(shape.lump(r, rough=0.55, scale=2.6, seed=40 + k), at) for k, (r, at) in enumerate(blobs)]
    add("Tree.Crown", "tree", shape.joined(parts), leaf.material, into=source, sharp=180)
    return source


def barber_pole() -> None:
    """The turning sign of a barber's shop on the left."""
    shader = mat.Shader("Barber stripes")
    x, y, z = shader.node("SeparateXYZ", {0: shader.coords()}).outputs
    angle = shader.math(
        "ADD", shader.math("DIVIDE", shader.math("ARCTAN2", y, x), 2 * math.pi), shader.math("MULTIPLY", z, 2.2)
    )
    turn = shader.math("FRACT", shader.math("ADD", angle, 10.0))
    shader.set(
        Base_Color=shader.ramp(
            turn, [(0, "#f2efe8"), (0.3, "#c22f34"), (0.5, "#f2efe8"), (0.8, "#2c4d8c")], constant=True
        ),
        Roughness=0.2,
    )
    at = (-(ROAD + PAVEMENT - 0.3), 12.0, 2.2)
    steel = mat.plain("Chrome", "#d8dadc", 0.12, metallic=1.0)
    pole = add("Barber.Pole", "sign", shape.cylinder(0.13, 0.9), shader.material, at=at)
    ends = shape.joined([(shape.cylinder(0.16, 0.14, edge=0.03), (0, 0, z)) for z in (-0.14, 0.9)])
    add("Barber.Ends", "sign", ends, steel, at=at)
    animate(pole, "rotation_euler", {FIRST_FRAME: (0, 0, 0), LAST_FRAME: (0, 0, 2 * math.pi * 6)}, linear=True)


# --- traffic -----------------------------------------------------------------------------------------------------


def traffic() -> None:
    """Four driving and three parked vehicles."""
    seconds = {f: (f - 1) / 50 for f in sampled_frames(6)}
    ends = (FIRST_FRAME, LAST_FRAME)
    drive(vehicle("Car.Red", HATCHBACK, "#b3201f", heading=90), (1.75, -3.5, 0), {f: 2.9 * seconds[f] for f in ends})
    drive(vehicle("Van.Blue", VAN, "#2f6690", heading=-90), (-1.75, 33.0, 0), {f: 4.6 * seconds[f] for f in ends})
    drive(vehicle("Bus.City", BUS, "#d9a521", heading=-90), (-1.8, 66.0, 0), {f: 4.4 * seconds[f] for f in ends})

    def braking(t: float) -> float:
        """Distance of the taxi: 5 m/s, from second 3 slowing down at 1 m/s2 until it stands."""
        slowing = min(max(t - 3.0, 0.0), 5.0)
        return 5.0 * min(t, 3.0) + 5.0 * slowing - slowing**2 / 2

    taxi = vehicle("Car.Taxi", SEDAN, "#e8b71a", heading=90, stripe="#1c1c1c")
    sign = mat.glow("Taxi sign", "#fff0c0", 2.0)
    add("Car.Taxi.Sign", "car", shape.cushion((0.16, 0.5, 0.16)), sign, at=(-0.3, 0, 1.54), parent=taxi)
    drive(taxi, (1.75, 12.0, 0), {f: braking(t) for f, t in seconds.items()})
    parked = [
        ("Car.Green", HATCHBACK, "#2f5d46", 90, (2.55, 44.0, 0)),
        ("Car.White", SEDAN, "#e4e2dc", -90, (-2.55, 52.0, 0)),
    ]
    for name, style, color, heading, at in parked:
        vehicle(name, style, color, heading=heading).location = at


def light(scene: bpy.types.Scene) -> None:
    """Low sun from the left along the street, a clear evening sky."""
    mat.sky(
        scene,
        [(0.0, "#6d6a66"), (0.49, "#f3d9b5"), (0.55, "#e3cdbd"), (0.7, "#93b4d4"), (1.0, "#4677b3")],
        strength=1.25,
        clouds=0.4,
        cloud="#fff0e2",
        reach=6.0,
    )
    add_light("Sun", "SUN", at=(-7, -16, 14), towards=(0, 0, 0), power=4.0, color="#ffd3a0", size=1.5)


if __name__ == "__main__":
    run(build, __file__)
