"""A decoder that some files kill: in a module of its own, which its processes import sooner than the tests."""

from __future__ import annotations

import os
import signal

from visionsim.verify.damage import Look


def look_or_die(tasks) -> None:
    """Answer until there is nobody to ask; `kills SIGNAL` is the path of a file that does."""
    while True:
        try:
            task = tasks.recv()
        except EOFError:
            return
        if "kills" in task.path:
            os.kill(os.getpid(), getattr(signal, task.path.partition(" ")[2]))
        tasks.send(Look(size=task.path))
