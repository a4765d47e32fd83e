"""What the parts of the worker promise each other."""

from __future__ import annotations

from pathlib import Path


def test_parts_of_the_worker_keep_what_they_promise_each_other(scripts, tmp_path) -> None:
    scripts.run(Path(__file__).parent / "seams.py", tmp_path)
