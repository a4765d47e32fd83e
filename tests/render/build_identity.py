"""Make a scene whose copies are hard to tell apart: run by a Blender, `build_identity.py SCENE.blend NAME`.

NAME is a function of this file, and says what is hard.
"""

from __future__ import annotations

import sys

import bpy


def link(name, data, collection=None, location=(0.0, 0.0, 0.0)):
    obj = bpy.data.objects.new(name, data)
    obj.location = location
    (collection or bpy.context.scene.collection).objects.link(obj)
    return obj


def cube(name, size, collection=None, location=(0.0, 0.0, 0.0)):
    h = size / 2
    corners = [(x, y, z) for x in (-h, h) for y in (-h, h) for z in (-h, h)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], faces)
    return link(name, mesh, collection, location)


def instancer(name, collection, location):
    obj = link(name, None, location=location)
    obj.instance_type, obj.instance_collection = "COLLECTION", collection
    return obj


def nodes_of(name):
    """A material without nodes, and a function that adds one."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    made.node_tree.nodes.clear()
    return made, lambda kind: made.node_tree.nodes.new(f"ShaderNode{kind}")


def group_output(group, name, kind):
    if hasattr(group, "interface"):
        group.interface.new_socket(name, in_out="OUTPUT", socket_type=kind)
    else:
        group.outputs.new(kind, name)


def group_input(group, name, kind):
    if hasattr(group, "interface"):
        return group.interface.new_socket(name, in_out="INPUT", socket_type=kind).identifier
    return group.inputs.new(kind, name).identifier


def shader_group(*shaders):
    """A node group that outputs what these nodes make, or nothing."""
    group = bpy.data.node_groups.new("Group", "ShaderNodeTree")
    group_output(group, "Shader", "NodeSocketShader")
    output = group.nodes.new("NodeGroupOutput")
    for shader in shaders:
        group.links.new(group.nodes.new(f"ShaderNode{shader}").outputs[0], output.inputs[0])
    return group


def material(kind):
    """A material that Cycles draws black, or that looks as if it could."""
    made, new = nodes_of(kind)
    join = made.node_tree.links.new
    if kind == "no_nodes":
        if bpy.app.version < (5, 0, 0):
            made.use_nodes = False
        made.diffuse_color = (0.2, 0.6, 0.3, 1.0)
    if kind in ("no_nodes", "empty"):
        return made
    if kind == "output_in_group":
        group = bpy.data.node_groups.new("Whole", "ShaderNodeTree")
        output = group.nodes.new("ShaderNodeOutputMaterial")
        group.links.new(group.nodes.new("ShaderNodeBsdfDiffuse").outputs[0], output.inputs[0])
        new("Group").node_tree = group
        return made
    output = new("OutputMaterial")
    surface = output.inputs["Surface"]
    if kind == "muted_link":
        join(new("BsdfDiffuse").outputs[0], surface).is_muted = True
    elif kind == "muted_node":
        shader = new("BsdfDiffuse")
        shader.mute = True
        join(shader.outputs[0], surface)
    elif kind == "muted_output":
        join(new("BsdfDiffuse").outputs[0], surface)
        output.mute = True
    elif kind == "other_engine":
        join(new("BsdfDiffuse").outputs[0], surface)
        output.target = "EEVEE"
    elif kind == "undefined":
        join(new("EeveeSpecular").outputs[0], surface)
    elif kind == "emits_nothing":
        shader = new("Emission")
        shader.inputs["Strength"].default_value = 0.0
        join(shader.outputs[0], surface)
    elif kind == "emits":
        join(new("Emission").outputs[0], surface)
    elif kind == "emits_texture":
        shader = new("Emission")
        join(new("TexChecker").outputs[0], shader.inputs["Color"])
        join(shader.outputs[0], surface)
    elif kind == "color":
        join(new("RGB").outputs[0], surface)
    elif kind == "mixes_nothing":
        join(new("MixShader").outputs[0], surface)
    elif kind == "half_a_mix":
        mix = new("MixShader")
        join(new("BsdfDiffuse").outputs[0], mix.inputs[2])
        mix.inputs[0].default_value = 0.0
        join(mix.outputs[0], surface)
    elif kind in ("empty_group", "group"):
        node = new("Group")
        node.node_tree = shader_group() if kind == "empty_group" else shader_group("BsdfGlossy")
        join(node.outputs[0], surface)
    elif kind == "displaced":
        bump = new("Displacement")
        join(new("TexChecker").outputs[1], bump.inputs["Height"])
        join(bump.outputs[0], output.inputs["Displacement"])
    elif kind in ("fog", "muted_fog"):
        volume = new("VolumeAbsorption")
        volume.inputs["Density"].default_value = 3.0
        join(volume.outputs[0], output.inputs["Volume"]).is_muted = kind == "muted_fog"
    else:
        assert kind == "nothing", kind
    return made


KINDS = (
    *("nothing", "empty", "no_nodes", "output_in_group", "muted_link", "muted_node", "muted_output", "other_engine"),
    *("undefined", "emits_nothing", "emits", "emits_texture", "color", "mixes_nothing", "half_a_mix", "empty_group"),
    *("group", "displaced", "fog", "muted_fog", "no_slot", "empty_slot", "own_slot", "two_slots"),
)
"""Names of the materials that `materials` makes, from left to right, from the top row of pairs to the bottom."""


def materials():
    """Two copies of a cube for each of KINDS, side by side, over a floor that their colours light up."""
    for index, kind in enumerate(KINDS):
        collection = bpy.data.collections.new(kind)
        source = cube(kind, 0.5, collection)
        if kind == "empty_slot":
            source.data.materials.append(None)
        elif kind == "own_slot":
            source.data.materials.append(material("nothing"))
            source.material_slots[0].link = "OBJECT"
        elif kind == "two_slots":
            for part in ("nothing", "color"):
                source.data.materials.append(material(part))
            for number, polygon in enumerate(source.data.polygons):
                polygon.material_index = number % 2
        elif kind != "no_slot":
            source.data.materials.append(material(kind))
        for copy in range(2):
            place = (1.6 * (index % 6) - 4.3 + 0.7 * copy, 2.7 - 1.7 * (index // 6), 0.0)
            instancer(f"{kind}.{copy}", collection, place)
    floor = cube("Floor", 20.0, location=(0.0, 0.0, -11.0))
    made, new = nodes_of("Floor")
    made.node_tree.links.new(new("BsdfDiffuse").outputs[0], new("OutputMaterial").inputs["Surface"])
    floor.data.materials.append(made)


def linked(library):
    """Copies of linked meshes without materials, and of linked hair if this Blender can make any.

    One of them is hidden in the viewport, and its collection is not in the scene.
    """
    for name in ("Bare", "Slot"):
        source = cube(name, 0.8, bpy.data.collections.new(name))
        if name == "Slot":
            source.data.materials.append(None)
            source.hide_viewport = True
    hair = bpy.data.hair_curves.new("Hair")
    if hasattr(hair, "add_curves"):  # 3.4 cannot make any.
        hair.add_curves([2, 2])
        points = (-0.4, 0.0, 0.2, 0.4, 0.0, 0.2), (-0.4, 0.3, 0.2, 0.4, 0.3, 0.2)
        hair.attributes["position"].data.foreach_set("vector", [x for point in points for x in point])
        hair.attributes.new("radius", "FLOAT", "POINT").data.foreach_set("value", [0.1] * 4)
        link("Hair", hair, bpy.data.collections.new("Hair"))
    names = [collection.name for collection in bpy.data.collections]
    bpy.data.libraries.write(library, set(bpy.data.collections))
    camera_and_light(start())
    with bpy.data.libraries.load(library, link=True) as (_, wanted):
        wanted.collections = names
    for row, collection in enumerate(wanted.collections):
        for column in range(3):
            instancer(f"{collection.name}.{column}", collection, (1.5 * column - 1.5, 1.5 - 1.5 * row, 0.0))


class Points:
    """Geometry nodes that put copies of an object on points, in a row of its own."""

    def __init__(self, name, source, y, mesh_points=1):
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata([(1.5 * index, 0.0, 0.0) for index in range(mesh_points)], [], [])
        self.obj = link(name, mesh, location=(-3.0, y, 0.0))
        self.group = group = bpy.data.node_groups.new(name, "GeometryNodeTree")
        group_input(group, "Geometry", "NodeSocketGeometry")
        group_output(group, "Geometry", "NodeSocketGeometry")
        self.input = group.nodes.new("NodeGroupInput")
        self.source = source

    def add(self, kind):
        return self.group.nodes.new(kind)

    def join(self, output, given):
        self.group.links.new(output, given)

    def index(self):
        return self.add("GeometryNodeInputIndex").outputs[0]

    def with_ids(self, points):
        """The points, with the index as `id`."""
        node = self.add("GeometryNodeSetID")
        self.join(points, node.inputs["Geometry"])
        self.join(self.index(), node.inputs["ID"])
        return node.outputs[0]

    def delete(self, points, selection):
        node = self.add("GeometryNodeDeleteGeometry")
        self.join(points, node.inputs["Geometry"])
        self.join(selection, node.inputs["Selection"])
        return node.outputs[0]

    def math(self, operation, *operands):
        node = self.add("ShaderNodeMath")
        node.operation = operation
        for socket, operand in zip(node.inputs, operands, strict=False):
            if isinstance(operand, float):
                socket.default_value = operand
            else:
                self.join(operand, socket)
        return node.outputs[0]

    def time(self):
        return self.add("GeometryNodeInputSceneTime").outputs["Frame"]

    def finish(self, points, shape=None):
        """Put copies of the source, or of a generated shape, on the points; returns the modifier."""
        info, put = self.add("GeometryNodeObjectInfo"), self.add("GeometryNodeInstanceOnPoints")
        info.inputs["Object"].default_value = self.source
        info.inputs["As Instance"].default_value = True
        self.join(points, put.inputs["Points"])
        self.join(shape or info.outputs["Geometry"], put.inputs["Instance"])
        self.join(put.outputs[0], self.add("NodeGroupOutput").inputs[0])
        modifier = self.obj.modifiers.new("Points", "NODES")
        modifier.node_group = self.group
        return modifier


def rock():
    """A cube that only its copies show."""
    source = cube("Rock", 0.6, location=(0.0, 0.0, -90.0))
    made, new = nodes_of("Rock")
    made.node_tree.links.new(new("BsdfDiffuse").outputs[0], new("OutputMaterial").inputs["Surface"])
    source.data.materials.append(made)
    return source


def keyed(source=None):
    """Two rows of still copies: frame f shows f of them."""
    source = source or rock()
    counted = Points("Counted", source, 2.4)
    count = group_input(counted.group, "Count", "NodeSocketInt")
    line = counted.add("GeometryNodeMeshLine")
    line.inputs["Offset"].default_value = (1.5, 0.0, 0.0)
    counted.join(counted.input.outputs["Count"], line.inputs["Count"])
    modifier = counted.finish(line.outputs[0])
    for frame in range(1, 6):
        if hasattr(modifier, "properties"):  # Since 5.2.
            getattr(modifier.properties.inputs, count).value = frame
            path = f'modifiers["Points"].properties.inputs.{count}.value'
        else:
            modifier[count] = frame
            path = f'modifiers["Points"]["{count}"]'
        counted.obj.keyframe_insert(path, frame=frame)

    array = Points("Array", source, 1.4)
    repeat = array.obj.modifiers.new("Repeat", "ARRAY")
    repeat.use_relative_offset, repeat.use_constant_offset = False, True
    repeat.constant_offset_displace = (1.5, 0.0, 0.0)
    for frame in range(1, 6):
        repeat.count = frame
        array.obj.keyframe_insert('modifiers["Repeat"].count', frame=frame)
    array.finish(array.input.outputs[0])


def growing():
    """Rows of still copies that come and go: two rows of `keyed`, and three more."""
    source = rock()
    keyed(source)

    # The first ones go: frame f shows 6 - f.
    culled = Points("Culled", source, 0.4, mesh_points=5)
    gone = culled.math("LESS_THAN", culled.index(), culled.math("SUBTRACT", culled.time(), 1.5))
    culled.finish(culled.delete(culled.with_ids(culled.input.outputs[0]), gone))

    # More and more in between, with the ids that Blender gives them.
    spread = Points("Spread", source, -1.0)
    spread.obj.scale = (0.4, 0.4, 0.4)
    square, distribute = spread.add("GeometryNodeMeshGrid"), spread.add("GeometryNodeDistributePointsOnFaces")
    square.inputs["Size X"].default_value, square.inputs["Size Y"].default_value = 16.0, 1.0
    spread.join(square.outputs["Mesh"], distribute.inputs["Mesh"])
    spread.join(spread.math("MULTIPLY", spread.time(), 0.1), distribute.inputs["Density"])
    spread.finish(distribute.outputs[0])
    spread.obj.location.x = 0.0

    # Number k shows at k + 1.5 only, between two frames.
    between = Points("Between", source, -2.4, mesh_points=4)
    middle = between.math("ADD", between.index(), 1.5)
    away = between.math("ABSOLUTE", between.math("SUBTRACT", between.time(), middle))
    between.finish(between.delete(between.with_ids(between.input.outputs[0]), between.math("GREATER_THAN", away, 0.3)))


def culled():
    """Still copies of which the first ones go, with nothing that tells which those are."""
    points = Points("Culled", rock(), 0.4, mesh_points=5)
    gone = points.math("LESS_THAN", points.index(), points.math("SUBTRACT", points.time(), 1.5))
    points.finish(points.delete(points.input.outputs[0], gone))


def bare():
    """Copies of generated points, which have no material."""
    points = Points("Bare", rock(), 0.4, mesh_points=3)
    ball = points.add("GeometryNodeMeshToPoints")
    ball.inputs["Radius"].default_value = 0.4
    points.join(points.add("GeometryNodeMeshGrid").outputs[0], ball.inputs["Mesh"])
    points.finish(points.input.outputs[0], ball.outputs[0])


def hidden():
    """Three copies, of which the viewport shows one: the others cannot be found before a render."""
    points = Points("Hidden", rock(), 0.4, mesh_points=3)
    viewport = points.add("GeometryNodeIsViewport").outputs[0]
    away = points.math("MULTIPLY", points.math("GREATER_THAN", points.index(), 0.5), viewport)
    points.finish(points.delete(points.input.outputs[0], away))


def waving():
    """Copies that move, known by their index."""
    points = Points("Waving", rock(), 0.4, mesh_points=3)
    position = points.add("GeometryNodeSetPosition")
    offset = points.add("ShaderNodeCombineXYZ")
    points.join(points.math("MULTIPLY", points.time(), 0.1), offset.inputs[1])
    points.join(points.input.outputs[0], position.inputs["Geometry"])
    points.join(offset.outputs[0], position.inputs["Offset"])
    points.finish(position.outputs[0])


def many():
    """More objects in the file than Blender's object index can number; one of the two in view moves."""
    first = rock()
    first.location = (0.0, 0.0, 0.0)
    for frame, x in ((1, 0.0), (5, 1.0)):
        first.location.x = x
        first.keyframe_insert("location", frame=frame)
    link("Still", first.data, location=(-3.0, 0.0, 0.0))
    for number in range(32767):
        # Outside of the scene, where they cost nothing.
        bpy.data.objects.new(f"Rock.{number:05d}", first.data).use_fake_user = True


def start():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.frame_start, scene.frame_end = 1, 5
    return scene


def camera_and_light(scene):
    scene.camera = link("Camera", bpy.data.cameras.new("Camera"), location=(0.0, 0.0, 12.0))
    sun = link("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.rotation_euler = (0.5, 0.4, 0.0)
    scene.world = bpy.data.worlds.new("World")


def main():
    blend, name = sys.argv[-2:]
    camera_and_light(start())
    linked(blend.replace(".blend", "_library.blend")) if name == "linked" else globals()[name]()
    bpy.ops.wm.save_as_mainfile(filepath=blend)


main()
