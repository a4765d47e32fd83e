from __future__ import annotations

import gc
import json
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests import synthetic
from tests.exports.conftest import reader, store_pictures_in_one_array
from visionsim.cameras import camera_from_document
from visionsim.cli import main
from visionsim.dataset.reader import Dataset
from visionsim.errors import ConfigError
from visionsim.exports.webdataset import export_webdataset, frame_size, key_of, plan_shards
from visionsim.io.exr import write_exr

FRAMES = {"balls": 4, "toys": 3}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("webdataset")
    for scene, frames in FRAMES.items():
        synthetic.write_dataset(root / "renders" / scene / "001.5-00005-00009", num_frames=frames)
    return root


@pytest.fixture(scope="module")
def dataset(root) -> Dataset:
    return Dataset.from_path(root)


def samples_in(*paths: Path) -> list[dict]:
    webdataset = reader("webdataset")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # It leaves shards open.
        shards = webdataset.WebDataset([str(path) for path in paths], shardshuffle=False, empty_check=False)
        found = list(shards.decode("rgb8"))
        del shards
        gc.collect()
    return found


ARRAYS = ("depth", "normals", "instance_ids", "forward_flow", "backward_flow")


def test_its_own_reader_gives_what_we_have(dataset, tmp_path) -> None:
    report = export_webdataset(dataset, tmp_path)
    assert (report.exit_code, report.frames, report.notes) == (0, 7, [])
    found = samples_in(tmp_path / "all-000000.tar")
    assert [sample["__key__"] for sample in found] == [
        *(f"balls_001_5-00005-00009_{frame:06d}" for frame in range(5, 9)),
        *(f"toys_001_5-00005-00009_{frame:06d}" for frame in range(5, 8)),
    ]
    for theirs, ours in zip(found, dataset, strict=True):
        assert np.array_equal(theirs["png"], ours.picture)
        for name in ARRAYS:
            pixels = theirs[f"{name}.npy"]
            assert pixels.dtype == getattr(ours, name).dtype and np.array_equal(pixels, getattr(ours, name))
        values = theirs["json"]
        assert (values["sequence"], values["frame"], values["time"]) == (ours.sequence, ours.frame, ours.time)
        assert np.array_equal(values["c2w"], ours.c2w) and np.array_equal(values["K"], ours.K)
        assert camera_from_document(values["camera"]) == ours.camera
        seen = {str(number) for number in np.unique(ours.instance_ids) if number}
        assert set(values["labels"]) == seen
        assert all(values["labels"][n]["class"] == ours.labels[int(n)].class_name for n in seen)


def test_floor_is_recovered_from_a_sample_alone(dataset, tmp_path) -> None:
    """It is the plane z = 0."""
    export_webdataset(dataset, tmp_path)
    for sample in samples_in(tmp_path / "all-000000.tar"):
        K, c2w = (np.array(sample["json"][name]) for name in ("K", "c2w"))
        y, x = np.nonzero(sample["instance_ids.npy"] == 1)
        z = sample["depth.npy"][y, x].astype(np.float64)
        points = np.stack([(x + 0.5 - K[0, 2]) / K[0, 0] * z, -(y + 0.5 - K[1, 2]) / K[1, 1] * z, -z], axis=1)
        assert len(x) > 1000 and np.abs((points @ c2w[:3, :3].T + c2w[:3, 3])[:, 2]).max() < 1e-3


def test_floor_is_recovered_of_a_camera_without_k(tmp_path) -> None:
    folder = synthetic.write_dataset(tmp_path / "balls", camera="fisheye equidistant", num_frames=2)
    export_webdataset(Dataset.from_path(folder), tmp_path)
    for sample in samples_in(tmp_path / "all-000000.tar"):
        values = sample["json"]
        y, x = np.nonzero((sample["instance_ids.npy"] == 1) & (sample["depth.npy"] < 50))
        depth = sample["depth.npy"][y, x].astype(np.float64)
        seen = camera_from_document(values["camera"]).unproject(x + 0.5, y + 0.5, depth)
        c2w = np.array(values["c2w"])
        assert "K" not in values and np.abs((seen @ c2w[:3, :3].T + c2w[:3, 3])[:, 2]).max() < 1e-3


def test_same_data_gives_the_same_bytes_and_says_nothing_of_whose_they_are(dataset, tmp_path) -> None:
    for name, threads in (("one", 1), ("two", 3)):
        export_webdataset(dataset, tmp_path / name, threads=threads)
    for file in ("all-000000.tar", "all.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    with tarfile.open(tmp_path / "one" / "all-000000.tar") as tar:
        members = tar.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
    assert len(members) == 7 * 8 and all(member.isfile() for member in members)


@pytest.mark.parametrize(
    ("frames", "room", "wanted"),
    [
        ({"a": 3, "b": 2}, 5, ["a0-3 b0-2"]),
        ({"a": 3, "b": 2}, 4, ["a0-3", "b0-2"]),
        ({"a": 1, "b": 2, "c": 2}, 3, ["a0-1 b0-2", "c0-2"]),
        ({"a": 7}, 3, ["a0-3", "a3-6", "a6-7"]),
        ({"a": 4, "b": 2}, 3, ["a0-3", "a3-4 b0-2"]),
        ({"a": 1, "b": 5}, 3, ["a0-1", "b0-3", "b3-5"]),
        ({"a": 2}, 0.5, ["a0-1", "a1-2"]),
    ],
)
def test_sequences_are_divided_only_if_they_are_larger_than_a_shard(dataset, frames, room, wanted) -> None:
    long = dataset[[0, 1, 2, 3, 0, 1, 2, 3]]
    sequences = {name: long[:count] for name, count in frames.items()}
    plan = plan_shards(sequences, int(room * frame_size(dataset[0])))
    assert [" ".join(f"{run.sequence}{run.start}-{run.stop}" for run in shard) for shard in plan] == wanted


def test_shards_hold_all_samples_in_order(dataset, tmp_path) -> None:
    size = int(2.5 * frame_size(dataset[0]))
    export_webdataset(dataset, tmp_path, shard_size=size)
    index = json.loads((tmp_path / "all.json").read_text())
    paths = [tmp_path / shard["file"] for shard in index["shards"]]
    assert [path.name for path in paths] == [f"all-{number:06d}.tar" for number in range(4)]
    assert [shard["samples"] for shard in index["shards"]] == [2, 2, 2, 1]
    assert index["shards"][1]["runs"] == [{"sequence": "balls/001.5-00005-00009", "first_frame": 7, "last_frame": 8}]
    found = [sample["json"] for sample in samples_in(*paths)]
    assert [(s["sequence"], s["frame"]) for s in found] == [(s.sequence, s.frame) for s in dataset]
    assert index["labels"]["toys/001.5-00005-00009"] == synthetic.LABELS
    assert "looks along -Z" in index["conventions"]["camera"] and "planar" in index["arrays"]["depth"]["meaning"]


def test_parts_have_shards_of_their_own(root, dataset, tmp_path, capsys) -> None:
    folders = {scene: f"renders/{scene}/001.5-00005-00009" for scene in FRAMES}
    splits = {"splits": {"train": [folders["toys"]], "val": [], "test": [folders["balls"]]}}
    path = root / "splits.json"
    path.write_text(json.dumps(splits))
    try:
        assert main(["export", "webdataset", str(root), str(tmp_path / "out"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["frames"] == 7
        command = ["export", "webdataset", str(root), str(tmp_path / "one"), "--split", "train", "--shard-size", "2MB"]
        assert main(command) == 0
    finally:
        path.unlink()
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"train-000000.tar", "train.json", "test-000000.tar", "test.json"}
    assert [s["json"]["sequence"][:4] for s in samples_in(tmp_path / "out" / "train-000000.tar")] == 3 * ["toys"]
    assert [s["json"]["sequence"][:4] for s in samples_in(tmp_path / "out" / "test-000000.tar")] == 4 * ["ball"]
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"train-000000.tar", "train.json"}


def test_shards_of_an_earlier_export_are_not_mixed_in(dataset, tmp_path) -> None:
    export_webdataset(dataset, tmp_path, shard_size=1)
    assert len(list(tmp_path.glob("all-*.tar"))) == 7
    before = (tmp_path / "all-000000.tar").read_bytes()
    with pytest.raises(ConfigError, match=r"all-000001\.tar would be taken for one of the 1 shards"):
        export_webdataset(dataset, tmp_path)
    assert (tmp_path / "all-000000.tar").read_bytes() == before


def test_damaged_frame_is_named_and_the_rest_done(tmp_path) -> None:
    folder = synthetic.write_dataset(tmp_path / "balls", num_frames=4)
    dataset = Dataset.from_path(folder)
    for kind, row in (("frames", 0), ("flows", 2)):
        path = dataset[row].path(kind)
        path.write_bytes(path.read_bytes()[:-30])
    report = export_webdataset(dataset, tmp_path / "out", shard_size=1)
    assert (report.exit_code, report.frames) == (1, 2)
    assert [(damaged.sequence, damaged.frame) for damaged in report.damaged] == [("balls", 5), ("balls", 7)]
    # Shards are those that they would be otherwise: mending the frames changes no others.
    paths = sorted((tmp_path / "out").glob("*.tar"))
    assert [len(samples_in(path)) for path in paths] == [0, 1, 0, 1]


def test_interrupted_export_leaves_only_whole_shards(dataset, tmp_path) -> None:
    def interrupt(done: int, total: int) -> None:
        assert total == 7
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_webdataset(dataset, tmp_path, shard_size=1, progress=interrupt)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all-000000.tar", "all-000001.tar"]


def test_pictures_of_floats_are_arrays(tmp_path) -> None:
    folder = synthetic.write_dataset(tmp_path / "balls", num_frames=1, kinds=("depths",))
    pixels = np.linspace(0, 7, 80 * 120 * 3, dtype=np.float32).reshape(80, 120, 3)
    write_exr(folder / "frames" / "frame_000005.exr", {name: pixels[..., i] for i, name in enumerate("RGB")})
    path = folder / "transforms.json"
    path.write_text(path.read_text().replace("frame_000005.png", "frame_000005.exr"))
    export_webdataset(Dataset.from_path(folder), tmp_path / "out")
    (sample,) = samples_in(tmp_path / "out" / "all-000000.tar")
    assert {name for name in sample if not name.startswith("__")} == {"picture.npy", "depth.npy", "json"}
    assert np.array_equal(sample["picture.npy"], pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_of_one_array_become_png(dtype, tmp_path) -> None:
    folder = synthetic.write_dataset(tmp_path / "balls", num_frames=2, kinds=("depths",))
    size = (2, synthetic.HEIGHT, synthetic.WIDTH, 3)
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, size, dtype)
    store_pictures_in_one_array(folder, pixels)
    export_webdataset(Dataset.from_path(folder), tmp_path / "out")
    found = samples_in(tmp_path / "out" / "all-000000.tar")
    for sample, ours in zip(found, pixels, strict=True):
        # Its decoder gives bytes, of 16 bits the upper ones.
        assert np.array_equal(sample["png"], ours if dtype == np.uint8 else ours >> 8)


def test_samples_of_one_name_are_refused(root, tmp_path) -> None:
    assert key_of("a/001.5-00001-00002") == "a_001_5-00001-00002"
    for folder in ("renders/a_b/c", "renders/a/b_c"):
        synthetic.write_dataset(tmp_path / folder, num_frames=1)
    with pytest.raises(ConfigError, match="Samples of a/b_c and of a_b/c would have the same names"):
        export_webdataset(Dataset.from_path(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_size_that_is_none_is_refused(root, tmp_path, capsys) -> None:
    for size, message in (("0", "must be positive"), ("much", "'much' is not a size")):
        assert main(["export", "webdataset", str(root), str(tmp_path / "out"), "--shard-size", size]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
