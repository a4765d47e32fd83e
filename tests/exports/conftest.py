from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


def reader(module: str) -> Any:
    """The library that others read a format with; a test without it is skipped, unless CI asks for it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        if os.environ.get("VISIONSIM_REQUIRE_READERS"):
            raise
        pytest.skip(f"{module} is not installed")
