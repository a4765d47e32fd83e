"""Videos need an ffmpeg: the system's, or that of the wheel."""

from __future__ import annotations

import os

import pytest

from visionsim.errors import ConfigError
from visionsim.io.video import find_ffmpeg


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    """Its path; a test without one is skipped, unless CI asks for it."""
    try:
        return find_ffmpeg()
    except ConfigError as exc:
        if os.environ.get("VISIONSIM_REQUIRE_READERS"):
            raise
        pytest.skip(str(exc))
