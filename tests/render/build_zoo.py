"""Make a zoo, one of each kind in a cell of its own: run by a Blender, `build_zoo.py KIND SCENE.blend`.

KIND is `things`, with objects of all types, modifiers, simulations, materials and ways of instancing, or `particles`,
which are born, turn, steer and die, or `blurred`, the same with motion blur and without fluid, or `flowing`, with both,
or `painted`, with dynamic paint.
What a Blender does not have yet is left out here.
"""

from __future__ import annotations

import sys

import bpy

FRAMES = 4
COLUMNS = 7


class Zoo:
    """A scene with a grid of cells, seen from above."""

    def __init__(self):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.scene = bpy.context.scene
        self.scene.render.engine = "CYCLES"
        self.scene.frame_start, self.scene.frame_end = 1, FRAMES
        self.cells = 0
        self.grey = material("Grey")

    def cell(self):
        """The centre of the next free cell."""
        self.cells += 1
        return ((self.cells - 1) % COLUMNS - COLUMNS / 2 + 0.5) * 2, 4 - (self.cells - 1) // COLUMNS * 2, 0

    def link(self, name, data, place=None, shown=True):
        obj = bpy.data.objects.new(name, data)
        obj.location = self.cell() if place is None else place
        self.scene.collection.objects.link(obj)
        if hasattr(data, "materials") and not data.materials:
            data.materials.append(self.grey)
        obj.hide_render = not shown
        return obj

    def box(self, name, size=1.0, place=None, shown=True):
        return self.link(name, box_mesh(name, size), place, shown)

    def sheet(self, name, size=1.5, parts=8, place=None):
        steps = [size * (i / parts - 0.5) for i in range(parts + 1)]
        row = parts + 1
        faces = [(a, a + 1, a + row + 1, a + row) for a in range(row * parts) if (a + 1) % row]
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata([(x, y, 0) for y in steps for x in steps], [], faces)
        return self.link(name, mesh, place)

    def finish(self, path):
        camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
        camera.location, camera.data.lens = (0, 0, 20), 45
        self.scene.collection.objects.link(camera)
        self.scene.camera = camera
        move(camera, "location", (0, 0, 20), (0.2, 0, 20))
        sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
        sun.rotation_euler, sun.data.energy = (0.6, 0.3, 0), 3
        self.scene.collection.objects.link(sun)
        area = bpy.data.objects.new("Area", bpy.data.lights.new("Area", "AREA"))
        area.location = (3, -3, 6)
        self.scene.collection.objects.link(area)
        bpy.ops.wm.save_as_mainfile(filepath=path)


def box_mesh(name, size=1.0):
    h = size / 2
    corners = [(x, y, z) for x in (-h, h) for y in (-h, h) for z in (-h, h)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], faces)
    return mesh


def material(name, shader="ShaderNodeBsdfDiffuse", socket="Surface"):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    tree = made.node_tree
    tree.nodes.clear()
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    if shader is not None:
        tree.links.new(tree.nodes.new(shader).outputs[0], output.inputs[socket])
    return made


def move(owner, path, start, stop):
    for frame, value in ((1, start), (FRAMES, stop)):
        setattr(owner, path, value)
        owner.keyframe_insert(path, frame=frame)


def geometry_group(name):
    """A group from geometry to geometry; returns it and its two ends."""
    tree = bpy.data.node_groups.new(name, "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        if hasattr(tree, "interface"):
            tree.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
        else:
            getattr(tree, f"{way.lower()}s").new("NodeSocketGeometry", "Geometry")
    return tree, tree.nodes.new("NodeGroupInput").outputs[0], tree.nodes.new("NodeGroupOutput").inputs[0]


def object_types(zoo):
    zoo.box("Box")
    curve = bpy.data.curves.new("Curve", "CURVE")
    curve.dimensions, curve.bevel_depth = "3D", 0.15
    spline = curve.splines.new("POLY")
    spline.points.add(2)
    for point, place in zip(spline.points, ((-0.6, -0.4, 0), (0, 0.4, 0), (0.6, -0.4, 0)), strict=True):
        point.co = (*place, 1)
    zoo.link("Curve", curve)
    place = zoo.cell()
    bpy.ops.surface.primitive_nurbs_surface_sphere_add(radius=0.7, location=place)
    bpy.context.object.data.materials.append(zoo.grey)
    ball = bpy.data.metaballs.new("Ball")
    ball.elements.new().radius = 1.0
    ball.elements.new().co = (0.4, 0, 0)
    move(zoo.link("Ball", ball), "scale", (1, 1, 1), (1.2, 1, 1))
    text = bpy.data.curves.new("Text", "FONT")
    text.body, text.extrude = "V", 0.1
    zoo.link("Text", text)
    if hasattr(bpy.data, "hair_curves") and hasattr(bpy.types.Curves, "add_curves"):  # Since 4.0 from Python.
        hair = bpy.data.hair_curves.new("Hair")
        hair.add_curves([2, 2, 2])
        for index, point in enumerate(hair.points):
            point.position, point.radius = (0.4 * (index // 2) - 0.4, index % 2 - 0.5, 0), 0.1
        zoo.link("Hair", hair)
    fog = zoo.box("Fog")
    fog.data.materials.clear()
    fog.data.materials.append(material("Fog", "ShaderNodeVolumePrincipled", "Volume"))
    pencils = bpy.data.grease_pencils_v3 if hasattr(bpy.data, "grease_pencils_v3") else bpy.data.grease_pencils
    zoo.link("Strokes", pencils.new("Strokes"))
    nothing = zoo.box("Nothing")
    nothing.data.materials.clear()
    nothing.data.materials.append(material("Nothing", shader=None))
    zoo.box("Bare").data.materials.clear()
    zoo.box("Glowing").data.materials[0] = material("Glowing", "ShaderNodeEmission")


def modifiers(zoo):
    def modified(name, kind, parts=8):
        obj = zoo.sheet(name, parts=parts)
        return obj, obj.modifiers.new(name, kind)

    _, array = modified("Array", "ARRAY", parts=1)
    array.count, array.relative_offset_displace = 3, (0, 0.1, 0.2)
    _, build = modified("Build", "BUILD")
    build.frame_start, build.frame_duration = 1, 4
    obj, cut = modified("Boolean", "BOOLEAN", parts=1)
    obj.data = box_mesh("Cut")
    cut.object = zoo.box("Cutter", 0.8, obj.location, shown=False)
    move(cut.object, "location", (obj.location.x - 0.5, obj.location.y, 0.4), (*obj.location.xy, 0.4))
    _, displace = modified("Displace", "DISPLACE")
    displace.texture = bpy.data.textures.new("Clouds", "CLOUDS")
    move(displace, "strength", 0.8, 0.3)
    obj, ocean = modified("Ocean", "OCEAN", parts=1)
    ocean.geometry_mode, ocean.resolution, ocean.size, ocean.spatial_size = "GENERATE", 3, 0.03, 50
    move(ocean, "time", 1, 2)
    _, wave = modified("Wave", "WAVE")
    wave.height, wave.width = 0.5, 0.5
    obj, remesh = modified("Remesh", "REMESH", parts=1)
    obj.data = box_mesh("Rough")
    remesh.mode, remesh.voxel_size = "VOXEL", 0.2
    obj.shape_key_add(name="Basis")
    key = obj.shape_key_add(name="Wide")
    key.data[7].co.x += 0.5
    move(key, "value", 0, 1)
    _, decimate = modified("Decimate", "DECIMATE")
    move(decimate, "ratio", 0.9, 0.3)
    obj, lattice = modified("Bent", "LATTICE")
    cage = zoo.link("Cage", bpy.data.lattices.new("Cage"), obj.location)
    lattice.object = cage
    move(cage, "scale", (1, 1, 1), (1.2, 1, 1))
    obj, skeleton = modified("Skin", "ARMATURE")
    bones = zoo.link("Bones", bpy.data.armatures.new("Bones"), obj.location)
    bpy.context.view_layer.objects.active = bones
    bpy.ops.object.mode_set(mode="EDIT")
    bones.data.edit_bones.new("Bone").tail = (0, 0, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    skeleton.object = bones
    obj.vertex_groups.new(name="Bone").add(range(40), 1.0, "ADD")
    move(bones.pose.bones["Bone"], "location", (0, 0, 0), (0.3, 0, 0))


def instances(zoo):
    leaves = bpy.data.collections.new("Leaves")
    for index in range(2):
        leaf = bpy.data.objects.new("Leaf", box_mesh("Leaf", 0.4))
        leaf.location.x = 0.6 * index - 0.3
        leaves.objects.link(leaf)
    for name in ("Tree", "Tree2"):
        tree = zoo.link(name, None)
        tree.instance_type, tree.instance_collection = "COLLECTION", leaves
        move(tree, "rotation_euler", (0, 0, 0), (0, 0, 0.5))
    for kind in ("VERTS", "FACES"):
        parent = zoo.sheet(kind, parts=2)
        child = zoo.box(f"Child{kind}", 0.3, (0, 0, 0))
        child.parent, parent.instance_type = parent, kind
        parent.show_instancer_for_render = False
    group, taken, given = geometry_group("Scatter")
    points, mesh = group.nodes.new("GeometryNodeInstanceOnPoints"), group.nodes.new("GeometryNodeMeshCube")
    mesh.inputs["Size"].default_value = (0.3, 0.3, 0.3)
    group.links.new(taken, points.inputs["Points"])
    group.links.new(mesh.outputs["Mesh"], points.inputs["Instance"])
    group.links.new(points.outputs[0], given)
    scatter = zoo.sheet("Scatter", parts=2)
    scatter.modifiers.new("Scatter", "NODES").node_group = group
    move(scatter, "rotation_euler", (0, 0, 0), (0, 0, 0.3))
    group, taken, given = geometry_group("Points")
    points = group.nodes.new("GeometryNodeMeshToPoints")
    points.inputs["Radius"].default_value = 0.15
    group.links.new(taken, points.inputs[0])
    group.links.new(points.outputs[0], given)
    zoo.sheet("Points", parts=3).modifiers.new("Points", "NODES").node_group = group


def simulations(zoo):
    zoo.sheet("Cloth").modifiers.new("Cloth", "CLOTH")
    under = zoo.box("Under", 0.8, zoo.scene.objects["Cloth"].location)
    under.location.z -= 0.5
    under.modifiers.new("Collision", "COLLISION")
    zoo.box("Soft").modifiers.new("Soft", "SOFT_BODY").settings.use_goal = False
    bpy.ops.rigidbody.world_add()
    bpy.context.view_layer.objects.active = zoo.box("Falling")
    bpy.ops.rigidbody.object_add(type="ACTIVE")
    if hasattr(bpy.types, "GeometryNodeSimulationOutput"):  # Since 3.6.
        group, taken, given = geometry_group("Drift")
        first, last = (group.nodes.new(f"GeometryNodeSimulation{end}") for end in ("Input", "Output"))
        first.pair_with_output(last)
        step = group.nodes.new("GeometryNodeSetPosition")
        step.inputs["Offset"].default_value = (0.1, 0.05, 0)
        group.links.new(taken, first.inputs["Geometry"])
        group.links.new(first.outputs["Geometry"], step.inputs[0])
        group.links.new(step.outputs[0], last.inputs["Geometry"])
        group.links.new(last.outputs["Geometry"], given)
        zoo.box("Drift", 0.6).modifiers.new("Drift", "NODES").node_group = group
    for dynamic in (False, True):
        skin = zoo.sheet(f"Fur{dynamic}", parts=2)
        system = skin.modifiers.new("Fur", "PARTICLE_SYSTEM").particle_system
        system.settings.type, system.settings.count, system.settings.hair_length = "HAIR", 12, 0.5
        system.use_hair_dynamics = dynamic
        if not dynamic:
            system.settings.child_type, system.settings.rendered_child_count = "SIMPLE", 3
            move(skin, "location", skin.location[:], (skin.location.x + 0.3, *skin.location.yz))


def paint(zoo):
    canvas = zoo.sheet("Canvas")
    brush = zoo.box("Brush", 0.5, canvas.location, shown=False)
    move(
        brush,
        "location",
        (canvas.location.x - 0.5, canvas.location.y, 0),
        (canvas.location.x + 0.5, canvas.location.y, 0),
    )
    for obj, kind in ((canvas, "CANVAS"), (brush, "BRUSH")):
        obj.modifiers.new("Paint", "DYNAMIC_PAINT").ui_type = kind
        bpy.context.view_layer.objects.active = obj
        bpy.ops.dpaint.type_toggle(type=kind)
    canvas.modifiers["Paint"].canvas_settings.canvas_surfaces[0].surface_type = "WAVE"


def emitters(zoo, flowing):
    drops = bpy.data.collections.new("Drops")
    drops.objects.link(bpy.data.objects.new("Drop", box_mesh("Drop", 0.4)))
    ball = zoo.box("Ball", 0.4, (0, 50, 0))

    def emitter(name, **settings):
        skin = zoo.sheet(name, parts=2)
        skin.show_instancer_for_render = False
        made = skin.modifiers.new(name, "PARTICLE_SYSTEM").particle_system.settings
        made.count, made.frame_start, made.frame_end, made.lifetime = 12, 1, 4, 2
        made.normal_factor, made.object_align_factor = 0, (5, 3, 0)
        made.render_type, made.instance_object, made.particle_size = "OBJECT", ball, 1
        for key, value in settings.items():
            setattr(made, key, value)

    emitter("Births")
    emitter("Collection", render_type="COLLECTION", instance_collection=drops)
    emitter("Turning", use_rotations=True, angular_velocity_mode="RAND", angular_velocity_factor=3, brownian_factor=5)
    emitter("Spinning", use_rotations=True, use_dynamic_rotation=True, angular_velocity_factor=9)
    emitter("Boids", physics_type="BOIDS", lifetime=50)
    if flowing:
        emitter("Fluid", physics_type="FLUID", lifetime=50)
    emitter("Halo", render_type="HALO")
    emitter("Children", child_type="SIMPLE", rendered_child_count=2)
    emitter("Lasting", lifetime=100, frame_end=2)


def main():
    words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    zoo = Zoo()
    if words[0] == "things":
        for part in (object_types, modifiers, instances, simulations):
            part(zoo)
    elif words[0] == "painted":
        paint(zoo)
    else:
        emitters(zoo, flowing=words[0] != "blurred")  # Those are refused.
        zoo.scene.render.use_motion_blur = words[0] != "particles"
    zoo.finish(words[1])


main()
