"""Make scenes of which everything is known: run by a Blender, told what to make by JSON files.

    python build_closed_form.py DESCRIPTION.json SCENE.blend ...
    blender -b --python build_closed_form.py -- DESCRIPTION.json SCENE.blend ...

Meshes come with their vertices, objects and camera with one matrix for each frame; nothing is left to Blender but to
store them. Each frame is a keyframe, so no interpolation takes part. Whatever else a scene is to have is done last:

* `quirks`: pairs of a function of quirks.py and its keyword arguments;
* `set`: expression -> value, such as `scene.render.use_border`;
* `known`: the same, for settings that not every Blender has;
* `keys`: expression -> one value for each frame.

With `evaluated`, what Blender makes of the meshes at each frame is stored beside the .blend, as SCENE.npz.
"""

from __future__ import annotations

import json
import os
import sys

import bpy
import mathutils
import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import quirks


def animate(obj, matrices, first):
    obj.rotation_mode = "QUATERNION"
    for offset, rows in enumerate(matrices):
        location, rotation, scale = mathutils.Matrix(rows).decompose()
        obj.location, obj.rotation_quaternion, obj.scale = location, rotation, scale
        for path in ("location", "rotation_quaternion", "scale"):
            obj.keyframe_insert(path, frame=first + offset)


def add_mesh(scene, spec, first):
    mesh = bpy.data.meshes.new(spec["name"])
    mesh.from_pydata(spec["vertices"], [], spec["faces"])
    for polygon in mesh.polygons:
        polygon.use_smooth = spec["smooth"]
    mesh.materials.append(add_material(spec))
    obj = bpy.data.objects.new(spec["name"], mesh)
    obj["class"] = spec["class"]
    collection(spec.get("collection"), scene).objects.link(obj)
    if "parent" in spec:
        obj.parent = bpy.data.objects[spec["parent"]]
    animate(obj, spec["matrices"], first)
    obj.instance_type = spec.get("instance_type", "NONE")
    if "shape_key" in spec:
        obj.shape_key_add(name="Basis")
        key = obj.shape_key_add(name="Key")
        for point, position in zip(key.data, spec["shape_key"], strict=True):
            point.co = position
        for offset, value in enumerate(spec["shape_key_values"]):
            key.value = value
            key.keyframe_insert("value", frame=first + offset)
    for offset in range(len(spec["matrices"]) if "hidden" in spec else 0):
        obj.hide_render = offset in spec["hidden"]
        obj.keyframe_insert("hide_render", frame=first + offset)
    if "bone" in spec:
        add_bone(scene, obj, spec["bone"], first)
    if "wave" in spec:
        add_wave(obj, spec["wave"])


def collection(name, scene):
    """The scene's own, or one that only instances show."""
    if name is None:
        return scene.collection
    return bpy.data.collections.get(name) or bpy.data.collections.new(name)


def add_material(spec):
    material = bpy.data.materials.new(spec["name"])
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    shader, output = tree.nodes.new("ShaderNodeBsdfDiffuse"), tree.nodes.new("ShaderNodeOutputMaterial")
    shader.inputs["Color"].default_value = (*spec["color"], 1.0)
    surface = shader.outputs[0]
    if "holes" in spec or "alpha" in spec:
        mix, clear = tree.nodes.new("ShaderNodeMixShader"), tree.nodes.new("ShaderNodeBsdfTransparent")
        tree.links.new(shader.outputs[0], mix.inputs[1])
        tree.links.new(clear.outputs[0], mix.inputs[2])
        if "holes" in spec:
            tree.links.new(add_holes(tree, spec["holes"]), mix.inputs[0])
        else:
            mix.inputs[0].default_value = 1.0 - spec["alpha"]
        surface = mix.outputs[0]
    tree.links.new(surface, output.inputs[0])
    return material


def math(tree, operation, *operands):
    """A value computed from sockets and numbers."""
    node = tree.nodes.new("ShaderNodeMath")
    node.operation = operation
    for socket, operand in zip(node.inputs, operands, strict=False):
        if isinstance(operand, (int, float)):
            socket.default_value = operand
        else:
            tree.links.new(operand, socket)
    return node.outputs[0]


def add_holes(tree, kind):
    """1 where there is a hole, else 0; from object coordinates, by steps that are exact in float32 but for rounding."""
    place, axes = tree.nodes.new("ShaderNodeTexCoord"), tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(place.outputs["Object"], axes.inputs[0])
    x, y = axes.outputs[0], axes.outputs[1]
    if kind == "half":
        return math(tree, "GREATER_THAN", x, 0.25)
    if kind == "disc":
        square = math(tree, "ADD", math(tree, "MULTIPLY", x, x), math(tree, "MULTIPLY", y, y))
        return math(tree, "LESS_THAN", square, 0.25)
    assert kind == "checker", kind
    cells = [math(tree, "FLOOR", math(tree, "MULTIPLY", axis, 4.0)) for axis in (x, y)]
    return math(tree, "MODULO", math(tree, "ABSOLUTE", math(tree, "ADD", *cells)), 2.0)


def add_bone(scene, obj, spec, first):
    """A bone along y whose pose is given in the object's space."""
    armature = bpy.data.objects.new("Armature", bpy.data.armatures.new("Armature"))
    scene.collection.objects.link(armature)
    armature.parent = obj  # So that the armature's space is the object's.
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    bone = armature.data.edit_bones.new("Bone")
    bone.head, bone.tail, bone.roll = (0, 0, 0), (0, 1, 0), 0.0
    still = armature.data.edit_bones.new("Still")
    still.head, still.tail, still.roll = (0, 0, 0), (0, 1, 0), 0.0
    bpy.ops.object.mode_set(mode="OBJECT")
    moving, resting = obj.vertex_groups.new(name="Bone"), obj.vertex_groups.new(name="Still")
    for index, weight in enumerate(spec["weights"]):
        moving.add([index], weight, "REPLACE")
        resting.add([index], 1.0 - weight, "REPLACE")
    obj.modifiers.new("Armature", "ARMATURE").object = armature
    posed = armature.pose.bones["Bone"]
    posed.rotation_mode = "QUATERNION"
    for offset, rows in enumerate(spec["poses"]):
        posed.rotation_quaternion = mathutils.Matrix(rows).to_quaternion()
        posed.keyframe_insert("rotation_quaternion", frame=first + offset)


class Nodes:
    """A geometry node tree from geometry to geometry, and how to build it."""

    def __init__(self, obj):
        self.tree = bpy.data.node_groups.new(obj.name, "GeometryNodeTree")
        for name in ("INPUT", "OUTPUT"):
            if hasattr(self.tree, "interface"):
                self.tree.interface.new_socket("Geometry", in_out=name, socket_type="NodeSocketGeometry")
            else:
                getattr(self.tree, f"{name.lower()}s").new("NodeSocketGeometry", "Geometry")
        self.geometry = self.tree.nodes.new("NodeGroupInput").outputs[0]
        obj.modifiers.new("Nodes", "NODES").node_group = self.tree

    def add(self, kind, **inputs):
        node = self.tree.nodes.new(kind)
        for name, value in inputs.items():
            socket = node.inputs[name.replace("_", " ")]
            if isinstance(value, bpy.types.NodeSocket):
                self.tree.links.new(value, socket)
            else:
                socket.default_value = value
        return node

    def vector(self, **axes):
        return self.add("ShaderNodeCombineXYZ", **axes).outputs[0]

    def finish(self, *geometries):
        join = self.tree.nodes.new("GeometryNodeJoinGeometry")
        for geometry in geometries:
            self.tree.links.new(geometry, join.inputs[0])
        self.tree.links.new(join.outputs[0], self.tree.nodes.new("NodeGroupOutput").inputs[0])


def add_wave(obj, spec):
    """z += height * sin(x / length + speed * frame)."""
    nodes = Nodes(obj)
    axes = nodes.add("ShaderNodeSeparateXYZ", Vector=nodes.add("GeometryNodeInputPosition").outputs[0])
    frame = nodes.add("GeometryNodeInputSceneTime").outputs["Frame"]
    phase = math(
        nodes.tree, "ADD", math(nodes.tree, "DIVIDE", axes.outputs[0], spec["length"]),
        math(nodes.tree, "MULTIPLY", frame, spec["speed"]),
    )  # fmt: skip
    up = math(nodes.tree, "MULTIPLY", math(nodes.tree, "SINE", phase), spec["height"])
    moved = nodes.add("GeometryNodeSetPosition", Geometry=nodes.geometry, Offset=nodes.vector(Z=up))
    nodes.finish(moved.outputs[0])


def add_scatter(obj, spec, first):
    """Copies of an object, and above them of a cube, on every vertex; the vertices rise by `drift` each frame."""
    nodes = Nodes(obj)
    points = nodes.geometry
    if spec["drift"]:
        since = math(nodes.tree, "SUBTRACT", nodes.add("GeometryNodeInputSceneTime").outputs["Frame"], float(first))
        up = nodes.vector(Z=math(nodes.tree, "MULTIPLY", since, spec["drift"]))
        points = nodes.add("GeometryNodeSetPosition", Geometry=points, Offset=up).outputs[0]
    info = nodes.add("GeometryNodeObjectInfo", Object=bpy.data.objects[spec["object"]], As_Instance=True)
    copies = nodes.add(
        "GeometryNodeInstanceOnPoints", Points=points, Instance=info.outputs["Geometry"],
        Rotation=(0.0, 0.0, spec["turn"]), Scale=[spec["scale"]] * 3,
    )  # fmt: skip
    cube = nodes.add("GeometryNodeMeshCube", Size=[spec["cube"]] * 3)
    above = nodes.add("GeometryNodeSetPosition", Geometry=points, Offset=(0.0, 0.0, spec["above"]))
    cubes = nodes.add("GeometryNodeInstanceOnPoints", Points=above.outputs[0], Instance=cube.outputs[0])
    nodes.finish(copies.outputs[0], cubes.outputs[0])


def add_particles(obj, spec, first):
    """One particle on each vertex, born before the animation, that goes with its emitter."""
    obj.modifiers.new("Particles", "PARTICLE_SYSTEM")
    settings = obj.particle_systems[0].settings
    settings.count = len(obj.data.vertices)
    settings.emit_from, settings.use_emit_random, settings.physics_type = "VERT", False, "NO"
    settings.frame_start = settings.frame_end = first - 1
    settings.lifetime = 1000
    settings.render_type, settings.instance_object = "OBJECT", bpy.data.objects[spec["object"]]
    settings.particle_size = spec["size"]
    obj.show_instancer_for_render = False


def add_instancer(scene, spec, first):
    obj = bpy.data.objects.new(spec["name"], None)
    obj.instance_type, obj.instance_collection = "COLLECTION", collection(spec["of"], scene)
    collection(spec.get("in"), scene).objects.link(obj)
    animate(obj, spec["matrices"], first)


def owner(data, name):
    """Panoramas' settings were Cycles' own in 3.4."""
    return data if hasattr(data, name) else data.cycles


def add_camera(scene, spec, first):
    data = bpy.data.cameras.new("Camera")
    for name, value in spec["data"].items():
        setattr(owner(data, name), name, value)
    camera = bpy.data.objects.new("Camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    animate(camera, spec["matrices"], first)
    for name, values in spec.get("animated", {}).items():
        for offset, value in enumerate(values):
            setattr(owner(data, name), name, value)
            owner(data, name).keyframe_insert(name, frame=first + offset)


def add_cut(scene, spec, first):
    """Another camera with the same lens takes over at a frame, by markers."""
    camera = bpy.data.objects.new("Other", scene.camera.data)
    scene.collection.objects.link(camera)
    animate(camera, spec["matrices"], first)
    for name, frame, bound in (("First", first, scene.camera), ("Cut", spec["frame"], camera)):
        scene.timeline_markers.new(name, frame=frame).camera = bound


def add_fog(scene, density):
    scene.world = bpy.data.worlds.new("Fog")
    scene.world.use_nodes = True
    tree = scene.world.node_tree
    tree.nodes.clear()
    scatter, output = tree.nodes.new("ShaderNodeVolumeScatter"), tree.nodes.new("ShaderNodeOutputWorld")
    scatter.inputs["Density"].default_value = density
    tree.links.new(scatter.outputs[0], output.inputs["Volume"])


def assign(scene, path, value):
    if value == "EEVEE":
        value = "BLENDER_EEVEE_NEXT" if (4, 2, 0) <= bpy.app.version < (5, 0, 0) else "BLENDER_EEVEE"
    exec(f"{path} = value", {"scene": scene, "bpy": bpy, "value": value})


def apply_quirks(scene, spec, first):
    for name, arguments in spec.get("quirks", []):
        getattr(quirks, name)(scene, first, **arguments)
    for path, value in spec.get("set", {}).items():
        assign(scene, path, value)
    for path, value in spec.get("known", {}).items():
        owner, name = path.rsplit(".", 1)
        if hasattr(eval(owner, {"scene": scene, "bpy": bpy}), name):
            assign(scene, path, value)
    for path, values in spec.get("keys", {}).items():
        owner, name = path.rsplit(".", 1)
        for offset, value in enumerate(values):
            assign(scene, path, value)
            eval(owner, {"scene": scene, "bpy": bpy}).keyframe_insert(name, frame=first + offset)


def store_evaluated(scene, frames, path):
    """World vertices (frame, V, 3) and triangles (T, 3) of all that shows, as Blender moves, bends and copies it."""
    vertices, triangles = {}, {}
    for frame in frames:
        scene.frame_set(frame)
        count = {}
        for copy in bpy.context.evaluated_depsgraph_get().object_instances:
            name = copy.object.original.name
            # A curve is listed once more, as an instance of the mesh that is made from it.
            itself = copy.is_instance and copy.parent.original == copy.object.original
            if itself or copy.object.type not in ("MESH", "CURVE", "FONT") or bpy.data.objects[name].hide_render:
                continue
            key = f"{name}|{count.setdefault(name, 0)}"
            count[name] += 1
            mesh = copy.object.to_mesh()
            mesh.calc_loop_triangles()
            if not len(mesh.loop_triangles):
                continue
            local, matrix = np.array([vertex.co for vertex in mesh.vertices], np.float64), np.array(copy.matrix_world)
            vertices.setdefault(key, []).append(local @ matrix[:3, :3].T + matrix[:3, 3])
            triangles[key] = np.array([triangle.vertices[:] for triangle in mesh.loop_triangles])
    arrays = {f"{key}|vertices": np.stack(value) for key, value in vertices.items()}
    np.savez(path, **arrays, **{f"{key}|triangles": value for key, value in triangles.items()})


def build(spec, blend):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.fps = spec["fps"]
    scene.frame_start, scene.frame_end = spec["frame_start"], spec["frame_end"]
    for name, value in spec.get("render", {}).items():
        setattr(scene.render, name, value)
    # One keyframe before the first frame and one after the last: flow looks there too.
    first = spec["frame_start"] - 1
    for mesh in spec["meshes"]:
        add_mesh(scene, mesh, first)
    for name, offset in spec.get("collections", {}).items():
        collection(name, scene).instance_offset = offset
    for instancer in spec.get("instancers", []):
        add_instancer(scene, instancer, first)
    for mesh in spec["meshes"]:
        for name, add in (("nodes", add_scatter), ("particles", add_particles)):
            if name in mesh:
                add(bpy.data.objects[mesh["name"]], mesh[name], first)
    if spec["camera"] is not None:
        add_camera(scene, spec["camera"], first)
    if "fog" in spec:
        add_fog(scene, spec["fog"])
    if "cut" in spec:
        add_cut(scene, spec["cut"], first)
    for name, value in spec.get("dof", {}).items():
        setattr(scene.camera.data.dof, name, value)
    light = bpy.data.lights.new("Sun", "SUN")
    light.energy = 3.0
    sun = bpy.data.objects.new("Sun", light)
    sun.rotation_euler = (0.6, 0.3, 0.2)
    scene.collection.objects.link(sun)
    apply_quirks(scene, spec, first)
    if spec.get("evaluated"):
        store_evaluated(scene, range(first, spec["frame_end"] + 2), blend[: -len(".blend")] + ".npz")
    bpy.ops.wm.save_as_mainfile(filepath=blend, compress=True)


def main():
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    for description, blend in zip(arguments[::2], arguments[1::2], strict=True):
        with open(description) as stream:
            build(json.load(stream), blend)


main()
