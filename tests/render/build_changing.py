"""Build a scene of surfaces that change: python build_changing.py SCENE.blend LAST-FRAME PART...; see PARTS and LIFTED.

Each part has a place of its own, on a plane that the camera looks down at from a height of 20. All motion is 0.1 units
per frame to the right, from frame 0 on.
"""

import sys

import bpy

LAST = 10
"""Frame of the last key."""

STEP = 0.1
"""Motion, or growth of a displacement, from frame to frame."""


def main(blend, last, *parts):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    import addon_utils

    addon_utils.enable("cycles")
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.frame_start, scene.frame_end = 1, int(last)
    scene.world = bpy.data.worlds.new("World")
    camera = link("Camera", bpy.data.cameras.new("Camera"), (0, 0, 20))
    scene.camera = camera
    for index, part in enumerate(parts):
        place = (2 * (index % 6) - 5, 2 * (index // 6) - 3, 0)
        if part in LIFTED:
            LIFTED[part](part, place)
        else:
            PARTS[part](part, place)
    bpy.ops.wm.save_as_mainfile(filepath=blend)


def link(name, data, location=(0, 0, 0)):
    obj = bpy.data.objects.new(name, data)
    obj.location = location
    bpy.context.scene.collection.objects.link(obj)
    return obj


def keys(owner, path, values, index=-1):
    """Linear keys: `values` at frame 0 and at `LAST`."""
    for frame, value in zip((0, LAST), values, strict=True):
        if path.startswith("["):
            owner[path[2:-2]] = value
        elif index < 0:
            setattr(owner, path, value)
        else:
            getattr(owner, path)[index] = value
        owner.keyframe_insert(path, index=index, frame=frame)
    linear(owner.id_data)


def linear(block):
    action = block.animation_data.action
    if hasattr(action, "layers"):
        curves = [
            c for layer in action.layers for strip in layer.strips for bag in strip.channelbags for c in bag.fcurves
        ]
    else:
        curves = action.fcurves
    for curve in curves:
        curve.extrapolation = "LINEAR"
        for point in curve.keyframe_points:
            point.interpolation = "LINEAR"


def sheet(name, place, size=1.2, cuts=9):
    steps = [size * (i / (cuts - 1) - 0.5) for i in range(cuts)]
    faces = [
        (j * cuts + i, j * cuts + i + 1, (j + 1) * cuts + i + 1, (j + 1) * cuts + i)
        for j in range(cuts - 1)
        for i in range(cuts - 1)
    ]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(x, y, 0.0) for y in steps for x in steps], [], faces)
    return link(name, mesh, place)


def cube(name, place, size=0.5):
    corners = [(x * size, y * size, z * size) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])
    return link(name, mesh, place)


def moved(obj):
    """Move the mesh, not the object, by a shape key."""
    obj.shape_key_add(name="Basis")
    key = obj.shape_key_add(name="Move")
    for point in key.data:
        point.co.x += STEP * LAST
    keys(key, "value", (0.0, 1.0))
    return obj


def lifted(obj, strength=1.0):
    """Give a displaced material; return its tree and the socket of the height."""
    material = bpy.data.materials.new(obj.name)
    material.use_nodes = True
    owner = material if hasattr(material, "displacement_method") else material.cycles
    owner.displacement_method = "DISPLACEMENT"
    tree = material.node_tree
    tree.nodes.clear()
    output, emission = (tree.nodes.new(f"ShaderNode{kind}") for kind in ("OutputMaterial", "Emission"))
    # The picture shows how high the surface is.
    height = axis(tree, tree.nodes.new("ShaderNodeNewGeometry").outputs["Position"], "Z")
    tree.links.new(height, emission.inputs["Color"])
    tree.links.new(emission.outputs[0], output.inputs["Surface"])
    node = tree.nodes.new("ShaderNodeDisplacement")
    node.inputs["Midlevel"].default_value, node.inputs["Scale"].default_value = 0.0, strength
    node.inputs["Height"].default_value = 0.2
    tree.links.new(node.outputs[0], output.inputs["Displacement"])
    obj.data.materials.append(material)
    return tree, node.inputs["Height"]


def axis(tree, vector, name):
    node = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(vector, node.inputs[0])
    return node.outputs[name]


def group(kind, name, *, takes=None, gives):
    tree = bpy.data.node_groups.new(name, kind)
    for way, socket in (("INPUT", takes), ("OUTPUT", gives)):
        if socket is None:
            continue
        if hasattr(tree, "interface"):
            tree.interface.new_socket("Value", in_out=way, socket_type=socket)
        else:
            getattr(tree, f"{way.lower()}s").new(socket, "Value")
    return tree


def nodes(obj):
    """Geometry nodes, and their input and output sockets."""
    tree = group("GeometryNodeTree", obj.name, takes="NodeSocketGeometry", gives="NodeSocketGeometry")
    obj.modifiers.new("Nodes", "NODES").node_group = tree
    return tree, tree.nodes.new("NodeGroupInput").outputs[0], tree.nodes.new("NodeGroupOutput").inputs[0]


def math(tree, operation, value, other):
    node = tree.nodes.new("ShaderNodeMath")
    node.operation = operation
    tree.links.new(value, node.inputs[0])
    node.inputs[1].default_value = other
    return node.outputs[0]


# Followed by Blender.


def still(name, place):
    cube(name, place)


def rigid(name, place):
    obj = sheet(name, place)
    obj.modifiers.new("Fewer", "DECIMATE").ratio = 0.5
    keys(obj, "location", (place[0], place[0] + STEP * LAST), 0)


def subdivided(name, place):
    modifier = moved(cube(name, place)).modifiers.new("Smooth", "SUBSURF")
    modifier.levels, modifier.render_levels = 0, 2


def repeated(name, place):
    modifier = moved(sheet(name, place, 0.6)).modifiers.new("Twice", "ARRAY")
    modifier.relative_offset_displace[0] = 1.2


def offset(name, place):
    tree, geometry, result = nodes(sheet(name, place))
    clock = tree.nodes.new("GeometryNodeInputSceneTime").outputs["Frame"]
    vector, move = tree.nodes.new("ShaderNodeCombineXYZ"), tree.nodes.new("GeometryNodeSetPosition")
    tree.links.new(math(tree, "MULTIPLY", clock, STEP), vector.inputs["X"])
    tree.links.new(geometry, move.inputs["Geometry"])
    tree.links.new(vector.outputs[0], move.inputs["Offset"])
    tree.links.new(move.outputs[0], result)


def displaced(name, place):
    lifted(moved(sheet(name, place)))


def hair(name, place):
    """Hair on a surface that deforms, and is not rendered itself."""
    scalp = moved(sheet(f"{name} scalp", place))
    scalp.hide_render = True
    scalp.add_rest_position_attribute = True
    layer = scalp.data.uv_layers.new(name="UVMap")
    for loop in scalp.data.loops:
        point = scalp.data.vertices[loop.vertex_index].co
        layer.data[loop.index].uv = (point.x / 1.2 + 0.5, point.y / 1.2 + 0.5)
    roots = [(x / 10 - 0.5, y / 10 - 0.5) for x in range(11) for y in range(11)]
    curves = bpy.data.hair_curves.new(name)
    curves.add_curves([3] * len(roots))
    ends = [value for x, y in roots for value in (x, y, 0.0, x, y + 0.1, 0.1, x, y + 0.2, 0.2)]
    curves.attributes["position"].data.foreach_set("vector", ends)
    radius = curves.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", [0.02] * (3 * len(roots)))
    uv = curves.attributes.new("surface_uv_coordinate", "FLOAT2", "CURVE")
    uv.data.foreach_set("vector", [value / 1.2 + 0.5 for root in roots for value in root])
    obj = link(name, curves)
    curves.surface, curves.surface_uv_map = scalp, "UVMap"
    obj.parent = scalp
    tree, geometry, result = nodes(obj)
    deform = tree.nodes.new("GeometryNodeDeformCurvesOnSurface")
    tree.links.new(geometry, deform.inputs[0])
    tree.links.new(deform.outputs[0], result)


# Not followed at times.


def hiding(name, place):
    obj = cube(name, place)
    for frame, hidden in ((0, False), (3, True)):
        obj.hide_render = hidden
        obj.keyframe_insert("hide_render", frame=frame)


def other_camera(name, place):
    """Another camera renders from frame 3 on; everything stands still for it."""
    scene = bpy.context.scene
    other = link(name, bpy.data.cameras.new(name), (0.5, 0, 20))
    for frame, camera in ((0, scene.camera), (3, other)):
        scene.timeline_markers.new(f"From {frame}", frame=frame).camera = camera


# Not followed.


def remeshed(name, place):
    obj = moved(sheet(name, place))
    obj.modifiers.new("Thick", "SOLIDIFY").thickness = 0.4
    modifier = obj.modifiers.new("Anew", "REMESH")
    modifier.mode, modifier.voxel_size = "VOXEL", 0.13


def swapped(name, place, since=0):
    """As many vertices in each frame, in another order."""
    tree, _, result = nodes(sheet(name, place))
    clock = tree.nodes.new("GeometryNodeInputSceneTime").outputs["Frame"]
    late = math(tree, "MAXIMUM", math(tree, "SUBTRACT", clock, since), 0.0)
    odd = math(tree, "MULTIPLY", math(tree, "MODULO", late, 2.0), 2.0)
    grid = tree.nodes.new("GeometryNodeMeshGrid")
    grid.inputs["Size X"].default_value = grid.inputs["Size Y"].default_value = 1.2
    tree.links.new(math(tree, "ADD", odd, 3.0), grid.inputs["Vertices X"])
    tree.links.new(math(tree, "MULTIPLY", math(tree, "SUBTRACT", odd, 5.0), -1.0), grid.inputs["Vertices Y"])
    tree.links.new(grid.outputs[0], result)


def swapped_later(name, place):
    swapped(name, place, since=148)


def cut(name, place):
    """A block that stands still, and what cuts it moves on within the same face."""
    block, cutter = cube(name, place, 0.6), cube(f"{name} cutter", (*place[:2], 0.6), 0.2)
    keys(cutter, "location", (place[0] - 0.3, place[0] - 0.3 + STEP * LAST / 4), 0)
    cutter.hide_render = True
    block.modifiers.new("Cut", "BOOLEAN").object = cutter


def built(name, place):
    modifier = sheet(name, place).modifiers.new("Build", "BUILD")
    modifier.frame_start, modifier.frame_duration = -4, 20


def blob(name, place):
    for suffix, x in (("", 0.0), (".001", 0.5)):
        ball = bpy.data.metaballs.new(f"{name}{suffix}")
        ball.resolution = ball.render_resolution = 0.2
        ball.elements.new().radius = 0.5
        obj = link(f"{name}{suffix}", ball, (place[0] + x, place[1], 0))
    keys(obj, "location", (place[0] + 0.3, place[0] + 0.3 + STEP * LAST), 0)


def drawn(name, place):
    """A tube that grows along itself."""
    curve = bpy.data.curves.new(name, "CURVE")
    curve.dimensions, curve.bevel_depth = "3D", 0.3
    spline = curve.splines.new("POLY")
    spline.points.add(9)
    for index, point in enumerate(spline.points):
        point.co = (index / 9 - 0.5, 0, 0, 1)
    link(name, curve, place)
    keys(curve, "bevel_factor_end", (0.5, 0.9))


def grouped(name, place):
    """Displaced by an animated value in a group within a group."""
    tree, height = lifted(sheet(name, place))
    inner = group("ShaderNodeTree", f"{name} inner", gives="NodeSocketFloat")
    value = inner.nodes.new("ShaderNodeValue")
    inner.links.new(value.outputs[0], inner.nodes.new("NodeGroupOutput").inputs[0])
    keys(value.outputs[0], "default_value", (0.0, STEP * LAST))
    outer = group("ShaderNodeTree", f"{name} outer", gives="NodeSocketFloat")
    node = outer.nodes.new("ShaderNodeGroup")
    node.node_tree = inner
    outer.links.new(node.outputs[0], outer.nodes.new("NodeGroupOutput").inputs[0])
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree = outer
    tree.links.new(node.outputs[0], height)


def followed_empty(name, place):
    """Displaced by the coordinates of an empty that moves down."""
    tree, height = lifted(sheet(name, place))
    empty = link(f"{name} empty", None)
    keys(empty, "location", (0.0, -STEP * LAST), 2)
    node = tree.nodes.new("ShaderNodeTexCoord")
    node.object = empty
    tree.links.new(axis(tree, node.outputs["Object"], "Z"), height)


def bent(name, place):
    """Displacement that does not change, along normals that turn."""
    obj = sheet(name, place, cuts=17)
    lifted(obj)
    modifier = obj.modifiers.new("Wave", "WAVE")
    modifier.height, modifier.width, modifier.narrowness = 0.2, 0.4, 4.0


PARTS = {
    part.__name__: part
    for part in (
        *(still, rigid, subdivided, repeated, offset, displaced, hair),
        *(hiding, other_camera),
        *(remeshed, swapped, swapped_later, cut, built, blob, drawn, grouped, followed_empty, bent),
    )
}
"""What is built under its own name."""


# Lifted by 0.1 per frame, which Blender does not report to Cycles.


def by_colour(name, place):
    obj = sheet(name, place)
    tree, height = lifted(obj)
    tree.links.new(tree.nodes.new("ShaderNodeObjectInfo").outputs["Color"], height)
    for index in range(3):
        keys(obj, "color", (0.0, STEP * LAST), index)


def by_property(name, place):
    obj = sheet(name, place)
    tree, height = lifted(obj)
    node = tree.nodes.new("ShaderNodeAttribute")
    node.attribute_type, node.attribute_name = "OBJECT", "lift"
    tree.links.new(node.outputs["Fac"], height)
    keys(obj, '["lift"]', (0.0, STEP * LAST))


def by_instancer(name, place):
    obj = sheet(name, (0, 0, 0))
    tree, height = lifted(obj)
    node = tree.nodes.new("ShaderNodeAttribute")
    node.attribute_type, node.attribute_name = "INSTANCER", "lift"
    tree.links.new(node.outputs["Fac"], height)
    collection = bpy.data.collections.new(name)
    bpy.context.scene.collection.objects.unlink(obj)
    collection.objects.link(obj)
    empty = link(f"{name} copy", None, place)
    empty.instance_type, empty.instance_collection = "COLLECTION", collection
    keys(empty, '["lift"]', (0.0, STEP * LAST))


def by_place(name, place):
    """The object moves down the picture, and is lifted by the way it went."""
    obj = sheet(name, place)
    tree, height = lifted(obj)
    way = axis(tree, tree.nodes.new("ShaderNodeObjectInfo").outputs["Location"], "Y")
    tree.links.new(math(tree, "MULTIPLY", math(tree, "SUBTRACT", way, place[1]), -10.0), height)
    keys(obj, "location", (place[1], place[1] - STEP * LAST / 10), 1)


LIFTED = {part.__name__: part for part in (by_colour, by_property, by_instancer, by_place)}


if __name__ == "__main__":
    main(*(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]))
