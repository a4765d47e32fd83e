"""Every exception a user of visionsim may catch.

VisionsimError
├── RequestError               the request was wrong: nothing was rendered or written (exit code 2)
│   ├── ConfigError            an option or a configuration file is wrong
│   ├── SamplingError          the sequences asked for do not fit into the scene's range
│   ├── SettingsMismatch       the folder holds data that was made with other settings
│   ├── FolderInUse            another run works on the folder
│   ├── IncompleteScene        a scene lacks what its pictures need, and --strict
│   ├── ClientStateError       a BlenderClient was asked for something at the wrong time
│   ├── BlenderNotFound        no Blender to work with
│   ├── InputNotFound          a scene, folder or file that was named does not exist
│   └── OutputNotWritable      the output folder cannot be written
├── SceneError                 a .blend cannot be opened, or cannot be rendered as asked
├── WorkerError                a Blender process did not do what it was asked
│   ├── WorkerCrashed          it died
│   ├── ScriptError            your own function, called inside Blender, raised an exception
│   ├── RenderError            frames could not be rendered; the others were
│   └── ProtocolError          it said something we do not understand
├── DataError                  a file does not hold what its kind promises
│   └── SchemaError            ... a JSON document that its schema refuses
├── VideoError                 ffmpeg could not encode or decode a video
├── DiskFull                   there is no room for what was to be written
└── ShapeError                 arrays of the wrong shape
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BlenderNotFound",
    "ClientStateError",
    "ConfigError",
    "DataError",
    "DiskFull",
    "FolderInUse",
    "IncompleteScene",
    "InputNotFound",
    "OutputNotWritable",
    "ProtocolError",
    "RenderError",
    "RequestError",
    "SamplingError",
    "SceneError",
    "SchemaError",
    "ScriptError",
    "SettingsMismatch",
    "ShapeError",
    "VideoError",
    "VisionsimError",
    "WorkerCrashed",
    "WorkerError",
]


class VisionsimError(Exception):
    """Base of all of them; its text is complete and meant for the user."""


class RequestError(VisionsimError, ValueError):
    """What was asked for cannot be done; nothing was rendered and nothing was written."""


class ConfigError(RequestError):
    """An option or a configuration file is wrong."""


class SamplingError(RequestError):
    """The sequences asked for do not fit into the scene's range."""


class SettingsMismatch(RequestError):
    """The output folder holds data that was made with other settings."""

    def __init__(self, message: str, differences: str = "") -> None:
        super().__init__(message)
        self.differences = differences
        """The settings that differ, with both values."""


class FolderInUse(RequestError):
    """Another run works on the output folder."""


class IncompleteScene(RequestError):
    """A scene lacks what its pictures need, and the run was to be strict about that."""


class ClientStateError(RequestError, RuntimeError):
    """A BlenderClient was asked for something that it cannot do now: before `initialize`, or after its end."""


class InputNotFound(RequestError, FileNotFoundError):
    """A scene, folder or file that was named does not exist."""


class OutputNotWritable(RequestError, OSError):
    """The output folder cannot be written."""


class BlenderNotFound(RequestError, FileNotFoundError):
    """There is no Blender to work with: neither the bpy module of this Python nor an executable."""


class SceneError(VisionsimError):
    """A .blend file cannot be opened, or cannot be rendered as asked."""


class WorkerError(VisionsimError, RuntimeError):
    """A Blender process did not do what it was asked to."""


class WorkerCrashed(WorkerError):
    """A Blender process died."""


class ScriptError(WorkerError):
    """A function that was called inside Blender raised an exception, or returned what cannot leave Blender."""


class RenderError(WorkerError):
    """Frames could not be rendered; all others were."""

    def __init__(self, message: str, report: Any = None) -> None:
        super().__init__(message)
        self.report = report
        """The RunReport: what was done, and each failure."""


class ProtocolError(WorkerError):
    """A Blender process said something that we do not understand."""


class DataError(VisionsimError, ValueError):
    """A file does not hold what its kind promises."""


class SchemaError(DataError):
    """A JSON document does not match its schema."""


class VideoError(VisionsimError, RuntimeError):
    """A video could not be encoded or decoded; the message has ffmpeg's last words."""


class DiskFull(VisionsimError, OSError):
    """There is no room for what was to be written; the same command goes on when there is."""


class ShapeError(VisionsimError, ValueError):
    """Arrays do not have the shapes they must have."""
