"""A folder for scratch files, and a process that outlives us: if we are killed, it ends what we started and removes it.

A worker leaves by itself when its stdin ends. One that is stopped, or deep inside Blender, cannot; nor can a launcher
that Blender was started through. The guard is a shell of a few hundred kilobytes that waits for the end of its stdin.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

__all__ = ["Guard", "scratch_folder"]

SCRIPT = r"""
trap '' HUP INT TERM
groups=
while read -r word group; do
    case $word in
        began) groups="$groups $group" ;;
        ended) left=; for one in $groups; do [ "$one" = "$group" ] || left="$left $one"; done; groups=$left ;;
        done) exit 0 ;;
    esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
for try in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$1" 2>/dev/null
    [ -e "$1" ] || exit 0
    sleep 0.1
done
"""
"""POSIX shell. Reads `began GROUP`, `ended GROUP` and `done`; what dies may still write for a moment."""


class Guard:
    """Watches over process groups, and over a folder that it makes and removes, while the `with` block lasts."""

    def __init__(self) -> None:
        folder = Path(scratch_folder() or tempfile.gettempdir())
        self.scratch = folder / f"visionsim-{os.getpid()}-{secrets.token_hex(8)}"
        """For temporary files."""
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", SCRIPT, "visionsim-guard", str(self.scratch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # What kills our process group is not to kill it.
        )
        try:
            self.scratch.mkdir(mode=0o700)  # Not before somebody is there to remove it.
        except OSError:
            self.__exit__()
            raise

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._say("done")
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def began(self, group: int) -> None:
        """A process group is ours from now on."""
        self._say(f"began {group}")

    def ended(self, group: int) -> None:
        """A process group has ended; its number may belong to somebody else soon."""
        self._say(f"ended {group}")

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # If somebody killed it, workers still leave by themselves.
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()


def scratch_folder() -> str | None:
    """A memory file system with room, where there is one; else the default folder for temporary files."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30:
        return str(memory)
    return None
