"""Start, hear, watch and stop one Blender process."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import queue
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from pathlib import Path

from visionsim.errors import BlenderNotFound, ProtocolError
from visionsim.simulation.protocol import CHATTER, Message, Request, decode, encode

__all__ = ["State", "WorkerProcess", "blender_command", "cpu_seconds"]

WORKER_MAIN = Path(__file__).parent / "worker" / "__main__.py"

Hear = Callable[[Message | None], None]
"""Called from the process's reader thread: with each message, and once with None when the process has ended."""


class State(Enum):
    """Life of a worker process."""

    NEW = "new"
    RUNNING = "running"
    CLOSED = "closed"


def blender_command(executable: str | None) -> list[str]:
    """The command line, without the scratch folder, that runs a worker.

    Args:
        executable: a `blender`, a Python that has bpy, or a command with arguments; None for the bpy module of this
            Python, else `blender` on PATH.
    Raises:
        BlenderNotFound: it does not exist, or there is none; the message says what was tried.
    """
    if executable is None:
        if importlib.util.find_spec("bpy") is not None:
            return [sys.executable, "-P", str(WORKER_MAIN)]
        found = shutil.which("blender")
        if found is None:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise BlenderNotFound(
                f"No Blender found: Python {version} has no bpy module and there is no `blender` on PATH. Install "
                "visionsim with Python 3.13 or 3.11, which bring bpy, or name one with --render-config.executable"
            )
        command = [found]
    elif shutil.which(executable):
        command = [executable]
    else:
        command = shlex.split(executable)
        if not command or not shutil.which(command[0]):
            raise BlenderNotFound(f"--render-config.executable: there is no such program: {executable}")
    if Path(command[0]).name.startswith("python"):
        return [*command, "-P", str(WORKER_MAIN)]
    options = ["--background", "--factory-startup", "-noaudio", "--python-exit-code", "3", "--python"]
    return [*command, *options, str(WORKER_MAIN), "--"]


def worker_environment(program: str, scratch: Path) -> dict[str, str]:
    """A worker's environment: Blender's temporary folder lies in ours, and so goes with it if Blender is killed.

    The worker finds visionsim by itself (see `worker.__main__`), whatever Python it is run by. Another Python than ours
    does not get what the user's environment tells Python: with modules made for ours it could not even start.
    """
    environment = dict(os.environ)
    if program != sys.executable:
        for name in ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONWARNINGS"):
            environment.pop(name, None)
    for name in ("TEMP", "TMP", "TMPDIR"):
        environment[name] = str(scratch)
    return environment


def cpu_seconds(sessions: Collection[int]) -> dict[int, float]:
    """Session -> processor seconds of its living processes, and of the ended ones that these have waited for.

    All of /proc is read once. The processes of a sandbox, and of another machine, are not ours to see: their sessions
    are missing.
    """
    ticks: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything.
            fields = entry.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # Gone.
        session = int(fields[3])
        if session in sessions:
            ticks[session] = ticks.get(session, 0) + sum(map(int, fields[11:15]))  # utime stime cutime cstime
    return {session: count / os.sysconf("SC_CLK_TCK") for session, count in ticks.items()}


class WorkerProcess:
    """One Blender process: a context manager whose end is the process's end.

    Blender's own output is kept: its last lines in `log_tail`, all of it in the file given to `log_to`.
    """

    def __init__(
        self, command: list[str], scratch: Path, hear: Hear, environment: Mapping[str, str] | None = None
    ) -> None:
        """
        Args:
            command: without the scratch folder; see `blender_command`.
            scratch: folder that is the worker's alone; it is made.
            hear: called with what it says.
            environment: variables that it gets besides ours.
        """
        self.state = State.NEW
        self._environment = dict(environment or {})
        self.scratch = scratch
        self.log_tail: deque[str] = deque(maxlen=40)
        self._command = [*command, str(scratch)]
        self._hear = hear
        self._log_lock = threading.Lock()
        self._log_path: Path | None = None
        self._unlogged: deque[bytes] = deque(maxlen=10_000)
        self._process: subprocess.Popen[bytes] | None = None
        self._threads: list[threading.Thread] = []
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        """Lines to be sent; None: close its stdin."""

    def __enter__(self) -> WorkerProcess:
        assert self.state is State.NEW, self.state
        self.scratch.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**worker_environment(self._command[0], self.scratch), **self._environment},
            start_new_session=True,  # Ctrl-C in the terminal is the parent's to handle, and killing reaches children.
        )
        self.state = State.RUNNING
        self._threads = [
            threading.Thread(target=self._read_log, name="worker-log", daemon=True),
            threading.Thread(target=self._watch, name="worker-watch", daemon=True),
            threading.Thread(target=self._read_messages, name="worker-messages", daemon=True),
            threading.Thread(target=self._send_requests, name="worker-requests", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def started(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def send(self, request: Request) -> None:
        """Ask for something; returns at once, also if the process is stopped and its pipe is full.

        If the process is gone, its end is heard soon anyway.
        """
        assert self.state is State.RUNNING, self.state
        self._requests.put(encode(request))

    def kill(self) -> None:
        """End the process and its children at once; its end is heard as of any other death."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self, patience: float = 2.0) -> None:
        """Ask the process to leave by closing its stdin, wait, terminate, wait, kill. Returns when it is gone."""
        if self.state is not State.RUNNING or self._process is None:
            return
        self.state = State.CLOSED
        self._requests.put(None)
        deadline = time.monotonic() + patience
        for send_signal in (None, signal.SIGTERM, signal.SIGKILL):
            if send_signal is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, send_signal)
            self._threads[1].join(max(0.05, deadline - time.monotonic()))
            if self._process.returncode is not None:
                break
            deadline = time.monotonic() + patience
        self._threads[1].join()
        for thread in self._threads:
            thread.join(patience)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def exit_text(self) -> str:
        """How the process ended, in words."""
        if self._process is None:
            return "was never started"
        self._threads[1].join()
        code = self._process.returncode
        if code < 0:
            names = {s.value: s.name for s in signal.Signals}
            return f"was killed by {names.get(-code, f'signal {-code}')}"
        return f"exited with code {code}"

    def log_to(self, path: Path) -> None:
        """Append everything Blender said, and will say, to a file."""
        with self._log_lock:
            self._log_path = path
            with open(path, "ab") as log:
                log.writelines(self._unlogged)
            self._unlogged.clear()

    def _log(self, line: bytes) -> None:
        with self._log_lock:
            self.log_tail.append(line.decode(errors="replace").rstrip())
            if self._log_path is None:
                self._unlogged.append(line)
                return
            # A log that cannot be written is no reason to stop listening, which would stop Blender.
            with contextlib.suppress(OSError), open(self._log_path, "ab") as log:
                log.write(line)

    def _watch(self) -> None:
        """Wait for the process's end, and end its children: they may hold its pipes open.

        Nobody else reaps the process: until then its number cannot belong to another process group.
        """
        assert self._process is not None
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _send_requests(self) -> None:
        """Write to the process's stdin, as fast as it reads, until it is to leave or is gone."""
        assert self._process is not None and self._process.stdin is not None
        with contextlib.suppress(OSError), self._process.stdin as stdin:
            while (line := self._requests.get()) is not None:
                stdin.write(line)
                stdin.flush()

    def _read_log(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        for line in self._process.stderr:
            self._log(line)

    def _read_messages(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        try:
            for line in self._process.stdout:
                message = decode(line)
                if message is None:
                    self._log(line)
                else:
                    self._hear(message)
        except ProtocolError as exc:
            self._log(f"{exc}\n".encode())
            self.kill()
        self._threads[1].join()
        self._threads[0].join(2.0)  # The last lines before a crash say why.
        with contextlib.suppress(OSError):
            for line in (self.scratch / CHATTER).read_bytes().splitlines(keepends=True):
                self._log(line)
        self._hear(None)
