"""Files that appear whole or not at all, natural order, and checksums. Standard library only."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from visionsim.errors import OutputNotWritable

__all__ = ["checksum", "ensure_writable", "natural_key", "whole_file", "write_json"]


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a sibling path to write; it becomes `path` only if the block succeeds.

    The content reaches the disk before the name does, so that a machine that loses power leaves either
    the old state or the complete file.
    """
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")  # Encoders look at the suffix.
    try:
        yield partial
        with open(partial, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """Write `document` as readable JSON, whole or not at all. NaN and infinities are refused."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    with whole_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def checksum(path: Path) -> str:
    """CRC-32 of a file's bytes, eight hexadecimal digits: it tells damage, not malice."""
    crc = 0
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return f"{crc:08x}"


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
