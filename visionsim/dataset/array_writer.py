"""Sequences written as one array of each kind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from visionsim.dataset.arrays import ArrayFile, partial_path
from visionsim.dataset.index import AXES, PICTURES, StoredArray
from visionsim.dataset.journal import Journal, settings_digest
from visionsim.dataset.sinks import FORMATS, Arrays, Form, Sink, suffix_of
from visionsim.dataset.writer import SequenceWriter
from visionsim.errors import ConfigError, RequestError
from visionsim.files import ensure_room, flush_folder, whole_file

__all__ = ["ArrayWriter"]


class ArrayWriter(SequenceWriter):
    """Writes one `.npy` file for each kind, `frames.npy`, `depths.npy` and so on; frames are along the first axis."""

    def __init__(
        self,
        folder: str | Path,
        frames: Iterable[int],
        *,
        pack: str | None = None,
        high: float | None = None,
        **options: Any,
    ) -> None:
        """See `SequenceWriter`.

        Args:
            folder: as there.
            frames: as there.
            pack: frame, height, width or channel: the axis along which eight values of the pictures become one byte.
                They must be binary.
            high: their value that is not 0; by default the largest of their type, 1 of floats.
            options: as there.
        """
        super().__init__(folder, frames, **options)
        if pack is not None and pack not in AXES:
            raise ConfigError(f"Pictures are packed along {', '.join(AXES)}, not {pack!r}")
        self.pack, self.high = pack, high

    def _begin(self, form: Form) -> Sink:
        (height, width, _), dtype = form[PICTURES]
        if self.source is None:
            file_format, bits = FORMATS[dtype]
            self._settings |= {"width": width, "height": height, "file_format": file_format, "bit_depth": bits}
        sink = Arrays(self.folder, form, {kind: self._layout(kind, form) for kind in form})
        ensure_room(self.folder, sum(file.size for file in sink.files.values()))
        self._journal.settings = dict(self._settings)
        self._journal.arrays = {
            "frames": self._digest,
            "files": {kind: file.to_json() for kind, file in sink.files.items()},
        }
        for file in sink.files.values():
            file.make(partial_path(self.folder / file.stored.file))
        self._journal.begin()
        return sink

    @property
    def _digest(self) -> str:
        """Of the frames' numbers: they cannot change any more."""
        return settings_digest({"frames": self.frames})

    def _layout(self, kind: str, form: Form) -> ArrayFile:
        """How the file of a kind is laid out."""
        shape, dtype = form[kind]
        packed: dict[str, Any] = {}
        if kind == PICTURES and self.pack is not None:
            length = (len(self.frames), *shape)[AXES.index(self.pack)]
            packed = {"packed_axis": self.pack, "length": length, "high": self._high(dtype), "dtype": dtype}
        return ArrayFile(StoredArray(f"{kind}.npy", suffix_of(kind, form), **packed), len(self.frames), shape, dtype)

    def _high(self, dtype: str) -> float:
        """The value of packed pictures that is not 0, as their type has it."""
        is_float = dtype.startswith("float")
        if self.high is None:
            return 1.0 if is_float else int(np.iinfo(dtype).max)
        if not is_float and not (self.high == int(self.high) and 0 < self.high <= np.iinfo(dtype).max):
            raise ConfigError(f"{self.high} is no value of {dtype} pictures")
        return float(np.array(self.high, dtype)) if is_float else int(self.high)

    def _check_form(self, journal: Journal) -> None:
        if not journal.arrays:
            raise RequestError(f"There is a sequence as files, not as arrays; use another folder than {self.folder}")
        if journal.arrays["frames"] != self._digest:
            raise RequestError(f"The arrays there are of other frames; use another folder than {self.folder}")
        there = journal.arrays["files"][PICTURES]["stored"].get("packed_axis")
        if there != self.pack:
            was, now = (f"packed along {axis}" if axis else "not packed" for axis in (there, self.pack))
            raise RequestError(f"The pictures there are {was}, not {now}; use another folder than {self.folder}")

    def _resume(self, journal: Journal) -> Sink | None:
        files = {kind: ArrayFile.from_json(values) for kind, values in journal.arrays["files"].items()}
        return Arrays(self.folder, {kind: (file.shape, file.dtype) for kind, file in files.items()}, files)

    def _intact_of(self, frames: Sequence[int]) -> list[int]:
        assert isinstance(self._sink, Arrays)
        left = [frame for frame in frames if self._is_of_source(frame)]
        for kind, file in self._sink.files.items():
            try:
                with open(self._sink.path(kind), "rb") as stream:
                    if stream.read(len(file.header)) != file.header:
                        return []
                    left = [
                        frame
                        for frame in left
                        if file.check(stream.fileno(), self._rows[frame]) == self._journal.records[frame].files[kind]
                    ]
            except OSError:
                return []
        return left

    def _prepare(self) -> None:
        assert isinstance(self._sink, Arrays)
        ours = set()
        for file in self._sink.files.values():
            whole = self.folder / file.stored.file
            partial = partial_path(whole)
            ours.add(partial)
            if whole.exists() and not partial.exists():
                whole.rename(partial)
            if partial.exists() and partial.stat().st_nlink > 1:  # Of a merged dataset: the original stays as it is.
                with whole_file(partial) as copy:
                    shutil.copyfile(partial, copy)
            if self._done:
                os.truncate(partial, file.size)  # It may have been cut off.
            else:
                ensure_room(self.folder, file.size)
                file.make(partial)
        for left in set(self.folder.glob(".*.partial*")) - ours:
            left.unlink()

    def _settle(self) -> None:
        assert isinstance(self._sink, Arrays)
        for file in self._sink.files.values():
            whole = self.folder / file.stored.file
            if partial_path(whole).exists():
                partial_path(whole).replace(whole)
        flush_folder(self.folder)

    def _entries(self) -> dict[str, dict[str, Any]]:
        assert isinstance(self._sink, Arrays)
        return {kind: file.entry for kind, file in self._sink.files.items()}
