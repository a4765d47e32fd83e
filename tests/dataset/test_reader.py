from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests import synthetic
from visionsim.cameras import c2w_from_blender, camera_from_blender, intrinsics_from_blender, project
from visionsim.dataset.index import OF_THE_SEQUENCE, OPEN_ARRAYS, Frame, read_index
from visionsim.dataset.reader import Dataset, Label
from visionsim.errors import DataError, InputNotFound, SchemaError


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return synthetic.write_dataset(tmp_path_factory.mktemp("read") / "renders" / "balls" / "001-00005-00012")


def own_values(frame: dict) -> dict:
    """What a frame of transforms.json says of its camera alone."""
    return {name: value for name, value in frame.items() if name not in Frame.__struct_fields__}


@pytest.fixture(scope="module")
def dataset(folder) -> Dataset:
    return Dataset.from_path(folder)


def test_sample_has_what_the_frame_has(dataset) -> None:
    sample = dataset[2]
    frame = synthetic.FIRST + 2
    described = synthetic.camera_at(frame)
    view = synthetic.look(frame)
    assert (sample.index, sample.frame, sample.time) == (2, frame, frame / 25)
    assert np.array_equal(sample.c2w, c2w_from_blender(described["matrix_world"]))
    assert np.array_equal(sample.K, intrinsics_from_blender(described).K)
    assert sample.camera == camera_from_blender(described)
    assert sample.sequence == "balls/001-00005-00012"
    assert sample.picture.shape == (synthetic.HEIGHT, synthetic.WIDTH, 3) and sample.picture.dtype == np.uint8
    assert np.array_equal(sample.depth, view.depth.astype(np.float32)) and sample.depth.dtype == np.float32
    assert np.array_equal(sample.instance_ids, view.ids) and sample.instance_ids.dtype == np.uint32
    assert sample.normals.shape == (synthetic.HEIGHT, synthetic.WIDTH, 3)
    assert sample.labels[4] == Label(4, "Rolling", "Rolling", "ball", "rigid")


def test_flow_leads_to_where_depth_and_pose_say(dataset) -> None:
    here, there, before = dataset[3], dataset[4], dataset[2]
    y, x = 60, 50  # On the floor, which rests.
    assert here.instance_ids[y, x] == 1
    seen = here.camera.unproject(x + 0.5, y + 0.5, float(here.depth[y, x]))
    point = here.c2w[:3, :3] @ seen + here.c2w[:3, 3]
    for other, flow in ((there, here.forward_flow), (before, here.backward_flow)):
        pixel, _ = project(point, other.camera, other.c2w)
        assert flow[y, x] == pytest.approx(pixel - [x + 0.5, y + 0.5], abs=1e-3)


def test_columns(dataset) -> None:
    assert len(dataset) == synthetic.NUM_FRAMES
    assert dataset.poses.shape == (7, 4, 4) and np.array_equal(dataset.poses[6], dataset[6].c2w)
    assert dataset.intrinsics.shape == (7, 3, 3) and np.array_equal(dataset.intrinsics[1], dataset[1].K)
    assert list(dataset.frames) == list(range(5, 12)) and dataset.times[0] == 5 / 25
    chords = np.linalg.norm(np.diff(dataset.poses[:, :3, 3], axis=0), axis=1)
    assert dataset.arclength == pytest.approx([0, *np.cumsum(chords)])
    info = json.loads((dataset[0].path("frames").parents[1] / "info.json").read_text())
    assert dataset.arclength[-1] == pytest.approx(info["distance_traveled"])


def test_indexing_is_that_of_a_sequence(dataset) -> None:
    assert [sample.index for sample in dataset] == list(range(7))
    assert dataset[-1].frame == dataset[6].frame
    part = dataset[1:6:2]
    assert [sample.frame for sample in part] == [6, 8, 10] and [sample.index for sample in part] == [0, 1, 2]
    assert [sample.frame for sample in part[[2, 0]]] == [10, 6]
    assert [sample.frame for sample in dataset[dataset.frames > 9]] == [10, 11]
    assert part.arclength[1] == pytest.approx(np.linalg.norm(part.poses[1, :3, 3] - part.poses[0, :3, 3]))
    for index in (7, -8):
        with pytest.raises(IndexError, match=f"index {index} of a dataset of 7 frames"):
            dataset[index]


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (slice(None, None, -2), [11, 9, 7, 5]),
        (slice(5, 1, -1), [10, 9, 8, 7]),
        (slice(3, 3), []),
        (slice(-2, 99), [10, 11]),
        ([], []),
        ((1, -1), [6, 11]),
        (range(2, 5), [7, 8, 9]),
        (np.array([], np.uint8), []),
        (np.array([6, 6, 0], np.uint16), [11, 11, 5]),
        ([True, False, False, True, False, False, False], [5, 8]),
        (np.zeros(7, bool), []),
    ],
)
def test_slices_lists_and_masks(dataset, index, expected) -> None:
    part = dataset[index]
    assert isinstance(part, Dataset) and len(part) == len(expected)
    assert [sample.frame for sample in part] == expected == list(part.frames)
    assert [sample.index for sample in part] == list(range(len(expected)))


@pytest.mark.parametrize("index", [np.int64(2), np.uint8(2), np.array(2), np.int32(-5)])
def test_numbers_of_numpy(dataset, index) -> None:
    assert (dataset[index].frame, dataset[index].index) == (7, 2) and type(dataset[index].index) is int


@pytest.mark.parametrize("index", [True, np.True_, 1.0, np.float32(1), "frames", None, [0.5], [[0, 1]], ["a"]])
def test_other_indices_are_type_errors(dataset, index) -> None:
    with pytest.raises(TypeError, match="a number, a slice, a list of numbers or a mask"):
        dataset[index]


def test_indices_that_do_not_fit(dataset) -> None:
    for index in ([7], np.array([-8]), np.ones(6, bool)):
        with pytest.raises(IndexError):
            dataset[index]


def test_dataset_of_no_frames(dataset) -> None:
    nothing = dataset[:0]
    assert (len(nothing), list(nothing), list(nothing.iterate())) == (0, [], [])
    assert nothing.poses.shape == (0, 4, 4) and nothing.intrinsics.shape == (0, 3, 3)
    assert nothing.frames.shape == nothing.times.shape == nothing.arclength.shape == (0,)
    assert nothing.labels == {} and nothing.sequences() == {} and nothing.kinds == dataset.kinds
    assert repr(nothing).startswith("<Dataset of 0 frames in 0 sequences: frames, depths")
    assert len(nothing[:5]) == len(nothing[[]]) == 0
    with pytest.raises(IndexError, match="index 0 of a dataset of 0 frames"):
        nothing[0]


def test_dataset_of_one_frame(dataset) -> None:
    one = dataset[3:4]
    assert list(one.arclength) == [0.0] and one.poses.shape == (1, 4, 4) and one[-1].index == 0


def test_what_is_read_may_be_changed(dataset) -> None:
    sample = dataset[0]
    for kind in sample.kinds:
        sample.read(kind)[0, 0] = 1
    assert not np.array_equal(sample.picture, dataset[0].picture)


def test_package_gives_it_too() -> None:
    import visionsim.dataset

    assert visionsim.dataset.Dataset is Dataset
    with pytest.raises(AttributeError, match="no attribute 'Datasets'"):
        _ = visionsim.dataset.Datasets


def test_pixels_are_read_once_and_when_asked_for(folder, tmp_path) -> None:
    sample = Dataset.from_path(folder / "transforms.json")[0]
    assert sample.depth is sample.depth
    copied = synthetic.write_dataset(tmp_path / "copy")
    lonely = Dataset.from_path(copied)[1]
    lonely.path("normals").unlink()
    assert lonely.depth.size
    with pytest.raises(DataError, match=r"The file is missing: .*normal_000006\.exr"):
        _ = lonely.normals


def test_root_of_several_sequences(tmp_path) -> None:
    for scene, frames in (("b", 3), ("a10", 2), ("a9", 4)):
        synthetic.write_dataset(tmp_path / "renders" / scene / "001-00005-00012", num_frames=frames)
    dataset = Dataset.from_path(tmp_path)
    assert len(dataset) == 9
    assert list(dataset.sequences()) == [f"{scene}/001-00005-00012" for scene in ("a9", "a10", "b")]
    assert [sample.sequence[0:3] for sample in dataset] == 4 * ["a9/"] + 2 * ["a10"] + 3 * ["b/0"]
    each = dataset.sequences()
    assert [len(one) for one in each.values()] == [4, 2, 3]
    assert dataset.arclength == pytest.approx(np.concatenate([one.arclength for one in each.values()]))
    assert dataset.labels == each["b/001-00005-00012"].labels
    mixed = dataset[[8, 0, 4]]
    assert [s.sequence[:2] for s in mixed] == ["b/", "a9", "a1"] and np.array_equal(mixed.poses[1], dataset[0].c2w)


def test_unfinished_sequences_are_left_out_and_said(tmp_path, caplog) -> None:
    synthetic.write_dataset(tmp_path / "a")
    unfinished = synthetic.write_dataset(tmp_path / "b")
    (unfinished / "transforms.json").unlink()
    assert list(Dataset.from_path(tmp_path).sequences()) == ["a"]
    assert "left out" in caplog.text and str(unfinished) in caplog.text
    with pytest.raises(InputNotFound, match="No sequence is finished"):
        Dataset.from_path(unfinished)


def test_sequences_with_other_kinds(tmp_path) -> None:
    synthetic.write_dataset(tmp_path / "a", kinds=("depths", "normals"), num_frames=2)
    synthetic.write_dataset(tmp_path / "b", kinds=("depths", "flows"), num_frames=3)
    dataset = Dataset.from_path(tmp_path)
    assert dataset.kinds == ("frames", "depths") and dataset[0].kinds == ("frames", "depths", "normals")
    assert dataset[:2].kinds == ("frames", "depths", "normals") and repr(dataset[:2]).startswith(
        "<Dataset of 2 frames in 1 sequences"
    )
    assert [sorted(sample._pixels) for sample in dataset.iterate()][::4] == [
        ["depths", "frames", "normals"],
        ["depths", "flows", "frames"],
    ]
    found: list = []
    with pytest.raises(DataError, match=r"has no flows; it has frames, depths, normals: .*a"):
        dataset.iterate(("depths", "flows"), on_error=lambda sample, exc: found.append(sample))
    assert not found and len(list(dataset[2:].iterate(("flows",)))) == 3


def test_names_that_are_alike_get_more_of_their_paths(tmp_path) -> None:
    for number, place in enumerate(("x/day", "y/day", "y/night", "renders/s/day", "far/renders/s/day")):
        synthetic.write_dataset(tmp_path / place, num_frames=number + 1)
    lengths = {name: len(part) for name, part in Dataset.from_path(tmp_path).sequences().items()}
    top = tmp_path.name
    expected = {"x/day": 1, "y/day": 2, "night": 3, f"{top}/renders/s/day": 4, "far/renders/s/day": 5}
    assert lengths == expected


def test_links_are_followed_once(tmp_path) -> None:
    real = tmp_path / "real"
    synthetic.write_dataset(real / "renders" / "balls" / "001-00005-00012", num_frames=2)
    (real / "again").symlink_to(real / "renders", target_is_directory=True)
    (real / "loop").symlink_to(real, target_is_directory=True)
    (real / "renders" / "loop").symlink_to(real, target_is_directory=True)
    link = tmp_path / "link"
    link.symlink_to(real, target_is_directory=True)
    for root in (real, link, link / "again", link / "renders" / "balls" / "001-00005-00012" / "transforms.json"):
        assert list(Dataset.from_path(root).sequences()) == ["balls/001-00005-00012"]


def test_splits(tmp_path, caplog, monkeypatch) -> None:
    root = tmp_path / "real"
    for scene in "abc":
        synthetic.write_dataset(root / "renders" / scene / "001-00005-00012", num_frames=1)
    splits = {
        "train": ["renders/a/001-00005-00012", "renders/c/001-00005-00012"],
        "val": ["renders/gone/x"],
        "test": [],
    }
    (root / "splits.json").write_text(json.dumps({"splits": splits}))
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    monkeypatch.chdir(root)
    for path in (root, str(root), tmp_path / "link", ".", "../link"):
        assert list(Dataset.from_path(path, split="train").sequences()) == ["a/001-00005-00012", "c/001-00005-00012"]
    assert not caplog.records
    with pytest.raises(InputNotFound, match="No sequence of the split 'val' is finished"):
        Dataset.from_path(root, split="val")
    assert "1 sequences of the split val are not there" in caplog.text and "renders/gone/x" in caplog.text
    with pytest.raises(InputNotFound, match="No sequence of the split 'test'"):
        Dataset.from_path(root, split="test")
    with pytest.raises(InputNotFound, match="no split 'dev', only train, val, test"):
        Dataset.from_path(root, split="dev")
    with pytest.raises(InputNotFound, match="not split"):
        Dataset.from_path(root / "renders" / "a" / "001-00005-00012" / "transforms.json", split="train")
    for wrong in ({"train": [["a"]]}, {"train": "a"}, ["a"]):
        (root / "splits.json").write_text(json.dumps({"splits": wrong}))
        with pytest.raises(SchemaError, match=r"lists of sequences by name, in .*splits\.json"):
            Dataset.from_path(root, split="train")


def test_different_scenes_have_different_labels(tmp_path) -> None:
    for name in "ab":
        synthetic.write_dataset(tmp_path / name)
    path = tmp_path / "b" / "transforms.json"
    document = json.loads(path.read_text())
    document["labels"]["1"]["name"] = "Ground"
    path.write_text(json.dumps(document))
    dataset = Dataset.from_path(tmp_path)
    with pytest.raises(DataError, match=r"each of sequences\(\)"):
        _ = dataset.labels
    assert dataset[0].labels[1].name == "Floor" and dataset[-1].labels[1].name == "Ground"


@pytest.mark.parametrize("camera", synthetic.CAMERAS)
def test_cameras_of_every_model(camera, tmp_path) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path, camera=camera, kinds=()))
    document = json.loads((tmp_path / "transforms.json").read_text())
    shared = {name: value for name, value in document.items() if name not in OF_THE_SEQUENCE}
    for sample, frame in zip(dataset, document["frames"], strict=True):
        assert sample.camera == camera_from_blender(synthetic.camera_at(sample.frame, camera))
        assert sample.depth_kind == sample.camera.depth_kind
        assert sample.source.camera_values(sample.row) == {**shared, **own_values(frame)}
    if all(sample.camera.model == "OPENCV" for sample in dataset):
        assert np.array_equal(dataset.intrinsics, [sample.K for sample in dataset])
    else:
        with pytest.raises(DataError, match="has no K"):
            _ = dataset.intrinsics
    pinholes = dataset[[sample.camera.model == "OPENCV" for sample in dataset]]
    assert np.array_equal(pinholes.intrinsics, np.reshape([sample.K for sample in pinholes], (-1, 3, 3)))
    assert len(pinholes) == {"cut to a panorama": 3}.get(camera, 7 * (dataset[0].camera.model == "OPENCV"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("fl_x", "wide", r"frames\[4\]: fl_x is 'wide', not a number. File: .*transforms\.json"),
        ("camera_model", None, r"frames\[4\]: camera_model None is not one of OPENCV, .* File: "),
    ],
)
def test_damaged_camera_is_named(name, value, message, tmp_path) -> None:
    path = synthetic.write_dataset(tmp_path, camera="animated lens") / "transforms.json"
    document = json.loads(path.read_text())
    document["frames"][4][name] = value
    path.write_text(json.dumps(document))
    dataset = Dataset.from_path(tmp_path)
    assert dataset[3].K[0, 0] > 0
    with pytest.raises(DataError, match=message):
        _ = dataset.intrinsics


def test_camera_that_lacks_something_is_named(tmp_path) -> None:
    path = synthetic.write_dataset(tmp_path, camera="animated lens") / "transforms.json"
    document = json.loads(path.read_text())
    del document["frames"][4]["fl_x"]
    path.write_text(json.dumps(document))
    dataset = Dataset.from_path(tmp_path)
    assert dataset[3].K[0, 0] > 0
    with pytest.raises(DataError, match=r"frames\[4\]: .*needs fl_x. File: .*transforms\.json"):
        _ = dataset[4].K


def test_values_that_other_programs_add_are_kept(tmp_path) -> None:
    path = synthetic.write_dataset(tmp_path) / "transforms.json"
    document = json.loads(path.read_text())
    document["made by"] = "hand"
    added = [{"score": 1}, {"score": 0.5, "a b": [1, 2]}, {"score": None, "a b": [1]}, {}, {"tags": ["x"]}, {}, {}]
    for frame, more in zip(document["frames"], added, strict=True):
        frame |= more
    path.write_text(json.dumps(document))
    dataset = Dataset.from_path(tmp_path)
    plain = dataset[3].source.camera_values(3)
    assert plain["made by"] == "hand" and dataset[3].K[0, 0] == plain["fl_x"]
    for sample, more in zip(dataset, added, strict=True):
        assert sample.source.camera_values(sample.row) == {**plain, **more}


def test_files_with_other_names(folder, tmp_path) -> None:
    copied = synthetic.write_dataset(tmp_path)
    path = copied / "transforms.json"
    document = json.loads(path.read_text())
    for number, frame in enumerate(document["frames"][2:]):
        other = f"frames/picture {number}.png"
        (copied / frame["file_path"]).rename(copied / other)
        frame["file_path"] = other
    path.write_text(json.dumps(document))
    for ours, theirs in zip(Dataset.from_path(copied), Dataset.from_path(folder), strict=True):
        assert np.array_equal(ours.picture, theirs.picture)


@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("transform_matrix", [[1, 2], [3, 4]], "transform_matrix"),
        ("frame", "five", "frame"),
        ("file_path", "../../secret.png", "file_path"),
        ("depth_file_path", "/etc/passwd", "depth_file_path"),
        ("time", None, "time"),
    ],
)
def test_damaged_documents_are_refused(number, name, value, message, tmp_path) -> None:
    path = synthetic.write_dataset(tmp_path) / "transforms.json"
    document = json.loads(path.read_text())
    document["frames"][number][name] = value
    path.write_text(json.dumps(document))
    with pytest.raises(SchemaError, match=message) as caught:
        Dataset.from_path(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"frames": []}', '{"frames": 3}', "\0" * 100])
def test_documents_that_are_something_else_are_refused(text, tmp_path) -> None:
    (tmp_path / "transforms.json").write_text(text)
    with pytest.raises(SchemaError, match=r"transforms\.json"):
        Dataset.from_path(tmp_path)


def test_nothing_there(tmp_path) -> None:
    with pytest.raises(InputNotFound, match="does not exist"):
        Dataset.from_path(tmp_path / "nowhere")
    with pytest.raises(InputNotFound, match="nothing to read"):
        Dataset.from_path(tmp_path)
    synthetic.write_dataset(tmp_path / "a", num_frames=1)
    with pytest.raises(InputNotFound, match=r"does not exist: .*transforms\.json"):
        Dataset.from_path(tmp_path / "transforms.json")
    with pytest.raises(InputNotFound, match="is not a folder"):
        Dataset.from_path(tmp_path / "a" / "info.json")
    (tmp_path / "b" / "transforms.json").mkdir(parents=True)
    (tmp_path / "b" / "frames").mkdir()
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\): .*transforms\.json"):
        Dataset.from_path(tmp_path)


def test_kind_that_is_not_there(tmp_path) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path, kinds=("depths",)))
    with pytest.raises(DataError, match=r"has no flows; it has frames, depths: "):
        _ = dataset[0].forward_flow
    with pytest.raises(DataError, match="no kind of data called 'depth'"):
        dataset[0].read("depth")


def test_damaged_file_is_named(tmp_path) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path))
    for kind in dataset.kinds:
        path = dataset[1].path(kind)
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(DataError, match=path.name):
            dataset[1].read(kind)


def checksum(dataset: Dataset) -> float:
    return sum(float(np.nan_to_num(s.read(kind), posinf=0).sum(dtype=np.float64)) for s in dataset for kind in s.kinds)


def test_threads_and_forks_may_share_it(dataset) -> None:
    wanted = checksum(dataset)
    found: list[float] = []
    reading = threading.Event()

    def read_for_ever() -> None:
        while not reading.is_set():
            checksum(dataset)

    busy = threading.Thread(target=read_for_ever)
    busy.start()
    try:
        threads = [threading.Thread(target=lambda: found.append(checksum(dataset))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for context in ("fork", "spawn"):
            if context == "fork":
                # Python warns of what we prove here: that it works while other threads read.
                pids = [fork_and(lambda: os._exit(checksum(dataset) != wanted)) for _ in range(8)]
                assert [os.waitpid(pid, 0)[1] for pid in pids] == 8 * [0]
            else:
                with multiprocessing.get_context(context).Pool(1) as pool:
                    assert pool.apply(checksum, (dataset,)) == wanted
        for thread in threads:
            thread.join()
    finally:
        reading.set()
        busy.join()
    assert found == 4 * [wanted]


def fork_and(function) -> int:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        function()
    return pid


def test_iterate_reads_ahead_in_order(dataset) -> None:
    samples = list(dataset.iterate(kinds=("depths", "flows"), threads=3))
    assert [sample.index for sample in samples] == list(range(7))
    assert all(set(sample._pixels) == {"depths", "flows"} for sample in samples)
    assert np.array_equal(samples[4].depth, dataset[4].depth)
    started = dataset.iterate(threads=1)
    assert next(started).index == 0
    started.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_pickled_dataset_is_the_same(dataset) -> None:
    again = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(again[1].depth, dataset[1].depth)


def test_index_of_many_frames_is_in_order(tmp_path) -> None:
    """More than one part of the index is decoded."""
    path = synthetic.write_dataset(tmp_path) / "transforms.json"
    document = json.loads(path.read_text())
    frame = document["frames"][0]
    document["frames"] = [
        {
            **frame,
            **{key: value.replace("000005", f"{n:06d}") for key, value in frame.items() if key.endswith("file_path")},
            "frame": n,
            "time": n / 50,
        }
        for n in range(10_000)
    ]
    document["frames"][5000]["file_path"] = "frames/other.png"
    path.write_text(json.dumps(document))
    index = read_index(tmp_path)
    assert list(index.frames) == list(range(10_000)) and set(index.paths) == {"frames"}
    assert index.path("frames", 4999).name == "frame_004999.png" and index.path("frames", 5000).name == "other.png"
    assert index.path("frames", 9999).name == "frame_009999.png"


def test_camera_values_of_many_frames(tmp_path) -> None:
    """Of more than one part, with a camera of another kind, and so other values, in the middle of the second."""
    path = synthetic.write_dataset(tmp_path, camera="cut to a panorama") / "transforms.json"
    document = json.loads(path.read_text())
    before, after = document["frames"][0], document["frames"][-1]
    document["frames"] = [{**(before if n < 6000 else after), "frame": n} for n in range(9000)]
    path.write_text(json.dumps(document))
    dataset = Dataset.from_path(tmp_path)
    assert dataset[5999].camera == dataset[0].camera and dataset[5999].camera.model == "OPENCV"
    assert dataset[6000].camera == dataset[8999].camera and dataset[6000].camera.model == "OPENCV_FISHEYE"
    for row in (0, 5999, 6000, 8999):
        own = own_values(document["frames"][row])
        values = dataset[0].source.camera_values(row)
        assert {name: values[name] for name in own} == own and ("fov" in values) == (row >= 6000)
    assert dataset[:6000].intrinsics.shape == (6000, 3, 3)


def test_random_access_opens_only_what_is_asked_for(folder) -> None:
    opened: list[str] = []
    watching = threading.Event()  # A hook stays as long as the process.
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" and watching.is_set() else None)
    dataset = Dataset.from_path(folder)
    watching.set()
    try:
        _ = dataset[4].depth, dataset[4].frame, dataset[4].c2w, dataset[4].K, dataset[4].labels
        assert dataset[1].picture.size
    finally:
        watching.clear()
    # OpenEXR opens its file without Python's help.
    assert opened == [str(dataset[1].path("frames"))]


def test_many_arrays_do_not_exhaust_file_descriptors(tmp_path) -> None:
    """Each mapped file holds one."""
    folder = synthetic.write_dataset(tmp_path / "one", num_frames=2)
    document = json.loads((folder / "transforms.json").read_text())
    depth = np.stack([sample.depth for sample in Dataset.from_path(folder)])
    for frame in document["frames"]:
        del frame["depth_file_path"]
    document["arrays"] = {"depths": {"file": "depths.npy", "suffix": ".exr"}}
    for number in range(OPEN_ARRAYS + 20):
        copy = tmp_path / "all" / f"{number:03d}"
        copy.mkdir(parents=True)
        (copy / "transforms.json").write_text(json.dumps(document))
        np.save(copy / "depths.npy", depth + number)
    before = len(os.listdir("/proc/self/fd"))
    dataset = Dataset.from_path(tmp_path / "all")
    samples = list(dataset.iterate(("depths",)))
    assert len(os.listdir("/proc/self/fd")) - before <= OPEN_ARRAYS
    assert all(np.array_equal(sample.depth, depth[n % 2] + n // 2) for n, sample in enumerate(samples))
    # A file that takes its place is seen.
    np.save(tmp_path / "all" / "000" / "depths.npy", depth - 1)
    assert np.array_equal(dataset[1].depth, depth[1] - 1)
    (tmp_path / "all" / "000" / "depths.npy").unlink()
    with pytest.raises(DataError, match=r"depths\.npy"):
        _ = dataset[1].depth
