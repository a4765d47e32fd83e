"""The record of a sequence on disk: its settings, and one line for each frame whose files are all there.

`.visionsim/journal.jsonl` in the sequence's folder. `transforms.json` is made from it, and a later run trusts a
file only if it is what its line says. A line is written after its frame's files, in one piece, and ends with its own
checksum; a torn or damaged line is a frame that is not there. When the sequence is complete a last line says so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visionsim.dataset.kinds import KINDS, frame_path
from visionsim.errors import DataError, SettingsMismatch
from visionsim.files import make_folder, remove_empty, size_and_checksum, whole_file

__all__ = ["DOCUMENTS", "FrameRecord", "Journal", "StoredFile", "remove_partials", "settings_digest"]

FORMAT = 2

SEAL = ',"crc32":"'
"""Where a line's own checksum begins."""

DOCUMENTS = ("transforms.json", "info.json")
"""What says that a sequence is complete."""

SUFFIXES = (".png", ".jpg", ".exr")
"""Of pictures, ground truth and previews."""


@dataclass(frozen=True)
class StoredFile:
    """A file of a frame, relative to the sequence's folder, as it was when it was written."""

    path: str
    size: int
    crc32: str

    @classmethod
    def of(cls, folder: Path, path: Path) -> StoredFile:
        return cls(path.relative_to(folder).as_posix(), *size_and_checksum(path))

    def intact(self, folder: Path) -> bool:
        """Whether the file is still what was written; reads it."""
        try:
            return size_and_checksum(f"{folder}/{self.path}") == (self.size, self.crc32)
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
    edits: str = ""
    """Digest of what a script did to the scene before; empty if nothing."""

    def to_line(self) -> str:
        files = {kind: [f.path, f.size, f.crc32] for kind, f in self.files.items()}
        document = {"frame": self.frame, "channels": self.channels, "files": files, "camera": self.camera}
        return sealed({**document, **({"edits": self.edits} if self.edits else {})})

    @classmethod
    def from_line(cls, line: str) -> FrameRecord:
        """Raises ValueError, KeyError or TypeError if it is not what `to_line` gave."""
        document = unsealed(line)
        files = {kind: StoredFile(*values) for kind, values in document["files"].items()}
        return cls(document["frame"], document["channels"], document["camera"], files, document.get("edits", ""))


def sealed(document: Mapping[str, Any]) -> str:
    """A line of the journal: one JSON object, whose last value is the CRC-32 of what is before it."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)[:-1]
    return f'{text}{SEAL}{zlib.crc32(text.encode()):08x}"}}\n'


def unsealed(line: str) -> dict[str, Any]:
    """The object of a line; raises ValueError unless it is what was written."""
    text, _, seal = line.rpartition(SEAL)
    if seal != f'{zlib.crc32(text.encode()):08x}"}}\n':
        raise ValueError("damaged")
    document: dict[str, Any] = json.loads(text + "}")
    return document


def closing_of(text: str, lines: Sequence[str]) -> dict[str, Any]:
    """The document of the last line if it is the closing one, and all before it is what it was then."""
    try:
        closing = unsealed(lines[-1])
        before = text[: len(text) - len(lines[-1])]
        return closing if closing["journal"] == f"{zlib.crc32(before.encode()):08x}" else {}
    except (IndexError, ValueError, KeyError):
        return {}


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
    closing: dict[str, Any] = field(default_factory=dict)
    """What the last line says of the documents; empty if it does not, or if it is not what was written."""
    arrays: dict[str, Any] = field(default_factory=dict)
    """How the arrays are laid out that hold all frames, see `array_writer.py`; empty if frames are files."""

    @property
    def path(self) -> Path:
        return self.folder / ".visionsim" / "journal.jsonl"

    @classmethod
    def load(cls, folder: Path, settings: Mapping[str, Any]) -> Journal:
        """The journal of `folder`, empty if there is none yet; reads nothing but the journal.

        Raises:
            SettingsMismatch: the folder's data was made with other settings, which the message names, or is in arrays.
            DataError: there is a journal, but not one that this version understands.
        """
        journal = cls.read(folder)
        if journal is None:
            return cls(folder, dict(settings))
        if journal.arrays:
            raise SettingsMismatch(
                "The folder holds a sequence as arrays, into which nothing is rendered. "
                f"Use another output folder, or --force to start this one over: {folder}",
                "the frames there are in arrays",
            )
        if journal.settings != settings:
            raise mismatch(folder, journal.settings, settings)
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
        head, *lines = text.splitlines(keepends=True) or [""]
        try:
            header = unsealed(head)
            if header["journal"] != FORMAT:
                raise ValueError(f"format {header['journal']}")
            journal.settings = dict(header["settings"])
            journal.arrays = dict(header.get("arrays", {}))
        except (ValueError, KeyError, TypeError) as exc:
            raise DataError(
                f"The journal is damaged, or was written by another version of visionsim: {journal.path}"
            ) from exc
        for line in lines:
            try:
                record = FrameRecord.from_line(line)
            except (ValueError, KeyError, TypeError):
                continue  # Torn by a crash, or damaged later: its frame is not there. Or the last line.
            journal.records[record.frame] = record
        journal.closing = closing_of(text, lines)
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
        make_folder(self.path.parent)
        settings = {name: self.settings[name] for name in sorted(self.settings)}
        with whole_file(self.path) as partial, open(partial, "w", encoding="utf-8") as stream:
            arrays = {"arrays": self.arrays} if self.arrays else {}
            stream.write(sealed({"journal": FORMAT, "settings": settings, **arrays}))
            stream.writelines(self.records[frame].to_line() for frame in sorted(self.records))
        self.closing = {}

    def close(self, made_from: str) -> None:
        """Say on disk that the documents are there, made from what the journal holds and from what has this digest."""
        documents = [StoredFile.of(self.folder, self.folder / name) for name in DOCUMENTS]
        text = self.path.read_text(encoding="utf-8")
        self.closing = {
            "complete": made_from,
            "documents": [dataclasses.astuple(document) for document in documents],
            "journal": f"{zlib.crc32(text.encode()):08x}",
        }
        self._append(sealed(self.closing))

    def closed(self, made_from: str) -> bool:
        """Whether `close` was called with this digest, and neither journal nor documents have changed since."""
        if self.closing.get("complete") != made_from:
            return False
        return all(StoredFile(*values).intact(self.folder) for values in self.closing["documents"])

    def append(self, *records: FrameRecord) -> None:
        """Add frames whose files are all in place, on disk and in memory."""
        self.records.update({record.frame: record for record in records})
        self._append("".join(record.to_line() for record in records))

    def _append(self, lines: str) -> None:
        with open(self.path, "r+b") as stream:
            stream.seek(-1, os.SEEK_END)
            torn = stream.read(1) != b"\n"  # By a full disk perhaps: it must not take our line with it.
            stream.write(b"\n" * torn + lines.encode())
            stream.flush()
            os.fsync(stream.fileno())

    def erase(self, frames: Iterable[int]) -> None:
        """Remove what visionsim wrote here: documents, all files of the frames recorded and of `frames`, the journal.

        Files are known by the names that visionsim gives, whatever the journal says; nothing else is touched.
        """
        for name in DOCUMENTS:
            (self.folder / name).unlink(missing_ok=True)
        remove_partials(self.folder)
        folders = ("frames", *KINDS)
        for frame in sorted({*self.records, *frames}):
            for kind in folders:
                previews = () if kind == "frames" else (KINDS[kind].preview_suffix,)
                for suffix in (*SUFFIXES, *previews):
                    (self.folder / frame_path(kind, frame, suffix)).unlink(missing_ok=True)
        for values in self.arrays.get("files", {}).values():
            (self.folder / values["stored"]["file"]).unlink(missing_ok=True)
        remove_empty(self.folder / kind for kind in folders)
        self.records.clear()
        self.arrays.clear()
        self.path.unlink(missing_ok=True)  # Last: where it is, the folder is known to hold data of other settings.


def mismatch(
    folder: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any], *, force: bool = True
) -> SettingsMismatch:
    """Name the settings that differ, with both values; `force` says whether who asks has --force."""
    names = sorted(n for n in {*stored, *wanted} if (n in stored, stored.get(n)) != (n in wanted, wanted.get(n)))
    was, now = ({name: repr(of[name]) if name in of else "absent" for name in names} for of in (stored, wanted))
    fields = ", ".join(f"{name} (there {was[name]}, now {now[name]})" for name in names)
    remedy = ", another output folder, or --force to start this one over" if force else " or another output folder"
    return SettingsMismatch(
        f"The folder holds frames made with other settings: {fields}. Use the same settings{remedy}: {folder}",
        fields,
    )


def remove_partials(folder: Path) -> None:
    """Remove what a killed run was about to write."""
    for part in ("", ".visionsim", "frames", *KINDS):
        for left in (folder / part).glob(".*.partial*"):
            left.unlink()
