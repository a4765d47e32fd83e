"""A Blender without Blender, for speed: takes its command line, speaks the protocol, renders patterns.

fake_blender --background ... --python SCRIPT -- SCRATCH

Its "scene" is JSON text in a .blend: `frames` [first, last]. How we behave with it is in `<scene>.json` in the folder
VISIONSIM_FAKE_STATE: `seconds` a frame takes, `memory` [MiB it needs, MiB more with each frame] and what goes wrong:
`misbehave` {"open": [how, times], "7": [how, times]}; see `misbehave`.

While there is a file `tickets` in that folder, only as many frames are rendered as it says, over all workers and runs:
who has begun one more waits.

Every worker leaves `<pid>.pid` in that folder, and `<pid>.renders` when it begins its first frame; there attempts are
counted as well. A frame's bytes depend on its number alone.
"""

from __future__ import annotations

import array
import hashlib
import json
import os
import resource
import signal
import struct
import sys
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.helpers import camera_values
from visionsim.simulation.protocol import PROTOCOL, Done, Failed, Hello, Request, decode, encode

CHANNELS = {"Depth": 1, "Normal": 3, "Object Index": 1, "Vector": 4}
STATE = Path(os.environ["VISIONSIM_FAKE_STATE"])


def png(width: int, height: int, frame: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((x * frame + y) % 256 for x in range(3 * width)) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def first_time(name: str, times: int) -> bool:
    """Whether this has happened less than so many times, over all workers."""
    for number in range(times):
        try:
            os.close(os.open(STATE / f"{name}.{number}", os.O_CREAT | os.O_EXCL))
            return True
        except FileExistsError:
            continue
    return False


def wait_for_a_ticket() -> None:
    """Return when one more frame may be rendered."""
    while (tickets := STATE / "tickets").exists():
        if first_time("ticket", int(tickets.read_text() or "0")):
            return
        time.sleep(0.01)


class Service:
    def __init__(self, scratch: Path) -> None:
        self.scratch, self.manners, self.settings = scratch, {}, {}
        self.held: list[bytes] = []

    def misbehave(self, request: Request, what: str) -> Failed | None:
        how, times = self.manners.get("misbehave", {}).get(what, ("", 0))
        if not how or not first_time(f"{Path(self.blend).stem} {what}", times):
            return None
        match how:
            case "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "abort":
                os.kill(os.getpid(), signal.SIGABRT)
            case "hang":
                time.sleep(3600)
            case "raise":
                return Failed(request.id, "frame", "RuntimeError: Out of memory")
        return None

    def answer(self, request: Request) -> Done | Failed:
        given = request.arguments
        if request.do == "open":
            text = Path(given["blend"]).read_bytes()
            self.blend, self.settings = given["blend"], given["settings"]
            manners = STATE / f"{Path(self.blend).stem}.json"
            self.manners = json.loads(manners.read_text()) if manners.exists() else {}
            refused = self.misbehave(request, "open")
            first, last = json.loads(text)["frames"]
            self.hold(self.manners.get("memory", [0, 0])[0])
            return refused or Done(request.id, {
                "blender": "0.0.0 fake", "digest": hashlib.sha256(text).hexdigest(), "frame_start": first,
                "frame_end": last, "fps": 24.0, "camera": "Camera", "device": "cpu", "copies": {},
                "objects": [{"id": 1, "name": "Cube", "class": None, "collections": [], "motion": "static"}],
                "flow": "", "missing": [], "warnings": [],
            })  # fmt: skip
        refused = self.misbehave(request, str(given["frame"]))
        return refused or Done(request.id, self.render(given["frame"], given["name"]))

    def hold(self, mebibytes: int) -> int:
        """Take so much more memory, for good; returns what this process holds, as Blender's worker says it."""
        if not mebibytes:
            return 0
        self.held.append(b"\1" * (mebibytes << 20))
        held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        with open(STATE / "held", "a") as stream:
            stream.write(f"{os.getpid()} {held}\n")
        return held

    def render(self, frame: int, name: str) -> dict:
        (STATE / f"{os.getpid()}.renders").touch()
        width, height = self.settings["width"], self.settings["height"]
        wait_for_a_ticket()
        time.sleep(self.manners.get("seconds", 0.0))
        picture, arrays = self.scratch / f"{name}.picture", self.scratch / f"{name}.passes"
        picture.write_bytes(png(width, height, frame))
        passes, data = {}, array.array("f")
        for kind, channels in CHANNELS.items():
            passes[kind] = [4 * len(data), channels]
            data.extend([1.0 if kind == "Object Index" else float(frame % 7 + 1)] * (width * height * channels))
        arrays.write_bytes(data.tobytes())
        matrix = [[1.0, 0.0, 0.0, frame / 8], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 4.0], [0.0, 0.0, 0.0, 1.0]]
        return {
            "picture": str(picture), "arrays": str(arrays), "passes": passes, "seconds": 0.01,
            "memory": self.hold(self.manners.get("memory", [0, 0])[1]),
            "camera": camera_values(width=width, height=height, matrix_world=matrix),
        }  # fmt: skip


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # Our deaths are no crashes to look into.
    (STATE / f"{os.getpid()}.pid").touch()
    service = Service(Path(sys.argv[-1]))
    os.write(1, encode(Hello(PROTOCOL, "0.0.0 fake", "3", os.getpid())))
    while line := sys.stdin.buffer.readline():
        request = decode(line)
        assert isinstance(request, Request)
        os.write(1, encode(service.answer(request)))


if __name__ == "__main__":
    main()
