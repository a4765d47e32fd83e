"""What works here and what does not: looks at everything that a run needs, and really starts a Blender."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import visionsim
from visionsim.dataset.lock import is_held, lock_file
from visionsim.errors import BlenderNotFound, ConfigError, OutputNotWritable, SceneError, WorkerError
from visionsim.files import ensure_writable
from visionsim.io.video import find_ffmpeg
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.dialogue import Dialogue
from visionsim.simulation.guard import memory_folder
from visionsim.simulation.host import Machine, free_bytes, gigabytes, job_memory, this_machine
from visionsim.simulation.process import blender_command

__all__ = ["Check", "Diagnosis", "diagnose"]

Status = Literal["ok", "warning", "problem"]

START_SECONDS = 90.0
"""How long Blender may take to start and to tell of its devices."""

TESTED = ((3, 4), (5, 2))
"""Oldest and newest Blender that visionsim is tested with."""

LITTLE_DISK, NO_DISK = 10_000_000_000, 200_000_000
"""Free bytes below which a dataset soon has no room, and below which nothing can be rendered."""

LITTLE_SCRATCH = 1 << 30
"""Free bytes that scratch files should have; frames of many workers may wait there."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: Status
    """`problem`: nothing can be rendered."""
    text: str
    advice: str = ""
    """What to do, unless it is ok."""
    values: dict[str, Any] = field(default_factory=dict)
    """The same for programs."""


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was looked at."""

    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        """1 if something essential is broken."""
        return int(any(check.status == "problem" for check in self.checks))

    def to_json(self) -> dict[str, Any]:
        """The diagnosis as plain JSON values."""
        return {"exit_code": self.exit_code, "checks": [asdict(check) for check in self.checks]}


def diagnose(root: Path, executable: str | None = None) -> Diagnosis:
    """Look at everything; leaves nothing behind.

    Args:
        root: folder, which may not be there yet, that datasets are to be written under.
        executable: Blender to look at, as in `RenderConfig`.
    """
    machine = this_machine("auto")
    return Diagnosis(
        (
            check_versions(),
            *check_blender(executable, machine),
            check_ffmpeg(),
            check_output(root),
            check_locks(root),
            check_scratch(),
            check_memory(machine),
            check_cores(machine),
        )
    )


def check_versions() -> Check:
    python = sys.version.split()[0]
    folder = Path(visionsim.__file__).parent
    values = {"visionsim": visionsim.__version__, "python": python, "executable": sys.executable, "folder": str(folder)}
    return Check("visionsim", "ok", f"{visionsim.__version__} in {folder}; Python {python}", values=values)


# Blender.


def check_blender(executable: str | None, machine: Machine) -> list[Check]:
    """Whether Blender starts, what it renders on, and whether it can denoise."""
    try:
        command = blender_command(executable)
    except BlenderNotFound as exc:
        advice = "Python 3.13 and 3.11 bring Blender with visionsim; or install Blender, and name it with --executable"
        return [Check("Blender", "problem", str(exc).partition(". ")[0], advice)]
    where = "the bpy module of this Python" if command[0] == sys.executable else shutil.which(command[0]) or command[0]
    started = time.monotonic()
    try:
        about = ask_blender(command)
    except (WorkerError, OSError) as exc:
        advice = "start it by hand to see what is wrong, or name another one with --executable"
        return [Check("Blender", "problem", f"{where}: {exc}", advice, {"path": where})]
    seconds = time.monotonic() - started
    return [check_version(about, where, seconds), check_devices(about["devices"], machine), check_denoiser(about)]


def check_version(about: dict[str, Any], where: str, seconds: float) -> Check:
    text = f"{about['blender']}, {where}; starts in {seconds:.1f} s"
    values = {"version": about["blender"], "path": where, "python": about["python"], "seconds": round(seconds, 3)}
    version = tuple(about["version"][:2])
    if TESTED[0] <= version <= TESTED[1]:
        return Check("Blender", "ok", text, values=values)
    oldest, newest = (".".join(map(str, tested)) for tested in TESTED)
    return Check("Blender", "warning", text, f"visionsim is tested with Blender {oldest} to {newest}", values)


def ask_blender(command: list[str]) -> dict[str, Any]:
    """Start a worker and ask what it is.

    Raises:
        WorkerError: it does not answer, or not in time.
    """
    try:
        with Dialogue(command, seconds=START_SECONDS) as talk:
            answer = talk.ask("about", {})
            assert talk.hello is not None
            return {"blender": talk.hello.blender, "python": talk.hello.python, **answer}
    except WorkerError as exc:
        raise WorkerError(f"it {exc}") from exc
    except SceneError as exc:
        raise WorkerError(f"it cannot tell what it is: {exc}") from exc


def check_devices(devices: dict[str, list[str]], machine: Machine) -> Check:
    text = ", ".join(f"{kind} ({', '.join(names)})" if names else kind for kind, names in devices.items())
    values = {"devices": devices, "gpus": [asdict(gpu) for gpu in machine.gpus]}
    if machine.gpus and len(devices) == 1:
        names = ", ".join(gpu.name for gpu in machine.gpus)
        advice = "update the GPU's driver, or use a Blender that was built for it"
        return Check("devices", "warning", f"{text}; Blender does not see {names}", advice, values)
    return Check("devices", "ok", text, values=values)


def check_denoiser(about: dict[str, Any]) -> Check:
    if about["denoiser"]:
        return Check("denoiser", "ok", "OpenImageDenoise", values={"denoiser": True})
    text = "this Blender was built without"
    return Check("denoiser", "warning", text, "render with --render-config.no-use-denoising", {"denoiser": False})


# The rest of the machine.


def check_ffmpeg() -> Check:
    try:
        path = find_ffmpeg()
    except ConfigError:
        advice = "for videos install ffmpeg, or: pip install 'visionsim[video]'; rendering needs none"
        return Check("ffmpeg", "warning", "not found", advice)
    try:
        done = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as exc:
        return Check("ffmpeg", "warning", f"{path} does not start: {exc}", "install another one to make videos")
    words = done.stdout.split()
    version = words[2] if words[:2] == ["ffmpeg", "version"] and len(words) > 2 else "of an unknown version"
    return Check("ffmpeg", "ok", f"{version}, {path}", values={"version": version, "path": path})


def check_output(root: Path) -> Check:
    try:
        ensure_writable(root)
    except OutputNotWritable as exc:
        return Check("disk", "problem", str(exc).partition(". ")[0], "name another folder with --root")
    free = free_bytes(root)
    text, values = f"{gigabytes(free)} free at {root.absolute()}", {"free": free, "root": str(root)}
    if free < NO_DISK:
        return Check("disk", "problem", text, "make room, or name another folder with --root", values)
    if free < LITTLE_DISK:
        return Check("disk", "warning", text, "--dry-run tells how much a dataset will take", values)
    return Check("disk", "ok", text, values=values)


def check_locks(root: Path) -> Check:
    """Whether the file system of `root` can keep two runs apart."""
    ancestor = root.absolute()
    while not ancestor.exists() and ancestor != ancestor.parent:
        ancestor = ancestor.parent
    never = "never start two runs on the same folder"
    try:
        with tempfile.TemporaryDirectory(prefix=".visionsim-", dir=ancestor) as folder:
            path = Path(folder) / "lock"
            lock = lock_file(path)
            if lock is None:
                return Check("locks", "warning", f"the file system at {ancestor} locks a file of nobody's", never)
            held = lock.sure and is_held(path)
            lock.release()
    except OSError as exc:
        return Check("locks", "warning", f"cannot be tried at {ancestor}: {(exc.strerror or str(exc)).lower()}", never)
    if not held:
        return Check("locks", "warning", f"the file system at {ancestor} knows none", never, {"locks": False})
    return Check("locks", "ok", "two runs on the same folder are kept apart", values={"locks": True})


def check_scratch() -> Check:
    memory = memory_folder(LITTLE_SCRATCH)
    folder = Path(memory or tempfile.gettempdir())
    free = free_bytes(folder)
    text, values = f"{gigabytes(free)} free at {folder}", {"free": free, "folder": str(folder), "memory": bool(memory)}
    if free < LITTLE_SCRATCH:
        return Check("scratch", "warning", text, "make room there, or name another folder with TMPDIR", values)
    if memory is None:
        advice = "a larger /dev/shm spares the disk (Docker: --shm-size=4g)"
        return Check("scratch", "warning", f"{text}, on a disk", advice, values)
    return Check("scratch", "ok", f"{text}, in memory", values=values)


def check_memory(machine: Machine) -> Check:
    config = RenderConfig()
    number = machine.memory // job_memory(config, Machine(machine.cores, machine.memory))
    text = f"{gigabytes(machine.memory)} free"
    values = {"free": machine.memory, "workers": number}
    if number < 1:
        return Check("memory", "warning", text, "close other programs, or render small pictures", values)
    workers = "one worker" if number == 1 else f"{number} workers"
    return Check("memory", "ok", f"{text}: enough for {workers} at {config.width} x {config.height}", values=values)


def check_cores(machine: Machine) -> Check:
    there = os.cpu_count() or machine.cores
    text = f"{machine.cores}" if machine.cores == there else f"{machine.cores} of {there}, by affinity or container"
    return Check("cores", "ok", text, values={"cores": machine.cores, "all": there})
