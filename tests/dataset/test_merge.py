"""Several datasets folders in one: what is linked, what is taken once, what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import frames, synthetic
from visionsim.cli import main
from visionsim.dataset import merge as module
from visionsim.dataset.array_writer import ArrayWriter
from visionsim.dataset.journal import Journal
from visionsim.dataset.lock import Holder, take
from visionsim.dataset.merge import merge
from visionsim.dataset.reader import Dataset
from visionsim.errors import ConfigError, FolderInUse, InputNotFound
from visionsim.verify.run import verify


def sequence(root: Path, name: str, numbers: range = range(3, 6), scene: str = "", **options) -> Path:
    settings = {"scene_sha256": scene * 64} if scene else {}
    return frames.write(root / "renders" / name, numbers, settings=settings, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_sequences_of_all_roots_are_hard_links_in_their_places(tmp_path) -> None:
    a = sequence(tmp_path / "one", "a/001-00003-00006")
    b = sequence(tmp_path / "two", "b/001-00003-00006", make=ArrayWriter)
    (tmp_path / "two" / "splits.json").write_text("{}")
    report = merge([tmp_path / "one", tmp_path / "two"], tmp_path / "all")
    assert (report.exit_code, report.frames, report.kept) == (0, 6, 0)
    assert "24 files are hard links" in report.notes[0] and "split the merged datasets anew" in report.notes[1]
    for folder in (a, b):
        place = tmp_path / "all" / "renders" / folder.parent.name / folder.name
        assert contents(place) == contents(folder)
        for file in ("transforms.json", "frames/frame_000003.png", "frames.npy"):
            if (folder / file).exists():
                assert os.path.samefile(folder / file, place / file)
        journal = ".visionsim/journal.jsonl"
        assert not os.path.samefile(folder / journal, place / journal)
    assert list(Dataset.from_path(tmp_path / "all").sequences()) == ["a/001-00003-00006", "b/001-00003-00006"]
    assert not (tmp_path / "all" / "splits.json").exists()
    again = merge([tmp_path / "one", tmp_path / "two"], tmp_path / "all")
    assert (again.frames, again.kept, [n for n in again.notes if "hard links" in n]) == (6, 6, [])


def test_what_is_merged_is_verified_and_written_again_without_the_original(tmp_path) -> None:
    source = synthetic.write_dataset(tmp_path / "one" / "renders" / "a" / "001-00005-00009", num_frames=4)
    merge([tmp_path / "one"], tmp_path / "all")
    assert verify([tmp_path / "all"], jobs=1).exit_code == 0
    before = contents(source)
    journal = Journal.read(tmp_path / "all" / "renders" / "a" / "001-00005-00009")
    assert journal is not None
    journal.append(journal.records[5])
    assert contents(source) == before


def test_arrays_that_are_linked_are_not_changed_through_the_link(tmp_path) -> None:
    source = sequence(tmp_path / "one", "a", scene="1", make=ArrayWriter)
    merge([tmp_path / "one"], tmp_path / "all")
    before = contents(source)
    place = tmp_path / "all" / "renders" / "a"
    journal = Journal.read(place)
    assert journal is not None
    journal.forget(4)
    journal.begin()
    settings = {"scene_sha256": "1" * 64}
    with ArrayWriter(place, range(3, 6), fps=25.0, labels=frames.LABELS, settings=settings) as writer:
        assert writer.missing == [4]
        writer.add(4, frames.frame_data(99), c2w=frames.pose(4), camera=frames.CAMERA)
    assert np.array_equal(Dataset.from_path(place)[1].picture, frames.frame_data(99)["frames"])
    assert contents(source) == before


def test_copies_where_links_are_impossible(tmp_path, monkeypatch) -> None:
    a = sequence(tmp_path / "one", "a")

    def refuse(*args: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(module.os, "link", refuse)
    report = merge([tmp_path / "one"], tmp_path / "all")
    assert report.notes == [f"17 files were copied, since they cannot be linked to from {tmp_path / 'all'}."]
    place = tmp_path / "all" / "renders" / "a"
    assert contents(place) == contents(a) and not os.path.samefile(a / "info.json", place / "info.json")


def test_duplicates_are_taken_once(tmp_path) -> None:
    a = sequence(tmp_path / "one", "a/x", scene="1")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    shutil.copytree(a, tmp_path / "three" / "renders" / "b" / "y")
    report = merge([tmp_path / "one", tmp_path / "two", tmp_path / "three", tmp_path / "one"], tmp_path / "all")
    assert report.frames == 3 and len([note for note in report.notes if note.startswith("Taken once")]) == 2
    assert list(Dataset.from_path(tmp_path / "all").sequences()) == ["a/x"]


def test_different_sequences_for_one_place_are_refused_and_nothing_is_written(tmp_path, capsys) -> None:
    sequence(tmp_path / "one", "a/x")
    other = sequence(tmp_path / "two", "a/x")
    path = other / "depths" / "depth_000004.exr"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert main(["dataset", "merge", *(str(tmp_path / name) for name in ("one", "two", "all"))]) == 2
    words = " ".join(capsys.readouterr().err.split())
    assert "Two sequences that differ in depths/depth_000004.exr would get the same place, renders/a/x:" in words
    assert not (tmp_path / "all").exists()
    merge([tmp_path / "one"], tmp_path / "all")
    before = contents(tmp_path / "all")
    with pytest.raises(ConfigError, match="Two sequences that differ"):
        merge([tmp_path / "two"], tmp_path / "all")
    assert contents(tmp_path / "all") == before


def test_frames_in_common_are_refused(tmp_path) -> None:
    sequence(tmp_path / "one", "a/001-00003-00007", range(3, 7), scene="1")
    sequence(tmp_path / "two", "b/001-00006-00009", range(6, 9), scene="1")
    with pytest.raises(ConfigError, match="the same scene have 1 frames in common, the first is 6"):
        merge([tmp_path / "one", tmp_path / "two"], tmp_path / "all")
    assert not (tmp_path / "all").exists()
    sequence(tmp_path / "three", "b/001-00007-00009", range(7, 9), scene="1")
    sequence(tmp_path / "four", "c/001-00006-00009", range(6, 9), scene="2")
    sequence(tmp_path / "five", "d/002-00006-00009", range(6, 9))
    settings = {"scene_sha256": "1" * 64, "keyframe_multiplier": 2.0}
    frames.write(tmp_path / "six" / "renders" / "a" / "002-00003-00006", range(3, 6), settings=settings)
    assert merge([tmp_path / n for n in ("one", "three", "four", "five", "six")], tmp_path / "all").frames == 15


def test_sequences_that_share_frames_within_a_root_stay_together(tmp_path) -> None:
    """Such as those of two cameras of a stereo rig."""
    for name in ("left", "right"):
        sequence(tmp_path / "one", name, scene="1")
    assert merge([tmp_path / "one"], tmp_path / "all").frames == 6


def test_unfinished_sequences_are_left_out_and_said(tmp_path) -> None:
    sequence(tmp_path / "one", "a/x")
    unfinished = sequence(tmp_path / "one", "b/x")
    (unfinished / "transforms.json").unlink()
    report = merge([tmp_path / "one"], tmp_path / "all")
    assert report.frames == 3 and str(unfinished) in report.notes[0]
    with pytest.raises(InputNotFound, match="No sequence is finished"):
        merge([unfinished], tmp_path / "other")


def test_killed_merge_goes_on_and_strange_files_are_refused(tmp_path) -> None:
    a = sequence(tmp_path / "one", "a/x")
    merge([tmp_path / "one"], tmp_path / "all")
    place = tmp_path / "all" / "renders" / "a" / "x"
    for left in ("transforms.json", "info.json", "flows/flow_000004.exr"):
        (place / left).unlink()
    assert merge([tmp_path / "one"], tmp_path / "all").kept == 0
    assert contents(place) == contents(a)
    (place / "transforms.json").unlink()
    (place / "depths" / "depth_000003.exr").unlink()
    (place / "depths" / "depth_000003.exr").write_bytes(b"something else")
    with pytest.raises(ConfigError, match=r"Something else is at the place of .*depth_000003\.exr"):
        merge([tmp_path / "one"], tmp_path / "all")


def test_sequence_as_a_root_gets_the_place_it_had(tmp_path) -> None:
    a = sequence(tmp_path / "one", "a/001-00003-00006")
    lonely = frames.write(tmp_path / "lonely", range(3, 6))
    sequence(tmp_path / "two", "b/001-00003-00006")
    merge([a, lonely, tmp_path / "two" / "renders" / "b"], tmp_path / "all")
    there = sorted(str(path.parent.relative_to(tmp_path / "all")) for path in (tmp_path / "all").rglob("info.json"))
    assert there == ["lonely", "renders/a/001-00003-00006", "renders/b/001-00003-00006"]


def test_requests_that_cannot_be_met(tmp_path) -> None:
    a = sequence(tmp_path / "one", "a/x")
    with pytest.raises(ConfigError, match="Neither folder may be in the other"):
        merge([tmp_path / "one"], tmp_path / "one" / "all")
    with pytest.raises(InputNotFound, match="does not exist"):
        merge([tmp_path / "one", tmp_path / "two"], tmp_path / "all")
    lock = take(a, Holder.me())
    with pytest.raises(FolderInUse, match="A run works on the sequence"):
        merge([tmp_path / "one"], tmp_path / "all")
    lock.release()
    assert main(["dataset", "merge", str(tmp_path / "one")]) == 2
    assert not (tmp_path / "all").exists()


def test_json_report(tmp_path, capsys) -> None:
    sequence(tmp_path / "one", "a/x")
    assert main(["dataset", "merge", str(tmp_path / "one"), str(tmp_path / "all"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["what"], report["frames"], report["exit_code"]) == ("merged", 3, 0)
