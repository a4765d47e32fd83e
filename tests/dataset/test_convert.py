"""From files to arrays and back: bit for bit, whatever happens on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import frames, synthetic
from tests.helpers import running, wait_until
from visionsim.cli import main
from visionsim.dataset.array_writer import ArrayWriter
from visionsim.dataset.convert import convert
from visionsim.dataset.journal import Journal
from visionsim.dataset.reader import Dataset
from visionsim.errors import ConfigError, InputNotFound, RequestError, SettingsMismatch
from visionsim.io.images import read_pixels
from visionsim.verify.run import verify


def documents(folder: Path) -> list[dict]:
    return [json.loads((folder / name).read_text()) for name in ("transforms.json", "info.json")]


@pytest.mark.parametrize(
    ("picture", "channels"),
    [("uint8", 1), ("uint8", 3), ("uint8", 4), ("uint16", 2), ("uint16", 3), ("float16", 3), ("float32", 4)],
)
def test_there_and_back_is_bit_for_bit(picture, channels, tmp_path) -> None:
    options = {"picture": picture, "channels": channels}
    files = frames.write(tmp_path / "files", **options)
    assert convert(files, tmp_path / "arrays", "arrays").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "arrays").glob("*.npy")) == sorted(f"{k}.npy" for k in frames.ALL)
    frames.assert_all_same(tmp_path / "arrays", **options)
    assert convert(tmp_path / "arrays", tmp_path / "back", "files").exit_code == 0
    frames.assert_all_same(tmp_path / "back", **options)
    assert documents(tmp_path / "back") == documents(files)
    for path in files.rglob("*_*.*"):
        assert (tmp_path / "back" / path.relative_to(files)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("axis", "jobs"), [("frame", 1), ("height", 1), ("width", 1), ("channel", 1), ("frame", 2)])
def test_binary_pictures_are_packed_there_and_back(axis, jobs, tmp_path) -> None:
    options = {"data": frames.binary_data, "picture": "uint16", "channels": 3, "high": 300}
    files = frames.write(tmp_path / "files", range(3, 22), **options)
    report = convert(files, tmp_path / "arrays", "arrays", pack=axis, jobs=jobs)
    assert (report.exit_code, report.frames, report.notes) == (0, 19, [])
    size = (tmp_path / "arrays" / "frames.npy").stat().st_size - 128
    shape = [19, frames.HEIGHT, frames.WIDTH, 3]
    at = ["frame", "height", "width", "channel"].index(axis)
    assert size == np.prod([*shape[:at], -(-shape[at] // 8), *shape[at + 1 :]])
    frames.assert_all_same(tmp_path / "arrays", range(3, 22), **options)
    convert(tmp_path / "arrays", tmp_path / "back", "files", jobs=jobs)
    frames.assert_all_same(tmp_path / "back", range(3, 22), **options)
    assert documents(tmp_path / "back") == documents(files)
    convert(tmp_path / "arrays", tmp_path / "unpacked", "arrays")
    assert np.load(tmp_path / "unpacked" / "frames.npy").shape == tuple(shape)


def test_pictures_that_are_all_black_can_be_packed(tmp_path) -> None:
    def black(frame: int) -> dict:
        return {"frames": np.zeros((frames.HEIGHT, frames.WIDTH, 1), np.float16)}

    convert(frames.write(tmp_path / "files", data=black), tmp_path / "arrays", "arrays", pack="width")
    frames.assert_all_same(tmp_path / "arrays", data=black)


def test_pictures_that_are_not_binary_are_refused_and_nothing_is_written(tmp_path) -> None:
    files = frames.write(tmp_path / "r" / "files", data=frames.binary_data)
    frames.write(tmp_path / "r" / "also", data=frames.binary_data, high=200)
    assert convert(tmp_path / "r", tmp_path / "fine", "arrays", pack="width").exit_code == 0
    for frame, value in ((9, 3), (11, 4)):
        path = files / "frames" / f"frame_{frame:06d}.png"
        pixels = read_pixels(path)[..., 0].copy()
        pixels[frame - 4, 7] = value
        Image.fromarray(pixels).save(path)
    message = r"not binary: frame 9 of files is not binary: it has 3 besides 0 and 255 at pixel \(7, 5\), channel 0"
    with pytest.raises(ConfigError, match=message):
        convert(tmp_path / "r", tmp_path / "out", "arrays", pack="width")
    Image.fromarray(np.full((frames.HEIGHT, frames.WIDTH), 77, np.uint8)).save(files / "frames" / "frame_000006.png")
    with pytest.raises(ConfigError, match=r"frame 6 of files has 77 at pixel \(0, 0\), .* while frame 3 has 0 and 255"):
        convert(tmp_path / "r", tmp_path / "out", "arrays", pack="frame")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="Only arrays are packed"):
        convert(tmp_path / "r", tmp_path / "out", "files", pack="frame")


def test_jpeg_comes_back_as_png_of_the_same_pixels(tmp_path) -> None:
    files = synthetic.write_dataset(tmp_path / "files", num_frames=3, kinds=("depths",))
    document = json.loads((files / "transforms.json").read_text())
    for frame in document["frames"]:
        png = files / frame["file_path"]
        Image.open(png).save(png.with_suffix(".jpg"), quality=90)
        png.unlink()
        frame["file_path"] = frame["file_path"].replace(".png", ".jpg")
    document["generator"]["settings"]["file_format"] = "JPEG"
    (files / "transforms.json").write_text(json.dumps(document))
    wanted = [sample.picture for sample in Dataset.from_path(files)]
    report = convert(files, tmp_path / "arrays", "arrays")
    assert report.notes == [
        "The pictures of 1 of 1 sequences are JPEG. What is kept is their pixels, which become PNG if they are "
        "converted to files again: another JPEG would change them."
    ]
    convert(tmp_path / "arrays", tmp_path / "back", "files")
    for form in ("arrays", "back"):
        for sample, pixels in zip(Dataset.from_path(tmp_path / form), wanted, strict=True):
            assert np.array_equal(sample.picture, pixels)
    assert (tmp_path / "back" / "frames" / "frame_000005.png").exists()
    settings = documents(tmp_path / "back")[0]["generator"]["settings"]
    assert settings["file_format"] == "PNG" and settings == {**document["generator"]["settings"], "file_format": "PNG"}
    assert verify([tmp_path / "back"], jobs=1).exit_code == 0


@pytest.mark.parametrize("to", ["arrays", "files"])
def test_damaged_frame_is_named_and_left_out_until_it_is_mended(to, tmp_path, capsys) -> None:
    for name in ("a", "b"):
        frames.write(tmp_path / "r" / name, range(3, 19))
    damaged = [tmp_path / "r" / "a" / "frames" / "frame_000003.png", tmp_path / "r" / "a" / "flows" / "flow_000012.exr"]
    whole = [path.read_bytes() for path in damaged]
    damaged[0].write_bytes(whole[0][:-20])
    damaged[1].unlink()
    out = tmp_path / "out"
    assert main(["dataset", "convert", str(tmp_path / "r"), str(out), "--to", to, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [(frame["sequence"], frame["frame"]) for frame in report["damaged"]] == [("a", 3), ("a", 12)]
    assert damaged[0].name in report["damaged"][0]["message"]
    assert (
        "The file is missing" in report["damaged"][1]["message"] and damaged[1].name in report["damaged"][1]["message"]
    )
    assert report["frames"] == 30 and report["notes"][0].startswith("a stays unfinished")
    frames.assert_all_same(out / "b", range(3, 19))
    assert not list((out / "a").glob("*.json")) and not list((out / "a").glob("[a-z]*.npy"))
    for path, data in zip(damaged, whole, strict=True):
        path.write_bytes(data)
    assert main(["dataset", "convert", str(tmp_path / "r"), str(out), "--to", to, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["frames"], report["kept"], report["damaged"]) == (32, 30, [])
    frames.assert_all_same(out / "a", range(3, 19))


def test_sequence_without_a_single_picture_is_damaged_throughout(tmp_path) -> None:
    files = frames.write(tmp_path / "files")
    shutil.rmtree(files / "frames")
    report = convert(files, tmp_path / "out", "arrays")
    assert [frame.frame for frame in report.damaged] == list(range(3, 13)) and report.exit_code == 1
    assert not (tmp_path / "out" / "transforms.json").exists()


GATED = """
import sys, time
from pathlib import Path
from visionsim.cli import main
from visionsim.dataset.writer import SequenceWriter

gate, frames = Path(sys.argv[1]), set()

def record(self, written, record=SequenceWriter.record):
    record(self, written)
    frames.update(written)
    if len(frames) >= 16:
        gate.touch()
        time.sleep(3600)

SequenceWriter.record = record
main(sys.argv[2:])
"""
"""Converts, and stops for good when 16 frames are recorded; touches a file then."""


@pytest.mark.parametrize(("to", "options"), [("arrays", ["--pack", "frame"]), ("files", [])])
def test_killed_conversion_goes_on(to, options, tmp_path) -> None:
    """The process is killed, not asked: others that it started end with it. A gate holds it when some is recorded."""
    numbers, data = range(60), frames.binary_data if options else frames.frame_data
    source = frames.write(tmp_path / "s", numbers, data=data, make=ArrayWriter)
    out, gate = tmp_path / "out", tmp_path / "gate"
    asked = ["dataset", "convert", source, out, "--to", to, "--jobs", "2", *options]
    process = subprocess.Popen([sys.executable, "-c", GATED, gate, *asked], stderr=subprocess.DEVNULL)

    def recorded() -> int:
        journal = out / ".visionsim" / "journal.jsonl"
        return journal.read_bytes().count(b'{"frame":')

    try:
        wait_until(gate.exists, "frames to be converted", 60)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert children
    for child in children:
        wait_until(lambda pid=int(child): not running(pid), "the processes of the pool to end")
    kept = recorded()
    assert 16 <= kept < 60
    assert not list(out.glob("*.json")) and not list(out.glob("[a-z]*.npy"))
    report = convert(source, out, to, pack="frame" if options else None, jobs=1)
    assert (report.frames, report.kept, report.exit_code) == (60, kept, 0)
    frames.assert_all_same(out, numbers, data=data)
    left = [path.name for path in out.rglob("*") if "partial" in path.name or path.name == "lock"]
    assert not left


def test_full_disk_is_said_and_the_conversion_goes_on(tmp_path) -> None:
    """A limit on the size of files, of one process that converts to both, stands in for the disk."""
    source = frames.write(tmp_path / "s")
    script = (
        "import resource, sys; from visionsim.cli import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY));"
        "sys.exit(str([main(['dataset', 'convert', 's', to, '--to', to]) for to in ('arrays', 'files')]))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    said = " ".join(done.stderr.split())
    assert said.endswith("[1, 1]") and said.count("The disk is full (file too large)") == 2
    for to in ("arrays", "files"):
        out = tmp_path / to
        assert not list(out.glob("*.json")) and not list(out.glob("[a-z]*.npy"))
        assert convert(source, out, to).frames == 10
        frames.assert_all_same(out)


def test_again_does_nothing_and_after_damage_only_what_was_damaged(tmp_path) -> None:
    source = frames.write(tmp_path / "files")
    out = tmp_path / "out"
    convert(source, out, "arrays")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert convert(source, out, "arrays").kept == 10
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    with open(out / "depths.npy", "r+b") as stream:
        stream.seek(-100, os.SEEK_END)
        stream.write(b"damage")
    report = convert(source, out, "arrays")
    assert (report.frames, report.kept) == (10, 9)
    frames.assert_all_same(out)


def test_folder_that_was_written_anew_is_read_anew(tmp_path) -> None:
    """In the same process, which keeps the index of what it reads."""
    source = frames.write(tmp_path / "s", range(3, 9))
    convert(source, tmp_path / "first", "arrays")
    shutil.rmtree(source)
    frames.write(tmp_path / "s", range(20, 30), picture="float32")
    assert convert(source, tmp_path / "second", "arrays").exit_code == 0
    frames.assert_all_same(tmp_path / "second", range(20, 30), picture="float32")


def test_sequences_keep_their_places_and_splits(tmp_path) -> None:
    root = tmp_path / "root"
    names = ("renders/a/001-00003-00005", "renders/b/001-00003-00005")
    for name in names:
        frames.write(root / name, range(3, 5))
    (root / "splits.json").write_text(json.dumps({"splits": {"train": [names[0]], "val": [names[1]]}}))
    unfinished = frames.write(root / "renders" / "c" / "001-00003-00005", range(3, 5))
    (unfinished / "transforms.json").unlink()
    report = convert(root, tmp_path / "out", "arrays", jobs=2)
    assert (report.frames, report.exit_code) == (4, 0) and str(unfinished) in report.notes[0]
    assert list(Dataset.from_path(tmp_path / "out", "val").sequences()) == ["b/001-00003-00005"]
    assert not (tmp_path / "out" / "renders" / "c").exists()
    only = convert(root / names[0] / "transforms.json", tmp_path / "one", "files")
    assert only.frames == 2 and (tmp_path / "one" / "transforms.json").exists()


def test_rendered_cameras_come_through(tmp_path) -> None:
    source = synthetic.write_dataset(tmp_path / "s", num_frames=4, camera="animated lens", step=2)
    convert(source, tmp_path / "arrays", "arrays")
    convert(tmp_path / "arrays", tmp_path / "back", "files")
    assert documents(tmp_path / "back") == documents(source)
    there, back = Journal.read(source), Journal.read(tmp_path / "back")
    assert there is not None and back is not None and there.settings == back.settings
    for frame, record in there.records.items():
        camera = back.records[frame].camera
        assert {**record.camera, "name": "", "matrix_world": camera["matrix_world"]} == camera
        assert record.files["depths"] == back.records[frame].files["depths"]
    assert verify([tmp_path / "back"], jobs=1).exit_code == 0


def test_what_was_rendered_is_kept_when_it_is_converted_back(tmp_path) -> None:
    """Its journal has Blender's numbers, the arrays those of transforms.json."""
    source = synthetic.write_dataset(tmp_path / "s", num_frames=3, camera="animated lens")
    convert(source, tmp_path / "arrays", "arrays")
    before = {path: path.read_bytes() for path in source.rglob("*.*") if path.parent != source and path.is_file()}
    report = convert(tmp_path / "arrays", source, "files")
    assert (report.frames, report.kept) == (3, 3)
    assert all(path.read_bytes() == data for path, data in before.items() if path.suffix in (".png", ".exr"))


@pytest.mark.parametrize(("to", "name"), [("files", "frames/frame_000001.png"), ("arrays", "frames.npy")])
def test_files_of_others_are_not_replaced(to, name, tmp_path) -> None:
    source = frames.write(tmp_path / "s")
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(RequestError, match="nobody knows what it is"):
        convert(source, tmp_path / "out", to)
    assert [path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["mine"]


def test_requests_that_cannot_be_met(tmp_path) -> None:
    source = frames.write(tmp_path / "root" / "s", settings={"scene": "a"})
    for target in (tmp_path / "root" / "s" / "out", tmp_path, source):
        with pytest.raises(ConfigError, match="Neither folder may be in the other"):
            convert(source, target, "arrays")
    with pytest.raises(InputNotFound, match="does not exist"):
        convert(tmp_path / "nowhere", tmp_path / "out", "arrays")
    other = frames.write(tmp_path / "other", settings={"scene": "b"})
    convert(source, tmp_path / "out", "arrays")
    with pytest.raises(SettingsMismatch, match=r"scene \(there 'a', now 'b'\)"):
        convert(other, tmp_path / "out", "arrays")
    frames.assert_all_same(tmp_path / "out")
    assert main(["dataset", "convert", str(source), str(tmp_path / "o"), "--to", "arrays", "--jobs", "0"]) == 2
    assert main(["dataset", "convert", str(source), str(tmp_path / "o")]) == 2
    assert not (tmp_path / "o").exists()


def test_other_poses_are_not_taken_for_what_is_there(tmp_path) -> None:
    """Same frames, same settings, but another sequence: its frames replace those."""
    source = frames.write(tmp_path / "s")
    convert(source, tmp_path / "out", "files")
    document = json.loads((source / "transforms.json").read_text())
    document["frames"][3]["transform_matrix"][0][3] += 1
    (source / "transforms.json").write_text(json.dumps(document))
    assert convert(source, tmp_path / "out", "files").kept == 9
    assert np.array_equal(Dataset.from_path(tmp_path / "out").poses, Dataset.from_path(source).poses)
