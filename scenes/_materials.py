"""Procedural materials and skies for the scenes: node trees only, no image files.

`Tree` and `Shader` build one node tree; the functions below them are ready-made materials. Textures use object
coordinates in metres unless told otherwise, so that a pattern has the same size on every object and sticks to what
moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bpy

Socket = bpy.types.NodeSocket
Stops = Sequence[tuple[float, str]]


def rgb(color: str) -> tuple[float, float, float, float]:
    """Scene-linear colour (and alpha 1) of an sRGB "#rrggbb" string."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return r, g, b, 1.0


class Tree:
    """A node tree under construction. Input values may be numbers, "#rrggbb" strings, or sockets to link from."""

    def __init__(self, tree: bpy.types.NodeTree) -> None:
        self.tree = tree

    def node(self, kind: str, inputs: Mapping[str, Any] | None = None, **settings: Any) -> bpy.types.Node:
        """A new node of type ShaderNode<kind>; `settings` are its properties."""
        node = self.tree.nodes.new("ShaderNode" + kind)
        for name, value in settings.items():
            setattr(node, name, value)
        for name, value in (inputs or {}).items():
            self.feed(node.inputs[name], value)
        return node

    def feed(self, socket: Socket, value: Any) -> None:
        """Link or set one input."""
        if isinstance(value, Socket):
            self.tree.links.new(value, socket)
        else:
            socket.default_value = rgb(value) if isinstance(value, str) else value

    def coords(self, scale: float | Sequence[float] = 1.0, *, kind: str = "Object", turn: float = 0.0) -> Socket:
        """Texture coordinates, scaled, and turned about z by `turn` radians."""
        source = self.node("TexCoord").outputs[kind]
        factors = (scale,) * 3 if isinstance(scale, (int, float)) else scale
        mapping = self.node("Mapping", {"Vector": source, "Scale": factors, "Rotation": (0.0, 0.0, turn)})
        return mapping.outputs["Vector"]

    def noise(self, scale: float, *, detail: float = 2.0, at: Socket | None = None, distortion: float = 0.0) -> Socket:
        """Fractal noise around 0.5; `scale` in features per metre.

        Texture costs dominate our render times: each unit of `detail` is one more octave, any `distortion` doubles
        the price or worse, and everything below a Bump node is computed three times.
        """
        inputs = {"Scale": scale, "Detail": detail, "Distortion": distortion, "Vector": at or self.coords()}
        return self.node("TexNoise", inputs).outputs["Fac"]

    def ramp(self, factor: Socket, stops: Stops, *, constant: bool = False) -> Socket:
        """The colour that `stops` (position, colour) give to a factor."""
        node = self.node("ValToRGB", {"Fac": factor})
        elements = node.color_ramp.elements
        elements[0].position, elements[0].color = stops[0][0], rgb(stops[0][1])
        elements[1].position, elements[1].color = stops[-1][0], rgb(stops[-1][1])
        for position, color in stops[1:-1]:
            elements.new(position).color = rgb(color)
        if constant:
            node.color_ramp.interpolation = "CONSTANT"
        return node.outputs["Color"]

    def math(self, operation: str, a: Any, b: Any = 0.0) -> Socket:
        """Arithmetic on numbers."""
        node = self.node("Math", operation=operation)
        self.feed(node.inputs[0], a)
        self.feed(node.inputs[1], b)
        return node.outputs[0]

    def span(self, value: Socket, low: float, high: float, to_low: float = 0.0, to_high: float = 1.0) -> Socket:
        """`value` mapped from [low, high] to [to_low, to_high], clamped."""
        limits = {"From Min": low, "From Max": high, "To Min": to_low, "To Max": to_high}
        return self.node("MapRange", {"Value": value, **limits}).outputs["Result"]

    def mix(self, factor: Any, a: Any, b: Any, mode: str = "MIX") -> Socket:
        """Two colours mixed."""
        node = self.node("Mix", data_type="RGBA", blend_type=mode)
        sockets = {socket.identifier: socket for socket in node.inputs}
        for name, value in (("Factor_Float", factor), ("A_Color", a), ("B_Color", b)):
            self.feed(sockets[name], value)
        return next(socket for socket in node.outputs if socket.identifier == "Result_Color")


class Shader(Tree):
    """A material under construction, around the Principled BSDF."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        super().__init__(self.material.node_tree)
        self.bsdf = self.tree.nodes["Principled BSDF"]
        self.output = self.tree.nodes["Material Output"]

    def set(self, **inputs: Any) -> Shader:
        """Feed inputs of the Principled BSDF; Base_Color stands for "Base Color"."""
        for name, value in inputs.items():
            self.feed(self.bsdf.inputs[name.replace("_", " ")], value)
        return self

    def bump(self, height: Socket, strength: float, depth: float = 0.01) -> Shader:
        """Disturb the shading normal by a height, `depth` metres high."""
        node = self.node("Bump", {"Height": height, "Strength": strength, "Distance": depth})
        return self.set(Normal=node.outputs["Normal"])

    def haze(self, color: str, distance: float) -> Shader:
        """Fade to a colour far from the camera: after `distance` metres, 63 % of the surface is gone."""
        depth = self.node("CameraData").outputs["View Distance"]
        kept = self.math("POWER", 2.718282, self.math("MULTIPLY", depth, -1.0 / distance))
        air = self.node("Emission", {"Color": color, "Strength": 1.0})
        mix = self.node("MixShader", {"Fac": kept})
        self.tree.links.new(air.outputs[0], mix.inputs[1])
        self.tree.links.new(self.bsdf.outputs[0], mix.inputs[2])
        self.tree.links.new(mix.outputs[0], self.output.inputs["Surface"])
        self.material.cycles.emission_sampling = "NONE"
        return self


# --- materials ---------------------------------------------------------------------------------------------------


def plain(name: str, color: str, roughness: float = 0.5, *, metallic: float = 0.0, coat: float = 0.0):
    """One colour: paint, plastic, metal; `coat` adds a layer of lacquer."""
    shader = Shader(name).set(Base_Color=color, Roughness=roughness, Metallic=metallic)
    return shader.set(Coat_Weight=coat, Coat_Roughness=0.08).material


def mottled(name: str, dark: str, light: str, *, scale: float, roughness: float = 0.6, bump: float = 0.2):
    """Two colours in cloudy patches, with fine relief: plaster, stone, clay, peel."""
    shader = Shader(name)
    shader.set(Base_Color=shader.ramp(shader.noise(scale), [(0.3, dark), (0.7, light)]), Roughness=roughness)
    return shader.bump(shader.noise(scale * 9, detail=1), bump, 0.2 / scale / 9).material


def wood(name: str, dark: str, light: str, *, scale: float = 1.0, along: str = "X", roughness: float = 0.4):
    """Grain along one axis."""
    shader = Shader(name)
    stretch = [9.0 * scale] * 3
    stretch["XYZ".index(along)] = 0.7 * scale
    at = shader.coords(stretch)
    grain = shader.noise(1.6, detail=3, at=at, distortion=0.8)
    fine = shader.noise(9.0, detail=1, at=at)
    color = shader.ramp(grain, [(0.25, dark), (0.5, light), (0.62, dark), (0.8, light)])
    color = shader.mix(0.35, color, shader.ramp(fine, [(0.3, dark), (0.7, light)]), "MULTIPLY")
    shader.set(Base_Color=color, Roughness=shader.span(fine, 0.2, 0.8, roughness - 0.08, roughness + 0.12))
    return shader.bump(fine, 0.15, 0.002).material


def planks(name: str, dark: str, light: str, *, length: float = 1.2, width: float = 0.13, turn: float = 0.0):
    """A plank floor, the boards along x (turned by `turn` radians), seen from above."""
    shader = Shader(name)
    at = shader.coords(turn=turn)
    sizes = {"Scale": 1.0, "Brick Width": length, "Row Height": width, "Mortar Size": 0.0025, "Mortar Smooth": 0.1}
    colors = {"Color1": "#2b2b2b", "Color2": "#ffffff", "Mortar": "#000000"}
    boards = shader.node("TexBrick", {"Vector": at, **sizes, **colors}, offset=0.37, offset_frequency=1)
    # Each board moves the grain sideways by its own grey, so that the grain ends at its joints.
    shift = shader.node("VectorMath", {0: boards.outputs["Color"], 1: (7.0, 5.0, 3.0)}, operation="MULTIPLY")
    moved = shader.node("VectorMath", {0: at, 1: shift.outputs[0]}, operation="ADD")
    fibres = shader.node("VectorMath", {0: moved.outputs[0], 1: (1.2, 14.0, 14.0)}, operation="MULTIPLY").outputs[0]
    grain = shader.noise(2.0, detail=4, at=fibres)
    color = shader.ramp(grain, [(0.28, dark), (0.5, light), (0.6, dark), (0.75, light)])
    color = shader.mix(0.35, color, shader.ramp(boards.outputs["Color"], [(0.0, dark), (1.0, light)]), "MULTIPLY")
    color = shader.mix(boards.outputs["Fac"], color, "#1c120b")
    shader.set(Base_Color=color, Roughness=shader.span(grain, 0.2, 0.8, 0.26, 0.45))
    return shader.bump(shader.math("SUBTRACT", 1.0, boards.outputs["Fac"]), 0.4, 0.002).material


def fabric(name: str, dark: str, light: str, *, thread: float = 350.0, bump: float = 0.35):
    """Woven cloth; `thread` in threads per metre (times 2 pi)."""
    shader = Shader(name)
    weave = shader.math(
        "MULTIPLY", *(shader.node("TexWave", {"Scale": thread / 6.28, "Vector": shader.coords()},
                                  bands_direction=axis).outputs["Fac"] for axis in "XZ")
    )  # fmt: skip
    blotch = shader.noise(6.0, detail=3)
    shade = shader.math("ADD", shader.math("MULTIPLY", weave, 0.35), shader.math("MULTIPLY", blotch, 0.65))
    shader.set(Base_Color=shader.ramp(shade, [(0.25, dark), (0.65, light)]), Roughness=0.95, Specular_IOR_Level=0.15)
    return shader.bump(weave, bump, 0.003).material


def bricks(name: str, one: str, other: str, mortar: str, *, width: float = 0.25, height: float = 0.075):
    """A brick wall on vertical faces that look along x or y."""
    shader = Shader(name)
    x, y, z = shader.node("SeparateXYZ", {0: shader.coords()}).outputs
    at = shader.node("CombineXYZ", {0: shader.math("ADD", x, y), 1: z}).outputs[0]
    sizes = {"Scale": 1.0, "Brick Width": width, "Row Height": height, "Mortar Size": 0.006, "Mortar Smooth": 0.3}
    brick = shader.node("TexBrick", {"Vector": at, **sizes, "Color1": one, "Color2": other, "Mortar": mortar})
    stains = shader.ramp(shader.noise(1.3, detail=3), [(0.3, "#9a9088"), (0.65, "#ffffff")])
    shader.set(Base_Color=shader.mix(1.0, brick.outputs["Color"], stains, "MULTIPLY"), Roughness=0.85)
    return shader.bump(shader.math("SUBTRACT", 1.0, brick.outputs["Fac"]), 0.6, 0.01).material


def glass(name: str, color: str = "#ffffff", roughness: float = 0.0, *, ior: float = 1.45):
    """Glass with light shadows: with caustics off, ordinary glass would cast black ones."""
    shader = Shader(name).set(Base_Color=color, Roughness=roughness, IOR=ior, Transmission_Weight=1.0)
    clear = shader.node("BsdfTransparent", {"Color": color})
    mix = shader.node("MixShader", {"Fac": shader.node("LightPath").outputs["Is Shadow Ray"]})
    shader.tree.links.new(shader.bsdf.outputs[0], mix.inputs[1])
    shader.tree.links.new(clear.outputs[0], mix.inputs[2])
    shader.tree.links.new(mix.outputs[0], shader.output.inputs["Surface"])
    return shader.material


def glow(name: str, color: str, strength: float, *, lights: bool = False):
    """A shining surface; unless `lights`, it is bright to look at but is not sampled as a light (less noise)."""
    shader = Shader(name).set(Base_Color=color, Emission_Color=color, Emission_Strength=strength)
    if not lights:
        shader.material.cycles.emission_sampling = "NONE"
    return shader.material


# --- worlds ------------------------------------------------------------------------------------------------------


def sky(
    scene: bpy.types.Scene,
    stops: Stops,
    *,
    strength: float = 1.0,
    clouds: float = 0.0,
    cloud: str = "#ffffff",
    ambient: float = 1.0,
    reach: float = 5.0,
) -> None:
    """A gradient sky: `stops` are (height from 0 straight down over 0.5 at the horizon to 1 at the zenith, colour).

    Args:
        clouds: how much of the sky is covered, 0 to 1.
        ambient: strength of the sky's light where paths are cut short (see `_build.new_scene`).
        reach: metres within which surfaces block that light.
    """
    world = bpy.data.worlds.new("Sky")
    world.use_nodes = True
    shader = Tree(world.node_tree)
    direction = shader.node("TexCoord").outputs["Generated"]
    x, y, z = shader.node("SeparateXYZ", {0: direction}).outputs
    color = shader.ramp(shader.span(z, -1.0, 1.0), stops)
    if clouds > 0:
        flat = shader.math("ADD", shader.math("ABSOLUTE", z), 0.12)
        place = shader.node("CombineXYZ", {0: shader.math("DIVIDE", x, flat), 1: shader.math("DIVIDE", y, flat)})
        puffs = shader.noise(0.9, detail=5, at=place.outputs[0])
        cover = shader.span(puffs, 0.72 - 0.4 * clouds, 0.92 - 0.4 * clouds)
        cover = shader.math("MULTIPLY", cover, shader.span(z, 0.02, 0.22, 0.0, 0.9))
        color = shader.mix(cover, color, cloud)
    background = world.node_tree.nodes["Background"]
    shader.feed(background.inputs["Color"], color)
    background.inputs["Strength"].default_value = strength
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", 256
    world.light_settings.ao_factor, world.light_settings.distance = ambient, reach
    scene.world = world
