"""Run scripts inside one Blender, one after another: started by `scripts.Blender`, not by hand.

Each line of stdin is a JSON list, a script and its arguments. When it has run, stdout gets a JSON line: `output` is
what was printed meanwhile, `error` the traceback of the script if it failed.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import tempfile
import traceback

import bpy  # noqa: F401  Before anybody waits for it.


def run(script, arguments):
    """The traceback, or None if all went well."""
    sys.argv = [script, *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
    except BaseException:
        return traceback.format_exc()
    return None


def main():
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    for line in requests:
        script, *arguments = json.loads(line)
        with tempfile.TemporaryFile() as printed:
            for number in (1, 2):
                os.dup2(printed.fileno(), number)
            error = run(script, arguments)
            sys.stdout.flush()
            sys.stderr.flush()
            printed.seek(0)
            output = printed.read().decode(errors="replace")
        replies.write(json.dumps({"output": output, "error": error}).encode() + b"\n")
    os._exit(0)  # Blender takes its time to leave.


main()
