"""Files that appear whole or not at all, natural order, and checksums. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import stat
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from visionsim.errors import DiskFull, OutputNotWritable, VisionsimError

__all__ = [
    "checksum",
    "ensure_room",
    "ensure_writable",
    "flush_folder",
    "make_folder",
    "natural_key",
    "refusing",
    "remove_empty",
    "size_and_checksum",
    "whole_file",
    "write_json",
]


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system answers where nothing more can be written."""


@contextmanager
def whole_file(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """Yield a sibling path to write; it becomes `path` only if the block succeeds.

    The content reaches the disk before the name does, so that a machine that loses power leaves either
    the old state or the complete file. Whoever writes many files may leave it to `flush_folder` that their names are
    there to stay, by `flush=False`.
    """
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")  # Encoders look at the suffix.
    try:
        yield partial
        with open(partial, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(partial, path)
        if flush:
            flush_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP):  # Some network file systems do so by themselves.
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> list[Path]:
    """Make a folder that is there to stay, and those above it; returns the ones that were not there, inner ones first.

    Others may make or remove the same ones meanwhile.
    """
    made: list[Path] = []
    wanted = [folder]
    tries: Counter[Path] = Counter()
    while wanted:
        try:
            wanted[-1].mkdir()
        except FileExistsError:
            try:
                mode = wanted[-1].lstat().st_mode  # One look: two may see it removed, then made again.
            except FileNotFoundError:
                continue  # Somebody has removed it since.
            if not stat.S_ISDIR(mode) and not (stat.S_ISLNK(mode) and wanted[-1].is_dir()):
                raise
            wanted.pop()
        except FileNotFoundError:
            tries[wanted[-1]] += 1
            if tries[wanted[-1]] > 100:
                raise  # The one above is there, and yet no folder can be in it, as below /proc.
            wanted.append(wanted[-1].parent)
        else:
            made.insert(0, wanted.pop())
    for new in made:
        with contextlib.suppress(FileNotFoundError):  # Removed since, and with it what had to be flushed.
            flush_folder(new.parent)
    return made


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those folders that hold nothing; inner ones come first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def write_json(path: Path, document: Any) -> None:
    """Write `document` as readable JSON, whole or not at all. NaN and infinities are refused."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    with whole_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def checksum(path: Path) -> str:
    """CRC-32 of a file's bytes, eight hexadecimal digits: it tells damage, not malice."""
    return size_and_checksum(path)[1]


def size_and_checksum(path: str | Path) -> tuple[int, str]:
    """Of a file that is read once, without any of Python's buffering: tens of thousands take a second."""
    size = crc = 0
    descriptor = os.open(path, os.O_RDONLY)
    try:
        while block := os.read(descriptor, 1 << 20):
            size += len(block)
            crc = zlib.crc32(block, crc)
    finally:
        os.close(descriptor)
    return size, f"{crc:08x}"


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sort key under which `take2` comes before `take10`."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in re.split(r"(\d+)", text)]


def ensure_writable(folder: Path, what: str = "output folder") -> None:
    """Raise OutputNotWritable unless `folder` can be created and written; leaves nothing behind.

    `what` the folder is, in words, stands in the message.

    The check really writes: permission bits say nothing to root, or on a read-only file system.
    """
    ancestor = folder
    try:
        while not ancestor.exists() and ancestor != ancestor.parent:
            ancestor = ancestor.parent
        if not ancestor.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        with tempfile.TemporaryDirectory(prefix=".visionsim-", dir=ancestor):
            pass
    except OSError as exc:
        reason = exc.strerror or str(exc)
        message = f"Cannot write to the {what}: {reason.lower()} at {ancestor}. Choose another one than {folder}"
        raise OutputNotWritable(message) from exc


@contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """Raise OutputNotWritable where a folder cannot be read or written, DiskFull where there is no room in it."""
    try:
        yield
    except VisionsimError:
        raise
    except OSError as exc:
        if exc.errno in NO_ROOM:
            raise DiskFull(
                f"The disk is full ({os.strerror(exc.errno).lower()}): {folder}. Make room and start again: "
                "it goes on from there"
            ) from exc
        at = f" at {exc.filename}" if exc.filename else ""
        reason = (exc.strerror or str(exc)).lower()
        raise OutputNotWritable(f"Cannot write to the output folder {folder}: {reason}{at}") from exc


def ensure_room(folder: Path, num_bytes: int) -> None:
    """Raise DiskFull unless so many bytes are free where `folder`, which may not be there yet, will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise DiskFull(
            f"the disk is nearly full: {free / 1e6:.0f} MB are free at {folder}, and {num_bytes / 1e6:.0f} MB are kept "
            "for what is in hand; make room and start the command again"
        )
