"""From an exception to one readable message and an exit code."""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any

from visionsim.errors import ConfigError, RequestError, VisionsimError

__all__ = ["UsageError", "report_error", "write_json"]


class UsageError(ConfigError):
    """The command line is wrong."""

    def __init__(self, message: str, command: str | None = None) -> None:
        super().__init__(message)
        self.command = command
        """Whose --help has the answer, such as `visionsim create-datasets`."""


def report_error(exc: BaseException, *, as_json: bool) -> int:
    """Tell the user what went wrong, on stderr and with `as_json` on stdout too; returns the exit code."""
    hint = None
    # Typer's own errors are known by this method: their class is private to Typer, and has moved between versions.
    format_message = getattr(exc, "format_message", None)
    if isinstance(exc, KeyboardInterrupt):
        message, code = "Interrupted. What is finished is kept: run the same command again to go on.", 130
    elif isinstance(exc, VisionsimError):
        message, code = str(exc), 2 if isinstance(exc, RequestError) else 1
        if isinstance(exc, UsageError) and exc.command:
            hint = f"Try: {exc.command} --help"
    elif format_message is not None:
        message, code = str(format_message()), int(getattr(exc, "exit_code", 2))
    else:
        sys.stderr.write("".join(traceback.format_exception(exc)))
        message, code = f"{type(exc).__name__}: {exc}", 1
        hint = "This is a mistake in visionsim, not in what you asked for. Please report it with the lines above."
    draw(message, hint, interrupted=code == 130)
    if as_json:
        write_json({"error": message, "exit_code": code})
    return code


def draw(message: str, hint: str | None, *, interrupted: bool) -> None:
    from rich.console import Console

    from visionsim.cli._console import say

    console = Console(stderr=True, highlight=False)
    if interrupted:
        say(console, message, style="yellow")
    else:
        say(console, message, label="Error: ", style="bold red")
    if hint:
        say(console, hint, style="dim")


def write_json(document: Any) -> None:
    """The one JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    sys.stdout.flush()
