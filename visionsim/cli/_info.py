"""Draw what is in a dataset."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from visionsim.cli._progress import counted
from visionsim.cli._summary import human_bytes, in_common, new_table, stdout_console
from visionsim.dataset.info import DatasetInfo

__all__ = ["show_info"]


def show_info(info: DatasetInfo, console: Console | None = None) -> None:
    """A table of the sequences."""
    console = console or stdout_console()
    title, names = in_common([sequence.folder for sequence in info.sequences])
    table = new_table(title, "Frames", "Picture", "Camera", "Kinds", "Objects", "Size")
    for name, row in zip(names, info.sequences, strict=True):
        frames = f"{row.frames} ({row.first_frame}-{row.last_frame})"
        kinds = ", ".join(row.kinds) + (" (arrays)" if row.form == "arrays" else "")
        size = f"{row.width}x{row.height}"
        cells = (
            name,
            frames,
            size,
            row.camera_model,
            kinds,
            str(row.objects),
            human_bytes(row.size),
        )
        table.add_row(*map(Text, cells))
    console.print(table)
    total = f"{counted(info.frames, 'frame')} in {counted(len(info.sequences), 'sequence')}, {human_bytes(info.size)}"
    console.print(total, highlight=False)
