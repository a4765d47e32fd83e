"""Run inside Blender: scenes whose camera is moved by something else, each in its own way. Arguments: the folder.

In each of them `Bystander`, which the camera does not depend on, moves as well.
"""

import sys

import bpy

FRAMES = (1, 4)


def add(name, data=None):
    obj = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def mover(name="Mover"):
    """An empty that moves from x = -3 to x = 3."""
    obj = add(name)
    for frame, x in zip(FRAMES, (-3.0, 3.0), strict=True):
        obj.location.x = x
        obj.keyframe_insert("location", index=0, frame=frame)
    return obj


def armature(name="Arm"):
    obj = add(name, bpy.data.armatures.new(name))
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    bone = obj.data.edit_bones.new("Bone")
    bone.head, bone.tail = (0, 0, 0), (0, 0, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    return obj


def mesh(name="Mesh"):
    data = bpy.data.meshes.new(name)
    data.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    return add(name, data)


def drive(owner, path, target, target_path, index=-1):
    curve = owner.driver_add(path, index)
    driver = (curve[0] if isinstance(curve, list) else curve).driver
    driver.type = "AVERAGE"
    variable = driver.variables.new()
    variable.targets[0].id_type = type(target).__name__.upper()
    variable.targets[0].id, variable.targets[0].data_path = target, target_path


def path(camera):
    curve = bpy.data.curves.new("Path", "CURVE")
    curve.dimensions, curve.use_path = "3D", True
    spline = curve.splines.new("POLY")
    spline.points.add(1)
    spline.points[0].co, spline.points[1].co = (-3, 0, 10, 1), (3, 0, 10, 1)
    camera.constraints.new("FOLLOW_PATH").target = add("Path", curve)
    for frame, value in zip(FRAMES, (0.0, 100.0), strict=True):
        curve.eval_time = value
        curve.keyframe_insert("eval_time", frame=frame)


def target_on_a_mover(camera):
    mount = add("Mount")
    mount.parent = mover()
    camera.constraints.new("COPY_LOCATION").target = mount


def driver(camera):
    drive(camera, "location", mover(), "location.x", 0)


def driver_of_a_material(camera):
    """The camera reads a material, which reads a mover."""
    material = bpy.data.materials.new("Dial")
    material.use_fake_user, material["dial"] = True, 0.0  # A driver that reads it is no user.
    drive(material, '["dial"]', mover(), "location.x")
    drive(camera, "location", material, '["dial"]', 2)


def bone(camera):
    """A bone's constraint has the target that moves."""
    arm = armature()
    camera.parent, camera.parent_type, camera.parent_bone = arm, "BONE", "Bone"
    arm.pose.bones["Bone"].constraints.new("COPY_LOCATION").target = mover()


def armature_constraint(camera):
    arm = armature()
    bone = arm.pose.bones["Bone"]
    for frame, x in zip(FRAMES, (-3.0, 3.0), strict=True):
        bone.location.x = x
        bone.keyframe_insert("location", index=0, frame=frame)
    constraint = camera.constraints.new("ARMATURE")
    target = constraint.targets.new()
    target.target, target.subtarget = arm, "Bone"


def shape_key(camera):
    """The camera hangs on a vertex, which a shape key moves."""
    obj = mesh()
    obj.shape_key_add(name="Basis")
    key = obj.shape_key_add(name="Key")
    key.data[0].co = (0, 0, 5)
    for frame, value in zip(FRAMES, (0.0, 1.0), strict=True):
        key.value = value
        key.keyframe_insert("value", frame=frame)
    camera.parent, camera.parent_type, camera.parent_vertices = obj, "VERTEX", (0, 1, 2)


def hook(camera):
    """The camera hangs on a vertex, which a modifier ties to a mover."""
    obj = mesh()
    group = obj.vertex_groups.new(name="All")
    group.add([0, 1, 2], 1.0, "REPLACE")
    modifier = obj.modifiers.new("Hook", "HOOK")
    modifier.object, modifier.vertex_group = mover(), "All"
    camera.parent, camera.parent_type, camera.parent_vertices = obj, "VERTEX", (0, 1, 2)


def strip(camera):
    camera.parent = carrier = mover()
    data = carrier.animation_data
    track, action = data.nla_tracks.new(), data.action
    track.strips.new(action.name, FRAMES[0], action)
    data.action = None


def shared_action(camera):
    """The bystander moves by the same keys as the camera's parent."""
    camera.parent = carrier = mover()
    data = bpy.data.objects["Bystander"].animation_data
    data.action = carrier.animation_data.action
    if hasattr(data, "action_slot"):
        data.action_slot = carrier.animation_data.action_slot


def lens(camera):
    drive(camera.data, "lens", mover(), "location.x")
    curve = camera.data.animation_data.drivers[0]
    curve.modifiers.remove(curve.modifiers[0]) if len(curve.modifiers) else None
    curve.driver.type, curve.driver.expression = "SCRIPTED", "30 + 2 * var"


CASES = (
    path, target_on_a_mover, driver, driver_of_a_material, bone, armature_constraint, shape_key, hook, strip,
    shared_action, lens,
)  # fmt: skip


def main():
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    for case in CASES:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        scene = bpy.context.scene
        scene.render.engine, scene.frame_start, scene.frame_end = "CYCLES", *FRAMES
        scene.camera = add("Camera", bpy.data.cameras.new("Camera"))
        mover("Bystander")
        case(scene.camera)
        bpy.ops.wm.save_as_mainfile(filepath=f"{arguments[0]}/{case.__name__}.blend")


main()
