"""The examples of docs/conventions.md run, and give what geometry says, on a dataset of which everything is known."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers import REPOSITORY, camera_values
from tests.reference.raycast import Fisheye, Globe, Parallel
from visionsim.cameras import camera_from_blender
from visionsim.dataset.journal import FrameRecord, Journal, StoredFile
from visionsim.dataset.kinds import KINDS, frame_path
from visionsim.dataset.schema import info_document, read_document, transforms_document, write_document
from visionsim.dataset.truth_files import write_truth

CONVENTIONS = REPOSITORY / "docs" / "conventions.md"
DATASET_FORMAT = REPOSITORY / "docs" / "dataset-format.md"

WIDTH, HEIGHT, FOCAL = 16, 12, 16.0
CENTRE = np.array([8.0 - 0.125 * 16, 6.0 + 0.25 * 16])
"""Principal point: the middle of the picture, shifted."""

R = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]])
"""Camera axes as columns: right, up, backward. It looks at the floor z = 0 from above, tilted by a 3-4-5 triangle."""

FRAMES = range(10, 13)
FPS, STRETCH = 48.0, 2.0
SPEED = np.array([0.0, 0.25, 0.0])
"""What the rug moves per frame; the floor stands still."""

LABELS = {
    "1": {"name": "Floor", "path": "Floor", "class": "floor", "motion": "static"},
    "2": {"name": "Rug", "path": "Rug", "class": "rug", "motion": "static"},
    "3": {"name": "Unseen", "path": "Unseen", "class": "object", "motion": "static"},
}


def position(frame: int) -> np.ndarray:
    """The camera's, at a frame."""
    return np.array([0.5 * (frame - FRAMES.start), 0.0, 4.0])


def project(point: np.ndarray, frame: int) -> np.ndarray:
    """Pixel position of one world point, component by component."""
    seen = [float(R[:, axis] @ (point - position(frame))) for axis in range(3)]
    return CENTRE + FOCAL * np.array([seen[0] / -seen[2], -seen[1] / -seen[2]])


def truth(frame: int) -> dict[str, dict[str, np.ndarray]]:
    """Kind -> channels, pixel by pixel: a floor up to y = 6, a sliding rug on it where x < 0, nothing beyond."""
    depth = np.full((HEIGHT, WIDTH), np.inf, np.float32)
    ids = np.zeros((HEIGHT, WIDTH), np.uint32)
    normals = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    flow = np.zeros((HEIGHT, WIDTH, 4), np.float32)
    for row, column in np.ndindex(HEIGHT, WIDTH):
        pixel = np.array([column + 0.5, row + 0.5])
        right, down = (pixel - CENTRE) / FOCAL
        ray = R @ [right, -down, -1.0]  # One unit along the optical axis: its length to the floor is planar depth.
        length = -position(frame)[2] / ray[2]
        point = position(frame) + length * ray
        if length <= 0 or point[1] > 6.0:
            continue
        depth[row, column] = length
        ids[row, column] = 2 if point[0] < 0 else 1
        normals[row, column] = R.T @ [0.0, 0.0, 1.0]
        speed = SPEED if ids[row, column] == 2 else np.zeros(3)
        flow[row, column, :2] = project(point + speed, frame + 1) - pixel
        flow[row, column, 2:] = project(point - speed, frame - 1) - pixel
    return {
        "depths": {"Y": depth},
        "normals": {name: normals[..., i] for i, name in enumerate("RGB")},
        "segmentations": {"Y": ids},
        "flows": {name: flow[..., i] for i, name in enumerate("RGBA")},
        "occlusions": {"Y": np.where(ids > 0, seen_in_neighbours(flow), 0).astype(np.uint8)},
    }


def seen_in_neighbours(flow: np.ndarray) -> np.ndarray:
    """(H, W): the bits of a scene in which nothing hides anything."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    bits = np.zeros((HEIGHT, WIDTH), int)
    for known, u, v in ((1, flow[..., 0], flow[..., 1]), (4, flow[..., 2], flow[..., 3])):
        inside = (x + u >= 0) & (x + u < WIDTH) & (y + v >= 0) & (y + v < HEIGHT)
        bits += known + 2 * known * inside
    return bits


def write_frame(folder: Path, frame: int) -> FrameRecord:
    paths = {kind: folder / frame_path(kind, frame) for kind in KINDS}
    paths["frames"] = folder / frame_path("frames", frame, ".png")
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    for kind, channels in truth(frame).items():
        write_truth(paths[kind], channels, "ZIP")
    Image.new("RGBA", (WIDTH, HEIGHT), (frame, 20, 30, 255)).save(paths["frames"])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = R, position(frame)
    camera = camera_values(
        matrix_world=matrix.tolist(), width=WIDTH, height=HEIGHT, lens=36.0, shift_x=0.125, shift_y=0.25
    )
    return FrameRecord(frame, 4, camera, {kind: StoredFile.of(folder, path) for kind, path in paths.items()})


@pytest.fixture(scope="module")
def sequence(tmp_path_factory) -> Path:
    """A dataset folder called `sequence`, written with visionsim's own writers."""
    folder: Path = tmp_path_factory.mktemp("docs") / "sequence"
    settings = {"keyframe_multiplier": STRETCH, "blender": "5.2.3 abc", "device": "cpu", "seed": 0}
    records = [write_frame(folder, frame) for frame in FRAMES]
    journal = Journal(folder, settings, {record.frame: record for record in records})
    journal.begin()
    transforms = transforms_document(records, settings=settings, fps=FPS, frame_step=1, labels=LABELS)
    write_document("transforms", folder / "transforms.json", transforms)
    write_document("info", folder / "info.json", info_document(records, fps=FPS, frame_step=1))
    return folder


def run_examples(page: Path) -> dict[str, Any]:
    """Run a page's ```python blocks in order; they share one namespace, which is returned."""
    namespace: dict[str, Any] = {}
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, match.start()) + 1
        # Blank lines in front, so that a traceback names the line of the page.
        exec(compile("\n" * line + match[1], str(page), "exec"), namespace)
    assert namespace, f"no example found in {page}"
    return namespace


@pytest.fixture
def example(sequence, monkeypatch) -> dict[str, Any]:
    """What the examples of the conventions leave behind."""
    monkeypatch.chdir(sequence.parent)
    return run_examples(CONVENTIONS)


def test_camera_axes_and_poses(example):
    assert np.allclose(example["right"], [1, 0, 0])
    assert np.allclose(example["up"], [0, 0.8, 0.6])
    assert np.allclose(example["back"], [0, -0.6, 0.8])
    assert np.allclose(example["position"], [0, 0, 4])
    assert np.allclose(example["w2c"] @ example["c2w"], np.eye(4))
    # 3 ahead on the floor, 4 below: on the optical axis, at distance 5; OpenCV's z points there.
    assert np.allclose(np.linalg.inv(example["c2w_opencv"]) @ [0.0, 3.0, 0.0, 1.0], [0.0, 0.0, 5.0, 1.0])


def test_pixel_centres_and_intrinsics(example):
    assert (example["x"][0, 0], example["y"][0, 0]) == (0.5, 0.5)
    assert (example["x"][3, 5], example["y"][3, 5]) == (5.5, 3.5)
    assert np.allclose(example["K"], [[16, 0, 6], [0, 16, 10], [0, 0, 1]])
    assert np.allclose(example["K_opencv"], [[16, 0, 5.5], [0, 16, 9.5], [0, 0, 1]])
    assert (example["fl_x"], example["fl_y"], example["cx"], example["cy"]) == (16, 16, 6, 10)


def test_depth_gives_points_on_the_floor(example):
    points, hit = example["points"], example["hit"]
    assert 0 < hit.sum() < hit.size  # Some background, some floor.
    assert np.abs(points[:, 2]).max() < 1e-5
    # Row 9, column 5: right -1/32, up 1/32 of the depth; 4 = depth * (0.8 - 0.6 / 32).
    depth = 4 / (0.8 - 0.6 / 32)
    assert example["depth"][9, 5] == pytest.approx(depth)
    point = example["to_world"](np.array(5.5), np.array(9.5), np.array(depth), example["camera"])
    assert np.allclose(point, [-depth / 32, depth * (0.6 + 0.8 / 32), 0.0])
    assert example["ray_depth"][9, 5] == pytest.approx(depth * np.sqrt(1 + 2 / 32**2))
    assert np.isposinf(example["ray_depth"][~hit]).all()


POSE = np.eye(4)
OTHER_CAMERAS = {
    "orthographic": (
        {"type": "ORTHO", "ortho_scale": 3.0, "shift_x": 0.25},
        Parallel([3.0], [2.0], 0.75, 0.0, 6, 4, [POSE]),
    ),
    "equirectangular": (
        {"panorama_type": "EQUIRECTANGULAR", "shift_x": 0.1},
        Globe(6, 4, [POSE], (0.1, 0.0), -100, 140, -60, 45),
    ),
    "fisheye": (
        {"panorama_type": "FISHEYE_EQUIDISTANT", "shift_y": 0.1},
        Fisheye(6, 4, [POSE], (0.0, 0.1), [(2 / np.radians(200),) * 2], [200], equisolid=False),
    ),
    "fisheye equisolid": (
        {"panorama_type": "FISHEYE_EQUISOLID"},
        Fisheye(6, 4, [POSE], (0.0, 0.0), [(10 / 36 * 2, 10 / 36 * 2 * 6 / 4)], [200], equisolid=True),
    ),
}


@pytest.mark.parametrize("name", OTHER_CAMERAS)
def test_other_cameras_see_what_the_reference_sees(example, name):
    changes, reference = OTHER_CAMERAS[name]
    west, east, south, north = np.radians([-100, 140, -60, 45])
    ranges = {"longitude_min": west, "longitude_max": east, "latitude_min": south, "latitude_max": north}
    lens = {"fisheye_fov": np.radians(200), "fisheye_lens": 10.0}
    model = camera_from_blender(camera_values(**{"type": "PANO", **ranges, **lens, **changes}))
    camera = {"camera_model": model.model, **model.fields()}
    to_point, to_pixel = (example[f"{name.split()[0]}_to_{what}"] for what in ("point", "pixel"))

    x, y = np.meshgrid(np.arange(6) + 0.5, np.arange(4) + 0.5)
    origin, ray = reference.rays(0)
    expected = origin + 2.5 * ray
    seen = np.isfinite(expected[..., 0])
    assert seen.sum() >= 12
    points = to_point(x, y, np.full_like(x, 2.5), camera)
    assert np.allclose(points[seen], expected[seen])
    assert np.allclose(np.stack(to_pixel(points[seen], camera)), np.stack([x, y])[:, seen])
    if "fov" in camera:
        theta = np.arccos(-points[..., 2] / 2.5)
        assert np.array_equal(theta <= camera["fov"] / 2, seen)


def test_normals_change_frame(example):
    hit = example["hit"]
    assert np.allclose(example["normals"][hit], [0, 0.6, 0.8])
    assert np.allclose(example["world_normals"][hit], [0, 0, 1], atol=1e-6)
    assert np.allclose(example["opencv_normals"][hit], [0, -0.6, -0.8])
    assert np.all(example["normals"][~hit] == 0)


def test_ids_have_names(example):
    assert example["names"] == {1: "Floor", 2: "Rug"}
    assert example["labels"][3]["name"] == "Unseen"


def test_flow_goes_forward_and_back_and_tells_what_moves(example):
    floor = example["ids"] == 1
    # The camera goes right by half a unit: the floor goes left by focal length * 0.5 / depth, and came from the right.
    shift = FOCAL * 0.5 / example["depth"][floor]
    assert np.allclose(example["forward"][floor], np.stack([-shift, 0 * shift], axis=-1), atol=1e-5)
    assert np.allclose(example["backward"][floor], np.stack([shift, 0 * shift], axis=-1), atol=1e-5)
    # The rug slides away from the camera, so up in the picture: v is negative.
    rug = example["ids"] == 2
    assert (example["forward"][rug][:, 1] < -0.1).all() and (example["backward"][rug][:, 1] > 0.1).all()
    assert example["moving"] == {"Rug"}
    assert np.allclose(example["target"][floor][:, 0], example["x"][floor] - shift, atol=1e-5)
    assert np.allclose(example["pixels_per_second"], example["forward"] * 48)
    assert np.all(example["forward"][~example["hit"]] == 0)


def test_occlusions_tell_what_leaves_the_picture(example):
    target, hit = example["target"], example["hit"]
    inside = (target >= 0).all(-1) & (target < [WIDTH, HEIGHT]).all(-1)
    assert np.array_equal(example["visible"], hit & inside) and example["hidden"].any()
    assert np.array_equal(example["known"], hit)


def test_frames_time_and_picture(example):
    assert (example["info"]["start_frame"], example["info"]["stop_frame"], example["step"]) == (10, 13, 1)
    assert (example["authored_fps"], example["authored_frame"]) == (24.0, 5.0)
    assert example["camera"]["time"] == pytest.approx(10 / 48)
    assert example["picture"].shape == (HEIGHT, WIDTH, 4)
    assert example["picture"][0, 0].tolist() == [10, 20, 30, 255]


def test_flow_example_stops_where_files_are_not_neighbours(sequence):
    """With a frame step the next file is not the next frame, and the example must not compare them."""
    transforms = read_document("transforms", sequence / "transforms.json")
    del transforms["frames"][1]
    text = CONVENTIONS.read_text(encoding="utf-8")
    block = next(b for b in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if "static" in b)
    with pytest.raises(AssertionError):
        exec(block, {"frames": transforms["frames"], "transforms": transforms, "camera": transforms["frames"][0]})


def test_examples_of_the_dataset_format(sequence, tmp_path, monkeypatch):
    shutil.copytree(sequence, tmp_path / "sequence")
    monkeypatch.chdir(tmp_path)
    namespace = run_examples(DATASET_FORMAT)
    assert namespace["journal"]["journal"] == 2
    assert [line["frame"] for line in namespace["finished"]] == list(FRAMES)
    assert namespace["transforms"]["fps"] == FPS
    saved = np.load(tmp_path / "sequence" / "depths_npy" / "depth_000010.npy")
    first = truth(10)["depths"]["Y"]
    assert np.array_equal(saved, np.where(np.isfinite(first), first, 0))
