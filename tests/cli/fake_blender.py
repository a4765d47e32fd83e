"""A worker that opens every file that is JSON, and renders nothing; for what goes wrong before rendering.

Its scene is 100 frames long but for what the file says, such as {"frame_end": 10} or {"missing": ["..."]}.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from visionsim.simulation.protocol import PROTOCOL, Done, Hello, Request, decode, encode

SCENE = {
    "blender": "0.0.0 fake",
    "digest": "ab12",
    "frame_start": 1,
    "frame_end": 100,
    "fps": 24.0,
    "camera": "Camera",
    "device": "cpu",
    "objects": [],
    "copies": {},
    "flow": "",
    "missing": [],
    "warnings": [],
}

os.write(1, encode(Hello(PROTOCOL, "0.0.0 fake", "3", os.getpid())))
for line in sys.stdin.buffer:
    request = decode(line)
    assert isinstance(request, Request) and request.do == "open"
    says = json.loads(Path(request.arguments["blend"]).read_text())
    os.write(1, encode(Done(request.id, {**SCENE, **says})))
