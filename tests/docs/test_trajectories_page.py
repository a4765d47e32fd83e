"""The example of docs/trajectories.md runs, and what it writes is what it says."""

from __future__ import annotations

import re

import pytest

from tests.helpers import REPOSITORY
from visionsim.trajectory.formats import read_any
from visionsim.trajectory.statistics import statistics_of


def test_the_example_makes_half_an_orbit(tmp_path, monkeypatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / "trajectories.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/trajectories.md", "exec"), {})
    found = statistics_of(read_any(tmp_path / "half-orbit.json"))
    assert found.poses == 95 and found.distance == pytest.approx(4 * 94 / 30, rel=1e-3)
