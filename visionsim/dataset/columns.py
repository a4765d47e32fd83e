"""Frames of transforms.json, decoded some at a time, and what they say as columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from visionsim.cameras import FROM_DOCUMENT
from visionsim.errors import SchemaError

__all__ = ["Frame", "FrameDecoder", "at", "camera_of", "column_of", "joined"]

ALWAYS: dict[str, Any] = {"w": int, "h": int, "c": int, "camera_model": str, "depth_kind": str}
"""Camera values that all models have."""

NUMBERS: dict[str, Any] = {name: float for _, names in FROM_DOCUMENT.values() for name in names if name not in ALWAYS}
"""Camera values that some models need."""

Row = tuple[float, float, float, float]


class Frame(msgspec.Struct, gc=False):
    """What every frame has; which of the paths, its sequence says."""

    frame: int
    time: float
    transform_matrix: tuple[Row, Row, Row, Row]
    file_path: str | None = None
    depth_file_path: str | None = None
    normal_file_path: str | None = None
    segmentation_file_path: str | None = None
    flow_file_path: str | None = None


PLAIN = msgspec.json.Decoder(list[Frame])


def camera_of(frame: Mapping[str, Any]) -> dict[str, Any]:
    """What a frame says of its camera alone."""
    return {name: value for name, value in frame.items() if name not in Frame.__struct_fields__}


class FrameDecoder:
    """Decodes frames, each with the camera values that it has of its own."""

    def __init__(self, first: Mapping[str, Any]) -> None:
        self.attributes: dict[str, str] = {}
        """Camera value -> the attribute that frames have for it; other models of camera add others on the way."""
        self.frames: msgspec.json.Decoder[Any] = PLAIN
        self.always = [name for name in camera_of(first) if name in ALWAYS]
        self.know(camera_of(first))

    def know(self, names: Iterable[str]) -> None:
        self.attributes |= {name: f"value_{len(self.attributes) + number}" for number, name in enumerate(names)}
        fields: list[Any] = []
        for name, attribute in self.attributes.items():
            if name in self.always:
                fields.append((attribute, ALWAYS[name]))
            else:
                fields.append((attribute, float | msgspec.UnsetType if name in NUMBERS else Any, msgspec.UNSET))
        if fields:
            names_on_disk = {attribute: name for name, attribute in self.attributes.items()}
            settings: dict[str, Any] = {"forbid_unknown_fields": True, "kw_only": True, "gc": False}
            kind = msgspec.defstruct("OwnCamera", fields, bases=(Frame,), rename=names_on_disk, **settings)
            self.frames = msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]

    def decode(self, raw: Sequence[msgspec.Raw], start: int) -> list[Any]:
        """Some frames; the first one's place in the sequence is `start`.

        Raises:
            SchemaError: one is not what it must be.
        """
        try:
            return self.together(raw)
        except msgspec.ValidationError:
            return [self.alone(value, start + number) for number, value in enumerate(raw)]

    def together(self, raw: Sequence[msgspec.Raw]) -> list[Any]:
        frames: list[Any] = self.frames.decode(b"[" + b",".join(raw) + b"]")
        return frames

    def alone(self, raw: msgspec.Raw, place: int) -> Any:
        """A frame that may have camera values that none before had; or of which one is not what it must be."""
        try:
            own = camera_of(msgspec.json.decode(raw, type=dict[str, Any]))
            if self.attributes and own.keys() - self.attributes:
                self.know(own.keys() - self.attributes)
            (frame,) = self.together([raw])
            return frame
        except msgspec.ValidationError as exc:
            raise SchemaError(f"frames[{place}]: {exc}".replace("$[0]", "$")) from exc

    def columns(self, part: Sequence[Any]) -> dict[str, Any]:
        """Camera values of some frames, by name; msgspec.UNSET where a frame does not have one."""
        return {
            name: column_of([getattr(frame, attribute, msgspec.UNSET) for frame in part])
            for name, attribute in self.attributes.items()
        }


def column_of(values: list[Any]) -> Any:
    """An array of numbers, or of vectors or matrices of them; all else stays a list."""
    try:
        array = np.array(values)
    except ValueError:  # Of different shapes.
        return values
    return array if array.dtype.kind in "if" else values


def joined(parts: Sequence[Any]) -> Any:
    """Parts of a column one after the other."""
    if all(isinstance(part, np.ndarray) and part.shape[1:] == parts[0].shape[1:] for part in parts):
        return np.concatenate(parts)
    return list(
        itertools.chain.from_iterable(part.tolist() if isinstance(part, np.ndarray) else part for part in parts)
    )


def at(columns: Mapping[str, Any], row: int) -> dict[str, Any]:
    """What columns have of a frame, as plain values."""
    values = {name: column[row] for name, column in columns.items()}
    return {
        name: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        for name, value in values.items()
        if value is not msgspec.UNSET
    }
