"""Draw `--help`: all options of a command in groups, coloured on a terminal and plain elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import MISSING
from typing import Any

from rich.console import Console
from rich.text import Text

from visionsim.cli._fields import Option, choices_of, metavar_of

__all__ = ["command_help", "group_help"]

MAX_WIDTH = 120
"""Columns; longer lines are hard to read."""

LAST_PANEL = "Other options"


def command_help(usage: str, about: str, options: Sequence[Option]) -> str:
    """The help page of a command."""
    panels: dict[str, list[Option]] = {}
    for option in options:
        panels.setdefault(option.panel, []).append(option)
    # Dictionaries keep their order: what is put back goes to the end.
    if LAST_PANEL in panels:
        panels[LAST_PANEL] = panels.pop(LAST_PANEL)
    sections = [(title, [(left_of(option), right_of(option)) for option in rows]) for title, rows in panels.items()]
    return page(usage, about, sections)


def group_help(usage: str, about: str, commands: Iterable[tuple[str, str]], options: Sequence[Option]) -> str:
    """The help page of the whole program."""
    rows = [(Text(name, "bold cyan"), Text(text)) for name, text in commands]
    return page(usage, about, [("Commands", rows), ("Options", [(left_of(o), right_of(o)) for o in options])])


def left_of(option: Option) -> Text:
    """Name and value, such as `--num-frames INT`."""
    if not option.names:
        return Text(option.title, "bold cyan")
    if option.flag and option.negatives:
        stem, dot, last = option.names[0].rpartition(".")
        name = f"{stem}.[no-]{last}" if dot else f"--[no-]{option.names[0].removeprefix('--')}"
    else:
        name = ", ".join(sorted(option.names, key=len))
    text = Text(name, "bold cyan")
    value = "" if option.flag else option.metavar or metavar_of(option.kind)
    return text.append(f" {value}", "yellow") if value else text


def right_of(option: Option) -> Text:
    """Help, choices and default."""
    notes = []
    if choices := choices_of(option.kind):
        notes.append("choices: " + ", ".join(map(str, choices)))
    if option.repeats and option.names:
        notes.append("one value each time; repeat the option for more")
    # A text that tells what happens by default needs no "none" behind it.
    told = option.default is None and "by default" in option.help
    at_once = {"--help", "--version"}.intersection(option.names)
    if option.default is not MISSING and not told and not at_once:
        notes.append(f"default: {default_text(option.default)}")
    text = Text(option.help.strip())
    if option.default is MISSING:
        text.append(" ").append("[required]", "red")
    if notes:
        text.append(" ").append(f"[{'; '.join(notes)}]", "dim")
    return text


def default_text(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def page(usage: str, about: str, sections: Sequence[tuple[str, Sequence[tuple[Text, Text]]]]) -> str:
    """Lay out a page for the width of the terminal; the answer holds escape codes if that shows colours."""
    console = Console(highlight=False)
    width = max(40, min(console.width, MAX_WIDTH))
    # Names that are longer than the column have their help start on the next line.
    longest = max((len(left) for _, rows in sections for left, _ in rows), default=0)
    column = min(longest, 28 if width < 100 else 42)
    lines = [Text.assemble(("Usage: ", "bold"), usage), Text()]
    for paragraph in about.split("\n\n"):
        lines += [*Text(" ".join(paragraph.split())).wrap(console, width), Text()]
    for title, rows in sections:
        lines.append(Text(title, "bold"))
        for left, right in rows:
            first = Text("  ") + left
            helps = list(right.wrap(console, width - column - 4))
            if len(left) <= column and helps:
                first.append(" " * (column - len(left) + 2))
                first.append_text(helps.pop(0))
            lines.append(first)
            lines += [Text(" " * (column + 4)) + line for line in helps]
        lines.append(Text())
    with console.capture() as capture:
        for line in lines[:-1]:
            line.rstrip()
            console.print(line, soft_wrap=True)
    return capture.get()
