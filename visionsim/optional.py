"""Libraries that only some commands need, and that an extra installs."""

from __future__ import annotations

import importlib
from typing import Any

from visionsim.errors import ConfigError

__all__ = ["require"]


def require(module: str, extra: str) -> Any:
    """Import a module.

    Raises:
        ConfigError: it is not installed; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise ConfigError(
            f"{module} is needed for this, and cannot be imported: pip install 'visionsim[{extra}]'"
        ) from exc
