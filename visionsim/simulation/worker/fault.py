"""The one exception that crosses from the worker to its parent with a message meant for the user."""

from __future__ import annotations

from visionsim.simulation.protocol import ErrorKind


class WorkerFault(Exception):
    """What was asked for cannot be done; `kind` says what is to blame."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
