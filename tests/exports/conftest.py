from __future__ import annotations

from tests.helpers import reader

__all__ = ["reader"]
