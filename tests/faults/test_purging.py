"""After a purge the next run renders exactly what was removed, and the dataset is what it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.faults.conftest import KINDS, tree
from tests.helpers import REPOSITORY


def purge(folder: Path, *options: str) -> dict:
    command = [sys.executable, str(REPOSITORY / "scripts" / "mkdataset.py"), "purge-corrupted", str(folder), *options]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False, timeout=200)
    document = json.loads(done.stdout)
    assert document["exit_code"] == done.returncode, done.stderr
    return document


def test_run_after_a_purge_renders_what_was_removed(world, finished):
    world.scene("room", frames=(1, 12))
    options = ("--render-config.debug",)
    expected = finished(*options)
    victims = [name for name in expected if any(f"{n:06d}." in name for n in (3, 7)) and "frames/" not in name]
    victims += [name for name in expected if name.endswith(("frame_000009.png", "info.json"))]
    assert len(victims) == 2 * 2 * len(KINDS) + 2
    for index, name in enumerate(victims):
        data = bytearray(expected[name])
        data[-20 - index] ^= 0xFF
        (world.data / name).write_bytes(data if index % 2 else data[:-3])
    assert purge(world.data, "--yes", "--jobs=1")["num_removed"] == len(victims)
    report = world.run(*options)
    assert (report["frames_rendered"], report["frames_kept"]) == (3, 9)
    assert tree(world.data) == expected
