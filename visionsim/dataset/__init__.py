"""What a dataset is on disk, and how it is read: `from visionsim.dataset import Dataset`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visionsim.dataset.reader import Dataset as Dataset
    from visionsim.dataset.reader import Sample as Sample

__all__ = ["Dataset", "Sample"]


def __getattr__(name: str) -> Any:
    """Loaded when asked for: the command line starts without numpy."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from visionsim.dataset import reader

    return getattr(reader, name)
