"""What `visionsim doctor` says of machines and Blenders in all states of health; without Blender."""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Answer
from tests.cli.conftest import call as call  # A fixture.
from tests.helpers import REPOSITORY
from visionsim.simulation import doctor
from visionsim.simulation.doctor import Check, diagnose
from visionsim.simulation.host import Gpu, Machine
from visionsim.simulation.protocol import PROTOCOL

GB = 10**9

FAKE = """
import os, sys, time
sys.path.insert(0, {repository!r})
from visionsim.simulation.protocol import Done, Failed, Hello, decode, encode
how = {how!r}
if how == "dies":
    os.write(2, b"libGL.so.1: cannot open shared object file")
    sys.exit(127)
if how == "hangs":
    time.sleep(60)
os.write(1, encode(Hello({protocol} + (how == "other"), "5.2.3 fake", "3.13.0", os.getpid())))
request = decode(sys.stdin.buffer.readline())
assert (request.do, request.arguments) == ("about", {{}})
about = {{"version": {version}, "devices": {devices!r}, "denoiser": how != "noisy"}}
os.write(1, encode(Failed(1, "frame", "no Cycles") if how == "refuses" else Done(1, about)))
sys.stdin.read()
"""


@pytest.fixture
def blender(tmp_path: Path) -> Callable[..., str]:
    """(how=, version=, devices=) -> an executable that behaves so."""

    def make(how: str = "", version: tuple[int, ...] = (5, 2, 3), devices: dict | None = None) -> str:
        devices = {"cpu": ["EPYC"]} if devices is None else devices
        text = FAKE.format(
            repository=str(REPOSITORY), how=how, protocol=PROTOCOL, version=list(version), devices=devices
        )
        (tmp_path / "fake.py").write_text(text)
        path = tmp_path / "blender"
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{tmp_path}/fake.py"\n')
        path.chmod(0o755)
        return str(path)

    return make


@pytest.fixture
def machine(monkeypatch) -> Callable[[Machine], None]:
    def make(fake: Machine) -> None:
        monkeypatch.setattr(doctor, "this_machine", lambda device_type: fake)

    make(Machine(8, 16 * GB))
    return make


def checks(root: Path, executable: str) -> dict[str, Check]:
    return {check.name: check for check in diagnose(root, executable).checks}


def test_all_is_well(blender, machine, tmp_path):
    before = sorted(tmp_path.iterdir())
    found = checks(tmp_path / "not" / "there", blender())
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "blender", tmp_path / "fake.py"])
    assert {name: check.status for name, check in found.items() if name not in ("ffmpeg", "scratch", "disk")} == {
        "visionsim": "ok", "Blender": "ok", "devices": "ok", "denoiser": "ok", "locks": "ok", "memory": "ok",
        "cores": "ok",
    }  # fmt: skip
    assert found["Blender"].text.startswith(f"5.2.3 fake, {tmp_path}/blender; starts in ")
    assert found["devices"].text == "cpu (EPYC)"
    assert found["memory"].values["workers"] == 20
    assert all(bool(check.advice) == (check.status != "ok") for check in found.values())


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("dies", "it exited with code 127: libGL.so.1: cannot open shared object file"),
        ("hangs", "it did not answer within 1 s"),
        ("other", "it is the worker of another visionsim"),
        ("refuses", "it cannot tell what it is: no Cycles"),
    ],
)
def test_blender_that_does_not_work_is_a_problem(how, words, blender, machine, tmp_path, monkeypatch):
    if how == "hangs":
        monkeypatch.setattr(doctor, "START_SECONDS", 1.0)
    found = checks(tmp_path, blender(how))
    assert (found["Blender"].status, found["Blender"].text) == ("problem", f"{tmp_path}/blender: {words}")
    assert "devices" not in found


def test_no_blender_is_a_problem(machine, tmp_path):
    found = diagnose(tmp_path, "/nowhere/blender")
    assert found.checks[1].status == "problem" and "/nowhere/blender" in found.checks[1].text
    assert found.exit_code == 1


@pytest.mark.parametrize(("version", "status"), [((3, 3, 0), "warning"), ((3, 4, 1), "ok"), ((5, 3, 0), "warning")])
def test_versions_that_are_not_tested_are_told(version, status, blender, machine, tmp_path):
    assert checks(tmp_path, blender(version=version))["Blender"].status == status


def test_missing_denoiser_is_told_with_the_remedy(blender, machine, tmp_path):
    check = checks(tmp_path, blender("noisy"))["denoiser"]
    assert check.status == "warning" and "--render-config.no-use-denoising" in check.advice


def test_gpu_that_blender_does_not_see_is_told(blender, machine, tmp_path):
    machine(Machine(8, 16 * GB, (Gpu("nvidia", "GPU-1", "RTX A6000", 48 * GB),)))
    check = checks(tmp_path, blender())["devices"]
    assert check.status == "warning" and "RTX A6000" in check.text
    devices = {"cpu": ["EPYC"], "optix": ["RTX A6000"]}
    check = checks(tmp_path, blender(devices=devices))["devices"]
    assert (check.status, check.text) == ("ok", "cpu (EPYC), optix (RTX A6000)")


def test_little_memory_is_told():
    assert doctor.check_memory(Machine(8, GB // 5)).status == "warning"
    assert "one worker" in doctor.check_memory(Machine(8, GB)).text


@pytest.mark.parametrize(("free", "status"), [(10**7, "problem"), (GB, "warning"), (100 * GB, "ok")])
def test_free_disk(free, status, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "free_bytes", lambda folder: free)
    assert doctor.check_output(tmp_path).status == status


def test_folder_that_cannot_be_written_is_a_problem():
    assert doctor.check_output(Path("/proc/data")).status == "problem"
    assert doctor.check_locks(Path("/proc/data")).status == "warning"


def test_file_system_without_locks_is_told(tmp_path, monkeypatch):
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    check = doctor.check_locks(tmp_path)
    assert check.status == "warning" and "never start two runs" in check.advice


def test_scratch_without_memory_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "memory_folder", lambda room: None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(doctor, "free_bytes", lambda folder: 100 * GB)
    assert "on a disk" in doctor.check_scratch().text
    monkeypatch.setattr(doctor, "free_bytes", lambda folder: 1000)
    assert "make room" in doctor.check_scratch().advice


@pytest.mark.parametrize(
    ("script", "status", "words"),
    [
        ("echo ffmpeg version 7.1 Copyright", "ok", "7.1, "),
        ("exit 1", "warning", "does not start"),
        (None, "warning", "not found"),
    ],
)
def test_ffmpeg(script, status, words, tmp_path, monkeypatch):
    if script:
        (tmp_path / "ffmpeg").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # As if it were not installed.
    check = doctor.check_ffmpeg()
    assert check.status == status and words in check.text


def test_command(blender, machine, tmp_path, call: Callable[..., Answer]):
    answer = call("doctor", f"--root={tmp_path}", f"--executable={blender()}", "--json")
    document = json.loads(answer.out)
    assert (answer.code, document["exit_code"], answer.err) == (0, 0, "")
    assert [check["name"] for check in document["checks"]][:2] == ["visionsim", "Blender"]
    answer = call("doctor", f"--root={tmp_path}", f"--executable={blender('dies')}")
    assert answer.code == 1
    assert "Nothing can be rendered here: 1 problem" in answer.out
    assert "-> start it by hand" in answer.out
