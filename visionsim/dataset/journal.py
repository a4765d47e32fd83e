"""The record of a sequence on disk: its settings, and one line for each frame whose files are all there.

`.visionsim/journal.jsonl` in the sequence's folder. `transforms.json` is made from it, and a later run trusts a
file only if it is what its line says. A line is written after its frame's files, in one piece; a torn last line is
a frame that is not there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visionsim.errors import DataError, SettingsMismatch
from visionsim.files import checksum, whole_file

__all__ = ["FrameRecord", "Journal", "StoredFile", "settings_digest"]

FORMAT = 1


@dataclass(frozen=True)
class StoredFile:
    """A file of a frame, relative to the sequence's folder, as it was when it was written."""

    path: str
    size: int
    crc32: str

    @classmethod
    def of(cls, folder: Path, path: Path) -> StoredFile:
        return cls(path.relative_to(folder).as_posix(), path.stat().st_size, checksum(path))

    def intact(self, folder: Path) -> bool:
        """Whether the file is still what was written; reads it."""
        path = folder / self.path
        try:
            return path.stat().st_size == self.size and checksum(path) == self.crc32
        except OSError:
            return False


@dataclass(frozen=True)
class FrameRecord:
    """A finished frame."""

    frame: int
    channels: int
    """Channels of the picture."""
    camera: dict[str, Any]
    """As `worker.camera.describe` gives it."""
    files: dict[str, StoredFile]
    """Kind (`frames`, `depths`, ...) -> its file."""

    def to_line(self) -> str:
        files = {kind: [f.path, f.size, f.crc32] for kind, f in self.files.items()}
        document = {"frame": self.frame, "channels": self.channels, "files": files, "camera": self.camera}
        return json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> FrameRecord:
        document = json.loads(line)
        files = {kind: StoredFile(*values) for kind, values in document["files"].items()}
        return cls(document["frame"], document["channels"], document["camera"], files)


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Short fingerprint of plain JSON values, independent of the order of keys."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass
class Journal:
    """The record of one sequence, in memory; `path` is where it lives."""

    folder: Path
    settings: dict[str, Any]
    records: dict[int, FrameRecord] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.folder / ".visionsim" / "journal.jsonl"

    @classmethod
    def load(cls, folder: Path, settings: Mapping[str, Any]) -> Journal:
        """The journal of `folder`, empty if there is none yet; reads nothing but the journal.

        Raises:
            SettingsMismatch: the folder's data was made with other settings; the message names them.
            DataError: there is a journal, but not one that this version understands.
        """
        journal = cls.read(folder)
        if journal is None:
            return cls(folder, dict(settings))
        if journal.settings != settings:
            raise SettingsMismatch(mismatch_message(folder, journal.settings, settings))
        journal.settings = dict(settings)  # In the order that documents have them, so that they are written alike.
        return journal

    @classmethod
    def read(cls, folder: Path) -> Journal | None:
        """The journal of `folder` whatever its settings are, or None if there is none.

        Raises:
            DataError: there is a journal, but not one that this version understands.
        """
        journal = cls(folder, {})
        try:
            text = journal.path.read_text(encoding="utf-8", errors="replace")  # Damage is found line by line.
        except FileNotFoundError:
            return None
        lines = text.splitlines(keepends=True)
        try:
            header = json.loads(lines[0])
            if header["journal"] != FORMAT:
                raise ValueError(f"format {header['journal']}")
            journal.settings = dict(header["settings"])
        except (IndexError, ValueError, KeyError, TypeError) as exc:
            raise DataError(f"Not a journal of this version of visionsim ({exc}); remove it: {journal.path}") from exc
        for line in lines[1:]:
            if line.endswith("\n"):
                try:
                    record = FrameRecord.from_line(line)
                except (ValueError, KeyError, TypeError):
                    continue  # Torn by a crash and appended to later: its frame is not there.
                journal.records[record.frame] = record
        return journal

    def intact(self, frame: int, kinds: Iterable[str]) -> bool:
        """Whether a frame is finished: recorded with these kinds, and each of its files what it was."""
        record = self.records.get(frame)
        if record is None or not set(kinds) <= set(record.files):
            return False
        return all(file.intact(self.folder) for file in record.files.values())

    def forget(self, frame: int) -> None:
        """Take a frame out, in memory; its next line on disk replaces the old one."""
        self.records.pop(frame, None)

    def begin(self) -> None:
        """Write the journal anew, whole: the settings, then the frames known so far in order."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        header = json.dumps({"journal": FORMAT, "settings": self.settings}, sort_keys=True, allow_nan=False)
        with whole_file(self.path) as partial, open(partial, "w", encoding="utf-8") as stream:
            stream.write(header + "\n")
            stream.writelines(self.records[frame].to_line() for frame in sorted(self.records))

    def append(self, record: FrameRecord) -> None:
        """Add a frame whose files are all in place, on disk and in memory."""
        self.records[record.frame] = record
        with open(self.path, "ab") as stream:
            stream.write(record.to_line().encode())
            stream.flush()
            os.fsync(stream.fileno())


def mismatch_message(folder: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Name the settings that differ, with both values."""
    names = sorted(n for n in {*stored, *wanted} if (n in stored, stored.get(n)) != (n in wanted, wanted.get(n)))
    was, now = ({name: repr(of[name]) if name in of else "absent" for name in names} for of in (stored, wanted))
    fields = ", ".join(f"{name} (there {was[name]}, now {now[name]})" for name in names)
    return (
        f"The folder holds frames made with other settings: {fields}. "
        f"Use the same settings, another output folder, or remove this one: {folder}"
    )
