from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import synthetic
from tests.exports.conftest import reader
from visionsim.cameras import camera_from_document
from visionsim.cli import main
from visionsim.dataset.reader import Dataset
from visionsim.errors import ConfigError
from visionsim.exports.hdf5 import export_hdf5


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    root = tmp_path_factory.mktemp("hdf5")
    for scene, frames in (("balls", 4), ("toys", 2)):
        synthetic.write_dataset(root / "renders" / scene / "001.5-00005-00009", num_frames=frames)
    return Dataset.from_path(root)


PIXELS = ("picture", "depth", "normals", "instance_ids", "forward_flow", "backward_flow")


@pytest.mark.parametrize("level", [0, 1, 9])
def test_its_own_reader_gives_what_we_have(dataset, tmp_path, level) -> None:
    h5py = reader("h5py")
    report = export_hdf5(dataset, tmp_path, level=level)
    assert (report.exit_code, report.frames, report.kept, report.damaged) == (0, 6, 0, [])
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == {
        "balls/001.5-00005-00009.h5",
        "toys/001.5-00005-00009.h5",
    }
    for name, sequence in dataset.sequences().items():
        with h5py.File(tmp_path / f"{name}.h5") as file:
            assert np.array_equal(file["frame"], sequence.frames) and np.array_equal(file["time"], sequence.times)
            assert np.array_equal(file["c2w"], sequence.poses) and np.array_equal(file["K"], sequence.intrinsics)
            for pixels in PIXELS:
                for row, sample in enumerate(sequence):
                    ours = getattr(sample, pixels)
                    assert file[pixels].dtype == ours.dtype and np.array_equal(file[pixels][row], ours)
                assert file[pixels].chunks == (1, *ours.shape)  # A frame is read alone.
                assert (file[pixels].compression, file[pixels].compression_opts) == (
                    ("gzip", level) if level else (None, None)
                )
                assert file[pixels].attrs["meaning"]
            names = [text.decode() for text in file["labels/class"]]
            ids = file["labels/id"][:].tolist()
            assert dict(zip(ids, names, strict=True)) == {
                n: label.class_name for n, label in sequence[0].labels.items()
            }
            assert file.attrs["sequence"] == name and file.attrs["fps"] == 25
            assert "looks along -Z" in file["conventions"].attrs["camera"]
            assert "planar" in file["depth"].attrs["meaning"] and file["depth"].attrs["unit"] == "scene units"


@pytest.mark.parametrize("camera", synthetic.CAMERAS)
def test_floor_is_recovered_from_the_file_alone(camera, tmp_path) -> None:
    """Of every model of camera; the floor is the plane z = 0."""
    h5py = reader("h5py")
    folder = synthetic.write_dataset(tmp_path / "balls", camera=camera, num_frames=4, kinds=("depths", "segmentations"))
    export_hdf5(Dataset.from_path(folder), tmp_path / "out")
    with h5py.File(tmp_path / "out" / "balls.h5") as file:
        for row in range(4):
            values = json.loads(file["camera"][row] if "camera" in file else file.attrs["camera"])
            y, x = np.nonzero((file["instance_ids"][row] == 1) & (file["depth"][row] < 50))
            assert len(x) > 100
            seen = camera_from_document(values).unproject(x + 0.5, y + 0.5, file["depth"][row][y, x].astype(np.float64))
            c2w = file["c2w"][row]
            assert np.abs((seen @ c2w[:3, :3].T + c2w[:3, 3])[:, 2]).max() < 1e-3
        assert ("K" in file) == (camera in ("perspective", "animated lens", "animated shift", "camera cut"))


def test_floor_is_recovered_with_k_alone(dataset, tmp_path) -> None:
    h5py = reader("h5py")
    export_hdf5(dataset, tmp_path)
    with h5py.File(tmp_path / "balls" / "001.5-00005-00009.h5") as file:
        K, c2w, depth, ids = (file[name][2] for name in ("K", "c2w", "depth", "instance_ids"))
    y, x = np.nonzero(ids == 1)
    z = depth[y, x].astype(np.float64)
    points = np.stack([(x + 0.5 - K[0, 2]) / K[0, 0] * z, -(y + 0.5 - K[1, 2]) / K[1, 1] * z, -z], axis=1)
    assert np.abs((points @ c2w[:3, :3].T + c2w[:3, 3])[:, 2]).max() < 1e-3


def test_same_data_gives_the_same_bytes(dataset, tmp_path) -> None:
    reader("h5py")
    for name, threads in (("one", 1), ("two", 3)):
        export_hdf5(dataset, tmp_path / name, threads=threads)
    paths = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.h5")]
    assert len(paths) == 2
    for path in paths:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_what_is_there_is_kept_and_the_rest_written(dataset, tmp_path) -> None:
    reader("h5py")
    export_hdf5(dataset, tmp_path)
    balls, toys = (tmp_path / scene / "001.5-00005-00009.h5" for scene in ("balls", "toys"))
    whole, before = toys.read_bytes(), balls.stat().st_mtime_ns
    toys.write_bytes(whole[: len(whole) // 2])
    report = export_hdf5(dataset, tmp_path)
    assert (report.frames, report.kept) == (6, 4)
    assert toys.read_bytes() == whole and balls.stat().st_mtime_ns == before
    # Other settings, or other frames, are not what is there.
    assert export_hdf5(dataset, tmp_path, level=2).kept == 0
    assert export_hdf5(dataset[:3], tmp_path, level=2).kept == 0


def test_interrupted_export_leaves_whole_files_and_goes_on(dataset, tmp_path) -> None:
    reader("h5py")

    def interrupt(done: int, total: int) -> None:
        assert total == 6
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_hdf5(dataset, tmp_path, progress=interrupt)
    assert [path.parent.name for path in tmp_path.rglob("*") if path.is_file()] == ["balls"]
    assert export_hdf5(dataset, tmp_path).kept == 4


def test_damaged_frame_is_named_and_the_rest_done(tmp_path) -> None:
    h5py = reader("h5py")
    folder = synthetic.write_dataset(tmp_path / "balls", num_frames=4)
    path = folder / "normals" / "normal_000006.exr"
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    dataset = Dataset.from_path(folder)
    report = export_hdf5(dataset, tmp_path / "out")
    assert (report.exit_code, report.frames) == (1, 3)
    (damaged,) = report.damaged
    assert (damaged.sequence, damaged.frame) == ("balls", 6) and path.name in damaged.message
    with h5py.File(tmp_path / "out" / "balls.h5") as file:
        assert list(file["frame"]) == [5, 7, 8] and len(file["c2w"]) == len(file["depth"]) == 3
        assert np.array_equal(file["depth"][1], dataset[2].depth)
    path.write_bytes(whole)
    again = export_hdf5(Dataset.from_path(folder), tmp_path / "out")
    assert (again.exit_code, again.frames, again.kept) == (0, 4, 0)


def test_frame_of_another_type_counts_as_damaged(tmp_path) -> None:
    reader("h5py")
    folder = synthetic.write_dataset(tmp_path / "balls", num_frames=3)
    path = folder / "frames" / "frame_000006.png"
    Image.open(path).convert("L").save(path)
    report = export_hdf5(Dataset.from_path(folder), tmp_path / "out")
    (damaged,) = report.damaged
    assert damaged.frame == 6
    assert damaged.message == "picture is (80, 120, 1) uint8, that of other frames (80, 120, 3) uint8"


def test_sequence_of_which_nothing_can_be_read_has_no_file(tmp_path) -> None:
    reader("h5py")
    folder = synthetic.write_dataset(tmp_path / "balls", num_frames=2)
    for path in (folder / "depths").iterdir():
        path.unlink()
    report = export_hdf5(Dataset.from_path(folder), tmp_path / "out")
    assert (report.exit_code, report.frames, len(report.damaged)) == (1, 0, 2)
    assert not (tmp_path / "out").exists()


def test_missing_library_is_named_with_its_extra(dataset, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"h5py is needed for this.*pip install 'visionsim\[hdf5\]'"):
        export_hdf5(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_command(dataset, tmp_path, capsys) -> None:
    reader("h5py")
    root: Path = dataset[0].source.folder
    command = ["export", "hdf5", str(root), str(tmp_path), "--level", "0", "--threads", "1", "--json"]
    for kept in (0, 4):
        assert main(command) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["frames"], report["kept"], report["what"]) == (4, kept, "exported as HDF5")
    assert main([*command, "--level", "11"]) == 2
