"""The record of a sequence: what is written comes back, what is damaged is noticed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import camera_values
from visionsim.dataset.journal import FrameRecord, Journal, StoredFile, settings_digest
from visionsim.errors import DataError, SettingsMismatch

SETTINGS = {"width": 6, "height": 4, "seed": 0, "device": "cpu", "addons": [], "use_motion_blur": None}
KINDS = ("frames", "depths")


def store(folder, frame: int, kinds=KINDS) -> FrameRecord:
    """A finished frame, its files included."""
    files = {}
    for kind in kinds:
        path = folder / kind / f"{kind}_{frame:06d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{kind} of frame {frame}".encode() * 20)
        files[kind] = StoredFile.of(folder, path)
    return FrameRecord(frame, 3, camera_values(lens=50.0 + frame / 7), files)


@pytest.fixture
def journal(tmp_path) -> Journal:
    """Three frames, on disk."""
    journal = Journal.load(tmp_path, SETTINGS)
    journal.begin()
    for frame in (3, 1, 2):
        journal.append(store(tmp_path, frame))
    return journal


def test_folder_without_a_journal_has_no_records_and_stays_as_it_is(tmp_path):
    assert Journal.load(tmp_path / "new", SETTINGS).records == {}
    assert list(tmp_path.iterdir()) == []


def test_records_come_back_as_they_were(journal):
    assert Journal.load(journal.folder, SETTINGS).records == journal.records


def test_begin_writes_the_frames_in_order(journal):
    journal.begin()
    lines = journal.path.read_text().splitlines()
    assert [json.loads(line).get("frame") for line in lines] == [None, 1, 2, 3]
    assert Journal.load(journal.folder, SETTINGS).records == journal.records


def test_begin_gives_the_same_bytes_whatever_the_order_of_frames(tmp_path):
    texts = []
    for name, order in (("a", (1, 2, 3)), ("b", (3, 1, 2))):
        journal = Journal(tmp_path / name, dict(SETTINGS))
        journal.begin()
        for frame in order:
            journal.append(store(tmp_path / name, frame))
        journal.begin()
        texts.append(journal.path.read_bytes())
    assert texts[0] == texts[1]


def test_later_line_replaces_an_earlier_one(journal):
    second = FrameRecord(2, 4, camera_values(), journal.records[2].files)
    journal.append(second)
    assert Journal.load(journal.folder, SETTINGS).records[2] == second


def test_forgotten_frame_is_gone_after_begin(journal):
    journal.forget(2)
    journal.forget(99)
    journal.begin()
    assert sorted(Journal.load(journal.folder, SETTINGS).records) == [1, 3]


def test_torn_last_line_is_a_frame_that_is_not_there(journal):
    whole = journal.path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for length in range(last, len(whole)):
        journal.path.write_bytes(whole[:length])
        assert sorted(Journal.load(journal.folder, SETTINGS).records) == [1, 3]


def test_frames_after_a_torn_line_are_kept(journal):
    lines = journal.path.read_text().splitlines(keepends=True)
    # A crash tore frame 3, and something was appended all the same.
    journal.path.write_text(lines[0] + lines[1][:40] + lines[2] + lines[3])
    assert sorted(Journal.load(journal.folder, SETTINGS).records) == [2]


TEXT = st.text(max_size=20)  # Includes line separators of all kinds.


@given(st.integers(0, 10**6), TEXT, st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 4))
def test_record_is_one_line_and_comes_back(frame, name, lens, channels):
    files = {"frames": StoredFile(f"frames/{name}.png", 7, "0badf00d")}
    record = FrameRecord(frame, channels, camera_values(name=name, lens=lens), files)
    line = record.to_line()
    assert line.endswith("\n") and len(line.splitlines()) == 1
    assert FrameRecord.from_line(line) == record


# Settings.


def test_other_settings_are_refused_naming_the_fields_and_both_values(journal):
    with pytest.raises(SettingsMismatch) as caught:
        Journal.load(journal.folder, {**SETTINGS, "width": 800, "seed": 5})
    message = str(caught.value)
    for word in ("width", "6", "800", "seed", "0", "5", str(journal.folder)):
        assert word in message
    for name in ("height", "device", "addons"):
        assert name not in message


@pytest.mark.parametrize(
    "changed", [{**SETTINGS, "new_option": 1}, {k: v for k, v in SETTINGS.items() if k != "device"}]
)
def test_settings_that_appear_or_vanish_are_a_mismatch(journal, changed):
    (name,) = set(changed) ^ set(SETTINGS)
    with pytest.raises(SettingsMismatch, match=name):
        Journal.load(journal.folder, changed)


def test_order_of_settings_does_not_matter(journal):
    reordered = dict(reversed(SETTINGS.items()))
    assert Journal.load(journal.folder, reordered).records == journal.records
    assert settings_digest(reordered) == settings_digest(SETTINGS)


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_settings_of_any_kind_are_recognised_again(tmp_path_factory, settings):
    folder = tmp_path_factory.mktemp("sequence")
    Journal(folder, settings).begin()
    assert Journal.load(folder, settings).records == {}


def test_digest_is_short_hexadecimal_and_tells_settings_apart():
    digests = {settings_digest({**SETTINGS, "seed": seed}) for seed in range(100)}
    assert len(digests) == 100
    assert all(len(digest) == 16 and set(digest) <= set("0123456789abcdef") for digest in digests)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "\n",
        "not json\n",
        "[]\n",
        "{}\n",
        '{"journal": 1}\n',
        '{"journal": 99, "settings": {}}\n',
        '{"journal": 1, "sett',
    ],
)
def test_file_that_is_no_journal_is_an_error_naming_it(journal, header):
    journal.path.write_text(header)
    with pytest.raises(DataError) as caught:
        Journal.load(journal.folder, SETTINGS)
    assert str(journal.path) in str(caught.value)


# Whether a frame is finished.


def test_intact_is_true_for_what_was_written(journal):
    assert all(journal.intact(frame, KINDS) for frame in (1, 2, 3))
    assert journal.intact(1, ("frames",))


def test_intact_is_false_for_a_frame_without_record(journal):
    assert not journal.intact(4, KINDS)


def test_intact_is_false_when_a_kind_was_not_rendered(journal):
    assert not journal.intact(1, (*KINDS, "flows"))


@pytest.mark.parametrize("kind", KINDS)
def test_intact_is_false_when_a_file_is_gone(journal, kind):
    (journal.folder / journal.records[1].files[kind].path).unlink()
    assert not journal.intact(1, KINDS)
    assert journal.intact(2, KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_intact_is_false_for_a_folder_in_place_of_the_file(journal, kind):
    path = journal.folder / journal.records[1].files[kind].path
    path.unlink()
    path.mkdir()
    assert not journal.intact(1, KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_intact_notices_every_truncation(journal, kind):
    path = journal.folder / journal.records[1].files[kind].path
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        assert not journal.intact(1, KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_intact_notices_every_flipped_bit(journal, kind):
    path = journal.folder / journal.records[1].files[kind].path
    data = path.read_bytes()
    for position in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        assert not journal.intact(1, KINDS)


def test_intact_notices_added_bytes_and_exchanged_files(journal):
    first, second = (journal.folder / journal.records[frame].files["frames"].path for frame in (1, 2))
    second.write_bytes(second.read_bytes() + b"\0")
    first.write_bytes((journal.folder / journal.records[3].files["frames"].path).read_bytes())
    assert [journal.intact(frame, KINDS) for frame in (1, 2, 3)] == [False, False, True]


def test_stored_paths_are_relative_with_forward_slashes(journal):
    assert journal.records[1].files["depths"].path == "depths/depths_000001.bin"


def test_journal_with_damaged_bytes_is_read_without_the_damaged_frame(tmp_path):
    journal = Journal(tmp_path, dict(SETTINGS))
    journal.begin()
    for frame in (1, 2):
        journal.append(FrameRecord(frame, 3, camera_values(), {}))
    data = journal.path.read_bytes()
    journal.path.write_bytes(data[:-20] + b"\xff\xfe" + data[-18:])
    assert 1 in Journal.load(tmp_path, SETTINGS).records


def test_journal_that_is_no_text_is_an_error_naming_it(tmp_path):
    journal = Journal(tmp_path, dict(SETTINGS))
    journal.begin()
    journal.path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match=r"journal\.jsonl"):
        Journal.load(tmp_path, SETTINGS)


def test_setting_that_is_new_and_none_is_named(tmp_path):
    Journal(tmp_path, dict(SETTINGS)).begin()
    with pytest.raises(SettingsMismatch, match="a_new_one"):
        Journal.load(tmp_path, {**SETTINGS, "a_new_one": None})


# Lines that were torn or damaged.


def test_line_after_a_torn_one_is_kept(journal):
    """A full disk tore the line of frame 2; when there was room again the run went on."""
    journal.path.write_bytes(journal.path.read_bytes()[:-30])
    journal.append(store(journal.folder, 9))
    assert sorted(Journal.load(journal.folder, SETTINGS).records) == [1, 3, 9]


def test_every_flipped_bit_of_a_line_is_noticed(journal):
    line = journal.records[1].to_line()
    for position in range(len(line) * 8):
        flipped = bytearray(line.encode())
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(ValueError):
            FrameRecord.from_line(flipped.decode(errors="replace"))


def test_damaged_line_is_a_frame_that_is_not_there(journal):
    text = journal.path.read_text()
    at = text.index('"lens":50.4')  # Frame 3's, the first of them.
    journal.path.write_text(text[: at + 7] + "6" + text[at + 8 :])
    assert sorted(Journal.load(journal.folder, SETTINGS).records) == [1, 2]


@pytest.mark.parametrize("old", ['"width":6', '"seed":0'])
def test_damaged_settings_are_an_error_and_not_other_settings(journal, old):
    text = journal.path.read_text()
    assert old in text
    journal.path.write_text(text.replace(old, old[:-1] + "7", 1))
    with pytest.raises(DataError, match="damaged"):
        Journal.load(journal.folder, SETTINGS)


# Complete sequences.


@pytest.fixture
def closed(journal) -> Journal:
    journal.begin()
    for name in ("transforms.json", "info.json"):
        (journal.folder / name).write_text(f"{name}, made from the journal")
    journal.close("digest")
    return journal


def test_closed_journal_is_recognised_and_has_its_frames(closed):
    again = Journal.load(closed.folder, SETTINGS)
    assert again.closed("digest") and not again.closed("another")
    assert again.records == closed.records


@pytest.mark.parametrize("name", ["transforms.json", "info.json"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_closed_journal_notices_changed_documents(closed, name, how):
    path = closed.folder / name
    path.write_text(path.read_text().upper()) if how == "changed" else path.unlink()
    assert not Journal.load(closed.folder, SETTINGS).closed("digest")


def test_closed_journal_notices_changes_of_its_own(closed):
    lines = closed.path.read_text().splitlines(keepends=True)
    for changed in (lines[:-1], [*lines[:2], *lines[3:]], [lines[0], lines[2], lines[1], *lines[3:]]):
        closed.path.write_text("".join(changed))
        assert not Journal.load(closed.folder, SETTINGS).closed("digest")


def test_begin_and_append_open_it_again(closed):
    closed.append(store(closed.folder, 4))
    assert not Journal.load(closed.folder, SETTINGS).closed("digest")
    closed.begin()
    assert not closed.closed("digest")
    assert not Journal.load(closed.folder, SETTINGS).closed("digest")


# Starting over.


def test_erase_removes_what_was_written_and_nothing_else(tmp_path):
    folder = tmp_path / "sequence"
    journal = Journal(folder, dict(SETTINGS))
    journal.begin()
    ours = ["transforms.json", "info.json", "frames/frame_000001.png", "depths/depth_000001.exr"]
    ours += ["depths/depth_000001.png", "flows/flow_000002.exr", "depths/.depth_000003.77.partial.exr"]
    mine = ["readme.txt", "frames/frame_000009.png", "frames/selfie.png", "masks/mask_000001.png", "depth_000001.exr"]
    for name in ours + mine:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    journal.append(FrameRecord(1, 3, camera_values(), {}))
    journal.erase([2])
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == sorted(mine)
    assert not (folder / "depths").exists() and journal.records == {}


def test_erase_does_not_believe_paths_that_the_journal_names(tmp_path):
    precious = tmp_path / "precious.txt"
    precious.touch()
    journal = Journal(tmp_path / "sequence", dict(SETTINGS))
    journal.begin()
    journal.append(FrameRecord(1, 3, camera_values(), {"frames": StoredFile("../precious.txt", 0, "00000000")}))
    journal.erase([])
    assert precious.exists()
