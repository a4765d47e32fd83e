"""Run the tests' scripts inside a Blender: they build scenes, and render or evaluate them without visionsim."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

RUNNER = Path(__file__).parent / "run_scripts.py"


def script_command(executable: str | None, script: Path) -> list[str]:
    """The command, to which arguments are appended, that runs a script inside a Blender: `RenderConfig.executable`."""
    if executable is None or Path(executable).name.startswith("python"):
        return [executable or sys.executable, str(script)]
    return [executable, "--background", "--factory-startup", "--python", str(script), "--"]


class Blender:
    """One process that runs scripts one after another: to start Blender takes longer than most of them.

    It starts with the first script. Each script has to begin with a file, or with factory settings.
    """

    def __init__(self, executable: str | None) -> None:
        self._command = script_command(executable, RUNNER)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Blender:
        self._printed = tempfile.TemporaryFile()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self._process.communicate()  # Closes its stdin, at which it leaves.
        self._printed.close()

    def run(self, script: Path, *arguments: object) -> str:
        """Run a script, and return what was printed; raises AssertionError if it failed."""
        if self._process is None:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=self._printed)
        process, begin = self._process, os.fstat(self._printed.fileno()).st_size
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps([str(script), *map(str, arguments)]).encode() + b"\n")
            process.stdin.flush()
            # Blender says what version it is before it runs the first script.
            reply = next((line for line in process.stdout if line.startswith(b'{"error"')), None)
        except BaseException:  # A test's timeout, for example: nobody is going to read the answer.
            self._process = None
            process.kill()
            process.communicate()
            raise
        # The file's position is the process's too: reading may not move it.
        output = os.pread(self._printed.fileno(), 1 << 24, begin).decode(errors="replace")
        if reply is None:
            self._process = None
            process.communicate()
            raise AssertionError(f"Blender left with code {process.returncode} while it ran {script}:\n{output}")
        error = json.loads(reply)["error"]
        assert error is None, output + error
        return output
