"""Corrupted files of every kind are found and removed, nothing else is, and what says that they are there goes too."""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Answer
from tests.cli.conftest import call as call  # A fixture.
from tests.damage import edit, file_of
from tests.dataset.mortal_decoder import look_or_die
from tests.synthetic import FIRST, HEIGHT, NUM_FRAMES, WIDTH, write_dataset
from visionsim.dataset.journal import Journal, StoredFile
from visionsim.dataset.lock import Holder, take
from visionsim.errors import FolderInUse, InputNotFound
from visionsim.io.exr import write_exr
from visionsim.verify import damage
from visionsim.verify.damage import FileTask, look, look_at_all
from visionsim.verify.purge import PurgeReport, find_corrupted, remove_corrupted

FRAME = FIRST + 2
KINDS = ("frames", "depths", "normals", "segmentations", "flows", "occlusions")
FILES = len(KINDS) * NUM_FRAMES + 3  # And documents, and the journal.


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """renders/room/SEQUENCE with a preview."""
    folder = tmp_path_factory.mktemp("good") / "renders" / "room" / "001-00005-00012"
    write_dataset(folder)
    return folder


@pytest.fixture
def sequence(good, tmp_path) -> Path:
    folder = tmp_path / "renders" / "room" / good.name
    shutil.copytree(good, folder)
    return folder


@pytest.fixture
def processes() -> None:
    """Decode in processes, as the program does."""


@pytest.fixture(autouse=True)
def decoder(request, monkeypatch) -> None:
    """Decode in threads, unless the test asks for processes, which take a third of a second each to begin."""
    if "processes" not in request.fixturenames:
        monkeypatch.setattr(damage, "start", start_thread)


def start_thread():
    ours, theirs = multiprocessing.Pipe()

    def answer() -> None:
        with theirs, contextlib.suppress(EOFError):
            while True:
                theirs.send(look(theirs.recv()))

    thread = threading.Thread(target=answer, name="decoder")
    thread.start()
    return thread, ours


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def corrupted(report: PurgeReport) -> dict[str, str]:
    return {item.file: item.reason for item in report.corrupted}


# One file.


@pytest.fixture(params=["PNG", "JPEG", "EXR picture", "depths", "normals", "segmentations", "flows", "preview"])
def file(request, tmp_path) -> FileTask:
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 255, (24, 32, 3), np.uint8)
    smooth = np.cumsum(np.ones((24, 32), np.float32), axis=1)
    if request.param in ("PNG", "JPEG", "preview"):
        path = tmp_path / ("a.jpg" if request.param == "JPEG" else "a.png")
        Image.fromarray(colours).save(path)
    else:
        channels = {"normals": "RGB", "flows": "RGBA", "EXR picture": "RGB"}.get(request.param, "Y")
        dtype = np.uint32 if request.param == "segmentations" else np.float32
        path = tmp_path / "a.exr"
        write_exr(path, {name: smooth.astype(dtype) for name in channels})
    is_picture = request.param in ("PNG", "JPEG", "EXR picture")
    kind = "frames" if is_picture else "depths" if request.param == "preview" else request.param
    return FileTask(str(path), kind, preview=request.param == "preview")


def test_intact_file_of_any_kind_is_decoded(file):
    seen = look(file)
    assert (seen.damage, seen.unchecked, seen.size) == ("", "", "32 x 24")
    assert bool(seen.form) != file.preview


def test_file_cut_anywhere_is_corrupted(file):
    path = Path(file.path)
    data = path.read_bytes()
    for length in (0, 3, len(data) // 3, len(data) - 1):
        path.write_bytes(data[:length])
        assert look(file).damage, length


def test_file_that_differs_from_its_record_is_corrupted(file):
    path = Path(file.path)
    recorded = FileTask(file.path, file.kind, file.preview, StoredFile.of(path.parent, path))
    assert not look(recorded).damage
    flip(path)
    assert look(recorded).damage == "its bytes are not those that were written"


def test_what_cannot_be_looked_at_is_not_called_corrupted(file, monkeypatch):
    assert look(FileTask(file.path + "x", file.kind)).unchecked == "No such file or directory"
    for number, is_damage in ((errno.EACCES, False), (errno.EMFILE, False), (errno.EIO, True)):

        def refuse(path: str, number: int = number) -> None:
            raise OSError(number, os.strerror(number), path)

        monkeypatch.setattr(damage, "size_and_checksum", refuse)
        seen = look(file)
        assert (bool(seen.damage), bool(seen.unchecked)) == (is_damage, not is_damage)

    def too_large(path: str) -> None:
        raise MemoryError

    monkeypatch.setattr(damage, "size_and_checksum", too_large)
    assert "memory" in look(file).unchecked


@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("kind", ["depths", "normals", "flows"])
def test_values_that_are_no_numbers_are_damage(kind, value, tmp_path):
    pixels = np.ones((8, 8), np.float32)
    pixels[3, 4] = value
    write_exr(tmp_path / "a.exr", {"Y": pixels})
    assert look(FileTask(str(tmp_path / "a.exr"), kind)).damage
    assert not look(FileTask(str(tmp_path / "a.exr"), "frames")).damage  # Compositors make such pictures.


def test_background_of_depth_is_a_number(tmp_path):
    write_exr(tmp_path / "a.exr", {"Y": np.full((8, 8), np.inf, np.float32)})
    assert not look(FileTask(str(tmp_path / "a.exr"), "depths")).damage


# Processes.


def test_file_that_kills_its_process_costs_that_process_only(monkeypatch):
    def start():
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=look_or_die, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        return process, ours

    monkeypatch.setattr(damage, "start", start)
    names = ["a", "kills SIGSEGV", "b", "kills SIGKILL", "c"]
    counts: list[tuple[int, int]] = []
    looks = look_at_all([FileTask(n, "frames") for n in names], 1, lambda done, total: counts.append((done, total)))
    assert [seen.size for seen in looks] == ["a", "", "b", "", "c"]
    assert looks[1].damage == "decoding it crashes the decoder"
    assert "code -9" in looks[3].unchecked and not looks[3].damage  # It may have been for want of memory.
    assert counts == [(n, 5) for n in range(1, 6)]


def test_what_goes_wrong_in_a_thread_is_raised(monkeypatch):
    def start():
        raise OSError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(damage, "start", start)
    with pytest.raises(OSError, match="no more processes"):
        look_at_all([FileTask("a", "frames")] * 5, 2, lambda done, total: None)


# A dataset.


def test_one_of_each_kind_is_found_and_removed_with_what_says_it_is_there(sequence, tmp_path, processes):
    preview = sequence / "depths" / f"depth_{FIRST:06d}.png"
    Image.new("RGB", (WIDTH, HEIGHT)).save(preview)
    strangers = ["notes.txt", "frames/frame_000007.bak", "frames/frame_7.png", "depths/mask_000007.exr", "mine/a.exr"]
    for name in strangers:
        (sequence / name).parent.mkdir(exist_ok=True)
        (sequence / name).write_bytes(b"no picture")
    before = tree(sequence)
    good_report = find_corrupted([tmp_path], jobs=2)
    assert corrupted(good_report) == {}
    assert (good_report.files, good_report.exit_code) == (FILES + 1, 0)

    wanted = {file_of(kind, FRAME) for kind in KINDS} | {preview.relative_to(sequence).as_posix()}
    for index, name in enumerate(sorted(wanted)):
        (cut if index % 2 or name.endswith("png") else flip)(sequence / name)
    report = find_corrupted([tmp_path], jobs=2)
    assert set(corrupted(report)) == wanted
    assert report.sequences[0].in_the_way == ["transforms.json", "info.json"]
    assert report.exit_code == 1
    assert tree(sequence) == before, "looking changes nothing"

    remove_corrupted(report)
    assert report.exit_code == 0
    assert tree(sequence) == before - wanted - {"transforms.json", "info.json"}
    journal = Journal.read(sequence)
    assert journal is not None
    assert set(range(FIRST, FIRST + NUM_FRAMES)) - set(journal.records) == {FRAME, FIRST}
    assert all(journal.intact(frame, KINDS) for frame in journal.records)
    assert find_corrupted([tmp_path], jobs=1).exit_code == 0


def test_without_a_journal_files_are_decoded_and_compared_with_transforms(sequence):
    shutil.rmtree(sequence / ".visionsim")
    flip(sequence / file_of("frames", FRAME))
    edit(sequence, "depths", FRAME, lambda c: {"Y": c["Y"][:-1]})
    edit(sequence, "normals", FRAME, lambda c: {"Y": c["R"]})
    edit(sequence, "segmentations", FRAME, lambda c: {"Y": c["Y"].astype(np.float32)})
    Image.new("L", (WIDTH, HEIGHT)).save(sequence / file_of("frames", FIRST))
    report = find_corrupted([sequence], jobs=1)
    assert corrupted(report) == {
        file_of("frames", FRAME): "Damaged PNG file",
        file_of("frames", FIRST): "it has 1 channel of 8 bits instead of 3 channels of 8 bits",
        file_of("depths", FRAME): f"it is {WIDTH} x {HEIGHT - 1} pixels, not {WIDTH} x {HEIGHT}",
        file_of("normals", FRAME): "it has channel Y of float32 instead of channels B G R of float32",
        file_of("segmentations", FRAME): "it has channel Y of float32 instead of channel Y of uint32",
    }
    remove_corrupted(report)
    assert report.exit_code == 0
    assert not {"transforms.json", "info.json", *corrupted(report)} & tree(sequence)
    assert not (sequence / ".visionsim").exists()


def test_without_any_document_most_files_decide(sequence):
    shutil.rmtree(sequence / ".visionsim")
    for name in ("transforms.json", "info.json"):
        (sequence / name).unlink()
    edit(sequence, "depths", FRAME, lambda c: {"Y": c["Y"][:, :-1]})
    edit(sequence, "flows", FRAME, lambda c: {"Y": c["R"]})
    assert set(corrupted(find_corrupted([sequence], jobs=1))) == {file_of("depths", FRAME), file_of("flows", FRAME)}


@pytest.mark.parametrize("how", [cut, flip], ids=["cut", "flipped"])
def test_damaged_journal_goes(sequence, how):
    path = sequence / ".visionsim" / "journal.jsonl"
    first, _, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(first)
    how(path)
    path.write_bytes(path.read_bytes() + b"\n" + rest)
    report = find_corrupted([sequence], jobs=1)
    assert list(corrupted(report)) == [".visionsim/journal.jsonl"]
    remove_corrupted(report)
    assert report.exit_code == 0
    assert not {".visionsim/journal.jsonl", "transforms.json", "info.json"} & tree(sequence)
    assert len(tree(sequence)) == FILES - 3


def test_damaged_lines_of_a_journal_are_told(sequence):
    cut(sequence / ".visionsim" / "journal.jsonl")
    report = find_corrupted([sequence], jobs=1)
    assert report.exit_code == 0
    assert "the journal has a line damaged" in report.sequences[0].notes[0]


@pytest.mark.parametrize("journal", [True, False])
@pytest.mark.parametrize("name", ["transforms.json", "info.json"])
def test_damaged_document_goes(sequence, name, journal):
    cut(sequence / name)
    if not journal:
        shutil.rmtree(sequence / ".visionsim")
    report = find_corrupted([sequence], jobs=1)
    assert list(corrupted(report)) == [name]
    remove_corrupted(report)
    assert report.exit_code == 0
    assert not {"transforms.json", "info.json"} & tree(sequence)


def test_documents_of_others_are_left_alone(tmp_path):
    (tmp_path / "transforms.json").write_text(json.dumps({"frames": []}))
    (tmp_path / "frames").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "frames" / "frame_000001.png")
    cut(tmp_path / "frames" / "frame_000001.png")
    report = find_corrupted([tmp_path], jobs=1)
    assert "left alone" in report.sequences[0].notes[0]
    remove_corrupted(report)
    assert tree(tmp_path) == {"transforms.json"}


def test_sequence_that_a_run_works_on_is_left_alone(sequence):
    cut(sequence / file_of("depths", FRAME))
    report = find_corrupted([sequence], jobs=1)
    before = tree(sequence)
    lock = take(sequence, Holder.me())
    with pytest.raises(FolderInUse, match="Another run"):
        remove_corrupted(report)
    lock.release()
    assert tree(sequence) == before


def test_file_that_was_changed_meanwhile_is_left_alone(sequence, good):
    name = file_of("depths", FRAME)
    cut(sequence / name)
    report = find_corrupted([sequence], jobs=1)
    shutil.copyfile(good / name, sequence / name)
    before = tree(sequence)
    remove_corrupted(report)
    assert report.corrupted[0].problem == "it was changed meanwhile, and is left alone"
    assert (tree(sequence), report.exit_code) == (before, 1)


def test_what_cannot_be_removed_is_told(sequence, monkeypatch):
    cut(sequence / file_of("depths", FRAME))
    report = find_corrupted([sequence], jobs=1)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(PermissionError):  # The lock's own file, in the end.
            remove_corrupted(report)
    assert (report.corrupted[0].removed, report.corrupted[0].problem) == (False, "Permission denied")
    assert report.exit_code == 1


def test_folders_without_sequences(tmp_path):
    with pytest.raises(InputNotFound, match="nothing to purge"):
        find_corrupted([tmp_path])
    with pytest.raises(InputNotFound, match="to purge does not exist"):
        find_corrupted([tmp_path / "nowhere"])


# The command.


def test_command_lists_asks_and_removes(sequence, call: Callable[..., Answer], monkeypatch):
    name = file_of("depths", FRAME)
    cut(sequence / name)
    command = ("purge-corrupted", sequence, "--jobs=1")

    answer = call(*command, "--dry-run")
    assert (answer.code, name in answer.out) == (1, True)
    assert "Nothing was removed; without --dry-run they are" in answer.out.replace("\n", " ")

    answer = call(*command)
    assert (answer.code, answer.out) == (2, "")
    assert "no terminal to ask on" in answer.err

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for said, code in (("n\n", 1), ("y\n", 0)):
        monkeypatch.setattr("visionsim.cli._purge.typer.confirm", lambda text, err, said=said: said == "y\n")
        assert (sequence / name).exists()
        assert call(*command).code == code
    assert not (sequence / name).exists()
    assert "Nothing is corrupted" in call(*command, "--dry-run").out


def test_command_as_json(sequence, call: Callable[..., Answer], processes):
    name = file_of("flows", FRAME)
    cut(sequence / name)
    answer = call("purge-corrupted", sequence, "--yes", "--json", "--jobs=1")
    document = json.loads(answer.out)
    (row,) = document["sequences"]
    assert (answer.code, document["exit_code"], document["num_removed"]) == (0, 0, 1)
    assert [(item["file"], item["frame"], item["removed"]) for item in row["corrupted"]] == [(name, FRAME, True)]
    assert row["documents_removed"]
