"""Files appear whole or not at all; folders are probed without a trace; natural order; checksums."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import REPOSITORY
from visionsim.errors import OutputNotWritable
from visionsim.files import (
    checksum,
    ensure_writable,
    make_folder,
    natural_key,
    remove_empty,
    whole_file,
    write_json,
)


def test_whole_file_becomes_the_path(tmp_path):
    path = tmp_path / "a.png"
    with whole_file(path) as partial:
        partial.write_bytes(b"picture")
        assert not path.exists()
    assert path.read_bytes() == b"picture"
    assert list(tmp_path.iterdir()) == [path]


def test_whole_file_is_a_hidden_sibling_with_the_same_suffix(tmp_path):
    with whole_file(tmp_path / "a.png") as partial:
        assert partial.parent == tmp_path
        assert partial.suffix == ".png"
        assert partial.name.startswith(".")
        partial.touch()


def test_whole_file_replaces_what_was_there_at_the_end(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with whole_file(path) as partial:
        partial.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_whole_file_leaves_nothing_when_the_block_fails(tmp_path, error):
    with pytest.raises(error), whole_file(tmp_path / "a.png") as partial:
        partial.write_bytes(b"half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_whole_file_leaves_the_old_one_when_the_block_fails(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as partial:
        partial.write_bytes(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_whole_file_that_was_never_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a.png"):
        pass
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from visionsim.files import whole_file

with whole_file(Path(sys.argv[1])) as partial:
    partial.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_whole_file_of_a_killed_process_leaves_nothing_that_looks_finished(tmp_path):
    path = tmp_path / "frame_000001.png"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], env={"PYTHONPATH": str(REPOSITORY)}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not path.exists()
    assert [left for left in tmp_path.iterdir() if not left.name.startswith(".")] == []


def test_whole_file_after_a_kill_succeeds(tmp_path):
    path = tmp_path / "frame_000001.png"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], env={"PYTHONPATH": str(REPOSITORY)}, check=False)
    with whole_file(path) as partial:
        partial.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"


def test_write_json_is_readable_and_keeps_text(tmp_path):
    write_json(tmp_path / "a.json", {"name": "Würfel\n", "x": [1, 2.5, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Würfel" in text and text.endswith("}\n")
    assert json.loads(text) == {"name": "Würfel\n", "x": [1, 2.5, None]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_write_json_of_what_json_has_not_leaves_nothing(tmp_path, value):
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "a.json", {"x": value})
    assert list(tmp_path.iterdir()) == []


# Folders.


def test_ensure_writable_leaves_nothing_behind(tmp_path):
    ensure_writable(tmp_path / "a" / "b" / "c")
    assert list(tmp_path.iterdir()) == []


def test_ensure_writable_of_a_folder_that_is_there(tmp_path):
    (tmp_path / "keep").touch()
    ensure_writable(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["keep"]


def test_ensure_writable_of_a_relative_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ensure_writable(Path("datasets/new"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "b", "b/c"])
def test_ensure_writable_under_a_file_is_refused(tmp_path, below):
    (tmp_path / "a").touch()
    with pytest.raises(OutputNotWritable) as caught:
        ensure_writable(tmp_path / "a" / below)
    assert "not a directory" in str(caught.value)
    assert str(tmp_path / "a" / below) in str(caught.value)


@pytest.mark.parametrize("folder", ["/proc/visionsim/datasets", "/sys/visionsim"])
def test_ensure_writable_where_not_even_root_may_write_is_refused(folder):
    if not Path(folder).parents[-2].is_dir():
        pytest.skip("needs Linux's /proc and /sys")
    with pytest.raises(OutputNotWritable, match=folder):
        ensure_writable(Path(folder))


# Order.


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["take10", "take2", "take1"], ["take1", "take2", "take10"]),
        (["b", "A", "a1", "C"], ["A", "a1", "b", "C"]),
        (["10", "9", "a", ""], ["", "9", "10", "a"]),
        (["a/10/b", "a/9/c"], ["a/9/c", "a/10/b"]),
        (["v1.10", "v1.9", "v1"], ["v1", "v1.9", "v1.10"]),
    ],
)
def test_natural_key_by_hand(names, expected):
    assert sorted(names, key=natural_key) == expected


NAMES = st.text(st.sampled_from("abB019._- é٣/"), max_size=10)


@given(st.lists(NAMES, max_size=6), st.randoms(use_true_random=False))
def test_natural_key_orders_any_names_whatever_their_order_was(names, random):
    shuffled = random.sample(names, len(names))
    keys = [[natural_key(name) for name in sorted(order, key=natural_key)] for order in (names, shuffled)]
    assert keys[0] == keys[1]


@given(st.text("ab_", max_size=5), st.integers(0, 10**12), st.integers(0, 10**12))
def test_natural_key_orders_numbers_by_value(stem, first, second):
    keys = natural_key(f"{stem}{first}"), natural_key(f"{stem}{second}")
    assert (keys[0] < keys[1]) == (first < second)


# Checksums.


@given(st.binary(max_size=2000))
def test_checksum_is_crc32(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "data"
    path.write_bytes(data)
    assert checksum(path) == f"{zlib.crc32(data):08x}"


def test_checksum_of_more_than_one_block(tmp_path):
    data = bytes(range(256)) * 10_000  # 2.5 MB; blocks are 1 MiB.
    (tmp_path / "data").write_bytes(data)
    assert checksum(tmp_path / "data") == f"{zlib.crc32(data):08x}"


def test_checksum_by_hand(tmp_path):
    (tmp_path / "data").write_bytes(b"123456789")
    assert checksum(tmp_path / "data") == "cbf43926"  # The check value of CRC-32 (ISO-HDLC).


@given(st.text(max_size=8))
def test_natural_key_of_any_text(text):
    natural_key(text)


def test_ensure_writable_of_a_name_that_is_too_long(tmp_path):
    with pytest.raises(OutputNotWritable):
        ensure_writable(tmp_path / ("x" * 300) / "y")


def flushed(monkeypatch) -> list[str]:
    """Names of what is flushed from now on, in order; a folder's has a slash, and all names in it."""
    done: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        done.append(f"{path.name}/ {sorted(p.name for p in path.iterdir())}" if path.is_dir() else path.name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return done


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_content_is_flushed_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    done = flushed(monkeypatch)
    folder = tmp_path / "folder"
    folder.mkdir()
    with whole_file(folder / "a.png") as partial:
        partial.write_bytes(b"x")
    assert done == [partial.name, "folder/ ['a.png']"]
    with whole_file(folder / "b.png", flush=False) as partial:
        partial.write_bytes(b"x")
    assert done[2:] == [partial.name]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_made_folders_are_there_to_stay(tmp_path, monkeypatch):
    done = flushed(monkeypatch)
    made = make_folder(tmp_path / "a" / "b")
    assert made == [tmp_path / "a" / "b", tmp_path / "a"]
    assert done == ["a/ ['b']", f"{tmp_path.name}/ ['a']"]
    assert make_folder(tmp_path / "a" / "b") == []


def test_make_folder_follows_links_to_folders_only(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert make_folder(tmp_path / "link" / "a") == [tmp_path / "link" / "a"]
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "dangling" / "a")


def test_make_folder_while_others_make_and_remove_it(tmp_path):
    problems = []

    def work():
        try:
            for _ in range(1500):
                remove_empty(make_folder(tmp_path / "a" / "b"))
        except OSError as exc:
            problems.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_make_folder_under_a_file_is_an_error(tmp_path):
    (tmp_path / "a").touch()
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(OSError):
            make_folder(folder)


def test_remove_empty_keeps_what_is_in_use(tmp_path):
    for name in ("a/b", "c"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "c" / "file").touch()
    remove_empty([tmp_path / "a" / "b", tmp_path / "a", tmp_path / "c", tmp_path / "none"])
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_make_folder_where_none_can_be_is_an_error_not_a_loop():
    with pytest.raises(FileNotFoundError):
        make_folder(Path("/proc/nothing/can/be/here"))
