"""Connect to the parent, say hello, serve until told to stop. Run by Python with bpy, or by Blender itself.

python visionsim/simulation/worker/__main__.py SCRATCH
blender -b --factory-startup --python visionsim/simulation/worker/__main__.py -- SCRATCH
"""

from __future__ import annotations

import gc
import importlib.util
import os
import queue
import sys
import threading
import traceback
from pathlib import Path
from typing import IO


def register_package() -> None:
    """Make `visionsim` importable inside Blender without its neighbours.

    Adding the folder that holds it to sys.path would also offer Blender that folder's numpy, built for
    another Python.
    """
    root = Path(__file__).resolve().parents[2]
    spec = importlib.util.spec_from_file_location(
        "visionsim", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["visionsim"] = package
    spec.loader.exec_module(package)


def take_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Keep stdin and stdout for messages; from here on Blender's own chatter goes where stderr goes."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout.flush()
    os.dup2(2, 1)
    return requests, replies


def read_requests(stream: IO[bytes], inbox: queue.SimpleQueue[bytes]) -> None:
    """Hand on each line; when the parent is gone or wants us to leave, do so at once, also in the middle of a render.

    What lies in the scratch folder stays there: the parent may not have written it all yet.
    """
    for line in stream:
        inbox.put(line)
    os._exit(0)


def serve(scratch: Path, requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer requests in order, for ever."""
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=read_requests, args=(requests, inbox), daemon=True).start()

    gc.disable()  # What is imported stays: looking through it for garbage is a twentieth of the start.
    try:
        import numpy  # noqa: F401
    except ModuleNotFoundError:
        # Debian's Blender comes without; its Python is the system's.
        sys.exit("Blender's Python has no numpy; install it there (Debian: apt install python3-numpy)")

    from visionsim.simulation.protocol import Done, Failed, Request, decode, encode
    from visionsim.simulation.worker.fault import WorkerFault
    from visionsim.simulation.worker.service import Service

    service = Service(scratch)
    gc.freeze()
    gc.enable()
    replies.write(encode(service.hello()))
    while True:
        request = decode(inbox.get())
        assert isinstance(request, Request), request
        try:
            reply: Done | Failed = Done(request.id, service.answer(request.do, request.arguments))
        except WorkerFault as fault:
            reply = Failed(request.id, fault.kind, str(fault))
        except Exception as exc:
            # Whatever went wrong, the parent must hear of it: it decides about retries and reports it.
            traceback.print_exc()
            reply = Failed(request.id, "frame", f"{type(exc).__name__}: {exc}".strip(), traceback.format_exc())
        replies.write(encode(reply))


def main() -> None:
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    streams = take_streams()  # Before anything can print.
    if not __package__:
        register_package()
    serve(Path(arguments[0]), *streams)


if __name__ == "__main__":
    main()
