"""Scratch folders, and a process that outlives us: if we are killed, it ends what we started and removes the folders.

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

__all__ = ["Guard", "memory_folder"]

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
    rm -rf -- "$@" 2>/dev/null
    left=
    for folder in "$@"; do [ -e "$folder" ] && left=1; done
    [ "$left" ] || exit 0
    sleep 0.1
done
"""
"""POSIX shell. Reads `began GROUP`, `ended GROUP` and `done`; what dies may still write for a moment."""


class Guard:
    """Watches over process groups, and over folders that it makes and removes, while the `with` block lasts."""

    def __init__(self, room: int | None = None) -> None:
        """
        Args:
            room: bytes that rendered frames need until they are written: if a memory file system has so much, there
                is a folder in it, too. None: no frames are rendered.
        """
        name = f"visionsim-{os.getpid()}-{secrets.token_hex(8)}"
        self.scratch = Path(tempfile.gettempdir()) / name
        """For temporary files."""
        memory = None if room is None else memory_folder(room)
        self.memory = memory / name if memory is not None and memory != self.scratch.parent else None
        """For those that are read again soon; None if there is not enough room in memory."""
        self._folders = [folder for folder in (self.scratch, self.memory) if folder is not None]
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", SCRIPT, "visionsim-guard", *map(str, self._folders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # What kills our process group is not to kill it.
        )
        try:
            for folder in self._folders:
                folder.mkdir(mode=0o700)  # Not before somebody is there to remove it.
        except OSError:
            self.__exit__()
            raise

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *exc: object) -> None:
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
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


def memory_folder(room: int) -> Path | None:
    """A memory file system in which so many bytes are free; None if there is none."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > room:
        return memory
    return None
