"""Where sequences are: the folders under a datasets folder, and their names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from visionsim.errors import InputNotFound
from visionsim.files import natural_key

__all__ = ["find_sequences", "name_in", "names_of", "sequences_in"]


def find_sequences(roots: Iterable[Path], to: str = "verify") -> list[Path]:
    """The folders of all sequences, finished or not, that are, or are in, the folders given.

    What they are wanted for stands in messages.

    Raises:
        InputNotFound: a folder does not exist, or there is no sequence in it.
    """
    found: dict[Path, Path] = {}
    for root in roots:
        if not root.is_dir():
            what = "is not a folder" if root.exists() else "does not exist"
            raise InputNotFound(f"The folder to {to} {what}: {root}")
        here = list(sequences_in(root))
        if not here:
            raise InputNotFound(f"There is nothing to {to}, no sequence that visionsim wrote, in {root}")
        for folder in sorted(here, key=lambda folder: natural_key(str(folder))):
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def sequences_in(root: Path) -> Iterator[Path]:
    """The folders of all sequences, finished or not, that are in `root`, or are it."""
    for folder, folders, files in os.walk(root, followlinks=True):
        # The folder of the whole dataset may have a `.visionsim` as well, with records of runs.
        journal = Path(folder, ".visionsim", "journal.jsonl")
        if "transforms.json" in files or "frames" in folders or journal.exists():
            folders.clear()
            yield Path(folder)


def names_of(folders: Sequence[Path]) -> list[str]:
    """`SCENE/SEQUENCE-ID` of those in a datasets folder, else the folder's name."""
    resolved = [folder.resolve() for folder in folders]
    return [
        f"{folder.parent.name}/{folder.name}" if folder.parent.parent.name == "renders" else folder.name
        for folder in resolved
    ]


def name_in(root: Path, folder: Path) -> str:
    """A name that no other sequence under `root` has: `SCENE/SEQUENCE-ID` in a datasets folder."""
    if folder == root:
        return folder.resolve().name
    return folder.relative_to(root).as_posix().removeprefix("renders/")
