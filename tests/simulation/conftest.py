"""Fake workers for the tests that need processes but no Blender."""

from __future__ import annotations

import pytest

from tests.simulation.fakes import Fakes


@pytest.fixture
def fakes(tmp_path) -> Fakes:
    state = tmp_path / "fakes"
    state.mkdir()
    return Fakes(state)
