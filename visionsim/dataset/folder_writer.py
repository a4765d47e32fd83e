"""Sequences written as files, as a run renders them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from visionsim.dataset.index import PICTURES
from visionsim.dataset.journal import Journal, remove_partials
from visionsim.dataset.kinds import KINDS
from visionsim.dataset.sinks import FORMATS, Files, Form, Sink
from visionsim.dataset.truth_files import read_truth
from visionsim.dataset.writer import SequenceWriter
from visionsim.errors import DataError, RequestError
from visionsim.io.images import read_pixels

__all__ = ["FolderWriter"]


class FolderWriter(SequenceWriter):
    """Writes a file for each kind of each frame: pictures as PNG or OpenEXR, ground truth in the format of its kind."""

    codec = "ZIP"
    """Of EXR files."""

    def _begin(self, form: Form) -> Sink:
        (height, width, _), dtype = form[PICTURES]
        file_format, bits = FORMATS[dtype]
        picture = {"width": width, "height": height, "file_format": file_format, "bit_depth": bits}
        if self.source is not None:  # These say what they did, but for the format.
            picture = {name: value for name, value in picture.items() if name in self._settings}
        self._journal.settings = {**self._settings, **picture}
        self._journal.begin()
        return self._files(form)

    def _files(self, form: Form) -> Files:
        return Files(self.folder, form, self._settings.get("exr_codec", self.codec))

    def _check_form(self, journal: Journal) -> None:
        if journal.arrays:
            raise RequestError(f"There is a sequence as arrays, not as files; use another folder than {self.folder}")

    def _resume(self, journal: Journal) -> Sink | None:
        for record in journal.records.values():
            try:
                form = {kind: form_in_file(kind, self.folder / file.path) for kind, file in record.files.items()}
            except (DataError, OSError):
                continue  # Damaged: it will be written again.
            return self._files({kind: form[kind] for kind in (PICTURES, *KINDS) if kind in form})
        return None

    def _intact_of(self, frames: Sequence[int]) -> list[int]:
        assert self._sink is not None
        kinds = set(self._sink.form)
        return [
            frame
            for frame in frames
            if set(self._journal.records[frame].files) == kinds
            and self._is_of_source(frame)
            and self._journal.intact(frame, kinds)
        ]

    def _prepare(self) -> None:
        remove_partials(self.folder)

    def _settle(self) -> None:
        """They are where they belong."""


def form_in_file(kind: str, path: Path) -> tuple[tuple[int, ...], str]:
    pixels = read_pixels(path) if kind == PICTURES else read_truth(path, kind)
    return pixels.shape, str(pixels.dtype)
