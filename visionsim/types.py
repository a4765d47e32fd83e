"""Array aliases, the progress callback, and the shape check that all numerical code shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from visionsim.errors import ShapeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatImage = NDArray[np.float32]
    """(H, W) or (H, W, C), float32."""
    IdImage = NDArray[np.uint32]
    """(H, W), whole numbers, 0 is background."""
    Matrix = NDArray[np.float64]
    """(3, 3) or (4, 4), float64, row-major, multiplies column vectors."""

__all__ = ["ProgressFn", "check_shape"]


class ProgressFn(Protocol):
    """Called as work is done; the caller draws it."""

    def __call__(self, done: int, total: int) -> None: ...


def check_shape(name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Raise ShapeError unless `array` has exactly this shape; `name` says which argument it was."""
    if tuple(array.shape) != tuple(shape):
        raise ShapeError(f"{name} has shape {tuple(array.shape)}, expected {tuple(shape)}")
