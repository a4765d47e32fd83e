"""What several tests need."""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "visionsim"


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Poll until `condition()` is true and return it; the machine may be busy."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.01)
    return result


def exists(pid: int) -> bool:
    """Whether there is a process `pid`, be it a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def running(pid: int) -> bool:
    """Whether a process that may not be our child, so that nobody of us reaps it, still runs."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def worker_pids() -> list[int]:
    """The Blenders that the main thread's runs have started, from the kernel's list of that thread's children.

    Those of clients that live in threads of their own are not among them.
    """
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    found = []
    for pid in children:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # Gone since.
            if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return found


def camera_values(**changes: Any) -> dict[str, Any]:
    """A camera as `worker.camera.describe` gives it: at (0, 0, 4), looking down -Z."""
    camera: dict[str, Any] = {
        "name": "Camera",
        "matrix_world": [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 4.0], [0.0, 0.0, 0.0, 1.0]],
        "type": "PERSP",
        "lens": 50.0,
        "lens_unit": "MILLIMETERS",
        "sensor_width": 36.0,
        "sensor_height": 24.0,
        "sensor_fit": "AUTO",
        "shift_x": 0.0,
        "shift_y": 0.0,
        "clip_start": 0.1,
        "clip_end": 100.0,
        "angle": 0.6911,
        "angle_x": 0.6911,
        "angle_y": 0.4711,
        "width": 6,
        "height": 4,
        "pixel_aspect_x": 1.0,
        "pixel_aspect_y": 1.0,
    }
    return {**camera, **changes}


def reader(module: str) -> Any:
    """The library that others read a format with; a test without it is skipped, unless CI asks for it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        if os.environ.get("VISIONSIM_REQUIRE_READERS"):
            raise
        import pytest

        pytest.skip(f"{module} is not installed")
