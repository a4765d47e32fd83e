"""Where sequences are: the folders under a datasets folder, and their names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from visionsim.errors import ConfigError, InputNotFound
from visionsim.files import natural_key

__all__ = ["find_sequences", "folder_of", "name_in", "names_of", "refuse_nested", "sequences_in"]


def folder_of(path: Path) -> Path:
    """The folder meant by a folder, or by a sequence's transforms.json."""
    return path.parent if path.name == "transforms.json" else path


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
    """The folders of all sequences, finished or not, that are in `root`, or are it: each once, however links lead."""
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        folders.sort()
        try:
            status = os.stat(folder)
        except FileNotFoundError:  # Somebody has just removed it.
            continue
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        # The folder of the whole dataset may have a `.visionsim` as well, with records of runs.
        journal = Path(folder, ".visionsim", "journal.jsonl")
        if "transforms.json" in files or journal.exists() or ("frames" in folders and holds_frames(folder)):
            folders.clear()
            yield Path(folder)


def holds_frames(folder: str) -> bool:
    """Whether `frames` in it is for the pictures of a sequence, and not a scene of that name."""
    names = os.listdir(os.path.join(folder, "frames"))
    return not names or any(name.startswith("frame_") for name in names)


def names_of(folders: Sequence[Path]) -> list[str]:
    """`SCENE/SEQUENCE-ID` of those in a datasets folder, else the folder's name; where these are alike, with more of
    their paths.
    """
    parts = [folder.resolve().parts for folder in folders]
    lengths = [2 if path[-3:-2] == ("renders",) else 1 for path in parts]
    while True:
        names = ["/".join(path[-length:]) for path, length in zip(parts, lengths, strict=True)]
        count = Counter(names)
        alike = [n for n, name in enumerate(names) if count[name] > 1 and lengths[n] < len(parts[n])]
        if not alike:
            return names
        for n in alike:
            lengths[n] += 1


def refuse_nested(root: Path, target: Path) -> None:
    """Raise ConfigError if one of the folders is in the other."""
    here, there = root.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise ConfigError(f"Neither folder may be in the other: {root} and {target}")


def name_in(root: Path, folder: Path) -> str:
    """A name that no other sequence under `root` has: `SCENE/SEQUENCE-ID` in a datasets folder."""
    if folder == root:
        return folder.resolve().name
    return folder.relative_to(root).as_posix().removeprefix("renders/")
