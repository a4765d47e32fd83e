"""What users get wrong: the table of docs/troubleshooting.md.

Tested by tests/cli/test_bad_inputs.py and, what takes a real Blender, by tests/render/test_hostile.py.

In messages `...` stands for anything: what the operating system or another version of Blender may say otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from visionsim.dataset.journal import FORMAT, FrameRecord, sealed
from visionsim.simulation.config import RenderConfig, settings_of

CREATE = "create-datasets --scenes-dir=scenes --datasets-dir=data"
ANIMATE = "render-animation scenes/room.blend out"


@dataclass(frozen=True)
class Row:
    """Something wrong, and what comes of it."""

    wrong: str
    command: str
    message: str
    code: int = 2
    files: dict[str, str] = field(default_factory=dict)
    """Besides `scenes/room.blend`; a name that ends in a slash is a folder, the text `None` takes a file away."""
    blender: str = "fake"
    """What there is: `fake`, `none`, or `as asked`, by the options."""

    @property
    def pattern(self) -> str:
        return ".*".join(map(re.escape, self.message.split("...")))


def stored(**settings: object) -> str:
    """The journal of a sequence with one frame, made with these settings besides those of the fake Blender."""
    header = {"journal": FORMAT, "settings": {**SETTINGS, **settings}}
    return sealed(header) + FrameRecord(1, 3, {}, {}).to_line()


SETTINGS = {**settings_of(RenderConfig()), "device": "cpu", "blender": "0.0.0 fake", "scene_sha256": "ab12"}
SETTINGS.pop("device_type")

COMMAND_LINE = [
    Row(
        "A command that does not exist",
        "create-dataset",
        "No such command 'create-dataset'. Did you mean create-datasets?",
    ),
    Row(
        "An option that does not exist",
        f"{CREATE} --render-config.widht=800",
        "No such option --render-config.widht. Did you mean --render-config.width?",
    ),
    Row("An option is missing", "create-datasets --scenes-dir=scenes", "Missing --datasets-dir"),
    Row(
        "Text for a number",
        f"{CREATE} --num-frames=ten",
        "Invalid value for --num-frames: 'ten' is not a whole number or None",
    ),
    Row(
        "A choice that there is not",
        f"{CREATE} --sampling=even",
        "Invalid value for --sampling: 'even' is not one of uniform, random",
    ),
    Row(
        "A codec that changes values",
        f"{CREATE} --render-config.exr-codec=DWAA",
        "Invalid value for --render-config.exr-codec: 'DWAA' is not one of NONE, RLE, ZIPS, ZIP, PIZ",
    ),
    Row(
        "A picture too small",
        f"{CREATE} --render-config.width=2",
        "--render-config.width=2: must be between 4 and 65536 pixels",
    ),
    Row(
        "A depth that the format does not have",
        f"{CREATE} --render-config.bit-depth=32",
        "--render-config.bit-depth=32: PNG files have 8 or 16 bits per channel",
    ),
    Row("No worker at all", f"{CREATE} --render-config.jobs=0", "--render-config.jobs=0: must be between 1 and 1024"),
    Row(
        "A multiplier that is no ratio",
        f"{CREATE} --render-config.keyframe-multiplier=0",
        "--render-config.keyframe-multiplier=0.0: must be a positive ratio of two whole numbers up to 900, such as 2, "
        "1.5 or 0.25",
    ),
    Row(
        "A size that is none",
        f"{CREATE} --render-config.max-job-vram=lots",
        "--render-config.max-job-vram=lots: 'lots' is not a size; write for example 4GB or 512MiB",
    ),
    Row(
        "A probe of a real run",
        f"{CREATE} --probe",
        "--probe renders one frame of each scene to say how long all will take: add --dry-run",
    ),
    Row(
        "A purge with nobody to ask",
        "purge-corrupted data",
        "There is no terminal to ask on whether files may be removed: say --yes to remove them, or --dry-run to only "
        "list them",
    ),
]

FILES = [
    Row(
        "The configuration file is missing",
        f"{CREATE} --config=run.yaml",
        "The configuration file does not exist: run.yaml",
    ),
    Row(
        "It has an option that there is not",
        f"{CREATE} --config=run.yaml",
        "No such option 'num-frame' (did you mean 'num-frames'?) in the configuration file run.yaml",
        files={"run.yaml": "num-frame: 3\n"},
    ),
    Row(
        "It has a value of the wrong type",
        f"{CREATE} --config=run.yaml",
        "Invalid value for 'num-frames': '3' is not a whole number or None; in the configuration file run.yaml",
        files={"run.yaml": "num-frames: '3'\n"},
    ),
    Row(
        "It is not YAML",
        f"{CREATE} --config=run.yaml",
        "Not a YAML file: ..., line 2: run.yaml",
        files={"run.yaml": "a: [\n"},
    ),
    Row(
        "It is neither YAML nor TOML",
        f"{CREATE} --config=run.json",
        "A configuration file ends in .yaml, .yml or .toml, unlike run.json",
        files={"run.json": "{}"},
    ),
    Row("The labels file is missing", f"{CREATE} --labels=labels.yaml", "The labels file does not exist: labels.yaml"),
    Row(
        "A class in it has no patterns",
        f"{CREATE} --labels=labels.yaml",
        "The class 'car' needs a pattern or a list of them, in the labels file labels.yaml",
        files={"labels.yaml": "classes: {car: 3}\n"},
    ),
    Row(
        "Something else is in it",
        f"{CREATE} --labels=labels.yaml",
        "'car' is neither `classes` nor `default`, in the labels file labels.yaml",
        files={"labels.yaml": "car: Car*\n"},
    ),
    Row("The scenes folder is missing", f"{CREATE} --scenes-dir=scene", "The scenes folder does not exist: scene"),
    Row(
        "It is a file",
        f"{CREATE} --scenes-dir=scenes/room.blend",
        "The scenes folder is not a folder: scenes/room.blend",
    ),
    Row(
        "No scene is in it",
        CREATE,
        "There is no .blend file in the scenes folder, nor one level down: scenes",
        files={"scenes/room.blend": "None"},
    ),
    Row(
        "Two scenes would have the same name",
        CREATE,
        "Two scenes would both be called 'a-x'; rename one: scenes/a-x.blend and scenes/a/x.blend",
        files={"scenes/a/x.blend": "{}", "scenes/b/x.blend": "{}", "scenes/a-x.blend": "{}"},
    ),
    Row("The scene is missing", "render-animation scenes/rom.blend out", "The scene does not exist: scenes/rom.blend"),
    Row(
        "The output folder is a file",
        f"{CREATE} --datasets-dir=data.txt",
        "Cannot write to the output folder: not a directory at data.txt. Choose another one than data.txt",
        files={"data.txt": ""},
    ),
    Row(
        "Nobody may write there",
        f"{CREATE} --datasets-dir=/proc/data",
        "Cannot write to the output folder: ... at /proc. Choose another one than /proc/data",
    ),
    Row(
        "Nobody may write logs",
        f"{CREATE} --render-config.log-dir=/proc/logs",
        "Cannot write to the folder of the logs: ... at /proc. Choose another one than /proc/logs",
    ),
    Row(
        "Nothing to verify", "verify scenes", "There is nothing to verify, no sequence that visionsim wrote, in scenes"
    ),
]

SAMPLING = [
    Row(
        "Several sequences, of no length",
        f"{CREATE} --sequences-per-scene=4",
        "Scene room: --num-frames is needed with --sequences-per-scene=4; at most 25 fit",
    ),
    Row(
        "Sequences that would overlap",
        f"{CREATE} --sequences-per-scene=4 --num-frames=30",
        "Scene room: 4 sequences of 30 frames would overlap or pass the end of the 100 frames 1 to 100: "
        "--num-frames=25 is the largest that fits",
    ),
    Row(
        "More sequences than frames",
        f"{CREATE} --sequences-per-scene=200 --num-frames=1",
        "Scene room: 200 sequences do not fit into 100 frames; at most 100 of one frame each do",
    ),
    Row(
        "A range that is empty",
        f"{CREATE} --anim-start=50 --anim-end=49",
        "Scene room: there is no frame from 50 to 49; choose others with --anim-start and --anim-end",
    ),
    Row(
        "Frames that the scene does not have",
        f"{ANIMATE} --frame-end=101",
        "Frames 1 to 101 are not within the scene's frames 1 to 100; choose --frame-start and --frame-end among them",
    ),
    Row("A step back", f"{ANIMATE} --frame-step=0", "--frame-step=0: must be at least 1"),
    Row(
        "Data made with other settings",
        f"{ANIMATE} --render-config.max-samples=16",
        "The folder holds frames made with other settings: max_samples (there 256, now 16). ...",
        files={"out/.visionsim/journal.jsonl": stored()},
    ),
    Row(
        "Frames that may not be skipped",
        f"{ANIMATE} --render-config.no-allow-skips",
        "There are frames already, and --render-config.no-allow-skips: out. --force starts it over",
        files={"out/.visionsim/journal.jsonl": stored()},
    ),
    Row(
        "A scene lacks files, with `--strict`",
        f"{ANIMATE} --strict",
        "Scenes lack what their pictures need; supply it, or leave out --strict:\n"
        "    room: texture 'wood' is missing (renders pink): wood.png",
        files={"scenes/room.blend": json.dumps({"missing": ["texture 'wood' is missing (renders pink): wood.png"]})},
    ),
]

BLENDER = [
    Row(
        "No Blender",
        ANIMATE,
        "No Blender found: Python ... has no bpy module and there is no `blender` on PATH. Install visionsim with "
        "Python 3.13 or 3.11, which bring bpy, or name one with --render-config.executable",
        blender="none",
    ),
    Row(
        "A Blender that does not exist",
        f"{ANIMATE} --render-config.executable=blender-9",
        "--render-config.executable: there is no such program: blender-9",
        blender="as asked",
    ),
    Row(
        "A program that is not Blender",
        f"{ANIMATE} --render-config.executable=true",
        "scene room: no Blender process can be started: ...exited with code 0...",
        1,
        blender="as asked",
    ),
]

SCENES = {
    "empty": Row("The file is empty", CREATE, "Blender ... cannot open the file: it is empty", 1),
    "truncated": Row(
        "The file is cut off", CREATE, "Blender ... cannot open the file: it is damaged or cut off (...)", 1
    ),
    "noise": Row("The file is something else", CREATE, "Blender ... cannot open the file: it is no .blend file", 1),
    "newest": Row(
        "The file needs a newer Blender",
        CREATE,
        "Blender ... cannot open the file: it was saved by Blender 98.0; use that or a later one",
        1,
    ),
    "blind": Row(
        "The scene has no camera",
        CREATE,
        "the scene has no active camera; set one in Blender (Scene properties > Camera)",
        1,
    ),
    "lamp": Row(
        "The active camera is a lamp", CREATE, "the active camera 'Lamp' is of type LIGHT; make a camera active", 1
    ),
    "ball": Row(
        "A camera of a type that no model describes",
        CREATE,
        "camera 'Camera' is of type MIRRORBALL; supported are perspective...",
        1,
    ),
    "dark": Row("Nothing to render", CREATE, "every view layer is switched off for rendering; switch one on", 1),
}
"""Scenes that a real Blender is asked to open; the row's message is that of the scene, by name."""

LACKING = {
    "newer": Row(
        "The file is from a newer Blender, which this one opens",
        f"{CREATE} --strict",
        "newer: the file was saved by Blender ...: what ... lacks is lost",
    ),
}
"""Scenes that a real Blender opens, and that `--strict` refuses."""

REQUESTS = {
    "device_type": Row(
        "A device that is not there",
        f"{CREATE} --render-config.device-type=metal",
        "--render-config.device-type=metal: no such device here; try auto or cpu",
    ),
    "addons": Row(
        "An add-on that is not there",
        f"{CREATE} --render-config.addons=nobody",
        "--render-config.addons: Blender has no add-on called 'nobody'",
    ),
}
"""What a real Blender refuses, by field."""

TITLES = {
    "Command line": COMMAND_LINE,
    "Files and folders": FILES,
    "Sampling and settings": SAMPLING,
    "Blender": [*BLENDER, *REQUESTS.values()],
    "Scenes": [*SCENES.values(), *LACKING.values()],
}


def tables() -> str:
    """The part of the page that is this table."""
    return "\n".join(f"### {title}\n\n{table(rows)}" for title, rows in TITLES.items())


def table(rows: Iterable[Row]) -> str:
    head = "| What is wrong | Command | Message | Exit code |\n| --- | --- | --- | --- |\n"
    lines = []
    for row in rows:
        message = "<br>".join(code(line.strip()) for line in row.message.splitlines())
        lines.append(f"| {row.wrong} | {code(shown(row.command))} | {message} | {row.code} |\n")
    return head + "".join(lines)


def code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def shown(command: str) -> str:
    """A command without what all have."""
    return command.replace(CREATE, "create-datasets ...").replace(ANIMATE, "render-animation ...")
