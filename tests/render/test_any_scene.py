"""Whatever a scene does, its ground truth is exact and its picture is what Blender itself renders.

Every case is a scene with something unusual. All are built by one Blender, rendered in one run with ground truth and
in one without, and rendered by plain bpy; then each is looked at by itself.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.reference.raycast import Body, cast
from tests.render.closed_form import FRAME_START, ClosedForm, build_all, closed_form, look_at, plane, pose, triangles
from tests.render.conftest import EXECUTABLE
from tests.render.errors import edges
from visionsim.io.exr import read_exr
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.run import AnimationRequest, DatasetRequest, run

HERE = Path(__file__).parent
SIZE = {"width": 96, "height": 64}
FRAMES = (FRAME_START, FRAME_START + 1)
BASE = functools.partial(closed_form, **SIZE, ball=(20, 10), smooth=False)

PLAIN = {
    "scene.render.use_multiview": False,
    "scene.render.use_single_layer": False,
    "scene.render.use_border": False,
    "scene.render.use_stamp": False,
    "scene.render.use_sequencer": False,
    "scene.cycles.time_limit": 0.0,
}
"""What the run decides besides its RenderConfig, for the plain renders."""


@dataclass(frozen=True)
class Case:
    """A scene: the usual one, with something done to it."""

    quirks: tuple[tuple[str, dict[str, Any]], ...] = ()
    set: dict[str, Any] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)
    """Settings that not every Blender has."""
    keys: dict[str, list[Any]] = field(default_factory=dict)
    deforming: bool = False
    change: Callable[[ClosedForm], None] | None = None
    """What it does to the truth."""
    evaluated: bool = False
    """Blender tells the truth at each frame: it is Blender's own motion or deformation."""
    still_settings: bool = False
    """The plain render is that of the scene without the animation of its settings."""
    refused: str = ""
    """Part of the message with which its frames are refused."""
    vectors: bool = False
    """Flow comes from Blender's vector pass."""
    notes: tuple[str, ...] = ()
    """Parts of the sentences that tell the user what is done; nothing else may be said."""


def quirk(name: str, /, **arguments: Any) -> tuple[str, dict[str, Any]]:
    return name, arguments


def from_behind(scene: ClosedForm) -> None:
    """The other camera of `marker_cameras` takes over at the second frame."""
    camera = scene.camera
    fx = 28.0 / 36.0 * camera.width
    for time, matrix in enumerate(SECOND_CAMERA):
        if time >= 2:
            camera.c2w[time] = matrix
            camera.fx[time] = camera.fy[time] = fx
            camera.cx[time] = camera.width / 2 - 0.05 * camera.width


def zoom(scene: ClosedForm) -> None:
    camera = scene.camera
    for time in range(5):
        camera.fx[time] = camera.fy[time] = ZOOM[time] / 36.0 * camera.width
        camera.cx[time] = camera.width / 2 - SHIFT[time] * camera.width


def without(*names: str) -> Callable[[ClosedForm], None]:
    def change(scene: ClosedForm) -> None:
        scene.bodies[:] = [body for body in scene.bodies if body.name not in names]

    return change


def card(scene: ClosedForm, name: str, x: float, z: float = 1.0) -> None:
    """A square of half a metre that faces the camera, 3 m in front of the wall."""
    vertices, faces = plane(0.7)
    turn = look_at((x, -5, z), (x, 0, z))
    matrices = [pose((x, -3.0, z), turn) for _ in range(5)]
    scene.bodies.append(Body(name, vertices, triangles(faces), matrices))
    scene.description["meshes"].append(
        {
            "name": name, "class": "card", "vertices": vertices.tolist(), "faces": faces, "smooth": False,
            "color": [0.5, 0.5, 0.5], "matrices": [m.tolist() for m in matrices],
        }
    )  # fmt: skip


def cards(*positions: float) -> Callable[[ClosedForm], None]:
    def change(scene: ClosedForm) -> None:
        for i, x in enumerate(positions):
            card(scene, f"Card.{i}", x)

    return change


def cut_outs(scene: ClosedForm) -> None:
    cards(-1.2, -0.4, 0.4, 1.2)(scene)
    scene.bodies[:] = [body for body in scene.bodies if body.name != "Card.0"]


def holes(scene: ClosedForm) -> None:
    """What is held out is a hole in the ground truth as it is in the picture: a body that has no id."""
    cards(-1.2, -0.4, 0.4)(scene)
    for body in scene.bodies:
        if body.name in ("Card.0", "Card.1"):
            body.name = ""


SECOND_CAMERA = [
    pose((1.5 + 0.1 * t, -6, 2 + 0.05 * t), look_at((1.5 + 0.1 * t, -6, 2), (0, 0.5, 1))) for t in range(5)
]
ZOOM = [30.0 + 2 * t for t in range(5)]
SHIFT = [0.02 * t for t in range(5)]
CAMERA = 'scene.objects["Camera"]'
BALL = 'scene.objects["Ball.Still"]'
MOVING = 'scene.objects["Ball.Moving"]'

BLURRED = {
    "scene.render.use_motion_blur": True,
    f"{CAMERA}.data.dof.aperture_fstop": 0.3,
    f"{CAMERA}.data.dof.focus_distance": 5.0,
    f"{MOVING}.cycles.motion_steps": 3,
}

CASES = {
    "depth of field, motion blur": Case(
        set={**BLURRED, "scene.cycles.rolling_shutter_type": "TOP", f"{BALL}.cycles.use_motion_blur": False},
        keys={
            f"{CAMERA}.data.dof.use_dof": [False, True, True, False, True],
            "scene.render.motion_blur_shutter": [0.2, 0.5, 1.0, 0.3, 0.2],
        },
    ),
    "deforming, motion blur": Case(
        deforming=True,
        vectors=True,
        set={
            **BLURRED,
            f"{CAMERA}.data.dof.use_dof": True,
            'scene.objects["Ball.Turning"].cycles.use_deform_motion': False,
            f"{MOVING}.cycles.use_motion_blur": False,
        },
    ),
    "compositor": Case(quirks=(quirk("compositor", output="FOLDER/stray"),), notes=("File Output",)),
    "compositor off": Case(
        quirks=(quirk("compositor"), quirk("sequencer")),
        set={"scene.render.use_compositing": False},
        notes=("sequencer",),
    ),
    "compositor, other scene": Case(quirks=(quirk("other_scene_in_compositor"),)),
    "view layers": Case(
        quirks=(quirk("layers"),), set={"scene.render.use_single_layer": True}, notes=("number of samples",)
    ),
    "overrides": Case(quirks=(quirk("overrides"),)),
    "render settings": Case(
        set={
            "scene.render.use_border": True,
            "scene.render.use_crop_to_border": True,
            "scene.render.border_max_x": 0.5,
            "scene.render.resolution_percentage": 50,
            "scene.render.use_multiview": True,
            "scene.render.dither_intensity": 2.0,
            "scene.render.film_transparent": True,
            "scene.render.image_settings.color_mode": "RGBA",
            "scene.render.use_lock_interface": True,
            "scene.render.use_persistent_data": False,
            "scene.render.threads_mode": "FIXED",
            "scene.render.threads": 1,
            "scene.cycles.pixel_filter_type": "GAUSSIAN",
            "scene.cycles.filter_width": 5.0,
            "scene.cycles.sample_clamp_direct": 0.5,
            "scene.cycles.time_limit": 0.001,
            "scene.cycles.transparent_max_bounces": 0,
            "scene.cycles.min_transparent_bounces": 0,
            "scene.frame_step": 2,
        },
        known={
            "scene.cycles.use_light_tree": True,
            "scene.cycles.sample_offset": 1,
            "scene.cycles.use_sample_subset": True,
            "scene.cycles.sample_subset_length": 1,
        },
        notes=("border", "stereo", "time limit", "percentage"),
    ),
    "tiles": Case(
        set={
            "scene.cycles.use_auto_tile": True,
            "scene.cycles.tile_size": 32,
            "scene.render.image_settings.color_mode": "BW",
        },
    ),
    "keyframed settings": Case(
        quirks=(quirk("animated_settings", how="keys"),),
        still_settings=True,
        notes=("animation of", "border", "percentage"),
    ),
    "driven settings": Case(
        quirks=(quirk("animated_settings", how="driver"),), still_settings=True, notes=("animation of",)
    ),
    "settings in the NLA": Case(
        quirks=(quirk("animated_settings", how="nla"),),
        still_settings=True,
        notes=("animation of", "border", "percentage"),
    ),
    "animated look": Case(
        keys={
            "scene.view_settings.exposure": [0.0, 1.0, 2.0, 0.0, 0.0],
            'scene.objects["Sun"].data.energy': [1.0, 2.0, 4.0, 5.0, 6.0],
            f"{CAMERA}.data.dof.focus_distance": [1.0, 2.0, 3.0, 4.0, 5.0],
        },
        set={f"{CAMERA}.data.dof.use_dof": True, f"{CAMERA}.data.dof.aperture_fstop": 0.1},
    ),
    "simplify": Case(quirks=(quirk("subdivided"),), vectors=True, notes=("Simplify",)),
    "hidden from the camera": Case(quirks=(quirk("hidden_from_camera"),)),
    "hidden in the viewport": Case(quirks=(quirk("hidden_in_viewport"),)),
    "hidden at times": Case(
        keys={
            f"{BALL}.hide_render": [False, False, True, True, False],
            f"{MOVING}.visible_camera": [True, True, False, False, True],
        },
    ),
    "camera markers": Case(
        quirks=(quirk("marker_cameras", matrices=[m.tolist() for m in SECOND_CAMERA], cut=FRAMES[1]),),
        change=from_behind,
    ),
    "camera markers, deforming": Case(
        quirks=(quirk("marker_cameras", matrices=[m.tolist() for m in SECOND_CAMERA], cut=FRAMES[1]),),
        change=from_behind,
        deforming=True,
        vectors=True,
        refused="the camera changes next to this frame",
        notes=("markers switch",),
    ),
    "animated lens": Case(
        keys={f"{CAMERA}.data.lens": ZOOM, f"{CAMERA}.data.shift_x": SHIFT},
        change=zoom,
    ),
    "Workbench": Case(set={"scene.render.engine": "BLENDER_WORKBENCH"}, notes=("Workbench",)),
    "EEVEE": Case(set={"scene.render.engine": "EEVEE"}, notes=("EEVEE",)),
    "several scenes": Case(quirks=(quirk("two_scenes"),)),
    "library": Case(quirks=(quirk("from_library", path="FOLDER/library.blend"),)),
    "cut-outs": Case(
        quirks=(
            quirk("give_material", name="Card.0", kind="Diffuse", alpha=0.0),
            quirk("give_material", name="Card.1", kind="Diffuse", alpha=0.1),
            quirk("give_material", name="Card.2", kind="Diffuse", alpha=0.7),
            quirk("give_material", name="Card.3", kind="Glass"),
            quirk("clear_screens", count=12),
        ),
        set={'scene.view_layers["ViewLayer"].pass_alpha_threshold': 0.9},
        change=cut_outs,
    ),
    "holdout": Case(
        quirks=(quirk("hold_out", name="Card.1"),),
        set={
            'scene.objects["Card.0"].is_holdout': True,
            'scene.objects["Card.2"].is_shadow_catcher': True,
            "scene.render.film_transparent": True,
        },
        change=holes,
    ),
    "fog": Case(quirks=(quirk("fog"),)),
    "pass indices used": Case(quirks=(quirk("colour_by_index"),)),
    "freestyle": Case(quirks=(quirk("freestyle"),), notes=("Freestyle",)),
    "ways to move": Case(quirks=(quirk("rigid_motions"),), evaluated=True),
    "flat": Case(quirks=(quirk("flat"),), evaluated=True),
    "children as instances": Case(quirks=(quirk("children_as_instances"),), evaluated=True, vectors=True),
    "shaped by rigs": Case(quirks=(quirk("rigged"),), evaluated=True, vectors=True),
    "lattice as a parent": Case(
        quirks=(quirk("lattice_as_parent"),), notes=("'Caged' gets its shape from its parent",), vectors=True
    ),
    "shaped by curves": Case(quirks=(quirk("shaped_by_curves"),), evaluated=True, vectors=True),
    "handler": Case(quirks=(quirk("handler"),), evaluated=True, vectors=True),
}


@dataclass
class Rendered:
    folder: Path
    scenes: dict[str, ClosedForm]
    failures: dict[str, str]
    notes: dict[str, list[str]]
    log: str

    def sequence(self, name: str, data: str = "data") -> Path:
        return self.folder / data / "renders" / name / f"001-{FRAMES[0]:05d}-{FRAMES[-1] + 1:05d}"

    def read(self, name: str, kind: str, frame: int, channels: str) -> np.ndarray:
        stem = {"depths": "depth", "normals": "normal", "segmentations": "segmentation", "flows": "flow"}[kind]
        pixels = read_exr(self.sequence(name) / kind / f"{stem}_{frame:06d}.exr")
        return np.squeeze(np.stack([pixels[channel] for channel in channels], axis=-1))


def in_folder(value: Any, folder: Path) -> Any:
    """With FOLDER in texts replaced."""
    return json.loads(json.dumps(value).replace("FOLDER", str(folder)))


@pytest.fixture(scope="module")
def rendered(request, tmp_path_factory, scripts) -> Rendered:
    folder = tmp_path_factory.mktemp("any-scene")
    (folder / "scenes").mkdir()
    scenes = {}
    # Only what the chosen tests look at.
    tests = [item for item in request.session.items if item.module is request.module and hasattr(item, "callspec")]
    cases = {name: CASES[name] for name in sorted({item.callspec.params["name"] for item in tests})}
    for name, case in cases.items():
        scene = BASE(deforming=case.deforming)
        if case.change:
            case.change(scene)
        scene.description.update(
            quirks=in_folder(case.quirks, folder), set=case.set, known=case.known, keys=case.keys,
            evaluated=case.evaluated,
        )  # fmt: skip
        scenes[name] = scene
    blends = {name: folder / "scenes" / f"{name}.blend" for name in cases}
    build_all(scripts, {blends[name]: scenes[name] for name in cases})

    config = RenderConfig(
        executable=EXECUTABLE, **SIZE, max_samples=2, use_denoising=False, log_dir=folder, autoexec=True, seed=3,
        depths=True, normals=True, flows=True, segmentations=True,
    )  # fmt: skip
    only_pictures = dict.fromkeys(("depths", "normals", "flows", "segmentations"), False)
    wanted = DatasetRequest(folder / "scenes", folder / "data", num_frames=len(FRAMES))
    report = run(wanted, config, observe=lambda event: None)
    log = (folder / "worker-00.log").read_text()
    wanted = dataclasses.replace(wanted, datasets_dir=folder / "pictures")
    run(wanted, dataclasses.replace(config, **only_pictures), observe=lambda event: None)

    assert not (folder / "stray").exists()  # Plain Blender is going to write it.

    names = "width height max_samples adaptive_threshold use_denoising seed file_format bit_depth".split()
    plain = [
        {
            **{key: getattr(config, key) for key in names}, "blend": str(blends[name]), "frames": FRAMES,
            "output": str(folder / f"{name} %d.png"), "set": PLAIN, "still_settings": case.still_settings,
            "autoexec": True,
        }
        for name, case in cases.items()
    ]  # fmt: skip
    (folder / "plain.json").write_text(json.dumps(plain))
    scripts.run(HERE / "plain_render.py", folder / "plain.json")
    failures = {failure.scene: failure.message for failure in report.failures}
    notes = {name: [note for note in report.notes if note.startswith(f"Scene {name}: ")] for name in cases}
    return Rendered(folder, scenes, failures, notes, log)


@functools.cache
def usual_truth(deforming: bool, time: int) -> dict[str, np.ndarray]:
    scene = BASE(deforming=deforming)
    return cast(scene.bodies, scene.camera, time)


def bodies_of(path: Path) -> list[Body]:
    """What build_closed_form.py stored of the scene as Blender evaluates it."""
    stored = np.load(path)
    bodies = []
    for key in stored.files:
        name, number, what = key.split("|")
        if what == "vertices":
            vertices = stored[key]
            nothing = np.zeros_like(vertices[0])
            faces = stored[f"{name}|{number}|triangles"]
            bodies.append(Body(name, nothing, faces, [np.eye(4)] * len(vertices), offsets=list(vertices)))
    return bodies


def truth_of(rendered: Rendered, name: str, time: int) -> tuple[list[str], dict[str, np.ndarray]]:
    """Names of the bodies, and what a ray through each pixel hits."""
    case, scene = CASES[name], rendered.scenes[name]
    bodies = list(scene.bodies)
    if case.evaluated:
        bodies = bodies_of(rendered.folder / "scenes" / f"{name}.npz")
    elif case.keys.get(f"{BALL}.hide_render", [False] * 5)[time]:
        bodies = [body for body in bodies if body.name not in ("Ball.Still", "Ball.Moving")]
    elif not case.change:
        return [body.name for body in bodies], usual_truth(case.deforming, time)
    truth = cast(bodies, scene.camera, time)
    names = [body.name for body in bodies]
    for number, body_name in enumerate(names, start=1):
        if not body_name:
            truth["depth"][truth["body"] == number] = np.inf
            truth["body"][truth["body"] == number] = 0
    return names, truth


@pytest.mark.parametrize("name", CASES)
def test_ground_truth_matches_geometry(rendered: Rendered, name: str) -> None:
    case = CASES[name]
    if case.refused:
        assert case.refused in rendered.failures[name]
        assert not list(rendered.sequence(name).rglob("*.exr"))
        return
    assert name not in rendered.failures, rendered.failures[name]
    transforms = json.loads((rendered.sequence(name) / "transforms.json").read_text())
    # Linked objects are called after their library too.
    labels = {int(key): label["name"].split(" [")[0] for key, label in transforms["labels"].items()}
    for time, frame in enumerate(FRAMES, start=1):
        names, truth = truth_of(rendered, name, time)
        numbers = rendered.read(name, "segmentations", frame, "Y")
        # Several bodies may have one name (copies), and several ids too.
        known = {body_name: i for i, body_name in enumerate(dict.fromkeys(names), start=1)}
        true_ids = np.array([0, *(known[body_name] for body_name in names)])[truth["body"]]
        ids = np.vectorize(lambda number: known.get(labels[number], -1) if number else 0)(numbers)  # noqa: B023
        inner = ~edges(truth["body"])
        assert (ids != true_ids)[inner].sum() == 0
        assert (ids != true_ids).sum() <= 1

        same = ids == true_ids
        hit = same & (true_ids > 0)
        assert hit.sum() > 0.5 * ids.size
        depth = rendered.read(name, "depths", frame, "Y")
        assert np.isposinf(depth[same & (true_ids == 0)]).all()
        error = np.abs(depth[hit] / truth["depth"][hit] - 1)
        assert error[inner[hit]].max() <= 1e-5
        assert np.quantile(error, 0.99) <= 1e-4

        normals = rendered.read(name, "normals", frame, "RGB")
        assert np.abs(np.linalg.norm(normals[hit], axis=-1) - 1).max() <= 1e-4
        assert np.all(normals[ids == 0] == 0)
        if not case.evaluated:
            angle = np.degrees(2 * np.arcsin(np.minimum(np.linalg.norm(normals - truth["normal"], axis=-1) / 2, 1)))
            assert angle[hit & inner].max() <= 0.05

        flow = rendered.read(name, "flows", frame, "RGBA")
        assert np.abs(truth["forward"][hit & inner]).max() > 1
        for channels, direction in ((flow[..., :2], "forward"), (flow[..., 2:], "backward")):
            # A point that goes behind the camera has no image there.
            seen = hit & inner & (np.abs(truth[direction]).max(-1) < 1000)
            wrong = np.abs(channels - truth[direction]).max(-1)
            assert wrong[seen].max() <= 1e-3, f"{direction} flow at {labels[int(numbers[seen][wrong[seen].argmax()])]}"
            assert np.all(channels[ids == 0] == 0)


@pytest.mark.parametrize("name", CASES)
def test_picture_is_what_blender_renders(rendered: Rendered, name: str) -> None:
    for data in ("data", "pictures")[bool(CASES[name].refused) :]:
        for frame in FRAMES:
            ours = np.asarray(Image.open(rendered.sequence(name, data) / "frames" / f"frame_{frame:06d}.png"))
            plain = np.asarray(Image.open(rendered.folder / f"{name} {frame}.png"))
            assert plain.std() > 5 and (ours.shape, ours.dtype) == (plain.shape, plain.dtype)
            assert np.array_equal(ours, plain), data


@pytest.mark.parametrize("name", CASES)
def test_user_is_told_what_matters(rendered: Rendered, name: str) -> None:
    notes = rendered.notes[name]
    for part in CASES[name].notes:
        assert any(part in note for note in notes), f"nothing says {part!r}: {notes}"
    assert len(notes) == len(CASES[name].notes), notes
    way = "vector pass" if CASES[name].vectors else "nothing deforms"
    assert way in rendered.log


def test_large_picture_is_not_lost_in_tiles(tmp_path, config, scripts) -> None:
    """Past 8192 pixels Cycles renders in tiles, whatever one sets."""
    scene = closed_form(width=8200, height=8, ball=(20, 10), smooth=False)
    scene.build(scripts, tmp_path / "scene.blend")
    config = dataclasses.replace(config, width=8200, height=8, max_samples=1)
    request = AnimationRequest(tmp_path / "scene.blend", tmp_path / "out", FRAMES[0], FRAMES[0])
    assert run(request, config, observe=lambda event: None).exit_code == 0
    truth = cast(scene.bodies, scene.camera, 1)
    path = tmp_path / "out" / "%s" / f"%s_{FRAMES[0]:06d}.exr"
    ids, depth = (
        read_exr(Path(str(path) % pair))["Y"] for pair in (("segmentations", "segmentation"), ("depths", "depth"))
    )
    hit = (truth["body"] > 0) & ~edges(truth["body"])
    assert ((ids > 0) != (truth["body"] > 0)).sum() <= 2
    assert len(np.unique(ids[hit])) == len(np.unique(truth["body"][hit])) > 3
    assert np.abs(depth[hit] / truth["depth"][hit] - 1).max() <= 1e-5
