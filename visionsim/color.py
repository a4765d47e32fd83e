"""Scene-linear light and display-encoded pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["srgb_from_linear"]


def srgb_from_linear(linear: Any) -> Any:
    """Display-encoded values in [0, 1] of linear ones, which are clipped to [0, 1].

    Source:
        IEC 61966-2-1:1999, sRGB: the transfer function.
    """
    linear = np.clip(linear, 0.0, 1.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
