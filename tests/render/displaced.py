"""Which displacements may change, asked of a Blender: prints `{"changing": {...}, "unseen": [...]}`.

`changing`: name -> [the answer if everything else stands still, the answer if the object and what it looks at move].
`unseen`: those for which the geometry has to be built anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from visionsim.simulation.worker import change


def output(kind, name, **settings):
    """A node's output is the height."""

    def make(tree, height):
        node = tree.nodes.new(f"ShaderNode{kind}")
        for key, value in settings.items():
            setattr(node, key, value() if callable(value) else value)
        tree.links.new(node.outputs[name], height)

    return make


def image(source):
    found = bpy.data.images.new(source, 4, 4)
    found.source = source
    return found


def keyed(tree, height):
    height.default_value = 1.0
    for frame in (1, 2):
        height.default_value = frame
        height.keyframe_insert("default_value", frame=frame)


def constant(tree, height):
    for frame in (1, 2):
        height.keyframe_insert("default_value", frame=frame)


def elsewhere(tree, height):
    """Another node is animated, on which the displacement does not depend."""
    output("TexNoise", 0)(tree, height)
    keyed(tree, tree.nodes.new("ShaderNodeEmission").inputs["Strength"])


def driven(tree, height):
    height.driver_add("default_value").driver.expression = "frame"


def in_the_world(tree, height):
    height.node.space = "WORLD"


def group(tree, height):
    inner = bpy.data.node_groups.new("Inner", "ShaderNodeTree")
    if hasattr(inner, "interface"):
        inner.interface.new_socket("H", in_out="OUTPUT", socket_type="NodeSocketFloat")
    else:
        inner.outputs.new("NodeSocketFloat", "H")
    node = inner.nodes.new("ShaderNodeTexCoord")
    node.object = bpy.data.objects["Other"]
    inner.links.new(node.outputs["Object"], inner.nodes.new("NodeGroupOutput").inputs[0])
    outer = tree.nodes.new("ShaderNodeGroup")
    outer.node_tree = inner
    tree.links.new(outer.outputs[0], height)


def other():
    return bpy.data.objects["Other"]


HEIGHTS = {
    "value": lambda tree, height: None,
    "noise": output("TexNoise", 0),
    "image": output("TexImage", "Color", image=lambda: image("FILE")),
    "sequence": output("TexImage", "Color", image=lambda: image("SEQUENCE")),
    "movie": output("TexImage", "Color", image=lambda: image("MOVIE")),
    "keys": keyed,
    "constant keys": constant,
    "keys of another node": elsewhere,
    "driver": driven,
    "world space": in_the_world,
    "generated": output("TexCoord", "Generated"),
    "own coordinates": output("TexCoord", "Object"),
    "coordinates of another": output("TexCoord", "Object", object=other),
    "coordinates of another, in a group": group,
    "camera coordinates": output("TexCoord", "Camera"),
    "position": output("NewGeometry", "Position"),
    "pointiness": output("NewGeometry", "Pointiness"),
    "location": output("ObjectInfo", "Location"),
    "colour": output("ObjectInfo", "Color"),
    "random": output("ObjectInfo", "Random"),
    "facing": output("LayerWeight", "Facing"),
    "property": output("Attribute", "Fac", attribute_type="OBJECT", attribute_name="lift"),
    "place as property": output("Attribute", "Vector", attribute_type="OBJECT", attribute_name="location"),
    "scene's property": output("Attribute", "Fac", attribute_type="VIEW_LAYER", attribute_name="lift"),
    "attribute": output("Attribute", "Fac", attribute_type="GEOMETRY", attribute_name="lift"),
    "something unknown": output("TexIES", "Fac"),
}


def scene_with(make, moves):
    """An object displaced by a material, another one, and a camera; all of them move, or none."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    mesh = bpy.data.meshes.new("Sheet")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    objects = [bpy.data.objects.new(name, data) for name, data in (
        ("Sheet", mesh), ("Other", None), ("Camera", bpy.data.cameras.new("Camera"))
    )]  # fmt: skip
    for obj in objects:
        scene.collection.objects.link(obj)
    scene.camera = objects[2]
    if moves:
        for obj in objects:
            for frame in (1, 2):
                obj.location.x = frame
                obj.keyframe_insert("location", frame=frame)
        objects[0]["lift"] = scene["lift"] = 1.0
        for frame in (1, 2):
            objects[0]["lift"] = scene["lift"] = float(frame)
            objects[0].color[0] = frame / 2
            objects[0].keyframe_insert('["lift"]', frame=frame)
            objects[0].keyframe_insert("color", frame=frame)
            scene.keyframe_insert('["lift"]', frame=frame)
    material = bpy.data.materials.new("Material")
    material.use_nodes = True
    owner = material if hasattr(material, "displacement_method") else material.cycles
    owner.displacement_method = "DISPLACEMENT"
    tree = material.node_tree
    node = tree.nodes.new("ShaderNodeDisplacement")
    result = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    tree.links.new(node.outputs[0], result.inputs["Displacement"])
    mesh.materials.append(material)
    make(tree, node.inputs["Height"])
    return scene, objects[0], owner


changing, unseen = {}, []
for name, make in HEIGHTS.items():
    answers = []
    for moves in (False, True):
        scene, obj, owner = scene_with(make, moves)
        answers.append(change.why_displaced_anew(obj) is not None)
        if change.unseen_changes(scene):
            unseen.append(name)
        owner.displacement_method = "BUMP"
        assert change.why_changing(obj) is None, name
    changing[name] = answers
sys.stderr.write(json.dumps({"changing": changing, "unseen": sorted(set(unseen))}) + "\n")
