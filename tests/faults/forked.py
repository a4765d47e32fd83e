"""The `visionsim` program, forked from a process that has imported it: a start takes longer than what these runs do."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from visionsim.cli import main

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.faults.warm"])


def run_program(args: list[str], environment: dict[str, str], out: Path, err: Path) -> None:
    """In the forked process: what `visionsim ARGS >OUT 2>ERR` does."""
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # It is looked up again.
    sys.exit(main(args, prog="visionsim"))


class Forked:
    """A running `visionsim ARGS`, with what we use of subprocess.Popen."""

    def __init__(self, args: list[str], environment: Mapping[str, str], output: Path) -> None:
        """`output` is where it says things, with a suffix for either stream."""
        self._streams = output.with_suffix(".out"), output.with_suffix(".err")
        self._process = FORKS.Process(target=run_program, args=(args, dict(environment), *self._streams))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end: what it said on stdout, and on stderr."""
        self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired("visionsim", timeout or 0.0)
        out, err = (path.read_text() if path.exists() else "" for path in self._streams)
        return out, err
