"""Trees and bushes for the landscape, as collections to make instances of."""

from __future__ import annotations

import math
import random

import _materials as mat
import _shapes as shape
import bpy
from _build import add, source_collection

Haze = tuple[str, float]


def leaves(name: str, dark: str, light: str, autumn: str, haze: Haze) -> bpy.types.Material:
    """Foliage with a tint for each instance."""
    shader = mat.Shader(name)
    tuft = shader.noise(2.6, detail=2)
    # Not Object Info's Random: for instances, bpy 4 and 5 give other numbers. A place is the same in both.
    place = shader.node("ObjectInfo").outputs["Location"]
    tint = shader.span(shader.noise(0.37, detail=1, at=place), 0.3, 0.7)
    color = shader.mix(shader.span(tint, 0.5, 1.0, 0.0, 0.75), shader.ramp(tuft, [(0.35, dark), (0.68, light)]), autumn)
    shades = shader.ramp(tuft, [(0.35, "#707070"), (0.6, "#ffffff")])
    shader.set(Base_Color=shader.mix(1.0, color, shades, "MULTIPLY"), Roughness=0.9, Specular_IOR_Level=0.15)
    return shader.bump(tuft, 1.0, 0.35).haze(*haze).material


def tree_sources(haze: Haze) -> dict[str, bpy.types.Collection]:
    """One collection for each kind of plant, each about its natural size.

    Args:
        haze: colour and distance (see `Shader.haze`).
    """
    bark = mat.mottled("Bark", "#3c2a1c", "#6b4f36", scale=4, roughness=0.95)
    sources = {name: source_collection(f"Source.{name}") for name in ("Pine", "Spruce", "Oak", "Birch", "Bush")}
    needles = leaves("Needles", "#1d3a22", "#3f6335", "#55702f", haze)
    for name, tall, wide, tiers in (("Pine", 9.0, 2.1, 6), ("Spruce", 11.0, 1.7, 8)):
        trunk = shape.cylinder(0.22, tall * 0.5, top=0.12, segments=8)
        add(f"{name}.Trunk", "tree", trunk, bark, into=sources[name])
        add(f"{name}.Crown", "tree", conifer(tall, wide, tiers, seed=tiers), needles, into=sources[name])
    green = leaves("Oak leaves", "#31501c", "#7d9a3c", "#b98a2e", haze)
    add("Oak.Trunk", "tree", shape.cylinder(0.35, 3.6, top=0.2, segments=8), bark, into=sources["Oak"])
    blobs = [(2.1, (0, 0, 5.4)), (1.6, (1.5, 0.5, 4.3)), (1.5, (-1.3, 0.9, 4.2)), (1.4, (0.1, -1.5, 4.1))]
    add("Oak.Crown", "tree", crown(blobs, seed=2), green, into=sources["Oak"], sharp=180)
    yellow = leaves("Birch leaves", "#7b7c22", "#cfae3c", "#d98a2c", haze)
    white = mat.mottled("Birch bark", "#4a443e", "#e8e2d8", scale=2.5, roughness=0.8)
    add("Birch.Trunk", "tree", shape.cylinder(0.16, 4.6, top=0.08, segments=8), white, into=sources["Birch"])
    blobs = [(1.2, (0, 0, 6.2)), (1.35, (0.4, 0.2, 4.8)), (1.0, (-0.6, -0.3, 4.1))]
    add("Birch.Crown", "tree", crown(blobs, seed=9), yellow, into=sources["Birch"], sharp=180)
    add(
        "Bush.Crown",
        "bush",
        crown([(0.8, (0, 0, 0.4)), (0.6, (0.7, 0.2, 0.3))], seed=5, detail=2),
        green,
        into=sources["Bush"],
        sharp=180,
    )
    return sources


def crown(blobs: list, seed: int, detail: int = 3) -> bpy.types.Mesh:
    """Foliage of several lumps, (radius, centre) each."""
    parts = [
        (shape.lump(radius, rough=0.55, scale=2.4, seed=seed + k, detail=detail, flat=(1, 1, 0.85)), centre)
        for k, (radius, centre) in enumerate(blobs)
    ]
    return shape.joined(parts)


def conifer(tall: float, wide: float, tiers: int, seed: int) -> bpy.types.Mesh:
    """Tiers of drooping branches: cones with jagged rims."""
    rng = random.Random(seed)
    vertices, faces, spokes = [], [], 11
    for tier in range(tiers):
        share = tier / tiers
        base, reach, top = (
            tall * (0.14 + 0.8 * share),
            wide * (1 - share) ** 0.85 + 0.12,
            tall * (0.14 + 0.8 * share) + tall * 0.24,
        )
        n = len(vertices)
        vertices.append((0, 0, min(top, tall)))
        for k in range(2 * spokes):
            a = 2 * math.pi * (k / 2 + 0.3 * tier) / spokes
            r = reach * (rng.uniform(0.92, 1.12) if k % 2 else rng.uniform(0.6, 0.72))
            vertices.append((r * math.cos(a), r * math.sin(a), base - (0.16 if k % 2 else -0.12) * reach))
        vertices.append((0, 0, base + 0.25 * reach))
        for k in range(2 * spokes):
            rim = (n + 1 + k, n + 1 + (k + 1) % (2 * spokes))
            faces += [(n, *rim), (n + 2 * spokes + 1, rim[1], rim[0])]
    return shape.mesh_from(vertices, faces)
