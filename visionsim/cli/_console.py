"""Print a message so that its paths can be copied: wrapped between words on a terminal, nowhere else."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.text import Text

__all__ = ["say"]


def say(console: Console, message: str, *, label: str = "", style: str = "", indent: str = "") -> None:
    """Print `message` behind a coloured `label`.

    Rich by itself would break a path that is longer than the line, which then cannot be copied.
    """
    lines = f"{label}{message}".expandtabs(4).splitlines()
    if console.is_terminal:
        lines = [
            part
            for line in lines
            for part in textwrap.wrap(
                line,
                max(20, console.width - len(indent)),
                break_long_words=False,
                break_on_hyphens=False,
                drop_whitespace=True,
                subsequent_indent=indent,
            )
            or [""]
        ]
    text = Text("\n".join(indent + line for line in lines))
    text.stylize(style, len(indent), len(indent) + len(label) if label else None)
    console.print(text, soft_wrap=True)
