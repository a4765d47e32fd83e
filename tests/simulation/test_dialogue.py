"""A worker that is asked one thing after another, by who needs no pool: whatever it does, an answer comes."""

from __future__ import annotations

import os
import signal

import pytest

from tests.helpers import exists
from visionsim.errors import SceneError, WorkerError
from visionsim.simulation.dialogue import Dialogue

A = {"scene": "a"}


@pytest.fixture
def dialogue(fakes, tmp_path, monkeypatch):
    """(limits, script) -> a dialogue with a fake worker; nothing of them is left after the test."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    def make(seconds: float | None = None, patience: float = 60.0, **script) -> Dialogue:
        return Dialogue(fakes.command(**script), seconds=seconds, patience=patience)

    yield make
    assert not [pid for pid in fakes.pids() if exists(pid)] and not list((tmp_path / "temporary").iterdir())


def test_answers_and_refusals(dialogue):
    with dialogue(tasks={"open b": ("scene", 1)}) as talk:
        assert talk.hello is None
        assert talk.ask("open", A) == A
        with pytest.raises(SceneError, match=r"not a \.blend"):
            talk.ask("open", {"scene": "b"})
        assert talk.ask("open", A) == A and talk.alive and talk.hello.blender == "0.0.0 fake"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({"start": "exit"}, "exited with code 127: .*libGL"),
        ({"start": "wrong-protocol"}, "is the worker of another visionsim"),
        ({"start": "garbage"}, "SIGKILL"),
        ({"tasks": {"open a": ("die", 1)}}, "SIGSEGV: .*about to die"),
    ],
)
def test_worker_that_is_of_no_use(dialogue, script, words):
    with dialogue(**script) as talk:
        with pytest.raises(WorkerError, match=words):
            talk.ask("open", A)
        assert not talk.alive


@pytest.mark.parametrize("script", [{"start": "mute"}, {"tasks": {"open a": ("hang", 1)}}])
def test_worker_that_hangs_is_ended(dialogue, script):
    with dialogue(patience=0.5, **script) as talk, pytest.raises(WorkerError, match="it hangs"):
        talk.ask("open", A)


def test_stopped_worker_is_ended(dialogue, fakes):
    with dialogue(patience=2.0) as talk:
        talk.ask("open", A)
        os.kill(talk.hello.pid, signal.SIGSTOP)
        with pytest.raises(WorkerError, match="it hangs"):
            talk.ask("open", {"scene": "x" * 1_000_000})


def test_worker_that_takes_too_long_is_ended(dialogue):
    with dialogue(seconds=0.5, start="mute") as talk, pytest.raises(WorkerError, match=r"answer within 0\.5 s"):
        talk.ask("open", A)
