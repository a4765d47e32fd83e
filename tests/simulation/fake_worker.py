"""A worker without Blender: speaks the protocol, and misbehaves as its script says.

python fake_worker.py SCRIPT SCRATCH

SCRIPT is JSON:
    state    folder that all workers share: each leaves `<pid>.pid` there, and counts attempts
    start    "hello" by default; "exit", "mute" (never says hello), "wrong-protocol", "garbage" (says nonsense first)
    tasks    what goes wrong, and how often: {"open a": ["die", 1], "render 3": ["raise", 99], ...}; see `misbehave`
    stubborn ignore the end of stdin, and SIGTERM
    leak     [bytes, bytes]: memory that it says it holds at first, and how much more after each frame
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from visionsim.simulation.protocol import MARKER, PROTOCOL, Done, Failed, Hello, Request, decode, encode

FLOOD_LINES = 2000
"""Twice what a pipe holds."""
LONG = 3600.0


class Worker:
    def __init__(self, script: dict, scratch: Path) -> None:
        self.script = script
        self.scratch = scratch
        self.state = Path(script["state"])
        self.scene: str | None = None
        self.rendered = 0

    def say(self, line: bytes) -> None:
        os.write(1, line)

    def serve(self) -> None:
        (self.state / f"{os.getpid()}.pid").touch()
        (self.state / f"{os.getpid()}.place").write_text(os.environ.get("VISIONSIM_PLACE", ""))
        self.chatter("Blender starts")
        start = self.script.get("start", "hello")
        if start == "exit":
            os.write(2, b"libGL.so.1: cannot open shared object file\n")
            sys.exit(127)
        if start == "mute":
            time.sleep(LONG)
        if start == "garbage":
            self.say(MARKER + b"{broken\n")
        self.say(encode(Hello(PROTOCOL + (start == "wrong-protocol"), "0.0.0 fake", "3", os.getpid())))
        if self.script.get("stubborn"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        else:
            # A thread, as in the real worker: the end of stdin ends us in the middle of anything.
            reader = Reader()
            reader.start()
            while True:
                self.answer(reader.next())
        while True:
            line = sys.stdin.buffer.readline()
            self.answer(line) if line else time.sleep(LONG)

    def answer(self, line: bytes) -> None:
        began = time.monotonic()
        request = decode(line)
        assert isinstance(request, Request), line
        what = request.arguments["scene"] if request.do == "open" else request.arguments["frame"]
        name = f"{request.do} {what}"
        behaviour, times = self.script.get("tasks", {}).get(name, ("", 0))
        if self.attempt(name) <= times:
            if behaviour.startswith("leave, "):
                Path(f"{request.arguments['name']}.picture").write_text("half")
            refusal = self.misbehave(behaviour.removeprefix("leave, "), request.id)
            if refusal is not None:
                self.say(encode(refusal))
                return
        if request.do == "open":
            self.scene = what
            self.say(encode(Done(request.id, {"scene": what})))
            return
        assert self.scene == request.arguments["scene"], "asked for a frame of a scene that is not open"
        path = self.scratch / request.arguments["name"]
        path.write_text(f"{self.scene} {what}")
        self.rendered += 1
        base, leaked = self.script.get("leak", (0, 0))
        memory = base + leaked * self.rendered
        (self.state / f"{os.getpid()}.peak").write_text(str(memory))
        seconds = time.monotonic() - began
        self.say(
            encode(Done(request.id, {"path": str(path), "pid": os.getpid(), "seconds": seconds, "memory": memory}))
        )

    def attempt(self, name: str) -> int:
        """How often this was asked for, over all workers, this time included."""
        number = 1
        while True:
            try:
                os.close(os.open(self.state / f"{name}.{number}", os.O_CREAT | os.O_EXCL))
                return number
            except FileExistsError:
                number += 1

    def misbehave(self, behaviour: str, request: int) -> Failed | None:
        match behaviour:
            case "raise":
                return Failed(request, "frame", "RuntimeError: out of memory", "Traceback ...")
            case "scene":
                return Failed(request, "scene", "the file is not a .blend file")
            case "request":
                return Failed(request, "request", "there is no such device")
            case "die":
                self.chatter("about to die")
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exit":
                sys.stdout.flush()
                os._exit(11)
            case "hang":
                time.sleep(LONG)
            case "die, child stays":
                subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(3600)"])
                os._exit(11)
            case "slow":
                time.sleep(0.3)
            case "gate":
                while not (self.state / "gate").exists():
                    time.sleep(0.01)
            case "slow until gate":
                if not (self.state / "gate").exists():
                    time.sleep(0.3)
            case "work":
                until = time.process_time() + 3.0
                while time.process_time() < until:
                    pass
            case "flood":
                for index in range(FLOOD_LINES):
                    self.chatter(f"chatter {index} " + 60 * "x")
            case "garbage":
                self.say(MARKER + b"{broken\n")
        return None

    def chatter(self, text: str) -> None:
        """As Blender does it: on both streams, and not always a whole line at once."""
        self.say(f"out: {text}\n".encode())
        os.write(2, f"err: {text}\n".encode())


class Reader(threading.Thread):
    """Hands on requests, and ends the process with stdin."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.lines: list[bytes] = []
        self.arrived = threading.Semaphore(0)

    def run(self) -> None:
        for line in sys.stdin.buffer:
            self.lines.append(line)
            self.arrived.release()
        os._exit(0)

    def next(self) -> bytes:
        self.arrived.acquire()
        return self.lines.pop(0)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # Our deaths are no crashes to look into.
    Worker(json.loads(sys.argv[1]), Path(sys.argv[2])).serve()
