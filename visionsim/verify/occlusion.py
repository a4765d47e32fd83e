"""What occlusions say of themselves and of flow. Pure functions of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["impossible"]

KNOWN = {"forward": 1, "backward": 4}
"""Direction of motion -> the bit that says that it is known; the next higher bit says that its target is visible."""


def impossible(occlusions: NDArray[np.uint8]) -> Any:
    """(H, W) bool: where bits are set that no frame has: unknown ones, or a visible target of unknown motion."""
    wrong = occlusions > 15
    for bit in KNOWN.values():
        wrong |= (occlusions & (2 * bit) != 0) & (occlusions & bit == 0)
    return wrong
