"""Run scripts inside one Blender, one after another: started by `scripts.Blender`, not by hand.

Each line of stdin is a JSON list, a script and its arguments. When it has run, stdout gets a JSON line: the traceback
of the script if it failed, or null. Whatever is printed goes to stderr.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
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
    sys.stdout.flush()
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in requests:
        script, *arguments = json.loads(line)
        error = run(script, arguments)
        sys.stdout.flush()
        sys.stderr.flush()
        replies.write(json.dumps({"error": error}).encode() + b"\n")
        replies.flush()
    os._exit(0)  # Blender takes its time to leave.


main()
