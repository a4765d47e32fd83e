"""What a script writes, as files or as arrays: bit for bit, whole or not at all, going on where it was stopped."""

from __future__ import annotations

import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests import frames, synthetic
from visionsim.cameras import Equirectangular, FisheyeEquidistant, FisheyeEquisolid, Intrinsics, Orthographic
from visionsim.dataset.array_writer import ArrayWriter
from visionsim.dataset.folder_writer import FolderWriter
from visionsim.dataset.index import read_index
from visionsim.dataset.journal import Journal
from visionsim.dataset.reader import Dataset
from visionsim.dataset.schema import validate
from visionsim.errors import (
    ConfigError,
    DataError,
    FolderInUse,
    RequestError,
    SceneError,
    SchemaError,
    SettingsMismatch,
    ShapeError,
)
from visionsim.verify.purge import find_corrupted
from visionsim.verify.run import verify

BOTH = pytest.mark.parametrize("make", [FolderWriter, ArrayWriter])

PICTURES = [("uint8", 1), ("uint8", 2), ("uint8", 3), ("uint8", 4), ("uint16", 1), ("uint16", 2), ("uint16", 3),
            ("uint16", 4), ("float16", 1), ("float16", 3), ("float16", 4), ("float32", 1), ("float32", 3),
            ("float32", 4)]  # fmt: skip


@BOTH
@pytest.mark.parametrize(("picture", "channels"), PICTURES)
def test_every_kind_comes_back_bit_for_bit(make, picture, channels, tmp_path) -> None:
    folder = frames.write(tmp_path, range(3, 6), make=make, picture=picture, channels=channels)
    frames.assert_all_same(folder, range(3, 6), picture=picture, channels=channels)
    sample = Dataset.from_path(folder)[1]
    assert (sample.time, sample.depth_kind, sample.labels[2].name) == (4 / 25, "planar", "Ball")
    assert np.allclose(sample.K, frames.CAMERA.K, rtol=1e-14)


def test_array_form_is_what_the_docs_say(tmp_path) -> None:
    folder = frames.write(tmp_path, make=ArrayWriter)
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    arrays = [f"{kind}.npy" for kind in frames.ALL]
    assert found == sorted([*arrays, "info.json", "transforms.json", ".visionsim/journal.jsonl"])
    shapes = {
        kind: (np.load(folder / f"{kind}.npy").shape, str(np.load(folder / f"{kind}.npy").dtype)) for kind in frames.ALL
    }
    assert shapes == {
        "frames": ((10, 11, 13, 3), "uint8"), "depths": ((10, 11, 13), "float32"),
        "normals": ((10, 11, 13, 3), "float32"), "segmentations": ((10, 11, 13), "uint32"),
        "flows": ((10, 11, 13, 4), "float32"),
    }  # fmt: skip
    document = json.loads((folder / "transforms.json").read_text())
    assert document["arrays"]["frames"] == {"file": "frames.npy", "suffix": ".png"}
    assert set(document["frames"][0]) == {"frame", "time", "transform_matrix"}
    assert read_index(folder).kinds == frames.ALL and Dataset.from_path(folder)[0].path("depths") is None


@pytest.mark.parametrize("axis", ["frame", "height", "width", "channel"])
@pytest.mark.parametrize(("picture", "channels", "high"), [("uint8", 3, 255), ("uint16", 1, 4097), ("float16", 4, 0.1)])
def test_binary_pictures_are_packed_along_each_axis(axis, picture, channels, high, tmp_path) -> None:
    options = {"data": frames.binary_data, "picture": picture, "channels": channels, "high": high}
    with ArrayWriter(tmp_path, range(3, 13), fps=25.0, pack=axis, high=high) as writer:
        for frame in (7, 3, 12, 4, 5, 6, 8, 11, 9, 10):
            data = frames.binary_data(frame, picture, channels, high)
            writer.add(frame, data, c2w=frames.pose(frame), camera=frames.CAMERA)
    frames.assert_all_same(tmp_path, **options)
    shape = [10, frames.HEIGHT, frames.WIDTH, channels]
    at = ["frame", "height", "width", "channel"].index(axis)
    shape[at] = -(-shape[at] // 8)
    assert list(np.load(tmp_path / "frames.npy").shape) == shape


def test_packed_picture_that_is_not_binary_is_refused(tmp_path) -> None:
    with ArrayWriter(tmp_path, range(2), fps=25.0, pack="width") as writer:
        data = frames.binary_data(0)
        data["frames"][4, 5, 0] = 7
        with pytest.raises(DataError, match=r"Frame 0 .* it has 7 besides 0 and 255 at pixel \(5, 4\), channel 0"):
            writer.add(0, data, c2w=frames.pose(0), camera=frames.CAMERA)
        with pytest.raises(DataError, match="has 0 and 128, not 0 and 255"):
            writer.add(0, frames.binary_data(0, high=128), c2w=frames.pose(0), camera=frames.CAMERA)


@BOTH
def test_stopped_writer_leaves_nothing_that_looks_finished_and_the_next_goes_on(make, tmp_path) -> None:
    with pytest.raises(ZeroDivisionError), make(tmp_path, range(3, 13), fps=25.0, labels=frames.LABELS) as writer:
        for frame in (9, 4, 12):
            writer.add(frame, frames.frame_data(frame), c2w=frames.pose(frame), camera=frames.CAMERA)
        raise ZeroDivisionError
    assert not list(tmp_path.glob("*.json")) and not list(tmp_path.glob("[a-z]*.npy"))
    with make(tmp_path, range(3, 13), fps=25.0, labels=frames.LABELS) as writer:
        assert writer.missing == [3, 5, 6, 7, 8, 10, 11]
    assert not list(tmp_path.glob("*.json")) and not list(tmp_path.glob("[a-z]*.npy"))
    frames.write(tmp_path, make=make)
    frames.assert_all_same(tmp_path)


@BOTH
def test_finished_sequence_is_not_touched_again(make, tmp_path) -> None:
    frames.write(tmp_path, make=make)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    frames.write(tmp_path, make=make)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}


@BOTH
def test_frame_of_a_finished_sequence_can_be_replaced(make, tmp_path) -> None:
    frames.write(tmp_path, make=make)
    with make(tmp_path, range(3, 13), fps=25.0, labels=frames.LABELS) as writer:
        assert (tmp_path / "transforms.json").exists()
        for frame in (5, 6):
            writer.add(frame, frames.frame_data(50 + frame), c2w=frames.pose(frame), camera=frames.CAMERA)
            assert not list(tmp_path.glob("*.json")) and not list(tmp_path.glob("[a-z]*.npy"))
    for sample in Dataset.from_path(tmp_path):
        frames.assert_same(sample, frames.frame_data(sample.frame + 50 * (sample.frame in (5, 6))))
    with make(tmp_path, range(3, 13), fps=25.0, labels=frames.LABELS) as writer:
        assert writer.missing == []


@BOTH
def test_damage_is_found_and_only_that_frame_is_missing(make, tmp_path) -> None:
    frames.write(tmp_path, make=make)
    index = read_index(tmp_path)
    path = index.path("normals", 4) if make is FolderWriter else tmp_path / "normals.npy"
    data = bytearray(path.read_bytes())
    at = 4 * 4 * 3 * frames.HEIGHT * frames.WIDTH + 300 if make is ArrayWriter else len(data) // 2
    data[at] ^= 1
    path.write_bytes(data)
    with make(tmp_path, range(3, 13), fps=25.0, labels=frames.LABELS) as writer:
        assert writer.missing == [7]
        assert not (tmp_path / "transforms.json").exists()
        writer.add(7, frames.frame_data(7), c2w=frames.pose(7), camera=frames.CAMERA)
    frames.assert_all_same(tmp_path)


@pytest.mark.parametrize("left", [0, 100, 40_000])
def test_array_that_was_cut_off_is_completed(left, tmp_path) -> None:
    frames.write(tmp_path, make=ArrayWriter)
    path = tmp_path / "flows.npy"
    path.write_bytes(path.read_bytes()[:left] if left < 40_000 else path.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"flows\.npy"):
        Dataset.from_path(tmp_path)[0].read("flows")
    frames.write(tmp_path, make=ArrayWriter)
    frames.assert_all_same(tmp_path)


def test_array_of_another_shape_is_refused(tmp_path) -> None:
    frames.write(tmp_path, make=ArrayWriter)
    np.save(tmp_path / "depths.npy", np.zeros((9, 11, 13), np.float32))
    with pytest.raises(
        DataError, match=r"The array is \(9, 11, 13\) float32, not \(10, 11, 13\) float32: .*depths\.npy"
    ):
        Dataset.from_path(tmp_path)[0].read("depths")
    (tmp_path / "depths.npy").unlink()
    with pytest.raises(DataError, match="it is missing"):
        Dataset.from_path(tmp_path)[0].read("depths")


def test_what_is_written_as_files_is_verified_and_purged_like_what_is_rendered(tmp_path) -> None:
    rendered = Dataset.from_path(synthetic.write_dataset(tmp_path / "rendered", num_frames=4))
    with FolderWriter(tmp_path / "mine", rendered.frames, fps=25.0, labels=rendered.labels.values()) as writer:
        for sample in rendered:
            data = {kind: sample.read(kind) for kind in sample.kinds}
            writer.add(sample.frame, data, c2w=sample.c2w, camera=sample.camera)
    report = verify([tmp_path / "mine"], jobs=1)
    assert [str(problem) for problem in report.sequences[0].found.problems] == []
    assert report.sequences[0].status("journal") == report.sequences[0].status("flow") == "ok"
    path = tmp_path / "mine" / "depths" / "depth_000006.exr"
    path.write_bytes(path.read_bytes()[:-5])
    (row,) = find_corrupted([tmp_path / "mine"], jobs=1).sequences
    assert [item.file for item in row.corrupted] == ["depths/depth_000006.exr"]


@pytest.mark.parametrize(
    "camera",
    [
        Intrinsics(100.0, 90.0, 61.0, 37.0, 13, 11),
        Orthographic(20.0, 22.0, 5.0, 4.4, 13, 11),
        Equirectangular(-2.0, 1.5, -1.0, 0.6, 13, 11),
        FisheyeEquidistant(13 / 3.5, 11 / 3.5, 6.1, 4.4, 3.5, 13, 11),
        FisheyeEquisolid(40.0, 42.0, 6.1, 4.4, 3.1, 13, 11),
    ],
    ids=lambda camera: camera.model,
)
@BOTH
def test_cameras_of_every_model(make, camera, tmp_path) -> None:
    cameras = [camera, dataclasses.replace(camera)]
    if isinstance(camera, Intrinsics):
        cameras[1] = dataclasses.replace(camera, fx=110.0, cx=60.0)
    with make(tmp_path, range(2), fps=25.0, labels=frames.LABELS) as writer:
        for frame in range(2):
            writer.add(frame, frames.frame_data(frame), c2w=frames.pose(frame), camera=cameras[frame])
    for sample, wanted in zip(Dataset.from_path(tmp_path), cameras, strict=True):
        assert type(sample.camera) is type(wanted)
        assert dataclasses.astuple(sample.camera) == pytest.approx(dataclasses.astuple(wanted), rel=1e-12)


def test_cameras_that_blender_has_not_are_refused(tmp_path) -> None:
    with FolderWriter(tmp_path, range(2), fps=25.0, labels=frames.LABELS) as writer:
        odd = FisheyeEquidistant(5.0, 5.0, 6.5, 5.5, 3.0, 13, 11)
        with pytest.raises(SceneError, match="an equidistant fisheye fills the picture"):
            writer.add(0, frames.frame_data(0), c2w=frames.pose(0), camera=odd)
        mirrored = np.diag([1.0, 1.0, -1.0, 1.0])
        with pytest.raises(SceneError):
            writer.add(0, frames.frame_data(0), c2w=mirrored, camera=frames.CAMERA)
        with pytest.raises(ConfigError, match="needs c2w and camera"):
            writer.add(0, frames.frame_data(0))
    assert not list(tmp_path.rglob("*.png"))


@BOTH
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"frames": None}, DataError, "Frame 4 has no picture"),
        ({"depths": np.zeros((11, 13))}, DataError, "depths of frame 4 are float64, not float32"),
        ({"normals": np.zeros((11, 13), np.float32)}, ShapeError, r"normals of frame 4 have shape \(11, 13\)"),
        ({"frames": np.zeros((11, 14, 3), np.uint8)}, ShapeError, "frames of frame 4"),
        ({"frames": np.zeros((11, 13, 5), np.uint8)}, ShapeError, "frames of frame 4"),
        ({"frames": np.zeros((11, 13, 2), np.float32)}, ShapeError, "2 channels; of float32 they have 1, 3 or 4"),
        ({"frames": np.zeros((11, 13, 3), np.uint16)}, DataError, r"uint16, where the other frames have .* uint8"),
        ({"flows": None}, DataError, "flows of frame 4: none, where the other frames have"),
        ({"albedo": np.zeros((11, 13), np.float32)}, DataError, "Frame 4 has albedo; kinds of data are frames, depths"),
    ],
)
def test_pixels_that_do_not_fit_are_refused(make, change, error, message, tmp_path) -> None:
    with make(tmp_path / "a", range(3, 5), fps=25.0, labels=frames.LABELS) as writer:
        writer.add(3, frames.frame_data(3), c2w=frames.pose(3), camera=frames.CAMERA)
        data = {kind: pixels for kind, pixels in {**frames.frame_data(4), **change}.items() if pixels is not None}
        with pytest.raises(error, match=message):
            writer.add(4, data, c2w=frames.pose(4), camera=frames.CAMERA)
        assert writer.missing == [4]


@BOTH
def test_requests_that_cannot_be_met_write_nothing(make, tmp_path) -> None:
    for numbers in ([], [3, 3], [4, 3], [1, 2, 4]):
        with pytest.raises(ConfigError), make(tmp_path / "a", numbers, fps=25.0):
            pass
    with pytest.raises(ConfigError, match="frame rate"):
        make(tmp_path / "a", range(3), fps=0.0)
    with make(tmp_path / "a", range(3), fps=25.0) as writer:
        with pytest.raises(ConfigError, match="Frame 7 is not one of"):
            writer.add(7, frames.frame_data(7), c2w=frames.pose(7), camera=frames.CAMERA)
        with pytest.raises(ConfigError, match="Segmentations need labels"):
            writer.add(0, frames.frame_data(0), c2w=frames.pose(0), camera=frames.CAMERA)
    assert not list((tmp_path / "a").rglob("*")) or not (tmp_path / "a").exists()
    with pytest.raises(RequestError, match="not open"):
        make(tmp_path / "a", range(3), fps=25.0, labels=frames.LABELS).add(
            0, frames.frame_data(0), c2w=frames.pose(0), camera=frames.CAMERA
        )


def test_what_is_there_already_is_not_mixed(tmp_path) -> None:
    folder = frames.write(tmp_path / "files", settings={"sensor": "A"})
    with pytest.raises(SettingsMismatch, match=r"sensor \(there 'A', now 'B'\).*or another output folder: "):
        frames.write(folder, settings={"sensor": "B"})
    with pytest.raises(RequestError, match="as files, not as arrays"):
        frames.write(folder, make=ArrayWriter, settings={"sensor": "A"})
    arrays = frames.write(tmp_path / "arrays", make=ArrayWriter)
    with pytest.raises(RequestError, match="as arrays, not as files"):
        frames.write(arrays)
    with pytest.raises(RequestError, match="arrays there are of other frames"):
        frames.write(arrays, range(3, 14), make=ArrayWriter)
    with pytest.raises(RequestError, match="not packed, not packed along width"):
        frames.write(arrays, make=ArrayWriter, pack="width")
    with pytest.raises(SettingsMismatch, match="as arrays, into which nothing is rendered"):
        Journal.load(arrays, {})
    (folder / ".visionsim" / "journal.jsonl").unlink()
    with pytest.raises(RequestError, match="has no journal"):
        frames.write(folder, settings={"sensor": "A"})


def test_starting_over_removes_arrays_too(tmp_path) -> None:
    """What `--force` does before frames are rendered into the folder."""
    frames.write(tmp_path, make=ArrayWriter)
    (tmp_path / "notes.txt").write_text("mine")
    journal = Journal.read(tmp_path)
    assert journal is not None
    journal.erase(())
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["notes.txt"]


def test_one_writer_at_a_time(tmp_path) -> None:
    with FolderWriter(tmp_path, range(3), fps=25.0), pytest.raises(FolderInUse, match="Another run works on this"):
        frames.write(tmp_path, range(3))


@BOTH
def test_threads_may_share_a_writer(make, tmp_path) -> None:
    options = {"pack": "frame"} if make is ArrayWriter else {}
    numbers = range(40)
    with make(tmp_path, numbers, fps=25.0, **options) as writer, ThreadPoolExecutor(8) as threads:
        ready = threading.Barrier(8)

        def add(first: int) -> None:
            ready.wait()
            for frame in numbers[first::8]:
                writer.add(frame, frames.binary_data(frame), c2w=frames.pose(frame), camera=frames.CAMERA)

        list(threads.map(add, range(8)))
    frames.assert_all_same(tmp_path, numbers, data=frames.binary_data)


@BOTH
def test_another_version_of_a_sequence_keeps_its_cameras_and_labels(make, tmp_path) -> None:
    source = read_index(synthetic.write_dataset(tmp_path / "a", num_frames=3, camera="animated lens"))
    dataset = Dataset.from_path(tmp_path / "a")
    with make.like(tmp_path / "b", source) as writer:
        for sample in dataset:
            writer.add(sample.frame, {"frames": 255 - sample.picture, "depths": sample.depth})
        with pytest.raises(ConfigError, match="The cameras are the source's"):
            writer.add(5, {"frames": dataset[0].picture}, c2w=np.eye(4))
    negative = Dataset.from_path(tmp_path / "b")
    for ours, theirs in zip(negative, dataset, strict=True):
        assert np.array_equal(ours.picture, 255 - theirs.picture) and np.array_equal(ours.depth, theirs.depth)
        assert (ours.camera, ours.time) == (theirs.camera, theirs.time) and np.array_equal(ours.c2w, theirs.c2w)
    head = negative[0].source.head
    assert negative.kinds == ("frames", "depths") and "labels" not in head and "flow" not in head["conventions"]
    assert (tmp_path / "b" / "info.json").read_text() == (tmp_path / "a" / "info.json").read_text()


def test_paths_are_there_exactly_where_no_array_is(tmp_path) -> None:
    document = json.loads((frames.write(tmp_path, make=ArrayWriter) / "transforms.json").read_text())
    validate("transforms", document)
    entry = document["arrays"]["frames"]
    for change in (
        lambda d: d["frames"][1].update(file_path="frames/frame_000004.png"),
        lambda d: d["frames"][1].update(flow_file_path="flows/flow_000004.exr"),
        lambda d: d["arrays"].pop("frames"),
        lambda d: d["arrays"].update(frames={**entry, "file": "../frames.npy"}),
        lambda d: d["arrays"].update(frames={**entry, "packed_axis": "width"}),
        lambda d: d["arrays"].update(frames={**entry, "length": 3}),
        lambda d: d["arrays"].update(frames={"file": "frames.npy"}),
        lambda d: d["arrays"].update(albedo=entry),
    ):
        changed = json.loads(json.dumps(document))
        change(changed)
        with pytest.raises(SchemaError):
            validate("transforms", changed)
    mixed = json.loads(json.dumps(document))
    del mixed["arrays"]["flows"]
    for frame in mixed["frames"]:
        frame["flow_file_path"] = f"flows/flow_{frame['frame']:06d}.exr"
    validate("transforms", mixed)


def test_large_numbers_and_negative_frames(tmp_path) -> None:
    numbers = range(-2, 1_000_003, 500_001)
    assert Path(frames.write(tmp_path / "a", numbers), "frames", "frame_-00002.png").exists()
    frames.assert_all_same(tmp_path / "a", numbers)
