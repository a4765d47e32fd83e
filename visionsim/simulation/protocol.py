"""How parent and worker talk: JSON lines over the child's stdin and stdout. Shared with the worker.

Each message is one line: the record separator (the marker byte of RFC 7464), a JSON object, a newline. Whatever
else appears on the child's stdout is Blender's chatter and belongs in the log.

    parent -> worker   {"id": 7, "do": "render", "with": {...}}
    worker -> parent   {"hello": {...}}                          once, before anything else
                       {"id": 7, "ok": {...}}
                       {"id": 7, "error": {"kind": ..., "message": ..., "trace": ...}}

The worker handles requests strictly in order; the parent may send the next before the last is answered. When
stdin ends the worker exits, whatever it is doing.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

from visionsim.errors import ProtocolError

__all__ = [
    "ARRAY",
    "CHATTER",
    "MARKER",
    "PROTOCOL",
    "Done",
    "ErrorKind",
    "Failed",
    "Hello",
    "Message",
    "Request",
    "decode",
    "encode",
]

PROTOCOL = 1
"""Version of this file's messages; the hello carries it, and both sides come from the same installation."""

MARKER = b"\x1e"

ARRAY = "visionsim.array"
"""Key of the object that stands for an array in what a user's function returned; its value is the path of a .npy."""

CHATTER = "chatter.log"
"""File in a worker's scratch folder that holds what Blender has printed and the worker has not passed on yet."""

ErrorKind = Literal["request", "scene", "frame", "script"]
"""What is wrong: what was asked for, the .blend file, this one frame, or the user's own code."""


@dataclass(frozen=True)
class Hello:
    """The worker's first words."""

    protocol: int
    blender: str
    """Version and build, such as `5.2.3 LTS e13b728c6880`."""
    python: str
    pid: int


@dataclass(frozen=True)
class Request:
    """Ask the worker's service to run its method `do` with the keyword arguments `arguments`."""

    id: int
    do: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Done:
    """The request was carried out."""

    id: int
    value: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """The request was not carried out; the worker lives on."""

    id: int
    kind: ErrorKind
    message: str
    trace: str = ""
    """Python traceback inside Blender, for the log; empty where the message says it all."""


Message = Hello | Request | Done | Failed


def encode(message: Message) -> bytes:
    """The line that carries `message`."""
    document: dict[str, Any]
    if isinstance(message, Hello):
        document = {"hello": dataclasses.asdict(message)}
    elif isinstance(message, Request):
        document = {"id": message.id, "do": message.do, "with": message.arguments}
    elif isinstance(message, Done):
        document = {"id": message.id, "ok": message.value}
    else:
        error = {"kind": message.kind, "message": message.message, "trace": message.trace}
        document = {"id": message.id, "error": error}
    return MARKER + json.dumps(document, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> Message | None:
    """The message that `line` carries, or None if it is chatter.

    Raises:
        ProtocolError: it is marked as a message but is none.
    """
    if not line.startswith(MARKER):
        return None
    try:
        document = json.loads(line[1:])
        if "hello" in document:
            return Hello(**document["hello"])
        if "do" in document:
            return Request(document["id"], document["do"], document["with"])
        if "ok" in document:
            return Done(document["id"], document["ok"])
        return Failed(document["id"], **document["error"])
    except (ValueError, KeyError, TypeError) as exc:
        raise ProtocolError(f"Not a message of protocol {PROTOCOL}: {line[:200]!r}") from exc
