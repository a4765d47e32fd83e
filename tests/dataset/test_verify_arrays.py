"""`verify`, `purge-corrupted` and `status` on sequences that are in arrays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests import frames, synthetic
from visionsim.dataset.array_writer import ArrayWriter
from visionsim.dataset.convert import convert
from visionsim.simulation.status import status
from visionsim.verify.purge import find_corrupted
from visionsim.verify.run import verify


@pytest.fixture
def folder(tmp_path) -> Path:
    synthetic.write_dataset(tmp_path / "files", num_frames=4)
    convert(tmp_path / "files", tmp_path / "arrays", "arrays")
    return tmp_path / "arrays"


def problems(folder: Path) -> list[tuple[str, str, int | None]]:
    (row,) = verify([folder], jobs=1).sequences
    return [(problem.check, problem.file, problem.frame) for problem in row.found.problems]


def test_arrays_are_verified_like_files(folder) -> None:
    (arrays,), (files,) = (verify([root], jobs=1).sequences for root in (folder, folder.parent / "files"))
    assert arrays.found.problems == [] and (arrays.frames, arrays.kinds) == (4, synthetic.KINDS)
    checks = ("documents", "journal", "files", "background", "depth", "flow", "roundtrip", "ids", "normals", "smooth")
    assert (
        [arrays.status(check) for check in checks] == [files.status(check) for check in checks] == len(checks) * ["ok"]
    )
    assert arrays.found.compared == files.found.compared


def test_packed_pictures_are_verified(tmp_path) -> None:
    frames.write(tmp_path, make=ArrayWriter, data=frames.binary_data, pack="frame")
    assert problems(tmp_path) == []


def test_bit_that_flipped_is_found_by_the_journal(folder) -> None:
    with open(folder / "frames.npy", "r+b") as stream:
        stream.seek(128 + 2 * 3 * synthetic.WIDTH * synthetic.HEIGHT + 100)
        (byte,) = stream.read(1)
        stream.seek(-1, 1)
        stream.write(bytes([byte ^ 1]))
    assert problems(folder) == [("journal", "frames.npy", 7)]


def test_array_that_was_written_anew_is_read_anew(folder) -> None:
    (folder / ".visionsim" / "journal.jsonl").unlink()
    assert problems(folder) == []
    depths = np.load(folder / "depths.npy")
    depths[1, 40, 60] = -1
    np.save(folder / "depths.new.npy", depths)
    (folder / "depths.new.npy").replace(folder / "depths.npy")
    assert [(check, file) for check, file, _ in problems(folder)] == [("files", "depths.npy")]


def test_values_that_cannot_be_are_found_without_a_journal(folder) -> None:
    (folder / ".visionsim" / "journal.jsonl").unlink()
    depths = np.load(folder / "depths.npy", mmap_mode="r+")
    depths[1, 40, 60] = -1
    depths.flush()
    (problem,) = verify([folder], jobs=1).sequences[0].found.problems
    assert (problem.check, problem.file, problem.frame, problem.x, problem.y) == ("files", "depths.npy", 6, 60, 40)


@pytest.mark.parametrize("damage", ["missing", "cut off", "shape"])
def test_array_that_is_not_what_the_document_says(damage, folder) -> None:
    path = folder / "flows.npy"
    if damage == "missing":
        path.unlink()
    elif damage == "cut off":
        path.write_bytes(path.read_bytes()[:-4])
    else:
        np.save(path, np.zeros((3, synthetic.HEIGHT, synthetic.WIDTH, 4), np.float32))
    assert ("files", "flows.npy", None) in problems(folder)


def test_purge_leaves_arrays_alone_and_says_so(folder) -> None:
    (row,) = find_corrupted([folder], jobs=1).sequences
    assert row.corrupted == [] and "its arrays are not looked at" in row.notes[0]
    path = folder / "transforms.json"
    path.write_text(path.read_text()[:-50])
    (row,) = find_corrupted([folder], jobs=1).sequences
    assert [item.file for item in row.corrupted] == ["transforms.json"] and "its arrays" in row.notes[0]


def test_status_of_arrays_that_are_not_finished(folder) -> None:
    (row,) = status(folder).sequences
    assert (row.state, row.done, row.total) == ("complete", 4, 4)
    with ArrayWriter(folder.parent / "mine", range(5), fps=25.0, labels=frames.LABELS) as writer:
        writer.add(2, frames.frame_data(2), c2w=frames.pose(2), camera=frames.CAMERA)
        (row,) = status(folder.parent / "mine").sequences
        assert (row.state, row.done) == ("running", 1)
    (row,) = status(folder.parent / "mine").sequences
    assert (row.state, row.done, row.total) == ("stopped", 1, 5)


def test_deep_asks_for_files(folder, tmp_path) -> None:
    from visionsim.simulation.deep import verify_deep

    report = verify([folder], jobs=1)
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "a.blend").write_bytes(b"")
    verify_deep(report, tmp_path / "scenes", executable=None, frames=1, samples=1, observe=lambda event: None)
    (problem,) = report.sequences[0].found.problems
    assert problem.message == "rays are cast for files only: convert the sequence to files"


def test_settings_are_those_of_the_render(folder) -> None:
    document = json.loads((folder / "transforms.json").read_text())
    assert document["generator"]["settings"] == synthetic.SETTINGS
